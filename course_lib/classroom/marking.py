"""From outputs to marks: one submission judged, away from everything that a student wrote.

Functions earn by the case, predictions all or nothing, tests by the share of wrong implementations
that they reject, provided they accept every right one. A repair whose outputs are still those of
the fault as it was handed out earns nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import course_lib
from course_lib.classroom.answers import READ_CHARACTERS, Answers
from course_lib.classroom.assignment import ASSIGNMENTS, Assignment, Task
from course_lib.classroom.borrowed import borrowings
from course_lib.classroom.discreet import repeatable, told_details
from course_lib.classroom.results import SCHEMA, Result, marks, total
from course_lib.classroom.submission import Submission
from course_lib.exercises.diagnose import STILL_FAULTY, assess
from course_lib.exercises.engine import Exercise, Report, State
from course_lib.exercises.probe import UNDEFINED, Output, quiet


@dataclass(frozen=True)
class Timing:
    """When a submission came: hours after the deadline, negative if before; None: not known."""

    hours_late: float | None = None

    def keeps(self, assignment: Assignment) -> float:
        """Share of the points that is kept."""
        return 1.0 if self.hours_late is None else assignment.late.keeps(self.hours_late)


@lru_cache(maxsize=8)
def grader_fingerprint(assignment: str = "") -> str:
    """Changes with the package's code, and with the exercises of an assignment if one is named."""
    sources = sorted(Path(course_lib.__file__).parent.rglob("*.py"))
    sources += sorted((ASSIGNMENTS / assignment).glob("*")) if assignment else []
    digest = hashlib.sha256()
    for path in (path for path in sources if path.is_file()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def key_of(submission: Submission, assignment: Assignment, seed: int, timing: Timing) -> str:
    """What a result depends on, as one digest: an equal key means an equal result."""
    told = [
        SCHEMA,
        submission.student,
        submission.digest,
        submission.problems,
        assignment.name,
        assignment.version,
        assignment.variant,
        grader_fingerprint(assignment.name),
        hashlib.sha256(f"hidden {seed}".encode()).hexdigest(),
        timing.hours_late,
        timing.keeps(assignment),
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def judge_submission(
    submission: Submission,
    answers: Answers,
    assignment: Assignment,
    outputs: Mapping[str, Sequence[Output]],
    notes: Sequence[str],
    seed: int,
    timing: Timing,
) -> Result:
    """Outputs by exercise, and what the workers noted → the result, as it is written."""
    exercises = [
        _judged(task, outputs.get(task.exercise.name, ()), answers, seed)
        for task in assignment.tasks
    ]
    return {
        "schema": SCHEMA,
        "key": key_of(submission, assignment, seed, timing),
        "student": submission.student,
        "assignment": assignment.name,
        "version": assignment.version,
        "exercises": exercises,
        "written": [
            {
                "name": question.name,
                "title": question.title,
                "points": question.points,
                "answer": answers.written.get(question.name, ""),
            }
            for question in assignment.written
        ],
        "earned": total(item["marks"] for item in exercises),
        "points": assignment.points,
        "late": {"hours": timing.hours_late, "keeps": timing.keeps(assignment)},
        "problems": [*submission.problems, *_handshake(submission, assignment), *answers.problems],
        "notes": list(notes),
        "borrowed": borrowings(answers, assignment),
        "sources": {name: text[:READ_CHARACTERS] for name, text in answers.sources.items()},
    }


def _handshake(submission: Submission, assignment: Assignment) -> list[str]:
    """Whether the notebook was made for this version of the assignment, and for this student."""
    problems = []
    if submission.version and submission.version != assignment.version:
        problems.append(
            f"the notebook is of version {submission.version} of the assignment, "
            f"and graded by version {assignment.version}"
        )
    if submission.cells and submission.variant not in ("", str(assignment.variant)):
        problems.append("the notebook is the variant of another student")
    return problems


def _judged(task: Task, outputs: Sequence[Output], answers: Answers, seed: int) -> dict[str, Any]:
    """What one exercise earned, and what may be said of it."""
    exercise = task.exercise
    source = answers.sources.get(exercise.name, "")
    fault, why = "", _not_run(exercise, outputs)
    try:
        told = repeatable(outputs, exercise, source)
        cases = len(exercise.cases_for(seed))
        with quiet():
            report = assess(exercise, told, seed)
    except Exception as error:  # of the judge itself: one exercise, never the batch
        fault = f"{type(error).__name__}: {error}"[:300]
        report = Report(exercise.name, exercise.title, State.ERROR, 0.0, "this could not be judged")
        cases = 0
    if why:
        report = Report(exercise.name, exercise.title, State.ERROR, 0.0, "", why)
    share = 0.0 if report.sentence == STILL_FAULTY else report.score
    if source == "" and (why or not outputs):
        report = Report(exercise.name, exercise.title, State.NOT_ATTEMPTED, 0.0, "")
    return {
        "name": exercise.name,
        "title": exercise.title,
        "kind": exercise.kind,
        "lesson": task.lesson,
        "points": task.points,
        "marks": marks(task.points, share),
        "state": str(report.state),
        "share": round(share, 6),
        "cases": cases,
        "ran": 0 if why else sum("value" in one or "error" in one for one in outputs[:cases]),
        "summary": report.summary,
        "sentence": report.sentence,
        "misconception": report.misconception,
        "details": told_details(report),
        "said": [output["error"][:200] for output in outputs if "error" in output][:1],
        "judge_fault": fault,
    }


def _not_run(exercise: Exercise, outputs: Sequence[Output]) -> str:
    """Why an answer was never tried, in a sentence; "" if it was."""
    if outputs and all(output.get("error", "").startswith(UNDEFINED) for output in outputs):
        return f"No cell that ran defines `{exercise.name}`."
    if exercise.kind == "test" and outputs and not any(outputs):
        return "Your test came to no end: it was not tried to the last implementation."
    return ""
