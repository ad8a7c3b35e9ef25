"""CLIP's residual network: it shrinks by averaging, and attention takes the last mean's place.

Radford et al.: Learning Transferable Visual Models From Natural Language Supervision, ICML 2021,
§2.4. He et al.: Bag of Tricks for Image Classification with Convolutional Neural Networks, CVPR
2019 (the stem, "ResNet-D"). Zhang: Making Convolutional Networks Shift-Invariant Again, ICML 2019.
Idea: a convolution of stride 2 looks at every second place and aliases; averaging 2 × 2 places
first does not. And what is worth seeing in the last map is not the same in each picture: its mean
asks one question of all places, and attention weighs them.

Lesson     notebooks/11_clip.ipynb
Reference  open_clip ModifiedResNet: outputs, gradients, running statistics
Recipe     that of course_lib.vision_language.clip.
Differs
  * The pool computes one query, the mean's, in place of all whose answers are thrown away.
  * Positions of the pool for another picture size: see course_lib.blocks.positions.resize.
  * Filters start with a spread by fan-out, as in course_lib.backbones.resnet (the authors: torch's
    default). As theirs: the last scale of each block starts at 0, so that a block begins as its
    shortcut; layers of the pool have σ = 1/√C, its positions too.
  * TINY is not the authors'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, relu

from course_lib.blocks.attention import attend, attention_weights
from course_lib.blocks.batches import check_batch
from course_lib.blocks.convert import load_reference
from course_lib.blocks.positions import resize


@dataclass(frozen=True)
class Config:
    image_size: int = 224  # pixels, the side for which the pool's positions are made
    blocks: tuple[int, ...] = (3, 4, 6, 3)  # in each stage; each after the first halves H and W
    width: int = 64  # of the stem; the 3×3 convolutions of stage s = 0, 1, … have width · 2^s
    heads: int = 32  # of the attention pool
    out: int = 1024  # E, the width of the features

    def __post_init__(self) -> None:
        if not self.blocks or min(self.blocks) < 1 or self.width < 2 or self.width % 2:
            raise ValueError(
                "each stage needs at least one block, and the stem an even width, but "
                f"{self.blocks} and {self.width} were given"
            )
        if self.image_size < self.stride or self.image_size % self.stride:
            raise ValueError(
                f"the image size must be a multiple of {self.stride}, by which {len(self.blocks)} "
                f"stages shrink a picture, but it is {self.image_size} pixels"
            )

    @property
    def stride(self) -> int:
        """How many pixels lie between two places of the last map."""
        return 4 * 2 ** (len(self.blocks) - 1)


TINY = Config(image_size=64, blocks=(1, 1, 1), width=16, heads=4, out=128)
RN50 = Config()
RN101 = Config(blocks=(3, 4, 23, 3), out=512)


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 around a shortcut, both averaged: (B, C, H, W) → (B, 4 C', H / s, W / s).

    All convolutions have stride 1. Where the block shrinks, s × s places become their mean.
    """

    def __init__(self, inside: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(inside, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = nn.Identity()
        if stride > 1 or inside != 4 * channels:
            conv = nn.Conv2d(inside, 4 * channels, 1, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(4 * channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = relu(self.bn1(self.conv1(x)))
        change = relu(self.bn2(self.conv2(change)))
        change = self.bn3(self.conv3(self._smaller(change)))
        return relu(self.downsample(self._smaller(x)) + change)

    def _smaller(self, x: torch.Tensor) -> torch.Tensor:
        return avg_pool2d(x, self.stride) if self.stride > 1 else x


class AttentionPool(nn.Module):
    """The mean of all places asks, and all places and the mean answer: (B, C, h, w) → (B, E)."""

    def __init__(self, grid: tuple[int, int], dim: int, heads: int, out: int) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(
                f"the pool's width must be a multiple of its heads, but {dim} and {heads} "
                "were given"
            )
        self.grid, self.heads = grid, heads
        self.positions = nn.Parameter(torch.empty(1 + grid[0] * grid[1], dim))  # the mean's first
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, out)
        nn.init.normal_(self.positions, std=dim**-0.5)
        for layer in (self.query, self.key, self.value, self.out):
            nn.init.normal_(layer.weight, std=dim**-0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, last: torch.Tensor) -> torch.Tensor:
        tokens = self._tokens(last)
        q, k, v = self._split(self.query(tokens[:, :1])), self.key(tokens), self.value(tokens)
        return self.out(attend(q, self._split(k), self._split(v)).flatten(1))

    def weights(self, last: torch.Tensor) -> torch.Tensor:
        """Last map (B, C, h, w) → who is listened to, (B, heads, 1 + h·w), the mean first."""
        tokens = self._tokens(last)
        q, k = self._split(self.query(tokens[:, :1])), self._split(self.key(tokens))
        return attention_weights(q, k)[:, :, 0]

    def _tokens(self, last: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) → the mean and the places with their positions, (B, 1 + h·w, C)."""
        places = last.flatten(2).transpose(1, 2)
        where = resize(self.positions[1:], self.grid, tuple(last.shape[2:]))
        mean = places.mean(dim=1, keepdim=True) + self.positions[:1]
        return torch.cat([mean, places + where], dim=1)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, C) → (B, heads, T, C / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class ModifiedResNet(nn.Module):
    """Pictures float32 (B, 3, H, W), scaled as the weights were trained → features (B, E).

    H and W may be any multiples of the config's `stride`.
    """

    def __init__(self, config: Config = TINY) -> None:
        super().__init__()
        c, half = config, config.width // 2
        self.config, self.dim = c, c.out
        self.conv1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, c.width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(c.width)
        inside = c.width
        # Named layer1, layer2, … as in the reference.
        for stage, count in enumerate(c.blocks):
            layers, channels = [], c.width * 2**stage
            for index in range(count):
                layers.append(Bottleneck(inside, channels, 2 if stage > 0 and index == 0 else 1))
                inside = 4 * channels
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        side = c.image_size // c.stride
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al.: Delving Deep into Rectifiers, eq. 14
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)
        self.pool = AttentionPool((side, side), inside, c.heads, c.out)

    def feature_maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Images (B, 3, H, W) → what comes out of each stage, (B, C, h, w), the finest first.

        Raises TypeError for integer pictures, ValueError for other channels and sides.
        """
        check_batch(images, multiple=self.config.stride)
        # A pixel's channels side by side in memory, as in course_lib.backbones.resnet: faster.
        images = images.contiguous(memory_format=torch.channels_last)
        x = relu(self.bn1(self.conv1(images)))
        x = relu(self.bn2(self.conv2(x)))
        x = avg_pool2d(relu(self.bn3(self.conv3(x))), 2)
        maps = []
        for stage in range(len(self.config.blocks)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            maps.append(x)
        return maps

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → features (B, E)."""
        return self.pool(self.feature_maps(images)[-1])


NAMES = {
    **{f"{name}.*": f"{name}.*" for name in ("conv1", "conv2", "conv3", "bn1", "bn2", "bn3")},
    "layer*.*.conv*.*": "layer*.*.conv*.*",
    "layer*.*.bn*.*": "layer*.*.bn*.*",
    "layer*.*.downsample.*.*": "layer*.*.downsample.*.*",
    "attnpool.positional_embedding": "pool.positions",
    "attnpool.q_proj.*": "pool.query.*",
    "attnpool.k_proj.*": "pool.key.*",
    "attnpool.v_proj.*": "pool.value.*",
    "attnpool.c_proj.*": "pool.out.*",
}


def from_reference(state_dict: Mapping[str, torch.Tensor], config: Config) -> ModifiedResNet:
    """Weights of open_clip's or OpenAI's ModifiedResNet, without "visual." → the same network here.

    `config` is RN50 or RN101, or what the reference was built with. Raises ValueError for names or
    shapes that do not fit.
    """
    return load_reference(ModifiedResNet(config), state_dict, NAMES)
