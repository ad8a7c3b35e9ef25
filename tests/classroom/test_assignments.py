"""Assignments: complete, answered nowhere in the package, fair on hidden seeds. And the secret."""

import ast
import os
import shutil
from pathlib import Path

import pytest

import course_lib
from course_lib.classroom import assignment as room
from course_lib.classroom import roster, wire
from course_lib.classroom.assignment import LatePolicy, Written, load, names, new_exercises
from course_lib.classroom.sandbox import Limits
from course_lib.classroom.secret import (
    LARGEST,
    SecretError,
    hidden_seed,
    read_secret,
    variant_of,
)
from course_lib.exercises import trial
from course_lib.exercises.audit import audit
from course_lib.exercises.cells import source_as
from course_lib.exercises.diagnose import assess
from course_lib.exercises.engine import State, probe
from course_lib.exercises.probe import quiet

VARIANT = 1_234_567_890
SEED = 2_000_000_011
TASKS = [(name, task) for name in names() for task in load(name).tasks]
NEW = [(name, task.exercise) for name, task in TASKS if not task.lesson]


def graded(exercise, answer, seed):
    with quiet():
        return assess(exercise, probe(exercise, answer, exercise.cases_for(seed)), seed)


def test_one_assignment_for_each_stage():
    assert names() == sorted(
        ["classical", "self_supervised", "masked", "contrastive", "captioning", "assistant"]
    )


@pytest.mark.parametrize("name", names())
def test_an_assignment_is_a_sitting_of_mixed_work(name):
    found = load(name)
    kinds = {task.exercise.kind for task in found.tasks}
    minutes = sum(task.exercise.minutes for task in found.tasks)
    assert 60 <= found.minutes <= 120
    assert minutes < found.minutes <= minutes + 25 * len(found.written), "time for the questions"
    assert 60 <= found.points <= 100
    assert kinds == {"implement", "predict", "ablate", "repair", "test"}
    assert len(found.written) >= 1
    assert sum(not task.lesson for task in found.tasks) >= 2
    assert any(task.lesson for task in found.tasks)
    assert len({task.points for task in found.tasks}) >= 4, "points follow the work"
    assert all(3 <= task.points <= 20 for task in found.tasks)


@pytest.mark.parametrize(("name", "exercise"), NEW, ids=[f"{n}-{e.name}" for n, e in NEW])
def test_a_new_exercise_keeps_what_every_exercise_promises(name, exercise):
    broken = audit(exercise)
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(("name", "exercise"), NEW, ids=[f"{n}-{e.name}" for n, e in NEW])
def test_a_new_exercise_is_judged_rightly_on_a_hidden_seed_and_in_a_variant(name, exercise):
    exercise = new_exercises(name, VARIANT)[exercise.name]
    assert graded(exercise, exercise.solution, SEED).state == State.RIGHT
    for wrong in exercise.misconceptions if exercise.kind != "test" else ():
        report = graded(exercise, wrong.answer, SEED)
        assert report.sentence == wrong.sentence, wrong.name


@pytest.mark.parametrize(("name", "task"), TASKS, ids=[f"{n}-{t.exercise.name}" for n, t in TASKS])
def test_solutions_are_right_on_a_seed_as_large_as_a_hidden_one(name, task):
    exercise = task.exercise
    assert graded(exercise, exercise.solution, LARGEST).state == State.RIGHT
    if exercise.is_function and exercise.kind != "test":
        cases = exercise.cases_for(LARGEST)
        assert repr(wire.decode(wire.encode(cases))) == repr(cases), "fit for the sandbox"


def bodies(tree):
    """Functions of a file as the text of their statements, without names and docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield "\n".join(map(ast.unparse, body))


def test_new_exercises_are_not_answered_in_the_package():
    package = Path(course_lib.__file__).parent
    there = {
        body
        for path in package.rglob("*.py")
        for body in bodies(ast.parse(path.read_text(encoding="utf-8")))
    }
    for name, exercise in NEW:
        if exercise.is_function:
            source = source_as(exercise.solution, exercise.name)
            (answer,) = bodies(ast.parse(source))
            assert answer not in there, f"{name}: {exercise.name}"


def test_an_assignment_may_ask_for_more_time(own):
    assert load("classical").limits == Limits()
    limits = own("assignment.toml", "[late]", "[limits]\ncell_seconds = 90\n[late]").limits
    assert limits == Limits(cell_seconds=90)


def test_late_policy_by_hand():
    late = LatePolicy(grace_minutes=30, lost_per_day=0.2, most_lost=0.5)
    assert late.keeps(-3) == 1
    assert late.keeps(0.5) == 1
    assert late.keeps(0.51) == pytest.approx(0.8)
    assert late.keeps(24) == pytest.approx(0.8)
    assert late.keeps(24.1) == pytest.approx(0.6)
    assert late.keeps(24 * 30) == 0.5


def test_points_add_up_and_an_unknown_name_is_told_the_known_ones():
    found = load("classical")
    assert found.points == 96
    assert found.task("ratio_test").lesson == "matching"
    assert found.task("rotation_vote").lesson == ""
    with pytest.raises(ValueError, match="no exercise 'finish'; there are: matching_cost, orient"):
        found.task("finish")
    with pytest.raises(ValueError, match=r"no assignment 'classic'; there are: .*classical"):
        load("classic")
    with pytest.raises(ValueError, match="gives 3 points in all, but the question is worth 4"):
        Written("why", "Why?", "Why?", (("a", 1), ("b", 2)), 4)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A copy of the assignments that may be changed; `own(change)` loads the changed one."""
    shutil.copytree(room.ASSIGNMENTS / "classical", tmp_path / "classical")
    monkeypatch.setattr(room, "ASSIGNMENTS", tmp_path)

    def changed(file, old, new):
        path = tmp_path / "classical" / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) >= 1
        path.write_text(text.replace(old, new), encoding="utf-8")
        room.load.cache_clear()
        room._module.cache_clear()
        return load("classical")

    yield changed
    room.load.cache_clear()
    room._module.cache_clear()


