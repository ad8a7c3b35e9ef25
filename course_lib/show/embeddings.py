"""Features as a map, and what looks alike: how a representation sorts its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from course_lib.blocks.images import to_rgb
from course_lib.show.images import Picture, figure, new_figure
from course_lib.show.palette import MARKERS, PALETTE
from course_lib.show.tiles import shrink

if TYPE_CHECKING:
    from matplotlib.axes import Axes

THUMBNAIL = 0.42  # inches, the longest side
NUMBERS = 8  # with so many pictures or fewer, similarities are also written as numbers


def principal_axes(points: np.ndarray, k: int) -> np.ndarray:
    """(N, D) → (D, k) float64, orthonormal: the directions of greatest variance, greatest first.

    An axis points to where its long tail is (third moment ≥ 0): where a few differ from the many,
    the few are on the positive side, and the picture does not flip from one run to the next.
    Directions that the points do not have are zeros.
    """
    points = _checked(points)
    centred = points - points.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:k].T
    variance = ((centred @ axes) ** 2).sum(axis=0)
    axes = axes * (variance > 1e-10 * (points**2).sum())
    axes = axes * np.where(((centred @ axes) ** 3).sum(axis=0) < 0, -1, 1)
    return np.pad(axes, ((0, 0), (0, k - axes.shape[1])))


def scatter(
    features: np.ndarray,
    labels: Sequence | np.ndarray,
    *,
    images: Sequence[np.ndarray] | None = None,
    title: str = "",
    alt: str,
) -> Picture:
    """Features (N, D) on their two principal axes, a marker and a colour for each of ≤ 64 labels.

    With `images` (N pictures) each is its own marker, framed in the colour of its label.
    """
    features, labels = _checked(features), np.asarray(labels)
    if labels.shape != (len(features),):
        raise ValueError(
            f"labels must have shape ({len(features)},), but the shape {labels.shape} was given"
        )
    if images is not None and len(images) != len(features):
        raise ValueError(f"{len(features)} features need as many pictures, but got {len(images)}")
    names = np.unique(labels)
    if len(names) > 64:
        raise ValueError(f"at most 64 labels can be told apart, but {len(names)} were given")
    xy = (features - features.mean(axis=0)) @ principal_axes(features, 2)
    total = ((features - features.mean(axis=0)) ** 2).sum()
    fig = new_figure(7.0, 5.0)
    ax = fig.subplots()
    for i, name in enumerate(names):
        here = labels == name
        colour, marker = marker_of(i)
        ax.plot(*xy[here].T, marker, color=colour, label=str(name), alpha=0.8, clip_on=False)
        if images is not None:
            for j in np.flatnonzero(here):
                _thumbnail(ax, xy[j], images[j], colour)
    ax.margins(0.05 if images is None else 0.1)
    share = (xy**2).sum(axis=0) / total if total > 0 else np.zeros(2)
    ax.set(title=title, xticks=[], yticks=[])
    ax.set_xlabel(f"first principal axis, {share[0]:.0%} of the variance")
    ax.set_ylabel(f"second, {share[1]:.0%}")
    fig.legend(loc="outside right upper", ncols=1 + len(names) // 20)
    return figure(fig, alt=alt)


def marker_of(i: int) -> tuple[str, str]:
    """The i-th of 64 pairs of colour and marker; within eight, both differ."""
    inks = list(PALETTE.values())
    return inks[i % len(inks)], MARKERS[(i + i // len(MARKERS)) % len(MARKERS)]


def similarities(
    matrices: Mapping[str, np.ndarray], images: Sequence[np.ndarray], *, alt: str
) -> Picture:
    """{title: (N, N) similarities} of N pictures, side by side, with the pictures at the borders.

    Each matrix has its own scale, from its least to its greatest entry beside the diagonal, since
    one encoder's 0.9 may be another's 0.1. Up to eight pictures the numbers stand in the cells.
    """
    N = len(images)
    if N < 2 or not matrices:
        raise ValueError(
            "at least two pictures and one matrix are expected, "
            f"but {N} and {len(matrices)} were given"
        )
    for title, matrix in matrices.items():
        if np.shape(matrix) != (N, N) or not np.isfinite(matrix).all():
            raise ValueError(
                f"{title} must be a matrix of finite numbers of shape ({N}, {N}), one row a "
                f"picture, but the shape {np.shape(matrix)} was given, or NaN"
            )
    side = min(4.0, 9.0 / len(matrices))
    fig = new_figure(side * len(matrices), side + 0.3)
    axes = fig.subplots(1, len(matrices), squeeze=False)[0]
    small = [shrink(image, 96) for image in images]
    for ax, (title, matrix) in zip(axes, matrices.items(), strict=True):
        _matrix(ax, np.asarray(matrix, float), small, title)
    return figure(fig, alt=alt)


def _matrix(ax: Axes, matrix: np.ndarray, images: Sequence[np.ndarray], title: str) -> None:
    N = len(matrix)
    beside = matrix[~np.eye(N, dtype=bool)]
    low, high = beside.min(), max(beside.max(), beside.min() + 1e-9)
    ax.imshow(matrix, vmin=low, vmax=high, cmap="viridis", interpolation="nearest")
    for i, image in enumerate(images):
        for x, y in ((-1.05, i), (i, -1.05)):
            ax.imshow(image, extent=(x - 0.46, x + 0.46, y + 0.46, y - 0.46))
    ax.set(xlim=(-1.55, N - 0.5), ylim=(N - 0.5, -1.55), title=title)
    ax.set_axis_off()
    if N <= NUMBERS:
        for (i, j), value in np.ndenumerate(matrix):
            ink = "black" if value > (low + high) / 2 else "white"
            place = {"ha": "center", "va": "center", "fontsize": 8}
            ax.text(j, i, f"{value:.2f}", color=ink, **place)


def _thumbnail(ax: Axes, xy: np.ndarray, image: np.ndarray, colour: str) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    small = shrink(to_rgb(image), 96)
    zoom = THUMBNAIL * 72 / max(small.shape[:2])
    frame = {"edgecolor": colour, "linewidth": 1.5}
    ax.add_artist(AnnotationBbox(OffsetImage(small, zoom=zoom), xy, pad=0.1, bboxprops=frame))


def _checked(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2 or not np.isfinite(features).all():
        raise ValueError(
            "features must be finite and of shape (N, D), with at least two rows, "
            f"but the shape {features.shape} was given, or NaN"
        )
    return features
