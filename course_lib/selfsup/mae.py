"""Masked autoencoder: hide three quarters of a picture's patches, and let the rest tell them.

He, Chen, Xie, Li, Dollár, Girshick: Masked Autoencoders Are Scalable Vision Learners, CVPR 2022.
Idea: pictures repeat themselves, so hiding little only teaches to interpolate; hiding most of it
asks what is there. The encoder sees the visible quarter alone, which makes it four times cheaper;
a small decoder gets a mask token for each hidden patch and paints its pixels.

Lesson     notebooks/09_mae.ipynb
Reference  transformers ViTMAEForPreTraining: latent, prediction, loss, gradients
Recipe     table 8, on ImageNet: AdamW (0.9, 0.95), batch 4,096, rate 1.5e-4 · batch / 256, weight
           decay 0.05, 40 epochs of warm-up, then cosine; 800 to 1,600 epochs; views: MAE of
           course_lib.data.recipes; 75 % hidden, pixels normalised patch by patch.
Differs
  * `forward` gives the mean of the patch tokens of a whole picture, as the authors' fine-tuning;
    their linear probe reads the class token.
  * Visible tokens stay in the order of the picture; the reference shuffles them. Attention cannot
    tell, since positions are added before.
  * Masks are bool, True for hidden; the reference's are 1.0 for hidden, and drawn from noise.
  * Positions for another picture size: see course_lib.blocks.positions.resize.
  * Initial weights are those of course_lib.backbones.vit, in both halves. Norms have the authors'
    eps of 1e-6; `from_reference` takes the reference's, 1e-12.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from course_lib.backbones import vit
from course_lib.backbones.vit_names import stack, transformers_options
from course_lib.blocks.convert import load_reference
from course_lib.blocks.masking import Kind, draw_hidden
from course_lib.blocks.patches import patchify, unpatchify
from course_lib.blocks.positions import resize, sincos_2d
from course_lib.blocks.transformer import Block


@dataclass(frozen=True)
class Config:
    encoder: vit.Config
    decoder_dim: int = 512
    decoder_depth: int = 8  # blocks
    decoder_heads: int = 16
    ratio: float = 0.75  # share of the patches that is hidden
    kind: Kind = "random"
    normalise: bool = True  # each patch's pixels to mean 0 and deviation 1 before comparing


TINY = Config(
    replace(vit.TINY, dim=96, positions="fixed"), decoder_dim=64, decoder_depth=1, decoder_heads=4
)
B16 = Config(replace(vit.B16, positions="fixed"))
L16 = Config(replace(vit.L16, positions="fixed"))


class MAE(nn.Module):
    """Encoder of the visible patches, decoder of the hidden ones. N patches, M of them visible."""

    def __init__(self, config: Config = TINY) -> None:
        super().__init__()
        if not config.encoder.class_token or config.encoder.registers:
            raise ValueError("MAE's encoder has a class token and no registers")
        c, size = config, config.encoder.patch_size
        self.config, self.dim = config, config.encoder.dim
        self.encoder = vit.ViT(config.encoder)
        self.decoder_embed = nn.Linear(self.dim, c.decoder_dim)
        self.mask_token = nn.Parameter(torch.empty(c.decoder_dim))
        self.register_buffer("decoder_positions", sincos_2d(self.encoder.grid, c.decoder_dim))
        self.decoder_blocks = nn.ModuleList(
            Block(
                c.decoder_dim, c.decoder_heads, 4.0, c.encoder.qkv_bias, norm_eps=c.encoder.norm_eps
            )
            for _ in range(c.decoder_depth)
        )
        self.decoder_norm = nn.LayerNorm(c.decoder_dim, eps=c.encoder.norm_eps)
        self.predict = nn.Linear(c.decoder_dim, 3 * size * size)
        nn.init.normal_(self.mask_token, std=0.02)
        for layer in (self.decoder_embed, self.predict, *self.decoder_blocks.modules()):
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def grid_of(self, images: torch.Tensor) -> tuple[int, int]:
        """Images (B, 3, H, W) → rows and columns of patches."""
        size = self.config.encoder.patch_size
        return images.shape[2] // size, images.shape[3] // size

    def encode(self, images: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W), hidden bool (B, N) → latent (B, 1 + M, D): class token, visible.

        Raises ValueError if `hidden` is of another shape, or hides more in one row than in another.
        """
        tokens = self.encoder.embed(images)
        where = _visible(hidden, tokens.shape[:2])
        return self.encoder.encode(tokens.gather(1, where[..., None].expand(-1, -1, self.dim)))

    def decode(
        self, latent: torch.Tensor, hidden: torch.Tensor, grid: tuple[int, int] | None = None
    ) -> torch.Tensor:
        """Latent (B, 1 + M, D), hidden (B, N), the grid of N patches → prediction (B, N, 3·p²).

        Pixels of all patches in `patchify`'s order, normalised if the config says so. Without a
        grid it is the encoder's own. Raises ValueError if it does not have N places.
        """
        B, N = hidden.shape
        grid, own = grid or self.encoder.grid, self.encoder.grid
        if grid[0] * grid[1] != N:
            raise ValueError(f"a grid of {N} patches is expected, but {grid} was given")
        x = self.decoder_embed(latent)
        where = _visible(hidden, (B, N))[..., None].expand(-1, -1, x.shape[-1])
        patches = self.mask_token.to(x.dtype).expand(B, N, -1).scatter(1, where, x[:, 1:])
        patches = patches + resize(self.decoder_positions, own, grid)
        x = torch.cat([x[:, :1], patches], dim=1)
        for block in self.decoder_blocks:
            x = block(x)
        return self.predict(self.decoder_norm(x)[:, 1:])

    def loss(self, images: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W), hidden (B, N) → a scalar: the paper's objective."""
        prediction = self.decode(self.encode(images, hidden), hidden, self.grid_of(images))
        return masked_error(prediction, self.target(images), hidden)

    def target(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → what has to be predicted, (B, N, 3·p²)."""
        pixels = patchify(images, self.config.encoder.patch_size)
        return normalised(pixels) if self.config.normalise else pixels

    @torch.no_grad()
    def reconstruct(self, images: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W), hidden (B, N) → the same with hidden patches painted, in 0 to 1.

        A normalised prediction gets mean and deviation of the true patch back, which it never knew:
        then only the pattern inside a patch is the network's.
        """
        size, grid = self.config.encoder.patch_size, self.grid_of(images)
        pixels = patchify(images, size)
        painted = self.decode(self.encode(images, hidden), hidden, grid)
        if self.config.normalise:
            mean, deviation = _statistics(pixels)
            painted = painted * deviation + mean
        return unpatchify(torch.where(hidden[..., None], painted, pixels), grid).clamp(0, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W), nothing hidden → features (B, D): the mean of the patch tokens."""
        return self.encoder.tokens(images)[:, 1:].mean(dim=1)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Patches (B, N, P) → each with mean 0 and (unbiased) deviation 1, all colours together: §3."""
    mean, deviation = _statistics(pixels)
    return (pixels - mean) / deviation


def masked_error(
    prediction: torch.Tensor, target: torch.Tensor, hidden: torch.Tensor
) -> torch.Tensor:
    """Prediction and target (B, N, P), hidden bool (B, N) → mean squared error on hidden ones.

    Raises ValueError for shapes that do not fit, or if nothing is hidden.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target must have one shape, but they have {tuple(prediction.shape)} "
            f"and {tuple(target.shape)}"
        )
    if hidden.dtype != torch.bool or hidden.shape != target.shape[:2]:
        raise ValueError(
            f"hidden must be bool of shape {tuple(target.shape[:2])}, "
            f"but {hidden.dtype} of shape {tuple(hidden.shape)} was given"
        )
    if not hidden.any():
        raise ValueError("at least one patch must be hidden, but all are visible")
    error = (prediction - target).square().mean(dim=-1)
    return (error * hidden).sum() / hidden.sum()


def train_step(model: MAE, batch: torch.Tensor, progress: float) -> dict[str, torch.Tensor]:
    """Images (B, 3, H, W) → the loss under masks drawn from torch's random numbers."""
    c = model.config
    hidden = draw_hidden(c.kind, len(batch), model.grid_of(batch), c.ratio, device=batch.device)
    return {"loss": model.loss(batch, hidden)}


def _statistics(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    variance, mean = torch.var_mean(pixels, dim=-1, keepdim=True)
    return mean, (variance + 1e-6).sqrt()


def _visible(hidden: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Hidden bool (B, N) → the visible patches' numbers (B, M), ascending."""
    if hidden.dtype != torch.bool or hidden.shape != tuple(shape):
        raise ValueError(
            f"hidden must be bool of shape {tuple(shape)}, "
            f"but {hidden.dtype} of shape {tuple(hidden.shape)} was given"
        )
    visible = (~hidden).sum(dim=1)
    if not (visible == visible[:1]).all():
        raise ValueError(
            "every picture of a batch must hide equally many patches, but "
            f"{int(visible.min())} to {int(visible.max())} are visible"
        )
    return (~hidden).nonzero()[:, 1].view(len(hidden), -1)


def from_reference(state_dict: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> MAE:
    """Weights of transformers' ViTMAEForPreTraining, `config` its config.json as a dict → MAE.

    Raises ValueError for options that have no like here, and for names or shapes that do not fit.
    """
    if missing := {"decoder_hidden_size", "mask_ratio", "norm_pix_loss"} - config.keys():
        raise ValueError(f"the config.json of a ViTMAE also has {', '.join(sorted(missing))}")
    ours, decoder = transformers_options(config), config["decoder_hidden_size"]
    if config["decoder_intermediate_size"] != 4 * decoder:
        raise ValueError("the decoder's MLP is four times as wide as its tokens here")
    c = Config(
        replace(ours, positions="fixed"), decoder, config["decoder_num_hidden_layers"],
        config["decoder_num_attention_heads"], config["mask_ratio"],
        normalise=config["norm_pix_loss"],
    )  # fmt: skip
    state = dict(state_dict)
    # Tables with a first row, of zeros, for the class token; batches of one.
    for name in ("vit.embeddings.position_embeddings", "decoder.decoder_pos_embed"):
        if name in state:
            if state[name][0, 0].any():
                raise ValueError(f"the class token has no position here, but one in {name}")
            state[name] = state[name][0, 1:]
    for name in ("vit.embeddings.cls_token", "decoder.mask_token"):
        if name in state:
            state[name] = state[name][0, 0] if "mask" in name else state[name][0]
    names = {
        "vit.embeddings.cls_token": "encoder.prefix",
        "vit.embeddings.position_embeddings": "encoder.positions",
        "vit.embeddings.patch_embeddings.projection.*": "encoder.patches.projection.*",
        **stack("vit.layers.*", "encoder.blocks.*"),
        **stack("vit.encoder.layer.*", "encoder.blocks.*"),
        "vit.layernorm.*": "encoder.norm.*",
        "decoder.mask_token": "mask_token",
        "decoder.decoder_pos_embed": "decoder_positions",
        "decoder.decoder_embed.*": "decoder_embed.*",
        **stack("decoder.decoder_layers.*", "decoder_blocks.*"),
        "decoder.decoder_norm.*": "decoder_norm.*",
        "decoder.decoder_pred.*": "predict.*",
    }
    return load_reference(MAE(c), state, names)
