"""vision_language/clip: a slow oracle, texts and their ends, two processes; transformers' CLIP and
open_clip's, with both image towers: outputs, logits, losses, gradients.
"""

import inspect
import json
import math
from dataclasses import replace
from pathlib import Path

import open_clip.model
import pytest
import torch
from open_clip.loss import ClipLoss
from torch import nn
from torch.nn.functional import normalize
from transformers import CLIPConfig, CLIPModel

from course_lib.backbones import clip_names, modified_resnet, vit
from course_lib.vision_language import clip
from course_lib.vision_language.clip import (
    B16,
    B32,
    CLIP,
    L14,
    RN50,
    TINY,
    Config,
    TextConfig,
    TextTower,
    after_step,
    clip_loss,
    from_reference,
    similarities,
    train_step,
)
from tests.processes import two_ranks

# Widths 24 and 20, heads 3 and 2, E = 14, 31 ids of which 17 ends a text: no two numbers alike.
VISION = vit.Config(16, 4, dim=24, depth=2, heads=3, norm_eps=1e-4, pre_norm=True)
TEXT = TextConfig(31, 9, dim=20, depth=2, heads=2, end=17, mlp_ratio=2.5)
SMALL = Config(VISION, TEXT, dim=14, tau=0.2)
RESNET = modified_resnet.Config(image_size=32, blocks=(1, 1), width=8, heads=2, out=14)


