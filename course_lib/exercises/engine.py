"""An exercise: one definition, from which its box, stub, check, hints, solution and tests are made.

Cases, probe and judge are apart. Only a seed and plain data pass between the three lines below, so
the middle one can run in a sandbox on a secret seed:

    cases = exercise.cases_for(seed)            the inputs
    outputs = probe(exercise, answer, cases)    runs the student's answer, returns plain data
    report = assess(exercise, outputs, seed)    compares, diagnoses; never meets a student's object

In a notebook, `check(exercise, answer)` does all three on the public seed and counts the attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any, Literal, get_args

from course_lib.exercises import cells, render, trial
from course_lib.exercises.diagnose import assess, expected_values
from course_lib.exercises.judge import RIGHT, Compare, Verdict, close, describe, show
from course_lib.exercises.ledger import LEDGER
from course_lib.exercises.probe import Case, NotPlainError, plain, probe
from course_lib.exercises.render import Card, Report, State

__all__ = [
    "RIGHT",
    "Exercise",
    "Misconception",
    "Report",
    "State",
    "Verdict",
    "assess",
    "calibration",
    "check",
    "close",
    "probe",
    "summary",
]

PUBLIC_SEED = 0
Kind = Literal["implement", "predict", "ablate", "repair", "test"]


@dataclass(frozen=True)
class Misconception:
    """A mistake that people make, and the one `sentence` that a teacher would say about it.

    `answer` is a wrong function or a wrong value; for kind "test" it is a wrong implementation.
    """

    name: str
    answer: Any
    sentence: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Exercise:
    """One exercise. `solution` is a function named `name`, or the value to be found.

    kind "implement"  solution: function; stub: made from it, unless given
    kind "repair"     solution: function; stub: the function with the planted fault
    kind "test"       solution: a test `f(implementation)` that asserts; subject: the right one;
                      also_right: further right ones, which it must accept too
    kind "predict"    solution: number, text (see `choices`), or a dictionary or tuple of them
    kind "ablate"     solution: a function (stub: the full method), or the values to be measured
    """

    name: str  # the name that the student's cell defines
    title: str
    kind: Kind
    difficulty: int  # 1 to 5
    importance: int  # 1 to 5
    minutes: int
    prompt: str  # Markdown
    solution: Any
    misconceptions: tuple[Misconception, ...]
    hints: tuple[str, ...]  # Markdown, from a nudge to nearly the answer
    cases: Callable[[int], list[Case]] | None = None  # seed → keyword arguments of each call
    stub: Callable | None = None
    subject: Callable | None = None
    also_right: tuple[Misconception, ...] = ()  # `sentence`: in what it differs and why it may
    choices: tuple[str, ...] = ()
    measure: Callable[[], Any] | None = (
        None  # computes a predicted value; the tests hold it to `solution`
    )
    compare: Compare | None = None  # (got, expected) → Verdict; default `close` with the tolerances
    rtol: float = 1e-5
    atol: float = 1e-8
    imports: str = "import numpy as np"  # what the notebook has imported before the stub's cell
    equivalent: Mapping[str, str] = field(
        default_factory=dict
    )  # id of a mutant → why it is no fault

    def __post_init__(self) -> None:
        def demand(condition: bool, sentence: str) -> None:
            if not condition:
                raise ValueError(f"exercise {self.name!r}: {sentence}")

        demand(self.name.isidentifier(), "the name must be a Python identifier")
        demand(
            self.kind in get_args(Kind),
            f"the kind must be one of {get_args(Kind)}, not {self.kind!r}",
        )
        for what in ("difficulty", "importance"):
            value = getattr(self, what)
            demand(value in range(1, 6), f"{what} must be 1 to 5, not {value}")
        if self.kind in ("implement", "repair", "test"):
            demand(self.is_function, f"the solution of kind {self.kind!r} must be a function")
        if self.kind == "predict":
            demand(not self.is_function, "the solution of kind 'predict' must be a value")
        if self.is_function:
            called = self.solution.__name__
            demand(called == self.name, f"the solution must be called like it, not {called!r}")
        needs_cases = self.is_function and self.kind != "test"
        demand(
            needs_cases == (self.cases is not None), "cases belong to functions, and only to them"
        )
        demand(self.kind != "repair" or self.stub is not None, "a repair needs its faulty stub")
        demand(
            (self.kind == "test") == (self.subject is not None), "a subject belongs to kind 'test'"
        )
        demand(self.kind == "test" or not self.also_right, "`also_right` belongs to kind 'test'")
        demand(not self.choices or self.solution in self.choices, "the solution must be a choice")
        names = [named.name for named in (*self.misconceptions, *self.also_right)]
        demand(len(set(names)) == len(names), f"two misconceptions share a name: {names}")

    @property
    def is_function(self) -> bool:
        """Whether the answer is a function (else it is a value)."""
        return callable(self.solution)

    @property
    def comparison(self) -> Compare:
        """How a value is held to the expected one."""
        return self.compare or partial(close, rtol=self.rtol, atol=self.atol)

    def cases_for(self, seed: int = PUBLIC_SEED) -> list[Case]:
        """The inputs that `probe` runs an answer on, the same for the same seed."""
        if self.kind == "test":
            return trial.cases(self, seed)
        return self.cases(seed) if self.is_function else [{}]

    def stub_cell(self) -> str:
        """Source of the cell that the student fills in; the cell has the tag `exercise:NAME`."""
        if not self.is_function:
            choices = f"  # one of {', '.join(map(cells.literal, self.choices))}"
            empty = cells.literal(cells.blank(self.solution))
            return f"{self.name} = {empty}{choices if self.choices else ''}\n"
        if self.stub is not None:
            return cells.source_as(self.stub, self.name)
        return cells.stub_of(self.solution, self.name)

    def solution_cell(self) -> str:
        """Source that takes the stub's place in the solution notebook."""
        if not self.is_function:
            return f"{self.name} = {cells.literal(self.solution)}\n"
        return cells.source_as(self.solution, self.name)

    def stub_function(self) -> Callable:
        """The stub as it is handed out, run."""
        return cells.define(self.stub_cell(), self.name, self.imports)

    def box(self) -> Card:
        """Title, kind, difficulty, importance, minutes and the prompt."""
        return Card(
            f"**✎ Exercise: {self.title}** ({self.kind})\n\n"
            f"Difficulty {render.dots(self.difficulty)} · "
            f"Importance {render.dots(self.importance)} · {self.minutes} min\n\n"
            f"{self.prompt.strip()}"
        )

    def hint(self, tier: int = 1) -> Card:
        """Hint number `tier`, from 1; for any other number, how many there are."""
        if tier not in range(1, len(self.hints) + 1):
            n = len(self.hints)
            return Card(f"There are {n} hints, `hint(1)` to `hint({n})`, and no hint {tier}.")
        return Card(f"**Hint {tier} of {len(self.hints)}:** {self.hints[tier - 1]}")

    def expected(self) -> Card:
        """What the solution returns on the first public case, to hold one's own output against."""
        if self.kind == "test" or not self.is_function:
            return Card(
                "This exercise has no output to compare with: `check` says whether it is right."
            )
        case = self.cases_for()[0]
        shown = {name: _short(value) for name, value in case.items()}
        shown["→"] = show(expected_values(self, [case])[0])
        lines = [f"{name:<8} {_hanging(text)}" for name, text in shown.items()]
        return Card(f"Expected output of `{self.name}`:\n\n" + render.code("\n".join(lines), ""))

    def show_solution(self) -> Card:
        """The solution, after a pass or three attempts; before, how many attempts remain."""
        left = LEDGER.attempts_left(self)
        if left:
            count = f"{left} more attempt{'s' if left > 1 else ''}"
            return Card(f"The solution opens after a right answer or {count}.")
        return Card(render.code(self.solution_cell()))


