"""blocks/masking: exact numbers, the three kinds as their docstring draws them, and chance."""

from itertools import pairwise

import pytest
import torch

from course_lib.blocks.masking import draw_hidden, hidden_count

KINDS = ("random", "block", "grid")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(kind: str, batch: int, grid: tuple[int, int], ratio: float, seed: int = 0) -> torch.Tensor:
    return draw_hidden(kind, batch, grid, ratio, seeded(seed))


# ---------------------------------------------------------------------------------------- counts


@pytest.mark.parametrize(
    ("patches", "ratio", "count"),
    [
        (196, 0.75, 147),  # the paper's: 49 are left
        (64, 0.75, 48),
        (10, 0.9, 9),  # 10 · (1 − 0.9) is 0.99999…: one is left, not none
        (10, 0.25, 3),  # ⌊7.5⌋ = 7 are left
        (15, 0.5, 8),  # ⌊7.5⌋ = 7 are left
        (3, 0.5, 2),
    ],
)
def test_counts_by_hand(patches: int, ratio: float, count: int) -> None:
    assert hidden_count(patches, ratio) == count


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", [(8, 8), (5, 7), (2, 9), (1, 6)])
@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.75, 0.83])
def test_every_row_hides_exactly_as_many(kind: str, grid: tuple[int, int], ratio: float) -> None:
    hidden = draw(kind, 9, grid, ratio)
    N = grid[0] * grid[1]
    assert hidden.dtype == torch.bool
    assert hidden.shape == (9, N)
    assert hidden.sum(1).tolist() == [hidden_count(N, ratio)] * 9


# ---------------------------------------------------------------------------------------- chance


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_decides_everything_and_rows_differ(kind: str) -> None:
    hidden = draw(kind, 40, (8, 8), 0.6)
    assert torch.equal(hidden, draw(kind, 40, (8, 8), 0.6))
    assert not torch.equal(hidden, draw(kind, 40, (8, 8), 0.6, seed=1))
    assert len({tuple(row) for row in hidden.tolist()}) > 4  # of grids at 0.6 there are many
    torch.manual_seed(5)
    own = draw_hidden(kind, 4, (8, 8), 0.6)
    assert not torch.equal(own, draw_hidden(kind, 4, (8, 8), 0.6))
    torch.manual_seed(5)
    assert torch.equal(own, draw_hidden(kind, 4, (8, 8), 0.6))


@pytest.mark.parametrize("kind", ["random", "grid"])
def test_every_patch_is_hidden_equally_often(kind: str) -> None:
    ratio, rows = 0.75, 4000
    often = draw(kind, rows, (4, 6), ratio).double().mean(0)
    spread = (ratio * (1 - ratio) / rows) ** 0.5
    assert (often - ratio).abs().max() < 5 * spread


def test_random_patches_know_nothing_of_each_other() -> None:
    """Of N patches H are hidden: two given ones are, both, with H/N · (H − 1)/(N − 1)."""
    hidden, rows = draw("random", 6000, (3, 4), 0.5).double(), 6000
    both = hidden.T @ hidden / rows
    expected = 6 / 12 * 5 / 11
    spread = (expected * (1 - expected) / rows) ** 0.5
    apart = ~torch.eye(12, dtype=torch.bool)
    assert (both[apart] - expected).abs().max() < 5 * spread


# --------------------------------------------------------------------------------- what they draw


def pieces(field: list[list[bool]]) -> int:
    """How many connected regions are hidden: a flood from each place not yet wet."""
    dry = {(y, x) for y, line in enumerate(field) for x, is_hidden in enumerate(line) if is_hidden}
    count = 0
    while dry:
        count, wet = count + 1, [dry.pop()]
        while wet:
            y, x = wet.pop()
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if near in dry:
                    dry.remove(near)
                    wet.append(near)
    return count


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.75])
def test_a_block_is_one_piece_and_nearly_a_rectangle(ratio: float) -> None:
    hidden = draw("block", 100, (8, 10), ratio).unflatten(1, (8, 10))
    assert {pieces(field) for field in hidden.tolist()} == {1}
    for field in hidden:
        rows, columns = field.any(1).sum(), field.any(0).sum()
        # At most one side is begun and not filled.
        assert rows * columns - field.sum() < max(rows, columns)


def test_blocks_lie_all_over_and_have_several_forms() -> None:
    hidden = draw("block", 3000, (8, 8), 0.25).unflatten(1, (8, 8))
    often = hidden.double().mean(0)
    assert 0.02 < often.min() < often.max() < 0.6
    assert torch.allclose(often, often.T, atol=0.05)
    assert torch.allclose(often, often.flip(0), atol=0.05)
    assert torch.allclose(often, often.flip(1), atol=0.05)
    high, wide = hidden.any(2).sum(1), hidden.any(1).sum(1)
    assert (high > wide).double().mean() > 0.25
    assert (high < wide).double().mean() > 0.25


@pytest.mark.parametrize(("ratio", "of_four"), [(0.25, 1), (0.5, 2), (0.75, 3)])
def test_a_grid_hides_the_same_places_of_every_square(ratio: float, of_four: int) -> None:
    for field in draw("grid", 30, (6, 8), ratio).unflatten(1, (6, 8)):
        square = field[:2, :2]
        assert square.sum() == of_four
        assert torch.equal(field, square.repeat(3, 4))


def test_a_grid_between_hides_whole_places_first() -> None:
    for field in draw("grid", 30, (6, 8), 0.6).unflatten(1, (6, 8)):
        shares = sorted(field[y::2, x::2].double().mean().item() for y in (0, 1) for x in (0, 1))
        # 29 of 48 are hidden: 12 + 12 + 5 + 0.
        assert shares == pytest.approx([0, 5 / 12, 1, 1])


def test_random_masks_are_not_compact() -> None:
    mean = [
        sum(map(pieces, draw(kind, 50, (8, 8), 0.4).unflatten(1, (8, 8)).tolist())) / 50
        for kind in ("block", "random")
    ]
    assert mean[0] == 1
    assert mean[1] > 4
    assert all(a < b for a, b in pairwise(mean))


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.2, 75])
def test_shares_that_are_none_are_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match=f"between 0 and 1, not {ratio}"):
        hidden_count(64, ratio)


def test_a_share_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.95 of 9 patches leaves none"):
        draw("random", 2, (3, 3), 0.95)
    with pytest.raises(ValueError, match="leaves none hidden or none visible"):
        hidden_count(1, 0.5)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\('random', 'block', 'grid'\), but it is 'blocks'"):
        draw("blocks", 2, (4, 4), 0.5)
