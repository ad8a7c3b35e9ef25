"""Colours that everyone can tell apart, and maps of numbers as pictures.

Source: M. Okabe and K. Ito, "Color Universal Design", 2008: eight colours that stay apart under
all common forms of colour blindness. Colour is never the only sign: curves differ in marker,
matches in line style.
"""

from __future__ import annotations

import re

import numpy as np

PALETTE = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "black": "#000000",
}
# One marker and one dash for each colour, so that a grey print can still be read.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1)), (0, (3, 1, 1, 1)), "-", "--")


def colour(name: str) -> tuple[int, int, int]:
    """A name of `PALETTE`, "white", or "#rrggbb" → (red, green, blue), each 0 to 255."""
    code = {"white": "#FFFFFF", **PALETTE}.get(name, name)
    if not (isinstance(code, str) and re.fullmatch("#[0-9a-fA-F]{6}", code)):
        raise ValueError(
            f"a colour must be white, #rrggbb or one of {', '.join(PALETTE)}, "
            f"but {name!r} was given"
        )
    return tuple(int(code[i : i + 2], 16) for i in (1, 3, 5))


def style() -> dict:
    """The course's matplotlib settings, for `matplotlib.rc_context(style())`."""
    from cycler import cycler

    return {
        "axes.prop_cycle": cycler(color=list(PALETTE.values())),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.edgecolor": "#555555",
        "grid.color": "#E4E4E4",
        "grid.linewidth": 0.8,
        "font.size": 10,
        "font.family": "DejaVu Sans",  # ships with matplotlib: the same letters on every machine
        "legend.frameon": False,
        "lines.linewidth": 2.0,
        "lines.markersize": 6.0,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
    }


def _numbers(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float32)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"a map must have shape (H, W), but the shape {values.shape} was given")
    if not np.isfinite(values).all():
        raise ValueError("a map must hold finite numbers, but some are NaN or infinite")
    return values


def heat(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """A map (H, W) of any numbers → uint8 (H, W, 3), dark (low) to bright (high); viridis."""
    import cv2

    values = _numbers(values)
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    bgr = cv2.applyColorMap(np.rint(share * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return np.ascontiguousarray(bgr[..., ::-1])


def signed(values: np.ndarray, limit: float | None = None) -> np.ndarray:
    """A map (H, W) around zero → uint8 (H, W, 3): zero white, +limit vermillion, −limit blue."""
    values = _numbers(values)
    limit = float(np.abs(values).max()) if limit is None else limit
    share = np.clip(values / max(limit, 1e-12), -1, 1)[..., None]
    plus, minus = (np.array(colour(name), np.float32) for name in ("vermillion", "blue"))
    ink = np.where(share >= 0, 255 - plus, 255 - minus)
    return np.rint(255 - np.abs(share) * ink).astype(np.uint8)
