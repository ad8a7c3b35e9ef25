"""Contrast against a queue: features of a slow encoder as negatives, as targets, as hard choices.

He et al.: Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020 (queue);
Li et al.: Align before Fuse (ALBEF), NeurIPS 2021, §3.2 (hard negatives), §3.3 (soft targets).
A slow encoder changes so little that its features of earlier batches can still be compared with:
a small batch has thousands of negatives. Some of those would fit as well as the partner, though,
so the slow encoder's own opinion is mixed into the labels.

Reference  an oracle in plain Python, tests/vision_language/test_blip.py; none of the libraries
           installed here trains a BLIP.

B pairs of this process, R processes, M = R · B + Q candidates: all processes' pairs, in the order
of ranks, in front of the Q features of the queue. The partner of row i is column rank · B + i.
"""

from __future__ import annotations

import torch
from torch.nn.functional import log_softmax, softmax

from course_lib.blocks.gather import rank

LEAST = 1e-4  # added to each candidate's probability, so that none is out of reach


def partners(rows: int, device: torch.device | None = None) -> torch.Tensor:
    """B → the columns (B,) of this process's own pairs."""
    return rank() * rows + torch.arange(rows, device=device)


def similarities(
    features: torch.Tensor, candidates: torch.Tensor, tau: torch.Tensor | float
) -> torch.Tensor:
    """Unit vectors (B, E), (M, E) → cosines / τ, (B, M), in float32 at least."""
    kind = torch.promote_types(features.dtype, torch.float32)
    with torch.autocast(features.device.type, enabled=False):  # 1 / τ would enlarge its rounding
        return features.to(kind) @ candidates.to(kind).T / tau


def soft_targets(slow_logits: torch.Tensor, alpha: float) -> torch.Tensor:
    """Logits of the slow encoders (B, M) → α · softmax + (1 − α) · one-hot(partner), (B, M)."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie from 0 to 1, but {alpha} was given")
    targets = alpha * softmax(slow_logits, dim=1)
    own = partners(len(targets), targets.device)
    targets[torch.arange(len(targets), device=targets.device), own] += 1 - alpha
    return targets


def soft_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Logits and probabilities (B, M) → the mean over rows of −Σ target · log softmax, a scalar."""
    return -(targets * log_softmax(logits, dim=1)).sum(dim=1).mean()


def ramp(alpha: float, progress: float, share: float) -> float:
    """α at a share of the training: from 0 in a straight line, then constant."""
    return alpha * min(1.0, progress / share) if share else alpha


@torch.no_grad()
def hard_negatives(
    logits: torch.Tensor, is_positive: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Logits (B, C), is_positive bool (B, C) → one negative for each row, columns (B,).

    Drawn by softmax + 0.0001, so the more similar the likelier; positives are never drawn. Raises
    ValueError for a row that has positives only.
    """
    if is_positive.dtype != torch.bool or is_positive.shape != logits.shape:
        raise ValueError(
            f"is_positive must be bool of shape {tuple(logits.shape)}, but {is_positive.dtype} "
            f"of shape {tuple(is_positive.shape)} was given"
        )
    if (alone := is_positive.all(dim=1)).any():
        row = int(alone.int().argmax())
        raise ValueError(f"every pair needs a negative in its batch, but pair {row} has none")
    weights = (softmax(logits, dim=1) + LEAST).masked_fill(is_positive, 0)
    return weights.multinomial(1, generator=generator)[:, 0]


@torch.no_grad()
def enqueue(queues: torch.Tensor, pointer: torch.Tensor, newest: torch.Tensor) -> None:
    """Features (K, n, E) replace the oldest in K queues (K, Q, E), in place; behind the end, the
    start follows. `pointer`, a scalar, moves on to the now oldest.

    Raises ValueError for more features than a queue has places.
    """
    Q, n = queues.shape[1], newest.shape[1]
    if n > Q:
        raise ValueError(f"a queue of {Q} places cannot take {n} features at once")
    places = (pointer + torch.arange(n, device=queues.device)) % Q
    queues[:, places] = newest.to(queues.dtype)
    pointer.copy_((pointer + n) % Q)
