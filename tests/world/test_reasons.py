"""Answers with reasons: digits against the picture's own masks, words against the scene."""

import numpy as np
import pytest

from course_lib.world.graph import RELATIONS, graphs
from course_lib.world.questions import questions
from course_lib.world.reasons import LEFT, STRIP, WORD, reasoned, where
from course_lib.world.render import render
from course_lib.world.scene import Recipe, sample

FEW = Recipe(objects=(2, 3))


@pytest.fixture(scope="module")
def scenes():
    return sample(range(200), recipe=FEW)


def test_a_strip_is_where_the_picture_shows_the_object(scenes):
    """The middle of its mask, for objects that nothing hides: within a pixel of the strip."""
    some = scenes[range(40)]
    masks, found = render(some, 64, ("instance",)).instance, where(some)
    for b, count in enumerate(some.count):
        for i in range(count):
            columns = np.nonzero(masks[b] == i)[1]
            if len(columns) < 30:
                continue
            strip = (columns.min() + columns.max()) / 2 / STRIP - LEFT / STRIP
            assert abs(strip.clip(0, 10) - found[b, i, 0] - 0.5) <= 1.5, (b, i)


def test_steps_grow_with_the_distance_from_the_camera(scenes):
    found = where(scenes)
    for b, graph in enumerate(graphs(scenes)):
        for i in range(len(graph.objects)):
            for j in range(len(graph.objects)):
                if graph.related(i, "behind", j):
                    assert found[b, i, 1] >= found[b, j, 1]
                if graph.related(i, "left of", j):
                    assert found[b, i, 0] <= found[b, j, 0]


def test_digits_word_and_answer_agree(scenes):
    asked = questions(scenes, range(200), per_scene=2, kinds="relation", recipe=FEW)
    seen = set()
    rows = zip(asked, graphs(scenes), where(scenes).tolist(), strict=True)
    for question, graph, places in [(q, g, p) for on, g, p in rows for q in on]:
        first, second, word, said = reasoned(question, graph, places).split()
        assert said == question.answer
        assert (word == WORD[question.program[1]]) == (said == "yes")
        relation = next(name for name, short in WORD.items() if short == word)
        difference = int(first) - int(second)
        assert difference * RELATIONS[relation][1] >= 0  # 0: two in one strip
        assert reasoned(question, graph, places, in_words=False) == f"{first} {second} {said}"
        seen.add((word, said))
    assert len(seen) == 8


def test_other_questions_keep_their_word(scenes):
    (one,), graph = (
        questions(scenes[[0]], [0], kinds="count", recipe=FEW)[0],
        graphs(scenes[[0]])[0],
    )
    assert reasoned(one, graph, where(scenes[[0]])[0].tolist()) == one.answer
