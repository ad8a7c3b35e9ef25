"""A bundle: whole, reproducible, and searched for everything that must not be in it."""

import ast
import json
import re
import zipfile
from dataclasses import replace

import nbformat
import numpy as np
import pytest

from course_lib.classroom import assignment as room
from course_lib.classroom.assignment import Assignment, Task, load, names
from course_lib.classroom.bundle import Bundle, BundleError, read_bundle
from course_lib.classroom.notebook import build_notebook, tagged
from course_lib.classroom.public import RECORDED, public_task
from course_lib.classroom.release import bundle_files, make_bundle, write_bundle
from course_lib.classroom.secret import hidden_seed, variant_of
from course_lib.exercises import trial
from course_lib.exercises.cells import define, source_as
from course_lib.exercises.engine import State
from course_lib.exercises.probe import plain
from course_lib.exercises.render import Card

SECRET = bytes(range(100, 132))


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Every assignment's bundle, unpacked from its zip: name → folder."""
    to = tmp_path_factory.mktemp("release")
    folders = {}
    for name in names():
        _, archive = write_bundle(load(name), to)
        with zipfile.ZipFile(archive) as file:
            file.extractall(to / "unpacked")
        folders[name] = to / "unpacked" / name
    return folders


def texts_in(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)


def squeezed(text):
    return re.sub(r"\s+", "", text)


def lines_of(function, at_least=14):
    """Squeezed lines of a function's body, long enough to be told from chance."""
    (node,) = ast.parse(source_as(function, function.__name__)).body
    if not isinstance(node, ast.FunctionDef):
        return set()  # a lambda, which has no lines of its own
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    lines = {squeezed(line) for part in body for line in ast.unparse(part).splitlines()}
    return {line for line in lines if len(line) >= at_least}


def unparsed(source):
    return {squeezed(line) for line in ast.unparse(ast.parse(source)).splitlines()}


def everything_in(folder):
    """All bytes of a bundle, and all its text, decoded from JSON and squeezed."""
    raw = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    text = ""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".json", ".ipynb"):
            text += "\n".join(texts_in(json.loads(path.read_text(encoding="utf-8"))))
        elif path.suffix == ".md":
            text += path.read_text(encoding="utf-8")
    try:  # formatted alike, where a cell is Python
        cells = nbformat.read(next(folder.glob("*.ipynb")), 4).cells
        text += "\n".join(ast.unparse(ast.parse(c.source)) for c in cells if c.cell_type == "code")
    except SyntaxError:
        pass
    return raw, squeezed(text)


def leaks(assignment: Assignment, folder) -> list[str]:
    """What a bundle holds and must not."""
    raw, text = everything_in(folder)
    found = []
    stubs = [task.exercise.stub_cell() for task in assignment.tasks]
    shown = set().union(*(unparsed(stub) for stub in stubs))
    for exercise in (task.exercise for task in assignment.tasks):
        public = lines_of(exercise.stub) if exercise.stub else set()
        public |= lines_of(exercise.subject) if exercise.subject else set()
        answers = [exercise.solution] if exercise.is_function else []
        named = [*exercise.misconceptions, *exercise.also_right]
        answers += [m.answer for m in named if hasattr(m.answer, "__code__")]
        for answer in answers:
            secret = lines_of(answer) - public
            found += [f"{exercise.name}: {line}" for line in secret if line in text]
        if exercise.kind == "predict" and not exercise.choices:
            values = {squeezed(exercise.solution_cell()), squeezed(repr(exercise.solution))}
            found += [f"{exercise.name}: {value}" for value in values if value in text]
        told = [m.sentence for m in named] + list(exercise.hints)
        found += [f"{exercise.name}: {said}" for said in told if squeezed(said) in text]
        if exercise.is_function:
            original = exercise.subject or exercise.solution
            public |= unparsed(source_as(original, original.__name__))
            for mutant in trial.mutants_of(exercise):
                lines = {line for line in unparsed(mutant.source) - public if len(line) >= 14}
                # A mutant that drops something may be the beginning of a line that is handed out.
                lines -= {line for line in lines if any(line in o and line != o for o in shown)}
                found += [f"mutant {mutant.id}: {line}" for line in lines if line in text]
    found += hidden_values(assignment, raw, text)
    return found + [f"{word} is in it" for word in secrets(assignment) if word in raw]


def hidden_values(assignment, raw, text):
    seed = hidden_seed(SECRET, assignment.name)
    for exercise in (task.exercise for task in assignment.tasks if task.exercise.cases):
        for case in exercise.cases_for(seed):
            for name, value in case.items():
                array = plain(value) if not isinstance(value, np.random.Generator) else None
                if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size > 3:
                    ravel = array.ravel()
                    distinct = ravel[np.abs(ravel - np.round(ravel, 3)) > 1e-9][:5]
                    told = [number.tobytes() in raw or repr(float(number)) in text
                            for number in distinct]  # fmt: skip
                    if any(told):
                        yield f"{exercise.name}: hidden values of {name}"


