"""What a network looks at, laid over the picture; and its tokens as colours, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from course_lib.blocks.images import to_rgb
from course_lib.show.embeddings import principal_axes
from course_lib.show.palette import heat
from course_lib.show.tiles import fitted


def heat_over(
    image: np.ndarray,
    weights: np.ndarray,
    *,
    width: int | None = None,
    opacity: float = 0.6,
    smooth: bool = True,
    high: float | None = None,
) -> np.ndarray:
    """A picture, weights (h, w) ≥ 0 of a grid over it → uint8 RGB: the picture under a heat map.

    From 0 (dark) to `high` (bright; by default the greatest weight): with a fixed `high` pictures
    under a slider can be compared. `width` scales the drawing; not `smooth` shows each patch.
    """
    image, weights = to_rgb(image), np.asarray(weights, np.float32)
    if weights.ndim != 2 or weights.size == 0 or not np.isfinite(weights).all():
        raise ValueError(
            "weights must be finite and of shape (h, w), "
            f"but the shape {weights.shape} was given, or NaN"
        )
    if weights.min() < 0 or not 0 <= opacity <= 1:
        raise ValueError(
            "weights must be 0 or more and the opacity from 0 to 1, "
            f"but {weights.min():.3g} and {opacity} were given"
        )
    canvas = fitted(image, 1 if width is None else width / image.shape[1])
    high = float(weights.max()) if high is None else high
    how = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
    colours = heat(cv2.resize(weights, canvas.shape[1::-1], interpolation=how), 0, high)
    return cv2.addWeighted(colours, opacity, canvas, 1 - opacity, 0)


@dataclass(frozen=True, eq=False)
class ColourBasis:
    """How tokens become colours: one set of axes for all layers, each layer brought to one size."""

    mean: np.ndarray  # (L, 1, D)
    scale: np.ndarray  # (L, 1, 1) root mean square distance of a layer's tokens from their mean
    axes: np.ndarray  # (D, 3)
    low: np.ndarray  # (3,) place on each axis that is black: the 1st percentile, or below
    high: np.ndarray  # (3,) place that is full colour: the 99th percentile, or above


def colour_basis(tokens: np.ndarray) -> ColourBasis:
    """Tokens (N, D), or of L layers (L, N, D) → the basis in which they differ most.

    Layers are centred and scaled one by one, or the last, whose tokens are longest, would rule. No
    axis is stretched more than ten times as far as the widest: else noise would have colours.
    """
    tokens = _layers(tokens)
    L, N, D = tokens.shape
    mean = tokens.mean(axis=1, keepdims=True)
    spread = np.sqrt(((tokens - mean) ** 2).sum(axis=2).mean(axis=1))[:, None, None]
    size = np.sqrt((tokens**2).sum(axis=2).mean(axis=1))[:, None, None]
    scale = np.where(spread > 1e-6 * size, spread, np.inf)  # tokens all alike: one grey
    points = ((tokens - mean) / scale).reshape(L * N, D)
    axes = principal_axes(points, 3)
    low, high = np.percentile(points @ axes, (1, 99), axis=0)
    half = np.maximum(high - low, (high - low).max() / 10) / 2
    middle = (low + high) / 2
    return ColourBasis(mean, scale, axes, middle - half, middle + half)


def tokens_as_colours(
    tokens: np.ndarray, grid: tuple[int, int], basis: ColourBasis | None = None
) -> np.ndarray:
    """Patch tokens (N, D) or (L, N, D) of a grid (h, w) → uint8 (h, w, 3) or (L, h, w, 3).

    Red, green and blue are the three principal axes: like tokens get like colours, within a layer
    and between layers. Pictures under a slider keep their colours if all are given one `basis`.
    """
    layers, (h, w) = _layers(tokens), grid
    if layers.shape[1] != h * w:
        raise ValueError(
            f"a grid of {h} × {w} needs {h * w} tokens, but {layers.shape[1]} were given; "
            "class token and registers have no place in it"
        )
    basis = colour_basis(layers) if basis is None else basis
    L, _, D = basis.mean.shape
    if (len(layers), layers.shape[2]) != (L, D):
        raise ValueError(
            f"the basis is for {L} layers of width {D}, "
            f"but {len(layers)} of width {layers.shape[2]} were given"
        )
    on_axes = (layers - basis.mean) / basis.scale @ basis.axes
    span = basis.high - basis.low
    share = np.where(span > 1e-9, (on_axes - basis.low) / np.where(span > 1e-9, span, 1), 0.5)
    colours = np.rint(share.clip(0, 1) * 255).astype(np.uint8).reshape(-1, h, w, 3)
    return colours if np.ndim(tokens) == 3 else colours[0]


def _layers(tokens: np.ndarray) -> np.ndarray:
    layers = np.asarray(tokens, np.float64)
    if layers.ndim not in (2, 3) or layers.shape[-2] < 2 or not np.isfinite(layers).all():
        raise ValueError(
            "tokens must be finite and of shape (N, D) or (L, N, D), with N at least 2, "
            f"but the shape {layers.shape} was given, or NaN"
        )
    return layers.reshape(-1, *layers.shape[-2:])
