"""Pages and sheets: everything escaped, nothing hidden shown, points of both kinds added up."""

import csv
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from course_lib.classroom import commands_grade, grading, marking, writing
from course_lib.classroom.answers import Answers
from course_lib.classroom.attention import sentences
from course_lib.classroom.by_hand import (
    keep_graded,
    load_graded,
    mark_of,
    read_sheet,
    sheet,
    standing,
)
from course_lib.classroom.class_page import class_page
from course_lib.classroom.grading import Rules, grade
from course_lib.classroom.inbox import collect
from course_lib.classroom.pages import picture, points, signed, told
from course_lib.classroom.reports import feedback, lesson_of
from course_lib.classroom.results import load_results
from course_lib.classroom.roster import Roll, call_the_roll
from course_lib.classroom.sandbox import Limits
from course_lib.classroom.similarity import Group
from course_lib.classroom.similarity_page import similarity_page
from course_lib.classroom.statistics import by_exercise, mistakes, totals
from course_lib.classroom.writing import write_everything
from tests.classroom.classes import WRITTEN, answered, run_here, toy, untouched

RULES = Rules("toy", b"s" * 32)
NAMES = [name for name, _ in WRITTEN.rubric]
EVIL = "<script>alert(1)</script>"
FULL = {
    "anna": {
        "why_patches": {
            "points": [4.0, 1.5],
            "comment": "Good <b>",
            "answer": mark_of(f"=1+1 {EVIL}"),
        }
    }
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A class of five, graded once → the folder."""
    folder = tmp_path_factory.mktemp("class")
    notebooks = {
        "anna": answered(written=f"=1+1 {EVIL}"),
        "bob": answered({"survives": 'survives = "noise"', "patch_distance": ""}),
        "carl": answered({"survives": 'survives = "noise"'}),
        "dora": untouched(),
        EVIL.replace("/", "_"): b"{",
    }
    for student, data in notebooks.items():
        path = folder / "submitted" / student / "toy" / "toy.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grading, "load", lambda name, variant=0: toy())
        grade(collect(folder, "toy"), RULES, run_here, folder / "out")
    return folder / "out"


@pytest.fixture
def results(graded):
    return load_results(graded)


def of(results, student):
    return next(result for result in results if result["student"] == student)


def read(result, given, comment=""):
    """What a person gave for the answer as it stands in the result."""
    mark = mark_of(result["written"][0]["answer"])
    return {"points": given, "comment": comment, "answer": mark}


class Structure(HTMLParser):
    """Holds that every tag is closed, and gathers tags and text."""

    VOID = ("meta", "br", "path", "use", "rect")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_feedback_says_what_was_right_what_went_wrong_and_what_to_read(results):
    anna = Structure(feedback(of(results, "anna"), toy(), FULL)).text
    assert "35.5 of 36 points" in anna
    assert "10 of 10 points" in anna
    assert "3 of 3 cases right" in anna
    assert "1.5 of 2" in anna
    assert "Good <b>" in anna
    assert "so far" not in anna
    assert "Hint" not in anna
    carl = Structure(feedback(of(results, "carl"), toy(), {})).text
    assert "26 of 36 points – so far: 1 written answer is still to be read" in carl
    assert "Noise differs from pixel to pixel" in carl
    assert "To read again: lesson 00_start" in carl
    assert lesson_of(toy().tasks[0]) == "00_start"


def test_feedback_shows_lateness_problems_and_notes(results):
    late = of(results, "carl") | {"late": {"hours": 30.0, "keeps": 0.8}}
    noted = late | {"notes": ["cell 2 raised ValueError: SECRET"], "problems": ["odd `name`"]}
    text = Structure(feedback(noted, toy(), {})).text
    assert "20.8 of 36" in text
    assert "Handed in 30 hours after the deadline: 80 % of 26 points are kept" in text
    assert "cell 2 raised ValueError" in text
    assert "SECRET" not in text
    assert "odd name" in text


def test_nothing_that_a_student_wrote_becomes_html(results, graded):
    evil = next(result for result in results if "script" in result["student"])
    pages = [feedback(evil, toy(), {}), class_page(results, toy(), FULL, [])]
    odd = of(results, "carl") | {"notes": [EVIL], "problems": [EVIL], "student": EVIL}
    odd["borrowed"] = [{"exercise": "survives", "what": EVIL}]
    odd["exercises"] = [item | {"said": [EVIL]} for item in odd["exercises"]]
    pages += [feedback(odd, toy(), {}), class_page([odd, *results], toy(), {}, [])]
    group = Group("cut_patch", ("anna", "bob"), 0.9)
    sources = {"anna": {"cut_patch": EVIL}, "bob": {"cut_patch": f"x = '{EVIL}'"}}
    pages.append(similarity_page([group], sources, toy()))
    for page in pages:
        structure = Structure(page)
        assert "script" not in structure.tags
        assert "b" not in structure.tags
        assert "default-src 'none'" in page
        assert not re.search(
            r"""(src|href)=["'](?!feedback/|similarity|#)""", page.split("<svg")[0]
        )


def test_the_class_page_counts(results):
    structure = Structure(class_page(results, toy(), FULL, [Group("cut_patch", ("a", "b"), 0.7)]))
    assert "5 submissions · 36 points" in structure.text
    assert "2 survives noise averages out." in structure.text
    assert "1 groups of answers are built alike" in structure.text
    assert "the notebook is not valid JSON" in structure.text
    assert structure.tags.count("svg") == 2
    assert structure.tags.count("title") == 3


def test_the_class_page_names_people_and_who_handed_in_nothing(results):
    people = {
        "carl": {"Full name": "Carl & <b>Co"},
        "nils": {"Full name": "", "Student": EVIL},
        "<b>otto": {},
    }
    structure = Structure(
        class_page(results, toy(), {}, [], Roll(people, absent=("nils", "<b>otto")))
    )
    assert not {"script", "b"} & set(structure.tags)
    look, absent = structure.text.split("Handed in nothing")
    assert "carl Carl & <b>Co test_normalise" in look
    assert absent.startswith(f" nils {EVIL} <b>otto Students")
    assert "Handed in nothing" not in class_page(results, toy(), {}, [])


def test_statistics_of_the_class(results):
    first, second, *_ = by_exercise(results, toy())
    assert first.states == {"not attempted": 2, "error": 0, "wrong": 2, "right": 1}
    assert first.share == pytest.approx(1 / 5)
    assert second.share == pytest.approx(2 / 5)
    own, rest = [4, 0, 0, 0, 0], [26, 16, 26, 0, 0]
    assert first.discrimination == pytest.approx(np.corrcoef(own, rest)[0, 1])
    assert by_exercise(results[:2], toy())[0].discrimination is None
    (noise,) = mistakes(results)
    assert (noise.exercise, noise.name, noise.count) == ("survives", "noise averages out", 2)
    assert sorted(totals(results, FULL)) == [0, 0, 16, 26, 35.5]


def test_the_lecturer_hears_what_the_marks_do_not_say(results, graded):
    received = [one for one in collect(graded.parent, "toy") if one.student != "carl"]
    late = replace(RULES, deadline=datetime.now(UTC), times={"anna": datetime.now(UTC)})
    unknown, gone, unread = sentences(received, late, results, FULL)
    assert "no time is known of _script_alert(1)" in unknown.replace("<", "_").replace(">", "_")
    assert ", bob, dora: on time" in unknown
    assert gone.startswith("graded before, and not among the submissions now: carl;")
    assert unread.startswith("written answers of bob, carl are not read yet")
    everyone = collect(graded.parent, "toy")
    all_read = {one["student"]: {"why_patches": read(one, [4, 2])} for one in results}
    assert sentences(everyone, RULES, results, all_read) == []
    foreign = "the notebook is the variant of another student"
    strangers = [one | {"problems": [foreign]} for one in results[:3]]
    (said,) = sentences(everyone, RULES, [*strangers, *results[3:]], all_read)
    assert said.startswith("3 of 5 notebooks are another student's variant: do --variants")
    older = ["the notebook is of version a of the assignment, and graded by version b"]
    (said,) = sentences(everyone, RULES, [one | {"problems": older} for one in results], all_read)
    assert said.startswith("5 of 5 notebooks are of another version: is it this assignment")
    crowd = [replace(everyone[0], student=f"s{n:02}") for n in range(13)]
    (said,) = sentences(crowd, replace(late, times={}), [], {})
    assert "s00, s01," in said
    assert "s09 and 3 more" in said


def test_the_lecturer_hears_who_is_absent_and_whom_moodle_will_not_find(graded, results):
    received = collect(graded.parent, "toy")
    all_read = {one["student"]: {"why_patches": read(one, [4, 2])} for one in results}
    names = [result["student"] for result in results]
    rows = {
        name: {"student": name, "Identifier": f"Participant {n}"} for n, name in enumerate(names)
    }
    rows |= {name: {"student": name, "Identifier": ""} for name in ("nils", "otto")}
    roll = call_the_roll(rows, received[1:], names)
    assert roll.absent == ("nils", "otto")
    absent, lost = sentences(received, RULES, results, all_read, roll)
    assert absent == "handed in nothing: nils, otto"
    assert lost.startswith(
        "Moodle's number of nils, otto is not known: moodle.csv has no identifier"
    )
    assert "for each assignment anew" in lost


def test_an_exercise_without_points_has_its_line(results):
    free = replace(toy(), tasks=tuple(replace(task, points=0.0) for task in toy().tasks))
    worthless = [
        result | {"exercises": [item | {"marks": 0.0} for item in result["exercises"]]}
        for result in results
    ]
    assert [line.share for line in by_exercise(worthless, free)] == [0.0] * len(free.tasks)


def test_a_sheet_goes_out_is_filled_in_and_comes_back(results, tmp_path):
    text = sheet(WRITTEN, results, {})
    rows = list(csv.DictReader(text.splitlines()))
    first, second = "names the change of light (4)", "names the turn (2)"
    assert list(rows[0]) == ["student", "question", "answer", first, second, "comment"]
    anna = next(row for row in rows if row["student"] == "anna")
    assert anna["answer"] == f"'=1+1 {EVIL}"
    anna[first], anna[second], anna["comment"] = "4", "1,5", "Good"
    path = tmp_path / "sheet.csv"
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    students = [result["student"] for result in results]
    found = read_sheet(path, toy(), students)
    assert found == {"anna": {"why_patches": read(of(results, "anna"), [4.0, 1.5], "Good")}}
    keep_graded(tmp_path, found)
    keep_graded(tmp_path, {"bob": {"why_patches": read(of(results, "bob"), [0.0, 0.0])}})
    known = load_graded(tmp_path)
    assert sorted(known) == ["anna", "bob"]
    assert "1.5" in sheet(WRITTEN, results, known)
    stands = standing(of(results, "anna"), known)
    assert (stands.earned, stands.by_hand, stands.total, stands.waiting) == (30, 5.5, 35.5, ())
    assert standing(of(results, "carl"), known).waiting == ("why_patches",)
    late = of(results, "anna") | {"late": {"hours": 99.0, "keeps": 0.5}}
    assert standing(late, known).total == 17.75


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("anna", "nobody"), "'nobody' handed in nothing"),
        (("why_patches", "why"), "no written question 'why'"),
        (("4,2", "5,2"), "5 points, but 0 to 4"),
        (("4,2", "nan,2"), "nan points"),
        (("4,2", "much,2"), "'much' is no number"),
        (("names the turn (2)", "turn"), "a column 'names the turn"),
        (("2,\n", "2,\nanna,why_patches,x,,,\n"), "line 3: anna, why_patches stands there twice"),
    ],
)
def test_a_sheet_that_cannot_be_is_refused(tmp_path, change, said):
    text = "student,question,answer,names the change of light (4),names the turn (2),comment\n"
    text += "anna,why_patches,x,4,2,\n"
    path = tmp_path / "sheet.csv"
    path.write_text(text.replace(*change))
    with pytest.raises(ValueError, match=re.escape(said)):
        read_sheet(path, toy(), ["anna"])


