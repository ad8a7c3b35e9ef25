"""Residual networks: let each block say what to change in its input, not what to replace it by.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016.
Idea: a block computes x + F(x), so that an unneeded block only has to learn F = 0, and gradients
reach the first layers undiminished along the sum. Plain stacks of 34 layers learn worse than of 18;
residual ones better.

Lesson     notebooks/06_vit.ipynb
Reference  torchvision and timm resnet18, 34 and 50: outputs, gradients, running statistics
Recipe     §3.4, on ImageNet: SGD, momentum 0.9, batch 256, rate 0.1 divided by 10 when the error
           stops falling, weight decay 1e-4, 600,000 steps, crops of 224 pixels.
Differs
  * No classifier; what comes out is the mean of the last feature map.
  * Bottlenecks halve the picture in their 3×3 convolution, not in the first 1×1 (as torchvision;
    "v1.5"). Shortcuts that change shape are 1×1 convolutions (the paper's option B).
  * Filters start with a spread by fan-out, shifts at 0, scales at 1, as in torchvision.
  * SMALL is not the paper's: for pictures of 32 to 64 pixels, a 3×3 stem of stride 2 without
    pooling, and three stages of one block each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import max_pool2d, relu

from course_lib.blocks.batches import check_batch
from course_lib.blocks.convert import load_reference


@dataclass(frozen=True)
class Config:
    blocks: tuple[int, ...]  # how many in each stage; each stage after the first halves H and W
    channels: tuple[int, ...] = (64, 128, 256, 512)  # of the 3×3 convolutions in each stage
    bottleneck: bool = False  # 1×1, 3×3, 1×1 with four times the channels coming out
    small_stem: bool = False  # 3×3 stride 2, instead of 7×7 stride 2 and 3×3 max-pooling stride 2

    def __post_init__(self) -> None:
        if len(self.blocks) != len(self.channels) or not self.blocks or min(self.blocks) < 1:
            raise ValueError(
                "each stage needs its number of blocks, at least 1, and its channels, but "
                f"{self.blocks} and {self.channels} were given"
            )


TINY = Config(blocks=(1, 1), channels=(8, 16), small_stem=True)
SMALL = Config(blocks=(1, 1, 1), channels=(64, 128, 256), small_stem=True)
RESNET18 = Config(blocks=(2, 2, 2, 2))
RESNET34 = Config(blocks=(3, 4, 6, 3))
RESNET50 = Config(blocks=(3, 4, 6, 3), bottleneck=True)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut: (B, C, H, W) → (B, C', H / stride, W / stride)."""

    expansion = 1

    def __init__(self, inside: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inside, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(inside, channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = relu(self.bn1(self.conv1(x)))
        change = self.bn2(self.conv2(change))
        return relu(self.downsample(x) + change)


class Bottleneck(nn.Module):
    """A 3×3 convolution between two cheap 1×1: (B, C, H, W) → (B, 4 C', H / stride, W / stride)."""

    expansion = 4

    def __init__(self, inside: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inside, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv(channels, channels, 3, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = _conv(channels, 4 * channels, 1)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = _shortcut(inside, 4 * channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = relu(self.bn1(self.conv1(x)))
        change = relu(self.bn2(self.conv2(change)))
        change = self.bn3(self.conv3(change))
        return relu(self.downsample(x) + change)


def _conv(inside: int, out: int, size: int, stride: int = 1) -> nn.Conv2d:
    """Without a bias: the batch norm behind it has one."""
    return nn.Conv2d(inside, out, size, stride, padding=size // 2, bias=False)


def _shortcut(inside: int, out: int, stride: int) -> nn.Module:
    """The input itself, or a 1×1 convolution where the shape changes."""
    if stride == 1 and inside == out:
        return nn.Identity()
    return nn.Sequential(_conv(inside, out, 1, stride), nn.BatchNorm2d(out))


class ResNet(nn.Module):
    """Pictures float32 (B, 3, H, W), scaled as the weights were trained → features (B, D)."""

    def __init__(self, config: Config = SMALL) -> None:
        super().__init__()
        self.config = config
        block = Bottleneck if config.bottleneck else BasicBlock
        inside = config.channels[0]
        self.conv1 = _conv(3, inside, 3 if config.small_stem else 7, 2)
        self.bn1 = nn.BatchNorm2d(inside)
        self.stages = len(config.blocks)
        # Named layer1, layer2, … as in torchvision, so that its weights need no renaming.
        for stage, (count, channels) in enumerate(zip(config.blocks, config.channels, strict=True)):
            layers = []
            for index in range(count):
                layers.append(block(inside, channels, 2 if stage > 0 and index == 0 else 1))
                inside = channels * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.dim = inside  # D
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al.: Delving Deep into Rectifiers, eq. 14
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def feature_maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Images (B, 3, H, W) → what comes out of each stage, (B, C, h, w), the finest first.

        Raises TypeError for integer pictures, ValueError for another number of channels.
        """
        check_batch(images)
        # A pixel's channels side by side in memory: in bfloat16 a step is up to 1.7 × faster.
        images = images.contiguous(memory_format=torch.channels_last)
        x = relu(self.bn1(self.conv1(images)))
        if not self.config.small_stem:
            x = max_pool2d(x, 3, stride=2, padding=1)
        maps = []
        for stage in range(self.stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            maps.append(x)
        return maps

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → features (B, D), the mean over the last feature map."""
        return self.feature_maps(images)[-1].mean(dim=(2, 3))


NAMES = ("conv1.*", "bn1.*", "layer*.*.conv*.*", "layer*.*.bn*.*", "layer*.*.downsample.*.*")


def from_reference(state_dict: Mapping[str, torch.Tensor], config: Config) -> ResNet:
    """Weights of torchvision's or timm's resnet18, 34 or 50 → the same network here, no classifier.

    `config` is RESNET18, RESNET34 or RESNET50 (the references' own is only a name). Raises
    ValueError for names or shapes that do not fit.
    """
    return load_reference(
        ResNet(config), state_dict, {name: name for name in NAMES}, ignored=["fc.*"]
    )
