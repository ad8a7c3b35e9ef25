"""What the language talks about: a scene's objects in words, and the relations that are clear.

Relations are the camera's, between the centres of objects: left and right by x, in front and behind
by depth, in the camera's own frame. A difference below GAP is unclear, and so is a left that the
picture shows as a right (perspective can do that); nothing is ever said or asked about an unclear
relation. All texts are made of `SceneGraph`, and `holds` judges statements about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from course_lib.world.camera import to_camera
from course_lib.world.scene import COLOURS, HELD_OUT, MATERIALS, SIZES, TABLES, Scenes
from course_lib.world.solids import SHAPES

# In the order in which English names them.
VALUES = {"size": SIZES, "colour": COLOURS, "material": MATERIALS, "shape": SHAPES}
ATTRIBUTES = tuple(VALUES)
# Relation → (axis: 0 across, 1 depth; sign of the difference between subject and object).
RELATIONS = {"left of": (0, -1), "right of": (0, 1), "in front of": (1, -1), "behind": (1, 1)}
OPPOSITE = {"left of": "right of", "right of": "left of",
            "in front of": "behind", "behind": "in front of"}  # fmt: skip
GAP = 0.012  # metres
WHOLE = -1  # the place in facts about the scene as a whole: its count, its table

Look = tuple[tuple[str, str], ...]  # (("colour", "red"), ("shape", "cube")), in ATTRIBUTES' order
Fact = tuple[int, str, str | int]  # (place, attribute, value), (place, relation, other place)

PATTERNS = tuple(p for n in range(5) for p in combinations(ATTRIBUTES, n))


@dataclass(frozen=True, eq=False)
class SceneGraph:
    """One scene in words.

    objects        for each place {"size": "small", "colour": "red", "material": …, "shape": …}
    signs          [axis][i][j]: sign of i − j across (0) and in depth (1); 0 is unclear
    left_to_right  the places, in the order in which the picture shows them
    table          "wood", "checks", "marble" or "linen"
    """

    objects: tuple[dict[str, str], ...]
    signs: tuple[tuple[tuple[int, ...], ...], ...]
    left_to_right: tuple[int, ...]
    table: str

    def related(self, i: int, relation: str, j: int) -> bool | None:
        """Is object i `relation` object j? None: unclear."""
        axis, sign = RELATIONS[relation]
        return None if self.signs[axis][i][j] == 0 else self.signs[axis][i][j] == sign

    def clear(self, relation: str, j: int) -> list[int] | None:
        """Places of all objects that are `relation` object j; None if one of them is unclear."""
        axis, sign = RELATIONS[relation]
        others = [i for i in range(len(self.objects)) if i != j]
        if any(self.signs[axis][i][j] == 0 for i in others):
            return None
        return [i for i in others if self.signs[axis][i][j] == sign]

    def matching(self, look: Look) -> list[int]:
        """Places of the objects that look so."""
        return [i for i, o in enumerate(self.objects) if all(o[a] == v for a, v in look)]

    @cached_property
    def names(self) -> list[list[Look]]:
        """For each place the looks that no other object of the scene has, the shortest first."""
        found: list[list[Look]] = [[] for _ in self.objects]
        for pattern in PATTERNS:
            looks = [tuple((a, o[a]) for a in pattern) for o in self.objects]
            for place, look in enumerate(looks):
                if looks.count(look) == 1:
                    found[place].append(look)
        return [sorted(looks, key=length) for looks in found]


def length(look: Look) -> int:
    """Words that a look takes: "cube" 1, "red cube" 2, "red object" 2."""
    return len(look) + all(a != "shape" for a, _ in look)


def is_held_out(look: Look) -> bool:
    """Does it name a colour and a shape that training never shows together?"""
    values = dict(look)
    return (values.get("colour"), values.get("shape")) in HELD_OUT


def graphs(scenes: Scenes) -> list[SceneGraph]:
    """B scenes → their B graphs."""
    x, _, z = np.moveaxis(to_camera(scenes, scenes.centre), -1, 0)
    seen = x / z  # where the picture shows it
    across, depth = (v[:, :, None] - v[:, None, :] for v in (x, z))
    shown = np.sign(seen[:, :, None] - seen[:, None, :])
    signs = np.stack([np.sign(across), np.sign(depth)], axis=1).astype(int)
    signs[:, 0] *= (np.abs(across) >= GAP) & (shown == signs[:, 0])
    signs[:, 1] *= np.abs(depth) >= GAP
    order = np.argsort(np.where(scenes.there, seen, np.inf), axis=1, kind="stable").tolist()
    values = {a: getattr(scenes, a).tolist() for a in ATTRIBUTES}
    found = []
    for b, n in enumerate(scenes.count.tolist()):
        objects = tuple({a: VALUES[a][values[a][b][i]] for a in ATTRIBUTES} for i in range(n))
        matrices = tuple(tuple(map(tuple, m)) for m in signs[b, :, :n, :n].tolist())
        table = TABLES[scenes.table[b]]
        found.append(SceneGraph(objects, matrices, tuple(order[b][:n]), table))
    return found


def holds(facts: Iterable[Fact], graph: SceneGraph) -> bool:
    """Can the objects that `facts` speak of be found in the scene, each another one, all as said?

    The places in `facts` are names only: (0, "shape", "cube") says that there is a cube.
    """
    facts = list(facts)
    if any(value != _whole(graph, name) for place, name, value in facts if place == WHOLE):
        return False
    speakers = sorted({p for p, *_ in facts} | {v for _, n, v in facts if n in RELATIONS})
    speakers = [p for p in speakers if p != WHOLE]
    looks = {p: tuple((n, v) for q, n, v in facts if q == p and n in VALUES) for p in speakers}
    relations = [fact for fact in facts if fact[1] in RELATIONS]
    return _placed(speakers, {}, looks, relations, graph)


def _whole(graph: SceneGraph, name: str) -> str | int:
    return len(graph.objects) if name == "count" else graph.table


def _placed(left: list[int], at: dict[int, int], looks: dict, relations: list, graph) -> bool:
    """Extend the choice `at` (speaker → place) to the speakers `left`, trying every free place."""
    if any(
        i in at and j in at and graph.related(at[i], relation, at[j]) is not True
        for i, relation, j in relations
    ):
        return False
    if not left:
        return True
    return any(
        _placed(left[1:], {**at, left[0]: place}, looks, relations, graph)
        for place in graph.matching(looks[left[0]])
        if place not in at.values()
    )
