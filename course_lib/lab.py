"""`course lab`: JupyterLab on the course, whatever the machine: busy port, no display, root."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys

from course_lib.doctor import ROOT

START = "notebooks/00_start.ipynb"


def free_port(first: int = 8888, tries: int = 100) -> int:
    """The first free TCP port of this machine from `first` on. Raises OSError if there is none."""
    for port in range(first, first + tries):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {first} and {first + tries - 1}; close a JupyterLab first")


def has_display() -> bool:
    """Can a browser window open here?"""
    if sys.platform in ("win32", "darwin"):
        return not os.environ.get("SSH_CONNECTION")
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def lab_command(port: int, token: str, browser: bool) -> list[str]:
    """The command line of the JupyterLab server. Reachable from this machine only."""
    command = [sys.executable, "-m", "jupyter", "lab", f"--port={port}", "--ip=127.0.0.1"]
    command += [f"--ServerApp.root_dir={ROOT}", f"--IdentityProvider.token={token}"]
    command += [f"--LabApp.default_url=/lab/tree/{START}", "--LabApp.extension_manager=readonly"]
    command += ["--LabApp.log_level=WARN", "--ServerApp.log_level=WARN"]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return command


def lab_environment() -> dict[str, str]:
    """This environment, with the course's JupyterLab settings put before the machine's own."""
    config = os.pathsep.join(
        filter(None, [str(ROOT / "notebooks"), os.environ.get("JUPYTER_CONFIG_PATH")])
    )
    return {**os.environ, "JUPYTER_CONFIG_PATH": config}


def run_lab(port: int | None = None, browser: bool | None = None) -> int:
    """Start JupyterLab and wait for it → its exit code. Ctrl-C twice, or Ctrl-C and y, ends it."""
    port = free_port() if port is None else free_port(port, 1)
    browser = has_display() if browser is None else browser
    token = secrets.token_hex(16)
    print(f"\n  The course is at  http://localhost:{port}/lab/tree/{START}?token={token}")
    print("  (Ctrl-C here ends it.)\n", flush=True)
    server = subprocess.Popen(lab_command(port, token, browser), env=lab_environment(), cwd=ROOT)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    while True:
        try:
            return server.wait()
        except KeyboardInterrupt:
            continue  # the server was told too; it asks and then ends by itself
