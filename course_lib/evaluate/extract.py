"""From pictures to features: run an encoder over all of them, and leave it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from tqdm import tqdm

from course_lib.blocks.images import to_tensor


def extract(
    encode: Callable[[torch.Tensor], torch.Tensor],
    images: np.ndarray | torch.Tensor,
    batch_size: int = 256,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> np.ndarray:
    """uint8 (N, H, W, 3), or float tensor (N, 3, H, W) in 0 to 1 → features, float32 (N, D).

    `encode` is a module, a method of one, or any function (B, 3, H, W) → (B, D). A module computes
    in evaluation mode and without gradients; afterwards each of its parts has its own mode again.
    Batches go to `device`, by default to where the module's parameters are. Raises ValueError for
    other shapes, and for features that are not finite, with the number of the first such picture.
    """
    _check(images, batch_size)
    module = _module(encode)
    if device is None:
        device = next((p.device for p in module.parameters()), "cpu") if module else "cpu"
    starts, features = range(0, len(images), batch_size), None
    with _evaluating(module), torch.no_grad():
        for start in tqdm(starts, "extract", leave=False, disable=not progress):
            batch = images[start : start + batch_size]
            batch = batch.float() if isinstance(batch, torch.Tensor) else to_tensor(batch)
            encoded = _features(encode(batch.to(device)), len(batch), start)
            if features is None:
                features = np.empty((len(images), encoded.shape[1]), np.float32)
            features[start : start + len(batch)] = encoded
    return features


def _check(images: np.ndarray | torch.Tensor, batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"the batch size must be 1 or more, but {batch_size} was given")
    if isinstance(images, torch.Tensor):
        good = images.ndim == 4 and images.shape[1] == 3 and images.is_floating_point()
    elif isinstance(images, np.ndarray):
        good = images.ndim == 4 and images.shape[3] == 3 and images.dtype == np.uint8
    else:
        good = False
    if not good or 0 in images.shape:
        shape = tuple(getattr(images, "shape", ()))
        kind = getattr(images, "dtype", type(images).__name__)
        raise ValueError(
            "pictures must be uint8 of shape (N, H, W, 3), or a float tensor of shape "
            f"(N, 3, H, W), and at least one, but {kind} of shape {shape} was given"
        )


def _module(encode: Callable) -> torch.nn.Module | None:
    owner = encode if isinstance(encode, torch.nn.Module) else getattr(encode, "__self__", None)
    return owner if isinstance(owner, torch.nn.Module) else None


@contextmanager
def _evaluating(module: torch.nn.Module | None) -> Iterator[None]:
    """Evaluation mode; afterwards every part is as before, also one that was frozen by itself."""
    modes = [(part, part.training) for part in module.modules()] if module else []
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _features(encoded: torch.Tensor, n: int, start: int) -> np.ndarray:
    if not isinstance(encoded, torch.Tensor) or encoded.ndim != 2 or len(encoded) != n:
        got = tuple(encoded.shape) if isinstance(encoded, torch.Tensor) else type(encoded).__name__
        raise ValueError(f"the encoder must return a tensor of shape ({n}, D), but gave {got}")
    encoded = encoded.float().cpu().numpy()
    if not np.isfinite(encoded).all():
        first = start + int((~np.isfinite(encoded).all(axis=1)).argmax())
        raise ValueError(
            "features must be finite, but the encoder gave NaN or infinity, "
            f"first for picture {first}"
        )
    return encoded
