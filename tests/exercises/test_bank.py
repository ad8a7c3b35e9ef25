"""Every exercise of every notebook, held to what it promises: see course_lib/exercises/audit.py.

A file joins by being there with `EXERCISES` in it; a lesson in several files has it in one of them.
The ids count what is tried.
"""

import importlib
import pkgutil
import re
from collections import Counter
from pathlib import Path

import pytest

import course_lib.exercises as room
from course_lib.exercises import trial
from course_lib.exercises.audit import PROMISES, modules
from course_lib.exercises.engine import Exercise
from course_lib.exercises.quiz import Question

FILES = modules()
EXERCISES = [(module, exercise) for module in FILES for exercise in module.EXERCISES]


def label(module, exercise):
    """start-cut_patch-4_misconceptions-10_mutants"""
    name = module.__name__.rpartition(".")[2]
    count = len(trial.mutants_of(exercise)) if exercise.is_function else 0
    n = len(exercise.misconceptions)
    return f"{name}-{exercise.name}-{n}_misconceptions-{count}_mutants"


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("exercise", [e for _, e in EXERCISES], ids=[label(*p) for p in EXERCISES])
def test_exercise_keeps_its_promise(exercise, promise):
    broken = promise(exercise)
    assert not broken, "\n".join(broken)


def test_no_file_of_exercises_is_overlooked():
    folder = Path(room.__file__).parent
    defining = {
        path.stem
        for path in folder.glob("*.py")
        if re.search(r"^EXERCISES\b", path.read_text(), re.M)
    }
    assert "start" in defining
    assert defining == {module.__name__.rpartition(".")[2] for module in FILES}


def test_each_exercise_of_the_room_is_found_once():
    names = [f"{room.__name__}.{info.name}" for info in pkgutil.iter_modules(room.__path__)]
    values = [value for name in names for value in vars(importlib.import_module(name)).values()]
    defined = {id(value): value.name for value in values if isinstance(value, Exercise)}
    found = Counter(id(exercise) for _, exercise in EXERCISES)
    counts = {f"{name} {key}": found[key] for key, name in defined.items()}
    assert counts == dict.fromkeys(counts, 1)


@pytest.mark.parametrize("module", FILES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_file_defines_what_it_lists(module):
    names = [exercise.name for exercise in module.EXERCISES]
    assert len(set(names)) == len(names), "two exercises share a name"
    defined = [value for value in vars(module).values() if isinstance(value, Exercise)]
    assert {id(e) for e in defined} == {id(e) for e in module.EXERCISES}, "one is not in EXERCISES"
    assert all(isinstance(question, Question) for question in getattr(module, "QUIZ", ()))


@pytest.mark.parametrize("module", FILES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_lesson_has_four_exercises_of_three_kinds(module):
    assert len(module.EXERCISES) >= 4
    assert len({exercise.kind for exercise in module.EXERCISES}) >= 3
