"""Matching: which descriptor is which, which matches to believe, and the geometry they agree on.

Lowe: Distinctive image features from scale-invariant keypoints, IJCV 2004 (ratio test, §7.1).
Hartley: In defense of the eight-point algorithm, PAMI 1997 (normalisation; here of the DLT).
Fischler, Bolles: Random sample consensus, Communications of the ACM 1981.
Idea: a nearest neighbour always exists, so it proves nothing; believe it where the second nearest
is clearly farther, or where the choice is mutual. What still is wrong cannot agree on a homography:
guess one from four matches drawn at random, often, and keep the guess with most followers.

Lesson     notebooks/04_matching.ipynb
Reference  cv2.BFMatcher(crossCheck=True), match for match; cv2.findHomography by its inliers
Recipe     Lowe: a match is kept below 0.8 of the second distance. Fischler, Bolles: draw until one
           sample free of outliers is 0.99 sure; H = DLT of all the inliers.
Differs
  * Exact search, no k-d tree; equal distances go to the lowest index, as in OpenCV.
  * Lowe takes the second nearest from another object where he knows the objects; here from any.
  * RANSAC's error is the forward one, |H·source − target|, as in OpenCV, and its confidence 0.999.
    The refit is repeated as long as it gains inliers; OpenCV refines by Levenberg–Marquardt.
  * Panoramas are feathered, not cut along seams, and neither exposure nor lens is corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from course_lib.blocks.images import to_rgb
from course_lib.features.brief import hamming
from course_lib.features.homography import (
    check_pairs,
    homography_dlt,
    homography_of_four,
    project,
    transfer_error,
)


@dataclass(frozen=True, eq=False)
class Matches:
    index: np.ndarray  # (M, 2) int64: (query, train), in the order of the queries
    distance: np.ndarray  # (M,) float32: Euclidean for "l2", bits for "hamming"

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, keep: np.ndarray | slice) -> Matches:
        return Matches(self.index[keep], self.distance[keep])


def nearest(query: np.ndarray, train: np.ndarray, metric: str = "l2") -> Matches:
    """(N, D), (M, D) descriptors → for every query its nearest train, the lowest index if equal.

    "l2" takes numbers, "hamming" packed bits (uint8). Nothing to match with: no matches.
    """
    index, distance = _neighbours(query, train, metric, 1)
    keep = np.flatnonzero(np.isfinite(distance[:, 0]))
    return Matches(np.stack([keep, index[keep, 0]], axis=1), distance[keep, 0])


def ratio_test(
    query: np.ndarray, train: np.ndarray, ratio: float = 0.8, metric: str = "l2"
) -> Matches:
    """Those nearest neighbours whose distance (not squared) is below `ratio` times the second's.

    With fewer than two descriptors in `train` nothing can be compared: no matches.
    """
    index, distance = _neighbours(query, train, metric, 2)
    first, second = distance.T
    keep = np.flatnonzero((first < ratio * second) & np.isfinite(second))
    return Matches(np.stack([keep, index[keep, 0]], axis=1), first[keep])


def cross_check(query: np.ndarray, train: np.ndarray, metric: str = "l2") -> Matches:
    """Those pairs that are each other's nearest neighbours."""
    there, back = nearest(query, train, metric), nearest(train, query, metric)
    return there[back.index[there.index[:, 1], 1] == there.index[:, 0]]


