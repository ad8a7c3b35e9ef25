"""A rehearsal: the notebook's cells and then the public checks, in a process of its own.

The child runs the cells as a notebook does, magics included, and reports a line of JSON before and
after each step. If a step takes too long or takes the child down, the parent notes it and begins
anew without that step, so one endless loop costs one exercise only. A rehearsal runs the student's
own code on the student's own machine: it is no sandbox.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from course_lib.classroom.bundle import read_bundle
from course_lib.exercises.render import Report

Event = dict[str, Any]
START_SECONDS = 60.0  # to import the package on a slow machine
OUT_OF_TIME = "out of time"
ENDED = "the process ended"


@dataclass(frozen=True)
class Step:
    """What became of a cell ("cell 3") or a check (its exercise): `state`, and what was said."""

    what: str
    state: str
    said: str = ""


def rehearse(
    folder: Path, cells: Sequence[str], names: Sequence[str], seconds: float = 20.0
) -> list[Step]:
    """Run cells in `folder`, then the public checks of `names` → a Step for each that ran.

    A cell that runs without an error gives no Step. `seconds` is the limit of one step.
    """
    labels = [f"cell {number}" for number in range(1, len(cells) + 1)]
    lost: dict[str, Step] = {}
    while True:
        task = {"folder": str(folder), "skip": sorted(lost), "names": list(names)}
        task["cells"] = list(zip(labels, cells, strict=True))
        steps, failed = _one_run(task, seconds)
        if failed is None:
            return [*(lost[label] for label in labels if label in lost), *_in_order(steps, lost)]
        if failed.what in lost or not failed.what:
            return [*lost.values(), *steps, Step("notebook", failed.state, failed.said)]
        lost[failed.what] = failed


def _in_order(steps: Sequence[Step], lost: dict[str, Step]) -> list[Step]:
    checks = [step for name, step in lost.items() if not name.startswith("cell ")]
    return [*steps, *checks]


def _one_run(task: Event, seconds: float) -> tuple[list[Step], Step | None]:
    """One child → what it reported, and the step that it did not survive."""
    steps: list[Step] = []
    with TemporaryDirectory() as own:
        child = _start(task, own)
        events: queue.Queue[Event | None] = queue.Queue()
        threading.Thread(target=_listen, args=(child.stdout, events), daemon=True).start()
        at, limit = "", START_SECONDS
        try:
            while True:
                event = events.get(timeout=limit)
                if event is None:
                    return steps, Step(at, ENDED, f"{at or 'the start'} ended the process")
                if event["event"] == "begin":
                    at, limit = event["what"], seconds
                elif event["event"] == "end":
                    steps += [Step(at, event["state"], event["said"])] if event["state"] else []
                else:
                    return steps, None
        except queue.Empty:
            said = f"{at or 'the start'} ran out of time ({limit:g} s)"
            return steps, Step(at, OUT_OF_TIME, said)
        finally:
            child.kill()
            child.wait()


def _start(task: Event, own: str) -> subprocess.Popen:
    environment = os.environ | {"MPLBACKEND": "agg", "IPYTHONDIR": own}
    child = subprocess.Popen(
        [sys.executable, "-m", "course_lib.classroom.rehearsal"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=task["folder"],
        env=environment,
    )
    with child.stdin as pipe:
        pipe.write(json.dumps(task).encode())
    return child


def _listen(pipe: IO[bytes], events: queue.Queue[Event | None]) -> None:
    for line in pipe:
        events.put(json.loads(line))
    events.put(None)


def main() -> None:
    """The child: a task on its input, events on its output, which the cells cannot write to."""
    from course_lib.classroom.desk import open_shell

    task = json.load(sys.stdin)
    reports = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)

    def tell(**event: Any) -> None:
        reports.write(json.dumps(event) + "\n")
        reports.flush()

    shell = open_shell()
    for label, source in task["cells"]:
        if label not in task["skip"]:
            tell(event="begin", what=label)
            error = _run(shell, source)
            tell(event="end", state="error" if error else "", said=f"{label} raised {error}")
    bundle = read_bundle(Path(task["folder"]))
    for name in task["names"]:
        if name not in task["skip"]:
            tell(event="begin", what=name)
            if name in shell.user_ns:
                report = bundle.check(name, shell.user_ns[name])
                state = report.state if isinstance(report, Report) else "recorded"
                tell(event="end", state=str(state), said=repr(report))
            else:
                tell(event="end", state="error", said=f"`{name}` is not defined")
    tell(event="done")
    reports.flush()
    os._exit(0)  # threads that a cell has left behind must not hold it up


def _run(shell: Any, source: str) -> str:
    """Run a cell → its error in one line, or ""."""
    result = shell.run_cell(source)
    error = result.error_before_exec or result.error_in_exec
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}" if error else ""


if __name__ == "__main__":
    main()
