"""What three libraries call the options and the weights of a vision transformer.

timm and torchvision pack query, key and value into one tensor; transformers has them apart, and
had other names before its version 5, which its published files keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from course_lib.backbones.vit import Config

# What timm and torchvision call the fields of Config, where they call them otherwise …
OPTIONS = {
    "img_size": "image_size",
    "embed_dim": "dim",
    "hidden_dim": "dim",
    "num_layers": "depth",
    "num_heads": "heads",
    "reg_tokens": "registers",
    "init_values": "layer_scale",
    "drop_path_rate": "drop_path",
}
# … their further options: those that do not touch the features, those that must have this value …
FREE = {"num_classes", "dynamic_img_size"}
FIXED = {"in_chans": 3, "pos_embed": "learn", "proj_bias": True, "final_norm": True}
# … and the weights.
QKV = tuple(f"blocks.*.attention.{name}.*" for name in ("query", "key", "value"))
TIMM = {
    "prefix": "prefix",
    "pos_embed": "positions",
    "patch_embed.proj.*": "patches.projection.*",
    "blocks.*.norm*.*": "blocks.*.norm*.*",
    "blocks.*.attn.qkv.*": QKV,
    "blocks.*.attn.proj.*": "blocks.*.attention.out.*",
    "blocks.*.ls*.gamma": "blocks.*.scale*.gamma",
    "blocks.*.mlp.fc*.*": "blocks.*.mlp.fc*.*",
    "norm.*": "norm.*",
}
TORCHVISION = {
    "prefix": "prefix",
    "encoder.pos_embedding": "positions",
    "conv_proj.*": "patches.projection.*",
    "encoder.layers.encoder_layer_*.ln_*.*": "blocks.*.norm*.*",
    "encoder.layers.encoder_layer_*.self_attention.in_proj_*": QKV,
    "encoder.layers.encoder_layer_*.self_attention.out_proj.*": "blocks.*.attention.out.*",
    "encoder.layers.encoder_layer_*.mlp.0.*": "blocks.*.mlp.fc1.*",
    "encoder.layers.encoder_layer_*.mlp.3.*": "blocks.*.mlp.fc2.*",
    "encoder.ln.*": "norm.*",
}
# Inside one block of transformers' ViT and ViTMAE, before version 5 and since.
BLOCK = {
    "attention.attention.query": "attention.query",
    "attention.attention.key": "attention.key",
    "attention.attention.value": "attention.value",
    "attention.output.dense": "attention.out",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "attention.q_proj": "attention.query",
    "attention.k_proj": "attention.key",
    "attention.v_proj": "attention.value",
    "attention.o_proj": "attention.out",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
}


def stack(theirs: str, ours: str) -> dict[str, str]:
    """The table for a stack of transformers' blocks: stack("layers.*", "blocks.*")."""
    return {f"{theirs}.{name}.*": f"{ours}.{here}.*" for name, here in BLOCK.items()}


TRANSFORMERS = {
    "prefix": "prefix",
    "embeddings.position_embeddings": "positions",
    "embeddings.patch_embeddings.projection.*": "patches.projection.*",
    **stack("layers.*", "blocks.*"),
    **stack("encoder.layer.*", "blocks.*"),
    "layernorm.*": "norm.*",
}


# What a config.json must say, and what it may not say otherwise.
NEEDED = (
    "image_size", "patch_size", "hidden_size", "num_hidden_layers", "intermediate_size",
    "num_attention_heads", "layer_norm_eps",
)  # fmt: skip
ALWAYS = {
    "hidden_act": "gelu",
    "num_channels": 3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def transformers_options(config: Mapping[str, Any]) -> Config:
    """transformers' config.json of a ViT or ViTMAE as a dict → Config, with a class token.

    Raises ValueError for an option that is missing, or that has no like here.
    """
    from course_lib.backbones.vit import Config

    if missing := [name for name in NEEDED if name not in config]:
        raise ValueError(f"the config.json of transformers also has {', '.join(missing)}")
    for name, value in ALWAYS.items():
        if config.get(name, value) != value:
            raise ValueError(f"the ViT of the course has nothing like {name}={config[name]!r}")
    return Config(
        image_size=config["image_size"],
        patch_size=config["patch_size"],
        dim=config["hidden_size"],
        depth=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        mlp_ratio=config["intermediate_size"] / config["hidden_size"],
        qkv_bias=config.get("qkv_bias", True),
        norm_eps=config["layer_norm_eps"],
    )


def folded(
    state_dict: Mapping[str, torch.Tensor], tokens: tuple[str, ...], table: str, count: int
) -> dict[str, torch.Tensor]:
    """Tokens (1, ·, D) become one "prefix" (P, D), with the first `count` rows of the table added:
    their positions. The rest of the table (1, ·, D) stays under its name, as (N, D).
    """
    state = dict(state_dict)
    if table in state:  # if it is not, load_reference says so
        positions = state[table][0]
        found = [state.pop(name)[0] for name in tokens if name in state]
        prefix = torch.cat([positions[:0], *found])
        state["prefix"] = prefix + positions[:count] if len(prefix) == count else prefix
        state[table] = positions[count:]
    return state
