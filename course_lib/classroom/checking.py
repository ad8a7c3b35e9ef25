"""What a student learns before handing in: what is missing, and what the public checks say.

The cells are read by the same rules as in grading (`find_answers`), so what is found here is what
will be graded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_lib.classroom.answers import Answers, defined, find_answers, is_stub, tree_of
from course_lib.classroom.assignment import ANSWER
from course_lib.classroom.bundle import Bundle, BundleError, read_bundle
from course_lib.classroom.rehearsal import Step, rehearse
from course_lib.classroom.submission import Submission, read_notebook
from course_lib.exercises.render import LOOKS, Card, Report, State

Check = Callable[[str, Any], Report | Card]
FILLED = "filled in"
UNTOUCHED = "untouched"
MISSING = "missing"
BROKEN = "no valid Python"
OTHER = "defines something else"
ANSWERED = "answered"
UNANSWERED = "no answer"


@dataclass(frozen=True)
class Row:
    """One exercise or question: what is in its cell, and what its public check said."""

    name: str
    points: float
    cell: str
    step: Step | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is something to be judged."""
        lost = self.step is not None and self.step.state not in (*State, "recorded")
        return self.cell in (FILLED, ANSWERED) and not lost

    def line(self) -> str:
        """The row as text."""
        state = self.step.state if self.step else ""
        icon = LOOKS[State(state)].icon if state in list(State) else "●" if self.is_there else "○"
        return f" {icon} {self.name:<26} {self.points:>6g}  {self.cell:<16} {state}".rstrip()


@dataclass(frozen=True)
class Checked:
    """All that was found out about a notebook."""

    title: str
    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    said: tuple[str, ...] = ()  # by cells that raise, and by checks that are not right

    @property
    def is_complete(self) -> bool:
        """Whether there is an answer everywhere, right or wrong, and nothing is odd."""
        return not self.problems and all(row.is_there for row in self.rows)

    def __str__(self) -> str:
        head = f"   {'what is handed in':<26} {'points':>6}  {'cell':<16} public check"
        lines = [self.title, "", head, *(row.line() for row in self.rows)]
        if self.problems:
            lines += ["", "To be looked at:", *(f" * {problem}" for problem in self.problems)]
        if self.said:
            lines += ["", *self.said]
        missing = [row.name for row in self.rows if not row.is_there]
        lines += ["", f"Missing: {', '.join(missing)}." if missing else "Nothing is missing."]
        return "\n".join(lines)


def read_work(notebook: Path) -> tuple[Bundle, Submission]:
    """A student's notebook and the bundle beside it. Raises BundleError if either is not there."""
    try:
        data = notebook.read_bytes()
    except OSError as error:
        raise BundleError(f"{notebook} cannot be read: {error.strerror or error}") from None
    submission = read_notebook(data, "")
    if not submission.cells:
        raise BundleError(f"{notebook.name}: {'; '.join(submission.problems)}")
    return read_bundle(notebook.absolute().parent), submission


def look(bundle: Bundle, submission: Submission) -> Checked:
    """What is handed in, without running any of it."""
    assignment = bundle.as_assignment()
    answers = find_answers(submission, assignment)
    rows = [_exercise_row(bundle, answers, task.name) for task in bundle.tasks]
    for question in bundle.written:
        text = answers.written.get(question.name, "")
        rows.append(Row(question.name, question.points, ANSWERED if _says(text) else UNANSWERED))
    problems = [*_handshake(bundle, submission), *submission.problems, *answers.problems]
    title = f"{bundle.title} ({bundle.stem}, version {bundle.version})"
    return Checked(title, tuple(rows), tuple(problems))


def check_notebook(notebook: Path, seconds: float = 20.0) -> Checked:
    """What is handed in, and what the public checks say; no step may take longer than `seconds`.

    Raises BundleError if there is no notebook, or no bundle beside it.
    """
    bundle, submission = read_work(notebook)
    found = look(bundle, submission)
    cells = find_answers(submission, bundle.as_assignment()).cells
    filled = [row.name for row in found.rows if row.cell == FILLED]
    folder = notebook.absolute().parent
    steps = rehearse(folder, [source for source, _ in cells], filled, seconds)
    by_name = {step.what: step for step in steps}
    rows = tuple(replace(row, step=by_name.get(row.name)) for row in found.rows)
    fine = (State.RIGHT, "recorded")
    said = tuple(step.said for step in steps if step.state not in fine)
    return replace(found, rows=rows, said=said)


def public_check(assignment: str) -> Check:
    """What a notebook calls `check`: the public checks of the bundle in this folder.

    Says at once where the bundle does not fit the installed package. Outside a bundle, each check
    says that there is none.
    """
    try:
        bundle = read_bundle(Path.cwd())
        if bundle.assignment != assignment:
            raise BundleError(
                f"bundle.json beside this notebook belongs to {bundle.assignment}, not to "
                f"{assignment}: keep each bundle in a folder of its own"
            )
    except BundleError as error:
        excuse = Card(str(error))
        return lambda name, answer: excuse
    for problem in bundle.outdated():
        print(problem)
    return bundle.check


def _exercise_row(bundle: Bundle, answers: Answers, name: str) -> Row:
    task = bundle.task(name)
    sources = [source for source, owner in answers.cells if owner == name]
    if not sources:
        cell = MISSING
    elif all(is_stub(source, task.exercise) for source in sources):
        cell = UNTOUCHED
    elif all(tree_of(source) is None for source in sources):
        cell = BROKEN
    elif not any(name in defined(source) for source in sources):
        cell = OTHER
    else:
        cell = FILLED
    return Row(name, task.points, cell)


def _says(text: str) -> bool:
    """Whether a written answer is more than the line that was handed out."""
    return bool(re.search(r"\w", text.replace(ANSWER, "")))


def _handshake(bundle: Bundle, submission: Submission) -> list[str]:
    """Where notebook, bundle and package do not belong together."""
    problems = bundle.outdated()
    told = (submission.version, submission.variant)
    if not submission.version:
        problems.append("the notebook does not say which bundle it belongs to")
    elif told != (bundle.version, str(bundle.variant)):
        problems.append(
            f"the notebook is of version {told[0]}, variant {told[1] or 0}, but bundle.json beside "
            f"it is of version {bundle.version}, variant {bundle.variant}"
        )
    return problems
