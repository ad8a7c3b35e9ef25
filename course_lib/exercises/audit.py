"""What every exercise promises, held to it: each function returns the broken promises as sentences.

`audit(exercise)` is what one runs while writing an exercise; the tests run the same on all of them.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

import course_lib.exercises as room
from course_lib.exercises import trial
from course_lib.exercises.cells import define
from course_lib.exercises.diagnose import STILL_FAULTY, assess, expected_values
from course_lib.exercises.engine import Exercise, Report, State, probe
from course_lib.exercises.judge import agree, close
from course_lib.exercises.probe import Output, plain, quiet, run_test

SEEDS = (0, 1, 2)
SLOW = 0.25  # seconds that a check of the solution may take: a student waits for it


@dataclass(frozen=True)
class WrongAnswer:
    """An answer that must not pass; `sentence` is what the check must say, if one is due."""

    name: str
    answer: Any
    sentence: str = ""


def modules() -> list[ModuleType]:
    """Every file of this folder that defines `EXERCISES`, by name."""
    names = sorted(info.name for info in pkgutil.iter_modules(room.__path__))
    found = [importlib.import_module(f"{room.__name__}.{name}") for name in names]
    return [module for module in found if hasattr(module, "EXERCISES")]


def audit(exercise: Exercise) -> list[str]:
    """All broken promises of an exercise; empty for a good one."""
    return [sentence for promise in PROMISES for sentence in promise(exercise)]


def bank(exercise: Exercise) -> Iterator[WrongAnswer]:
    """Every answer that must not pass: misconceptions, mutants, the stub, other choices.

    For kind "test" these are tests: one that accepts everything, one that rejects everything.
    """
    if exercise.kind == "test":
        yield WrongAnswer("a test that accepts everything", lambda implementation: None)
        yield WrongAnswer("a test that rejects everything", _rejects_everything)
        yield WrongAnswer("a test that returns its verdict", lambda implementation: False)
        return
    for m in exercise.misconceptions:
        yield WrongAnswer(f"misconception {m.name!r}", m.answer, m.sentence)
    if exercise.stub is not None:
        # Called from another function: the stub itself would count as untouched.
        stub, sentence = exercise.stub, STILL_FAULTY if exercise.kind == "repair" else ""
        yield WrongAnswer("the stub as it is handed out", lambda **case: stub(**case), sentence)
    for choice in exercise.choices:
        if choice != exercise.solution:
            yield WrongAnswer(f"the choice {choice!r}", choice)
    if exercise.is_function:
        for mutant in trial.mutants_of(exercise):
            if mutant.id not in exercise.equivalent:
                change = f"`{mutant.before}` → `{mutant.after}`"
                yield WrongAnswer(f"mutant {mutant.id!r} ({change})", mutant.function)


def _rejects_everything(implementation: Any) -> None:
    raise AssertionError


def is_complete(exercise: Exercise) -> list[str]:
    """Prompt, two hints, three misconceptions with whole sentences, inputs that follow the seed."""
    broken = []
    if not exercise.prompt.strip():
        broken.append("the prompt is empty")
    if len(exercise.hints) < 2:
        broken.append(f"at least 2 hints are expected, but there are {len(exercise.hints)}")
    if len(exercise.misconceptions) < 3:
        n = len(exercise.misconceptions)
        broken.append(f"at least 3 misconceptions are expected, but there are {n}")
    if not all(hint.strip() for hint in exercise.hints):
        broken.append("a hint is empty")
    if exercise.minutes < 1:
        broken.append(f"at least 1 minute is expected, but {exercise.minutes} are said")
    for m in (*exercise.misconceptions, *exercise.also_right):
        if not m.sentence.strip().endswith((".", "?", "!")):
            broken.append(f"the sentence of {m.name!r} does not end like a sentence")
    if exercise.cases is not None:
        broken += _dull_cases(exercise)
    return broken


def _dull_cases(exercise: Exercise) -> list[str]:
    broken = []
    first, again, other = (exercise.cases(seed) for seed in (0, 0, 1))
    if len(first) < 2:
        broken.append(f"at least 2 cases are expected, but there are {len(first)}")
    for i, case in enumerate(first):
        if any(agree(case, other, close).right for other in first[:i]):
            broken.append(f"case {i} is one of those before it")
    for case in first:
        for name, value in case.items():
            if isinstance(value, np.ndarray) and value.size > 4 and (value == value.flat[0]).all():
                broken.append(f"the argument {name!r} is constant, which hides many faults")
    expected = [expected_values(exercise, cases) for cases in (first, again, other)]
    if not agree(expected[0], expected[1], close).right:
        broken.append("the same seed gives other cases")
    if agree(expected[0], expected[2], close).right:
        broken.append("another seed gives the same expected values")
    return broken


def _try(exercise: Exercise, answer: Any, seed: int) -> Report:
    """Check an answer as the classroom would: nothing is counted, no warning is shown."""
    with quiet():
        return assess(exercise, probe(exercise, answer, exercise.cases_for(seed)), seed)


def solution_is_right(exercise: Exercise) -> list[str]:
    """The solution passes on every seed, and a predicted value is what `measure` measures."""
    broken = []
    taken = []
    for seed in SEEDS:
        began = time.process_time()
        report = _try(exercise, exercise.solution, seed)
        taken.append(time.process_time() - began)
        if report.state != State.RIGHT:
            broken.append(f"the solution is not right on seed {seed}: {report!r}")
    if min(taken) > SLOW:
        broken.append(f"checking the solution takes {min(taken):.2f} s, but at most {SLOW} may be")
    if exercise.measure is not None:
        measured, told = plain(exercise.measure()), plain(exercise.solution)
        verdict = agree(measured, told, exercise.comparison)
        if not verdict.right:
            broken.append(f"the solution is not what `measure` gives: {verdict}")
    return broken


def untouched_is_not_attempted(exercise: Exercise) -> list[str]:
    """The stub's cell runs, and its check says that nothing was attempted."""
    stub = define(exercise.stub_cell(), exercise.name, exercise.imports)
    report = _try(exercise, stub, 0)
    return [] if report.state == State.NOT_ATTEMPTED else [f"the untouched stub gives: {report!r}"]


