"""The reader's photo: from the course's menu, from a file (chosen or dropped), or a camera."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from course_lib.blocks.images import to_rgb
from course_lib.data.photos import PHOTOS, decode, photo
from course_lib.show.encoding import jpeg, with_picture
from course_lib.show.tiles import shrink

HERE = Path(__file__).parent
THUMBNAIL = 96  # pixels, longest side


class PhotoInput(anywidget.AnyWidget):
    """A bar that chooses a photo; made by `photo_input`.

    image  uint8 (H, W, 3) RGB, longest side at most `longest`     name  of the photo or file
    """

    _esm = HERE / "photo_input.js"
    _css = HERE / "show.css"
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    own = traitlets.Unicode().tag(sync=True)  # the reader's file, which joins the menu
    message = traitlets.Unicode().tag(sync=True)
    thumbnail = traitlets.Bytes().tag(sync=True)
    image = traitlets.Instance(np.ndarray)

    def __init__(self, name: str, names: Sequence[str], longest: int) -> None:
        self._longest, self._own_image = longest, None
        start = shrink(photo(name), longest)
        super().__init__(names=list(names), name=name, image=start, thumbnail=_thumbnail(start))
        self._start = start
        self.observe(self._choose, "name")
        self.on_msg(self._receive)

    def take(self, image: np.ndarray, name: str = "your photo") -> None:
        """Use a picture of the reader's own, any size."""
        self._own_image = shrink(to_rgb(image), self._longest)
        self.own = name
        if self.name == name:
            self._choose()
        else:
            self.name = name

    def on_change(self, function: Callable[[np.ndarray], object]) -> None:
        """Call `function(image)` now and whenever there is another photo."""
        self.observe(lambda change: function(change.new), "image")
        function(self.image)

    def _choose(self, _change: object = None) -> None:
        own = self._own_image is not None and self.name == self.own
        try:
            image = self._own_image if own else shrink(photo(self.name), self._longest)
        except ValueError as error:
            self.message = f"{error}."
            return
        self.message, self.thumbnail = "", _thumbnail(image)
        self.image = image

    def _receive(self, _widget: object, content: dict, buffers: list) -> None:
        """A file or a camera picture from the browser: its bytes as they are."""
        try:
            self.take(decode(bytes(buffers[0]), content["name"]), content["name"])
        except ValueError as error:
            self.message = f"{error}."

    def _repr_mimebundle_(self, **kwargs) -> dict:
        bundle = super()._repr_mimebundle_(**kwargs)
        bundle = bundle[0] if isinstance(bundle, tuple) else bundle  # it may carry metadata
        return with_picture(bundle, shrink(self._start, 240), "[photo input] menu, file or camera")


def _thumbnail(image: np.ndarray) -> bytes:
    return jpeg(shrink(image, THUMBNAIL), 80)


def photo_input(
    name: str = "camera", names: Sequence[str] | None = None, *, longest: int = 512
) -> PhotoInput:
    """A bar to choose a photograph, upload or drop a file, or take a picture with the camera.

    `.image` is the picture, shrunk to `longest` pixels. Give the bar itself to `live(draw,
    image=…)` or `pick`, and they draw again whenever it changes; one bar can serve several of
    them.
    """
    names = list(PHOTOS) if names is None else list(names)
    if unknown := [n for n in [name, *names] if n not in PHOTOS]:
        raise ValueError(f"there is no photograph {unknown[0]!r}; there are: {', '.join(PHOTOS)}")
    if longest < 1:
        raise ValueError(f"longest must be at least 1 pixel, but {longest} was given")
    return PhotoInput(name, names if name in names else [name, *names], longest)
