"""Tables for spreadsheets and learning platforms, in which no text becomes a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SPACES = " \u00a0\u2007\u202f\u200b\ufeff"  # what a spreadsheet may overlook
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe(value: Any) -> str:
    """A value as a field: text at which a spreadsheet would begin to calculate gets a quote."""
    if isinstance(value, (int, float)):
        return f"{value:g}" if value == round(value) else str(value)
    text = str(value).replace("\0", "")
    # The full-width signs count too: some programs take them for the plain ones.
    dangerous = text.lstrip(SPACES).startswith((*FORMULA, "＝", "＋", "－", "＠"))
    # Where commas are decimal, a semicolon inside a field begins another one.
    text = re.sub(rf"(?<=.)([;\t][{SPACES}]*)(?=[=+\-@＝＋－＠])", r"\1'", text)
    return f"'{text}" if dangerous else text


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file, with commas or semicolons; empty fields are "".

    Raises ValueError where one of `columns` is missing, and OSError.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        delimiter = ";" if first.count(";") > first.count(",") else ","
        rows = csv.DictReader(file, delimiter=delimiter)
        there = rows.fieldnames or []
        if missing := [name for name in columns if name not in there]:
            raise ValueError(
                f"{path.name} needs a column `{missing[0]}`, "
                f"but has {', '.join(there) or 'nothing'}"
            )
        return [{name: row[name] or "" for name in there} for row in rows]


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows under a head → CSV text."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([safe(name) for name in head])
    writer.writerows([safe(value) for value in row] for row in rows)
    return buffer.getvalue()
