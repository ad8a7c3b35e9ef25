"""`course lab` opens whatever the machine: busy port, no display, root."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
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
        with pytest.raises(OSError, match="no free port"):
            lab.free_port(port, tries=1)


def test_without_display_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not lab.has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    assert lab.has_display()
    assert "--no-browser" in lab.lab_command(1, "t", browser=False)
    assert "--no-browser" not in lab.lab_command(1, "t", browser=True)
    assert "--ip=127.0.0.1" in lab.lab_command(1, "t", browser=True)


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
        while "http://localhost" not in line:
            line = process.stdout.readline()
            assert line, "course lab ended before it printed its address"
        address = re.search(r"http://\S+", line)[0]
        page = address.replace("localhost", "127.0.0.1")
        contents = page.replace("/lab/tree/", "/api/contents/")
        for attempt in range(120):
            try:
                assert urllib.request.urlopen(page, timeout=5).status == 200
                break
            except OSError:
                assert attempt < 119, "the server never answered"
                time.sleep(0.25)
        assert b"00_start.ipynb" in urllib.request.urlopen(contents, timeout=10).read()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
