"""What it costs to predict words wrongly: hidden ones, or each next one.

Devlin et al.: BERT, NAACL 2019, §3.1, task 1 (hidden words). Label smoothing: Szegedy et al.:
Rethinking the Inception Architecture for Computer Vision, CVPR 2016, §7.
"""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from course_lib.blocks.gather import mean_across


def next_token_loss(
    logits: torch.Tensor,
    tokens: torch.Tensor,
    counts: torch.Tensor | None = None,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Logits (B, L, V), tokens int64 (B, L), counts bool (B, L) → mean −log p of tokens that count.

    The logits at place i predict the token at i + 1; the token at place 0 nobody predicts. Without
    `counts` all others count. With smoothing ε the wanted distribution is 1 − ε for the token and
    ε spread evenly over all words. Raises ValueError as `masked_lm_loss`, and for another ε than 0
    to 1.
    """
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing must be 0 to 1, but it is {smoothing}")
    counts = torch.ones_like(tokens, dtype=torch.bool) if counts is None else counts
    return _mean(logits[:, :-1], tokens[:, 1:], counts[:, 1:], smoothing)


def masked_lm_loss(
    logits: torch.Tensor, labels: torch.Tensor, chosen: torch.Tensor
) -> torch.Tensor:
    """Logits (B, L, V), labels int64 (B, L), chosen bool (B, L) → mean −log p of chosen labels.

    What the labels are elsewhere does not matter. Raises ValueError if nothing is chosen, for
    chosen labels that are no words, and for types and shapes that do not fit.
    """
    return _mean(logits, labels, chosen)


def over_all_words(loss: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """A rank's mean over its words, bool `counts` → what makes the ranks' mean one over all words.

    With one process it is `loss` itself. Ranks rarely have equally many words.
    """
    words = counts.sum().to(torch.promote_types(loss.dtype, torch.float32))
    return loss * (words / mean_across(words)).to(loss.dtype)


def _mean(
    logits: torch.Tensor, labels: torch.Tensor, counts: torch.Tensor, smoothing: float = 0.0
) -> torch.Tensor:
    if logits.ndim != 3 or labels.shape != logits.shape[:2] or counts.shape != labels.shape:
        raise ValueError(
            "logits, labels and mask must have shapes (B, L, V), (B, L) and (B, L), but have "
            f"{tuple(logits.shape)}, {tuple(labels.shape)} and {tuple(counts.shape)}"
        )
    if labels.dtype != torch.int64 or counts.dtype != torch.bool:
        raise ValueError(
            f"labels must be int64 and the mask bool, but they are {labels.dtype} "
            f"and {counts.dtype}"
        )
    if not counts.any():
        raise ValueError("at least one token must count, but none does")
    labels, V = labels[counts], logits.shape[-1]
    if labels.min() < 0 or labels.max() >= V:
        raise ValueError(
            f"labels that count must be 0 to {V - 1}, but {int(labels.min())} to "
            f"{int(labels.max())} were given"
        )
    return cross_entropy(logits[counts], labels, label_smoothing=smoothing)
