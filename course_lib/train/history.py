"""What a run has measured, step by step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass
class History:
    """What a run has measured: `history["loss"]` is an array (S,), one number a step.

    total  steps that were asked for     seconds  of all steps, those before a resumption included
    interrupted  ended before its last step, by hand or by a loss that is not finite
    Beside what train_step returns: lr, grad_norm (before clipping), images_per_second.
    """

    total: int
    scalars: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.scalars.values()), ()))

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.scalars:
            raise KeyError(f"no {name!r} was measured; there are: {', '.join(self.scalars)}")
        return np.array(self.scalars[name])

    def __repr__(self) -> str:
        # Without a number that differs between runs or machines: it is what nbval compares.
        ended = ", interrupted" if self.interrupted else ""
        return f"History({len(self)} of {self.total} steps{ended}: {', '.join(self.scalars)})"

    def last(self) -> dict[str, float]:
        """What the newest step measured."""
        return {name: values[-1] for name, values in self.scalars.items()}

    def append(self, row: Mapping[str, float]) -> None:
        """One more step. Raises ValueError unless each step has the same names."""
        if len(self) and row.keys() != self.scalars.keys():
            before, now = sorted(self.scalars), sorted(row)
            raise ValueError(f"each step must measure the same: {before} before, {now} now")
        for name, value in row.items():
            self.scalars.setdefault(name, []).append(float(value))

    def to_json(self) -> str:
        """All of it, exactly: `History.from_json(h.to_json()) == h` (but NaN equals nothing)."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> History:
        return cls(**json.loads(text))
