"""A pinhole camera that looks at the table: between metres on the table and pixels in the picture.

The table is the plane z = 0, z points up. At azimuth 0 the camera stands at negative y and sees x
to its right. The camera's own frame is OpenCV's: x right, y down, z forward; depth is z in metres.
Pixel centres are whole numbers, so a picture of S pixels spans −0.5 to S − 0.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from course_lib.world.scene import Scenes

HALF_VIEW = np.tan(np.radians(20.0))  # tangent of half the field of view (40°), both ways


def axes(scenes: Scenes) -> np.ndarray:
    """B scenes → rotations (B, 3, 3) from the world to the camera: rows right, down, forward."""
    a, e = scenes.azimuth, scenes.elevation
    ca, sa, ce, se = np.cos(a), np.sin(a), np.cos(e), np.sin(e)
    right = np.stack([ca, sa, 0 * a], axis=-1)
    forward = np.stack([-sa * ce, ca * ce, -se], axis=-1)
    down = np.stack([sa * se, -ca * se, -ce], axis=-1)
    return np.stack([right, down, forward], axis=-2)


def eye(scenes: Scenes) -> np.ndarray:
    """B scenes → where the camera stands (B, 3), metres."""
    return scenes.target - scenes.distance[:, None] * axes(scenes)[:, 2]


def to_camera(scenes: Scenes, points: np.ndarray) -> np.ndarray:
    """World points (B, …, 3) → the camera's frame (B, …, 3), metres."""
    R, p = axes(scenes), np.asarray(points, float)
    middle = (slice(None),) + (None,) * (p.ndim - 2)
    return np.einsum("bij,b...j->b...i", R, p - eye(scenes)[middle])


def project(scenes: Scenes, points: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """World points (B, …, 3) → pixels xy (B, …, 2) in a picture of `size`, and depth (B, …)."""
    x, y, z = np.moveaxis(to_camera(scenes, points), -1, 0)
    focal = size / (2 * HALF_VIEW)
    return np.stack([x, y], axis=-1) * (focal / z)[..., None] + (size - 1) / 2, z


def unproject(scenes: Scenes, xy: np.ndarray, depth: np.ndarray, size: int) -> np.ndarray:
    """Pixels xy (B, …, 2) with their depth (B, …), metres → world points (B, …, 3)."""
    focal = size / (2 * HALF_VIEW)
    xy = (np.asarray(xy, float) - (size - 1) / 2) / focal
    ray = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1) * np.asarray(depth)[..., None]
    middle = (slice(None),) + (None,) * (ray.ndim - 2)
    return np.einsum("bij,b...i->b...j", axes(scenes), ray) + eye(scenes)[middle]
