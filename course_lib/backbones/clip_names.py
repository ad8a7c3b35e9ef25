"""What transformers and open_clip call the options and the weights of CLIP's two towers.

Both towers of the course are called as in course_lib.vision_language.clip: `vision`, `text`, two
projections and `log_scale`. OpenAI's own files have open_clip's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from course_lib.backbones import modified_resnet, vit
from course_lib.backbones.vit_names import folded

# A config.json leaves out what has transformers' default; these are the defaults.
VISION_DEFAULTS = {
    "image_size": 224, "patch_size": 32, "hidden_size": 768, "intermediate_size": 3072,
    "num_hidden_layers": 12, "num_attention_heads": 12, "num_channels": 3,
    "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "attention_dropout": 0.0,
}  # fmt: skip
TEXT_DEFAULTS = {
    "vocab_size": 49408, "max_position_embeddings": 77, "hidden_size": 512,
    "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8,
    "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "attention_dropout": 0.0,
    "eos_token_id": 49407,
}  # fmt: skip
# open_clip's options: their defaults, those that must have this value, those that do not matter.
OPEN_VISION = {
    "image_size": 224, "layers": 12, "width": 768, "head_width": 64, "mlp_ratio": 4.0,
    "patch_size": 16, "ls_init_value": None,
}  # fmt: skip
OPEN_TEXT = {
    "context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12,
    "mlp_ratio": 4.0, "pool_type": "argmax", "eos_id": 2,
}  # fmt: skip
OPEN_FIXED = {"pool_type": "tok", "pos_embed_type": "learnable", "proj_type": "linear"}
FREE = {
    "attn_pooler_heads", "attn_pooler_queries", "hf_tokenizer_name", "output_tokens", "pad_id",
    "timm_pool", "timm_proj", "tokenizer_kwargs", "tokenizer_mode",
}  # fmt: skip
OPEN_WHOLE = {
    "embed_dim",
    "vision_cfg",
    "text_cfg",
    "quick_gelu",
    "init_logit_scale",
    "custom_text",
}
LEGACY_END = 2  # transformers before July 2023 wrote this for every CLIP


def _stack(theirs: str, ours: str, names: Mapping[str, str]) -> dict[str, str]:
    return {f"{theirs}.{name}": f"{ours}.{here}" for name, here in names.items()}


BLOCK = {
    "layer_norm*.*": "norm*.*",
    "self_attn.q_proj.*": "attention.query.*",
    "self_attn.k_proj.*": "attention.key.*",
    "self_attn.v_proj.*": "attention.value.*",
    "self_attn.out_proj.*": "attention.out.*",
    "mlp.fc*.*": "mlp.fc*.*",
}
TRANSFORMERS = {
    "prefix": "vision.prefix",
    "vision_model.embeddings.patch_embedding.weight": "vision.patches.projection.weight",
    "vision_model.embeddings.position_embedding.weight": "vision.positions",
    "vision_model.pre_layrnorm.*": "vision.pre_norm.*",  # their spelling
    **_stack("vision_model.encoder.layers.*", "vision.blocks.*", BLOCK),
    "vision_model.post_layernorm.*": "vision.norm.*",
    "visual_projection.weight": "image_projection.weight",
    "text_model.embeddings.token_embedding.weight": "text.embedding.weight",
    "text_model.embeddings.position_embedding.weight": "text.positions",
    **_stack("text_model.encoder.layers.*", "text.blocks.*", BLOCK),
    "text_model.final_layer_norm.*": "text.norm.*",
    "text_projection.weight": "text_projection.weight",
    "logit_scale": "log_scale",
}
TRANSFORMERS_IGNORED = (
    "text_model.embeddings.position_ids",
    "vision_model.embeddings.position_ids",
)
OPEN_BLOCK = {
    "ln_*.*": "norm*.*",
    "attn.out_proj.*": "attention.out.*",
    "mlp.c_fc.*": "mlp.fc1.*",
    "mlp.c_proj.*": "mlp.fc2.*",
}


def _open_stack(theirs: str, ours: str) -> dict[str, str | tuple[str, ...]]:
    packed = tuple(f"{ours}.attention.{name}.*" for name in ("query", "key", "value"))
    return {**_stack(theirs, ours, OPEN_BLOCK), f"{theirs}.attn.in_proj_*": packed}


OPEN_CLIP = {
    "prefix": "vision.prefix",
    "visual.conv1.weight": "vision.patches.projection.weight",
    "visual.positional_embedding": "vision.positions",
    "visual.ln_pre.*": "vision.pre_norm.*",
    **_open_stack("visual.transformer.resblocks.*", "vision.blocks.*"),
    "visual.ln_post.*": "vision.norm.*",
    "visual.proj": "image_projection.weight",
}
OPEN_RESNET = {f"visual.{name}": f"vision.{here}" for name, here in modified_resnet.NAMES.items()}
OPEN_TEXT_NAMES = {
    "token_embedding.weight": "text.embedding.weight",
    "positional_embedding": "text.positions",
    **_open_stack("transformer.resblocks.*", "text.blocks.*"),
    "ln_final.*": "text.norm.*",
    "text_projection": "text_projection.weight",
    "logit_scale": "log_scale",
}
# OpenAI's files hold these three numbers among the weights; other old ones hold the causal mask.
OPEN_IGNORED = ("input_resolution", "context_length", "vocab_size", "attn_mask")


def _refuse(name: str, value: object) -> None:
    raise ValueError(f"the CLIP of the course has nothing like {name}={value!r}")


def _shared(options: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """What both towers of transformers' config.json say in the same words."""
    for name, value in fixed.items():
        if options[name] != value:
            _refuse(name, options[name])
    if options["hidden_act"] not in ("gelu", "quick_gelu"):
        _refuse("hidden_act", options["hidden_act"])
    return {
        "dim": options["hidden_size"],
        "depth": options["num_hidden_layers"],
        "heads": options["num_attention_heads"],
        "mlp_ratio": options["intermediate_size"] / options["hidden_size"],
        "activation": options["hidden_act"],
        "norm_eps": options["layer_norm_eps"],
    }


