"""Exports: the right columns, no formula, and nbgrader's own gradebook takes the scores."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import types
import zipfile
from dataclasses import replace

import pytest

from course_lib.classroom import import_into_nbgrader
from course_lib.classroom.autograder import autograder
from course_lib.classroom.by_hand import mark_of
from course_lib.classroom.exports import write_exports
from course_lib.classroom.moodle import feedback_archive, identifier, unnumbered
from course_lib.classroom.naming import student_of
from course_lib.classroom.results import slug
from course_lib.classroom.roster import Roll, read_students
from course_lib.classroom.secret import read_secret
from course_lib.classroom.tables import read_table, safe, table
from course_lib.classroom.whole import write_whole
from tests.classroom.classes import answered, toy


def result(student, *shares, keeps=1.0, **more):
    """A result as grading writes it, with these shares of the points."""
    exercises = [
        {
            "name": task.exercise.name,
            "title": task.exercise.title,
            "kind": task.exercise.kind,
            "points": task.points,
            "marks": task.points * share,
            "state": "right" if share == 1 else "wrong",
            "summary": "1 of 3 cases right",
            "sentence": "You use `==` <here>.",
            "details": ["case 1: the value differs"],
        }
        for task, share in zip(toy().tasks, shares, strict=True)
    ]
    return {
        "student": student,
        "exercises": exercises,
        "written": [{"name": "why_patches", "answer": ""}],
        "earned": sum(item["marks"] for item in exercises),
        "late": {"hours": None if keeps == 1 else 30.0, "keeps": keeps},
        "problems": ["the cell of `cut_patch` was copied"],
        "notes": ["cell 2 raised ValueError: SECRET"],
    } | more


RESULTS = [
    result("=HYPERLINK(1)", 0, 0.5, 0, 0),
    result("Anna Abel_12", 1, 1, 1, 1),
    result("bob", 1, 0.5, 0, 0, keeps=0.8),
    result("cleo", 1, 0, 0, 0, written=[{"name": "why_patches", "answer": "They turn."}]),
]
READ = {"points": [4.0, 0.5], "comment": "-good", "answer": mark_of("")}
GRADED = {"Anna Abel_12": {"why_patches": READ}}

BOB = {"student": "bob", "Student": "Bob, B.", "ID": "77", "Email address": "bob@x.org"}
NILS = {"student": "nils", "Student": "=Nils, N.", "ID": "78", "Email address": "n@x.org"}
ROLL = Roll({"bob": BOB, "nils": NILS}, {"Anna Abel_12": "Anna Abel_12"}, ("nils",))


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graded")
    write_exports(folder, RESULTS, toy(), GRADED, ROLL)
    return folder / "exports"


def rows(path):
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_canvas(exports):
    head, possible, evil, anna, bob, cleo, nils = rows(exports / "canvas.csv")
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "A toy"]
    assert possible == ["    Points Possible", "", "", "", "", "36"]
    assert evil[0] == "'=HYPERLINK(1)"
    assert anna == ["Anna Abel_12", "", "", "Anna Abel_12", "", "34.5"]
    assert bob == ["Bob, B.", "77", "", "bob", "", "7.2"]
    assert cleo == ["cleo", "", "", "cleo", "", ""]  # an answer of hers waits for its reader
    assert nils == ["'=Nils, N.", "78", "", "nils", "", ""]  # absent: no grade, and no 0


def test_moodle(exports):
    head, _, anna, bob, cleo, nils = rows(exports / "moodle.csv")
    assert head == [
        "Identifier",
        "Full name",
        "Email address",
        "Grade",
        "Maximum grade",
        "Last modified (grade)",
    ]
    assert anna == ["Participant 12", "Anna Abel", "", "34.5", "36", ""]
    assert bob == ["", "bob", "bob@x.org", "7.2", "36", ""]
    assert cleo == ["", "cleo", "", "", "36", ""]
    assert nils == ["", "nils", "n@x.org", "", "36", ""]


WORKSHEET = """student,ID,Vollständiger Name,E-Mail-Adresse,Bewertung,Zuletzt geändert (Bewertung)
bob,Teilnehmer/in904,Bob_/. Bär,bob@x.org,3,"Montag, 2. März 2026"
cleo,Teilnehmer/in77,Cleo C,,,
nils,Teilnehmer/in906,Nils N,,,
otto,,Otto O,,,
"""


@pytest.fixture
def german(tmp_path):
    """The roll by a German worksheet; Cleo's number there is an older assignment's."""
    path = tmp_path / "students.csv"
    path.write_text(WORKSHEET, encoding="utf-8")
    return Roll(read_students(path), {"cleo": "Cleo C_905"}, ("nils", "otto"))


def test_a_german_moodle_gets_its_own_headings_and_identifiers(german, tmp_path):
    write_exports(tmp_path, RESULTS[2:], toy(), {}, german)
    head, bob, cleo, nils, otto = rows(tmp_path / "exports" / "moodle.csv")
    assert head == [
        "ID",
        "Vollständiger Name",
        "E-Mail-Adresse",
        "Bewertung",
        "Bestwertung",
        "Zuletzt geändert (Bewertung)",
    ]
    changed = "Montag, 2. März 2026"
    assert bob == ["Teilnehmer/in904", "Bob_/. Bär", "bob@x.org", "7.2", "36", changed]
    assert cleo[0] == "Teilnehmer/in905"
    assert nils == ["Teilnehmer/in906", "Nils N", "", "", "36", ""]
    assert otto[0] == ""
    assert unnumbered(["bob", "cleo", "nils", "otto"], german) == ["otto"]
    assert unnumbered(["bob"], Roll({"bob": BOB | {"ID": "1"}})) == [
        "bob"
    ]  # an address is Moodle's
    assert unnumbered(["bob"], Roll({"bob": {"student": "bob", "ID": "1"}})) == []
    assert unnumbered(["bob"], Roll()) == []


def test_a_number_without_a_word_gets_the_word_of_the_language(german):
    assert identifier("zoe", replace(german, moodle={"zoe": "Zoe Z_9"})) == "Teilnehmer/in9"
    assert identifier("zoe", Roll({}, {"zoe": "Zoe Z_9"})) == "Participant 9"
    plain = Roll({"zoe": {"student": "zoe", "Identifier": "9"}}, {"zoe": "Zoe Z_9"})
    assert identifier("zoe", plain) == "9"


def test_feedback_goes_back_in_the_folders_of_moodles_download(german):
    pages = {"bob": b"B", "cleo": b"C", "otto": b"O"}
    data = feedback_archive(pages, german)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    assert held == {
        "Bob Bär_904_assignsubmission_file_/feedback.html": b"B",
        "Cleo C_905_assignsubmission_file_/feedback.html": b"C",
    }
    assert data == feedback_archive(dict(reversed(pages.items())), german)
    assert all(student_of(name.split("/"), "toy") for name in held)


def test_the_archive_holds_the_pages_of_those_with_a_number(tmp_path):
    for student, page in (("bob", "Bob's"), ("Anna Abel_12", "Anna's")):
        write_whole(tmp_path / "feedback" / f"{slug(student)}.html", page)
    write_exports(tmp_path, RESULTS, toy(), GRADED, ROLL)
    with zipfile.ZipFile(tmp_path / "exports" / "moodle_feedback.zip") as archive:
        assert archive.namelist() == ["Anna Abel_12_assignsubmission_file_/feedback.html"]
        assert archive.read(archive.namelist()[0]) == b"Anna's"


def test_all_marks(exports):
    head, _, anna, bob, cleo, nils = rows(exports / "marks.csv")
    named = dict(zip(head, bob, strict=True))
    assert named["patch_distance"] == "5"
    assert [named[key] for key in ("by hand", "to be read", "hours late", "kept", "total")] == [
        "0",
        "0",
        "30",
        "0.8",
        "7.2",
    ]
    assert dict(zip(head, anna, strict=True))["by hand"] == "4.5"
    assert dict(zip(head, cleo, strict=True))["to be read"] == "1"
    assert nils == ["nils", *[""] * (len(head) - 1)]


def test_gradescope(exports):
    (path,) = exports.glob("gradescope/bob-*/results.json")
    told = json.loads(path.read_text())
    assert told["score"] == 7.2
    first, second, *_ = told["tests"]
    assert (first["score"], first["max_score"], first["status"]) == (4.0, 4.0, "passed")
    assert (second["score"], second["status"]) == (5.0, "failed")
    assert "You use == <here>." in second["output"]
    assert told["output"].splitlines() == [
        "the cell of cut_patch was copied",
        "cell 2 raised ValueError",
        "late: 80 % of the points are kept",
    ]
    (path,) = exports.glob("gradescope/anna-*/results.json")
    assert json.loads(path.read_text())["tests"][-1]["score"] == 4.5


def test_what_holds_the_secret_is_for_its_owner_only(tmp_path):
    open_to_all, private = tmp_path / "a", tmp_path / "b"
    write_whole(open_to_all, "x")
    private.write_text("old")
    write_whole(private, "x", private=True)
    assert private.stat().st_mode & 0o777 == 0o600
    assert open_to_all.stat().st_mode & 0o044


def test_the_autograder_grades_as_here(tmp_path):
    """Unpacked as Gradescope does, its script gives results.json. The grading itself is faked."""
    secret = bytes(range(32))
    archive = autograder("classical", secret)
    assert archive == autograder("classical", secret)
    (tmp_path / "source").mkdir()
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(tmp_path / "source")
    names = {path.name for path in (tmp_path / "source").iterdir()}
    assert names == {"setup.sh", "run_autograder", "secret.toml", "course"}
    course = tmp_path / "source" / "course"
    assert (course / "assignments/classical/exercises.py").exists()
    assert not (course / "assignments/masked").exists()
    assert "torch>=" in (course / "requirements.txt").read_text()
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "work.ipynb").write_bytes(answered())
    fake = tmp_path / "python3"
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)
    environment = {"AUTOGRADER": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = str(tmp_path / "source" / "run_autograder")
    subprocess.run(["bash", script], env=environment, check=True)
    assert read_secret(tmp_path / "source" / "secret.toml") == secret
    assert (tmp_path / "results" / "results.json").read_text().startswith("-m course_lib.cli grade")


FAKE_PYTHON = """#!/usr/bin/env bash
test -f "$6/submitted/student/classical/work.ipynb"
mkdir -p "$8/exports/gradescope/student"
echo "$@" > "$8/exports/gradescope/student/results.json"
"""


class FakeGradebook:
    """What the importer asks of nbgrader's Gradebook, with its names."""

    books: dict = {}  # noqa: RUF012

    def __init__(self, url):
        self.cells, self.grades, self.notebooks = {}, {}, {}
        self.books[url] = self
        self.db = types.SimpleNamespace(commit=lambda: None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update_or_create_assignment(self, name):
        self.assignment = name

    def update_or_create_notebook(self, name, assignment):
        assert assignment == self.assignment

    def update_or_create_grade_cell(self, cell, notebook, assignment, **told):
        self.cells[cell] = told

    def update_or_create_student(self, student):
        pass

    def update_or_create_submission(self, assignment, student):
        self.notebooks[student] = types.SimpleNamespace()
        return types.SimpleNamespace(notebooks=[self.notebooks[student]])

    def find_grade(self, cell, notebook, assignment, student):
        assert cell in self.cells
        return self.grades.setdefault((student, cell), types.SimpleNamespace())


def test_nbgrader_gets_scores_by_its_own_names(exports, monkeypatch, tmp_path):
    api = types.SimpleNamespace(Gradebook=FakeGradebook)
    monkeypatch.setitem(sys.modules, "nbgrader", types.SimpleNamespace(api=api))
    monkeypatch.setitem(sys.modules, "nbgrader.api", api)
    scores = json.loads((exports / "nbgrader" / "scores.json").read_text())
    assert import_into_nbgrader.import_scores(scores, tmp_path / "g.db") == 4
    book = FakeGradebook.books[f"sqlite:///{tmp_path / 'g.db'}"]
    assert book.cells["check-patch_distance"] == {"max_score": 10.0, "cell_type": "code"}
    assert book.cells["written-why_patches"] == {"max_score": 6.0, "cell_type": "markdown"}
    assert book.grades["bob", "check-patch_distance"].auto_score == 5.0
    assert book.grades["Anna Abel_12", "written-why_patches"].manual_score == 4.5
    assert book.grades["bob", "written-why_patches"].needs_manual_grade
    assert book.notebooks["bob"].late_submission_penalty == 1.8
    script = (exports / "nbgrader" / "import_scores.py").read_text()
    assert "course_lib" not in script


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-x", "'-x"),
        ("@SUM", "'@SUM"),
        ("\t=1", "'\t=1"),
        (" =1", "' =1"),
        ("＝1", "'＝1"),
        ("a=1", "a=1"),
        ("\ufeff\u00a0=1", "'\ufeff\u00a0=1"),
        ("see below;=1", "see below;'=1"),
        ("x\t @SUM", "x\t '@SUM"),
        ("a; b", "a; b"),
        (-1.5, "-1.5"),
        (7.0, "7"),
        (33.333, "33.333"),
    ],
)
def test_no_field_is_a_formula(value, field):
    assert safe(value) == field
    assert next(csv.reader(io.StringIO(table([value], [])))) == [field]


