"""From a model that tells the next word to a text: greedily, by drawing, or by beam search.

A text decoder is known here by two things only: its logits behind the prompt, and a function that
reads one more word a row and gives the next logits. So a LLaMA and a decoder that looks at a
picture decode by the same code.

Fan et al.: Hierarchical Neural Story Generation, ACL 2018 (top-k); Holtzman et al.: The Curious
Case of Neural Text Degeneration, ICLR 2020 (top-p). Both cut off the long tail of unlikely words,
whose sum is large enough to be hit every few words. They are cut as by transformers: first the
temperature, then top-k, then top-p.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from course_lib.blocks.beam_search import Beams, Step, beam_search, cropped


@dataclass(frozen=True)
class Sampling:
    temperature: float = 1.0  # logits are divided by it: below 1 bolder, above 1 wilder
    top_k: int | None = None  # only so many of the likeliest words; None: all
    top_p: float = 1.0  # only the fewest words whose probabilities make up so much

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"the temperature must be above 0, but it is {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, or None, but it is {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, but it is {self.top_p}")


def decode(
    first: torch.Tensor,
    step: Step,
    steps: int,
    end: int | None = None,
    how: Sampling | Beams | None = None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Logits (B, V) behind the prompts → new tokens (B, T), T ≤ steps. `how` None: greedily.

    `step(tokens (R,), rows)` reads one more word in each row and gives the next logits (R, V).
    With `rows` (R,), row r goes on with what was row rows[r] before: beam search drops some rows
    and doubles others, and makes B rows into B · K. `rows` None means all rows as they were.
    `end` closes a text, and fills it up to the longest; None: every text has `steps` words.
    Raises ValueError for logits of another shape, or if no step is to be done, and TypeError for
    another `how`.
    """
    if first.ndim != 2:
        raise ValueError(f"the first logits must have shape (B, V), not {tuple(first.shape)}")
    if steps < 1:
        raise ValueError(f"at least one step is expected, but {steps} were given")
    if isinstance(how, Beams):
        texts, _ = beam_search(first, step, steps, end, how)
        return cropped(texts[:, 0], end)
    if isinstance(how, Sampling):
        return _one_by_one(first, step, steps, end, lambda logits: draw(logits, how, generator))
    if how is not None:
        raise TypeError(f"how must be None (greedily), Sampling(…) or Beams(…), not {how!r}")
    return _one_by_one(first, step, steps, end, lambda logits: logits.argmax(dim=-1))


def _one_by_one(
    logits: torch.Tensor,
    step: Step,
    steps: int,
    end: int | None,
    choose: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    tokens = torch.empty(len(logits), steps, dtype=torch.long, device=logits.device)
    closed = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
    for t in range(steps):
        word = choose(logits)
        if end is not None:
            word = word.masked_fill(closed, end)
            closed = word == end
        tokens[:, t] = word
        if t + 1 == steps or (end is not None and closed.all()):
            break
        logits = step(word, None)
    return tokens[:, : t + 1]


def probabilities(logits: torch.Tensor, how: Sampling) -> torch.Tensor:
    """Logits (…, V) → the probabilities (…, V) that words are drawn with; cut words have 0.

    Words as likely as the k-th stay, too, and the likeliest always does.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / how.temperature
    if how.top_k is not None:
        kth = logits.topk(min(how.top_k, logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if how.top_p < 1:
        # The same nucleus, summed from the small end, where less is lost: cut at most 1 − p.
        ascending, order = logits.sort(dim=-1)
        cut = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - how.top_p
        cut[..., -1] = False
        logits = logits.masked_fill(torch.empty_like(cut).scatter(-1, order, cut), -torch.inf)
    return logits.softmax(dim=-1)


def draw(
    logits: torch.Tensor, how: Sampling, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Logits (B, V) → one word for each row, (B,)."""
    return probabilities(logits, how).multinomial(1, generator=generator)[:, 0]