@pytest.fixture(autouse=True)
def _everything_in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def perturbed(module: nn.Module) -> nn.Module:
    """No parameter is 0 or 1, so that none can hide."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        if "scale" not in name:
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    return module


def made(config: Config = SMALL) -> CLIP:
    torch.manual_seed(0)
    return perturbed(CLIP(config))


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def texts(n: int, end: int = 17, below: int = 17, length: int = 9) -> torch.Tensor:
    """Texts of 2 to `length` tokens, ids below `below`; behind the end zeros."""
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(1, below, (n, length), generator=generator)
    for row, ids in enumerate(tokens):
        last = 1 + (5 * row + 3) % (length - 1)
        ids[last], ids[last + 1 :] = end, 0
    return tokens


def features(n: int, d: int, seed: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of n pairs, half alike, of very different lengths."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(n, d, generator=generator)
    image, text = (common + torch.randn(n, d, generator=generator) for _ in range(2))
    image = image * torch.linspace(0.2, 5, n)[:, None]
    return image.requires_grad_(), (3 * text).detach().requires_grad_()


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-8, atol=1e-8)


# ---------------------------------------------------------------------------------------- shapes


def test_shapes_of_the_small_configuration() -> None:
    torch.set_default_dtype(torch.float32)
    model, images = CLIP(TINY), torch.rand(3, 3, 64, 64)
    tokens = texts(3, end=511, below=500, length=32)
    assert model.encode_image(images).shape == model.encode_text(tokens).shape == (3, 128)
    assert model(images).shape == (3, model.dim) == (3, 128)
    assert model.text.states(tokens).shape == (3, 32, 128)
    found = train_step(model, (images, tokens), 0.0)
    assert list(found) == ["loss", "image_found", "text_found", "scale"]
    assert all(value.shape == () for value in found.values())
    assert found["scale"].item() == pytest.approx(1 / 0.07)


@pytest.mark.parametrize("vision", [VISION, RESNET], ids=["vit", "resnet"])
def test_shapes_at_an_odd_size(vision: object) -> None:
    model, images = made(replace(SMALL, vision=vision)), pictures(5, 3, 24, 40)
    assert model.encode_image(images).shape == (5, 14)
    assert model.encode_text(texts(5)[:, :9]).shape == (5, 14)
    of_image, of_text = similarities(*features(5, 7), 3.0)
    assert of_image.shape == of_text.shape == (5, 5)
    assert clip_loss(*features(5, 7), 3.0).shape == ()


def test_forward_is_the_image_feature_at_length_1() -> None:
    model, images = made(), pictures(4, 3, 16, 16)
    raw = model.encode_image(images)
    assert close(model(images) * raw.norm(dim=1, keepdim=True), raw)
    assert close(model(images).norm(dim=1), torch.ones(4))
    pooled = model.vision(images)
    assert close(raw, pooled @ model.image_projection.weight.T)


# ---------------------------------------------------------------------- oracle, and cases by hand


def slow_loss(image: list[list[float]], text: list[list[float]], scale: float) -> float:
    """Figure 3 of the paper, one number at a time."""

    def cosine(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))

    n, total = len(image), 0.0
    for i in range(n):
        own = math.exp(scale * cosine(image[i], text[i]))
        all_texts = sum(math.exp(scale * cosine(image[i], text[j])) for j in range(n))
        all_images = sum(math.exp(scale * cosine(image[j], text[i])) for j in range(n))
        total += -math.log(own / all_texts) / 2 - math.log(own / all_images) / 2
    return total / n


@pytest.mark.parametrize(("n", "d", "scale"), [(1, 3, 2.0), (2, 3, 2.0), (5, 7, 10), (6, 2, 0.6)])
def test_loss_is_that_of_the_slow_oracle(n: int, d: int, scale: float) -> None:
    image, text = features(n, d)
    expected = slow_loss(image.tolist(), text.tolist(), scale)
    assert clip_loss(image, text, scale).item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_gradients_are_the_slopes_of_the_slow_oracle() -> None:
    image, text, scale = *features(3, 4), torch.tensor(3.0, requires_grad=True)
    gradients = torch.autograd.grad(clip_loss(image, text, scale), (image, text, scale))
    pair = [image.tolist(), text.tolist()]

    def slope(values: list[float], k: int) -> float:
        here, ends = values[k], []
        for step in (1e-5, -1e-5):
            values[k] = here + step
            ends.append(slow_loss(*pair, factor[0]))
        values[k] = here
        return (ends[0] - ends[1]) / 2e-5

    factor = [3.0]
    assert gradients[2].item() == pytest.approx(slope(factor, 0), rel=1e-5)
    for side, i, k in [(s, i, k) for s in range(2) for i in range(3) for k in range(4)]:
        found = gradients[side][i, k].item()
        assert found == pytest.approx(slope(pair[side][i], k), rel=1e-5, abs=1e-8)


def test_loss_by_hand() -> None:
    # Images (2, 0), (0, 3); texts (5, 0), (3, 4); scale 5. Cosines · 5: 5 3 / 0 4.
    # Images: ln(1 + e⁻²) = 0.12693 and ln(1 + e⁻⁴) = 0.01815; texts: ln(1 + e⁻⁵) = 0.00672 and
    # ln(1 + e⁻¹) = 0.31326. Half of (0.12693 + 0.01815) / 2 + (0.00672 + 0.31326) / 2 = 0.11626.
    image, text = torch.tensor([[2.0, 0], [0, 3]]), torch.tensor([[5.0, 0], [3, 4]])
    of_image, of_text = similarities(image, text, 5)
    assert torch.allclose(of_image, torch.tensor([[5.0, 3], [0, 4]]))
    assert torch.allclose(of_text, torch.tensor([[5.0, 0], [3, 4]]))
    assert clip_loss(image, text, 5).item() == pytest.approx(0.11626, abs=1e-5)


def test_the_text_tower_token_by_token() -> None:
    """Each place once more, from a text that was cut behind it: nothing can look ahead."""
    tower, tokens = made().text, texts(4)
    states = tower.states(tokens)
    for length in range(1, 10):
        assert close(tower.states(tokens[:, :length])[:, -1], states[:, length - 1])
    for row, ids in enumerate(tokens.tolist()):
        x = torch.stack([tower.embedding.weight[i] for i in ids]) + tower.positions
        x = x[None, : ids.index(17) + 1]
        for block in tower.blocks:
            steps = [block.attention(block.norm1(x[:, : t + 1]))[:, -1] for t in range(x.shape[1])]
            x = x + torch.stack(steps, dim=1)
            hidden = block.mlp.fc1(block.norm2(x))
            x = x + block.mlp.fc2(hidden * torch.sigmoid(1.702 * hidden))
        assert close(tower(tokens)[row], tower.norm(x)[0, -1])


# ------------------------------------------------------------------------------------- invariants


def test_what_does_not_matter_to_the_loss() -> None:
    image, text = features(6, 4)
    loss = clip_loss(image, text, 4.0)
    assert close(clip_loss(text, image, 4.0), loss)  # neither side comes first
    lengths = torch.linspace(0.1, 9, 6)[:, None]
    assert close(clip_loss(7 * image, lengths * text, 4.0), loss)
    turn = torch.linalg.qr(torch.randn(4, 4)).Q
    assert close(clip_loss(image @ turn, text @ turn, 4.0), loss)
    mixed = torch.tensor([3, 0, 5, 1, 4, 2])
    assert close(clip_loss(image[mixed], text[mixed], 4.0), loss)
    near = text + image
    assert clip_loss(image, near[mixed], 4.0) > clip_loss(image, near, 4.0)  # wrong partners


def test_the_matrix_and_its_diagonal() -> None:
    image, text = features(5, 7)
    of_image, of_text = similarities(image, text, 3.0)
    assert close(of_image, of_text.T)
    own = 3 * (normalize(image, dim=1) * normalize(text, dim=1)).sum(1)
    assert close(of_image.diagonal(), own)
    assert close(similarities(image, 4 * image, 3.0)[0].diagonal(), torch.full((5,), 3.0))
    assert of_image.abs().max() <= 3


def test_the_ends_of_the_scale() -> None:
    image, text = (f.detach() for f in features(6, 4))
    assert clip_loss(image, text, 0.0).item() == pytest.approx(math.log(6))  # nobody is told apart
    same = torch.ones(8, 5)
    assert clip_loss(same, same, 50.0).item() == pytest.approx(math.log(8))
    assert clip_loss(torch.eye(6), torch.eye(6), 100.0).item() < 1e-9
    loss = clip_loss(image.float(), text.float(), 100.0)
    assert loss.isfinite()


def test_lengths_cannot_be_learned_and_nothing_is_changed() -> None:
    image, text = features(5, 4)
    before = image.detach().clone(), text.detach().clone()
    clip_loss(image, text, 4.0).backward()
    for side, was in zip((image, text), before, strict=True):
        assert torch.equal(side, was)
        assert torch.allclose((side.grad * side).sum(1), torch.zeros(5), atol=1e-12)
    image.data[2] = 0
    loss = clip_loss(image, text, 4.0)
    loss.backward()
    assert loss.isfinite()
    assert image.grad.isfinite().all()


def test_what_stands_behind_the_end_does_not_matter() -> None:
    model, tokens = made(), texts(6)
    behind = torch.arange(9) > model.text.ends(tokens)[:, None]
    assert behind.sum() > 10
    for other in (17, 30, 3):  # a second end, a larger id, any id
        changed = torch.where(behind, other, tokens)
        assert close(model.encode_text(changed), model.encode_text(tokens))
    for row in range(6):  # one text alone, and without its padding
        length = int(model.text.ends(tokens)[row]) + 1
        alone = model.encode_text(tokens[row : row + 1, :length])
        assert close(alone, model.encode_text(tokens)[row : row + 1])
    before = tokens.clone()
    before[:, 0] = (before[:, 0] % 16) + 1
    assert (model.encode_text(before) - model.encode_text(tokens)).abs().amax(1).min() > 1e-3


def test_the_first_end_counts() -> None:
    tower = made().text
    tokens = torch.tensor([[1, 17, 30, 17], [17, 2, 3, 4], [1, 2, 3, 17]])
    assert tower.ends(tokens).tolist() == [1, 0, 3]


def test_one_pair_is_the_same_alone_and_in_a_batch() -> None:
    for vision in (VISION, RESNET):
        model, images = made(replace(SMALL, vision=vision)).eval(), pictures(3, 3, 32, 32)
        assert close(model.encode_image(images[1:2]), model.encode_image(images)[1:2])
        assert close(model(images[1:2]), model(images)[1:2])


def test_the_scale_is_clamped_and_can_come_back() -> None:
    model = made()
    assert model.scale.item() == pytest.approx(5)
    top = math.log(100)
    for start, scale in ((9.0, 100), (top, 100), (-3.0, 1), (0.0, 1), (2.0, math.exp(2))):
        model.log_scale.data.fill_(start)
        assert model.scale.item() == pytest.approx(scale)
        after_step(model, 0.5)
        assert model.log_scale.item() == pytest.approx(math.log(scale), abs=1e-12)
        (gradient,) = torch.autograd.grad(model.scale, model.log_scale)  # at the border too
        assert gradient.item() == pytest.approx(scale)
    single = CLIP(SMALL).float()
    single.log_scale.data.fill_(9.0)
    after_step(single, 0.0)
    assert torch.autograd.grad(single.scale, single.log_scale)[0] > 99
    narrow = CLIP(replace(SMALL, max_scale=10.0))
    narrow.log_scale.data.fill_(9.0)
    assert narrow.scale.item() == pytest.approx(10)
    after_step(narrow, 0.0)
    assert narrow.log_scale.item() == pytest.approx(math.log(10))
    assert CLIP(replace(SMALL, tau=1.0)).log_scale == 0


def test_a_step_is_the_loss_of_both_towers() -> None:
    model, images, tokens = made(), pictures(6, 3, 16, 16), texts(6)
    image, text = model.encode_image(images), model.encode_text(tokens)
    found = train_step(model, (images, tokens), 0.5)
    assert close(found["loss"], clip_loss(image, text, model.scale))
    cosines = similarities(image, text, 1.0)[0]
    rows = sum(int(cosines[i].argmax()) == i for i in range(6)) / 6
    columns = sum(int(cosines[:, i].argmax()) == i for i in range(6)) / 6
    assert found["image_found"].item() == pytest.approx(rows)
    assert found["text_found"].item() == pytest.approx(columns)
    assert found["scale"].item() == pytest.approx(5)
    assert not found["scale"].requires_grad


def test_each_side_is_counted_on_its_own(monkeypatch) -> None:
    """All images choose text 0: one of three is right. Texts 1 and 2 choose their images."""
    model = made()
    image, text = torch.eye(3) + 5 * torch.eye(3)[0], torch.eye(3) + torch.tensor([[3.0], [0], [0]])
    monkeypatch.setattr(model, "encode_image", lambda images: image)
    monkeypatch.setattr(model, "encode_text", lambda tokens: text)
    found = train_step(model, (image, text), 0.0)
    cosines = normalize(image, dim=1) @ normalize(text, dim=1).T
    assert cosines.argmax(1).tolist() == [0, 0, 0]
    assert found["image_found"].item() == pytest.approx(1 / 3)
    assert found["text_found"].item() == pytest.approx(
        sum(cosines.argmax(0)[i].item() == i for i in range(3)) / 3
    )
    assert found["image_found"] != found["text_found"]


@pytest.mark.parametrize("vision", [VISION, RESNET], ids=["vit", "resnet"])
def test_every_parameter_learns(vision: object) -> None:
    model = made(replace(SMALL, vision=vision))
    tokens = texts(6)
    tokens[0] = torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 17])  # so that every position is in use
    train_step(model, (pictures(6, 3, 16, 16), tokens), 0.0)["loss"].backward()
    for name, parameter in model.named_parameters():
        # The same shift of all keys changes no attention.
        if not name.endswith("key.bias"):
            assert parameter.grad.abs().max() > 1e-9, name


def test_initial_weights_are_the_authors() -> None:
    torch.manual_seed(0)
    tower = TextTower(TextConfig(400, 40, dim=64, depth=3, heads=4, end=1))
    deep = (2 * 3 * 64) ** -0.5
    expected = {"embedding.weight": 0.02, "positions": 0.01, "out.weight": deep,
                "fc1.weight": 128**-0.5, "fc2.weight": deep}  # fmt: skip
    for name, parameter in tower.named_parameters():
        spread = next((s for end, s in expected.items() if name.endswith(end)), 1 / 8)
        if parameter.ndim == 2:
            assert parameter.std().item() == pytest.approx(spread, rel=0.07), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
    model = CLIP(replace(TINY, text=replace(TINY.text, dim=64), dim=200))
    assert model.text_projection.weight.std().item() == pytest.approx(1 / 8, rel=0.05)
    assert model.image_projection.weight.std().item() == pytest.approx(128**-0.5, rel=0.05)
    assert model.log_scale.item() == pytest.approx(math.log(1 / 0.07))


def test_half_precision_stays_near() -> None:
    torch.set_default_dtype(torch.float32)
    image, text = (f.detach().float() for f in features(64, 32))
    exact = clip_loss(image, text, 50.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert clip_loss(image, text, 50.0).item() == pytest.approx(exact.item(), rel=1e-6)
    rounded = clip_loss(image.bfloat16(), text.bfloat16(), 5.0)
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(clip_loss(image, text, 5.0).item(), rel=0.02)
    model, batch = CLIP(TINY), (torch.rand(4, 3, 64, 64), texts(4, 511, 500, 32))
    with torch.autocast("cpu", torch.bfloat16):
        found = train_step(model, batch, 0.0)
    found["loss"].backward()
    assert found["loss"].dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in model.parameters())


# ------------------------------------------------------------------------------------ it learns


@pytest.mark.parametrize("vision", [VISION, RESNET], ids=["vit", "resnet"])
def test_it_learns_one_batch_by_heart(vision: object) -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model, batch = CLIP(replace(SMALL, vision=vision)), (torch.rand(8, 3, 16, 16), texts(8))
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for step in range(60):
        found = train_step(model, batch, step / 60)
        optimiser.zero_grad()
        found["loss"].backward()
        optimiser.step()
        after_step(model, step / 60)
        losses.append(found["loss"].item())
    assert losses[0] > 1.5  # ln 8 = 2.08
    assert losses[-1] < 0.1
    assert found["image_found"] == found["text_found"] == 1
    assert found["scale"] > 5


# --------------------------------------------------------------------------------------- parity

TRANSFORMERS = {
    "vision_config": {
        "image_size": 16, "patch_size": 4, "hidden_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 3, "intermediate_size": 60, "layer_norm_eps": 1e-4,
    },
    "text_config": {
        "vocab_size": 31, "max_position_embeddings": 9, "hidden_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 50, "eos_token_id": 17,
    },
    "projection_dim": 14,
}  # fmt: skip


def in_transformers(activation: str = "quick_gelu", legacy: bool = False) -> tuple[CLIPModel, dict]:
    config = {**TRANSFORMERS}
    for tower in ("vision_config", "text_config"):
        config[tower] = {**config[tower], "hidden_act": activation}
    if legacy:
        config["text_config"]["eos_token_id"] = 2
    torch.manual_seed(0)
    theirs = perturbed(CLIPModel(CLIPConfig(**config))).double().eval()
    return theirs, CLIPConfig(**config).to_dict()


POSITIONS = {"visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"}


def assert_same_gradients(ours: CLIP, theirs: nn.Module, config: dict) -> None:
    """Conversion only moves and adds numbers, so their gradients can pass through it as well.

    One thing must not be added: a position to the class token. The gradient of both is the same.
    """
    passed = {name: p.grad.clone() for name, p in theirs.named_parameters()}
    for name in passed:
        if name in POSITIONS:
            passed[name][0] = 0
    expected = from_reference(theirs.state_dict() | passed, config).state_dict()
    for name, parameter in ours.named_parameters():
        assert torch.allclose(parameter.grad, expected[name], rtol=1e-5, atol=1e-8), name


@pytest.mark.parametrize("legacy", [False, True], ids=["end", "legacy"])
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_equals_transformers_in_outputs_loss_and_gradients(activation: str, legacy: bool) -> None:
    theirs, config = in_transformers(activation, legacy)
    ours, images = from_reference(theirs.state_dict(), config), pictures(6, 3, 16, 16)
    end = 30 if legacy else 17
    assert ours.config.text.end == end
    assert ours.config.vision.activation == ours.config.text.activation == activation
    tokens = texts(6, end, 17)
    tokens[:3] = torch.where(tokens[:3] == 0, end, tokens[:3])  # transformers pads with the end
    found = theirs(input_ids=tokens, pixel_values=images, return_loss=True)
    image, text = ours.encode_image(images), ours.encode_text(tokens)
    assert close(ours(images), found.image_embeds)
    assert close(normalize(text, dim=1), found.text_embeds)
    assert close(ours.text.states(tokens), found.text_model_output.last_hidden_state)
    assert close(text, found.text_model_output.pooler_output)
    assert close(image, found.vision_model_output.pooler_output)
    of_image, of_text = similarities(image, text, ours.scale)
    assert close(of_image, found.logits_per_image)
    assert close(of_text, found.logits_per_text)
    loss = train_step(ours, (images, tokens), 0.0)["loss"]
    assert close(loss, found.loss)
    loss.backward()
    found.loss.backward()
    assert_same_gradients(ours, theirs, config)


def test_padding_that_transformers_hides_changes_nothing() -> None:
    theirs, config = in_transformers()
    ours, tokens = from_reference(theirs.state_dict(), config), texts(6)
    mask = (torch.arange(9) <= ours.text.ends(tokens)[:, None]).long()
    hidden = theirs.get_text_features(tokens, attention_mask=mask).pooler_output
    assert close(ours.encode_text(tokens), hidden)


OPEN = {
    "embed_dim": 14,
    "quick_gelu": False,
    "vision_cfg": {
        "image_size": 16, "patch_size": 4, "width": 24, "layers": 2, "head_width": 8,
        "mlp_ratio": 2.6,
    },
    "text_cfg": {
        "context_length": 9, "vocab_size": 31, "width": 20, "heads": 2, "layers": 2,
        "mlp_ratio": 2.5,
    },
}  # fmt: skip
OPEN_RESNET = OPEN | {
    "vision_cfg": {"image_size": 32, "layers": [1, 2, 1, 1], "width": 8, "patch_size": None}
}


def in_open_clip(config: dict, custom: bool = False) -> nn.Module:
    torch.manual_seed(0)
    theirs = (open_clip.model.CustomTextCLIP if custom else open_clip.model.CLIP)(**config)
    for name, buffer in theirs.named_buffers():
        if "running" in name:
            buffer += 0.3 * torch.rand(buffer.shape)
    return perturbed(theirs).double()


@pytest.mark.parametrize("custom", [False, True], ids=["CLIP", "CustomTextCLIP"])
@pytest.mark.parametrize("quick", [False, True], ids=["gelu", "quick_gelu"])
@pytest.mark.parametrize("base", [OPEN, OPEN_RESNET], ids=["vit", "resnet"])
def test_equals_open_clip_in_outputs_loss_and_gradients(
    base: dict, quick: bool, custom: bool
) -> None:
    config = base | {"quick_gelu": quick}
    theirs = in_open_clip(config, custom)
    side = config["vision_cfg"]["image_size"]
    ours, images = from_reference(theirs.state_dict(), config), pictures(6, 3, side, side)
    tokens = texts(6, 30, 30)
    assert ours.config.text.end == 30
    ours.eval(), theirs.eval()
    assert close(ours.encode_image(images), theirs.encode_image(images))
    assert close(ours.encode_text(tokens), theirs.encode_text(tokens))
    ours.train(), theirs.train()
    image, text, scale = theirs(images, tokens)
    expected = ClipLoss()(image, text, scale)
    found = train_step(ours, (images, tokens), 0.0)
    assert close(found["loss"], expected)
    assert close(found["scale"], scale.detach())
    logits = similarities(ours.encode_image(images), ours.encode_text(tokens), ours.scale)
    for mine, other in zip(logits, ClipLoss().get_logits(image, text, scale), strict=True):
        assert close(mine, other)
    found["loss"].backward()
    expected.backward()
    assert_same_gradients(ours, theirs, config)


def test_open_clip_by_its_own_end_token() -> None:
    config = OPEN | {"text_cfg": OPEN["text_cfg"] | {"pool_type": "eos", "eos_id": 17}}
    theirs, tokens = in_open_clip(config), texts(6)
    ours = from_reference(theirs.state_dict(), config)
    assert ours.config.text.end == 17
    assert close(ours.encode_text(tokens), theirs.encode_text(tokens))


def test_files_as_they_are_published() -> None:
    theirs, config = in_transformers(legacy=True)
    state = theirs.state_dict()
    expected = from_reference(state, config)
    # Old files hold the buffers of numbers of places, and state the towers once more.
    old = state | {f"{t}_model.embeddings.position_ids": torch.arange(9)[None]
                   for t in ("text", "vision")}  # fmt: skip
    twice = {**config, "text_config": {"eos_token_id": 2},
             "text_config_dict": config["text_config"], "vision_config_dict": None}  # fmt: skip
    assert from_reference(old, twice).config == expected.config
    # New files leave out what has transformers' default.
    defaults, short = CLIPConfig().to_dict(), {"projection_dim": 14}
    for tower in ("text_config", "vision_config"):
        default = defaults[tower]
        short[tower] = {n: v for n, v in config[tower].items() if v != default.get(n)}
        assert not {"hidden_act", "attention_dropout"} & short[tower].keys()
    assert from_reference(state, short).config == expected.config
    # OpenAI's files hold three numbers more, in half precision; open_clip's hub wraps its options.
    theirs = in_open_clip(OPEN)
    numbers = {n: torch.tensor(3) for n in ("input_resolution", "context_length", "vocab_size")}
    half = {name: tensor.half() for name, tensor in theirs.state_dict().items()}
    ours = from_reference(half | numbers, {"model_cfg": OPEN, "preprocess_cfg": {}})
    assert all(p.dtype == torch.float64 for p in ours.parameters())
    assert ours.config == from_reference(theirs.state_dict(), OPEN).config


def test_a_scale_beyond_the_limit_is_clamped() -> None:
    theirs, config = in_transformers()
    state = theirs.state_dict() | {"logit_scale": torch.tensor(6.0)}
    assert from_reference(state, config).scale.item() == pytest.approx(100)


SIZES = {"B32": (B32, "ViT-B-32"), "B16": (B16, "ViT-B-16"), "L14": (L14, "ViT-L-14"),
         "RN50": (RN50, "RN50")}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_the_published_sizes_are_open_clips(name: str) -> None:
    ours, theirs = SIZES[name]
    folder = Path(open_clip.__file__).parent / "model_configs"
    options = json.loads((folder / f"{theirs}.json").read_text()) | {"quick_gelu": True}
    with torch.device("meta"):
        model = from_reference(open_clip.model.CLIP(**options).state_dict(), options)
        assert model.encode_image(torch.zeros(2, 3, 224, 224)).shape == (2, ours.dim)
        tokens = torch.zeros(2, 77, dtype=torch.long)
        assert model.text.states(tokens).shape == (2, 77, ours.text.dim)
    assert model.config == ours


def test_the_published_base_size_is_transformers() -> None:
    config = CLIPConfig(
        text_config={"eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1},
        vision_config={"patch_size": 32},
    )
    with torch.device("meta"):
        theirs = CLIPModel(config)
        model = from_reference(theirs.state_dict(), config.to_dict())
    assert model.config == B32
    # 151,277,313 numbers, less one row: the class token's position.
    assert sum(p.numel() for p in theirs.parameters()) == 151_277_313
    assert sum(p.numel() for p in model.parameters()) == 151_277_313 - 768


# ---------------------------------------------------------------------------------- two processes

PAIRS = 6  # in the whole batch


def step_of(own: slice) -> dict:
    """What one process computes from its pairs, with its own gradients."""
    model = made()
    image, text = features(PAIRS, 7)
    clip_loss(image[own], text[own], 3.0).backward()
    found = train_step(model, (pictures(PAIRS, 3, 16, 16)[own], texts(PAIRS)[own]), 0.0)
    found["loss"].backward()
    of_image, of_text = similarities(image[own], text[own], 3.0)
    return {
        "loss": found["loss"].item(),
        "image_found": found["image_found"].item(),
        "text_found": found["text_found"].item(),
        "∂ image": image.grad[own],
        "∂ text": text.grad[own],
        "of image": of_image.detach(),
        "of text": of_text.detach(),
        "weights": {n: p.grad for n, p in model.named_parameters()},
    }


SCRIPT = """
from torch import nn
from course_lib.backbones import vit
from course_lib.vision_language.clip import (
    CLIP, Config, TextConfig, clip_loss, similarities, train_step,
)
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict]:
    """What each of two processes has computed from its half of the pairs."""
    lines = [SCRIPT, f"PAIRS, VISION, TEXT = {PAIRS!r}, vit.{VISION!r}, {TEXT!r}"]
    lines += ["SMALL = Config(VISION, TEXT, dim=14, tau=0.2)"]
    lines += [inspect.getsource(f) for f in (perturbed, made, pictures, texts, features, step_of)]
    lines += ["state = step_of(slice(3 * rank, 3 * rank + 3))"]
    return two_ranks(tmp_path_factory.mktemp("clip"), "\n\n".join(lines))


