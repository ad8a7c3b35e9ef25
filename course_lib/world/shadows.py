"""How much of the sun and of the sky reaches a point: soft shadows without a second ray.

Seen from the sun a solid is an outline. How far a point's line to the sun passes by that outline,
compared with the width that the sun's disc has there, says how much of the disc is seen. The
outlines of sphere, cube, cylinder and cone are exact, the torus' to first order; so is the way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from course_lib.world import camera
from course_lib.world.bodies import BALL, Bodies, Group, rotate, samples
from course_lib.world.scene import Scenes
from course_lib.world.solids import (
    CONE,
    CONE_HALF,
    CONE_RADIUS,
    CUBE,
    CUBE_HALF,
    CYLINDER,
    CYLINDER_HALF,
    CYLINDER_RADIUS,
    SPHERE,
    TORUS_RING,
    TORUS_TUBE,
)

SUN = 0.11  # tangent of half the angle under which the light is seen: a lamp with a shade
EDGE = 0.03  # half the width of a shadow's edge where it begins, in radii
REACH = 2.6  # how far an object dims the sky on the table, in radii
BESIDE = 2 * 1.5 * SUN  # a shadow's greatest half penumbra, in radii of its object


@dataclass(frozen=True, eq=False)
class Outlines:
    """The outlines of N bodies as their suns see them: rows of `frame` are u, v and to the sun.

    frame (N, 3, 3)  world to the outline's frame, per radius; u lies along the solid's axis
    lean  (N, 2)     how much of the axis lies along u, and along the sun's direction (sine, cosine)
    edges (N, 3, 2)  directions of a cube's edges in u and v
    """

    frame: np.ndarray
    lean: np.ndarray
    edges: np.ndarray


def suns(scenes: Scenes) -> np.ndarray:
    """B scenes → unit vectors (B, 3) towards the light."""
    a, e = scenes.light_azimuth, scenes.light_elevation
    return np.stack([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)], axis=-1)


def outlines(bodies: Bodies, sun: np.ndarray) -> Outlines:
    """Bodies and the direction of the sun of each (N, 3) → their outlines."""
    axis = bodies.world[..., 2]
    cosine = (axis * sun).sum(axis=1)
    aside = axis - cosine[:, None] * sun
    sine = np.sqrt((aside * aside).sum(axis=1))
    # Where the axis points at the sun any u will do; the sun is never straight above a table's x.
    other = np.cross([1.0, 0.0, 0.0], sun)
    aside = np.where((sine > 1e-6)[:, None], aside, other)
    u = aside / np.sqrt((aside * aside).sum(axis=1))[:, None]
    frame = np.stack([u, np.cross(sun, u), sun], axis=1)
    edges = np.stack([rotate(frame, bodies.world[..., i])[:, :2] for i in range(3)], axis=1)
    return Outlines(
        frame=frame / bodies.radius[:, None, None],
        lean=np.stack([sine, np.abs(cosine)], axis=-1),
        edges=edges,
    )


def clearance(
    shape: int, lean: np.ndarray, edges: np.ndarray, u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """How far u, v (G, M) lie outside the outlines of G solids, in radii; inside it is below 0."""
    lean, edges = lean.astype(np.float32), edges.astype(np.float32)
    sine, cosine = lean[:, :1], lean[:, 1:]
    if shape == SPHERE:
        return np.sqrt(u * u + v * v) - 1
    if shape == CUBE:
        return _hexagon(edges, u, v)
    if shape == CYLINDER:  # an ellipse, drawn along u
        along = np.maximum(np.abs(u) - np.float32(CYLINDER_HALF) * sine, 0)
        return _ellipse(along, v, CYLINDER_RADIUS * cosine, CYLINDER_RADIUS)
    if shape == CONE:
        return _hull(u + np.float32(CONE_HALF) * sine, v, sine, cosine)
    ring = _ellipse(u, v, TORUS_RING * cosine, TORUS_RING)
    return np.abs(ring) - np.float32(TORUS_TUBE)


def _ellipse(u: np.ndarray, v: np.ndarray, a: np.ndarray, b: float) -> np.ndarray:
    """Distance outside the ellipse of half axes a (G, 1) and b, to first order at its edge."""
    a = np.maximum(a, np.float32(0.02)).astype(np.float32)
    x, y = u / a, v * np.float32(1 / b)
    size = np.sqrt(x * x + y * y)
    x, y = x / a, y * np.float32(1 / b)
    slope = np.sqrt(x * x + y * y) + np.float32(1e-6)
    return size * (size - 1) / slope


def _hexagon(edges: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A cube's outline is where three strips meet, each along the picture of an edge."""
    furthest = None
    for i in range(3):
        across = np.stack([-edges[:, i, 1], edges[:, i, 0]], axis=-1)
        length = np.sqrt((across * across).sum(axis=-1, keepdims=True))
        across = across / np.maximum(length, np.float32(1e-3))
        half = np.abs((edges * across[:, None]).sum(axis=-1)).sum(axis=-1, keepdims=True)
        # An edge that points at the sun has no picture, so its strip bounds nothing.
        half = np.where(length > 1e-3, half * np.float32(CUBE_HALF), np.float32(-np.inf))
        strip = np.abs(u * across[:, :1] + v * across[:, 1:]) - np.where(half < 0, 9, half)
        furthest = strip if furthest is None else np.maximum(furthest, strip)
    return furthest


