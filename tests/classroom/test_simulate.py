"""A class with known marks: the graded marks are the true ones, each mistake has its name."""

import json
from fractions import Fraction

import nbformat
import pytest

from course_lib.classroom import grading
from course_lib.classroom.cell_sources import answer_cell, weaker_tests
from course_lib.classroom.grading import Rules, grade
from course_lib.classroom.inbox import collect
from course_lib.classroom.oracle import agrees, defined_by, let_pass, true_marks, true_share
from course_lib.classroom.results import load_results
from course_lib.classroom.simulate import differences, write_class
from course_lib.exercises import start
from course_lib.exercises.probe import quiet
from tests.classroom.classes import answered, run_here, toy, untouched

RULES = Rules("toy", b"s" * 32)


@pytest.fixture(scope="module")
def handout():
    return nbformat.reads(untouched().decode(), as_version=4)


def test_graded_marks_are_the_true_ones_and_each_mistake_is_named(tmp_path, monkeypatch, handout):
    monkeypatch.setattr(grading, "load", lambda name, variant=0: toy())
    path = write_class(toy(), 60, 3, RULES.seed, tmp_path, handout)
    truth = json.loads(path.read_text())
    grade(collect(tmp_path, "toy"), RULES, run_here, tmp_path / "out")
    results = load_results(tmp_path / "out")
    assert [result["student"] for result in results] == sorted(truth)
    assert differences(path, results) == []
    named = set()
    for result in results:
        true = truth[result["student"]]
        for item in result["exercises"]:
            if mistake := true["exercises"][item["name"]]["misconception"]:
                assert item["misconception"] == mistake
                named.add((item["name"], mistake))
        assert result["earned"] == true["marks"]
    false = {**results[0], "exercises": [dict(item) for item in results[0]["exercises"]]}
    false["exercises"][0]["marks"] += 1
    (said,) = differences(path, [false])
    assert said.startswith(f"{false['student']}, {false['exercises'][0]['name']} (")
    asked = {(e.name, m.name) for e in start.EXERCISES[:3] for m in e.misconceptions}
    assert {one for one in named if one[0] != "test_normalise"} == asked
    assert len(named - asked) >= 2  # mistakes that weakened tests let pass
    labels = {item["answer"] for true in truth.values() for item in true["exercises"].values()}
    assert {"solution", "stub", "syntax error", "no tag", "a broken file"} <= labels
    marks = {true["marks"] for true in truth.values()}
    assert 0.0 in marks
    assert len(marks) > 20


def test_the_same_seed_gives_the_same_class(tmp_path, handout):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_class(toy(), 3, seed, 5, tmp_path / name, handout)
    texts = [
        [path.read_bytes() for path in sorted((tmp_path / name).rglob("*")) if path.is_file()]
        for name in ("a", "b", "c")
    ]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_the_oracle_knows_what_it_is_held_against():
    distance, cut, test, light = (
        start.PATCH_DISTANCE,
        start.CUT_PATCH,
        start.TEST_NORMALISE,
        start.SURVIVES,
    )
    assert true_share(distance, start.patch_distance, 5) == 1
    assert true_share(distance, lambda a, b: 0.0, 5) == 0
    assert true_share(cut, start.cut_patch, 5) == 1
    assert true_share(cut, start.cut_patch_faulty, 5) == 0
    assert true_share(light, "brightness", 5) == 1
    assert true_share(light, "noise", 5) == 0
    assert true_share(test, start.test_normalise, 5) == 1
    assert true_share(test, lambda f: None, 5) == 0
    assert true_share(test, lambda f: 1 / 0, 5) == 0
    assert let_pass(test, start.test_normalise) == ""
    assert let_pass(test, lambda f: 1 / 0) == ""
    assert let_pass(test, lambda f: None) == test.misconceptions[0].name
    last = test.misconceptions[-1]
    liked = [test.subject, last.answer, *(m.answer for m in test.also_right)]
    assert let_pass(test, lambda f: 1 / (f in liked)) == last.name
    assert agrees(distance, [1.0, "A "], [1, "a"])
    assert not agrees(distance, True, 1)
    assert not agrees(distance, [1.0], [1.0, 2.0])
    assert true_marks(10, Fraction(2, 3)) == 6.67
    assert true_marks(0.01, Fraction(1, 2)) == 0.01


@pytest.mark.parametrize("exercise", start.EXERCISES[1:3], ids=lambda exercise: exercise.name)
def test_wrong_answers_stand_alone_in_their_cells(exercise):
    for m in exercise.misconceptions:
        alone = defined_by(exercise, answer_cell(exercise, m.answer))
        for case in exercise.cases_for(7):
            with quiet():
                got, expected = (str(f(**case)) for f in (alone, m.answer))
            assert got == expected, m.name


def test_a_weaker_test_lacks_one_assert():
    weaker = weaker_tests(start.TEST_NORMALISE)
    full = start.TEST_NORMALISE.solution_cell().count("assert ")
    assert len(weaker) == full == 6
    assert {source.count("assert ") for _, source in weaker} == {full - 1}
    assert len({source for _, source in weaker}) == full


def test_answers_fill_the_hand_out(tmp_path, handout):
    write_class(toy(), 1, 0, 5, tmp_path, handout)
    (path,) = tmp_path.rglob("*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert json.loads(answered())["metadata"]["course"] == notebook.metadata.course
