"""Crop, resize, flip and blur a batch of pictures, each with its own box or sigma, as two products.

All of these are linear and separable: a picture X becomes R X Cᵀ, with one small matrix for its
rows and one for its columns. So a batch is two batched matrix products, on any device, and exact.
Pictures are float32 (B, 3, H, W).
"""

from __future__ import annotations

import torch


def separable(images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W), (B, h, H), (B, w, W) → (B, 3, h, w): R X Cᵀ for each picture and channel."""
    B, C, H, W = images.shape
    across = torch.bmm(images.reshape(B, C * H, W), columns.mT).view(B, C, H, -1)
    return rows[:, None] @ across


def crop_matrix(
    start: torch.Tensor, length: torch.Tensor, source: int, size: int, flip: torch.Tensor
) -> torch.Tensor:
    """Boxes [start, start + length) (B,) of `source` pixels → (B, size, source): crop and resize.

    Row i is the triangle filter around the box's position (i + ½) · length / size, as wide as the
    reduction demands (antialiasing) and at least one pixel, cut at the box and normalised: bilinear
    with antialias=True in torchvision. Where `flip` (B,) is True, the rows are in reverse.
    """
    scale = (length / size).view(-1, 1, 1)
    i = torch.arange(size, device=start.device).view(1, -1, 1)
    i = torch.where(flip.view(-1, 1, 1), size - 1 - i, i)
    j = torch.arange(source, device=start.device) - start[:, None]
    outside = (j < 0) | (j >= length[:, None])
    j = (j + 0.5).masked_fill_(outside, torch.inf)[:, None]  # infinitely far: no weight
    weights = (j - scale * (i + 0.5)).abs_().neg_().add_(scale.clamp(min=1)).clamp_(min=0)
    return weights.div_(weights.sum(dim=2, keepdim=True))


def resized_crop(
    images: torch.Tensor, boxes: torch.Tensor, size: int, flip: torch.Tensor
) -> torch.Tensor:
    """(B, 3, H, W), whole-pixel boxes (B, 4) (top, left, height, width) → (B, 3, size, size).

    Where `flip` (B,) is True, the picture is then mirrored left to right.
    """
    H, W = images.shape[-2:]
    top, left, height, width = boxes.unbind(dim=1)
    rows = crop_matrix(top, height, H, size, torch.zeros_like(flip))
    columns = crop_matrix(left, width, W, size, flip)
    return separable(images, rows, columns)


def blur_matrix(sigma: torch.Tensor, kernel: int, size: int) -> torch.Tensor:
    """Sigmas (B,) in pixels, odd kernel length → (B, size, size): Gaussian, borders reflected."""
    taps = torch.arange(kernel, device=sigma.device) - kernel // 2
    weights = torch.softmax(-0.5 * (taps / sigma[:, None]) ** 2, dim=1)
    reached = (torch.arange(size, device=sigma.device) + taps[:, None]).abs()
    reached = (size - 1) - ((size - 1) - reached).abs()  # … 2 1 0 1 2 … and the same at the end
    shifts = torch.nn.functional.one_hot(reached, size).to(weights.dtype)  # (kernel, size, size)
    return (weights @ shifts.view(kernel, -1)).view(-1, size, size)


def gaussian_blur(images: torch.Tensor, sigma: torch.Tensor, kernel: int) -> torch.Tensor:
    """(B, 3, H, W), sigmas (B,) in pixels → blurred, as torchvision's gaussian_blur.

    The kernel must be odd and at most 2 · side − 1 long, else what is reflected leaves the picture:
    ValueError.
    """
    H, W = images.shape[-2:]
    if kernel % 2 == 0 or not 0 < kernel < 2 * min(H, W):
        raise ValueError(
            f"the kernel must be odd and from 1 to {2 * min(H, W) - 1} pixels long for pictures "
            f"of {H} × {W}, but {kernel} was given"
        )
    rows = blur_matrix(sigma, kernel, H)
    return separable(images, rows, rows if H == W else blur_matrix(sigma, kernel, W))