def _hull(u: np.ndarray, v: np.ndarray, sine: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """A cone's outline: the base's ellipse, and two tangents from the apex where it lies outside.

    u is measured from the base's centre; the apex lies at (L, 0).
    """
    a, b, apex = CONE_RADIUS * cosine, np.float32(CONE_RADIUS), 2 * CONE_HALF * sine
    disc = _ellipse(u, v, a, CONE_RADIUS)
    rise = np.sqrt(np.maximum(apex * apex - a * a, 0)) / b  # of the tangent's normal
    ny = rise / np.sqrt(1 + rise * rise)
    nx = 1 / np.sqrt(1 + rise * rise)
    v = np.abs(v)
    tangent = (u - apex) * nx + v * ny
    touches = (a * a - b * b) * nx * ny / np.maximum(apex * nx, np.float32(1e-6))
    beyond = u * ny - v * nx > touches
    return np.where(beyond & (apex > a), tangent, disc)


def lit(distance: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Clearance and the way to the outline, in radii → share of the sun that is seen, 0 to 1."""
    half = np.maximum(along, 0) * np.float32(SUN) + np.float32(EDGE)
    x = distance / half
    # Behind the point nothing casts a shadow on it.
    x += np.maximum(-along, 0) * np.float32(20)
    x = np.clip(x * np.float32(0.5) + np.float32(0.5), 0, 1)
    return x * x * (3 - 2 * x)


def table_boxes(scenes: Scenes, bodies: Bodies, sun: np.ndarray, size: int) -> np.ndarray:
    """Pixels of the table that a body may dim → (N, 4) int: left, top, right, bottom (exclusive).

    Those of two discs: around the object, for the sky, and around its shadow's far end.
    """
    ball = BALL[bodies.shape] * bodies.radius
    end = sun[:, :2] / sun[:, 2:] * (bodies.centre[:, 2] + ball)[:, None]
    middle = bodies.centre[:, None, :2] - np.stack([0 * end, end], axis=1)
    angle = np.arange(8) * (np.pi / 4)
    octagon = np.stack([np.cos(angle), np.sin(angle)], axis=-1) / np.cos(np.pi / 8)
    disc = np.stack([REACH * bodies.radius, ball + BESIDE * bodies.radius], axis=1)
    corners = middle[:, :, None] + disc[:, :, None, None] * octagon  # (N, 2, 8, 2)
    corners = np.concatenate([corners, np.zeros_like(corners[..., :1])], axis=-1)
    some = (bodies.scene, None, None)
    seen = rotate(camera.axes(scenes)[some], corners - camera.eye(scenes)[some])
    x, y, z = np.moveaxis(seen.reshape(-1, 16, 3), -1, 0)
    behind = (z <= 0.02).any(axis=1)  # the camera stands in the shadow: it may be anywhere
    x, y = x / np.maximum(z, 0.02), y / np.maximum(z, 0.02)
    ends = np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], axis=-1)
    ends = (ends / camera.HALF_VIEW + 1) / 2 * size
    ends[behind] = (0, 0, size, size)
    ends = np.clip(ends, 0, size)
    return np.concatenate([np.floor(ends[:, :2]), np.ceil(ends[:, 2:])], axis=1).astype(int)


def on_table(
    scenes: Scenes, bodies: Bodies, views: Outlines, group: Group, depth: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Share of sun and of sky that a group's bodies leave to the pixels of their table boxes.

    `depth` (B, S) of the table in each row of pixels, metres → sun, sky: float32 (G, h, w), 0 to 1.
    """
    some, scene = group.ids, bodies.scene[group.ids]
    x = samples(group.left, group.width, size)
    y = samples(group.top, group.height, size)
    rows = group.top[:, None] + np.arange(group.height)
    t = depth[scene[:, None], rows]
    axes = camera.axes(scenes)[scene]  # rows: the camera's axes in the world
    away = camera.eye(scenes)[scene] - bodies.centre[some]
    uvw = []
    for k in range(
        3
    ):  # linear in the point, so: a row's slope times the column, plus the row's start
        direction = views.frame[some, k]
        right, down, forward = rotate(axes, direction).T[..., None]
        start = (direction * away).sum(axis=1)[:, None] + t * (down * y + forward)
        slope, column = (t * right).astype(np.float32), x.astype(np.float32)
        plane = slope[:, :, None] * column[:, None, :] + start.astype(np.float32)[:, :, None]
        uvw.append(plane.reshape(len(some), -1))
    u, v, w = uvw
    way = -w
    sun = lit(clearance(group.shape, views.lean[some], views.edges[some], u, v), way)
    square = u * u + v * v + w * w
    height = (bodies.centre[some, 2] / bodies.radius[some]).astype(np.float32)[:, None]
    # A ball above a plane hides this much of its sky, weighted by the cosine: h r² / d³.
    hidden = height / (square * np.sqrt(square)) - np.float32(1 / REACH**3)
    sky = 1 - np.clip(hidden, 0, 1) * np.float32(0.85)
    shape = (len(some), group.height, group.width)
    return sun.reshape(shape), sky.reshape(shape)
