"""backbones/causal_lm: only the past counts, a cache changes nothing; transformers' networks."""

import re
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from course_lib.backbones import causal_lm, causal_lm_names
from course_lib.backbones.causal_lm import (
    LLAMA_7B,
    QWEN2_05B,
    TINY,
    CausalLM,
    Config,
    from_reference,
)
from course_lib.blocks.beam_search import Beams, beam_search
from course_lib.blocks.decoding import Sampling
from course_lib.blocks.token_losses import next_token_loss

V = 37
SMALL = Config(V, 24, 2, 4, 2, 28, rope_base=500.0, qkv_bias=True)
OPTIONS = {
    "vocab_size": V, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 28, "rms_norm_eps": 1e-5,
    "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0,
    "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _everything_in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def perturbed(module: nn.Module, strength: float = 0.2) -> nn.Module:
    """No parameter is 0 or 1, so that none can hide."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data += strength * torch.randn(parameter.shape, generator=generator)
    return module


def made(config: Config = SMALL) -> CausalLM:
    torch.manual_seed(0)
    return perturbed(CausalLM(config))


def words(*shape: int) -> torch.Tensor:
    return torch.randint(1, V, shape, generator=torch.Generator().manual_seed(1))


def left(*pads: int, L: int = 7) -> torch.Tensor:
    """Row b begins with pads[b] pads."""
    return torch.arange(L) < torch.tensor(pads)[:, None]


def close(a: torch.Tensor, b: torch.Tensor, atol: float = 1e-9) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=atol)


KINDS = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "one key head": (LlamaConfig, LlamaForCausalLM, {"num_key_value_heads": 1}),
    "four key heads": (LlamaConfig, LlamaForCausalLM, {"num_key_value_heads": 4}),
    "tied": (Qwen2Config, Qwen2ForCausalLM, {"tie_word_embeddings": True}),
    "wide heads": (LlamaConfig, LlamaForCausalLM, {"head_dim": 10}),
}


def reference(kind: str = "llama", strength: float = 0.2, **options: object):
    """A small random network of transformers, its config.json, and the same network here."""
    configuration, network, more = KINDS[kind]
    config = configuration(**{**OPTIONS, **more, **options})
    torch.manual_seed(0)
    theirs = perturbed(network(config).double().eval(), strength)
    return theirs, config.to_dict(), from_reference(theirs.state_dict(), config.to_dict())


# ---------------------------------------------------------------------------------------- shapes


def test_shapes_of_the_small_configuration() -> None:
    torch.set_default_dtype(torch.float32)
    model, tokens = CausalLM(TINY), torch.randint(512, (2, 9))
    assert model(tokens).shape == (2, 9, 512)
    assert model.embed(tokens).shape == model.hidden(tokens).shape == (2, 9, 128)
    assert model.attention_maps(tokens).shape == (2, 4, 4, 9, 9)
    assert model.generate(tokens, steps=3).shape == (2, 3)


@pytest.mark.parametrize("config", [LLAMA_7B, QWEN2_05B], ids=["LLaMA 7B", "Qwen2 0.5B"])
def test_published_sizes(config: Config) -> None:
    with torch.device("meta"):
        model, tokens = CausalLM(config), torch.zeros(2, 5, dtype=torch.long)
        assert model(tokens).shape == (2, 5, config.vocabulary)
    count = {32_000: 6_738_415_616, 151_936: 494_032_768}[config.vocabulary]
    assert sum(p.numel() for p in model.parameters()) == count


# ------------------------------------------------------------------------------------- invariants


def test_nobody_sees_what_comes_later() -> None:
    model, tokens = made(), words(2, 7)
    x = model.embed(tokens).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(model(embeddings=x)[:, 3].square().sum(), x)
    assert (gradient[:, :4] != 0).all()
    assert not gradient[:, 4:].any()


def test_words_and_their_vectors_are_the_same() -> None:
    model, tokens = made(), words(2, 7)
    assert torch.equal(model(tokens), model(embeddings=model.embed(tokens)))
    assert torch.equal(model(tokens), model.logits(model.hidden(tokens)))


def test_order_matters_and_place_does_not() -> None:
    """The last word sees the others' distances; a shift by pads changes nothing."""
    model, tokens = made(), words(1, 7)
    swapped = tokens[:, [1, 0, 2, 3, 4, 5, 6]]
    assert not close(model(swapped)[:, -1], model(tokens)[:, -1], 1e-3)
    padded = torch.cat([torch.zeros(1, 3, dtype=torch.long), tokens], dim=1)
    found = model(padded, is_pad=left(3, L=10))
    assert close(found[:, 3:], model(tokens))
    behind = torch.cat([tokens, torch.zeros(1, 3, dtype=torch.long)], dim=1)
    found = model(behind, is_pad=torch.arange(10)[None] > 6)
    assert close(found[:, :7], model(tokens))


def test_pads_are_never_looked_at_and_harm_no_gradient() -> None:
    model, tokens = made(), words(3, 7)
    for is_pad in (left(0, 2, 6), left(0, 2, 6).flip(1), left(0, 2, 6).roll(3, 1)):
        maps = model.attention_maps(tokens, is_pad=is_pad)
        assert not maps[is_pad[:, None, None, None].expand_as(maps)].any()
        rows = maps.sum(-1)[:, :, :, :].permute(0, 3, 1, 2)
        assert close(rows[~is_pad], torch.ones_like(rows[~is_pad]))
        other = torch.where(is_pad, 5, tokens)
        assert close(model(other, is_pad=is_pad)[~is_pad], model(tokens, is_pad=is_pad)[~is_pad])
        model.zero_grad()
        causal_lm.train_step(model, (tokens, is_pad), 0.0)["loss"].backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())


