"""Captions of the scenes, each with the facts it states; and captions that are wrong in known ways.

style         of a scene with two objects
"short"       a small red shiny cube and a large blue matte sphere
"tags"        cube shiny red small, sphere matte blue large
"relational"  a small red cube is to the left of a blue sphere
"paragraph"   there are two objects on a wooden table. there is a small red shiny cube. to its
              right there is a large blue matte sphere.

All but "relational" name every object, from left to right as the picture shows them; "relational"
picks two with a clear relation, or one object where there is none. A scene's number and the seed
decide the wording, whatever batch the scene is in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from course_lib.world.choices import Choices, choices, numbered
from course_lib.world.draws import Draws
from course_lib.world.grammar import SAID, SAID_OF_IT, TABLE, a, listed
from course_lib.world.graph import (
    OPPOSITE,
    RELATIONS,
    VALUES,
    WHOLE,
    Fact,
    Look,
    SceneGraph,
    graphs,
    holds,
    is_held_out,
)
from course_lib.world.programs import NUMBERS
from course_lib.world.scene import MOST, Recipe, Scenes, Split, sample

Style = Literal["short", "tags", "relational", "paragraph"]
Kind = Literal["attribute", "drop", "add", "relation", "other scene"]
STRANGER = MOST  # from this place on: an object that is not in the scene


@dataclass(frozen=True)
class Caption:
    """A text, its facts, and where in it objects are named.

    facts     {(place, attribute, value), (place, relation, place)}; of the whole, at place −1,
              ("count", n) and ("table", name)
    mentions  (start, stop, place): text[start:stop] names the object at that place, for grounding
    """

    text: str
    facts: frozenset[Fact]
    mentions: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Noisy:
    """A caption as a careless annotator writes it.

    kind     what was done: one of Kind, or "none"
    is_true  whether all that it says is so; a dropped object may leave a true, incomplete caption,
             and a caption of another scene may happen to fit
    caption  as given away; the places of objects that are not in the scene begin at 6
    clean    as it was
    """

    caption: Caption
    kind: str
    is_true: bool
    clean: Caption


@dataclass(frozen=True)
class _Plan:
    """What a caption will say, before it is put into words: what noise changes."""

    style: Style
    objects: tuple[tuple[int, Look], ...]  # (place, look)
    relations: tuple[tuple[int, str, int], ...]  # places
    whole: tuple[Fact, ...]
    phrasing: tuple[bool, ...]  # which of two ways to say the i-th relation


def captions(
    scenes: Scenes, index: int | Iterable[int], seed: int = 0, style: Style = "short"
) -> list[Caption]:
    """B scenes and their numbers (B,) → their B captions."""
    hands = choices(scenes, index, seed, "language", _checked(style))
    pairs = zip(graphs(scenes), hands, strict=True)
    return [_written(_planned(graph, hand, style)) for graph, hand in pairs]


def noisy_captions(
    scenes: Scenes,
    index: int | Iterable[int],
    seed: int = 0,
    style: Style = "short",
    rate: float = 0.3,
    kinds: Sequence[Kind] = get_args(Kind),
    split: Split = "train",
    recipe: Recipe | None = None,
) -> list[Noisy]:
    """B scenes → their captions, a share `rate` of them changed in one of `kinds`.

    A kind that a caption does not allow (a relation where it states none) gives way to another of
    `kinds`; if none fits the caption stays clean. Attribute, add and relation always make it false.
    Other scenes and added objects are of `split` and `recipe`.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"the rate of noise must be from 0 to 1, but it is {rate!r}")
    if isinstance(kinds, str) or not kinds or not set(kinds) <= set(get_args(Kind)):
        raise ValueError(f"kinds of noise are {', '.join(get_args(Kind))}, but not {kinds!r}")
    index, style = numbered(scenes, index), _checked(style)
    hands = choices(scenes, index, seed, "language", style)
    noise = choices(scenes, index, seed, "noise", style)
    # Far beyond the numbers that anyone counts to.
    far = 2**40 + Draws(index, seed, "noise").integer("other", 1, 2**40)[:, 0]
    changed = np.array([hand.chance(rate) for hand in noise], dtype=bool)
    others = iter(graphs(sample(far[changed], seed, split, recipe)))
    found = []
    for b, here in enumerate(graphs(scenes)):
        plan = _planned(here, hands[b], style)
        clean = _written(plan)
        new = _changed(plan, clean, noise[b], here, next(others), kinds) if changed[b] else None
        found.append(new or Noisy(clean, "none", True, clean))
    return found


