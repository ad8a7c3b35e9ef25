"""CapFilt: a captioner writes what the web should have said, a filter throws out what is not true.

Li et al.: BLIP, ICML 2022, §3.3 and figure 3.
Captions from the web often do not tell the picture beside them. A captioner writes a second one
for each picture, and a filter keeps of both only those that match. Captioner and filter come from
the same pre-trained model, each fine-tuned on its own on pairs that people have written, so that
the filter does not share the captioner's errors. On what is left, a new model is trained.

Reference  hand-made cases in tests/vision_language/test_blip.py; no library installed
           here has CapFilt.
Recipe     §4.3: nucleus sampling with p = 0.9 (beam search writes safer captions, of which less is
           learned, Table 2); a caption is noise if the matching head calls it unmatched.
Differs
  * The threshold can be moved; 0.5 is the head's own verdict.
  * No repetition penalty and no least length while sampling (the authors' code: 1.1 and 10 tokens).
"""

from __future__ import annotations

import torch
from torch.nn.functional import pad

from course_lib.blocks.decoding import Beams, Sampling
from course_lib.vision_language.blip_tasks import Captioner
from course_lib.vision_language.med import Matcher

NUCLEUS = Sampling(top_p=0.9)


def synthetic_captions(
    captioner: Captioner,
    images: torch.Tensor,
    start: torch.Tensor,
    steps: int,
    how: Sampling | Beams | None = NUCLEUS,
    generator: torch.Generator | None = None,
    prompt: torch.Tensor | None = None,
) -> torch.Tensor:
    """Images (B, 3, H, W) → one new caption each, (B, T + 2), T ≤ steps.

    `start` (B, 1) is the first token of every text that is read. The words of a prompt (B, P)
    are not part of the caption. One that has not ended after `steps` words is ended there.
    """
    new = captioner.generate(images, steps, how, generator, prompt)
    return torch.cat([start, new, torch.full_like(start, captioner.writer.marks.end)], dim=1)


@torch.no_grad()
def kept(
    matcher: Matcher, images: torch.Tensor, tokens: torch.Tensor, least: float = 0.5
) -> torch.Tensor:
    """Images (B, 3, H, W), captions (B, L) → bool (B,): matches with probability above `least`."""
    return matcher.probability(images, tokens) > least


def capfilt(
    captioner: Captioner,
    matcher: Matcher,
    images: torch.Tensor,
    web: torch.Tensor,
    steps: int,
    generator: torch.Generator | None = None,
    prompt: torch.Tensor | None = None,
    least: float = 0.5,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images (B, 3, H, W) and their captions from the web (B, L) → M pairs that match.

    rows (M,) of the images, tokens (M, L'), is_synthetic bool (M,); the web's come first. Shorter
    texts are filled with end tokens.
    """
    written = synthetic_captions(captioner, images, web[:, :1], steps, NUCLEUS, generator, prompt)
    longest, end = max(web.shape[1], written.shape[1]), matcher.marks.end
    both = [pad(t, (0, longest - t.shape[1]), value=end) for t in (web, written)]
    keep = torch.cat([kept(matcher, images, tokens, least) for tokens in both])
    rows = torch.arange(len(images), device=images.device).repeat(2)
    is_synthetic = torch.arange(len(rows), device=images.device) >= len(images)
    return rows[keep], torch.cat(both)[keep], is_synthetic[keep]
