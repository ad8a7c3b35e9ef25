"""Instruction dialogues: a user asks about the picture, and an assistant answers.

    describe the picture.            there are two objects on a wooden table. there is a …
    is there a red cube?             yes.
    what material is it?             it is shiny.
    how many objects are behind it?  there are two.
    how many of them are small?      there is one.

"it" is the one object that the question before asked for or found, "them" are the objects that it
counted: one each, or there is no such follow-up. A program has the pronoun already resolved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from course_lib.world.captions import captions
from course_lib.world.choices import Choices, choices, numbered
from course_lib.world.grammar import SAID, the
from course_lib.world.graph import ATTRIBUTES, OPPOSITE, RELATIONS, SceneGraph, graphs
from course_lib.world.programs import NUMBERS, Program, answer, execute, filtered, unique
from course_lib.world.questions import KINDS, ask
from course_lib.world.scene import Recipe, Scenes


@dataclass(frozen=True)
class Exchange:
    """A turn of the user's and the assistant's reply.

    answer       the reply in one word, as a question's answer; of a description its whole text
    kind         "description", or one of questions.KINDS
    refers_back  whether a pronoun stands for something in the exchange before
    program      gives the answer; None for a description
    """

    user: str
    assistant: str
    answer: str
    kind: str
    refers_back: bool
    program: Program | None


@dataclass(frozen=True)
class _Topic:
    """What a pronoun can stand for next: what `found` finds, one object or several."""

    found: Program
    is_one: bool
    known: frozenset[str]  # attributes that the talk has already named


def dialogues(
    scenes: Scenes,
    index: int | Iterable[int],
    seed: int = 0,
    exchanges: int = 4,
    recipe: Recipe | None = None,
) -> list[list[Exchange]]:
    """B scenes and their numbers (B,) → B dialogues of up to `exchanges` exchanges.

    One of them, the first or the last, is a description. `recipe` is what the scenes were made of.
    """
    if isinstance(exchanges, bool) or not isinstance(exchanges, int) or exchanges < 1:
        raise ValueError(f"at least one exchange is expected, not {exchanges!r}")
    recipe = recipe or Recipe()
    index = numbered(scenes, index)
    described = captions(scenes, index, seed, "paragraph")
    # Each exchange has its own draws, so that a longer dialogue begins as a shorter one does.
    hands = [choices(scenes, index, seed, "language", f"exchange {k}") for k in range(exchanges)]
    found = []
    for b, graph in enumerate(graphs(scenes)):
        found.append(_dialogue(graph, [row[b] for row in hands], described[b].text, recipe))
    return found


def _dialogue(
    graph: SceneGraph, hands: list[Choices], description: str, recipe: Recipe
) -> list[Exchange]:
    request = hands[0].one(("describe the picture.", "what is on the table?"))
    first = hands[0].chance()
    describe = Exchange(request, description, description, "description", False, None)
    talk, topic, known = [], None, set()
    for hand in hands[1:]:
        again = topic is not None and hand.chance(0.75)
        made = _follow_up(graph, hand, topic, known, recipe) if again else None
        refers_back = made is not None
        made = made or _opening(graph, hand, known, recipe)
        if made is None:
            break
        text, program, kind = made
        known.add((text, program))
        reply = answer(program, graph)
        talk.append(Exchange(text, _said(program, reply), reply, kind, refers_back, program))
        topic = _topic(graph, program, topic if refers_back else None)
    return [describe, *talk] if first else [*talk, describe]


def _opening(
    graph: SceneGraph, hand: Choices, known: set, recipe: Recipe
) -> tuple[str, Program, str] | None:
    question = ask(graph, hand, tuple(KINDS), recipe, {text for text, _ in known})
    return question and (question.text, question.program, question.kind)


def _said(program: Program, reply: str) -> str:
    """The assistant's sentence around a one-word answer."""
    if reply in NUMBERS:
        are = "is" if reply == "one" else "are"
        return f"there {are} {'none' if reply == 'zero' else reply}."
    if program[0] == "query":
        return f"it is {'a ' * (program[1] == 'shape')}{reply}."
    return f"{reply}."


