"""Grading a class: read, run in the sandbox, judge here, write; any moment is a good one to stop.

Each submission is a matter of its own. Its result depends on its bytes, the assignment, the grader
and the seed, and on no other submission; so a run that was stopped goes on where it was, and one
student can be graded again alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from course_lib.classroom.answers import Answers, find_answers
from course_lib.classroom.assignment import Assignment, load
from course_lib.classroom.hidden import fit_seed
from course_lib.classroom.inbox import Received
from course_lib.classroom.job import Job
from course_lib.classroom.marking import Timing, judge_submission, key_of
from course_lib.classroom.probes import Probe, probe_of
from course_lib.classroom.results import Result, foreign_result, reusable, save
from course_lib.classroom.secret import hidden_seed, order_of, variant_of
from course_lib.classroom.submission import Submission, nothing
from course_lib.exercises.probe import Output


class Ran(Protocol):
    """What running one submission gave: plain data, checked by the pool."""

    outputs: Mapping[str, Sequence[Output]]  # by exercise
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """One submission to be run: its cells, and the assignment whose hidden cases it is put to."""

    answers: Answers
    assignment: Assignment
    seed: int
    order: str

    def job(self) -> Job:
        """The same as the workers take it: sources and hidden inputs, no solution."""
        return Job(self.answers.cells, _probes(self.assignment, self.seed), order=self.order)


@lru_cache(maxsize=4)
def _probes(assignment: Assignment, seed: int) -> tuple[Probe, ...]:
    return tuple(probe_of(task.exercise, seed) for task in assignment.tasks)


# Runs submissions, as many at once as it likes → their numbers, and what each gave, in any order.
Runner = Callable[[Iterable[Asked]], Iterator[tuple[int, Ran]]]


@dataclass(frozen=True)
class Rules:
    """What a grading is held to; the seed and the variants follow from the lecturer's secret."""

    assignment: str
    secret: bytes
    variants: bool = False
    deadline: datetime | None = None
    times: Mapping[str, datetime] | None = None

    @property
    def seed(self) -> int:
        """The seed of the hidden cases. Raises RuntimeError if none is fit to judge by."""
        return fit_seed(load(self.assignment), hidden_seed(self.secret, self.assignment))

    def for_student(self, student: str) -> Assignment:
        """The assignment with a student's own constants, where there are variants."""
        variant = variant_of(self.secret, self.assignment, student) if self.variants else 0
        return load(self.assignment, variant)

    def version(self, student: str) -> str:
        """The version of the assignment that a student has."""
        return self.for_student(student).version

    def timing(self, student: str) -> Timing:
        """How late a student was, to a hundredth of an hour."""
        time = (self.times or {}).get(student)
        if self.deadline is None or time is None:
            return Timing()
        return Timing(round((time - self.deadline).total_seconds() / 3600, 2))


@dataclass(frozen=True)
class Work:
    """One submission on its way."""

    submission: Submission
    assignment: Assignment
    answers: Answers
    timing: Timing

    def judged(self, ran: Ran, seed: int) -> Result:
        """The result, from what running gave."""
        return judge_submission(
            self.submission,
            self.answers,
            self.assignment,
            ran.outputs,
            ran.notes,
            seed,
            self.timing,
        )


def grade(
    received: Sequence[Received], rules: Rules, run: Runner, to: Path, again: bool = False
) -> tuple[int, int]:
    """Grade what was received, results into the folder `to` → (graded, taken over from before).

    `again` grades those too whose result is there. Before anything is written: RuntimeError if no
    hidden seed is fit to judge by, ValueError if results of another assignment lie in the folder.
    """
    seed = rules.seed
    if other := foreign_result(to, rules.assignment, rules.version):
        raise ValueError(
            f"the result of {other['student']} in {to.name} is of {other['assignment']} "
            f"{other['version']}, not of {rules.assignment} {rules.version(other['student'])}: "
            "use another folder"
        )
    works: dict[int, Work] = {}
    sent = reused = done = 0

    def asked() -> Iterator[Asked]:
        nonlocal sent, reused
        for one in received:
            work = _prepared(one, rules)
            key = key_of(work.submission, work.assignment, seed, work.timing)
            if not again and reusable(to, one.student, key):
                reused += 1
                bar.update()
                continue
            works[sent] = work
            sent += 1
            order = order_of(rules.secret, rules.assignment, one.student)
            yield Asked(work.answers, work.assignment, seed, order)

    shown = sys.stderr.isatty()
    with tqdm(total=len(received), unit="submission", disable=not shown) as bar:
        for number, ran in run(asked()):
            save(to, works.pop(number).judged(ran, seed))
            done += 1
            bar.update()
    return done, reused


def _prepared(received: Received, rules: Rules) -> Work:
    """Read one student's files; whatever they do, there is a submission afterwards."""
    assignment = rules.for_student(received.student)
    try:
        submission = received.submission(rules.assignment)
    except Exception as error:  # unforeseen, and still only this student's affair
        submission = nothing(received.student, f"it could not be read ({type(error).__name__})")
    answers = find_answers(submission, assignment)
    return Work(submission, assignment, answers, rules.timing(received.student))
