"""What a BLIP is fine-tuned for: to tell a picture in words, and to answer questions on it.

Li et al.: BLIP, ICML 2022, §5.2 (captions) and §5.3, figure 5 (answers). Retrieval, §5.1, is
`Matcher` of course_lib.vision_language.med.
A captioner is the image encoder and the decoder. An answerer puts the text encoder between them:
it reads the question with the picture, and the decoder looks at the question's tokens, which then
know the picture, and never at the picture itself.

Reference  transformers BlipForConditionalGeneration and BlipForQuestionAnswering: outputs, losses,
           gradients, generated texts
Differs
  * transformers 5.24 lets the answer look at a question's padding; here nobody looks there.
  * An answer's loss is the mean over its tokens, as in transformers; the authors sum them, and
    weight several answers to one question.
  * `rank` weighs every answer whole, by its probability. The authors take the 128 answers with the
    likeliest first word, and compare the smoothed loss.
"""

from __future__ import annotations

import torch
from torch import nn

from course_lib.backbones import vit
from course_lib.backbones.text_encoder import TextEncoder
from course_lib.blocks.decoding import Beams, Sampling
from course_lib.vision_language.med import Writer, led_by, pads


class Captioner(nn.Module):
    """A picture → words."""

    def __init__(self, vision: vit.ViT, writer: Writer) -> None:
        super().__init__()
        self.vision, self.writer = vision, writer

    def forward(self, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W), texts (B, L) → logits (B, L, V)."""
        return self.writer(tokens, self.vision.tokens(images))

    def loss(
        self, images: torch.Tensor, tokens: torch.Tensor, smoothing: float = 0.1, prompt: int = 1
    ) -> torch.Tensor:
        """`Writer.loss` of texts (B, L) that tell images (B, 3, H, W)."""
        return self.writer.loss(tokens, self.vision.tokens(images), None, smoothing, prompt)

    def generate(
        self,
        images: torch.Tensor,
        steps: int,
        how: Sampling | Beams | None = None,
        generator: torch.Generator | None = None,
        prompt: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Images (B, 3, H, W) → new tokens (B, T), as `Writer.generate`."""
        with torch.no_grad():
            seen = self.vision.tokens(images)
        return self.writer.generate(seen, steps, how, generator, prompt)


class Answerer(nn.Module):
    """A picture and a question → words. Reader and writer have the width of a question's tokens."""

    def __init__(self, vision: vit.ViT, reader: TextEncoder, writer: Writer) -> None:
        super().__init__()
        if (width := writer.text.config.cross_width) != reader.dim:
            raise ValueError(
                f"the writer must look at tokens of the reader's width {reader.dim}, not {width}"
            )
        self.vision, self.reader, self.writer = vision, reader, writer

    def read(
        self, images: torch.Tensor, questions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, 3, H, W), questions (B, L) → states (B, L, D), pads bool (B, L)."""
        tokens = led_by(self.writer.marks.match, questions)
        is_pad = pads(tokens, self.writer.marks.end)
        return self.reader(tokens, is_pad, self.vision.tokens(images)), is_pad

    def forward(
        self, images: torch.Tensor, questions: torch.Tensor, answers: torch.Tensor
    ) -> torch.Tensor:
        """Images (B, 3, H, W), questions (B, L), answers (B, A) → logits (B, A, V)."""
        return self.writer(answers, *self.read(images, questions))

    def loss(
        self,
        images: torch.Tensor,
        questions: torch.Tensor,
        answers: torch.Tensor,
        smoothing: float = 0.1,
    ) -> torch.Tensor:
        """`Writer.loss` of the answers (B, A)."""
        return self.writer.loss(answers, *self.read(images, questions), smoothing)

    @torch.no_grad()
    def rank(
        self, images: torch.Tensor, questions: torch.Tensor, answers: torch.Tensor
    ) -> torch.Tensor:
        """B pictures and questions, K possible answers (K, A) → log p of each for each, (B, K)."""
        rows = []
        for state, is_pad in zip(*self.read(images, questions), strict=True):
            context = (x.expand(len(answers), *x.shape) for x in (state, is_pad))
            rows.append(self.writer.log_probability(answers, *context))
        return torch.stack(rows)

    @torch.no_grad()
    def generate(
        self,
        images: torch.Tensor,
        questions: torch.Tensor,
        steps: int,
        how: Sampling | Beams | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Images (B, 3, H, W), questions (B, L) → answers (B, T), as `Writer.generate`."""
        states, is_pad = self.read(images, questions)
        return self.writer.generate(states, steps, how, generator, context_is_pad=is_pad)
