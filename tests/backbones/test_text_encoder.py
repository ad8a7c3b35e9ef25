"""backbones/text_encoder, text_head, text_names: a slow oracle, three ways to run, transformers."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertLMHeadModel,
    BertModel,
    BlipTextConfig,
    BlipTextModel,
)
from transformers.models.blip.modeling_blip_text import BlipTextLMHeadModel

from course_lib.backbones import text_head, text_names
from course_lib.backbones.text_encoder import (
    BERT_BASE,
    BLIP_BASE,
    TINY,
    Config,
    TextEncoder,
    from_reference,
)
from course_lib.backbones.text_head import Head
from course_lib.blocks.token_losses import masked_lm_loss, next_token_loss

# No two numbers alike.
SMALL = Config(23, 9, dim=12, depth=2, heads=3, mlp_width=20, cross_width=10, norm_eps=1e-3)
PLAIN = replace(SMALL, cross_width=None, segments=0)
B, L, N, V = 2, 7, 5, 23
PADS = torch.tensor([[False] * 7, [False] * 4 + [True] * 3])
CONTEXT_PADS = torch.tensor([[False, True, False, False, True], [False] * 5])


@pytest.fixture(autouse=True)
def _everything_in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def perturbed(module: nn.Module, seed: int = 0) -> nn.Module:
    """No parameter is 0 or 1, so that none can hide."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return module


def made(config: Config = SMALL) -> TextEncoder:
    torch.manual_seed(0)
    return perturbed(TextEncoder(config))


def texts(*shape: int, seed: int = 1, top: int = V) -> torch.Tensor:
    """Words from 1 on: 0 is the reference's pad, whose embedding it never teaches."""
    return torch.randint(1, top, shape or (B, L), generator=torch.Generator().manual_seed(seed))


def numbers(*shape: int, seed: int = 2) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-9, atol=1e-9)


def kinds() -> torch.Tensor:
    return torch.tensor([[0, 0, 1, 1, 0, 1, 1], [1, 0, 0, 1, 1, 1, 0]])


# ---------------------------------------------------------------------------------------- shapes


def test_shapes_of_the_small_configuration() -> None:
    torch.set_default_dtype(torch.float32)
    model, head, tokens = TextEncoder(), Head(), texts(3, 11, top=1000)
    x = model(tokens)
    assert x.shape == (3, 11, model.dim) == (3, 11, 128)
    assert head(x, model.words.weight).shape == (3, 11, 1000)
    own, cross = model.attention_maps(tokens, context=torch.rand(3, 4, 128))
    assert own.shape == (3, 4, 4, 11, 11)
    assert cross.shape == (3, 4, 4, 11, 4)
    assert model.attention_maps(tokens)[1] is None


@pytest.mark.parametrize("length", [1, 9])
def test_shapes_at_an_odd_size(length: int) -> None:
    model, tokens = made(), texts(3, length)
    for causal in (False, True):
        for context in (None, numbers(3, 1, 10)):
            x = model(tokens, context=context, causal=causal)
            assert x.shape == (3, length, 12)
            assert x.isfinite().all()


# ---------------------------------------------------------------------- oracle, and cases by hand


def line(layer: nn.Linear, x: list[float]) -> list[float]:
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [sum(w * v for w, v in zip(row, x, strict=True)) + b
            for row, b in zip(weight, bias, strict=True)]  # fmt: skip


def normed(layer: nn.LayerNorm, x: list[float], more: list[float] | None = None) -> list[float]:
    x = [a + b for a, b in zip(x, more, strict=True)] if more else x
    mean = sum(x) / len(x)
    spread = math.sqrt(sum((v - mean) ** 2 for v in x) / len(x) + SMALL.norm_eps)
    scale, shift = layer.weight.tolist(), layer.bias.tolist()
    return [(v - mean) / spread * a + b for v, a, b in zip(x, scale, shift, strict=True)]


def asked(layer, x: list[float], others: list[list[float]]) -> tuple[list[float], list[list]]:
    """One token looks at others, one head after the other → what it gets, weights of each head."""
    q, width, got, table = line(layer.query, x), 4, [], []
    for start in range(0, 12, width):
        part = range(start, start + width)
        scores = []
        for other in others:
            k = line(layer.key, other)
            scores.append(math.exp(sum(q[i] * k[i] for i in part) / math.sqrt(width)))
        weights = [score / sum(scores) for score in scores]
        values = [line(layer.value, other) for other in others]
        got += [sum(w * v[i] for w, v in zip(weights, values, strict=True)) for i in part]
        table.append(weights)
    return line(layer.out, got), table


