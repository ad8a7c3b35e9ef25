"""Put pictures beside or below each other, larger or smaller: the layout of a live picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from course_lib.blocks.images import to_rgb

TITLE_HEIGHT = 24  # pixels that a line of title takes


def shrink(image: np.ndarray, longest: int = 512) -> np.ndarray:
    """Any picture → uint8 (H, W, 3), averaged down to longest side `longest`; never enlarged."""
    image = to_rgb(image)
    factor = longest / max(image.shape[:2])
    return image if factor >= 1 else _scaled(image, factor, cv2.INTER_AREA)


def enlarge(image: np.ndarray, longest: int = 256) -> np.ndarray:
    """Any picture → uint8 (H, W, 3), its longest side `longest`, pixels crisp; never shrunk."""
    image = to_rgb(image)
    factor = longest / max(image.shape[:2])
    return image if factor <= 1 else _scaled(image, factor, cv2.INTER_NEAREST)


def _scaled(image: np.ndarray, factor: float, how: int) -> np.ndarray:
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=how)


def fitted(image: np.ndarray, factor: float) -> np.ndarray:
    """uint8 (H, W, 3) → a new one, `factor` times as large: averaged down, or smoothly up."""
    if factor == 1:
        return image.copy()
    return _scaled(image, factor, cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def _check(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    images = [to_rgb(image) for image in images]
    if not images:
        raise ValueError("at least one picture is expected, but an empty list was given")
    return images


def titled(image: np.ndarray, title: str) -> np.ndarray:
    """uint8 (H, W, 3) → (H + 24, W, 3): `title` (ASCII letters) on a white strip above it."""
    strip = np.full((TITLE_HEIGHT, image.shape[1], 3), 255, np.uint8)
    place, face = (4, TITLE_HEIGHT - 8), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(strip, title, place, face, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([strip, image])


def captioned(image: np.ndarray, lines: Sequence[str], size: int = 14) -> np.ndarray:
    """uint8 (H, W, 3) → (H + h, W', 3): lines of text on white below it, broken to its width.

    A picture narrower than 320 pixels gets a white margin at its right, W' = 320, so that the
    lines can be read. Empty lines are left out.
    """
    from matplotlib.font_manager import findfont
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(findfont("DejaVu Sans"), size)
    width = max(image.shape[1], 320)
    broken: list[str] = []
    for line in filter(None, lines):
        broken.append("")
        for word in line.split():
            longer = f"{broken[-1]} {word}".strip()
            if font.getlength(longer) > width - 8 and broken[-1]:
                broken.append(word)
            else:
                broken[-1] = longer
    step = round(1.4 * size)
    whole = np.full((len(image) + step * len(broken) + 4 * bool(broken), width, 3), 255, np.uint8)
    whole[: len(image), : image.shape[1]] = image
    canvas = Image.fromarray(whole)
    for i, line in enumerate(broken):
        place = (4, len(image) + 3 + i * step)
        ImageDraw.Draw(canvas).text(place, line, fill=(0, 0, 0), font=font)
    return np.asarray(canvas)


def row(
    images: Sequence[np.ndarray],
    *,
    height: int | None = None,
    gap: int = 8,
    titles: Sequence[str] | None = None,
) -> np.ndarray:
    """Pictures side by side on white, all brought to `height` (by default the greatest)."""
    images = _check(images)
    height = height or max(len(image) for image in images)
    images = [im if len(im) == height else fitted(im, height / len(im)) for im in images]
    if titles is not None:
        images = [titled(im, title) for im, title in zip(images, titles, strict=True)]
    space = np.full((len(images[0]), gap, 3), 255, np.uint8)
    parts = [part for image in images for part in (space, image)]
    return np.concatenate(parts[1:], axis=1)


def column(images: Sequence[np.ndarray], *, width: int | None = None, gap: int = 8) -> np.ndarray:
    """Pictures below each other on white, all brought to `width` (by default the greatest)."""
    images = _check(images)
    width = width or max(im.shape[1] for im in images)
    images = [im if im.shape[1] == width else fitted(im, width / im.shape[1]) for im in images]
    space = np.full((gap, width, 3), 255, np.uint8)
    parts = [part for image in images for part in (space, image)]
    return np.concatenate(parts[1:])
