"""What counts as a batch for a network: of pictures, or of texts as ids."""

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


def check_ids(
    name: str, ids: torch.Tensor, limit: int, shape: torch.Size | None = None
) -> torch.Tensor:
    """Return `ids` if it is int64 (B, L), 0 to limit − 1, else raise ValueError in one sentence.

    `shape`: that of the tokens, where `ids` go with them; `name`: what the sentence calls them.
    """
    shape = ids.shape if shape is None else shape
    if ids.dtype != torch.int64 or ids.shape != shape or len(shape) != 2 or 0 in shape:
        wanted = "the tokens' shape (B, L)" if name != "tokens" else "shape (B, L), none of them 0"
        got = f"{ids.dtype} of shape {tuple(ids.shape)}"
        raise ValueError(f"{name} must be int64 of {wanted}, but {got} was given")
    if not ids.is_meta and not 0 <= ids.min() <= ids.max() < limit:
        got = f"{int(ids.min())} to {int(ids.max())}"
        raise ValueError(f"{name} must be 0 to {limit - 1}, but {got} were given")
    return ids
