"""Pictures of the world a second: `python -m benchmarks.world` prints the table.

Each row is the best of several rounds over scenes of one to six objects. One process, and one for
each of two cores; a round with two is compared only with the round with one beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from course_lib.world.render import render
from course_lib.world.scene import sample

EVERYTHING = ("rgb", "depth", "normals", "instance")
# Size, number of scenes in a round, pictures a second that two cores must reach in RGB.
SIZES = ((64, 1024, 2000), (128, 384, None), (224, 128, 250))


@dataclass(frozen=True)
class Row:
    """One line: pictures a second of one and of two processes."""

    size: int
    want: tuple[str, ...]
    one: float
    two: float
    least: float | None = None  # what two must reach

    def __str__(self) -> str:
        least = "–" if self.least is None else f"{self.least:.0f}"
        what = "everything" if self.want == EVERYTHING else ", ".join(self.want)
        return (
            f"| {self.size} | {what} | {self.one:.0f} | {self.two:.0f} | "
            f"{self.two / self.one:.2f} | {least} |"
        )


def row(size: int, count: int, want: tuple[str, ...], least: float | None, rounds: int) -> Row:
    """Best rates of one and two processes, in turns."""
    scenes = sample(range(count))
    best = {1: np.inf, 2: np.inf}
    render(scenes, size, want, processes=2)  # starts the worker
    for _ in range(rounds):
        for processes in best:
            started = time.perf_counter()
            render(scenes, size, want, processes=processes)
            best[processes] = min(best[processes], time.perf_counter() - started)
    return Row(size, want, count / best[1], count / best[2], least)


def rows(rounds: int = 3) -> Iterator[Row]:
    """Every line of the table, measured as it is asked for."""
    for size, count, least in SIZES:
        yield row(size, count, ("rgb",), least, rounds)
        yield row(size, count, EVERYTHING, None, rounds)


def main() -> None:
    """Measure and print the table as it grows."""
    print("| pixels | what | one process, /s | two, /s | gain | two must reach |")
    print("|---|---|---|---|---|---|")
    for line in rows():
        print(line, flush=True)


if __name__ == "__main__":
    main()
