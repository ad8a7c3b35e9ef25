"""The objects of many scenes in one list, and the rays that may meet them.

A picture is made group by group: objects of one shape whose boxes are about equally large, so that
one call of NumPy serves thousands of rays. Pixels are counted in samples: `grid` of them on a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from course_lib.world import camera
from course_lib.world.rays import Vector
from course_lib.world.scene import Scenes
from course_lib.world.solids import (
    CONE_HALF,
    CONE_RADIUS,
    CUBE_HALF,
    CYLINDER_HALF,
    CYLINDER_RADIUS,
    SHAPES,
    TORUS_RING,
    TORUS_TUBE,
    support,
)

RAYS = 1 << 14  # in a group, about; more would no longer stay in the cache
# Radius of the ball around each solid.
BALL = np.array([1, 3**0.5 * CUBE_HALF, np.hypot(CYLINDER_RADIUS, CYLINDER_HALF),
                 np.hypot(CONE_RADIUS, CONE_HALF), TORUS_RING + TORUS_TUBE])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Bodies:
    """N objects, by scene and then by place.

    scene, place, shape  (N,)      whose they are
    radius               (N,)      metres
    centre               (N, 3)    world, metres
    world                (N, 3, 3) from the own frame to the world
    view                 (N, 3, 3) from the camera's frame to the own one
    seen                 (N, 3)    the centre in the camera's frame, metres
    """

    scene: np.ndarray
    place: np.ndarray
    shape: np.ndarray
    radius: np.ndarray
    centre: np.ndarray
    world: np.ndarray
    view: np.ndarray
    seen: np.ndarray

    def __len__(self) -> int:
        return len(self.scene)


@dataclass(frozen=True, eq=False)
class Group:
    """G bodies of one shape: ids (G,), left and top samples (G,), one width and one height."""

    shape: int
    ids: np.ndarray
    left: np.ndarray
    top: np.ndarray
    width: int
    height: int

    def windows(self) -> Iterator[tuple[int, int, slice, slice]]:
        """For every body: number in the group, body, rows and columns of its box."""
        for g, (body, x, y) in enumerate(
            zip(self.ids.tolist(), self.left.tolist(), self.top.tolist(), strict=True)
        ):
            yield g, body, slice(y, y + self.height), slice(x, x + self.width)


def rotate(R: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Rotations (…, 3, 3), vectors (…, 3) → (…, 3); the sums' order is that of any batch size."""
    return R[..., 0] * v[..., None, 0] + R[..., 1] * v[..., None, 1] + R[..., 2] * v[..., None, 2]


def bodies_of(scenes: Scenes) -> Bodies:
    """Scenes → their objects in one list."""
    scene, place = np.nonzero(scenes.there)
    world, axes = scenes.rotation[scene, place], camera.axes(scenes)[scene]
    centre = scenes.centre[scene, place]
    return Bodies(
        scene=scene,
        place=place,
        shape=scenes.shape[scene, place],
        radius=scenes.radius[scene, place],
        centre=centre,
        world=world,
        view=np.stack([rotate(world.swapaxes(1, 2), axes[:, i]) for i in range(3)], axis=-1),
        seen=rotate(axes, centre - camera.eye(scenes)[scene]),
    )


def boxes(bodies: Bodies, grid: int, align: int = 1) -> np.ndarray:
    """Samples that a body may cover → (N, 4) int: left, top, right, bottom (exclusive), 0 … grid.

    Multiples of `align`. For every point, x ≤ k z + h, where h is the solid's support along
    (1, 0, −k): so x / z ≤ k + h / z, and a second k, there, leaves almost nothing to spare.
    """

    def reach(direction: np.ndarray) -> np.ndarray:
        """Support of the bodies, in metres from the camera, along (N, 3) of the camera's frame."""
        own = rotate(bodies.view, direction)
        outward = bodies.radius * support(bodies.shape, own)
        return outward + (direction * bodies.seen).sum(axis=1)

    forward = np.broadcast_to([0.0, 0.0, 1.0], (len(bodies), 3))
    near, far = -reach(-forward), reach(forward)
    behind = near <= 1e-3  # its picture has no bounds
    near = np.maximum(near, 1e-3)
    ends = np.empty((len(bodies), 4))
    for end, (axis, sign) in enumerate([(0, -1), (1, -1), (0, 1), (1, 1)]):
        k = sign * bodies.seen[:, axis] / np.maximum(bodies.seen[:, 2], 1e-3)
        for _ in range(2):
            direction = np.zeros((len(bodies), 3))
            direction[:, axis], direction[:, 2] = sign, -k
            spare = reach(direction)
            k = k + np.where(spare > 0, spare / near, spare / far)
        ends[:, end] = sign * k
    ends = (ends / camera.HALF_VIEW + 1) / 2 * grid + (-0.01, -0.01, 0.01, 0.01)
    ends[behind] = (0, 0, grid, grid)
    ends[far <= 0] = 0
    low = np.floor(np.clip(ends[:, :2], 0, grid) / align)
    high = np.ceil(np.clip(ends[:, 2:], 0, grid) / align)
    return np.concatenate([low, high], axis=1).astype(int) * align


def groups(shape: np.ndarray, box: np.ndarray, grid: int) -> Iterator[Group]:
    """Shapes (N,) and boxes (N, 4) → groups; who is out of the picture is in none."""
    width, height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    area = width * height
    for kind in range(len(SHAPES)):
        ids = np.flatnonzero((shape == kind) & (area > 0))
        ids = ids[np.argsort(area[ids], kind="stable")]
        while len(ids):
            many = max(1, min(len(ids), int(RAYS // area[ids[0]])))
            some, ids = ids[:many], ids[many:]
            w, h = int(width[some].max()), int(height[some].max())
            # A box that is narrower than the group's is widened to the left where it must.
            left = np.minimum(box[some, 0], grid - w)
            top = np.minimum(box[some, 1], grid - h)
            yield Group(kind, some, left, top, w, h)


def samples(first: np.ndarray, count: int, grid: int) -> np.ndarray:
    """First sample (…) → the `count` samples' places on the picture plane at depth 1 (…, count)."""
    return ((first[..., None] + np.arange(count) + 0.5) * (2 / grid) - 1) * camera.HALF_VIEW


def rays(bodies: Bodies, group: Group, grid: int) -> tuple[Vector, Vector]:
    """The rays of a group's boxes, as rays.hit takes them → P, D: float32 (G, height · width)."""
    some = group.ids
    middle = bodies.seen[some, :2] / bodies.seen[some, 2:]
    x = (samples(group.left, group.width, grid) - middle[:, :1]).astype(np.float32)
    y = (samples(group.top, group.height, grid) - middle[:, 1:]).astype(np.float32)
    view, depth = bodies.view[some], bodies.seen[some, 2]
    through = rotate(view, bodies.seen[some] / depth[:, None]).astype(np.float32)
    scale = (depth / bodies.radius[some]).astype(np.float32)[:, None]
    view, P, D = view.astype(np.float32), [], []
    for k in range(3):
        # Seen from the centre's own ray, so that no digit is lost far away.
        column = view[:, k, 0, None] * x
        row = view[:, k, 1, None] * y
        aside = (row[:, :, None] + column[:, None, :]).reshape(len(some), -1)
        P.append(aside * scale)
        D.append(aside + through[:, k, None])
    return P, D
