"""Does an attention map lie on the objects? Three numbers, and three maps that know nothing.

Pointing game (Zhang et al., ECCV 2016): the share of pictures whose greatest value lies on an
object. AUC: the chance that an object's pixel has a greater value than a pixel of the rest.
Jaccard (DINO; Caron et al., ICCV 2021): the greatest values that hold 60 % of the mass, as a mask,
against the true mask: intersection over union.

Objects in the middle, or that merely stand out, are found without any learning. So three controls
stand beside each measurement: a uniform map, a centre prior, and the local contrast of colour.
Equal values count by halves (pointing by the share on an object), so the uniform map has AUC 0.5.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from scipy.stats import rankdata

from course_lib.blocks.images import to_rgb


class Overlap(NamedTuple):
    """Means over pictures, each from 0 to 1."""

    pointing: float
    auc: float
    jaccard: float


def overlap(maps: np.ndarray, masks: np.ndarray, mass: float = 0.6) -> Overlap:
    """Maps (N, h, w) of numbers ≥ 0, masks (N, H, W) bool, True on objects → Overlap.

    A map on a coarser grid is enlarged to the mask, each value a block, as DINO does. Raises
    ValueError if a mask is all objects or has none: then there is nothing to tell apart.
    """
    maps, masks = _check(maps, masks)
    if not 0 < mass < 1:
        raise ValueError(f"the mass must be between 0 and 1, but {mass} was given")
    maps = _enlarged(maps, masks.shape[1:]).reshape(len(maps), -1)
    masks = masks.reshape(len(masks), -1)
    is_peak = maps == maps.max(axis=1, keepdims=True)
    pointing = (is_peak & masks).sum(axis=1) / is_peak.sum(axis=1)
    attended = mass_mask(maps, mass)
    union = (attended | masks).sum(axis=1)
    jaccard = (attended & masks).sum(axis=1) / union
    return Overlap(float(pointing.mean()), float(_auc(maps, masks).mean()), float(jaccard.mean()))


def mass_mask(maps: np.ndarray, mass: float = 0.6) -> np.ndarray:
    """(N, P) ≥ 0 → (N, P) bool: the greatest values that together hold `mass` of each row's sum.

    All that equal the least value kept are kept too, so the order of pixels does not matter.
    """
    ascending = np.sort(maps, axis=1)
    below = np.cumsum(ascending, axis=1, dtype=np.float64)
    # As in DINO: dropped is what, summed from the least upwards, holds no more than the rest.
    kept = below > (1 - mass) * below[:, -1:]
    least = np.take_along_axis(ascending, kept.argmax(axis=1)[:, None], axis=1)
    return maps >= least


def controls(images: np.ndarray, masks: np.ndarray, mass: float = 0.6) -> dict[str, Overlap]:
    """uint8 (N, H, W, 3), masks (N, H, W) → the overlap of three maps that learned nothing."""
    contrast = colour_contrast(images)
    uniform, centre = np.ones_like(contrast), np.empty_like(contrast)
    centre[:] = centre_prior(contrast.shape[1:])
    maps = {"uniform": uniform, "centre": centre, "colour contrast": contrast}
    return {name: overlap(map_, masks, mass) for name, map_ in maps.items()}


def centre_prior(shape: tuple[int, int]) -> np.ndarray:
    """A Gaussian in the middle of (H, W), its deviation a quarter of each side → float32 (H, W)."""
    y, x = (np.linspace(-1, 1, side) if side > 1 else np.zeros(1) for side in shape)
    return np.exp(-2 * (y[:, None] ** 2 + x**2)).astype(np.float32)


def colour_contrast(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, 3) → float32 (N, H, W): how far a place's colour is from its surround's.

    The distance in CIE Lab of two Gaussian means, 1/32 and 1/4 of the shorter side wide: the
    centre–surround contrast of Itti, Koch and Niebur (PAMI 1998), at one scale.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or images.size == 0:
        raise ValueError(
            "pictures must be uint8 of shape (N, H, W, 3), "
            f"but {images.dtype} of shape {images.shape} was given"
        )
    contrast = np.empty(images.shape[:3], np.float32)
    side = min(images.shape[1:3])
    for image, out in zip(images, contrast, strict=True):
        lab = cv2.cvtColor(to_rgb(image).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
        here, around = (cv2.GaussianBlur(lab, (0, 0), max(side / part, 0.5)) for part in (32, 4))
        out[:] = np.linalg.norm(here - around, axis=2)
    return contrast


def _auc(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(N, P) twice → (N,): the Mann–Whitney statistic, from ranks that equal values share."""
    ranks = rankdata(maps, axis=1)
    inside = masks.sum(axis=1)
    above = (ranks * masks).sum(axis=1) - inside * (inside + 1) / 2
    return above / (inside * (masks.shape[1] - inside))


def _enlarged(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    y, x = ((np.arange(n) + 0.5) * m / n for n, m in zip(shape, maps.shape[1:], strict=True))
    return maps[:, y.astype(int)[:, None], x.astype(int)]


def _check(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    maps, masks = np.asarray(maps, np.float32), np.asarray(masks)
    if maps.ndim != 3 or 0 in maps.shape or masks.ndim != 3 or len(maps) != len(masks):
        raise ValueError(
            "maps (N, h, w) and masks (N, H, W) are expected, "
            f"but the shapes {maps.shape} and {masks.shape} were given"
        )
    if masks.dtype != bool:
        raise TypeError(f"masks must be bool, True on objects, but {masks.dtype} was given")
    if (np.array(maps.shape) > masks.shape).any():
        raise ValueError(
            "maps must not be finer than the masks, "
            f"but {maps.shape[1:]} and {masks.shape[1:]} were given"
        )
    if not np.isfinite(maps).all() or maps.min() < 0 or (maps.max(axis=(1, 2)) == 0).any():
        raise ValueError("maps must hold finite numbers from 0 upwards, and not only zeros")
    whole = masks.all(axis=(1, 2)) | ~masks.any(axis=(1, 2))
    if whole.any():
        what = "only objects" if masks[whole.argmax()].all() else "no object"
        raise ValueError(
            f"each mask must hold objects and rest, but mask {whole.argmax()} has {what}"
        )
    return maps, masks