def _checked(style: str) -> Style:
    if style not in get_args(Style):
        raise ValueError(f"the style must be one of {get_args(Style)}, but it is {style!r}")
    return style


def _planned(graph: SceneGraph, hand: Choices, style: Style) -> _Plan:
    places, relations, whole = graph.left_to_right, (), ()
    looks = {i: tuple(o.items()) for i, o in enumerate(graph.objects)}
    phrasing = tuple(hand.chance() for _ in range(MOST))
    if style == "relational":
        clear = [
            (i, r, j) for i in places for j in places for r in RELATIONS if graph.related(i, r, j)
        ]
        if clear:
            relations = (hand.one(clear),)
        places = relations[0][::2] if clear else (hand.one(places),)
        named = {"colour", "shape", *(a for a in ("size", "material") if hand.chance())}
        looks = {i: tuple((a, v) for a, v in looks[i] if a in named) for i in places}
    if style == "paragraph":
        whole = ((WHOLE, "count", len(places)), (WHOLE, "table", graph.table))
        relations = tuple(
            (j, r, i)
            for i, j in pairwise(places)
            for r in [r for r in RELATIONS if graph.related(j, r, i)][:1]
        )
    return _Plan(style, tuple((i, looks[i]) for i in places), relations, whole, phrasing)


def _written(plan: _Plan) -> Caption:
    """A plan → text, facts, mentions."""
    if plan.style == "tags":
        nouns = {p: " ".join(value for _, value in reversed(look)) for p, look in plan.objects}
        text = ", ".join(nouns.values())
    else:
        nouns = {p: a(look) for p, look in plan.objects}
    if plan.style == "short":
        text = listed(list(nouns.values()))
    elif plan.style == "relational":
        text = _relational(plan, nouns)
    elif plan.style == "paragraph":
        text = _paragraph(plan, nouns)
    mentions, at = [], 0
    for place, _ in plan.objects:
        start = text.index(nouns[place], at)
        at = start + len(nouns[place])
        mentions.append((start, at, place))
    facts = {(p, name, value) for p, look in plan.objects for name, value in look}
    return Caption(text, frozenset(facts | {*plan.relations, *plan.whole}), tuple(mentions))


def _relational(plan: _Plan, nouns: dict[int, str]) -> str:
    places = [place for place, _ in plan.objects]
    text, rest = nouns[places[0]], places[1:]
    if plan.relations:
        _, relation, j = plan.relations[0]
        said = SAID[relation][plan.phrasing[0] * (len(SAID[relation]) - 1)]
        text, rest = f"{text}{' is' * plan.phrasing[1]} {said} {nouns[j]}", places[2:]
    return "".join([text, *(f", and there is {nouns[place]}" for place in rest)])


def _paragraph(plan: _Plan, nouns: dict[int, str]) -> str:
    whole = {name: value for _, name, value in plan.whole}
    n = whole["count"]
    are, objects = ("is", "object") if n == 1 else ("are", "objects")
    first = f"there {are} {NUMBERS[n]} {objects} on a {TABLE[whole['table']]} table."
    sentences, before = [first], None
    to_next = {(i, j): relation for i, relation, j in plan.relations}
    for (place, _), other_way in zip(plan.objects, plan.phrasing, strict=False):
        relation = to_next.get((place, before))
        if relation:
            said = SAID_OF_IT[relation][other_way * (len(SAID_OF_IT[relation]) - 1)]
            sentences.append(f"{said} there is {nouns[place]}.")
        else:
            also = "" if before is None else "also "
            sentences.append(f"there is {also}{nouns[place]}.")
        before = place
    return " ".join(sentences)


