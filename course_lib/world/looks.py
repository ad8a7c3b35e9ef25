"""Looks that something in a scene has, or nothing has, or one object only: what questions name."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

from course_lib.world.choices import Choices
from course_lib.world.graph import Look, SceneGraph, is_held_out
from course_lib.world.scene import Recipe


@lru_cache(maxsize=256)
def all_looks(pattern: tuple[str, ...], recipe: Recipe, held_out: bool | None) -> tuple[Look, ...]:
    """Looks that the recipe allows; with colour and shape only pairs that are (not) held out."""
    looks = product(*([(a, v) for v in getattr(recipe, f"{a}s")] for a in pattern))
    pair = {"colour", "shape"} <= set(pattern)
    return tuple(look for look in looks if not pair or is_held_out(look) == held_out)


def present(graph: SceneGraph, hand: Choices, pattern: tuple[str, ...]) -> Look:
    """What some object looks like, in the attributes of `pattern`."""
    thing = hand.one(graph.objects)
    return tuple((name, thing[name]) for name in pattern)


def absent(
    graph: SceneGraph, hand: Choices, pattern: tuple[str, ...], recipe: Recipe
) -> Look | None:
    """A look that nothing has, as frequent in its parts as in the world."""
    held_out = is_held_out(tuple(hand.one(graph.objects).items()))
    there = {tuple((name, o[name]) for name in pattern) for o in graph.objects}
    looks = [look for look in all_looks(pattern, recipe, held_out) if look not in there]
    if "shape" in pattern:  # shapes are equally frequent in the world, pairs with colours are not
        shapes = sorted({dict(look)["shape"] for look in looks})
        shape = hand.one(shapes) if shapes else None
        looks = [look for look in looks if dict(look)["shape"] == shape]
    return hand.one(looks) if looks else None


def a_name(graph: SceneGraph, hand: Choices, place: int, without: str = "") -> Look | None:
    """A look, short but not always the shortest, that only this object has."""
    looks = [look for look in graph.names[place] if without not in dict(look)]
    if not looks:
        return None
    return hand.one([look for look in looks if len(look) <= len(looks[0]) + 1])
