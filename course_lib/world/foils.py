"""Foils: a caption of two objects beside the same caption with one thing changed.

Who takes the true one of the two for the better has noticed the change; a coin is right half of the
time. Some changes say something else, others the same words otherwise, as in Thrush et al.:
Winoground, CVPR 2022, and Yuksekgonul et al.: When and Why Vision-Language Models Behave like
Bags-of-Words, ICLR 2023.

change          of "a small red matte cone and a large purple shiny torus"
"another scene" the caption of another scene
"left out"      a small red matte cone
"colour"        a small blue matte cone and a large purple shiny torus
"material"      a small red striped cone and a large purple shiny torus
"shape"         a small red matte cube and a large purple shiny torus
"shuffled"      torus red a purple and matte large cone shiny a small
"exchanged"     a small purple matte cone and a large red shiny torus
"relation"      of the other style: a red cone is left, then right, of a purple torus
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, get_args

import numpy as np

from course_lib.world.captions import captions, noisy_captions
from course_lib.world.choices import numbered
from course_lib.world.graph import HELD_OUT
from course_lib.world.scene import COLOURS, MATERIALS, SHAPES, Recipe, Scenes

Change = Literal[
    "another scene", "left out", "colour", "material", "shape", "shuffled", "exchanged", "relation"
]
DUO = Recipe(objects=(2, 2))
WORDS = {"colour": COLOURS, "material": MATERIALS, "shape": SHAPES}
PLACES = {"colour": (2, 8), "material": (3, 9), "shape": (4, 10)}  # of words in a caption
LENGTH = 11  # words of a caption with two objects


class Foils(NamedTuple):
    """M scenes whose caption allows the change: rows of `scenes` (M,), and M texts of each kind."""

    rows: np.ndarray
    true: list[str]
    changed: list[str]


def foils(scenes: Scenes, index: int | Iterable[int], change: Change, seed: int = 0) -> Foils:
    """B scenes of two objects and their numbers (B,) → their captions, true and changed.

    No change makes a pair of colour and shape that is held out of training, or it would be told by
    being new. Scenes whose caption it leaves as it is are left out. Raises ValueError for another
    change, and for scenes of one object, or more than two.
    """
    if change not in get_args(Change):
        raise ValueError(f"the change must be one of {get_args(Change)}, but it is {change!r}")
    if len(scenes) and set(scenes.count) != {2}:
        got = sorted(set(scenes.count.tolist()))
        raise ValueError(f"scenes of two objects are expected, but some hold {got}")
    index, rng = numbered(scenes, index), np.random.default_rng(seed)
    if change == "relation":
        both = noisy_captions(scenes, index, seed, "relational", 1.0, ["relation"], recipe=DUO)
        pairs = [(x.clean.text, x.caption.text) for x in both]
    else:
        said = [caption.text for caption in captions(scenes, index, seed)]
        pairs = [(text, _CHANGES[change](text.split(), rng, said)) for text in said]
    good = [i for i, (true, new) in enumerate(pairs) if new != true and not _is_new(new.split())]
    return Foils(np.array(good, dtype=int), *([pairs[i][side] for i in good] for side in (0, 1)))


def noticed(near: np.ndarray, far: np.ndarray) -> float:
    """How well true captions fit (M,), and changed ones → share that is told; a tie is half."""
    return float(np.mean((near > far) + (near == far) / 2))


def _altered(kind: str) -> Callable[[list[str], np.random.Generator, list[str]], str]:
    def change(cut: list[str], rng: np.random.Generator, said: list[str]) -> str:
        place = rng.choice(PLACES[kind])
        cut[place] = rng.choice([word for word in WORDS[kind] if word not in cut])
        return " ".join(cut)

    return change


def _exchanged(cut: list[str], rng: np.random.Generator, said: list[str]) -> str:
    """The two colours, unless colour is all that the two objects differ by: it would stay true."""
    one, two = PLACES["colour"]
    if any(cut[one + step] != cut[two + step] for step in (-1, 1, 2)):
        cut[one], cut[two] = cut[two], cut[one]
    return " ".join(cut)


def _is_new(cut: list[str]) -> bool:
    if len(cut) != LENGTH:
        return False
    places = zip(PLACES["colour"], PLACES["shape"], strict=True)
    return any((cut[colour], cut[shape]) in HELD_OUT for colour, shape in places)


_CHANGES = {
    "another scene": lambda cut, rng, said: str(rng.choice(said)),
    "left out": lambda cut, rng, said: " ".join(cut[:5]),
    "shuffled": lambda cut, rng, said: " ".join(rng.permutation(cut)),
    "exchanged": _exchanged,
    **{kind: _altered(kind) for kind in WORDS},
}
