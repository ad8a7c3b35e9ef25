"""The sandbox: the chain of commands in which a worker runs, on Linux with bubblewrap.

    an empty environment → (as root) a first view of the system, from which root is left for
    nobody → bubblewrap: no network, a read-only minimal system, a new session, no new rights

A worker in it sees the interpreter, its libraries and the course's package without exercises and
without the grader's side; no assignment, no submission, no home. Each submission then gets a room
of its own inside (course_lib.classroom.isolate).
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import course_lib

NOBODY = 65534
PACKAGE = Path(course_lib.__file__).parent
COURSE = Path("/course")  # where the package and its data are inside
OUTSIDE = ("__pycache__", "cli", "lessons")  # of the package; a worker does not see these
# All of these two rooms that a worker sees: what runs cells, and what runs an answer.
INSIDE = {
    "classroom": ("__init__", "desk", "implementer", "isolate", "warden", "wire", "worker"),
    "exercises": ("__init__", "cells", "mutants", "probe"),
}
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
ETC = ("alternatives", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ssl/openssl.cnf")
TRIAL = """
import os
from course_lib.classroom import isolate
isolate.enter_namespaces()
child = os.fork()
if child == 0:
    isolate.mount_own(8)
    isolate.give_up_rights()
    os._exit(0)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@dataclass(frozen=True)
class Limits:
    """What one submission may use; seconds are of the clock, megabytes are 2**20 bytes."""

    cell_seconds: int = 20
    probe_seconds: int = 20  # of one exercise
    submission_seconds: int = 300
    memory_mb: int = 1500  # resident, shared pages divided among their users
    address_mb: int = 12_000  # torch reserves far more than it uses
    tmp_mb: int = 256
    file_mb: int = 128
    output_mb: int = 64  # of all results of a submission
    value_mb: int = 16  # of the result of one case
    processes: int = 64
    files: int = 256

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a whole number from 1, but {value!r} was given")
        if self.address_mb < 4000:
            raise ValueError(f"torch needs address_mb of 4,000 or more, not {self.address_mb}")


@lru_cache(maxsize=1)
def available() -> str:
    """Why submissions cannot be closed in on this machine, in one sentence; "" if they can."""
    if sys.platform != "linux":
        return f"the sandbox needs Linux with bubblewrap, and this is {platform.system()}"
    if platform.machine() not in ("x86_64", "aarch64"):
        return f"the sandbox knows x86_64 and aarch64, and this machine is {platform.machine()}"
    if Path(sys.executable).is_relative_to("/tmp"):
        return "the course lies in /tmp, which the sandbox hides: move its folder elsewhere"
    needed = {"bwrap": "bubblewrap"} | ({"setpriv": "util-linux"} if os.getuid() == 0 else {})
    for command, package in needed.items():
        if not shutil.which(command):
            return f"`{command}` is missing: install it with `apt install {package}`"
    done = subprocess.run(
        closed([sys.executable, "-c", TRIAL]), env=environment(True), capture_output=True, text=True
    )
    if done.returncode == 0:
        return ""
    said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"bubblewrap is installed, but cannot make a sandbox here: {said}"


def command(sandboxed: bool) -> list[str]:
    """What starts a worker."""
    worker = [sys.executable, "-m", "course_lib.classroom.worker"]
    return closed(worker) if sandboxed else worker


def environment(sandboxed: bool) -> dict[str, str]:
    """All that a worker knows of its surroundings: nothing of the grader's own environment."""
    threads = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        **dict.fromkeys(threads, "1"),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(COURSE if sandboxed else PACKAGE.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "LANG": "C.UTF-8",
        "HOME": "/tmp",
        "USER": "student",
        "LOGNAME": "student",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "COURSE_OFFLINE": "1",
        "COURSE_DEVICE": "cpu",
        "COURSE_BUDGET": "quick",
        "COURSE_SANDBOX": str(int(sandboxed)),
    }


def closed(worker: list[str]) -> list[str]:
    """The whole chain around a command."""
    is_root = os.getuid() == 0
    bwrap = shutil.which("bwrap")
    inner = [bwrap, "--unshare-all", "--unshare-user", "--disable-userns", "--cap-add"]
    inner += ["CAP_SYS_ADMIN", "--new-session", "--die-with-parent", "--hostname", "sandbox"]
    inner += [*visible(is_root), "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    inner += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "--", *worker]
    if not is_root:
        return inner
    # As root every file could be read. So root makes the view, and nobody makes the sandbox in it.
    outer = [bwrap, "--die-with-parent", *visible()]
    outer += ["--dev-bind", "/proc", "/proc", "--dev", "/dev", "--perms", "1777", "--dir", "/tmp"]
    for right in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
        outer += ["--cap-add", right]
    leave = [shutil.which("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    leave += ["--pdeathsig", "KILL", "--"]
    return [*outer, "--", *leave, *inner]


def visible(is_in_view: bool = False) -> Iterator[str]:
    """bubblewrap's options for all that a worker sees, read-only.

    `is_in_view`: they are for the inner one of two, which sees what the outer one shows.
    """
    for path in SYSTEM:
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    folders: set[Path] = set()
    shown = [(path, path) for path in _interpreter()]
    shown += [(Path("/etc", name), Path("/etc", name)) for name in ETC]
    for path, place in [*shown, *_package()]:
        if path.exists():
            for folder in reversed(place.parents):
                if folder not in folders and not _within(folder, map(Path, ("/", *SYSTEM))):
                    folders.add(folder)  # the owner's own folders may be closed to others
                    yield from ("--perms", "0755", "--dir", str(folder))
            yield from ("--ro-bind", str(place if is_in_view else path), str(place))
    if (installed := Path(sysconfig.get_path("purelib"), "course_lib")).is_dir():
        yield from ("--tmpfs", str(installed))  # the package as it was installed has it all


def _interpreter() -> list[Path]:
    """The folders and files of Python and its libraries that are not of the system."""
    found = []
    for prefix in {Path(sys.base_prefix), Path(sys.base_exec_prefix), Path(sys.prefix)}:
        if not _within(prefix, map(Path, SYSTEM)):
            found += [prefix / name for name in ("bin", "lib", "lib64", "pyvenv.cfg", "share")]
    real = Path(os.path.realpath(sys.executable)).parent
    found += [real, *map(Path, (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))]
    kept: list[Path] = []
    for path in found:
        if path.exists() and not _within(path, [*kept, *map(Path, SYSTEM)]):
            kept.append(path)
    return kept


def has(module: str) -> bool:
    """Whether code in the sandbox can import a module of the course; others are taken to be there.

    No bank of exercises, no assignment, and no test, whose toys are exercises too.
    """
    package, *rest = module.split(".")
    if package != "course_lib":
        return not package.startswith(("assignments", "course_assignment_", "tests"))
    if not rest or rest[0] in OUTSIDE:
        return not rest
    return len(rest) == 1 or rest[0] not in INSIDE or rest[1] in INSIDE[rest[0]]


def _package() -> Iterator[tuple[Path, Path]]:
    """The course's package, without what holds answers: exercises, and the grader's own side."""
    home = COURSE / "course_lib"
    for path in sorted(PACKAGE.iterdir()):
        if path.stem in OUTSIDE:
            continue
        if path.name in INSIDE:
            for name in INSIDE[path.name]:
                yield path / f"{name}.py", home / path.name / f"{name}.py"
        else:
            yield path, home / path.name
    yield PACKAGE.parent / "data" / "checkpoints", COURSE / "data" / "checkpoints"


def _within(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a path is one of the folders, or below one that is not the root itself."""
    return any(path == top or (top in path.parents and top != Path("/")) for top in folders)
