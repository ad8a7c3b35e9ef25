"""Where objects stand: apart on the table, in the frame, and none hidden behind another.

Places are drawn at random and tried. Where nothing drawn will do, the objects stand on a ring,
which has room for any six: so no two solids ever meet.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from course_lib.world import camera
from course_lib.world.draws import Draws
from course_lib.world.solids import FOOTPRINT

if TYPE_CHECKING:
    from course_lib.world.scene import Scenes

# By number of objects: how far from the middle a centre may lie, metres.
SPREAD = np.array([0.0, 0.02, 0.075, 0.095, 0.115, 0.13, 0.145])
TRIES, LAYOUTS, TURNS = 16, 12, 24  # places for an object; whole tables anew; turns of the ring
RING = 0.95  # of the spread
FRAME = 1.02  # half the picture is 1: an object may leave it by a little


def laid_out(scenes: Scenes, draws: Draws) -> Scenes:
    """B scenes, and their draws → the same with places for all objects."""
    position, todo = scenes.position.copy(), np.arange(len(scenes))
    for layout in range(LAYOUTS):
        if len(todo) == 0:
            break
        placed, slack = _layout(scenes[todo], draws, todo, layout)
        position[todo] = placed
        todo = todo[slack < 0]
    if len(todo):
        position[todo] = _ring(scenes[todo], draws, todo)
    return replace(scenes, position=position)


def _layout(scenes: Scenes, draws: Draws, rows: np.ndarray, layout: int) -> tuple:
    """One try at a layout → positions (B, 6, 2), and the slack of its tightest condition (B,)."""
    B, most = scenes.shape.shape
    u = draws.uniform(f"layout {layout}", most * TRIES * 2)[rows].reshape(B, most, TRIES, 2)
    far, angle = np.sqrt(u[..., 0]) * SPREAD[scenes.count][:, None, None], 2 * np.pi * u[..., 1]
    spots = np.stack([far * np.cos(angle), far * np.sin(angle)], axis=-1)  # (B, 6, TRIES, 2)
    xy, seen = _pictured(scenes, spots)
    reach = scenes.radius * FOOTPRINT[scenes.shape]
    chosen, tightest = np.zeros((B, most), int), np.full(B, np.inf)
    b = np.arange(B)
    for i in range(most):
        slack = FRAME - (np.abs(xy[:, i]).max(axis=-1) + seen[:, i])
        for j in range(i):
            k = chosen[:, j]
            apart = np.linalg.norm(spots[:, i] - spots[b, j, k][:, None], axis=-1)
            apart = (apart - (reach[:, i] + reach[:, j])[:, None]) / 0.1
            shown = _shown(xy[:, i], seen[:, i], xy[b, j, k][:, None], seen[b, j, k][:, None])
            both = np.minimum(apart, shown)
            slack = np.where(scenes.there[:, [j]], np.minimum(slack, both), slack)
        # The first place where all conditions hold, else the least bad one.
        good = slack >= 0
        chosen[:, i] = np.where(good.any(axis=1), good.argmax(axis=1), slack.argmax(axis=1))
        here = np.minimum(tightest, slack[b, chosen[:, i]])
        tightest = np.where(scenes.there[:, i], here, tightest)
    return spots[b[:, None], np.arange(most), chosen], tightest


def _ring(scenes: Scenes, draws: Draws, rows: np.ndarray) -> np.ndarray:
    """Evenly on a ring, in the turn that shows the objects best → positions (B, 6, 2)."""
    B, most = scenes.shape.shape
    turn = draws.uniform("ring", TURNS)[rows][:, None, :]
    angle = 2 * np.pi * (turn + (np.arange(most) / scenes.count[:, None])[..., None])
    spots = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    spots = spots * (RING * SPREAD[scenes.count])[:, None, None, None]
    xy, seen = _pictured(scenes, spots)
    slack = np.full((B, TURNS), np.inf)
    for i in range(most):
        edge = FRAME - (np.abs(xy[:, i]).max(axis=-1) + seen[:, i])
        slack = np.where(scenes.there[:, [i]], np.minimum(slack, edge), slack)
        for j in range(i):
            shown = _shown(xy[:, i], seen[:, i], xy[:, j], seen[:, j])
            slack = np.where(scenes.there[:, [i]], np.minimum(slack, shown), slack)
    return spots[np.arange(B), :, slack.argmax(axis=1)]


def _pictured(scenes: Scenes, spots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spots (B, 6, T, 2) → where the picture shows them, −1 to 1, and an object's radius there."""
    height = np.broadcast_to(scenes.centre[:, :, None, 2:], (*spots.shape[:3], 1))
    xy, depth = camera.project(scenes, np.concatenate([spots, height], axis=-1), 2)
    return xy - 0.5, scenes.radius[:, :, None] / (depth * camera.HALF_VIEW)


def _shown(xy: np.ndarray, seen: np.ndarray, other: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """How far two objects' pictures are apart; negative where one would hide much of the other."""
    far = np.linalg.norm(xy - other, axis=-1)
    return far - (np.maximum(seen, hidden) - 0.1 * np.minimum(seen, hidden))
