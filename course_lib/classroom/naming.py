"""How platforms name what they hand over: whose a file is, and which of several is the newest.

    submitted/STUDENT/ASSIGNMENT/*.ipynb                       nbgrader
    NAME_1234_assignsubmission_file_/*.ipynb, or …_file_X.ipynb    Moodle, folder or zip
    nameofstudent_1234_56789_X.ipynb, or …_LATE_1234_56789_…   Canvas, folder or zip
    submission_1234/*.ipynb beside submission_metadata.yml     Gradescope, folder or zip
    STUDENT/*.ipynb, STUDENT.ipynb, ASSIGNMENT-STUDENT.zip     by hand, or from `course submit`

Canvas writes family and given name as one word, the user's number, the file's number, which grows
with every upload, and the file's own name; with a repeated name it puts -1, -2 … behind it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

MOODLE = re.compile(r"(.+_\d+)_assignsubmission_(?:file|onlinetext)_?")
CANVAS = re.compile(r"([^\s.,-]+?)(?:_late)?_(\d+)_(\d+)_(.+)", re.IGNORECASE)
GRADESCOPE = re.compile(r"submission_\d+")


def student_of(parts: Sequence[str], assignment: str) -> str:
    """Whose file it is, from its place; "" for a file of nobody or of another assignment."""
    # Only the outermost name is the system's; further in, a student may call a file as he likes.
    if moodle := moodle_name(parts):
        return moodle
    if GRADESCOPE.fullmatch(parts[0]) and len(parts) > 1:
        return parts[0]
    if parts[0] in ("submitted", "submissions") and len(parts) > 1:
        parts = parts[1:]
    if len(parts) == 1:
        return _of_loose_file(PurePosixPath(parts[0]), assignment)
    is_tree = len(parts) > 2
    return parts[0] if not is_tree or parts[1] == assignment else ""


def _of_loose_file(name: PurePosixPath, assignment: str) -> str:
    canvas = CANVAS.fullmatch(name.name)
    if canvas and name.suffix.casefold() != ".csv":  # a lecturer's own: marks_2026_05_01.csv
        return f"{canvas[1]}_{canvas[2]}"
    if name.suffix.casefold() not in (".ipynb", ".zip"):
        return ""
    return name.stem.removeprefix(f"{assignment}-") or name.stem


def moodle_name(parts: Sequence[str]) -> str:
    """`Ana Berg_902`, as Moodle's download calls a student; "" if it is none of Moodle's."""
    found = MOODLE.match(parts[0])
    return found[1] if found else ""


def own_name(name: str) -> str:
    """What the student has called the file, without what a platform has put before it."""
    if canvas := CANVAS.fullmatch(name):
        return canvas[4]
    return MOODLE.sub("", name, count=1)


def age(name: str) -> tuple[int, int]:
    """Smaller for what was uploaded to Canvas later; (0, 0) for a file from elsewhere."""
    canvas = CANVAS.fullmatch(name)
    if not canvas:
        return 0, 0
    again = re.search(r"-(\d{1,4})$", PurePosixPath(canvas[4]).stem)
    return -int(canvas[3][:18]), -int(again[1]) if again else 0
