"""backbones/modified_resnet, clip_names: averages by loops, attention by hand; open_clip's too."""

import math
import re
from dataclasses import replace

import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet as Reference
from torch import nn
from torch.nn.functional import cross_entropy

from course_lib.backbones import clip_names, vit
from course_lib.backbones.modified_resnet import (
    RN50,
    RN101,
    TINY,
    AttentionPool,
    Bottleneck,
    Config,
    ModifiedResNet,
    from_reference,
)
from course_lib.blocks.convert import rename

# Widths 8 … 256, 4 heads, 10 numbers come out.
SMALL = Config(image_size=64, blocks=(2, 1, 1, 2), width=8, heads=4, out=10)


@pytest.fixture(autouse=True)
def _everything_in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def perturbed(module: nn.Module) -> nn.Module:
    """No scale, shift or running statistic is 0 or 1, so that none can hide."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and tensor.ndim == 1:
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.add_(noise if name.endswith("var") else 0.2 * noise)
    return module


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def reference() -> Reference:
    torch.manual_seed(0)
    return perturbed(Reference([2, 1, 1, 2], 10, 4, 64, 8))


# ------------------------------------------------------------------------- shapes and small parts


def test_shapes() -> None:
    torch.manual_seed(0)
    model, images = ModifiedResNet(TINY), pictures(3, 3, 64, 96)
    maps = model.feature_maps(images)
    assert [tuple(m.shape) for m in maps] == [(3, 64, 16, 24), (3, 128, 8, 12), (3, 256, 4, 6)]
    assert model(images).shape == (3, model.dim) == (3, 128)
    assert model.pool.weights(maps[-1]).shape == (3, 4, 1 + 24)
    assert TINY.stride == 16
    assert RN50.stride == 32


def test_the_published_sizes() -> None:
    with torch.device("meta"):
        for config, blocks in ((RN50, [3, 4, 6, 3]), (RN101, [3, 4, 23, 3])):
            theirs = Reference(blocks, config.out, config.heads, 224, 64)
            ours = from_reference(theirs.state_dict(), config)
            assert ours(torch.zeros(2, 3, 224, 224)).shape == (2, config.out)
            count = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
            assert count[0] == count[1]


def normed(x: torch.Tensor, layer: nn.BatchNorm2d) -> torch.Tensor:
    mean, var, weight, bias = (
        tensor[:, None, None]
        for tensor in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def averaged(x: torch.Tensor) -> torch.Tensor:
    """2 × 2 places become one, place by place."""
    out = torch.empty(*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            corners = [x[:, :, 2 * i + a, 2 * j + b] for a in (0, 1) for b in (0, 1)]
            out[:, :, i, j] = sum(corners) / 4
    return out


@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_averages_before_its_last_convolution_and_its_shortcut(stride: int) -> None:
    torch.manual_seed(0)
    block, x = perturbed(Bottleneck(6, 4, stride)).eval(), torch.randn(2, 6, 6, 10)
    smaller = averaged if stride == 2 else (lambda x: x)
    inner = normed(block.conv1(x), block.bn1).clamp(min=0)
    inner = normed(block.conv2(inner), block.bn2).clamp(min=0)
    change = normed(block.conv3(smaller(inner)), block.bn3)
    conv, norm = block.downsample
    expected = (change + normed(conv(smaller(x)), norm)).clamp(min=0)
    assert torch.allclose(block(x), expected, atol=1e-12)
    assert all(m.stride == (1, 1) for m in block.modules() if isinstance(m, nn.Conv2d))


def test_the_stem_is_three_convolutions_and_an_average() -> None:
    torch.manual_seed(0)
    model, images = perturbed(ModifiedResNet(SMALL)).eval(), pictures(2, 3, 32, 64)
    x = normed(model.conv1(images), model.bn1).clamp(min=0)
    assert x.shape == (2, 4, 16, 32)
    x = normed(model.conv2(x), model.bn2).clamp(min=0)
    x = averaged(normed(model.conv3(x), model.bn3).clamp(min=0))
    assert torch.allclose(model.feature_maps(images)[0], model.layer1(x), atol=1e-10)


def test_the_pool_by_loops() -> None:
    torch.manual_seed(0)
    pool, last = AttentionPool((2, 3), 8, 2, 5), torch.randn(2, 8, 2, 3)
    for parameter in pool.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape)
    out, weights = pool(last), pool.weights(last)
    for b in range(2):
        places = [last[b, :, i, j] for i in range(2) for j in range(3)]
        tokens = [sum(places) / 6, *places]
        tokens = [t + p for t, p in zip(tokens, pool.positions, strict=True)]
        question = pool.query(tokens[0]).tolist()
        keys, values = [pool.key(t).tolist() for t in tokens], [pool.value(t) for t in tokens]
        heads = []
        for head in (slice(0, 4), slice(4, 8)):
            scores = [
                math.exp(sum(q * k for q, k in zip(question[head], key[head], strict=True)) / 2)
                for key in keys
            ]
            share = [s / sum(scores) for s in scores]
            found = weights[b, 0 if head.start == 0 else 1]
            assert torch.allclose(found, torch.tensor(share))
            heads.append(sum(w * value[head] for w, value in zip(share, values, strict=True)))
        assert torch.allclose(out[b], pool.out(torch.cat(heads)))


# ------------------------------------------------------------------------------------- invariants


def test_one_picture_is_the_same_alone_and_in_a_batch() -> None:
    model, images = perturbed(ModifiedResNet(SMALL)).eval(), pictures(3, 3, 64, 64)
    assert torch.allclose(model(images[1:2]), model(images)[1:2])


def test_without_positions_places_do_not_matter() -> None:
    torch.manual_seed(0)
    pool, last = AttentionPool((2, 3), 8, 2, 5), torch.randn(2, 8, 2, 3)
    mixed = last.flatten(2)[:, :, [3, 0, 5, 1, 4, 2]].unflatten(2, (2, 3))
    assert not torch.allclose(pool(mixed), pool(last))
    pool.positions.data.zero_()
    assert torch.allclose(pool(mixed), pool(last))


def test_a_block_begins_as_its_shortcut_and_the_pool_is_even() -> None:
    torch.manual_seed(0)
    model = ModifiedResNet(TINY)
    block, x = Bottleneck(16, 4, 1), torch.rand(2, 16, 5, 5)
    nn.init.zeros_(block.bn3.weight)
    assert torch.equal(block.eval()(x), x)
    assert all(not m.bn3.weight.any() for m in model.modules() if isinstance(m, Bottleneck))
    for name in ("positions", "query.weight", "key.weight", "value.weight", "out.weight"):
        assert model.pool.get_parameter(name).std().item() == pytest.approx(1 / 16, rel=0.05)
    filters = model.layer2[0].conv2.weight
    assert filters.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05)


def test_it_learns_one_batch_by_heart() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model = ModifiedResNet(Config(image_size=16, blocks=(1, 1), width=8, heads=2, out=16))
    head, images, labels = nn.Linear(16, 8), torch.rand(8, 3, 16, 16), torch.arange(8)
    optimiser = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=1e-2)
    losses = []
    for _ in range(60):
        loss = cross_entropy(head(model(images)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > 1.5  # ln 8 = 2.08
    assert losses[-1] < 0.1


# --------------------------------------------------------------------------------------- parity


def test_equals_open_clip_in_outputs_gradients_and_statistics() -> None:
    theirs, images = reference(), pictures(3, 3, 64, 64)
    ours = from_reference(theirs.state_dict(), SMALL)
    assert torch.allclose(ours.eval()(images), theirs.eval()(images), rtol=1e-8, atol=1e-8)
    outputs = [model.train()(images) for model in (ours, theirs)]
    assert torch.allclose(*outputs, rtol=1e-8, atol=1e-8)
    for out in outputs:
        (out * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum().backward()
    # Conversion only moves numbers, so their gradients can pass through it as well.
    passed = {name: p.grad for name, p in theirs.named_parameters()}
    moved = from_reference(theirs.state_dict() | passed, SMALL).state_dict()
    for name, parameter in ours.named_parameters():
        assert torch.allclose(parameter.grad, moved[name], rtol=1e-5, atol=1e-9), name
    after = from_reference(theirs.state_dict(), SMALL).state_dict()
    for name, tensor in ours.state_dict().items():
        assert torch.allclose(tensor.double(), after[name].double(), rtol=1e-8), name


def test_clips_options_and_names_lead_here() -> None:
    theirs = {f"visual.{name}": tensor for name, tensor in reference().state_dict().items()}
    found, faults = rename(theirs, clip_names.OPEN_RESNET)
    assert found.keys() == {f"vision.{name}" for name in ModifiedResNet(SMALL).state_dict()}
    assert not any(faults.values())
    options = {"image_size": 64, "layers": [2, 1, 1, 2], "width": 8, "patch_size": None}
    # 32 · 8 channels in the last stage, 64 in each head.
    tower = clip_names.open_vision({"embed_dim": 10, "vision_cfg": options, "text_cfg": {}})
    assert tower == SMALL
    tower = clip_names.open_vision({"embed_dim": 10, "vision_cfg": {"patch_size": 32}})
    assert tower == vit.Config(224, 32, norm_eps=1e-5, pre_norm=True, patch_bias=False)
    assert clip_names.transformers_vision({}) == replace(tower, activation="quick_gelu")


# ---------------------------------------------------------------------------------------- errors


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    model = ModifiedResNet(SMALL)
    for images, error, sentence in (
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), TypeError, "uint8 was given; .*to_tensor"),
        (torch.zeros(2, 1, 32, 32), ValueError, r"but \(2, 1, 32, 32\) was given"),
        (torch.zeros(2, 3, 32, 48), ValueError, "multiples of 32 pixels, but 32 × 48 was given"),
    ):
        with pytest.raises(error, match=sentence):
            model(images)
    for blocks, width in (((), 8), ((1, 0), 8), ((1, 1), 7), ((1, 1), 0)):
        sentence = re.escape(f"at least one block, and the stem an even width, but {blocks} and")
        with pytest.raises(ValueError, match=sentence):
            Config(blocks=blocks, width=width)
    with pytest.raises(ValueError, match=r"multiple of 32, .* 4 stages .* but it is 48 pixels"):
        Config(image_size=48)
    with pytest.raises(ValueError, match="multiple of its heads, but 256 and 5 were given"):
        ModifiedResNet(Config(image_size=64, width=8, heads=5))
    state = reference().state_dict()
    with pytest.raises(ValueError, match="theirs, without a home here: stranger"):
        from_reference(state | {"stranger": torch.zeros(1)}, SMALL)
    del state["attnpool.k_proj.bias"]
    with pytest.raises(ValueError, match=r"in the model, but not filled: pool\.key\.bias"):
        from_reference(state, SMALL)
