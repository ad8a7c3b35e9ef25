"""BRIEF: 256 yes-or-no questions about a patch, compared by counting the answers that differ.

Calonder, Lepetit, Strecha, Fua: BRIEF: Binary Robust Independent Elementary Features, ECCV 2010.
Rublee, Rabaud, Konolige, Bradski: ORB: an efficient alternative to SIFT or SURF, ICCV 2011.
Rosten, Drummond: Machine learning for high-speed corner detection, ECCV 2006 (FAST).
Idea: ask of 256 fixed pairs of points "is the first darker than the second?"; the 32 bytes of
answers are the descriptor, and XOR and a bit count compare two of them. Nothing in it turns with
the picture, so ORB turns the pairs by the angle from the corner to its centroid of intensity.

Lesson     notebooks/03_brief.ipynb
Reference  skimage.feature.BRIEF, every bit; cv2.FastFeatureDetector, every corner
Recipe     Calonder: pairs from an isotropic Gaussian of variance S²/25 in an S×S patch ("G II"),
           9×9 Gaussian smoothing of σ = 2; 128, 256 or 512 bits. Rublee: FAST-9 ranked by Harris,
           disc of radius 15, angle = atan2(m01, m10), patch of 31, 256 learned pairs.
Differs
  * σ = 1 (over 9×9) and S = 49, as in scikit-image; both are arguments.
  * BRIEF has no detector of its own (the paper takes SURF's); here it is ORB's, at one scale.
  * Oriented: Gaussian, not ORB's learned pairs; no pyramid; the angle not rounded to 12° steps.
  * FAST finds its arc by minimum and maximum, not by a learned decision tree: the same corners.
  * Keypoints whose pairs leave the picture: `detect_and_describe` drops, `describe` refuses them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from course_lib.blocks.images import to_gray
from course_lib.blocks.keypoints import Keypoints, checked

# FAST's 16 pixels on a circle of radius 3, as (x, y) offsets, clockwise from the top.
QUARTER = np.array([(0, -3), (1, -3), (2, -2), (3, -1)])
CIRCLE = np.concatenate([QUARTER @ np.linalg.matrix_power([[0, 1], [-1, 0]], k) for k in range(4)])


@dataclass(frozen=True)
class Config:
    threshold: float = 20.0  # FAST: grey levels (of 255) by which nine pixels in a row must differ
    keypoints: int = 1000  # how many are kept, by Harris measure
    radius: int = 15  # pixels: the disc whose centroid gives the angle
    sigma: float = 1.0  # pixels: smoothing before the questions are asked


def fast_score(image: np.ndarray, threshold: float = 20.0) -> np.ndarray:
    """Picture → (H, W) float32: by what margin a pixel is a FAST-9 corner, 0 where it is none.

    A corner has nine neighbours in a row on the circle all brighter, or all darker, than itself by
    more than `threshold`; the margin is the least of the best nine's differences.
    """
    gray = to_gray(image)
    score = np.zeros_like(gray)
    bottom = len(gray) - 3 if gray.shape[1] >= 7 else 0  # else no room for a circle
    for top in range(3, bottom, 64):  # in strips, for memory
        strip = gray[top - 3 : top + 67]
        score[top : top + len(strip) - 6, 3:-3] = _margins(strip, threshold)
    return score


def _margins(gray: np.ndarray, threshold: float) -> np.ndarray:
    """Grey (H, W) → FAST's margins (H − 6, W − 6), of the pixels whose circle fits in."""
    H, W = gray.shape
    inner = gray[3:-3, 3:-3]
    # Nine in a row cover at least two of the four compass points: a cheap test most pixels fail.
    compass = [gray[3 + y : H - 3 + y, 3 + x : W - 3 + x] - inner for x, y in CIRCLE[::4]]
    brighter, darker = (np.sum([s * c > threshold for c in compass], 0) >= 2 for s in (1, -1))
    y, x = np.nonzero(brighter | darker)
    ring = np.stack([gray[y + 3 + v, x + 3 + u] for u, v in CIRCLE]) - inner[y, x]
    ring = np.stack([ring, -ring], axis=1)  # (16, 2, M)
    two = np.minimum(ring, np.roll(ring, -1, axis=0))  # the least of every two in a row, …
    four = np.minimum(two, np.roll(two, -2, axis=0))
    eight = np.minimum(four, np.roll(four, -4, axis=0))
    nine = np.minimum(eight, np.roll(ring, -8, axis=0)).max(axis=(0, 1))
    margins = np.zeros_like(inner)
    margins[y, x] = np.where(nine > threshold, nine, 0)
    return margins