def test_two_processes_have_the_loss_of_one(ranks) -> None:
    one = step_of(slice(PAIRS))
    for name, rounding in (("loss", 1e-10), ("image_found", 1e-6), ("text_found", 1e-6)):
        mean = (ranks[0][name] + ranks[1][name]) / 2
        assert mean == pytest.approx(one[name], rel=rounding)
    assert ranks[0]["loss"] != ranks[1]["loss"]
    assert one["image_found"] > 0


def test_two_processes_have_the_gradients_of_one(ranks) -> None:
    one = step_of(slice(PAIRS))
    for name in ("∂ image", "∂ text"):  # each rank's pairs are in both ranks' losses
        parts = torch.cat([part[name] for part in ranks]) / 2
        assert torch.allclose(parts, one[name], rtol=1e-8, atol=1e-12)
    for name, expected in one["weights"].items():
        mean = (ranks[0]["weights"][name] + ranks[1]["weights"][name]) / 2
        assert torch.allclose(mean, expected, rtol=1e-8, atol=1e-12), name


def test_the_others_come_from_both_processes(ranks) -> None:
    one = step_of(slice(PAIRS))
    for name in ("of image", "of text"):
        assert torch.allclose(torch.cat([part[name] for part in ranks]), one[name])


# ---------------------------------------------------------------------------------------- errors


