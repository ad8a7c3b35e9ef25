"""The mixture of encoder and decoder (MED): one text transformer that reads, judges and writes.

Li et al.: BLIP, ICML 2022, §3.1 and figure 2.
What stands first in a text says what it is for: the tokenizer's own first token in a text that is
read alone, [ENC] in one that is read with a picture, [DEC] in one that is written. Each use puts
its mark in the place of the first token itself. What stands behind the first end token is padding.

Reference  transformers BlipForImageTextRetrieval and BlipForConditionalGeneration: outputs,
           losses, gradients, generated texts
Differs
  * transformers leaves the first token as its caller gave it, except when it generates.
  * Label smoothing is an argument, 0.1 as the authors'; transformers' config.json says 0.0.
  * Generated texts end in the end token; the prompt is not repeated, no least length is enforced.

B pictures, their tokens `seen` (B, N, C), texts (B, L) of V words, states (B, L, D).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import normalize

from course_lib.backbones import text_encoder, vit
from course_lib.backbones.text_encoder import TextEncoder
from course_lib.backbones.text_head import Head
from course_lib.blocks.decoding import Beams, Sampling, decode
from course_lib.blocks.token_losses import next_token_loss


@dataclass(frozen=True)
class Marks:
    """Ids of the tokens that say how a text is meant."""

    end: int  # [SEP], at the end of every text
    match: int  # [ENC], in front of a text that is read with a picture
    write: int  # [DEC], in front of a text that is written


def pads(tokens: torch.Tensor, end: int) -> torch.Tensor:
    """Texts (B, L) → bool (B, L): what stands behind the first end token."""
    is_end = (tokens == end).int()
    return is_end.cumsum(dim=1) > is_end


def led_by(mark: int, tokens: torch.Tensor) -> torch.Tensor:
    """Texts (B, L) → the same with `mark` in the place of the first token."""
    return torch.cat([torch.full_like(tokens[:, :1], mark), tokens[:, 1:]], dim=1)


def share(reader: TextEncoder, writer: TextEncoder) -> None:
    """Make all layers of `writer` those of `reader`, except each block's self-attention (§3.1).

    With the self-attention goes the norm behind it.
    """
    for name in ("words", "positions", "norm"):
        setattr(writer, name, getattr(reader, name))
    for theirs, ours in zip(reader.blocks, writer.blocks, strict=True):
        for name in ("cross", "norm_cross", "mlp", "norm2"):
            setattr(ours, name, getattr(theirs, name))


class Matcher(nn.Module):
    """Pictures and texts side by side (features of width E) and together (do they match?)."""

    def __init__(
        self, vision: vit.Config, text: text_encoder.Config, dim: int, marks: Marks
    ) -> None:
        super().__init__()
        self.marks, self.dim = marks, dim
        self.vision, self.reader = vit.ViT(vision), TextEncoder(text)
        self.image_projection = nn.Linear(vision.dim, dim)
        self.text_projection = nn.Linear(text.dim, dim)
        self.match_head = nn.Linear(text.dim, 2)

    def image_feature(self, seen: torch.Tensor) -> torch.Tensor:
        """A picture's tokens (B, N, C) → features (B, E) of length 1, from the class token."""
        return normalize(_precise(self.image_projection(seen[:, 0])), dim=1)

    def text_feature(self, tokens: torch.Tensor) -> torch.Tensor:
        """Texts (B, L) → features (B, E) of length 1, from the first token; no picture is seen."""
        states = self.reader(tokens, pads(tokens, self.marks.end))
        return normalize(_precise(self.text_projection(states[:, 0])), dim=1)

    def match(self, seen: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Pictures' tokens (B, N, C), texts (B, L) → logits (B, 2): not a pair, a pair."""
        tokens = led_by(self.marks.match, tokens)
        states = self.reader(tokens, pads(tokens, self.marks.end), seen)
        return _precise(self.match_head(states[:, 0]))

    def probability(self, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W), texts (B, L) → the probability (B,) that they match."""
        return self.match(self.vision.tokens(images), tokens).softmax(dim=1)[:, 1]

    def forward(self, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Images (A, 3, H, W), texts (B, L) → cosines (A, B) of each with each."""
        return self.image_feature(self.vision.tokens(images)) @ self.text_feature(tokens).T

    def rescored(
        self, images: torch.Tensor, tokens: torch.Tensor, k: int, texts_of_images: bool = True
    ) -> torch.Tensor:
        """Images (A, 3, H, W), texts (B, L) → scores (A, B), to rank by (the authors' retrieval).

        The k texts of highest cosine to an image, or else the k images of highest cosine to a text,
        have cosine + logit of a pair; all others −100. Raises ValueError if k is not at least 1.
        """
        if k < 1:
            raise ValueError(f"at least 1 candidate is expected, but k is {k}")
        seen, dim = self.vision.tokens(images), int(texts_of_images)
        cosines = self.image_feature(seen) @ self.text_feature(tokens).T
        near = cosines.topk(min(k, cosines.shape[dim]), dim).indices
        scores = torch.full_like(cosines, -100.0)
        pairs = torch.zeros_like(cosines, dtype=torch.bool).scatter(dim, near, True).nonzero()
        for a, b in (part.T for part in pairs.split(256)):  # pairs that are judged at once
            scores[a, b] = cosines[a, b] + self.match(seen[a], tokens[b])[:, 1]
        return scores


class Writer(nn.Module):
    """A text transformer that looks back, and at a context; a head tells the next word."""

    def __init__(self, text: text_encoder.Config, marks: Marks) -> None:
        super().__init__()
        self.marks = marks
        self.text, self.head = TextEncoder(text), Head(text)

    def forward(
        self,
        tokens: torch.Tensor,
        context: torch.Tensor,
        context_is_pad: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Texts (B, L), a context (B, N, C), its pads bool (B, N) → logits (B, L, V)."""
        tokens = led_by(self.marks.write, tokens)
        is_pad = pads(tokens, self.marks.end)
        states = self.text(tokens, is_pad, context, context_is_pad, causal=True)
        return self.head(states, self.text.words.weight)

    def loss(
        self,
        tokens: torch.Tensor,
        context: torch.Tensor,
        context_is_pad: torch.Tensor | None = None,
        smoothing: float = 0.1,
        prompt: int = 1,
    ) -> torch.Tensor:
        """→ the mean over words of −log p, smoothed; the first `prompt` tokens are given."""
        counts = ~pads(tokens, self.marks.end)
        counts[:, :prompt] = False
        logits = _precise(self(tokens, context, context_is_pad))
        return next_token_loss(logits, tokens, counts, smoothing)

    def log_probability(
        self,
        tokens: torch.Tensor,
        context: torch.Tensor,
        context_is_pad: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """→ log p of each whole text, end token included, (B,)."""
        logits = _precise(self(tokens, context, context_is_pad))[:, :-1]
        said = logits.log_softmax(dim=-1).gather(-1, tokens[:, 1:, None])[..., 0]
        return said.masked_fill(pads(tokens, self.marks.end)[:, 1:], 0).sum(dim=1)

    @torch.no_grad()
    def generate(
        self,
        context: torch.Tensor,
        steps: int,
        how: Sampling | Beams | None = None,
        generator: torch.Generator | None = None,
        prompt: torch.Tensor | None = None,
        context_is_pad: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Contexts (B, N, C) → new tokens (B, T), T ≤ steps; `how`: course_lib.blocks.decoding.

        A prompt (B, P) is the beginning of a text: its first token gives way to [DEC], and it has
        no end token, else ValueError. All are equally long: there are no pads in front of words.
        """
        if prompt is None:
            prompt = torch.zeros(len(context), 1, dtype=torch.long, device=context.device)
        if (prompt[:, 1:] == self.marks.end).any():
            raise ValueError(f"a prompt goes on, but this one has the end token {self.marks.end}")
        cache = self.text.new_cache(context, context_is_pad)

        def last(tokens: torch.Tensor) -> torch.Tensor:
            state = self.text(tokens, causal=True, cache=cache)[:, -1]
            return self.head(state, self.text.words.weight)

        def step(tokens: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
            if rows is not None:
                cache.select(rows)
            return last(tokens[:, None])

        first = last(led_by(self.marks.write, prompt))
        return decode(first, step, steps, self.marks.end, how, generator)


def _precise(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
