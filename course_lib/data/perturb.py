"""Change a picture in a way that is known exactly: turn, zoom, blur, relight, add noise.

Each function takes a picture and one level and returns the changed picture and H, (3, 3) float64,
which maps positions (x, y, 1) of the original to positions of the changed picture, pixel centres at
integers: what a measurement of features needs to say where a point must be found again.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, isfinite, pi, radians, sin
from typing import NamedTuple

import numpy as np

from course_lib.blocks.images import to_rgb, to_uint8

LONGEST = 32_766  # pixels: OpenCV's warping counts them in 16 signed bits

Changed = tuple[np.ndarray, np.ndarray]  # the picture, and H


def _picture(image: np.ndarray) -> np.ndarray:
    """Any picture → uint8, (H, W) if it has one channel, else (H, W, 3)."""
    image = to_uint8(image)
    if image.ndim == 3 and image.shape[2] == 1:
        return image[..., 0]
    return image if image.ndim == 2 else to_rgb(image)


def _level(name: str, value: float, least: float = -np.inf) -> float:
    """`value` as a float if it is a finite number not below `least`, else one sentence."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, but {value!r} was given") from None
    if not isfinite(number) or number < least:
        bound = "" if least == -np.inf else f" of at least {least:g}"
        raise ValueError(f"{name} must be a finite number{bound}, but {number:g} was given")
    return number


def turn(image: np.ndarray, angle: float) -> Changed:
    """Turn about the centre by `angle` radians, x towards y: clockwise on the screen.

    The canvas keeps its size. What leaves it is lost, and its empty corners are filled with the
    picture's own reflection: a plain colour would put a strong edge there, and corners at its ends.
    What is found in a reflection lies outside the original, so it never counts as visible in both.
    """
    import cv2

    image, angle = _picture(image), _level("the angle", angle)
    height, width = image.shape[:2]
    if max(height, width) > LONGEST:
        raise ValueError(
            f"a picture to be turned may be {LONGEST} pixels long, but its shape is {image.shape}"
        )
    c, s = cos(angle), sin(angle)
    x, y = (width - 1) / 2, (height - 1) / 2
    H = np.array([[c, -s, x - c * x + s * y], [s, c, y - s * x - c * y], [0, 0, 1]])
    # Not BORDER_REFLECT_101: on a picture one pixel wide, OpenCV 5.0.0 never returns from it.
    turned = cv2.warpAffine(
        image, H[:2], (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return turned, H


def zoom(image: np.ndarray, factor: float) -> Changed:
    """Magnify (factor > 1) or shrink (factor < 1); the canvas grows or shrinks with the picture.

    Shrinking averages over areas, so fine texture becomes grey and not a false pattern. A canvas
    has whole pixels, so H magnifies by new size / old size, which is `factor` to half a pixel.
    """
    import cv2

    image, factor = _picture(image), _level("the factor", factor, least=0)
    height, width = image.shape[:2]
    new_height, new_width = round(height * factor), round(width * factor)
    if min(new_height, new_width) < 1 or max(new_height, new_width) > LONGEST:
        raise ValueError(
            f"zooming {height} × {width} pixels by {factor:g} gives {new_height} × {new_width}, "
            f"but 1 to {LONGEST} pixels each way are expected"
        )
    fx, fy = new_width / width, new_height / height
    # Pixel 0 reaches from −0.5 to 0.5: its outer edge stays where it is, not its centre.
    H = np.array([[fx, 0, fx / 2 - 0.5], [0, fy, fy / 2 - 0.5], [0, 0, 1]])
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, (new_width, new_height), interpolation=how), H


def blur(image: np.ndarray, sigma: float) -> Changed:
    """Blur with a Gaussian of standard deviation `sigma` pixels; 0 changes nothing."""
    import cv2

    image, sigma = _picture(image), _level("sigma", sigma, least=0)
    if sigma == 0:
        return image.copy(), np.eye(3)
    if sigma > max(image.shape[:2]):
        raise ValueError(f"sigma must be at most the picture's size, but {sigma:g} was given")
    size = 2 * int(4 * sigma + 0.5) + 1  # 4 sigma each way: OpenCV's own choice ends at 3
    border = cv2.BORDER_REFLECT_101
    blurred = cv2.GaussianBlur(image.astype(np.float32), (size, size), sigma, borderType=border)
    return np.rint(blurred).astype(np.uint8), np.eye(3)


def relight(image: np.ndarray, stops: float, gamma: float = 1.0) -> Changed:
    """Multiply by 2 ** stops (−1 halves every value, +1 doubles it), then take value ** gamma.

    White is 1. Values are rounded and cut off at white, as in a camera: dark pictures lose levels,
    bright ones their lights. gamma > 1 darkens the middle tones and keeps black and white.
    """
    image, stops = _picture(image), _level("stops", stops)
    gamma = _level("gamma", gamma, least=0.01)
    if abs(stops) > 16:
        raise ValueError(f"stops must lie from −16 to 16, but {stops:g} was given")
    value = np.minimum(np.arange(256) / 255 * 2**stops, 1) ** gamma
    return np.rint(255 * value).astype(np.uint8)[image], np.eye(3)


def noise(image: np.ndarray, sigma: float, seed: int = 0) -> Changed:
    """Add Gaussian noise of standard deviation `sigma` grey levels, cut off at black and white.

    All channels get the same noise, so `sigma` means the same for colour and grey. One seed gives
    one pattern at any sigma.
    """
    image, sigma = _picture(image), _level("sigma", sigma, least=0)
    pattern = np.random.default_rng(seed).standard_normal(image.shape[:2], np.float32)
    if image.ndim == 3:
        pattern = pattern[..., None]
    noisy = np.rint(image + np.float32(min(sigma, 1e6)) * pattern)  # 1e6: float32 must not overflow
    return np.clip(noisy, 0, 255).astype(np.uint8), np.eye(3)


class Perturbation(NamedTuple):
    """One axis of the common protocol: `function` takes `levels`, a figure shows `axis`."""

    function: Callable[[np.ndarray, float], Changed]
    levels: tuple[float, ...]
    label: str
    unit: str
    per_level: float = 1.0  # units of the axis in one unit of the level

    @property
    def axis(self) -> tuple[float, ...]:
        """The levels in `unit`: degrees for the turn, and the levels themselves for the others."""
        return tuple(round(level * self.per_level, 6) for level in self.levels)

    @property
    def xlabel(self) -> str:
        """What stands under the axis of a figure."""
        return f"{self.label} ({self.unit})"


# The common protocol: every method in every notebook is measured at these levels.
PERTURBATIONS = {
    "turn": Perturbation(
        turn, tuple(radians(a) for a in (0, 15, 30, 45, 90)), "turned by", "°", 180 / pi
    ),
    "zoom": Perturbation(zoom, (0.35, 0.5, 0.7, 1.0, 1.4), "magnified", "×"),
    "blur": Perturbation(blur, (0.0, 0.5, 1.0, 2.0, 3.0), "blurred by σ", "pixels"),
    "relight": Perturbation(relight, (-2.0, -1.0, 0.0, 0.5, 1.0), "exposure", "stops"),
    "noise": Perturbation(noise, (0.0, 5.0, 10.0, 20.0, 30.0), "noise σ", "grey levels"),
}
