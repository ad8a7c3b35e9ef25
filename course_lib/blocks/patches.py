"""A picture as a sequence of square patches, and back.

Patches run row by row from the top left. The numbers of one patch are ordered (p, q, c): row and
column inside the patch, then colour (He et al.: Masked Autoencoders, CVPR 2022, official code).
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import nn

from course_lib.blocks.batches import check_batch


def patchify(images: torch.Tensor, size: int) -> torch.Tensor:
    """Images float (B, C, H, W) → patches (B, N, size·size·C), N = (H / size)·(W / size).

    Raises ValueError if the sides are no multiples of `size` pixels.
    """
    channels = images.shape[1] if images.ndim == 4 else 3
    check_batch(images, channels, multiple=size)
    return rearrange(images, "B C (h p) (w q) -> B (h w) (p q C)", p=size, q=size)


def unpatchify(patches: torch.Tensor, grid: tuple[int, int], channels: int = 3) -> torch.Tensor:
    """Patches (B, N, size·size·C), grid (rows, columns) of N patches → images (B, C, H, W)."""
    h, w = grid
    size = round((patches.shape[-1] / channels) ** 0.5)
    if patches.ndim != 3 or patches.shape[1:] != (h * w, size * size * channels):
        raise ValueError(
            f"patches must have shape (B, {h}·{w}, size·size·{channels}), "
            f"but {tuple(patches.shape)} was given"
        )
    return rearrange(
        patches, "B (h w) (p q C) -> B C (h p) (w q)", h=h, w=w, p=size, q=size, C=channels
    )


class PatchEmbed(nn.Module):
    """One linear map of every patch, as a convolution with stride = size: ViT, eq. 1.

    The same as a linear layer on `patchify`, but faster, and its weights (D, C, size, size) are
    the filters that one likes to look at.
    """

    def __init__(self, size: int, dim: int, channels: int = 3) -> None:
        super().__init__()
        self.size = size
        self.projection = nn.Conv2d(channels, dim, kernel_size=size, stride=size)

    @torch.no_grad()
    def expect(self, mean: float, deviation: float) -> None:
        """Fold a normalisation of the pixels into the filters, in place: once, before training.

        From then on pictures x in 0 to 1 give what (x − mean) / deviation gave before. Without it
        the brightness that all pictures share is most of what a young network says of each.
        """
        if not deviation > 0:
            raise ValueError(f"the deviation of pixels must be above 0, but it is {deviation}")
        weight, bias = self.projection.weight, self.projection.bias
        if bias is None:
            raise ValueError("a mean is taken off by the bias, but these patches have none")
        weight.div_(deviation)
        bias.sub_(mean * weight.sum(dim=(1, 2, 3)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images float (B, C, H, W) → tokens (B, N, D). Raises as `check_batch`."""
        check_batch(images, self.projection.in_channels, multiple=self.size)
        return self.projection(images).flatten(2).transpose(1, 2)
