"""What is on the table: one to six solids, a light, a camera, and how they are drawn at random.

`sample(range(1000))` gives a thousand scenes as arrays, one row a scene; `seed` and index decide a
scene, whatever batch it is in. Nothing here makes a picture: render, language, sound, video,
two_views and voxels all read the same `Scenes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

import numpy as np

from course_lib.world.draws import Draws
from course_lib.world.layout import laid_out
from course_lib.world.solids import SHAPES, pose, rest

COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "grey")
MATERIALS = ("matte", "shiny", "striped")
SIZES = ("small", "large")
TABLES = ("wood", "checks", "marble", "linen")
RADIUS = np.array([0.032, 0.044])  # metres, small and large
MOST = 6  # objects in a scene
NONE = -1  # stands where a scene has fewer objects

# Never seen in training: one shape for each colour. The split "compositional" shows them.
HELD_OUT = tuple((colour, SHAPES[2 * i % 5]) for i, colour in enumerate(COLOURS))
_HELD_OUT = np.array([[(c, s) in HELD_OUT for s in SHAPES] for c in COLOURS])

Split = Literal["train", "validation", "test", "compositional"]

# By number of objects: how far the camera stands, metres.
DISTANCE = np.array([0.0, 0.275, 0.32, 0.355, 0.395, 0.43, 0.46])


@dataclass(frozen=True, eq=False)
class Scenes:
    """B scenes; objects fill the first of 6 places, and −1 stands in the others.

    count                         (B,)      number of objects
    shape, colour, material, size (B, 6)    indices into SHAPES, COLOURS, MATERIALS, SIZES
    radius                        (B, 6)    metres
    position                      (B, 6, 2) where an object stands on the table, metres
    rotation                      (B, 6, 3, 3) from the solid's own frame to the world
    table                         (B,)      index into TABLES
    table_angle, _tone            (B,)      how the cloth lies: radians; 0 to 1, its shade
    table_offset                  (B, 2)    metres
    light_azimuth, _elevation     (B,)      where the light comes from, radians
    brightness, warmth            (B,)      of the light: 1 is normal; −1 bluish to 1 yellowish
    azimuth, elevation, distance  (B,)      the camera, radians and metres
    target                        (B, 3)    what the camera looks at, metres
    """

    count: np.ndarray
    shape: np.ndarray
    colour: np.ndarray
    material: np.ndarray
    size: np.ndarray
    radius: np.ndarray
    position: np.ndarray
    rotation: np.ndarray
    table: np.ndarray
    table_angle: np.ndarray
    table_tone: np.ndarray
    table_offset: np.ndarray
    light_azimuth: np.ndarray
    light_elevation: np.ndarray
    brightness: np.ndarray
    warmth: np.ndarray
    azimuth: np.ndarray
    elevation: np.ndarray
    distance: np.ndarray
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.count)

    def __getitem__(self, which: int | slice | np.ndarray | Sequence[int]) -> Scenes:
        """A subset, still a batch: one number gives a batch of one scene."""
        if isinstance(which, (int, np.integer)):
            which = [range(len(self))[which]]
        return Scenes(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    @property
    def there(self) -> np.ndarray:
        """Which places hold an object → bool (B, 6)."""
        return np.arange(MOST) < self.count[:, None]

    @property
    def centre(self) -> np.ndarray:
        """Where the objects' centres are → (B, 6, 3), metres; they rest on the table."""
        height = self.radius * rest(self.shape, self.rotation)
        return np.concatenate([self.position, height[..., None]], axis=-1)

    def names(self, scene: int = 0) -> list[dict[str, str]]:
        """The objects of one scene in words: [{"size": "small", "colour": "red", …}, …]."""
        factors = {"size": SIZES, "colour": COLOURS, "material": MATERIALS, "shape": SHAPES}
        return [
            {name: words[getattr(self, name)[scene, i]] for name, words in factors.items()}
            for i in range(self.count[scene])
        ]


def join(parts: Iterable[Scenes]) -> Scenes:
    """Several batches → one."""
    parts = list(parts)
    if not parts:
        raise ValueError("at least one batch of scenes is expected, but none was given")
    return Scenes(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Scenes)}
    )


