"""The public side of an exercise: what a bundle holds of it, and the check that runs on that.

An exercise of the course is checked by the package, which diagnoses the mistake. A new one is
checked on public cases and their expected values, which the bundle holds as plain data; what would
give the answer away (a predicted value, the wrong implementations of a test) stays at home, and the
check then says "recorded": looked at for its form, judged after it was handed in.
"""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from course_lib.classroom.assignment import Task, course_exercises, exercise_fingerprint
from course_lib.exercises import cells
from course_lib.exercises.diagnose import ASSERTS_NOTHING, assess, expected_values
from course_lib.exercises.engine import Exercise
from course_lib.exercises.judge import close, judge
from course_lib.exercises.probe import Output, plain, probe
from course_lib.exercises.render import Card, Report, State

RECORDED = "recorded"
OUTDATED = "the installed course_lib has another version of this exercise than the bundle"


Form = str | list | dict  # "a number", or such words in the places of a list or dictionary


def form_of(value: Any) -> Form:
    """What kind of thing stands at each place of a prediction: not what it is."""
    if isinstance(value, dict):
        return {name: form_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [form_of(item) for item in value]
    kinds = {bool: "True or False", int: "a number", float: "a number", str: "a text"}
    return kinds.get(type(value), "")


@dataclass(frozen=True)
class PublicTask:
    """What a bundle says of one exercise. All but `lesson` is empty where the package knows it."""

    name: str
    title: str
    kind: str
    points: float
    lesson: str
    fingerprint: str
    stub: str
    imports: str
    cases: list[dict[str, Any]] = field(default_factory=list)
    expected: list[Any] = field(default_factory=list)
    subject: str = ""  # source of the right implementation that a test must accept
    choices: tuple[str, ...] = ()
    form: Form = ""  # of a prediction
    rtol: float = 0.0
    atol: float = 0.0

    @cached_property
    def exercise(self) -> Exercise:
        """The exercise: the package's own, or one whose solution is the stub."""
        if self.lesson:
            known = course_exercises(self.lesson)
            if self.name not in known:
                raise ValueError(f"{self.name!r} is not in the installed course_lib: {OUTDATED}")
            return known[self.name]
        stub = self._defined(self.stub, self.name)
        is_function = callable(stub)
        runs_cases = is_function and self.kind != "test"
        return Exercise(
            name=self.name,
            title=self.title,
            kind=self.kind,
            difficulty=1,
            importance=1,
            minutes=1,
            prompt="",
            solution=stub,
            misconceptions=(),
            hints=(),
            stub=stub if is_function else None,
            cases=(lambda seed: self.cases) if runs_cases else None,
            subject=self._defined(self.subject, self._subject_name) if self.subject else None,
            rtol=self.rtol,
            atol=self.atol,
            imports=self.imports,
        )

    @property
    def _subject_name(self) -> str:
        """The argument of a test, which is what its subject is called."""
        return ast.parse(self.stub).body[0].args.args[0].arg

    def _defined(self, source: str, name: str) -> Any:
        """Run a source, and let `inspect` find its lines."""
        linecache.cache[f"<{name}>"] = (len(source), None, source.splitlines(True), f"<{name}>")
        return cells.define(source, name, self.imports)

    def outdated(self) -> str:
        """Why the installed package does not fit this bundle, or ""."""
        if not self.lesson:
            return ""
        known = course_exercises(self.lesson).get(self.name)
        fits = known is not None and exercise_fingerprint(known) == self.fingerprint
        return "" if fits else OUTDATED

    def check(self, answer: Any, seed: int) -> Report | Card:
        """The student's answer on the public cases of this seed → what the package says of it."""
        exercise = self.exercise
        if self.lesson:
            return assess(exercise, probe(exercise, answer, exercise.cases_for(seed)), seed)
        given = [{self._subject_name: exercise.subject}] if self.kind == "test" else self.cases
        outputs = probe(exercise, answer, given)
        report = partial(Report, self.name, self.title)
        if all(output.get("untouched") for output in outputs):
            return report(State.NOT_ATTEMPTED, 0.0, "fill in the cell above, then check again")
        if self.kind == "test":
            return self._of_test(outputs[0])
        if not exercise.is_function:
            return self._of_value(outputs[0])
        verdicts = judge(outputs, self.expected, exercise.comparison)
        right = sum(verdict.right for verdict in verdicts)
        summary = f"{right} of {len(verdicts)} public cases right"
        if right == len(verdicts):
            return report(State.RIGHT, 1.0, summary)
        first = next(n for n, verdict in enumerate(verdicts) if not verdict.right)
        state = State.WRONG if "value" in outputs[first] else State.ERROR
        details = (f"case {first + 1}: {verdicts[first]}",)
        return report(state, right / len(verdicts), summary, details=details)

    def _of_test(self, output: Output) -> Report | Card:
        report = partial(Report, self.name, self.title)
        if "value" not in output:
            problem = output.get("error", "")
            summary = "fails on the right implementation"
            return report(State.ERROR, 0.0, summary, details=(problem,))
        if output["value"] is False:
            where = output.get("where", "Your test")
            return report(State.WRONG, 0.0, "", f"{where} fails on the right implementation.")
        if output.get("asserts_nothing") or output.get("returned"):
            return report(State.WRONG, 0.0, "", ASSERTS_NOTHING)
        return self._recorded(
            "it accepts the right implementation; does it reject every wrong one?"
        )

    def _of_value(self, output: Output) -> Report | Card:
        problem = output.get("error") or self._form(output.get("value"))
        if problem:
            return Report(self.name, self.title, State.ERROR, 0.0, problem)
        return self._recorded("it has the right form")

    def _form(self, value: Any) -> str:
        """What is wrong with the form of a value, or ""."""
        empty = plain(self.exercise.solution)
        if self.choices:
            chosen = any(close(value, choice).right for choice in self.choices)
            allowed = ", ".join(map(repr, self.choices))
            return "" if chosen else f"the answer must be one of {allowed}"
        if isinstance(empty, dict) and (not isinstance(value, dict) or set(value) != set(empty)):
            return f"a dictionary with {list(empty)} is expected"
        if isinstance(empty, list) and (not isinstance(value, list) or len(value) != len(empty)):
            return f"a tuple of {len(empty)} is expected"
        items = value.values() if isinstance(value, dict) else value
        if isinstance(empty, (dict, list)) and any(item is None for item in items):
            return "not every place is filled in"
        return _misfit(value, self.form)

    def _recorded(self, said: str) -> Card:
        return Card(f"● {RECORDED}: {self.title}\n\n{said} (judged after you have handed in)")


def _misfit(value: Any, form: Form) -> str:
    """Where a value has another form, in words; "" if nowhere."""
    if isinstance(form, dict):
        return next((f"{n!r}: {said}" for n in form if (said := _misfit(value[n], form[n]))), "")
    if isinstance(form, list):
        return next((said for a, b in zip(value, form, strict=True) if (said := _misfit(a, b))), "")
    got = form_of(value) or f"a {type(value).__name__}"
    return "" if form in ("", got) else f"{form} is expected, {got} was given"


def public_task(task: Task, seed: int) -> PublicTask:
    """What a bundle may say of a task; a new one gets its public cases of this seed."""
    exercise = task.exercise
    said = PublicTask(
        exercise.name,
        exercise.title,
        exercise.kind,
        task.points,
        task.lesson,
        exercise_fingerprint(exercise),
        exercise.stub_cell(),
        exercise.imports,
    )
    if task.lesson:
        return said
    if exercise.compare is not None:
        raise ValueError(f"{exercise.name!r} compares in its own way, which no bundle can hold")
    runs_cases = exercise.is_function and exercise.kind != "test"
    public = exercise.cases_for(seed) if runs_cases else []
    subject = exercise.subject
    return PublicTask(
        **vars(said)
        | {
            "cases": public,
            "expected": expected_values(exercise, public) if public else [],
            "subject": cells.source_as(subject, subject.__name__) if subject else "",
            "choices": exercise.choices,
            "form": "" if exercise.is_function else form_of(plain(exercise.solution)),
            "rtol": exercise.rtol,
            "atol": exercise.atol,
        }
    )
