"""What transformers calls the options and the weights of a LLaMA and a Qwen2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

TABLE = {
    "model.embed_tokens.weight": "words.weight",
    "model.layers.*.input_layernorm.weight": "blocks.*.norm1.weight",
    "model.layers.*.self_attn.qkv.*": "blocks.*.attention.qkv.*",
    "model.layers.*.self_attn.o_proj.weight": "blocks.*.attention.out.weight",
    "model.layers.*.post_attention_layernorm.weight": "blocks.*.norm2.weight",
    "model.layers.*.mlp.gate_up.weight": "blocks.*.mlp.gate_up.weight",
    "model.layers.*.mlp.down_proj.weight": "blocks.*.mlp.down.weight",
    "model.norm.weight": "norm.weight",
    "lm_head.weight": "output.weight",
}
# Layers that are one packed layer here.
PACKED = {
    "self_attn.qkv.weight": [f"self_attn.{name}_proj.weight" for name in "qkv"],
    "self_attn.qkv.bias": [f"self_attn.{name}_proj.bias" for name in "qkv"],
    "mlp.gate_up.weight": ["mlp.gate_proj.weight", "mlp.up_proj.weight"],
}
# Frequencies that older files hold, though they follow from the options.
IGNORED = ("model.layers.*.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq")

OPTIONS = {
    "vocab_size": "vocabulary",
    "hidden_size": "dim",
    "num_hidden_layers": "depth",
    "num_attention_heads": "heads",
    "num_key_value_heads": "key_heads",
    "intermediate_size": "mlp_dim",
    "rms_norm_eps": "norm_eps",
    "tie_word_embeddings": "tied",
    "head_dim": "head_dim",
}
# A config.json may leave out what has transformers' default; these are the defaults.
DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": {
        "vocabulary": 32_000, "dim": 4096, "depth": 32, "heads": 32, "mlp_dim": 11_008,
        "norm_eps": 1e-6, "tied": False, "qkv_bias": False,
    },
    "qwen2": {
        "vocabulary": 151_936, "dim": 4096, "depth": 32, "heads": 32, "key_heads": 32,
        "mlp_dim": 22_016, "norm_eps": 1e-6, "tied": False, "qkv_bias": True,
    },
}  # fmt: skip
# What a config.json may not say otherwise.
ALWAYS = {
    "hidden_act": "silu",
    "attention_bias": False,  # of LLaMA: the output of the attention would have one, too
    "mlp_bias": False,
    "attention_dropout": 0.0,
    "use_sliding_window": False,
    "partial_rotary_factor": 1.0,
}


def options(config: Mapping[str, Any]) -> dict[str, Any]:
    """transformers' config.json of a LLaMA or a Qwen2 as a dict → the fields of our Config.

    Raises ValueError for another model, and for an option that has no like here.
    """
    kind = config.get("model_type")
    if kind not in DEFAULTS:
        raise ValueError(f"the model_type must be one of {', '.join(DEFAULTS)}, but it is {kind!r}")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    said = {**config, **rope}
    for name, value in ALWAYS.items():
        if said.get(name, value) not in (value, None):
            raise ValueError(f"the {kind} of the course has nothing like {name}={said[name]!r}")
    windows = sorted(set(config.get("layer_types") or ()) - {"full_attention"})
    if windows:
        raise ValueError(f"every layer must have full attention here, but some have {windows}")
    scaling = rope.get("rope_type", rope.get("type", "default"))
    if scaling != "default" or any(isinstance(value, Mapping) for value in rope.values()):
        raise ValueError(f"rotary positions are neither scaled nor unlike here, but rope is {rope}")
    given = {ours: config[name] for name, ours in OPTIONS.items() if config.get(name) is not None}
    found = {**DEFAULTS[kind], "rope_base": said.get("rope_theta") or 10_000.0, **given}
    return {"key_heads": found["heads"], **found}


def packed(state_dict: Mapping[str, torch.Tensor], depth: int) -> dict[str, torch.Tensor]:
    """The weights of `depth` blocks with query, key and value joined, and with gate and up joined.

    Parts of an incomplete set stay apart, for `load_reference` to name them.
    """
    state = dict(state_dict)
    for block in range(depth):
        for whole, parts in PACKED.items():
            names = [f"model.layers.{block}.{part}" for part in parts]
            if all(name in state for name in names):
                joined = torch.cat([state.pop(name) for name in names])
                state[f"model.layers.{block}.{whole}"] = joined
    return state
