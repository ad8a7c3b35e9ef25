"""Grading a class beside nbgrader: `python -m benchmarks.classroom` prints the table.

Forty honest submissions that import torch, on two workers, each in a sandbox and a room of its own.
Memory is that of the whole pool, shared pages divided among their users. The peer executes the same
notebooks as nbgrader does, one kernel after the other; without nbgrader its line is left out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil

from course_lib.classroom.pool import Job, Pool
from course_lib.classroom.probes import probe_of
from course_lib.exercises import start
from course_lib.exercises.diagnose import assess

COUNT, WORKERS, PEER_COUNT, SEED = 40, 2, 4, 11
IMPORTS = "import numpy as np\nimport torch"
AT_LEAST = 6  # times the peer's rate


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


def ours() -> tuple[float, float]:
    """Submissions a minute, starting of the workers included, and the most memory in MB."""
    probes = tuple(probe_of(exercise, SEED) for exercise in start.EXERCISES)
    most, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            most[0] = max(most[0], shared_out_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    with Pool(WORKERS) as pool:
        for _, ran in pool.run([Job(cells(), probes)] * COUNT):
            for exercise in start.EXERCISES:
                assert assess(exercise, ran.outputs[exercise.name], SEED).score == 1
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    return 60 * COUNT / seconds, most[0]


def peers() -> float:
    """Submissions a minute of `nbgrader autograde`, without a sandbox."""
    folder = Path(tempfile.mkdtemp())
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source, _ in cells()],
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
    )
    places = [
        folder / "source" / "toy",
        *(folder / f"submitted/s{n}/toy" for n in range(PEER_COUNT)),
    ]
    for place in places:
        place.mkdir(parents=True)
        nbformat.write(notebook, place / "toy.ipynb")
    command = [sys.executable, "-m", "nbgrader"]
    subprocess.run([*command, "generate_assignment", "toy"], cwd=folder, capture_output=True)
    started = time.perf_counter()
    subprocess.run([*command, "autograde", "toy"], cwd=folder, capture_output=True, check=True)
    seconds = time.perf_counter() - started
    shutil.rmtree(folder)
    return 60 * PEER_COUNT / seconds


def main() -> None:
    """Measure, and print the table."""
    rate, memory = ours()
    print(f"{COUNT} honest submissions, {WORKERS} workers.\n")
    print("| who | submissions a minute | memory |", "|---|---|---|", sep="\n")
    print(f"| ours, in the sandbox | {rate:.0f} | {memory:.0f} MB |", flush=True)
    with suppress(ImportError):
        import nbgrader

        peer = peers()
        print(f"| nbgrader {nbgrader.__version__} | {peer:.0f} | – |")
        print(f"\nOurs is {rate / peer:.1f} times as fast; at least {AT_LEAST} are asked for.")


if __name__ == "__main__":
    main()
