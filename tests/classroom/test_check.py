"""What a student is told before handing in, by `course check` and `submit` (commands_student)."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from course_lib.classroom.assignment import load
from course_lib.classroom.bundle import BundleError
from course_lib.classroom.checking import check_notebook, look, public_check, read_work
from course_lib.classroom.handing_in import hand_in
from course_lib.classroom.public import public_task
from course_lib.classroom.rehearsal import ENDED, OUT_OF_TIME, rehearse
from course_lib.classroom.release import write_bundle
from course_lib.classroom.submission import read_notebook
from course_lib.cli import app
from course_lib.exercises.engine import State

RUN = CliRunner()
NAMES = [task.exercise.name for task in load("classical").tasks]


@pytest.fixture
def work(tmp_path):
    """A student's folder with the bundle `classical` in it."""
    folder, _ = write_bundle(load("classical"), tmp_path)
    return Work(folder / "classical.ipynb")


class Work:
    """A student at work on a notebook."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = json.loads(path.read_text(encoding="utf-8"))

    def cell(self, tag):
        return next(c for c in self.cells if tag in c["metadata"].get("tags", []))

    @property
    def cells(self):
        return self.content["cells"]

    def save(self):
        self.path.write_text(json.dumps(self.content), encoding="utf-8")
        return self.path

    def fill(self, **answers):
        for name, source in answers.items():
            self.cell(f"exercise:{name}")["source"] = source
        return self.save()

    def solve(self):
        for task in load("classical").tasks:
            self.fill(**{task.exercise.name: task.exercise.solution_cell()})
        self.cell("written:where_it_breaks")["source"] = "Panes repeat, and the sun moves."
        return self.save()

    def look(self):
        self.save()
        return look(*read_work(self.path))


def cells_of(found):
    return {row.name: row.cell for row in found.rows}


def test_an_untouched_notebook_misses_all_and_runs_without_an_error(work):
    found = check_notebook(work.path)
    assert set(cells_of(found).values()) == {"untouched", "no answer"}
    assert [row.name for row in found.rows] == [*NAMES, "where_it_breaks"]
    assert found.problems == ()
    assert found.said == ()
    assert not found.is_complete
    assert str(found).endswith(f"Missing: {', '.join(NAMES)}, where_it_breaks.")


def test_a_right_notebook_is_complete(work):
    work.solve()
    found = check_notebook(work.path)
    assert found.is_complete
    states = {row.name: row.step.state for row in found.rows if row.step}
    recorded = {"matching_cost", "test_angle_gap"}
    assert states == {name: "recorded" if name in recorded else "right" for name in NAMES}
    assert str(found).endswith("Nothing is missing.")


def test_wrong_answers_are_named_and_are_not_missing(work):
    work.solve()
    work.fill(
        rotation_vote="def rotation_vote(angles_a, angles_b, bins):\n    return 0.5",
        ratio_test="def ratio_test(distances, ratio):\n    return oops",
        test_angle_gap="def test_angle_gap(angle_gap):\n    assert angle_gap(0.2, 0.1) == 7",
        matching_cost='matching_cost = {"comparisons": 7}',
    )
    found = check_notebook(work.path)
    assert found.is_complete
    states = {row.name: row.step.state for row in found.rows if row.step}
    assert states["rotation_vote"] == states["test_angle_gap"] == State.WRONG
    assert states["ratio_test"] == states["matching_cost"] == State.ERROR
    said = "\n".join(found.said)
    assert "0 of 4 public cases right" in said
    assert "expected, 0.5 got" in said
    assert "`assert angle_gap(0.2, 0.1) == 7`, fails on the right implementation." in said
    assert "Let the matches vote on a rotation" in said


def test_a_notebook_with_magics_plots_and_prints_is_run_as_in_jupyter(work):
    work.solve()
    source = "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()\n"
    source += 'print(\'{"event": "done"}\')\n!echo noise\nhalf = 0.5'
    extra = {"cell_type": "code", "metadata": {}, "source": source, "outputs": []}
    work.cells.insert(2, extra | {"execution_count": None, "id": "extra"})
    own = "def rotation_vote(angles_a, angles_b, bins):\n    return half"
    work.fill(rotation_vote=own)
    found = check_notebook(work.path)
    assert found.problems == ()
    assert len(found.said) == 1
    assert "0 of 4 public cases right" in found.said[0]


def test_one_cell_that_never_ends_or_ends_the_process_costs_one_exercise(work):
    work.solve()
    work.fill(
        rotation_vote="def rotation_vote(angles_a, angles_b, bins):\n    while True: pass",
        consensus="import os\ndef consensus(*args, **kwargs):\n    os._exit(0)",
    )
    found = check_notebook(work.path, seconds=4)
    states = {row.name: row.step.state for row in found.rows if row.step}
    assert states["rotation_vote"] == OUT_OF_TIME
    assert states["consensus"] == ENDED
    assert [name for name in NAMES if states[name] not in ("right", "recorded")] == [
        "rotation_vote",
        "consensus",
    ]
    assert not found.is_complete
    assert "rotation_vote ran out of time (4 s)" in found.said


def test_a_cell_that_hangs_is_left_out_and_said(work):
    cells = ["while True: pass", "rotation_vote = 3", "1 / 0", "import sys; sys.exit(3)"]
    steps = rehearse(work.path.parent, cells, ["rotation_vote", "costs"], seconds=3)
    assert [(step.what, step.state) for step in steps] == [
        ("cell 1", OUT_OF_TIME),
        ("cell 3", "error"),
        ("cell 4", "error"),
        ("rotation_vote", "error"),
        ("costs", "error"),
    ]
    assert steps[1].said == "cell 3 raised ZeroDivisionError: division by zero"
    assert "a function called `rotation_vote` is expected, but a int was given" in steps[3].said
    assert steps[4].said == "`costs` is not defined"


def test_what_was_done_to_the_cells_is_seen(work):
    work.solve()
    cells = work.cells
    cells.remove(work.cell("exercise:costs"))
    work.cell("exercise:consensus")["metadata"] = {}
    renamed = work.cell("exercise:ratio_test")
    renamed["source"] = renamed["source"].replace("def ratio_test", "def ratio_tset")
    again = dict(work.cell("exercise:rotation_vote"), id="again")
    cells.append(again)
    work.cell("exercise:strongest_apart")["source"] = "def strongest_apart(:"
    work.cell("written:where_it_breaks")["source"] = (
        "*Write your answer here, in place of this line.*\n"
    )
    found = work.look()
    cells = cells_of(found)
    assert cells["costs"] == "missing"
    assert cells["strongest_apart"] == "no valid Python"
    assert cells["consensus"] == cells["rotation_vote"] == "filled in"
    assert cells["where_it_breaks"] == "no answer"
    said = "\n".join(found.problems)
    for sentence in (
        "`costs` is missing: no cell has its tag, and none defines it",
        "the cell of `consensus` has lost its tag",
        "the cell of `ratio_test` does not define it, but `ratio_tset`",
        "`rotation_vote` is defined in 2 cells",
        "the cell of `strongest_apart` is no valid Python",
    ):
        assert sentence in said
    assert len(found.problems) == 5


def test_a_cell_that_defines_something_else_is_not_filled_in(work):
    work.fill(ratio_test="def ratio_tset(distances, ratio):\n    return 1")
    assert cells_of(work.look())["ratio_test"] == "defines something else"
    work.fill(ratio_test="# I will do this later")
    assert cells_of(work.look())["ratio_test"] == "defines something else"


def test_a_notebook_of_another_bundle_is_seen(work):
    work.content["metadata"]["course"]["version"] = "f" * 16
    assert work.look().problems == (
        f"the notebook is of version {'f' * 16}, variant 0, but bundle.json beside it is of "
        f"version {load('classical').version}, variant 0",
    )
    del work.content["metadata"]["course"]
    assert work.look().problems == ("the notebook does not say which bundle it belongs to",)


def test_a_package_that_does_not_fit_is_seen(work, monkeypatch, capsys):
    path = work.path.parent / "bundle.json"
    told = json.loads(path.read_text())
    told["tasks"][1]["fingerprint"] = "0" * 16
    path.write_text(json.dumps(told))
    sentence = "orientation_histogram: the installed course_lib has another version of this"
    assert work.look().problems[0].startswith(sentence)
    monkeypatch.chdir(work.path.parent)
    public_check("classical")
    assert capsys.readouterr().out.startswith(sentence)


def test_check_in_the_notebook(work, monkeypatch, tmp_path):
    monkeypatch.chdir(work.path.parent)
    check = public_check("classical")
    solution = load("classical").task("rotation_vote").exercise.solution
    assert check("rotation_vote", solution).summary == "4 of 4 public cases right"
    other = public_check("masked")("rotation_vote", solution)
    assert "belongs to classical, not to masked" in other.markdown
    monkeypatch.chdir(tmp_path)
    card = public_check("classical")("rotation_vote", solution)
    assert card.markdown.startswith("there is no bundle.json beside the notebook")


def test_without_a_notebook_or_a_bundle_one_sentence_is_said(work, tmp_path):
    with pytest.raises(BundleError, match=r"none\.ipynb cannot be read"):
        check_notebook(tmp_path / "none.ipynb")
    bad = work.path.with_name("bad.ipynb")
    bad.write_text("{")
    with pytest.raises(BundleError, match=r"bad\.ipynb: the notebook is not valid JSON"):
        check_notebook(bad)
    moved = work.path.rename(tmp_path / "classical.ipynb")
    done = RUN.invoke(app, ["check", str(moved)])
    assert done.exit_code == 1
    assert done.stderr.startswith("there is no bundle.json beside the notebook: unpack")


def test_submit_makes_one_file_and_says_what_is_missing(work, tmp_path):
    work.solve()
    cell = work.cell("exercise:costs")
    cell["source"] = load("classical").task("costs").exercise.stub_cell()
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "secret print"}]
    work.save()
    done = RUN.invoke(app, ["submit", str(work.path), "--student", "ada", "--to", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "Missing: costs." in done.output
    path = tmp_path / "classical-ada.zip"
    assert str(path) in done.output
    assert [item.name for item in tmp_path.glob("*ada*")] == ["classical-ada.zip"]
    with zipfile.ZipFile(path) as archive:
        content, manifest = (
            archive.read("classical.ipynb"),
            json.loads(archive.read("manifest.json")),
        )
        assert sorted(archive.namelist()) == ["classical.ipynb", "manifest.json"]
    assert manifest == {
        "schema": 1,
        "assignment": "classical",
        "version": load("classical").version,
        "variant": "0",
        "student": "ada",
        "course_lib": "0.1.0",
        "notebook": "classical.ipynb",
        "sha256": hashlib.sha256(content).hexdigest(),
        "missing": ["costs"],
    }
    assert b"secret print" not in content
    handed, own = read_notebook(content, "ada"), read_notebook(work.path.read_bytes(), "ada")
    assert handed.cells == own.cells
    assert handed.problems == ()


def test_submit_refuses_only_with_a_reason(work, tmp_path):
    for name in ("../ada", "", "-ada", "a b"):
        with pytest.raises(ValueError, match="a student is named by"):
            hand_in(work.path, name, tmp_path)
    with pytest.raises(ValueError, match="YOUR-ID stands for yours"):
        hand_in(work.path, "YOUR-ID", tmp_path)
    folder, _ = write_bundle(load("classical", 7), tmp_path, "bob")
    with pytest.raises(BundleError, match="this bundle was made for bob, but ada hands it in"):
        hand_in(folder / "classical-bob.ipynb", "ada", tmp_path)
    path, _ = hand_in(folder / "classical-bob.ipynb", "bob", tmp_path / "new")
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("manifest.json"))["variant"] == "7"


def test_the_commands_of_a_student_and_a_lecturer(tmp_path):
    done = RUN.invoke(app, ["release"])
    assert "classical        From keypoints to a rotation: 96 points, 105 minutes" in done.output
    done = RUN.invoke(app, ["release", "nothing"])
    assert done.exit_code == 2
    assert done.stderr.startswith("there is no assignment 'nothing'; there are: ")
    roster = tmp_path / "class.csv"
    roster.write_text("student\nada\nbob\n")
    order = ["release", "classical", "--to", str(tmp_path), "--variants", str(roster)]
    order += ["--secret", str(tmp_path / "secret.toml")]
    done = RUN.invoke(app, order)
    assert done.exit_code == 0, done.output
    archives = {path.name: path.read_bytes() for path in tmp_path.glob("*.zip")}
    assert set(archives) == {"classical-ada.zip", "classical-bob.zip"}
    RUN.invoke(app, order)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.zip")} == archives
    done = RUN.invoke(app, ["check", str(tmp_path / "classical-ada" / "classical-ada.ipynb")])
    assert done.exit_code == 1
    assert "classical-ada, version" in done.output


def test_a_cell_made_text_by_accident_is_said(work):
    cell = work.cell(f"exercise:{NAMES[1]}")
    cell["cell_type"] = "markdown"
    for key in ("outputs", "execution_count"):
        cell.pop(key, None)
    assert f"the cell of `{NAMES[1]}` is a text cell: make it a code cell again" in (
        work.look().problems
    )


def test_the_public_check_knows_the_form_of_a_prediction():
    task = next(t for t in load("contrastive").tasks if t.exercise.name == "gathered_batch")
    said = public_task(task, 1)
    assert set(said.form.values()) == {"a number"}
    values = dict.fromkeys(said.form, 5)
    assert "it has the right form" in repr(said.check(values, 1))
    for wrong, told in ((" 79", "a text"), (np.array([79]), "a ndarray"), (True, "True or False")):
        report = said.check(values | {next(iter(values)): wrong}, 1)
        assert report.state == State.ERROR
        assert f"a number is expected, {told} was given" in report.summary


def test_a_written_question_does_not_tell_its_answer(work):
    (question,) = load("classical").written
    told = json.dumps(work.content, ensure_ascii=False)
    assert question.title in told
    assert not [text for text, _ in question.rubric if text in told]
    assert "(" + " + ".join(f"{points:g}" for _, points in question.rubric) + ")" in told
