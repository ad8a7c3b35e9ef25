"""Is a keypoint found again after the picture has changed, and is it matched to itself?

Schmid, Mohr and Bauckhage, IJCV 2000; Mikolajczyk et al., IJCV 2005. It knows no method: it takes
callables. The more points there are, the oftener chance brings two together: so all methods keep
the same number, and the same number of random points is measured beside them.

H, distances and pairs are those of course_lib.evaluate.correspondence. Differs from 2005: a pair is
judged by its distance (as in 2000), on request also by its sizes, not by its regions' overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from course_lib.blocks.keypoints import Keypoints
from course_lib.data.perturb import PERTURBATIONS, Changed, zoom
from course_lib.evaluate.correspondence import (
    check_matches,
    correspondences,
    distances,
    inside,
    one_to_one,
    visible,
)

Match = Callable[[np.ndarray, np.ndarray], np.ndarray]  # descriptors a, b → index (M, 2)
# detect, or (detect_and_describe, match)
Method = Callable[[np.ndarray], Keypoints] | tuple[Callable, Match]


def repeatability(
    kp_a: Keypoints,
    kp_b: Keypoints,
    H: np.ndarray,
    shape: Sequence[int],
    tolerance: float = 3.0,
    *,
    shape_b: Sequence[int] | None = None,
    size_ratio: float | None = None,
) -> float:
    """Share of the keypoints that are found again, 0 to 1.

    Pairs one to one in the part that both pictures show, over the smaller number of keypoints
    there; 0 where either picture has none there.
    """
    seen_a, seen_b = visible(kp_a, kp_b, H, shape, shape_b)
    few = min(seen_a.sum(), seen_b.sum())
    found = correspondences(kp_a[seen_a], kp_b[seen_b], H, tolerance, size_ratio)
    return float(len(found) / few) if few else 0.0


def right_matches(
    kp_a: Keypoints, kp_b: Keypoints, index: np.ndarray, H: np.ndarray, tolerance: float = 3.0
) -> np.ndarray:
    """Matches (M, 2) → bool (M,): do the two keypoints lie within `tolerance` of the same place?"""
    index = check_matches(index, len(kp_a), len(kp_b))
    return distances(kp_a, kp_b, index, H) <= tolerance


def matching_score(
    kp_a: Keypoints,
    kp_b: Keypoints,
    index: np.ndarray,
    H: np.ndarray,
    shape: Sequence[int],
    tolerance: float = 3.0,
    *,
    shape_b: Sequence[int] | None = None,
) -> float:
    """Share of the keypoints that are matched, and rightly, 0 to 1.

    Right matches among `index` (M, 2), over the smaller number of keypoints in the part that both
    pictures show; 0 where either has none there. A keypoint counts once, however often matched.
    """
    index = check_matches(index, len(kp_a), len(kp_b))
    seen_a, seen_b = visible(kp_a, kp_b, H, shape, shape_b)
    index = index[seen_a[index[:, 0]] & seen_b[index[:, 1]]]
    distance = distances(kp_a, kp_b, index, H)
    right = distance <= tolerance
    few = min(seen_a.sum(), seen_b.sum())
    found = one_to_one(index[right], distance[right]).sum()
    return float(found / few) if few else 0.0


def random_keypoints(n: int, shape: Sequence[int], seed: int | tuple[int, ...] = 0) -> Keypoints:
    """The control: `n` keypoints evenly at random over a picture of (height, width, …)."""
    rng = np.random.default_rng(seed)
    height, width = shape[:2]
    xy = rng.random((n, 2)) * (width, height) - 0.5
    return Keypoints.at(xy, response=rng.random(n))


@dataclass(frozen=True)
class Curve:
    """What `curve` measured at L levels; each array is (L,), each dictionary goes by method.

    axis, xlabel   what stands under a figure
    repeatability  share of the keypoints found again
    matching       matching score, of the methods that brought a `match`
    count          keypoints compared: the smaller number of the two pictures. Show it beside a
                   share: 1.0 of 3 keypoints is no success
    chance         repeatability of random points, as many as the method with most keypoints has
    """

    axis: np.ndarray
    xlabel: str
    repeatability: dict[str, np.ndarray]
    matching: dict[str, np.ndarray]
    count: dict[str, np.ndarray]
    chance: np.ndarray


def curve(
    image: np.ndarray,
    methods: Mapping[str, Method],
    perturbation: str | Callable[..., Changed],
    levels: Sequence[float] | None = None,
    n: int = 500,
    tolerance: float = 3.0,
    seed: int = 0,
) -> Curve:
    """Measure {name: detect} or {name: (detect_and_describe, match)} along one perturbation.

    `perturbation` is a name of PERTURBATIONS, or a function (image, level) → (picture, H) with its
    `levels`. Both pictures keep the `n` strongest keypoints of the part that both show, before
    they are matched. The same arguments give the same numbers.
    """
    change, axis, levels, xlabel = _axis(perturbation, levels)
    if n < 1 or not methods:
        raise ValueError(f"n and the number of methods must be positive, not {n}, {len(methods)}")
    before = {name: _features(method, image) for name, method in methods.items()}
    found = {name: np.zeros((3, len(levels))) for name in methods}  # the 3 rows of _compare
    chance = np.zeros(len(levels))
    for i, level in enumerate(levels):
        picture, H = change(image, level)
        shapes = np.shape(image), picture.shape
        same = np.array_equal(picture, image)
        for name, method in methods.items():
            after = before[name] if same else _features(method, picture)
            match = method[1] if isinstance(method, tuple) else None
            found[name][:, i] = _compare(before[name], after, match, H, shapes, n, tolerance)
        most = int(max(values[2, i] for values in found.values()))
        chance[i] = _chance(H, shapes, most, tolerance, (seed, i))
    matched = [name for name, method in methods.items() if isinstance(method, tuple)]
    return Curve(
        np.asarray(axis, float),
        xlabel,
        {name: values[0] for name, values in found.items()},
        {name: found[name][1] for name in matched},
        {name: values[2].astype(int) for name, values in found.items()},
        chance,
    )


def standard_curves(
    image: np.ndarray,
    methods: Mapping[str, Method],
    long_side: int = 512,
    n: int = 500,
    tolerance: float = 3.0,
    seed: int = 0,
) -> dict[str, Curve]:
    """`curve` for each of PERTURBATIONS → {name: Curve}; a long picture is first shrunk."""
    longest = max(np.shape(image)[:2], default=0)
    if longest > long_side:
        image, _ = zoom(image, long_side / longest)
    return {
        name: curve(image, methods, name, n=n, tolerance=tolerance, seed=seed)
        for name in PERTURBATIONS
    }


def _axis(perturbation: str | Callable, levels: Sequence[float] | None) -> tuple:
    """→ function, what the figure shows (L,), levels (L,), xlabel."""
    if callable(perturbation):
        if levels is None:
            raise ValueError("a function of your own needs its levels, but None was given")
        return perturbation, levels, levels, getattr(perturbation, "__name__", "level")
    if perturbation not in PERTURBATIONS:
        raise ValueError(
            f"there is no perturbation {perturbation!r}; there are: {', '.join(PERTURBATIONS)}"
        )
    standard = PERTURBATIONS[perturbation]
    if levels is not None:
        standard = standard._replace(levels=tuple(levels))
    return standard.function, standard.axis, standard.levels, standard.xlabel


def _features(method: Method, image: np.ndarray) -> tuple[Keypoints, np.ndarray | None]:
    found = method[0](image) if isinstance(method, tuple) else method(image)
    return found if isinstance(found, tuple) else (found, None)


def _compare(before, after, match, H, shapes, n, tolerance) -> tuple[float, float, int]:
    """Features of both pictures → repeatability, matching score, number of keypoints compared."""
    (kp_a, des_a), (kp_b, des_b) = before, after
    seen = visible(kp_a, kp_b, H, *shapes)
    a, b = (
        np.flatnonzero(mask)[np.argsort(-kp.response[mask], kind="stable")[:n]]
        for kp, mask in zip((kp_a, kp_b), seen, strict=True)
    )
    kp_a, kp_b, few = kp_a[a], kp_b[b], min(len(a), len(b))
    if few == 0:
        return 0.0, 0.0, 0
    score = 0.0
    if match is not None:
        index = match(des_a[a], des_b[b])
        score = matching_score(kp_a, kp_b, index, H, shapes[0], tolerance, shape_b=shapes[1])
    return repeatability(kp_a, kp_b, H, shapes[0], tolerance, shape_b=shapes[1]), score, few


def _chance(H, shapes, n: int, tolerance: float, seed: tuple[int, ...], draws: int = 5) -> float:
    """Repeatability of `n` random points, the mean of some draws."""
    total = 0.0
    for draw in range(draws):
        # Ten times as many, so that enough of them fall into the part that both pictures show.
        a, b = (
            (random_keypoints(10 * n, shape, (*seed, draw, k)), None)
            for k, shape in enumerate(shapes)
        )
        total += _compare(a, b, None, H, shapes, n, tolerance)[0]
    return total / draws


class StereoVerdict(NamedTuple):
    """Matches (M,) bool: `right`, and `measured` (False: the scene's depth is unknown there)."""

    right: np.ndarray
    measured: np.ndarray


def stereo_correct(
    kp_left: Keypoints | np.ndarray,
    kp_right: Keypoints | np.ndarray,
    matches: np.ndarray,
    disparity: np.ndarray,
    row_tol: float = 1.0,
    disparity_tol: float = 1.5,
) -> StereoVerdict:
    """Judge matches (M, 2) on a rectified pair by its measured disparity (H, W), NaN = unmeasured.

    Left (x, y) is right if matched to (x − disparity, y), within `disparity_tol` and `row_tol`
    pixels. The share of right ones is `right.sum() / measured.sum()`. Takes Keypoints or xy (N, 2).
    """
    left, right = (Keypoints.at(getattr(k, "xy", k)).xy for k in (kp_left, kp_right))
    index = check_matches(matches, len(left), len(right))
    if disparity.ndim != 2:
        raise ValueError(f"the disparity must have shape (H, W), but it has {disparity.shape}")
    left, right = left[index[:, 0]], right[index[:, 1]]
    # The nearest pixel's: between an object's edge and what lies behind, a mean belongs to neither.
    x, y = np.rint(left).astype(int).T
    on = inside(left, disparity.shape)
    d = np.full(len(index), np.nan)
    d[on] = disparity[y[on], x[on]]
    measured = np.isfinite(d)
    across = np.abs(left[:, 0] - np.where(measured, d, 0) - right[:, 0])
    rows = np.abs(left[:, 1] - right[:, 1])
    return StereoVerdict(measured & (across <= disparity_tol) & (rows <= row_tol), measured)
