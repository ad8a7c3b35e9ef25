"""Nearest neighbours: is what lies near in feature space the same kind of thing? No training.

Wu, Xiong, Yu and Lin, "Unsupervised feature learning via non-parametric instance discrimination",
CVPR 2018, section 3.4: the k nearest by cosine vote for their class, each with the weight
exp(cosine / 0.07). DINO (Caron et al., ICCV 2021) measures with k = 20 and the same weights.

Differs: whoever is as near as the k-th votes too, so the order of the samples changes nothing, and
features that are all alike answer the most frequent class. Equal votes: the lowest class.
"""

from __future__ import annotations

import numpy as np

from course_lib.evaluate.inputs import Measured, check_split, directions, majority

CHUNK = 2**22  # similarities held at once: 16 MB
TIE = 1e-6  # cosines that differ by less are equal for all that float32 can tell


def knn_votes(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    k: int = 20,
    temperature: float = 0.07,
) -> tuple[np.ndarray, np.ndarray]:
    """→ classes (K,) and votes (N, K), weights relative to the nearest neighbour's weight 1."""
    classes, index = np.unique(train_labels, return_inverse=True)
    is_class = np.eye(len(classes), dtype=np.float32)[index]
    train, test = directions(train), directions(test)
    votes = np.empty((len(test), len(classes)), np.float32)
    rows = max(1, CHUNK // len(train))
    for start in range(0, len(test), rows):
        cosine = test[start : start + rows] @ train.T
        kth = np.partition(cosine, -k, axis=1)[:, -k, None]
        nearest = cosine.max(axis=1, keepdims=True)
        # Relative to the nearest, no weight overflows, however small the temperature.
        weight = np.exp((cosine - nearest) / temperature)
        weight[cosine < kth - TIE] = 0
        votes[start : start + rows] = weight @ is_class
    return classes, votes


def knn(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    k: int = 20,
    temperature: float = 0.07,
) -> Measured:
    """Features (N, D), (M, D) and their labels → the share of the M that the vote gets right.

    Chance is the answer that needs no features: the most frequent class. Raises ValueError if
    there are fewer than `k` train samples.
    """
    train, train_labels, test, test_labels = check_split(train, train_labels, test, test_labels)
    if not 1 <= k <= len(train):
        raise ValueError(f"k must be from 1 to {len(train)}, the train samples, but {k} was given")
    if not temperature > 0:
        raise ValueError(f"the temperature must be positive, but {temperature} was given")
    classes, votes = knn_votes(train, train_labels, test, k, temperature)
    right = np.mean(classes[votes.argmax(axis=1)] == test_labels)
    return Measured(float(right), majority(train_labels, test_labels))
