"""From a text encoder's tokens to words: BERT's prediction head.

Devlin et al.: BERT, NAACL 2019, §3.1, task 1 (hidden words). The head is tied: the scores of a word
are products with the embedding by which it is read, Press and Wolf: Using the Output Embedding to
Improve Language Models, EACL 2017. Its losses: course_lib.blocks.token_losses.
Reference: transformers BertForMaskedLM, BertLMHeadModel, BlipTextLMHeadModel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.functional import gelu, linear

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
