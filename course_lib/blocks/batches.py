"""What counts as a batch of pictures for a network."""

from __future__ import annotations

import torch


def check_batch(images: torch.Tensor, channels: int = 3, multiple: int = 1) -> torch.Tensor:
    """Return `images` if it is a float tensor (B, channels, H, W), else raise one sentence.

    H and W must be multiples of `multiple`, and at least that. Raises TypeError or ValueError.
    """
    if not isinstance(images, torch.Tensor) or not images.is_floating_point():
        got = images.dtype if hasattr(images, "dtype") else type(images).__name__
        raise TypeError(
            f"a network takes float tensors, but {got} was given; "
            "course_lib.blocks.images.to_tensor makes one from uint8 pictures"
        )
    if images.ndim != 4 or images.shape[1] != channels:
        raise ValueError(
            f"a batch of pictures must have shape (B, {channels}, H, W), "
            f"but {tuple(images.shape)} was given"
        )
    H, W = images.shape[2:]
    if min(H, W) < multiple or H % multiple or W % multiple:
        raise ValueError(
            f"height and width must be multiples of {multiple} pixels, but {H} × {W} was given"
        )
    return images
