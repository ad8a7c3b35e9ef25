"""The student's notebook, built from the text of an assignment.

An empty cell of the text with the tag `exercise:NAME` becomes three: the box, the stub that the
student fills in (it keeps the tag) and the public check (`check:NAME`). One with `written:NAME`
becomes the question and the cell for the answer. Cells carry nbgrader's metadata as well, so that
its manual-grading pages find them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from course_lib.classroom.assignment import ANSWER, Assignment, Task, Written

KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def tagged(cell: NotebookNode, what: str) -> str:
    """The name behind a cell's tag: `tagged(cell, "exercise")` of `exercise:blur` → blur, or ""."""
    names = [tag.partition(":") for tag in cell.metadata.get("tags", [])]
    return next((name for kind, _, name in names if kind == what), "")


def build_notebook(assignment: Assignment, metadata: dict[str, str]) -> NotebookNode:
    """The notebook of an assignment; `metadata` is the handshake.

    Raises ValueError if its text has not one cell for each task and each written question.
    """
    cells = [_head(assignment), _setup(assignment)]
    tasks = {task.exercise.name: task for task in assignment.tasks}
    written = {question.name: question for question in assignment.written}
    used = []
    for number, cell in enumerate(jupytext.reads(assignment.template(), "py:percent").cells):
        exercise, question = tagged(cell, "exercise"), tagged(cell, "written")
        if exercise in tasks:
            cells += _exercise_cells(tasks[exercise])
        elif question in written:
            cells += _written_cells(written[question])
        else:
            cell.id, cell.metadata = f"text-{number:02d}", nbformat.from_dict({})
            cells.append(cell)
        used += [exercise or question] if exercise or question else []
    if sorted(used) != sorted([*tasks, *written]):
        raise ValueError(
            f"notebook.py of {assignment.name!r} has cells for {', '.join(sorted(used))}, but "
            f"assignment.toml has {', '.join(sorted([*tasks, *written]))}"
        )
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=KERNEL | {"course": metadata})
    notebook.nbformat_minor = 5
    nbformat.validate(notebook)
    return notebook


def _head(assignment: Assignment) -> NotebookNode:
    counts = [
        f"{len(assignment.tasks)} exercises that are judged by the machine",
        f"{len(assignment.written)} questions that a person reads"
        if len(assignment.written) != 1
        else "one question that a person reads",
    ]
    return new_markdown_cell(
        f"# {assignment.title}\n\n"
        f"**{assignment.points:g} points, about {assignment.minutes} minutes**: "
        f"{' and '.join(counts)}.\n\n"
        "**What is handed in.** This notebook: the cell under each box, and the answer to each "
        "question. You may add cells, print and plot as you like; only keep the cells that are "
        "there, with their tags and names. A check under a cell runs the **public** cases. The "
        "marks come from other cases, each of which counts.\n\n"
        "**How.** `course check` says what would be handed in and what is missing, `course submit` "
        "makes the file: see README.md.",
        id="head",
    )


def _setup(assignment: Assignment) -> NotebookNode:
    imports: dict[str, None] = {}
    for task in assignment.tasks:
        imports |= dict.fromkeys(task.exercise.imports.splitlines())
    ours = [
        "from course_lib.classroom.checking import public_check",
        "",
        f'check = public_check("{assignment.name}")',
    ]
    source = "\n".join([*sorted(imports), "", *ours])
    return new_code_cell(source, id="setup", metadata={"tags": ["setup"]})


def _exercise_cells(task: Task) -> Iterator[NotebookNode]:
    exercise = task.exercise
    name = exercise.name
    yield new_markdown_cell(
        f"{exercise.box().markdown}\n\n**{task.points:g} points**", id=f"box-{name}"
    )
    yield new_code_cell(
        exercise.stub_cell().strip(),
        id=f"exercise-{name}",
        metadata=_metadata(f"exercise:{name}", f"exercise-{name}", "code", solution=True),
    )
    yield new_code_cell(
        f'check("{name}", {name})',
        id=f"check-{name}",
        metadata=_metadata(f"check:{name}", f"check-{name}", "code", points=task.points),
    )


def _written_cells(question: Written) -> Iterator[NotebookNode]:
    parts = " + ".join(f"{points:g}" for _, points in question.rubric)  # what for would tell all
    yield new_markdown_cell(
        f"**✎ Question: {question.title}** (a person reads your answer)\n\n"
        f"{question.prompt.strip()}\n\n**{question.points:g} points** ({parts})",
        id=f"question-{question.name}",
    )
    name = question.name
    yield new_markdown_cell(
        ANSWER,
        id=f"written-{name}",
        metadata=_metadata(
            f"written:{name}", f"written-{name}", "markdown", solution=True, points=question.points
        ),
    )


def _metadata(
    tag: str, grade_id: str, cell_type: str, solution: bool = False, points: float | None = None
) -> dict[str, Any]:
    """A cell's tag, and the same in nbgrader's words: graded where it has points."""
    nbgrader = {
        "grade": points is not None,
        "grade_id": grade_id,
        "locked": not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
        "cell_type": cell_type,
    }
    return {"tags": [tag], "nbgrader": nbgrader | ({"points": points} if points else {})}
