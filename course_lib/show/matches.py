"""Keypoints and matches drawn onto pictures: fast enough for a live picture, fine enough for print.

All circles (or lines) of a kind go to OpenCV in one call, as polylines in 1/16 pixel, a dark halo
under a bright line: seen on any ground. Right and wrong matches differ in colour and in dash.
"""

from __future__ import annotations

import cv2
import numpy as np

from course_lib.blocks.images import to_rgb
from course_lib.blocks.keypoints import Keypoints
from course_lib.show.palette import colour
from course_lib.show.tiles import fitted

BITS = 4  # OpenCV takes positions as integers in units of 2^-BITS pixels
HALO = 0.55  # opacity of the dark rim around a bright line
RIM = np.ones((3, 3), np.uint8)  # … and its width: one pixel on each side
GAP = 8  # pixels between the two pictures of a match


def _strokes(canvas: np.ndarray, paths: np.ndarray, ink: str, thickness: int = 1) -> None:
    """Draw N open paths (N, K, 2) float pixels onto uint8 (H, W, 3), in place, on a dark halo."""
    if len(paths):
        rim = np.zeros(canvas.shape[:2], np.uint8)
        _lines(rim, paths, 255, thickness)
        rim = cv2.dilate(rim, RIM)  # ten times as fast as drawing each path two pixels wider
        dimmed = cv2.convertScaleAbs(rim, alpha=-HALO, beta=255)
        cv2.multiply(canvas, cv2.merge([dimmed] * 3), canvas, scale=1 / 255)
        _lines(canvas, paths, colour(ink), thickness)


def _lines(canvas: np.ndarray, paths: np.ndarray, ink: tuple | int, thickness: int) -> None:
    fixed = np.rint(np.clip(paths, -4000, 8000) * (1 << BITS)).astype(np.int32)
    cv2.polylines(canvas, list(fixed), False, ink, thickness, cv2.LINE_AA, BITS)


def _moved(xy: np.ndarray, factor: float) -> np.ndarray:
    """Positions (N, 2) → in the picture resized by `factor`; pixel centres are integers."""
    return (xy + 0.5) * factor - 0.5


def _outlines(xy: np.ndarray, radius: np.ndarray, angle: np.ndarray, corners: int) -> np.ndarray:
    """N circles as paths (N, corners + 2, 2): the centre, out along the angle, then round."""
    turn = np.linspace(0, 2 * np.pi, corners + 1)[None, :] + angle[:, None]
    rim = np.stack([np.cos(turn), np.sin(turn)], axis=-1) * radius[:, None, None] + xy[:, None]
    return np.concatenate([xy[:, None], rim], axis=1)


def draw_keypoints(
    image: np.ndarray,
    keypoints: Keypoints,
    *,
    ink: str = "yellow",
    width: int | None = None,
    orientation: bool = True,
    limit: int | None = None,
    highlight: int | None = None,
) -> np.ndarray:
    """→ uint8 RGB: each keypoint a circle of its size, with a spoke along its angle.

    `width` scales the drawing to so many pixels, `limit` keeps the strongest, `highlight` is the
    index of one to be drawn thick in vermillion.
    """
    image = to_rgb(image)
    factor = 1 if width is None else width / image.shape[1]
    canvas = fitted(image, factor)
    xy, radius = _moved(keypoints.xy, factor), np.maximum(keypoints.size / 2 * factor, 1.5)
    few = np.argsort(-keypoints.response, kind="stable")[:limit]
    # A small circle needs few corners, and there are hundreds of them.
    small, spokes = radius[few] < 6, slice(None) if orientation else slice(1, None)
    for part, corners in ((few[small], 10), (few[~small], 32)):
        paths = _outlines(xy[part], radius[part], keypoints.angle[part], corners)
        _strokes(canvas, paths[:, spokes], ink)
    if highlight is not None:
        one = [highlight]
        rim = _outlines(xy[one], radius[one], keypoints.angle[one], 64)[:, spokes]
        _strokes(canvas, rim, "vermillion", 3)
    return canvas


