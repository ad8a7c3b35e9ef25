"""From plain outputs to a report: which of the four states, and which mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from course_lib.exercises import trial
from course_lib.exercises.judge import MISSING, Verdict, agree, judge
from course_lib.exercises.probe import Case, Output, plain, quiet, run
from course_lib.exercises.render import Report, State

if TYPE_CHECKING:
    from course_lib.exercises.engine import Exercise

STILL_FAULTY = (
    "The planted fault is still there: the outputs are those of the code as it was handed out."
)


def assess(exercise: Exercise, outputs: Sequence[Output], seed: int = 0) -> Report:
    """Outputs of `probe` on `exercise.cases_for(seed)` → Report.

    Raises RuntimeError only if the exercise's own solution fails.
    """
    report = partial(Report, exercise.name, exercise.title)
    if outputs and all(output.get("untouched") for output in outputs):
        return report(State.NOT_ATTEMPTED, 0.0, "fill in the cell above, then check again")
    if exercise.kind == "test":
        return _assess_test(exercise, outputs, seed)
    cases = exercise.cases_for(seed)
    verdicts = judge(outputs, expected_values(exercise, cases), exercise.comparison)
    right = sum(verdict.right for verdict in verdicts)
    score = right / len(verdicts)
    summary = f"{right} of {len(verdicts)} cases right" if exercise.is_function else ""
    if right == len(verdicts):
        return report(State.RIGHT, score, summary)
    if _is_no_choice(exercise, outputs):
        choices = ", ".join(map(repr, exercise.choices))
        return report(State.ERROR, score, f"the answer must be one of {choices}")
    known = _known_mistake(exercise, outputs, cases)
    if known is not None:
        return report(State.WRONG, score, summary, known.sentence, known.name)
    failed = len(outputs) < len(cases) or any("value" not in output for output in outputs)
    state = State.ERROR if failed else State.WRONG
    return report(state, score, summary, details=_first_difference(exercise, verdicts))


@dataclass(frozen=True)
class Known:
    """A mistake that the outputs fit."""

    sentence: str
    name: str = ""


def _known_mistake(
    exercise: Exercise, outputs: Sequence[Output], cases: Sequence[Case]
) -> Known | None:
    """The planted fault, or the first misconception that gives the same outputs."""
    known = [(m.answer, Known(m.sentence, m.name)) for m in exercise.misconceptions]
    if exercise.kind == "repair":
        known.insert(0, (exercise.stub, Known(STILL_FAULTY)))
    for answer, mistake in known:
        if _fits(exercise, outputs, answers_of(exercise, answer, cases)):
            return mistake
    return None


def expected_values(exercise: Exercise, cases: Sequence[Case]) -> list[Any]:
    """What the solution gives on each case. Raises RuntimeError if the solution itself fails."""
    outputs = answers_of(exercise, exercise.solution, cases)
    for number, output in enumerate(outputs, 1):
        if "value" not in output or output.get("changed"):
            raise RuntimeError(
                f"the solution of {exercise.name!r} fails on case {number}: {output}"
            )
    return [output["value"] for output in outputs]


def answers_of(exercise: Exercise, answer: Any, cases: Sequence[Case]) -> list[Output]:
    """One of our own answers, right or wrong → Outputs, without warnings on the screen."""
    if not exercise.is_function:
        return [{"value": plain(answer)}]
    with quiet():
        return run(answer, cases)


def _fits(exercise: Exercise, outputs: Sequence[Output], known: Sequence[Output]) -> bool:
    """Whether the outputs are those of a known wrong answer, failing where it fails."""
    if len(outputs) != len(known) or not any("value" in output for output in known):
        return False
    return all(
        ("value" in got) == ("value" in wrong)
        and got.get("changed") == wrong.get("changed")
        and ("value" not in got or agree(got["value"], wrong["value"], exercise.comparison).right)
        for got, wrong in zip(outputs, known, strict=True)
    )


def _is_no_choice(exercise: Exercise, outputs: Sequence[Output]) -> bool:
    if not exercise.choices or not outputs or "value" not in outputs[0]:
        return False
    value = outputs[0]["value"]
    return not any(agree(value, choice, exercise.comparison).right for choice in exercise.choices)


def _first_difference(exercise: Exercise, verdicts: Sequence[Verdict]) -> tuple[str]:
    """The first case that is wrong. A value that was to be predicted is not given away."""
    number, verdict = next((n, v) for n, v in enumerate(verdicts, 1) if not v.right)
    return (f"case {number}: {verdict}" if exercise.is_function else verdict.problem,)


def _assess_test(exercise: Exercise, outputs: Sequence[Output], seed: int) -> Report:
    """Does it accept the right one and reject every wrong one? The score is the share rejected."""
    report = partial(Report, exercise.name, exercise.title)
    tried = trial.implementations(exercise, seed)
    padded = [*outputs, *[Output()] * (len(tried) - len(outputs))]
    pairs = list(zip(tried, padded[: len(tried)], strict=True))
    on_right = next(output for item, output in pairs if not item.sentence)
    if "value" not in on_right:
        problem = on_right.get("error", MISSING)
        return report(State.ERROR, 0.0, "fails on the right implementation", details=(problem,))
    if on_right["value"] is not True:
        said = "Your test rejects the right implementation."
        return report(State.WRONG, 0.0, "no point until it accepts it", said)
    # A wrong implementation may crash the test, which rejects it too; a result that never came back
    # does not.
    wrong = [(item, output) for item, output in pairs if item.sentence]
    survivors = [
        item for item, output in wrong if output.get("value") is not False and "error" not in output
    ]
    score = 1 - len(survivors) / len(wrong)
    summary = f"{len(wrong) - len(survivors)} of {len(wrong)} wrong implementations rejected"
    if not survivors:
        return report(State.RIGHT, score, summary)
    if len(outputs) < len(tried):
        return report(State.ERROR, score, summary, details=(MISSING,))
    names = [misconception.name for misconception in exercise.misconceptions]
    ranks = {name: rank for rank, name in enumerate(names)}
    first = min(survivors, key=lambda item: ranks.get(item.misconception, len(ranks)))
    return report(State.WRONG, score, summary, first.sentence, first.misconception)
