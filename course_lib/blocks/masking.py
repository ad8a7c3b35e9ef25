"""Which patches are hidden: bool (B, N), True where a patch is hidden, equally many in each row.

Every kind gives each patch a score and hides those of the highest, so the number is exact and a
batch stays a tensor. He et al.: Masked Autoencoders, CVPR 2022, figure 6, compares the three.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch

Kind = Literal["random", "block", "grid"]


def hidden_count(patches: int, ratio: float) -> int:
    """How many of N patches are hidden: all but ⌊N · (1 − ratio)⌋, as MAE counts.

    Raises ValueError unless at least one patch is hidden and at least one is left.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"the share of hidden patches must lie between 0 and 1, not {ratio}")
    count = patches - int(patches * (1 - ratio) + 1e-9)  # 1 − 0.9 is a little below 0.1
    if not 0 < count < patches:
        raise ValueError(f"{ratio} of {patches} patches leaves none hidden or none visible")
    return count


def draw_hidden(
    kind: Kind,
    batch: int,
    grid: tuple[int, int],
    ratio: float,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """→ bool (batch, N) for a grid (rows, columns) of N patches.

    random  any patches
    block   those nearest to a random place: one compact region, of a random aspect
    grid    by their place in squares of 2 × 2: at 0.75 one in each square is left, the same in all

    The generator (default: torch's own) is one of the CPU, so that a seed hides the same anywhere.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"the kind of mask must be one of {get_args(Kind)}, but it is {kind!r}")
    (rows, columns), N = grid, grid[0] * grid[1]
    noise = torch.rand(batch, N, generator=generator)
    y = torch.arange(rows).repeat_interleave(columns)
    x = torch.arange(columns).repeat(rows)
    if kind == "block":
        cy, cx, stretch = torch.rand(3, batch, 1, generator=generator)
        aspect = 2 ** (2 * stretch - 1)
        away = torch.maximum(
            (y - cy * rows + 0.5).abs() / aspect, (x - cx * columns + 0.5).abs() * aspect
        )
        score = -away - 1e-4 * noise  # noise only decides between equals
    elif kind == "grid":
        order = torch.rand(batch, 4, generator=generator).argsort(dim=1)
        score = order[:, 2 * (y % 2) + x % 2] + 0.5 * noise
    else:
        score = noise
    count = hidden_count(N, ratio)
    hidden = torch.zeros(batch, N, dtype=torch.bool)
    return hidden.scatter_(1, score.topk(count, dim=1).indices, True).to(device)
