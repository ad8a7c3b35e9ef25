"""The published weights that the course can load: where they are, what they are, what they score.

Scores are what their authors report, and where; the course has not measured them.

A fact that is not known to us is None, or said not to be known; none is guessed. Revisions, sizes
and digests are those that other projects pin and check for the same repositories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Preprocessing:
    """How a picture in 0 to 1 becomes the network's input: resized, cropped, then normalised."""

    resize: int  # pixels: the shorter side, if a square is cropped; else both sides
    crop: int | None  # pixels: the side of the square in the middle; None: nothing is cut off
    normalise: tuple[tuple[float, ...], tuple[float, ...]]  # mean and deviation of R, G, B
    source: str
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"


@dataclass(frozen=True)
class Weights:
    """One repository of the Hugging Face hub."""

    repository: str
    revision: str | None  # full commit hash; None: not known to us, `branch` is fetched
    licence: str
    size: int  # bytes of the weights: published, if `exact`, else parameters · bytes of each
    exact: bool
    preprocessing: Preprocessing
    score: str | None  # what its authors measured, and where they say so; None: not known to us
    sha256: Mapping[str, str] = field(default_factory=dict)  # of the files for which it is known
    branch: str = "main"
    config: Mapping[str, Any] | None = None  # for `from_reference`; None: the file config.json

    @property
    def megabytes(self) -> str:
        return f"{'' if self.exact else 'about '}{self.size / 1e6:,.0f} MB"


WEIGHTS = {
    # facebook/dino-vits16 has no safetensors in its main branch; timm's copy has.
    "dino_vits16": Weights(
        "timm/vit_small_patch16_224.dino",
        "10e440b8a34dfd657a90f2fcaa988c6b6a2f0da4",
        "Apache-2.0",
        size=4 * 21_665_664,
        exact=False,
        preprocessing=Preprocessing(256, 224, IMAGENET, "the authors' eval_knn.py"),
        score="74.5 % of ImageNet by k-NN, 77.0 % by a linear probe: Caron et al. 2021, table 2",
        config={
            "img_size": 224, "patch_size": 16, "embed_dim": 384, "depth": 12, "num_heads": 6,
        },
    ),
    # Converted from the run that the authors published for pictures, with pixels not normalised.
    "mae_vitb16": Weights(
        "facebook/vit-mae-base",
        "25b184bea5538bf5c4c852c79d221195fdd2778d",
        "Apache-2.0; the authors' own files are CC BY-NC 4.0",
        size=447_670_680,
        exact=True,
        preprocessing=Preprocessing(256, 224, IMAGENET, "the authors' util/datasets.py"),
        score="not known to us for this run; of that with normalised pixels, 68.0 % of ImageNet by "
        "a linear probe and 83.6 % after fine-tuning: the authors' FINETUNE.md",
        sha256={
            "model.safetensors": "479dcef4bd5df06259399027b789f21e9d9a1b79f37155a64176d55bc26fdae8"
        },
    ),
    # Its main branch has no safetensors; this commit is of a proposed conversion.
    "clip_vitb32": Weights(
        "openai/clip-vit-base-patch32",
        "c237dc49a33fc61debc9276459120b7eac67e7ef",
        "none named by the repository; the authors' code is MIT",
        size=605_157_884,
        exact=True,
        preprocessing=Preprocessing(224, 224, CLIP, "preprocessor_config.json, by its SHA-256"),
        score="63.2 % of ImageNet without an example: Radford et al. 2021, table 11",
        sha256={
            "model.safetensors": "99d28a652e6ec46629ab7047a0ac82c69b1fe11e0ce672c43af65d3a9a3fc05d"
        },
    ),
    # Its main branch has no safetensors; a proposed conversion has, whose commit we do not know.
    "blip_captioning_base": Weights(
        "Salesforce/blip-image-captioning-base",
        None,
        "BSD-3-Clause",
        size=4 * 247_444_600,
        exact=False,
        preprocessing=Preprocessing(384, None, CLIP, "transformers' conversion of BLIP"),
        score="CIDEr 133.3 on COCO: Li et al. 2022, table 7; transformers' conversion names the "
        "file from before the training on COCO, whose score is not known to us",
        branch="refs/pr/50",
    ),
    # LLaVA's plain form: a tower (SigLIP, 384 pixels), an MLP, a language model of Qwen2's build.
    "llava_0.5b": Weights(
        "llava-hf/llava-interleave-qwen-0.5b-hf",
        "1090956dd1c79bc93ae98dcf395590369435ec91",
        "Tongyi Qianwen Research: for research only",
        size=2 * 864_031_264,
        exact=False,
        preprocessing=Preprocessing(384, None, HALF, "preprocessor_config.json, by its SHA-256"),
        score=None,
        sha256={
            "model.safetensors": "ec7b02696781afdb1f27871fdffe0f71ef030932d10fbd759bc59392669605f7"
        },
    ),
    "llava_1.5_7b": Weights(
        "llava-hf/llava-1.5-7b-hf",
        "b234b804b114d9e37bb655e11cbbb5f5e971b7a9",
        "Llama 2 Community",
        size=2 * 7_063_427_072,
        exact=False,
        preprocessing=Preprocessing(336, 336, CLIP, "that of its tower, CLIP ViT-L/14 at 336"),
        score="78.5 % of VQAv2, 62.0 % of GQA: Liu et al. 2024 (LLaVA-1.5), table 3",
        sha256={
            "model-00001-of-00003.safetensors": (
                "c11dbf016ee7d35ee130c19b67e20eb04873996006f424b7bcbd453b6517ee66"
            ),
            "model-00002-of-00003.safetensors": (
                "46df6c6e5fad297fe7fbca4963dcf180cb1d0528cabc884d1f603311fed01328"
            ),
            "model-00003-of-00003.safetensors": (
                "4f06177c37ca13944e73b57dd6d051767b950dffc12400c700dfa2509c24c697"
            ),
        },
    ),
}  # fmt: skip