def cell_is_self_contained(exercise: Exercise) -> list[str]:
    """The solution's cell, pasted into an empty notebook after the imports, is right."""
    try:
        pasted = define(exercise.solution_cell(), exercise.name, exercise.imports)
    except Exception as error:
        return [f"the solution's cell fails by itself: {type(error).__name__}: {error}"]
    report = _try(exercise, pasted, 0)
    return [] if report.state == State.RIGHT else [f"the solution's cell by itself: {report!r}"]


def wrong_answers_are_caught(exercise: Exercise) -> list[str]:
    """Nothing in the bank passes, and each misconception is named by its own sentence."""
    broken = []
    for wrong in bank(exercise):
        for seed in SEEDS:
            report = _try(exercise, wrong.answer, seed)
            if report.state == State.RIGHT:
                broken.append(f"{wrong.name} passes on seed {seed}")
            elif wrong.sentence and report.sentence != wrong.sentence:
                broken.append(
                    f"{wrong.name} is not named by its sentence on seed {seed}: {report!r}"
                )
            else:
                continue
            break
    return broken + (_unnamed_survivors(exercise) if exercise.kind == "test" else [])


def _unnamed_survivors(exercise: Exercise) -> list[str]:
    """Kind "test": a test that misses one wrong implementation must hear its sentence."""
    broken = []
    tried = trial.implementations(exercise, 0)
    for missed in exercise.misconceptions:
        outputs: list[Output] = [
            {"value": item.is_right or item.misconception == missed.name} for item in tried
        ]
        report = assess(exercise, outputs, 0)
        if report.sentence != missed.sentence:
            broken.append(f"a test that misses {missed.name!r} is told: {report!r}")
    outputs = run_test(exercise.solution, exercise.cases_for(0))
    for item, output in zip(tried, outputs, strict=True):
        if not item.is_right and output.get("value") is True:
            broken.append(f"the solution is told: {item.sentence}")
    return broken


def equivalents_are_true(exercise: Exercise) -> list[str]:
    """Every mutant listed as equivalent exists, has a reason, and really passes."""
    broken = []
    found = trial.mutants_of(exercise) if exercise.is_function else []
    known = {mutant.id: mutant for mutant in found}
    for label, reason in exercise.equivalent.items():
        if label not in known:
            broken.append(f"there is no mutant {label!r}: remove it from `equivalent`")
            continue
        if not reason.strip():
            broken.append(f"the equivalent mutant {label!r} has no reason")
        mutant = known[label].function
        if exercise.kind == "test":
            (argument, *_) = inspect.signature(exercise.solution).parameters
            passes = run_test(exercise.solution, [{argument: mutant}]) == [{"value": True}]
        else:
            passes = all(_try(exercise, mutant, seed).state == State.RIGHT for seed in SEEDS)
        if not passes:
            broken.append(f"the mutant {label!r} is caught: remove it from `equivalent`")
    return broken


PROMISES = (
    is_complete,
    solution_is_right,
    untouched_is_not_attempted,
    cell_is_self_contained,
    wrong_answers_are_caught,
    equivalents_are_true,
)