@dataclass(frozen=True)
class Recipe:
    """What may be on the table. Names are those of SHAPES, COLOURS, MATERIALS, SIZES and TABLES."""

    objects: tuple[int, int] = (1, MOST)  # least and most; each number is equally frequent
    shapes: tuple[str, ...] = SHAPES
    colours: tuple[str, ...] = COLOURS
    materials: tuple[str, ...] = MATERIALS
    sizes: tuple[str, ...] = SIZES
    tables: tuple[str, ...] = TABLES

    def __post_init__(self) -> None:
        pair = self.objects
        if not (
            len(pair) == 2
            and all(isinstance(n, int) for n in pair)
            and 1 <= pair[0] <= pair[1] <= MOST
        ):
            raise ValueError(
                f"a scene holds 1 to {MOST} objects, least and most, but {pair} was asked for"
            )
        for name, known in _WORDS.items():
            asked = getattr(self, name)
            if isinstance(asked, str) or not asked or not set(asked) <= set(known):
                raise ValueError(
                    f"{name} must be some of {', '.join(known)}, but {asked!r} was asked for"
                )


_WORDS = {
    "shapes": SHAPES,
    "colours": COLOURS,
    "materials": MATERIALS,
    "sizes": SIZES,
    "tables": TABLES,
}


def sample(
    index: int | Iterable[int],
    seed: int = 0,
    split: Split = "train",
    recipe: Recipe | None = None,
) -> Scenes:
    """Scenes by number: `index` is one whole number or many → Scenes, in that order.

    Splits share no scene. Only "compositional" shows the pairs of HELD_OUT, one or more in each
    scene. Raises ValueError in one sentence if no such scene exists.
    """
    recipe = recipe or Recipe()
    if split not in get_args(Split):
        raise ValueError(f"the split must be one of {get_args(Split)}, but it is {split!r}")
    index = [index] if isinstance(index, (int, np.integer)) else index
    index = np.asarray(index if isinstance(index, np.ndarray) else list(index))
    draws = Draws(index if index.size else index.astype(int), seed, split)
    low, high = recipe.objects
    count = low + draws.integer("count", 1, high - low + 1)[:, 0]
    there = np.arange(MOST) < count[:, None]
    colour, shape = _pairs(draws, count, split, recipe)
    choose = {
        "material": _ids(recipe.materials, MATERIALS),
        "size": _ids(recipe.sizes, SIZES),
    }
    looks = {
        name: np.where(there, ids[draws.integer(name, MOST, len(ids))], NONE)
        for name, ids in choose.items()
    }
    radius = RADIUS[looks["size"]] * draws.uniform("radius", MOST, 0.97, 1.03)
    lying = draws.uniform("lying", MOST) < 0.4
    yaw, roll = (draws.uniform(name, MOST, 0, 2 * np.pi) for name in ("yaw", "roll"))
    scenes = Scenes(
        count=count,
        shape=np.where(there, shape, NONE),
        colour=np.where(there, colour, NONE),
        **looks,
        radius=np.where(there, radius, 0.0),
        position=np.zeros((len(count), MOST, 2)),
        rotation=pose(shape, yaw, lying, roll),
        **_surroundings(draws, count, recipe),
    )
    return laid_out(scenes, draws)


def _ids(names: tuple[str, ...], known: tuple[str, ...]) -> np.ndarray:
    return np.array([known.index(name) for name in names])


