"""Making a bundle: all that one student gets, and nothing that would give an answer away."""

from __future__ import annotations

from pathlib import Path

import nbformat

import course_lib
from course_lib.classroom.assignment import Assignment
from course_lib.classroom.bundle import DATA, FILE, Bundle, packed
from course_lib.classroom.notebook import build_notebook
from course_lib.classroom.public import public_task
from course_lib.classroom.whole import write_whole


def make_bundle(assignment: Assignment, student: str = "") -> Bundle:
    """What a student gets of an assignment; `student` names the owner of a variant."""
    return Bundle(
        assignment.name,
        assignment.title,
        assignment.version,
        assignment.variant,
        student,
        course_lib.__version__,
        assignment.minutes,
        assignment.late,
        tuple(public_task(task, assignment.public_seed) for task in assignment.tasks),
        assignment.written,
    )


def bundle_files(assignment: Assignment, student: str = "") -> dict[str, bytes]:
    """Every file of a bundle by name; the same assignment gives the same bytes."""
    bundle = make_bundle(assignment, student)
    notebook = build_notebook(assignment, bundle.metadata)
    texts = {
        f"{bundle.stem}.ipynb": nbformat.writes(notebook) + "\n",
        FILE: bundle.to_json(),
        "README.md": readme(assignment, bundle.stem),
    }
    return {name: text.encode() for name, text in texts.items()} | {DATA: bundle.public_data()}


def readme(assignment: Assignment, stem: str) -> str:
    """How a student works with a bundle."""
    late = assignment.late
    return f"""# {assignment.title}

{assignment.points:g} points, about {assignment.minutes} minutes. Everything works without a
network, if course_lib {course_lib.__version__} is installed.

1. Keep these files in one folder, and open the notebook from there.
2. Fill in the cell under each box. Do not remove a cell's tag; cells of your own may be added.
3. Run the check under each cell. It knows the public cases; marks come from other ones.
4. `course check {stem}.ipynb` says what will be handed in, and what is missing.
5. `course submit {stem}.ipynb --student YOUR-ID` makes the one file that you hand in. Your
   lecturer tells you by which identifier you are known.

Late: {late.grace_minutes:g} minutes are forgiven. Then each day begun costs
{100 * late.lost_per_day:g} % of what you earned, and {100 * late.most_lost:g} % at most.
"""


def write_bundle(assignment: Assignment, to: Path, student: str = "") -> tuple[Path, Path]:
    """Write the folder and the archive of a bundle → their paths. Each file is whole or absent."""
    files = bundle_files(assignment, student)
    stem = f"{assignment.name}-{student}" if student else assignment.name
    folder, archive = to / stem, to / f"{stem}.zip"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)
    write_whole(archive, packed({f"{stem}/{name}": content for name, content in files.items()}))
    return folder, archive
