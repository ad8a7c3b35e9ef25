"""Tables for spreadsheets and learning platforms, in which no text becomes a formula."""

from __future__ import annotations

import codecs
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


def read_table(
    path: Path, columns: Sequence[str], once: Sequence[str] = ()
) -> list[dict[str, str]]:
    """The rows of a CSV file, with commas, semicolons or tabs; empty fields are "".

    Raises ValueError where one of `columns` is missing, where a row does not fit the heading, and
    where two rows have the same in all columns of `once`; OSError. Empty rows are left out.
    """
    there, rows = _heading_and_rows(path)
    if missing := [name for name in columns if name not in there]:
        raise ValueError(
            f"{path.name} needs a column `{missing[0]}`, but has {', '.join(there) or 'nothing'}"
        )
    seen = set()
    for line, row in rows:
        key = tuple(row[name] for name in once)
        if once and key in seen:
            raise ValueError(f"{path.name}, line {line}: {', '.join(key)} stands there twice")
        seen.add(key)
    return [row for _, row in rows]


def _heading_and_rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The heading, and the rows that are not empty, each with the number of its line."""
    text = _decoded(path)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    try:
        for row in reader:
            if None in row:
                raise ValueError(
                    f"{path.name}, line {reader.line_num}: there are more fields than in the "
                    f'heading; put a field that holds "{delimiter}" into quotes, as "Berg, Ana"'
                )
            if any(row.values()):
                rows.append((reader.line_num, {name: row[name] or "" for name in row}))
    except csv.Error as error:
        # The reader counts a row when it is whole: the one that begins after these lines is not.
        where = f"{path.name}, after line {reader.line_num}"
        raise ValueError(f"{where}: the quotes do not match ({error})") from None
    return list(reader.fieldnames or []), rows


def _decoded(path: Path) -> str:
    """The text of a file in one of the encodings in which spreadsheets save. Raises ValueError."""
    data = path.read_bytes()
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if is_utf16 else ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ValueError(f"{path.name} is no table as text: save it as CSV (UTF-8)")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows under a head → CSV text."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([safe(name) for name in head])
    writer.writerows([safe(value) for value in row] for row in rows)
    return buffer.getvalue()