def test_tables_are_read_with_commas_and_semicolons(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text("\ufeffstudent;ID\nanna;1\nbob\n", encoding="utf-8")
    assert read_students(path) == {
        "anna": {"student": "anna", "ID": "1"},
        "bob": {"student": "bob", "ID": ""},
    }
    with pytest.raises(ValueError, match=r"roster\.csv needs a column `time`, but has student, ID"):
        read_table(path, ["student", "time"])
    assert os.listdir(tmp_path) == ["roster.csv"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_tables_are_read_as_spreadsheets_save_them(tmp_path, encoding):
    path = tmp_path / "roster.csv"
    text = 'student\tFull name\r\nana\t"Müller, Ana"\r\n\t\r\nbob\tŽofie\r\n\t\r\n\t\r\n'
    path.write_bytes(text.encode(encoding))
    assert read_table(path, ["student"]) == [
        {"student": "ana", "Full name": "Müller, Ana"},
        {"student": "bob", "Full name": "Žofie"},
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"student,name\nana,Berg, Ana\n", "line 2: there are more fields than in the heading"),
        (b"student,name\nana,Berg, Ana\n", 'that holds "," into quotes, as "Berg, Ana"'),
        (b"student,name,id\nana,x,1\nmax,M, Max,\n", "line 3: there are more fields"),
        (b"student;name\nana;a;\n", 'that holds ";" into quotes'),
        (b'student,name\nana,"Berg\nmax,Muster\n', "after line 1: the quotes do not match"),
        (b"PK\x03\x04\x14\x00student", "is no table as text: save it as CSV"),
        ("student\nana\n".encode("utf-16-le"), "is no table as text"),  # without a mark
        (b"\xff\xfes\x00t", "is no table as text"),  # half a character
        (b"\xff\xfe\x00\xd8", "is no table as text"),
        (b"student\n\x81\n", "is no table as text"),
        (b"", "has nothing"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_a_sentence(tmp_path, data, said):
    path = tmp_path / "roster.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"^roster\.csv.*{re.escape(said)}"):
        read_table(path, ["student"])
