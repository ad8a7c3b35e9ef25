"""Written answers: a sheet that a person fills in, read back, and the marks of both together.

A sheet is a CSV for one question: a row for each student, a column for each line of the rubric. An
empty field means not graded yet. What has been read stays in the folder of the grading, so that
grading again loses no work of a person; it counts as long as the answer is the one that was read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.classroom.assignment import Assignment, Written
from course_lib.classroom.results import Result, marks, total
from course_lib.classroom.tables import read_table, safe, table
from course_lib.classroom.whole import write_whole

LONGEST = 30_000  # characters of an answer: a spreadsheet's cell holds 32,767
Graded = dict[str, Any]  # {"points": [one a line of the rubric], "comment", "answer": its mark}


@dataclass(frozen=True)
class Standing:
    """What a student has: by the machine, by hand, and after what lateness costs.

    `waiting` names the written questions whose answer nobody has graded yet.
    """

    earned: float
    by_hand: float
    total: float
    waiting: tuple[str, ...]


def column(criterion: str, points: float) -> str:
    """The heading of a line of the rubric: `names the turn (2)`."""
    return safe(f"{criterion} ({points:g})")


def sheet(question: Written, results: Sequence[Result], known: Mapping[str, Any]) -> str:
    """The sheet of one question, with what was graded before."""
    criteria = [column(*line) for line in question.rubric]
    rows = []
    for result in results:
        answer = next((w["answer"] for w in result["written"] if w["name"] == question.name), "")
        graded = known.get(result["student"], {}).get(question.name)
        is_read = read_of(result, question.name, known) is not None
        points = graded["points"] if is_read else [""] * len(criteria)
        comment = graded["comment"] if graded else ""
        rows.append([result["student"], question.name, answer[:LONGEST], *points, comment])
    return table(["student", "question", "answer", *criteria, "comment"], rows)


def read_sheet(path: Path, assignment: Assignment, students: Sequence[str]) -> dict[str, Any]:
    """A sheet filled in → {student: {question: Graded}}, the rows that are complete.

    Raises ValueError for an unknown question or student, for one that is named twice, and for
    points that cannot be.
    """
    questions = {question.name: question for question in assignment.written}
    names = {safe(student): student for student in students}
    found: dict[str, Any] = {}
    columns = ["student", "question", "answer"]
    for row in read_table(path, columns, once=columns[:2]):
        name, student = row["question"], row["student"]
        where = f"{path.name}, {student}"
        if name not in questions:
            raise ValueError(f"{where}: there is no written question {name!r}")
        if student not in names:
            raise ValueError(f"{where}: {student!r} handed in nothing")
        points = [_points(row, *item, where) for item in questions[name].rubric]
        if None not in points:
            graded = {"points": points, "comment": row.get("comment", "").strip()}
            graded["answer"] = mark_of(row["answer"])
            found.setdefault(names[student], {})[name] = graded
    return found


def _points(row: Mapping[str, str], criterion: str, most: float, where: str) -> float | None:
    """The points for one line of the rubric, None where the field is empty."""
    heading = column(criterion, most)
    text = row.get(heading)
    if text is None:
        raise ValueError(f"{where}: a column {heading!r} is expected")
    if not text.strip():
        return None
    try:
        points = float(text.strip().replace(",", "."))
    except ValueError:
        raise ValueError(f"{where}: {text!r} is no number of points") from None
    if not 0 <= points <= most:
        raise ValueError(f"{where}: {points:g} points, but 0 to {most:g} are to be had")
    return points


def load_graded(folder: Path) -> dict[str, Any]:
    """What has been graded by hand so far."""
    path = folder / "by_hand.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def keep_graded(folder: Path, new: Mapping[str, Any]) -> None:
    """Add what was read from a sheet to what is there, question by question."""
    known = load_graded(folder)
    for student, questions in new.items():
        known.setdefault(student, {}).update(questions)
    text = json.dumps(known, ensure_ascii=False, indent=1, sort_keys=True)
    write_whole(folder / "by_hand.json", text + "\n")


def mark_of(answer: str) -> str:
    """What tells one answer from another; what a spreadsheet does to a text does not count."""
    text = " ".join(safe(answer)[:LONGEST].lstrip("'").split())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_of(result: Result, question: str, graded: Mapping[str, Any]) -> Graded | None:
    """What a person gave for a student's answer; None if it was another answer, or not read."""
    found = graded.get(result["student"], {}).get(question)
    answer = next((item["answer"] for item in result["written"] if item["name"] == question), "")
    return found if found and found["answer"] == mark_of(answer) else None


def standing(result: Result, graded: Mapping[str, Any]) -> Standing:
    """The marks of a student; written questions without a grade count 0 so far."""
    read = {item["name"]: read_of(result, item["name"], graded) for item in result["written"]}
    by_hand = total(point for one in read.values() if one for point in one["points"])
    waiting = tuple(
        item["name"]
        for item in result["written"]
        if item["answer"].strip() and not read[item["name"]]
    )
    share = result["late"]["keeps"]
    whole = marks(total([result["earned"], by_hand]), share)
    return Standing(result["earned"], by_hand, whole, waiting)
