"""From a short description, (0.5, 8.0, 0.1) or ["left", "right"], to a labelled control."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real

import ipywidgets

LABEL = {"description_width": "initial"}
BUTTONS = 4  # this many choices stand side by side; more become a menu


def control(name: str, value: object) -> ipywidgets.Widget:
    """A widget for `draw`'s argument `name`.

    (low, high[, step[, start]])  slider, of ints if all are ints      True, False  checkbox
    list of choices, or of (label, value)  buttons or a menu           a widget     itself
    """
    label = name.replace("_", " ")
    if isinstance(value, ipywidgets.Widget):
        if not (value.has_trait("value") or value.has_trait("image")):
            raise TypeError(f"the control {name} is a {type(value).__name__}, which has no value")
        if getattr(value, "description", None) == "":
            value.description = label
        return value
    if isinstance(value, bool):
        return ipywidgets.Checkbox(value=value, description=label, indent=False)
    if isinstance(value, tuple) and 2 <= len(value) <= 4:
        return _slider(name, label, value)
    if isinstance(value, list) and value:
        few = len(value) <= BUTTONS and all(len(str(_label(v))) <= 20 for v in value)
        kind = ipywidgets.ToggleButtons if few else ipywidgets.Dropdown
        return kind(options=value, description=label, style=_button_style(few))
    raise TypeError(
        f"the control {name} must be (low, high, step, start), a list of choices, True, False or "
        f"a widget, but {value!r} was given"
    )


def _label(choice: object) -> object:
    return choice[0] if isinstance(choice, tuple) else choice


def _button_style(few: bool) -> dict:
    return {**LABEL, "button_width": "auto"} if few else LABEL


def _slider(name: str, label: str, value: tuple) -> ipywidgets.Widget:
    if not all(isinstance(v, Real) and not isinstance(v, bool) for v in value):
        raise TypeError(f"the slider {name} must be given numbers, but {value!r} was given")
    low, high, *rest = value
    whole = all(isinstance(v, Integral) for v in value)
    step = rest[0] if rest else (1 if whole else (high - low) / 100)
    start = rest[1] if len(rest) > 1 else low
    if not (low < high and step > 0 and low <= start <= high):
        raise ValueError(
            f"the slider {name} needs low < high, step > 0 and a start between them, "
            f"but low {low}, high {high}, step {step}, start {start} were given"
        )
    kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    decimals = 0 if whole else max(0, min(6, -_exponent(step)))
    return kind(
        value=start, min=low, max=high, step=step, description=label, continuous_update=True,
        readout_format="d" if whole else f".{decimals}f", style=LABEL,
        layout={"width": "min(100%, 512px)"},
    )  # fmt: skip


def _exponent(step: float) -> int:
    """The power of ten of the last digit that a step changes: 0.25 → −2, 0.1 → −1, 2 → 0."""
    digits = f"{step:.6f}".rstrip("0").split(".")[1]
    return -len(digits)


def current(widget: ipywidgets.Widget) -> object:
    """What `draw` gets from a control: its value, or the picture of a photo input."""
    return widget.image if widget.has_trait("image") else widget.value


def watch(widget: ipywidgets.Widget, changed: Callable[[object], None]) -> None:
    """Call `changed` whenever `current(widget)` does."""
    widget.observe(changed, "image" if widget.has_trait("image") else "value")
