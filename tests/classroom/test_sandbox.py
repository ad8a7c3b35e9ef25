"""The chain around a worker: what it shows, what it refuses, and what isolate makes of its kernel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib.classroom import isolate, sandbox
from course_lib.doctor import ROOT
from tests.classroom.test_attacks import need_sandbox


def inside(code):
    """What a command in the chain prints."""
    need_sandbox()
    done = subprocess.run(
        sandbox.closed([sys.executable, "-c", code]),
        env=sandbox.environment(True),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_worker_is_nobody_and_knows_nothing_of_its_caller(monkeypatch):
    monkeypatch.setenv("CANARY", "secret")
    code = "import os; print(os.getuid() != 0, 'CANARY' in os.environ, b'CANARY' in "
    code += "open('/proc/1/environ', 'rb').read(), os.getcwd(), os.listdir('/tmp'))"
    assert inside(code) == "True False False /tmp []"


def test_the_package_is_there_without_answers():
    code = "import os; print(sorted(os.listdir('/course')), sorted(os.listdir("
    code += (
        "'/course/course_lib/classroom')), 'sift.py' in os.listdir('/course/course_lib/exercises'))"
    )
    names = sorted(f"{name}.py" for name in sandbox.INSIDE)
    assert inside(code) == f"['course_lib', 'data'] {names} False"
    assert (
        inside("import course_lib; print(course_lib.__file__)") == "/course/course_lib/__init__.py"
    )


def test_every_bank_is_recognised():
    banks = {p.stem for p in (ROOT / "course_lib" / "exercises").glob("*.py")
             if sandbox.BANK.search(p.read_text(encoding="utf-8"))}  # fmt: skip
    assert {"sift", "start", "llava", "blip_quiz"} <= banks
    assert not banks & {"engine", "probe", "cells", "mutants", "trial", "judge"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_it_works_for_a_user_who_is_not_root(tmp_path):
    need_sandbox()
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    code = "import os; from pathlib import Path; print(os.getuid(), Path('/root/.ssh').exists())"
    system = Path("/usr/bin/python3")
    if not system.exists():
        pytest.skip("no Python that everybody may run")
    chain = ["bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--cap-add",
             "CAP_SYS_ADMIN", "--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]  # fmt: skip
    for name in ("/lib", "/lib64", "/bin"):
        if os.path.islink(name):
            chain += ["--symlink", os.readlink(name), name]
    done = subprocess.run(
        [*nobody, *chain, str(system), "-c", code], capture_output=True, text=True
    )
    assert done.stdout.split()[1:] == ["False"], done.stderr


def test_what_is_missing_is_said_with_its_cure(monkeypatch):
    sandbox.available.cache_clear()
    monkeypatch.setattr(sandbox.shutil, "which", lambda _: None)
    assert sandbox.available() == "`bwrap` is missing: install it with `apt install bubblewrap`"
    sandbox.available.cache_clear()
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    assert sandbox.available().startswith("the sandbox needs Linux with bubblewrap")
    sandbox.available.cache_clear()


def test_a_chain_that_fails_says_why(monkeypatch):
    need_sandbox()
    sandbox.available.cache_clear()
    monkeypatch.setattr(sandbox, "TRIAL", "raise OSError('the kernel says no')")
    assert sandbox.available().endswith("OSError: the kernel says no")
    sandbox.available.cache_clear()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"cell_seconds": 0}, "cell_seconds must be a whole number from 1, but 0"),
        ({"memory_mb": 1.5}, "memory_mb must be a whole number"),
        ({"address_mb": 500}, "torch needs address_mb of 4,000 or more, not 500"),
    ],
)
def test_limits_must_make_sense(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        sandbox.Limits(**settings)


def test_forbidden_calls_are_known_for_both_machines():
    tables = [calls for _, calls in isolate.FORBIDDEN.values()]
    assert len(tables[0]) == len(tables[1]) == len(set(tables[0])) == len(set(tables[1])) == 22
    assert set(isolate.FORBIDDEN) == set(isolate.CAPSET)
