"""SIFT: Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 60 (2004).

Idea: a blob that is extreme among its neighbours in place *and* in blur is found again at any
magnification, so it brings its own scale, and the gradients around it bring its own direction. In
that frame, histograms of gradient directions stay alike when the camera moves, turns or zooms.

Lesson: notebooks/01_sift.ipynb. Reference: cv2.SIFT_create (OpenCV 5.0).

Differs from the paper, as OpenCV does: the contrast threshold is 0.04 / layers, not 0.03; what is
below half of that is no candidate; 5 pixels at the border are left out; refinement ends after five
steps; the orientation histogram is smoothed; windows are centred on the nearest pixel; descriptors
are times 512, rounded, at most 255; positions are ¼ pixel too great without `precise_upscale`.
Differs from OpenCV: arctan2 is exact; octave and layer follow from a keypoint's size (the nearest
level, if beyond the pyramid), not from packed bits; `octave` is plainly −1, 0, 1, …; the strongest
come first, and `n_features` keeps no ties; `sign` is +1 for dark blobs, −1 for bright ones; patches
without contrast give zeros; grey levels need not be whole; there is no mask; RootSIFT is added.
Recipe: sigma 1.6, 3 layers an octave, edge ratio 10, 36 orientation bins, 4 × 4 × 8 descriptor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from course_lib.blocks.images import to_gray
from course_lib.blocks.keypoints import Keypoints, checked
from course_lib.features.scale_space import Octave, last_octave, octave_of, octaves

BORDER, STEPS = 5, 5  # pixels without extrema at the border of an octave; most Newton steps
ANGLES = 36  # bins of the orientation histogram
CELLS, BINS, CELL = 4, 8, 3.0  # descriptor: cells a side, directions, scales that a cell is wide
BAND, BATCH = 2**20, 2**15  # pixels, and samples of windows, in work at once: memory stays bounded


@dataclass(frozen=True)
class Config:
    sigma: float = 1.6  # blur of an octave's first level, in its pixels
    layers: int = 3  # scales per octave
    contrast: float = 0.04  # least |D| of an extremum times layers, where white is 1
    edge: float = 10.0  # greatest ratio of the two curvatures
    n_features: int = 0  # keep only so many, the strongest; 0 keeps all
    precise_upscale: bool = False  # True removes OpenCV's bias of +¼ pixel
    root: bool = False  # descriptors as RootSIFT


def detect(image: np.ndarray, config: Config = Config()) -> Keypoints:
    """Any picture → N keypoints, one per orientation; size = 2 scales, response = |D|."""
    pyramid = octaves(to_gray(image), config.sigma, config.layers, config.precise_upscale)
    found = [orient(octave, find_blobs(octave, config)) for octave in pyramid]
    fields = zip(*(vars(keypoints).values() for keypoints in found), strict=True)
    found = Keypoints(*map(np.concatenate, fields))
    return found.strongest(config.n_features or len(found))


def describe(image: np.ndarray, keypoints: Keypoints, config: Config = Config()) -> np.ndarray:
    """Any picture, N keypoints on it (OpenCV's by `Keypoints.from_cv2`) → (N, 128) float32.

    Raises ValueError if a keypoint lies outside the picture or has no positive size.
    """
    gray = to_gray(image)
    _check(keypoints, *gray.shape)
    home = octave_of(keypoints.size / 2, last_octave(gray.shape), config.sigma, config.layers)
    histograms = np.zeros((len(keypoints), CELLS * CELLS, BINS), np.float32)
    for octave in octaves(gray, config.sigma, config.layers, config.precise_upscale):
        here = home == octave.number
        histograms[here] = gradient_histograms(octave, keypoints[here])
    descriptors = normalise(histograms.reshape(-1, CELLS * CELLS * BINS))
    return root(descriptors) if config.root else descriptors


def detect_and_describe(
    image: np.ndarray, config: Config = Config()
) -> tuple[Keypoints, np.ndarray]:
    """Any picture → N keypoints, strongest first, and their descriptors (N, 128) float32."""
    keypoints = detect(image, config)
    return keypoints, describe(image, keypoints, config)


def root(descriptors: np.ndarray) -> np.ndarray:
    """RootSIFT (Arandjelović, Zisserman, CVPR 2012): (N, 128) → (N, 128) of length 1, or zeros."""
    return np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-12))


def find_blobs(octave: Octave, config: Config) -> Keypoints:
    """Sections 3 and 4: one octave → keypoints in pixels of the picture, still without angles."""
    D = octave.differences()
    least = 255 * config.contrast / config.layers
    position, peak, hessian = refine(D, find_extrema(D, np.floor(least / 2)))
    keep = (np.abs(peak) >= least) & is_no_edge(hessian, config.edge)
    (layer, y, x), peak = position[keep].T, peak[keep]
    xy, size = octave.pixel * np.stack([x, y], axis=1), 2 * octave.scale(layer)
    return Keypoints.at(xy, size, 0, np.abs(peak) / 255, octave.number, np.sign(peak))


def find_extrema(D: np.ndarray, threshold: float) -> np.ndarray:
    """Section 3.1: D (L − 1, H, W) → (M, 3) int (layer, y, x), extreme among 26 neighbours.

    A sieve: each neighbour is asked about the candidates that are left. Opposite neighbours come in
    turn, for on a slope one of the two is always greater.
    """
    levels, H, W = D.shape
    flat, strides = D.reshape(-1), (H * W, W, 1)
    steps = sorted((np.dot(d, strides) for d in product((-1, 0, 1), repeat=3)), key=abs)[1:]
    found, rows = [np.zeros(0, int)], max(1, BAND // W)
    for layer, top in product(range(1, levels - 1), range(BORDER, H - BORDER, rows)):
        strong = np.abs(D[layer, top : min(top + rows, H - BORDER)]) > threshold
        strong[:, :BORDER] = strong[:, -BORDER:] = False
        index = np.flatnonzero(strong) + (layer * H + top) * W
        for step in steps:
            here = flat[index]
            index = index[np.sign(here) * (here - flat[index + step]) >= 0]
        found.append(index)
    return np.stack(np.unravel_index(np.concatenate(found), D.shape), axis=1)


def refine(D: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Section 4: candidates (M, 3) → those that settle: position (N, 3), D (N,), Hessian (N, 3, 3).

    A parabola through the neighbours has its top between the pixels (equation 3). Where that is
    nearer to another pixel or layer, try again from there. Two that settle on one pixel become one.
    """
    low, settled = np.array([1, BORDER, BORDER]), []
    for _ in range(STEPS):
        value, gradient, hessian = derivatives(D, at)
        # Flat ground has no top: with 1e-12 it is absurdly far away, where NumPy would raise.
        step = -np.linalg.solve(hessian + 1e-12 * np.eye(3), gradient[:, :, None])[:, :, 0]
        done = (np.abs(step) < 0.5).all(axis=1)
        peak = value + (gradient * step).sum(axis=1) / 2
        settled.append((at[done], step[done], peak[done], hessian[done]))
        at = at[~done] + np.rint(step[~done])
        at = at[((at >= low) & (at < D.shape - low)).all(axis=1)].astype(int)
    at, step, peak, hessian = (np.concatenate(parts) for parts in zip(*settled, strict=True))
    _, once = np.unique(np.ravel_multi_index(at.T, D.shape), return_index=True)
    return at[once] + step[once], peak[once], hessian[once]


def derivatives(D: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value (M,), gradient (M, 3), Hessian (M, 3, 3) of D at (M, 3), by central differences."""
    flat, strides = D.reshape(-1), (D[0].size, D.shape[2], 1)
    index = at @ strides
    gradient, hessian = np.empty((len(at), 3)), np.empty((len(at), 3, 3))
    for i, a in enumerate(strides):
        after, before = flat[index + a], flat[index - a]
        gradient[:, i] = (after - before) / 2
        hessian[:, i, i] = after + before - 2 * flat[index]
        for j, b in enumerate(strides[:i]):
            slope_after, slope_before = (flat[index + a + s] - flat[index - a + s] for s in (b, -b))
            hessian[:, i, j] = hessian[:, j, i] = (slope_after - slope_before) / 4
    return flat[index], gradient, hessian


def is_no_edge(hessian: np.ndarray, ratio: float) -> np.ndarray:
    """Section 4.1: Hessians (N, 3, 3) → (N,) bool, curvatures in y, x alike within `ratio`."""
    (yy, yx), (_, xx) = hessian[:, 1:, 1:].transpose(1, 2, 0)
    return (yy + xx) ** 2 * ratio < (ratio + 1) ** 2 * (yy * xx - yx**2)


def windows(octave: Octave, keypoints: Keypoints, reach: np.ndarray) -> Iterator[tuple]:
    """Gradients in squares of S pixels, ± `reach` (N,) or wider, around B keypoints at a time.

    Yields indices (B,) of keypoints, offsets x, y (S,) from the nearest pixel, magnitude and angle
    (B, S). The magnitude is 0 at the border of the picture and outside.
    """
    _, H, W = octave.gaussians.shape
    flat, layer = octave.gaussians.reshape(-1), octave.layer(keypoints.size / 2)
    centre = np.rint(keypoints.xy / octave.pixel).astype(int)
    rest = np.argsort(-reach, kind="stable")
    while len(rest):
        r = int(min(reach[rest[0]], max(H, W)))
        n, rest = np.split(rest, [max(1, BATCH // (2 * r + 1) ** 2)])
        offset = np.arange(-r - 1, r + 2)
        x, y = centre[n, :1] + offset, centre[n, 1:] + offset
        rows = (layer[n, None] * H + y.clip(0, H - 1)) * W
        patch = flat[rows[:, :, None] + x.clip(0, W - 1)[:, None]]
        dx = patch[:, 1:-1, 2:] - patch[:, 1:-1, :-2]
        dy = patch[:, 2:, 1:-1] - patch[:, :-2, 1:-1]
        inside = ((y > 0) & (y < H - 1))[:, 1:-1, None] & ((x > 0) & (x < W - 1))[:, None, 1:-1]
        magnitude, angle = np.sqrt(dx**2 + dy**2) * inside, np.arctan2(dy, dx)
        y, x = np.indices((2 * r + 1, 2 * r + 1), np.float32).reshape(2, -1) - r
        yield n, x, y, magnitude.reshape(len(n), -1), angle.reshape(len(n), -1)


def orient(octave: Octave, blobs: Keypoints) -> Keypoints:
    """Section 5: keypoints of one octave → the same with angles, once for each that they have."""
    scale = blobs.size / 2 / octave.pixel
    reach = np.rint(3 * 1.5 * scale)
    votes = np.zeros((len(blobs), ANGLES), np.float32)
    for n, x, y, magnitude, angle in windows(octave, blobs, reach):
        near = np.maximum(np.abs(x), np.abs(y)) <= reach[n, None]
        weight = magnitude * near * np.exp(-(x**2 + y**2) / (2 * (1.5 * scale[n, None]) ** 2))
        bins = np.rint(angle * (ANGLES / (2 * np.pi))).astype(int) % ANGLES
        np.add.at(votes, (n[:, None], bins), weight)
    votes = sum(w * np.roll(votes, k - 2, axis=1) for k, w in enumerate((1, 4, 6, 4, 1))) / 16
    left, right = np.roll(votes, 1, axis=1), np.roll(votes, -1, axis=1)
    n, peak = np.nonzero((votes > left) & (votes > right) & (votes >= 0.8 * votes.max(1)[:, None]))
    a, b, c = left[n, peak], votes[n, peak], right[n, peak]
    angle = (peak + (a - c) / (2 * (a - 2 * b + c))) * (2 * np.pi / ANGLES)
    blobs = blobs[n]
    return Keypoints.at(blobs.xy, blobs.size, angle, blobs.response, octave.number, blobs.sign)


def hat(distance: np.ndarray) -> np.ndarray:
    """A bin's share in linear interpolation: 1 at distance 0, falling to 0 at distance 1."""
    return np.maximum(0, 1 - np.abs(distance))


def gradient_histograms(octave: Octave, keypoints: Keypoints) -> np.ndarray:
    """Section 6: N keypoints of one octave → (N, 16, 8): cells, row by row, and directions.

    Trilinear interpolation shares a sample among eight bins, by weights that are products of three
    hats. So the votes of a keypoint's S samples are one matrix product, (16, S) @ (S, 8).
    """
    cell = CELL * keypoints.size / 2 / octave.pixel
    cos, sin = np.cos(keypoints.angle), np.sin(keypoints.angle)
    reach = cell * (CELLS + 1) / 2 * (np.abs(cos) + np.abs(sin))  # to the turned square's corners
    # float32, for integers would make everything float64, ten times slower.
    cells = np.arange(CELLS, dtype=np.float32)[:, None] - (CELLS - 1) / 2
    bins = np.arange(BINS + 1, dtype=np.float32)[:, None]
    histograms = np.empty((len(keypoints), CELLS * CELLS, BINS + 1), np.float32)
    for n, x, y, magnitude, angle in windows(octave, keypoints, reach):
        c, s = cos[n, None] / cell[n, None], sin[n, None] / cell[n, None]
        u, v = c * x + s * y, c * y - s * x  # in the keypoint's frame, in cells
        weight = magnitude * np.exp(-(u**2 + v**2) / (CELLS**2 / 2))
        turn = (keypoints.angle[n, None] - angle) * (BINS / (2 * np.pi))  # OpenCV counts backwards
        turn -= BINS * np.floor(turn / BINS)
        columns, rows = hat(u[:, None] - cells), hat(v[:, None] - cells)
        where = (rows[:, :, None] * columns[:, None]).reshape(len(n), CELLS * CELLS, -1)
        which = weight[:, None] * hat(turn[:, None] - bins)
        histograms[n] = where @ which.transpose(0, 2, 1)
    histograms[..., 0] += histograms[..., BINS]  # a full turn is none
    return histograms[..., :BINS]


def normalise(histograms: np.ndarray) -> np.ndarray:
    """(N, 128) → length 512, so contrast does not count; no share over 0.2, so no glint rules."""
    clipped = np.minimum(histograms, 0.2 * np.linalg.norm(histograms, axis=1, keepdims=True))
    length = np.linalg.norm(clipped, axis=1, keepdims=True)
    return np.rint(clipped * (512 / np.maximum(length, 1))).clip(0, 255)  # 1: blank stays blank


def _check(keypoints: Keypoints, H: int, W: int) -> None:
    xy, size = checked(keypoints).xy, keypoints.size
    good = (np.abs(2 * xy - (W - 1, H - 1)) <= (W, H)).all(axis=1) & (size > 0) & (size < np.inf)
    if not good.all():
        n = np.argmin(good)
        raise ValueError(
            f"keypoints must lie on the picture of {W} × {H} pixels and have a positive size, but "
            f"keypoint {n} lies at ({xy[n, 0]:.6g}, {xy[n, 1]:.6g}) and has the size {size[n]:.6g}"
        )
