"""vision_language/llava: pictures spliced into texts as plain loops do; what counts, what learns;
transformers' LLaVA with two towers and two language models: logits, losses, gradients, texts, maps.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import LlavaConfig, LlavaForConditionalGeneration

from course_lib.backbones import causal_lm, vit
from course_lib.blocks.beam_search import Beams
from course_lib.blocks.decoding import Sampling
from course_lib.train.fit import fit
from course_lib.vision_language import llava_names
from course_lib.vision_language.llava import (
    LLAVA_15_7B,
    SIGLIP_QWEN2_05B,
    TINY,
    Config,
    LLaVA,
    align,
    from_reference,
    gathered,
    splice,
    train_step,
    tune,
)
from tests.processes import two_ranks

V, IMAGE = 41, 40
# Widths 24 and 16, 4 × 4 = 16 patches or 2 × 3 = 6 of another picture: no two numbers alike.
VISION = vit.Config(16, 4, dim=24, depth=3, heads=3, norm_eps=1e-4, pre_norm=True)
LANGUAGE = causal_lm.Config(V, 16, 2, 4, 2, 28, rope_base=500.0, qkv_bias=True)
SMALL = Config(VISION, LANGUAGE, IMAGE)
# Texts of 7, 6, 3 and 5 tokens with 1, 2, 0 and 1 pictures.
ROWS = [
    [5, IMAGE, 7, 8, 9, 10, 11],
    [IMAGE, 4, IMAGE, 12, 13, 14],
    [15, 16, 17],
    [3, 18, 19, IMAGE, 20],
]
TOLD = [[0, 0, 0, 1, 1, 0, 1], [0, 0, 0, 1, 0, 1], [0, 1, 1], [0, 0, 0, 0, 1]]


@pytest.fixture(autouse=True)
def _everything_in_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def perturbed(module: nn.Module, strength: float = 0.2) -> nn.Module:
    """No parameter is 0 or 1, so that none can hide."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data += strength * torch.randn(parameter.shape, generator=generator)
    return module


