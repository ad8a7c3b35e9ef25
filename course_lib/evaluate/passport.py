"""The representation passport: the same probes for every method, in one table that grows.

It is kept in one JSON file. A stamp reads the file, adds or replaces one row and puts the new file
in place of the old, under a lock: two notebooks that stamp at once lose nothing, and a crash leaves
the old file or the new one. A file that cannot be read is moved aside, never overwritten.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from course_lib.blocks.device import budget as current_budget

VERSION = 1
WAIT = 30  # seconds for another process to finish its stamp


@dataclass(frozen=True)
class Row:
    """One method, measured once. A score that has no value is None."""

    method: str
    lesson: str
    scores: dict[str, float | None]
    seed: int
    budget: str  # quick or full
    when: str  # UTC, to the second


class Table(str):
    """A Markdown table, which Jupyter shows as one."""

    def _repr_markdown_(self) -> str:
        return str(self)

    __repr__ = str.__str__


class Passport:
    """The passport in a file. Every call reads the file anew, so it is never out of date."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Passport({self.path.name}: {len(self.rows())} rows)"

    @classmethod
    def load(cls, path: str | os.PathLike | None = None) -> Passport:
        """The passport at `path`, by default `default_path()`; without a file it is empty.

        A damaged file is moved aside, with a warning that names it, and the passport starts anew.
        Raises ValueError if a newer version of the course wrote the file.
        """
        passport = cls(Path(path) if path is not None else default_path())
        passport.rows()
        return passport

    def rows(self) -> list[Row]:
        """All rows, in the order in which their methods were first stamped."""
        try:
            return _parse(self.path)
        except _DamagedError:
            with self._lock():
                return self._read()

    def columns(self) -> list[str]:
        """The names of all scores, in the order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows() for name in row.scores))

    def scores(self) -> dict[str, dict[str, float | None]]:
        """{method: its scores}; if a method stands there with both budgets, "method (full)"."""
        rows = self.rows()
        names = [row.method for row in rows]
        twice = {name for name in names if names.count(name) > 1}
        return {
            f"{row.method} ({row.budget})" if row.method in twice else row.method: row.scores
            for row in rows
        }

    def stamp(
        self,
        method: str,
        lesson: str,
        scores: Mapping[str, object],
        *,
        seed: int = 0,
        budget: str | None = None,
    ) -> None:
        """Write a row; it replaces that of the same method and budget (by default today's).

        A score is a number or has one as `.value`; NaN means that there is none. Raises ValueError
        for a row without name or scores, OSError in one sentence if the file cannot be written.
        """
        if not (method.strip() and lesson.strip() and scores):
            raise ValueError(
                "a row needs a method, a lesson and at least one score, "
                f"but {method!r}, {lesson!r} and {dict(scores)!r} were given"
            )
        numbers = {str(name): _number(name, score) for name, score in scores.items()}
        when = datetime.now(UTC).isoformat(timespec="seconds")
        row = Row(method.strip(), lesson, numbers, seed, budget or current_budget(), when)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock():
                rows = {(old.method, old.budget): old for old in self._read()}
                rows[row.method, row.budget] = row
                _write(self.path, list(rows.values()))
        except OSError as error:
            raise OSError(
                f"the passport {self.path} cannot be written ({error.strerror or error}); "
                "give Passport.load(path) a file in a folder that you may write to"
            ) from error

    def table(self) -> Table:
        """The rows as Markdown: shares with two decimals, larger numbers with one."""
        columns, rows = self.columns(), self.rows()
        lines = [["method", "lesson", "budget", *columns], [":--"] * 3 + ["--:"] * len(columns)]
        for row in rows:
            numbers = [_shown(row.scores.get(name)) for name in columns]
            lines.append([row.method, row.lesson, row.budget, *numbers])
        cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
        return Table("\n".join(f"| {' | '.join(line)} |" for line in cells))

    def _lock(self) -> FileLock:
        return FileLock(f"{self.path}.lock", timeout=WAIT)

    def _read(self) -> list[Row]:
        """The rows, with the lock held; a damaged file goes aside."""
        try:
            return _parse(self.path)
        except _DamagedError as damage:
            n = 1
            while (aside := self.path.with_name(f"{self.path.stem}.damaged-{n}.json")).exists():
                n += 1
            os.replace(self.path, aside)
            warnings.warn(
                f"{self.path.name} {damage}, so it was kept as {aside} and the passport is empty; "
                "mend that file, or stamp the rows again",
                stacklevel=3,
            )
            return []


class _DamagedError(Exception):
    """The file is there, but is no passport."""


def default_path() -> Path:
    """data/passport.json of the course, or in the working folder if that cannot be written to.

    The environment variable COURSE_PASSPORT names another file.
    """
    if named := os.environ.get("COURSE_PASSPORT"):
        return Path(named)
    data = Path(__file__).parents[2] / "data"
    return (data if os.access(data, os.W_OK) else Path.cwd()) / "passport.json"


def _parse(path: Path) -> list[Row]:
    try:
        stored = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except ValueError as error:  # not UTF-8, or not JSON
        raise _DamagedError("is no JSON") from error
    version = stored.get("version") if isinstance(stored, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"{path} is a passport of version {version}, but this course reads versions up to "
            f"{VERSION}; update the course"
        )
    try:
        rows = [Row(**row) for row in stored["rows"]]
    except (TypeError, KeyError) as error:
        raise _DamagedError("is no passport") from error
    if version != VERSION or not all(_is_sound(row) for row in rows):
        raise _DamagedError("is no passport")
    return rows


def _is_sound(row: Row) -> bool:
    texts = all(isinstance(text, str) for text in (row.method, row.lesson, row.budget, row.when))
    return (
        texts
        and isinstance(row.scores, dict)
        and all(value is None or isinstance(value, int | float) for value in row.scores.values())
    )


def _write(path: Path, rows: list[Row]) -> None:
    part = path.with_name(path.name + ".part")
    stored = {"version": VERSION, "rows": [asdict(row) for row in rows]}
    try:
        with open(part, "w", encoding="utf-8") as file:
            json.dump(stored, file, indent=1, ensure_ascii=False, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _number(name: str, score: object) -> float | None:
    value = getattr(score, "value", score)
    try:
        value = None if value is None else float(value)
    except (TypeError, ValueError):
        value = math.inf
    if value is not None and math.isinf(value):
        raise ValueError(f"the score of {name} must be a finite number, but {score!r} was given")
    return None if value is None or math.isnan(value) else value


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if abs(value) <= 1 else f"{value:.1f}"
