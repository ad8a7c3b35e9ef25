"""CLIP: a picture and its caption shall meet in one space, so that words can name what is seen.

Radford et al.: Learning Transferable Visual Models From Natural Language Supervision, ICML 2021.
Idea: two towers, one for pictures and one for texts, end in vectors of one width; in a batch, each
picture has to find its own caption among all captions, and each caption its picture. Whatever can
be said is a label then: a classifier is made by writing down the names of its classes.

Lesson     notebooks/11_clip.ipynb
Reference  transformers CLIPModel, open_clip CLIP and ClipLoss: outputs, logits, loss, gradients
Recipe     §2.5 and appendix F, on 400 million pairs: AdamW, batch 32,768, 32 epochs, weight decay
           0.2, 2,000 steps of warm-up, then cosine; peak rate 5e-4 (B/32 and RN50), 4e-4 (L/14);
           τ = 0.07 at the start, learned, scale at most 100; views: random square crops.
Differs
  * `encode_image` and `encode_text` give features as the projections leave them; `similarities`,
    and with it the loss, makes their lengths 1. open_clip's loss expects that of its caller.
  * A text's feature is taken at the first token with the id `end` of the configuration; a text
    without one is refused. The authors and open_clip take the place of the largest id (argmax):
    the end token, as long as no id above it is in use. transformers looks for `eos_token_id`, but
    falls back to the largest id where a file says 2, as its files did for long; a 2 is read as the
    last id of the vocabulary here. Without an end token it silently takes the first place.
  * Padding is not hidden: behind the end nothing counts, for attention is causal. The attention
    mask that transformers also takes does not exist here.
  * The class token has no position of its own: see course_lib.backbones.vit.
  * Positions of the image tower are resized for other picture sizes; open_clip refuses them.
  * The scale is clamped where it is used and after each step, to 1 … 100 as in open_clip's
    training; the paper names 100 alone, transformers clamps nothing.
  * Initial weights of the image tower are those of its backbone; the rest is as the authors'.
  * Each process compares its own rows with everybody's, as open_clip with `local_loss` and
    `gather_with_grad`. Logits stay in float32 under autocast.
  * TINY is not the authors': its patches have a bias, its activation is the exact GELU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn, promote_types
from torch.nn.functional import cross_entropy, normalize

from course_lib.backbones import clip_names, modified_resnet, vit
from course_lib.blocks.convert import load_reference
from course_lib.blocks.gather import gather, rank
from course_lib.blocks.mlp import Activation
from course_lib.blocks.transformer import Block


@dataclass(frozen=True)
class TextConfig:
    vocabulary: int = 49408  # ids
    length: int = 77  # tokens a text may have at most
    dim: int = 512
    depth: int = 12  # blocks
    heads: int = 8
    end: int = 49407  # id of the token that ends a text
    mlp_ratio: float = 4.0
    activation: Activation = "quick_gelu"
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if not 0 <= self.end < self.vocabulary:
            raise ValueError(f"the end token must be below {self.vocabulary}, but is {self.end}")


@dataclass(frozen=True)
class Config:
    vision: vit.Config | modified_resnet.Config
    text: TextConfig
    dim: int = 512  # E, the width of the common space
    tau: float = 0.07  # temperature at the start; the scale of the logits is 1 / tau
    max_scale: float = 100.0

    def __post_init__(self) -> None:
        if not 1 / self.max_scale <= self.tau <= 1:
            raise ValueError(f"tau must be from 1 / {self.max_scale:g} to 1, but it is {self.tau}")
        if isinstance(self.vision, modified_resnet.Config) and self.vision.out != self.dim:
            raise ValueError(f"the pool's out must be the width {self.dim}, not {self.vision.out}")


_SHAPE = {"norm_eps": 1e-5, "activation": "quick_gelu", "pre_norm": True, "patch_bias": False}
TINY = Config(
    vit.Config(64, 8, dim=128, depth=4, heads=4, norm_eps=1e-5, pre_norm=True),
    TextConfig(512, 32, 128, depth=2, heads=4, end=511, activation="gelu"), dim=128,
)  # fmt: skip
B32 = Config(vit.Config(224, 32, **_SHAPE), TextConfig())
B16 = Config(vit.Config(224, 16, **_SHAPE), TextConfig())
_L14 = vit.Config(224, 14, dim=1024, depth=24, heads=16, **_SHAPE)
L14 = Config(_L14, TextConfig(dim=768, heads=12), 768)
RN50 = Config(modified_resnet.RN50, TextConfig(), 1024)


class TextTower(nn.Module):
    """A causal transformer; what it knows at the end token is the text: ids (B, L) → (B, D)."""

    def __init__(self, config: TextConfig = TINY.text) -> None:
        super().__init__()
        c, D = config, config.dim
        self.config, self.dim = c, D
        self.embedding = nn.Embedding(c.vocabulary, D)
        self.positions = nn.Parameter(torch.empty(c.length, D))
        self.blocks = nn.ModuleList(
            Block(D, c.heads, c.mlp_ratio, norm_eps=c.norm_eps, activation=c.activation)
            for _ in range(c.depth)
        )
        self.norm = nn.LayerNorm(D, eps=c.norm_eps)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.01)
        last = (2 * c.depth * D) ** -0.5  # what is added to the sum 2 · depth times
        for block in self.blocks:
            a, m = block.attention, block.mlp
            stds = {a.query: D**-0.5, a.key: D**-0.5, a.value: D**-0.5, a.out: last}
            for layer, std in (stds | {m.fc1: (2 * D) ** -0.5, m.fc2: last}).items():
                nn.init.normal_(layer.weight, std=std)
                nn.init.zeros_(layer.bias)

    def states(self, tokens: torch.Tensor) -> torch.Tensor:
        """Ids (B, L) → what is known at each place, normalised, (B, L, D).

        Raises TypeError for ids that are no integers, ValueError for texts that are too long.
        """
        if tokens.is_floating_point() or tokens.dtype == torch.bool:
            raise TypeError(f"texts are whole numbers, ids, but {tokens.dtype} was given")
        L, most = tokens.shape[-1] if tokens.ndim == 2 else 0, self.config.length
        if not 1 <= L <= most:
            got = f"but {tuple(tokens.shape)} was given"
            raise ValueError(f"texts must have shape (B, L) with L from 1 to {most}, {got}")
        x = self.embedding(tokens) + self.positions[:L]
        may_attend = torch.ones(L, L, dtype=torch.bool, device=x.device).tril()
        for block in self.blocks:
            x = block(x, may_attend)
        return self.norm(x)

    def ends(self, tokens: torch.Tensor) -> torch.Tensor:
        """Ids (B, L) → the place of each text's first end token (B,); ValueError without one."""
        is_end, end = tokens == self.config.end, self.config.end
        if not (has := is_end.any(dim=1)).all():
            bad = int(has.int().argmin())
            raise ValueError(f"every text must have the end token {end}, but text {bad} has none")
        return is_end.int().argmax(dim=1)  # the first of equals

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Ids (B, L) → features (B, D); also raises what `states` and `ends` raise."""
        states, ends = self.states(tokens), self.ends(tokens)
        return states[torch.arange(len(tokens), device=tokens.device), ends]


class CLIP(nn.Module):
    """Two towers, each with a projection into a common space of width E."""

    def __init__(self, config: Config = TINY) -> None:
        super().__init__()
        c, is_vit = config, isinstance(config.vision, vit.Config)
        self.config, self.dim = c, c.dim
        self.vision = (vit.ViT if is_vit else modified_resnet.ModifiedResNet)(c.vision)
        self.text = TextTower(c.text)
        # A ModifiedResNet's attention pool has its projection inside.
        self.image_projection = nn.Linear(c.vision.dim, c.dim, bias=False) if is_vit else None
        self.text_projection = nn.Linear(c.text.dim, c.dim, bias=False)
        for layer in filter(None, (self.image_projection, self.text_projection)):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / c.tau)))

    @property
    def scale(self) -> torch.Tensor:
        """What cosines are multiplied by, a scalar from 1 to `max_scale`: 1 / temperature."""
        # Only the value is clamped: torch's clamp passes no gradient at the border, and a scale
        # that had arrived there could never come back.
        clamped = self.log_scale.detach().clamp(0, math.log(self.config.max_scale))
        return (self.log_scale + (clamped - self.log_scale.detach())).exp()

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → features (B, E), of any length."""
        features = self.vision(images)
        return self.image_projection(features) if self.image_projection else features

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Ids of tokens (B, L) → features (B, E), of any length."""
        return self.text_projection(self.text(tokens))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → features (B, E) of length 1."""
        return normalize(self.encode_image(images), dim=1)


