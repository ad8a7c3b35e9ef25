"""LLaVA: a picture's patches become words of a foreign language that a language model can read.

Liu, Li, Wu, Lee: Visual Instruction Tuning, NeurIPS 2023. Liu, Li, Li, Lee: Improved Baselines with
Visual Instruction Tuning, CVPR 2024 (LLaVA-1.5).
Idea: a frozen tower gives N patch tokens, a projector maps each into the space of word vectors, and
these stand in the text where the picture is meant. The projector learns first, then the language
model too, and only the assistant's words count.

Lesson     notebooks/13_llava.ipynb
Reference  transformers LlavaForConditionalGeneration: logits, loss, gradients, attention, texts
Recipe     LLaVA-1.5, table 9: AdamW, no weight decay, warm-up of 3 %, then cosine; one pass each.
           Stage 1: 558,000 pictures with captions, batch 256, rate 1e-3. Stage 2: 665,000
           conversations, batch 128, rate 2e-5. LLaVA, §5: 2e-3 and batch 128; 2e-5 and batch 32.
Differs
  * A picture is one token of the text, as in the authors' code; transformers wants N of them.
  * Pads are taken out and put in again, all on one side. For what else is different in texts see
    course_lib.backbones.causal_lm; they are cut (course_lib.data.chat) before pictures go in.
  * The tower is frozen, always in evaluation mode; blocks behind `layer` are kept, but not run.
  * Pixels at the right and lower edge that fill no patch are cut off (SigLIP: 384 = 27 · 14 + 6).
  * Several processes: the loss is the mean over the words of all. A batch is shared out by rows, so
    each prompt has to show one picture then.
  * No crops of large pictures, as in LLaVA-1.5-HD. LLaVA's one-matrix projector can be trained
    here; transformers, and so `from_reference`, knows only the one of LLaVA-1.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from course_lib.backbones import causal_lm, vit
from course_lib.blocks.batches import check_batch
from course_lib.blocks.beam_search import Beams
from course_lib.blocks.convert import load_reference
from course_lib.blocks.decoding import Sampling
from course_lib.blocks.token_losses import next_token_loss, over_all_words
from course_lib.vision_language import llava_names

Side = Literal["left", "right"]  # of a row, where its pads stand


@dataclass(frozen=True)
class Config:
    vision: vit.Config
    language: causal_lm.Config
    image_token: int  # id that stands for a picture; need not be in the vocabulary
    layer: int = -2  # tokens behind which block, not normalised; −1: the last
    projector: Literal["linear", "mlp"] = "mlp"  # LLaVA's, LLaVA-1.5's

    def __post_init__(self) -> None:
        if not -self.vision.depth <= self.layer <= -1:
            deepest = f"from {-self.vision.depth} to -1"
            raise ValueError(f"the layer must be {deepest}, but it is {self.layer}")
        if self.projector not in ("linear", "mlp"):
            raise ValueError(f"the projector is linear or mlp, not {self.projector!r}")


TINY = Config(vit.Config(64, 16, dim=128, depth=2, heads=4), causal_lm.TINY, image_token=511)
LLAVA_15_7B = Config(llava_names.CLIP_L14_336, causal_lm.Config(32_064, norm_eps=1e-5), 32_000)
SIGLIP_QWEN2_05B = Config(llava_names.SIGLIP_SO400M, causal_lm.QWEN2_05B, 151_646)


class LLaVA(nn.Module):
    """M pictures and B texts → logits. L tokens of a text become S with N places for a picture.

    A new one is in stage 2: projector and language model learn (`align`, `tune`).
    """

    def __init__(self, config: Config = TINY) -> None:
        super().__init__()
        self.config, c, D = config, config, config.language.dim
        self.vision = vit.ViT(c.vision).requires_grad_(False)
        second = [nn.GELU(), nn.Linear(D, D)] if c.projector == "mlp" else []
        self.projector = nn.Sequential(nn.Linear(c.vision.dim, D), *second)
        self.language = causal_lm.CausalLM(c.language)
        self.train()

    def train(self, mode: bool = True) -> LLaVA:
        """Training mode for all but the tower: its batch norms and dropped branches stand still."""
        super().train(mode)
        self.vision.eval()
        return self

    def see(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures (M, 3, H, W) → the tower's tokens, row by row, (M, N, C)."""
        tower, p = self.vision, self.vision.config.patch_size
        H, W = (s - s % p for s in check_batch(images).shape[2:])
        if not H * W:
            got = " × ".join(map(str, images.shape[2:]))
            raise ValueError(f"height and width must be at least {p} pixels, but {got} was given")
        x = tower.with_prefix(tower.embed(images[:, :, :H, :W]))
        for block in tower.blocks[: len(tower.blocks) + 1 + self.config.layer]:
            x = block(x)
        return x[:, tower.prefix_tokens :]

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """The tower's tokens (M, N, C) → vectors like those of words (M, N, D)."""
        return self.projector(features)

    def embed(
        self,
        images: torch.Tensor | None,
        tokens: torch.Tensor,
        is_pad: torch.Tensor | None = None,
        side: Side = "right",
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures (M, 3, H, W) in the order of their tokens, row by row, or None; tokens (B, L);
        is_pad bool (B, L) → vectors (B, S, D), and where in the text each is from: see `splice`.

        Raises ValueError if there are not as many pictures as tokens for them.
        """
        nothing = self.language.words.weight.new_empty(0, 1, self.config.language.dim)
        seen = nothing if images is None else self.project(self.see(images))
        M, N = seen.shape[:2]
        places = splice(tokens, is_pad, self.config.image_token, N, side)
        shows = gathered(tokens == self.config.image_token, places, False)
        if shows.sum() != M * N:
            wanted = int(shows.sum()) // N
            raise ValueError(f"the texts have {wanted} places for pictures, but {M} were given")
        # A picture's own id needs no vector, and may be outside the vocabulary.
        x = self.language.embed(gathered(tokens, places, 0).masked_fill(shows, 0))
        return x.masked_scatter(shows[..., None], seen.to(x.dtype)), places

    def forward(
        self, images: torch.Tensor | None, tokens: torch.Tensor, is_pad: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The arguments of `embed` → logits (B, S, V); those at a place are for the next one."""
        x, places = self.embed(images, tokens, is_pad)
        return self.language(embeddings=x, is_pad=places < 0)

    @torch.no_grad()
    def generate(
        self,
        images: torch.Tensor | None,
        tokens: torch.Tensor,
        is_pad: torch.Tensor | None = None,
        steps: int = 32,
        end: int | None = None,
        how: Sampling | Beams | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Pictures and prompts as in `embed` → new tokens (B, T), T ≤ steps: see CausalLM."""
        x, places = self.embed(images, tokens, is_pad, "left")
        return self.language.generate(None, x, places < 0, steps, end, how, generator)

    @torch.no_grad()
    def attention(
        self,
        images: torch.Tensor,
        tokens: torch.Tensor,
        answers: torch.Tensor,
        is_pad: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Prompts about one picture each, as in `embed`, and their answers (B, T) → where the
        language model looked in the picture for each word, (B, depth, heads, T, N).

        A word's row is that of the place before it, where it was chosen. What is missing to 1 went
        to the text. Raises ValueError for a prompt with more pictures than one, or none.
        """
        x, places = self.embed(images, tokens, is_pad, "left")
        (B, S), T = places.shape, answers.shape[1]
        shows = gathered(tokens == self.config.image_token, places, False)
        if not (shows.sum(dim=1) * B == shows.sum()).all() or len(images) != B:
            each = (tokens == self.config.image_token).sum(dim=1).tolist()
            raise ValueError(f"each prompt must show one picture, but they show {each}")
        at = shows.nonzero()[:, 1].view(B, 1, 1, 1, -1)
        x = torch.cat([x, self.language.embed(answers)], dim=1)
        is_pad = torch.cat([places < 0, torch.zeros_like(answers, dtype=torch.bool)], dim=1)
        rows = self.language.attention_maps(None, x, is_pad)[:, :, :, S - 1 : S + T - 1]
        return rows.gather(4, at.expand(*rows.shape[:4], -1))


def splice(
    tokens: torch.Tensor,
    is_pad: torch.Tensor | None,
    image_token: int,
    N: int,
    side: Side = "right",
) -> torch.Tensor:
    """Tokens (B, L), is_pad bool (B, L) → for each of S places, the one it comes from, (B, S).

    An image token takes N places, a pad none; the places left free, all on one side, hold −1.
    Raises ValueError for other shapes and types, and for another side.
    """
    if side not in ("right", "left"):
        raise ValueError(f"pads stand on the side right or left, not {side!r}")
    is_pad = torch.zeros_like(tokens, dtype=torch.bool) if is_pad is None else is_pad
    if tokens.ndim != 2 or is_pad.shape != tokens.shape or is_pad.dtype != torch.bool:
        got = f"{tuple(tokens.shape)} and {is_pad.dtype} {tuple(is_pad.shape)} were given"
        raise ValueError(f"tokens (B, L) and is_pad, bool (B, L), are expected, but {got}")
    times = torch.where(tokens == image_token, N, 1).masked_fill(is_pad, 0)
    lengths, (B, L) = times.sum(dim=1, keepdim=True), tokens.shape
    S = int(lengths.max())
    place = torch.arange(S, device=tokens.device)
    taken = place < lengths if side == "right" else place >= S - lengths
    source = torch.arange(L, device=tokens.device).repeat(B).repeat_interleave(times.flatten())
    return torch.full((B, S), -1, device=tokens.device).masked_scatter(taken, source)


def gathered(values: torch.Tensor, places: torch.Tensor, fill: int | bool) -> torch.Tensor:
    """Values (B, L) of a text, places (B, S) of `splice` → (B, S); `fill` where nothing stands."""
    return values.gather(1, places.clamp(min=0)).masked_fill(places < 0, fill)


def align(model: LLaVA) -> LLaVA:
    """Stage 1: the projector learns alone."""
    model.requires_grad_(False).projector.requires_grad_(True)
    return model


def tune(model: LLaVA) -> LLaVA:
    """Stage 2: projector and language model learn; the tower does not."""
    model.requires_grad_(True).vision.requires_grad_(False)
    return model


def train_step(
    model: LLaVA, batch: tuple[torch.Tensor | None, ...], progress: float
) -> dict[str, torch.Tensor]:
    """Pictures, tokens, is_pad as in `embed`, counts bool (B, L) → the loss of words that count,
    and the share of them that is the likeliest. course_lib.data.chat makes the last three.
    """
    images, tokens, is_pad, counts = batch
    if counts.shape != tokens.shape:
        shapes = f"{tuple(counts.shape)} for tokens of {tuple(tokens.shape)} was given"
        raise ValueError(f"counts must have the tokens' shape, but {shapes}")
    x, places = model.embed(images, tokens, is_pad)
    logits = model.language(embeddings=x, is_pad=places < 0)
    tokens, counts = gathered(tokens, places, 0), gathered(counts, places, False)
    right = (logits[:, :-1].argmax(dim=-1) == tokens[:, 1:])[counts[:, 1:]]
    loss = over_all_words(next_token_loss(logits, tokens, counts), counts[:, 1:])
    return {"loss": loss, "right": right.float().mean()}


def from_reference(state_dict: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> LLaVA:
    """Weights of transformers' LlavaForConditionalGeneration and its config.json → LLaVA.

    The tower is CLIP's or SigLIP's, the language model a LLaMA or a Qwen2. Raises ValueError for
    options that have no like here, and for names or shapes that do not fit.
    """
    read = llava_names.read(state_dict, config)
    model = LLaVA(Config(read.vision, read.language, read.image_token, read.layer))
    return load_reference(model, read.state, llava_names.TABLE, llava_names.IGNORED)
