"""pyproject.toml, requirements.lock and environment.yml agree, and name no machine."""

import re
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from course_lib.doctor import ROOT, locked_versions

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = [*PROJECT["dependencies"], *EXTRAS["cluster"], *EXTRAS["test"]]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_conda_file_lists_what_pyproject_lists() -> None:
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^      - (.+)$", text, re.M)
    assert listed == [*WANTED, "-e ."]
    assert f"python{PROJECT['requires-python']}" in text


@pytest.mark.parametrize("line", WANTED)
def test_lock_satisfies_pyproject(line: str) -> None:
    wanted = Requirement(line)
    locked = {canonicalize_name(n): v for n, v in locked_versions(ROOT / "requirements.lock")}
    assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)])


def test_every_line_of_the_lock_is_pinned_and_hashed() -> None:
    blocks = re.split(r"\n(?=[a-zA-Z0-9])", LOCK.strip())
    assert len(blocks) > 100
    for block in blocks:
        assert re.match(r"[\w.\[\]-]+==[\w.+!-]+", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]


def test_lock_serves_every_system() -> None:
    for marker in (
        "sys_platform == 'linux'",
        "sys_platform == 'win32'",
        "sys_platform == 'darwin'",
    ):
        assert marker in LOCK or marker.replace("==", "!=") in LOCK


def test_no_index_address_and_no_path_of_a_machine_in_any_file() -> None:
    files = subprocess.run(
        ["git", "ls-files", "-z"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.split("\0")
    # Written in pieces, so that this test does not find itself.
    hosts = ("py" + "pi.org", "python" + "hosted", "registry.npm" + "js", "deb." + "debian")
    places = re.compile(r"(?<![\w./])/(?:wo" + r"rk|ro" + r"ot|home/\w+|Users/\w+)/")
    for name in filter(None, files):
        path = ROOT / name
        if path.suffix in {".npz", ".png", ".jpg", ".safetensors"} or not path.exists():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for host in hosts:
            assert host not in text, f"{name} names a package registry"
        assert not places.search(text), f"{name} holds {places.search(text)[0]}"
    assert "--index-url" not in LOCK
    assert "--find-links" not in LOCK