def _pairs(draws: Draws, count: np.ndarray, split: Split, recipe: Recipe) -> tuple:
    """Colours and shapes (B, 6): each shape equally often, then one of the colours it may have."""
    shapes, colours = _ids(recipe.shapes, SHAPES), _ids(recipe.colours, COLOURS)
    asked = np.zeros_like(_HELD_OUT)
    asked[np.ix_(colours, shapes)] = True
    may = asked if split == "compositional" else asked & ~_HELD_OUT
    shapes = np.flatnonzero(may.any(axis=0))
    if len(shapes) == 0:
        raise ValueError(
            f"every pair of {recipe.colours} and {recipe.shapes} is held out of the split {split!r}"
        )
    shape = shapes[draws.integer("shape", MOST, len(shapes))]
    choices = may.sum(axis=0)
    fits = np.zeros(may.T.shape, int)  # row of a shape: the colours it may have come first
    for i in shapes:
        fits[i, : choices[i]] = np.flatnonzero(may[:, i])
    colour = fits[shape, (draws.uniform("colour", MOST) * choices[shape]).astype(int)]
    if split == "compositional":
        pairs = np.argwhere(asked & _HELD_OUT)
        if len(pairs) == 0:
            raise ValueError(
                f"no pair of {recipe.colours} and {recipe.shapes} is held out, so there is no "
                "compositional scene of them"
            )
        rows = np.arange(len(count))
        place = (draws.uniform("held-out place")[:, 0] * count).astype(int)
        new = pairs[draws.integer("held-out pair", 1, len(pairs))[:, 0]]
        colour[rows, place], shape[rows, place] = new.T
    return colour, shape


def _surroundings(draws: Draws, count: np.ndarray, recipe: Recipe) -> dict[str, np.ndarray]:
    """Table, light and camera."""

    def one(name: str, low: float, high: float) -> np.ndarray:
        return draws.uniform(name, 1, low, high)[:, 0]

    tables = _ids(recipe.tables, TABLES)
    side = 0.012 + 0.004 * count  # metres; the picture is not always centred
    offset = draws.uniform("target", 2, -1, 1) * side[:, None]
    return {
        "table": tables[draws.integer("table", 1, len(tables))[:, 0]],
        "table_angle": one("table angle", 0, 2 * np.pi),
        "table_tone": one("table tone", 0, 1),
        "table_offset": draws.uniform("table offset", 2, -0.5, 0.5),
        "light_azimuth": one("light azimuth", 0, 2 * np.pi),
        "light_elevation": one("light elevation", np.radians(35), np.radians(70)),
        "brightness": one("brightness", 0.8, 1.15),
        "warmth": one("warmth", -1, 1),
        "azimuth": np.zeros(len(count)),
        # Eight heights only, so that a renderer can keep what it has computed for each.
        "elevation": np.radians(26 + 3.5 * draws.integer("elevation", 1, 8)[:, 0]),
        "distance": DISTANCE[count] * one("distance", 0.96, 1.04),
        "target": np.column_stack([offset, np.full(len(count), 0.022)]),
    }


Factor = Literal["shape", "colour", "material", "size"]


def edit(scenes: Scenes, place: int = 0, **changes: str | float | bool) -> Scenes:
    """Change one object of every scene: shape, colour, material, size by name; x, y in metres.

    `yaw` in radians and `lying` turn it upright or on its side. Camera, light and table are plain
    fields: `dataclasses.replace(scenes, brightness=…)`.
    """
    words = {"shape": SHAPES, "colour": COLOURS, "material": MATERIALS, "size": SIZES}
    known = (*words, "x", "y", "yaw", "lying")
    if unknown := set(changes) - set(known):
        raise ValueError(f"one can edit {', '.join(known)}, but not {', '.join(sorted(unknown))}")
    if not (0 <= place < MOST and scenes.there[:, place].all()):
        raise ValueError(f"not every scene has an object at place {place}; counts: {scenes.count}")
    new = {f: getattr(scenes, f).copy() for f in (*words, "radius", "position", "rotation")}
    for name, names in words.items():
        if name in changes:
            if changes[name] not in names:
                raise ValueError(f"{name} must be one of {', '.join(names)}, not {changes[name]!r}")
            new[name][:, place] = names.index(changes[name])
    if "size" in changes:
        new["radius"][:, place] = RADIUS[new["size"][:, place]]
    for axis, name in enumerate("xy"):
        if name in changes:
            new["position"][:, place, axis] = float(changes[name])
    if {"shape", "yaw", "lying"} & set(changes):
        n = len(scenes)
        yaw, lying = changes.get("yaw", 0.0), changes.get("lying", False)
        roll = np.zeros(n)
        new["rotation"][:, place] = pose(
            new["shape"][:, place], np.full(n, float(yaw)), np.full(n, bool(lying)), roll
        )
    return replace(scenes, **new)
