"""Static pictures that survive in a saved notebook: small in bytes, crisp, with alternative text.

Matplotlib draws them, without pyplot: nothing is shown twice, nothing is left open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from course_lib.blocks.images import to_rgb
from course_lib.show.encoding import encode
from course_lib.show.palette import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FINE_DPI = 160  # what the file holds, so that letters are crisp on a fine screen
SCREEN_DPI = 100  # a figure of width 9 is shown 900 pixels wide


@dataclass(frozen=True)
class Picture:
    """An encoded picture with its alternative text; the last value of a cell shows it.

    data   bytes, PNG or JPEG       mime  "image/png" or "image/jpeg"
    alt    one sentence             width  pixels on the screen (the file may hold more)
    """

    data: bytes
    mime: str
    alt: str
    width: int

    def _repr_mimebundle_(self, **_) -> tuple[dict, dict]:
        # Bytes, not text: Jupyter encodes them itself. The text form is what nbval compares.
        bundle = {self.mime: self.data, "text/plain": f"[picture] {self.alt}"}
        return bundle, {self.mime: {"width": self.width}}

    def __repr__(self) -> str:
        return f"[picture] {self.alt}"


def described(alt: str) -> str:
    """Alternative text on one line; raises ValueError if there is none."""
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt must say in one sentence what one sees, but {alt!r} was given")
    return " ".join(alt.split())


def picture(image: np.ndarray, *, alt: str, width: int | None = None) -> Picture:
    """One array as it is, pixel for pixel, without a figure around it."""
    image = to_rgb(image)
    return Picture(*encode(image), described(alt), width or image.shape[1])


def new_figure(width: float = 7.0, height: float = 3.5) -> Figure:
    """An empty figure, in inches of 100 pixels; sets matplotlib to the course's style."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matplotlib.rcParams.update(style())  # artists read it when they are made, so it has to stay
    fig = Figure(figsize=(width, height), dpi=SCREEN_DPI, layout="constrained")
    FigureCanvasAgg(fig)
    return fig


def raster(fig: Figure, dpi: int = SCREEN_DPI) -> np.ndarray:
    """A matplotlib figure → uint8 (H, W, 3): what `draw` of a live picture may return."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    fig.set_dpi(dpi)
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def figure(fig: Figure, *, alt: str) -> Picture:
    """A matplotlib figure → Picture, finer than the screen where the bytes allow it."""
    alt, width = described(alt), round(fig.get_figwidth() * SCREEN_DPI)
    data, mime = encode(raster(fig, FINE_DPI))
    return Picture(data, mime, alt, width)


def pictures(
    images: np.ndarray | Sequence[np.ndarray],
    titles: str | Sequence[str] | None = None,
    *,
    alt: str,
    columns: int | None = None,
    width: float = 9.0,
) -> Picture:
    """One picture or a grid in rows of `columns` (up to 4 by default), `width` inches wide."""
    if isinstance(images, np.ndarray) and images.dtype != object and images.ndim in (2, 3):
        images, titles = [images], [titles] if isinstance(titles, str) else titles
    images = [to_rgb(image) for image in images]
    if not images:
        raise ValueError("at least one picture is expected, but an empty list was given")
    if titles is not None and len(titles) != len(images):
        raise ValueError(
            f"{len(images)} pictures need as many titles, but {len(titles)} were given"
        )
    columns = min(columns or 4, len(images))
    rows = [images[i : i + columns] for i in range(0, len(images), columns)]
    tall = [width / columns * max(len(im) / im.shape[1] for im in line) for line in rows]
    tall = [inches + (0.3 if titles else 0.03) for inches in tall]
    fig = new_figure(width, sum(tall))
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    axes = fig.subplots(len(rows), columns, squeeze=False, height_ratios=tall).ravel()
    for ax in axes:
        ax.set_axis_off()
    for i, image in enumerate(images):
        small = image.shape[1] < width / columns * SCREEN_DPI / 2
        axes[i].imshow(image, interpolation="nearest" if small else "antialiased")
        if titles is not None:
            axes[i].set_title(titles[i], pad=4)
    return figure(fig, alt=alt)
