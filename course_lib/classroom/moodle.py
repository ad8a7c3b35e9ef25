"""What goes back to Moodle: the grading worksheet, and all feedback in one archive.

Moodle knows a student by a number, which it makes for each assignment anew: `Participant 902` in
the worksheet, `Ana Berg_902_…` in the download. The download tells it of whoever handed in; of the
others the table does, if it has the columns of this assignment's worksheet. Moodle reads a
worksheet in its own language only, and none without the column of the last change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from course_lib.classroom.bundle import packed
from course_lib.classroom.by_hand import Standing
from course_lib.classroom.roster import People, Roll
from course_lib.classroom.tables import table

ENGLISH = (
    "Identifier",
    "Full name",
    "Email address",
    "Grade",
    "Maximum grade",
    "Last modified (grade)",
)
GERMAN = (
    "ID",
    "Vollständiger Name",
    "E-Mail-Adresse",
    "Bewertung",
    "Bestwertung",
    "Zuletzt geändert (Bewertung)",
)
PARTICIPANT = {ENGLISH: "Participant ", GERMAN: "Teilnehmer/in"}


def worksheet(stands: Mapping[str, Standing], points: float, roll: Roll) -> str:
    """The grading worksheet, with the headings and identifiers that the table has."""
    heads = headings(roll.people)
    _, full_name, address, _, _, changed = heads
    rows = []
    for student in (*stands, *roll.absent):
        row, one = roll.people.get(student, {}), stands.get(student)
        name = row.get(full_name) or roll.moodle.get(student, "").rpartition("_")[0] or student
        grade = "" if one is None or one.waiting else one.total
        told = [name, row.get(address, ""), grade, points, row.get(changed, "")]
        rows.append([identifier(student, roll), *told])
    return table(heads, rows)


def headings(people: People) -> tuple[str, ...]:
    """Moodle's headings in the language of the table; English without one."""
    there = next(iter(people.values()), {})
    return GERMAN if any(name in there for name in GERMAN[1:]) else ENGLISH


def identifier(student: str, roll: Roll) -> str:
    """`Participant 902`: the table's, but with the number that this download has."""
    heads = headings(roll.people)
    known = roll.people.get(student, {}).get(heads[0], "").strip()
    number = roll.moodle.get(student, "").rpartition("_")[2]
    if not number or number_in(known) == number:
        return known
    return (re.sub(r"\d+$", "", known) or PARTICIPANT[heads]) + number


def number_in(known: str) -> str:
    """The digits with which an identifier ends."""
    return re.search(r"\d*$", known)[0]


def unnumbered(students: list[str], roll: Roll) -> list[str]:
    """Those of whom Moodle's number is not known; none where nothing speaks of Moodle at all."""
    there = next(iter(roll.people.values()), {})
    if not there or not (roll.moodle or set(headings(roll.people)) & set(there)):
        return []
    return [student for student in students if not number_in(identifier(student, roll))]


def feedback_archive(pages: Mapping[str, bytes], roll: Roll) -> bytes:
    """Pages by student → the zip for *Upload multiple feedback files in a zip*.

    A student's folder has the name of his folder in the download, or one made like it; who has no
    number is left out.
    """
    files = {}
    for student, page in pages.items():
        number = number_in(identifier(student, roll))
        # Moodle takes for the number what stands behind the first underscore.
        name = re.sub(r"[\W_]+", " ", roll.full_name(student) or student).strip()
        folder = roll.moodle.get(student) or f"{name}_{number}"
        if number:
            files[f"{folder}_assignsubmission_file_/feedback.html"] = page
    return packed(files)