def test_everything_is_written_and_hand_work_stays(graded, monkeypatch, tmp_path):
    monkeypatch.setattr(grading, "load", lambda name, variant=0: toy())
    filled = tmp_path / "filled.csv"
    text = sheet(WRITTEN, load_results(graded), {})
    filled.write_text(text.replace(f"{EVIL},,,", f"{EVIL},3,1,"), newline="")
    received = collect(graded.parent, "toy")
    write_everything(graded, received, RULES, [filled])
    before = {p: p.read_bytes() for p in sorted(graded.rglob("*")) if p.is_file()}
    write_everything(graded, received, RULES, [])
    assert {p: p.read_bytes() for p in sorted(graded.rglob("*")) if p.is_file()} == before
    assert "34 of 36" in Structure(next(graded.glob("feedback/anna-*")).read_text()).text
    assert len(list(graded.glob("feedback/*.html"))) == 5
    assert (graded / "class.html").exists()
    assert (graded / "similarity.csv").read_text().startswith("group,exercise,share,student")


def test_results_of_another_assignment_stay_as_they_are(graded, monkeypatch):
    """Refused before the first of them is overwritten."""
    monkeypatch.setattr(grading, "load", lambda name, variant=0: replace(toy(), version="two"))
    before = {p: p.read_bytes() for p in sorted(graded.rglob("*")) if p.is_file()}
    with pytest.raises(ValueError, match="is of toy version-1, not of toy two"):
        grade(collect(graded.parent, "toy"), RULES, run_here, graded)
    assert {p: p.read_bytes() for p in sorted(graded.rglob("*")) if p.is_file()} == before


