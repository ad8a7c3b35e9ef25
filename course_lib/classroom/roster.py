"""Who is in the class: a CSV with the column `student`, and what else each of them is called.

`student` is what the course calls a student, in file names and on pages; a variant follows from it.
Every other column is a name by which a platform may know him: its folder of a submission, a full
name, a number, an address. Exports copy the columns that the platform has given.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.classroom.tables import read_table

if TYPE_CHECKING:
    from course_lib.classroom.inbox import Received

STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
# A number by which a platform knows somebody: `Participant 904`, `Teilnehmer/in904`, `904`.
NUMBER = re.compile(r"(?:[^\W\d_]+(?: |[/:*_]in ?))?(\d+)")
People = Mapping[str, Mapping[str, str]]  # student → his row of the table
FULL_NAMES = ("Full name", "Vollständiger Name", "Student")  # Moodle's, and Canvas's


@dataclass(frozen=True)
class Roll:
    """Who is in the class, what Moodle's download calls them (`Ana Berg_902`), and who is absent.

    `absent` are the students of the table who have handed in nothing.
    """

    people: People = field(default_factory=dict)
    moodle: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    def full_name(self, student: str) -> str:
        """A student's name in the table, "" if it has none."""
        row = self.people.get(student, {})
        return next((row[name] for name in FULL_NAMES if row.get(name)), "")


NO_TABLE = Roll()


def call_the_roll(people: People, received: Sequence[Received], graded: Iterable[str]) -> Roll:
    """The table beside what was received, and whose work has been graded, now or before."""
    there = {one.student for one in received} | set(graded)
    moodle = {one.student: name for one in received if (name := one.moodle_name)}
    return Roll(people, moodle, tuple(student for student in people if student not in there))


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
    """Give submissions the students' own identifiers → them, and what is strange, in sentences.

    Where two submissions are one student's, neither is renamed: a person must look. Without a
    table all stay as they are.
    """
    if not people:
        return list(received), []
    found = [(student_called(one.student, people), one) for one in received]
    students = [student for student, _ in found]
    kept, unknown, strange = [], [], []
    for student, one in found:
        if student and students.count(student) == 1:
            kept.append(replace(one, student=student))
            continue
        kept.append(one)
        if why := contradiction(one.student, people):
            strange.append(why)
        else:
            unknown.append(one.student)
    if unknown:
        strange.insert(0, f"not in the table of students, or there twice: {', '.join(unknown)}")
    return sorted(kept, key=lambda one: one.student), strange


def student_called(name: str, people: People) -> str:
    """The one student whom a platform calls so, "" if there is none or more than one.

    `Ana Berg_123` is Moodle's, `bergana_123` Canvas's: the number tells two of one name apart. A
    number and a name that find different students find nobody.
    """
    if name in people:
        return name
    if found := _called(name, people):
        return found[0] if len(found) == 1 else ""
    by_number, by_name = _number_and_name(name, people)
    if by_number and by_name:
        found = [student for student in by_number if student in by_name]
    else:
        found = by_number or by_name
    return found[0] if len(found) == 1 else ""


def contradiction(name: str, people: People) -> str:
    """A sentence where the number in a name and the rest of it find different students, or ""."""
    by_number, by_name = _number_and_name(name, people)
    if not by_number or not by_name or set(by_number) & set(by_name):
        return ""
    number, rest = (" and ".join(f"{one}'s" for one in found) for found in (by_number, by_name))
    return f"{name}: the number is {number}, the name {rest}"


def _number_and_name(name: str, people: People) -> tuple[list[str], list[str]]:
    """Whom the number of `Ana Berg_123` finds, and whom its name."""
    parts = re.fullmatch(r"(.+)_(\d+)", name)
    if not parts:
        return [], []
    by_number = [
        student
        for student, row in people.items()
        if any(
            (found := NUMBER.fullmatch(field)) and found[1] == parts[2] for field in _fields(row)
        )
    ]
    return by_number, _called(parts[1], people) or _called(parts[1], people, _in_one_word)


def _plain(name: str) -> set[str]:
    """One form for `Berg, Ana` and `ana berg`."""
    return {" ".join(sorted(_folded(name).replace(",", " ").split()))}


def _called(name: str, people: People, forms: Callable[[str], set[str]] = _plain) -> list[str]:
    """The students with a field of that name."""
    wanted = forms(name)
    return [
        student
        for student, row in people.items()
        if any(wanted & forms(field) for field in _fields(row))
    ]


def _fields(row: Mapping[str, str]) -> list[str]:
    return [field.strip() for field in row.values() if field.strip()]


def _in_one_word(name: str) -> set[str]:
    """`Ana Berg` as Canvas puts it into a file's name, which begins with the family's: bergana."""
    words = re.sub(r"[^\w\s]", "", _folded(name)).split()
    return {"".join(words[n:] + words[:n]) for n in range(len(words))}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
