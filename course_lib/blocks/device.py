"""Where the arithmetic runs, and how much of it: the one device function and the one budget switch.

COURSE_DEVICE = cpu | cuda | cuda:1 | mps   (default: the best one there is)
COURSE_BUDGET = quick | full                (default: full with an accelerator, else quick)
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


@cache
def best_device() -> str:
    """The fastest kind of device that torch sees here: "cuda", "mps" or "cpu"."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def device() -> torch.device:
    """The torch device to use everywhere. Raises ValueError if COURSE_DEVICE is not to be had."""
    import torch

    wanted = os.environ.get("COURSE_DEVICE") or best_device()
    kind = wanted.split(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise ValueError(f"COURSE_DEVICE must be cpu, cuda or mps, but it is {wanted!r}")
    if (kind == "cuda" and not torch.cuda.is_available()) or (
        kind == "mps" and not torch.backends.mps.is_available()
    ):
        raise ValueError(f"COURSE_DEVICE is {wanted!r}, but torch sees no such device here")
    return torch.device(wanted)


def budget() -> Literal["quick", "full"]:
    """How long a lesson may compute: "quick" (≤ 90 s on two CPU cores) or "full" (≤ 10 min)."""
    wanted = os.environ.get("COURSE_BUDGET")
    if not wanted:
        return "full" if device().type != "cpu" else "quick"
    if wanted not in ("quick", "full"):
        raise ValueError(f"COURSE_BUDGET must be quick or full, but it is {wanted!r}")
    return wanted


def by_budget(quick: T, full: T) -> T:
    """The value that belongs to the current budget: `steps = by_budget(quick=200, full=5_000)`."""
    return quick if budget() == "quick" else full