def similarities(
    image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor | float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of N pairs, (N, E) twice, of any length → cosines · scale, (N, N) twice.

    Each image (row) with all texts, and each text with all images; partners are on the diagonal.
    With R processes rows are this one's, (N, N·R), and partners begin at column rank · N. Raises
    ValueError for features that do not pair.
    """
    if image.shape != text.shape or image.ndim != 2 or not len(image):
        got = f"{tuple(image.shape)} and {tuple(text.shape)}"
        raise ValueError(f"features of pairs, (N, E) each, are expected, but {got} were given")
    kind = promote_types(image.dtype, torch.float32)
    image, text = normalize(image.to(kind), dim=1), normalize(text.to(kind), dim=1)
    with torch.autocast(image.device.type, enabled=False):  # the scale would enlarge its rounding
        return scale * image @ gather(text).T, scale * text @ gather(image).T


def clip_loss(image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor | float) -> torch.Tensor:
    """Features of N pairs, (N, E) twice, of any length → the loss, a scalar (figure 3).

    The mean of two cross-entropies: of naming each image's text among all texts, and each text's
    image among all images. The others come from all processes. Raises as `similarities`.
    """
    return _mean_loss(*similarities(image, text, scale))


def train_step(
    model: CLIP, batch: tuple[torch.Tensor, torch.Tensor], progress: float
) -> dict[str, torch.Tensor]:
    """Images (B, 3, H, W) and their texts (B, L) → loss, shares that find their partner, scale."""
    image, text, scale = model.encode_image(batch[0]), model.encode_text(batch[1]), model.scale
    logits = similarities(image, text, scale)
    found = [(rows.argmax(dim=1) == _partners(rows)).float().mean() for rows in logits]
    out = {"loss": _mean_loss(*logits), "image_found": found[0], "text_found": found[1]}
    return out | {"scale": scale.detach()}


@torch.no_grad()
def after_step(model: CLIP, progress: float) -> None:
    """Keep the scale from 1 to `max_scale`."""
    model.log_scale.clamp_(0, math.log(model.config.max_scale))


def _partners(logits: torch.Tensor) -> torch.Tensor:
    return rank() * len(logits) + torch.arange(len(logits), device=logits.device)


def _mean_loss(of_image: torch.Tensor, of_text: torch.Tensor) -> torch.Tensor:
    partners = _partners(of_image)
    return (cross_entropy(of_image, partners) + cross_entropy(of_text, partners)) / 2


def from_reference(state_dict: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> CLIP:
    """Weights of transformers' CLIPModel, of open_clip or of OpenAI → CLIP.

    `config` is the config.json of transformers, or what open_clip builds its model from: embed_dim,
    vision_cfg, text_cfg, quick_gelu (True for OpenAI's weights); its open_clip_config.json will do.
    Raises ValueError for options that have no like here, and for names or shapes that do not fit.
    """
    read = clip_names.read(state_dict, config)
    model = CLIP(Config(read.vision, TextConfig(**read.text), read.dim))
    return load_reference(model, read.state, read.names, read.ignored)
