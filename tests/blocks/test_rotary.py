"""blocks/rotary: points of a plane turned one by one, what only distances tell, transformers."""

import cmath
import math

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from course_lib.blocks.rotary import angles, rotate, turns


def turned(x: torch.Tensor, positions: torch.Tensor, base: float = 10_000.0) -> torch.Tensor:
    return rotate(x, *turns(angles(positions, x.shape[-1], base), x.dtype))


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("base", [10_000.0, 50.0])
def test_each_pair_turns_like_a_complex_number(base: float) -> None:
    """Number i and number i + d / 2 are a point; at place m it turns by m · base^(−2i / d)."""
    d, x = 6, numbers(4, 6)
    found = turned(x, torch.arange(4), base)
    for m in range(4):
        for i in range(d // 2):
            point = complex(x[m, i], x[m, i + d // 2])
            point *= cmath.exp(1j * m * base ** (-2 * i / d))
            assert found[m, i].item() == pytest.approx(point.real, abs=1e-6)
            assert found[m, i + d // 2].item() == pytest.approx(point.imag, abs=1e-6)


def test_by_hand() -> None:
    # Width 2 has one point, which turns by one radian a place; π/2 sends (1, 0) to (0, 1).
    assert angles(torch.tensor([0, 3]), 2).tolist() == [[0.0], [3.0]]
    quarter = turns(torch.tensor([math.pi / 2]))
    found = rotate(torch.tensor([1.0, 0]), *quarter)
    assert torch.allclose(found, torch.tensor([0, 1.0]), atol=1e-6)
    # Width 4, base 100: the second point turns by 100^(−1/2) = a tenth.
    assert torch.allclose(angles(torch.tensor(5), 4, 100.0), torch.tensor([5.0, 0.5]))


def test_shapes_and_types() -> None:
    positions = torch.arange(10).view(2, 5)
    assert angles(positions, 8).shape == (2, 5, 4)
    assert angles(torch.tensor([256, 257]), 2).tolist() == [[256.0], [257.0]]  # not so in bfloat16
    cosines, sines = turns(angles(positions, 8), torch.bfloat16)
    assert cosines.shape == sines.shape == (2, 5, 8)
    assert cosines.dtype == sines.dtype == torch.bfloat16
    x = numbers(2, 3, 5, 8)
    cosines, sines = turns(angles(positions, 8), x.dtype)
    assert rotate(x, cosines[:, None], sines[:, None]).shape == x.shape


def test_only_the_distance_counts_and_no_length_changes() -> None:
    q, k = numbers(2, 1, 8)
    near = (turned(q, torch.tensor([7])) * turned(k, torch.tensor([4]))).sum()
    far = (turned(q, torch.tensor([107])) * turned(k, torch.tensor([104]))).sum()
    other = (turned(q, torch.tensor([7])) * turned(k, torch.tensor([5]))).sum()
    assert near.item() == pytest.approx(far.item(), abs=1e-4)
    assert abs(near - other) > 1e-2
    assert torch.allclose(turned(q, torch.tensor([7])).norm(), q.norm())
    assert torch.equal(turned(q, torch.tensor([0])), q)


@pytest.mark.parametrize("theta", [10_000.0, 1e6])
def test_transformers_turns_alike(theta: float) -> None:
    config = LlamaConfig(
        hidden_size=48, num_attention_heads=4, head_dim=12, rope_parameters={"rope_theta": theta,
        "rope_type": "default"},
    )  # fmt: skip
    q, k, positions = numbers(2, 4, 9, 12), numbers(2, 4, 9, 12).flip(0), torch.arange(20, 29)
    theirs = LlamaRotaryEmbedding(config)(q, positions[None])
    expected = apply_rotary_pos_emb(q, k, *theirs)
    for x, wanted in zip((q, k), expected, strict=True):
        assert torch.allclose(turned(x, positions, theta), wanted, atol=2e-6)


def test_odd_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="width must be even, so that numbers pair up, but it is"):
        angles(torch.arange(3), 5)
