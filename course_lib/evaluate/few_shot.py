"""Few labels: how good is the linear probe when each class shows 1, 2, 5, … samples?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from course_lib.evaluate.inputs import check_split
from course_lib.evaluate.linear_probe import UNCHOSEN, fit_probe


@dataclass(frozen=True)
class FewShot:
    """One value for each entry of `shots`; what `course_lib.show.curves.curves` takes."""

    shots: tuple[int, ...]  # labelled samples per class
    mean: tuple[float, ...]  # accuracy
    deviation: tuple[float, ...]  # between draws of the samples
    chance: float  # one class of K, guessed


def few_shot(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    shots: Sequence[int] = (1, 2, 5, 10, 50),
    *,
    draws: int = 5,
    penalty: float = UNCHOSEN,
    seed: int = 0,
) -> FewShot:
    """Features (N, D), (M, D) and their labels → accuracy on the M after so many a class.

    Every draw orders the train set anew and takes the first of each class, so that within a draw
    five shots contain the two. The penalty is fixed: one sample a class leaves none to choose it
    by. Raises ValueError if a class has fewer samples than asked for.
    """
    train, train_labels, test, test_labels = check_split(train, train_labels, test, test_labels)
    classes, counts = np.unique(train_labels, return_counts=True)
    if len(shots) == 0 or min(shots) < 1 or draws < 1:
        raise ValueError(
            "shots must be one or more numbers from 1 upwards, and draws at least 1, "
            f"but {tuple(shots)} and {draws} were given"
        )
    if counts.min() < max(shots):
        raise ValueError(
            f"{max(shots)} samples of each class are asked for, "
            f"but class {classes[counts.argmin()]!s} has {counts.min()}"
        )
    rng = np.random.default_rng(seed)
    accuracy = np.empty((draws, len(shots)))
    for draw in range(draws):
        members = [rng.permutation(np.flatnonzero(train_labels == name)) for name in classes]
        for j, n in enumerate(shots):
            few = np.concatenate([m[:n] for m in members])
            probe = fit_probe(train[few], train_labels[few], penalty=penalty)
            accuracy[draw, j] = np.mean(probe.predict(test) == test_labels)
    return FewShot(
        tuple(int(n) for n in shots),
        tuple(accuracy.mean(axis=0).tolist()),
        tuple(accuracy.std(axis=0).tolist()),
        1 / len(classes),
    )
