"""The lecturers' page is true: its commands exist with their options, its files and links too."""

import importlib
import re
import shlex
import textwrap

import pytest
import typer

from course_lib import cli
from course_lib.classroom.assignment import load, names
from course_lib.classroom.exports import write_exports
from course_lib.classroom.roster import NO_TABLE
from course_lib.doctor import ROOT
from course_lib.exercises.audit import audit
from tests.classroom.classes import toy

PAGE = ROOT / "assignments" / "README.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```", TEXT, re.M | re.S)
LINES = [line for block in BLOCKS for line in block.splitlines()]
COMMANDS = typer.main.get_command(cli.app).commands


def problem(line: str) -> str:
    """What is wrong with a command of the page, "" if nothing is."""
    program, name, *rest = shlex.split(line)
    if program != "course" or name not in COMMANDS:
        return f"there is no command {program} {name}"
    options = {o for parameter in COMMANDS[name].params for o in parameter.opts}
    unknown = [word for word in rest if word.startswith("-") and word not in options]
    return f"{name} has no {unknown[0]}" if unknown else ""


def test_every_command_of_the_page_exists_with_its_options():
    assert [said for line in LINES if (said := problem(line))] == []
    assert {shlex.split(line)[1] for line in LINES} == {
        "release", "check", "submit", "grade", "autograder", "simulate",
    }  # fmt: skip
    assert re.findall(r"^\*\*(\d+)\. ", TEXT, re.M) == [str(n) for n in range(1, 11)]


@pytest.mark.parametrize("line", ["course mark classical", "course grade a --roster x.csv"])
def test_a_command_that_is_not_there_is_found(line):
    assert problem(line)


def test_options_and_folders_in_the_text_exist():
    options = {o for command in COMMANDS.values() for p in command.params for o in p.opts}
    options |= {
        o for command in COMMANDS.values() for p in command.params for o in p.secondary_opts
    }
    others = {"--help", "--host", "--nthreads"}  # the last two are dask's
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)) <= options | others
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (PAGE.parent / link).exists(), link


def test_exports_have_the_names_of_the_page(tmp_path):
    written = {path.name for path in write_exports(tmp_path, [], toy(), {}, NO_TABLE)}
    named = set(re.findall(r"^\| `([^`*]+)` \|", TEXT, re.M))
    assert named == {"marks.csv", "canvas.csv", "moodle.csv", "moodle_feedback.zip", "nbgrader/"}
    assert named - {"nbgrader/"} <= written
    assert {"import_scores.py", "scores.json"} <= written


def test_every_assignment_is_what_the_page_says():
    assert len(names()) == 6
    assert "Six assignments lie here" in TEXT
    for name in ("classical", "contrastive"):
        one = load(name)
        said = f"{one.title}: {one.points:g} points, {one.minutes} minutes"
        assert re.search(rf"^{name} +{re.escape(said)}$", TEXT, re.M), said


def test_the_exercise_of_the_page_keeps_every_promise(tmp_path, monkeypatch):
    (code,) = re.findall(r"^  ```python\n(.*?)^  ```", TEXT, re.M | re.S)
    (tmp_path / "of_the_page.py").write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(tmp_path)
    (exercise,) = importlib.import_module("of_the_page").EXERCISES
    assert audit(exercise) == []