def _merged(config: Mapping[str, Any], tower: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Old files state a tower twice; transformers reads the second one where both speak."""
    first, second = config.get(f"{tower}_config"), config.get(f"{tower}_config_dict")
    return {**defaults, **(first or {}), **(second or {})}


def transformers_vision(config: Mapping[str, Any]) -> vit.Config:
    """The config.json of transformers' CLIP as a dict → its image tower."""
    options = _merged(config, "vision", VISION_DEFAULTS)
    shared = _shared(options, {"num_channels": 3, "attention_dropout": 0.0})
    size, patch = options["image_size"], options["patch_size"]
    return vit.Config(size, patch, pre_norm=True, patch_bias=False, **shared)


def transformers_text(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same → the options of its text tower, named as in clip.TextConfig."""
    options = _merged(config, "text", TEXT_DEFAULTS)
    shared = _shared(options, {"attention_dropout": 0.0})
    vocabulary, end = options["vocab_size"], options["eos_token_id"]
    if not isinstance(end, int):
        _refuse("eos_token_id", end)
    end = vocabulary - 1 if end == LEGACY_END else end
    length = options["max_position_embeddings"]
    return {"vocabulary": vocabulary, "length": length, "end": end, **shared}


def transformers_state(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """transformers' weights, with the class token's position folded into it."""
    names = ("class_embedding", "position_embedding.weight")
    return _with_prefix(state_dict, *(f"vision_model.embeddings.{name}" for name in names))


def _checked(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """One tower of open_clip's configuration. What is off is no difference."""
    for name, value in options.items():
        if value and name not in defaults.keys() | FREE and value != OPEN_FIXED.get(name):
            _refuse(name, value)
    return {**defaults, **options}


def open_vision(config: Mapping[str, Any]) -> vit.Config | modified_resnet.Config:
    """open_clip's configuration as a dict → its image tower."""
    options = _checked(config["vision_cfg"], OPEN_VISION)
    size, width, layers = options["image_size"], options["width"], options["layers"]
    if not isinstance(layers, int):
        heads = 32 * width // options["head_width"]
        return modified_resnet.Config(size, tuple(layers), width, heads, config["embed_dim"])
    return vit.Config(
        size, options["patch_size"], width, layers, width // options["head_width"],
        int(width * options["mlp_ratio"]) / width, layer_scale=options["ls_init_value"],
        norm_eps=1e-5, activation=_activation(config), pre_norm=True, patch_bias=False,
    )  # fmt: skip


def open_text(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same → the options of its text tower, named as in clip.TextConfig."""
    options = _checked(config["text_cfg"], OPEN_TEXT)
    vocabulary, width = options["vocab_size"], options["width"]
    if options["pool_type"] not in ("argmax", "eos"):
        _refuse("pool_type", options["pool_type"])
    return {
        "vocabulary": vocabulary,
        "length": options["context_length"],
        "dim": width,
        "depth": options["layers"],
        "heads": options["heads"],
        "mlp_ratio": int(width * options["mlp_ratio"]) / width,
        "end": options["eos_id"] if options["pool_type"] == "eos" else vocabulary - 1,
        "activation": _activation(config),
        "norm_eps": 1e-5,
    }


def _activation(config: Mapping[str, Any]) -> str:
    return "quick_gelu" if config.get("quick_gelu") else "gelu"


def open_state(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """open_clip's weights, of either of its two forms; projections as linear layers have them."""
    state = {name.removeprefix("text."): tensor for name, tensor in state_dict.items()}
    for name in ("visual.proj", "text_projection"):
        if name in state:
            state[name] = state[name].T
    return _with_prefix(state, "visual.class_embedding", "visual.positional_embedding")


def _with_prefix(
    state_dict: Mapping[str, torch.Tensor], token: str, table: str
) -> dict[str, torch.Tensor]:
    state = dict(state_dict)
    for name, leading in ((token, 2), (table, 1)):  # `folded` takes batches of one
        if name in state:
            state[name] = state[name][(None,) * leading]
    return folded(state, (token,), table, 1)


@dataclass(frozen=True)
class Read:
    """A reference's model in our words: its options, weights, and the table of their names."""

    vision: vit.Config | modified_resnet.Config
    text: dict[str, Any]  # the fields of clip.TextConfig
    dim: int  # of the common space
    state: dict[str, torch.Tensor]
    names: dict[str, str | tuple[str, ...]]
    ignored: tuple[str, ...]


def read(state_dict: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Read:
    """Weights and configuration of transformers' or open_clip's CLIP → Read.

    Raises ValueError for other configurations, and for options that have no like here.
    """
    config = config.get("model_cfg", config)  # open_clip_config.json
    if {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys():
        if other := {name for name in config if config[name]} - OPEN_WHOLE:
            _refuse(name := min(other), config[name])
        vision = open_vision(config)
        image_names = OPEN_CLIP if isinstance(vision, vit.Config) else OPEN_RESNET
        names, state = image_names | OPEN_TEXT_NAMES, open_state(state_dict)
        return Read(vision, open_text(config), config["embed_dim"], state, names, OPEN_IGNORED)
    if {"vision_config", "text_config"} <= config.keys():
        vision, text = transformers_vision(config), transformers_text(config)
        state, dim = transformers_state(state_dict), config.get("projection_dim", 512)
        return Read(vision, text, dim, state, TRANSFORMERS, TRANSFORMERS_IGNORED)
    raise ValueError(
        "the options of transformers' CLIP (vision_config, text_config) or open_clip's "
        f"(embed_dim, vision_cfg, text_cfg) are needed, but these are {sorted(config)}"
    )
