"""Who is in the class: a CSV with the column `student`, and what else each of them is called.

`student` is what the course calls a student, in file names and on pages; a variant follows from it.
Every other column is a name by which a platform may know him: its folder of a submission, a full
name, a number, an address. Exports copy the columns that the platform has given.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.classroom.tables import read_table

if TYPE_CHECKING:
    from course_lib.classroom.inbox import Received

STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
People = Mapping[str, Mapping[str, str]]  # student → his row of the table


def valid_student(name: str) -> str:
    """A student's identifier, fit for a file name. Raises ValueError."""
    if not STUDENT.fullmatch(name):
        raise ValueError(
            "a student is named by 1 to 64 letters, digits and . _ @ + -, beginning with a letter "
            f"or digit, but got {name[:80]!r}"
        )
    return name


def read_students(path: Path) -> dict[str, dict[str, str]]:
    """The rows of the table by `student`, in its order. Raises ValueError or OSError."""
    found: dict[str, dict[str, str]] = {}
    for row in read_table(path, ["student"]):
        student = valid_student(row["student"].strip())
        if student in found:
            raise ValueError(f"{path.name} names {student} more than once")
        found[student] = row
    if not found:
        raise ValueError(f"{path.name} names no student")
    return found


def recognised(received: Sequence[Received], people: People) -> tuple[list[Received], list[str]]:
    """Give submissions the students' own identifiers → them, and who is not in the table.

    Where two submissions are one student's, neither is renamed: a person must look. Without a
    table all stay as they are.
    """
    if not people:
        return list(received), []
    found = [(student_called(one.student, people), one) for one in received]
    students = [student for student, _ in found]
    kept, strange = [], []
    for student, one in found:
        if student and students.count(student) == 1:
            kept.append(replace(one, student=student))
        else:
            kept.append(one)
            strange.append(one.student)
    return sorted(kept, key=lambda one: one.student), strange


def student_called(name: str, people: People) -> str:
    """The one student whom a platform calls so, "" if there is none or more than one.

    `Ana Berg_123` is Moodle's: the number, its participant's, tells two of one name apart.
    """
    if name in people:
        return name
    if found := _called(name, people):
        return found[0] if len(found) == 1 else ""
    moodle = re.fullmatch(r"(.+)_(\d+)", name)
    if not moodle:
        return ""
    if by_number := _called(f"Participant {moodle[2]}", people):
        return by_number[0] if len(by_number) == 1 else ""
    namesakes = _called(moodle[1], people)
    if len(namesakes) > 1:
        namesakes = _called(moodle[2], {student: people[student] for student in namesakes})
    return namesakes[0] if len(namesakes) == 1 else ""


def _called(name: str, people: People) -> list[str]:
    """The students with a field of that name; `Berg, Ana` and `ana berg` are one."""
    wanted = _plain(name)
    return [
        student
        for student, row in people.items()
        if any(_plain(field) == wanted for field in row.values() if field)
    ]


def _plain(name: str) -> list[str]:
    return sorted(unicodedata.normalize("NFKC", name).casefold().replace(",", " ").split())
