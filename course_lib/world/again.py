"""The same objects in other surroundings: another table, another light, another place to look from.

    other = again(scenes, seed=1)     render both: two pictures of the same objects

What two such pictures have in common is what stands on the table, and nothing else: a positive pair
that no augmentation of pixels can make.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from course_lib.world.motion import draws_of
from course_lib.world.render import render
from course_lib.world.scene import DISTANCE, TABLES, Recipe, Scenes, sample

Changed = Literal["table", "light", "camera"]


def again(
    scenes: Scenes,
    seed: int = 0,
    change: Changed | Iterable[Changed] = ("table", "light", "camera"),
    turn: float = np.pi,
) -> Scenes:
    """B scenes → the same objects at the same places; what `change` names is drawn anew.

    The camera goes around the table by up to `turn` radians to either side, and up or down;
    `seed` decides. Raises ValueError for another word, or a turn outside 0 to π.
    """
    change = {change} if isinstance(change, str) else set(change)
    if unknown := change - set(get_args(Changed)):
        known, got = ", ".join(get_args(Changed)), ", ".join(sorted(unknown))
        raise ValueError(f"what may change is {known}, but {got} was asked for")
    if not 0 <= turn <= np.pi:
        raise ValueError(f"turn must be from 0 to π radians, but it is {turn!r}")
    draws = draws_of(scenes, seed, "again")

    def one(name: str, low: float, high: float) -> np.ndarray:
        return draws.uniform(name, 1, low, high)[:, 0]

    table = {
        "table": draws.integer("table", 1, len(TABLES))[:, 0],
        "table_angle": one("table angle", 0, 2 * np.pi),
        "table_tone": one("table tone", 0, 1),
        "table_offset": draws.uniform("table offset", 2, -0.5, 0.5),
    }
    light = {
        "light_azimuth": one("light azimuth", 0, 2 * np.pi),
        "light_elevation": one("light elevation", np.radians(35), np.radians(70)),
        "brightness": one("brightness", 0.8, 1.15),
        "warmth": one("warmth", -1, 1),
    }
    camera = {
        "azimuth": scenes.azimuth + one("around", -turn, turn),
        # The eight heights of scene.sample, for which a renderer keeps what it has computed.
        "elevation": np.radians(26 + 3.5 * draws.integer("elevation", 1, 8)[:, 0]),
        "distance": DISTANCE[scenes.count] * one("distance", 0.96, 1.04),
    }
    chosen = {"table": table, "light": light, "camera": camera}
    return replace(scenes, **{k: v for part in change for k, v in chosen[part].items()})


def rendered_pairs(
    n: int, recipe: Recipe | None = None, turn: float = np.pi, size: int = 64
) -> np.ndarray:
    """Scenes 0 … n − 1 of training, each in two surroundings → uint8 (n, 2, 3, size, size)."""
    found = np.empty((n, 2, 3, size, size), np.uint8)
    for start in range(0, n, 500):
        scenes = sample(range(start, min(n, start + 500)), recipe=recipe)
        for i, seen in enumerate((scenes, again(scenes, turn=turn))):
            found[start : start + 500, i] = render(seen, size).rgb.transpose(0, 3, 1, 2)
    return found
