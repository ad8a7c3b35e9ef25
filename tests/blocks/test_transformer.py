"""blocks/transformer: the block's sums, dropping by sample, and timm's block in training too."""

import pytest
import torch
from torch import nn

from course_lib.blocks.convert import load_reference
from course_lib.blocks.transformer import Block, LayerScale, StochasticDepth

D = 12
NAMES = {
    "norm*.*": "norm*.*",
    "attn.qkv.*": ("attention.query.*", "attention.key.*", "attention.value.*"),
    "attn.proj.*": "attention.out.*",
    "ls*.gamma": "scale*.gamma",
    "mlp.fc*.*": "mlp.fc*.*",
}


def perturbed(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = parameter.data.double() + 0.2 * noise
    return module


def tokens() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(5, 7, D, generator=generator, dtype=torch.float64)


def test_norms_stand_in_front_and_the_sum_runs_through() -> None:
    block, x = perturbed(Block(D, 3, mlp_ratio=2, layer_scale=0.5)), tokens()

    def norm(x: torch.Tensor, layer: nn.LayerNorm) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        spread = ((centred**2).mean(-1, keepdim=True) + 1e-6).sqrt()
        return centred / spread * layer.weight + layer.bias

    middle = x + block.scale1.gamma * block.attention(norm(x, block.norm1))
    expected = middle + block.scale2.gamma * block.mlp(norm(middle, block.norm2))
    assert torch.allclose(block(x), expected, atol=1e-12)
    weights = block.attention.weights(norm(x, block.norm1))
    assert torch.allclose(block.attention_weights(x), weights, atol=1e-12)


def test_a_layer_scale_of_zero_makes_the_block_do_nothing() -> None:
    x = tokens()
    assert torch.equal(Block(D, 3, layer_scale=0.0).double()(x), x)
    assert torch.equal(LayerScale(2, 3.0)(torch.tensor([1.0, 2.0])), torch.tensor([3.0, 6.0]))


def test_the_mask_reaches_the_attention() -> None:
    block, x = perturbed(Block(D, 3)), tokens()
    causal = torch.ones(7, 7, dtype=torch.bool).tril()
    changed = x.clone()
    changed[:, -1] += 1
    assert torch.equal(block(x, causal)[:, :-1], block(changed, causal)[:, :-1])
    assert (block.attention_weights(x, causal)[..., ~causal] == 0).all()


def test_the_activation_reaches_the_mlp() -> None:
    block, x = perturbed(Block(D, 3, activation="quick_gelu")), tokens()
    middle = x + block.attention(block.norm1(x))
    hidden = block.mlp.fc1(block.norm2(middle))
    expected = middle + block.mlp.fc2(hidden * torch.sigmoid(1.702 * hidden))
    assert torch.allclose(block(x), expected, atol=1e-12)


def test_norm_eps_counts_where_tokens_hardly_differ() -> None:
    x = 1e-3 * tokens()
    loose, strict = (perturbed(Block(D, 3, norm_eps=eps)) for eps in (1e-6, 1e-12))
    assert (loose(x) - strict(x)).abs().max() > 1e-2


def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop = StochasticDepth(0.3)
    out = drop(torch.ones(20_000, 2, 3)).flatten(1)
    assert (out == out[:, :1]).all()  # a sample goes as a whole
    assert set(out.unique().tolist()) == {0.0, out.max().item()}
    assert out.max().item() == pytest.approx(1 / 0.7)
    dropped = (out[:, 0] == 0).double().mean()
    assert abs(dropped - 0.3) < 0.015  # 4.6 standard deviations
    x = torch.randn(4, 3)
    assert torch.equal(drop.eval()(x), x)
    assert torch.equal(StochasticDepth(0.0)(x), x)


def test_each_branch_draws_its_own_lot() -> None:
    torch.manual_seed(0)
    block, x = Block(D, 3, drop_path=0.5), torch.randn(64, 2, D)
    block.attention.out.bias.data.fill_(100.0)  # one branch adds about 100, the other about 10,000
    block.mlp.fc2.bias.data.fill_(10_000.0)
    change = (block(x) - x).mean((1, 2))
    assert {round(v, -2) for v in change.tolist()} == {0, 200, 20_000, 20_200}


@pytest.mark.parametrize("training", [False, True])
def test_equals_timms_block(training: bool) -> None:
    from timm.models.vision_transformer import Block as TimmBlock

    theirs = perturbed(TimmBlock(D, 3, 2.0, qkv_bias=True, init_values=0.3, drop_path=0.4))
    ours = Block(D, 3, 2.0, layer_scale=0.3, drop_path=0.4).double()
    load_reference(ours, theirs.state_dict(), NAMES)
    x = tokens().requires_grad_()
    found = []
    for block in (ours, theirs):
        torch.manual_seed(5)  # the same samples are dropped
        out = block.train(training)(x)
        found.append((out, torch.autograd.grad((out**2).sum(), x)[0]))
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=r"must be in \[0, 1\)"):
        StochasticDepth(rate)
