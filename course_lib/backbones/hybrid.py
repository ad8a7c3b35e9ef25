"""A residual network's map as the patches of a transformer: what a pixel shows, then who is where.

Dosovitskiy et al.: An Image is Worth 16x16 Words, ICLR 2021, §3.1 ("hybrid architecture").
Idea: 16 × 16 raw pixels in one linear map say little about a shape. Convolutions that have learned
to see give a map of H/16 × W/16 places; each place is a patch token, and the transformer goes on.

    network = vit.ViT(vit.Config(image_size=64, patch_size=16, dim=128, depth=2, heads=4))
    network.patches = Places(trunk_config, 128)

Reference  timm HybridEmbed: outputs, gradients
Differs
  * The residual network is CLIP's, of course_lib.backbones.modified_resnet, without its pool.
  * Its batch norms stand still, always in evaluation mode: what it has learned before, and its slow
    copies, stay what they are.
"""

from __future__ import annotations

import torch
from torch import nn

from course_lib.backbones import modified_resnet


class Places(nn.Module):
    """Images (B, 3, H, W) → a token for each place of the last map, row by row, (B, N, D)."""

    def __init__(self, trunk: modified_resnet.Config, dim: int) -> None:
        super().__init__()
        self.trunk = modified_resnet.ModifiedResNet(trunk)
        self.trunk.pool = nn.Identity()  # nobody asks for the one vector
        self.projection = nn.Linear(4 * trunk.width * 2 ** (len(trunk.blocks) - 1), dim)
        self.train()

    def train(self, mode: bool = True) -> Places:
        """Training mode for all but the trunk's batch norms."""
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.projection(self.trunk.feature_maps(images)[-1].flatten(2).transpose(1, 2))
