"""blocks/positions: sines written out one by one, timm's tables, and resizing beside timm's."""

import math

import pytest
import torch

from course_lib.blocks.positions import resize, sincos_2d


def test_sines_and_cosines_one_by_one() -> None:
    rows, columns, dim = 3, 5, 16
    table = sincos_2d((rows, columns), dim)
    assert table.shape == (15, 16)
    assert table.dtype == torch.float32
    for y in range(rows):
        for x in range(columns):
            expected = [
                function(place / 10_000 ** (i / 4))
                for place in (x, y)
                for function in (math.sin, math.cos)
                for i in range(4)
            ]
            assert table[y * columns + x].tolist() == pytest.approx(expected, abs=1e-7)


def test_sines_equal_timms() -> None:
    from timm.layers import build_sincos2d_pos_embed

    # timm's first axis comes first, so it is given columns first, and its grid turned.
    theirs = build_sincos2d_pos_embed([5, 3], 64, interleave_sin_cos=True)
    theirs = theirs.reshape(5, 3, 64).transpose(0, 1).reshape(15, 64)
    assert torch.allclose(sincos_2d((3, 5), 64), theirs, atol=1e-5)


def test_near_places_are_alike_and_no_two_are_equal() -> None:
    table = sincos_2d((14, 14), 32)
    cosine = torch.nn.functional.normalize(table, dim=1)
    like = cosine @ cosine.T
    assert like[0, 1] > like[0, 2] > like[0, 3]
    assert like[0, 14] > like[0, 28]
    assert (like - torch.eye(196)).max() < 0.999


@pytest.mark.parametrize("dim", [0, 2, 6, 30])
def test_a_width_that_four_does_not_divide_is_refused(dim: int) -> None:
    with pytest.raises(ValueError, match=f"a multiple of 4, not {dim}"):
        sincos_2d((2, 2), dim)


@pytest.mark.parametrize("new", [(4, 6), (8, 12), (3, 3), (7, 5), (1, 1), (2, 6)])
@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_resizing_equals_timms_and_leaves_the_prefix_alone(new, prefix: int) -> None:
    from timm.layers import resample_abs_pos_embed

    full = torch.randn(prefix + 24, 10, generator=torch.Generator().manual_seed(0))
    theirs = resample_abs_pos_embed(full[None], list(new), [4, 6], num_prefix_tokens=prefix)[0]
    ours = torch.cat([full[:prefix], resize(full[prefix:], (4, 6), new)])
    assert ours.shape == (prefix + new[0] * new[1], 10)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_resizing_keeps_what_it_must() -> None:
    table = torch.randn(24, 10, generator=torch.Generator().manual_seed(0))
    assert resize(table, (4, 6), (4, 6)) is table
    assert torch.allclose(resize(torch.ones(24, 3), (4, 6), (5, 9)), torch.ones(45, 3), atol=1e-6)
    assert resize(table.bfloat16(), (4, 6), (2, 3)).dtype == torch.bfloat16
    # A ramp along x stays a ramp along x, constant along y, away from the border.
    ramp = torch.arange(8.0).repeat(8)[:, None]
    wide = resize(ramp, (8, 8), (4, 16)).reshape(4, 16)
    assert torch.allclose(wide, wide[:1].expand(4, 16), atol=1e-5)
    assert torch.allclose(wide[0, 5:11].diff(), torch.full((5,), 0.5), atol=1e-5)


@pytest.mark.parametrize("shape", [(24,), (25, 10), (1, 24, 10)])
def test_a_table_that_does_not_fit_its_grid_is_refused(shape) -> None:
    with pytest.raises(ValueError, match=r"a grid of 4 × 6 patches must have shape \(24, D\)"):
        resize(torch.zeros(shape), (4, 6), (2, 2))
