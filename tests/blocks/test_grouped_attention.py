"""blocks/grouped_attention and decoder_block: one head, one query, one number at a time; cache."""

import math

import pytest
import torch

from course_lib.blocks import rotary
from course_lib.blocks.attention_masks import bidirectional, causal
from course_lib.blocks.decoder_block import Block, RMSNorm, SwiGLU
from course_lib.blocks.grouped_attention import Cache, GroupedAttention

DIM, D = 10, 6  # the width of a token, and of a head: no multiples of each other


@pytest.fixture(autouse=True)
def _everything_in_float64():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def turns_of(L: int) -> tuple[torch.Tensor, torch.Tensor]:
    return rotary.turns(rotary.angles(torch.arange(L), D, 10.0), torch.float64)


def slow_attention(
    layer: GroupedAttention, x: torch.Tensor, heads: int, key_heads: int, may: list[list[bool]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """One text x (L, D): what comes out, and the weights (H, L, L); every number by itself."""
    rows = layer.qkv.weight.split(D)
    biases = layer.qkv.bias.split(D)
    L, mixed, maps = len(x), [], []
    project = lambda n, t: rows[n] @ x[t] + biases[n]  # noqa: E731

    def turned(v: torch.Tensor, place: int) -> list[float]:
        out = [0.0] * D
        for i in range(D // 2):
            angle, a, b = place * 10.0 ** (-2 * i / D), v[i].item(), v[i + D // 2].item()
            out[i] = a * math.cos(angle) - b * math.sin(angle)
            out[i + D // 2] = b * math.cos(angle) + a * math.sin(angle)
        return out

    for h in range(heads):
        g = h // (heads // key_heads)
        out, weights = [], []
        for t in range(L):
            q, scores = turned(project(h, t), t), {}
            for s in range(L):
                if may[t][s]:
                    k = turned(project(heads + g, s), s)
                    scores[s] = math.exp(sum(a * b for a, b in zip(q, k)) / math.sqrt(D))  # noqa: B905
            total = sum(scores.values())
            row = [scores.get(s, 0.0) / total if scores else 0.0 for s in range(L)]
            weights.append(row)
            out.append(sum(w * project(heads + key_heads + g, s) for s, w in enumerate(row)))
        mixed.append(torch.stack(out))
        maps.append(weights)
    return layer.out(torch.cat(mixed, dim=1)), torch.tensor(maps)


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 2), (4, 1), (4, 4), (6, 2), (1, 1)])
def test_attention_is_that_of_the_slow_oracle(heads: int, key_heads: int) -> None:
    layer, x = GroupedAttention(DIM, heads, key_heads, D, True, 0), torch.randn(2, 5, DIM)
    is_pad = torch.tensor([[False] * 5, [True, True, False, False, False]])
    may = bidirectional(is_pad) & causal(5)
    found, maps = layer(x, turns_of(5), may), layer.weights(x, turns_of(5), may)
    assert maps.shape == (2, heads, 5, 5)
    for b in range(2):
        out, weights = slow_attention(layer, x[b], heads, key_heads, may[b, 0].tolist())
        assert torch.allclose(found[b], out, atol=1e-6)
        assert torch.allclose(maps[b], weights, atol=1e-6)
    assert not found[1, :2].any()  # who may look at nothing receives zeros


@pytest.mark.parametrize("parts", [[5], [1] * 5, [2, 3], [3, 1, 1]])
def test_a_cache_changes_nothing_and_nothing_is_read_twice(parts: list[int]) -> None:
    layer, x = GroupedAttention(DIM, 4, 2, D, False, 1), torch.randn(3, 5, DIM)
    whole = layer(x, turns_of(5), causal(5))
    cache, found = Cache(turns_of(8), depth=2, batch=3, key_heads=2), []
    cache.room.fill_(torch.nan)  # whatever lies in fresh memory
    for part in x.split(parts, dim=1):
        past, L = cache.length, part.shape[1]
        assert cache.grow(3, L, None) is None
        turns = tuple(t[past : past + L] for t in cache.turns)
        found.append(layer(part, turns, causal(L, past), cache))
    assert cache.length == 5
    assert torch.allclose(torch.cat(found, dim=1), whole, atol=1e-12)


def test_a_cache_moves_its_rows_and_remembers_pads() -> None:
    cache = Cache(turns_of(4), depth=2, batch=2, key_heads=1)
    is_pad = torch.tensor([[True, False], [False, False]])
    assert cache.grow(2, 2, is_pad).equal(is_pad)
    cache.extend(1, torch.ones(2, 1, 2, D), 2 * torch.ones(2, 1, 2, D))
    cache.room[:, :, 1] *= 10
    cache.select(torch.tensor([1, 1, 0]))
    found = cache.grow(3, 1, None)
    assert found.tolist() == [[False] * 3, [False] * 3, [True, False, False]]
    keys, values = cache.extend(1, torch.zeros(3, 1, 1, D), torch.zeros(3, 1, 1, D))
    assert keys[:, 0, :, 0].tolist() == [[10, 10, 0], [10, 10, 0], [1, 1, 0]]
    assert values[:, 0, :, 0].tolist() == [[20, 20, 0], [20, 20, 0], [2, 2, 0]]


def test_norm_and_mlp_by_hand() -> None:
    norm = RMSNorm(2, eps=0.5)
    norm.weight.data = torch.tensor([1.0, 10.0])
    # (9 + 16) / 2 + 0.5 = 13
    assert torch.allclose(norm(torch.tensor([3.0, 4.0])), torch.tensor([3.0, 40.0]) / 13**0.5)
    mlp = SwiGLU(1, 1)
    mlp.gate_up.weight.data = torch.tensor([[1.0], [2.0]])
    mlp.down.weight.data = torch.tensor([[3.0]])
    # gate 2, silu(2) = 2 / (1 + e⁻²); up 4
    assert mlp(torch.tensor([2.0])).item() == pytest.approx(3 * 4 * 2 / (1 + math.exp(-2)))


def test_a_norm_of_half_precision_is_as_good_as_its_input() -> None:
    x = torch.randn(64, 512).to(torch.bfloat16)
    found = RMSNorm(512, 1e-6).to(torch.bfloat16)(x)
    exact = RMSNorm(512, 1e-6)(x.double())
    assert found.dtype == torch.bfloat16
    assert ((found.double() - exact).abs() <= 2**-8 * exact.abs()).all()


def test_a_block_adds_its_two_branches() -> None:
    block, x = Block(DIM, 2, 1, D, 7, False, 1e-6, 0), torch.randn(2, 3, DIM)
    y = x + block.attention(block.norm1(x), turns_of(3), causal(3))
    expected = y + block.mlp(block.norm2(y))
    assert torch.allclose(block(x, turns_of(3), causal(3)), expected)
    assert [p.shape[0] for p in block.mlp.parameters()] == [14, DIM]


def test_what_does_not_fit_is_refused() -> None:
    for heads, key_heads in ((4, 3), (2, 4), (0, 1)):
        with pytest.raises(ValueError, match=f"but {heads} and {key_heads} were given"):
            GroupedAttention(DIM, heads, key_heads, D, True, 0)
    cache = Cache(turns_of(4), depth=1, batch=2, key_heads=1)
    cache.grow(2, 3, None)
    with pytest.raises(ValueError, match=r"room for 2 rows of 4 tokens, but 2 rows of 3 \+ 2"):
        cache.grow(2, 2, None)
    with pytest.raises(ValueError, match=r"room for 2 rows of 4 tokens, but 1 rows of 3 \+ 1"):
        cache.grow(1, 1, None)