@pytest.mark.parametrize(
    ("file", "old", "new", "is_seen"),
    [
        ("assignment.toml", "rotation_vote = 17", "rotation_vote = 16", True),
        ("assignment.toml", "glass façade", "brick façade", True),
        ("assignment.toml", "lost_per_day = 0.2", "lost_per_day = 0.1", True),
        ("notebook.py", "let them vote", "let them choose", True),
        ("exercises.py", "1. Bring each turn into", "1. Turn each turn into", True),
        ("exercises.py", "(48, 9, 0.5)", "(49, 9, 0.5)", True),
        ("exercises.py", "You average all turns", "You take the mean of all turns", False),
    ],
)
def test_the_version_changes_with_what_a_student_gets(own, file, old, new, is_seen):
    before = own(file, old, old).version
    assert (own(file, old, new).version != before) == is_seen


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("rotation_vote = 17\n", "", "gives no points to rotation_vote"),
        ("rotation_vote = 17", "rotation = 17", "gives points to 'rotation', which does not exist"),
        ("lost_per_day = 0.2\n", "", "is not complete"),
        ("[late]", "[limits]\nhours = 1\n[late]", "is not complete.*hours"),
        ("[late]", "[limits]\ncell_seconds = 0\n[late]", "cell_seconds must be a whole number"),
        ('name = "where_it_breaks"', 'name = "costs"', "share a name"),
    ],
)
def test_a_faulty_assignment_says_what_is_wrong(own, old, new, sentence):
    with pytest.raises(ValueError, match=sentence):
        own("assignment.toml", old, new)


def test_exercises_that_cannot_be_imported_are_named(own):
    said = r"exercises\.py of 'classical' cannot be imported: NameError: name 'Exercize'"
    with pytest.raises(ValueError, match=said):
        own("exercises.py", "ROTATION_VOTE = Exercise(", "ROTATION_VOTE = Exercize(")


def test_a_variant_has_constants_of_its_own_and_the_same_version():
    common, mine, yours = load("classical"), load("classical", 11), load("classical", 12)
    assert common.version == mine.version == yours.version
    assert (common.public_seed, mine.public_seed) == (0, 11)
    costs = [found.task("matching_cost").exercise for found in (common, mine, yours)]
    assert len({cost.prompt for cost in costs}) == 3
    assert len({tuple(cost.solution.values()) for cost in costs}) == 3
    again = load.__wrapped__("classical", 11).task("matching_cost").exercise
    assert again.solution == costs[1].solution


def test_the_secret_is_made_once_and_belongs_to_its_owner(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "secret.toml"
    secret = read_secret(path)
    assert len(secret) == 32
    assert read_secret(path) == secret
    assert [item.name for item in path.parent.iterdir()] == ["secret.toml"]
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o640)
        with pytest.raises(SecretError, match=r"others can read the secret .*: run chmod 600"):
            read_secret(path)
    path.chmod(0o600)
    path.write_text('secret = "12"\n')
    with pytest.raises(SecretError, match="must have 32 bytes, but it has 1"):
        read_secret(path)
    path.write_text("secret = 12\n")
    with pytest.raises(SecretError, match="must hold one line"):
        read_secret(path)
    monkeypatch.setenv("COURSE_SECRET", str(tmp_path / "other.toml"))
    assert read_secret() != secret
    assert (tmp_path / "other.toml").exists()


def test_seeds_and_variants_follow_from_the_secret():
    secret = bytes(range(32))
    # HMAC-SHA-256 by openssl: the first eight bytes, modulo 2³¹ − 1, plus one.
    assert variant_of(secret, "classical", "ada") == 1_280_290_050
    assert hidden_seed(secret, "classical") == 43_755_575
    seen = {variant_of(secret, a, s) for a in ("x", "y") for s in ("ada", "bob")}
    seen |= {hidden_seed(secret, "x"), hidden_seed(bytes(32), "x"), variant_of(secret, "x", "")}
    assert len(seen) == 7
    assert all(1 <= number <= LARGEST for number in seen)


def test_a_roster_is_read_or_refused_in_a_sentence(tmp_path):
    path = tmp_path / "class.csv"

    def read(text):
        path.write_text(text, encoding="utf-8")
        return list(roster.read_students(path))

    assert read("\ufeffname,student\nAda L.,ada\nBob,b.ob@uni.edu\n") == ["ada", "b.ob@uni.edu"]
    with pytest.raises(ValueError, match="needs a column `student`, but has name, id"):
        read("name,id\nAda,1\n")
    with pytest.raises(ValueError, match="names ada more than once"):
        read("student\nada\nada\n")
    with pytest.raises(ValueError, match=r"but got '\.\./ada'"):
        read("student\n../ada\n")
    with pytest.raises(ValueError, match="names no student"):
        read("student\n")


def test_mutants_of_new_exercises_are_counted():
    """The banks are not empty: a solution of one line without mutants would prove nothing."""
    for name, exercise in NEW:
        if exercise.is_function:
            assert len(trial.mutants_of(exercise)) >= 3, f"{name}: {exercise.name}"


@pytest.mark.parametrize("numbers", [(-1, 0.1, 0.5), (0, 2, 0.5), (0, 0.1, 1.5), (0, -0.1, 0.5)])
def test_a_late_policy_that_would_take_more_than_all_is_refused(numbers):
    with pytest.raises(ValueError, match="lateness costs shares of 0 to 1"):
        LatePolicy(*numbers)
