"""One submitted notebook, read with suspicion: plain cells, and every oddity as a sentence.

Nothing here raises for what a student sent. A file from which nothing can be read gives a
submission without cells, and its `problems` say why. Marks, outputs and ids in a notebook are never
looked at.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

NOTEBOOK_BYTES = 20_000_000
CELLS = 2_000
CELL_CHARACTERS = 500_000
ALL_CHARACTERS = 2_000_000
TAGS = 20


@dataclass(frozen=True)
class Cell:
    """One cell: what was typed, and the tags that say what it is for."""

    source: str
    kind: Literal["code", "markdown"]
    tags: tuple[str, ...] = ()

    def marked(self, what: str) -> list[str]:
        """Names behind a tag: `marked("exercise")` of the tag `exercise:blur` → ["blur"]."""
        prefix = f"{what}:"
        return [tag.removeprefix(prefix) for tag in self.tags if tag.startswith(prefix)]


@dataclass(frozen=True)
class Submission:
    """What one student handed in; `digest` names the bytes, `version` the hand-out they began with.

    `variant` is what the notebook says of itself: to be held against the grader's own.
    """

    student: str
    cells: tuple[Cell, ...]
    problems: tuple[str, ...] = ()
    version: str = ""
    variant: str = ""
    digest: str = ""

    @property
    def code(self) -> list[Cell]:
        """The code cells, in order."""
        return [cell for cell in self.cells if cell.kind == "code"]


def nothing(student: str, *problems: str) -> Submission:
    """A submission of which nothing can be used."""
    return Submission(student, (), problems, digest=hashlib.sha256(b"").hexdigest())


def read_notebook(data: bytes, student: str) -> Submission:
    """The bytes of a notebook → Submission, whatever the bytes are."""
    digest = hashlib.sha256(data).hexdigest()
    try:
        content = _parsed(data)
        cells, problems = _cells(content)
    except _UnreadableError as error:
        return Submission(student, (), (str(error),), digest=digest)
    course = _dictionary(_dictionary(content.get("metadata")).get("course"))
    version, variant = (_text(course.get(key))[:100] for key in ("version", "variant"))
    return Submission(student, tuple(cells), tuple(problems), version, variant, digest)


class _UnreadableError(ValueError):
    """Why nothing can be read, for the student."""


def _parsed(data: bytes) -> dict[str, Any]:
    """Bytes → the notebook's dictionary, in Python and of a known form."""
    if len(data) > NOTEBOOK_BYTES:
        size, most = len(data) / 1e6, NOTEBOOK_BYTES / 1e6
        raise _UnreadableError(f"the notebook has more than {most:.0f} MB ({size:.0f})")
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _UnreadableError("the notebook is not UTF-8 text") from None
    except (ValueError, RecursionError, MemoryError):
        raise _UnreadableError("the notebook is not valid JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise _UnreadableError("the file is JSON, but no notebook: a list of cells is expected")
    metadata = _dictionary(content.get("metadata"))
    for place, key in (("kernelspec", "language"), ("language_info", "name")):
        language = _text(_dictionary(metadata.get(place)).get(key)) or "python"
        if language.casefold() not in ("python", "ipython", "python3"):
            raise _UnreadableError(f"the notebook is in {language[:30]}, Python is expected")
    return content


def _cells(content: dict[str, Any]) -> tuple[list[Cell], list[str]]:
    """The cells that can be used, and a sentence for each that cannot."""
    cells, problems, used = [], [], 0
    for number, raw in enumerate(content["cells"][:CELLS], 1):
        raw = _dictionary(raw)
        kind, source = raw.get("cell_type"), _source(raw.get("source"))
        if kind not in ("code", "markdown"):
            continue
        if source is None:
            problems.append(f"cell {number} (texts counted) has no text that can be read")
        elif len(source) > CELL_CHARACTERS:
            problems.append(
                f"cell {number} (texts counted) has more than {CELL_CHARACTERS:,} characters: "
                "left out"
            )
        elif used + len(source) > ALL_CHARACTERS:
            problems.append(f"only the first {ALL_CHARACTERS:,} characters of the cells were read")
            break
        else:
            used += len(source)
            cells.append(Cell(source, kind, _tags(raw)))
    if len(content["cells"]) > CELLS:
        problems.append(f"only the first {CELLS:,} cells were read")
    if not cells:
        raise _UnreadableError("the notebook has no cells")
    return cells, problems


def _source(raw: Any) -> str | None:
    """A cell's text, which the format allows to be a list of lines."""
    if isinstance(raw, list) and all(isinstance(line, str) for line in raw):
        raw = "".join(raw)
    return _text(raw).replace("\0", "") if isinstance(raw, str) else None


def _tags(raw: dict[str, Any]) -> tuple[str, ...]:
    tags = _dictionary(raw.get("metadata")).get("tags")
    if not isinstance(tags, list):
        return ()
    return tuple(_text(tag)[:100] for tag in tags[:TAGS] if isinstance(tag, str))


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    """Text that every file can hold: half of a surrogate pair becomes a question mark."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else ""
