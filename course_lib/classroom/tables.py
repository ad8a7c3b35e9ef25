"""Tables for spreadsheets and learning platforms, in which no text becomes a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe(value: Any) -> str:
    """A value as a field: text at which a spreadsheet would begin to calculate gets a quote."""
    if isinstance(value, (int, float)):
        return f"{value:g}" if value == round(value) else str(value)
    text = str(value).replace("\0", "")
    # The full-width signs count too: some programs take them for the plain ones.
    dangerous = text.lstrip(" ").startswith((*FORMULA, "＝", "＋", "－", "＠"))
    return f"'{text}" if dangerous else text


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows under a head → CSV text."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([safe(name) for name in head])
    writer.writerows([safe(value) for value in row] for row in rows)
    return buffer.getvalue()
