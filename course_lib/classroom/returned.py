"""What came back of the sandbox, looked at before anybody works with it.

Bytes of a stranger become Outputs as `course_lib.exercises.probe` gives them, or an error in their
place; and what went wrong in the run becomes a note in words that hold no time and no path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from course_lib.classroom import wire
from course_lib.classroom.probes import Probe
from course_lib.classroom.sandbox import Limits
from course_lib.exercises.probe import Output

if TYPE_CHECKING:
    from course_lib.classroom.job import Job

TEXTS = {"error": 300, "where": 200, "advice": 200}  # the longest that each may be
FLAGS = ("untouched", "unfinished", "returned", "asserts_nothing")
NOTE = 200


def checked(probe: Probe, payload: bytes) -> list[Output]:
    """The Outputs of one frame. What is no Output becomes an error, what is missing too."""
    count = 1 if probe.ways else len(probe.cases)
    try:
        got = wire.decode(payload, only_plain=True)
    except wire.WireError as error:
        got = [{"error": str(error)}] * count
    if not isinstance(got, list) or len(got) != count:
        got = [{"error": "what came back is no list of results"}] * count
    return [_output(item, probe) for item in got]


def _output(item: Any, probe: Probe) -> Output:
    """One Output with the fields that it may have, each of its type."""
    if not isinstance(item, dict):
        return {"error": "what came back is no result"}
    output: Output = {}
    for name, longest in TEXTS.items():
        if isinstance(item.get(name), str):
            output[name] = one_line(item[name], longest)
    for name in FLAGS:
        if item.get(name) is True:
            output[name] = True
    if isinstance(item.get("changed"), list):
        known = [name for name in probe.cases[0] if name in item["changed"]] if probe.cases else []
        if known:
            output["changed"] = known
    if "value" in item and "error" not in output and "untouched" not in output:
        output["value"] = item["value"]
    return output


def one_line(text: str, longest: int) -> str:
    """Text without line ends and control characters, cut to a length."""
    shown = "".join(letter for letter in text if letter.isprintable() or letter.isspace())
    line = " ".join(shown.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _reason(why: str, limits: Limits, seconds: int) -> str:
    return {
        "time": f"ran out of time ({seconds} s)",
        "total": f"ran out of time ({limits.submission_seconds} s for the whole submission)",
        "memory": f"used more than {limits.memory_mb} MB of memory",
        "died": "ended the process",
    }.get(why, f"was stopped: {one_line(why, NOTE)}")


def lost_outputs(probe: Probe, why: str, limits: Limits) -> list[Output]:
    """What stands for the results of one unit that never came; a lost test rejects nothing."""
    if probe.ways:
        return [{}]
    return [{"error": _reason(why, limits, limits.probe_seconds)} for _ in probe.cases]


def note_of(job: Job, place: str, number: int, why: str, text: str, limits: Limits) -> str:
    """One sentence for the grader and the student; cells are counted from 1."""
    if place == "unit":
        return f"exercise {job.probes[number].name} {_reason(why, limits, limits.probe_seconds)}"
    if place != "cell":
        return f"the submission {_reason(why, limits, limits.submission_seconds)}"
    if not why:
        return f"cell {number + 1} raised {one_line(text, NOTE)}"
    return f"cell {number + 1} {_reason(why, limits, limits.cell_seconds)}"
