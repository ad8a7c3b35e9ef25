"""Invariance, factor by factor: what may change in a scene without changing its features?

Take pairs of pictures that differ in one factor only (the same scene, other light), and compare
their cosine with that of two different scenes:

    (mean cos(same scene, changed) − mean cos(different scenes)) / (1 − mean cos(different scenes))

1: the change leaves no trace. 0: it makes a picture as strange as another scene would. The
comparison is needed because features that are never negative are all alike in cosine. It knows no
classes, so it says nothing about whether an invariance is wanted: to colour it seldom is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from course_lib.evaluate.inputs import check_features, directions


def invariance(base: np.ndarray, changed: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Features (N, D) of N scenes, and {factor: (N, D)} of the same with it changed → {factor: …}.

    At most 1, below 0 if the change moves a picture farther than another scene is. NaN if all of
    `base` point in one direction: a collapsed encoder knows no difference to compare with.
    """
    u = directions(check_features(base, "base features")).astype(np.float64)
    N = len(u)
    if N < 2:
        raise ValueError("invariance needs two scenes or more, but one was given")
    # Σ_ij u_i · u_j = |Σ_i u_i|²: all pairs of different scenes without forming one.
    apart = 1 - ((u.sum(axis=0) ** 2).sum() - (u**2).sum()) / (N * (N - 1))
    result = {}
    for factor, features in changed.items():
        v = directions(check_features(features, f"features of {factor}")).astype(np.float64)
        if v.shape != u.shape:
            raise ValueError(
                f"features of {factor} must have the shape {u.shape} of the base features, "
                f"but {v.shape} was given"
            )
        moved = 1 - float((u * v).sum(axis=1).mean())
        result[factor] = 1 - moved / apart if apart > 1e-6 else float("nan")
    return result
