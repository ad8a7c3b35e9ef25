"""The desk: where a student's cells run, as in a notebook, and then what they made is tried.

Everything here shares a process with the student's code and may be bent by it. So nothing here is
believed: the desk sends plain data and holds no answer. Cells run one after the other in IPython;
then each exercise is tried in a fork of what the cells left, so that one cannot spoil the next.
"""

from __future__ import annotations

import os
import re
import select
import signal
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from course_lib.classroom import isolate, wire
from course_lib.classroom.implementer import Distant
from course_lib.classroom.warden import LATE
from course_lib.exercises import cells
from course_lib.exercises.probe import UNDEFINED, Output, probe

MEGABYTE = 2**20
NOTE = 300  # characters of what a cell raised


class Shell(InteractiveShell):
    """IPython without a screen: no tracebacks are laid out, no history is kept."""

    def _showtraceback(self, *_: Any, **__: Any) -> None:
        pass

    def showtraceback(self, *_: Any, **__: Any) -> None:
        """Nobody reads it; the error itself is in the cell's result."""

    def showsyntaxerror(self, *_: Any, **__: Any) -> None:
        """Nobody reads it either."""

    def _tee(self, channel: str) -> AbstractContextManager:
        """IPython keeps all that is printed, here nobody: endless output costs time, no memory."""
        return nullcontext()

    def enable_gui(self, gui: str | None = None) -> None:
        """There is no window: plots are drawn into memory."""


def open_shell() -> Shell:
    """The shell that every submission starts from, still empty."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "NoColor"
    return Shell.instance(config=config)


def work(shell: Shell, job: Mapping[str, Any], out: int, ways: int) -> None:
    """Run the cells, then the units, saying on `out` where the work is. Does not return."""
    for number, (source, _) in enumerate(job["cells"]):
        if number not in job["skipped_cells"]:
            wire.write_frame(out, b"C", number)
            if problem := _run_cell(shell, source):
                wire.write_frame(out, b"E", number, problem.encode("utf-8", "replace"))
    isolate.open_reserve()
    for number, unit in enumerate(job["units"]):
        if number in job["skipped_units"]:
            continue
        wire.write_frame(out, b"P", number)
        outputs = _try(shell.user_ns, job["probes"][unit["probe"]], unit, job["limits"], ways)
        wire.write_frame(out, b"O", number, outputs)
    wire.write_frame(out, b"D")


def _run_cell(shell: Shell, source: str) -> str:
    """What the cell raised, in one line; "" if it came to its end."""
    process = os.getpid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = shell.run_cell(source, store_history=False)
        error = result.error_before_exec or result.error_in_exec
    except BaseException as raised:
        error = raised
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if os.getpid() != process:  # the cell has forked, and its child came to the cell's end
            os._exit(0)
    return "" if error is None else _one_line(error)


def _one_line(error: BaseException) -> str:
    try:
        text = re.sub(r"0x[0-9a-fA-F]+", "0x…", " ".join(str(error).split()))
    except Exception:
        text = "?"
    return f"{type(error).__name__}: {text}"[:NOTE] if text else type(error).__name__


def _try(
    namespace: Mapping[str, Any], asked: Mapping, unit: Mapping, limits: Mapping, ways: int
) -> bytes:
    """The outputs of one unit as a message. A case that kills its process costs that case only."""
    cases = [unit["way"]] if asked["ways"] else asked["cases"]
    outputs: list[Output] = []
    end = time.monotonic() + limits["probe_seconds"]
    room = limits["value_mb"] * MEGABYTE
    while len(outputs) < len(cases):
        got, why = _in_a_fork(namespace, asked, cases[len(outputs) :], end, room, ways)
        outputs += got
        if why == "time" and asked["ways"]:
            os._exit(LATE)  # the line to the implementer may be cut in the middle of a call
        if len(outputs) < len(cases):
            outputs.append(lost(asked, why))
        if why == "time":
            outputs += [lost(asked, why) for _ in cases[len(outputs) :]]
    return wire.encode(outputs)


def lost(asked: Mapping[str, Any], why: str) -> Output:
    """What stands for a result that never came; of a test, nothing, for that rejects nothing."""
    if asked["ways"]:
        return {}
    return {"error": "ran out of time" if why == "time" else "the process ended inside the call"}


def _in_a_fork(
    namespace: Mapping[str, Any], asked: Mapping, cases: Any, end: float, room: int, ways: int
) -> tuple[list[Output], str]:
    """Outputs of the cases until the fork ends → them, and why it ended: "", "time" or "died"."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os.close(source)
            _answer(namespace, asked, cases, sink, room, ways)
        os._exit(0)
    os.close(sink)
    frames, outputs = wire.Frames(room * (len(cases) + 1)), []
    why = "died"
    while len(outputs) < len(cases):
        ready, _, _ = select.select([source], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            why = "time"
            break
        content = os.read(source, MEGABYTE)
        if not content:
            break
        with suppress(wire.WireError):
            outputs += [wire.decode(payload) for _, _, payload in frames.feed(content)]
    os.close(source)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return outputs, why if len(outputs) < len(cases) else ""


def _answer(
    namespace: Mapping[str, Any], asked: Mapping, cases: Any, sink: int, room: int, ways: int
) -> None:
    """In the fork: the probe on each case, each result as a frame."""
    name = asked["name"]
    for case in cases:
        if name not in namespace:
            output: Output = {"error": f"{UNDEFINED} `{name}`: no cell that ran has defined it"}
        else:
            if asked["ways"]:
                given = {asked["argument"]: Distant(ways, case, asked["argument"])}
            else:
                given = wire.decode(case.tobytes())
            (output,) = probe(_question(asked), namespace[name], [given])
        wire.write_frame(sink, b"O", 0, _encoded(output, room))


def _question(asked: Mapping[str, Any]) -> SimpleNamespace:
    """What `probe` reads of an exercise; the solution is only its parameters."""
    name, imports = asked["name"], asked["imports"]
    return SimpleNamespace(
        name=name,
        kind=asked["kind"],
        is_function=asked["is_function"],
        solution=cells.define(asked["signature"], name, imports) if asked["is_function"] else None,
        stub_function=lambda: cells.define(asked["stub"], name, imports),
    )


def _encoded(output: Output, room: int) -> bytes:
    """An output as a message; one that is too large or cannot be sent becomes an error."""
    try:
        message = wire.encode(dict(output))
    except wire.WireError as error:
        return wire.encode({"error": str(error)})
    if len(message) <= room:
        return message
    value = output.get("value")
    shape = f" of shape {value.shape}" if isinstance(value, np.ndarray) else ""
    size, most = len(message) / MEGABYTE, room // MEGABYTE
    text = f"a result{shape} of {size:.0f} MB came back; at most {most} MB are judged"
    return wire.encode({"error": text})
