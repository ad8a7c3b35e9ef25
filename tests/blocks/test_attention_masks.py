"""blocks/attention_masks: the rules one pair at a time, and what they do to attention."""

import pytest
import torch

from course_lib.blocks.attention import Attention
from course_lib.blocks.attention_masks import bidirectional, causal, prefix

PADS = torch.tensor([[False, False, True, False], [True, False, False, True]])


def test_masks_are_the_rules_pair_by_pair() -> None:
    for L in (1, 2, 5):
        for past in (0, 1, 4):
            found = causal(L, past)
            assert found.shape == (L, past + L)
            for t in range(L):
                for s in range(past + L):
                    assert found[t, s] == (s <= past + t), (L, past, t, s)
        for visible in range(L + 1):
            found = prefix(L, visible)
            assert found.shape == (L, L)
            for t in range(L):
                for s in range(L):
                    both = t < visible and s < visible
                    assert found[t, s] == (both or s <= t), (L, visible, t, s)
    found = bidirectional(PADS)
    assert found.shape == (2, 1, 1, 4)
    assert found[:, 0, 0].tolist() == [[True, True, False, True], [False, True, True, False]]
    assert {found.dtype, causal(3).dtype, prefix(3, 1).dtype} == {torch.bool}


def test_by_hand() -> None:
    assert causal(2, 1).tolist() == [[True, True, False], [True, True, True]]
    # Two that see each other, and two that see what is before them.
    assert prefix(4, 2).int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_ends_of_the_prefix_are_the_two_plain_masks() -> None:
    assert torch.equal(prefix(5, 0), causal(5))
    assert torch.equal(prefix(5, 1), causal(5))
    assert prefix(5, 5).all()


@pytest.mark.parametrize("mask", [None, causal(4), prefix(4, 3)], ids=["both", "back", "prefix"])
def test_attention_takes_them_and_no_pad_is_looked_at(mask: torch.Tensor | None) -> None:
    torch.manual_seed(0)
    model, x = Attention(6, 2).double(), torch.randn(2, 4, 6, dtype=torch.float64)
    allowed = bidirectional(PADS) if mask is None else mask & bidirectional(PADS)
    weights = model.weights(x, may_attend=allowed)
    assert not weights.transpose(2, 3)[PADS[:, None].expand(2, 2, 4)].any()
    other = torch.where(PADS[..., None], torch.randn_like(x), x).requires_grad_()
    out = model(other, may_attend=allowed)
    assert torch.equal(out[~PADS], model(x, may_attend=allowed)[~PADS])
    out.sum().backward()
    assert out.isfinite().all()
    assert other.grad.isfinite().all()


def test_masks_are_made_where_they_are_needed() -> None:
    device = torch.device("meta")  # stands for every accelerator
    made = (causal(3, 2, device), prefix(3, 2, device), bidirectional(PADS.to(device)))
    assert {mask.device.type for mask in made} == {"meta"}


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    for call, sentence in (
        (
            lambda: bidirectional(PADS.float()),
            r"must be bool .* but torch.float32 of shape \(2, 4\)",
        ),
        (lambda: bidirectional(PADS[0]), r"shape \(B, tokens\), .* of shape \(4,\) was given"),
        (lambda: causal(0), "at least 1 new token and 0 old ones are expected, but 0 and 0"),
        (lambda: causal(2, -1), "but 2 and -1 were given"),
        (lambda: prefix(4, 5), "0 to 4 of 4 tokens can be visible, but 5 was given"),
        (lambda: prefix(4, -1), "but -1 was given"),
    ):
        with pytest.raises(ValueError, match=sentence):
            call()
