"""The five solids, each in its own frame: centred, of radius 1, its axis along z.

One number scales a solid: the object's radius in metres. `rest` says how high a turned solid's
centre lies when it rests on the table, `inside` which points it holds; render.py holds the rays.
"""

from __future__ import annotations

import numpy as np

SHAPES = ("sphere", "cube", "cylinder", "cone", "torus")
SPHERE, CUBE, CYLINDER, CONE, TORUS = range(5)

CUBE_HALF = 0.80  # half an edge
CYLINDER_RADIUS, CYLINDER_HALF = 0.72, 0.85
CONE_RADIUS, CONE_HALF = 0.95, 0.95  # of the base; half the height (apex at z = +CONE_HALF)
TORUS_RING, TORUS_TUBE = 0.68, 0.32  # radius of the ring's middle line, and of the tube

# How far a resting solid reaches sideways from its centre, in any pose.
FOOTPRINT = np.array([1.0, 2**0.5 * CUBE_HALF, np.hypot(CYLINDER_RADIUS, CYLINDER_HALF),
                      np.hypot(CONE_RADIUS, CONE_HALF), TORUS_RING + TORUS_TUBE])  # fmt: skip


def inside(shape: int, points: np.ndarray) -> np.ndarray:
    """Which points (…, 3) of the solid's own frame lie in it or on its surface → bool (…)."""
    x, y, z = np.moveaxis(np.asarray(points), -1, 0)
    if shape == SPHERE:
        return x**2 + y**2 + z**2 <= 1
    if shape == CUBE:
        return np.maximum(np.maximum(abs(x), abs(y)), abs(z)) <= CUBE_HALF
    from_axis = np.hypot(x, y)
    if shape == CYLINDER:
        return (from_axis <= CYLINDER_RADIUS) & (abs(z) <= CYLINDER_HALF)
    if shape == CONE:
        slope = CONE_RADIUS / (2 * CONE_HALF)
        return (from_axis <= (CONE_HALF - z) * slope) & (z >= -CONE_HALF)
    if shape == TORUS:
        return (from_axis - TORUS_RING) ** 2 + z**2 <= TORUS_TUBE**2
    raise ValueError(f"there are the shapes 0 to {len(SHAPES) - 1}, but {shape!r} was given")


def support(shape: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """How far solids reach in a direction of their own frame: shapes (…), vectors (…, 3) → (…).

    The largest inner product of the direction with any point of the solid, in radii.
    """
    x, y, z = np.moveaxis(direction, -1, 0)
    across = np.sqrt(x * x + y * y)
    length = np.sqrt(x * x + y * y + z * z)
    reach = (
        length,
        CUBE_HALF * (abs(x) + abs(y) + abs(z)),
        CYLINDER_HALF * abs(z) + CYLINDER_RADIUS * across,
        np.maximum(CONE_HALF * z, CONE_RADIUS * across - CONE_HALF * z),
        TORUS_RING * across + TORUS_TUBE * length,
    )
    return np.choose(np.clip(shape, 0, len(SHAPES) - 1), reach)


def rest(shape: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Height of a resting solid's centre, in radii: shapes (…), rotations (…, 3, 3) → (…)."""
    return support(shape, -np.asarray(rotation)[..., 2, :])


def about_z(angle: np.ndarray) -> np.ndarray:
    """Angles (…), radians → rotation matrices (…, 3, 3) about the vertical, from x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    o, i = np.zeros_like(c), np.ones_like(c)
    return np.stack([c, -s, o, s, c, o, o, o, i], axis=-1).reshape(*np.shape(angle), 3, 3)


def about_x(angle: np.ndarray) -> np.ndarray:
    """Angles (…), radians → rotation matrices (…, 3, 3) about x, from y towards z."""
    c, s = np.cos(angle), np.sin(angle)
    o, i = np.zeros_like(c), np.ones_like(c)
    return np.stack([i, o, o, o, c, -s, o, s, c], axis=-1).reshape(*np.shape(angle), 3, 3)


# How far each solid is tipped over to lie: the cone comes to rest on its side, apex to the table.
LYING = np.array([np.pi / 3, 0.0, np.pi / 2, np.pi / 2 + np.arctan2(CONE_RADIUS, 2 * CONE_HALF),
                  np.pi / 2])  # fmt: skip


def pose(shape: np.ndarray, yaw: np.ndarray, lying: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Shapes, yaws, whether lying, rolls about the own axis (all (…)) → rotations (…, 3, 3).

    `roll` shows another side of a solid that lies; a cube stands on a face either way.
    """
    tip = np.where(lying, LYING[np.clip(shape, 0, len(SHAPES) - 1)], 0.0)
    return about_z(yaw) @ about_x(tip) @ about_z(np.where(shape == CUBE, 0.0, roll))
