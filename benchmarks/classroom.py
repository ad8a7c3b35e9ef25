"""Grading a class beside nbgrader: `python -m benchmarks.classroom [PYTHON]` prints the table.

Honest submissions that import torch. Ours run each in a sandbox and a room of its own; its memory
is that of the whole pool, shared pages divided among their users. The peer executes the same
notebooks with `nbgrader autograde`, one kernel after the other, without a sandbox. `PYTHON` is an
interpreter that has nbgrader, this one if none is named.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import nbformat
import psutil

from course_lib.classroom.pool import Job, Pool
from course_lib.classroom.probes import probe_of
from course_lib.exercises import start
from course_lib.exercises.diagnose import assess

COUNT, WORKERS, PEER_COUNT, SEED = 40, 2, 8, 11
IMPORTS = "import numpy as np\nimport torch"
RATE_AT_LEAST, MEMORY_AT_MOST = 6, 2000  # times the peer's rate; MB


def cells() -> tuple[tuple[str, str], ...]:
    """The first lesson's exercises, solved."""
    return ((IMPORTS, ""), *((e.solution_cell(), e.name) for e in start.EXERCISES))


def shared_out_mb() -> float:
    """Memory of this process's descendants, in MB, shared pages divided among their users."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, OSError):
            total += process.memory_full_info().pss
    return total / 1e6


def ours(count: int = COUNT, workers: int = WORKERS) -> tuple[float, float]:
    """Submissions a minute, starting of the workers included, and the most memory in MB."""
    probes = tuple(probe_of(exercise, SEED) for exercise in start.EXERCISES)
    most, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            most[0] = max(most[0], shared_out_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    try:
        with Pool(workers) as pool:
            for _, ran in pool.run([Job(cells(), probes)] * count):
                for exercise in start.EXERCISES:
                    assert assess(exercise, ran.outputs[exercise.name], SEED).score == 1
            seconds = time.perf_counter() - started
    finally:
        done.set()
        watcher.join()
    return 60 * count / seconds, most[0]


def version_of_peer(python: str) -> str:
    """The version of nbgrader that an interpreter has; "" if it has none."""
    code = "from importlib.metadata import version; print(version('nbgrader'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return done.stdout.strip()


def peers(python: str, count: int = PEER_COUNT) -> float:
    """Submissions a minute of `nbgrader autograde`. Raises RuntimeError if one is not graded."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source, _ in cells()],
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
    )
    command = [python, "-m", "nbgrader"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        students = [folder / "submitted" / f"s{n}" / "toy" for n in range(count)]
        for place in (folder / "source" / "toy", *students):
            place.mkdir(parents=True)
            nbformat.write(notebook, place / "toy.ipynb")
        path = f"{Path(python).parent}:{os.environ['PATH']}"  # nbgrader calls alembic by its name
        run = {
            "cwd": folder,
            "capture_output": True,
            "check": True,
            "env": os.environ | {"PATH": path},
        }
        subprocess.run([*command, "generate_assignment", "toy"], **run)
        started = time.perf_counter()
        subprocess.run([*command, "autograde", "toy"], **run)
        seconds = time.perf_counter() - started
        graded = list(folder.glob("autograded/*/toy/toy.ipynb"))
        if len(graded) != count:
            raise RuntimeError(f"nbgrader graded {len(graded)} of {count} submissions")
    return 60 * count / seconds


def main(python: str = sys.executable) -> None:
    """Measure, and print the table as it grows."""
    cores = len(os.sched_getaffinity(0))
    versions = f"torch {metadata.version('torch')}, IPython {metadata.version('ipython')}"
    print(f"Honest submissions that import torch, start of the grader included; {versions};")
    print(f"{cores} core{'s' * (cores > 1)} for both, which run one after the other.\n")
    print(
        "| who | submissions | a minute | most memory, MB | at most |",
        "|---|---|---|---|---|",
        sep="\n",
    )
    rate, memory = ours()
    line = f"| ours, in the sandbox, {WORKERS} workers | {COUNT} | {rate:.1f} | {memory:.0f}"
    print(f"{line} | {MEMORY_AT_MOST} |", flush=True)
    version = version_of_peer(python)
    if not version:
        print(f"\nnbgrader is left out: {python} does not have it.")
        return
    peer = peers(python)
    print(f"| nbgrader {version}, no sandbox | {PEER_COUNT} | {peer:.1f} | – | – |\n")
    print(f"Ours is **{rate / peer:.1f}** times as fast; {RATE_AT_LEAST} are asked for.")


if __name__ == "__main__":
    main(*sys.argv[1:])
