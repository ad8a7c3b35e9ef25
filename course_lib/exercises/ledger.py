"""What this kernel remembers: the checks of each exercise, and first predictions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from course_lib.exercises.render import Report, State

if TYPE_CHECKING:
    from course_lib.exercises.engine import Exercise

ATTEMPTS = 3  # that do not pass, after which the solution opens
ENOUGH = 3  # predictions, before a word is said about their confidence


@dataclass
class Ledger:
    """Filled by `check`; read by `show_solution`, `summary` and `calibration`. Keys are names."""

    reports: dict[str, list[Report]] = field(default_factory=dict)
    predictions: dict[str, tuple[float, bool]] = field(default_factory=dict)  # percent, was right

    def record(self, report: Report, confidence: float | None = None) -> None:
        """Enter a check. An untouched stub is no attempt; only a first prediction counts."""
        if report.state == State.NOT_ATTEMPTED:
            return
        earlier = self.reports.setdefault(report.exercise, [])
        if confidence is not None and not earlier:
            self.predictions[report.exercise] = (confidence, report.state == State.RIGHT)
        earlier.append(report)

    def state(self, exercise: Exercise) -> State:
        """The best that the exercise has come to: once right, it stays right."""
        states = [report.state for report in self.reports.get(exercise.name, [])]
        return State.RIGHT if State.RIGHT in states else (states or [State.NOT_ATTEMPTED])[-1]

    def attempts_left(self, exercise: Exercise) -> int:
        """How many attempts more until the solution opens; 0 after a pass."""
        if self.state(exercise) == State.RIGHT:
            return 0
        return max(0, ATTEMPTS - len(self.reports.get(exercise.name, [])))

    def calibration(self) -> str:
        """The predictions in one Markdown line."""
        if not self.predictions:
            return "No prediction with a confidence yet: `check(exercise, answer, confidence=70)`."
        sure = [percent for percent, _ in self.predictions.values()]
        right = [was_right for _, was_right in self.predictions.values()]
        said, came = sum(sure) / len(sure), 100 * sum(right) / len(right)
        count = f"{len(sure)} prediction{'s' if len(sure) > 1 else ''}"
        found = f"{count}: {said:.0f} % sure on average, {came:.0f} % right"
        if len(sure) < ENOUGH:
            return f"{found} (from {ENOUGH} on it is judged)."
        lean = (
            "well calibrated"
            if abs(said - came) <= 15
            else "too sure"
            if said > came
            else "too modest"
        )
        return f"{found}: {lean}."


LEDGER = Ledger()
