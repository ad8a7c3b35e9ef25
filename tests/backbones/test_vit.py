"""backbones/vit, vit_names: shapes, invariants, learning; three libraries' networks, gradients."""

import re
from dataclasses import replace

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.functional import cross_entropy

from course_lib.backbones import vit_names
from course_lib.backbones.vit import B16, L16, S16, TINY, Config, ViT, from_reference
from course_lib.blocks.positions import sincos_2d

# Batch 2, width 24, heads 3, depth 4, P = 3, pictures not square: no two numbers alike.
SMALL = Config(image_size=24, patch_size=4, dim=24, depth=4, heads=3, registers=2, layer_scale=0.3)
TIMM = {"img_size": 24, "patch_size": 4, "embed_dim": 24, "depth": 4, "num_heads": 3}
TORCHVISION = {
    "image_size": 24,
    "patch_size": 4,
    "num_layers": 3,
    "num_heads": 2,
    "hidden_dim": 20,
    "mlp_dim": 52,
    "num_classes": 7,
}
TRANSFORMERS = {
    "image_size": 24,
    "patch_size": 4,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 60,
    "layer_norm_eps": 1e-4,
}


@pytest.fixture(autouse=True)
def _everything_in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def perturbed(module: nn.Module) -> nn.Module:
    """No parameter is 0 or 1, so that none can hide."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    return module


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-8, atol=1e-8)


# --------------------------------------------------------------------------- shapes, invariants


@pytest.mark.parametrize("positions", ["learned", "fixed"])
@pytest.mark.parametrize("has_class", [True, False])
def test_shapes_and_how_the_pieces_fit(positions, has_class: bool) -> None:
    config = Config(24, 4, 24, 4, 3, class_token=has_class, registers=2, positions=positions)
    model, images = perturbed(ViT(config)), pictures(2, 3, 12, 20)
    P, N = 2 + has_class, 15
    patches = model.embed(images)
    assert patches.shape == (2, N, 24)
    tokens = model.tokens(images)
    assert tokens.shape == (2, P + N, 24)
    assert close(model.encode(patches), tokens)
    layers = model.intermediates(images)
    assert [layer.shape for layer in layers] == [(2, P + N, 24)] * 4
    assert close(model.norm(layers[-1]), tokens)
    assert close(model(images), tokens[:, 0] if has_class else tokens[:, P:].mean(1))
    assert model(images).shape == (2, model.dim)
    assert model.attention_maps(images).shape == (2, 4, 3, P + N, P + N)


def test_attention_maps_are_the_weights_that_were_used() -> None:
    model, images = perturbed(ViT(SMALL)), pictures(2, 3, 24, 24)
    maps = model.attention_maps(images)
    assert close(maps.sum(-1), torch.ones(2, 4, 3, 39))
    tokens = model.with_prefix(model.embed(images))
    for layer, block in enumerate(model.blocks):
        values = block.attention.value(block.norm1(tokens)).unflatten(-1, (3, 8))  # (B, T, 3, 8)
        mixed = torch.einsum("bhts,bshd->bthd", maps[:, layer], values).flatten(2)
        middle = tokens + block.scale1(block.attention.out(mixed))
        tokens = middle + block.scale2(block.mlp(block.norm2(middle)))
    assert close(tokens, model.intermediates(images)[-1])


def test_patches_that_are_left_out_leave_no_trace() -> None:
    model, images = perturbed(ViT(SMALL)), pictures(2, 3, 24, 24)
    seen = torch.tensor([0, 3, 7, 20, 35])
    before = model.encode(model.embed(images)[:, seen])
    images[:, :, 4:8, 4:8] = 9  # patch 7 is seen, its neighbours are not
    assert not close(model.encode(model.embed(images)[:, seen]), before)
    images = pictures(2, 3, 24, 24)
    images[:, :, 4:8, 8:24] = 9
    assert close(model.encode(model.embed(images)[:, seen]), before)


def test_without_positions_it_is_a_bag_of_patches() -> None:
    model, images = perturbed(ViT(SMALL)), pictures(2, 3, 24, 24)
    turned = images.flip(2).unflatten(2, (6, 4)).flip(3).flatten(2, 3)  # rows of patches in reverse
    assert not close(model(images), model(turned))
    model.positions.data.zero_()
    assert close(model(images), model(turned))


def test_one_picture_is_the_same_alone_and_in_a_batch() -> None:
    model, images = perturbed(ViT(SMALL)), pictures(3, 3, 24, 24)
    assert close(model(images[1:2]), model(images)[1:2])


def test_half_precision_stays_near() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model, images = ViT(TINY), torch.rand(4, 3, 64, 64)
    exact = model(images)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(images)
        rounded.float().square().sum().backward()
    assert (rounded - exact).abs().max() < 0.1  # of values around 1
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_fixed_positions_are_kept_but_not_learned() -> None:
    model = ViT(Config(24, 4, 24, 1, 3, positions="fixed"))
    assert "positions" in model.state_dict()
    assert "positions" not in dict(model.named_parameters())
    assert torch.equal(model.positions, sincos_2d((6, 6), 24))


def test_stochastic_depth_rises_from_block_to_block() -> None:
    model = ViT(Config(24, 4, 24, 4, 3, drop_path=0.3))
    rates = [block.drop_path.rate for block in model.blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])
    assert ViT(Config(24, 4, 24, 1, 3, drop_path=0.3)).blocks[0].drop_path.rate == 0


def test_every_norm_has_the_configurations_eps() -> None:
    model = ViT(Config(24, 4, 24, 2, 3, norm_eps=1e-3))
    norms = [module.eps for module in model.modules() if isinstance(module, nn.LayerNorm)]
    assert norms == [1e-3] * 5


def test_a_norm_in_front_and_patches_without_a_bias() -> None:
    config = replace(SMALL, pre_norm=True, patch_bias=False, activation="quick_gelu")
    model, images = perturbed(ViT(config)), pictures(2, 3, 12, 20)
    assert model.patches.projection.bias is None
    assert {b.mlp.activation for b in model.blocks} == {"quick_gelu"}
    x = torch.cat([model.prefix.expand(2, -1, -1), model.embed(images)], dim=1)
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, correction=0)
    x = (x - mean) / (variance + 1e-6).sqrt() * model.pre_norm.weight + model.pre_norm.bias
    x = model.blocks[0](x)
    assert close(model.intermediates(images)[0], x)
    for block in model.blocks[1:]:
        x = block(x)
    assert close(model.tokens(images), model.norm(x))
    plain = set(ViT(SMALL).state_dict())
    added = {"pre_norm.weight", "pre_norm.bias"}
    assert set(model.state_dict()) == plain - {"patches.projection.bias"} | added


def test_initial_weights_are_as_the_header_says() -> None:
    torch.manual_seed(0)
    model = ViT(TINY)
    for name, parameter in model.named_parameters():
        spread = {"patches.projection.weight": 192**-0.5}.get(name, 0.02)
        if parameter.ndim > 1 and parameter.numel() > 1000:
            assert parameter.std().item() == pytest.approx(spread, rel=0.05), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
    assert 0.01 < model.prefix.std() < 0.03


def test_it_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    model = ViT(Config(image_size=16, patch_size=4, dim=32, depth=2, heads=4))
    head, images, labels = nn.Linear(32, 8), torch.rand(8, 3, 16, 16), torch.arange(8)
    optimiser = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=3e-3)
    losses = []
    for _ in range(60):
        loss = cross_entropy(head(model(images)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > 1.8  # ln 8 = 2.08
    assert losses[-1] < 0.05


# --------------------------------------------------------------------------------------- parity


def timm_network(**options) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    return perturbed(VisionTransformer(**{**TIMM, **options}))


def assert_same_gradients(theirs: nn.Module, config: dict, ours: ViT) -> None:
    """Conversion only moves and adds numbers, so their gradients can pass through it as well.

    One thing must not be added: a token's position to the token. The gradient of both is the same.
    """
    found = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in theirs.named_parameters()
    }
    if not config.get("no_embed_class"):
        tables = {"pos_embed", "encoder.pos_embedding", "embeddings.position_embeddings"}
        (table,) = tables & found.keys()
        found[table][:, : ours.prefix_tokens] = 0
    expected = from_reference(found, config).state_dict()
    for name, parameter in ours.named_parameters():
        assert torch.allclose(parameter.grad, expected[name], rtol=1e-5, atol=1e-5), name


def backward(features: torch.Tensor) -> None:
    (features * torch.linspace(-1, 1, features.numel()).reshape(features.shape)).sum().backward()


OPTIONS = {
    "plain": {},
    "registers, LayerScale": {"reg_tokens": 2, "init_values": 0.1},
    "registers apart": {"reg_tokens": 3, "no_embed_class": True, "num_classes": 0},
    "class apart, no qkv bias": {"no_embed_class": True, "qkv_bias": False},
    "no class": {"class_token": False, "global_pool": "avg", "fc_norm": False},
    "no class, registers": {
        "class_token": False,
        "reg_tokens": 1,
        "global_pool": "avg",
        "fc_norm": False,
        "mlp_ratio": 2.5,
    },
}


@pytest.mark.parametrize("size", [(24, 24), (12, 40), (32, 32)])
@pytest.mark.parametrize("name", OPTIONS)
def test_equals_timm_in_outputs_and_gradients(name: str, size: tuple[int, int]) -> None:
    config = {**TIMM, **OPTIONS[name], "dynamic_img_size": True}
    theirs, images = timm_network(**config), pictures(2, 3, *size)
    ours = from_reference(theirs.state_dict(), config)
    layers = []
    for block in theirs.blocks:
        block.register_forward_hook(lambda *call: layers.append(call[2]))
    tokens = theirs.forward_features(images)
    features = theirs.forward_head(tokens, pre_logits=True)
    assert close(ours.tokens(images), tokens)
    assert close(ours(images), features)
    for layer, expected in zip(ours.intermediates(images), layers, strict=True):
        assert close(layer, expected)
    backward(features)
    backward(ours(images))
    assert_same_gradients(theirs, config, ours)


def test_equals_timm_while_branches_are_dropped() -> None:
    config = {**TIMM, "drop_path_rate": 0.4}
    theirs, images = timm_network(**config).train(), pictures(5, 3, 24, 24)
    ours = from_reference(theirs.state_dict(), config).train()
    torch.manual_seed(0)
    expected = theirs.forward_head(theirs.forward_features(images), pre_logits=True)
    torch.manual_seed(0)
    assert close(ours(images), expected)
    assert not close(ours.eval()(images), expected)


def test_equals_torchvision_in_outputs_and_gradients() -> None:
    theirs = perturbed(torchvision.models.VisionTransformer(**TORCHVISION))
    ours, images = from_reference(theirs.state_dict(), TORCHVISION), pictures(2, 3, 24, 24)
    found = []
    theirs.encoder.register_forward_hook(lambda *call: found.append(call[2]))
    theirs(images)
    assert close(ours.tokens(images), found[0])
    backward(found[0][:, 0])
    backward(ours(images))
    assert_same_gradients(theirs, TORCHVISION, ours)


def transformers_network(**options) -> tuple[nn.Module, dict]:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(**{**TRANSFORMERS, **options})
    return perturbed(ViTModel(config)).double().eval(), config.to_dict()


def before_version_5(name: str) -> str:
    """What transformers called it, and published files call it still."""
    name = re.sub(r"\blayers\.", "encoder.layer.", name)
    for now, then in (
        ("attention.q_proj", "attention.attention.query"),
        ("attention.k_proj", "attention.attention.key"),
        ("attention.v_proj", "attention.attention.value"),
        ("attention.o_proj", "attention.output.dense"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ):
        name = name.replace(now, then)
    return name


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_equals_transformers_in_outputs_attention_and_gradients(bias: bool) -> None:
    theirs, config = transformers_network(qkv_bias=bias)
    ours, images = from_reference(theirs.state_dict(), config), pictures(2, 3, 24, 24)
    found = theirs(images, output_hidden_states=True)
    assert close(ours.tokens(images), found.last_hidden_state)
    assert close(ours(images), found.last_hidden_state[:, 0])
    assert close(ours.intermediates(images)[1], found.hidden_states[2])
    theirs.set_attn_implementation("eager")  # shows its weights, but takes them in float32
    weights = torch.stack(theirs(images, output_attentions=True).attentions, dim=1)
    assert torch.allclose(ours.attention_maps(images), weights, atol=1e-6)
    backward(found.last_hidden_state[:, 0])
    backward(ours(images))
    assert_same_gradients(theirs, config, ours)


def test_names_of_published_files_are_read() -> None:
    theirs, config = transformers_network()
    now = theirs.state_dict()
    then = {before_version_5(name): tensor for name, tensor in now.items()}
    assert "encoder.layer.2.attention.attention.query.weight" in then
    assert "encoder.layer.2.attention.output.dense.bias" in then
    whole = {f"vit.{name}": t for name, t in then.items() if "pooler" not in name}
    whole |= {"classifier.weight": torch.zeros(7, 24), "classifier.bias": torch.zeros(7)}
    expected = from_reference(now, config).state_dict()
    for state in (then, whole):
        found = from_reference(state, config).state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_the_published_base_size_is_transformers() -> None:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(layer_norm_eps=1e-6)
    with torch.device("meta"):
        theirs, expected = ViTModel(config, add_pooling_layer=False), ViT(B16).state_dict()
    state = {before_version_5(n): torch.zeros(()).expand(t.shape)
             for n, t in theirs.state_dict().items()}  # fmt: skip
    torch.set_default_dtype(torch.float32)
    ours = from_reference(state, config.to_dict())
    assert ours.config == B16
    assert {n: t.shape for n, t in ours.state_dict().items()} == {
        n: t.shape for n, t in expected.items()
    }


def test_tokens_get_their_rows_of_the_table_by_hand() -> None:
    state = {
        "class": torch.tensor([[[1.0, 2.0]]]),
        "registers": torch.tensor([[[3.0, 4.0], [5.0, 6.0]]]),
        "table": torch.tensor([[[10.0, 20.0], [30.0, 40.0], [50.0, 60.0], [70.0, 80.0]]]),
    }
    found = vit_names.folded(state, ("class", "registers"), "table", 3)
    assert found["prefix"].tolist() == [[11, 22], [33, 44], [55, 66]]
    assert found["table"].tolist() == [[70, 80]]
    apart = vit_names.folded(state, ("class", "registers"), "table", 0)
    assert apart["prefix"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert len(apart["table"]) == 4
    assert found.keys() == apart.keys() == {"prefix", "table"}
    assert state["table"].shape == (1, 4, 2)  # what was given is as it was


@pytest.mark.parametrize(
    ("config", "name", "count"),
    [
        (S16, "vit_small_patch16_224", 21_665_280),
        (B16, "vit_base_patch16_224", 85_797_888),
        (L16, "vit_large_patch16_224", 303_300_608),
    ],
    ids=["S16", "B16", "L16"],
)
def test_the_papers_sizes_are_timms(config: Config, name: str, count: int) -> None:
    import timm

    with torch.device("meta"):
        ours, theirs = ViT(config), timm.create_model(name, num_classes=0)
        sizes = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
        assert sizes[0] == count
        assert sizes[0] == sizes[1] - config.dim  # the class token's position
        images = torch.zeros(2, 3, 224, 224)
        assert ours(images).shape == theirs(images).shape == (2, config.dim)
        assert ours.tokens(images).shape == (2, 197, config.dim)


# ------------------------------------------------------------------------------------ bad input


def test_weights_that_do_not_fit_are_refused() -> None:
    theirs = timm_network()
    state = theirs.state_dict()
    lost = {name: tensor for name, tensor in state.items() if name != "pos_embed"}
    with pytest.raises(ValueError, match=r"home here: cls_token; .*not filled: prefix, positions"):
        from_reference(lost, TIMM)
    with pytest.raises(ValueError, match=r"not filled: blocks\.4"):
        from_reference(state, {**TIMM, "depth": 5})
    with pytest.raises(ValueError, match=r"without a home here: blocks\.3|not in the model"):
        from_reference(state, {**TIMM, "depth": 3})
    with pytest.raises(ValueError, match=r"positions \(36, 24\), here \(16, 24\)"):
        from_reference(state, {**TIMM, "img_size": 16})
    with pytest.raises(ValueError, match=r"prefix \(1, 24\), here \(3, 24\)"):
        from_reference(state, {**TIMM, "reg_tokens": 2})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"qk_norm": True}, "nothing like qk_norm=True"),
        ({"in_chans": 1}, "nothing like in_chans=1"),
        ({"act_layer": "quick_gelu"}, "nothing like act_layer='quick_gelu'"),
        ({"global_pool": "avg"}, r"\(global_pool, fc_norm\) is \('avg', None\)"),
        ({"class_token": False, "global_pool": "avg"}, "mean of normalised tokens"),
        ({"img_size": (24, 32)}, r"must be one number, .* but \(24, 32\) and 4 pixels"),
    ],
)
def test_options_that_mean_another_network_are_refused(options: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        from_reference(timm_network().state_dict(), {**TIMM, **options})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hidden_act": "gelu_new"}, "nothing like hidden_act='gelu_new'"),
        ({"num_channels": 1}, "nothing like num_channels=1"),
        ({"hidden_dropout_prob": 0.1}, r"nothing like hidden_dropout_prob=0\.1"),
        ({"attention_probs_dropout_prob": 0.2}, "nothing like attention_probs_dropout_prob"),
        ({"image_size": (24, 32)}, r"must be one number, .* but \(24, 32\) and 4 pixels"),
        ({"num_hidden_layers": 2}, r"blocks\.2|without a home"),
        ({"image_size": 16}, r"positions \(36, 24\), here \(16, 24\)"),
    ],
)
def test_transformers_that_are_another_network_are_refused(options: dict, sentence: str) -> None:
    theirs, config = transformers_network()
    with pytest.raises(ValueError, match=sentence):
        from_reference(theirs.state_dict(), {**config, **options})


def test_what_a_config_of_transformers_must_say_is_named() -> None:
    theirs, config = transformers_network()
    few = {"hidden_size": 24, "num_hidden_layers": 3, "image_size": 24}
    with pytest.raises(ValueError, match="also has patch_size, intermediate_size, num_attention"):
        from_reference(theirs.state_dict(), few)
    state = theirs.state_dict() | {"embeddings.mask_token": torch.zeros(1, 1, 24)}
    with pytest.raises(ValueError, match=r"home here: embeddings\.mask_token"):
        from_reference(state, config)


def test_a_configuration_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match=r"timm's .* these are \['hidden_size'\]"):
        from_reference({}, {"hidden_size": 24})
    with pytest.raises(ValueError, match=r"nothing like dropout=0\.1"):
        from_reference({}, {**TORCHVISION, "dropout": 0.1})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"image_size": 30}, "multiple of the patch size, but 30 and 4 pixels"),
        ({"image_size": 0}, "but 0 and 4 pixels"),
        ({"heads": 5}, "multiple of the number of heads, but 24 and 5"),
        ({"positions": "sincos"}, "learned or fixed, not 'sincos'"),
        ({"positions": "fixed", "dim": 18}, "a multiple of 4, not 18"),
        ({"drop_path": 1.0}, r"in \[0, 1\)"),
    ],
)
def test_impossible_configurations_are_refused(options: dict, sentence: str) -> None:
    good = {"image_size": 24, "patch_size": 4, "dim": 24, "depth": 2, "heads": 3}
    with pytest.raises(ValueError, match=sentence):
        ViT(Config(**{**good, **options}))


def test_pictures_and_tokens_that_do_not_fit_are_refused() -> None:
    model = ViT(SMALL)
    for tokens in (torch.zeros(5, 24), torch.zeros(2, 5, 12)):
        with pytest.raises(ValueError, match=r"tokens must have shape \(B, N, 24\)"):
            model.encode(tokens)
    for images, error, sentence in (
        (torch.zeros(2, 3, 24, 24, dtype=torch.uint8), TypeError, "uint8 was given; .*to_tensor"),
        (torch.zeros(3, 24, 24), ValueError, r"but \(3, 24, 24\) was given"),
        (torch.zeros(2, 24, 24, 3), ValueError, r"but \(2, 24, 24, 3\) was given"),
        (torch.zeros(2, 3, 24, 25), ValueError, "multiples of 4 pixels, but 24 × 25"),
    ):
        for call in (model, model.embed, model.tokens, model.intermediates, model.attention_maps):
            with pytest.raises(error, match=sentence):
                call(images)
