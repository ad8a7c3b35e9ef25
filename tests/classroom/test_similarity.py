"""Answers that are built alike are found, whatever their names; what everybody writes is not."""

import pytest

from course_lib.classroom.similarity import fingerprints, groups, structure
from course_lib.classroom.similarity_page import similarity_page, similarity_table
from tests.classroom.classes import toy

OWN = """
def patch_distance(a, b):
    total = 0.0
    for y in range(a.shape[0]):
        row = 0.0
        for x in range(a.shape[1]):
            gap = float(a[y, x]) - float(b[y, x])
            row += gap * gap
        total += row if row > 0 else 0.0
    return total
"""
COPY = """
def patch_distance(first, second):
    '''My own work.'''
    s = 1.0 - 1   # start
    for i in range(first.shape[0]):
        t = 0
        for j in range(first.shape[1]):
            d = float(first[i, j]) - float(second[i, j])
            t += d * d
        s += t if t > 7 else 1.5
    return s
"""
OTHER = """
import itertools

def patch_distance(a, b):
    pairs = zip(a.ravel().tolist(), b.ravel().tolist())
    squares = [pow(int(p) - int(q), 2) for p, q in pairs]
    chunks = [squares[k:k + 16] for k in range(0, len(squares), 16)]
    return float(sum(itertools.chain.from_iterable(chunks)))
"""


def alike(**sources):
    return groups({name: {"patch_distance": text} for name, text in sources.items()}, toy())


def test_renaming_and_comments_hide_nothing():
    (group,) = alike(anna=OWN, bob=COPY, carl=OTHER)
    assert (group.exercise, group.students) == ("patch_distance", ("anna", "bob"))
    assert group.share > 0.8
    plain = OWN.replace("total", "t")
    assert fingerprints(plain) == fingerprints(OWN)


def test_the_solution_and_what_everybody_has_say_nothing():
    solution = toy().tasks[1].exercise.solution_cell()
    assert alike(anna=solution, bob=solution) == []
    assert alike(**{f"student{n}": OWN for n in range(6)}) == []
    assert len(alike(**{f"student{n}": OWN for n in range(4)})) == 1


def test_a_chain_of_pairs_is_one_group():
    longer = OWN.replace("    return total", "    total = abs(total) ** 1 // 1\n    return total")
    (group,) = alike(anna=OWN, bob=COPY, carl=longer)
    assert group.students == ("anna", "bob", "carl")


@pytest.mark.parametrize("source", ["", "def f(:", "x" * 200_000, "-" * 50_000 + "1", "pass"])
def test_what_cannot_be_read_is_like_nothing(source):
    assert fingerprints(source) == frozenset()
    assert alike(anna=source, bob=source) == []


def test_a_huge_tree_is_read_up_to_a_limit():
    assert len(structure("[" + "0," * 45_000 + "]")) <= 20_000


def test_the_page_and_the_table_hold_the_group():
    sources = {name: {"patch_distance": OWN} for name in ("anna", "=bob")}
    found = groups(sources, toy())
    assert "for y in range(a.shape[0])" in similarity_page(found, sources, toy())
    assert similarity_table(found).splitlines()[1:] == [
        "1,patch_distance,1,'=bob",
        "1,patch_distance,1,anna",
    ]


ESSAY = "The patch is turned with the camera, so its histogram has another first bin than before."


def test_written_answers_are_compared_by_their_words():
    """Capitals, marks and a sentence in front hide nothing; a short answer is like nothing."""
    other = (
        "Two neighbours lie at the same distance, and the ratio of both says which one to trust."
    )
    essays = {"anna": ESSAY, "bob": "I think so. " + ESSAY.upper().replace(",", ";")}
    essays |= {"carl": other, "dora": "It turns.", "eve": "It turns."}
    question = toy().written[0].name
    (group,) = groups({name: {question: text} for name, text in essays.items()}, toy())
    assert (group.exercise, group.students) == (question, ("anna", "bob"))
    assert group.share > 0.9