def _neighbours(
    query: np.ndarray, train: np.ndarray, metric: str, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """→ (N, k) int64 indices of the k nearest, (N, k) float32 distances, infinite where none is."""
    query, train = _check(query, metric), _check(train, metric)
    index = np.zeros((len(query), k), np.int64)
    distance = np.full((len(query), k), np.inf, np.float32)
    if len(query) == 0 or len(train) == 0:
        return index, distance
    if query.shape[1] != train.shape[1]:
        got = f"{query.shape[1]} and {train.shape[1]}"
        raise ValueError(f"descriptors must be equally long, but {got} columns were given")
    if metric == "l2":
        query_lifted, train_lifted, noise = _lift(query, train)
    block = max(64, 2**17 // len(train))  # queries at once: a few megabytes, near the cache's size
    for start in range(0, len(query), block):
        rows = slice(start, start + block)
        if metric == "hamming":
            gaps = hamming(query[rows], train).astype(np.float32)
        else:
            gaps = query_lifted[rows] @ train_lifted.T
        for j in range(min(k, len(train))):
            best = gaps.argmin(axis=1)
            if metric == "l2":
                _settle(best, gaps, noise, query[rows], train)
                distance[rows, j] = np.linalg.norm(query[rows] - train[best], axis=1)
            else:
                distance[rows, j] = gaps.min(axis=1)
            index[rows, j] = best
            gaps[np.arange(len(gaps)), best] = np.inf
    return index, distance


def _lift(query: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Rows q and t → rows whose product is |q − t|² = |q|² + |t|² − 2 q·t, and its rounding error.

    The rows are (−2q, |q|², 1) and (t, 1, |t|²): all distances are one matrix product.
    """
    q2, t2 = (query**2).sum(axis=1), (train**2).sum(axis=1)
    query_lifted = np.column_stack([-2 * query, q2, np.ones(len(q2))])
    train_lifted = np.column_stack([train, np.ones(len(t2)), t2])
    return query_lifted, train_lifted, 1e-12 * (q2.max() + t2.max())


def _settle(
    best: np.ndarray, gaps: np.ndarray, noise: float, query: np.ndarray, train: np.ndarray
) -> None:
    """Correct `best` (B,) where several are equally near for all that `gaps` (B, M) can tell."""
    near = gaps <= gaps.min(axis=1, keepdims=True) + noise
    for row in np.flatnonzero(np.count_nonzero(near, axis=1) > 1):
        tied = np.flatnonzero(near[row])
        exact = np.linalg.norm(train[tied] - query[row], axis=1).astype(np.float32)
        best[row] = tied[exact.argmin()]


def _check(descriptors: np.ndarray, metric: str) -> np.ndarray:
    """→ (N, D) descriptors, float64 for "l2" and uint8 for "hamming", or one sentence why not."""
    if metric not in ("l2", "hamming"):
        raise ValueError(f'the metric must be "l2" or "hamming", but {metric!r} was given')
    if not isinstance(descriptors, np.ndarray) or descriptors.ndim != 2:
        got = getattr(descriptors, "shape", type(descriptors).__name__)
        raise TypeError(f"descriptors must be an array of shape (N, D), but {got} was given")
    if metric == "hamming":
        if descriptors.dtype != np.uint8:
            raise TypeError(f"Hamming needs packed bits, uint8, but {descriptors.dtype} was given")
        return descriptors
    if descriptors.dtype.kind not in "fiu":
        raise TypeError(f"L2 needs descriptors of numbers, but {descriptors.dtype} was given")
    with np.errstate(over="ignore"):
        descriptors = descriptors.astype(np.float32).astype(np.float64)
    if not np.isfinite(descriptors).all():
        raise ValueError("descriptors must be finite, but some are NaN or infinite")
    return descriptors


@dataclass(frozen=True, eq=False)
class Consensus:
    H: np.ndarray  # (3, 3) float64, the DLT of the inliers and of nothing else
    inliers: np.ndarray  # (N,) bool
    iterations: int  # samples drawn
    error: np.ndarray  # (N,) pixels, |H·source − target|


def samples_needed(share: float, confidence: float = 0.999) -> int:
    """Draws until one sample of four inliers is `confidence` sure: log(1 − c) / log(1 − share⁴)."""
    right = np.clip(share**4, 1e-18, 1 - 1e-16)  # so that both logarithms are finite
    return int(np.ceil(np.log1p(-confidence) / np.log1p(-right)))


def ransac_homography(
    source: np.ndarray,
    target: np.ndarray,
    threshold: float = 3.0,
    seed: int = 0,
    confidence: float = 0.999,
    max_iterations: int = 2000,
) -> Consensus:
    """Matched points (N, 2) twice, some wrong; threshold in pixels → the `Consensus` of most."""
    source, target = check_pairs(source, target)
    if not (threshold > 0 and 0 < confidence < 1 and max_iterations >= 1):
        need = "threshold > 0, 0 < confidence < 1 and max_iterations ≥ 1"
        raise ValueError(f"RANSAC needs {need}, not {threshold}, {confidence}, {max_iterations}")
    rng = np.random.default_rng(seed)
    best, most, drawn, needed = np.zeros(len(source), bool), 0, 0, max_iterations
    while drawn < needed:
        samples = rng.integers(len(source), size=(64, 4))
        H, is_fixed = homography_of_four(source[samples], target[samples])
        follows = (transfer_error(H, source, target) <= threshold) & is_fixed[:, None]
        for i, count in enumerate(follows.sum(axis=1)):  # in turn, so that 64 changes no result
            drawn += 1
            if count > most:
                best, most = follows[i], int(count)
                needed = min(max_iterations, samples_needed(most / len(source), confidence))
            if drawn >= needed:
                break
    if most < 4:
        why = "too many of the points coincide or lie on one line"
        raise ValueError(f"no four of these {len(source)} matches fix a homography: {why}")
    while True:  # a fit to more points is better, and a better fit finds more
        H = homography_dlt(source[best], target[best])
        error = transfer_error(H, source, target)
        if (error <= threshold).sum() <= best.sum():
            return Consensus(H, best, drawn, error)
        best = error <= threshold


def stitch(
    images: Sequence[np.ndarray], homographies: Sequence[np.ndarray], max_pixels: float = 40e6
) -> np.ndarray:
    """K pictures, K − 1 homographies from pictures 1, 2, … to picture 0 → panorama, uint8 RGB.

    Where pictures overlap each counts in proportion to the distance from its own border; where
    there is none it is black. ValueError for a panorama of more than `max_pixels`.
    """
    if len(images) != len(homographies) + 1:
        got = f"{len(images)} pictures and {len(homographies)}"
        raise ValueError(f"a homography is needed for each picture but the first, not {got}")
    images = [to_rgb(image) for image in images]
    homographies = [np.eye(3), *(np.asarray(H, np.float64) for H in homographies)]
    corners = np.concatenate([_corners(*pair) for pair in zip(images, homographies, strict=True)])
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    W, H = high - low + 1
    if max(W, H) >= 2**15 or max_pixels < W * H:  # the first is OpenCV's limit
        raise ValueError(
            f"the panorama would be {W:.0f} × {H:.0f}, above {max_pixels:.0f} pixels or 32767 a "
            "side; the homography is probably wrong: look at its inliers"
        )
    shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1.0]])
    total = np.zeros((int(H), int(W), 4), np.float32)
    for image, to_first in zip(images, homographies, strict=True):
        h, w = image.shape[:2]
        tent = [np.minimum(np.arange(n) + 1, n - np.arange(n)) for n in (h, w)]
        weight = np.outer(*tent)[..., None].astype(np.float32)
        layer = np.concatenate([image * weight, weight], axis=2)
        total += cv2.warpPerspective(layer, shift @ to_first, total.shape[1::-1])
    covered = np.maximum(total[..., 3:], 1e-12)
    return np.rint(total[..., :3] / covered).clip(0, 255).astype(np.uint8)


def _corners(image: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Picture (h, w, 3), homography (3, 3) → (4, 2), where its corners go."""
    h, w = image.shape[:2]
    if H.shape != (3, 3) or not np.isfinite(H).all():
        raise ValueError(f"a homography must be (3, 3) and finite, but {H.tolist()} was given")
    corners = np.array([(0, 0), (w - 1, 0), (w - 1, h - 1), (0, h - 1)])
    depth = corners @ H[2, :2] + H[2, 2]
    if depth.min() * depth.max() <= 0:
        raise ValueError(f"the homography {H.tolist()} sends a part of its picture to infinity")
    return project(H, corners)
