"""selfsup/mae: a slow oracle, what hiding means, learning; transformers' network, gradients too."""

import re
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import ViTConfig, ViTMAEConfig, ViTMAEForPreTraining
from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding

from course_lib.backbones import vit
from course_lib.blocks.masking import draw_hidden
from course_lib.blocks.positions import resize, sincos_2d
from course_lib.selfsup import mae
from course_lib.selfsup.mae import B16, L16, MAE, TINY, Config, from_reference

# Grid 4 × 4, encoder 24 wide with 3 heads, decoder 20 wide with 2: no two numbers alike.
ENCODER = vit.Config(16, 4, dim=24, depth=2, heads=3, positions="fixed")
SMALL = Config(ENCODER, decoder_dim=20, decoder_depth=2, decoder_heads=2)
PLAIN = replace(SMALL, normalise=False)
REFERENCE = {
    "image_size": 16,
    "patch_size": 4,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 60,
    "decoder_hidden_size": 20,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 80,
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
        if parameter.requires_grad:
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    return module


def made(config: Config = SMALL) -> MAE:
    torch.manual_seed(0)
    return perturbed(MAE(config))


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def hide(
    batch: int, grid: tuple[int, int] = (4, 4), ratio: float = 0.7, kind: str = "random"
) -> torch.Tensor:
    return draw_hidden(kind, batch, grid, ratio, torch.Generator().manual_seed(2))


def pixels_of(hidden: torch.Tensor, grid: tuple[int, int], size: int) -> torch.Tensor:
    """Hidden (B, N) → bool (B, 1, H, W), pixel by pixel."""
    field = hidden.unflatten(1, grid)
    return field.repeat_interleave(size, 1).repeat_interleave(size, 2)[:, None]


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-8, atol=1e-8)


# ---------------------------------------------------------------------------------------- shapes


def test_shapes_of_the_small_configuration() -> None:
    torch.set_default_dtype(torch.float32)
    model, images, hidden = MAE(TINY), torch.rand(2, 3, 64, 64), hide(2, (8, 8), 0.75)
    latent = model.encode(images, hidden)
    assert latent.shape == (2, 1 + 16, 96)
    assert model.decode(latent, hidden).shape == (2, 64, 192)
    assert model.target(images).shape == (2, 64, 192)
    assert model.reconstruct(images, hidden).shape == images.shape
    assert model(images).shape == (2, model.dim) == (2, 96)
    assert model.loss(images, hidden).shape == ()


@pytest.mark.parametrize("kind", ["random", "block", "grid"])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75, 0.93])
def test_shapes_at_an_odd_size(kind: str, ratio: float) -> None:
    model, images, grid = made(), pictures(3, 3, 12, 20), (3, 5)
    hidden = hide(3, grid, ratio, kind)
    M = int((~hidden[0]).sum())
    latent = model.encode(images, hidden)
    assert model.grid_of(images) == grid
    assert latent.shape == (3, 1 + M, 24)
    assert model.decode(latent, hidden, grid).shape == (3, 15, 48)
    assert model.loss(images, hidden).isfinite()
    assert model.reconstruct(images, hidden).shape == images.shape


# ---------------------------------------------------------------------- oracle, and cases by hand


