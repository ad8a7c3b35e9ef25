"""What counts as features and labels here, and a number that stands beside its chance level.

Features are (N, D), one row a picture; labels are (N,), whole numbers, bools or names. Everything
in this room takes NumPy arrays (or what turns into them) and returns NumPy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Measured(NamedTuple):
    """A measurement beside what the same measurement gives without any knowledge."""

    value: float
    chance: float

    def __str__(self) -> str:
        return f"{self.value:.3f} (chance {self.chance:.3f})"


def check_features(features: np.ndarray, name: str = "features") -> np.ndarray:
    """→ float32 (N, D), N and D at least 1; raises TypeError or ValueError in one sentence."""
    try:
        array = np.asarray(features)
    except (TypeError, ValueError, RuntimeError):  # ragged lists; tensors elsewhere than on the CPU
        array = np.array(None)
    if array.dtype.kind not in "fiub":
        got = array.dtype if array.dtype.kind != "O" else type(features).__name__
        raise TypeError(f"{name} must be an array of numbers of shape (N, D), but {got} was given")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{name} must have shape (N, D), with at least one row and one column, "
            f"but the shape {array.shape} was given"
        )
    with np.errstate(over="ignore"):  # what becomes infinite is refused below
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        bad = ~np.isfinite(array).all(axis=1)
        raise ValueError(
            f"{name} must be finite, but {bad.sum()} of {len(bad)} rows hold NaN or infinity, "
            f"the first is row {bad.argmax()}"
        )
    return array


def check_labels(labels: np.ndarray, n: int, name: str = "labels") -> np.ndarray:
    """→ (n,) labels: whole numbers, bools or names; raises TypeError or ValueError."""
    array = np.asarray(labels)
    if array.shape != (n,):
        raise ValueError(
            f"{name} must have shape ({n},), one for each row of features, "
            f"but the shape {array.shape} was given"
        )
    if array.dtype.kind not in "iubU":
        raise TypeError(
            f"{name} must be whole numbers, bools or names, but {array.dtype} was given"
        )
    return array


def check_split(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The four arrays that every probe takes, checked one by one and against each other."""
    train, test = check_features(train, "train features"), check_features(test, "test features")
    train_labels = check_labels(train_labels, len(train), "train labels")
    test_labels = check_labels(test_labels, len(test), "test labels")
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            "train and test features must be equally wide, "
            f"but {train.shape[1]} and {test.shape[1]} columns were given"
        )
    if len(np.unique(train_labels)) < 2:
        raise ValueError(
            "train labels must hold at least two classes, "
            f"but all {len(train_labels)} are {train_labels[0]!s}"
        )
    return train, train_labels, test, test_labels


def directions(features: np.ndarray) -> np.ndarray:
    """(N, D) → float32 (N, D), each row of length 1; a row of zeros stays as it is."""
    length = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    return (features / np.where(length > 0, length, 1)).astype(np.float32)


def majority(train_labels: np.ndarray, test_labels: np.ndarray) -> float:
    """Chance level of a classifier: always answer the most frequent class of the train set."""
    classes, counts = np.unique(train_labels, return_counts=True)
    return float(np.mean(test_labels == classes[counts.argmax()]))
