"""Pictures that move: `live` (the kernel draws each step) and `scrubber` (frames sent once).

A JPEG in a small widget reaches the screen about four times as fast as interact with matplotlib,
and leaves out no step of a drag. Both widgets keep a static picture in the saved file, for GitHub
and for print.

The last value wins by construction: a front end holds back a control's next value until the
kernel has said that it is done with the one before, and merges what came in between. So `draw`
runs inside the message, never in a thread: a slow draw skips steps, and neither falls behind nor
ends on an old value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import traitlets

from course_lib.blocks.images import to_rgb
from course_lib.show.attempt import Drawn, attempt, check_arguments
from course_lib.show.controls import control, current, watch
from course_lib.show.encoding import jpeg, with_picture
from course_lib.show.images import described
from course_lib.show.screen import Screen
from course_lib.show.tiles import captioned, row, shrink

HERE = Path(__file__).parent
FRAMES_LIMIT = 900_000  # bytes of all frames of a scrubber together


class Live(ipywidgets.VBox):
    """Controls above a picture and a line of text; made by `live`.

    controls  {name: widget}       picture  uint8 (H, W, 3), the last that was drawn, or None
    readout   the text that draw returned     error  one sentence, or ""
    """

    def __init__(self, draw: Callable, alt: str, caption: str, controls: dict) -> None:
        self.draw, self.picture = draw, None
        self.controls = {name: control(name, value) for name, value in controls.items()}
        self.screen = Screen(alt=described(alt), caption=caption)
        self._busy = self._again = False
        check_arguments(draw, **self.values())
        self.redraw()
        self._start, self._text = self._still(), f"[live picture] {alt} {self.error}".rstrip()
        for widget in self.controls.values():
            watch(widget, self.redraw)
        super().__init__([*self.controls.values(), self.screen], _dom_classes=["course-live"])

    readout = property(lambda self: self.screen.readout)
    error = property(lambda self: self.screen.error)

    def values(self) -> dict[str, object]:
        """What `draw` is called with now."""
        return {name: current(widget) for name, widget in self.controls.items()}

    def _still(self) -> np.ndarray | None:
        """What the saved file shows: the picture, where the controls stand, and the two lines."""
        if self.picture is None:
            return None
        simple = {k: v for k, v in self.values().items() if isinstance(v, bool | int | float | str)}
        stand = " · ".join(
            f"{k.replace('_', ' ')}: {round(v, 6) if isinstance(v, float) else v}"
            for k, v in simple.items()
        )
        return captioned(self.picture, [stand, self.readout, self.screen.caption])

    def redraw(self, _change: object = None) -> None:
        """Draw at the controls' values; once more, if `draw` itself has moved a control."""
        if self._busy:
            self._again = True
            return
        self._busy = True
        try:
            self._show(attempt(self.draw, **self.values()))
            if self._again:
                self._show(attempt(self.draw, **self.values()))
        finally:
            self._busy = self._again = False

    def _show(self, drawn: Drawn) -> None:
        with self.screen.hold_sync():  # one message: the text never belongs to another picture
            self.screen.readout, self.screen.error = drawn.text, drawn.error or ""
            if drawn.image is not None:
                self.picture = drawn.image
                self.screen.picture = jpeg(drawn.image)
            elif self.picture is not None:  # pale: this is not the picture for these values
                self.screen.picture = jpeg(self.picture // 4 + 191)

    def _repr_mimebundle_(self, **kwargs) -> dict:
        return with_picture(super()._repr_mimebundle_(**kwargs), self._start, self._text)


def live(draw: Callable, *, alt: str, caption: str = "", **controls: object) -> Live:
    """A picture that `draw(**values)` makes anew whenever a control moves.

    `draw` returns a picture, or (picture, text for the readout). A control is (low, high, step,
    start), a list of choices, True or False, a widget, or a photo input, which passes its
    picture; see `control`. An exception in `draw` becomes one sentence under the picture.
    """
    if not controls:
        raise ValueError("a live picture needs at least one control, but none was given")
    return Live(draw, alt, caption, controls)


class Scrubber(anywidget.AnyWidget):
    """A slider through frames that the browser holds; made by `scrubber`."""

    _esm = HERE / "scrubber.js"
    _css = HERE / "show.css"
    frames = traitlets.List(traitlets.Bytes()).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    caption = traitlets.Unicode().tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)

    def __init__(self, images: Sequence[np.ndarray], **state: object) -> None:
        # Two frames, large enough to read, stand for all in the saved file.
        picks = sorted({len(images) // 3, len(images) - 1})
        kept = [captioned(shrink(images[i], 480), [state["labels"][i]]) for i in picks]
        tall = max(map(len, kept))
        kept = [np.pad(x, ((0, tall - len(x)), (0, 0), (0, 0)), constant_values=255) for x in kept]
        self._sheet = captioned(row(kept), [state["caption"]])
        super().__init__(frames=_within(images, FRAMES_LIMIT), **state)

    def _repr_mimebundle_(self, **kwargs) -> dict:
        # anywidget returns the bundle alone, or with its metadata.
        bundle = super()._repr_mimebundle_(**kwargs)
        bundle = bundle[0] if isinstance(bundle, tuple) else bundle
        return with_picture(bundle, self._sheet, f"[{len(self.frames)} frames] {self.alt}")


def _within(images: Sequence[np.ndarray], limit: int) -> list[bytes]:
    """Frames as JPEG, at the best quality at which all together keep within `limit` bytes."""
    for quality in (90, 80, 70, 60, 50):
        frames = [jpeg(image, quality) for image in images]
        if sum(map(len, frames)) <= limit:
            return frames
    total = sum(map(len, frames))
    raise ValueError(
        f"{len(images)} frames take {total} bytes, but at most {limit} are expected; "
        "give fewer or smaller frames"
    )


def scrubber(
    frames: Sequence[np.ndarray],
    labels: Sequence[str] | None = None,
    *,
    alt: str,
    caption: str = "",
) -> Scrubber:
    """A slider through pictures of one size, sent once: works without a kernel."""
    frames = [to_rgb(frame) for frame in frames]
    if len({frame.shape for frame in frames}) != 1:
        sizes = sorted({frame.shape[:2] for frame in frames})
        raise ValueError(f"frames must be of one size and at least one, but got the sizes {sizes}")
    labels = [f"{i + 1} of {len(frames)}" for i in range(len(frames))] if labels is None else labels
    if len(labels) != len(frames):
        raise ValueError(f"{len(frames)} frames need as many labels, but {len(labels)} were given")
    return Scrubber(frames, labels=[str(x) for x in labels], alt=described(alt), caption=caption)
