"""How the objects and the camera of a scene move: planned once, then read at any time.

    plan = plan_motion(scenes, seconds=1.0)
    later = at(scenes, plan, [0.0, 0.5])    Scenes again, two moments of each

Objects stay on the table, never touch, and their centres stay in the picture. Rolling is without
slipping: the point that touches the table is at rest, ω = (up × v) / radius. The table and the
light stand still.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from course_lib.world import camera
from course_lib.world.bodies import rotate
from course_lib.world.draws import Draws
from course_lib.world.scene import MOST, NONE, Scenes
from course_lib.world.solids import CYLINDER, CYLINDER_RADIUS, FOOTPRINT, SPHERE, TORUS

MOTIONS = ("still", "slide", "roll", "spin")
STILL, SLIDE, ROLL, SPIN = range(4)
SPEED = (0.02, 0.12)  # metres a second, slowest and fastest slide or roll
SPIN_RATE = (0.6, 2.0)  # radians a second, either way
ORBIT_RATE = (0.08, 0.35)  # radians a second, either way: the camera around its target
TRIES = 24  # velocities tried for an object, before it stands still
EDGE = 0.92  # how far out a moving centre may get; the picture's border is at 1


@dataclass(frozen=True, eq=False)
class Motion:
    """Of B scenes, constant in time.

    kind      (B, 6)    index into MOTIONS, −1 where there is no object
    velocity  (B, 6, 2) metres a second, on the table
    turn      (B, 6, 3) axis times radians a second, in the world
    orbit     (B,)      radians a second that the camera's azimuth grows
    """

    kind: np.ndarray
    velocity: np.ndarray
    turn: np.ndarray
    orbit: np.ndarray

    def __getitem__(self, which: slice | np.ndarray | Sequence[int]) -> Motion:
        return Motion(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


def draws_of(scenes: Scenes, seed: int, stream: str) -> Draws:
    """Random numbers that belong to each scene, wherever it stands in a batch.

    A scene is known by how its cloth lies, two random numbers that no edit of an object changes: an
    edited scene moves, and is looked at, like the original.
    """
    bits = np.ascontiguousarray(scenes.table_offset, np.float64).view(np.uint64)
    return Draws(bits[:, 0] ^ (bits[:, 1] << np.uint64(1)), seed, stream)


def plan_motion(
    scenes: Scenes,
    seconds: float,
    seed: int = 0,
    motions: Sequence[str] = MOTIONS,
    orbit: bool = True,
) -> Motion:
    """B scenes → how each object moves for the next `seconds`, drawn evenly from what it can do.

    Only spheres, and cylinders and tori that lie with a level axis, can roll. An object without a
    clear way stands still, and so does one that can do none of `motions`. With `orbit` the camera
    goes around the table.
    """
    if isinstance(motions, str) or not motions or not set(motions) <= set(MOTIONS):
        raise ValueError(f"motions must be some of {MOTIONS}, but {motions!r} was asked for")
    if not 0 < seconds < np.inf:
        raise ValueError(f"a motion must last more than 0 seconds, but {seconds!r} was asked for")
    draws = draws_of(scenes, seed, "motion")
    side, rate = draws.uniform("side"), draws.uniform("orbit", 1, *ORBIT_RATE)
    camera_turn = np.where(side < 0.5, -rate, rate)[:, 0] * bool(orbit)
    kind = _kinds(scenes, draws, motions)
    plans = Motion(
        kind=kind,
        velocity=np.zeros((len(scenes), MOST, 2)),
        turn=np.zeros((len(scenes), MOST, 3)),
        orbit=camera_turn,
    )
    speed = draws.uniform("speed", MOST * TRIES, *SPEED).reshape(-1, MOST, TRIES)
    angle = draws.uniform("direction", MOST * TRIES, 0, 2 * np.pi).reshape(-1, MOST, TRIES)
    for b in range(len(scenes)):  # one at a time: the same bits in every batch
        _find_ways(scenes[b], plans[b : b + 1], speed[b], angle[b], seconds)
    spin = draws.uniform("spin", MOST, *SPIN_RATE)
    spin = np.where(draws.uniform("spin side", MOST) < 0.5, -spin, spin)
    plans.turn[..., 2] = np.where(kind == SPIN, spin, 0)
    _roll(scenes, plans)
    return plans


def _kinds(scenes: Scenes, draws: Draws, motions: Sequence[str]) -> np.ndarray:
    level = np.abs(scenes.rotation[..., 2, 2]) < 1e-9  # the own axis
    rolls = (scenes.shape == SPHERE) | (np.isin(scenes.shape, (CYLINDER, TORUS)) & level)
    asked = np.isin(MOTIONS, motions)
    can = np.broadcast_to(asked, (*rolls.shape, len(MOTIONS))).copy()
    can[..., ROLL] &= rolls
    number = can.sum(axis=-1)
    nth = (draws.uniform("kind", MOST) * number).astype(int)
    chosen = (can.cumsum(axis=-1) > nth[..., None]).argmax(axis=-1)
    return np.where(scenes.there, np.where(number > 0, chosen, STILL), NONE)


def _find_ways(
    scene: Scenes, plan: Motion, speed: np.ndarray, angle: np.ndarray, seconds: float
) -> None:
    """Fill in one scene's velocities, object after object; without a way it stands still."""
    start, height = scene.position[0], scene.centre[0, :, 2]
    reach = scene.radius[0] * FOOTPRINT[scene.shape[0]]
    for i in np.flatnonzero(np.isin(plan.kind[0], (SLIDE, ROLL))):
        heading = angle[i]
        if plan.kind[0, i] == ROLL and scene.shape[0, i] != SPHERE:  # a wheel: two ways only
            axis = scene.rotation[0, i, :2, 2]
            across = np.arctan2(axis[0], -axis[1])
            heading = across + np.where(angle[i] < np.pi, 0, np.pi)
        v = speed[i, :, None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        clear = _stays_in_view(scene, plan.orbit, start[i], height[i], v, seconds)
        for j in set(range(scene.count[0])) - {i}:
            gap, drift = start[i] - start[j], v - plan.velocity[0, j]
            least = min(reach[i] + reach[j], np.hypot(*gap))
            clear &= _nearest(gap, drift, seconds) >= least - 1e-12
        if clear.any():
            plan.velocity[0, i] = v[clear.argmax()]
        else:
            plan.kind[0, i] = STILL


def _nearest(gap: np.ndarray, drift: np.ndarray, seconds: float) -> np.ndarray:
    """Distance (2,) that drifts by (K, 2) a second → the smallest it gets (K,)."""
    when = -(drift @ gap) / np.maximum((drift**2).sum(axis=-1), 1e-30)
    then = gap + drift * np.clip(when, 0, seconds)[:, None]
    return np.hypot(then[:, 0], then[:, 1])


def _stays_in_view(
    scene: Scenes,
    orbit: np.ndarray,
    start: np.ndarray,
    height: float,
    v: np.ndarray,
    seconds: float,
) -> np.ndarray:
    """Velocities (K, 2) → which keep the centre in the picture at the start, half-way and the end.

    An object that begins farther out may stay there, but get no farther.
    """
    times = np.array([0, 0.5, 1]) * seconds
    moment = replace(scene[[0, 0, 0]], azimuth=scene.azimuth + orbit * times)
    on_table = start + v * times[:, None, None]  # (3, K, 2)
    points = np.concatenate([on_table, np.full((*on_table.shape[:2], 1), height)], axis=-1)
    out = np.abs(camera.project(moment, points, 2)[0] - 0.5).max(axis=-1)
    return (out <= np.maximum(EDGE, out[0])).all(axis=0)


def _roll(scenes: Scenes, plan: Motion) -> None:
    """Fill in ω = (up × v) / radius of the circle that rolls."""
    wheel = np.where(scenes.shape == CYLINDER, CYLINDER_RADIUS, 1.0) * scenes.radius
    rolling = plan.kind == ROLL
    x, y = np.moveaxis(plan.velocity, -1, 0) / np.where(rolling, wheel, 1)
    plan.turn[..., 0] = np.where(rolling, -y, 0)
    plan.turn[..., 1] = np.where(rolling, x, 0)


def at(scenes: Scenes, motion: Motion, times: Iterable[float]) -> Scenes:
    """B scenes at T `times`, seconds → B·T scenes: all moments of the first, of the second, …"""
    times = np.asarray(list(times), float)
    rows = np.repeat(np.arange(len(scenes)), len(times))
    t = np.tile(times, len(scenes))
    motion, moments = motion[rows], scenes[rows]
    return replace(
        moments,
        position=moments.position + motion.velocity * t[:, None, None],
        rotation=_turned(moments.rotation, motion.turn * t[:, None, None]),
        azimuth=moments.azimuth + motion.orbit * t,
    )


def _turned(rotation: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Rotations (…, 3, 3), then turned by axis · angle (…, 3) (Rodrigues' formula)."""
    angle = np.sqrt(turn[..., 0] ** 2 + turn[..., 1] ** 2 + turn[..., 2] ** 2)[..., None, None]
    x, y, z = np.moveaxis(turn, -1, 0) / np.maximum(angle[..., 0, 0], 1e-30)
    o = np.zeros_like(x)
    K = np.stack([o, -z, y, z, o, -x, -y, x, o], axis=-1).reshape(*x.shape, 3, 3)
    K2 = _times(K, K)
    R = np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K2
    return np.where(angle > 0, _times(R, rotation), rotation)


def _times(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Products of matrices (…, 3, 3), in one order of additions at every batch size."""
    return np.stack([rotate(A, B[..., k]) for k in range(3)], axis=-1)
