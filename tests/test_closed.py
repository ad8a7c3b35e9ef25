"""The tests run offline: no Python process of theirs connects outside, notebooks' kernels included.

192.0.2.1 belongs to nobody (RFC 5737), so an open door would lead nowhere but to a time-out.
"""

import socket
import subprocess
import sys

import nbformat
import pytest

from course_lib import lessons

KNOCK = """
import socket
door = socket.socket()
door.settimeout(2)
try:
    door.connect(("192.0.2.1", 80))
except OSError as error:
    print(error)
"""


def test_this_process_is_closed_but_reaches_this_machine() -> None:
    with pytest.raises(OSError, match="the tests run offline"):
        socket.create_connection(("192.0.2.1", 80), timeout=2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=2).close()


def test_a_process_started_by_a_test_is_closed() -> None:
    done = subprocess.run([sys.executable, "-c", KNOCK], capture_output=True, text=True, check=True)
    assert "the tests run offline" in done.stdout


@pytest.mark.notebook
def test_a_notebooks_kernel_is_closed() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(KNOCK)])
    lessons.execute(notebook)
    assert "the tests run offline" in notebook.cells[0].outputs[0].text