def test_points_for_an_answer_that_has_changed_do_not_count(results):
    anna = of(results, "anna")
    graded = {"anna": {"why_patches": read(anna, [4.0, 1.5], "Good")}}
    assert standing(anna, graded).by_hand == 5.5
    laid_out = anna["written"][0]["answer"].replace(" ", "\r\n  ").removeprefix("'")
    again = anna | {"written": [anna["written"][0] | {"answer": laid_out}]}
    assert standing(again, graded).by_hand == 5.5  # a spreadsheet did that
    changed = anna | {"written": [anna["written"][0] | {"answer": "I have no idea."}]}
    stands = standing(changed, graded)
    assert (stands.by_hand, stands.waiting) == (0, ("why_patches",))
    assert "5.5 of 6" not in Structure(feedback(changed, toy(), graded)).text
    (row,) = csv.DictReader(sheet(WRITTEN, [changed], graded).splitlines())
    assert (row["names the turn (2)"], row["comment"]) == ("", "Good")


def test_feedback_says_that_an_answer_was_never_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "load", lambda name, variant=0: toy())
    path = tmp_path / "submitted/zoe/toy/toy.ipynb"
    path.parent.mkdir(parents=True)
    path.write_bytes(answered({"cut_patch": "def cut(:", "patch_distance": "def other(): pass"}))
    grade(collect(tmp_path, "toy"), RULES, run_here, tmp_path / "out")
    (zoe,) = load_results(tmp_path / "out")
    for item in zoe["exercises"]:
        if item["name"] in ("cut_patch", "patch_distance"):
            told = (item["state"], item["summary"], item["ran"], item["details"], item["marks"])
            assert told == ("error", "", 0, [], 0)
            assert item["sentence"] == f"No cell that ran defines `{item['name']}`."
    test = toy().tasks[3]
    outputs = [{}] * len(test.exercise.cases_for(5))
    lost = marking._judged(test, outputs, Answers((), {test.exercise.name: "x"}, {}, ()), 5)
    assert lost["sentence"].startswith("Your test came to no end")
    assert (lost["summary"], lost["ran"], lost["marks"]) == ("", 0, 0)


