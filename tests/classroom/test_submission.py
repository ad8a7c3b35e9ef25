"""What a student sends is read with suspicion: each file, however odd, becomes a submission.

Files of the package: submission, inbox, naming, arrival, answers.
"""

import io
import json
import os
import zipfile
from datetime import UTC, datetime

import pytest

from course_lib.classroom import inbox
from course_lib.classroom.answers import (
    PUBLIC_CHECK,
    defined,
    find_answers,
    is_stub,
    without_magics,
)
from course_lib.classroom.assignment import ANSWER
from course_lib.classroom.inbox import collect
from course_lib.classroom.naming import student_of
from course_lib.classroom.submission import NOTEBOOK_BYTES, read_notebook
from course_lib.exercises import start
from tests.classroom.classes import answered, cell, notebook, toy, untouched

PATCH = start.PATCH_DISTANCE


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def packed(files):
    """{name: bytes} → the bytes of a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_a_notebook_gives_its_cells_its_tags_and_its_version():
    found = read_notebook(answered(), "anna")
    assert found.problems == ()
    assert (found.student, found.version, found.variant) == ("anna", "version-1", "0")
    assert found.cells[2].marked("exercise") == ["patch_distance"]
    assert found.cells[-1].kind == "markdown"
    assert len(found.code) == 5


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[" * 500_000, "not valid JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"\xff\xfe{", "not UTF-8"),
        (b"[1, 2]", "no notebook"),
        (b'{"cells": 3}', "no notebook"),
        (b'{"worksheets": []}', "no notebook"),
        (notebook(), "no cells"),
        (b'{"cells": [3, null, {"cell_type": "code"}, {"cell_type": []}]}', "no cells"),
        (b" " * (NOTEBOOK_BYTES + 1), "more than 20 MB"),
        (answered().replace(b'"python"', b'"julia"'), "is in julia"),
        (b"\x80\x04\x95", "not UTF-8"),  # a pickle
    ],
)
def test_what_is_no_notebook_has_no_cells_and_says_why(data, said):
    found = read_notebook(data, "eve")
    assert found.cells == ()
    assert len(found.problems) == 1
    assert said in found.problems[0]


def test_odd_cells_are_put_right_or_left_out():
    odd = [
        {"cell_type": "code", "source": ["a = 1\n", "b = 2"], "metadata": {"tags": "x"}},
        {"cell_type": "code", "source": "c = '\ud800'\0", "metadata": 3},
        {"cell_type": "code", "source": "x" * 600_000},
        {"cell_type": "raw", "source": "d"},
    ]
    found = read_notebook(json.dumps({"cells": odd}).encode(), "eve")
    assert [c.source for c in found.cells] == ["a = 1\nb = 2", "c = '?'"]
    assert found.cells[0].tags == ()
    assert "cell 3 (texts counted) has more than 500,000 characters" in found.problems[0]
    long = read_notebook(notebook(*[cell("x" * 400_000)] * 7), "eve")
    assert len(long.cells) == 5
    assert long.problems == ("only the first 2,000,000 characters of the cells were read",)


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("submitted/anna/toy/toy.ipynb", "anna"),
        ("anna/toy/data/x.csv", "anna"),
        ("anna/other/toy.ipynb", ""),
        ("anna/toy.ipynb", "anna"),
        ("anna.ipynb", "anna"),
        ("toy-anna.zip", "anna"),
        ("marks.csv", ""),
        ("Anna Abel_12_assignsubmission_file_/toy.ipynb", "Anna Abel_12"),
        ("Anna Abel_12_assignsubmission_file_toy.ipynb", "Anna Abel_12"),
        ("submission_77/work/toy.ipynb", "submission_77"),
        ("abelanna_1234_56789_toy-anna.ipynb", "abelanna_1234"),
        ("abelanna_LATE_1234_56789_toy-anna-1.zip", "abelanna_1234"),
        ("abelanna_late_1234_56789_notes_1_2.pdf", "abelanna_1234"),
        ("müllermax_5_6_toy.ipynb", "müllermax_5"),
        ("toy-anna_1_2_x.ipynb", "anna_1_2_x"),
        ("marks_2026_05_01.csv", ""),
        # Deeper names are the student's own, and make him nobody else.
        ("submitted/eve/toy/Bob_9_assignsubmission_file_x.ipynb", "eve"),
        ("submitted/eve/toy/submission_77/toy.ipynb", "eve"),
        ("eve/submitted/bob/toy/toy.ipynb", ""),
    ],
)
def test_whose_file_it_is_follows_from_its_place(path, student):
    assert student_of(path.split("/"), "toy") == student


def test_the_tree_of_nbgrader(tmp_path):
    put(tmp_path / "submitted/anna/toy/toy.ipynb", answered())
    put(tmp_path / "submitted/anna/toy/.ipynb_checkpoints/toy.ipynb", b"old")
    put(tmp_path / "submitted/bob/toy/other.ipynb", untouched())
    put(tmp_path / "submitted/bob/older/toy.ipynb", answered())
    put(tmp_path / "submitted/carl/toy/notes.txt", b"sorry")
    found = {one.student: one.submission("toy") for one in collect(tmp_path, "toy")}
    assert sorted(found) == ["anna", "bob", "carl"]
    assert found["anna"] == read_notebook(answered(), "anna")
    assert found["bob"].cells == read_notebook(untouched(), "bob").cells
    assert found["carl"].problems == ("no notebook (.ipynb) was handed in",)


def test_bulk_downloads_of_moodle_and_gradescope(tmp_path):
    moodle = {
        "Anna Abel_12_assignsubmission_file_/toy.ipynb": answered(),
        "Bob_13_assignsubmission_file_toy.ipynb": untouched(),
        "Carl_14_assignsubmission_file_/toy-carl.zip": packed({"toy.ipynb": answered()}),
        "__MACOSX/Bob_13_assignsubmission_file_toy.ipynb": b"x",
    }
    put(tmp_path / "moodle.zip", packed(moodle))
    found = {one.student: one.submission("toy") for one in collect(tmp_path / "moodle.zip", "toy")}
    assert {name: len(one.code) for name, one in found.items()} == {
        "Anna Abel_12": 5,
        "Bob_13": 5,
        "Carl_14": 5,
    }
    assert not any(one.problems for one in found.values())
    export = {
        "assignment_5_export/submission_1/toy.ipynb": answered(),
        "assignment_5_export/submission_2/toy.ipynb": b"?",
        "assignment_5_export/submission_3/submission_metadata.yml": METADATA.replace(b"12", b"55"),
        "assignment_5_export/submission_metadata.yml": METADATA,
    }
    put(tmp_path / "gradescope.zip", packed(export))
    first, second, third = collect(tmp_path / "gradescope.zip", "toy")
    assert (first.student, len(first.submission("toy").code)) == ("anna@x.org", 5)
    assert first.time == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert (second.student, second.time) == ("submission_2", None)
    assert third.submission("toy").cells == ()
    assert second.submission("toy").problems == ("the notebook is not valid JSON",)


def test_the_bulk_download_of_canvas_and_the_newest_of_several_uploads(tmp_path):
    files = {
        "abelanna_LATE_12_900_toy-anna.ipynb": answered(),
        "bobbob_13_901_toy-1.ipynb": untouched(),
        "bobbob_13_901_toy-2.ipynb": answered(),
        "bobbob_13_901_toy.ipynb": untouched(),
        "carlcarl_14_950_toy.ipynb": answered(),
        "carlcarl_14_99_toy-7.ipynb": untouched(),
        "dora_15_960_notes.ipynb": untouched(),
        "dora_15_903_toy-dora.ipynb": answered(),
        "evaeva_16_904_essay.pdf": b"%PDF",
    }
    put(tmp_path / "submissions.zip", packed(files))
    received = collect(tmp_path / "submissions.zip", "toy")
    found = {one.student: one.submission("toy") for one in received}
    assert {name: len(one.code) for name, one in found.items()} == {
        "abelanna_12": 5,
        "bobbob_13": 5,
        "carlcarl_14": 5,
        "dora_15": 5,
        "evaeva_16": 0,
    }
    full = read_notebook(answered(), "x").digest
    assert {name for name, one in found.items() if one.digest == full} == set(found) - {"evaeva_16"}
    assert "; bobbob_13_901_toy-2.ipynb is graded" in found["bobbob_13"].problems[0]
    assert found["evaeva_16"].problems == ("no notebook (.ipynb) was handed in",)


METADATA = b"""
submission_1:
  :submitters:
  - :name: Anna
    :sid: "1"
    :email: anna@x.org
  :created_at: 2026-05-01 12:00:00 Z
