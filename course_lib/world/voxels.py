"""The table-top as a grid of small cubes: which object fills which.

The grid is a cube that stands on the table with its middle above the origin. Axes are those of the
world, in this order: grid[b, i, j, k] is the cube number i along x, j along y and k upwards.
"""

from __future__ import annotations

import numpy as np

from course_lib.world.bodies import BALL, rotate
from course_lib.world.scene import NONE, Scenes
from course_lib.world.solids import inside

EDGE = 0.42  # metres; every object of every sampled scene lies in it
LARGEST = 512  # cubes on a side


def voxel_centres(resolution: int = 32, edge: float = EDGE) -> tuple[np.ndarray, ...]:
    """Middles of the cubes along x, y and z → three arrays (R,), metres."""
    if (
        not isinstance(resolution, (int, np.integer))
        or isinstance(resolution, bool)
        or not 1 <= resolution <= LARGEST
    ):
        raise ValueError(
            f"resolution must be a whole number from 1 to {LARGEST}, but it is {resolution!r}"
        )
    if not 0 < edge < np.inf:
        raise ValueError(f"edge must be a length above 0 metres, but it is {edge!r}")
    up = (np.arange(resolution) + 0.5) * (edge / resolution)
    return up - edge / 2, up - edge / 2, up


def voxels(scenes: Scenes, resolution: int = 32, edge: float = EDGE) -> np.ndarray:
    """B scenes → int8 (B, R, R, R): the place of the object that holds a cube's middle, or −1.

    `edge` of the whole grid in metres; what lies outside of it is cut off.
    """
    axes = voxel_centres(resolution, edge)
    grid = np.full((len(scenes), *(len(axis) for axis in axes)), NONE, np.int8)
    centre = scenes.centre
    for b, place in np.argwhere(scenes.there):
        shape, radius = scenes.shape[b, place], scenes.radius[b, place]
        reach = BALL[shape] * radius
        box, near = [], []
        for axis, middle in zip(axes, centre[b, place], strict=True):
            some = slice(*np.searchsorted(axis, (middle - reach, middle + reach)))
            box.append(some)
            near.append(axis[some] - middle)
        points = np.stack(np.meshgrid(*near, indexing="ij"), axis=-1) / radius
        own = rotate(scenes.rotation[b, place].T, points)
        np.copyto(grid[(b, *box)], np.int8(place), where=inside(shape, own))
    return grid
