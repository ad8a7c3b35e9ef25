"""What transformers calls the options and the weights of BERT, and of the text half of BLIP.

Published files of BERT still have older names: a norm's weight and bias are its gamma and beta.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

# Inside one block.
BLOCK = {
    "attention.self.query": "attention.query",
    "attention.self.key": "attention.key",
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "norm1",
    "crossattention.self.query": "cross.query",
    "crossattention.self.key": "cross.key",
    "crossattention.self.value": "cross.value",
    "crossattention.output.dense": "cross.out",
    "crossattention.output.LayerNorm": "norm_cross",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "output.LayerNorm": "norm2",
}
ENCODER = {
    "embeddings.word_embeddings.weight": "words.weight",
    "embeddings.position_embeddings.weight": "positions.weight",
    "embeddings.token_type_embeddings.weight": "segments.weight",
    "embeddings.LayerNorm.*": "norm.*",
    **{f"encoder.layer.*.{theirs}.*": f"blocks.*.{ours}.*" for theirs, ours in BLOCK.items()},
}
HEAD = {
    "cls.predictions.transform.dense.*": "dense.*",
    "cls.predictions.transform.LayerNorm.*": "norm.*",
    "cls.predictions.bias": "bias",
}
# Copies of other tensors, which a file may hold or leave out.
TIED = {
    "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
# No home here: the numbers of the places, and what BERT's second task was told by.
UNUSED = ["embeddings.position_ids", "pooler.dense.*", "cls.seq_relationship.*"]
NOT_ENCODER = [*HEAD, *TIED, *UNUSED]
NOT_HEAD = [*ENCODER, *TIED, *UNUSED]

# What a config.json must say, and what it may not say otherwise. Dropout leaves no weights, and is
# never in force when a published model is used: it may say anything of that.
NEEDED = {
    "vocab_size": "vocabulary",
    "max_position_embeddings": "length",
    "hidden_size": "dim",
    "num_hidden_layers": "depth",
    "num_attention_heads": "heads",
    "intermediate_size": "mlp_width",
    "layer_norm_eps": "norm_eps",
}
ALWAYS = {
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "tie_word_embeddings": True,
    "pruned_heads": {},
}


def options(config: Mapping[str, Any]) -> dict[str, Any]:
    """transformers' config.json of a BERT or of a BLIP's text as a dict → the fields of Config.

    Cross-attention is there if BERT says `add_cross_attention`, and in BLIP if it says
    `is_decoder`. Raises ValueError for an option that is missing, or that has no like here.
    """
    kind = config.get("model_type")
    if kind not in ("bert", "blip_text_model"):
        raise ValueError(f"the model_type must be bert or blip_text_model, but it is {kind!r}")
    more = ["type_vocab_size"] if kind == "bert" else ["is_decoder", "encoder_hidden_size"]
    if missing := [name for name in (*NEEDED, *more) if name not in config]:
        raise ValueError(f"the config.json of a {kind} also has {', '.join(missing)}")
    for name, value in ALWAYS.items():
        if config.get(name, value) != value:
            raise ValueError(
                f"the text encoder of the course has nothing like {name}={config[name]!r}"
            )
    found = {ours: config[theirs] for theirs, ours in NEEDED.items()}
    if kind == "bert":
        width = config["hidden_size"] if config.get("add_cross_attention") else None
        return {**found, "segments": config["type_vocab_size"], "cross_width": width}
    width = config["encoder_hidden_size"] if config["is_decoder"] else None
    return {**found, "segments": 0, "cross_width": width}


def plain(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The names without the "bert." of models with a head, and norms as they are called today."""
    today = {".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"}
    state = {}
    for name, tensor in state_dict.items():
        for old, new in today.items():
            name = name.replace(old, new)
        state[name.removeprefix("bert.")] = tensor
    return state
