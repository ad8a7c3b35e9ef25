"""What several processes know together: the tensors of all ranks, with their gradients.

A contrastive loss needs the negatives of the whole batch, a centre the mean over it; with one
process for each device every rank holds a shard. Without a process group each function is the
identity: a paper is written once, for any number of ranks.

A loss is a mean over examples, and all shards are equally large: then the mean of the ranks' losses
is the loss of the whole batch, and the mean of their gradients is its gradient. For that a
gradient must find its way back to the rank that made the tensor, which torch's own
`torch.distributed.all_gather` cuts off: a contrastive loss still runs then, and learns from
gradients that are wrong.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch.autograd.function import FunctionCtx


def world_size() -> int:
    """How many processes train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0; 0 without a process group."""
    return dist.get_rank() if world_size() > 1 else 0


def gather(tensor: torch.Tensor) -> torch.Tensor:
    """(B, …) on each of R ranks → (R · B, …) on all, in the order of ranks, with gradient.

    Own rows begin at rank() · B. ValueError if the tensor has no rows to join; the ranks' shapes
    must be equal.
    """
    if tensor.ndim == 0:
        raise ValueError(
            "gather joins rows, so a tensor (B, …) is expected, but a scalar was given"
        )
    return _Gather.apply(tensor) if world_size() > 1 else tensor


def mean_across(tensor: torch.Tensor) -> torch.Tensor:
    """The mean over the ranks of a float tensor of any (equal) shape, with gradient."""
    if not tensor.is_floating_point():
        raise TypeError(f"a mean needs a float tensor, but {tensor.dtype} was given")
    return _Mean.apply(tensor) if world_size() > 1 else tensor


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, tensor: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(tensor.contiguous()) for _ in range(world_size())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.contiguous().clone()  # every rank's loss depends on this rank's rows
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.contiguous().clone()
        dist.all_reduce(total)
        return total / world_size()

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        return _Mean.forward(ctx, gradient)  # the mean is its own transpose
