"""The loss while it falls: a picture that follows the training, and stays in the saved file.

A cell's value is shown when the cell ends; a training has to be seen before. So the picture is
displayed at the first step and then replaced in its place, and what is saved is the last one.

A figure of matplotlib takes longer than a training step. While the training runs, only the curves
are drawn, over axes that are kept as pixels until a curve leaves them, and however slow the machine
is, all pictures together take about a fiftieth of the time, from the first one on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from course_lib.show.images import Picture, described, figure, new_figure
from course_lib.show.palette import DASHES, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAUSE = 0.25  # seconds from one picture to the next, at least
SHARE = 0.02  # of the time that may go into pictures
STOP = "step        ■ ends the training after this step and keeps what was learned"


class LiveLoss:
    """Curves that grow; made by `live_loss`. `picture` is the newest one, None before the first."""

    def __init__(self, steps: int, names: tuple[str, ...], alt: str) -> None:
        self.steps, self.names, self.alt = steps, names, alt
        self.picture: Picture | None = None
        self._history = None
        self._axes = _LiveAxes(steps, names)  # here, for the first figure of a process is slow

    def __call__(self, step: int, scalars: Mapping[str, float], history: object) -> None:
        """Step `step` (from 0) is done; history[name] holds all values (step + 1,) up to it."""
        now = time.perf_counter()
        if history is not self._history:  # another run gets a picture of its own
            self._history, self._handle = history, None
            self._began, self._first, self._next, self._spent = now, step, now, 0.0
            if missing := [name for name in self.names if name not in scalars]:
                there = ", ".join(scalars)
                raise ValueError(f"there is no {', '.join(missing)} to draw; there are: {there}")
        ended = step + 1 >= self.steps or history.interrupted
        if now < self._next and not ended:
            return
        curves = {name: history[name] for name in self.names}
        if ended:
            fig, ax = _axes(self.steps, self.names, xlabel="step")
            _draw(ax, curves)
            ax.set_title(_ending(step + 1, self.steps, history.seconds), loc="left")
            self.picture = figure(fig, alt=self.alt)
        else:
            pace = (now - self._began) / max(1, step - self._first)
            left = (
                f"about {pace * (self.steps - step - 1):.0f} s left" if step > self._first else ""
            )
            speed = f"{scalars['images_per_second']:,.0f} images/s"
            news = f"step {step + 1:,} of {self.steps:,} · {speed} · {left}".rstrip(" ·")
            self.picture = Picture(*self._axes.drawn(curves, news), self.alt, self._axes.width)
        self._show()
        spent = time.perf_counter() - now
        self._spent += spent
        self._next = max(now + PAUSE, self._began + (self._spent + spent / 2) / SHARE)

    def _show(self) -> None:
        """Into the cell that trains; nowhere if there is no notebook."""
        from IPython import get_ipython
        from IPython.display import display

        if not hasattr(get_ipython(), "kernel"):
            return
        if self._handle is None:
            self._handle = display(self, display_id=True)
        else:
            self._handle.update(self)

    def _repr_mimebundle_(self, **_) -> tuple[dict, dict] | dict:
        if self.picture is None:
            return {"text/plain": repr(self)}
        bundle, metadata = self.picture._repr_mimebundle_()
        return {**bundle, "text/plain": repr(self)}, metadata

    def __repr__(self) -> str:  # the same from first to last: it is what nbval compares
        return f"[loss curve] {self.alt}"


def live_loss(steps: int, *, names: Sequence[str] = ("loss",), alt: str) -> LiveLoss:
    """Curves for `fit(…, steps, watch=live_loss(steps, alt=…))`; they show themselves.

    names: which of the measured scalars, on one scale, each raw (pale) and smoothed. Raises
    ValueError for no steps, no names, or no alternative text.
    """
    if steps < 1 or isinstance(names, str) or not names:
        need = "at least one step and a list of at least one name"
        raise ValueError(f"live_loss needs {need}, but {steps} and {names!r} were given")
    return LiveLoss(steps, tuple(names), described(alt))


def smoothed(values: np.ndarray, span: int) -> np.ndarray:
    """Running mean (S,) in which a value `span` steps old counts 1/e, without a bias at the start.

    Adam's correction: Σ βᵏ v(t−k) / Σ βᵏ, β = exp(−1 / span). Values that are not finite are left
    out, and stay gaps.
    """
    from scipy.signal import lfilter

    beta, known = np.exp(-1 / span), np.isfinite(values)
    total = lfilter([1.0], [1.0, -beta], np.where(known, values, 0.0))
    weight = lfilter([1.0], [1.0, -beta], known.astype(float))
    return np.where(known, total / np.maximum(weight, 1e-300), np.nan)


def _ending(done: int, steps: int, seconds: float) -> str:
    stopped = "" if done == steps else f" of {steps:,}: ended early"
    return f"{done:,} steps{stopped} · {seconds:.0f} s of training"


def _axes(steps: int, names: Sequence[str], xlabel: str) -> tuple:
    """→ a figure and its axes with empty curves: for each name one raw, one smoothed."""
    fig = new_figure(7.0, 3.3)
    ax = fig.subplots()
    inks = list(PALETTE.values())
    for i, name in enumerate(names):
        look = {"color": inks[i % len(inks)]}
        ax.plot([], [], linewidth=1.0, alpha=0.3, **look)
        ax.plot([], [], label=name, linestyle=DASHES[i % len(DASHES)], **look)
    ax.set(xlim=(0, steps), xlabel=xlabel, ylabel=names[0] if len(names) == 1 else "")
    if len(names) > 1:
        ax.legend(loc="upper right")
    return fig, ax


def _draw(ax: Axes, curves: Mapping[str, np.ndarray], room: float = 0.05) -> bool:
    """Put the curves' points into the lines of `_axes` → did the limits of y have to move?"""
    span = max(3, round(ax.get_xlim()[1] / 80))
    for i, values in enumerate(curves.values()):
        x = np.arange(1, len(values) + 1)
        raw, smooth = ax.get_lines()[2 * i : 2 * i + 2]
        raw.set_data(x, values)
        smooth.set_data(x, smoothed(values, span))
    every = np.concatenate(list(curves.values()))
    every = every[np.isfinite(every)]
    if len(every) == 0:
        return False
    low, high = every.min(), every.max()
    bottom, top = ax.get_ylim()
    if bottom <= low and high <= top and room > 0.05 and high - low > 0.3 * (top - bottom):
        return False
    margin = room * (high - low) or 0.05 * abs(high) or 1.0
    ax.set_ylim(max(0.0, low - margin) if low >= 0 else low - margin, high + margin)
    return True


