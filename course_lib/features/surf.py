"""SURF: blobs found with box filters, described by sums of gradients.

H. Bay, T. Tuytelaars, L. Van Gool, "SURF: Speeded Up Robust Features", ECCV 2006; and with A. Ess,
"Speeded-Up Robust Features (SURF)", CVIU 110(3), 2008, whose sections are cited below.
Box filters of growing size on one integral image (box_filters.py) find blobs of every size without
blurring the picture; each is described by sums of gradients in 4×4 cells, turned upright.
Lesson: notebooks/02_surf.ipynb. References: mahotas; OpenCV 4.12 (tests/golden/surf, from a build
with its non-free switch; its wheels raise error −213: "This algorithm is patented and …").

Differs from the paper, as OpenCV does: filter sizes (9 + 6·layer)·2^octave (9, 15, 21, 27; 15, 27,
39, 51; …); corners of boxes scaled from 9×9 and rounded (from 21 on, Dxx has longer boxes); boxes
divided by their own area (the filter's), which weighs Dxy² by 25/9 more in the determinant; size
rounded; orientation weighted by sigma 2.5s (2s), windows of 59° every 5°; gradients taken from a
resampled 21×21 window (Haar wavelets); upright turns by 270° (0°).
Differs from OpenCV: windows keep fractions (whole grey levels, if upright pixels too) and repeat
the edge of the picture (nearest pixel); arctan2 (a polynomial); equal responses in raster order (by
size first); `describe` keeps the angles it gets (finds them anew) and refuses sizes that cannot be
(drops them); grey levels finer than 8 bits count.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from course_lib.blocks.images import to_gray
from course_lib.blocks.keypoints import Keypoints, checked
from course_lib.features.box_filters import CHUNK, haar_gradients, hessian_response, integral

UPRIGHT = np.float32(np.radians(270))


@dataclass(frozen=True)
class Config:
    """OpenCV's parameters and, but for the threshold (there 100), its defaults."""

    threshold: float = 400.0  # least determinant of the Hessian, for grey levels 0 to 255
    octaves: int = 4
    layers: int = 3  # filter sizes per octave in which a maximum may lie; two more enclose them
    upright: bool = False  # no orientation: quicker, for a camera that is never turned
    extended: bool = False  # 128 numbers instead of 64

    def __post_init__(self) -> None:
        if self.octaves < 1 or self.layers < 1 or not self.threshold >= 0:
            raise ValueError(f"octaves and layers must be ≥ 1, threshold ≥ 0, but got {self}")


def detect(image: np.ndarray, config: Config = Config()) -> Keypoints:
    """A picture → keypoints with angles, strongest first; none if it is flat or below 9 pixels."""
    sums = integral(to_gray(image))
    octaves = [find_blobs(sums, octave, config) for octave in range(config.octaves)]
    columns = ([vars(found)[name] for found in octaves] for name in vars(octaves[0]))
    keypoints = Keypoints(*map(np.concatenate, columns))
    keypoints = keypoints.strongest(len(keypoints))
    angle = np.full(len(keypoints), UPRIGHT) if config.upright else dominant_angles(sums, keypoints)
    return replace(keypoints, angle=angle)