def test_maps_are_those_of_the_forward_pass() -> None:
    """Values of one by one, mixed by the maps of the first block, give what that block adds."""
    model, tokens = made(), words(2, 7)
    block, x = model.blocks[0], model.embed(tokens)
    weights, a = model.attention_maps(tokens)[:, 0], model.blocks[0].attention
    values = a.qkv(block.norm1(x))[..., -12:].view(2, 7, 2, 6).repeat_interleave(2, dim=2)
    mixed = torch.einsum("bhts,bshd->bthd", weights, values).flatten(2)
    y = x + a.out(mixed)
    second = y + block.mlp(block.norm2(y))
    one = made(replace(SMALL, depth=1))
    one.load_state_dict({n: p for n, p in model.state_dict().items() if "blocks.1" not in n})
    assert close(one.norm(second), one.hidden(tokens))
    assert close(weights.triu(1), torch.zeros_like(weights))


PARTS = [[7], [1] * 7, [4, 1, 1, 1], [2, 5], [3, 1, 3]]


@pytest.mark.parametrize("parts", PARTS, ids=str)
@pytest.mark.parametrize("config", [SMALL, replace(SMALL, key_heads=4, tied=True)])
def test_a_cache_changes_nothing(parts: list[int], config: Config) -> None:
    model, tokens = made(config), words(3, 7)
    for is_pad in (None, left(0, 2, 5), left(0, 2, 5).roll(2, 1)):
        cache, found, start = model.new_cache(3, 9), [], 0
        for part in tokens.split(parts, dim=1):
            end = start + part.shape[1]
            pads = None if is_pad is None else is_pad[:, start:end]
            found.append(model(part, is_pad=pads, cache=cache))
            start = end
        assert cache.length == 7
        real = torch.ones(3, 7, dtype=torch.bool) if is_pad is None else ~is_pad
        assert close(torch.cat(found, dim=1)[real], model(tokens, is_pad=is_pad)[real])


def test_pads_may_come_first_in_a_later_part() -> None:
    model, tokens, is_pad = made(), words(2, 7), left(0, 3).roll(4, 1)
    cache = model.new_cache(2, 7)
    model(tokens[:, :4], cache=cache)
    found = model(tokens[:, 4:], is_pad=is_pad[:, 4:], cache=cache)
    assert close(found[0], model(tokens)[0, 4:])


def test_every_parameter_learns_and_a_step_counts_real_words() -> None:
    model, tokens, is_pad = made(), words(3, 7), left(0, 2, 5)
    found = causal_lm.train_step(model, (tokens, is_pad), 0.5)
    assert list(found) == ["loss"]
    terms = []
    for b, pads in enumerate((0, 2, 5)):
        log_p = model(tokens[b : b + 1, pads:])[0].log_softmax(-1)
        terms += [-log_p[i, tokens[b, pads + i + 1]] for i in range(6 - pads)]
    assert close(found["loss"], torch.stack(terms).mean())
    found["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 1e-9, name
    whole = causal_lm.train_step(model, (tokens, None), 0.5)["loss"]
    assert close(whole, next_token_loss(model(tokens), tokens, tokens > 0))


def test_initial_weights() -> None:
    torch.manual_seed(0)
    for name, parameter in CausalLM(replace(TINY, qkv_bias=True, tied=False)).named_parameters():
        if parameter.ndim == 2:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.05), name
        else:
            assert (parameter == (0 if name.endswith("bias") else 1)).all(), name


