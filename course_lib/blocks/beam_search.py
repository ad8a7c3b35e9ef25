"""Beam search: keep the K best beginnings, and let every word compete with every other's.

Graves: Sequence Transduction with Recurrent Neural Networks, 2012; Wu et al.: Google's Neural
Machine Translation System, 2016, §7, for a score that allows for length. Greedy decoding takes the
likeliest word now; a sentence that begins with a less likely word may be likelier as a whole.

The rule is that of transformers' `generate(num_beams=K)`:
  * Of all continuations of the K beginnings, the 2K best are looked at. Those of the first K that
    end are finished; the first K that do not end are the next beginnings.
  * A finished text scores log p / length^length_penalty; its length counts the end token, not the
    prompt. The K best finished ones are kept. At the last step every text counts as finished.
  * A picture is done when K texts are finished and, with `early_stopping`, at once; without, when
    the best beginning at its present length would score no better than the worst finished one.
Differs: `early_stopping="never"`, sampling among beams and several end tokens are not offered, a
vocabulary smaller than 2K is refused, and scores have the precision of the logits where that is
more than float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

# (tokens (R,), rows (R,)) → logits (R, V): see course_lib.blocks.decoding.
Step = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]


@dataclass(frozen=True)
class Beams:
    """`length_penalty` above 0 favours long texts, 0 the likeliest, below 0 short ones."""

    beams: int = 3  # K
    length_penalty: float = 1.0  # exponent of the length by which the log-probability is divided
    early_stopping: bool = False  # True: done as soon as K texts are finished

    def __post_init__(self) -> None:
        if self.beams < 1:
            raise ValueError(f"at least one beam is expected, but {self.beams} were given")


def beam_search(
    first: torch.Tensor, step: Step, steps: int, end: int | None, how: Beams
) -> tuple[torch.Tensor, torch.Tensor]:
    """The arguments of `decode` → texts (B, K, T ≤ steps), best first, and scores (B, K).

    Behind its end token a text is filled with end tokens. Raises ValueError if the vocabulary has
    fewer than 2K words.
    """
    (B, V), K = first.shape, how.beams
    if V < 2 * K:
        raise ValueError(f"{K} beams need a vocabulary of at least {2 * K} words, but it has {V}")
    dtype = torch.promote_types(first.dtype, torch.float32)
    scores = torch.zeros(B, 1, dtype=dtype, device=first.device)  # log p of each beginning
    fill = -1 if end is None else end  # no word is −1
    running = torch.full((B, 1, steps), fill, device=first.device)
    texts, best = running.expand(B, K, steps), scores.expand(B, K) - torch.inf
    done = torch.zeros(B, 1, dtype=torch.bool, device=first.device)
    logits = first
    for t in range(steps):
        k = scores.shape[1]  # 1, then K
        total = scores[..., None] + logits.to(dtype).log_softmax(-1).view(B, k, V)
        score, place = total.flatten(1).topk(2 * K)
        parent, word = place // V, place % V
        longer = _take(running, parent)
        longer[:, :, t] = word
        ends, last = word == fill, t + 1 == steps

        penalty = (t + 1) ** how.length_penalty
        closes = (ends[:, :K] | last) & ~done
        finished = (score[:, :K] / penalty).masked_fill(~closes, -torch.inf)
        best, chosen = torch.cat([best, finished], dim=1).topk(K)
        texts = _take(torch.cat([texts, longer[:, :K]], dim=1), chosen)

        # False sorts before True, and stably: the best that go on. A beam can end in one way only,
        # so that there are K of them.
        onward = ends.to(torch.uint8).argsort(dim=1, stable=True)[:, :K]
        scores, running = score.gather(1, onward), _take(longer, onward)
        if not how.early_stopping:
            done |= scores[:, :1] / penalty <= best[:, -1:]  # −∞ until K texts are finished
        else:
            done |= best[:, -1:] > -torch.inf
        if last or done.all():
            break
        rows = parent.gather(1, onward) + k * torch.arange(B, device=first.device)[:, None]
        logits = step(word.gather(1, onward).flatten(), rows.flatten())
    return cropped(texts, end), best


def cropped(tokens: torch.Tensor, end: int | None) -> torch.Tensor:
    """Tokens (…, T) that are filled with `end` → (…, ≤ T): without columns of mere filling."""
    if end is None:
        return tokens
    filling = ((tokens == end).cumsum(-1) > 1).flatten(0, -2).all(dim=0)
    return tokens[..., : int((~filling).sum())]


def _take(texts: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """Texts (B, k, T), which (B, K) → (B, K, T)."""
    return texts.gather(1, which[..., None].expand(-1, -1, texts.shape[-1]))