class _LiveAxes:
    """Axes kept as pixels, on which only the curves and the title are drawn anew."""

    def __init__(self, steps: int, names: Sequence[str]) -> None:
        fig, self.ax = _axes(steps, names, STOP)
        fig.set_layout_engine(None)  # half of the time: axes stay where they are, with room
        fig.subplots_adjust(left=0.11, right=0.97, bottom=0.18, top=0.9)
        self.canvas, self.width = fig.canvas, round(fig.bbox.width)
        self.title = self.ax.set_title(" ", loc="left")
        for artist in (*self.ax.get_lines(), self.title):
            artist.set_animated(True)  # left out when the axes are drawn
        self._keep()
        self.drawn({name: np.full(1, np.nan) for name in names}, " ")  # the first one is slow

    def _keep(self) -> None:
        self.canvas.draw()
        self.pixels = self.canvas.copy_from_bbox(self.canvas.figure.bbox)

    def drawn(self, curves: Mapping[str, np.ndarray], news: str) -> tuple[bytes, str]:
        """The curves (S,) under a line of news → PNG bytes and their type."""
        import cv2

        if _draw(self.ax, curves, room=0.4):  # room to fall and rise before the next move
            self._keep()
        self.canvas.restore_region(self.pixels)
        self.title.set_text(news)
        for artist in (*self.ax.get_lines(), self.title):
            self.ax.draw_artist(artist)
        bgr = np.asarray(self.canvas.buffer_rgba())[..., 2::-1]
        fast = [cv2.IMWRITE_PNG_COMPRESSION, 1]
        return cv2.imencode(".png", bgr, fast)[1].tobytes(), "image/png"
