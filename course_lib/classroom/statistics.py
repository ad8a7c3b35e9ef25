"""What a class's results say of the class and of the exercises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.by_hand import standing
from course_lib.classroom.results import Result
from course_lib.exercises.engine import State


@dataclass(frozen=True)
class ExerciseStatistics:
    """One exercise over all students.

    `share`: mean of marks / points, 0 to 1; low is difficult. `discrimination`: correlation of this
    share with the marks in all other exercises, −1 to 1; None where either is the same for all.
    """

    name: str
    title: str
    points: float
    share: float
    discrimination: float | None
    states: dict[str, int]


@dataclass(frozen=True)
class Mistake:
    """A diagnosed mistake and how many made it."""

    exercise: str
    name: str
    sentence: str
    count: int


def by_exercise(results: Sequence[Result], assignment: Assignment) -> list[ExerciseStatistics]:
    """Difficulty and discrimination of each exercise, in the assignment's order."""
    marks = np.array([[item["marks"] for item in result["exercises"]] for result in results])
    found = []
    for column, task in enumerate(assignment.tasks):
        states = Counter(result["exercises"][column]["state"] for result in results)
        own, rest = marks[:, column], np.delete(marks, column, axis=1).sum(axis=1)
        found.append(
            ExerciseStatistics(
                task.exercise.name,
                task.exercise.title,
                task.points,
                float(own.mean() / task.points) if task.points else 0.0,
                _correlation(own, rest),
                {str(state): states.get(str(state), 0) for state in State},
            )
        )
    return found


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Pearson's, or None where one of them does not vary."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def mistakes(results: Sequence[Result]) -> list[Mistake]:
    """Diagnosed mistakes, the most common first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for result in results:
        for item in result["exercises"]:
            # A sentence of a test quotes the student's line; the named ones are ours.
            if item["misconception"]:
                counts[item["name"], item["misconception"], item["sentence"]] += 1
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [Mistake(*key, count) for key, count in ranked]


def totals(results: Sequence[Result], graded: Mapping[str, Any]) -> np.ndarray:
    """The marks of each student, after hand grading and lateness."""
    return np.array([standing(result, graded).total for result in results])