def local_maxima(score: np.ndarray) -> np.ndarray:
    """Scores (H, W), zero at the border → (N, 2) (x, y) of those above all eight neighbours."""
    W = score.shape[1]
    place, value = np.flatnonzero(score), score.ravel()
    around = [y * W + x for y in (-1, 0, 1) for x in (-1, 0, 1) if (x, y) != (0, 0)]
    place = place[np.all([value[place] > value[place + step] for step in around], axis=0)]
    return np.stack([place % W, place // W], axis=1)


def harris(image: np.ndarray, window: int = 7, k: float = 0.04) -> np.ndarray:
    """Picture → (H, W) float32: det M − k·(trace M)², M the mean of the gradient's outer product.

    Great where the brightness changes in both directions, negative along an edge.
    """
    gray = to_gray(image)
    slope, across = np.array([-0.5, 0, 0.5]), np.array([0.25, 0.5, 0.25])
    mean = np.full(window, 1 / window)
    dx = cv2.sepFilter2D(gray, cv2.CV_32F, slope, across)
    dy = cv2.sepFilter2D(gray, cv2.CV_32F, across, slope)
    a, b, c = (cv2.sepFilter2D(p, cv2.CV_32F, mean, mean) for p in (dx * dx, dy * dy, dx * dy))
    return a * b - c * c - np.float32(k) * (a + b) ** 2


def intensity_centroid(image: np.ndarray, xy: np.ndarray, radius: int = 15) -> np.ndarray:
    """Picture, positions (N, 2) → (N,) float32: angles in [0, 2π) to the centroid of intensity.

    Over a disc around the nearest pixel, m10 = Σ x·I, m01 = Σ y·I, angle = atan2(m01, m10)
    (Rublee, §3.2); the picture's edge is repeated beyond its border. A flat disc gives 0.
    """
    gray, xy = to_gray(image), Keypoints.at(xy).xy
    corner, turn = np.array(gray.shape[::-1]) - 1, np.float32(2 * np.pi)
    side = np.arange(-radius, radius + 1)
    disc = np.argwhere(side[:, None] ** 2 + side**2 <= (radius + 0.5) ** 2) - radius
    moments = np.zeros((len(xy), 2), np.float32)
    for start in range(0, len(xy), 256):  # in blocks, for memory
        pixels = np.rint(xy[start : start + 256, None]).astype(np.int64) + disc
        place = np.clip(pixels, 0, corner) @ (1, gray.shape[1])
        moments[start : start + 256] = gray.ravel()[place] @ disc.astype(np.float32)
    return np.arctan2(moments[:, 1], moments[:, 0]) % turn % turn  # twice: −1e-9 rounds up to 2π


def detect(image: np.ndarray, config: Config = Config()) -> Keypoints:
    """Picture → its FAST corners, of greatest Harris measure first; the angle is the centroid's."""
    xy = local_maxima(fast_score(image, config.threshold))
    strength = harris(image)[xy[:, 1], xy[:, 0]]
    best = Keypoints.at(xy, response=strength).strongest(config.keypoints)
    angle = intensity_centroid(image, best.xy, config.radius)
    return Keypoints.at(best.xy, 2 * config.radius + 1, angle, best.response)


def gaussian_pattern(seed: int = 1, patch: int = 49, bits: int = 256) -> np.ndarray:
    """→ (bits, 2, 2) int64: pairs of (x, y) offsets inside the patch, Gaussian, σ = patch / 5."""
    if patch < 3 or bits < 8 or bits % 8:
        raise ValueError(f"a pattern needs patch ≥ 3, bits 8, 16, 24, …, but got {patch}, {bits}")
    rng = np.random.default_rng(seed)
    pattern = np.zeros((bits, 2, 2), np.int64)
    redraw = np.ones(bits, bool)
    while redraw.any():  # what left the patch, and points paired with themselves: no question
        pattern[redraw] = np.rint(rng.normal(0, patch / 5, (redraw.sum(), 2, 2)))
        redraw = (abs(pattern) > patch // 2).any((1, 2)) | (pattern[:, 0] == pattern[:, 1]).all(1)
    return pattern


def steer(pattern: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Pattern (bits, 2, 2), angles (N,) → (N, bits, 2, 2) int64: turned, rounded to pixels."""
    cos, sin = np.cos(angle, dtype=np.float64), np.sin(angle, dtype=np.float64)
    turn = np.moveaxis(np.array([[cos, sin], [-sin, cos]]), 2, 0)  # (N, 2, 2), for row vectors
    return np.rint(pattern @ turn[:, None]).astype(np.int64)


def smooth(gray: np.ndarray, sigma: float) -> np.ndarray:
    """Grey (H, W), 0 to 255 → float64 (H, W), 0 to 1: Gaussian over ±4σ, mirrored at the border.

    Where two points are equal, the last bit of these sums answers the question, so the order of
    additions is part of the definition: down, then across, outermost neighbours first (scipy's).
    """
    radius = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * np.arange(-radius, radius + 1) ** 2 / max(sigma, 1e-6) ** 2)
    kernel /= kernel.sum()
    down, across = (np.pad(np.arange(n), radius, mode="symmetric") for n in gray.shape)
    out, margin = np.empty(gray.shape), np.zeros(2 * radius)
    rows = max(8, 24_000 // len(across))  # in bands of 200 kB, which stay in the cache
    for top in range(0, len(out), rows):
        band = gray[down[top : top + rows + 2 * radius]] * np.float64(1 / 255)
        band = _fold(band, kernel).take(across, axis=1)
        # Across as one long row, again for speed: sums that mix two rows fall into the margin.
        band = np.append(_fold(band.ravel(), kernel), margin).reshape(band.shape)
        out[top : top + rows] = band[:, : out.shape[1]]
    return out


def _fold(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(n + 2r, …), symmetric kernel (2r + 1,) → (n, …): filtered along the first axis."""
    r, n = len(kernel) // 2, len(values) - len(kernel) + 1
    total = values[r : r + n] * kernel[r]
    for j in range(r):
        pair = values[j : j + n] + values[2 * r - j : 2 * r - j + n]
        pair *= kernel[j]
        total += pair
    return total


def inside(
    shape: tuple[int, ...], keypoints: Keypoints, pattern: np.ndarray, oriented: bool = False
) -> np.ndarray:
    """Picture's shape, N keypoints → (N,) bool: do all their questions stay inside the picture?

    The oriented form needs room at every angle, so that a turned picture keeps the same ones.
    """
    reach = np.ceil(np.linalg.norm(pattern, axis=-1).max())
    low, high = (-reach, reach) if oriented else (pattern.min((0, 1)), pattern.max((0, 1)))
    xy = np.rint(checked(keypoints).xy)
    return ((xy + low >= 0) & (xy + high < (shape[1], shape[0]))).all(axis=1)


def describe(
    image: np.ndarray,
    keypoints: Keypoints,
    pattern: np.ndarray,
    oriented: bool = False,
    config: Config = Config(),
) -> np.ndarray:
    """Picture, N keypoints, pattern (bits, 2, 2) → (N, bits / 8) uint8, first question highest.

    A bit is 1 where the smoothed picture is darker at the pair's first point than at its second.
    `oriented` turns the pattern by each keypoint's angle. ValueError if it leaves the picture.
    """
    gray = to_gray(image)
    if pattern.shape[1:] != (2, 2) or pattern.dtype.kind != "i" or len(pattern) % 8:
        got = f"{pattern.dtype.name} {pattern.shape}"
        raise ValueError(f"a pattern must be whole numbers, (8n, 2, 2), but {got} was given")
    outside = (~inside(gray.shape, keypoints, pattern, oriented)).sum()
    if outside:
        what = f"{outside} of {len(keypoints)} keypoints lie too near the border for this pattern"
        raise ValueError(f"{what}; keep those for which brief.inside(...) is true")
    smoothed, step = smooth(gray, config.sigma).ravel(), (1, gray.shape[1])
    place = np.rint(keypoints.xy).astype(np.int64) @ step
    descriptors = np.zeros((len(place), len(pattern) // 8), np.uint8)
    for start in range(0, len(place), 64):  # in blocks that stay in the cache
        block = slice(start, start + 64)
        pairs = steer(pattern, keypoints.angle[block]) if oriented else pattern
        # mode="wrap" only skips the check of bounds, which `inside` has made.
        first, second = (
            smoothed.take(place[block, None] + pairs[..., i, :] @ step, mode="wrap") for i in (0, 1)
        )
        descriptors[block] = np.packbits(first < second, axis=1)
    return descriptors


def detect_and_describe(
    image: np.ndarray,
    config: Config = Config(),
    pattern: np.ndarray | None = None,
    oriented: bool = False,
) -> tuple[Keypoints, np.ndarray]:
    """Picture → (N keypoints, (N, bits / 8) uint8); corners too near the border are left out."""
    pattern = gaussian_pattern() if pattern is None else pattern
    keypoints = detect(image, config)
    keypoints = keypoints[inside(image.shape, keypoints, pattern, oriented)]
    return keypoints, describe(image, keypoints, pattern, oriented, config)


def hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Packed bits (N, bytes), (M, bytes) uint8 → (N, M) uint16: in how many bits a pair differs."""
    if not (a.dtype == b.dtype == np.uint8 and a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1]):
        got = f"{a.dtype.name} {a.shape} and {b.dtype.name} {b.shape}"
        raise ValueError(f"Hamming distance needs uint8 (N, bytes) and (M, bytes), but got {got}")
    fill = [(0, 0), (0, -a.shape[1] % 8)]  # zeros, to whole words of 64 bits
    a, b = np.pad(a, fill).view(np.uint64), np.pad(b, fill).view(np.uint64)
    words = (np.bitwise_count(x[:, None] ^ y) for x, y in zip(a.T, b.T, strict=True))
    return sum(words, np.zeros((len(a), len(b)), np.uint16))
