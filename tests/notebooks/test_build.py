"""The builder: stale notebooks are found, a broken one leaves the old file whole."""

from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from course_lib import cli, lessons

TWIN = """# %% [markdown]
# # A lesson

# %% tags=["exercise:x"]
x = 6 * 7
print(x)
"""


@pytest.fixture
def lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "01_x.py").write_text(TWIN)
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path)
    return tmp_path / "01_x.ipynb"


@pytest.mark.notebook
def test_build_executes_measures_and_is_then_up_to_date(lesson: Path) -> None:
    assert lessons.is_stale(lesson)
    assert "01_x:" in lessons.build(lesson)
    assert not lessons.is_stale(lesson)
    notebook = nbformat.read(lesson, as_version=4)
    assert notebook.cells[1].outputs[0].text == "42\n"
    assert notebook.cells[1].metadata.tags == ["exercise:x"]
    measured = notebook.metadata.course.measured
    assert 20 < measured["peak_mb"] < 2000
    before = lesson.read_bytes()

    lessons.twin(lesson).write_text(TWIN.replace("6 * 7", "6 / 0"))
    assert lessons.is_stale(lesson)
    assert not lessons.in_step(lesson)
    with pytest.raises(lessons.CellError, match="cell 1 failed with ZeroDivisionError"):
        lessons.build(lesson)
    assert lesson.read_bytes() == before
    assert sorted(p.name for p in lesson.parent.iterdir()) == ["01_x.ipynb", "source"]


def test_a_changed_library_makes_every_notebook_stale(
    lesson: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = lessons.read_twin(lesson)
    notebook.metadata.course.library = lessons.library()
    nbformat.write(notebook, lesson)
    assert not lessons.is_stale(lesson)
    monkeypatch.setattr(lessons, "library_hash", lambda: "another")
    assert lessons.is_stale(lesson)


@pytest.mark.notebook
def test_building_keeps_what_somebody_has_written(lesson: Path) -> None:
    lessons.build(lesson)
    assert "kept" not in lessons.build(lesson)
    notebook = nbformat.read(lesson, as_version=4)
    notebook.cells[1].source = "my = 'answer'"
    nbformat.write(notebook, lesson)
    assert "kept as 01_x.mine-1.ipynb" in lessons.build(lesson)
    lesson.write_text("<<<<<<< a merge gone wrong")
    assert lessons.is_stale(lesson)
    assert "kept as 01_x.mine-2.ipynb" in lessons.build(lesson)
    assert not lessons.is_stale(lesson)
    assert "my = 'answer'" in lesson.with_name("01_x.mine-1.ipynb").read_text()


def test_the_command_says_what_is_stale(lesson: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner().invoke
    assert run(cli.app, ["notebooks", "--check"]).output == "01_x is stale\n"
    assert run(cli.app, ["notebooks", "--check", "01_x"]).exit_code == 1
    monkeypatch.setattr(lessons, "is_stale", lambda path: False)
    assert run(cli.app, ["notebooks", "--check", "01_x"]).exit_code == 0
    assert run(cli.app, ["notebooks", "02_y"]).exit_code == 2


def test_unknown_lesson_is_named(lesson: Path) -> None:
    assert lessons.find(["01_x.ipynb"]) == [lesson]
    with pytest.raises(ValueError, match=r"no lesson 02_y; there are: 01_x"):
        lessons.find(["02_y"])


def test_cell_ids_do_not_change_from_build_to_build(lesson: Path) -> None:
    first, second = lessons.read_twin(lesson), lessons.read_twin(lesson)
    assert [c.id for c in first.cells] == [c.id for c in second.cells] == ["cell-000", "cell-001"]
