"""What may be repeated of a student's output in his feedback: nothing that he could not write.

A student's code sees the hidden inputs while it runs. Its error messages, its dictionaries' keys
and its quoted lines are texts of its own choice, and would carry those inputs out. So an error is
told by its type and line, and a line is quoted only if it stands in the notebook.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence

from course_lib.exercises.engine import Exercise, Report
from course_lib.exercises.judge import MISSING
from course_lib.exercises.probe import Output

NOT_PLAIN = "what came back is no number, text, array, list or dictionary"
ENDED = {
    "ran out of time": "it ran out of time",
    "used more than": "it used more memory than there is for it",
    "the process ended": "it ended the process",
    "ended the process": "it ended the process",
}
ADVICE = "compare floats with a tolerance"
OWN_WORDS = re.compile(
    r"(?:not defined: )?a function called `\w+` is expected, but (?:None|a \w+) was given"
    r"|lists nested deeper than \d+ levels cannot be judged"
)
QUOTED = re.compile(r"Line (\d+)(?:, `(.*)`,)?")


def repeatable(outputs: Sequence[Output], exercise: Exercise, source: str) -> list[Output]:
    """Outputs whose texts may be shown to the student who wrote `source`; values stay."""
    names = set(exercise.cases_for(0)[0]) if exercise.cases else set()
    flat = " ".join(source.split())
    cleaned = []
    for output in outputs:
        output = Output(**output)
        if "error" in output:
            output["error"] = told_error(output["error"], len(source.splitlines()))
        if "where" in output:
            output["where"] = _told_line(output["where"], flat, len(source.splitlines()))
        if output.get("advice", ADVICE) != ADVICE:
            del output["advice"]
        if "changed" in output:
            changed = [name for name in output["changed"] if name in names]
            output["changed"] = changed or ["one of them"]
        cleaned.append(output)
    return cleaned


def told_error(error: str, lines: int) -> str:
    """`ValueError: text (line 3)` → `ValueError (line 3)`, for the errors that Python has.

    A line that the answer with its number of `lines` does not have is left out: it would carry a
    number of the student's choice.
    """
    if error == MISSING or OWN_WORDS.fullmatch(error):
        return error
    if "came back, but numbers, text, arrays" in error:
        return NOT_PLAIN
    for begins, said in ENDED.items():
        if error.startswith(begins):
            return said  # without its number: a student's code may have made this text
    name = re.match(r"\w+", error)
    known = getattr(builtins, name[0], None) if name else None
    is_error = isinstance(known, type) and issubclass(known, BaseException)
    line = re.search(r" \(line (\d{1,5})\)$", error)
    is_there = line is not None and int(line[1]) <= lines
    return (name[0] if is_error else "an error of its own kind") + (line[0] if is_there else "")


def _told_line(where: str, source: str, lines: int) -> str:
    """`Line 5, `assert …`,` if that text is in the source; else its number, if there is one."""
    quoted = QUOTED.fullmatch(where)
    if not quoted:
        return "A line"
    text = (quoted[2] or "").removesuffix("…")
    if text and text in source:
        return where
    return f"Line {quoted[1]}" if int(quoted[1][:9]) <= lines else "A line"


def told_details(report: Report) -> list[str]:
    """The details of a report without any value: `shape (3, 4) expected, (4, 3) got`."""
    return [_without_values(line) for line in report.details]


def told_note(note: str) -> str:
    """What the workers noted; `cell 3 raised ValueError: text` without the text."""
    raised = re.match(r"(cell \d+ raised )(.*)", note, re.S)
    return raised[1] + told_error(raised[2], 0) if raised else note


def _without_values(detail: str) -> str:
    first = re.sub(r"(shape \(.*?\) expected), .* got", r"\1, another got", detail.split("; ")[0])
    return re.sub(r"(a dictionary with .*? expected, )\[.*", r"\1other names got", first)[:300]