def slow_loss(model: MAE, images: torch.Tensor, hidden: list[list[bool]], rows: int) -> float:
    """§3, one picture, one patch, one number at a time; the visible ones are read backwards."""
    size, columns = model.config.encoder.patch_size, images.shape[3] // 4
    errors = []
    for b, image in enumerate(images.tolist()):
        N = len(hidden[b])
        seen = [n for n in reversed(range(N)) if not hidden[b][n]]
        tokens = model.encoder.embed(images[b : b + 1])[0]
        x = torch.stack([model.encoder.prefix[0], *(tokens[n] for n in seen)])[None]
        for block in model.encoder.blocks:
            x = block(x)
        x = model.encoder.norm(x)[0]
        places = resize(model.decoder_positions, model.encoder.grid, (rows, columns))
        line = [model.decoder_embed(x[0])]
        for n in range(N):
            known = model.mask_token if hidden[b][n] else model.decoder_embed(x[1 + seen.index(n)])
            line.append(known + places[n])
        y = torch.stack(line)[None]
        for block in model.decoder_blocks:
            y = block(y)
        told = model.predict(model.decoder_norm(y))[0].tolist()
        for n in range(N):
            top, left = size * (n // columns), size * (n % columns)
            patch = [
                image[c][top + p][left + q]
                for p in range(size)
                for q in range(size)
                for c in range(3)
            ]
            if model.config.normalise:
                mean = sum(patch) / len(patch)
                variance = sum((v - mean) ** 2 for v in patch) / (len(patch) - 1)
                patch = [(v - mean) / (variance + 1e-6) ** 0.5 for v in patch]
            if hidden[b][n]:
                errors += [(a - v) ** 2 for a, v in zip(told[1 + n], patch, strict=True)]
    return sum(errors) / len(errors)


@pytest.mark.parametrize("config", [SMALL, PLAIN], ids=["normalised", "plain"])
@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_loss_is_that_of_the_slow_oracle(config: Config, size: tuple[int, int]) -> None:
    model, images = made(config), pictures(3, 3, *size)
    hidden = hide(3, (size[0] // 4, size[1] // 4))
    expected = slow_loss(model, images, hidden.tolist(), size[0] // 4)
    assert model.loss(images, hidden).item() == pytest.approx(expected, rel=1e-9)


def test_error_by_hand() -> None:
    prediction = torch.tensor([[[0.0, 0.0], [1.0, 3.0]], [[2.0, 2.0], [9.0, 9.0]]])
    target = torch.tensor([[[5.0, 5.0], [2.0, 1.0]], [[2.0, 6.0], [0.0, 0.0]]])
    hidden = torch.tensor([[False, True], [True, False]])
    # ((1 − 2)² + (3 − 1)²) / 2 = 2.5 and (0² + 4²) / 2 = 8; their mean is 5.25.
    assert mae.masked_error(prediction, target, hidden).item() == 5.25


def test_normalised_by_hand() -> None:
    # 0, 2, 4: mean 2, variance (4 + 0 + 4) / 2 = 4, deviation 2. Constant: only the 1e-6 is left.
    found = mae.normalised(torch.tensor([[[0.0, 2.0, 4.0], [7.0, 7.0, 7.0]]]))
    assert torch.allclose(found, torch.tensor([[[-1.0, 0, 1], [0, 0, 0]]]), atol=1e-6)


# ------------------------------------------------------------------------------------- invariants


def test_the_encoder_never_sees_a_hidden_pixel() -> None:
    model, images, hidden = made(), pictures(2, 3, 16, 16).requires_grad_(), hide(2)
    covered = pixels_of(hidden, (4, 4), 4).expand_as(images)
    latent = model.encode(images, hidden)
    (gradient,) = torch.autograd.grad((latent * torch.randn(latent.shape)).sum(), images)
    assert not gradient[covered].any()
    assert (gradient[~covered] != 0).all()
    other = torch.where(covered, torch.rand(images.shape), images)
    assert torch.equal(model.encode(other, hidden), latent)
    seen_otherwise = torch.where(covered, images, torch.rand(images.shape))
    assert not close(model.encode(seen_otherwise, hidden), latent)


@pytest.mark.parametrize("config", [SMALL, PLAIN], ids=["normalised", "plain"])
def test_only_hidden_patches_count(config: Config) -> None:
    model, images, hidden = made(config), pictures(2, 3, 16, 16), hide(2)
    prediction, target = torch.randn(2, 16, 48), model.target(images)
    error = mae.masked_error(prediction, target, hidden)
    elsewhere = torch.where(hidden[..., None], prediction, torch.randn(2, 16, 48))
    assert torch.equal(mae.masked_error(elsewhere, target, hidden), error)
    prediction.requires_grad_()
    mae.masked_error(prediction, target, hidden).backward()
    assert not prediction.grad[~hidden].any()
    assert (prediction.grad[hidden] != 0).all()
    # Of the hidden pixels, the target is the only use.
    latent = model.encode(images, hidden)
    assert torch.equal(
        model.loss(images, hidden), mae.masked_error(model.decode(latent, hidden), target, hidden)
    )


def test_one_picture_is_the_same_alone_and_in_a_batch() -> None:
    model, images, hidden = made(), pictures(3, 3, 16, 16), hide(3)
    alone = model.encode(images[1:2], hidden[1:2])
    assert close(alone, model.encode(images, hidden)[1:2])
    assert close(
        model.decode(alone, hidden[1:2]), model.decode(model.encode(images, hidden), hidden)[1:2]
    )
    assert close(model(images[1:2]), model(images)[1:2])
    # Equally many are hidden in each, so a batch's loss is the mean of the pictures'.
    single = [model.loss(images[b : b + 1], hidden[b : b + 1]) for b in range(3)]
    assert close(torch.stack(single).mean(), model.loss(images, hidden))


def test_hidden_places_differ_by_their_position_alone() -> None:
    """Without positions all hidden patches are told alike; with them, all differently."""
    model, images, hidden = made(), pictures(1, 3, 16, 16), hide(1)
    latent = model.encode(images, hidden)
    told = model.decode(latent, hidden)[0][hidden[0]]
    assert torch.pdist(told).min() > 1e-3
    model.decoder_positions.zero_()
    told = model.decode(latent, hidden)[0][hidden[0]]
    assert torch.pdist(told).max() < 1e-9


def test_nothing_hidden_is_the_plain_encoder() -> None:
    model, images = made(), pictures(2, 3, 12, 20)
    latent = model.encode(images, torch.zeros(2, 15, dtype=torch.bool))
    assert close(latent, model.encoder.tokens(images))
    assert close(model(images), latent[:, 1:].mean(1))


def test_normalised_targets_forget_brightness_and_contrast() -> None:
    model, images = made(), pictures(2, 3, 16, 16)
    target = model.target(images)
    assert torch.allclose(model.target(0.3 * images + 0.5), target, atol=1e-3)
    assert torch.allclose(target.mean(-1), torch.zeros(2, 16), atol=1e-9)
    assert torch.allclose(target.std(-1), torch.ones(2, 16), atol=1e-4)
    plain = made(PLAIN).target(images)
    assert plain[1, 6, 2].item() == images[1, 2, 4, 8].item()  # row 1, column 2: pixel (4, 8), blue


@pytest.mark.parametrize("config", [SMALL, PLAIN], ids=["normalised", "plain"])
def test_reconstruction_keeps_what_is_seen(config: Config) -> None:
    model, images, hidden = made(config), pictures(2, 3, 12, 20), hide(2, (3, 5))
    covered = pixels_of(hidden, (3, 5), 4).expand_as(images)
    painted = model.reconstruct(images, hidden)
    assert torch.equal(painted[~covered], images[~covered])
    assert not torch.isclose(painted[covered], images[covered]).any()
    assert painted.min() >= 0
    assert painted.max() <= 1
    assert not painted.requires_grad


def test_reconstruction_gives_a_normalised_patch_its_statistics_back() -> None:
    model, images, hidden = made(), pictures(2, 3, 16, 16), hide(2)
    covered = pixels_of(hidden, (4, 4), 4).expand_as(images)
    model.decode = lambda *_: model.target(images)  # whoever predicts the target paints the picture
    assert close(model.reconstruct(images, hidden), images)
    model.decode = lambda *_: torch.zeros(2, 16, 48)
    means = images.unflatten(2, (4, 4)).unflatten(4, (4, 4)).mean((1, 3, 5), keepdim=True)
    means = means.expand(2, 3, 4, 4, 4, 4).reshape(images.shape)
    assert close(model.reconstruct(images, hidden)[covered], means[covered])


def test_every_parameter_learns() -> None:
    model = made()
    model.loss(pictures(2, 3, 16, 16), hide(2)).backward()
    for name, parameter in model.named_parameters():
        # The same shift of all keys changes no attention.
        if not name.endswith("key.bias"):
            assert parameter.grad.abs().max() > 1e-9, name


def test_a_step_draws_its_masks_as_the_configuration_says() -> None:
    images = pictures(3, 3, 16, 16)
    for kind, ratio in (("random", 0.75), ("block", 0.5), ("grid", 0.25)):
        model = made(replace(SMALL, kind=kind, ratio=ratio))
        torch.manual_seed(7)
        found = mae.train_step(model, images, 0.5)
        torch.manual_seed(7)
        hidden = draw_hidden(kind, 3, (4, 4), ratio)
        assert list(found) == ["loss"]
        assert torch.equal(found["loss"], model.loss(images, hidden))
        assert not torch.equal(found["loss"], mae.train_step(model, images, 0.5)["loss"])


def test_positions_are_fixed_and_for_the_class_token_there_is_none() -> None:
    model = made()
    assert "decoder_positions" in model.state_dict()
    assert not {"decoder_positions", "encoder.positions"} & dict(model.named_parameters()).keys()
    assert torch.equal(model.decoder_positions, sincos_2d((4, 4), 20))
    assert torch.equal(model.encoder.positions, sincos_2d((4, 4), 24))


def test_initial_weights_are_those_of_the_vit_in_both_halves() -> None:
    torch.manual_seed(0)
    model = MAE(replace(TINY, decoder_dim=96))
    for name, parameter in model.named_parameters():
        spread = {"encoder.patches.projection.weight": 192**-0.5}.get(name, 0.02)
        if parameter.ndim > 1 and parameter.numel() > 1000:
            assert parameter.std().item() == pytest.approx(spread, rel=0.05), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
    assert 0.014 < model.mask_token.std() < 0.026
    norms = [m.eps for m in made(replace(SMALL, encoder=replace(ENCODER, norm_eps=1e-3))).modules()
             if isinstance(m, nn.LayerNorm)]  # fmt: skip
    assert norms == [1e-3] * 10


def test_half_precision_stays_near() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model, images, hidden = MAE(TINY), torch.rand(4, 3, 64, 64), hide(4, (8, 8))
    exact = model.loss(images, hidden)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model.loss(images, hidden)
        painted = model.reconstruct(images, hidden)
    rounded.backward()
    assert rounded.dtype == painted.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=0.01)
    assert all(p.grad.isfinite().all() for p in model.parameters())


# ------------------------------------------------------------------------------------ it learns


def test_it_learns_one_batch_by_heart() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model, hidden = MAE(PLAIN), hide(4)
    ramp = torch.linspace(0, 0.5, 16)  # each colour of each picture rises in a direction of its own
    down, right = torch.rand(2, 4, 3, 1, 1)
    images = down * ramp[:, None] + right * ramp
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        loss = model.loss(images, hidden)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > 0.05  # the mean colour of each picture leaves about 0.01
    assert losses[-1] < 0.003


# --------------------------------------------------------------------------------------- parity


def reference(**options: object) -> tuple[ViTMAEForPreTraining, dict]:
    config = ViTMAEConfig(**{**REFERENCE, **options})
    torch.manual_seed(0)
    theirs = perturbed(ViTMAEForPreTraining(config)).double().train()
    # Its own initialisation ends with zeros in the decoder's table.
    for module, table, dim in (
        (theirs.vit.embeddings, "position_embeddings", config.hidden_size),
        (theirs.decoder, "decoder_pos_embed", config.decoder_hidden_size),
    ):
        places = build_2d_sinusoidal_position_embedding(4, 4, embed_dim=dim, cls_token=True)
        places = torch.cat([places[:, dim // 2 :], places[:, : dim // 2]], dim=1)
        getattr(module, table).data = places[None].double()
    return theirs, config.to_dict()


def in_order(latent: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Their latent, visible tokens in the order of the noise → in the order of the picture."""
    visible = noise.argsort(1)[:, : latent.shape[1] - 1].argsort(1)
    return torch.cat(
        [
            latent[:, :1],
            latent[:, 1:].gather(1, visible[..., None].expand(-1, -1, latent.shape[2])),
        ],
        1,
    )


def before_version_5(name: str) -> str:
    """What transformers called it, and published files call it still."""
    name = re.sub(r"^vit\.layers\.", "vit.encoder.layer.", name)
    name = re.sub(
        r"attention\.(q|k|v)_proj",
        lambda m: "attention.attention." + {"q": "query", "k": "key", "v": "value"}[m[1]],
        name,
    )
    name = name.replace("attention.o_proj", "attention.output.dense")
    return name.replace("mlp.fc1", "intermediate.dense").replace("mlp.fc2", "output.dense")


@pytest.mark.parametrize("normalise", [True, False], ids=["normalised", "plain"])
@pytest.mark.parametrize("ratio", [0.75, 0.4])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_equals_transformers_in_outputs_loss_and_gradients(
    normalise: bool, ratio: float, bias: bool
) -> None:
    theirs, config = reference(norm_pix_loss=normalise, mask_ratio=ratio, qkv_bias=bias)
    ours, images = from_reference(theirs.state_dict(), config), pictures(3, 3, 16, 16)
    assert (ours.config.ratio, ours.config.normalise) == (ratio, normalise)
    noise = torch.rand(3, 16, generator=torch.Generator().manual_seed(3))
    found = theirs(images, noise=noise)
    hidden = found.mask.bool()
    latent = ours.encode(images, hidden)
    assert close(latent, in_order(theirs.vit(images, noise=noise).last_hidden_state, noise))
    assert close(ours.decode(latent, hidden), found.logits)
    loss = ours.loss(images, hidden)
    assert close(loss, found.loss)
    loss.backward()
    found.loss.backward()
    # Conversion only moves numbers, so gradients can pass through it as well.
    passed = {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in theirs.named_parameters()
    }
    expected = from_reference(passed, config).state_dict()
    for name, parameter in ours.named_parameters():
        assert torch.allclose(parameter.grad, expected[name], rtol=1e-5, atol=1e-7), name


def test_masks_are_drawn_as_many_as_transformers() -> None:
    for ratio in (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.85):
        theirs, _ = reference(mask_ratio=ratio)
        assert (
            theirs(pictures(1, 3, 16, 16)).mask.sum()
            == draw_hidden("random", 1, (4, 4), ratio).sum()
        )


def test_names_of_published_files_are_read() -> None:
    theirs, config = reference()
    state = {before_version_5(name): tensor for name, tensor in theirs.state_dict().items()}
    assert "vit.encoder.layer.0.attention.attention.query.weight" in state
    assert "decoder.decoder_layers.0.attention.output.dense.bias" not in theirs.state_dict()
    now, then = (from_reference(s, config).state_dict() for s in (theirs.state_dict(), state))
    assert all(torch.equal(now[name], then[name]) for name in now)


def test_untrained_positions_are_transformers() -> None:
    theirs, config = reference()
    assert theirs.vit.embeddings.position_embeddings.std() > 0.5
    loaded, fresh = from_reference(theirs.state_dict(), config), made(SMALL)
    assert torch.allclose(loaded.encoder.positions, fresh.encoder.positions, atol=1e-6)
    assert torch.allclose(loaded.decoder_positions, fresh.decoder_positions, atol=1e-6)


def test_the_published_base_size_is_transformers() -> None:
    torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        theirs = ViTMAEForPreTraining(ViTMAEConfig(norm_pix_loss=True))
    state = {name: torch.zeros(()).expand(t.shape) for name, t in theirs.state_dict().items()}
    with torch.device("meta"):
        expected = MAE(B16).state_dict()
    ours = from_reference(
        {before_version_5(name): tensor for name, tensor in state.items()},
        ViTMAEConfig(norm_pix_loss=True).to_dict(),
    )
    assert replace(ours.config, encoder=replace(ours.config.encoder, norm_eps=1e-6)) == B16
    assert {n: t.shape for n, t in ours.state_dict().items()} == {
        n: t.shape for n, t in expected.items()
    }
    counts = [sum(p.numel() for p in m.parameters() if p.requires_grad) for m in (ours, theirs)]
    assert counts == [111_655_680, 111_655_680]


@pytest.mark.parametrize("config", [B16, L16], ids=["B16", "L16"])
def test_the_papers_sizes_hide_147_of_196(config: Config) -> None:
    with torch.device("meta"):
        model, images = MAE(config), torch.zeros(2, 3, 224, 224)
        assert model.encoder.tokens(images).shape == (2, 197, config.encoder.dim)
        assert model.decoder_positions.shape == (196, 512)
        assert sum(p.numel() for p in model.decoder_blocks.parameters()) == 8 * 3_152_384


# ------------------------------------------------------------------------------------ bad input


def test_encoders_without_what_mae_needs_are_refused() -> None:
    for wrong in ({"class_token": False}, {"registers": 2}):
        with pytest.raises(ValueError, match="has a class token and no registers"):
            MAE(replace(SMALL, encoder=replace(ENCODER, **wrong)))


def test_masks_that_do_not_fit_are_refused() -> None:
    model, images, hidden = made(), pictures(2, 3, 16, 16), hide(2)
    for wrong in (hidden.double(), hidden[:, :-1], hidden[:1]):
        with pytest.raises(ValueError, match=r"hidden must be bool of shape \(2, 16\), but torch"):
            model.encode(images, wrong)
    uneven = hidden.clone()
    uneven[0, hidden[0].nonzero()[0]] = False
    with pytest.raises(ValueError, match="equally many patches, but 4 to 5 are visible"):
        model.loss(images, uneven)
    with pytest.raises(ValueError, match=r"grid of 16 patches is expected, but \(3, 5\)"):
        model.decode(model.encode(images, hidden), hidden, (3, 5))


def test_errors_of_what_does_not_fit_are_refused() -> None:
    numbers, hidden = torch.zeros(2, 16, 48), hide(2)
    with pytest.raises(
        ValueError, match=r"one shape, but they have \(2, 16, 1\) and \(2, 16, 48\)"
    ):
        mae.masked_error(numbers[..., :1], numbers, hidden)
    with pytest.raises(ValueError, match=r"bool of shape \(2, 16\), but torch.float64 of shape"):
        mae.masked_error(numbers, numbers, hidden.double())
    with pytest.raises(ValueError, match="at least one patch must be hidden"):
        mae.masked_error(numbers, numbers, torch.zeros(2, 16, dtype=torch.bool))


def test_weights_that_do_not_fit_are_refused() -> None:
    theirs, config = reference()
    state = theirs.state_dict()
    lost = {name: tensor for name, tensor in state.items() if name != "decoder.mask_token"}
    with pytest.raises(ValueError, match="not filled: mask_token"):
        from_reference(lost, config)
    with pytest.raises(ValueError, match=r"not filled: decoder_blocks\.1"):
        from_reference(state, {**config, "decoder_num_hidden_layers": 2})
    with pytest.raises(ValueError, match="four times as wide"):
        from_reference(state, {**config, "decoder_intermediate_size": 40})
    with pytest.raises(ValueError, match="nothing like hidden_act='relu'"):
        from_reference(state, {**config, "hidden_act": "relu"})
    with pytest.raises(ValueError, match="also has decoder_hidden_size, mask_ratio, norm_pix_loss"):
        from_reference(state, ViTConfig().to_dict())
    state["decoder.decoder_pos_embed"] = state["decoder.decoder_pos_embed"] + 1
    with pytest.raises(ValueError, match=r"no position here, but one in decoder\.decoder_pos"):
        from_reference(state, config)
