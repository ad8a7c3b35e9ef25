"""The half of a transformer block that works on each token alone."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import nn
from torch.nn.functional import gelu, silu

Activation = Literal["gelu", "gelu_tanh", "quick_gelu"]


def quick_gelu(x: torch.Tensor) -> torch.Tensor:
    """x·σ(1.702 x), the cheaper approximation that CLIP was trained with: (…) → (…).

    Hendrycks and Gimpel: Gaussian Error Linear Units, 2016, §2; off by 0.02 at most.
    """
    return silu(1.702 * x) / 1.702  # silu(y) = y·σ(y), one kernel


class MLP(nn.Module):
    """Two linear layers with a GELU between them: (…, D) → (…, D).

    Vaswani et al. 2017, eq. 2, with the GELU of Hendrycks and Gimpel 2016 in its exact form x·Φ(x)
    (`gelu`), by its approximation with tanh (`gelu_tanh`: GPT-2's and SigLIP's), or `quick_gelu`.
    The hidden layer is `ratio`·D wide.
    """

    def __init__(self, dim: int, ratio: float = 4.0, activation: Activation = "gelu") -> None:
        super().__init__()
        if activation not in get_args(Activation):
            known = ", ".join(get_args(Activation))
            raise ValueError(f"the activation is one of {known}, not {activation!r}")
        hidden = round(dim * ratio)
        if hidden < 1:
            raise ValueError(f"the hidden width must be at least 1, but {ratio} · {dim} is less")
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.fc1(x)
        if self.activation == "quick_gelu":
            return self.fc2(quick_gelu(x))
        return self.fc2(gelu(x, approximate="tanh" if self.activation == "gelu_tanh" else "none"))
