"""A class with variants, from its table to its marks, on two platforms; and who is who."""

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from course_lib import cli
from course_lib.classroom import commands_grade, whole
from course_lib.classroom.assignment import load
from course_lib.classroom.inbox import Received
from course_lib.classroom.results import load_results
from course_lib.classroom.roster import recognised, student_called
from course_lib.classroom.secret import read_secret, variant_of
from tests.classroom.classes import run_here

TABLE = """student,name,id,Email address
ada,Ada Lovelace,11,ada@uni.org
ana1,"Berg, Ana",21,ana.b@uni.org
ana2,Ana Berg,22,berg@uni.org
max,Max Müller,31,max@uni.org
zoe,Zoë Ng,Participant 905,zoe@uni.org
"""
STUDENTS = ("ada", "ana1", "ana2", "max", "zoe")
MOODLE = {"ada": "Ada Lovelace_901", "ana1": "Ana Berg_21", "ana2": "Ana Berg_22"}
MOODLE |= {"max": "Max Müller_904", "zoe": "Z. Ng_905"}
FOREIGN = ["the notebook is the variant of another student"]


def course(*arguments):
    """Run a command that must succeed → what it printed."""
    done = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def class_of_five(tmp_path_factory):
    """Released with `--variants`; each solves the exercise of his own numbers → {student: bytes}.

    Max hands in what Zoë was given, with the answer that is right there.
    """
    folder = tmp_path_factory.mktemp("five")
    table, secret = folder / "students.csv", folder / "secret.toml"
    table.write_text(TABLE, encoding="utf-8")
    # With a secret of chance two of them may have numbers to which one answer fits.
    whole.write_whole(secret, f'secret = "{bytes(range(32)).hex()}"\n', private=True)
    options = ["--variants", table, "--to", folder / "release", "--secret", secret]
    assert len(course("release", "classical", *options).split()) == 5
    owners = dict(zip(STUDENTS, STUDENTS, strict=True)) | {"max": "zoe"}
    return folder, {student: solved(folder, owner) for student, owner in owners.items()}


def solved(folder, owner):
    stem = f"classical-{owner}"
    notebook = json.loads((folder / "release" / stem / f"{stem}.ipynb").read_bytes())
    variant = variant_of(read_secret(folder / "secret.toml"), "classical", owner)
    cost = load("classical", variant).task("matching_cost").exercise
    for cell in notebook["cells"]:
        if "exercise:matching_cost" in cell["metadata"].get("tags", ()):
            cell["source"] = cost.solution_cell()
    return json.dumps(notebook).encode()


def graded(folder, submissions, monkeypatch, *more):
    """→ {student: (marks of the varied exercise, problems)}, and what was printed"""
    monkeypatch.setattr(commands_grade, "runner", lambda *_: run_here)
    order = ["grade", "classical", "--submissions", submissions, "--to", folder / submissions.stem]
    said = course(*order, "--variants", "--secret", folder / "secret.toml", *more)
    results = {}
    for result in load_results(folder / submissions.stem):
        (cost,) = (item for item in result["exercises"] if item["name"] == "matching_cost")
        results[result["student"]] = (cost["marks"], result["problems"])
    return results, said


RIGHT = {student: (5.0, []) for student in STUDENTS} | {"max": (0.0, FOREIGN)}


def test_numbers_differ_and_nbgraders_tree_is_graded_by_each_ones_own(class_of_five, monkeypatch):
    folder, notebooks = class_of_five
    assert len(set(notebooks.values())) == 4
    for student, data in notebooks.items():
        path = folder / "tree" / "submitted" / student / "classical" / "classical.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    results, said = graded(folder, folder / "tree", monkeypatch)
    assert results == RIGHT
    assert said.startswith("5 graded, 0 as before")


