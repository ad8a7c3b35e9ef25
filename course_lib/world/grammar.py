"""The one grammar of the course: words, noun phrases, relations, and what a caption's text says.

Everything is said in the 81 words and marks of VOCABULARY, lower case, one space between words. An
object is named by size, colour, material and shape, in this order, or as an "object". `facts_of`
reads a caption back, also an ungrammatical one that a network wrote, and `score` counts the facts
that are right.
"""

from __future__ import annotations

import re

import numpy as np
from scipy.optimize import linear_sum_assignment

from course_lib.world.graph import ATTRIBUTES, RELATIONS, VALUES, WHOLE, Fact, Look
from course_lib.world.programs import NUMBERS
from course_lib.world.scene import COLOURS, MATERIALS, SIZES
from course_lib.world.solids import SHAPES

PLURAL = {"sphere": "spheres", "cube": "cubes", "cylinder": "cylinders", "cone": "cones",
          "torus": "tori", "object": "objects"}  # fmt: skip
TABLE = {"wood": "wooden", "checks": "checked", "marble": "marble", "linen": "linen"}
# Several ways to say it; "its" turns it round: "to its left there is a cube".
SAID = {"left of": ("to the left of", "left of"), "right of": ("to the right of", "right of"),
        "in front of": ("in front of",), "behind": ("behind",)}  # fmt: skip
SAID_OF_IT = {"left of": ("to its left", "left of it"), "right of": ("to its right", "right of it"),
              "in front of": ("in front of it",), "behind": ("behind it",)}  # fmt: skip
MOST = {"left of": "leftmost", "right of": "rightmost", "in front of": "nearest",
        "behind": "farthest"}  # fmt: skip

MARKS = (".", ",", "?")
_OTHERS = (
    "a an the it its them of to left right in front behind is are there also and or yes no none on "
    "table how many what more fewer than as same size colour material shape describe picture"
)
VOCABULARY = (
    *MARKS, *SIZES, *COLOURS, *MATERIALS, *SHAPES, "object", *PLURAL.values(), *NUMBERS,
    *TABLE.values(), *MOST.values(), *_OTHERS.split(),
)  # fmt: skip


def tokens(text: str) -> list[str]:
    """A text → its words and marks, lower case; other marks are left out."""
    return re.findall(r"[a-z]+|[.,?]", text.lower())


def noun(look: Look, plural: bool = False) -> str:
    """A look → "small red cube", "red objects"."""
    values = dict(look)
    shape = values.pop("shape", "object")
    words = [values[a] for a in ATTRIBUTES if a in values]
    return " ".join([*words, PLURAL[shape] if plural else shape])


def a(look: Look) -> str:
    """A look → "a red cube", "an orange cube"."""
    words = noun(look)
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def the(look: Look) -> str:
    """A look → "the red cube"."""
    return f"the {noun(look)}"


def listed(parts: list[str]) -> str:
    """Phrases → "x", "x and y", "x, y and z"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


_ATTRIBUTE = {word: attribute for attribute, words in VALUES.items() for word in words}
_TABLE = {word: name for name, word in TABLE.items()}
_RELATION = {"left": "left of", "right": "right of", "front": "in front of", "behind": "behind"}
_BREAKS = {"a", "an", "the", "and", "is", "are", "there", *MARKS}


def facts_of(text: str) -> set[Fact]:
    """What a caption says, its objects numbered in the order of mention.

    (0, "colour", "red"), (0, "left of", 1), and of the whole, numbered −1, ("count", 3) and
    ("table", "wood"). An object's words may stand in any order; a second word of one kind, an
    article or a mark begins the next object. Words of no caption say nothing.
    """
    facts: set[Fact] = set()
    objects, is_open, in_sentence = 0, set(), 0  # attributes the open object has; objects so far
    relation, subject = None, None
    words = tokens(text)
    for i, word in enumerate(words):
        if word in _ATTRIBUTE:
            attribute = _ATTRIBUTE[word]
            if not is_open or attribute in is_open:
                objects, in_sentence, is_open = objects + 1, in_sentence + 1, set()
                if relation and (subject is not None or objects > 1):
                    turned = (objects - 1, relation, objects - 2)
                    facts.add(turned if subject is None else (subject, relation, objects - 1))
                relation = None
            is_open.add(attribute)
            facts.add((objects - 1, attribute, word))
        elif word in _RELATION:
            # Said of the object before it, or, at the head of a sentence, of the one that follows.
            relation, subject = _RELATION[word], objects - 1 if in_sentence else None
            is_open = set()
        elif word in _TABLE and words[i + 1 : i + 2] == ["table"]:
            facts.add((WHOLE, "table", _TABLE[word]))
        elif word in NUMBERS and words[i + 1 : i + 2] in (["object"], ["objects"]):
            facts.add((WHOLE, "count", NUMBERS.index(word)))
        elif word in _BREAKS:
            is_open = set()
            if word == ".":
                relation, in_sentence = None, 0
    return facts


def score(predicted: str, truth: str) -> float:
    """Facts right over max(facts true, facts predicted), 0 to 1.

    The maximum, because else a caption that stops early is never wrong. Which object is which is
    settled by the attributes they share, and by the order of mention where these are equal. Two
    texts that say nothing: 1.
    """
    said, true = facts_of(predicted), facts_of(truth)
    speakers, places = (sorted({p for p, *_ in facts if p != WHOLE}) for facts in (said, true))
    shared = np.array([[-abs(i - j) / 1e3 for j in places] for i in speakers])
    for i, attribute, value in said:
        for j in places:
            if i != WHOLE and (j, attribute, value) in true and attribute in VALUES:
                shared[i, j] += 1
    at = {i: len(places) + i for i in speakers}  # nobody, unless matched
    if speakers and places:
        at |= dict(zip(*(side.tolist() for side in linear_sum_assignment(-shared)), strict=True))
    right = sum(
        (at.get(place, place), name, at[value] if name in RELATIONS else value) in true
        for place, name, value in said
    )
    most = max(len(said), len(true))
    return right / most if most else 1.0
