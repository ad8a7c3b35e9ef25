"""Click a keypoint, see what it is made of: a picture to choose in, one about the choice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import traitlets

from course_lib.blocks.images import to_rgb
from course_lib.blocks.keypoints import Keypoints
from course_lib.show.attempt import attempt, guarded
from course_lib.show.controls import watch
from course_lib.show.encoding import jpeg, with_picture
from course_lib.show.images import described
from course_lib.show.matches import draw_keypoints
from course_lib.show.tiles import row

HERE = Path(__file__).parent
HEIGHT = 360  # pixels of the static picture in the saved file


class Picker(anywidget.AnyWidget):
    """Made by `pick`. `selected` is the index of the chosen keypoint (−1: there is none).

    image, keypoints  what is shown now    detail_image  uint8 (H, W, 3) beside it, or None
    readout           draw_detail's text   error         one sentence, or ""
    """

    _esm = HERE / "picker.js"
    _css = HERE / "show.css"
    picture = traitlets.Bytes().tag(sync=True)
    points = traitlets.List().tag(sync=True)  # [x, y, radius] in pixels of `picture`
    selected = traitlets.Int(-1).tag(sync=True)
    detail = traitlets.Bytes().tag(sync=True)
    readout = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    caption = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        image: np.ndarray | ipywidgets.Widget,
        points: Keypoints | Callable[[np.ndarray], Keypoints],
        draw_detail: Callable,
        *,
        start: int,
        width: int,
        **state: str,
    ) -> None:
        super().__init__(**state)
        self._points, self._draw_detail, self._width = points, draw_detail, width
        photo = image if isinstance(image, ipywidgets.Widget) else None
        self.observe(self._choose, "selected")
        self.show(image if photo is None else photo.image, start)
        self._start = self._static()
        if photo is not None:
            watch(photo, lambda change: self.show(change.new))

    def show(self, image: np.ndarray, selected: int = 0) -> None:
        """Put another picture into the widget, find its keypoints, and choose one of them."""
        self.image = to_rgb(image)
        found, trouble = self._points, None
        if not isinstance(found, Keypoints):
            found, trouble = guarded(found, self.image)
        if trouble is None and not isinstance(found, Keypoints):
            trouble = f"points must give Keypoints, but a {type(found).__name__} was given."
        self.keypoints = Keypoints.empty() if trouble else found
        factor = self._width / self.image.shape[1]
        centres = (self.keypoints.xy + 0.5) * factor  # the corner of the first pixel is (0, 0)
        circles = np.column_stack([centres, self.keypoints.size / 2 * factor])
        with self.hold_sync():
            self.picture = jpeg(draw_keypoints(self.image, self.keypoints, width=self._width))
            self.points = np.round(circles, 2).tolist()
            before, self.selected = self.selected, min(max(selected, 0), len(self.keypoints) - 1)
            if self.selected == before:  # else the observer has drawn it
                self._choose()
            if trouble:
                self.error = trouble

    def _choose(self, _change: object = None) -> None:
        if not -1 < self.selected < len(self.keypoints):
            self.detail_image, self.detail = None, b""
            self.readout, self.error = "", "There is no keypoint to choose in this picture."
            return
        drawn = attempt(self._draw_detail, self.image, self.keypoints, self.selected)
        with self.hold_sync():
            self.detail_image = drawn.image
            self.detail = b"" if drawn.image is None else jpeg(drawn.image)
            self.readout, self.error = drawn.text, drawn.error or ""

    def _static(self) -> np.ndarray:
        chosen = self.selected if self.selected >= 0 else None
        drawing = draw_keypoints(self.image, self.keypoints, width=self._width, highlight=chosen)
        detail = [] if self.detail_image is None else [self.detail_image]
        return row([drawing, *detail], height=HEIGHT)

    def _repr_mimebundle_(self, **kwargs) -> dict:
        bundle = super()._repr_mimebundle_(**kwargs)
        bundle = bundle[0] if isinstance(bundle, tuple) else bundle  # it may carry metadata
        return with_picture(bundle, self._start, f"[picture to click] {self.alt}")


def pick(
    image: np.ndarray | ipywidgets.Widget,
    points: Keypoints | Callable[[np.ndarray], Keypoints],
    draw_detail: Callable,
    *,
    alt: str,
    caption: str = "",
    start: int = 0,
    width: int = 440,
) -> Picker:
    """A picture whose keypoints can be chosen by click or arrow keys, with the choice beside it.

    `image` is a picture or a photo input; `points` Keypoints, or a function picture → Keypoints
    (which a photo input needs). `draw_detail(image, keypoints, index)` returns a picture, or
    (picture, text).
    """
    if isinstance(image, ipywidgets.Widget) and isinstance(points, Keypoints):
        raise TypeError("with a photo input, points must be a function that finds the keypoints")
    state = {"alt": described(alt), "caption": caption}
    return Picker(image, points, draw_detail, start=start, width=width, **state)
