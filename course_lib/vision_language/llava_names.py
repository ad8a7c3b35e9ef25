"""What transformers calls the options and the weights of a LLaVA.

Its files have had four forms: the tower with or without `vision_model`, the language model below
`model` or beside its output layer. All become one before the table is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from course_lib.backbones import causal_lm, causal_lm_names, clip_names, vit
from course_lib.backbones.vit_names import folded

CLIP_L14_336 = vit.Config(
    336, 14, dim=1024, depth=24, heads=16, norm_eps=1e-5, activation="quick_gelu", pre_norm=True,
    patch_bias=False,
)  # fmt: skip
SIGLIP_SO400M = vit.Config(  # for pictures of 384 pixels
    378, 14, dim=1152, depth=27, heads=16, mlp_ratio=4304 / 1152, class_token=False,
    activation="gelu_tanh",
)  # fmt: skip

PREFIXES = {
    "model.vision_tower.vision_model.": "vision_tower.",
    "model.vision_tower.": "vision_tower.",
    "vision_tower.vision_model.": "vision_tower.",
    "model.multi_modal_projector.": "multi_modal_projector.",
    "model.language_model.": "model.",
    "language_model.model.": "model.",
    "language_model.lm_head.": "lm_head.",
}
TABLE = {
    "prefix": "vision.prefix",
    "vision_tower.embeddings.patch_embedding.*": "vision.patches.projection.*",
    "vision_tower.embeddings.position_embedding.weight": "vision.positions",
    "vision_tower.pre_layrnorm.*": "vision.pre_norm.*",  # their spelling
    "vision_tower.post_layernorm.*": "vision.norm.*",
    **{
        f"vision_tower.encoder.layers.*.{theirs}": f"vision.blocks.*.{ours}"
        for theirs, ours in clip_names.BLOCK.items()
    },
    "multi_modal_projector.linear_1.*": "projector.0.*",
    "multi_modal_projector.linear_2.*": "projector.2.*",
    **{theirs: f"language.{ours}" for theirs, ours in causal_lm_names.TABLE.items()},
}
# SigLIP's own pooling, numbers of places, and frequencies that follow from the options.
IGNORED = (
    "vision_tower.head.probe",
    "vision_tower.head.layernorm.*",
    "vision_tower.head.attention.*",
    "vision_tower.head.attention.out_proj.*",
    "vision_tower.head.mlp.*.*",
    "vision_tower.embeddings.position_ids",
    *causal_lm_names.IGNORED,
)
# A config.json may leave out what has transformers' default; these are SigLIP's.
SIGLIP_DEFAULTS = {
    "image_size": 224, "patch_size": 16, "hidden_size": 768, "intermediate_size": 3072,
    "num_hidden_layers": 12, "num_attention_heads": 12, "layer_norm_eps": 1e-6,
    "hidden_act": "gelu_pytorch_tanh", "num_channels": 3, "attention_dropout": 0.0,
}  # fmt: skip
# Which of the tower's tokens are shown: "default" leaves out the first, CLIP's class token.
SELECTED = {"clip_vision_model": "default", "siglip_vision_model": "full"}


@dataclass(frozen=True)
class Read:
    """A reference's LLaVA in our words: its options, and its weights by the names in TABLE."""

    vision: vit.Config
    language: causal_lm.Config
    image_token: int
    layer: int  # −1: the last
    state: dict[str, torch.Tensor]


def read(state_dict: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Read:
    """Weights of transformers' LlavaForConditionalGeneration and its config.json → Read.

    Raises ValueError for an option that has no like here.
    """
    missing = {"vision_config", "text_config"} - {n for n in config if config[n]}
    if missing or config.get("model_type", "llava") != "llava":
        kind = config.get("model_type")
        raise ValueError(
            "a config.json of model_type 'llava' with vision_config and text_config is expected, "
            f"but its model_type is {kind!r} and it has {sorted(config)}"
        )
    vision, said = _tower(config), dict(config["text_config"])
    if config.get("tie_word_embeddings"):
        said["tie_word_embeddings"] = True
    language = causal_lm.Config(**causal_lm_names.options(said))
    state = {canonical(name): tensor for name, tensor in state_dict.items()}
    if len(state) < len(state_dict):
        raise ValueError(f"{len(state_dict) - len(state)} weights are there twice, by two names")
    if language.tied and "lm_head.weight" in state:
        output, words = state.pop("lm_head.weight"), state.get("model.embed_tokens.weight")
        if words is not None and not torch.equal(output, words):
            raise ValueError("the config.json ties lm_head to embed_tokens, but the two differ")
    state = causal_lm_names.packed(state, language.depth)
    token = config.get("image_token_index", config.get("image_token_id", 32_000))
    return Read(vision, language, token, _layer(config, vision.depth), _prefixed(state, vision))


def canonical(name: str) -> str:
    """A weight's name in any of the four forms → the form of TABLE."""
    for theirs, ours in PREFIXES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _tower(config: Mapping[str, Any]) -> vit.Config:
    kind = config["vision_config"].get("model_type", "clip_vision_model")
    if kind not in SELECTED:
        known = ", ".join(SELECTED)
        raise ValueError(f"the vision tower must be one of {known}, but it is {kind!r}")
    for name, value in {
        "vision_feature_select_strategy": SELECTED[kind],
        "projector_hidden_act": "gelu",
        "multimodal_projector_bias": True,
    }.items():
        default = "default" if name.startswith("vision") else value
        if config.get(name, default) != value:
            _refuse(f"{kind} and {name}", config.get(name, default))
    if kind == "clip_vision_model":
        return clip_names.transformers_vision({"vision_config": config["vision_config"]})
    said = {**SIGLIP_DEFAULTS, **config["vision_config"]}
    for name in ("hidden_act", "num_channels", "attention_dropout"):
        if said[name] != SIGLIP_DEFAULTS[name]:
            _refuse(name, said[name])
    size, patch, dim = said["image_size"], said["patch_size"], said["hidden_size"]
    return vit.Config(
        size - size % patch, patch, dim, said["num_hidden_layers"], said["num_attention_heads"],
        said["intermediate_size"] / dim, class_token=False, norm_eps=said["layer_norm_eps"],
        activation="gelu_tanh",
    )  # fmt: skip


def _layer(config: Mapping[str, Any], depth: int) -> int:
    """Theirs counts from what goes into the first block, 0, to what leaves the last, `depth`."""
    layer = config.get("vision_feature_layer", -2)
    if not isinstance(layer, int) or not (1 <= layer <= depth or -depth <= layer <= -1):
        _refuse("vision_feature_layer", layer)
    return layer if layer < 0 else layer - depth - 1


def _prefixed(state: dict[str, torch.Tensor], vision: vit.Config) -> dict[str, torch.Tensor]:
    """CLIP's class token, with its position added, becomes the prefix; SigLIP's prefix is empty."""
    names = [
        f"vision_tower.embeddings.{n}" for n in ("class_embedding", "position_embedding.weight")
    ]
    for name, leading in zip(names, (2, 1), strict=True):  # `folded` takes batches of one
        if name in state:
            state[name] = state[name][(None,) * leading]
    tokens = (names[0],) if vision.class_token else ()
    return folded(state, tokens, names[1], int(vision.class_token))


def _refuse(name: str, value: object) -> None:
    raise ValueError(f"the LLaVA of the course has nothing like {name}={value!r}")
