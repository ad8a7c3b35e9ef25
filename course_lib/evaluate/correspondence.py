"""Which keypoints of two pictures show the same point, when the change between them is known.

H (3, 3) maps positions (x, y, 1) of the first picture to the second, as course_lib.data.perturb
gives it. Distances are in pixels of the first picture: a tolerance means the same at every zoom.
Keypoints are paired one to one, so a crowd of them finds one partner together, not one each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from course_lib.blocks.keypoints import Keypoints


def project(H: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Positions (N, 2) through H (3, 3) → (N, 2) float64; NaN for what H puts beyond infinity."""
    H, xy = np.asarray(H, float), np.asarray(xy, float)
    if H.shape != (3, 3) or not np.isfinite(H).all() or np.linalg.matrix_rank(H) < 3:
        raise ValueError(f"H must be (3, 3), finite and invertible, but it is {H.tolist()}")
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise ValueError(f"positions must have shape (N, 2), but {xy.shape} was given")
    x, y, w = H @ np.column_stack([xy, np.ones(len(xy))]).T
    w = np.where(w * H[2, 2] > 0, w, np.nan)  # the other sign: behind the camera
    return np.column_stack([x / w, y / w])


def inside(xy: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Positions (N, 2) → bool (N,): on a picture of (height, width, …), edge pixels in full."""
    height, width = shape[:2]
    with np.errstate(invalid="ignore"):  # NaN is nowhere
        return ((xy >= -0.5) & (xy < (width - 0.5, height - 0.5))).all(axis=1)


def visible(
    kp_a: Keypoints,
    kp_b: Keypoints,
    H: np.ndarray,
    shape: Sequence[int],
    shape_b: Sequence[int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Which keypoints lie in the part that both pictures show → bool (A,), bool (B,).

    `shape` is that of the first picture, `shape_b` that of the second if it differs.
    """
    shape_b = shape if shape_b is None else shape_b
    seen_a = inside(kp_a.xy, shape) & inside(project(H, kp_a.xy), shape_b)
    seen_b = inside(kp_b.xy, shape_b) & inside(project(np.linalg.inv(H), kp_b.xy), shape)
    return seen_a, seen_b


def one_to_one(pairs: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Candidate pairs (P, 2), distance (P,) → bool (P,): the nearest first, no keypoint twice."""
    keep = np.zeros(len(pairs), bool)
    taken_a, taken_b = set(), set()
    for p in np.lexsort((*pairs.T[::-1], distance)):  # ties by index: the same on every machine
        a, b = pairs[p].tolist()
        if a not in taken_a and b not in taken_b:
            keep[p] = True
            taken_a.add(a)
            taken_b.add(b)
    return keep


def _same_size(
    kp_a: Keypoints, kp_b: Keypoints, pairs: np.ndarray, H: np.ndarray, ratio: float
) -> np.ndarray:
    """Do the sizes of pairs (P, 2) agree within the factor `ratio`, seen through H? → bool (P,)"""
    a, b = pairs.T
    # A homography magnifies areas by |det H / w³| where w is the third coordinate.
    w = np.column_stack([kp_a.xy[a], np.ones(len(a))]) @ np.asarray(H, float)[2]
    scale = np.sqrt(np.abs(np.linalg.det(H) / w**3))
    expected = np.maximum(kp_a.size[a] * scale, 1e-9)
    return np.abs(np.log(np.maximum(kp_b.size[b], 1e-9) / expected)) <= np.log(ratio) + 1e-6


def correspondences(
    kp_a: Keypoints,
    kp_b: Keypoints,
    H: np.ndarray,
    tolerance: float = 3.0,
    size_ratio: float | None = None,
) -> np.ndarray:
    """Pairs of keypoints at the same place, one to one → index (M, 2) into kp_a and kp_b.

    `size_ratio` 1.5 also demands that sizes agree within the factor 1.5; None leaves them out.
    """
    from scipy.spatial import cKDTree

    if not tolerance > 0:
        raise ValueError(f"the tolerance must be positive, in pixels, but {tolerance} was given")
    if size_ratio is not None and not size_ratio >= 1:
        raise ValueError(f"size_ratio must be None or at least 1, but {size_ratio} was given")
    back = project(np.linalg.inv(H), kp_b.xy)
    known = np.flatnonzero(np.isfinite(back).all(axis=1))
    if len(kp_a) == 0 or len(known) == 0:
        return np.zeros((0, 2), np.intp)
    first, second = cKDTree(np.asarray(kp_a.xy, float)), cKDTree(back[known])
    near = first.sparse_distance_matrix(second, tolerance, output_type="ndarray")
    pairs = np.column_stack([near["i"], known[near["j"]]])
    distance = near["v"]
    if size_ratio is not None:
        agree = _same_size(kp_a, kp_b, pairs, H, size_ratio)
        pairs, distance = pairs[agree], distance[agree]
    pairs = pairs[one_to_one(pairs, distance)]
    return pairs[np.argsort(pairs[:, 0], kind="stable")]


def distances(kp_a: Keypoints, kp_b: Keypoints, index: np.ndarray, H: np.ndarray) -> np.ndarray:
    """How far matches (M, 2) miss, in pixels of the first picture → (M,); inf where H ends."""
    back = project(np.linalg.inv(H), kp_b.xy[index[:, 1]])
    away = np.linalg.norm(kp_a.xy[index[:, 0]] - back, axis=1)
    return np.where(np.isfinite(away), away, np.inf)


def check_matches(index: np.ndarray, n_a: int, n_b: int) -> np.ndarray:
    """Matches as (M, 2) indices into `n_a` and `n_b` keypoints, or one sentence."""
    index = np.asarray(index)
    if index.size == 0:
        return np.zeros((0, 2), np.intp)
    if index.ndim != 2 or index.shape[1] != 2 or index.dtype.kind not in "iu":
        raise ValueError(
            "matches must be whole numbers of shape (M, 2), the `index` of Matches, "
            f"but {index.dtype} of shape {index.shape} was given"
        )
    if index.min() < 0 or (index.max(axis=0) >= (n_a, n_b)).any():
        raise ValueError(
            f"matches must point into {n_a} and {n_b} keypoints, but they run from {index.min()} "
            f"to {index.max(axis=0).tolist()}"
        )
    return index
