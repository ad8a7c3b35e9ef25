"""Referring expressions: words that fit exactly one object of a scene.

Dale and Reiter: Computational interpretations of the Gricean maxims in the generation of referring
expressions, Cognitive Science 1995 (as short as possible, found here by trying every subset of the
attributes: there are sixteen). Attributes come first; where they do not suffice, the object's
relation to another object; where that does not either, its being the outermost of its kind:

    the small cube
    the red cube to the left of the sphere
    the leftmost red cube
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from course_lib.world.choices import Choices, choices
from course_lib.world.grammar import MOST, SAID, the
from course_lib.world.graph import PATTERNS, RELATIONS, SceneGraph, graphs, length
from course_lib.world.programs import Program, filtered, unique
from course_lib.world.scene import Scenes

Style = Literal["shortest", "relational"]


@dataclass(frozen=True)
class Referring:
    text: str
    place: int  # the object that it means
    program: Program  # gives the place


def referring(
    scenes: Scenes, index: int | Iterable[int], seed: int = 0, style: Style = "shortest"
) -> list[list[Referring]]:
    """B scenes and their numbers (B,) → for each scene an expression an object, in their order.

    "shortest": a relation only if the attributes do not suffice. "relational": a relation wherever
    one fits. Of equally short ones any. An object that nothing singles out has none.
    """
    if style not in get_args(Style):
        raise ValueError(f"the style must be one of {get_args(Style)}, but it is {style!r}")
    hands = choices(scenes, index, seed, "language", f"referring {style}")
    found = []
    for graph, hand in zip(graphs(scenes), hands, strict=True):
        tried = (expression(graph, hand, i, style) for i in range(len(graph.objects)))
        found.append([e for e in tried if e is not None])
    return found


def expression(graph: SceneGraph, hand: Choices, place: int, style: Style) -> Referring | None:
    """An expression for the object at `place`, or None."""
    ways = [_by_attributes, _by_relation, _by_extreme]
    if style == "relational":
        ways[:2] = _by_relation, _by_attributes
    for way in ways:
        options = list(way(graph, place))
        if options:
            least = min(words for words, _, _ in options)
            _, text, program = hand.one([option for option in options if option[0] == least])
            return Referring(text, place, program)
    return None


Option = tuple[int, str, Program]  # words, text, program


def _by_attributes(graph: SceneGraph, place: int) -> Iterator[Option]:
    for look in graph.names[place]:
        yield length(look), the(look), unique(look)


def _by_relation(graph: SceneGraph, place: int) -> Iterator[Option]:
    looks = [tuple((a, graph.objects[place][a]) for a in pattern) for pattern in PATTERNS]
    kin = [set(graph.matching(look)) for look in looks]
    for anchor, names in enumerate(graph.names):
        for relation in RELATIONS if names and anchor != place else ():
            near = set(graph.clear(relation, anchor) or ())
            fit = [look for look, alike in zip(looks, kin, strict=True) if alike & near == {place}]
            if fit:
                look = min(fit, key=length)
                text = f"{the(look)} {SAID[relation][0]} {the(names[0])}"
                program = filtered(look, ("relate", relation, unique(names[0])))
                yield len(text.split()), text, ("unique", program)


def _by_extreme(graph: SceneGraph, place: int) -> Iterator[Option]:
    for pattern in PATTERNS:
        look = tuple((a, graph.objects[place][a]) for a in pattern)
        others = [i for i in graph.matching(look) if i != place]
        for relation, word in MOST.items():
            if others and all(graph.related(place, relation, i) for i in others):
                text = f"the {word} {the(look).removeprefix('the ')}"
                yield len(text.split()), text, ("most", relation, filtered(look))
