"""The builder: stale notebooks are found, a broken one leaves the old file whole."""

from pathlib import Path

import nbformat
import pytest

from course_lib import lessons

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
    with pytest.raises(Exception, match="ZeroDivisionError"):
        lessons.build(lesson)
    assert lesson.read_bytes() == before
    assert sorted(p.name for p in lesson.parent.iterdir()) == ["01_x.ipynb", "source"]


def test_a_changed_library_makes_every_notebook_stale(
    lesson: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = lessons.read_twin(lesson)
    notebook.metadata.course.library_hash = lessons.library_hash()
    nbformat.write(notebook, lesson)
    assert not lessons.is_stale(lesson)
    monkeypatch.setattr(lessons, "library_hash", lambda: "another")
    assert lessons.is_stale(lesson)


def test_unknown_lesson_is_named(lesson: Path) -> None:
    assert lessons.find(["01_x.ipynb"]) == [lesson]
    with pytest.raises(ValueError, match=r"no lesson 02_y; there are: 01_x"):
        lessons.find(["02_y"])


def test_cell_ids_do_not_change_from_build_to_build(lesson: Path) -> None:
    first, second = lessons.read_twin(lesson), lessons.read_twin(lesson)
    assert [c.id for c in first.cells] == [c.id for c in second.cells] == ["cell-000", "cell-001"]
