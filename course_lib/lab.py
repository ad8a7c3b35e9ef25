"""`course lab`: JupyterLab on the course, whatever the machine: busy port, no display, root."""

from __future__ import annotations

import errno
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

from course_lib.doctor import ROOT

START = "notebooks/00_start.ipynb"
FIRST_PORT = 8888


def free_port(first: int = FIRST_PORT, tries: int = 100) -> int:
    """The first free TCP port of this machine from `first` on. Raises OSError if there is none."""
    for port in range(first, min(first + tries, 65536)):
        with socket.socket() as probe:
            if os.name == "posix":  # a port that its last owner has just left is free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno == errno.EACCES:
                    raise OSError(f"port {port} is the system's; choose one above 1023") from None
                continue
            return port
    last = first + tries - 1
    busy = f"port {first} is busy" if tries == 1 else f"ports {first} to {last} are busy"
    raise OSError(f"{busy}; close a JupyterLab first, or choose another one with --port")


def has_display() -> bool:
    """Can a browser window open here?"""
    if sys.platform in ("win32", "darwin"):
        return not os.environ.get("SSH_CONNECTION")
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def lab_command(port: int, browser: bool) -> list[str]:
    """The command line of the server. Other machines cannot reach it, and it shows no token."""
    command = [sys.executable, "-m", "jupyter", "lab", f"--port={port}", "--ip=127.0.0.1"]
    command += ["--ServerApp.port_retries=0", f"--ServerApp.root_dir={ROOT}"]
    command += [f"--LabApp.default_url=/lab/tree/{START}", "--LabApp.extension_manager=readonly"]
    command += ["--LabApp.log_level=WARN", "--ServerApp.log_level=WARN"]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return command


# A thread that waits for another spins first, and holds a core that a browser or a second lesson
# needs: steps of a small network then take ten times as long. It may spin for a thirtieth of what
# is usual with OpenMP: up to a fifth slower alone, four times as fast beside other work.
PATIENT = {"GOMP_SPINCOUNT": "10000"}


def lab_environment(token: str) -> dict[str, str]:
    """This environment, the course's JupyterLab settings before the machine's own, the token."""
    folders = [str(ROOT / "notebooks"), os.environ.get("JUPYTER_CONFIG_PATH")]
    config = os.pathsep.join(filter(None, folders))
    return {**PATIENT, **os.environ, "JUPYTER_CONFIG_PATH": config, "JUPYTER_TOKEN": token}


def answers(server: subprocess.Popen, port: int, token: str, patience: float = 60) -> bool:
    """Wait until *our* server answers at `port`; False if it ended before, or says nothing."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/status", headers={"Authorization": f"token {token}"}
    )
    deadline = time.monotonic() + patience
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(request, timeout=5):
            return True
        time.sleep(0.2)
    return False


def run_lab(port: int | None = None, browser: bool | None = None, first: int = FIRST_PORT) -> int:
    """Start JupyterLab, print its address once it answers, wait for its end → its exit code.

    On `port`, or on the first free one from `first` on.
    """
    browser = has_display() if browser is None else browser
    token = secrets.token_hex(16)
    chosen = free_port(first) if port is None else free_port(port, 1)
    environment = lab_environment(token)
    server = subprocess.Popen(lab_command(chosen, browser), env=environment, cwd=ROOT)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        if answers(server, chosen, token):
            address = f"http://127.0.0.1:{chosen}/lab/tree/{START}?token={token}"
            print(f"\n  The course is at  {address}\n  (Ctrl-C here ends it.)\n", flush=True)
        elif server.poll() is not None and port is None and server.returncode != 0:
            # Somebody took the port between our look and the server's: look further.
            return run_lab(None, browser, chosen + 1)
    except KeyboardInterrupt:
        server.terminate()
    while True:
        with suppress(KeyboardInterrupt):  # the server was told too; it asks, and ends by itself
            return server.wait()
