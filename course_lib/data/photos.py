"""The real photographs of the course: inside scikit-image, so offline; and the reader's own.

All come back as RGB uint8 (H, W, 3). Licences and sources: data/README.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from course_lib.blocks.images import to_rgb

# name → what one sees (used as alternative text)
PHOTOS = {
    "astronaut": "portrait of the astronaut Eileen Collins in front of a flag and a shuttle model",
    "brick": "a brick wall turned on its side, in grey",
    "camera": "a man with a camera on a tripod on a lawn, city behind him, in grey",
    "chelsea": "a tabby cat's face, close up",
    "coffee": "a cup of espresso with a spoon on a wooden table",
    "coins": "24 ancient coins on a dark ground, in grey",
    "grass": "grass seen from above, in grey",
    "gravel": "gravel seen from above, in grey",
    "motorcycle_left": "a motorcycle in a workshop, left view of a stereo pair",
    "motorcycle_right": "the same motorcycle, right view of the stereo pair",
    "page": "a scanned page of printed text",
    "rocket": "a rocket on a launch pad at dusk, between lit masts",
    "text": "handwritten formulas on lined paper, blurred, in grey",
}


def photo(name: str) -> np.ndarray:
    """One of `PHOTOS` by name → uint8 (H, W, 3) RGB. Raises ValueError that lists the names."""
    if not isinstance(name, str) or name not in PHOTOS:
        raise ValueError(f"there is no photograph {name!r}; there are: {', '.join(PHOTOS)}")
    from skimage import data

    if name.startswith("motorcycle_"):
        return to_rgb(data.stereo_motorcycle()[0 if name.endswith("left") else 1])
    return to_rgb(getattr(data, name)())


@dataclass(frozen=True)
class StereoPair:
    """Two views of one scene with measured geometry.

    left, right  uint8 (H, W, 3) RGB
    disparity    float32 (H, W), pixels; left (x, y) is right (x − disparity, y); NaN = unmeasured
    """

    left: np.ndarray
    right: np.ndarray
    disparity: np.ndarray


def stereo_motorcycle() -> StereoPair:
    """The pair `motorcycle` of Middlebury Stereo 2014, quarter size, inside scikit-image."""
    from skimage import data

    left, right, disparity = data.stereo_motorcycle()
    disparity = np.where(np.isfinite(disparity), disparity, np.nan).astype(np.float32)
    return StereoPair(to_rgb(left), to_rgb(right), disparity)


def decode(data: bytes, name: str = "the file") -> np.ndarray:
    """Bytes of an encoded picture (PNG, JPEG, WebP, TIFF, BMP, …) → uint8 (H, W, 3) RGB.

    Upright by its EXIF tag; transparency is laid over white (such a file is not turned); 16 bits
    are rounded to 8. Raises ValueError in one sentence, naming `name`, if the bytes are no picture.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"decode takes the bytes of a file, but a {type(data).__name__} was given; "
            "read(path) takes its name"
        )
    if len(data) == 0:
        raise ValueError(f"{name} is empty (0 bytes); a picture file is expected")
    stored = _decode(data)
    if stored is None:
        raise ValueError(
            f"{name} is no picture that OpenCV can read ({len(data)} bytes), or it is cut short; "
            "PNG, JPEG, WebP, TIFF or BMP is expected"
        )
    if stored.ndim == 3:
        stored = stored[..., [2, 1, 0, 3][: stored.shape[2]]]
    try:
        return np.ascontiguousarray(to_rgb(stored))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be used: {error}") from None


def _decode(data: bytes) -> np.ndarray | None:
    """→ what the file holds, blue first, alpha last if any; None if OpenCV cannot read it."""
    import cv2

    buffer = np.frombuffer(data, np.uint8)
    try:
        # OpenCV shows alpha only in a picture left unchanged, and turns by EXIF only the others.
        if bytes(buffer[:2]) != b"\xff\xd8":  # JPEG has no alpha
            stored = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
            if stored is None or stored.shape[2:] == (4,) or stored.dtype.kind == "f":
                return stored
        return cv2.imdecode(buffer, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        return None


def read(path: str | os.PathLike) -> np.ndarray:
    """A picture file → uint8 (H, W, 3) RGB, as `decode`. FileNotFoundError if there is none."""
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file {path!r}; the working folder is {os.getcwd()!r}")
    with open(path, "rb") as file:
        return decode(file.read(), repr(os.path.basename(path)))