def slow(model, tokens, segments, sees, context, looks) -> tuple[list[list[float]], list, list]:
    """One text, one token, one number at a time. `sees(t, s)`: may t look at s; `looks(n)`."""
    rows = []
    for place, (word, kind) in enumerate(zip(tokens, segments, strict=True)):
        parts = (model.words.weight[word], model.positions.weight[place],
                 model.segments.weight[kind])  # fmt: skip
        rows.append(normed(model.norm, [sum(p[i].item() for p in parts) for i in range(12)]))
    seen = [row for n, row in enumerate(context) if looks(n)]
    maps, cross_maps = [], []
    for block in model.blocks:
        after = []
        for t, x in enumerate(rows):
            got, table = asked(block.attention, x, [y for s, y in enumerate(rows) if sees(t, s)])
            maps.append(table)
            x = normed(block.norm1, x, got)
            if context:
                got, table = asked(block.cross, x, seen)
                cross_maps.append(table)
                x = normed(block.norm_cross, x, got)
            wide = [0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in line(block.mlp.fc1, x)]
            after.append(normed(block.norm2, x, line(block.mlp.fc2, wide)))
        rows = after
    return rows, maps, cross_maps


@pytest.mark.parametrize("looking", [False, True], ids=["alone", "with a picture"])
@pytest.mark.parametrize("causal", [False, True], ids=["reader", "writer"])
def test_outputs_and_maps_are_those_of_the_slow_oracle(causal: bool, looking: bool) -> None:
    model, tokens = made(), texts()
    context = numbers(B, N, 10) if looking else None
    given = (tokens, PADS, context, CONTEXT_PADS if looking else None, causal, kinds())
    with torch.no_grad():
        out, (maps, cross_maps) = model(*given), model.attention_maps(*given)
    for b in range(B):
        rows, table, cross_table = slow(
            model, tokens[b].tolist(), kinds()[b].tolist(),
            lambda t, s, b=b: not PADS[b, s] and (s <= t or not causal),
            context[b].tolist() if looking else [], lambda n, b=b: not CONTEXT_PADS[b, n],
        )  # fmt: skip
        assert close(out[b], torch.tensor(rows))
        for number, (i, t) in enumerate((i, t) for i in range(2) for t in range(L)):
            row = maps[b, i, :, t]
            may = ~PADS[b] & (torch.arange(L) <= t if causal else True)
            assert close(row[:, may], torch.tensor(table[number]))
            assert not row[:, ~may].any()
            if looking:
                row = cross_maps[b, i, :, t]
                assert close(row[:, ~CONTEXT_PADS[b]], torch.tensor(cross_table[number]))
                assert not row[:, CONTEXT_PADS[b]].any()


# ------------------------------------------------------------------------------------- invariants


@pytest.mark.parametrize("causal", [False, True], ids=["reader", "writer"])
def test_a_pad_never_changes_another_token(causal: bool) -> None:
    model, head, context = made(), perturbed(Head(SMALL)), numbers(B, N, 10)
    for pads in (PADS, PADS.flip(1)):  # behind the text, or in front of it
        given = (pads, context, None, causal)
        tokens = texts()
        other = torch.where(pads, texts(seed=5), tokens)
        assert not torch.equal(tokens, other)
        x, y = model(tokens, *given), model(other, *given)
        assert torch.equal(x[~pads], y[~pads])
        assert x.isfinite().all()
        assert not torch.equal(x[pads], y[pads])
        if pads is PADS:  # a pad in front is the one that tells a text's first word
            losses = [
                next_token_loss(head(out, model.words.weight), words, ~pads)
                for out, words in ((x, tokens), (y, other))
            ]
            assert torch.equal(*losses)


def test_a_text_is_the_same_with_and_without_its_pads() -> None:
    model, tokens, context = made(), texts(), numbers(B, N, 10)
    for causal in (False, True):
        padded = model(tokens, PADS, context, CONTEXT_PADS, causal)
        for b in range(B):
            short = model(tokens[b : b + 1, ~PADS[b]],
                          context=context[b : b + 1, ~CONTEXT_PADS[b]], causal=causal)  # fmt: skip
            assert close(short[0], padded[b, ~PADS[b]])


