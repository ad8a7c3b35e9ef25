"""Run a reader's function: what it drew, or one sentence that says what went wrong."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from course_lib.blocks.images import to_rgb


@dataclass(frozen=True)
class Drawn:
    """image uint8 (H, W, 3) or None, text for the readout, error: one sentence or None."""

    image: np.ndarray | None
    text: str = ""
    error: str | None = None


def guarded(function: Callable, *args: object, **values: object) -> tuple[object, str | None]:
    """`function(…)` → (what it returned, None), or (None, one sentence) if it raised."""
    try:
        return function(*args, **values), None
    except Exception as error:  # a student's function: whatever it does, the widget goes on
        return None, _sentence(error, function)


def attempt(draw: Callable, *args: object, **values: object) -> Drawn:
    """`draw(…)`, which returns a picture or (picture, text), or raises anything → Drawn."""
    result, error = guarded(draw, *args, **values)
    if error is not None:
        return Drawn(None, error=error)
    pair = isinstance(result, tuple) and len(result) == 2
    image, text = result if pair else (result, "")
    image, error = guarded(to_rgb, image)
    return Drawn(image, str(text), error)


def check_arguments(draw: Callable, *args: object, **values: object) -> None:
    """Raise TypeError in one sentence if `draw` does not take these arguments."""
    try:
        inspect.signature(draw).bind(*args, **values)
    except TypeError as error:
        given = ", ".join([*("…" for _ in args), *values])
        name = getattr(draw, "__name__", "the drawing function")
        raise TypeError(f"{name} will be called with ({given}), but: {error}") from None


def _sentence(error: Exception, draw: Callable) -> str:
    if isinstance(error, NotImplementedError):
        return f"Not written yet: {error}" if str(error) else "Not written yet."
    code = getattr(draw, "__code__", None)
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code is code]
    where = f" (line {lines[-1] - code.co_firstlineno + 1} of {code.co_name})" if lines else ""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}{where}"
