"""Results as files: one JSON a submission, whole or not there, the same bytes for the same input.

No result holds a time of its making, a duration or a path. `key` says from which input and by which
grader it was made: a run that was stopped goes on with the results whose key still fits.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from course_lib.classroom.whole import write_whole

SCHEMA = 1
Result = dict[str, Any]


def slug(student: str) -> str:
    """A file name for a student: readable letters, and a digest that keeps two students apart."""
    plain = unicodedata.normalize("NFKD", student).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40]
    digest = hashlib.sha256(student.encode()).hexdigest()[:10]
    return f"{readable}-{digest}" if readable else digest


def marks(points: float, share: float) -> float:
    """Points × share (0 to 1), to a hundredth, halves upwards."""
    exact = Decimal(str(points)) * Decimal(str(share))
    return float(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))


def total(values: Iterable[float]) -> float:
    """The exact sum of marks that have two decimals each."""
    return float(sum((Decimal(str(value)) for value in values), Decimal(0)))


def result_path(folder: Path, student: str) -> Path:
    """Where a student's result stands in the folder of a grading."""
    return folder / "results" / f"{slug(student)}.json"


def save(folder: Path, result: Result) -> Path:
    """Write a result → its path."""
    path = result_path(folder, result["student"])
    text = json.dumps(result, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    write_whole(path, text + "\n")
    return path


def reusable(folder: Path, student: str, key: str) -> Result | None:
    """The student's result, if it is there, whole, and made from the input that `key` names."""
    result = _whole(result_path(folder, student))
    return result if result and (result["key"], result["student"]) == (key, student) else None


def foreign_result(folder: Path, assignment: str, version: Callable[[str], str]) -> Result | None:
    """A result in the folder that is not of this assignment, in the version of its student.

    One that is not whole is passed over: it will be made anew.
    """
    results = map(_whole, sorted((folder / "results").glob("*.json")))
    for result in filter(None, results):
        if (result["assignment"], result["version"]) != (assignment, version(result["student"])):
            return result
    return None


def _whole(path: Path) -> Result | None:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) and result.get("schema") == SCHEMA else None


def load_results(folder: Path) -> list[Result]:
    """All results of a grading, by student. Raises ValueError for a file that is none."""
    found = []
    for path in sorted((folder / "results").glob("*.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            schema = result["schema"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path.name} is no result of a grading: delete it") from None
        if schema != SCHEMA:
            raise ValueError(f"{path.name} has schema {schema}, but {SCHEMA} is expected")
        found.append(result)
    return sorted(found, key=lambda result: result["student"])