def secrets(assignment):
    seed = hidden_seed(SECRET, assignment.name)
    return [SECRET, SECRET.hex().encode(), str(seed).encode()]


@pytest.mark.parametrize("name", names())
def test_a_bundle_gives_no_answer_away(released, name):
    assert not leaks(load(name), released[name])


@pytest.mark.parametrize(
    ("what", "leak"),
    [
        ("solution", lambda e, a: source_as(e.solution, "mine")),
        ("misconception", lambda e, a: source_as(e.misconceptions[0].answer, "mine")),
        ("sentence", lambda e, a: e.misconceptions[2].sentence),
        ("hint", lambda e, a: e.hints[1]),
        ("mutant", lambda e, a: trial.mutants_of(e)[2].source),
        ("hidden value", lambda e, a: repr(float(e.cases_for(seed_of(a))[1]["angles_a"][3]))),
        ("seed", lambda e, a: str(seed_of(a))),
        ("secret", lambda e, a: SECRET.hex()),
    ],
)
def test_the_search_finds_what_is_planted(tmp_path, what, leak):
    found = load("classical")
    folder, _ = write_bundle(found, tmp_path)
    (folder / "extra.json").write_text(
        json.dumps({"note": leak(found.task("rotation_vote").exercise, found)})
    )
    only = replace(found, tasks=(found.task("rotation_vote"),))
    assert leaks(only, folder), what


def seed_of(assignment):
    return hidden_seed(SECRET, assignment.name)


def test_hidden_bytes_are_found_too(tmp_path):
    found = load("classical")
    folder, _ = write_bundle(found, tmp_path)
    exercise = found.task("rotation_vote").exercise
    seeded = replace(found, variant=seed_of(found))
    (folder / "public.wire").write_bytes(make_bundle(seeded).public_data())
    assert f"{exercise.name}: hidden values of angles_a" in leaks(found, folder)


@pytest.mark.parametrize("name", names())
def test_a_bundle_is_whole_and_small(released, name):
    found, folder = load(name), released[name]
    expected = {f"{name}.ipynb", "bundle.json", "public.wire", "README.md"}
    assert {path.name for path in folder.iterdir()} == expected
    assert sum(path.stat().st_size for path in folder.iterdir()) < 500_000
    notebook = nbformat.read(folder / f"{name}.ipynb", 4)
    assert notebook.metadata.course == {
        "assignment": name, "version": found.version, "variant": "0", "student": "",
    }  # fmt: skip
    tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])]
    expected_tags = ["setup"]
    for task in found.tasks:
        expected_tags += [f"exercise:{task.exercise.name}", f"check:{task.exercise.name}"]
    expected_tags += [f"written:{question.name}" for question in found.written]
    assert sorted(tags) == sorted(expected_tags)
    for cell in notebook.cells:
        if exercise := tagged(cell, "exercise"):
            assert cell.source.strip() == found.task(exercise).exercise.stub_cell().strip()
    text = json.dumps(notebook)
    for task in found.tasks:
        assert f"**{task.points:g} points**" in text


def test_the_same_bundle_is_the_same_bytes(tmp_path):
    archives = []
    for place in ("a", "b"):
        folder, archive = write_bundle(load("classical"), tmp_path / place)
        archives.append(archive.read_bytes())
        assert not list(folder.glob(".*"))
    assert archives[0] == archives[1]
    with zipfile.ZipFile(tmp_path / "a" / "classical.zip") as file:
        for name, content in bundle_files(load("classical")).items():
            assert file.read(f"classical/{name}") == content
            assert (tmp_path / "a" / "classical" / name).read_bytes() == content


def test_the_text_of_a_notebook_must_name_each_task_once(monkeypatch):
    found = load("classical")
    fewer = replace(found, tasks=found.tasks[1:])
    with pytest.raises(ValueError, match=r"has cells for consensus, .* has consensus, "):
        build_notebook(fewer, {})


@pytest.fixture
def at_home(released, monkeypatch, tmp_path):
    """The bundles as a student has them: the assignments themselves are not there."""
    monkeypatch.setattr(room, "ASSIGNMENTS", tmp_path)
    return released


@pytest.mark.parametrize("name", names())
def test_public_checks_know_right_from_untouched(name, at_home):
    found, bundle = load.__wrapped__, read_bundle(at_home[name])
    with pytest.raises(ValueError, match="no assignment"):
        found(name)
    for task in load(name).tasks:
        exercise = task.exercise
        report = bundle.check(exercise.name, exercise.solution)
        is_secret = not task.lesson and exercise.kind in ("predict", "test")
        is_secret |= not task.lesson and not exercise.is_function
        if is_secret:
            assert isinstance(report, Card)
            assert RECORDED in report.markdown
        else:
            assert report.state == State.RIGHT, report
        stub = define(exercise.stub_cell(), exercise.name, exercise.imports)
        report = bundle.check(exercise.name, stub)
        assert report.state == State.NOT_ATTEMPTED, report


