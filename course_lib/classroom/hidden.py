"""The hidden seed that is fit to judge by: no known wrong answer passes on its cases.

Random cases can be unlucky: two points on one line, a tie, a threshold that nothing crosses. So the
first seed is taken, from the secret's own on, on which our solution is right, and each
misconception is wrong and gets its own name.
"""

from __future__ import annotations

from functools import lru_cache

from course_lib.classroom.assignment import Assignment
from course_lib.exercises.diagnose import answers_of, assess
from course_lib.exercises.engine import Exercise, State
from course_lib.exercises.probe import probe, quiet

TRIES = 50


@lru_cache(maxsize=16)
def fit_seed(assignment: Assignment, first: int) -> int:
    """The first seed from `first` on that is fit for every exercise.

    Raises RuntimeError, which says what passes or fails, if none of `TRIES` is.
    """
    why = ""
    for seed in range(first, first + TRIES):
        seed %= 2**31
        unfit = (unfitness(task.exercise, seed) for task in assignment.tasks)
        why = next((sentence for sentence in unfit if sentence), "")
        if not why:
            return seed
    raise RuntimeError(f"no seed of {TRIES} is fit to grade {assignment.name!r} by: {why}")


def unfitness(exercise: Exercise, seed: int) -> str:
    """Why an exercise cannot be judged on a seed, in one sentence; "" if it can."""
    cases = exercise.cases_for(seed)
    with quiet():
        report = assess(exercise, probe(exercise, exercise.solution, cases), seed)
        if report.state != State.RIGHT:
            return f"the solution of {exercise.name!r} is {report.state} on it"
        if not exercise.is_function or exercise.kind == "test":
            return ""  # the same on every seed
        for wrong in exercise.misconceptions:
            report = assess(exercise, answers_of(exercise, wrong.answer, cases), seed)
            if report.state == State.RIGHT:
                return f"{wrong.name!r} passes as an answer to {exercise.name!r} on it"
            if report.misconception != wrong.name:
                return f"{wrong.name!r} is taken for {report.misconception!r} on it"
    return ""