def test_half_precision_stays_near() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model, tokens = CausalLM(TINY), torch.randint(512, (4, 20))
    exact = causal_lm.train_step(model, (tokens, None), 0.0)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = causal_lm.train_step(model, (tokens, left(0, 1, 2, 3, L=20)), 0.0)["loss"]
        model.generate(tokens, is_pad=left(0, 1, 2, 3, L=20), steps=3)
    rounded.backward()
    assert rounded.item() == pytest.approx(exact.item(), rel=0.01)
    assert all(p.grad.isfinite().all() for p in model.parameters())
    half = CausalLM(TINY).to(torch.bfloat16)
    assert half(tokens).dtype == torch.bfloat16
    assert half.generate(tokens, steps=3, how=Beams(2)).shape == (4, 3)


def test_it_learns_one_batch_by_heart() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model, tokens = CausalLM(replace(TINY, depth=2, vocabulary=V)), words(4, 12)
    is_pad = left(0, 1, 2, 3, L=12)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = causal_lm.train_step(model, (tokens, is_pad), 0.0)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.05
    prompt, pads = tokens[:, :5], is_pad[:, :5]
    assert torch.equal(model.generate(prompt, is_pad=pads, steps=7), tokens[:, 5:])


# --------------------------------------------------------------------------- parity: the network


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_logits_loss_and_gradients_are_transformers(kind: str, side: str) -> None:
    theirs, _, ours = reference(kind)
    tokens, is_pad = words(3, 7), left(0, 2, 5)
    if side == "right":
        is_pad = is_pad.flip(1)
    counts = torch.ones_like(is_pad) if side == "none" else ~is_pad & ~is_pad.roll(1, 1)
    labels = tokens.masked_fill(~counts, -100)
    is_pad = None if side == "none" else is_pad
    mask = None if is_pad is None else (~is_pad).long()
    expected = theirs(tokens, attention_mask=mask, labels=labels)
    logits = ours(tokens, is_pad=is_pad)
    real = torch.ones_like(counts) if is_pad is None else ~is_pad
    assert close(logits[real], expected.logits[real], 1e-5)
    loss = next_token_loss(logits, tokens, counts)
    assert close(loss, expected.loss.double(), 1e-5)
    assert close(loss, causal_lm.train_step(ours, (tokens, is_pad), 0.0)["loss"])
    expected.loss.backward()
    loss.backward()
    gradients = {
        n: p.grad for n, p in theirs.named_parameters()
        if not (n == "lm_head.weight" and ours.config.tied)
    }  # fmt: skip
    gradients = causal_lm_names.packed(gradients, ours.config.depth)
    assert len(gradients) == len(dict(ours.named_parameters()))
    table = {re.escape(t).replace(r"\*", "(.+)"): o for t, o in causal_lm_names.TABLE.items()}
    for name, gradient in gradients.items():
        match, target = next(
            (m, o) for t, o in table.items() if (m := re.fullmatch(t, name)) is not None
        )
        for star in match.groups():
            target = target.replace("*", star, 1)
        assert close(ours.get_parameter(target).grad, gradient, 1e-5), name


# ---------------------------------------------------------------------------- parity: generation


def continued(theirs: nn.Module, tokens: torch.Tensor, is_pad: torch.Tensor, **options: object):
    """The new tokens of transformers' `generate`."""
    options = {"do_sample": False, "max_new_tokens": 8, **options}
    found = theirs.generate(tokens, attention_mask=(~is_pad).long(), **options)
    return found[:, tokens.shape[1] :]


@pytest.mark.parametrize("kind", ["llama", "tied"])
@pytest.mark.parametrize("pads", [(0, 0, 0), (0, 2, 5)])
def test_greedy_texts_are_transformers(kind: str, pads: tuple[int, ...]) -> None:
    theirs, _, ours = reference(kind, strength=0.6)
    tokens, is_pad = words(3, 7), left(*pads)
    expected = continued(theirs, tokens, is_pad)
    found = ours.generate(tokens, is_pad=is_pad, steps=8)
    assert torch.equal(found, expected)
    assert torch.equal(ours.generate(embeddings=ours.embed(tokens), is_pad=is_pad, steps=8), found)
    for end in found[:, 2].tolist():  # a word that at least one text says third
        expected = continued(theirs, tokens, is_pad, eos_token_id=end, pad_token_id=end)
        assert torch.equal(ours.generate(tokens, is_pad=is_pad, steps=8, end=end), expected)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("beams", [3, 5])
