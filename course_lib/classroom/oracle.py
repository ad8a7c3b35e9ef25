"""True marks of our own answers, found in another way than by the judge.

Slow and short: each answer is called here, case by case, beside the solution. Nothing of the
probe, the judge or the diagnosis is used, so that a fault in them shows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from course_lib.exercises import trial
from course_lib.exercises.engine import Exercise
from course_lib.exercises.probe import plain, quiet

NOTHING = object()


def true_marks(points: float, share: Fraction) -> float:
    """Points × share, to a hundredth, halves upwards."""
    return float(Fraction((Fraction(str(points)) * share * 100 + Fraction(1, 2)).__floor__(), 100))


def defined_by(exercise: Exercise, source: str) -> Any:
    """What a cell of ours defines under the exercise's name."""
    namespace: dict[str, Any] = {}
    exec(exercise.imports, namespace)
    exec(source, namespace)
    return namespace[exercise.name]


def true_share(exercise: Exercise, answer: Any, seed: int) -> Fraction:
    """The share of an exercise's points that an answer of ours earns."""
    with quiet():
        if exercise.kind == "test":
            return _share_of_test(exercise, answer, seed)
        if not exercise.is_function:
            return Fraction(int(agrees(exercise, plain(answer), plain(exercise.solution))))
        return _share_of_function(exercise, answer, seed)


def _share_of_function(exercise: Exercise, answer: Callable, seed: int) -> Fraction:
    cases = exercise.cases_for(seed)
    right = [_called(exercise.solution, case) for case in cases]
    got = [_called(answer, case) for case in cases]
    count = sum(agrees(exercise, a, b) for a, b in zip(got, right, strict=True))
    if exercise.kind == "repair" and count < len(cases):
        fault = [_called(exercise.stub, case) for case in cases]
        same = [_both(exercise, a, b) for a, b in zip(got, fault, strict=True)]
        count = 0 if all(same) else count  # the planted fault, left in place
    return Fraction(count, len(cases))


def _both(exercise: Exercise, a: Any, b: Any) -> bool:
    return a is b if NOTHING in (id_safe(a), id_safe(b)) else agrees(exercise, a, b)


def id_safe(value: Any) -> Any:
    """NOTHING as itself, and anything else as None: arrays cannot be looked for in a tuple."""
    return NOTHING if value is NOTHING else None


def _called(function: Callable, case: Mapping[str, Any]) -> Any:
    """What a call gives; NOTHING if it raises or writes into what it was given."""
    given = copy.deepcopy(dict(case))
    try:
        value = plain(function(**given))
    except Exception:
        return NOTHING
    arrays = [name for name, item in case.items() if isinstance(item, np.ndarray)]
    kept = all(np.array_equal(given[name], case[name], equal_nan=False) for name in arrays)
    return value if kept else NOTHING


def _share_of_test(exercise: Exercise, test: Callable, seed: int) -> Fraction:
    """Wrong implementations that the test rejects; none if it rejects a right one."""
    rejected, wrong = 0, 0
    for item in trial.implementations(exercise, seed):
        refuses = not _accepts(test, item.function)
        if item.is_right and refuses:
            return Fraction(0)
        wrong += not item.is_right
        rejected += refuses
    return Fraction(rejected, wrong)


def let_pass(exercise: Exercise, test: Callable) -> str:
    """The first misconception that a test accepts; "" if there is none, or if it is no fair test.

    A test is fair if it accepts everything that is right.
    """
    with quiet():
        right = [exercise.subject, *(m.answer for m in exercise.also_right)]
        if not all(_accepts(test, function) for function in right):
            return ""
        return next((m.name for m in exercise.misconceptions if _accepts(test, m.answer)), "")


def _accepts(test: Callable, function: Callable) -> bool:
    try:
        test(function)
    except Exception:
        return False
    return True


def agrees(exercise: Exercise, got: Any, expected: Any) -> bool:
    """Whether two plain values are the same answer, by the words of the exercise's tolerances."""
    if got is NOTHING or expected is NOTHING:
        return False
    if exercise.compare is not None:
        return exercise.compare(got, expected).right
    if isinstance(expected, dict):
        is_like = isinstance(got, dict) and got.keys() == expected.keys()
        return is_like and all(agrees(exercise, got[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        is_like = isinstance(got, (list, np.ndarray)) and len(got) == len(expected)
        return is_like and all(agrees(exercise, a, b) for a, b in zip(got, expected, strict=True))
    if isinstance(expected, str) or expected is None:
        same = str(got).strip().lower() == str(expected).strip().lower()
        return type(got) is type(expected) and same
    return _same_numbers(exercise, got, expected)


def _same_numbers(exercise: Exercise, got: Any, expected: Any) -> bool:
    """Numbers or arrays of one shape and family; whole ones may stand for floats."""
    if isinstance(got, np.ndarray) != isinstance(expected, np.ndarray):
        return False
    a, b = np.asarray(got), np.asarray(expected)
    if a.shape != b.shape or (a.dtype.kind == "b") != (b.dtype.kind == "b"):
        return False
    if b.dtype.kind in "biuU" and a.dtype.kind not in "biuU" and isinstance(got, np.ndarray):
        return False
    if b.dtype.kind in "bU":
        return bool((a == b).all())
    if a.dtype.kind == "U":
        return False
    rtol = 0.0 if b.dtype.kind in "iu" else exercise.rtol
    return bool(np.allclose(a, b, rtol=rtol, atol=exercise.atol, equal_nan=True))
