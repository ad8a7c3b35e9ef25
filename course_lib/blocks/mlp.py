"""The half of a transformer block that works on each token alone."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu


class MLP(nn.Module):
    """Two linear layers with a GELU between them: (…, D) → (…, D).

    Vaswani et al. 2017, eq. 2, with the GELU of Hendrycks and Gimpel 2016 in its exact form x·Φ(x)
    (GPT-2 and some others take an approximation by tanh). The hidden layer is `ratio`·D wide.
    """

    def __init__(self, dim: int, ratio: float = 4.0) -> None:
        super().__init__()
        hidden = round(dim * ratio)
        if hidden < 1:
            raise ValueError(f"the hidden width must be at least 1, but {ratio} · {dim} is less")
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(gelu(self.fc1(x)))
