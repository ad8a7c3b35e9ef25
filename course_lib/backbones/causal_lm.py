"""A language model of the LLaMA kind: each word is told from the words before it.

Touvron et al.: LLaMA: Open and Efficient Foundation Language Models, 2023, §2.2. Yang et al.: Qwen2
Technical Report, 2024. Its parts: RMSNorm (Zhang and Sennrich 2019), rotary positions (Su et al.
2021), SwiGLU (Shazeer 2020), grouped queries (Ainslie et al.: GQA, EMNLP 2023).
Idea: every position looks only back, so that a text of L words is L lessons at once. To write, the
model reads its own last word; of all others it has kept the keys and values.

Reference  transformers LlamaForCausalLM and Qwen2ForCausalLM: logits, loss, gradients, texts
Recipe     LLaMA 7B, table 2 and §2.3: AdamW (0.9, 0.95), 4 million tokens a batch, rate 3e-4,
           weight decay 0.1, gradients cut at norm 1, 2,000 steps of warm-up, then cosine to 10 %.
Differs
  * Positions count a row's real tokens, as in the reference's `generate`; its `forward` counts
    pads, too. Rotary positions are relative: only a pad between two words makes a difference.
  * The logits of a pad mean nothing, here and there, but are not the same.
  * The loss leaves out the first word behind padding, which nothing predicts.
  * `generate` gives the new words without the prompt. Beams: see course_lib.blocks.beam_search.
  * Query, key and value are one packed layer, and so are the MLP's gate and up.
  * The reference's norms go by way of float32 always; here float64 stays what it is.
  * Initial weights normal, σ = 0.02, biases 0, as in transformers; the paper does not say.
  * Scaled rotary positions, sliding windows, dropout and other biases are not offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from course_lib.backbones import causal_lm_names
from course_lib.blocks import rotary
from course_lib.blocks.attention_masks import bidirectional, causal
from course_lib.blocks.batches import check_ids
from course_lib.blocks.beam_search import Beams
from course_lib.blocks.convert import load_reference
from course_lib.blocks.decoder_block import Block, RMSNorm, one_word
from course_lib.blocks.decoding import Sampling, decode
from course_lib.blocks.grouped_attention import Cache, Turns
from course_lib.blocks.token_losses import next_token_loss, over_all_words


@dataclass(frozen=True)
class Config:
    vocabulary: int = 32_000  # V, words
    dim: int = 4096  # D, the width of a token
    depth: int = 32  # blocks
    heads: int = 32  # H, of queries
    key_heads: int = 32  # G, of keys and values; each serves H / G heads of queries
    mlp_dim: int = 11_008  # hidden width of the MLP
    rope_base: float = 10_000.0  # θ of the rotary positions
    norm_eps: float = 1e-6
    qkv_bias: bool = False
    tied: bool = False  # the output layer is the table of words
    head_dim: int | None = None  # d; None: D / H


TINY = Config(512, 128, 4, 4, 2, 352, tied=True)
LLAMA_7B = Config()
QWEN2_05B = Config(151_936, 896, 24, 14, 2, 4864, 1e6, qkv_bias=True, tied=True)


class CausalLM(nn.Module):
    """Words, or vectors in their place → logits of each next word. L tokens, S with the past."""

    def __init__(self, config: Config = TINY) -> None:
        super().__init__()
        c = config
        if c.head_dim is None and c.dim % c.heads:
            raise ValueError(
                f"the width must be a multiple of the heads, but {c.dim} and {c.heads} were given"
            )
        self.config, self.head_dim = c, c.head_dim or c.dim // c.heads
        self.words = nn.Embedding(c.vocabulary, c.dim)
        self.blocks = nn.ModuleList(
            Block(c.dim, c.heads, c.key_heads, self.head_dim, c.mlp_dim, c.qkv_bias, c.norm_eps, i)
            for i in range(c.depth)
        )
        self.norm = RMSNorm(c.dim, c.norm_eps)
        self.output = None if c.tied else nn.Linear(c.dim, c.vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (B, L) → their vectors (B, L, D). Raises ValueError for what is no word."""
        return self.words(check_ids("tokens", tokens, self.config.vocabulary))

    def forward(
        self,
        tokens: torch.Tensor | None = None,
        embeddings: torch.Tensor | None = None,
        is_pad: torch.Tensor | None = None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """Tokens (B, L) or embeddings (B, L, D), one of the two → logits (B, L, V).

        Those at place i are for the word at i + 1. is_pad is bool (B, L); pads may stand on either
        side. Tokens go on where the cache ends, and are added to it. Raises ValueError for other
        shapes and types.
        """
        return self.logits(self.hidden(tokens, embeddings, is_pad, cache))

    def hidden(
        self,
        tokens: torch.Tensor | None = None,
        embeddings: torch.Tensor | None = None,
        is_pad: torch.Tensor | None = None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """The arguments of `forward` → the last block's normalised tokens (B, L, D)."""
        x = self._input(tokens, embeddings)
        turns, may_attend = self._places(*x.shape[:2], is_pad, cache)
        shape, x = x.shape, x.flatten(0, 1)  # matrices multiply faster than stacks of them
        for block in self.blocks:
            x = block(x, turns, may_attend, cache)
        return self.norm(x).view(shape)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """What `hidden` gives, (…, D) → (…, V)."""
        return linear(hidden, self.words.weight if self.output is None else self.output.weight)

    def attention_maps(
        self,
        tokens: torch.Tensor | None = None,
        embeddings: torch.Tensor | None = None,
        is_pad: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The arguments of `forward` → weights (B, depth, H, L, L) of every block.

        Row: who looks; column: at whom. A row sums to 1, that of a pad before all words to 0.
        """
        x, maps = self._input(tokens, embeddings), []
        turns, may_attend = self._places(*x.shape[:2], is_pad, None)
        for block in self.blocks:
            maps.append(block.attention.weights(block.norm1(x), turns, may_attend))
            x = block(x, turns, may_attend, None)
        return torch.stack(maps, dim=1)

    def new_cache(self, batch: int, capacity: int) -> Cache:
        """An empty cache for `batch` rows of at most `capacity` tokens."""
        return Cache(self._turns(capacity), self.config.depth, batch, self.config.key_heads)

    def generate(
        self,
        tokens: torch.Tensor | None = None,
        embeddings: torch.Tensor | None = None,
        is_pad: torch.Tensor | None = None,
        steps: int = 32,
        end: int | None = None,
        how: Sampling | Beams | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """A prompt as in `forward`, pads on the left → new tokens (B, T), T ≤ steps.

        See course_lib.blocks.decoding.decode. Raises ValueError if a prompt ends with a pad.
        """
        if is_pad is not None and is_pad[:, -1].any():
            raise ValueError("the pads of a prompt must stand on its left, but one ends with a pad")
        with torch.inference_mode():
            x = self._input(tokens, embeddings)
            cache = self.new_cache(len(x), x.shape[1] + steps)
            if is_pad is not None and not is_pad.any():
                is_pad = None
            first = self.hidden(None, x, is_pad, cache)[:, -1]

            blocks = [one_word(block) for block in self.blocks]

            def step(words: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
                if rows is not None:
                    cache.select(rows)
                x = self.words(words)
                turns, may_attend = self._places(len(x), 1, None, cache)
                for block in blocks:
                    x = block(x, turns, may_attend, cache)
                return self.logits(self.norm(x))

            found = decode(self.logits(first), step, steps, end, how, generator)
        return found.clone()  # out of inference mode, to be of use in training

    def _input(self, tokens: torch.Tensor | None, embeddings: torch.Tensor | None) -> torch.Tensor:
        if (tokens is None) == (embeddings is None):
            raise ValueError("either tokens or embeddings are expected, not both, not neither")
        if tokens is not None:
            return self.embed(tokens)
        if embeddings.ndim != 3 or embeddings.shape[-1] != self.config.dim:
            raise ValueError(
                f"embeddings must have shape (B, L, {self.config.dim}), "
                f"but {tuple(embeddings.shape)} was given"
            )
        return embeddings

    def _turns(self, places: int) -> Turns:
        """Rotary turns (places, d) of the first places."""
        weight = self.words.weight
        positions = torch.arange(places, device=weight.device)
        angles = rotary.angles(positions, self.head_dim, self.config.rope_base)
        return rotary.turns(angles, weight.dtype)

    def _places(
        self, B: int, L: int, is_pad: torch.Tensor | None, cache: Cache | None
    ) -> tuple[Turns, torch.Tensor | None]:
        """B rows of L tokens → their turns, and at whom they may look; None: at all."""
        if is_pad is not None and (is_pad.dtype != torch.bool or is_pad.shape != (B, L)):
            raise ValueError(
                f"is_pad must be bool of shape {(B, L)}, "
                f"but {is_pad.dtype} of shape {tuple(is_pad.shape)} was given"
            )
        if cache is None:
            past, (cosines, sines) = 0, self._turns(L)
        else:
            past, (cosines, sines) = cache.length, cache.turns
            is_pad = cache.grow(B, L, is_pad)
        may_attend = None if L == 1 else causal(L, past, cosines.device)
        if is_pad is None:
            return (cosines[past : past + L], sines[past : past + L]), may_attend
        seen = bidirectional(is_pad)
        # Pads take no place: a row's first real token stands at 0, its second at 1, and so on.
        places = (~is_pad).cumsum(1)[:, past:].sub(1).clamp(min=0)
        turns = cosines[places][:, None], sines[places][:, None]  # (B, 1, L, d)
        return turns, seen if may_attend is None else seen & may_attend


def train_step(
    model: CausalLM, batch: tuple[torch.Tensor, torch.Tensor | None], progress: float
) -> dict[str, torch.Tensor]:
    """Texts: tokens (B, L) and is_pad bool (B, L), or None → the loss of all real words."""
    tokens, is_pad = batch
    counts = torch.ones_like(tokens, dtype=torch.bool) if is_pad is None else ~is_pad
    # Behind a pad stands a first word, which nothing predicts.
    counts = counts & counts.roll(1, dims=1)
    loss = next_token_loss(model(tokens, is_pad=is_pad), tokens, counts)
    return {"loss": over_all_words(loss, counts[:, 1:])}


def from_reference(state_dict: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> CausalLM:
    """Weights of transformers' LlamaForCausalLM or Qwen2ForCausalLM, and its config.json → ours.

    What the dict `config` leaves out has transformers' default. Raises ValueError for options that
    have no like here, and for names or shapes that do not fit.
    """
    c, state = Config(**causal_lm_names.options(config)), dict(state_dict)
    if c.tied and "lm_head.weight" in state:
        output, words = state.pop("lm_head.weight"), state.get("model.embed_tokens.weight")
        if words is not None and not torch.equal(output, words):
            raise ValueError("the config.json ties lm_head to embed_tokens, but the two differ")
    state = causal_lm_names.packed(state, c.depth)
    return load_reference(CausalLM(c), state, causal_lm_names.TABLE, causal_lm_names.IGNORED)
