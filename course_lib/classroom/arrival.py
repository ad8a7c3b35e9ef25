"""What a platform has written beside the submissions: when each came, and whose it is.

nbgrader's exchange leaves timestamp.txt with each submission, Gradescope's export one
submission_metadata.yml for all. What lies deeper in a student's folder is never taken for these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from course_lib.classroom.inbox import Entry

LONGEST = 100  # characters of a time stamp


@dataclass
class Arrival:
    """By the name of a student's folder: the time, and the name that the platform knows."""

    times: dict[str, datetime] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


def read_arrival(entries: Iterable[Entry], assignment: str) -> Arrival:
    """The entries of a place → what the platform tells of them. What cannot be read is left out."""
    found = Arrival()
    for entry in entries:
        parts = entry.parts[1:] if entry.parts[0] == "submitted" else entry.parts
        if parts == ("submission_metadata.yml",):
            _gradescope(_read(entry), found)
        elif len(parts) == 3 and parts[1:] == (assignment, "timestamp.txt"):
            moment = _moment(_read(entry)[:LONGEST].strip().replace(" UTC", "+00:00"))
            if moment is not None:
                found.times[parts[0]] = moment
    return found


def _gradescope(text: str, found: Arrival) -> None:
    try:
        told = yaml.safe_load(text)
        items = list(told.items())
    except (yaml.YAMLError, AttributeError, ValueError, RecursionError):
        return
    for folder, one in items:
        if not isinstance(one, dict):
            continue
        moment = _moment(one.get(":created_at"))
        if moment is not None:
            found.times[str(folder)] = moment
        submitters = one.get(":submitters")
        people = [p for p in submitters if isinstance(p, dict)] if submitters else []
        names = [str(p.get(":email") or p.get(":sid") or p.get(":name")) for p in people]
        if names:
            found.names[str(folder)] = " & ".join(names)


def _moment(value: Any) -> datetime | None:
    """A time with its zone; without one it is UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _read(entry: Entry) -> str:
    try:
        return entry.read().decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
