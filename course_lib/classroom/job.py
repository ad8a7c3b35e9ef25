"""One submission on its way: what goes into the sandbox, how its runs went, what came back."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import asdict, dataclass, field

import numpy as np

from course_lib.classroom import wire
from course_lib.classroom.probes import Probe, Way
from course_lib.classroom.returned import checked, lost_outputs, note_of
from course_lib.classroom.sandbox import Limits
from course_lib.exercises.probe import Output

LOSSES = 3  # units of one test may be lost before the rest is not tried any more


@dataclass(frozen=True)
class Job:
    """One submission: its code cells, what to try of it, and the assignment's own files.

    cells  (source, name of the exercise that the cell is for, or "")
    files  (name, content) of what lies beside the notebook; never the student's own files
    order  a secret that decides in which order a student's test meets the implementations: which
           one it is at must not follow from how many came before
    """

    cells: tuple[tuple[str, str], ...]
    probes: tuple[Probe, ...]
    files: tuple[tuple[str, bytes], ...] = ()
    order: str = ""


@dataclass(frozen=True)
class Ran:
    """What came back of a submission, checked: the outputs by exercise, and what went wrong."""

    outputs: dict[str, list[Output]]
    notes: tuple[str, ...] = ()


@dataclass
class Progress:
    """Where the runs of one submission stand."""

    job: Job
    limits: Limits
    units: list[dict[str, int]] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)  # as the implementer gets them
    places: list[int] = field(default_factory=list)  # of each unit's outputs in its exercise's
    skipped_cells: set[int] = field(default_factory=set)
    done: dict[int, list[Output]] = field(default_factory=dict)  # by unit
    losses: Counter[int] = field(default_factory=Counter)  # of units, by probe
    notes: dict[tuple, str] = field(default_factory=dict)  # by place, so in the order of the cells

    def __post_init__(self) -> None:
        for number, probe in enumerate(self.job.probes):
            order = self._order(probe)
            tried = range(len(self.ways), len(self.ways) + len(order)) if order else (-1,)
            self.units += [{"probe": number, "way": way} for way in tried]
            self.ways += [probe.ways[place] for place in order]
            self.places += order or [0]

    def _order(self, probe: Probe) -> list[int]:
        """In which order a test meets the implementations: by the secret, with two exceptions.

        A test can take notes, and judge one by those before it. So a mutant is first, for whoever
        compares all with the first; and a misconception comes after what is right, for whoever
        accepts what gave the same values before, as one does that also overwrites its argument.
        """
        order = list(range(len(probe.ways)))
        random.Random(f"{self.job.order} {probe.name}").shuffle(order)
        others = [n for n in order if not probe.ways[n].is_guarded]
        in_turn = iter(sorted(others, key=lambda n: not probe.ways[n].is_right))
        order = [next(in_turn) if n in others else n for n in order]
        first = next((n for n in order if probe.ways[n].is_guarded), None)
        return order if first is None else [first, *(n for n in order if n != first)]

    def message(self, seconds_left: float) -> bytes:
        """The job as the worker reads it: first what only the implementer may know."""
        hidden = wire.encode([asdict(way) for way in self.ways]) if self.ways else b""
        body = wire.encode(
            {
                "cells": list(self.job.cells),
                "probes": [probe.public() for probe in self.job.probes],
                "units": self.units,
                "files": [(name, np.frombuffer(got, np.uint8)) for name, got in self.job.files],
                "limits": asdict(self.limits),
                "seconds_left": seconds_left,
                "skipped_cells": sorted(self.skipped_cells),
                "skipped_units": sorted(self.done),
            }
        )
        return b"".join([b"J", len(hidden).to_bytes(4), hidden, len(body).to_bytes(4), body])

    def take(self, letter: bytes, number: int, payload: bytes) -> bool:
        """One frame of the worker → whether the run is over and another one is needed."""
        if letter == b"O":
            probe = self.job.probes[self.units[number]["probe"]]
            self.done[number] = checked(probe, payload)
        elif letter in (b"E", b"T"):
            text = payload.decode("utf-8", "replace")
            why = "time" if letter == b"T" else ""
            self.notes["cell", number] = note_of(self.job, "cell", number, why, text, self.limits)
        elif letter == b"Z":
            return self._end(**json.loads(payload))
        else:
            raise ValueError(f"no frame is called {letter!r}")
        return False

    def _end(self, place: str, number: int, why: str) -> bool:
        """The run is over, well or not → whether to run again without what ended it."""
        if not why:
            return False
        if place == "unit":
            probe_number = self.units[number]["probe"]
            probe = self.job.probes[probe_number]
            self.done[number] = lost_outputs(probe, why, self.limits)
            self.losses[probe_number] += 1
            if self.losses[probe_number] == LOSSES:  # a test that hangs on each implementation
                rest = [n for n, unit in enumerate(self.units) if unit["probe"] == probe_number]
                self.done = {n: lost_outputs(probe, why, self.limits) for n in rest} | self.done
            self.notes["unit", probe_number] = note_of(
                self.job, "unit", probe_number, why, "", self.limits
            )
        elif place == "cell" and 0 <= number < len(self.job.cells):
            self.skipped_cells.add(number)
            self.notes["cell", number] = note_of(self.job, place, number, why, "", self.limits)
        else:
            self.notes["end", 0] = note_of(self.job, place, number, why, "", self.limits)
            return False
        return why != "total"

    def result(self, why: str = "died") -> Ran:
        """What there is; exercises that were not reached get outputs that say so."""
        outputs: dict[str, list[Output]] = {probe.name: [] for probe in self.job.probes}
        for _, number in sorted(zip(self.places, range(len(self.units)), strict=True)):
            probe = self.job.probes[self.units[number]["probe"]]
            outputs[probe.name] += self.done.get(number) or lost_outputs(probe, why, self.limits)
        return Ran(outputs, tuple(self.notes[place] for place in sorted(self.notes)))
