"""Questions about the scenes, each with its answer, its kind and the program that answers it.

kind          for example                                                     answers
existence     is there a red cube?                                            yes, no
count         how many large objects are there?                               zero … six
colour        what colour is the small cube? (shape, material, size alike)    its values
relation      is the red cube behind the sphere?                              yes, no
hop           what size is the cube to the left of the red sphere?            any value
hop count     how many objects are in front of the cone?                      zero … five
comparison    are there more cubes than spheres? (fewer, as many)             yes, no
same          are the cube and the cone the same colour?                      yes, no
and, or       is there a red cube and is there a torus?                       yes, no

Names fit one object only, and relations are clear. A question that is answered yes or no is asked
only where the scene offers both, and then a coin decides: the text alone tells nothing. Colours and
shapes that are denied are such as the scenes of the recipe show, so no held-out pair betrays a no.
The most frequent answer is right (`blind`, four questions on each of 20,000 training scenes, seed
0) at yes or no 0.50 to 0.51, size 0.51, material 0.34, shape 0.20, colour 0.13, count 0.30, hop
count 0.23; words and pairs of words say hardly more, which a test holds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from course_lib.world.choices import Choices, choices, numbered
from course_lib.world.grammar import SAID, a, noun, the
from course_lib.world.graph import (
    ATTRIBUTES,
    OPPOSITE,
    PATTERNS,
    RELATIONS,
    Look,
    SceneGraph,
    graphs,
)
from course_lib.world.looks import a_name, absent, all_looks, present
from course_lib.world.programs import Program, answer, filtered, unique
from course_lib.world.scene import Recipe, Scenes


@dataclass(frozen=True)
class Question:
    text: str
    answer: str  # one word
    kind: str  # one of KINDS
    program: Program


Ask = Callable[[SceneGraph, Choices, Recipe], tuple[str, Program] | None]


def questions(
    scenes: Scenes,
    index: int | Iterable[int],
    seed: int = 0,
    per_scene: int = 1,
    kinds: Sequence[str] | None = None,
    recipe: Recipe | None = None,
) -> list[list[Question]]:
    """B scenes and their numbers (B,) → up to `per_scene` different questions on each.

    Every kind that a scene allows is equally likely. There are fewer questions where a scene has no
    more: none of the kind "relation" about one object. `recipe` is what the scenes were made of.
    """
    recipe = recipe or Recipe()
    kinds = (kinds,) if isinstance(kinds, str) else tuple(KINDS if kinds is None else kinds)
    if not kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"kinds of questions are {', '.join(KINDS)}, but not {kinds!r}")
    if isinstance(per_scene, bool) or not isinstance(per_scene, int) or per_scene < 1:
        raise ValueError(f"at least one question a scene is expected, not {per_scene!r}")
    index = numbered(scenes, index)
    found: list[list[Question]] = [[] for _ in index]
    all_graphs = graphs(scenes)
    for k in range(per_scene):
        hands = choices(scenes, index, seed, "language", f"question {k}")
        for graph, hand, asked in zip(all_graphs, hands, found, strict=True):
            question = ask(graph, hand, kinds, recipe, {q.text for q in asked})
            if question is not None:
                asked.append(question)
    return found


def ask(
    graph: SceneGraph,
    hand: Choices,
    kinds: Sequence[str],
    recipe: Recipe,
    known: Iterable[str] = (),
) -> Question | None:
    """One question of one of `kinds`, its text not in `known`; None if the scene allows none."""
    for kind in hand.shuffled(kinds):
        made = KINDS[kind](graph, hand, recipe)
        if made is not None and made[0] not in known:
            text, program = made
            return Question(text, answer(program, graph), kind, program)
    return None


def blind(asked: Iterable[Question]) -> dict[str, float]:
    """Kind → how often its most frequent answer is right: what one scores without the picture.

    Hops are counted by the attribute that they ask for, which decides what may be an answer.
    """
    by_kind: dict[str, Counter] = defaultdict(Counter)
    for q in asked:
        by_kind[f"hop {q.program[1]}" if q.kind == "hop" else q.kind][q.answer] += 1
    return {kind: max(c.values()) / c.total() for kind, c in sorted(by_kind.items())}


# By number of attributes: none, the four, the six pairs, the four triples, all.
_SINGLE, _FEW, _SOME = PATTERNS[1:5], PATTERNS[1:11], PATTERNS[1:15]


def _existence(graph: SceneGraph, hand: Choices, recipe: Recipe) -> tuple[str, Program] | None:
    pattern = hand.one(_SOME)
    missing = absent(graph, hand, pattern, recipe)
    if missing is None:
        return None
    look = present(graph, hand, pattern) if hand.chance() else missing
    text = hand.one((f"is there {a(look)}?", f"is {a(look)} on the table?"))
    return text, ("exist", filtered(look))


def _count(graph: SceneGraph, hand: Choices, recipe: Recipe) -> tuple[str, Program] | None:
    pattern = hand.one(_COUNTED)
    looks = all_looks(pattern, recipe, None)
    by_number: dict[int, list[Look]] = defaultdict(list)
    for look in looks:
        by_number[len(graph.matching(look))].append(look)
    # Large numbers are rare, so they are asked for where they occur.
    look = hand.one(by_number[_spread(hand, by_number)])
    text = f"how many {noun(look, plural=True)} are {hand.one(('there', 'on the table'))}?"
    return text, ("count", filtered(look))


_COUNTED = ((), ("size",), ("colour",), ("material",), ("shape",), ("size", "material"),
            ("size", "shape"), ("material", "shape"))  # fmt: skip


def _spread(hand: Choices, by_number: dict[int, list]) -> int:
    numbers = sorted(by_number)
    return hand.weighted(numbers, [max(n, 1) ** 2 for n in numbers])


def _attribute(attribute: str) -> Ask:
    def asked(graph: SceneGraph, hand: Choices, recipe: Recipe) -> tuple[str, Program] | None:
        place = hand.one(range(len(graph.objects)))
        name = a_name(graph, hand, place, without=attribute)
        if name is None:
            return None
        return _what(hand, attribute, the(name)), ("query", attribute, unique(name))

    return asked


def _what(hand: Choices, attribute: str, name: str) -> str:
    return hand.one((f"what {attribute} is {name}?", f"what is the {attribute} of {name}?"))


def _relation(graph: SceneGraph, hand: Choices, recipe: Recipe) -> tuple[str, Program] | None:
    named = [i for i, looks in enumerate(graph.names) if looks]
    clear = [(i, r, j) for i in named for j in named for r in RELATIONS if graph.related(i, r, j)]
    if not clear:
        return None
    i, relation, j = hand.one(clear)
    relation = relation if hand.chance() else OPPOSITE[relation]
    one, other = a_name(graph, hand, i), a_name(graph, hand, j)
    text = f"is {the(one)} {hand.one(SAID[relation])} {the(other)}?"
    return text, ("is", relation, unique(one), unique(other))


def _anchors(graph: SceneGraph) -> list[tuple[str, int, list[int]]]:
    """(relation, place, those that are so to it), where it has a name and all of it is clear."""
    found = [
        (r, j, graph.clear(r, j)) for j, looks in enumerate(graph.names) if looks for r in RELATIONS
    ]
    return [(r, j, places) for r, j, places in found if places is not None]


def _hop(graph: SceneGraph, hand: Choices, recipe: Recipe) -> tuple[str, Program] | None:
    options = [anchor for anchor in _anchors(graph) if anchor[2]]
    if not options:
        return None
    relation, j, places = hand.one(options)
    target, attribute = hand.one(places), hand.one(ATTRIBUTES)
    looks = [
        tuple((name, graph.objects[target][name]) for name in pattern)
        for pattern in ((), *_SINGLE)
        if attribute not in pattern
    ]
    single = [look for look in looks if set(graph.matching(look)) & set(places) == {target}]
    if not single:
        return None
    look, anchor = hand.one(single), a_name(graph, hand, j)
    name = f"{the(look)} {hand.one(SAID[relation])} {the(anchor)}"
    found = ("unique", filtered(look, ("relate", relation, unique(anchor))))
    return _what(hand, attribute, name), ("query", attribute, found)


def _hop_count(graph: SceneGraph, hand: Choices, recipe: Recipe) -> tuple[str, Program] | None:
    by_number: dict[int, list] = defaultdict(list)
    for relation, j, places in _anchors(graph) if len(graph.objects) > 1 else ():
        by_number[len(places)].append((relation, j))
    if not by_number:
        return None
    relation, j = hand.one(by_number[_spread(hand, by_number)])
    anchor = a_name(graph, hand, j)
    text = f"how many objects are {hand.one(SAID[relation])} {the(anchor)}?"
    return text, ("count", ("relate", relation, unique(anchor)))


def _comparison(graph: SceneGraph, hand: Choices, recipe: Recipe) -> tuple[str, Program] | None:
    attribute, word = hand.one(ATTRIBUTES), hand.one(("more", "fewer", "equal"))
    number = {v: len(graph.matching(((attribute, v),))) for v in getattr(recipe, f"{attribute}s")}
    pairs = [(v, w) for v in number for w in number if v != w]
    unequal = [pair for pair in pairs if number[pair[0]] > number[pair[1]]]
    equal = [(v, w) for v, w in pairs if number[v] == number[w] > 0]
    if not unequal or (word == "equal" and not equal):
        return None
    yes = hand.chance()
    if word == "equal":
        pair = hand.one(equal if yes else unequal)
        pair = pair if hand.chance() else pair[::-1]
    elif not yes and equal and hand.chance(1 / 3):
        pair = hand.one(equal)
    else:
        pair = hand.one(unequal)
        pair = pair if yes == (word == "more") else pair[::-1]
    one, other = (((attribute, value),) for value in pair)
    said = "as many {} as {}" if word == "equal" else word + " {} than {}"
    text = f"are there {said.format(noun(one, plural=True), noun(other, plural=True))}?"
    return text, (word, ("count", filtered(one)), ("count", filtered(other)))


def _same(graph: SceneGraph, hand: Choices, recipe: Recipe) -> tuple[str, Program] | None:
    attribute, n = hand.one(ATTRIBUTES), len(graph.objects)
    named = [i for i in range(n) if any(attribute not in dict(x) for x in graph.names[i])]
    pairs: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    for i in named:
        for j in named:
            if i != j:
                value = graph.objects[i][attribute]
                pairs[value == graph.objects[j][attribute]].append((i, j))
    if not (pairs[True] and pairs[False]):
        return None
    one, other = (a_name(graph, hand, i, attribute) for i in hand.one(pairs[hand.chance()]))
    text = hand.one((
        f"are {the(one)} and {the(other)} the same {attribute}?",
        f"is {the(one)} the same {attribute} as {the(other)}?",
    ))  # fmt: skip
    return text, ("same", attribute, unique(one), unique(other))


def _joined(word: str) -> Ask:
    def asked(graph: SceneGraph, hand: Choices, recipe: Recipe) -> tuple[str, Program] | None:
        patterns = hand.one(_FEW), hand.one(_FEW)
        none = [absent(graph, hand, pattern, recipe) for pattern in patterns]
        some = [present(graph, hand, pattern) for pattern in patterns]
        if None in none or none[0] == none[1] or some[0] == some[1]:
            return None
        mixed = [(some[0], none[1]), (none[0], some[1])]
        # "and" is a yes in one of the four cases only, "or" in three.
        only, others = (some, [none, *mixed]) if word == "and" else (none, [some, *mixed])
        one, other = only if hand.chance() else hand.one(others)
        text = f"is there {a(one)} {word} is there {a(other)}?"
        return text, (word, ("exist", filtered(one)), ("exist", filtered(other)))

    return asked


KINDS: dict[str, Ask] = {
    "existence": _existence,
    "count": _count,
    **{attribute: _attribute(attribute) for attribute in ATTRIBUTES},
    "relation": _relation,
    "hop": _hop,
    "hop count": _hop_count,
    "comparison": _comparison,
    "same": _same,
    "and": _joined("and"),
    "or": _joined("or"),
}