def test_pictures_take_the_colour_of_the_page_and_are_the_same_again():
    from course_lib.classroom.class_page import _distribution

    marks = np.array([1.0, 2.0, 30.0])
    assert _distribution(marks, 36) == _distribution(marks, 36)
    assert "currentColor" in _distribution(marks, 36)
    assert "0 to 3.6: 2" in _distribution(marks, 36)
    assert picture.__doc__


def test_numbers_and_sentences_as_they_are_shown():
    assert [points(v) for v in (7.0, 7.25, 0.1 + 0.2)] == ["7", "7.25", "0.3"]
    assert [signed(v) for v in (-0.171, -0.001, None)] == ["−0.17", "0.00", "–"]
    assert told("`a<b` & **x**") == (
        "<code style='color:inherit'>a&lt;b</code> &amp; <strong>x</strong>"
    )


def run_command(*arguments):
    app = Typer()
    commands_grade.register(app)
    return CliRunner().invoke(app, list(arguments))


def test_the_command_grades_refuses_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "load", lambda name, variant=0: replace(toy(), variant=variant))
    monkeypatch.setattr(commands_grade, "runner", lambda *_: run_here)
    for student in ("anna", "bob"):
        path = tmp_path / "submitted" / student / "toy/toy.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(answered())
    (tmp_path / "times.csv").write_text("student,time\nanna,2026-05-02T13:00\n")
    place = ["--submissions", str(tmp_path / "submitted"), "--to", str(tmp_path / "out")]
    common = ["grade", "toy", *place, "--secret", str(tmp_path / "secret.toml")]
    table = ["--times", str(tmp_path / "times.csv")]
    timed = [*common, "--deadline", "2026-05-01T12:00+05:00", *table]  # its zone is the table's
    done = run_command(*timed)
    assert done.exit_code == 0, done.output
    assert "2 graded, 0 as before" in done.output
    assert "no time is known of bob:" in done.output
    assert "written answers of anna, bob are not read yet" in done.output
    assert (tmp_path / "out" / "class.html").exists()
    (tmp_path / "students.csv").write_text("student\nanna\nbob\nnils\n")
    table = ["--students", str(tmp_path / "students.csv")]
    assert "handed in nothing: nils\n0 graded, 2 as before" in run_command(*timed, *table).output
    for more in ([], ["--student", "bob"]):
        output = run_command(*timed, *table, *more).output
        assert ("handed in nothing" in output) == (not more), output
        assert "\r\nnils," in (tmp_path / "out/exports/marks.csv").read_bytes().decode()
    monkeypatch.setattr(writing, "write_everything", lambda *given: ["hear this"])
    late = {result["student"]: result["late"] for result in load_results(tmp_path / "out")}
    assert late["anna"] == {"hours": 25.0, "keeps": 0.8}
    assert "hear this\n0 graded, 2 as before" in run_command(*timed).output
    assert "1 graded, 0 as before" in run_command(*timed, "--student", "bob").output
    for wrong, said in (
        (["--student", "zoe"], "'zoe' handed in nothing"),
        (["--deadline", "tomorrow"], "a time like"),
        (["--deadline", "2026-05-01"], "the deadline needs its hour and zone"),
        (["--truth", str(tmp_path / "times.csv")], "Expecting value"),
        (["--times", str(tmp_path / "secret.toml")], "needs a column"),
    ):
        refused = run_command(*common, *wrong)
        assert (refused.exit_code, said in refused.output) == (2, True), refused.output


def test_without_a_sandbox_the_command_refuses(monkeypatch):
    from course_lib.classroom import sandbox
    from course_lib.classroom.pool import WorkerError

    monkeypatch.setattr(sandbox, "available", lambda: "install bubblewrap")
    with pytest.raises(WorkerError, match="install bubblewrap"):
        commands_grade.runner(1, True, Limits())
