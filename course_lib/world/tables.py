"""Four table tops: wood, checks, marble and linen, as tiles that repeat without a seam.

A tile is a picture of one number for each point, 0 to 1; a ramp turns numbers into colours. Tiles
are kept at halving sizes (Williams: Pyramidal parametrics, SIGGRAPH 1983), so that a far row of
pixels reads a small one and does not flicker.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from course_lib.world import camera
from course_lib.world.bodies import samples
from course_lib.world.scene import TABLES, Scenes

TILE = 0.48  # metres, the side of a tile
TEXELS = 1024  # on that side, at the finest level
LEVELS = 10  # 1024 … 2
FAR = 10.0  # metres: the table ends in a haze there

# Colours of value 0 and 1 in linear light: where the tone is 0, and where it is 1.
RAMPS = np.array(
    [
        [[(0.10, 0.045, 0.02), (0.26, 0.13, 0.06)], [(0.36, 0.20, 0.09), (0.66, 0.44, 0.24)]],
        [[(0.16, 0.19, 0.22), (0.62, 0.63, 0.62)], [(0.34, 0.30, 0.27), (0.76, 0.73, 0.68)]],
        [[(0.20, 0.21, 0.23), (0.56, 0.57, 0.58)], [(0.50, 0.49, 0.48), (0.82, 0.81, 0.79)]],
        [[(0.22, 0.21, 0.19), (0.42, 0.40, 0.36)], [(0.50, 0.47, 0.41), (0.78, 0.74, 0.67)]],
    ]
)  # fmt: skip  (table, tone, end, RGB)


def _noise(rng: np.random.Generator, across: int, down: int | None = None) -> np.ndarray:
    """Smooth periodic noise (TEXELS, TEXELS), about −1 to 1: random values on a lattice, eased."""
    values = rng.uniform(-1, 1, (down or across, across))
    for axis in (0, 1):
        cells = values.shape[axis]
        at = np.arange(TEXELS) * cells / TEXELS
        cell, part = at.astype(int), at % 1
        part = part * part * (3 - 2 * part)
        part = part[:, None] if axis == 0 else part
        values = values.take(cell, axis) * (1 - part) + values.take((cell + 1) % cells, axis) * part
    return values


def _octaves(rng: np.random.Generator, across: int, down: int, count: int) -> np.ndarray:
    return sum(_noise(rng, across << i, down << i) * 0.5**i for i in range(count))


def _wood(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Planks along x: rings stretched along the grain, fibres, and a dark joint between planks."""
    planks = 4
    plank = (y * planks).astype(int)
    shift = rng.uniform(0, 1, planks)[plank]
    grain = y * 9 + 0.9 * _octaves(rng, 2, 8, 3) + 3 * shift
    rings = 0.5 + 0.5 * np.cos(2 * np.pi * grain)
    fibres = _noise(rng, 16, 512)
    across = np.minimum(y * planks % 1, 1 - y * planks % 1)
    joint = np.clip(across * 40, 0, 1)
    return (0.50 + 0.22 * rings + 0.13 * fibres + 0.5 * (shift - 0.5)) * (0.35 + 0.65 * joint)