def test_a_text_of_pads_alone_gives_no_nan() -> None:
    model, pads = made(), PADS | torch.tensor([[False], [True]])
    for causal in (False, True):
        x = model(texts(), pads, numbers(B, N, 10), CONTEXT_PADS | pads[:, :N], causal)
        x.sum().backward()
        assert x.isfinite().all()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("where", range(L))
def test_a_writer_never_looks_ahead_and_a_reader_does(where: int) -> None:
    model, tokens, context = made(), texts(), numbers(B, N, 10)
    other = tokens.clone()
    other[:, where] = other[:, where] % (V - 1) + 1
    for given in ({}, {"context": context}, {"is_pad": torch.zeros_like(PADS)}):
        x, y = (model(words, causal=True, **given) for words in (tokens, other))
        assert torch.equal(x[:, :where], y[:, :where])
        assert ((x[:, where:] - y[:, where:]).abs().amax(2) > 1e-6).all()
        x, y = (model(words, **given) for words in (tokens, other))
        assert ((x - y).abs().amax(2) > 1e-6).all()


def test_only_what_may_be_seen_of_a_context_matters() -> None:
    model, tokens, context = made(), texts(), numbers(B, N, 10)
    x = model(tokens, context=context, context_is_pad=CONTEXT_PADS)
    hidden = torch.where(CONTEXT_PADS[..., None], numbers(B, N, 10, seed=8), context)
    assert torch.equal(x, model(tokens, context=hidden, context_is_pad=CONTEXT_PADS))
    assert not close(x, model(tokens, context=context))
    seen = torch.where(CONTEXT_PADS[..., None], context, numbers(B, N, 10, seed=8))
    assert not close(x, model(tokens, context=seen, context_is_pad=CONTEXT_PADS))
    order = torch.tensor([3, 0, 4, 1, 2])  # a context has no order of its own
    assert close(x, model(tokens, None, context[:, order], CONTEXT_PADS[:, order]))


def test_without_a_context_the_cross_attention_is_not_there() -> None:
    model = made()
    bare = TextEncoder(replace(SMALL, cross_width=None))
    state = model.state_dict()
    bare.load_state_dict({name: state[name] for name in bare.state_dict()})
    assert {name.split(".")[2] for name in state.keys() - bare.state_dict().keys()} == {
        "cross", "norm_cross",
    }  # fmt: skip
    assert torch.equal(model(texts()), bare(texts()))
    assert not close(model(texts()), model(texts(), context=torch.zeros(B, 1, 10)))


def test_order_is_known_by_positions_alone() -> None:
    model, tokens, order = made(), texts(), torch.tensor([4, 2, 0, 6, 1, 3, 5])
    x = model(tokens, segments=kinds())
    assert not close(model(tokens[:, order], segments=kinds()[:, order]), x[:, order])
    model.positions.weight.data[:L] = model.positions.weight.data[order]
    assert close(model(tokens[:, order], segments=kinds()[:, order]), x[:, order])


def test_segments_are_told_apart_and_without_them_all_are_the_first() -> None:
    model, tokens = made(), texts()
    assert close(model(tokens), model(tokens, segments=torch.zeros_like(tokens)))
    assert not close(model(tokens), model(tokens, segments=torch.ones_like(tokens)))
    assert "segments.weight" not in made(PLAIN).state_dict()


def test_one_text_is_the_same_alone_and_in_a_batch() -> None:
    model, tokens, context = made(), texts(), numbers(B, N, 10)
    x = model(tokens, PADS, context, CONTEXT_PADS, segments=kinds())
    alone = model(tokens[1:], PADS[1:], context[1:], CONTEXT_PADS[1:], segments=kinds()[1:])
    assert close(x[1:], alone)


def test_every_parameter_learns() -> None:
    model, head = made(), perturbed(Head(SMALL))
    x = model(texts(), PADS, numbers(B, N, 10), CONTEXT_PADS, True, kinds())
    next_token_loss(head(x, model.words.weight), texts(), ~PADS).backward()
    for name, parameter in (*model.named_parameters(), *head.named_parameters()):
        # The same shift of all keys changes no attention.
        if not name.endswith("key.bias"):
            assert parameter.grad.abs().max() > 1e-9, name


