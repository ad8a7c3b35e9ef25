"""Exercises of kind "test": the student's test is tried on a right and many wrong implementations.

Which is which follows from the seed alone, and the implementations look alike from outside, so a
test that counts its calls or reads names learns nothing.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_lib.exercises.cells import source_as
from course_lib.exercises.mutants import Mutant, mutants
from course_lib.exercises.probe import quiet

if TYPE_CHECKING:
    from course_lib.exercises.engine import Exercise
    from course_lib.exercises.probe import Case


@dataclass(frozen=True)
class Implementation:
    """One implementation on trial; `sentence` says what is wrong with it, or how it is right."""

    function: Callable
    sentence: str = ""
    misconception: str = ""
    is_right: bool = False


def mutants_of(exercise: Exercise) -> list[Mutant]:
    """Every mutant that the exercise's bank holds, those listed as equivalent included."""
    original = exercise.subject if exercise.kind == "test" else exercise.solution
    return mutants(source_as(original, original.__name__), exercise.imports)


def implementations(exercise: Exercise, seed: int) -> list[Implementation]:
    """The right ones, the misconceptions and the faulty mutants, in an order from the seed."""
    chosen = [Implementation(exercise.subject, is_right=True)]
    chosen += [Implementation(m.answer, m.sentence, m.name, True) for m in exercise.also_right]
    chosen += [Implementation(m.answer, m.sentence, m.name) for m in exercise.misconceptions]
    for mutant in mutants_of(exercise):
        if mutant.id not in exercise.equivalent:
            said = (
                f"Your test accepts an implementation with `{mutant.after}` "
                f"in place of `{mutant.before}`."
            )
            chosen.append(Implementation(mutant.function, said))
    random.Random(seed).shuffle(chosen)
    return chosen


def cases(exercise: Exercise, seed: int) -> list[Case]:
    """Arguments of the student's test: one implementation a call."""
    (argument, *_) = inspect.signature(exercise.solution).parameters
    return [{argument: _alike(item.function, argument)} for item in implementations(exercise, seed)]


def _alike(function: Callable, name: str) -> Callable:
    def implementation(*args: Any, **kwargs: Any) -> Any:
        with quiet():
            return function(*args, **kwargs)

    implementation.__name__ = implementation.__qualname__ = name
    return implementation
