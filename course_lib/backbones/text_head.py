"""From a text encoder's tokens to words: BERT's prediction head, and the two losses that teach it.

Devlin et al.: BERT, NAACL 2019, §3.1, task 1 (hidden words). The head is tied: the scores of a word
are products with the embedding by which it is read, Press and Wolf: Using the Output Embedding to
Improve Language Models, EACL 2017. Label smoothing: Szegedy et al.: Rethinking the Inception
Architecture for Computer Vision, CVPR 2016, §7.
Reference: transformers BertForMaskedLM, BertLMHeadModel, BlipTextLMHeadModel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, gelu, linear

from course_lib.backbones import text_names
from course_lib.backbones.text_encoder import TINY, Config
from course_lib.blocks.convert import load_reference


class Head(nn.Module):
    """Final tokens → logits of words: hidden ones behind a reader, the next one behind a writer."""

    def __init__(self, config: Config = TINY) -> None:
        super().__init__()
        self.dense = nn.Linear(config.dim, config.dim)
        self.norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary))
        nn.init.normal_(self.dense.weight, std=0.02)
        nn.init.zeros_(self.dense.bias)

    def forward(self, x: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """x (…, D), the word embeddings (V, D): `encoder.words.weight` → logits (…, V)."""
        return linear(self.norm(gelu(self.dense(x))), words, self.bias)


def masked_lm_loss(
    logits: torch.Tensor, labels: torch.Tensor, chosen: torch.Tensor
) -> torch.Tensor:
    """Logits (B, L, V), labels int64 (B, L), chosen bool (B, L) → mean −log p of chosen labels.

    What the labels are elsewhere does not matter. Raises ValueError if nothing is chosen, for
    chosen labels that are no words, and for types and shapes that do not fit.
    """
    return _mean(logits, labels, chosen)


def next_token_loss(
    logits: torch.Tensor,
    tokens: torch.Tensor,
    is_pad: torch.Tensor | None = None,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Logits (B, L, V), tokens int64 (B, L), is_pad bool (B, L) → mean −log p of each next token.

    The logits at place i are for token i + 1. A token that is a pad does not count; to leave out a
    given prompt, mark it here as pads. With smoothing ε the wanted distribution is 1 − ε for the
    token and ε spread evenly over all words. Raises ValueError as `masked_lm_loss`, and if ε is not
    in [0, 1].
    """
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing must be 0 to 1, but it is {smoothing}")
    counted = torch.ones_like(tokens, dtype=torch.bool) if is_pad is None else ~is_pad
    return _mean(logits[:, :-1], tokens[:, 1:], counted[:, 1:], smoothing)


def _mean(
    logits: torch.Tensor, labels: torch.Tensor, counted: torch.Tensor, smoothing: float = 0.0
) -> torch.Tensor:
    if logits.ndim != 3 or labels.shape != logits.shape[:2] or counted.shape != labels.shape:
        raise ValueError(
            "logits, labels and mask must have shapes (B, L, V), (B, L) and (B, L), but have "
            f"{tuple(logits.shape)}, {tuple(labels.shape)} and {tuple(counted.shape)}"
        )
    if labels.dtype != torch.int64 or counted.dtype != torch.bool:
        raise ValueError(
            f"labels must be int64 and the mask bool, but they are {labels.dtype} "
            f"and {counted.dtype}"
        )
    if not counted.any():
        raise ValueError("at least one token must count, but none does")
    labels, V = labels[counted], logits.shape[-1]
    if labels.min() < 0 or labels.max() >= V:
        raise ValueError(
            f"labels that count must be 0 to {V - 1}, but {int(labels.min())} to "
            f"{int(labels.max())} were given"
        )
    return cross_entropy(logits[counted], labels, label_smoothing=smoothing)


def from_reference(state_dict: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Head:
    """Weights of transformers' BertForMaskedLM, BertLMHeadModel or BlipTextLMHeadModel → its head.

    `config` is its config.json as a dict; course_lib.backbones.text_encoder.from_reference gives
    the rest of the network. Raises ValueError for options that have no like here, for names or
    shapes that do not fit, and for a head that is not tied to the word embeddings.
    """
    state = text_names.plain(state_dict)
    for theirs, tied in text_names.TIED.items():
        if theirs in state and tied in state and not torch.equal(state[theirs], state[tied]):
            raise ValueError(f"the head is tied here, but {theirs} differs from {tied}")
    head = Head(Config(**text_names.options(config)))
    return load_reference(head, state, text_names.HEAD, text_names.NOT_HEAD)
