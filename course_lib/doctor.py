"""`course doctor`: one line a check, and what to do about a failure. It is the bug report."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import course_lib

ROOT = Path(course_lib.__file__).parent.parent
GB = 1e9
MAKE_ANEW = "make clean lab (on Windows: the uv commands of the README)"


@dataclass(frozen=True)
class Finding:
    """One line of the report. `remedy` says what to do; a failure always has one."""

    check: str
    ok: bool
    found: str
    remedy: str = ""
    optional: bool = False

    def __str__(self) -> str:
        mark = "ok  " if self.ok else "note" if self.optional else "FAIL"
        line = f"{mark}  {self.check:<20} {self.found}"
        return line if self.ok else f"{line}  ->  {self.remedy}"


def opencv_problem() -> str | None:
    """None if `import cv2` works, else one line: what is missing and the command that mends it."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        library = re.search(r"(lib[\w.+-]+\.so[.\d]*)", str(error))
        if library:
            return (
                f"OpenCV needs the system library {library[1]}: run  "
                "sudo apt-get install -y libgl1 libglib2.0-0  (Fedora: sudo dnf install -y "
                "mesa-libGL glib2)"
            )
        return f"OpenCV cannot be imported ({error}): run  make clean lab"
    return None


def check_python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    ok = sys.version_info >= (3, 11)
    return Finding("Python", ok, found, "install Python 3.11 or newer, then: make clean lab")


def check_opencv() -> Finding:
    problem = opencv_problem()
    return Finding(
        "OpenCV loads", problem is None, "yes" if problem is None else "no", problem or ""
    )


def locked_versions(lock: Path) -> Iterator[tuple[str, str]]:
    """(name, version) of each line of a lock file that applies to this machine."""
    from packaging.requirements import Requirement

    for line in lock.read_text(encoding="utf-8").splitlines():
        if line[:1].isalnum():
            wanted = Requirement(line.rstrip("\\ "))
            if wanted.marker is None or wanted.marker.evaluate():
                yield wanted.name, next(iter(wanted.specifier)).version


def check_versions(lock: Path | None = None) -> Finding:
    lock = lock or ROOT / "requirements.lock"
    if not lock.exists():
        return Finding("versions", False, "no requirements.lock", "clone the repository again")
    wrong, total = [], 0
    for name, wanted in locked_versions(lock):
        total += 1
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "missing"
        if found.split("+")[0] != wanted:
            wrong.append(f"{name} {found} (lock: {wanted})")
    if not wrong:
        return Finding("versions", True, f"all {total} as in requirements.lock")
    found = (
        f"{len(wrong)} of {total} differ: {', '.join(wrong[:4])}{' …' if len(wrong) > 4 else ''}"
    )
    if (Path(sys.prefix) / "conda-meta").exists():  # conda chooses within pyproject's ranges
        return Finding("versions", False, found, "make lab installs those of the lock", True)
    return Finding("versions", False, found, MAKE_ANEW)


def check_device() -> Finding:
    from course_lib.blocks.device import budget, device

    try:
        return Finding("device", True, f"{device()}, budget {budget()}")
    except ValueError as error:
        return Finding("device", False, str(error), "unset COURSE_DEVICE and COURSE_BUDGET")
    except ImportError as error:
        return Finding("device", False, f"torch cannot be imported ({error})", MAKE_ANEW)


def check_memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    found = (
        f"{memory.available / GB:.1f} of {memory.total / GB:.1f} GB free, {os.cpu_count()} cores"
    )
    return Finding("memory", memory.available > 2 * GB, found, "close programs until 2 GB are free")


def check_disk() -> Finding:
    free = shutil.disk_usage(ROOT).free / GB
    return Finding("disk", free > 1, f"{free:.0f} GB free", "free at least 1 GB for downloads")


def check_widgets() -> Finding:
    folder = Path(sys.prefix) / "share/jupyter/labextensions"
    missing = [
        name
        for name in ("@jupyter-widgets/jupyterlab-manager", "anywidget")
        if not (folder / name / "package.json").exists()
    ]
    found = f"{', '.join(missing)} missing" if missing else "ipywidgets and anywidget"
    return Finding("widget extension", not missing, found, MAKE_ANEW)


def check_handshake(folder: Path | None = None) -> Finding:
    """Every notebook was built with this version of the library."""
    notebooks = sorted((folder or ROOT / "notebooks").glob("*.ipynb"))
    notebooks = [path for path in notebooks if ".mine-" not in path.name]  # a student's own copies
    if not notebooks:
        return Finding("notebooks", False, "none found", "clone the repository again")
    other = []
    for path in notebooks:
        try:
            built = json.loads(path.read_text(encoding="utf-8"))["metadata"]["course"]
            built = built["library"]["version"]
        except (ValueError, KeyError, TypeError):
            built = "unreadable"
        if built != course_lib.__version__:
            other.append(f"{path.name} ({built})")
    found = f"{len(notebooks)} match course_lib {course_lib.__version__}"
    if other:
        found = f"not built with course_lib {course_lib.__version__}: {', '.join(other)}"
    return Finding(
        "notebooks", not other, found, "make notebooks (what you changed is kept as a copy)"
    )


def optional_tools() -> Iterator[Finding]:
    tools = {
        "git": (["git"], "needed to update the course: apt-get install git"),
        "browser": (
            ["chromium", "chromium-browser", "google-chrome"],
            "only the browser tests need it: apt-get install chromium",
        ),
        "sandbox": (["bwrap"], "only grading needs it, on Linux: apt-get install bubblewrap"),
    }
    for name, (commands, remedy) in tools.items():
        path = next(filter(None, map(shutil.which, commands)), None)
        found = Path(path).name if path else "not found"
        yield Finding(f"{name} (optional)", path is not None, found, remedy, optional=True)


CHECKS: tuple[Callable[[], Finding], ...] = (
    check_python,
    check_versions,
    check_opencv,
    check_device,
    check_memory,
    check_disk,
    check_widgets,
    check_handshake,
)


def examine() -> list[Finding]:
    """Run every check; one that breaks is itself a finding, never a traceback."""
    findings = [Finding("course_lib", True, course_lib.__version__)]
    for check in CHECKS:
        try:
            findings.append(check())
        except Exception as error:  # the report must come out whatever is broken
            name = check.__name__.removeprefix("check_")
            findings.append(Finding(name, False, f"{type(error).__name__}: {error}", MAKE_ANEW))
    return [*findings, *optional_tools()]


def main() -> int:
    """Print the report → exit code, 1 if anything failed. Needs nothing but Python itself."""
    findings = examine()
    print(f"{ROOT}, run by {sys.executable}", *findings, sep="\n")
    failed = sum(not finding.ok and not finding.optional for finding in findings)
    print(f"\n{failed} of {len(findings)} checks failed." if failed else "\nAll is well.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
