"""IPython loads this in every kernel of the tests: it times a lesson's pictures at its end.

So nbval's run of the lessons measures them as well, and none is executed a second time. What is
measured while other tests run can only be too slow: see test_live_speed.py.
"""

import gc
import json
import os
import time
from pathlib import Path

import nbformat


def code_cells(path: Path) -> list[str]:
    """The sources of a notebook's code cells, in order."""
    return [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def measured(live) -> list:
    """→ [caption, [seconds, control, value, error] of the slowest drawing or None, (H, W, 3)]."""
    slowest = []
    for name, control in live.controls.items():
        if not hasattr(control, "min"):
            continue
        start = control.value
        for value in (control.min, control.max, (control.min + control.max) / 2, start):
            control.value = type(start)(value)
            rounds = []
            for _ in range(3):
                started = time.perf_counter()
                live.redraw()
                rounds.append(time.perf_counter() - started)
            slowest.append((min(rounds), name, float(value), live.error))
    return [live.screen.caption or live.screen.alt, max(slowest, default=None), live.picture.shape]


def record(ran: list[str], folder: Path) -> None:
    """Write folder/NAME.json if `ran` are all the code cells of notebooks/NAME.ipynb, in order."""
    from course_lib.show.widgets import Live

    for path in Path.cwd().glob("[0-9]*.ipynb"):
        if code_cells(path) == ran:
            pictures = [measured(x) for x in gc.get_objects() if type(x) is Live]
            part = folder / f"{path.stem}.{os.getpid()}.part"
            part.write_text(json.dumps({"cells": ran, "pictures": pictures}))
            part.replace(folder / f"{path.stem}.json")


def load_ipython_extension(shell) -> None:
    """Call `record` after each cell that may be the last one of a lesson."""
    folder = Path(os.environ["COURSE_LIVE_SPEED"])
    folder.mkdir(parents=True, exist_ok=True)
    last = {code_cells(path)[-1] for path in Path.cwd().glob("[0-9]*.ipynb")}
    ran = []

    def after(result) -> None:
        ran.append(result.info.raw_cell)
        if ran[-1] in last:
            record(ran, folder)

    shell.events.register("post_run_cell", after)
