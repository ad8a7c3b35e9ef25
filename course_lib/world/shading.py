"""The colour of a surface in the light: Lambert, a sky, what the table throws back, and gloss.

Lambert's cosine law; a sky of two halves (hemisphere lighting); Blinn's highlight (SIGGRAPH 1977);
Schlick's approximation of Fresnel's law (1994). All in linear light, where light adds up;
render.py takes the square root of it (a gamma of 2) for the screen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from course_lib.world import shadows
from course_lib.world.bodies import Bodies, rotate
from course_lib.world.rays import Vector, dot
from course_lib.world.scene import COLOURS, MATERIALS, MOST, Scenes
from course_lib.world.shadows import Outlines
from course_lib.world.solids import support

ALBEDO = {
    "red": (0.66, 0.028, 0.035),
    "orange": (0.86, 0.25, 0.018),
    "yellow": (0.86, 0.68, 0.035),
    "green": (0.045, 0.40, 0.07),
    "cyan": (0.04, 0.52, 0.58),
    "blue": (0.030, 0.10, 0.62),
    "purple": (0.28, 0.055, 0.46),
    "grey": (0.30, 0.30, 0.31),
}
_ALBEDO = np.array([ALBEDO[name] for name in COLOURS])
CREAM = np.array([0.80, 0.77, 0.70])  # the other half of the stripes
STRIPES = np.array([0.48, 0.0, 0.88])  # across them, in the solid's own frame
PER_RADIUS = 2.1  # stripes
SUNLIGHT, SKYLIGHT, BOUNCE = 0.86, 0.42, 0.55


@dataclass(frozen=True, eq=False)
class Light:
    """Light on B scenes (B, 3): the way to the sun; RGB of sun, of sky, and of the table's glow."""

    direction: np.ndarray
    sun: np.ndarray
    sky: np.ndarray
    table: np.ndarray


def light(scenes: Scenes, ramps: np.ndarray) -> Light:
    """B scenes and their tables' colours (B, 2, 3) → the light on them."""
    warm, bright = scenes.warmth[:, None], scenes.brightness[:, None]
    sun = SUNLIGHT * bright * (1 + warm * (0.09, 0.0, -0.16))
    sky = SKYLIGHT * bright * (1 + warm * (0.03, 0.0, -0.05)) * (0.95, 1.0, 1.07)
    direction = shadows.suns(scenes)
    table = BOUNCE * ramps.mean(axis=1) * (sun * direction[:, 2:] + sky)
    return Light(direction, sun, sky, table)


@dataclass(frozen=True, eq=False)
class Points:
    """The points of a group that are seen, body by body: all (M,), float32, in the own frames.

    counts (G,) how many are of each body; p points, n normals, D rays; share of the sun, or None
    """

    counts: np.ndarray
    p: Vector
    n: Vector
    D: Vector
    share: np.ndarray | None

    def spread(self, x: np.ndarray) -> np.ndarray:
        """One number for each body (G,) → for each point (M,)."""
        return np.repeat(x.astype(np.float32), self.counts)

    def spread3(self, v: np.ndarray) -> Vector:
        """One vector for each body (G, 3) → for each point."""
        return [self.spread(v[:, k]) for k in range(3)]


def colours(
    scenes: Scenes, bodies: Bodies, lamps: Light, ids: np.ndarray, points: Points
) -> Vector:
    """Bodies (G,) and their points that are seen → red, green, blue (M,), linear light."""
    scene = bodies.scene[ids]
    own = bodies.world[ids].swapaxes(1, 2)
    to_sun, up = rotate(own, lamps.direction[scene]), own[..., 2]
    facing = dot(points.n, points.spread3(to_sun))
    up_there = points.spread3(up)
    rises = dot(points.n, up_there)
    # The sun is a disc: it sets over a little more than a quarter of the ball.
    sunny = np.clip(facing * np.float32(0.94) + np.float32(0.06), 0, 1)
    if points.share is not None:
        sunny *= points.share
    height = dot(points.p, up_there) + points.spread(bodies.centre[ids, 2] / bodies.radius[ids])
    open_sky = np.minimum(height * np.float32(0.20) + np.float32(0.19), np.float32(0.5))
    above = open_sky + rises * open_sky
    below = open_sky - rises * open_sky
    found = _paint(scenes, bodies, ids, points)
    for c in range(3):
        light = sunny * points.spread(lamps.sun[scene, c])
        light += above * points.spread(lamps.sky[scene, c])
        light += below * points.spread(lamps.table[scene, c])
        found[c] *= light
    shiny = scenes.material[scene, bodies.place[ids]] == MATERIALS.index("shiny")
    if shiny.any():
        some = np.flatnonzero(np.repeat(shiny, points.counts))
        n, D = [v[some] for v in points.n], [v[some] for v in points.D]
        share = None if points.share is None else points.share[some]
        polished = Points(points.counts[shiny], n, n, D, share)
        gloss = _gloss(polished, facing[some], rises[some], to_sun[shiny], up[shiny],
                       lamps, scene[shiny])  # fmt: skip
        for c in range(3):
            found[c][some] += gloss[c]
    return found


