"""BLIP: one model compares pictures with texts, judges pairs, and writes captions.

Li, Li, Xiong, Hoi: BLIP: Bootstrapping Language-Image Pre-training for Unified Vision-Language
Understanding and Generation, ICML 2022.
Idea: a text transformer has three uses that share nearly all weights: reading a text alone (to be
compared with a picture), reading it while looking at the picture (to judge whether they match),
and writing it. One pass over the picture serves all three losses; what has been learned then writes
and filters captions for the next training (course_lib.vision_language.capfilt).

Lesson     notebooks/12_blip.ipynb
Reference  transformers BlipForConditionalGeneration, BlipForImageTextRetrieval,
           BlipForQuestionAnswering: outputs, losses, gradients, texts; the training, which no
           library installed here has, an oracle in plain Python
Recipe     §4.1 and the authors' code, ViT-B/16 from ImageNet and BERT-base: 14 or 129 million
           pictures, 20 epochs, batch 2,880; AdamW, weight decay 0.05, rate warmed up to 3e-4, then
           decayed at a rate of 0.85; random crops of 224 pixels (384 for fine-tuning); queue
           57,600, EMA 0.995, α = 0.4 after 2 epochs, τ = 0.07 at the start, label smoothing 0.1.
Differs
  * Each process compares its pairs, and draws hard negatives, among the pairs of all processes;
    the authors' pre-training does both on each process's own (its fine-tuning gathers).
  * A picture whose caption is the very same text is never drawn as a negative; the contrastive
    loss leaves such pairs, as the authors', to the soft targets.
  * Loss of words: the mean over the words of the whole batch, also if it is on several processes.
  * EMA and queue move after the step; the authors' EMA before the next features, which is the same.
  * The batch need not divide the queue. The slow copy also has a match head, which nothing uses.
  * Weights begin as those of the backbones do, nothing is pre-trained; no dropout.
  * τ is learned as its logarithm, as CLIP's scale is; the authors' own steps are of fixed size, so
    that at the high rates of small models it would cross its whole range within 100 steps.
  * The rate's course is that of course_lib.train.fit: a cosine.
  * `BASE` has the authors' ε of 1e-6 in the image encoder; transformers' files say 1e-5.
  * What else differs in the uses of the model: med, blip_tasks, capfilt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from course_lib.backbones import text_encoder, vit
from course_lib.backbones.text_encoder import TextEncoder
from course_lib.blocks.convert import load_reference
from course_lib.blocks.ema import follow, slow_copy
from course_lib.blocks.gather import gather
from course_lib.blocks.token_losses import over_all_words
from course_lib.vision_language import blip_names
from course_lib.vision_language.blip_tasks import Answerer, Captioner
from course_lib.vision_language.med import Marks, Matcher, Writer, pads, share
from course_lib.vision_language.momentum_queue import (
    enqueue,
    hard_negatives,
    partners,
    ramp,
    similarities,
    soft_cross_entropy,
    soft_targets,
)


@dataclass(frozen=True)
class Config:
    vision: vit.Config
    text: text_encoder.Config
    marks: Marks
    dim: int = 256  # E, the width of the common space
    queue: int = 57_600  # Q, features of earlier batches, of pictures and of texts
    ema: float = 0.995  # what the slow encoders keep of themselves
    tau: float = 0.07  # temperature at the start
    tau_range: tuple[float, float] = (0.001, 0.5)
    alpha: float = 0.4  # weight of the slow encoders' opinion in the targets
    alpha_ramp: float = 0.1  # share of the training in which it rises from 0
    smoothing: float = 0.1  # of the labels of words

    def __post_init__(self) -> None:
        ids = (self.marks.end, self.marks.match, self.marks.write)
        if len({*ids}) < 3 or not all(0 <= i < self.text.vocabulary for i in ids):
            below = self.text.vocabulary
            raise ValueError(f"marks must be three different ids below {below}, not {ids}")
        if (cross := self.text.cross_width) != self.vision.dim:
            raise ValueError(f"cross_width must be the pictures' {self.vision.dim}, not {cross}")
        if not self.vision.class_token:
            raise ValueError("a picture is compared by its class token, but class_token is False")
        if min(self.queue, self.dim) < 1:
            raise ValueError(f"queue and dim must be at least 1, not {self.queue} and {self.dim}")
        low, high = self.tau_range
        if not 0 < low <= self.tau <= high:
            raise ValueError(f"tau must be within its range, {low} to {high}, but it is {self.tau}")
        for name in ("ema", "alpha", "alpha_ramp", "smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, but it is {getattr(self, name)}")


TINY = Config(
    vit.TINY, replace(text_encoder.TINY, vocabulary=512, depth=2), Marks(509, 510, 511),
    dim=64, queue=64,
)  # fmt: skip
BASE = Config(vit.B16, text_encoder.BLIP_BASE, Marks(end=102, match=30523, write=30522))


class BLIP(nn.Module):
    """Matcher and writer, which share layers; slow encoders, and the queues of their features."""

    def __init__(self, config: Config = TINY) -> None:
        super().__init__()
        c = config
        self.config, self.dim = c, c.dim
        self.matcher = Matcher(c.vision, c.text, c.dim, c.marks)
        self.writer = Writer(c.text, c.marks)
        share(self.matcher.reader, self.writer.text)
        self.slow = slow_copy(self.matcher)
        self.log_tau = nn.Parameter(torch.tensor(math.log(c.tau)))
        # Pictures', then texts'. Until they have gone round once, the negatives are random ones.
        self.register_buffer("queues", normalize(torch.randn(2, c.queue, c.dim), dim=2))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.newest: torch.Tensor | None = None  # (2, R · B, E), on its way into the queues

    @property
    def tau(self) -> torch.Tensor:
        """The temperature of the contrast, a scalar."""
        return self.log_tau.exp()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → features (B, E) of length 1."""
        return self.matcher.image_feature(self.matcher.vision.tokens(images))

    def essentials(self) -> nn.ModuleDict:
        """What to save: the matcher, what is the writer's own, τ; the rest is only for training."""
        own = [nn.ModuleList([block.attention, block.norm1]) for block in self.writer.text.blocks]
        parts = {"matcher": self.matcher, "own": nn.ModuleList(own), "head": self.writer.head}
        return nn.ModuleDict({**parts, "tau": nn.ParameterDict({"log": self.log_tau})})

    def captioner(self) -> Captioner:
        """What tells pictures, with this model's own weights."""
        return Captioner(self.matcher.vision, self.writer)

    def answerer(self) -> Answerer:
        """What answers questions once it is fine-tuned: copies, and nothing is shared any more."""
        m = self.matcher
        return Answerer(deepcopy(m.vision), deepcopy(m.reader), deepcopy(self.writer))

    def contrast(
        self, images: torch.Tensor, seen: torch.Tensor, tokens: torch.Tensor, alpha: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """ITC: images, their tokens `seen` (B, N, C), texts (B, L) → loss, logits (B, M) twice.

        Each image (row) with the slow features of all texts and their queue, and each text.
        """
        with torch.no_grad():
            slow = self.slow.eval()
            image = slow.image_feature(slow.vision.tokens(images))
            text = slow.text_feature(tokens)
            self.newest = torch.stack([gather(image), gather(text)])
            images_, texts_ = torch.cat([self.newest.to(self.queues.dtype), self.queues], dim=1)
            of_slow = similarities(image, texts_, self.tau), similarities(text, images_, self.tau)
            targets = [soft_targets(logits, alpha) for logits in of_slow]
        of_image = similarities(self.matcher.image_feature(seen), texts_, self.tau)
        of_text = similarities(self.matcher.text_feature(tokens), images_, self.tau)
        losses = map(soft_cross_entropy, (of_image, of_text), targets)
        return sum(losses) / 2, of_image, of_text

    def judge(
        self,
        seen: torch.Tensor,
        tokens: torch.Tensor,
        of_image: torch.Tensor,
        of_text: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """ITM: B pairs and their logits of `contrast` → loss, the share of right verdicts.

        Judged are the pairs, each text with a picture that is like its own, and the reverse.
        """
        tokens = tokens.masked_fill(pads(tokens, self.config.marks.end), self.config.marks.end)
        all_seen, all_tokens = gather(seen), gather(tokens)
        positive, M = (tokens[:, None] == all_tokens).all(dim=2), len(all_tokens)
        false_image = hard_negatives(of_text[:, :M], positive)
        false_text = hard_negatives(of_image[:, :M], positive)
        logits = self.matcher.match(
            torch.cat([seen, all_seen[false_image], seen]),
            torch.cat([tokens, tokens, all_tokens[false_text]]),
        )
        is_pair = (torch.arange(len(logits), device=logits.device) < len(tokens)).long()
        return cross_entropy(logits, is_pair), (logits.argmax(1) == is_pair).float().mean()

    def tell(self, seen: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """LM: pictures' tokens (B, N, C), texts (B, L) → the loss of the next words."""
        loss = self.writer.loss(tokens, seen, smoothing=self.config.smoothing)
        return over_all_words(loss, ~pads(tokens, self.config.marks.end)[:, 1:])


def train_step(
    model: BLIP, batch: tuple[torch.Tensor, torch.Tensor], progress: float
) -> dict[str, torch.Tensor]:
    """Images (B, 3, H, W) and their texts (B, L) → itc, itm, lm and their sum, the loss.

    Also: shares of images and texts that find their partner (in the queue are no partners), the
    share of right verdicts, and τ. Each image needs a text that begins with a token for "begin".
    """
    (images, tokens), c = batch, model.config
    if len(images) != len(tokens):
        raise ValueError(f"{len(images)} images need as many texts, not {len(tokens)}")
    seen = model.matcher.vision.tokens(images)
    alpha = ramp(c.alpha, progress, c.alpha_ramp)
    itc, of_image, of_text = model.contrast(images, seen, tokens, alpha)
    itm, judged = model.judge(seen, tokens, of_image, of_text)
    lm, own = model.tell(seen, tokens), partners(len(tokens), tokens.device)
    found = [(logits.argmax(dim=1) == own).float().mean() for logits in (of_image, of_text)]
    return {
        "loss": itc + itm + lm, "itc": itc, "itm": itm, "lm": lm, "image_found": found[0],
        "text_found": found[1], "judged": judged, "tau": model.tau.detach(),
    }  # fmt: skip


@torch.no_grad()
def after_step(model: BLIP, progress: float) -> None:
    """The slow encoders follow; their newest features go into the queues; τ stays in its range."""
    if model.newest is None:
        raise ValueError("after_step follows a train_step, but none was made since the last one")
    follow(model.slow, model.matcher, model.config.ema)
    enqueue(model.queues, model.pointer, model.newest)
    model.newest = None
    model.log_tau.clamp_(*map(math.log, model.config.tau_range))


def from_reference(
    state_dict: Mapping[str, torch.Tensor], config: Mapping[str, Any]
) -> Captioner | Matcher | Answerer:
    """Weights of transformers' BLIP for captions, retrieval or answers → what they are for.

    `config` is its config.json as a dict. Its label_smoothing is not read: say it to `loss`. Raises
    ValueError for options that have no like here, and for names or shapes that do not fit.
    """
    vision, text, ids, dim = blip_names.options(config)
    state, marks = blip_names.state(state_dict), Marks(**ids)
    reads, writes = (any(name.startswith(part) for name in state)
                     for part in ("text_encoder.", "text_decoder."))  # fmt: skip
    if not writes:
        model, names = Matcher(vision, text, dim, marks), blip_names.MATCHER
    elif not reads:
        model = Captioner(vit.ViT(vision), Writer(text, marks))
        names = blip_names.CAPTIONER
    else:
        model = Answerer(vit.ViT(vision), TextEncoder(text), Writer(text, marks))
        names = blip_names.ANSWERER
    return load_reference(model, state, names, blip_names.IGNORED)