def find_blobs(sums: np.ndarray, octave: int, config: Config) -> Keypoints:
    """Integral (H+1, W+1) → one octave's maxima over place and size, interpolated; angle 0."""
    step = 1 << octave
    sizes = (9 + 6 * np.arange(config.layers + 2)) << octave
    det, trace = np.zeros((2, len(sizes), *((n - 1) // step for n in sums.shape)), np.float32)
    for layer, size in enumerate(sizes.tolist()):
        det[layer], trace[layer] = hessian_response(sums, size, step)

    layer, i, j = peaks = local_maxima(det, config.threshold)
    border = np.minimum.reduce([i, j, det.shape[1] - 1 - i, det.shape[2] - 1 - j])
    # so far inside, the next larger filter has all its neighbours in the picture
    layer, i, j = peaks[:, border > sizes[layer + 1] // 2 // step]
    offset = interpolate(det, layer, i, j)
    size = sizes[layer]
    first = step * (np.stack([j, i]) - size // 2 // step)
    keypoints = Keypoints.at(
        (first + (size - 1) / 2).T + step * offset[:, :2],
        np.rint(size + (6 << octave) * offset[:, 2]),
        response=det[layer, i, j],
        octave=octave,
        sign=np.sign(trace[layer, i, j]),
    )
    return keypoints[(np.abs(offset) <= 1).all(axis=1)]


def local_maxima(det: np.ndarray, threshold: float) -> np.ndarray:
    """(layers, rows, cols) → (3, n) indices of samples above the threshold and 26 neighbours."""

    def shifted(*shift: int) -> np.ndarray:
        return det[tuple(slice(1 + d, n - 1 + d) for d, n in zip(shift, det.shape, strict=True))]

    here = shifted(0, 0, 0)
    peak = here > threshold
    for shift in product((0, -1, 1), repeat=3):
        if any(shift):
            peak &= here > shifted(*shift)
    return np.stack(np.nonzero(peak)) + 1


def interpolate(det: np.ndarray, layer: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Top of the quadratic through 3×3×3 samples about maxima → (n, 3) offsets in x, y, layer."""

    def at(d: np.ndarray) -> np.ndarray:
        return det[layer + d[2], i + d[1], j + d[0]].astype(np.float64)

    unit = np.eye(3, dtype=int)
    gradient = np.stack([at(u) - at(-u) for u in unit], axis=1) / 2
    hessian = np.empty((len(i), 3, 3))
    for (a, u), (b, v) in product(enumerate(unit), repeat=2):
        if a == b:
            hessian[:, a, a] = at(u) - 2 * at(0 * u) + at(-u)
        else:
            hessian[:, a, b] = (at(u + v) - at(u - v) - at(v - u) + at(-u - v)) / 4
    offset = np.full((len(i), 3), 2.0)  # too far, so rejected, where there is no top
    top = np.linalg.det(hessian) != 0
    offset[top] = np.linalg.solve(hessian[top], -gradient[top, :, None])[..., 0]
    return offset


def gaussian(n: int, sigma: float) -> np.ndarray:
    """(n,) weights about the middle; their scale does not matter here."""
    return np.exp(-((np.arange(n) - (n - 1) / 2) ** 2) / (2 * sigma**2))


def scale(keypoints: Keypoints) -> np.ndarray:
    """(N,) float32 s, the sigma of the Gaussian that the filter stands for: 1.2 for 9 pixels."""
    return keypoints.size * np.float32(1.2) / np.float32(9)


def dominant_angles(sums: np.ndarray, keypoints: Keypoints) -> np.ndarray:
    """Integral (H+1, W+1), N keypoints → (N,) float32 radians: where it gets brighter (sec. 4.1).

    Haar wavelets of side 4s, at 113 places within 6s. 0 where none of them lies inside the picture.
    """
    y, x = np.nonzero(np.hypot(*np.mgrid[-6:7, -6:7]) <= 6)
    weight = gaussian(13, 2.5)[x] * gaussian(13, 2.5)[y]
    angle = np.zeros(len(keypoints), np.float32)
    for k in range(0, len(keypoints), CHUNK // len(weight)):
        part = np.s_[k : k + CHUNK // len(weight)]
        s = scale(keypoints[part])
        places = keypoints.xy[part, None] + np.stack([x - 6, y - 6], axis=1) * s[:, None, None]
        gx, gy = haar_gradients(sums, places, np.rint(2 * s).astype(int))
        angle[part] = longest_window(gx * weight, gy * weight)
    return angle % np.float32(2 * np.pi)  # float32 may have rounded an angle up to 2π


def longest_window(gx: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """Gradients (N, D) → (N,) radians in [0, 2π): the longest sum over directions within ±30°."""
    n = len(gx)
    degree = np.rint(np.degrees(np.arctan2(gy, gx))).astype(int) % 360
    slot = (degree + 360 * np.arange(n)[:, None]).ravel()

    def window_sums(g: np.ndarray) -> np.ndarray:
        """Per degree, then over 59 degrees by running sums: an integral image of the circle."""
        circle = np.bincount(slot, g.ravel(), minlength=360 * n).reshape(n, 360)
        running = np.pad(circle, ((0, 0), (30, 29)), mode="wrap").cumsum(axis=1)
        return (running[:, 59:] - running[:, :-59])[:, ::5]

    x, y = window_sums(gx), window_sums(gy)
    best = np.arange(n), (x**2 + y**2).argmax(axis=1)
    return np.arctan2(y[best], x[best]) % (2 * np.pi)


def describe(image: np.ndarray, keypoints: Keypoints, config: Config = Config()) -> np.ndarray:
    """A picture, N keypoints → (N, 64) or (N, 128) float32 rows of unit length (sec. 4.2).

    Uses each keypoint's angle, unless upright. Beyond its border the picture repeats its edge; flat
    surroundings give zeros. Raises ValueError for a size below 1 or above 2·min(H, W).
    """
    gray = to_gray(image)
    largest = 2 * min(gray.shape)
    size = checked(keypoints).size
    bad = size[~((size >= 1) & (size <= largest))]
    if len(bad):
        raise ValueError(
            f"in a picture of {gray.shape[1]}×{gray.shape[0]} SURF describes keypoints of size 1 "
            f"to {largest}, but {len(bad)} of those given are not; the first has size {bad[0]:g}"
        )
    if config.upright:
        keypoints = replace(keypoints, angle=np.full(len(keypoints), UPRIGHT))
    padded = np.pad(gray, (0, 1))  # the last pixels get neighbours, which weigh nothing
    windows = (21 * scale(keypoints)).astype(int)
    descriptors = np.zeros((len(keypoints), 128 if config.extended else 64), np.float32)
    for window in np.unique(windows).tolist():
        group, n = np.nonzero(windows == window)[0], max(1, CHUNK // window**2)
        for part in (group[k : k + n] for k in range(0, len(group), n)):
            patches = cut_patches(padded, keypoints[part], window)
            descriptors[part] = sum_cells(patches, config.extended)
    return descriptors


def cut_patches(padded: np.ndarray, keypoints: Keypoints, window: int) -> np.ndarray:
    """Picture (H+1, W+1), n keypoints → (n, 21, 21): turned windows of 21s pixels, averaged."""
    cos, sin = np.cos(keypoints.angle)[:, None, None], np.sin(keypoints.angle)[:, None, None]
    j = np.arange(window, dtype=np.float32) - np.float32((window - 1) / 2)  # along the angle
    mean = area_means(window)
    patches = np.zeros((len(keypoints), 21, 21), np.float32)
    ground = bilinear(padded, *keypoints.xy.T)[:, None, None]  # less it, flat is exactly 0
    band = max(1, CHUNK // (window * len(keypoints)))  # rows at a time, if one window is huge
    for k in range(0, window, band):
        i = j[k : k + band, None]  # a quarter turn on
        x = keypoints.xy[:, 0, None, None] + (cos * j - sin * i)
        y = keypoints.xy[:, 1, None, None] + (sin * j + cos * i)
        patches += mean[:, k : k + band] @ ((bilinear(padded, x, y) - ground) @ mean.T)
    return patches + ground


def area_means(n: int) -> np.ndarray:
    """(21, n) float32: the matrix that averages n samples over 21 stretches of equal length."""
    end = np.arange(22)[:, None] * n / 21
    return (np.diff(np.clip(end - np.arange(n), 0, 1), axis=0) * 21 / n).astype(np.float32)


def bilinear(padded: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Padded picture (H+1, W+1), float32 positions → values; outside, those of the nearest edge."""
    height, stride = padded.shape
    x, y = np.clip(x, 0, stride - 2), np.clip(y, 0, height - 2)
    column, row = np.floor(x), np.floor(y)
    x, y, at = x - column, y - row, row.astype(np.intp) * stride + column.astype(np.intp)
    upper, lower = padded.take(at), padded.take(at + stride)
    upper += x * (padded.take(at + 1) - upper)
    lower += x * (padded.take(at + stride + 1) - lower)
    return upper + y * (lower - upper)


def sum_cells(patches: np.ndarray, extended: bool) -> np.ndarray:
    """(n, 21, 21) → (n, 64 or 128) of unit length: sums over 4×4 cells of 5×5 gradients.

    Per cell Σdx, Σdy, Σ|dx|, Σ|dy|; extended: Σdx, Σ|dx| where dy ≥ 0, where dy < 0; then for dy.
    """
    weight = np.outer(gaussian(20, 3.3), gaussian(20, 3.3)).astype(np.float32)
    right, down = np.diff(patches, axis=2), np.diff(patches, axis=1)
    dx, dy = (right[:, :-1] + right[:, 1:]) * weight, (down[:, :, :-1] + down[:, :, 1:]) * weight
    maps = [dx, dy, np.abs(dx), np.abs(dy)]
    if extended:
        split = [d * half for d, e in ((dx, dy), (dy, dx)) for half in (e >= 0, e < 0)]
        maps = [values for d in split for values in (d, np.abs(d))]
    cells = np.stack([m.reshape(-1, 4, 5, 4, 5).sum(axis=(2, 4)) for m in maps], axis=3)
    rows = cells.reshape(len(patches), -1)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-7)


def detect_and_describe(
    image: np.ndarray, config: Config = Config()
) -> tuple[Keypoints, np.ndarray]:
    """A picture → its keypoints, strongest first, and their descriptors (N, 64) or (N, 128)."""
    keypoints = detect(image, config)
    return keypoints, describe(image, keypoints, config)
