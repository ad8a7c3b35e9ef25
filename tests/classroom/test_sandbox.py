"""The chain around a worker: what it shows and refuses, and the tables of isolate."""

import ast
import os
import shutil
import subprocess
import sys

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
    code = "import os; print(sorted(os.listdir('/course')), {room: sorted(os.listdir("
    code += "f'/course/course_lib/{room}')) for room in ('classroom', 'exercises')})"
    names = {room: sorted(f"{name}.py" for name in sandbox.INSIDE[room]) for room in sandbox.INSIDE}
    assert inside(code) == f"['course_lib', 'data'] {names}"
    assert inside("import os; print(os.listdir('/course/data'))") == "['checkpoints']"
    assert (
        inside("import course_lib; print(course_lib.__file__)") == "/course/course_lib/__init__.py"
    )


def holds_answers(source):
    """Whether a file makes an exercise, a mistake with its sentence, or a question of a lesson."""
    made = {"Exercise", "Misconception", "Question"}
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    is_made = any(getattr(f, "id", getattr(f, "attr", "")) in made for f in calls)
    return is_made and "course_lib.exercises" in source


def test_no_file_that_a_worker_sees_holds_an_answer():
    shown = [path for path, _ in sandbox._package()]
    files = [file for path in shown for file in ([path] if path.is_file() else path.rglob("*.py"))]
    files = [file for file in files if file.suffix == ".py"]
    assert len(files) > 100
    assert not [file.name for file in files if holds_answers(file.read_text(encoding="utf-8"))]
    banks = {
        file.stem
        for file in (ROOT / "course_lib" / "exercises").glob("*.py")
        if holds_answers(file.read_text(encoding="utf-8"))
    }
    assert {"sift", "start", "blip_uses", "llava_splice", "llava_quiz"} <= banks


def as_nobody(code):
    """Run Python as a user who is not root, where root may make the course reachable for him."""
    command = [shutil.which("bwrap"), *sandbox.visible()]
    for folder in list(reversed(ROOT.parents))[1:]:
        command += ["--perms", "0755", "--dir", str(folder)]
    command += ["--ro-bind", str(ROOT), str(ROOT), "--dev-bind", "/proc", "/proc", "--dev", "/dev"]
    command += ["--perms", "1777", "--dir", "/tmp"]
    for right in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
        command += ["--cap-add", right]
    command += ["--", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    environment = sandbox.environment(False) | {"PYTHONPATH": str(ROOT)}
    command += [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd="/")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_it_works_for_a_user_who_is_not_root():
    need_sandbox()
    code = "import os; from course_lib.classroom.pool import Job, run_one\n"
    code += "from tests.classroom.toys import HONEST, PROBES, scores\n"
    code += "print(os.getuid(), scores(run_one(Job(HONEST, PROBES))))"
    done = as_nobody(code)
    marks = "{'twice': 1.0, 'number': 1.0, 'test_centred': 1.0}"
    assert done.stdout.strip() == f"65534 {marks}", done.stderr


def test_what_is_missing_is_said_with_its_cure(monkeypatch):
    sandbox.available.cache_clear()
    monkeypatch.setattr(sandbox.shutil, "which", lambda _: None)
    assert sandbox.available() == "`bwrap` is missing: install it with `apt install bubblewrap`"
    sandbox.available.cache_clear()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(sandbox.sys, "executable", "/tmp/course/.venv/bin/python")
        assert "lies in /tmp, which the sandbox hides" in sandbox.available()
    sandbox.available.cache_clear()
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    assert sandbox.available().startswith("the sandbox needs Linux with bubblewrap")
    sandbox.available.cache_clear()


def test_without_a_sandbox_tests_are_skipped_and_in_ci_they_fail(monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: "`bwrap` is missing")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="`bwrap` is missing"):
        need_sandbox()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="`bwrap` is missing"):
        need_sandbox()


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
    assert len(tables[0]) == len(tables[1]) == len(set(tables[0])) == len(set(tables[1])) == 26
    assert set(isolate.FORBIDDEN) == set(isolate.CAPSET)
