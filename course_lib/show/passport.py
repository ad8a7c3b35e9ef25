"""The representation passport as one picture: a radar of all methods, and their numbers below."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from course_lib.show.embeddings import marker_of
from course_lib.show.images import Picture, figure, new_figure
from course_lib.show.palette import DASHES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHANCE = "chance"  # the row that is drawn as the ground, not as a method
LINE = 0.26  # inches, the height of a row of the table


def passport_picture(
    rows: Mapping[str, Mapping[str, float | None]],
    columns: Sequence[str] | None = None,
    *,
    alt: str,
) -> Picture:
    """{method: {column: score}} → a radar with one axis a column, and the table below it.

    `columns` chooses and orders the axes, at least three; by default all, as they appear. An axis
    runs from 0 in the middle to 1 at the rim, or to the greatest score, where that is above 1; what
    is below 0 is drawn in the middle. A method without a score has a gap there. The row "chance" is
    the grey ground: what lies inside it is worth nothing.
    """
    if columns is None:
        columns = list(dict.fromkeys(name for scores in rows.values() for name in scores))
    _check(rows, columns)
    values = np.array(
        [[_number(scores.get(name)) for name in columns] for scores in rows.values()], float
    )
    fig = new_figure(9.0, 5.0 + LINE * (len(rows) + 2))
    radar_part, table_part = fig.subfigures(2, 1, height_ratios=(5.0, LINE * (len(rows) + 2)))
    radar = radar_part.add_subplot(projection="polar")
    _radar(radar, values, list(rows), columns)
    _table(table_part.add_axes((0.01, 0, 0.98, 1)), values, list(rows), columns)
    return figure(fig, alt=alt)


def _check(rows: Mapping[str, Mapping], columns: Sequence[str]) -> None:
    if not rows or len(columns) < 3 or len(set(columns)) < len(columns):
        raise ValueError(
            "a passport's picture needs at least one row and three different columns, "
            f"but {len(rows)} rows and the columns {list(columns)} were given"
        )
    for name in columns:
        if not any(scores.get(name) is not None for scores in rows.values()):
            raise ValueError(f"no row has a score for {name}; columns must be names of scores")


def _number(score: float | None) -> float:
    return np.nan if score is None else float(score)


def _looks(methods: Sequence[str]) -> dict[str, dict]:
    """{method: its colour, marker and dash}, the same in the radar and in the table."""
    looks = {}
    for name in methods:
        if name == CHANCE:
            looks[name] = {"color": "#888888", "marker": "", "linestyle": ":"}
        else:
            i = len(looks) - (CHANCE in looks)
            colour, marker = marker_of(i)
            dash = DASHES[i % len(DASHES)]
            looks[name] = {"color": colour, "marker": marker, "linestyle": dash}
    return looks


def _radar(ax: Axes, values: np.ndarray, methods: Sequence[str], columns: Sequence[str]) -> None:
    rim = np.nanmax(values, axis=0)
    rim = np.where(rim > 1, rim, 1.0)
    angle = np.linspace(0, 2 * np.pi, len(columns), endpoint=False)
    for (name, look), row in zip(_looks(methods).items(), values, strict=True):
        closed = np.append(row / rim, row[0] / rim[0]).clip(0)
        around = np.append(angle, angle[0])
        if name == CHANCE:
            ax.fill(around, np.nan_to_num(closed), color="#DDDDDD", zorder=1)
        ax.plot(around, closed, label=name, clip_on=False, zorder=2, **look)
    ax.set_theta_offset(np.pi / 2)
    ax.set_theta_direction(-1)
    ax.set_ylim(0, 1)
    ax.set_yticks([0.25, 0.5, 0.75, 1], ["", "½", "", "1"], color="#555555", fontsize=8)
    ax.set_xticks(angle, [_axis_name(*pair) for pair in zip(columns, rim, strict=True)])
    ax.tick_params(axis="x", pad=14)
    ax.spines["polar"].set_visible(False)


def _axis_name(name: str, rim: float) -> str:
    scale = "" if rim == 1 else f"\n(rim {rim:.3g})"
    return textwrap.fill(name, 16) + scale


def _table(ax: Axes, values: np.ndarray, methods: Sequence[str], columns: Sequence[str]) -> None:
    """The numbers, each method with the line that it has in the radar."""
    ax.set(xlim=(0, 1), ylim=(len(methods) + 2, 0))
    ax.set_axis_off()
    right = 0.25 + 0.74 * (np.arange(len(columns)) + 1) / len(columns)
    longest = max(len(word) for name in columns for word in name.split())
    fits = 740 / len(columns) / max(longest, 6)  # points of a bold letter, so that no word overlaps
    for x, name in zip(right, columns, strict=True):
        head, look = textwrap.fill(name, max(longest, 6)), {"fontweight": "bold"}
        ax.text(x, 1.85, head, ha="right", va="bottom", fontsize=np.clip(fits, 5, 8), **look)
    ax.axhline(2, color="#555555", linewidth=0.8)
    for i, ((name, look), row) in enumerate(zip(_looks(methods).items(), values, strict=True)):
        y = i + 2.5
        ax.plot([0.0, 0.02, 0.04], [y] * 3, markevery=[1], clip_on=False, **look)
        ax.text(0.055, y, name, va="center")
        for x, value in zip(right, row, strict=True):
            ax.text(x, y, _shown(value), ha="right", va="center")


def _shown(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.2f}" if abs(value) <= 1 else f"{value:.1f}"
