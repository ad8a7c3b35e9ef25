"""A teacher that is the slow average of its student: no gradient ever reaches it.

Tarvainen, Valpola: Mean teachers are better role models, NeurIPS 2017; BYOL (2020), MoCo (2020) and
DINO (2021) take it up.

A teacher has two modes, like any network, and a paper chooses. Without BatchNorm (DINO's ViT) it
runs in `eval()`: then it drops no branches. With BatchNorm (BYOL, MoCo) it stays in `train()` and
normalises by its own batch: `follow` moves parameters only, so that in `eval()` its running
statistics would for ever be those of the first step.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def slow_copy(student: Module) -> Module:
    """A teacher that starts as its student is now, and whose parameters no optimiser trains."""
    return deepcopy(student).requires_grad_(False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """teacher ← momentum · teacher + (1 − momentum) · student, in place, for all parameters.

    Buffers (BatchNorm's statistics) are each network's own. Raises ValueError for a momentum
    outside 0 to 1, or for networks of different parameters.
    """
    if not 0 <= momentum <= 1:
        raise ValueError(f"the momentum must lie from 0 to 1, but {momentum} was given")
    theirs, ours = dict(teacher.named_parameters()), dict(student.named_parameters())
    if [(k, v.shape) for k, v in theirs.items()] != [(k, v.shape) for k, v in ours.items()]:
        raise ValueError("a teacher follows a student of the same build, but these two differ")
    torch._foreach_lerp_(list(theirs.values()), list(ours.values()), 1 - momentum)