def test_the_head_is_tied() -> None:
    model, head = made(), perturbed(Head(SMALL))
    assert {name: tuple(p.shape) for name, p in head.named_parameters()} == {
        "bias": (V,), "dense.weight": (12, 12), "dense.bias": (12,),
        "norm.weight": (12,), "norm.bias": (12,),
    }  # fmt: skip
    x = numbers(3, 12)
    words = model.words.weight.detach().clone()
    words[5] += 1
    change = head(x, words) - head(x, model.words.weight)
    assert (change[:, 5] != 0).all()
    assert not change[:, torch.arange(V) != 5].any()


def test_initial_weights_are_normal() -> None:
    torch.manual_seed(0)
    config = replace(TINY, segments=2)
    for module in (TextEncoder(config), Head(config)):
        for name, parameter in module.named_parameters():
            if parameter.ndim > 1:
                many = parameter.numel() > 1000
                assert parameter.std().item() == pytest.approx(0.02, rel=0.05 if many else 0.3)
            else:
                ones = "norm" in name and name.endswith("weight")
                assert (parameter == float(ones)).all(), name
    norms = [m.eps for m in (*made().modules(), *Head(SMALL).modules())
             if isinstance(m, nn.LayerNorm)]  # fmt: skip
    assert norms == [1e-3] * (1 + 2 * 3 + 1)


def test_half_precision_stays_near() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model, head, tokens = TextEncoder(), Head(), texts(4, 12, top=1000)
    context = torch.randn(4, N, 128)

    def run() -> torch.Tensor:
        x = model(tokens, context=context, causal=True)
        return next_token_loss(head(x, model.words.weight), tokens)

    exact = run()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = run()
    rounded.backward()
    assert rounded.item() == pytest.approx(exact.item(), rel=0.01)
    assert all(p.grad.isfinite().all() for n, p in model.named_parameters())


# ----------------------------------------------------------------------------- cached = uncached


@pytest.mark.parametrize("steps", [[1] * 7, [3, 1, 1, 2], [7]], ids=str)
@pytest.mark.parametrize("looking", [False, True], ids=["alone", "with a picture"])
@pytest.mark.parametrize("pads", [None, PADS, PADS.flip(1)], ids=["no pads", "right", "left"])
def test_cached_is_uncached(steps: list[int], looking: bool, pads: torch.Tensor | None) -> None:
    model, tokens, context = made(), texts(), numbers(B, N, 10)
    seen = (context, CONTEXT_PADS) if looking else (None, None)
    expected = model(tokens, pads, *seen, True, kinds())
    cache, start, found = model.new_cache(*seen), 0, []
    for step in steps:
        part = slice(start, start + step)
        found.append(model(tokens[:, part], None if pads is None else pads[:, part], causal=True,
                           segments=kinds()[:, part], cache=cache))  # fmt: skip
        start += step
        assert cache.length == start
        assert all(k.shape == v.shape == (B, 3, start, 4) for k, v in cache.own)
    assert close(torch.cat(found, 1), expected)


def test_nothing_is_computed_twice() -> None:
    model, tokens, context = made(), texts(), numbers(B, N, 10)
    rows = {"key": 0, "cross": 0}
    for name, layer in (
        ("key", model.blocks[1].attention.key),
        ("cross", model.blocks[1].cross.key),
    ):
        layer.register_forward_hook(
            lambda layer, given, out, name=name: rows.update({name: rows[name] + out.shape[1]})
        )
    cache = model.new_cache(context)
    for t in range(L):
        model(tokens[:, t : t + 1], causal=True, cache=cache)
    assert rows == {"key": L, "cross": N}


def test_selected_texts_go_on_as_if_they_had_been_alone() -> None:
    model, context, rows = made(), numbers(B, N, 10), torch.tensor([1, 1, 0])
    tokens, more = texts(), texts(3, 2, seed=4)
    cache = model.new_cache(context, CONTEXT_PADS)
    model(tokens[:, :5], PADS[:, :5], causal=True, cache=cache)
    cache.select(rows)
    found = model(more, causal=True, cache=cache)
    whole = torch.cat([tokens[rows, :5], more], 1)
    pads = torch.cat([PADS[rows, :5], torch.zeros(3, 2, dtype=torch.bool)], 1)
    expected = model(whole, pads, context[rows], CONTEXT_PADS[rows], True)
    assert close(found, expected[:, 5:])