def _checks(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Squares of 4 cm, light and dark, with a little grain."""
    squares = (np.floor(x * 12) + np.floor(y * 12)) % 2
    return 0.06 + 0.84 * squares + 0.06 * _octaves(rng, 16, 16, 4)


def _marble(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Clouds, and veins where a warped wave passes through zero."""
    warp = _octaves(rng, 4, 4, 5)
    veins = np.abs(np.sin(2 * np.pi * (x + 2 * y) + 3.2 * warp))
    fine = np.abs(np.sin(2 * np.pi * (3 * x - 2 * y) + 4.0 * _octaves(rng, 6, 6, 4)))
    cloud = _octaves(rng, 3, 3, 4)
    return 0.80 + 0.14 * cloud - 0.75 * np.exp(-veins * 9) - 0.30 * np.exp(-fine * 12)


def _linen(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A plain weave: threads over and under, of unequal thickness."""
    threads = 192
    warp, weft = (np.abs(np.sin(np.pi * threads * v)) for v in (x, y))
    over = (np.floor(x * threads) + np.floor(y * threads)) % 2
    weave = np.where(over > 0, warp * (0.6 + 0.4 * weft), weft * (0.6 + 0.4 * warp))
    uneven = _noise(rng, 192, 6) + _noise(rng, 6, 192)
    return 0.25 + 0.6 * weave + 0.13 * uneven + 0.05 * _octaves(rng, 3, 3, 3)


@lru_cache(maxsize=1)
def atlas() -> tuple[np.ndarray, np.ndarray]:
    """All tiles at all levels → uint8 (n,), and where each begins (tables, LEVELS)."""
    y, x = np.meshgrid(*[(np.arange(TEXELS) + 0.5) / TEXELS] * 2, indexing="ij")
    pieces, begins, end = [], np.zeros((len(TABLES), LEVELS), np.int64), 0
    for i, make in enumerate((_wood, _checks, _marble, _linen)):
        tile = np.clip(make(x, y, np.random.default_rng(i)), 0, 1)
        for level in range(LEVELS):
            pieces.append(np.rint(tile * 255).astype(np.uint8).ravel())
            begins[i, level], end = end, end + tile.size
            tile = tile.reshape(len(tile) // 2, 2, -1, 2).mean(axis=(1, 3))
    return np.concatenate(pieces), begins


def row_depth(scenes: Scenes, grid: int) -> np.ndarray:
    """Depth of the table in each row of samples → float64 (B, grid), metres, at most FAR.

    The camera does not roll, so a row sees one depth.
    """
    y = samples(np.zeros(1, int), grid, grid)
    axes, high = camera.axes(scenes), camera.eye(scenes)[:, 2]
    sinks = -(axes[:, 1, 2, None] * y + axes[:, 2, 2, None])
    return high[:, None] / np.maximum(sinks, high[:, None] / FAR)


@dataclass(frozen=True, eq=False)
class Rows:
    """Where the samples of each row read: in the level's texels, a start and a step per unit aside.

    begin, mask, shift  (B, grid) int32: where the level begins; its side − 1, and log2 of its side
    start, step         (2, B, grid) float32: along the tile's rows (u) and down its columns (v)
    """

    begin: np.ndarray
    mask: np.ndarray
    shift: np.ndarray
    start: np.ndarray
    step: np.ndarray


def rows(scenes: Scenes, grid: int) -> Rows:
    """B scenes → what each row of samples reads: linear, for the camera does not roll."""
    t, axes, eye = row_depth(scenes, grid), camera.axes(scenes), camera.eye(scenes)
    y = samples(np.zeros(1, int), grid, grid)
    # A sample covers this much: across, and along the view, where the table is seen at a slant.
    across = t * (2 * camera.HALF_VIEW / grid)
    along = across * t / eye[:, 2:]
    level = np.log2(np.sqrt(across * along) * (TEXELS / TILE))
    level = np.clip(np.floor(level), 0, LEVELS - 1).astype(int)
    side = TEXELS >> level
    c, s = np.cos(scenes.table_angle), np.sin(scenes.table_angle)
    start, step = np.empty((2, 2, *t.shape), np.float32)
    for i, (to_x, to_y) in enumerate([(c, s), (-s, c)]):
        right, down, forward = (to_x * axes[:, k, 0] + to_y * axes[:, k, 1] for k in range(3))
        first = to_x * eye[:, 0] + to_y * eye[:, 1] + scenes.table_offset[:, i]
        first = first[:, None] + t * (down[:, None] * y + forward[:, None])
        # Whole tiles are added so that no place is negative: a cut is then a floor.
        start[i] = (first / TILE % 1 + 32) * side
        step[i] = t * right[:, None] / TILE * side
    return Rows(
        begin=atlas()[1][scenes.table[:, None], level].astype(np.int32),
        mask=(side - 1).astype(np.int32),
        shift=(np.log2(TEXELS).astype(int) - level).astype(np.int32),
        start=start,
        step=step,
    )


def values(table: Rows, scene: int) -> np.ndarray:
    """What the samples of one scene see of its tile → uint8 (grid, grid)."""
    grid = table.mask.shape[1]
    aside = samples(np.zeros(1, int), grid, grid).astype(np.float32)
    mask = table.mask[scene, :, None]
    u, v = (
        (table.start[i, scene, :, None] + table.step[i, scene, :, None] * aside).astype(np.int32)
        for i in range(2)
    )
    v &= mask
    v <<= table.shift[scene, :, None]
    u &= mask
    v += u
    v += table.begin[scene, :, None]
    return atlas()[0].take(v)


def ramps(scenes: Scenes) -> np.ndarray:
    """Colours of the values 0 and 1 for each scene → float32 (B, 2, 3), linear light."""
    ends, tone = RAMPS[scenes.table], scenes.table_tone[:, None, None]
    return ((1 - tone) * ends[:, 0] + tone * ends[:, 1]).astype(np.float32)