submission_2: 3
"""


def test_nbgraders_time_stamps_are_read_and_odd_ones_are_not(tmp_path):
    stamps = {"anna": b"2026-05-01 12:00:00.000000 UTC\n", "bob": b"soon", "carl": b"\xff" * 999}
    for student, stamp in stamps.items():
        put(tmp_path / "submitted" / student / "toy/toy.ipynb", answered())
        put(tmp_path / "submitted" / student / "toy/timestamp.txt", stamp)
    put(tmp_path / "submitted/bob/toy/deeper/timestamp.txt", stamps["anna"])
    times = {one.student: one.time for one in collect(tmp_path, "toy")}
    assert times == {"anna": datetime(2026, 5, 1, 12, tzinfo=UTC), "bob": None, "carl": None}


def test_archives_cannot_reach_outside_nor_swell(tmp_path):
    link = zipfile.ZipInfo("link_3_assignsubmission_file_/toy.ipynb")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("up_1_assignsubmission_file_/../../toy.ipynb", answered())
        archive.writestr("bomb_2_assignsubmission_file_/toy.ipynb", b" " * 90_000_000)
        archive.writestr(link, "/etc/passwd")
        inner = packed({"../toy.ipynb": answered()})
        archive.writestr("inner_4_assignsubmission_file_/toy.zip", inner)
        archive.writestr("damaged_5_assignsubmission_file_/toy.zip", inner[:90])
        archive.writestr("fine_6_assignsubmission_file_/toy.ipynb", answered())
    found = {one.student: one.submission("toy") for one in collect(tmp_path / "all.zip", "toy")}
    bomb = next(one for one in collect(tmp_path / "all.zip", "toy") if one.student == "bomb_2")
    assert len(bomb.entries[0].read()) == NOTEBOOK_BYTES + 1
    said = {name: " ".join(one.problems) for name, one in found.items()}
    assert "points outside" in said["up_1"]
    assert "more than 20 MB" in said["bomb_2"]
    assert "is a link" in said["link_3"]
    assert "points outside" in said["inner_4"]
    assert "cannot be read" in said["damaged_5"]
    assert said["fine_6"] == ""
    assert [name for name, one in found.items() if one.cells] == ["fine_6"]
    assert [path.name for path in tmp_path.iterdir()] == ["all.zip"]


def test_links_pipes_and_odd_names_in_a_folder_are_not_followed(tmp_path):
    put(tmp_path / "secret.ipynb", answered())
    folder = tmp_path / "submitted"
    put(folder / "eve/toy/readme.txt", b"")
    os.symlink(tmp_path / "secret.ipynb", folder / "eve/toy/toy.ipynb")
    (folder / "mallory/toy").mkdir(parents=True)
    os.mkfifo(folder / "mallory/toy/toy.ipynb")
    put(folder / "mallory/toy/x.txt", b"")
    os.symlink(tmp_path, folder / "peggy")
    found = {one.student: one.submission("toy") for one in collect(folder, "toy")}
    assert found["eve"].cells == ()
    assert "is a link" in found["eve"].problems[0]
    assert found["mallory"].problems == ("no notebook (.ipynb) was handed in",)
    assert "peggy" not in found


def test_a_file_that_cannot_be_opened_is_told_without_its_path(tmp_path):
    put(tmp_path / "anna/toy.ipynb", answered())
    (received,) = collect(tmp_path, "toy")
    (tmp_path / "anna/toy.ipynb").unlink()
    (problem,) = received.submission("toy").problems
    assert problem == "toy.ipynb cannot be read: No such file or directory"


def test_several_notebooks_one_counts_and_it_is_said(tmp_path):
    put(tmp_path / "anna/a.ipynb", untouched())
    put(tmp_path / "anna/toy-final.ipynb", answered())
    (found,) = [one.submission("toy") for one in collect(tmp_path, "toy")]
    assert found.digest == read_notebook(answered(), "anna").digest
    assert found.problems == ("2 notebooks were handed in; toy-final.ipynb is graded",)


def test_an_empty_place_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="no submission of toy"):
        collect(tmp_path, "toy")
    with pytest.raises(ValueError, match="a folder, a zip or a notebook is expected"):
        collect(tmp_path / "nowhere", "toy")
    put(tmp_path / "x.zip", b"PK no")
    with pytest.raises(ValueError, match="no zip archive"):
        collect(tmp_path / "x.zip", "toy")


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(inbox, "MEMBERS", 2)
    put(tmp_path / "x.zip", packed({f"{n}.ipynb": b"" for n in range(3)}))
    with pytest.raises(ValueError, match="3 members, at most 2"):
        collect(tmp_path / "x.zip", "toy")


def found_in(*cells):
    return find_answers(read_notebook(notebook(*cells), "anna"), toy())


def about(answers, name):
    return [problem for problem in answers.problems if f"`{name}`" in problem]


def test_cells_are_found_by_tag_or_by_name():
    solution, stub = PATCH.solution_cell(), PATCH.stub_cell()
    own = "exercise:patch_distance"
    untagged = found_in(cell(solution))
    assert untagged.sources["patch_distance"] == solution
    assert about(untagged, "patch_distance") == [
        "the cell of `patch_distance` has lost its tag; it was found by the name"
    ]
    elsewhere = found_in(cell("pass", own), cell(solution))
    assert "in another cell than its own" in about(elsewhere, "patch_distance")[0]
    assert elsewhere.sources["patch_distance"] == solution
    renamed = found_in(cell(solution.replace("patch_distance", "distance"), own))
    assert about(renamed, "patch_distance") == [
        "the cell of `patch_distance` does not define it, but `distance`"
    ]
    assert "no valid Python" in about(found_in(cell("def f(:", own)), "patch_distance")[0]
    assert "is missing" in about(found_in(cell("x = 1")), "patch_distance")[0]
    copied = found_in(cell(solution, own), cell(stub + "# an empty copy\n", own))
    assert copied.cells == ((solution, "patch_distance"), ("", ""))
    assert "copied" in about(copied, "patch_distance")[0]
    twice = found_in(cell(solution, own), cell("def patch_distance(a, b): return 1", own))
    assert len(twice.cells) == 2
    assert "2 cells; the last" in about(twice, "patch_distance")[0]


def test_the_public_checks_of_the_hand_out_do_not_run_again():
    check = 'check("patch_distance", patch_distance)'
    found = found_in(cell(check, "check:patch_distance"), cell(check), cell("x", "check:y"))
    assert [source for source, _ in found.cells] == ["", check, "x"]
    setup = (
        f"import numpy\n{PUBLIC_CHECK}\ncheck = public_check('toy')\nassert check('a', 1) is None"
    )
    ((source, _),) = found_in(cell(setup)).cells
    exec(source)


def test_the_written_answer_is_all_that_has_its_tag():
    one = cell("First.", "written:why_patches", kind="markdown")
    two = cell("Second.", "written:why_patches", kind="markdown")
    assert found_in(one, two).written == {"why_patches": "First.\n\nSecond."}
    assert "is missing" in about(found_in(cell("x = 1")), "why_patches")[0]
    untouched_answer = cell(ANSWER, "written:why_patches", kind="markdown")
    assert found_in(untouched_answer).written == {"why_patches": ""}


def test_names_are_read_without_running_anything():
    source = "%matplotlib inline\nif a:\n    def f(): pass\ntry:\n    import b.c as d\nfinally:\n"
    assert defined(source + "    x, (y, z.w) = 1, 2\nf?\n!ls") == {"f", "d", "x", "y", "z"}
    assert without_magics("%%bash\nrm -rf x") == ""
    assert is_stub("# mine\n" + PATCH.stub_cell(), PATCH)
    assert not is_stub(PATCH.solution_cell(), PATCH)


@pytest.mark.parametrize(
    "bomb",
    ["-" * 90_000 + "1", "(" * 90_000, "a" + ".a" * 40_000, "1" + "+1" * 45_000, "a=" * 40_000],
)
def test_deeply_nested_code_breaks_nothing(bomb):
    assert defined(bomb) == set()
    assert not is_stub(bomb, PATCH)