def check(exercise: Exercise, answer: Any, confidence: float | None = None) -> Report:
    """Check an answer on the public cases, and count the attempt in this kernel.

    `confidence` in percent (0 to 100) enters a first prediction for `calibration`.
    """
    if confidence is not None and 0 < confidence <= 1:
        raise ValueError("confidence is in percent: 70, not 0.7")
    if confidence is not None and not 0 <= confidence <= 100:
        raise ValueError(f"confidence is a percentage from 0 to 100, but {confidence} was given")
    outputs = probe(exercise, answer, exercise.cases_for(PUBLIC_SEED))
    report = assess(exercise, outputs, PUBLIC_SEED)
    LEDGER.record(report, confidence)
    return report


def summary(exercises: ModuleType | Sequence[Exercise]) -> Card:
    """Where each exercise stands in this kernel; takes a module with `EXERCISES`, or a list."""
    chosen = exercises.EXERCISES if isinstance(exercises, ModuleType) else exercises
    rows = []
    for exercise in chosen:
        state = LEDGER.state(exercise)
        rows.append(f"| {exercise.title} | {exercise.kind} | {render.LOOKS[state].icon} {state} |")
    right = sum(LEDGER.state(exercise) == State.RIGHT for exercise in chosen)
    head = ["| exercise | kind | state |", "|---|---|---|"]
    return Card("\n".join([*head, *rows, "", f"{right} of {len(rows)} right."]))


def calibration() -> Card:
    """How sure the first predictions of this kernel were, beside how often they were right."""
    return Card(LEDGER.calibration())


def _short(value: Any) -> str:
    """An argument in a few words."""
    try:
        value = plain(value)
    except NotPlainError:  # a function, a random generator
        return f"a {type(value).__name__}"
    is_big = hasattr(value, "size") and value.size > 30
    return f"{describe(value)} ({value.dtype.name})" if is_big else show(value)


def _hanging(text: str) -> str:
    """Further lines begin under the first one."""
    return text.replace("\n", "\n" + " " * 9)
