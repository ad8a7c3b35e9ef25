"""Marks are right, nobody touches another's, texts of a student's making are not repeated."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from course_lib.classroom import grading, marking
from course_lib.classroom.assignment import Task
from course_lib.classroom.borrowed import borrowings
from course_lib.classroom.discreet import repeatable, told_error, told_note
from course_lib.classroom.grading import Rules, grade
from course_lib.classroom.hidden import unfitness
from course_lib.classroom.inbox import collect
from course_lib.classroom.results import load_results, marks, result_path, slug, total
from course_lib.classroom.secret import hidden_seed
from course_lib.exercises import start
from tests.classroom.classes import FakeRan, answered, run_here, toy, untouched

RULES = Rules("toy", b"s" * 32)
LOOSE = "def patch_distance(a, b):\n    return {}\n"
RIGHT = LOOSE.format("float(((a.astype(float) - b) ** 2).sum())")


@pytest.fixture(autouse=True)
def known_toy(monkeypatch):
    monkeypatch.setattr(grading, "load", lambda name, variant=0: replace(toy(), variant=variant))


def hand_in(folder, **notebooks):
    for student, data in notebooks.items():
        path = folder / "submitted" / student / "toy" / "toy.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return collect(folder, "toy")


def graded(tmp_path, rules=RULES, run=run_here, **notebooks):
    """→ {student: result}"""
    grade(hand_in(tmp_path, **notebooks), rules, run, tmp_path / "out")
    return {result["student"]: result for result in load_results(tmp_path / "out")}


def of(result, name):
    return next(item for item in result["exercises"] if item["name"] == name)


def test_solutions_get_all_stubs_nothing_and_wreckage_stops_nobody(tmp_path):
    results = graded(tmp_path, anna=answered(), bob=untouched(), eve=b"{", zoe=answered())
    assert {name: result["earned"] for name, result in results.items()} == {
        "anna": 30.0,
        "bob": 0.0,
        "eve": 0.0,
        "zoe": 30.0,
    }
    assert results["anna"]["points"] == 36.0
    assert {item["state"] for item in results["anna"]["exercises"]} == {"right"}
    assert {item["state"] for item in results["bob"]["exercises"]} == {"not attempted"}
    assert results["eve"]["problems"] == ["the notebook is not valid JSON"]
    assert results["anna"]["written"][0]["answer"] == "Because."
    assert results["anna"]["problems"] == []


def test_marks_follow_the_cases_and_the_mistake_is_named(tmp_path):
    only_small = LOOSE.format(
        "float(((a.astype(float) - b) ** 2).sum()) if a.shape[0] == {} else 0.0"
    )
    rows = [case["a"].shape[0] for case in start.PATCH_DISTANCE.cases_for(RULES.seed)]
    assert rows.count(rows[0]) == 1
    weak = start.TEST_NORMALISE.solution_cell().replace(
        "assert result[1, 2] > result[0, 0]", "pass"
    )
    results = graded(
        tmp_path,
        partial=answered({"patch_distance": only_small.replace("{}", str(rows[0]))}),
        wraps=answered({"patch_distance": LOOSE.format("float(((a - b) ** 2).sum())")}),
        guesses=answered({"survives": 'survives = "noise"'}),
        weak=answered({"test_normalise": weak}),
        fault=answered({"cut_patch": start.CUT_PATCH.stub_cell() + "\nprint(1)\n"}),
    )
    partial = of(results["partial"], "patch_distance")
    assert partial["summary"] == f"1 of {len(rows)} cases right"
    assert partial["marks"] == round(10 / len(rows) + 1e-9, 2)
    wraps = of(results["wraps"], "patch_distance")
    assert (wraps["marks"], wraps["misconception"]) == (0.0, "square overflows uint8")
    assert of(results["guesses"], "survives")["marks"] == 0.0
    assert of(results["guesses"], "survives")["misconception"] == "noise averages out"
    test = of(results["weak"], "test_normalise")
    assert test["misconception"] == "sign is not checked"
    assert 0 < test["marks"] < 9
    assert of(results["fault"], "cut_patch")["state"] == "not attempted"


def test_a_fault_left_in_place_earns_nothing_though_some_cases_do_not_show_it(
    tmp_path, monkeypatch
):
    def with_a_middle(seed):
        image = np.random.default_rng(seed).uniform(size=(9, 9))
        middle = {"image": image, "x": 4, "y": 4, "radius": 2}
        return [middle, middle | {"radius": 3}, *start.cut_patch_cases(seed)]

    task = replace(toy().tasks[2], exercise=replace(start.CUT_PATCH, cases=with_a_middle))
    monkeypatch.setattr(grading, "load", lambda name, variant=0: replace(toy(), tasks=(task,)))
    disguised = start.CUT_PATCH.stub_cell().replace("    first =", "    x = x + 0\n    first =")
    result = graded(tmp_path, eve=answered({"cut_patch": disguised}))["eve"]
    assert of(result, "cut_patch")["summary"] == "2 of 6 cases right"
    assert "fault is still there" in of(result, "cut_patch")["sentence"]
    assert of(result, "cut_patch")["marks"] == 0.0


def test_rounding_is_to_the_hundredth_halves_upwards():
    assert marks(10, 2 / 3) == 6.67
    assert marks(10, 0.0005) == 0.01
    assert marks(0.01, 0.5) == 0.01
    assert total([0.1] * 3) == 0.3


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        graded(tmp_path / name, anna=answered(), carl=answered({"survives": "survives = 3"}))
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "out/results").iterdir()}
        for name in ("one", "two")
    )
    assert first == second
    assert len(first) == 2


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    received = hand_in(tmp_path, anna=answered(), bob=untouched(), carl=answered())
    ran = []

    def stops_after_two(asked):
        for number, item in run_here(asked):
            if number == 2:
                raise KeyboardInterrupt
            ran.append(number)
            yield number, item

    with pytest.raises(KeyboardInterrupt):
        grade(received, RULES, stops_after_two, tmp_path / "out")
    assert len(load_results(tmp_path / "out")) == 2
    assert grade(received, RULES, run_here, tmp_path / "out") == (1, 2)
    assert len(load_results(tmp_path / "out")) == 3


def test_a_result_is_taken_over_only_if_everything_fits(tmp_path, monkeypatch):
    received = hand_in(tmp_path, anna=answered())
    out = tmp_path / "out"
    assert grade(received, RULES, run_here, out) == (1, 0)
    assert grade(received, RULES, run_here, out) == (0, 1)
    assert grade(received, RULES, run_here, out, again=True) == (1, 0)
    assert grade(received, replace(RULES, secret=b"t" * 32), run_here, out) == (1, 0)
    assert grade(received, RULES, run_here, out) == (1, 0)
    path = result_path(out, "anna")
    path.write_bytes(path.read_bytes()[:100])  # the disk was full, once
    assert grade(received, RULES, run_here, out) == (1, 0)
    monkeypatch.setattr(marking, "grader_fingerprint", lambda name: "another")
    assert grade(received, RULES, run_here, out) == (1, 0)
    changed = hand_in(tmp_path, anna=untouched())
    assert grade(changed, RULES, run_here, out) == (1, 0)


def test_results_come_back_in_any_order(tmp_path):
    def backwards(asked):
        yield from reversed(list(run_here(asked)))

    guess = answered({"survives": 'survives = "noise"'})
    results = graded(tmp_path, run=backwards, anna=answered(), bob=untouched(), carl=guess)
    assert [result["earned"] for result in results.values()] == [30.0, 0.0, 26.0]


def test_late_work_loses_by_the_day_after_the_grace(tmp_path):
    deadline = datetime(2026, 5, 1, 12, tzinfo=UTC)
    hours = {"early": -5.0, "grace": 0.1, "late": 1.0, "later": 30.0, "last": 900.0}
    times = {name: deadline + timedelta(hours=late) for name, late in hours.items()}
    rules = replace(RULES, deadline=deadline, times=times)
    results = graded(tmp_path, rules, unknown=answered(), **dict.fromkeys(hours, answered()))
    assert {name: result["late"]["keeps"] for name, result in results.items()} == {
        "early": 1.0,
        "grace": 1.0,
        "late": 0.9,
        "later": 0.8,
        "last": 0.5,
        "unknown": 1.0,
    }
    assert results["later"]["late"]["hours"] == 30.0
    assert results["unknown"]["late"]["hours"] is None


def test_another_version_or_variant_is_reported(tmp_path):
    old = answered().replace(b"version-1", b"version-0")
    foreign = answered().replace(b'"variant": "0"', b'"variant": "77"')
    results = graded(tmp_path, old=old, foreign=foreign)
    assert "version version-0" in results["old"]["problems"][0]
    assert results["foreign"]["problems"] == ["the notebook is the variant of another student"]
    assert results["old"]["earned"] == 30.0


def test_no_result_stands_for_an_exercise_whose_worker_died(tmp_path):
    def half(asked):
        for number, ran in run_here(asked):
            del ran.outputs["patch_distance"]
            ran.outputs["cut_patch"] = ran.outputs["cut_patch"][:2]
            yield number, FakeRan(ran.outputs, ("cell 3 ran out of time",))

    result = graded(tmp_path, run=half, anna=answered())["anna"]
    assert of(result, "patch_distance")["marks"] == 0.0
    assert of(result, "patch_distance")["state"] == "error"
    assert (of(result, "cut_patch")["ran"], of(result, "cut_patch")["marks"]) == (2, 3.5)
    assert of(result, "survives")["marks"] == 4.0
    assert result["notes"] == ["cell 3 ran out of time"]


def test_a_fault_of_the_judge_costs_one_exercise_and_is_told(tmp_path, monkeypatch):
    real = marking.assess

    def fails(exercise, outputs, seed):
        if exercise.name == "survives" and outputs[0].get("value") == "noise":
            raise ZeroDivisionError("ours")
        return real(exercise, outputs, seed)

    monkeypatch.setattr(marking, "assess", fails)
    guess = answered({"survives": 'survives = "noise"'})
    results = graded(tmp_path, anna=answered(), bob=guess)
    assert results["anna"]["earned"] == 30.0
    assert results["bob"]["earned"] == 26.0
    assert of(results["bob"], "survives")["judge_fault"] == "ZeroDivisionError: ours"


def known(monkeypatch, exercise):
    """The toy assignment with this exercise only."""
    task = Task(exercise, 10.0)
    monkeypatch.setattr(grading, "load", lambda name, variant=0: replace(toy(), tasks=(task,)))


def test_a_solution_that_is_wrong_on_every_seed_stops_the_grading(tmp_path, monkeypatch):
    known(monkeypatch, replace(start.SURVIVES, compare=lambda got, expected: 1 / 0))
    with pytest.raises(RuntimeError, match="the solution of 'survives' is error"):
        grade(hand_in(tmp_path, anna=answered()), RULES, run_here, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_seed_on_which_a_known_mistake_passes_is_not_taken(monkeypatch):
    first = hidden_seed(RULES.secret, "toy")

    def unlucky(seed):
        cases = start.patch_distance_cases(seed)
        if seed == first:  # equal patches: no mistake shows
            return [case | {"b": case["a"]} for case in cases]
        if seed == first + 1:  # one pixel apart: the mean is the sum, and so is the root
            one = np.ones((1, 1), np.uint8)
            return [{"a": one, "b": 2 * one} for case in cases]
        return cases

    exercise = replace(start.PATCH_DISTANCE, cases=unlucky)
    known(monkeypatch, exercise)
    assert "passes as an answer" in unfitness(exercise, first)
    assert "passes as an answer" in unfitness(exercise, first + 1)
    assert unfitness(exercise, first + 2) == ""
    assert RULES.seed == first + 2


def test_hidden_inputs_do_not_come_back_in_the_feedback(tmp_path):
    leaks = {
        "patch_distance": "def patch_distance(a, b):\n    raise ValueError(f'SECRET {a.tolist()}')",
        "cut_patch": "def cut_patch(image, x, y, radius):\n    return {f'SECRET{image[0]}; ': 1}",
        "test_normalise": "def test_normalise(f):\n    raise type('SECRET', (Exception,), {})",
        "survives": "survives = {'SECRET': 1}",
    }
    result = graded(tmp_path, eve=answered(leaks))["eve"]
    for item in result["exercises"]:
        told = json.dumps({key: value for key, value in item.items() if key != "said"})
        assert "SECRET" not in told
    assert of(result, "patch_distance")["details"] == ["case 1: ValueError (line 2)"]
    assert "SECRET" in of(result, "patch_distance")["said"][0]


def test_a_line_is_quoted_only_if_the_student_wrote_it():
    true = {"value": False, "where": "Line 3, `assert x == 1`,", "advice": "buy gold"}
    false = {"value": False, "where": "Line 3, `the answer is 42`,"}
    source = "def test_normalise(f):\n    x = 1\n    assert x   == 1\n"
    told = repeatable([true, false], start.TEST_NORMALISE, source)
    assert told == [
        {"value": False, "where": "Line 3, `assert x == 1`,"},
        {"value": False, "where": "Line 3"},
    ]
    far = {"value": False, "where": "Line 56777, `assert secret`,"}
    assert repeatable([far], start.TEST_NORMALISE, source) == [{"value": False, "where": "A line"}]
    assert repeatable([{"changed": ["a", "x" * 99]}], start.PATCH_DISTANCE, "") == [
        {"changed": ["a"]}
    ]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("NameError: name 'np' is not defined (line 2)", "NameError (line 2)"),
        ("no result came back", "no result came back"),
        ("Leak12: x", "an error of its own kind"),
        ("ValueError: (line 1234567)", "ValueError"),
        ("ValueError: (line 31)", "ValueError"),  # there are thirty
        ("print: x", "an error of its own kind"),
        ("ran out of time (20 s)", "it ran out of time"),
        ("ran out of time (31415926 s)", "it ran out of time"),  # no number of the student's choice
        ("the process ended inside the call", "it ended the process"),
        ("used more than 1500 MB of memory", "it used more memory than there is for it"),
    ],
)
def test_errors_are_told_by_type_and_line(error, told):
    assert told_error(error, 30) == told


def test_notes_are_told_without_the_students_words():
    assert told_note("cell 3 raised ValueError: SECRET\nx") == "cell 3 raised ValueError"
    assert told_note("cell 3 raised ValueError: x (line 2)") == "cell 3 raised ValueError"
    assert told_note("cell 3 ran out of time (20 s)") == "cell 3 ran out of time (20 s)"


def borrowed(**answers):
    from course_lib.classroom.answers import find_answers
    from course_lib.classroom.submission import read_notebook

    found = find_answers(read_notebook(answered(answers), "eve"), toy())
    return [f"{item['exercise']}: {item['what']}" for item in borrowings(found, toy())]


def test_the_packages_own_answers_are_seen():
    start_ = "from course_lib.exercises import start as ex\n"
    honest = {"test_normalise": "def test_normalise(f):\n    assert f is not None"}
    own = RIGHT + "check(ex.PATCH_DISTANCE, patch_distance)"
    assert borrowed(**honest) == []
    assert borrowed(**honest, patch_distance=start_ + own) == []
    looked_up = start_ + "patch_distance = ex.PATCH_DISTANCE.solution"
    assert "patch_distance: it reads `.solution` of an exercise" in borrowed(
        **honest, patch_distance=looked_up
    )
    by_name = "import course_lib.exercises.start\ndef patch_distance(a, b):\n    "
    by_name += "return course_lib.exercises.start.patch_distance(a, b)"
    called = start_ + "def patch_distance(a, b):\n    return other(a, b)\n\n\n"
    called += "def other(a, b):\n    return ex.distance_mean(a, b)"
    assert borrowed(**honest, patch_distance=called) == [
        "patch_distance: it uses course_lib.exercises.start.distance_mean"
    ]
    features = "from course_lib.blocks.images import *\nimport course_lib.features.sift as s\n"
    features += "def patch_distance(a, b):\n    return s.distance(a, b)"
    assert borrowed(**honest, patch_distance=features) == [
        ": the notebook imports all names of course_lib.blocks.images",
        "patch_distance: it uses course_lib.features.sift.distance",
    ]
    text = "def patch_distance(a, b):\n    return getattr(x, 'solution')(a, b)"
    assert borrowed(**honest, patch_distance=text) == [
        "patch_distance: it holds the text 'solution'"
    ]
    assert borrowed() == ["test_normalise: it is the course's own solution, word for word"]
    assert borrowed(**honest, patch_distance=by_name) == [
        "patch_distance: it uses course_lib.exercises.start.patch_distance"
    ]


def test_slugs_are_safe_and_differ():
    names = ["../../etc/passwd", "Anna", "anna", "Ännä", "王", "a" * 300, "con", "x\n<y>"]
    slugs = [slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all(set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for one in slugs)
    assert max(map(len, slugs)) <= 51
