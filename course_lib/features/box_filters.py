"""Box filters: sums over rectangles in four look-ups, and the derivatives made of them.

P. Viola, M. Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001;
H. Bay et al., "Speeded-Up Robust Features (SURF)", CVIU 110(3), 2008: the sections cited below.
Where SIFT blurs and shrinks the picture, SURF enlarges the filter: on an integral image a large box
costs no more than a small one. What scale_space is to sift, this file is to surf.
"""

from __future__ import annotations

import numpy as np

Bound = int | np.ndarray | slice
CHUNK = 1 << 16  # samples in hand at once: bounds memory, and fits a core's cache


def integral(image: np.ndarray) -> np.ndarray:
    """(H, W) → (H+1, W+1) float64: at [y, x] the sum of all pixels above and left (sec. 3.1)."""
    return np.pad(image.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def box_sum(sums: np.ndarray, x0: Bound, y0: Bound, x1: Bound, y1: Bound) -> np.ndarray:
    """Sum of the pixels x0 ≤ x < x1, y0 ≤ y < y1, by four look-ups in an `integral`.

    Bounds are integers, integer arrays that broadcast, or slices of equal length (a grid of boxes).
    """
    return sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]


# Second derivatives of a Gaussian of sigma 1.2 on 9×9 pixels: x0, y0, x1, y1, weight (sec. 3.2)
BOXES = {
    "xx": ((0, 2, 3, 7, 1), (3, 2, 6, 7, -2), (6, 2, 9, 7, 1)),
    "yy": ((2, 0, 7, 3, 1), (2, 3, 7, 6, -2), (2, 6, 7, 9, 1)),
    "xy": ((1, 1, 4, 4, 1), (5, 1, 8, 4, -1), (1, 5, 4, 8, -1), (5, 5, 8, 8, 1)),
}


def boxes(kind: str, size: int) -> list[tuple[int, int, int, int, float]]:
    """The boxes of "xx", "yy" or "xy" grown to size×size pixels: x0, y0, x1, y1, weight per pixel.

    Each weight is divided by the box's area, so that responses of all sizes compare (sec. 3.3).
    """
    if kind not in BOXES or size < 9:
        raise ValueError(f'a filter is "xx", "yy" or "xy", of size ≥ 9, but got {kind!r}, {size}')
    grown = [([round(c * size / 9) for c in corners], weight) for *corners, weight in BOXES[kind]]
    return [(x0, y0, x1, y1, w / ((x1 - x0) * (y1 - y0))) for (x0, y0, x1, y1), w in grown]


def box_filter(kind: str, size: int) -> np.ndarray:
    """The filter "xx", "yy" or "xy" drawn as a picture to correlate with: (size, size) float64."""
    picture = np.zeros((size, size))
    for x0, y0, x1, y1, weight in boxes(kind, size):
        picture[y0:y1, x0:x1] = weight
    return picture


def box_response(sums: np.ndarray, kind: str, size: int, step: int = 1) -> np.ndarray:
    """Integral (H+1, W+1) → Dxx, Dyy or Dxy wherever the filter fits: (rows, cols) float64.

    [i, j] is the filter that begins at x = step·j, y = step·i; rows = (H − size)//step + 1, or 0.
    """
    rows, cols = (max(0, (n - 1 - size) // step + 1) for n in sums.shape)

    def grid(start: int, count: int) -> slice:
        return slice(start, start + step * count, step)

    response = np.zeros((rows, cols))
    for x0, y0, x1, y1, weight in boxes(kind, size):
        sides = grid(x0, cols), grid(y0, rows), grid(x1, cols), grid(y1, rows)
        response += weight * box_sum(sums, *sides)
    return response


def hessian_response(sums: np.ndarray, size: int, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Integral (H+1, W+1) → determinant and trace of the Hessian, each (H//step, W//step) float32.

    [i, j] is the filter that begins at x = step·(j − m), y = step·(i − m), m = size//2//step; its
    centre is (size − 1)/2 further, for step 1 at (j, i) itself. 0 where it leaves the picture.
    """
    det, trace = np.zeros((2, *((n - 1) // step for n in sums.shape)), np.float32)
    rows, cols = (max(0, (n - 1 - size) // step + 1) for n in sums.shape)
    m = size // 2 // step
    band = max(1, CHUNK // max(1, cols))
    for top in range(0, rows, band):
        n = min(band, rows - top)
        # rows of an integral image serve as an integral image: only differences count
        strip = sums[step * top : step * (top + n - 1) + size + 1]
        dxx, dyy, dxy = (box_response(strip, kind, size, step) for kind in ("xx", "yy", "xy"))
        part = np.s_[m + top : m + top + n, m : m + cols]
        det[part] = dxx * dyy - 0.81 * dxy**2  # (0.9·Dxy)² (eq. 3)
        trace[part] = dxx + dyy
    return det, trace


def haar_gradients(
    sums: np.ndarray, xy: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Haar wavelets, 2·half pixels wide, half (N,) int, about places (N, D, 2) → gx, gy (N, D).

    The right half minus the left, the lower minus the upper; 0 for wavelets that leave the picture.
    """
    half = half[:, None]
    x, y = np.moveaxis(np.rint(xy - (half[..., None] - 0.5)).astype(int), 2, 0)
    height, width = (n - 1 for n in sums.shape)
    inside = (x >= 0) & (y >= 0) & (x + 2 * half <= width) & (y + 2 * half <= height)
    x, y, half = x * inside, y * inside, half * inside  # outside: an empty box at (0, 0)
    whole = box_sum(sums, x, y, x + 2 * half, y + 2 * half)
    gx = whole - 2 * box_sum(sums, x, y, x + half, y + 2 * half)
    gy = whole - 2 * box_sum(sums, x, y, x + 2 * half, y + half)
    return gx, gy
