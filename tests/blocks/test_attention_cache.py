"""blocks/attention_cache: it gives back what it was given, in order; texts can be chosen among."""

import pytest
import torch

from course_lib.blocks.attention_cache import Cache


def pair(*numbers: int, B: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys (B, 1, L, 1): the numbers, plus 100 in the second text; values are their negatives."""
    keys = torch.tensor(numbers)[None, None, :, None] + 100 * torch.arange(B)[:, None, None, None]
    return keys, -keys


def test_each_block_gets_its_own_past_by_hand() -> None:
    cache = Cache()
    assert cache.length == 0
    assert cache.extend_pads(torch.tensor([[False, True], [False, False]])).shape == (2, 2)
    for block, number in ((0, 10), (1, 20), (2, 30)):
        keys, values = cache.extend(block, pair(number, number + 1))
        assert keys[:, 0, :, 0].tolist() == [[number, number + 1], [100 + number, 101 + number]]
        assert torch.equal(values, -keys)
    assert cache.length == 2
    pads = cache.extend_pads(torch.tensor([[True], [False]]))
    assert pads.tolist() == [[False, True, True], [False, False, False]]
    assert cache.length == 3
    for block, number in ((0, 12), (1, 22), (2, 32)):
        keys, values = cache.extend(block, pair(number))
        assert keys[0, 0, :, 0].tolist() == [number - 2, number - 1, number]
        assert torch.equal(values, -keys)
    assert len(cache.own) == 3


def test_texts_are_selected_in_everything() -> None:
    look = torch.tensor([[True, False], [True, True]])[:, None, None]
    cache = Cache([pair(1)], [pair(5, 6)], torch.tensor([[False], [True]]), look)
    cache.select(torch.tensor([1, 0, 1]))
    assert cache.own[0][0][:, 0, 0, 0].tolist() == [101, 1, 101]
    assert cache.own[0][1][:, 0, 0, 0].tolist() == [-101, -1, -101]
    assert cache.cross[0][0][:, 0, 1, 0].tolist() == [106, 6, 106]
    assert cache.is_pad[:, 0].tolist() == [True, False, True]
    assert cache.may_look[:, 0, 0].tolist() == [[True, True], [True, False], [True, True]]
    assert cache.length == 1
    bare = Cache()
    bare.select(torch.tensor([0]))
    assert bare == Cache()


def test_two_caches_share_nothing() -> None:
    first, second = Cache(), Cache()
    first.extend(0, pair(1))
    assert not second.own


def test_another_number_of_texts_is_refused() -> None:
    cache = Cache()
    cache.extend_pads(torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="the cache is for 2 texts, but 3 were given"):
        cache.extend_pads(torch.zeros(3, 1, dtype=torch.bool))
    assert cache.length == 3