def _dashes(lines: np.ndarray, dash: float = 9.0) -> np.ndarray:
    """Lines (N, 2, 2) → dashes (M, 2, 2): `dash` pixels of ink, then as many of nothing."""
    length = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1)
    count = np.maximum(np.ceil(length / (2 * dash)), 1).astype(int)
    which = np.repeat(np.arange(len(lines)), count)
    step = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    ends = (step[:, None] * 2 + np.array([0, 1])) * dash / np.maximum(length[which], 1e-9)[:, None]
    start, way = lines[which, 0], lines[which, 1] - lines[which, 0]
    return start[:, None] + np.minimum(ends, 1)[..., None] * way[:, None]


def _check(index: np.ndarray, correct: np.ndarray | None, a: Keypoints, b: Keypoints) -> tuple:
    index = np.asarray(index, np.int64).reshape(-1, 2) if np.size(index) == 0 else np.asarray(index)
    if index.ndim != 2 or index.shape[1] != 2:
        raise ValueError(f"index must have shape (M, 2), but the shape {index.shape} was given")
    if len(index) and ((index < 0) | (index >= (len(a), len(b)))).any():
        raise ValueError(f"index points beyond the {len(a)} and {len(b)} keypoints that were given")
    if correct is not None and np.shape(correct) != (len(index),):
        got = np.shape(correct)
        raise ValueError(f"correct must have shape ({len(index)},), but the shape {got} was given")
    return index, None if correct is None else np.asarray(correct, bool)


def draw_matches(
    first: np.ndarray,
    second: np.ndarray,
    keypoints_first: Keypoints,
    keypoints_second: Keypoints,
    index: np.ndarray,
    correct: np.ndarray | None = None,
    *,
    stacked: bool = False,
    width: int | None = 960,
    limit: int | None = None,
) -> np.ndarray:
    """→ uint8 RGB: two pictures side by side (or `stacked`), a line for each match, index (M, 2).

    With `correct` (M,) bool, right matches are solid in sky blue and wrong ones dashed in
    vermillion, on top. `limit` draws at most so many, taken evenly from the list; `width` is that
    of the whole drawing.
    """
    index, correct = _check(index, correct, keypoints_first, keypoints_second)
    first, second = to_rgb(first), to_rgb(second)
    across = max(first.shape[1], second.shape[1]) if stacked else first.shape[1] + second.shape[1]
    factor = 1 if width is None else (width - (0 if stacked else GAP)) / across
    one, two = fitted(first, factor), fitted(second, factor)
    shift = np.array([0, len(one) + GAP] if stacked else [one.shape[1] + GAP, 0])
    extent = np.maximum(one.shape[1::-1], two.shape[1::-1] + shift)
    canvas = np.full((extent[1], extent[0], 3), 255, np.uint8)
    canvas[: len(one), : one.shape[1]] = one
    canvas[shift[1] : shift[1] + len(two), shift[0] : shift[0] + two.shape[1]] = two

    keep = np.arange(len(index))
    if limit is not None and len(index) > limit:
        keep = np.linspace(0, len(index) - 1, limit).round().astype(int)
    a = _moved(keypoints_first.xy[index[keep, 0]], factor)
    b = _moved(keypoints_second.xy[index[keep, 1]], factor) + shift
    lines = np.stack([a, b], axis=1)
    good = np.ones(len(keep), bool) if correct is None else correct[keep]
    plain = "yellow" if correct is None else "sky"
    veil = canvas.copy()  # lines are laid over half transparent: a hundred of them hide no picture
    _lines(veil, lines[good], colour(plain), 1)
    _lines(veil, _dashes(lines[~good]), colour("vermillion"), 2)
    canvas = cv2.addWeighted(veil, 0.75, canvas, 0.25, 0)
    for points in (a, b):
        rims = _outlines(points, np.full(len(points), 2.5), np.zeros(len(points)), 8)[:, 1:]
        _strokes(canvas, rims[good], plain)
        _strokes(canvas, rims[~good], "vermillion")
    return canvas
