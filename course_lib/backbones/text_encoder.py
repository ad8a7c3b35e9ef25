"""BERT: one transformer that reads a text to both sides, writes it, or looks at a picture with it.

Devlin, Chang, Lee, Toutanova: BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding, NAACL 2019. Li et al.: BLIP, ICML 2022, §3.1 and figure 2 (the three uses).
Idea: hide some words, and let the words on both sides tell them; a token's vector then comes to
hold its meaning in this sentence. A mask makes the reader a writer (each token looks back only),
and a cross-attention in each block lets either of them look at a picture.

Reference  transformers BertModel, BertForMaskedLM, BertLMHeadModel, BlipTextModel and
           BlipTextLMHeadModel: outputs, losses, gradients
Recipe     BERT, appendix A.2: Adam (0.9, 0.999), 256 texts of 512 tokens, rate 1e-4, weight decay
           0.01, dropout 0.1, 10,000 steps of warm-up, then linearly to 0; 1,000,000 steps.
Differs
  * No dropout; no pooler (dense and tanh, on the first token), no second task. Head: text_head.
  * GELU in its exact form, as in transformers; the authors' code approximates it by tanh.
  * Initial weights normal, σ = 0.02; the authors cut the normal off at 2 σ.
  * Segments (BERT) and cross-attention (BLIP) are options; the direction is said at the call.
  * Pads of a context are hidden; transformers 5.24 forgets that mask in BLIP (not in BERT).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from course_lib.backbones import text_names
from course_lib.blocks import attention_masks
from course_lib.blocks.attention import Attention, KeysValues
from course_lib.blocks.attention_cache import Cache
from course_lib.blocks.batches import check_ids
from course_lib.blocks.convert import load_reference
from course_lib.blocks.mlp import MLP


@dataclass(frozen=True)
class Config:
    vocabulary: int = 30522  # V, different tokens
    length: int = 512  # tokens of the longest text
    dim: int = 768  # D, the width of a token
    depth: int = 12  # blocks
    heads: int = 12
    mlp_width: int = 3072  # of the MLP's hidden layer
    cross_width: int | None = None  # C, the width of a context; None: no cross-attention
    segments: int = 2  # kinds of sentences in one text; 0: they are not told apart
    norm_eps: float = 1e-12  # of every LayerNorm


TINY = Config(1000, 64, dim=128, depth=4, heads=4, mlp_width=512, cross_width=128, segments=0)
BERT_BASE = Config()
BLIP_BASE = Config(vocabulary=30524, cross_width=768, segments=0)


class Block(nn.Module):
    """Attention, cross-attention (if there is a context), MLP: each is added, then normed."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.attention = Attention(c.dim, c.heads)
        self.norm1 = nn.LayerNorm(c.dim, eps=c.norm_eps)
        if c.cross_width is not None:
            self.cross = Attention(c.dim, c.heads, context_dim=c.cross_width)
            self.norm_cross = nn.LayerNorm(c.dim, eps=c.norm_eps)
        self.mlp = MLP(c.dim, c.mlp_width / c.dim)
        self.norm2 = nn.LayerNorm(c.dim, eps=c.norm_eps)

    def forward(
        self,
        x: torch.Tensor,
        own: KeysValues,
        cross: KeysValues | None = None,
        may_attend: torch.Tensor | None = None,
        may_look: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """x (B, L, D), keys and values of the text and of a context, their masks → (B, L, D)."""
        x = self.norm1(x + self.attention.read(x, own, may_attend))
        if cross is not None:
            x = self.norm_cross(x + self.cross.read(x, cross, may_look))
        return self.norm2(x + self.mlp(x))


class TextEncoder(nn.Module):
    """Texts (B, L), and a context (B, N, C) if there is one → final tokens (B, L, D)."""

    def __init__(self, config: Config = TINY) -> None:
        super().__init__()
        c = config
        self.config, self.dim = c, c.dim
        self.words = nn.Embedding(c.vocabulary, c.dim)
        self.positions = nn.Embedding(c.length, c.dim)
        if c.segments:
            self.segments = nn.Embedding(c.segments, c.dim)
        self.norm = nn.LayerNorm(c.dim, eps=c.norm_eps)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.depth))
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:  # linear layers and embeddings, not norms
                nn.init.normal_(parameter, std=0.02)

    def embed(
        self, tokens: torch.Tensor, segments: torch.Tensor | None = None, past: int = 0
    ) -> torch.Tensor:
        """Tokens and segments (B, L), `past` more in front → normed sum of embeddings (B, L, D).

        Without segments all tokens are of segment 0. Raises ValueError for what has no embedding.
        """
        c = self.config
        check_ids("tokens", tokens, c.vocabulary)
        end = past + tokens.shape[1]
        if end > c.length:
            raise ValueError(f"a text may have {c.length} tokens here, but this one has {end}")
        x = self.words(tokens) + self.positions.weight[past:end]
        if segments is not None:
            if not c.segments:
                raise ValueError("this encoder has no segments, but some were given")
            check_ids("segments", segments, c.segments, tokens.shape)
            x = x + self.segments(segments)
        elif c.segments:
            x = x + self.segments.weight[0]
        return self.norm(x)

    def forward(
        self,
        tokens: torch.Tensor,
        is_pad: torch.Tensor | None = None,
        context: torch.Tensor | None = None,
        context_is_pad: torch.Tensor | None = None,
        causal: bool = False,
        segments: torch.Tensor | None = None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """Tokens (B, L) → (B, L, D). Nobody looks at pads: bool, (B, L) and (B, N).

        Causal: each token looks back only. With a cache, which holds the context, `tokens` (and
        `is_pad`) are the next ones; they come out as in a run over the whole text without a cache.
        Raises ValueError for what does not fit.
        """
        if cache is not None and not (causal and context is None and context_is_pad is None):
            got = f"causal={causal}" if not causal else "a context beside the cache"
            raise ValueError(
                f"a cache is for causal runs, and its context goes to new_cache; {got} was given"
            )
        x = self.embed(tokens, segments, cache.length if cache else 0)
        may_attend = _may_attend(tokens, is_pad, causal, cache)
        may_look = cache.may_look if cache else self._may_look(context, context_is_pad, len(x))
        for number, block in enumerate(self.blocks):
            own, cross = block.attention.keys_values(x), None
            if cache is not None:
                own = cache.extend(number, own)
                cross = cache.cross[number] if cache.cross else None
            elif context is not None:
                cross = block.cross.keys_values(context)
            x = block(x, own, cross, may_attend, may_look)
        return x

    def new_cache(
        self, context: torch.Tensor | None = None, context_is_pad: torch.Tensor | None = None
    ) -> Cache:
        """A context (B, N, C) and its pads (B, N), or none → a cache that has read no text.

        Without a context the text is read alone, also by blocks that could look at one.
        """
        if context is None:
            return Cache(may_look=self._may_look(None, context_is_pad, 0))
        may_look = self._may_look(context, context_is_pad, len(context))
        nothing = torch.zeros(len(context), 0, dtype=torch.bool, device=context.device)
        return Cache([], [b.cross.keys_values(context) for b in self.blocks], nothing, may_look)

    def attention_maps(
        self,
        tokens: torch.Tensor,
        is_pad: torch.Tensor | None = None,
        context: torch.Tensor | None = None,
        context_is_pad: torch.Tensor | None = None,
        causal: bool = False,
        segments: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`forward`'s arguments → weights (B, depth, heads, L, L), and (…, L, N) for a context.

        Row: who looks; column: at whom; a row sums to 1, or to 0 if it may look at nothing.
        """
        x, maps, cross_maps = self.embed(tokens, segments), [], []
        may_attend = _may_attend(tokens, is_pad, causal)
        may_look = self._may_look(context, context_is_pad, len(x))
        for block in self.blocks:
            own, cross = block.attention.keys_values(x), None
            maps.append(block.attention.weights(x, may_attend=may_attend))
            if context is not None:
                asking = block.norm1(x + block.attention.read(x, own, may_attend))
                cross = block.cross.keys_values(context)
                cross_maps.append(block.cross.weights(asking, context, may_look))
            x = block(x, own, cross, may_attend, may_look)
        return torch.stack(maps, 1), torch.stack(cross_maps, 1) if cross_maps else None

    def _may_look(
        self, context: torch.Tensor | None, is_pad: torch.Tensor | None, B: int
    ) -> torch.Tensor | None:
        """At which tokens of the context one may look; refuse a context that does not fit."""
        C = self.config.cross_width
        if context is None:
            if is_pad is not None:
                raise ValueError("a context is expected with context_is_pad, but there is none")
            return None
        if C is None:
            raise ValueError("this encoder looks at no context (cross_width None), but got one")
        if context.ndim != 3 or context.shape[::2] != (B, C):
            raise ValueError(
                f"with cross_width {C} a context of shape ({B}, N, {C}) is expected, "
                f"but {tuple(context.shape)} was given"
            )
        return _unless_pad("context_is_pad", is_pad, context.shape[:2])


def _may_attend(
    tokens: torch.Tensor, is_pad: torch.Tensor | None, causal: bool, cache: Cache | None = None
) -> torch.Tensor | None:
    """Who may look at whom in a text; a cache is told of the new tokens' pads."""
    mask, past = _unless_pad("is_pad", is_pad, tokens.shape), 0
    if cache is not None:
        past, none = cache.length, torch.zeros_like(tokens, dtype=torch.bool)
        mask = attention_masks.bidirectional(cache.extend_pads(none if is_pad is None else is_pad))
    if causal:
        back = attention_masks.causal(tokens.shape[1], past, tokens.device)
        mask = back if mask is None else mask & back
    return mask


def _unless_pad(name: str, is_pad: torch.Tensor | None, shape: torch.Size) -> torch.Tensor | None:
    if is_pad is not None and (is_pad.dtype != torch.bool or is_pad.shape != shape):
        raise ValueError(
            f"{name} must be bool of shape {tuple(shape)}, "
            f"but {is_pad.dtype} of shape {tuple(is_pad.shape)} was given"
        )
    return None if is_pad is None else attention_masks.bidirectional(is_pad)


def from_reference(
    state_dict: Mapping[str, torch.Tensor], config: Mapping[str, Any]
) -> TextEncoder:
    """Weights of transformers' BertModel or BlipTextModel, also inside a model with a head → ours.

    `config` is its config.json as a dict (of a whole BLIP: its "text_config", with the pictures'
    "encoder_hidden_size" put in). Poolers, heads and `is_decoder` are left out: say `causal` at the
    call. Raises ValueError for options that have no like here, and names or shapes that do not fit.
    """
    ours, state = TextEncoder(Config(**text_names.options(config))), text_names.plain(state_dict)
    return load_reference(ours, state, text_names.ENCODER, text_names.NOT_ENCODER)
