"""`course lab` opens whatever the machine: busy port, no display, root."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from course_lib import lab
from course_lib.doctor import ROOT


def test_busy_port_is_passed_over() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert lab.free_port(port) > port
        with pytest.raises(OSError, match=f"port {port} is busy; close a JupyterLab"):
            lab.free_port(port, tries=1)


def test_without_display_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not lab.has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    assert lab.has_display()
    assert "--no-browser" in lab.lab_command(1, browser=False)
    assert "--no-browser" not in lab.lab_command(1, browser=True)
    assert "--ip=127.0.0.1" in lab.lab_command(1, browser=True)


def test_the_token_is_on_no_command_line() -> None:
    token = "c0ffee"
    assert lab.lab_environment(token)["JUPYTER_TOKEN"] == token
    assert lab.lab_environment(token)["GOMP_SPINCOUNT"] == "10000"
    assert "token" not in " ".join(lab.lab_command(8888, browser=True)).lower()


def test_a_port_that_is_taken_at_the_last_moment_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        taken = stranger.getsockname()[1]
        real, ports = lab.free_port, iter([taken])
        monkeypatch.setattr(lab, "free_port", lambda *first: next(ports, None) or real(*first))
        answered = []

        def end_it(server, port, token):
            ended = not answers(server, port, token)
            answered.append(port)
            if not ended:
                server.terminate()
            return not ended

        answers = lab.answers
        monkeypatch.setattr(lab, "answers", end_it)
        assert lab.run_lab(browser=False) == 0
    assert answered[0] == taken
    assert answered[1] > taken
    printed = capsys.readouterr().out
    assert f":{answered[1]}/lab" in printed
    assert f":{taken}/lab" not in printed


def test_lab_serves_the_first_lesson_and_ends_when_told() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "course_lib.cli", "lab", "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=os.environ,
    )
    try:
        line = ""
        while "http://127.0.0.1" not in line:
            line = process.stdout.readline()
            assert line, "course lab ended before it printed its address"
        address = re.search(r"http://\S+", line)[0]
        assert urllib.request.urlopen(address, timeout=10).status == 200
        contents = address.replace("/lab/tree/", "/api/contents/")
        assert b"00_start.ipynb" in urllib.request.urlopen(contents, timeout=10).read()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
