"""Where the surface that a pixel shows is in another picture: exact, from the geometry.

A pixel with its depth is a point of an object. The point is fixed to the object, the object's
pose in the other moment is known, and so is the other camera: nothing is searched for. Whether the
point is seen there is asked of the rays: does anything stand between it and the camera?
"""

from __future__ import annotations

import numpy as np

from course_lib.world import camera
from course_lib.world.bodies import bodies_of, boxes, rotate
from course_lib.world.rays import hit
from course_lib.world.scene import Scenes

NEARER = 2e-4  # metres by which a surface must be nearer than a point to hide it


def pixel_grid(size: int) -> np.ndarray:
    """Centres of all pixels → (S, S, 2), (x, y)."""
    y, x = np.mgrid[:size, :size].astype(float)
    return np.stack([x, y], axis=-1)


def carry(before: Scenes, after: Scenes, place: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (B, K, 3) of objects in `before` → where they are in `after` (B, K, 3), world metres.

    `place` (B, K) is the object each point belongs to; −1 is the table, which stays.
    """
    b, k = np.nonzero(place >= 0)
    p = place[b, k]
    own = points[b, k] - before.centre[b, p]
    own = rotate(before.rotation[b, p].swapaxes(1, 2), own)
    moved = np.array(points)
    moved[b, k] = rotate(after.rotation[b, p], own) + after.centre[b, p]
    return moved


def visible(scenes: Scenes, points: np.ndarray, size: int) -> np.ndarray:
    """World points (B, K, 3) on surfaces → which of them a picture of `size` shows, bool (B, K).

    Outside: outside of the picture's border, half a pixel beyond the outermost centres. Hidden: the
    exact ray from the camera meets some solid more than 0.2 mm before the point.
    """
    xy, depth = camera.project(scenes, points, size)
    seen = (depth > 0) & ((xy > -0.5) & (xy < size - 0.5)).all(axis=-1)
    plane = (xy - (size - 1) / 2) * (2 * camera.HALF_VIEW / size)  # of the rays, at depth 1
    bodies = bodies_of(scenes)
    for n, (left, top, right, bottom) in enumerate(boxes(bodies, size) - 0.5):
        b = bodies.scene[n]
        x, y = xy[b, :, 0], xy[b, :, 1]
        ids = np.flatnonzero(seen[b] & (x >= left) & (x <= right) & (y >= top) & (y <= bottom))
        ray = np.concatenate([plane[b, ids], np.ones((len(ids), 1))], axis=-1)
        middle, view, radius = bodies.seen[n], bodies.view[n], bodies.radius[n]
        P = rotate(view, ray * middle[2] - middle) / radius
        D = rotate(view, ray)
        bundle = ([v[:, i].astype(np.float32) for i in range(3)] for v in (P, D))
        first = middle[2] + radius * hit(int(bodies.shape[n]), *bundle).astype(float)
        seen[b, ids[(first > 0) & (first < depth[b, ids] - NEARER)]] = False
    return seen


def correspond(
    a: Scenes, b: Scenes, instance: np.ndarray, depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the pixels of `a` show, in `b` → xy float64 (B, S, S, 2), and seen, bool (B, S, S).

    `instance` and `depth` (B, S, S) are those of `a`; `b` holds the same objects, moved or seen
    from elsewhere. Scenes are treated one at a time: the same bits in every batch.
    """
    B, size, _ = depth.shape
    xy, seen = np.empty((B, size, size, 2)), np.empty((B, size, size), bool)
    grid = pixel_grid(size).reshape(1, -1, 2)
    for i in range(B):
        here, there = a[i], b[i]
        points = camera.unproject(here, grid, depth[i].reshape(1, -1), size)
        points = carry(here, there, instance[i].reshape(1, -1), points)
        xy[i] = camera.project(there, points, size)[0].reshape(size, size, 2)
        seen[i] = visible(there, points, size).reshape(size, size)
    return xy, seen