@pytest.mark.parametrize("name", names())
def test_public_checks_of_new_exercises_see_every_misconception(name, at_home):
    bundle = read_bundle(at_home[name])
    for task in load(name).tasks:
        exercise = task.exercise
        if task.lesson or not exercise.is_function or exercise.kind == "test":
            continue
        for wrong in exercise.misconceptions:
            report = bundle.check(exercise.name, wrong.answer)
            assert report.state in (State.WRONG, State.ERROR), f"{exercise.name}: {wrong.name}"
            assert report.sentence == "", "no diagnosis: it would need the wrong answers"
            assert report.details[0].startswith("case ")


def test_a_value_is_looked_at_for_its_form_only(at_home):
    bundle = read_bundle(at_home["classical"])
    right = {"comparisons": 1, "sift_bytes": 2, "brief_bytes": 3}
    assert "right form" in bundle.check("matching_cost", right).markdown
    report = bundle.check("matching_cost", {"comparisons": 1})
    assert report.state == State.ERROR
    assert report.summary.startswith("a dictionary with ['comparisons', 'sift_bytes'")
    report = bundle.check("matching_cost", right | {"sift_bytes": None})
    assert report.summary == "not every place is filled in"
    assert bundle.check("matching_cost", 7).state == State.ERROR


def test_a_test_is_tried_on_the_right_implementation_only(at_home):
    bundle = read_bundle(at_home["classical"])

    def rejects(angle_gap):
        assert angle_gap(1.0, 0.25) == 0.5

    def asserts_nothing(angle_gap):
        angle_gap(1.0, 0.25)

    def raises(angle_gap):
        assert angle_gap(1.0)

    report = bundle.check("test_angle_gap", rejects)
    assert report.state == State.WRONG
    assert "fails on the right implementation" in report.sentence
    assert bundle.check("test_angle_gap", asserts_nothing).state == State.WRONG
    report = bundle.check("test_angle_gap", raises)
    assert report.state == State.ERROR
    assert "missing 1 required positional argument" in report.details[0]


def test_variants_differ_in_constants_and_data_and_can_be_made_again(tmp_path):
    made = {}
    for student in ("ada", "bob"):
        variant = variant_of(SECRET, "classical", student)
        folder, archive = write_bundle(load("classical", variant), tmp_path, student)
        assert archive.name == f"classical-{student}.zip"
        bundle = made[student] = read_bundle(folder)
        assert (bundle.student, bundle.variant) == (student, variant)
        notebook = nbformat.read(folder / f"classical-{student}.ipynb", 4)
        assert notebook.metadata.course == bundle.metadata
        own = load("classical", variant).task("matching_cost").exercise
        box = next(cell.source for cell in notebook.cells if cell.id == "box-matching_cost")
        assert own.prompt.strip() in box
        again = bundle_files(load.__wrapped__("classical", variant), student)
        assert (folder / "public.wire").read_bytes() == again["public.wire"]
        assert not leaks(load("classical", variant), folder)
    ada, bob = made["ada"], made["bob"]
    assert ada.version == bob.version == load("classical").version
    data = [bundle.task("rotation_vote").cases[0]["angles_a"] for bundle in (ada, bob)]
    assert not np.array_equal(*data)


def changed(folder, **fields):
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_bundle_that_does_not_fit_says_so(tmp_path):
    folder, _ = write_bundle(load("classical"), tmp_path)
    assert read_bundle(folder).outdated() == []
    tasks = json.loads((folder / "bundle.json").read_text())["tasks"]
    tasks[1]["fingerprint"] = "0" * 16
    changed(folder, tasks=tasks, library="0.0.9")
    assert read_bundle(folder).outdated() == [
        "orientation_histogram: the installed course_lib has another version of this exercise "
        "than the bundle",
        "the bundle was made with course_lib 0.0.9, not 0.1.0",
    ]
    changed(folder, schema=99)
    with pytest.raises(BundleError, match="has form 99, but the installed course_lib reads form 1"):
        read_bundle(folder)
    (folder / "bundle.json").write_text("{")
    with pytest.raises(BundleError, match=r"bundle\.json is damaged .*: unpack the bundle again"):
        read_bundle(folder)
    (folder / "public.wire").unlink()
    write_bundle(load("classical"), tmp_path)
    (folder / "public.wire").write_bytes(b"no wire")
    with pytest.raises(BundleError, match="is damaged"):
        read_bundle(folder)
    (folder / "public.wire").unlink()
    with pytest.raises(BundleError, match=r"there is no public\.wire beside the notebook"):
        read_bundle(folder)


def test_an_exercise_that_compares_in_its_own_way_cannot_be_released():
    task = load("classical").task("rotation_vote")
    own = replace(task.exercise, compare=lambda got, expected: None)
    with pytest.raises(ValueError, match="compares in its own way"):
        public_task(Task(own, 3), 0)


def test_a_bundle_knows_its_exercises():
    bundle: Bundle = make_bundle(load("classical"))
    assert bundle.as_assignment().points == 96
    with pytest.raises(ValueError, match="no exercise 'finish'; there are: matching_cost, "):
        bundle.task("finish")
