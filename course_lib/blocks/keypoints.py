"""A set of keypoints as plain arrays, and its OpenCV form.

OpenCV's list of KeyPoint objects is slow to make and to index; arrays can be masked, sorted and
computed with. Angles are radians here, degrees there: only the two conversions below know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Keypoints:
    """N keypoints. All arrays share their first dimension.

    xy        (N, 2) float32, pixels, pixel centres at integers
    size      (N,)   float32, diameter of what was found, in pixels of the picture
    angle     (N,)   float32, radians in [0, 2π), x towards y (clockwise on the screen)
    response  (N,)   float32, strength, the detector's own unit
    octave    (N,)   int32, the pyramid octave it was found in
    sign      (N,)   int8, of the Laplacian: +1 dark blob on bright ground, −1 opposite, 0 unknown
    """

    xy: np.ndarray
    size: np.ndarray
    angle: np.ndarray
    response: np.ndarray
    octave: np.ndarray
    sign: np.ndarray

    @classmethod
    def at(
        cls,
        xy: np.ndarray,
        size: float | np.ndarray = 1.0,
        angle: float | np.ndarray = 0.0,
        response: float | np.ndarray = 0.0,
        octave: int | np.ndarray = 0,
        sign: int | np.ndarray = 0,
    ) -> Keypoints:
        """Keypoints at `xy` (N, 2); every other argument is one value for all, or (N,).

        Any angle will do: it is brought into [0, 2π). Raises ValueError for NaN and wrong shapes.
        """
        with np.errstate(over="ignore"):  # what becomes infinite is refused below
            xy = np.asarray(xy, np.float32)
        if xy.size == 0:
            xy = xy.reshape(0, 2)
        if xy.ndim != 2 or xy.shape[1] != 2:
            raise ValueError(f"positions must have shape (N, 2), but {xy.shape} was given")
        if not np.isfinite(xy).all():
            raise ValueError("positions must be finite, but some are NaN or infinite")
        n = len(xy)

        def column(value: float | np.ndarray, dtype: type, name: str) -> np.ndarray:
            value = np.asarray(value)
            if value.shape not in ((), (n,)):
                raise ValueError(f"{name} must be one value or ({n},), but {value.shape} was given")
            if not np.isfinite(value).all():
                raise ValueError(f"{name} must be finite, but some values are NaN or infinite")
            return np.broadcast_to(value, (n,)).astype(dtype)

        angle = (column(angle, np.float64, "angle") % (2 * np.pi)).astype(np.float32)
        angle[angle >= np.float32(2 * np.pi)] = 0  # float32 may round up to a full turn
        return cls(
            xy.copy(),
            column(size, np.float32, "size"),
            angle,
            column(response, np.float32, "response"),
            column(octave, np.int32, "octave"),
            column(sign, np.int8, "sign"),
        )

    @classmethod
    def empty(cls) -> Keypoints:
        """No keypoint at all: what a blank picture gives."""
        return cls.at(np.zeros((0, 2)))

    def __len__(self) -> int:
        return len(self.xy)

    def __getitem__(self, keep: np.ndarray | slice | Sequence[int]) -> Keypoints:
        """A subset: bool mask (N,), indices (M,) or a slice → Keypoints."""
        if isinstance(keep, (int, np.integer)):
            keep = [int(keep)]
        keep = keep if isinstance(keep, slice) else np.asarray(keep)
        if isinstance(keep, np.ndarray) and keep.size == 0 and keep.dtype != bool:
            keep = keep.astype(np.intp)
        return Keypoints(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))

    def strongest(self, n: int | None) -> Keypoints:
        """The `n` (None: all) of greatest response, strongest first; ties keep their order."""
        if n is not None and n < 0:
            raise ValueError(f"the number of keypoints to keep must be 0 or more, but it is {n}")
        return self[np.argsort(-self.response, kind="stable")[:n]]

    def to_cv2(self) -> list:
        """→ list of cv2.KeyPoint (angles in degrees, the sign in class_id)."""
        import cv2

        return [
            cv2.KeyPoint(
                float(x), float(y), float(s), float(np.degrees(a)), float(r), int(o), int(c)
            )
            for (x, y), s, a, r, o, c in zip(
                self.xy, self.size, self.angle, self.response, self.octave, self.sign, strict=True
            )
        ]

    @classmethod
    def from_cv2(cls, keypoints: Sequence, signed: bool = False) -> Keypoints:
        """Sequence of cv2.KeyPoint → Keypoints. OpenCV's "no angle" (−1) becomes 0.

        cv2.SIFT packs octave, layer and sub-layer into one integer; the octave is its lowest signed
        byte. `signed` says that class_id is the sign of the Laplacian, as SURF and `to_cv2` write;
        from all other detectors the −1 that stands there means nothing, and the sign is 0.
        """
        octave = np.array([k.octave for k in keypoints], np.int64) & 255
        angle = np.array([k.angle if k.angle >= 0 else 0.0 for k in keypoints], np.float64)
        sign = [k.class_id if signed and k.class_id in (-1, 1) else 0 for k in keypoints]
        return cls.at(
            np.array([k.pt for k in keypoints], np.float32).reshape(-1, 2),
            np.array([k.size for k in keypoints], np.float32),
            np.radians(angle),
            np.array([k.response for k in keypoints], np.float32),
            np.where(octave > 127, octave - 256, octave),
            np.array(sign, np.int8),
        )


def checked(keypoints: Keypoints) -> Keypoints:
    """Return `keypoints` if they are Keypoints, else raise TypeError that says how to make them."""
    if isinstance(keypoints, Keypoints):
        return keypoints
    raise TypeError(
        f"keypoints must be Keypoints, but a {type(keypoints).__name__} was given; "
        "Keypoints.from_cv2(…) makes them of OpenCV's list, Keypoints.at(xy) of positions"
    )