def test_moodles_zip_is_graded_by_the_table(class_of_five, monkeypatch):
    folder, notebooks = class_of_five
    with zipfile.ZipFile(folder / "moodle.zip", "w") as archive:
        for student, data in notebooks.items():
            archive.writestr(f"{MOODLE[student]}_assignsubmission_file_/classical.ipynb", data)
    table = folder / "students.csv"
    results, _ = graded(folder, folder / "moodle.zip", monkeypatch, "--students", table)
    assert results == RIGHT
    text = (folder / "moodle" / "exports" / "moodle.csv").read_text(encoding="utf-8")
    sent = list(csv.DictReader(io.StringIO(text)))
    addresses = [row["Email address"] for row in sent]
    assert addresses == [f"{n}@uni.org" for n in ("ada", "ana.b", "berg", "max", "zoe")]
    numbers = [row["Identifier"] for row in sent]
    assert numbers == [f"Participant {n}" for n in (901, 21, 22, 904, 905)]
    with zipfile.ZipFile(folder / "moodle" / "exports" / "moodle_feedback.zip") as archive:
        assert sorted(archive.namelist()) == sorted(
            f"{name}_assignsubmission_file_/feedback.html" for name in MOODLE.values()
        )


def test_a_stranger_is_named_and_graded_under_the_name_of_his_folder(class_of_five, monkeypatch):
    folder, notebooks = class_of_five
    for name in ("Ada Lovelace_1", "Nobody_7"):
        place = folder / "strange" / f"{name}_assignsubmission_file_"
        place.mkdir(parents=True)
        (place / "classical.ipynb").write_bytes(notebooks["ada"])
    results, said = graded(
        folder, folder / "strange", monkeypatch, "--students", folder / "students.csv"
    )
    assert results == {"ada": (5.0, []), "Nobody_7": (0.0, FOREIGN)}
    assert "not in the table of students, or there twice: Nobody_7" in said


PEOPLE = {row["student"]: row for row in csv.DictReader(io.StringIO(TABLE))}


@pytest.mark.parametrize(
    ("called", "student"),
    [
        ("ada", "ada"),
        ("ADA@uni.org", "ada"),
        ("Lovelace, Ada", "ada"),
        ("Ada Lovelace_32", "ada"),
        ("Ada Lovelace_31", ""),  # that is max
        ("Ana Berg_31", ""),
        ("Ana Berg", ""),
        ("Ana Berg_21", "ana1"),
        ("Ana Berg_5", ""),
        ("x_905", "zoe"),
        ("lovelaceada_7001", "ada"),  # Canvas's
        ("adalovelace_11", "ada"),
        ("bergana_22", "ana2"),
        ("bergana_7001", ""),
        ("bergana_11", ""),
        ("Max Mu\u0308ller_1", "max"),  # as macOS writes it
        ("nobody", ""),
        ("", ""),
    ],
)
def test_a_name_finds_one_student_or_none(called, student):
    assert student_called(called, PEOPLE) == student


def test_two_submissions_of_one_student_keep_their_names():
    received = [Received(name, ()) for name in ("Ada Lovelace_1", "ada@uni.org", "zoe")]
    kept, strange = recognised(received, PEOPLE)
    assert [one.student for one in kept] == ["Ada Lovelace_1", "ada@uni.org", "zoe"]
    assert strange == ["not in the table of students, or there twice: Ada Lovelace_1, ada@uni.org"]


def test_a_number_and_a_name_that_contradict_find_nobody_and_it_is_said():
    received = [Received(name, ()) for name in ("Ada Lovelace_31", "Ana Berg_905", "Max Müller_31")]
    kept, strange = recognised(received, PEOPLE)
    assert [one.student for one in kept] == ["Ada Lovelace_31", "Ana Berg_905", "max"]
    assert strange == [
        "Ada Lovelace_31: the number is max's, the name ada's",
        "Ana Berg_905: the number is zoe's, the name ana1's and ana2's",
    ]


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("Participant 904", "904"),
        ("Teilnehmer/in904", "904"),
        ("Teilnehmer/in 904", "904"),
        ("904", "904"),
        ("ana904", ""),  # a login
        ("32-904", ""),
        ("904@uni.org", ""),
    ],
)
def test_numbers_are_known_in_any_language_and_under_any_heading(field, number):
    people = {"ana": {"student": "ana", "whatever": field}}
    assert student_called("x_904", people) == ("ana" if number else "")
    assert student_called("x_04", people) == ""


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "new" / "marks.csv"
    whole.write_whole(path, "old ü")
    assert path.read_bytes() == "old ü".encode()

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        whole.write_whole(path, b"new")
    assert path.read_bytes() == "old ü".encode()
    assert [Path(p).name for p in path.parent.iterdir()] == ["marks.csv"]
