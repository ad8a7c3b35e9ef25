"""backbones/resnet: shapes, learning; torchvision's and timm's networks, their batch norms too."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.functional import cross_entropy

from course_lib.backbones.resnet import (
    RESNET18,
    RESNET34,
    RESNET50,
    SMALL,
    TINY,
    BasicBlock,
    Config,
    ResNet,
    from_reference,
)

NAMES = {"resnet18": RESNET18, "resnet34": RESNET34, "resnet50": RESNET50}


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


def reference(library: str, name: str) -> nn.Module:
    if library == "torchvision":
        return perturbed(getattr(torchvision.models, name)(num_classes=5))
    import timm

    return perturbed(timm.create_model(name, num_classes=5))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_equals_the_references(library: str, name: str) -> None:
    theirs, images = reference(library, name), pictures(2, 3, 48, 64)
    ours = from_reference(theirs.state_dict(), NAMES[name])
    theirs.fc = nn.Identity()
    assert torch.allclose(ours.eval()(images), theirs.eval()(images), rtol=1e-8, atol=1e-8)
    results = []
    for model in (ours, theirs):
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
        out = model.train()(images)
        (out * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum().backward()
        optimiser.step()
        gradients = {f"∂ {name}": p.grad for name, p in model.named_parameters()}
        results.append({"output": out, **gradients, **model.state_dict()})
    assert results[0].keys() == results[1].keys()
    for key, tensor in results[0].items():
        assert torch.allclose(tensor.double(), results[1][key].double(), rtol=1e-5, atol=1e-5), key


def test_torchvisions_names_are_ours() -> None:
    with torch.device("meta"):
        for name, config in NAMES.items():
            theirs = {
                key: tensor.shape
                for key, tensor in getattr(torchvision.models, name)().state_dict().items()
                if not key.startswith("fc.")
            }
            ours = {key: tensor.shape for key, tensor in ResNet(config).state_dict().items()}
            assert ours == theirs


def test_a_block_is_its_input_and_a_change() -> None:
    torch.manual_seed(0)
    block, x = perturbed(BasicBlock(4, 4, 1)).eval(), torch.rand(2, 4, 6, 5)

    def norm(x: torch.Tensor, layer: nn.BatchNorm2d) -> torch.Tensor:
        mean, var, weight, bias = (
            tensor[:, None, None]
            for tensor in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    inner = norm(block.conv1(x), block.bn1).clamp(min=0)
    expected = (x + norm(block.conv2(inner), block.bn2)).clamp(min=0)
    assert torch.allclose(block(x), expected, atol=1e-12)
    block.bn2.weight.data.zero_()
    block.bn2.bias.data.zero_()
    assert torch.equal(block(x), x)  # "an unneeded block only has to learn F = 0"


def test_the_small_recipe() -> None:
    torch.manual_seed(0)
    model, images = ResNet(SMALL), pictures(2, 3, 32, 48)
    assert sum(p.numel() for p in model.parameters()) == 1_225_024
    maps = model.feature_maps(images)
    assert [tuple(m.shape) for m in maps] == [(2, 64, 16, 24), (2, 128, 8, 12), (2, 256, 4, 6)]
    assert model.dim == 256


def test_initial_filters_keep_the_size_of_gradients() -> None:
    torch.manual_seed(0)
    model = ResNet(SMALL)
    for name, inside, out, size in (("conv1", 3, 64, 3), ("layer2.0.conv1", 64, 128, 3)):
        weight = model.get_submodule(name).weight
        assert weight.shape == (out, inside, size, size)
        assert weight.std().item() == pytest.approx((2 / (out * size**2)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("config", [RESNET18, RESNET50])
def test_feature_maps_halve_from_stage_to_stage(config: Config) -> None:
    wide = 4 if config.bottleneck else 1
    with torch.device("meta"):
        model = ResNet(config)
        maps = model.feature_maps(torch.zeros(2, 3, 64, 96))
        assert model(torch.zeros(2, 3, 64, 96)).shape == (2, model.dim)
    shapes = [(2, 64 * 2**i * wide, 16 >> i, 24 >> i) for i in range(4)]
    assert [tuple(m.shape) for m in maps] == shapes


def test_features_are_the_mean_of_the_last_map() -> None:
    torch.manual_seed(0)
    model, images = ResNet(TINY).eval(), pictures(3, 3, 17, 30)
    last = model.feature_maps(images)[-1]
    for b in range(3):
        for c in range(model.dim):
            assert model(images)[b, c].item() == pytest.approx(last[b, c].mean().item())
    assert torch.allclose(model(images[1:2]), model(images)[1:2])


def test_it_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    model, head = ResNet(TINY), nn.Linear(16, 8)
    images, labels = torch.rand(8, 3, 16, 16), torch.arange(8)
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


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    model = ResNet(TINY)
    for images, error, sentence in (
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), TypeError, "uint8 was given; .*to_tensor"),
        (torch.zeros(3, 8, 8), ValueError, r"but \(3, 8, 8\) was given"),
        (torch.zeros(2, 1, 8, 8), ValueError, r"but \(2, 1, 8, 8\) was given"),
    ):
        for call in (model, model.feature_maps):
            with pytest.raises(error, match=sentence):
                call(images)
    for blocks, channels in (((1, 1), (8,)), ((), ()), ((1, 0), (8, 16))):
        with pytest.raises(ValueError, match="each stage needs its number of blocks"):
            Config(blocks, channels)
    state = torchvision.models.resnet18().state_dict()
    with pytest.raises(ValueError, match=r"do not fit ResNet: .*not filled: layer1"):
        from_reference(state, RESNET34)
    del state["bn1.running_mean"]
    with pytest.raises(ValueError, match=r"in the model, but not filled: bn1\.running_mean"):
        from_reference(state, RESNET18)
