"""The worker: a process in the sandbox that has imported everything once, and forks for each job.

    python -m course_lib.classroom.worker         spoken to by course_lib.classroom.pool only

It has run no arithmetic, for a fork after a threaded matrix product hangs, and it holds no secret:
a job is read by its fork, never by itself, so that nothing of one submission is in the memory that
the next one inherits. Whatever a submission does, it does behind namespaces of its own.

    worker ─ fork ─ doorkeeper ─ fork ─ implementer       knows the implementations of a test
                               └ fork ─ warden            first process of the submission's room
                                         └ fork ─ desk    runs the student's cells
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import struct
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from course_lib.classroom import isolate, wire
from course_lib.classroom.desk import Shell, open_shell, work
from course_lib.classroom.implementer import Implementer, open_turn
from course_lib.classroom.warden import Warden, end_all

WARM = ("torch", "cv2", "scipy.ndimage", "einops", "course_lib.features.sift")
WARM += ("matplotlib.pyplot", "matplotlib_inline.backend_inline", "matplotlib.backends.backend_agg")
WARM += ("IPython.core.magics", "IPython.core.magics.ast_mod", "IPython.core.pylabtools")
OUT, WAYS = 3, 4  # where the desk finds its two connections
LENGTH = struct.Struct(">I")
IMPLEMENTER_MB = 1000  # beyond what it is forked with: a test may call it with anything


def main() -> None:
    """Say that we are ready, then one fork a job, until the grader closes its side."""
    answers = os.dup(1)
    silence(1)
    warm_up()
    shell = open_shell()
    gc.freeze()  # a fork that collects garbage would copy every page of it
    wire.write_frame(answers, b"R")
    while os.read(0, 1) == b"J":
        in_a_child(lambda: keep_the_door(shell, answers))  # ends this process if it fails


def warm_up() -> None:
    """Import what submissions import, so that no fork has to."""
    for name in WARM:
        with suppress(ImportError):
            importlib.import_module(name)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def silence(*files: int) -> None:
    """Let file descriptors lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for file in files:
        os.dup2(nowhere, file)
    os.close(nowhere)


def in_a_child(task: Callable[[], None]) -> None:
    """Run it in a fork and wait for its end. If it fails, the grader must see: end here too."""
    _, status = os.waitpid(fork(task), 0)
    if status:
        leave(1)


def fork(task: Callable[[], None]) -> int:
    """Run it in a fork that ends with it → its process number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        task()
        code = 0
    except Exception:
        traceback.print_exc()  # the grader's log; in a student's process it leads nowhere
    finally:
        leave(code)


def leave(code: int) -> NoReturn:
    """End without running what was registered for the end."""
    os._exit(code)


def is_closed() -> bool:
    """Whether this is a sandbox; else it is a run of one's own files without one."""
    return os.environ.get("COURSE_SANDBOX") == "1"


def keep_the_door(shell: Shell, answers: int) -> None:
    """Read one job, put each of its parts where it belongs, and wait for the warden."""
    near, far = socket.socketpair()
    turns_out, turns_in = os.pipe()
    read, written = os.pipe()
    size = LENGTH.unpack(wire.read_exactly(0, LENGTH.size))[0]
    implementer = 0
    if size:
        implementer = fork(lambda: implement(size, far.fileno(), turns_out, written))
        os.close(written)
        os.read(read, 1)  # it has taken its part off the common pipe
    job = wire.decode(wire.read_exactly(0, LENGTH.unpack(wire.read_exactly(0, LENGTH.size))[0]))
    if is_closed():
        isolate.enter_namespaces()
    in_a_child(lambda: watch_over(shell, job, answers, near.fileno(), turns_in))
    if implementer:
        os.kill(implementer, signal.SIGKILL)
        os.waitpid(implementer, 0)


def implement(size: int, line: int, turns: int, told: int) -> None:
    """The implementer's process."""
    payload = wire.read_exactly(0, size)
    os.write(told, b".")
    silence(0, 1, 2)
    if is_closed():
        isolate.die_with_parent()
        isolate.limit_own_memory(IMPLEMENTER_MB)
        isolate.give_up_rights()
    Implementer(wire.decode(payload), line, turns).serve()


def watch_over(shell: Shell, job: Mapping[str, Any], answers: int, line: int, turns: int) -> None:
    """The warden's process."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if is_closed():
            isolate.die_with_parent()
            isolate.mount_own(job["limits"]["tmp_mb"])
            isolate.give_up_rights()
            folder = "/tmp"
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all other signals do nothing to it
        source, out = os.pipe()
        desk = fork(lambda: sit_down(shell, job, folder, out, line))
        os.close(out)
        os.close(line)

        def turn(unit: int) -> None:
            if (way := job["units"][unit]["way"]) >= 0:
                open_turn(turns, way)

        try:
            Warden(desk, source, answers, job, turn).watch()
        finally:
            end_all(desk)


def sit_down(shell: Shell, job: Mapping[str, Any], folder: str, out: int, line: int) -> None:
    """The desk's process: it keeps its two connections and nothing else."""
    kept = (os.dup(out), os.dup(line))
    os.dup2(os.dup(kept[0]), OUT)
    os.dup2(os.dup(kept[1]), WAYS)
    silence(0, 1, 2)
    os.closerange(WAYS + 1, 4096)
    home = os.path.join(folder, "work")
    os.mkdir(home)
    os.chdir(home)
    os.environ.update(HOME=home, TMPDIR=folder)
    tempfile.tempdir = None
    if is_closed():
        isolate.set_limits(job["limits"])
        isolate.set_readable(True)
    else:
        os.setsid()
    for name, content in job["files"]:
        with open(os.path.join(home, os.path.basename(name)), "wb") as file:
            file.write(content.tobytes())
    work(shell, job, OUT, WAYS)


if __name__ == "__main__":
    main()