def test_errors_are_one_sentence() -> None:
    image, text = features(4, 3)
    for a, b in ((image, text[:3]), (image[:0], text[:0]), (image[0], text[0])):
        with pytest.raises(ValueError, match=r"pairs, \(N, E\) each, are expected, but"):
            clip_loss(a, b, 1.0)
    model, tokens = made(), texts(4)
    for wrong in (tokens.double(), tokens > 3):
        with pytest.raises(TypeError, match="texts are whole numbers, ids, but torch"):
            model.encode_text(wrong)
    for wrong in (tokens[0], tokens[:, :0], torch.cat([tokens, tokens], dim=1)):
        with pytest.raises(ValueError, match=r"shape \(B, L\) with L from 1 to 9, but"):
            model.encode_text(wrong)
    tokens[2] = 3
    with pytest.raises(ValueError, match="must have the end token 17, but text 2 has none"):
        model.encode_text(tokens)
    for end in (-1, 31):
        with pytest.raises(ValueError, match=f"end token must be below 31, but is {end}"):
            replace(TEXT, end=end)
    for tau in (0.0, 0.009, 1.1, math.nan):
        with pytest.raises(ValueError, match="tau must be from 1 / 100 to 1, but it is"):
            replace(SMALL, tau=tau)
    with pytest.raises(ValueError, match="out must be the width 12, not 14"):
        Config(RESNET, TEXT, dim=12)


