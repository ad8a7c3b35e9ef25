"""Marks in the forms that learning platforms read: one row a student, or one file a student.

What a platform calls a student comes from its own export (`--students`, a CSV with the column
`student`); without one, the names under which the submissions lay are written. Canvas and Moodle
get no grade where a written answer is still to be read. Who is in the table and has handed in
nothing has a row without marks: to give 0 is not for a machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.by_hand import Standing, read_of, standing
from course_lib.classroom.discreet import told_note
from course_lib.classroom.moodle import feedback_archive, worksheet
from course_lib.classroom.results import Result, slug
from course_lib.classroom.roster import Roll
from course_lib.classroom.tables import table
from course_lib.classroom.whole import write_whole
from course_lib.exercises.engine import State
from course_lib.exercises.render import unmarked

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")


def write_exports(
    folder: Path,
    results: Sequence[Result],
    assignment: Assignment,
    graded: Mapping[str, Any],
    roll: Roll,
) -> list[Path]:
    """Write every form into `folder/exports` → the paths. Feedback is taken from the folder."""
    stands = {result["student"]: standing(result, graded) for result in results}
    to = folder / "exports"
    files: dict[Path, str | bytes] = {
        to / "marks.csv": marks_table(results, assignment, stands, roll),
        to / "canvas.csv": canvas(stands, assignment, roll),
        to / "moodle.csv": worksheet(stands, assignment.points, roll),
        to / "moodle_feedback.zip": feedback_archive(_pages(folder, results), roll),
        to / "nbgrader" / "scores.json": nbgrader(results, assignment, graded),
        to / "nbgrader" / "import_scores.py": importer(),
    }
    for result in results:
        path = to / "gradescope" / slug(result["student"]) / "results.json"
        told = gradescope(result, stands[result["student"]], assignment, graded)
        files[path] = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
    for path, content in files.items():
        write_whole(path, content)
    return list(files)


def _pages(folder: Path, results: Sequence[Result]) -> dict[str, bytes]:
    """Each student's page of feedback, where it is."""
    students = [result["student"] for result in results]
    places = {student: folder / "feedback" / f"{slug(student)}.html" for student in students}
    return {student: path.read_bytes() for student, path in places.items() if path.exists()}


def marks_table(
    results: Sequence[Result], assignment: Assignment, stands: Mapping[str, Standing], roll: Roll
) -> str:
    """All marks, a column for each exercise."""
    names = [task.exercise.name for task in assignment.tasks]
    rows = []
    for result in results:
        one, late = stands[result["student"]], result["late"]
        marks = [item["marks"] for item in result["exercises"]]
        hours = "" if late["hours"] is None else late["hours"]
        rows.append(
            [
                result["student"],
                *marks,
                one.by_hand,
                len(one.waiting),
                hours,
                late["keeps"],
                one.total,
            ]
        )
    head = ["student", *names, "by hand", "to be read", "hours late", "kept", "total"]
    rows += [[student] + [""] * (len(head) - 1) for student in roll.absent]
    return table(head, rows)


def canvas(stands: Mapping[str, Standing], assignment: Assignment, roll: Roll) -> str:
    """Canvas's gradebook: its five columns and one for the assignment."""
    rows: list[list[Any]] = [["    Points Possible", "", "", "", "", assignment.points]]
    for student in (*stands, *roll.absent):
        known, one = roll.people.get(student, {}), stands.get(student)
        default = {"Student": student, "SIS Login ID": student}
        names = (known.get(name, default.get(name, "")) for name in CANVAS)
        rows.append([*names, "" if one is None or one.waiting else one.total])
    return table([*CANVAS, assignment.title], rows)


def gradescope(
    result: Result, stands: Standing, assignment: Assignment, graded: Mapping[str, Any]
) -> dict[str, Any]:
    """Gradescope's results.json: score, and a test for each exercise and each read answer."""
    tests = [
        {
            "name": item["title"],
            "score": item["marks"],
            "max_score": item["points"],
            "status": "passed" if item["state"] == State.RIGHT else "failed",
            "output": _output(item),
            "visibility": "visible",
        }
        for item in result["exercises"]
    ]
    for question in assignment.written:
        own = read_of(result, question.name, graded)
        if own:
            score = sum(own["points"])
            tests.append(
                {
                    "name": question.title,
                    "score": score,
                    "max_score": question.points,
                    "output": own["comment"],
                    "visibility": "visible",
                }
            )
    notes = [unmarked(line) for line in result["problems"]]
    notes += [told_note(note) for note in result["notes"]]
    keeps = result["late"]["keeps"]
    if keeps < 1:
        notes.append(f"late: {100 * keeps:.0f} % of the points are kept")
    return {
        "score": stands.total,
        "output": "\n".join(notes),
        "output_format": "text",
        "visibility": "visible",
        "tests": tests,
    }


def _output(item: Mapping[str, Any]) -> str:
    lines = [item["state"], item["summary"], item["sentence"], *item["details"]]
    return "\n".join(unmarked(line) for line in lines if line)


def nbgrader(results: Sequence[Result], assignment: Assignment, graded: Mapping[str, Any]) -> str:
    """Scores by the names that the notebook's cells have in nbgrader's gradebook."""
    cells = {f"check-{task.exercise.name}": task.points for task in assignment.tasks}
    written = {f"written-{question.name}": question.points for question in assignment.written}
    students = {}
    for result in results:
        own = {
            question.name: read_of(result, question.name, graded) for question in assignment.written
        }
        stands = standing(result, graded)
        students[result["student"]] = {
            "auto": {f"check-{item['name']}": item["marks"] for item in result["exercises"]},
            "manual": {f"written-{name}": sum(one["points"]) for name, one in own.items() if one},
            "penalty": round(stands.earned + stands.by_hand - stands.total, 2),
        }
    told = {
        "assignment": assignment.name,
        "cells": cells,
        "written": written,
        "students": students,
    }
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"


def importer() -> str:
    """The script that runs where nbgrader is installed."""
    return (Path(__file__).parent / "import_into_nbgrader.py").read_text(encoding="utf-8")
