"""The transformer block with its norms in front, and the two ways to keep a deep stack trainable.

Vaswani et al. 2017 put the norm behind each sum; Dosovitskiy et al. 2021 (ViT, eq. 2 and 3) in
front of each branch, so that the sums themselves run through the network untouched.
"""

from __future__ import annotations

import torch
from torch import nn

from course_lib.blocks.attention import Attention
from course_lib.blocks.mlp import MLP, Activation


class LayerScale(nn.Module):
    """One learned factor for each channel, small at first: (…, D) → (…, D).

    Touvron et al.: Going deeper with Image Transformers, ICCV 2021, eq. 4.
    """

    def __init__(self, dim: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), float(initial)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gamma


class StochasticDepth(nn.Module):
    """In training, drop a whole branch for some samples: (B, …) → (B, …).

    Each sample's branch becomes 0 with probability `rate`; the others are divided by 1 − rate, so
    that the expected value stays. Huang et al.: Deep Networks with Stochastic Depth, ECCV 2016,
    drops for the whole batch and scales at test time; per sample is what vision transformers do.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"the rate of dropped branches must be in [0, 1), but it is {rate}")
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * keep / (1 - self.rate)


class Block(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)): (B, T, D) → (B, T, D)."""

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        norm_eps: float = 1e-6,
        activation: Activation = "gelu",
    ) -> None:
        """`layer_scale` is the factors' first value, `drop_path` the rate of stochastic depth."""
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attention = Attention(dim, heads, qkv_bias)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = MLP(dim, mlp_ratio, activation)
        scaled = layer_scale is not None
        self.scale1 = LayerScale(dim, layer_scale) if scaled else nn.Identity()
        self.scale2 = LayerScale(dim, layer_scale) if scaled else nn.Identity()
        self.drop_path = StochasticDepth(drop_path)

    def forward(self, x: torch.Tensor, may_attend: torch.Tensor | None = None) -> torch.Tensor:
        """x (B, T, D), may_attend as in `Attention.forward` → (B, T, D)."""
        attended = self.attention(self.norm1(x), may_attend=may_attend)
        x = x + self.drop_path(self.scale1(attended))
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))

    def attention_weights(
        self, x: torch.Tensor, may_attend: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The same arguments as `forward` → what attends to what in it, (B, heads, T, T)."""
        return self.attention.weights(self.norm1(x), may_attend=may_attend)
