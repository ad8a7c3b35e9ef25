"""hybrid: places of a residual network's map as patches, beside timm's HybridEmbed."""

from __future__ import annotations

import pytest
import torch
from timm.layers.hybrid_embed import HybridEmbed
from torch import nn

from course_lib.backbones import modified_resnet, vit
from course_lib.backbones.hybrid import Places
from course_lib.blocks.ema import slow_copy

TRUNK = modified_resnet.Config(image_size=32, blocks=(1, 1), width=8, heads=4, out=16)


class LastMap(nn.Module):
    """What timm calls a backbone."""

    def __init__(self, trunk: modified_resnet.ModifiedResNet) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.trunk.feature_maps(x)[-1]


def lively() -> Places:
    """Places in float64 whose blocks are not mere shortcuts, with statistics of batch norms."""
    torch.manual_seed(0)
    places = Places(TRUNK, 12).double()
    for module in places.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return places


def test_tokens_and_gradients_equal_timm() -> None:
    ours = lively().float()
    theirs = HybridEmbed(LastMap(ours.trunk), img_size=(32, 48), embed_dim=12)
    ours, theirs = ours.double(), theirs.double().eval()  # batch norms, too
    with torch.no_grad():
        theirs.proj.weight.copy_(ours.projection.weight[:, :, None, None])
        theirs.proj.bias.copy_(ours.projection.bias)
    images = torch.rand(3, 3, 32, 48, dtype=torch.float64)
    ours.train()
    grads = []
    for network in (ours, theirs):
        out = network(images)
        assert out.shape == (3, 4 * 6, 12)
        grads.append((out, *torch.autograd.grad(out.square().sum(), ours.trunk.parameters())))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_a_transformer_goes_on_from_the_places() -> None:
    torch.manual_seed(0)
    network = vit.ViT(vit.Config(image_size=32, patch_size=8, dim=12, depth=1, heads=2))
    network.patches = lively().float()
    images = torch.rand(2, 3, 32, 32)
    expected = network.encode(network.patches(images) + network.positions)
    torch.testing.assert_close(network.tokens(images), expected, rtol=0, atol=0)
    assert network.tokens(images).shape == (2, 1 + 16, 12)


@pytest.mark.parametrize("mode", [True, False])
def test_batch_norms_stand_still(mode: bool) -> None:
    places = lively().train(mode)
    before = {name: b.clone() for name, b in places.named_buffers()}
    images = torch.rand(4, 3, 32, 32, dtype=torch.float64)
    out = places(images)
    torch.testing.assert_close(out[:1], places(images[:1]))  # no picture depends on the others
    torch.testing.assert_close(slow_copy(places)(images), out, rtol=0, atol=0)
    for name, buffer in places.named_buffers():
        torch.testing.assert_close(buffer, before[name], rtol=0, atol=0)
