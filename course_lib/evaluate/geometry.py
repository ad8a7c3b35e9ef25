"""The shape of a feature space, without labels: does it collapse, spread out, keep pairs together?

Roy and Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007.
Wang and Isola, "Understanding contrastive representation learning through alignment and uniformity
on the hypersphere", ICML 2020.

Differs: the effective rank is that of the centred features, since a mean that all pictures share
says nothing about any of them. Uniformity is over all pairs of different samples, not a batch.
"""

from __future__ import annotations

import numpy as np
from scipy.special import hyp0f1

from course_lib.evaluate.inputs import Measured, check_features, directions

CHUNK = 2**22  # similarities held at once


def effective_rank(features: np.ndarray) -> float:
    """(N, D) → exp of the entropy of the singular values, from 1 to min(N − 1, D).

    p_k = σ_k / Σ σ and erank = exp(−Σ p_k log p_k): the number of directions that are used, were
    they all used alike. 0 if all features are equal: a complete collapse.
    """
    features = check_features(features).astype(np.float64)
    centred = features - features.mean(axis=0)
    sigma = np.linalg.svd(centred, compute_uv=False)
    if sigma[0] <= 1e-6 * np.linalg.norm(features):
        return 0.0
    p = sigma / sigma.sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def alignment(first: np.ndarray, second: np.ndarray, alpha: float = 2.0) -> Measured:
    """(N, D) twice, row by row two views of one thing → mean of |u − v|^alpha, less is better.

    u and v are the features brought to length 1. Chance: each row with the others' second views.
    """
    u, v = _units(first, "first features"), _units(second, "second features")
    if u.shape != v.shape:
        raise ValueError(
            "both sets must have one shape, row by row a pair, "
            f"but {u.shape} and {v.shape} were given"
        )
    if len(u) == 1:
        raise ValueError("alignment needs two pairs or more, to compare with chance, but got one")
    own = np.linalg.norm(u - v, axis=1) ** alpha
    total = 0.0
    for rows in _chunks(len(u)):
        total += (_squared(u[rows], v) ** (alpha / 2)).sum()
    others = (total - own.sum()) / (len(u) * (len(u) - 1))
    return Measured(float(own.mean()), float(others))


def uniformity(features: np.ndarray, t: float = 2.0) -> Measured:
    """(N, D) → log of the mean of exp(−t |u − v|²) over pairs of samples, less is more uniform.

    0 if all are one point; `chance` is that of directions drawn at random, which for large N no
    arrangement falls below: log ₀F₁(D / 2; t²) − 2 t.
    """
    u = _units(features, "features")
    N, D = u.shape
    if N < 2:
        raise ValueError("uniformity needs two samples or more, but one was given")
    total = -float(N)  # each sample with itself
    for rows in _chunks(N):
        total += np.exp(-t * _squared(u[rows], u)).sum()
    value = np.log(max(total, np.finfo(float).tiny) / (N * (N - 1)))
    return Measured(float(value), float(np.log(hyp0f1(D / 2, t**2)) - 2 * t))


def _units(features: np.ndarray, name: str) -> np.ndarray:
    return directions(check_features(features, name)).astype(np.float64)


def _squared(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Squared distances of unit vectors, (n, m); a row of zeros is a point of length zero."""
    squares = (u**2).sum(axis=1)[:, None] + (v**2).sum(axis=1)
    return np.maximum(squares - 2 * u @ v.T, 0)


def _chunks(N: int) -> list[slice]:
    rows = max(1, CHUNK // N)
    return [slice(start, start + rows) for start in range(0, N, rows)]