def test_a_refused_call_leaves_the_cache_as_it_was() -> None:
    model, tokens = made(), texts()
    cache = model.new_cache(numbers(B, N, 10))
    model(tokens[:, :3], causal=True, cache=cache)
    for words, pads in ((texts(B, 7), None), (texts(3, 1), None), (texts(B, 1), PADS[:, :2]),
                        (texts(B, 1), PADS[:, :1].double())):  # fmt: skip
        with pytest.raises(ValueError, match=r"expected|may have|must be|is for"):
            model(words, pads, causal=True, cache=cache)
    assert cache.length == 3
    assert {k.shape[2] for k, _ in cache.own} == {3}


# ------------------------------------------------------------------------------------ it learns


def test_it_learns_to_name_pictures_and_hidden_words_by_heart() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    config = Config(30, 6, dim=32, depth=2, heads=2, mlp_width=64, cross_width=10, segments=0)
    model, head = TextEncoder(config), Head(config)
    # All texts begin alike, so that only the picture can tell how they go on.
    tokens = torch.cat([torch.ones(4, 1, dtype=torch.long), texts(4, 5, top=29)], 1)
    pictures, pads = torch.randn(4, 3, 10), torch.arange(6) > torch.tensor([[5], [4], [5], [3]])
    chosen = torch.tensor([False, False, True, False, False, False]).expand(4, 6)
    optimiser = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(60):
        x = model(tokens, pads, pictures, causal=True)
        caption = next_token_loss(head(x, model.words.weight), tokens, ~pads)
        x = model(tokens.masked_fill(chosen, 29), pads)
        hidden = masked_lm_loss(head(x, model.words.weight), tokens, chosen)
        optimiser.zero_grad()
        (caption + hidden).backward()
        optimiser.step()
    assert caption.item() < 0.1  # at first log 30 = 3.4
    assert hidden.item() < 0.1
    cache, said = model.new_cache(pictures), [tokens[:, :1]]
    with torch.no_grad():
        for _ in range(5):
            x = model(said[-1], causal=True, cache=cache)
            said.append(head(x, model.words.weight).argmax(-1))
    assert torch.equal(torch.cat(said, 1)[~pads], tokens[~pads])


# --------------------------------------------------------------------------------------- parity