def test_beams_are_transformers(beams: int, penalty: float, early: bool) -> None:
    theirs, _, ours = reference(strength=0.6)
    tokens, is_pad = words(4, 7), left(0, 2, 5, 1)
    how, lengths = Beams(beams, penalty, early), set()
    likely = theirs(tokens).logits[:, -1].mean(0).topk(4).indices.tolist()
    for end in likely[:3]:
        options = {
            "num_beams": beams, "length_penalty": penalty, "early_stopping": early,
            "eos_token_id": end, "pad_token_id": end,
        }  # fmt: skip
        expected = continued(theirs, tokens, is_pad, **options)
        found = ours.generate(tokens, is_pad=is_pad, steps=8, end=end, how=how)
        assert torch.equal(found, expected)
        # All K texts, and their scores.
        everything = theirs.generate(
            tokens, attention_mask=(~is_pad).long(), max_new_tokens=8, do_sample=False, **options,
            num_return_sequences=beams, return_dict_in_generate=True, output_scores=True,
        )  # fmt: skip
        texts, scores = all_beams(ours, tokens, is_pad, end, how)
        assert torch.equal(texts.flatten(0, 1), everything.sequences[:, 7:])
        # The reference adds up log-probabilities of float32.
        assert close(scores.flatten(), everything.sequences_scores.double(), 5e-5)
        lengths |= set((texts != end).sum(-1).flatten().tolist())
    assert min(lengths) < 7


def all_beams(
    model: CausalLM, tokens: torch.Tensor, is_pad: torch.Tensor, end: int, how: Beams
) -> tuple[torch.Tensor, torch.Tensor]:
    """Without a cache: every text is read from its beginning, at every step."""
    texts, pads = tokens, is_pad

    def step(word: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        nonlocal texts, pads
        texts = torch.cat([texts[rows], word[:, None]], dim=1)
        pads = torch.cat([pads[rows], torch.zeros_like(word[:, None], dtype=torch.bool)], dim=1)
        return model(texts, is_pad=pads)[:, -1]

    with torch.no_grad():
        return beam_search(model(tokens, is_pad=is_pad)[:, -1], step, 8, end, how)


def test_sampled_texts_follow_the_generator() -> None:
    model, tokens = made(), words(3, 7)
    how, texts = Sampling(temperature=1.5, top_k=20), []
    for seed in (1, 1, 2):
        generator = torch.Generator().manual_seed(seed)
        texts.append(model.generate(tokens, steps=9, how=how, generator=generator))
    assert torch.equal(texts[0], texts[1])
    assert not torch.equal(texts[0], texts[2])
    cold = model.generate(tokens, steps=9, how=Sampling(temperature=1e-3))
    assert torch.equal(cold, model.generate(tokens, steps=9))


def test_texts_can_be_learned_from_and_no_pads_need_no_mask() -> None:
    model, tokens = made(), words(2, 7)
    text = model.generate(tokens, steps=4)
    causal_lm.train_step(model, (text, None), 0.0)["loss"].backward()
    assert torch.equal(model.generate(tokens, is_pad=left(0, 0), steps=4), text)


# ------------------------------------------------------------------------------------ config.json


def test_older_and_newer_files_say_the_same() -> None:
    _, newer, _ = reference()
    older = {name: value for name, value in newer.items() if name != "rope_parameters"}
    for more in ({"rope_theta": 500.0}, {"rope_theta": 500.0, "rope_scaling": None}):
        assert causal_lm_names.options({**older, **more}) == causal_lm_names.options(newer)
    # A file may leave out what has its default.
    assert Config(**causal_lm_names.options({"model_type": "llama"})) == LLAMA_7B
    for configuration in (LlamaConfig, Qwen2Config):
        config = configuration(bos_token_id=None)
        said = {"model_type": config.model_type}
        assert causal_lm_names.options(said) == {
            k: v for k, v in causal_lm_names.options(config.to_dict()).items() if k in
            causal_lm_names.options(said)
        }  # fmt: skip
    qwen = {
        "model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "num_hidden_layers": 24,
        "num_attention_heads": 14, "num_key_value_heads": 2, "intermediate_size": 4864,
        "rope_theta": 1000000.0, "rms_norm_eps": 1e-06, "tie_word_embeddings": True,
        "use_sliding_window": False, "sliding_window": 32768, "hidden_act": "silu",
    }  # fmt: skip
    assert Config(**causal_lm_names.options(qwen)) == QWEN2_05B


def test_weights_of_every_form_are_read() -> None:
    theirs, config, ours = reference("tied")
    state = theirs.state_dict()
    assert "lm_head.weight" in state
    del state["lm_head.weight"]
    found = from_reference(state, config)
    assert torch.equal(found(words(1, 4)), ours(words(1, 4)))
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(3)
    from_reference(state, config)
    with pytest.raises(ValueError, match="ties lm_head to embed_tokens, but the two differ"):
        from_reference({**state, "lm_head.weight": torch.zeros(V, 24)}, config)


def test_options_without_a_like_are_refused() -> None:
    theirs, config, _ = reference()
    state = theirs.state_dict()
    for wrong, message in (
        ({"model_type": "mistral"}, "one of llama, qwen2, but it is 'mistral'"),
        ({"hidden_act": "gelu"}, "nothing like hidden_act='gelu'"),
        ({"attention_bias": True}, "nothing like attention_bias=True"),
        ({"mlp_bias": True}, "nothing like mlp_bias=True"),
        ({"attention_dropout": 0.1}, "nothing like attention_dropout=0.1"),
        ({"use_sliding_window": True}, "nothing like use_sliding_window=True"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, r"have \['sliding_attention'\]"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, "'rope_type': 'llama3'"),
        (
            {"rope_parameters": None, "rope_scaling": {"type": "linear", "factor": 2.0}},
            "rotary positions are neither scaled nor unlike here, but rope is {'type': 'linear'",
        ),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1.0}}}, "but rope is {'full_atten"),
        (
            {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}},
            "nothing like partial_rotary_factor=0.5",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            from_reference(state, {**config, **wrong})


