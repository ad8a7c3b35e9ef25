"""What transformers calls the options and the weights of BLIP, in its three published forms.

BlipForConditionalGeneration has a decoder, BlipForImageTextRetrieval an encoder, and
BlipForQuestionAnswering both; the parts here are called as in course_lib.vision_language.med and
blip_tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from course_lib.backbones import text_encoder, text_names, vit
from course_lib.backbones.vit_names import QKV, folded

# A config.json leaves out what has transformers' default; these are the defaults.
VISION_DEFAULTS = {
    "image_size": 384, "patch_size": 16, "hidden_size": 768, "intermediate_size": 3072,
    "num_hidden_layers": 12, "num_attention_heads": 12, "layer_norm_eps": 1e-5,
    "hidden_act": "gelu", "num_channels": 3,
}  # fmt: skip
TEXT_DEFAULTS = {
    "model_type": "blip_text_model", "vocab_size": 30524, "hidden_size": 768,
    "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 8,
    "max_position_embeddings": 512, "layer_norm_eps": 1e-12, "is_decoder": True,
    "bos_token_id": 30522, "sep_token_id": 102,
}  # fmt: skip
VISION_FIXED = {"hidden_act": "gelu", "num_channels": 3}

VISION = {
    "prefix": "vision.prefix",
    "vision_model.embeddings.patch_embedding.*": "vision.patches.projection.*",
    "vision_model.embeddings.position_embedding": "vision.positions",
    "vision_model.encoder.layers.*.layer_norm*.*": "vision.blocks.*.norm*.*",
    "vision_model.encoder.layers.*.self_attn.qkv.*": tuple(f"vision.{name}" for name in QKV),
    "vision_model.encoder.layers.*.self_attn.projection.*": "vision.blocks.*.attention.out.*",
    "vision_model.encoder.layers.*.mlp.fc*.*": "vision.blocks.*.mlp.fc*.*",
    "vision_model.post_layernorm.*": "vision.norm.*",
}
READER = {f"text_encoder.{n}": f"reader.{ours}" for n, ours in text_names.ENCODER.items()}
WRITER = {
    **{f"text_decoder.bert.{n}": f"writer.text.{ours}" for n, ours in text_names.ENCODER.items()},
    **{f"text_decoder.{n}": f"writer.head.{ours}" for n, ours in text_names.HEAD.items()},
}
HEADS = {
    "vision_proj.*": "image_projection.*",
    "text_proj.*": "text_projection.*",
    "itm_head.*": "match_head.*",
}
CAPTIONER, ANSWERER, MATCHER = VISION | WRITER, VISION | READER | WRITER, VISION | READER | HEADS
WORDS = "text_decoder.bert.embeddings.word_embeddings.weight"
TIED = {
    "text_decoder.cls.predictions.decoder.weight": WORDS,
    "text_decoder.cls.predictions.decoder.bias": "text_decoder.cls.predictions.bias",
}
IGNORED = (
    *TIED,
    "text_encoder.embeddings.position_ids",
    "text_decoder.bert.embeddings.position_ids",
)


def options(
    config: Mapping[str, Any],
) -> tuple[vit.Config, text_encoder.Config, dict[str, int], int]:
    """transformers' config.json as a dict → image encoder, text, the ids of med.Marks, width E.

    [ENC], which the file does not name, is the id behind [DEC], as in the authors' vocabulary.
    Raises ValueError for another model, and for options that have no like here.
    """
    if config.get("model_type") != "blip":
        raise ValueError(f"the model_type must be blip, but it is {config.get('model_type')!r}")
    vision = VISION_DEFAULTS | (config.get("vision_config") or {})
    text = TEXT_DEFAULTS | (config.get("text_config") or {})
    for name, value in VISION_FIXED.items():
        if vision[name] != value:
            raise ValueError(f"the BLIP of the course has nothing like {name}={vision[name]!r}")
    D, write = vision["hidden_size"], text["bos_token_id"]
    image = vit.Config(
        vision["image_size"], vision["patch_size"], D, vision["num_hidden_layers"],
        vision["num_attention_heads"], vision["intermediate_size"] / D,
        norm_eps=vision["layer_norm_eps"],
    )  # fmt: skip
    words = text_encoder.Config(**text_names.options(text | {"encoder_hidden_size": D}))
    marks = {"end": text["sep_token_id"], "match": write + 1, "write": write}
    return image, words, marks, config.get("image_text_hidden_size", 256)


def state(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """transformers' weights, with the class token's position folded into it.

    Raises ValueError for a head that is not tied to the words' embeddings.
    """
    for copy, original in TIED.items():
        if copy not in state_dict or original not in state_dict or state_dict[copy].is_meta:
            continue  # on the meta device nothing can be compared
        if not torch.equal(state_dict[copy], state_dict[original]):
            raise ValueError(f"the head is tied here, but {copy} differs from {original}")
    own = "vision_model.embeddings"
    return folded(state_dict, (f"{own}.class_embedding",), f"{own}.position_embedding", 1)
