"""The same run on several processes: what `fit` needs beside `course_lib.blocks.gather`.

    if __name__ == "__main__":
        with process_group():
            fit(model, batches, 100, train_step=train_step)

    torchrun --nproc-per-node 2 train.py        (or: python -m torch.distributed.run …)

Every rank makes the same global batch, for it depends on seed and step alone, and keeps its shard.
The gradients are averaged before clipping, so all ranks take the same step: the weights stay equal
without being sent again. The same file runs without torchrun as one process.

BatchNorm normalises by the shard, so two ranks give another run than one; its running statistics
are those of rank 0, whose weights are saved. On GPUs
`torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)` normalises by the global batch; on CPUs torch
refuses it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

from course_lib.blocks.gather import rank, world_size
from course_lib.train.minibatches import each_tensor


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that torchrun has started, nccl on CUDA and gloo elsewhere; else nothing.

    With CUDA each process takes the device of its LOCAL_RANK.
    """
    if "WORLD_SIZE" not in os.environ:
        yield
        return
    on_gpu = torch.cuda.is_available() and os.environ.get("COURSE_DEVICE", "cuda") != "cpu"
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def shard(batch: Any) -> Any:
    """This rank's rows of each tensor (B, …) in a batch (tensor, or tuple, list, dict of them).

    Rank r of R has rows r · B/R to (r + 1) · B/R − 1. ValueError unless R divides B.
    """

    def rows(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim == 0 or len(tensor) % world_size():
            raise ValueError(
                f"a batch must divide among {world_size()} processes, "
                f"but a tensor of shape {tuple(tensor.shape)} was given"
            )
        return tensor.chunk(world_size())[rank()]

    return each_tensor(batch, rows) if world_size() > 1 else batch


def average_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Replace each gradient by its mean over the ranks, in one message.

    A parameter that only some ranks have used counts with a gradient of zero on the others; one
    that no rank has used keeps none.
    """
    if world_size() == 1:
        return
    used = torch.tensor(
        [float(p.grad is not None) for p in parameters], device=parameters[0].device
    )
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    message = torch.cat([used, *(grad.flatten().float() for grad in grads)])
    dist.all_reduce(message)
    message /= world_size()
    used, *means = message.split([len(used), *(grad.numel() for grad in grads)])
    for parameter, mean, share in zip(parameters, means, used.tolist(), strict=True):
        if share:
            parameter.grad = mean.view_as(parameter).to(parameter.dtype)


def same_start(model: torch.nn.Module) -> None:
    """Give every rank the parameters and buffers of rank 0."""
    if world_size() > 1:
        for tensor in (*model.parameters(), *model.buffers()):
            dist.broadcast(tensor.data, src=0)
