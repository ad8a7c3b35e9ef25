"""Who is in the class, and what each of them is called in file names."""

from __future__ import annotations

import csv
import re
from pathlib import Path

STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


def valid_student(name: str) -> str:
    """A student's identifier, fit for a file name. Raises ValueError."""
    if not STUDENT.fullmatch(name):
        raise ValueError(
            "a student is named by 1 to 64 letters, digits and . _ @ + -, beginning with a letter "
            f"or digit, but got {name[:80]!r}"
        )
    return name


def read_roster(path: Path) -> list[str]:
    """The column `student` of a CSV file, in its order. Raises ValueError or OSError."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        if "student" not in (table.fieldnames or []):
            got = ", ".join(table.fieldnames or []) or "nothing"
            raise ValueError(f"{path.name} needs a column `student`, but has {got}")
        students = [valid_student((row["student"] or "").strip()) for row in table]
    if twice := {name for name in students if students.count(name) > 1}:
        raise ValueError(f"{path.name} names {', '.join(sorted(twice))} more than once")
    if not students:
        raise ValueError(f"{path.name} names no student")
    return students
