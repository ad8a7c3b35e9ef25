"""Retrieval: of all samples, do the right ones come first?

Three questions. `retrieval`: each sample asks for the others of its class. `paired_retrieval`: row
i of one set asks for row i of another, as a caption asks for its picture. `cross_retrieval`: one
set asks another, with several right answers, as a picture asks for its captions. Similarity is the
cosine. Whatever is as similar as a right answer is ranked before it, so an encoder that maps
everything to one point finds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from course_lib.evaluate.inputs import Measured, check_features, check_labels, directions

CHUNK = 2**22  # similarities held at once
TIE = 1e-6  # cosines that differ by less are equal for all that float32 can tell


@dataclass(frozen=True)
class Retrieved:
    """Recall at k: the share of queries with a right answer among the first k."""

    recall: dict[int, Measured]
    mean_average_precision: Measured


def retrieval(
    features: np.ndarray, labels: np.ndarray, ks: Sequence[int] = (1, 5, 10)
) -> Retrieved:
    """(N, D), (N,) → each sample queries the N − 1 others for its class.

    A sample alone in its class has no right answer and asks nothing, but is among the answers.
    Chance is the exact expectation under a random order: recall by the hypergeometric law, and

        E[AP] = (H_n + (n − H_n) (r − 1) / (n − 1)) / n

    for r right ones of n, H_n = 1 + 1/2 + … + 1/n.
    """
    features = directions(check_features(features))
    labels = check_labels(labels, len(features))
    n = len(features) - 1
    _check_ks(ks, n)
    _, y, counts = np.unique(labels, return_inverse=True, return_counts=True)
    right = counts[y] - 1
    asks = np.flatnonzero(right > 0)
    if len(asks) == 0:
        raise ValueError(f"retrieval needs a class of two samples, but all {n + 1} labels differ")
    first, precision = np.empty(len(asks), int), np.empty(len(asks))
    rows = max(1, CHUNK // len(features))
    for start in range(0, len(asks), rows):
        part = asks[start : start + rows]
        is_right = y[part, None] == y
        cosine = features[part] @ features.T - TIE * is_right
        cosine[np.arange(len(part)), part] = -np.inf  # oneself comes last, and is cut off
        order = np.argsort(-cosine, axis=1, kind="stable")[:, :-1]
        hits = np.take_along_axis(is_right, order, axis=1)
        found = np.cumsum(hits, axis=1) / np.arange(1, n + 1)
        precision[start : start + rows] = (found * hits).sum(axis=1) / right[part]
        first[start : start + rows] = hits.argmax(axis=1)
    expected = _expected_precision(n, right[asks]).mean()
    return Retrieved(
        {k: Measured(float(np.mean(first < k)), _recall_at_random(n, right[asks], k)) for k in ks},
        Measured(float(precision.mean()), float(expected)),
    )


def paired_retrieval(
    queries: np.ndarray, answers: np.ndarray, ks: Sequence[int] = (1, 5, 10)
) -> dict[int, Measured]:
    """(N, D) twice → recall at each k, where row i of `answers` is the one answer to query i."""
    queries = directions(check_features(queries, "queries"))
    answers = directions(check_features(answers, "answers"))
    if queries.shape != answers.shape:
        raise ValueError(
            "queries and answers must have one shape, row by row a pair, "
            f"but {queries.shape} and {answers.shape} were given"
        )
    n = len(queries)
    _check_ks(ks, n)
    before = np.empty(n, int)
    rows = max(1, CHUNK // n)
    for start in range(0, n, rows):
        cosine = queries[start : start + rows] @ answers.T
        own = np.take_along_axis(cosine, np.arange(start, start + len(cosine))[:, None], axis=1)
        before[start : start + rows] = (cosine >= own - TIE).sum(axis=1) - 1
    return {k: Measured(float(np.mean(before < k)), k / n) for k in ks}


def cross_retrieval(
    queries: np.ndarray,
    query_labels: np.ndarray,
    answers: np.ndarray,
    answer_labels: np.ndarray,
    ks: Sequence[int] = (1, 5, 10),
) -> dict[int, Measured]:
    """(N, D), (N,), (M, D), (M,) → recall at each k: of N queries, one right answer is enough.

    Right are the answers with the query's label: all captions of its picture, say. Chance is the
    exact expectation under a random order. Raises ValueError for a query without a right answer.
    """
    queries = directions(check_features(queries, "queries"))
    answers = directions(check_features(answers, "answers"))
    query_labels = check_labels(query_labels, len(queries), "query labels")
    answer_labels = check_labels(answer_labels, len(answers), "answer labels")
    if queries.shape[1] != answers.shape[1]:
        raise ValueError(
            "queries and answers must be equally wide, "
            f"but {queries.shape[1]} and {answers.shape[1]} columns were given"
        )
    n = len(answers)
    _check_ks(ks, n)
    before, right = np.empty(len(queries), int), np.empty(len(queries), int)
    rows = max(1, CHUNK // n)
    for start in range(0, len(queries), rows):
        part = slice(start, start + rows)
        cosine = queries[part] @ answers.T
        is_right = query_labels[part, None] == answer_labels
        right[part] = is_right.sum(axis=1)
        best = np.where(is_right, cosine, -np.inf).max(axis=1, keepdims=True)
        before[part] = (~is_right & (cosine >= best - TIE)).sum(axis=1)
    if not right.all():
        lost = int(right.argmin())
        raise ValueError(
            f"every query needs an answer with its label, but query {lost}, "
            f"{query_labels[lost]!s}, has none"
        )
    return {k: Measured(float(np.mean(before < k)), _recall_at_random(n, right, k)) for k in ks}


def _check_ks(ks: Sequence[int], n: int) -> None:
    if len(ks) == 0 or min(ks) < 1 or max(ks) > n:
        raise ValueError(
            f"k must be from 1 to {n}, the possible answers, but {tuple(ks)} was given"
        )


def _recall_at_random(n: int, right: np.ndarray, k: int) -> float:
    """1 − C(n − r, k) / C(n, k), averaged over queries with r = `right` right answers of n."""
    wrong = n - right
    possible = wrong >= k
    w = wrong[possible]
    log_miss = gammaln(w + 1) - gammaln(w - k + 1) - gammaln(n + 1) + gammaln(n - k + 1)
    miss = np.zeros(len(right))
    miss[possible] = np.exp(log_miss)
    return float(1 - miss.mean())


def _expected_precision(n: int, right: np.ndarray) -> np.ndarray:
    harmonic = (1 / np.arange(1, n + 1)).sum()
    return (harmonic + (n - harmonic) * (right - 1) / max(n - 1, 1)) / n