def _topic(graph: SceneGraph, program: Program, before: _Topic | None) -> _Topic | None:
    """What the question has brought up; an answer about the same object adds to what is known."""
    match program:
        case ("query", attribute, found):
            topic = _Topic(found, True, _named(found) | {attribute})
        case ("is", _, found, _):
            topic = _Topic(found, True, _named(found))
        case ("exist" | "count", found):
            n = len(execute(found, graph))
            one = n == 1
            if n == 0 or (program[0] == "exist" and not one):
                return None
            topic = _Topic(("unique", found) if one else found, one, _named(found))
        case _:
            return None
    if before and before.found == topic.found:
        return _Topic(topic.found, topic.is_one, topic.known | before.known)
    return topic


def _named(program: Program) -> frozenset[str]:
    """Attributes that the name of what is found contains, those of an anchor not among them."""
    match program:
        case ("unique", inner):
            return _named(inner)
        case ("filter", attribute, _, inner):
            return _named(inner) | {attribute}
    return frozenset()


def _follow_up(
    graph: SceneGraph, hand: Choices, topic: _Topic, known: set, recipe: Recipe
) -> tuple[str, Program, str] | None:
    """A question with a pronoun."""
    ways = (_of_it, _is_it, _beside_it, _count_by_it) if topic.is_one else (_of_them,)
    for way in hand.shuffled(ways):
        made = way(graph, hand, topic, recipe)
        if made is not None and made[:2] not in known:
            return made
    return None


def _of_it(graph: SceneGraph, hand: Choices, topic: _Topic, recipe: Recipe) -> tuple | None:
    news = [a for a in ATTRIBUTES if a not in topic.known]
    if not news:
        return None
    attribute = hand.one(news)
    text = hand.one((f"what {attribute} is it?", f"what is its {attribute}?"))
    return text, ("query", attribute, topic.found), attribute


def _is_it(graph: SceneGraph, hand: Choices, topic: _Topic, recipe: Recipe) -> tuple | None:
    i = execute(topic.found, graph)
    clear = [
        (r, names)
        for j, names in enumerate(graph.names)
        for r in RELATIONS
        if names and j != i and graph.related(i, r, j)
    ]
    if not clear:
        return None
    relation, names = hand.one(clear)
    relation = relation if hand.chance() else OPPOSITE[relation]
    text = f"is it {hand.one(SAID[relation])} {the(names[0])}?"
    return text, ("is", relation, topic.found, unique(names[0])), "relation"


def _beside_it(graph: SceneGraph, hand: Choices, topic: _Topic, recipe: Recipe) -> tuple | None:
    i = execute(topic.found, graph)
    single = [r for r in RELATIONS if len(graph.clear(r, i) or ()) == 1]
    if not single:
        return None
    relation, attribute = hand.one(single), hand.one(ATTRIBUTES)
    text = f"what {attribute} is the object {hand.one(SAID[relation])} it?"
    return text, ("query", attribute, ("unique", ("relate", relation, topic.found))), "hop"


def _count_by_it(graph: SceneGraph, hand: Choices, topic: _Topic, recipe: Recipe) -> tuple | None:
    i = execute(topic.found, graph)
    clear = [r for r in RELATIONS if graph.clear(r, i) is not None and len(graph.objects) > 1]
    if not clear:
        return None
    relation = hand.one(clear)
    text = f"how many objects are {hand.one(SAID[relation])} it?"
    return text, ("count", ("relate", relation, topic.found)), "hop count"


def _of_them(graph: SceneGraph, hand: Choices, topic: _Topic, recipe: Recipe) -> tuple | None:
    news = [a for a in ("size", "colour", "material") if a not in topic.known]
    if not news:
        return None
    attribute = hand.one(news)
    places, by_number = execute(topic.found, graph), defaultdict(list)
    for value in getattr(recipe, f"{attribute}s"):
        by_number[sum(graph.objects[i][attribute] == value for i in places)].append(value)
    value = hand.one(by_number[hand.one(sorted(by_number))])
    program = ("count", filtered(((attribute, value),), topic.found))
    return f"how many of them are {value}?", program, "count"
