"""Every notebook keeps the rules of a lesson, and its solution version says *right* everywhere.

That the committed outputs are what the code gives is nbval's part: `make test` runs it too.
"""

import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest

from course_lib import lessons

LESSONS = lessons.find()
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)


def load(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in load(path).cells if cell.cell_type == "code"]


def kind(cell: nbformat.NotebookNode) -> str:
    """Prose (an exercise's box is prose too), code to read, or a button of an exercise."""
    if cell.cell_type == "markdown" or cell.source.endswith(".box()"):
        return "prose"
    buttons = r"check\(|.*\.(hint|expected|show_solution)\(|summary\(|calibration\(|Quiz\("
    return "button" if re.match(buttons, cell.source) else "code"


def test_the_course_has_its_lessons() -> None:
    names = [path.stem for path in LESSONS]
    chapters = ["00_start", "01_sift", "02_surf", "03_brief", "04_matching", "05_world", "06_vit"]
    assert names[: len(chapters)] == chapters
    there = sorted(p.stem for p in lessons.NOTEBOOKS.glob("*.ipynb") if ".mine-" not in p.name)
    assert there == names, "every notebook has a text twin in notebooks/source"


@each_lesson
def test_notebook_is_in_step_with_its_twin(path: Path) -> None:
    assert lessons.in_step(path), f"run: make notebooks   ({path.stem} differs from its twin)"


@each_lesson
def test_every_cell_was_executed_without_error(path: Path) -> None:
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))
    for cell in code_cells(path):
        assert not [o for o in cell.outputs if o.output_type == "error"], cell.source


@each_lesson
def test_cells_are_short_and_prose_stands_between_them(path: Path) -> None:
    for cell in code_cells(path):
        lines = cell.source.splitlines()
        assert sum(bool(line.strip()) for line in lines) <= 15, cell.source
        assert len(lines) <= 20, cell.source
    kinds = Counter(map(kind, load(path).cells))
    assert kinds["prose"] >= kinds["code"], kinds


@each_lesson
def test_file_and_run_are_small(path: Path) -> None:
    assert path.stat().st_size <= 2_000_000
    measured = load(path).metadata.course.measured
    assert measured["seconds"] <= 90
    stated = re.search(r"\| quick \| (\d+) s \| (\d+) MB \|", load(path).cells[0].source)
    assert stated, "the first cell states the measured cost: | quick | 12 s | 400 MB |"
    for told, what in zip(map(float, stated.groups()), ("seconds", "peak_mb"), strict=True):
        found = measured[what]
        assert found / 2 - 5 <= told <= found * 2 + 5, f"{told} is stated, {found} was measured"


@each_lesson
def test_first_cells_say_what_one_needs(path: Path) -> None:
    first = load(path).cells[0].source.lower()
    for word in ("goals", "before", "minutes", "licence"):
        assert word in first, f"the first cell says nothing of {word!r}"
    assert 'require("' in code_cells(path)[0].source


@each_lesson
def test_pictures_stay_in_the_saved_file(path: Path) -> None:
    pictures = 0
    for cell in code_cells(path):
        for output in cell.outputs:
            data = output.get("data", {})
            drawn = {"image/png", "image/jpeg"} & data.keys()
            pictures += bool(drawn)
            if re.search(r"\b(live|scrubber|pick)\(", cell.source):
                assert drawn, f"a live picture left nothing behind:\n{cell.source}"
            if drawn:
                assert len(data.get("text/plain", "")) >= 20, f"no alternative text:\n{cell.source}"
    assert pictures >= 5
    for cell in load(path).cells:
        if cell.cell_type == "markdown":
            assert "![](" not in cell.source, "a Markdown picture without alternative text"


@each_lesson
def test_links_lead_somewhere(path: Path) -> None:
    for cell in load(path).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\((?!http|#|attachment)([^)#]+)", cell.source):
                assert (path.parent / target).exists(), f"{path.name} links to {target}"


@each_lesson
def test_what_is_not_compared_says_why(path: Path) -> None:
    for cell in code_cells(path):
        skips = {"nbval-ignore-output", "nbval-skip", "raises-exception"} & set(
            cell.metadata.get("tags", [])
        )
        assert "nbval-skip" not in skips
        if skips:
            assert "# not compared: " in cell.source, cell.source


@each_lesson
def test_exercises_are_all_there(path: Path) -> None:
    exercises = lessons.exercises_of(path)
    assert len(exercises) >= 4
    assert len({e.kind for e in exercises.values()}) >= 3
    cells = load(path).cells
    stubs = {}
    for number, cell in enumerate(cells):
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("exercise:"):
                stubs[tag.removeprefix("exercise:")] = number
    assert stubs.keys() == exercises.keys()
    for name, number in stubs.items():
        stub = exercises[name].stub_cell().strip()
        assert cells[number].source.strip() == stub, f"the stub's cell must read:\n{stub}"
        after = "\n".join(c.source for c in cells[number + 1 : number + 3])
        assert "check(" in after, f"the check of {name} stands directly under its stub"


def states(notebook: nbformat.NotebookNode) -> list[str]:
    """The state each check printed, in order."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and re.search(r"\bcheck\(", cell.source):
            text = "".join(
                o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs
            )
            state = re.search(r"\b(not attempted|error|wrong|right)\b", text)
            found.append(state[1] if state else f"no state in: {text!r}")
    return found


@each_lesson
def test_untouched_notebook_says_not_attempted(path: Path) -> None:
    assert states(load(path)) == ["not attempted"] * len(lessons.exercises_of(path))


@pytest.mark.notebook
@each_lesson
def test_solution_notebook_says_right_everywhere(path: Path) -> None:
    notebook = lessons.solved(path)
    lessons.execute(notebook)
    assert states(notebook) == ["right"] * len(lessons.exercises_of(path))