def test_weights_that_do_not_fit_are_refused() -> None:
    theirs, config, _ = reference("qwen2")
    state = theirs.state_dict()
    lost = {n: t for n, t in state.items() if n != "model.layers.1.self_attn.k_proj.bias"}
    with pytest.raises(ValueError, match=r"not filled: blocks\.1\.attention\.qkv\.bias"):
        from_reference(lost, config)
    with pytest.raises(ValueError, match=r"without a home here: model\.layers\.1\.self_attn\.q_p"):
        from_reference(lost, config)
    with pytest.raises(ValueError, match=r"not filled: blocks\.2"):
        from_reference(state, {**config, "num_hidden_layers": 3})
    with pytest.raises(ValueError, match=r"qkv\.weight \(48, 24\), here \(72, 24\)"):
        from_reference(state, {**config, "num_key_value_heads": 4})
    with pytest.raises(ValueError, match=r"theirs, without a home here: model\.extra\.weight"):
        from_reference({**state, "model.extra.weight": torch.zeros(1)}, config)


# -------------------------------------------------------------------------------------- bad input


def test_input_that_does_not_fit_is_refused() -> None:
    model, tokens = made(), words(2, 7)
    for wrong in ({}, {"tokens": tokens, "embeddings": model.embed(tokens)}):
        with pytest.raises(ValueError, match="either tokens or embeddings are expected, not both"):
            model(**wrong)
    with pytest.raises(ValueError, match=r"of shape \(B, L\), .* but torch.int64 of shape \(7,\)"):
        model(tokens[0])
    with pytest.raises(ValueError, match=r"shape \(B, L, 24\), but \(2, 7, 23\) was given"):
        model(embeddings=model.embed(tokens)[..., 1:])
    for wrong in (left(0, 2).long(), left(0, 2)[:, 1:], left(0, 2, 3)):
        with pytest.raises(ValueError, match=r"is_pad must be bool of shape \(2, 7\), but torch"):
            model(tokens, is_pad=wrong)
    with pytest.raises(ValueError, match=r"room for 2 rows of 6 tokens, but 2 rows of 0 \+ 7"):
        model(tokens, cache=model.new_cache(2, 6))
    with pytest.raises(ValueError, match="pads of a prompt must stand on its left, but one ends"):
        model.generate(tokens, is_pad=left(0, 2).flip(1))
    with pytest.raises(ValueError, match="at least one step is expected, but 0 were given"):
        model.generate(tokens, steps=0)
    with pytest.raises(ValueError, match="multiple of the heads, but 24 and 5 were given"):
        CausalLM(replace(SMALL, heads=5, key_heads=5))
    with pytest.raises(ValueError, match="multiple of those of keys, but 4 and 3 were given"):
        CausalLM(replace(SMALL, key_heads=3))