def made(config: Config = SMALL, strength: float = 0.2) -> LLaVA:
    torch.manual_seed(0)
    return perturbed(LLaVA(config), strength)


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def padded(rows: list[list[int]], side: str, fill: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows → tokens and is_pad, pads on one side, or "both": some in front and some behind."""
    longest = max(map(len, rows)) + (2 if side == "both" else 0)
    tokens, is_pad = [], []
    for row in rows:
        free = longest - len(row)
        front = {"left": free, "right": 0, "both": (free + 1) // 2}[side]
        tokens.append([fill] * front + row + [fill] * (free - front))
        is_pad.append([True] * front + [False] * len(row) + [True] * (free - front))
    return torch.tensor(tokens), torch.tensor(is_pad)


def close(a: torch.Tensor, b: torch.Tensor, atol: float = 1e-9) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=atol)


# ---------------------------------------------------------------------------------------- shapes


def test_shapes_of_the_small_configuration() -> None:
    torch.set_default_dtype(torch.float32)
    model, images = LLaVA(TINY), torch.rand(2, 3, 64, 64)
    tokens = torch.tensor([[3, 511, 4, 5], [511, 6, 7, 8]])
    assert model.see(images).shape == (2, 16, 128)
    assert model.project(model.see(images)).shape == (2, 16, 128)
    assert model(images, tokens).shape == (2, 4 + 15, 512)
    assert model.generate(images, tokens, steps=3).shape == (2, 3)
    assert model.attention(images, tokens, tokens[:, 2:]).shape == (2, 4, 4, 2, 16)
    counts = torch.tensor([[False, False, False, True]] * 2)
    found = train_step(model, (images, tokens, None, counts), 0.0)
    assert list(found) == ["loss", "right"]
    assert all(value.shape == () for value in found.values())
    count = sum(p.numel() for p in model.language.parameters())
    assert count == sum(p.numel() for p in causal_lm.CausalLM(causal_lm.TINY).parameters())


def test_pictures_of_another_size_take_as_many_places_as_they_have_patches() -> None:
    model, tokens = made(), torch.tensor([[5, IMAGE, 7]])
    assert model(pictures(1, 3, 8, 12), tokens).shape == (1, 2 + 6, V)
    # What fills no patch does not matter.
    images = pictures(1, 3, 11, 14)
    assert torch.equal(model(images, tokens), model(images[:, :, :8, :12], tokens))


@pytest.mark.parametrize("layer", [-1, -2, -3])
def test_the_tower_gives_the_patches_behind_a_block(layer: int) -> None:
    for vision in (VISION, replace(VISION, registers=2), replace(VISION, class_token=False)):
        model, images = made(replace(SMALL, vision=vision, layer=layer)), pictures(2, 3, 16, 16)
        seen = model.see(images)
        assert seen.shape == (2, 16, 24)
        assert close(seen, model.vision.intermediates(images)[layer][:, -16:])


def test_the_two_projectors() -> None:
    features = pictures(2, 5, 24)
    linear, mlp = made(replace(SMALL, projector="linear")), made()
    first = linear.projector[0]
    assert close(linear.project(features), features @ first.weight.T + first.bias)
    first, _, second = mlp.projector
    x = features @ first.weight.T + first.bias
    x = x * (1 + torch.erf(x / 2**0.5)) / 2
    assert close(mlp.project(features), x @ second.weight.T + second.bias)


# ---------------------------------------------------------------------------- oracle, and by hand


def slow_places(rows: list[list[int]], N: int, side: str) -> list[list[int]]:
    """The place of each token once, of a picture N times, and −1 up to the longest row."""
    found = []
    for row in rows:
        places = []
        for place, token in enumerate(row):
            places += [place] * (N if token == IMAGE else 1)
        found.append(places)
    longest = max(map(len, found))
    free = [[-1] * (longest - len(places)) for places in found]
    if side == "left":
        return [f + places for f, places in zip(free, found, strict=True)]
    return [places + f for f, places in zip(free, found, strict=True)]


@pytest.mark.parametrize("N", [1, 2, 5])
@pytest.mark.parametrize("side", ["left", "right"])
def test_places_are_those_of_a_slow_oracle(N: int, side: str) -> None:
    for given in ("left", "right", "both"):
        tokens, is_pad = padded(ROWS, given, fill=IMAGE)  # a pad may hold any id
        found = splice(tokens, is_pad, IMAGE, N, side)
        first = (~is_pad).int().argmax(dim=1)  # where each row begins
        expected = slow_places(ROWS, N, side)
        for b, row in enumerate(expected):
            shifted = [place if place < 0 else place + int(first[b]) for place in row]
            assert found[b].tolist() == shifted
    whole = torch.tensor(ROWS[:1])
    assert splice(whole, None, IMAGE, N).tolist() == slow_places(ROWS[:1], N, "right")


def test_places_by_hand() -> None:
    tokens = torch.tensor([[9, 4, 9, 0], [4, 4, 0, 0]])
    is_pad = torch.tensor([[False, False, False, True], [False, False, True, True]])
    right = [[0, 0, 0, 1, 2, 2, 2], [0, 1, -1, -1, -1, -1, -1]]
    assert splice(tokens, is_pad, 9, 3).tolist() == right
    left = [[0, 0, 0, 1, 2, 2, 2], [-1, -1, -1, -1, -1, 0, 1]]
    assert splice(tokens, is_pad, 9, 3, "left").tolist() == left
    carried = gathered(tokens, torch.tensor(right), 7)
    assert carried.tolist() == [[9, 9, 9, 4, 9, 9, 9], [4, 4, 7, 7, 7, 7, 7]]


def slow_texts(model: LLaVA, images: torch.Tensor, rows: list[list[int]], told: list[list[int]]):
    """Each text alone, without pads: its logits, and −log p of every word that counts."""
    seen, shown, logits, terms = model.project(model.see(images)), 0, [], []
    for row, counting in zip(rows, told, strict=True):
        vectors, ids, counts = [], [], []
        for token, c in zip(row, counting, strict=True):
            if token == IMAGE:
                vectors += list(seen[shown])
                ids += [IMAGE] * len(seen[shown])
                counts += [0] * len(seen[shown])
                shown += 1
            else:
                vectors.append(model.language.words.weight[token])
                ids.append(token)
                counts.append(c)
        found = model.language(embeddings=torch.stack(vectors)[None])[0]
        logits.append(found)
        for place in range(1, len(ids)):
            if counts[place]:
                terms.append(-found[place - 1].log_softmax(-1)[ids[place]])
    assert shown == len(images)
    return logits, terms


@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_logits_loss_and_gradients_are_those_of_a_slow_oracle(side: str) -> None:
    model = tune(made())
    images, (tokens, is_pad) = pictures(4, 3, 16, 16), padded(ROWS, side)
    counts = padded(TOLD, side, fill=0)[0].bool()
    logits = model(images, tokens, is_pad)
    each, terms = slow_texts(model, images, ROWS, TOLD)
    for b, expected in enumerate(each):  # pads are put in again on the right
        assert close(logits[b, : len(expected)], expected)
    assert logits.shape[1] == max(map(len, each))
    found = train_step(model, (images, tokens, is_pad, counts), 0.5)
    expected = torch.stack(terms).mean()
    assert close(found["loss"], expected)
    assert len(terms) == sum(map(sum, TOLD)) == 8
    found["loss"].backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    expected.backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert close(gradients.pop(name), parameter.grad), name
    assert not gradients


def test_the_share_that_is_right_is_of_words_that_count() -> None:
    model, images = made(), pictures(4, 3, 16, 16)
    each, _ = slow_texts(model, images, ROWS, TOLD)
    # Make what is likeliest at some places the truth: words that count at two of eight places.
    rows = [list(row) for row in ROWS]
    lengths = [len(row) + 15 * row.count(IMAGE) for row in ROWS]
    rows[0][-1] = int(each[0][lengths[0] - 2].argmax())
    rows[3][-1] = int(each[3][lengths[3] - 2].argmax())
    assert IMAGE not in (rows[0][-1], rows[3][-1])
    tokens, is_pad = padded(rows, "left")
    counts = padded(TOLD, "left", fill=0)[0].bool()
    again, _ = slow_texts(model, images, rows, TOLD)
    right = 0
    for row, counting, found in zip(rows, TOLD, again, strict=True):
        ids = [i for token in row for i in [token] * (16 if token == IMAGE else 1)]
        marks = [
            c for t, c in zip(row, counting, strict=True) for c in [c] * (16 if t == IMAGE else 1)
        ]
        right += sum(c and int(found[i - 1].argmax()) == ids[i] for i, c in enumerate(marks))
    assert right >= 2
    found = train_step(model, (images, tokens, is_pad, counts), 0.5)["right"]
    assert found.item() == pytest.approx(right / 8)


# ---------------------------------------------------------------------------------- two processes

# One picture each; four words count in the first half of the batch, and two in the second.
HALVES = [[5, 40, 7, 8, 9], [40, 12, 13, 14], [3, 18, 19, 40, 20], [40, 6]]
COUNTED = [[0, 0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0, 1], [0, 1]]


def step_of(own: slice) -> dict:
    """What one process computes from its texts, with its own gradients."""
    model = tune(made())
    tokens, is_pad = padded(HALVES, "right")
    counts = padded(COUNTED, "right", fill=0)[0].bool()
    batch = pictures(4, 3, 16, 16), tokens, is_pad, counts
    found = train_step(model, tuple(part[own] for part in batch), 0.5)
    found["loss"].backward()
    weights = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {"loss": found["loss"].item(), "weights": weights}


def test_two_processes_have_the_loss_and_gradients_of_one(tmp_path: Path) -> None:
    lines = ["from torch import nn", "from course_lib.backbones import causal_lm, vit"]
    lines += ["from course_lib.vision_language.llava import Config, LLaVA, train_step, tune"]
    lines += [f"SMALL = Config(vit.{VISION!r}, causal_lm.{LANGUAGE!r}, {IMAGE})"]
    lines += [f"HALVES, COUNTED = {HALVES!r}, {COUNTED!r}"]
    lines += [inspect.getsource(f) for f in (perturbed, made, pictures, padded, step_of)]
    lines += ["state = step_of(slice(2 * rank, 2 * rank + 2))"]
    ranks, one = two_ranks(tmp_path, "\n\n".join(lines)), step_of(slice(4))
    mean = (ranks[0]["loss"] + ranks[1]["loss"]) / 2
    assert mean == pytest.approx(one["loss"], rel=1e-10)
    assert ranks[0]["weights"].keys() == one["weights"].keys()
    for name, expected in one["weights"].items():
        assert close(sum(part["weights"][name] for part in ranks) / 2, expected, 1e-10), name


# ------------------------------------------------------------------------------------- invariants


def test_pictures_belong_to_their_places() -> None:
    model, images = made(), pictures(4, 3, 16, 16)
    tokens, is_pad = padded(ROWS, "right")
    logits = model(images, tokens, is_pad)
    order = torch.tensor([3, 0, 2, 1])  # rows; their pictures are 3 | 0 | – | 1, 2
    mixed = model(images[[3, 0, 1, 2]], tokens[order], is_pad[order])
    assert close(mixed, logits[order], 1e-9)
    swapped = model(images[[0, 2, 1, 3]], tokens, is_pad)
    assert close(swapped[[0, 2, 3]], logits[[0, 2, 3]])
    assert (swapped[1, :] - logits[1, :]).abs().amax() > 1e-3
    # Nobody sees what comes later, a picture included.
    other = model(images.roll(1, 0), tokens, is_pad)
    assert close(other[0, :1], logits[0, :1])
    assert close(other[3, :3], logits[3, :3])
    assert (other[3, 3:19] - logits[3, 3:19]).abs().amax(-1).min() > 1e-6


def test_a_text_without_pictures_is_the_language_models() -> None:
    model, tokens = made(), torch.tensor([[15, 16, 17, 3]])
    assert torch.equal(model(None, tokens), model.language(tokens))
    expected = model.language.generate(tokens, steps=5)
    assert torch.equal(model.generate(None, tokens, steps=5), expected)
    assert torch.equal(model(pictures(0, 3, 16, 16), tokens), model.language(tokens))


def test_the_image_token_may_be_outside_the_vocabulary() -> None:
    images, tokens = pictures(1, 3, 16, 16), torch.tensor([[5, IMAGE, 7]])
    expected = made()(images, tokens)
    for outside in (-200, 100_000):
        model = made(replace(SMALL, image_token=outside))
        assert close(model(images, tokens.where(tokens != IMAGE, outside)), expected)


def test_what_learns_in_the_two_stages() -> None:
    model = made()
    batch = (pictures(4, 3, 16, 16), *padded(ROWS, "right"), padded(TOLD, "right", 0)[0].bool())
    parts = {"vision": set(), "projector": set(), "language": set()}
    assert not any(p.requires_grad for p in model.vision.parameters())
    for stage, learning in ((align, {"projector"}), (tune, {"projector", "language"})):
        assert stage(model) is model
        before = {n: t.clone() for n, t in model.state_dict().items()}
        fit(model, lambda step, generator: batch, 2, train_step=train_step, lr=1e-2, warmup=0)
        moved = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
        assert {name.split(".")[0] for name in moved} == learning
        for part in parts:
            names = {n for n, _ in model.named_parameters() if n.startswith(part)}
            assert (names <= moved) == (part in learning), names - moved
    assert not model.vision.training
    assert model.language.training
    model.eval()
    assert not model.language.training
    align(tune(model))
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        f"projector.{n}" for n, _ in model.projector.named_parameters()
    }


def test_dropped_branches_of_the_tower_stand_still() -> None:
    model = made(replace(SMALL, vision=replace(VISION, drop_path=0.9)))
    images, tokens = pictures(1, 3, 16, 16), torch.tensor([[5, IMAGE, 7]])
    expected = model(images, tokens)
    for mode in (True, False, True):
        assert torch.equal(model(images, tokens), expected)
        assert model.train(mode).language.training == mode


def test_it_learns_one_batch_by_heart_in_two_stages() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model = LLaVA(replace(SMALL, language=replace(LANGUAGE, dim=32, head_dim=8)))
    images = torch.rand(4, 3, 16, 16)
    # The same question of four pictures: only they tell the answers apart.
    tokens = torch.tensor([[IMAGE, 3, 4, answer, 9] for answer in (5, 6, 7, 8)])
    counts = torch.tensor([[False, False, False, True, True]] * 4)
    batch = (images, tokens, None, counts)
    losses = []
    for stage, rate, steps in ((align, 1e-2, 40), (tune, 5e-3, 80)):
        stage(model)
        history = fit(
            model, lambda step, generator: batch, steps, train_step=train_step, lr=rate,
            precision="float32",
        )  # fmt: skip
        losses.append(history["loss"][-1])
    assert history["right"][-1] == 1
    assert losses[1] < 0.1 < losses[0]
    found = model.eval().generate(images, tokens[:, :3], steps=2, end=9)
    assert torch.equal(found, tokens[:, 3:])
    blind = model.generate(images[[0, 0, 0, 0]], tokens[:, :3], steps=2, end=9)
    assert torch.equal(blind, found[[0, 0, 0, 0]])


def test_half_precision_stays_near() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model, images = LLaVA(TINY), torch.rand(2, 3, 64, 64)
    tokens = torch.tensor([[3, 511, 4, 5], [511, 6, 7, 8]])
    batch = (images, tokens, None, tokens < 500)
    exact = train_step(model, batch, 0.0)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = train_step(model, batch, 0.0)["loss"]
        model.generate(images, tokens, steps=3)
        model.attention(images, tokens, tokens[:, 2:])
    rounded.backward()
    assert rounded.item() == pytest.approx(exact.item(), rel=0.01)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    half = LLaVA(TINY).to(torch.bfloat16)
    assert half(images.bfloat16(), tokens).dtype == torch.bfloat16


# ------------------------------------------------------------------------------------- generation


@pytest.mark.parametrize("side", ["left", "right", "both"])
@pytest.mark.parametrize(
    "how", [None, Beams(3), Sampling(0.7, 9)], ids=["greedy", "beams", "draws"]
)
def test_a_prompt_goes_on_as_it_would_alone(side: str, how: object) -> None:
    model, images = made(strength=0.6), pictures(4, 3, 16, 16)
    tokens, is_pad = padded(ROWS, side)
    found = model.generate(images, tokens, is_pad, 6, None, how, torch.Generator().manual_seed(3))
    if isinstance(how, Sampling):  # draws differ with the batch, not with where its pads stand
        tokens, is_pad = padded(ROWS, "left")
        other = model.generate(
            images, tokens, is_pad, 6, None, how, torch.Generator().manual_seed(3)
        )
        assert torch.equal(found, other)
        return
    shown = [[0], [1, 2], [], [3]]
    for b, row in enumerate(ROWS):
        own = images[shown[b]] if shown[b] else None
        alone = model.generate(own, torch.tensor([row]), steps=6, how=how)
        assert torch.equal(alone[0], found[b])


def test_a_cache_changes_nothing() -> None:
    """Word by word, each time from the beginning, through `forward`."""
    model, images = made(strength=0.6), pictures(4, 3, 16, 16)
    tokens, is_pad = padded(ROWS, "left")
    found = model.generate(images, tokens, is_pad, 6)
    for t in range(6):
        x, places = model.embed(images, tokens, is_pad, "left")
        last = model.language(embeddings=x, is_pad=places < 0)[:, -1]
        assert torch.equal(last.argmax(-1), found[:, t])
        tokens = torch.cat([tokens, found[:, t : t + 1]], dim=1)
        is_pad = torch.cat([is_pad, torch.zeros_like(found[:, :1], dtype=torch.bool)], dim=1)
    assert len(set(found.flatten().tolist())) > 5
    train_step(model, (images, tokens, is_pad, torch.ones_like(is_pad)), 0.0)["loss"].backward()


# --------------------------------------------------------------------------------------- parity

CLIP = {
    "model_type": "clip_vision_model", "image_size": 16, "patch_size": 4, "hidden_size": 24,
    "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 60,
}  # fmt: skip
SIGLIP = CLIP | {"model_type": "siglip_vision_model", "image_size": 18}
LLAMA = {
    "model_type": "llama", "vocab_size": V, "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 28,
    "rms_norm_eps": 1e-5, "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0,
    "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
}  # fmt: skip
FULL = {"vision_feature_select_strategy": "full"}
KINDS = {
    "clip llama": (CLIP, LLAMA, {}),
    "clip qwen2": (CLIP, LLAMA | {"model_type": "qwen2"}, {"vision_feature_layer": 1}),
    "siglip llama": (SIGLIP, LLAMA, FULL),
    "siglip tied": (
        SIGLIP, LLAMA | {"model_type": "qwen2", "tie_word_embeddings": True},
        FULL | {"vision_feature_layer": -1},
    ),
}  # fmt: skip


def reference(kind: str = "clip llama", strength: float = 0.2):
    """A small random LLaVA of transformers, its config.json, and the same network here."""
    vision, text, more = KINDS[kind]
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE, **more)
    torch.manual_seed(0)
    theirs = perturbed(LlavaForConditionalGeneration(config).double().eval(), strength)
    return theirs, config.to_dict(), from_reference(theirs.state_dict(), config.to_dict())


def expanded(rows: list[list[int]], N: int = 16) -> list[list[int]]:
    """What transformers wants: a picture's token once for each patch."""
    return [[t for token in row for t in [token] * (N if token == IMAGE else 1)] for row in rows]


def side_of(kind: str) -> int:
    return 18 if kind.startswith("siglip") else 16


def assert_same_gradients(ours: LLaVA, theirs: nn.Module, config: dict) -> None:
    """Conversion only moves and adds numbers, so their gradients can pass through it as well.

    One thing must not be added: a position to the class token. The gradient of both is the same.
    """
    passed = {}
    for name, p in theirs.named_parameters():
        passed[name] = torch.zeros_like(p) if p.grad is None else p.grad.clone()
        if name.endswith("vision_tower.embeddings.position_embedding.weight") and len(p) == 17:
            passed[name][0] = 0
    if ours.config.language.tied:
        passed["lm_head.weight"] = passed["model.language_model.embed_tokens.weight"]
    expected = from_reference(theirs.state_dict() | passed, config).state_dict()
    used = 0
    for name, parameter in ours.named_parameters():
        found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        assert close(found, expected[name], 1e-6), name
        used += bool(found.any())
    assert used > 40


@pytest.mark.parametrize("side", ["left", "right", "both"])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_loss_and_gradients_are_transformers(kind: str, side: str) -> None:
    theirs, config, ours = reference(kind)
    images = pictures(4, 3, side_of(kind), side_of(kind))
    tokens, is_pad = padded(ROWS, side)
    counts = padded(TOLD, side, 0)[0].bool()
    wide, wide_pad = padded(expanded(ROWS), side, fill=1)
    told = [[c for t, c in zip(row, marks, strict=True) for c in [c] * (16 if t == IMAGE else 1)]
            for row, marks in zip(ROWS, TOLD, strict=True)]  # fmt: skip
    labels = wide.masked_fill(~padded(told, side, 0)[0].bool(), -100)
    expected = theirs(
        input_ids=wide, pixel_values=images, attention_mask=(~wide_pad).long(), labels=labels
    )
    logits = ours(images, tokens, is_pad)
    for b, row in enumerate(expanded(ROWS)):
        assert close(logits[b, : len(row)], expected.logits[b][~wide_pad[b]], 1e-6)
    ours.requires_grad_(True)
    loss = train_step(ours, (images, tokens, is_pad, counts), 0.0)["loss"]
    assert close(loss, expected.loss.double(), 1e-6)
    expected.loss.backward()
    loss.backward()
    assert_same_gradients(ours, theirs, config)


@pytest.mark.parametrize("kind", KINDS)
def test_the_projected_picture_is_transformers(kind: str) -> None:
    theirs, _, ours = reference(kind)
    images = pictures(3, 3, side_of(kind), side_of(kind))
    found = theirs.get_image_features(pixel_values=images).pooler_output
    assert close(ours.project(ours.see(images)), torch.stack(list(found)))


def continued(theirs: nn.Module, images: torch.Tensor, steps: int, **options: object):
    wide, wide_pad = padded(expanded(ROWS), "left", fill=1)
    found = theirs.generate(
        input_ids=wide, pixel_values=images, attention_mask=(~wide_pad).long(), do_sample=False,
        max_new_tokens=steps, **options,
    )  # fmt: skip
    return found[:, wide.shape[1] :]


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_and_beam_texts_are_transformers(kind: str) -> None:
    theirs, _, ours = reference(kind, strength=0.6)
    images = pictures(4, 3, side_of(kind), side_of(kind))
    tokens, is_pad = padded(ROWS, "right")
    found = ours.generate(images, tokens, is_pad, 8)
    assert torch.equal(found, continued(theirs, images, 8))
    assert not torch.equal(found, ours.generate(images.roll(1, 0), tokens, is_pad, 8))
    lengths = set()
    for end in {*found[:, 2].tolist()}:  # a word that at least one text says third
        options = {"eos_token_id": end, "pad_token_id": end}
        expected = continued(theirs, images, 8, **options)
        assert torch.equal(ours.generate(images, tokens, is_pad, 8, end), expected)
        beams = ours.generate(images, tokens, is_pad, 8, end, Beams(3))
        assert torch.equal(beams, continued(theirs, images, 8, num_beams=3, **options))
        lengths |= set((beams != end).sum(1).tolist())
    assert len(lengths) > 1


@pytest.mark.parametrize("kind", ["clip llama", "siglip tied"])
def test_attention_over_the_picture_is_transformers(kind: str) -> None:
    theirs, _, ours = reference(kind, strength=0.6)
    theirs.set_attn_implementation("eager")
    rows, images = [ROWS[0], ROWS[3]], pictures(2, 3, side_of(kind), side_of(kind))
    answers, expected = [], []
    for row, image in zip(expanded(rows), images, strict=True):  # their maps of pads are NaN
        wide = torch.tensor([row])
        out = theirs.generate(
            input_ids=wide, pixel_values=image[None], attention_mask=torch.ones_like(wide),
            do_sample=False, max_new_tokens=5, return_dict_in_generate=True,
            output_attentions=True,
        )  # fmt: skip
        answers.append(out.sequences[0, wide.shape[1] :])
        shown = (wide[0] == IMAGE).nonzero()[:, 0]
        # Each word's step: all blocks (1, H, 1 or S, S).
        steps = [[block[0, :, -1, shown] for block in step] for step in out.attentions]
        expected.append(torch.stack([torch.stack(step) for step in steps], dim=2))
    for side in ("left", "right", "both"):
        maps = ours.attention(
            images, padded(rows, side)[0], torch.stack(answers), padded(rows, side)[1]
        )
        assert close(maps, torch.stack(expected).double(), 1e-6)
    assert maps.shape == (2, 2, 4, 5, 16)
    assert (maps.sum(-1) < 1).all()
    assert not any(block.attention._forward_hooks for block in ours.language.blocks)


def test_maps_are_those_of_the_forward_pass() -> None:
    """Of one text without pads, cut out of the language model's own maps of plain words."""
    model = made()
    model.projector[-1].weight.data.zero_()
    model.projector[-1].bias.data.copy_(model.language.words.weight[6])  # a picture of sixes
    tokens, answers = torch.tensor([[5, IMAGE, 7]]), torch.tensor([[8, 9]])
    maps = model.attention(pictures(1, 3, 16, 16), tokens, answers)
    plain = torch.tensor([[5, *[6] * 16, 7, 8, 9]])
    whole = model.language.attention_maps(plain)  # (1, depth, H, 20, 20)
    assert close(maps, whole[:, :, :, 17:19, 1:17])  # 7 chooses 8, and 8 chooses 9


# ------------------------------------------------------------------------- files, options, sizes


def test_files_of_every_form_are_read() -> None:
    for kind in ("clip llama", "siglip tied"):
        theirs, config, ours = reference(kind)
        state = theirs.state_dict()
        images, tokens = pictures(1, 3, 18, 18)[:, :, :16, :16], torch.tensor([[5, IMAGE, 7]])
        expected = ours(images, tokens)
        saved = {}  # as transformers writes them
        published = {}  # as its files were before version 4.52
        between = {}
        for name, tensor in state.items():
            bare = name.removeprefix("model.")
            language = bare.replace("language_model.", "language_model.model.")
            inner = bare.replace("vision_tower.", "vision_tower.vision_model.")
            is_output = name.startswith("lm_head")
            if is_output and ours.config.language.tied:
                continue
            saved["language_model." + name if is_output else language] = tensor
            published[
                "language_model." + name if is_output
                else inner if bare.startswith("vision") else language
            ] = tensor  # fmt: skip
            between[inner if is_output else "model." + inner] = tensor
        assert len({frozenset(form) for form in (state, saved, published, between)}) == 4
        for form in (saved, published, between):
            assert torch.equal(from_reference(form, config)(images, tokens), expected)
        published["vision_tower.vision_model.embeddings.position_ids"] = torch.arange(17)[None]
        published["language_model.model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(2)
        assert torch.equal(from_reference(published, config)(images, tokens), expected)
        with pytest.raises(ValueError, match="weights are there twice, by two names"):
            from_reference(state | published, config)


def test_layers_are_counted_from_the_end() -> None:
    theirs, config, _ = reference()
    for said, layer in ((-2, -2), (-1, -1), (1, -3), (2, -2), (3, -1), (-3, -3)):
        ours = from_reference(theirs.state_dict(), config | {"vision_feature_layer": said})
        assert ours.config.layer == layer
        images = pictures(2, 3, 16, 16)
        found = theirs.get_image_features(pixel_values=images, vision_feature_layer=said)
        assert close(ours.project(ours.see(images)), torch.stack(list(found.pooler_output)))


def test_options_without_a_like_are_refused() -> None:
    theirs, config, _ = reference()
    state = theirs.state_dict()
    siglip_state, siglip = (f(reference("siglip llama")) for f in (lambda r: r[0].state_dict(),
                                                                   lambda r: r[1]))  # fmt: skip
    for wrong, message in (
        ({"model_type": "llava_next"}, "model_type 'llava' with vision_config and text_config"),
        ({"text_config": None}, "model_type 'llava' with vision_config and text_config"),
        ({"vision_feature_select_strategy": "full"}, "vision_feature_select_strategy='full'"),
        ({"vision_feature_layer": [-2, -3]}, r"nothing like vision_feature_layer=\[-2, -3\]"),
        ({"vision_feature_layer": 0}, "nothing like vision_feature_layer=0"),
        ({"vision_feature_layer": -4}, "nothing like vision_feature_layer=-4"),
        ({"vision_feature_layer": 4}, "nothing like vision_feature_layer=4"),
        ({"projector_hidden_act": "relu"}, "projector_hidden_act='relu'"),
        ({"multimodal_projector_bias": False}, "multimodal_projector_bias=False"),
        ({"vision_config": CLIP | {"model_type": "pixtral"}}, "but it is 'pixtral'"),
        ({"vision_config": CLIP | {"hidden_act": "relu"}}, "nothing like hidden_act='relu'"),
        ({"text_config": LLAMA | {"model_type": "mistral"}}, "but it is 'mistral'"),
        ({"tie_word_embeddings": True}, "ties lm_head to embed_tokens, but the two differ"),
    ):
        with pytest.raises(ValueError, match=message):
            from_reference(state, config | wrong)
    for wrong, message in (
        ({"vision_feature_select_strategy": "default"}, "vision_feature_select_strategy='default'"),
        ({"vision_config": SIGLIP | {"hidden_act": "gelu"}}, "nothing like hidden_act='gelu'"),
        ({"vision_config": SIGLIP | {"num_channels": 4}}, "nothing like num_channels=4"),
    ):
        with pytest.raises(ValueError, match=message):
            from_reference(siglip_state, siglip | wrong)
    assert llava_names.read(state, {n: v for n, v in config.items() if n in (
        "vision_config", "text_config", "image_token_index")}).layer == -2  # fmt: skip


def test_weights_that_do_not_fit_are_refused() -> None:
    theirs, config, _ = reference()
    state = theirs.state_dict()
    with pytest.raises(ValueError, match="theirs, without a home here: stranger"):
        from_reference(state | {"stranger": torch.zeros(1)}, config)
    for lost, ours in (
        ("model.multi_modal_projector.linear_2.bias", r"projector\.2\.bias"),
        ("model.vision_tower.embeddings.position_embedding.weight", r"vision\.positions"),
        ("model.language_model.norm.weight", r"language\.norm\.weight"),
    ):
        with pytest.raises(ValueError, match=rf"not filled: .*{ours}"):
            from_reference({n: t for n, t in state.items() if n != lost}, config)
    other = config | {"vision_config": CLIP | {"image_size": 20}}
    with pytest.raises(ValueError, match=r"positions \(16, 24\), here \(25, 24\)"):
        from_reference(state, other)


L14 = {
    "hidden_size": 1024, "image_size": 336, "intermediate_size": 4096,
    "model_type": "clip_vision_model", "num_attention_heads": 16, "num_hidden_layers": 24,
    "patch_size": 14, "projection_dim": 768, "vocab_size": 32000,
}  # fmt: skip
VICUNA = {"model_type": "llama", "vocab_size": 32064, "rms_norm_eps": 1e-5}
SO400M = {
    "hidden_size": 1152, "image_size": 384, "intermediate_size": 4304, "patch_size": 14,
    "model_type": "siglip_vision_model", "num_attention_heads": 16, "num_hidden_layers": 27,
}  # fmt: skip
QWEN = {
    "model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "num_hidden_layers": 24,
    "num_attention_heads": 14, "num_key_value_heads": 2, "intermediate_size": 4864,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
    "tie_word_embeddings": True,
}  # fmt: skip
SIZES = {
    "LLaVA-1.5 7B": (LLAVA_15_7B, L14, VICUNA, {"image_token_index": 32000}, 336, 576),
    "Qwen2 0.5B": (SIGLIP_QWEN2_05B, SO400M, QWEN, FULL | {"image_token_index": 151646}, 384, 729),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_published_sizes_are_transformers(name: str) -> None:
    torch.set_default_dtype(torch.float32)
    expected, vision, text, more, side, N = SIZES[name]
    config = LlavaConfig(vision_config=vision, text_config=text, **more)
    with torch.device("meta"):
        theirs = LlavaForConditionalGeneration(config)
        state = {n: t for n, t in theirs.state_dict().items()
                 if not (expected.language.tied and n == "lm_head.weight")}  # fmt: skip
        ours = from_reference(state, config.to_dict())
        assert ours.see(torch.zeros(1, 3, side, side)).shape == (1, N, expected.vision.dim)
        seen = torch.zeros(1, N, expected.vision.dim)
        assert ours.project(seen).shape == (1, N, expected.language.dim)
    said = ours.config.language
    assert replace(ours.config, language=replace(said, head_dim=None)) == expected
    assert said.head_dim in (None, said.dim // said.heads)
    # The class token and its position are one here; SigLIP's own pooling is left out.
    head = sum(p.numel() for n, p in theirs.named_parameters() if "vision_tower.head" in n)
    less = 1024 if expected.vision.class_token else head
    numbers = sum(p.numel() for p in theirs.parameters())
    assert sum(p.numel() for p in ours.parameters()) == numbers - less
    if name.startswith("LLaVA"):
        assert numbers == 7_063_427_072


# ---------------------------------------------------------------------------------------- errors


def test_input_that_does_not_fit_is_refused() -> None:
    model, images = made(), pictures(2, 3, 16, 16)
    tokens = torch.tensor([[5, IMAGE, 7], [IMAGE, 8, IMAGE]])
    for given, count in ((images, 2), (None, 0), (images[:0], 0), (pictures(4, 3, 16, 16), 4)):
        with pytest.raises(ValueError, match=f"have 3 places for pictures, but {count} were given"):
            model(given, tokens)
    with pytest.raises(ValueError, match="have 0 places for pictures, but 2 were given"):
        model.generate(images, torch.tensor([[1, 2]]))
    for is_pad in (tokens == 0, (tokens == 0)[:, 1:], (tokens == 0).long(), (tokens == 0)[0]):
        if is_pad.dtype == torch.bool and is_pad.shape == tokens.shape:
            continue
        with pytest.raises(ValueError, match=r"is_pad, bool \(B, L\), are expected, but \(2, 3\)"):
            splice(tokens, is_pad, IMAGE, 4)
    with pytest.raises(ValueError, match=r"tokens \(B, L\) and is_pad.*but \(3,\)"):
        model(images, tokens[0])
    for one in (tokens, torch.tensor([[5, 6, 7], [IMAGE, 8, IMAGE]])):
        shown = pictures(int((one == IMAGE).sum()), 3, 16, 16)
        each = re.escape(str((one == IMAGE).sum(dim=1).tolist()))
        with pytest.raises(ValueError, match=f"must show one picture, but they show {each}"):
            model.attention(shown, one, torch.tensor([[1], [2]]))
    with pytest.raises(TypeError, match=r"a network takes float tensors, but torch\.uint8"):
        model((images * 255).byte(), tokens)
    with pytest.raises(ValueError, match=r"must have shape \(B, 3, H, W\), but \(3, 16, 16\)"):
        model(images[0], tokens)
    with pytest.raises(ValueError, match="at least 4 pixels, but 16 × 3 was given"):
        model(pictures(3, 3, 16, 3), tokens)
    with pytest.raises(ValueError, match="side right or left, not 'Left'"):
        splice(tokens, None, IMAGE, 4, "Left")
    one, counts = torch.tensor([[IMAGE, 8, 9]]), torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"counts must have the tokens' shape, but \(1, 2\) for"):
        train_step(model, (images[:1], one, None, counts), 0.0)
    with pytest.raises(ValueError, match="tokens must be 0 to 40, but 41 to 41 were given"):
        model(None, torch.tensor([[V]]))
    for layer in (0, 1, -4):
        with pytest.raises(ValueError, match=f"layer must be from -3 to -1, but it is {layer}"):
            replace(SMALL, layer=layer)
    with pytest.raises(ValueError, match="layer must be from -2 to -1, but it is -3"):
        replace(SMALL, vision=replace(VISION, depth=2), layer=-3)
    with pytest.raises(ValueError, match="projector is linear or mlp, not 'deep'"):
        replace(SMALL, projector="deep")
