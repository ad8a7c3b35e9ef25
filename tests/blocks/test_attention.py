"""blocks/attention: loops straight from the equation, both paths, masks, timm's and torch's."""

import math

import pytest
import torch
from torch import nn

from benchmarks import attention as benchmark
from course_lib.blocks import attention
from course_lib.blocks.attention import (
    Attention,
    attend,
    attention_weights,
    explicit_attention,
    fused_attention,
)

B, HEADS, T, S, D = 2, 3, 5, 4, 12


def tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def perturbed(module: nn.Module, seed: int = 0) -> nn.Module:
    """No parameter is 0 or 1, so that none can hide."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = parameter.data.double() + 0.3 * noise
    return module


@torch.no_grad()
def by_loops(model: Attention, x, context, allowed) -> tuple[torch.Tensor, torch.Tensor]:
    """One query, head and key at a time; `allowed(b, head, t, s)` says who may look at whom."""
    width = x.shape[-1] // model.heads
    mixed = torch.zeros(x.shape, dtype=torch.float64)
    table = torch.zeros(len(x), model.heads, x.shape[1], context.shape[1], dtype=torch.float64)
    for b in range(len(x)):
        for h in range(model.heads):
            part = slice(h * width, (h + 1) * width)
            for t in range(x.shape[1]):
                q = model.query(x[b, t])[part]
                scores = {}
                for s in range(context.shape[1]):
                    if allowed(b, h, t, s):
                        k = model.key(context[b, s])[part]
                        scores[s] = math.exp(float((q * k).sum()) / math.sqrt(width))
                for s, score in scores.items():
                    table[b, h, t, s] = score / sum(scores.values())
                    mixed[b, t, part] += table[b, h, t, s] * model.value(context[b, s])[part]
    return model.out(mixed), table


MASKS = {
    "none": None,
    "(T, S)": torch.rand(T, S, generator=torch.Generator().manual_seed(1)) > 0.4,
    "(1, S)": torch.tensor([[True, False, True, True]]),
    "(B, 1, S)": torch.tensor([[[True, False, True, True]], [[True, True, True, False]]]),
    "(B, heads, T, S)": torch.rand(
        B, HEADS, T, S, generator=torch.Generator().manual_seed(2)
    ) > 0.3,
    "(B, 1, T, S), empty rows": torch.stack([torch.zeros(T, S), torch.ones(T, S)])[:, None] > 0,
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
def test_forward_and_weights_are_the_equation(name: str) -> None:
    mask = MASKS[name]
    model = perturbed(Attention(D, HEADS))
    x, context = tokens(B, T, D), tokens(B, S, D, seed=1)

    def allowed(b: int, h: int, t: int, s: int) -> bool:
        if mask is None:
            return True
        index = {2: (t, s), 3: (b, t, s), 4: (b, h, t, s)}[mask.ndim]
        return bool(mask[tuple(min(i, n - 1) for i, n in zip(index, mask.shape, strict=True))])

    expected, table = by_loops(model, x, context, allowed)
    assert torch.allclose(model(x, context, mask), expected, atol=1e-12)
    assert torch.allclose(model.weights(x, context, mask), table, atol=1e-12)


def test_self_attention_is_attention_to_itself() -> None:
    model, x = perturbed(Attention(D, HEADS)), tokens(B, T, D)
    expected, table = by_loops(model, x, x, lambda *_: True)
    assert torch.allclose(model(x), expected, atol=1e-12)
    assert torch.allclose(model.weights(x), table, atol=1e-12)


def test_by_hand() -> None:
    # One head of width 4: scores are q·k / 2, so log 3 against 0 makes ¾ and ¼.
    q = torch.tensor([[2.0, 0, 0, 0]])
    k = torch.tensor([[math.log(3), 9, 0, 0], [0, 0, 7, 0]])
    v = torch.tensor([[4.0, 0], [0, 8]])
    assert torch.allclose(attention_weights(q, k), torch.tensor([[0.75, 0.25]]))
    for function in (explicit_attention, fused_attention, attend):
        assert torch.allclose(function(q, k, v), torch.tensor([[3.0, 2.0]]))


@pytest.mark.parametrize("name", MASKS)
def test_both_paths_agree_in_outputs_and_gradients(name: str) -> None:
    def run(function):
        generator = torch.Generator().manual_seed(4)
        shapes = [(B, HEADS, n, 8) for n in (T, S, S)]
        q, k, v = (torch.randn(s, generator=generator).requires_grad_() for s in shapes)
        mask = MASKS[name]
        out = function(q, k, v, mask[:, None] if mask is not None and mask.ndim == 3 else mask)
        (out * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum().backward()
        return out, q.grad, k.grad, v.grad

    for ours, fused in zip(run(explicit_attention), run(fused_attention), strict=True):
        assert ours.isfinite().all()
        assert torch.allclose(ours, fused, atol=1e-6)


def test_a_query_that_may_attend_to_nothing_gets_zeros() -> None:
    model, x = perturbed(Attention(D, HEADS)), tokens(B, T, D).requires_grad_()
    nobody = torch.ones(T, T, dtype=torch.bool)
    nobody[2] = False
    assert (model.weights(x, may_attend=nobody)[:, :, 2] == 0).all()
    out = model(x, may_attend=nobody)
    assert torch.allclose(out[:, 2], model.out.bias.expand(B, D))
    (gradient,) = torch.autograd.grad(out[:, 2].sum(), x, retain_graph=True)
    assert (gradient == 0).all()  # neither NaN nor a look at anybody


def test_what_may_not_be_seen_does_not_matter() -> None:
    model, x = perturbed(Attention(D, HEADS)), tokens(B, T, D)
    causal = torch.ones(T, T, dtype=torch.bool).tril()
    changed = x.clone()
    changed[:, 3:] += 5
    before, after = model(x, may_attend=causal), model(changed, may_attend=causal)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_forbidden_keys_count_for_nothing_however_small_the_others_are() -> None:
    q, k = torch.ones(1, 1), torch.tensor([[-300.0], [-301.0], [50.0]])
    weights = attention_weights(q, k, torch.tensor([[True, True, False]]))
    share = 1 / (1 + math.exp(-1))
    assert weights.tolist()[0] == pytest.approx([share, 1 - share, 0])


def test_the_order_of_tokens_is_invisible() -> None:
    model, x, context = perturbed(Attention(D, HEADS)), tokens(B, T, D), tokens(B, S, D, seed=1)
    order = torch.tensor([3, 0, 4, 1, 2])
    assert torch.allclose(model(x[:, order]), model(x)[:, order])
    assert torch.allclose(model(x, context.flip(1)), model(x, context))


def test_a_context_of_another_width_is_the_equation_too() -> None:
    model = perturbed(Attention(D, HEADS, context_dim=7))
    assert (model.key.in_features, model.value.in_features, model.query.in_features) == (7, 7, D)
    x, context, mask = tokens(B, T, D), tokens(B, S, 7, seed=1), MASKS["(T, S)"]
    expected, table = by_loops(model, x, context, lambda b, h, t, s: bool(mask[t, s]))
    assert torch.allclose(model(x, context, mask), expected, atol=1e-12)
    assert torch.allclose(model.weights(x, context, mask), table, atol=1e-12)
    for call in (model, model.weights):
        with pytest.raises(
            ValueError, match=r"context must have shape \(B, tokens, 7\).*\(2, 5, 12\)"
        ):
            call(x)


def test_keys_and_values_can_be_kept_and_read_later() -> None:
    model, x = perturbed(Attention(D, HEADS)), tokens(B, T, D)
    causal = torch.ones(T, T, dtype=torch.bool).tril()
    keys, values = model.keys_values(x)
    assert keys.shape == values.shape == (B, HEADS, T, D // HEADS)
    # The last two queries alone, with what was kept of all.
    late = model.read(x[:, -2:], (keys, values), causal[-2:])
    assert torch.allclose(late, model(x, may_attend=causal)[:, -2:], atol=1e-12)
    with pytest.raises(ValueError, match=r"fit \(B, heads, T, S\) = \(2, 3, 2, 5\), .* \(5, 5\)"):
        model.read(x[:, -2:], (keys, values), causal)


def test_one_sample_is_the_same_alone_and_in_a_batch() -> None:
    model, x = perturbed(Attention(D, HEADS)), tokens(B, T, D)
    assert torch.allclose(model(x[1:]), model(x)[1:])


@pytest.mark.parametrize("bias", [True, False])
def test_equals_torch_and_timm_with_gradients(bias: bool) -> None:
    from timm.layers import Attention as TimmAttention

    model = perturbed(Attention(D, HEADS, qkv_bias=bias))
    theirs = TimmAttention(D, HEADS, qkv_bias=bias).double()
    packed = nn.MultiheadAttention(D, HEADS, bias=True, batch_first=True).double()
    parts = (model.query, model.key, model.value)
    weight = torch.cat([part.weight for part in parts]).detach()
    zero = torch.zeros(D, dtype=torch.float64)
    biases = torch.cat([part.bias.detach() if bias else zero for part in parts])
    state = {"qkv.weight": weight, "proj.weight": model.out.weight, "proj.bias": model.out.bias}
    theirs.load_state_dict({**state, **({"qkv.bias": biases} if bias else {})})
    packed.in_proj_weight.data, packed.in_proj_bias.data = weight.clone(), biases
    packed.out_proj.load_state_dict(model.out.state_dict())
    x, gradient = tokens(B, T, D).requires_grad_(), tokens(B, T, D, seed=3)
    causal = torch.ones(T, T, dtype=torch.bool).tril()
    runs = {
        "ours": (model(x, may_attend=causal), model.query.weight),
        "timm": (theirs(x, attn_mask=causal), theirs.qkv.weight),
        # torch's mask is named for the opposite: True is forbidden.
        "torch": (packed(x, x, x, attn_mask=~causal)[0], packed.in_proj_weight),
    }
    found = {
        name: (out, *torch.autograd.grad((out * gradient).sum(), [x, parameter]))
        for name, (out, parameter) in runs.items()
    }
    for other in ("timm", "torch"):
        out, to_x, to_weight = found[other]
        assert torch.allclose(found["ours"][0], out, atol=1e-10)
        assert torch.allclose(found["ours"][1], to_x, atol=1e-10)
        assert torch.allclose(found["ours"][2], to_weight[:D], atol=1e-10)
    _, table = packed(x, x, x, attn_mask=~causal, average_attn_weights=False)
    assert torch.allclose(model.weights(x, may_attend=causal), table, atol=1e-10)


def test_the_path_is_chosen_by_device_and_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "explicit_attention", lambda *_: "explicit")
    monkeypatch.setattr(attention, "fused_attention", lambda *_: "fused")
    for dtype, path in ((torch.float32, "fused"), (torch.bfloat16, "explicit")):
        q = torch.zeros(1, 1, 2, 4, dtype=dtype)
        assert attend(q, q, q) == path
        assert attend(*[q.to("meta")] * 3) == "fused"  # stands for every accelerator


def test_bfloat16_is_as_near_as_its_eight_bits() -> None:
    q, k, v = (tokens(B, HEADS, 7, 8, seed=seed) for seed in range(3))
    mask = torch.ones(7, 7, dtype=torch.bool).tril()
    mask[0] = False
    exact = explicit_attention(q, k, v, mask)
    rounded = attend(*(x.bfloat16() for x in (q, k, v)), mask)
    assert rounded.dtype == torch.bfloat16
    assert (rounded[:, :, 0] == 0).all()
    assert (rounded.double() - exact).abs().max() < 0.03  # 4 steps of 2⁻⁷ for values around 1


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="multiple of the number of heads, but 12 and 5"):
        Attention(12, 5)
    with pytest.raises(ValueError, match="12 and 0"):
        Attention(12, 0)
    model = Attention(12, 3)
    x = torch.zeros(2, 5, 12)
    ok = torch.ones(5, 5, dtype=torch.bool)
    for arguments, sentence in (
        ((x[0],), r"x must have shape \(B, tokens, 12\).*\(5, 12\) was given"),
        ((torch.zeros(2, 5, 8),), r"x must have shape"),
        ((x, torch.zeros(3, 4, 12)), r"context must have .* the batch size of x, but \(3, 4, 12\)"),
        ((x, None, ok.float()), r"must be bool .*\(2, 3, 5, 5\), but torch.float32"),
        ((x, None, ok[:4]), r"fit \(B, heads, T, S\) = \(2, 3, 5, 5\), .* \(4, 5\)"),
        ((x, None, torch.ones(2, 2, 5, 5, dtype=torch.bool)), r"\(2, 2, 5, 5\) was given"),
        ((x, None, torch.ones(3, 5, 5, dtype=torch.bool)), r"\(3, 1, 5, 5\) was given"),
        ((x, None, ok[0]), r"\(5,\) was given"),
    ):
        for call in (model, model.weights):
            with pytest.raises(ValueError, match=sentence):
                call(*arguments)


@pytest.mark.timing
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", benchmark.SHAPES)
def test_the_choice_pays(name: str, dtype: torch.dtype) -> None:
    torch.set_num_threads(1)
    if dtype == torch.bfloat16 and not benchmark.has_bfloat16():
        pytest.skip("this CPU has no arithmetic for bfloat16, so nobody would train in it here")
    row = benchmark.attention_row(name, dtype, rounds=3)
    if row.ratio > row.limit:  # another program may have taken the core: measure once more, longer
        row = benchmark.attention_row(name, dtype, rounds=10)
    assert row.ratio <= row.limit, row
