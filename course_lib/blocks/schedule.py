"""Schedules as pure functions of progress, the share of the training that is done: 0 to 1.

A schedule that knows neither steps nor epochs is the same for a minute and for a week, and a
resumed run needs no state of it.

Loshchilov, Hutter: SGDR, ICLR 2017 (cosine). Goyal et al.: Accurate, large minibatch SGD, 2017
(warm-up). Grill et al.: BYOL, NeurIPS 2020, §3.3 (momentum). Progress of step s of S is s / S:
  * the rate is the one of MAE's code: warm-up from 0, which the first step has, by s / warm-up;
  * DINO's code warms up by s / (warm-up − 1), and is equal from the end of the warm-up on.
"""

from __future__ import annotations

from math import cos, pi


def cosine(progress: float, start: float, end: float) -> float:
    """From `start` to `end` along half a cosine: end + (start − end) · ½ (1 + cos π progress)."""
    return end + (start - end) * 0.5 * (1 + cos(pi * _check(progress)))


def warmup_cosine(progress: float, peak: float, *, warmup: float = 0.0, end: float = 0.0) -> float:
    """From 0 straight up to `peak` while progress < `warmup` (a share), then a cosine to `end`.

    Raises ValueError for a share outside 0 ≤ warmup < 1.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"the warm-up must be a share from 0 to below 1, but {warmup} was given")
    if _check(progress) < warmup:
        return peak * progress / warmup
    return cosine((progress - warmup) / (1 - warmup), peak, end)


def ema_momentum(progress: float, base: float = 0.996) -> float:
    """How much a teacher keeps of itself: `base` at first, 1 (it stands still) at the end."""
    if not 0 <= base <= 1:
        raise ValueError(f"the momentum must lie from 0 to 1, but {base} was given")
    return cosine(progress, base, 1.0)


def _check(progress: float) -> float:
    if not 0 <= progress <= 1:
        raise ValueError(f"progress must lie from 0 to 1, but {progress} was given")
    return progress
