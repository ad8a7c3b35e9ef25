"""`course doctor` tells the truth: each check is made to fail, and says what to do."""

import builtins
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import course_lib
from course_lib import cli, doctor


def run(monkeypatch: pytest.MonkeyPatch, findings: list[doctor.Finding]):
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    return CliRunner().invoke(cli.app, ["doctor"])


def test_healthy_machine_has_no_failure() -> None:
    mood = ("memory", "disk")  # of this machine, at this moment: no fault of the course
    failed = [f for f in doctor.examine() if not f.ok and not f.optional and f.check not in mood]
    assert not failed, "\n".join(map(str, failed))


def test_exit_code_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    good = doctor.Finding("memory", True, "8 GB")
    bad = doctor.Finding("disk", False, "0 GB free", "free at least 1 GB")
    note = doctor.Finding("browser", False, "not found", "apt-get install chromium", optional=True)
    assert run(monkeypatch, [good, note]).exit_code == 0
    result = run(monkeypatch, [good, bad, note])
    assert result.exit_code == 1
    assert "FAIL  disk" in result.output
    assert "->  free at least 1 GB" in result.output


def test_a_missing_sandbox_is_a_remark_for_lecturers_and_no_failure(monkeypatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    (note,) = [f for f in doctor.optional_tools() if f.check == "sandbox (optional)"]
    assert (note.ok, note.optional) == (False, True)
    assert str(note).startswith("note  sandbox (optional)")
    assert str(note).endswith("->  only grading needs it, on Linux: apt-get install bubblewrap")


def test_missing_libgl_gets_the_one_line_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "cv2":
            raise ImportError(
                "libGL.so.1: cannot open shared object file: No such file or directory"
            )
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    problem = doctor.opencv_problem()
    assert "libGL.so.1" in problem
    assert "apt-get install -y libgl1" in problem
    assert "\n" not in problem
    with pytest.raises(RuntimeError, match="libgl1"):
        course_lib.require("0.1")
    assert not doctor.check_opencv().ok


def test_versions_are_held_to_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==0.0.1 \\\n    --hash=sha256:0\nnot-there==1.0\n")
    finding = doctor.check_versions(lock)
    assert not finding.ok
    assert "numpy" in finding.found
    assert "not-there missing" in finding.found
    lock.write_text("numpy==0.0.1 ; sys_platform == 'never'\n")
    assert doctor.check_versions(lock).ok
    assert not doctor.check_versions(tmp_path / "none").ok


def test_handshake(tmp_path: Path) -> None:
    assert not doctor.check_handshake(tmp_path).ok
    notebook = tmp_path / "01_x.ipynb"
    notebook.write_text(
        json.dumps({"metadata": {"course": {"library": {"version": course_lib.__version__}}}})
    )
    assert doctor.check_handshake(tmp_path).ok
    notebook.write_text(json.dumps({"metadata": {"course": {"library": {"version": "0.0.9"}}}}))
    assert "0.0.9" in doctor.check_handshake(tmp_path).found
    notebook.write_text("{")
    assert "unreadable" in doctor.check_handshake(tmp_path).found
    with pytest.raises(RuntimeError, match=r"written for course_lib 9\.9"):
        course_lib.require("9.9")


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_broken():
        raise KeyError("boom")

    monkeypatch.setattr(doctor, "CHECKS", (check_broken,))
    finding = doctor.examine()[1]
    assert not finding.ok
    assert "KeyError" in finding.found
