"""The block of a LLaMA: norms in front, as in course_lib.blocks.transformer, but other parts.

RMSNorm: Zhang and Sennrich: Root Mean Square Layer Normalization, NeurIPS 2019. SwiGLU: Shazeer:
GLU Variants Improve Transformer, 2020, eq. 6. No layer but query, key and value has biases.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import linear, rms_norm, silu

from course_lib.blocks.attention import attend
from course_lib.blocks.grouped_attention import Cache, GroupedAttention, Turns
from course_lib.blocks.rotary import rotate


class RMSNorm(nn.Module):
    """x / √(mean of x² + ε) · weight over the last dimension: a layer norm that keeps the mean."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return rms_norm(x, self.weight.shape, self.weight, self.eps)


class SwiGLU(nn.Module):
    """down(silu(gate(x)) · up(x)): (…, D) → (…, D). Gate and up are one layer, in this order."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(dim, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(silu(gate) * up)


class Block(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)): the shape of x, (B, L, D) or (B · L, D)."""

    def __init__(
        self,
        dim: int,
        heads: int,
        key_heads: int,
        head_dim: int,
        mlp_dim: int,
        qkv_bias: bool,
        norm_eps: float,
        number: int,
    ) -> None:
        """`number` is that of the block, under which a cache keeps its keys and values."""
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(dim, norm_eps), RMSNorm(dim, norm_eps)
        self.attention = GroupedAttention(dim, heads, key_heads, head_dim, qkv_bias, number)
        self.mlp = SwiGLU(dim, mlp_dim)

    def forward(
        self,
        x: torch.Tensor,
        turns: Turns,
        may_attend: torch.Tensor | None = None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """The arguments of `GroupedAttention.forward`, and its shapes."""
        x = x + self.attention(self.norm1(x), turns, may_attend, cache)
        return x + self.mlp(self.norm2(x))


def one_word(
    block: Block,
) -> Callable[[torch.Tensor, Turns, torch.Tensor | None, Cache], torch.Tensor]:
    """A block → the same for one more word a row, x (B, D), with a cache, and without gradients.

    In a small network a single word's sums cost no more than the calls of the modules that they
    are in: here they are one function of plain tensors (`python -m benchmarks.generation`).
    """
    attention, mlp, shape, eps = (
        block.attention,
        block.mlp,
        block.norm1.weight.shape,
        block.norm1.eps,
    )
    H, G, d, number = attention.heads, attention.key_heads, attention.head_dim, attention.block
    scale1, qkv, bias = block.norm1.weight, attention.qkv.weight, attention.qkv.bias
    out, scale2 = attention.out.weight, block.norm2.weight
    gate_up, down = mlp.gate_up.weight, mlp.down.weight

    def read(
        x: torch.Tensor, turns: Turns, may_attend: torch.Tensor | None, cache: Cache
    ) -> torch.Tensor:
        heads = linear(rms_norm(x, shape, scale1, eps), qkv, bias).view(-1, H + 2 * G, 1, d)
        qk, v = heads.split_with_sizes((H + G, G), dim=1)
        q, k = rotate(qk, *turns).split_with_sizes((H, G), dim=1)
        keys, values = cache.extend(number, k, v)
        mixed = attend(q.reshape(-1, G, H // G, d), keys, values, may_attend)
        x = x + linear(mixed.reshape(len(x), -1), out)
        gate, up = linear(rms_norm(x, shape, scale2, eps), gate_up).chunk(2, dim=-1)
        return x + linear(silu(gate) * up, down)

    return read