BERT = {
    "vocab_size": V, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
    "intermediate_size": 20, "max_position_embeddings": 9, "layer_norm_eps": 1e-3,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
BLIP = {**BERT, "encoder_hidden_size": 10, "label_smoothing": 0.1}


def reference(network: type, **options: object) -> tuple[nn.Module, dict]:
    config = (BlipTextConfig if "Blip" in network.__name__ else BertConfig)(**options)
    torch.manual_seed(0)
    return perturbed(network(config).double().train()), config.to_dict()


def gradients_agree(theirs: nn.Module, config: dict, ours: TextEncoder, head: Head | None) -> None:
    """Conversion only moves numbers, so gradients can pass through it as well."""
    passed = {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in theirs.named_parameters()
    }
    found = [(ours, from_reference(passed, config))]
    if head is not None:
        found.append((head, text_head.from_reference(passed, config)))
    for module, expected in found:
        state = expected.state_dict()
        for name, parameter in module.named_parameters():
            mine = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            assert torch.allclose(mine, state[name], rtol=1e-5, atol=1e-8), name
    assert ours.words.weight.grad.abs().max() > 1e-6


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_equals_bert_as_a_reader(attention: str) -> None:
    theirs, config = reference(BertModel, **BERT, attn_implementation=attention)
    ours, tokens, weight = from_reference(theirs.state_dict(), config), texts(), numbers(B, L, 12)
    assert ours.config == replace(SMALL, cross_width=None)
    for segments in (None, kinds()):
        given = {"attention_mask": (~PADS).long(), "token_type_ids": segments}
        found = theirs(tokens, **given).last_hidden_state
        x = ours(tokens, PADS, segments=segments)
        assert close(x, found)  # pads, too
    for out in (x, found):
        (out * weight)[~PADS].sum().backward()
    gradients_agree(theirs, config, ours, None)


def test_attention_maps_equal_berts() -> None:
    theirs, config = reference(BertModel, **BERT, attn_implementation="eager")
    ours = from_reference(theirs.state_dict(), config)
    found = theirs(texts(), attention_mask=(~PADS).long(), output_attentions=True).attentions
    assert close(ours.attention_maps(texts(), PADS)[0], torch.stack(found, 1))


def test_equals_bert_that_tells_hidden_words() -> None:
    theirs, config = reference(BertForMaskedLM, **BERT)
    state, chosen = theirs.state_dict(), (torch.arange(L) % 3 == 1) & ~PADS
    ours, head = from_reference(state, config), text_head.from_reference(state, config)
    tokens = texts()
    labels = tokens.masked_fill(~chosen, -100)
    found = theirs(tokens, attention_mask=(~PADS).long(), labels=labels)
    logits = head(ours(tokens, PADS), ours.words.weight)
    loss = masked_lm_loss(logits, labels, chosen)
    assert close(logits, found.logits)
    assert close(loss, found.loss)
    loss.backward()
    found.loss.backward()
    gradients_agree(theirs, config, ours, head)


@pytest.mark.parametrize("looking", [False, True], ids=["alone", "with a picture"])
def test_equals_bert_as_a_writer(looking: bool) -> None:
    theirs, config = reference(
        BertLMHeadModel, **BERT, is_decoder=True, add_cross_attention=looking
    )
    state, tokens = theirs.state_dict(), texts()
    ours, head = from_reference(state, config), text_head.from_reference(state, config)
    assert ours.config.cross_width == (12 if looking else None)
    context = numbers(B, N, 12) if looking else None
    seen = {
        "encoder_hidden_states": context, "encoder_attention_mask": (~CONTEXT_PADS).long(),
    } if looking else {}  # fmt: skip
    labels = tokens.masked_fill(PADS, -100)
    found = theirs(tokens, attention_mask=(~PADS).long(), labels=labels, **seen)
    x = ours(tokens, PADS, context, CONTEXT_PADS if looking else None, True)
    logits = head(x, ours.words.weight)
    assert close(logits, found.logits)
    loss = next_token_loss(logits, tokens, ~PADS)
    assert torch.allclose(loss, found.loss.double(), rtol=1e-5)  # theirs is made in float32
    loss.backward()
    # In float64: the same mean, by the reference's logits.
    nn.functional.cross_entropy(
        found.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    ).backward()
    gradients_agree(theirs, config, ours, head)


@pytest.mark.parametrize("looking", [False, True], ids=["alone", "with a picture"])
@pytest.mark.parametrize("causal", [False, True], ids=["reader", "writer"])
def test_equals_blips_text(causal: bool, looking: bool) -> None:
    theirs, config = reference(BlipTextModel, **BLIP)
    ours, tokens, weight = from_reference(theirs.state_dict(), config), texts(), numbers(B, L, 12)
    assert ours.config == replace(SMALL, segments=0)
    context = numbers(B, N, 10) if looking else None
    found = theirs(
        tokens, attention_mask=(~PADS).long(), is_decoder=causal, encoder_hidden_states=context
    )
    x = ours(tokens, PADS, context, None, causal)
    assert close(x, found.last_hidden_state)
    for out in (x, found.last_hidden_state):
        (out * weight)[~PADS].sum().backward()
    gradients_agree(theirs, config, ours, None)


def test_pads_of_a_context_are_what_blip_would_not_have_been_shown() -> None:
    """Cut out, not masked: transformers 5.24 takes BLIP's encoder_attention_mask and forgets it."""
    theirs, config = reference(BlipTextModel, **BLIP)
    ours, tokens, context = from_reference(theirs.state_dict(), config), texts(), numbers(B, N, 10)
    for causal in (False, True):
        x = ours(tokens, None, context, CONTEXT_PADS, causal)
        for b in range(B):
            shown = context[b : b + 1, ~CONTEXT_PADS[b]]
            found = theirs(tokens[b : b + 1], is_decoder=causal, encoder_hidden_states=shown)
            assert close(x[b : b + 1], found.last_hidden_state)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_blips_writer_and_its_smoothed_loss(smoothing: float) -> None:
    theirs, config = reference(BlipTextLMHeadModel, **{**BLIP, "label_smoothing": smoothing})
    state, tokens, context = theirs.state_dict(), texts(), numbers(B, N, 10)
    ours, head = from_reference(state, config), text_head.from_reference(state, config)
    found = theirs(
        tokens, attention_mask=(~PADS).long(), encoder_hidden_states=context,
        labels=tokens.masked_fill(PADS, -100),
    )  # fmt: skip
    logits = head(ours(tokens, PADS, context, causal=True), ours.words.weight)
    loss = next_token_loss(logits, tokens, ~PADS, smoothing)
    assert close(logits, found.logits)
    assert close(loss, found.loss)
    loss.backward()
    found.loss.backward()
    gradients_agree(theirs, config, ours, head)


def test_blip_without_cross_attention_is_read_too() -> None:
    theirs, config = reference(BlipTextModel, **BLIP, is_decoder=False)
    ours = from_reference(theirs.state_dict(), config)
    assert ours.config == PLAIN
    assert close(ours(texts()), theirs(texts()).last_hidden_state)


def test_published_files_have_older_names_and_more_tensors() -> None:
    theirs, config = reference(BertForMaskedLM, **BERT)
    state = {}
    for name, tensor in theirs.state_dict().items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        state[name.replace("LayerNorm.bias", "LayerNorm.beta")] = tensor
    del state["cls.predictions.decoder.bias"], state["cls.predictions.decoder.weight"]
    state["bert.embeddings.position_ids"] = torch.arange(9)[None]
    for name in ("bert.pooler.dense", "cls.seq_relationship"):
        state |= {f"{name}.weight": torch.ones(2, 12), f"{name}.bias": torch.ones(2)}
    config = {**config, "position_embedding_type": "absolute", "pruned_heads": {},
              "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}  # fmt: skip
    ours, head = from_reference(state, config), text_head.from_reference(state, config)
    assert close(head(ours(texts()), ours.words.weight), theirs(texts()).logits)


@pytest.mark.parametrize(
    ("network", "config", "ours", "count"),
    [
        (BertForMaskedLM, BertConfig(), BERT_BASE, 108_891_648),
        # As published: of blip-image-captioning-base, the text has 12 heads, not the default 8.
        (BlipTextLMHeadModel, BlipTextConfig(num_attention_heads=12), BLIP_BASE, 137_258_496),
    ],
    ids=["bert-base-uncased", "blip-image-captioning-base"],
)
def test_the_published_sizes_fit(network: type, config: object, ours: Config, count: int) -> None:
    torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        state = network(config).state_dict()
        found = from_reference(state, config.to_dict())
        for name in text_names.TIED:  # what has no numbers cannot be compared
            state.pop(name)
        head = text_head.from_reference(state, config.to_dict())
        assert found.config == ours
        assert sum(p.numel() for p in found.parameters()) == count
        tokens = torch.zeros(2, 5, dtype=torch.long)
        assert head(found(tokens), found.words.weight).shape == (2, 5, ours.vocabulary)


# ------------------------------------------------------------------------------------ bad input


def test_weights_that_do_not_fit_are_refused() -> None:
    theirs, config = reference(BlipTextLMHeadModel, **BLIP)
    state = theirs.state_dict()
    word = "bert.embeddings.word_embeddings.weight"
    lost = {name: tensor for name, tensor in state.items() if name != word}
    with pytest.raises(ValueError, match=r"do not fit TextEncoder: .*not filled: words.weight"):
        from_reference(lost, config)
    with pytest.raises(ValueError, match=r"not filled: blocks\.2"):
        from_reference(state, {**config, "num_hidden_layers": 3})
    with pytest.raises(ValueError, match=r"not in the model: blocks\.0\.cross"):
        from_reference(state, {**config, "is_decoder": False})
    with pytest.raises(
        ValueError, match=r"another shape: blocks\.0\.cross\.key\.weight \(12, 10\)"
    ):
        from_reference(state, {**config, "encoder_hidden_size": 11})
    for read in (from_reference, text_head.from_reference):
        with pytest.raises(ValueError, match=r"without a home here: vision_proj\.weight"):
            read({**state, "vision_proj.weight": torch.ones(2)}, config)
    with pytest.raises(ValueError, match=r"do not fit Head: .*not filled: bias"):
        text_head.from_reference({n: t for n, t in state.items() if "predictions.bias" not in n},
                                 config)  # fmt: skip
    for name, twin in text_names.TIED.items():
        assert any(n.endswith(twin) for n in state)
        with pytest.raises(ValueError, match=f"tied here, but {name} differs from {twin}"):
            text_head.from_reference({**state, name: state[name] + 1}, config)


def test_options_that_have_no_like_here_are_refused() -> None:
    bert, blip = BertConfig(**BERT).to_dict(), BlipTextConfig(**BLIP).to_dict()
    for config, options, sentence in (
        (bert, {"position_embedding_type": "relative_key"}, "nothing like position_embedding_type"),
        (bert, {"hidden_act": "gelu_new"}, "nothing like hidden_act='gelu_new'"),
        (blip, {"hidden_act": "relu"}, "nothing like hidden_act='relu'"),
        (bert, {"tie_word_embeddings": False}, "nothing like tie_word_embeddings=False"),
        (bert, {"pruned_heads": {"1": [0]}}, "nothing like pruned_heads"),
        (bert, {"model_type": "roberta"}, "must be bert or blip_text_model, but it is 'roberta'"),
        (bert, {"model_type": None}, "must be bert or blip_text_model, but it is None"),
    ):
        with pytest.raises(ValueError, match=sentence):
            text_names.options({**config, **options})
    for config in (bert, blip):
        more = ["type_vocab_size"] if config is bert else ["encoder_hidden_size", "is_decoder"]
        for name in [*text_names.NEEDED, *more]:
            kept = {key: value for key, value in config.items() if key != name}
            with pytest.raises(ValueError, match=f"also has {name}"):
                text_names.options(kept)


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    model, plain, tokens, context = made(), made(PLAIN), texts(), numbers(B, N, 10)
    cache = model.new_cache(context)
    model(tokens, causal=True, cache=cache)
    for call, sentence in (
        (lambda: model(tokens[0]), r"tokens must be int64 of .* of shape \(7,\) was given"),
        (lambda: model(tokens.double()), r"int64 .* but torch.float64 of shape \(2, 7\)"),
        (lambda: model(tokens[:, :0]), r"\(2, 0\) was given"),
        (lambda: model(tokens + V), "tokens must be 0 to 22, but 2[4-9] to 4[0-9] were given"),
        (lambda: model(-tokens), r"0 to 22, but -2\d to -\d+ were given"),
        (lambda: model(texts(2, 10)), "a text may have 9 tokens here, but this one has 10"),
        (lambda: model(texts(2, 3), causal=True, cache=cache), "9 tokens .* has 10"),
        (lambda: model(tokens, segments=kinds() + 1), "segments must be 0 to 1, but 1 to 2"),
        (lambda: model(tokens, segments=kinds()[:, 1:]), r"segments must .* \(2, 6\) was given"),
        (lambda: plain(tokens, segments=kinds()), "encoder has no segments, but some were"),
        (lambda: model(tokens, PADS.long()), r"is_pad must be bool .* but torch.int64"),
        (lambda: model(tokens, PADS[:1]), r"is_pad must .* \(2, 7\), but .* \(1, 7\) was given"),
        (lambda: plain(tokens, context=context), r"no context \(cross_width None\), but got"),
        (lambda: model(tokens, context=context[0]), r"\(2, N, 10\) .* \(5, 10\) was given"),
        (lambda: model(tokens, context=context[:1]), r"\(2, N, 10\) .* \(1, 5, 10\) was given"),
        (lambda: model(tokens, context=numbers(B, N, 12)), r"cross_width 10 .* \(2, 5, 12\) was"),
        (lambda: model(tokens, context_is_pad=CONTEXT_PADS), "context is expected with context_is"),
        (lambda: model.new_cache(None, CONTEXT_PADS), "a context is expected with context_is_pad"),
        (lambda: model(tokens, None, context, PADS), r"context_is_pad must .*\(2, 5\), .*\(2, 7\)"),
        (lambda: model(tokens[:, :1], cache=cache), r"causal runs.* causal=False was given"),
        (lambda: model(tokens[:, :1], None, context, None, True, None, cache), "cache; a context"),
        (lambda: model(texts(3, 1), causal=True, cache=cache), "for 2 texts, but 3 were given"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=sentence):
            call()
    first = model.new_cache(context)
    with pytest.raises(ValueError, match="for 2 texts, but 1 were given"):
        model(tokens[:1], causal=True, cache=first)
