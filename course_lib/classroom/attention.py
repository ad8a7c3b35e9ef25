"""What a lecturer should hear before the marks go out: sentences, none where all is well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from course_lib.classroom.by_hand import standing
from course_lib.classroom.grading import Rules
from course_lib.classroom.inbox import Received
from course_lib.classroom.moodle import unnumbered
from course_lib.classroom.results import Result
from course_lib.classroom.roster import NO_TABLE, Roll

NAMED = 10  # students; of the others only the number is told
# What is wrong with a notebook → what a lecturer may have done, where it is wrong with many.
FOREIGN = {
    "is the variant of": "another student's variant: do --variants and the secret fit what was "
    "handed out?",
    "is of version": "of another version: is it this assignment, as it was handed out?",
}


def sentences(
    received: Sequence[Received],
    rules: Rules,
    results: Sequence[Result],
    graded: Mapping[str, Any],
    roll: Roll = NO_TABLE,
) -> list[str]:
    """Unknown times, notebooks that do not belong here, students who are gone, unread answers.

    Of a table also who handed in nothing, and whom Moodle will not find. `received` is all that was
    handed in, `results` all that lies in the folder.
    """
    here = {one.student for one in received}
    found = []
    for sign, question in FOREIGN.items():
        count = sum(any(sign in text for text in result["problems"]) for result in results)
        if count > len(results) / 3:
            found.append(f"{count} of {len(results)} notebooks are {question}")
    if rules.deadline and (unknown := here - set(rules.times or {})):
        found.append(f"no time is known of {_named(unknown)}: on time, as far as the marks go")
    if gone := {result["student"] for result in results} - here:
        found.append(
            f"graded before, and not among the submissions now: {_named(gone)}; who is not of this "
            "class goes with a file in results/"
        )
    if waiting := [result["student"] for result in results if standing(result, graded).waiting]:
        found.append(
            f"written answers of {_named(waiting)} are not read yet: canvas.csv and moodle.csv "
            "give them no grade so far"
        )
    if roll.absent:
        found.append(f"handed in nothing: {_named(roll.absent)}")
    if lost := unnumbered([*(result["student"] for result in results), *roll.absent], roll):
        found.append(
            f"Moodle's number of {_named(lost)} is not known: moodle.csv has no identifier for "
            "them, and moodle_feedback.zip leaves them out. Moodle makes its identifiers for each "
            "assignment anew: --students needs the columns of this assignment's own worksheet"
        )
    return found


def _named(students: Iterable[str]) -> str:
    names = sorted(students)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