def _paint(scenes: Scenes, bodies: Bodies, ids: np.ndarray, points: Points) -> Vector:
    """Share of red, green and blue light that the points throw back: their colour, or a stripe."""
    scene, place = bodies.scene[ids], bodies.place[ids]
    paint = points.spread3(_ALBEDO[scenes.colour[scene, place]])
    striped = scenes.material[scene, place] == MATERIALS.index("striped")
    if striped.any():
        some = np.flatnonzero(np.repeat(striped, points.counts))
        across = points.p[0][some] * np.float32(STRIPES[0] * PER_RADIUS)
        across += points.p[2][some] * np.float32(STRIPES[2] * PER_RADIUS) + np.float32(64.25)
        across -= np.floor(across)
        some = some[across > np.float32(0.56)]
        for c in range(3):
            paint[c][some] = CREAM[c]
    return paint


def _gloss(
    points: Points,
    facing: np.ndarray,
    rises: np.ndarray,
    to_sun: np.ndarray,
    up: np.ndarray,
    lamps: Light,
    scene: np.ndarray,
) -> Vector:
    """What a polished surface mirrors: the sun with a halo, the sky and the table, most at the rim.

    Inner products of the normals (M,) with the sun and with up, and these in the own frames (G, 3).
    """
    D = points.D
    backwards = -1 / np.sqrt(dot(D, D))
    faces_eye = np.maximum(dot(points.n, D) * backwards, 0)
    sun_of_eye = dot(D, points.spread3(to_sun)) * backwards
    up_of_eye = dot(D, points.spread3(up)) * backwards
    half = np.clip((facing + faces_eye) / np.sqrt(2 + 2 * sun_of_eye), 0, 1)
    power = half * half
    halo = power
    for _ in range(2):
        power = power * power
    halo = power * halo  # the tenth power
    for _ in range(2):
        power = power * power
    spot = np.float32(0.16) * halo + np.float32(1.5) * power * power * power  # and the 96th
    spot *= facing > 0
    if points.share is not None:
        spot *= points.share
    rim = 1 - faces_eye
    rim *= rim
    fresnel = np.float32(0.05) + np.float32(0.75) * rim * rim
    mirrored = (2 * faces_eye * rises - up_of_eye) * np.float32(1.6) + np.float32(0.5)
    mirrored = np.clip(mirrored, 0, 1) * fresnel
    fresnel -= mirrored
    mirrored *= np.float32(1.6)
    return [
        spot * points.spread(lamps.sun[scene, c])
        + mirrored * points.spread(lamps.sky[scene, c])
        + fresnel * points.spread(lamps.table[scene, c])
        for c in range(3)
    ]


def to_camera(bodies: Bodies, ids: np.ndarray, points: Points) -> np.ndarray:
    """The normals of bodies' points → in the camera's frame (M, 3)."""
    view = bodies.view[ids]
    return np.stack([dot(points.n, points.spread3(view[:, :, k])) for k in range(3)], axis=-1)


def casters(scenes: Scenes, bodies: Bodies, lamps: Light) -> dict[int, list[int]]:
    """Body → the bodies whose shadow may fall on it."""

    def reach(body: np.ndarray, direction: np.ndarray) -> np.ndarray:
        own = rotate(bodies.world[body].swapaxes(1, 2), direction)
        return bodies.radius[body] * support(bodies.shape[body], own)

    a, b = _neighbours(scenes.count)
    apart = bodies.centre[b] - bodies.centre[a]
    to_sun = lamps.direction[bodies.scene[a]]
    along = (apart * to_sun).sum(axis=1)
    aside = apart - along[:, None] * to_sun
    far = np.sqrt((aside * aside).sum(axis=1))
    aside = aside / np.maximum(far, 1e-9)[:, None]
    # Apart along one direction, by more than the penumbra, is apart.
    lowest = along + reach(a, -to_sun)
    penumbra = np.maximum(lowest, 0) * shadows.SUN + bodies.radius[b] * shadows.EDGE
    meets = (lowest > 0) & (far < reach(a, aside) + reach(b, -aside) + penumbra)
    found: dict[int, list[int]] = {}
    for receiver, caster in zip(a[meets].tolist(), b[meets].tolist(), strict=True):
        found.setdefault(receiver, []).append(caster)
    return found


def _neighbours(count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All ordered pairs of different bodies of one scene."""
    there = np.arange(MOST) < count[:, None]
    both = there[:, :, None] & there[:, None, :] & ~np.eye(MOST, dtype=bool)
    scene, a, b = np.nonzero(both)
    first = np.cumsum(count) - count
    return first[scene] + a, first[scene] + b


def share_of_sun(
    bodies: Bodies, views: Outlines, receiver: int, others: list[int], p: list[np.ndarray]
) -> np.ndarray:
    """One body's points p (M,), own frame, and who stands before its sun → share of it (M,)."""
    share = np.ones_like(p[0])
    for caster in others:
        frame = views.frame[caster]
        turn = rotate(bodies.world[receiver].T, frame) * bodies.radius[receiver]
        start = rotate(frame, bodies.centre[receiver] - bodies.centre[caster])
        u, v, w = (
            dot(p, list(turn[k].astype(np.float32))) + np.float32(start[k]) for k in range(3)
        )
        kind, one = int(bodies.shape[caster]), slice(caster, caster + 1)
        miss = shadows.clearance(kind, views.lean[one], views.edges[one], u[None], v[None])
        share *= shadows.lit(miss, -w[None])[0]
    return share
