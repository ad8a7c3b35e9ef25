"""The picture of a live widget: ipywidgets' own Image cannot carry alternative text."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent


class Screen(anywidget.AnyWidget):
    """A picture (JPEG) with alternative text, and a line below it: `error`, or else `readout`."""

    _esm = HERE / "screen.js"
    _css = HERE / "show.css"
    picture = traitlets.Bytes().tag(sync=True)
    readout = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    caption = traitlets.Unicode().tag(sync=True)
