"""Rotary positions: a query and a key are turned by angles that grow with their places.

Su et al.: RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021, eq. 14 and 34.
A vector of width d is d / 2 points of a plane; at place m point i turns by m · base^(−2i / d). The
product of a query at m and a key at n then depends on their contents and on m − n alone.

Which two numbers make a point is a convention. Here, as in transformers, number i goes with
number i + d / 2 (the halves of the vector); in the paper and in Meta's LLaMA, 2i goes with 2i + 1.
The two differ by a fixed order of the rows of the query's and key's weights.
"""

from __future__ import annotations

import torch


def angles(positions: torch.Tensor, width: int, base: float = 10_000.0) -> torch.Tensor:
    """Places (…), counted from 0, → angles (…, width / 2) in radians, float32.

    Raises ValueError for an odd width.
    """
    if width < 2 or width % 2:
        raise ValueError(f"the width must be even, so that numbers pair up, but it is {width}")
    # Always float32: in bfloat16 the places 256 and 257 would be one.
    exponents = torch.arange(0, width, 2, device=positions.device, dtype=torch.float32) / width
    return positions[..., None].float() * base**-exponents


def turns(
    angles: torch.Tensor, dtype: torch.dtype | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Angles (…, d / 2) → cosines and signed sines (…, d), as `rotate` wants them.

    The sines of the first half are negative: (x, y) becomes (x cos − y sin, y cos + x sin).
    """
    cosines, sines = angles.cos(), angles.sin()
    both = torch.cat([cosines, cosines], dim=-1), torch.cat([-sines, sines], dim=-1)
    return both[0].to(dtype), both[1].to(dtype)


def rotate(x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """x (…, d), and what `turns` gives, broadcast to it → x turned, (…, d)."""
    # Rolled by half its width, every number stands where its partner stood.
    return torch.addcmul(x * cosines, x.roll(x.shape[-1] // 2, -1), sines)
