"""A small class for the tests: an assignment of four toy exercises, notebooks, and a fake sandbox.

The fake runs cells in this process, which only our own code may ask for.
"""

import contextlib
import io
import json
from dataclasses import dataclass, field

from course_lib.classroom.assignment import Assignment, LatePolicy, Task, Written
from course_lib.exercises import start
from course_lib.exercises.probe import UNDEFINED, probe, quiet

WRITTEN = Written(
    "why_patches",
    "Why patches?",
    "Say why.",
    (("names the change of light", 4.0), ("names the turn", 2.0)),
    6.0,
)
POINTS = {"survives": 4.0, "patch_distance": 10.0, "cut_patch": 7.0, "test_normalise": 9.0}
LATE = LatePolicy(grace_minutes=10, lost_per_day=0.1, most_lost=0.5)


def toy() -> Assignment:
    """The exercises of the first lesson, as an assignment."""
    tasks = tuple(Task(e, POINTS[e.name], "start") for e in start.EXERCISES)
    return Assignment("toy", "A toy", 60, tasks, (WRITTEN,), LATE, "version-1")


def cell(source, *tags, kind="code"):
    """One cell as a notebook's JSON holds it."""
    extra = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "source": source, "metadata": {"tags": list(tags)}, **extra}


def notebook(*cells, **course):
    """Cells → the bytes of a notebook."""
    cells = [{"id": f"cell-{number}"} | cell for number, cell in enumerate(cells)]
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": python, "course": course}
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    return json.dumps(content).encode()


def answered(answers=(), written="Because."):
    """A notebook of the toy assignment; `answers`: exercise → source, else its solution."""
    answers = dict(answers)
    cells = [cell("import numpy as np")]
    for exercise in start.EXERCISES:
        source = answers.get(exercise.name, exercise.solution_cell())
        cells.append(cell(source, f"exercise:{exercise.name}"))
    cells.append(cell(written, "written:why_patches", kind="markdown"))
    return notebook(*cells, assignment="toy", version="version-1", variant="0")


def untouched():
    """The notebook as it was handed out."""
    return answered({e.name: e.stub_cell() for e in start.EXERCISES}, written="")


@dataclass
class FakeRan:
    outputs: dict = field(default_factory=dict)
    notes: tuple = ()


def run_here(asked):
    """A runner without any protection."""
    for number, one in enumerate(asked):
        namespace = {}
        with quiet(), contextlib.redirect_stdout(io.StringIO()):
            for source, _ in one.answers.cells:
                with contextlib.suppress(Exception):
                    exec(compile(source, f"<cell {number}>", "exec"), namespace)
            ran = FakeRan()
            for task in one.assignment.tasks:
                exercise = task.exercise
                cases = exercise.cases_for(one.seed) or [{}]
                if exercise.name in namespace:
                    ran.outputs[exercise.name] = probe(exercise, namespace[exercise.name], cases)
                else:
                    ran.outputs[exercise.name] = [{"error": f"{UNDEFINED} `it`"} for _ in cases]
        yield number, ran