def _changed(
    plan: _Plan,
    clean: Caption,
    noise: Choices,
    here: SceneGraph,
    there: SceneGraph,
    kinds: Sequence[Kind],
) -> Noisy | None:
    """The caption after a change of one of `kinds`; None if it allows none."""
    for kind in noise.shuffled(kinds):
        if kind == "other scene":
            new = _strange(_planned(there, noise, plan.style))
        else:
            new = _CHANGES[kind](plan, noise, here, there)
        if new is not None and (caption := _written(new)).text != clean.text:
            return Noisy(caption, kind, holds(caption.facts, here), clean)
    return None


def _strange(plan: _Plan) -> _Plan:
    """The same plan, of objects that are not in the scene."""
    objects = tuple((STRANGER + p, look) for p, look in plan.objects)
    relations = tuple((STRANGER + i, r, STRANGER + j) for i, r, j in plan.relations)
    return replace(plan, objects=objects, relations=relations)


def _swapped(plan: _Plan, noise: Choices, here: SceneGraph, there: SceneGraph) -> _Plan | None:
    """One attribute takes another value, but never to make a pair that is held out of training."""
    k = noise.one(range(len(plan.objects)))
    place, look = plan.objects[k]
    for attribute in noise.shuffled(name for name, _ in look):
        for value in noise.shuffled(v for v in VALUES[attribute] if v != dict(look)[attribute]):
            changed = tuple((n, value if n == attribute else v) for n, v in look)
            objects = (*plan.objects[:k], (place, changed), *plan.objects[k + 1 :])
            new = replace(plan, objects=objects)
            if is_held_out(changed) == is_held_out(look) and not holds(_written(new).facts, here):
                return new
    return None


def _dropped(plan: _Plan, noise: Choices, here: SceneGraph, there: SceneGraph) -> _Plan | None:
    """An object is overlooked, and not counted."""
    if len(plan.objects) == 1:
        return None
    gone, _ = noise.one(plan.objects)
    objects = tuple(o for o in plan.objects if o[0] != gone)
    relations = tuple(r for r in plan.relations if gone not in r)
    return replace(plan, objects=objects, relations=relations, whole=_counted(plan, -1))


def _added(plan: _Plan, noise: Choices, here: SceneGraph, there: SceneGraph) -> _Plan | None:
    """An object of the other scene is seen as well, and counted; it makes the caption false."""
    if len(plan.objects) == MOST:
        return None
    named = {name for name, _ in plan.objects[0][1]}
    for i in noise.shuffled(range(len(there.objects))):
        look = tuple((n, v) for n, v in there.objects[i].items() if n in named)
        new = replace(plan, objects=(*plan.objects, (STRANGER, look)), whole=_counted(plan, 1))
        if not holds(_written(new).facts, here):
            return new
    return None


def _counted(plan: _Plan, more: int) -> tuple[Fact, ...]:
    return tuple((p, n, v + more if n == "count" else v) for p, n, v in plan.whole)


def _reversed(plan: _Plan, noise: Choices, here: SceneGraph, there: SceneGraph) -> _Plan | None:
    """One relation turns into its opposite."""
    for k in noise.shuffled(range(len(plan.relations))):
        i, relation, j = plan.relations[k]
        wrong = (i, OPPOSITE[relation], j)
        new = replace(plan, relations=(*plan.relations[:k], wrong, *plan.relations[k + 1 :]))
        if not holds(_written(new).facts, here):
            return new
    return None


_CHANGES = {"attribute": _swapped, "drop": _dropped, "add": _added, "relation": _reversed}
