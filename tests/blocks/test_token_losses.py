"""blocks/token_losses: one token at a time in plain Python, by hand, and what is refused."""

import math

import pytest
import torch

from course_lib.blocks.token_losses import masked_lm_loss, next_token_loss

B, L, V = 2, 7, 23
COUNTS = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def texts() -> torch.Tensor:
    return torch.randint(V, (B, L), generator=torch.Generator().manual_seed(1))


def slow_loss(logits, labels, counted, smoothing=0.0) -> float:
    errors = []
    for row, label, counts in zip(logits, labels, counted, strict=True):
        if counts:
            whole = sum(math.exp(v) for v in row)
            wanted = [smoothing / V + (1 - smoothing) * (v == label) for v in range(V)]
            errors.append(-sum(w * math.log(math.exp(v) / whole)
                               for w, v in zip(wanted, row, strict=True)))  # fmt: skip
    return sum(errors) / len(errors)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_losses_are_those_of_the_slow_oracle(smoothing: float) -> None:
    logits, tokens, chosen = numbers(B, L, V), texts(), torch.rand(B, L) < 0.4
    chosen[0, :2] = torch.tensor([True, False])
    flat = lambda x: x.flatten(0, 1).tolist()  # noqa: E731
    labels = torch.where(chosen, tokens, -100)
    expected = slow_loss(flat(logits), flat(tokens), flat(chosen))
    assert masked_lm_loss(logits, labels, chosen).item() == pytest.approx(expected, rel=1e-12)
    pairs = [(b, t) for b in range(B) for t in range(L - 1)]
    predicted = [logits[b, t].tolist() for b, t in pairs]
    words = [int(tokens[b, t + 1]) for b, t in pairs]
    for counts in (COUNTS, None):
        counted = [counts is None or bool(counts[b, t + 1]) for b, t in pairs]
        expected = slow_loss(predicted, words, counted, smoothing)
        found = next_token_loss(logits, tokens, counts, smoothing)
        assert found.item() == pytest.approx(expected, rel=1e-12)


def test_losses_by_hand() -> None:
    # Odds 1 : 1 : 2 of three words: ¼, ¼, ½. Then even odds: ⅓ each.
    logits = torch.tensor([[[0, 0, math.log(2)], [1.0, 1, 1], [9.0, 0, 0]]])
    words = torch.tensor([[0, 2, 1]])
    both = torch.tensor([[True, True, False]])
    assert masked_lm_loss(logits, words, both).item() == pytest.approx(math.log(4 * 3) / 2)
    # The first place predicts word 2 (½), the second word 1 (⅓); the last predicts nothing.
    assert next_token_loss(logits, words).item() == pytest.approx(math.log(2 * 3) / 2)
    first = torch.tensor([[False, True, False]])  # the prediction of the first place only
    assert next_token_loss(logits, words, first).item() == pytest.approx(math.log(2))
    # ε = 0.3: 0.7 · log 2 and 0.1 of each of log 4, log 4, log 2.
    smooth = 0.7 * math.log(2) + 0.1 * (math.log(4) + math.log(4) + math.log(2))
    assert next_token_loss(logits, words, first, 0.3).item() == pytest.approx(smooth)


def test_what_stands_first_is_never_predicted() -> None:
    logits, tokens = numbers(B, L, V), texts()
    other = COUNTS.clone()
    other[:, 0] = False
    assert torch.equal(
        next_token_loss(logits, tokens, COUNTS), next_token_loss(logits, tokens, other)
    )
    one = torch.zeros_like(COUNTS)
    one[:, 0] = True
    with pytest.raises(ValueError, match="at least one token must count, but none does"):
        next_token_loss(logits, tokens, one)


def test_losses_refuse_what_does_not_fit() -> None:
    logits, tokens, none = numbers(B, L, V), texts(), torch.zeros(B, L, dtype=torch.bool)
    for call, sentence in (
        (lambda: masked_lm_loss(logits, tokens, none), "at least one token must count, but none"),
        (lambda: masked_lm_loss(logits, tokens - 100, ~none), "must be 0 to 22, but -99 to -7"),
        (lambda: masked_lm_loss(logits, tokens + 9, ~none), "must be 0 to 22, but 1"),
        (lambda: masked_lm_loss(logits[0], tokens, ~none), r"\(B, L, V\).* but have \(7, 23\)"),
        (lambda: masked_lm_loss(logits, tokens[:, 1:], ~none), r"\(2, 6\) and \(2, 7\)"),
        (lambda: masked_lm_loss(logits, tokens, none[:1]), r"\(2, 7\) and \(1, 7\)"),
        (lambda: masked_lm_loss(logits, tokens, tokens), "they are torch.int64 and torch.int64"),
        (lambda: masked_lm_loss(logits, tokens.int(), ~none), "but they are torch.int32"),
        (lambda: next_token_loss(logits, tokens, none), "at least one token must count"),
        (lambda: next_token_loss(logits[:, :1], tokens[:, :1]), "at least one token must count"),
        (lambda: next_token_loss(logits, tokens, None, -0.1), "must be 0 to 1, but it is -0.1"),
        (lambda: next_token_loss(logits, tokens, None, 1.1), "must be 0 to 1, but it is 1.1"),
        (lambda: next_token_loss(logits[:1], tokens), r"have \(1, 6, 23\), \(2, 6\)"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=sentence):
            call()
