"""All that is written beside the results: feedback, class page, sheets, similarity, exports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from course_lib.classroom.attention import sentences
from course_lib.classroom.by_hand import keep_graded, load_graded, read_sheet, sheet
from course_lib.classroom.class_page import class_page
from course_lib.classroom.exports import write_exports
from course_lib.classroom.grading import Rules
from course_lib.classroom.inbox import Received
from course_lib.classroom.reports import write_feedback
from course_lib.classroom.results import load_results
from course_lib.classroom.roster import People, call_the_roll
from course_lib.classroom.similarity import groups
from course_lib.classroom.similarity_page import similarity_page, similarity_table
from course_lib.classroom.whole import write_whole


def write_everything(
    folder: Path,
    received: Sequence[Received],
    rules: Rules,
    sheets: Sequence[Path],
    people: People | None = None,
    whole: bool = True,
) -> list[str]:
    """Read the sheets that were filled in, write everything anew → what the lecturer should hear.

    Of the absent he hears if the `whole` class was graded, not when it was one student again.
    Raises ValueError for a sheet that cannot be.
    """
    results = load_results(folder)
    assignment = rules.for_student("")
    students = [result["student"] for result in results]
    for path in sheets:
        keep_graded(folder, read_sheet(path, assignment, students))
    graded = load_graded(folder)
    roll = call_the_roll(people or {}, received, students)
    for result in results:
        write_feedback(folder, result, rules.for_student(result["student"]), graded)
    for question in assignment.written:
        path = folder / "by_hand" / f"{question.name}.csv"
        write_whole(path, sheet(question, results, graded))
    sources = {
        result["student"]: {item["name"]: item["answer"] for item in result["written"]}
        | result["sources"]
        for result in results
    }
    alike = groups(sources, assignment)
    write_whole(folder / "similarity.html", similarity_page(alike, sources, assignment))
    write_whole(folder / "similarity.csv", similarity_table(alike))
    write_whole(folder / "class.html", class_page(results, assignment, graded, alike, roll))
    write_exports(folder, results, assignment, graded, roll)
    heard_of = roll if whole else replace(roll, absent=())
    return sentences(received, rules, results, graded, heard_of)