def test_foreign_weights_are_refused() -> None:
    theirs, config = in_transformers()
    state = theirs.state_dict()
    with pytest.raises(ValueError, match="theirs, without a home here: stranger"):
        from_reference(state | {"stranger": torch.zeros(1)}, config)
    lost = {n: t for n, t in state.items() if n != "text_model.final_layer_norm.bias"}
    with pytest.raises(ValueError, match=r"not filled: text\.norm\.bias"):
        from_reference(lost, config)
    wider = config | {"projection_dim": 15}
    with pytest.raises(ValueError, match=r"image_projection\.weight \(14, 24\), here \(15, 24\)"):
        from_reference(state, wider)
    state = in_open_clip(OPEN_RESNET).state_dict()
    with pytest.raises(ValueError, match="do not fit CLIP"):
        from_reference(state, OPEN)


def test_options_without_a_like_are_refused() -> None:
    theirs, config = in_transformers()
    state = theirs.state_dict()
    for tower, name, value in (
        ("text_config", "hidden_act", "relu"),
        ("vision_config", "num_channels", 4),
        ("text_config", "attention_dropout", 0.1),
        ("text_config", "eos_token_id", [17, 18]),
    ):
        other = config | {tower: config[tower] | {name: value}}
        with pytest.raises(ValueError, match=f"the CLIP of the course has nothing like {name}="):
            from_reference(state, other)
    state = in_open_clip(OPEN).state_dict()
    for tower, name, value in (
        ("vision_cfg", "timm_model_name", "resnet18"),
        ("vision_cfg", "no_ln_pre", True),
        ("vision_cfg", "pool_type", "avg"),
        ("text_cfg", "pool_type", "last"),
        ("text_cfg", "proj_bias", True),
        ("text_cfg", "no_causal_mask", True),
    ):
        other = OPEN | {tower: OPEN[tower] | {name: value}}
        with pytest.raises(ValueError, match=f"the CLIP of the course has nothing like {name}="):
            from_reference(state, other)
    with pytest.raises(ValueError, match="nothing like init_logit_bias=-10"):
        from_reference(state, OPEN | {"init_logit_bias": -10})
    with pytest.raises(ValueError, match=r"are needed, but these are \['hidden_size'\]"):
        from_reference(state, {"hidden_size": 24})
    harmless = OPEN["text_cfg"] | {"hf_tokenizer_name": "x", "pad_id": 1, "proj_type": "linear"}
    assert clip_names.open_text(OPEN | {"text_cfg": harmless}) == clip_names.open_text(OPEN)
    assert clip.from_reference(state, OPEN | {"text_cfg": harmless}).dim == 14
