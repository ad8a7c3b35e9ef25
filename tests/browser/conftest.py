"""A fresh JupyterLab for each test in headless Chromium, apart from the reader's settings."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",  # a camera that shows a test card
    "--use-fake-ui-for-media-stream",  # … and is allowed without a question
)


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """Headless Chromium; without one, skip on a desk and fail in CI: nothing is left out unseen."""
    if CHROMIUM is None:
        message = "Chromium is not installed (Debian: apt install chromium)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _environment(folder: Path) -> dict[str, str]:
    """The environment with every Jupyter folder in `folder`, and one thread for arithmetic."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    own = {name: str(folder / name.lower()) for name in names}
    own["JUPYTERLAB_SETTINGS_DIR"] = str(folder / "settings")
    own["JUPYTERLAB_WORKSPACES_DIR"] = str(folder / "workspaces")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **own, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """JupyterLab on a fresh port and an empty folder → (address, folder of notebooks)."""
    work, port = tmp_path / "notebooks", _free_port()
    work.mkdir()
    command = [
        sys.executable, "-m", "jupyter", "lab", "--no-browser", "--expose-app-in-browser",
        "--allow-root", f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1",
        "--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True",
        f"--ServerApp.root_dir={work}", "--ServerApp.port_retries=0",
    ]  # fmt: skip
    with open(tmp_path / "server.log", "w") as log:
        process = subprocess.Popen(
            command, cwd=work, env=_environment(tmp_path), stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        address = f"http://127.0.0.1:{port}"
        try:
            _wait(f"{address}/api/status", process, tmp_path / "server.log")
            yield address, work
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # its own group: the server and its kernels
                process.wait(15)


def _wait(url: str, process: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture
def lab(chromium, server: tuple[str, Path]) -> Iterator[Callable]:
    """`lab(code, …)`: open a notebook of these cells, run them all, and return its page."""
    address, work = server
    context = chromium.new_context(viewport={"width": 1280, "height": 1100})

    def open_notebook(*cells: str):
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
        nbformat.write(notebook, work / "test.ipynb")
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{address}/lab/tree/test.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        page.wait_for_function("window.jupyterapp?.commands.hasCommand('notebook:run-all-cells')")
        page.wait_for_function(
            "() => jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
            "?.status === 'idle'"
        )
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function(  # every cell has its number: all have run
            "n => [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')]"
            ".filter(p => /\\[\\d+\\]/.test(p.textContent)).length === n",
            arg=len(cells),
        )
        return page

    open_notebook.folder = work
    yield open_notebook
    context.close()
