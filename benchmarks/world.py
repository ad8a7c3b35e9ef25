"""Pictures of the world a second: `python -m benchmarks.world` prints the table.

Each row is the best of several rounds over scenes of one to six objects. One process, and one for
each of two cores; a round with two is compared only with the round with one beside it. How fast a
machine is drifts; so beside each round a *yardstick* is measured, the arithmetic of twenty plain
passes over pictures of that size, and a guard is a multiple of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from course_lib.world.render import render
from course_lib.world.scene import sample

EVERYTHING = ("rgb", "depth", "normals", "instance")
# Size, number of scenes in a round, pictures a second that two cores must reach in RGB.
SIZES = ((64, 1024, 2000), (128, 384, None), (224, 128, 250))
PASSES = 20


@dataclass(frozen=True)
class Row:
    """One line: pictures a second of one and of two processes."""

    size: int
    want: tuple[str, ...]
    one: float
    two: float
    gain: float  # of the round in which the second process helped most
    yardsticks: float  # time of one picture in RGB or in everything, in those of a plain picture
    least: float | None = None  # what two must reach

    def __str__(self) -> str:
        least = "–" if self.least is None else f"{self.least:.0f}"
        what = "everything" if self.want == EVERYTHING else ", ".join(self.want)
        return (
            f"| {self.size} | {what} | {self.one:.0f} | {self.two:.0f} | "
            f"{self.gain:.2f} | {least} | {self.yardsticks:.1f} |"
        )


def row(size: int, count: int, want: tuple[str, ...], least: float | None, rounds: int) -> Row:
    """Best rates of one and two processes and of the yardstick, in turns."""
    scenes = sample(range(count))
    runs = (
        lambda: render(scenes, size, want, processes=1),
        lambda: render(scenes, size, want, processes=2),
        lambda: plain_passes(size, count),
    )
    runs[1]()  # starts the worker
    seconds = np.array([[_seconds(run) for run in runs] for _ in range(rounds)])
    one, two, plain = seconds.min(axis=0)
    gain = (seconds[:, 0] / seconds[:, 1]).max()
    return Row(size, want, count / one, count / two, gain, one / plain, least)


def plain_passes(size: int, count: int) -> None:
    """The yardstick: simple arithmetic on `count` pictures, 32 at once, float32 (32, H, W, 3)."""
    a = np.random.default_rng(0).random((32, size, size, 3), dtype=np.float32)
    for _ in range(PASSES * count // 32):
        np.sqrt(np.maximum(a * a + a, a))


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def rows(rounds: int = 3) -> Iterator[Row]:
    """Every line of the table, measured as it is asked for."""
    for size, count, least in SIZES:
        yield row(size, count, ("rgb",), least, rounds)
        yield row(size, count, EVERYTHING, None, rounds)


def main() -> None:
    """Measure and print the table as it grows."""
    print("| pixels | what | one process, /s | two, /s | gain | two must reach | yardsticks |")
    print("|---|---|---|---|---|---|---|")
    for line in rows():
        print(line, flush=True)


if __name__ == "__main__":
    main()
