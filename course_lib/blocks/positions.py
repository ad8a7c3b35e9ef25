"""Where in the picture a token stands: a table of vectors, one a patch, row by row.

A table is learned or computed once (`sincos_2d`), and resized for pictures of another size. It
holds patches only: a class token and registers stand nowhere.
"""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate


def sincos_2d(grid: tuple[int, int], dim: int) -> torch.Tensor:
    """Grid (rows, columns) → (rows·columns, dim) float32: sines and cosines of x, then of y.

    Each quarter of the channels, sin x, cos x, sin y, cos y, has the frequencies 10000^(−i/n) for
    i = 0 … n − 1, n = dim / 4: Vaswani et al. 2017, §3.5, for each axis; the order is MAE's.
    Raises ValueError if 4 does not divide `dim`.
    """
    if dim < 4 or dim % 4:
        raise ValueError(f"the width of 2-D sine-cosine positions is a multiple of 4, not {dim}")
    n, (rows, columns) = dim // 4, grid
    # float64: a float32 power would be off by more than the last digit of the angles.
    frequencies = 10_000 ** -(torch.arange(n, dtype=torch.float64) / n)
    x = torch.arange(columns).repeat(rows)[:, None] * frequencies  # (rows·columns, n)
    y = torch.arange(rows).repeat_interleave(columns)[:, None] * frequencies
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=1).float()


def resize(table: torch.Tensor, grid: tuple[int, int], new_grid: tuple[int, int]) -> torch.Tensor:
    """Table (h·w, D) of a grid (h, w) → (H·W, D) of the grid (H, W), bicubic with antialiasing.

    As timm does it. DINO and DINOv2 resize without antialiasing, which differs only where a grid
    shrinks. Raises ValueError if the table does not fit its grid.
    """
    if table.ndim != 2 or len(table) != grid[0] * grid[1]:
        raise ValueError(
            f"a table for a grid of {grid[0]} × {grid[1]} patches must have shape "
            f"({grid[0] * grid[1]}, D), but {tuple(table.shape)} was given"
        )
    if new_grid == grid:
        return table
    picture = table.float().T.unflatten(1, grid)[None]  # (1, D, h, w)
    picture = interpolate(picture, new_grid, mode="bicubic", antialias=True)
    return picture[0].flatten(1).T.to(table.dtype)
