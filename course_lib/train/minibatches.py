"""Batches as a function of the step: `batches(step, generator) -> batch`.

An iterator remembers where it is, and forgets it in a kill. A function of the step has nothing to
remember: a run that goes on at step 500 gets the batch that it would have got. `generator` is on
the CPU and belongs to this step of this seed; what is random in a batch is drawn from it.

A batch is a tensor (B, …), or a tuple, list or dict of such.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Batches = Callable[[int, torch.Generator], Any]


def step_seed(seed: int, step: int, stream: int = 0) -> int:
    """A number for (seed, step) that shares nothing with its neighbours'; stream 0: the batch."""
    return int(np.random.SeedSequence([seed, step, stream]).generate_state(1, np.uint64)[0] >> 1)


def minibatches(*arrays: torch.Tensor | np.ndarray, batch_size: int, seed: int = 0) -> Batches:
    """Arrays (N, …) → `batches`: shuffled anew each epoch, each example once; no last part batch.

    A batch is a tuple of tensors (batch_size, …), or one tensor for one array. Augment around it:
    `lambda step, generator: two_views(draw(step, generator), generator)`.
    """
    sizes = {len(array) for array in arrays}
    if len(sizes) != 1:
        raise ValueError(f"arrays of one length are expected, but these have {sorted(sizes)}")
    (size,) = sizes
    if not 1 <= batch_size <= size:
        raise ValueError(f"a batch must have from 1 to {size} examples, but {batch_size} was given")
    tensors = [torch.as_tensor(array) for array in arrays]
    per_epoch = size // batch_size

    def draw(step: int, generator: torch.Generator) -> Any:
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng([seed, epoch]).permutation(size)
        rows = torch.from_numpy(order[place * batch_size : (place + 1) * batch_size])
        batch = tuple(tensor[rows.to(tensor.device)] for tensor in tensors)
        return batch if len(batch) > 1 else batch[0]

    return draw


def batch_size(batch: Any) -> int:
    """B, the length of the first tensor. Raises ValueError if there is none, or nothing in it."""
    if isinstance(batch, torch.Tensor) and batch.ndim:
        if len(batch) == 0:
            raise ValueError(f"the batch is empty: its shape is {tuple(batch.shape)}")
        return len(batch)
    parts = batch.values() if isinstance(batch, dict) else batch
    if isinstance(parts, (tuple, list)) or isinstance(batch, dict):
        for part in parts:
            return batch_size(part)
    raise ValueError(f"a batch must hold tensors (B, …), but {type(batch).__name__} was given")


def moved(batch: Any, device: torch.device) -> Any:
    """The same batch on `device`."""
    return each_tensor(batch, lambda tensor: tensor.to(device, non_blocking=True))


def each_tensor(batch: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same batch with every tensor changed; what is no tensor stays."""
    if isinstance(batch, dict):
        return {name: each_tensor(part, change) for name, part in batch.items()}
    if isinstance(batch, (tuple, list)):
        return type(batch)(each_tensor(part, change) for part in batch)
    return change(batch) if isinstance(batch, torch.Tensor) else batch
