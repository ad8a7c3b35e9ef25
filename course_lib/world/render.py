"""Scenes → pictures: RGB, depth, normals and instances, all from the same rays.

    pictures = render(sample(range(1000)), size=64, want=("rgb", "instance"))
    pictures.rgb          uint8 (1000, 64, 64, 3)
    pictures.boxes_xyxy   float32 (1000, 6, 4)

Rays are intersected in closed form (rays), in NumPy's float32, many scenes at a time. Visibility
comes first, and only what is seen is shaded. RGB averages supersample² rays a pixel, in linear
light; depth, normals and instance are those of one ray through the pixel's centre. The shadows on
the table are soft, so they are computed once a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from course_lib.world import camera, workers
from course_lib.world.raster import draw
from course_lib.world.scene import MOST, Scenes

Modality = Literal["rgb", "depth", "normals", "instance"]
WORTH_A_WORKER = 1 << 24  # samples: half a second's work; a worker takes that long to start
LARGEST = 4096  # pixels or samples on a side
SAMPLES = 1 << 20  # in a chunk: bounds the memory, and fills the groups


@dataclass(frozen=True, eq=False)
class Rendered:
    """What was asked for of B scenes at S pixels; None for the rest.

    rgb       uint8 (B, S, S, 3)
    depth     float32 (B, S, S) metres along the optical axis, of the table too; at most tables.FAR
    normals   float32 (B, S, S, 3) unit, in the camera's frame: x right, y down, z forward
    instance  int8 (B, S, S) place of the object that the pixel's centre shows; −1 is the table
    """

    rgb: np.ndarray | None = None
    depth: np.ndarray | None = None
    normals: np.ndarray | None = None
    instance: np.ndarray | None = None

    @cached_property
    def masks(self) -> np.ndarray:
        """Which pixels show which object → bool (B, 6, S, S)."""
        if self.instance is None:
            raise ValueError('masks, boxes and visible come from "instance", which was not wanted')
        return self.instance[:, None] == np.arange(MOST, dtype=np.int8)[:, None, None]

    @property
    def visible(self) -> np.ndarray:
        """How many pixels of each object are seen → int64 (B, 6)."""
        return self.masks.sum(axis=(2, 3))

    @property
    def boxes_xyxy(self) -> np.ndarray:
        """Tight boxes in pixels → float32 (B, 6, 4), NaN where nothing is seen.

        Edges lie on the pixels' borders: a mask of columns 3 to 5 spans x from 2.5 to 5.5.
        """
        found = np.full((*self.masks.shape[:2], 4), np.nan, np.float32)
        for axis, low in ((2, 0), (3, 1)):  # any over rows leaves columns: x
            line = self.masks.any(axis=axis)
            there = line.any(axis=-1)
            first, last = line.argmax(-1), line.shape[-1] - 1 - line[..., ::-1].argmax(-1)
            found[..., low] = np.where(there, first - 0.5, np.nan)
            found[..., low + 2] = np.where(there, last + 0.5, np.nan)
        return found


def render(
    scenes: Scenes,
    size: int = 64,
    want: Sequence[Modality] = ("rgb",),
    supersample: int = 2,
    processes: int | None = None,
) -> Rendered:
    """B scenes → pictures of size × size pixels; RGB from supersample² rays a pixel.

    The same scene gives the same bits, whatever stands beside it in the batch and however many
    `processes` work: by default one for each core where the work is long enough. Raises ValueError
    in one sentence for what cannot be drawn.
    """
    _check(scenes, size, want, supersample, processes)
    B = len(scenes)
    kinds = {
        "rgb": (np.uint8, (3,)),
        "depth": (np.float32, ()),
        "normals": (np.float32, (3,)),
        "instance": (np.int8, ()),
    }
    out = {name: np.empty((B, size, size, *kinds[name][1]), kinds[name][0]) for name in want}
    step = max(1, SAMPLES // (size * supersample) ** 2)
    how = {"size": size, "supersample": supersample}
    if processes is None:
        worth = B * (size * supersample) ** 2 >= WORTH_A_WORKER
        processes = workers.cores() if worth else 1
    workers.spread(draw, scenes, how, out, step, min(processes, -(-B // step)))
    return Rendered(**out)


def _whole(value: object, low: int, high: int) -> bool:
    return (
        isinstance(value, (int, np.integer))
        and not isinstance(value, bool)
        and low <= value <= high
    )


def _check(
    scenes: Scenes, size: int, want: Sequence[str], supersample: int, processes: int | None
) -> None:
    known = get_args(Modality)
    if isinstance(want, str) or not want or not set(want) <= set(known):
        raise ValueError(f"want must be some of {known}, but {want!r} was asked for")
    if not _whole(size, 1, LARGEST):
        raise ValueError(f"size must be 1 to {LARGEST} pixels, but it is {size!r}")
    if not _whole(supersample, 1, LARGEST // size):
        raise ValueError(
            f"supersample must be a whole number from 1 to {LARGEST // size} at {size} pixels, "
            f"but it is {supersample!r}"
        )
    if processes is not None and not _whole(processes, 1, 1024):
        raise ValueError(f"processes must be a whole number from 1, but it is {processes!r}")
    eye = camera.eye(scenes)
    if not np.isfinite(eye).all():
        raise ValueError("the camera's place must be finite, but it is NaN or infinite in a scene")
    if len(scenes) and (low := eye[:, 2].min()) <= 0.01:
        raise ValueError(
            f"the camera must stand above the table, at least 0.01 m, but it is at {low:.3f} m"
        )
