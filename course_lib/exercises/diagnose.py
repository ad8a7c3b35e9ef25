"""From plain outputs to a report: which of the four states, and which mistake."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from course_lib.exercises import trial
from course_lib.exercises.judge import MISSING, STILL_RAISES, Verdict, agree, judge
from course_lib.exercises.probe import Case, Output, plain, quiet, run
from course_lib.exercises.render import Report, State

if TYPE_CHECKING:
    from course_lib.exercises.engine import Exercise

STILL_FAULTY = (
    "The planted fault is still there: the outputs are those of the code as it was handed out."
)
ONLY_RETURNS = "Your test returns a verdict and asserts nothing: write `assert` in front of it."
ALSO_RETURNS = "Your test returns a verdict, which nobody reads: write `assert` in front of it."
ASSERTS_NOTHING = "Your test asserts nothing yet."
ACCEPTS_ALL = (
    "Your test accepts everything: call the function, and assert what a right one returns."
)
EACH_ENTRY = (
    "`==` of two arrays gives an array, one answer an entry, and `assert` wants one for all: ask "
    "`np.array_equal` or `np.allclose`."
)


def assess(exercise: Exercise, outputs: Sequence[Output], seed: int = 0) -> Report:
    """Outputs of `probe` on `exercise.cases_for(seed)` → Report.

    Raises RuntimeError only if the exercise's own solution fails.
    """
    report = partial(Report, exercise.name, exercise.title)
    if outputs and all(output.get("untouched") for output in outputs):
        return report(State.NOT_ATTEMPTED, 0.0, _invitation(exercise, outputs))
    if exercise.kind == "test":
        return _assess_test(exercise, outputs, seed)
    if not exercise.is_function and outputs and "value" in outputs[0]:
        filled, places = _filled(outputs[0]["value"])
        if filled < places:
            return report(State.NOT_ATTEMPTED, 0.0, f"{filled} of {places} filled in")
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
    raised = [n for n, output in enumerate(outputs[: len(cases)]) if "value" not in output]
    raised += range(len(outputs), len(cases))  # what never came back
    shown = raised[0] if raised else [verdict.right for verdict in verdicts].index(False)
    state = State.ERROR if raised else State.WRONG
    return report(state, score, summary, details=_difference(exercise, shown, verdicts[shown]))


def _invitation(exercise: Exercise, outputs: Sequence[Output]) -> str:
    """What is to be done where nothing has been done."""
    if any(output.get("unfinished") for output in outputs):
        return STILL_RAISES
    what = "mend" if exercise.kind == "repair" else "fill in"
    return f"{what} the cell above, then check again"


def _filled(value: Any) -> tuple[int, int]:
    """How many places of a value are filled in, and how many there are."""
    if isinstance(value, (dict, list)):
        items = value.values() if isinstance(value, dict) else value
        counts = [_filled(item) for item in items]
        return sum(filled for filled, _ in counts), sum(places for _, places in counts)
    return int(value is not None), 1


@dataclass(frozen=True)
class Known:
    """A mistake that the outputs fit."""

    sentence: str
    name: str = ""


def _known_mistake(
    exercise: Exercise, outputs: Sequence[Output], cases: Sequence[Case]
) -> Known | None:
    """The planted fault, or the first misconception that gives the same outputs.

    Of a prediction in several fields, else the first that is a part of what is wrong with it.
    """
    known = [(m.answer, Known(m.sentence, m.name)) for m in exercise.misconceptions]
    if exercise.kind == "repair":
        known.insert(0, (exercise.stub, Known(STILL_FAULTY)))
    for answer, mistake in known:
        if _fits(exercise, outputs, answers_of(exercise, answer, cases)):
            return mistake
    if exercise.kind == "predict" and isinstance(exercise.solution, dict) and outputs:
        for answer, mistake in known:
            if _is_part(exercise, outputs[0].get("value"), plain(answer)):
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


def _is_part(exercise: Exercise, told: Any, wrong: Any) -> bool:
    """Whether every field in which a known wrong prediction errs has the same value in `told`."""
    right = plain(exercise.solution)
    if not all(isinstance(value, dict) and set(value) == set(right) for value in (told, wrong)):
        return False

    def same(a: Any, b: Any) -> bool:
        return agree(a, b, exercise.comparison).right

    errs = [name for name in right if not same(wrong[name], right[name])]
    return bool(errs) and all(same(told[name], wrong[name]) for name in errs)


def _is_no_choice(exercise: Exercise, outputs: Sequence[Output]) -> bool:
    if not exercise.choices or not outputs or "value" not in outputs[0]:
        return False
    value = outputs[0]["value"]
    return not any(agree(value, choice, exercise.comparison).right for choice in exercise.choices)


def _difference(exercise: Exercise, number: int, verdict: Verdict) -> tuple[str]:
    """What is wrong with one case. A value that was to be predicted is not given away."""
    if exercise.is_function:
        return (f"case {number + 1}: {verdict}",)
    return (re.sub(r"\bitem (\d+) of \d+", r"number \1", verdict.problem),)


Pair = tuple[trial.Implementation, Output]


def _assess_test(exercise: Exercise, outputs: Sequence[Output], seed: int) -> Report:
    """Does it accept the right ones and reject every wrong one? The score is the share rejected."""
    report = partial(Report, exercise.name, exercise.title)
    tried = trial.implementations(exercise, seed)
    padded = [*outputs, *[Output()] * (len(tried) - len(outputs))]
    pairs = list(zip(tried, padded[: len(tried)], strict=True))
    refused = _on_the_right_ones(exercise, [pair for pair in pairs if pair[0].is_right])
    if refused is not None:
        return refused
    wrong = [(item, output) for item, output in pairs if not item.is_right]
    # A wrong implementation may crash the test, which rejects it too; a result that never came back
    # does not, and nor does a returned one.
    missed = [
        pair for pair in wrong if pair[1].get("value") is not False and "error" not in pair[1]
    ]
    score = 1 - len(missed) / len(wrong)
    summary = f"{len(wrong) - len(missed)} of {len(wrong)} wrong implementations rejected"
    if not missed:
        return report(State.RIGHT, score, summary)
    if any(output.get("returned") for _, output in missed):
        asserts = any(output.get("value") is False for _, output in wrong)
        if asserts:
            return report(State.WRONG, score, summary, ALSO_RETURNS)
        return report(State.WRONG, 0.0, "", ONLY_RETURNS)
    if any(output.get("asserts_nothing") for _, output in missed):
        return report(State.WRONG, 0.0, "", ASSERTS_NOTHING)
    if len(outputs) < len(tried):
        return report(State.ERROR, score, summary, details=(MISSING,))
    if len(missed) == len(wrong) > 1:
        return report(State.WRONG, score, summary, ACCEPTS_ALL)
    first = _first_named(exercise, [item for item, _ in missed])
    return report(State.WRONG, score, summary, first.sentence, first.misconception)


def _first_named(
    exercise: Exercise, missed: Sequence[trial.Implementation]
) -> trial.Implementation:
    """The first misconception among the implementations that were missed, else a mutant."""
    names = [misconception.name for misconception in exercise.misconceptions]
    ranks = {name: rank for rank, name in enumerate(names)}
    return min(missed, key=lambda item: ranks.get(item.misconception, len(ranks)))


def _on_the_right_ones(exercise: Exercise, pairs: Sequence[Pair]) -> Report | None:
    """The report on a test that does not accept each right implementation, the subject first."""
    report = partial(Report, exercise.name, exercise.title)
    for item, output in sorted(pairs, key=lambda pair: pair[0].misconception != ""):
        if output.get("value") is True:
            continue
        if output.get("unfinished"):
            return report(State.NOT_ATTEMPTED, 0.0, STILL_RAISES)
        if "value" not in output and (not item.misconception or "error" not in output):
            problem = output.get("error", MISSING)
            said = EACH_ENTRY if "truth value of an array" in problem else ""
            where = "fails on the right implementation"
            return report(State.ERROR, 0.0, where, said, details=(problem,))
        if not item.misconception:
            said = _rejection(output, "the right implementation")
            return report(State.WRONG, 0.0, "it must first pass on the right one", said)
        if "error" in output:  # what `sentence` says of its values does not explain a crash
            said = f"Your test crashes on a right implementation ({item.misconception})."
            where = output["error"]
        else:
            said = f"Your test rejects a right implementation: {item.sentence}"
            where = _rejection(output, "it")
        return report(State.WRONG, 0.0, "it must pass on every right one", said, details=(where,))
    return None


def _rejection(output: Output, what: str) -> str:
    """Which line of the test fails on a right implementation, as far as that is known."""
    if "where" not in output:
        return f"Your test rejects {what}."
    advice = f": {output['advice']}" if "advice" in output else ""
    return f"{output['where']} fails on {what}{advice}."
