"""Vision Transformer: cut the picture into patches and read them like the words of a sentence.

Dosovitskiy et al.: An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale,
ICLR 2021. Touvron et al.: Training data-efficient image transformers & distillation through
attention, ICML 2021 (DeiT: the size S/16). Darcet et al.: Vision Transformers Need Registers,
ICLR 2024.
Idea: each patch becomes one token by a linear map, and a plain transformer encoder lets every token
look at every other from the first layer on. Only the cut and the positions know of a picture.

Lesson     notebooks/06_vit.ipynb
Reference  timm and torchvision VisionTransformer, transformers ViTModel: outputs and gradients
Recipe     ViT, Table 3, on ImageNet: Adam (0.9, 0.999), batch 4,096, peak rate 3e-3, weight decay
           0.3, dropout 0.1, 10,000 steps of warm-up, then cosine; 300 epochs at 224 pixels.
Differs
  * No classifier and no dropout; what comes out is the normalised class token, as in timm.
  * Without a class token: the mean of the normalised patch tokens (timm normalises the mean).
  * The class token has no position of its own. Both are learned constants that are only ever added,
    so `from_reference` adds them once; trained here, they are one parameter.
  * Optional parts that came later: registers (behind the class token, without positions),
    LayerScale, stochastic depth (rates rising from 0 in the first block), fixed positions; and
    CLIP's: a norm in front of the blocks, patches without a bias, quick-GELU; SigLIP's GELU.
  * Positions for another picture size are resized bicubically with antialiasing, as in timm, at
    every call; the authors do it once, bilinearly, before fine-tuning.
  * Initial weights normal, σ = 0.02, biases 0, as in DeiT (the authors: Xavier uniform, class token
    0); patches σ = 1/√fan-in.
  * Query, key and value are separate layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import nn

from course_lib.backbones import vit_names
from course_lib.blocks.convert import load_reference
from course_lib.blocks.mlp import Activation
from course_lib.blocks.patches import PatchEmbed
from course_lib.blocks.positions import resize, sincos_2d
from course_lib.blocks.transformer import Block


@dataclass(frozen=True)
class Config:
    image_size: int = 224  # pixels, the side for which the positions are made; others resize them
    patch_size: int = 16  # pixels
    dim: int = 768  # D, the width of a token
    depth: int = 12  # blocks
    heads: int = 12
    mlp_ratio: float = 4.0  # hidden width of the MLP / D
    qkv_bias: bool = True
    class_token: bool = True  # False: the output is the mean of the patch tokens
    registers: int = 0  # tokens that belong to no patch and are thrown away at the end
    positions: Literal["learned", "fixed"] = "learned"  # fixed: 2-D sines and cosines
    layer_scale: float | None = None  # first value of the factors; None: no LayerScale
    drop_path: float = 0.0  # rate of stochastic depth in the last block
    norm_eps: float = 1e-6  # of every LayerNorm
    activation: Activation = "gelu"  # inside the MLPs
    pre_norm: bool = False  # one more LayerNorm in front of the first block
    patch_bias: bool = True  # False: the linear map of the patches adds nothing


TINY = Config(image_size=64, patch_size=8, dim=128, depth=4, heads=4)
S16 = Config(dim=384, heads=6)  # DeiT-S
B16 = Config()
L16 = Config(dim=1024, depth=24, heads=16)


class ViT(nn.Module):
    """Pictures → one vector each. N patch tokens and P = class token + registers run inside.

    Images are float32 (B, 3, H, W), scaled as the weights were trained: in 0 to 1 for our own,
    normalised for published ones. H and W may be any multiples of the patch size.
    """

    def __init__(self, config: Config = TINY) -> None:
        super().__init__()
        c, size = config, config.image_size
        if not isinstance(size, int) or size < c.patch_size or size % c.patch_size:
            raise ValueError(
                "the image size must be one number, a multiple of the patch size, "
                f"but {size} and {c.patch_size} pixels were given"
            )
        if c.positions not in ("learned", "fixed"):
            raise ValueError(f"positions are learned or fixed, not {c.positions!r}")
        self.config, self.dim = c, c.dim
        self.grid = (size // c.patch_size, size // c.patch_size)  # of the table of positions
        self.patches = PatchEmbed(c.patch_size, c.dim)
        if not c.patch_bias:
            self.patches.projection.bias = None
        # The class token, if there is one, comes first; then the registers.
        self.prefix_tokens = int(c.class_token) + c.registers  # P
        self.prefix = nn.Parameter(torch.zeros(self.prefix_tokens, c.dim))
        if c.positions == "learned":
            self.positions = nn.Parameter(torch.zeros(self.grid[0] * self.grid[1], c.dim))
        else:
            self.register_buffer("positions", sincos_2d(self.grid, c.dim))
        self.pre_norm = nn.LayerNorm(c.dim, eps=c.norm_eps) if c.pre_norm else nn.Identity()
        rates = [c.drop_path * i / max(c.depth - 1, 1) for i in range(c.depth)]
        self.blocks = nn.ModuleList(
            Block(
                c.dim, c.heads, c.mlp_ratio, c.qkv_bias, c.layer_scale, rate, c.norm_eps,
                c.activation,
            )
            for rate in rates
        )  # fmt: skip
        self.norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self._initialise()

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif name == "patches.projection.weight":
                nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
            elif parameter.ndim == 2:  # linear layers, prefix, positions; not norms and LayerScale
                nn.init.normal_(parameter, std=0.02)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → patch tokens with their positions (B, N, D), row by row.

        Raises TypeError for integer pictures, ValueError for sides that patches do not fill.
        """
        tokens, size = self.patches(images), self.config.patch_size
        grid = (images.shape[2] // size, images.shape[3] // size)
        return tokens + resize(self.positions, self.grid, grid)

    def with_prefix(self, tokens: torch.Tensor) -> torch.Tensor:
        """Patch tokens (B, N, D) → (B, P + N, D): class token and registers go in front.

        This is what the first block gets: behind `pre_norm`, if there is one.
        """
        if tokens.ndim != 3 or tokens.shape[-1] != self.dim:
            raise ValueError(
                f"tokens must have shape (B, N, {self.dim}), but {tuple(tokens.shape)} was given"
            )
        return self.pre_norm(torch.cat([self.prefix.expand(len(tokens), -1, -1), tokens], dim=1))

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """Any patch tokens (B, N, D), of `embed` or a part of them → final tokens (B, P + N, D)."""
        tokens = self.with_prefix(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def pool(self, tokens: torch.Tensor) -> torch.Tensor:
        """Final tokens (B, P + N, D) → (B, D): the class token, or the mean of the patches."""
        if self.config.class_token:
            return tokens[:, 0]
        return tokens[:, self.prefix_tokens :].mean(dim=1)

    def tokens(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → normalised final tokens (B, P + N, D), the prefix first."""
        return self.encode(self.embed(images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → features (B, D)."""
        return self.pool(self.tokens(images))

    def intermediates(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Images (B, 3, H, W) → the tokens (B, P + N, D) behind each block, not normalised."""
        tokens, found = self.with_prefix(self.embed(images)), []
        for block in self.blocks:
            tokens = block(tokens)
            found.append(tokens)
        return found

    def attention_maps(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → weights (B, depth, heads, T, T), T = P + N, of every block.

        Row: who looks; column: at whom; each row sums to 1.
        """
        tokens, maps = self.with_prefix(self.embed(images)), []
        for block in self.blocks:
            maps.append(block.attention_weights(tokens))
            tokens = block(tokens)
        return torch.stack(maps, dim=1)


def from_reference(state_dict: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> ViT:
    """Weights of a ViT of timm, torchvision or transformers → the same network here.

    `config` holds the keyword arguments that the reference was built with, or transformers'
    config.json; "embed_dim" marks timm, "hidden_dim" torchvision, "hidden_size" transformers.
    Raises ValueError for options that have no like here, and for names or shapes that do not fit.
    """
    options = dict(config)
    if "embed_dim" in options:
        pooling = options.pop("global_pool", "token"), options.pop("fc_norm", None)
        patches_only = options.pop("no_embed_class", False)
        ours = _read(options)
        same = {("token", None), ("token", False)} if ours.class_token else {("avg", False)}
        if pooling not in same:
            raise ValueError(
                "the output here is the class token or, without one, the mean of normalised tokens "
                f"('avg', fc_norm=False), but (global_pool, fc_norm) is {pooling}"
            )
        count = 0 if patches_only else ours.class_token + ours.registers
        state = vit_names.folded(state_dict, ("cls_token", "reg_token"), "pos_embed", count)
        return load_reference(ViT(ours), state, vit_names.TIMM, ignored=["head.*"])
    if "hidden_dim" in options:
        options["mlp_ratio"] = options.pop("mlp_dim") / options["hidden_dim"]
        ours = _read(options)
        state = vit_names.folded(state_dict, ("class_token",), "encoder.pos_embedding", 1)
        return load_reference(ViT(ours), state, vit_names.TORCHVISION, ignored=["heads.*.*"])
    if {"hidden_size", "num_hidden_layers"} <= options.keys():
        state = {name.removeprefix("vit."): tensor for name, tensor in state_dict.items()}
        table = "embeddings.position_embeddings"
        state = vit_names.folded(state, ("embeddings.cls_token",), table, 1)
        network = ViT(vit_names.transformers_options(options))
        ignored = ["pooler.dense.*", "classifier.*"]
        return load_reference(network, state, vit_names.TRANSFORMERS, ignored)
    raise ValueError(
        "the options of timm's (embed_dim), torchvision's (hidden_dim) or transformers' "
        "(hidden_size) ViT are needed, "
        f"but these are {sorted(options)}"
    )


def _read(options: Mapping[str, Any]) -> Config:
    """The reference's options as a Config. What is off is no difference; what is on may be one."""
    # CLIP's parts are no options of these libraries' ViT; course_lib.vision_language.clip reads it.
    known = {field.name for field in fields(Config)} - {"activation", "pre_norm", "patch_bias"}
    renamed = {vit_names.OPTIONS.get(name, name): value for name, value in options.items()}
    for name, value in renamed.items():
        if value and name not in known | vit_names.FREE and value != vit_names.FIXED.get(name):
            raise ValueError(f"the ViT of the course has nothing like {name}={value!r}")
    return Config(**{name: value for name, value in renamed.items() if name in known})
