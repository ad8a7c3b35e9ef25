"""Foils: one thing is changed, it makes the caption false, and nothing else gives it away."""

import re
from collections import Counter
from typing import get_args

import numpy as np
import pytest

from course_lib.world.foils import DUO, Change, Foils, foils, noticed
from course_lib.world.scene import HELD_OUT, Recipe, Scenes, sample

SCENES = sample(range(300), split="test", recipe=DUO)
OBJECT = re.compile(r"a (small|large) (\w+) (\w+) (\w+)")
KIND = {"colour": 1, "material": 2, "shape": 3}
RELATION = re.compile(r"\b(left of|right of|in front of|behind)\b")
TURNED = {"left of": "right of", "right of": "left of",
          "in front of": "behind", "behind": "in front of"}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[str, Foils]:
    return {change: foils(SCENES, range(300), change) for change in get_args(Change)}


def things(text: str) -> Counter:
    """(size, colour, material, shape) of all objects that a short caption names."""
    return Counter(match.groups() for match in OBJECT.finditer(text))


def in_scene(scenes: Scenes, row: int) -> Counter:
    order = ("size", "colour", "material", "shape")
    return Counter(tuple(names[kind] for kind in order) for names in scenes.names(row))


@pytest.mark.parametrize("change", [c for c in get_args(Change) if c != "relation"])
def test_the_true_caption_is_the_scenes(found, change) -> None:
    rows, true, _ = found[change]
    assert len(rows) > 100  # most scenes allow it
    for row, text in zip(rows, true, strict=True):
        assert things(text) == in_scene(SCENES, row)


@pytest.mark.parametrize("change", ["another scene", "colour", "material", "shape", "exchanged"])
def test_the_changed_caption_is_false_and_no_pair_is_new(found, change) -> None:
    for row, text in zip(found[change].rows, found[change].changed, strict=True):
        assert things(text).total() == 2
        assert things(text) != in_scene(SCENES, row)
        assert not {(colour, shape) for _, colour, _, shape in things(text)} & set(HELD_OUT)


@pytest.mark.parametrize("change", KIND)
def test_one_word_of_one_kind_becomes_another_that_is_not_there(found, change) -> None:
    places = Counter()
    for _, true, new in zip(*found[change], strict=True):
        old, now = true.split(), new.split()
        at = [i for i, (a, b) in enumerate(zip(old, now, strict=True)) if a != b]
        assert len(at) == 1
        assert now[at[0]] not in old
        assert at[0] in (KIND[change] + 1, KIND[change] + 7)
        places[at[0]] += 1
    assert min(places.values()) > 50  # the first object as well as the second


def test_exchanged_and_shuffled_keep_the_words(found) -> None:
    for change in ("exchanged", "shuffled"):
        for _, true, new in zip(*found[change], strict=True):
            assert Counter(true.split()) == Counter(new.split())
            assert true != new
    for _, true, new in zip(*found["exchanged"], strict=True):
        (a, b), (c, d) = OBJECT.findall(true), OBJECT.findall(new)
        assert (a[0], b[1], *a[2:]) == c
        assert (b[0], a[1], *b[2:]) == d


def test_left_out_says_the_first_object_only(found) -> None:
    for row, _, new in zip(*found["left out"], strict=True):
        assert things(new).total() == 1
        assert not things(new) - in_scene(SCENES, row)


def test_a_relation_is_turned_round_and_was_true(found) -> None:
    rows, true, changed = found["relation"]
    assert len(rows) > 100
    for text, new in zip(true, changed, strict=True):
        (old,), (now,) = RELATION.findall(text), RELATION.findall(new)
        assert now == TURNED[old]
        # The words may be put in two ways, "to the left of" and "left of"; nothing else differs.
        plain = [RELATION.sub("*", t).replace("to the *", "*") for t in (text, new)]
        assert plain[0] == plain[1]


def test_the_seed_decides_and_so_does_the_scene() -> None:
    few = SCENES[:40]
    assert foils(few, range(40), "colour")[2] == foils(few, range(40), "colour")[2]
    assert foils(few, range(40), "colour")[2] != foils(few, range(40), "colour", seed=1)[2]


def test_where_colour_is_all_that_differs_nothing_is_exchanged() -> None:
    plain = Recipe((2, 2), shapes=("cone",), materials=("matte",), sizes=("small",))
    assert len(foils(sample(range(50), recipe=plain), range(50), "exchanged").rows) == 0


def test_ties_count_half() -> None:
    assert noticed(np.array([0.5, 0.2, 0.3, 0.4]), np.array([0.1, 0.9, 0.3, 0.4])) == 0.5
    assert noticed(np.array([0.5, 0.3]), np.array([0.1, 0.3])) == 0.75


def test_errors_are_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"the change must be one of .*, but it is 'size'"):
        foils(SCENES, range(300), "size")
    with pytest.raises(ValueError, match=r"two objects are expected, but some hold \[1, 2, 3\]"):
        foils(sample(range(30), recipe=Recipe((1, 3))), range(30), "colour")
