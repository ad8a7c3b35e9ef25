"""Line plots that measure something: named curves, a line for chance, small multiples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from course_lib.show.images import Picture, figure, new_figure
from course_lib.show.palette import DASHES, MARKERS, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Lines = Mapping[str, Sequence[float]]


def _check(x: Sequence[float], lines: Lines, chance: float | Sequence[float] | None) -> np.ndarray:
    x = np.asarray(x, float)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"x must be a list of at least one number, but its shape is {x.shape}")
    named = {**lines, "chance": np.broadcast_to(np.nan if chance is None else chance, x.shape)}
    for name, y in named.items():
        if np.shape(y) != x.shape:
            raise ValueError(f"{name} has shape {np.shape(y)}, but x has shape {x.shape}")
    return x


def _draw(ax: Axes, x: np.ndarray, lines: Lines, chance, names: Sequence[str]) -> None:
    """Each name keeps its colour, marker and dash in every panel of a figure."""
    inks = list(PALETTE.values())
    for name, y in lines.items():
        i = names.index(name) % len(inks)
        look = {"color": inks[i], "marker": MARKERS[i], "linestyle": DASHES[i]}
        ax.plot(x, y, label=name, clip_on=False, **look)  # a marker on the rim stays whole
    if chance is not None:
        ax.plot(x, np.broadcast_to(chance, x.shape), color="#666666", linestyle=":", label="chance")


def _apart(heights: np.ndarray, least: float) -> np.ndarray:
    """Label heights (N,) → in the same order, pushed until neighbours are `least` apart."""
    order = np.argsort(heights, kind="stable")
    placed = heights[order].astype(float)
    for _ in range(50):
        short = least - np.diff(placed)
        if (short <= 1e-9).all():
            break
        for i in np.flatnonzero(short > 0):
            push = max(0.0, least - (placed[i + 1] - placed[i])) / 2
            placed[i], placed[i + 1] = placed[i] - push, placed[i + 1] + push
    result = np.empty_like(placed)
    result[order] = placed
    return result


def _label_ends(ax: Axes, height_inches: float) -> None:
    """Write each curve's name at its right end, in its colour: no legend to look up."""
    curves = [(line, np.asarray(line.get_ydata(), float)) for line in ax.get_lines()]
    curves = [(line, y[np.isfinite(y)][-1]) for line, y in curves if np.isfinite(y).any()]
    if not curves:
        return
    low, high = ax.get_ylim()
    heights = _apart(np.array([y for _, y in curves]), (high - low) * 0.17 / height_inches)
    for (line, _), height in zip(curves, heights, strict=True):
        ax.annotate(
            line.get_label(), (1, height), (6, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", color=line.get_color(), annotation_clip=False,
        )  # fmt: skip


def curves(
    x: Sequence[float],
    lines: Lines,
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    chance: float | Sequence[float] | None = None,
    ylim: tuple[float, float] | None = None,
    alt: str,
) -> Picture:
    """Curves {name: y (N,)} over x (N,), labelled at their ends; `chance` a number or (N,)."""
    x = _check(x, lines, chance)
    fig = new_figure(7.0, 3.6)
    ax = fig.subplots()
    _draw(ax, x, lines, chance, list(lines))
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if ylim is not None:
        ax.set_ylim(*ylim)
    _label_ends(ax, 3.0)
    return figure(fig, alt=alt)


def panels(
    measured: Mapping[str, tuple[Sequence[float], Lines]],
    *,
    ylabel: str,
    xlabel: str | Mapping[str, str] = "",
    chance: float | Mapping[str, float | Sequence[float]] | None = None,
    ylim: tuple[float, float] | None = (0, 1),
    alt: str,
) -> Picture:
    """Small multiples {title: (x, {name: y})} on one scale, with one legend."""
    if not measured:
        raise ValueError("at least one panel is expected, but an empty dictionary was given")
    names = list(dict.fromkeys(name for _, lines in measured.values() for name in lines))
    columns = min(3, len(measured))
    rows = -(-len(measured) // columns)
    fig = new_figure(3.1 * columns, 2.5 * rows + 0.4)
    axes = fig.subplots(rows, columns, squeeze=False, sharey=ylim is not None).ravel()
    for ax, (title, (x, lines)) in zip(axes, measured.items(), strict=False):
        here = chance.get(title) if isinstance(chance, Mapping) else chance
        _draw(ax, _check(x, lines, here), lines, here, names)
        ax.set(title=title, xlabel=xlabel if isinstance(xlabel, str) else xlabel.get(title, ""))
        if ylim is not None:
            ax.set_ylim(*ylim)
    for ax in axes[::columns]:
        ax.set_ylabel(ylabel)
    handles = {h.get_label(): h for ax in axes for h in ax.get_lines()}
    for ax in axes[len(measured) :]:
        ax.set_axis_off()
    spare = len(measured) < len(axes)  # the empty corner of the grid is where the legend belongs
    home = axes[-1].legend if spare else fig.legend
    place = {"loc": "center"} if spare else {"loc": "outside upper center", "ncols": len(handles)}
    home(handles.values(), handles.keys(), **place)
    return figure(fig, alt=alt)
