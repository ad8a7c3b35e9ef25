"""What an encoder knows of a single object in the world: its shape, colour, material and size.

The protocol of every learned representation of the course: the same scenes, the same probes, from
lesson to lesson. Whatever is measured stands beside chance and shuffled labels here, and beside the
same encoder with random weights wherever it is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from course_lib.evaluate.extract import extract
from course_lib.evaluate.scores import measure
from course_lib.world.cache import cached
from course_lib.world.scene import COLOURS, MATERIALS, SHAPES, SIZES, Recipe, Split, sample

FACTORS = {"shape": SHAPES, "colour": COLOURS, "material": MATERIALS, "size": SIZES}
ONE = Recipe(objects=(1, 1))
FIT_ON, ASK_ON = 2000, 1000  # scenes of "train" and "test"


def one_object(n: int, split: Split = "train") -> np.ndarray:
    """Pictures of scenes 0 … n − 1 with one object → uint8 (n, 64, 64, 3), kept on disk."""
    return np.array(cached(n, split=split, recipe=ONE).rgb)  # a copy that may be written to


def labels_of(n: int, split: Split = "train") -> np.ndarray:
    """The four factors of the object in the same scenes → int64 (n, 4), columns as in FACTORS."""
    scenes = sample(range(n), split=split, recipe=ONE)
    return np.stack([getattr(scenes, factor)[:, 0] for factor in FACTORS], axis=1)


def known_factors(
    encode: Callable[[torch.Tensor], torch.Tensor],
) -> dict[str, dict[str, float]]:
    """An encoder (see `extract`) → what a linear probe and 20 neighbours read from its features.

    {"shape probe": {"value": …, "chance": …, "shuffled": …}, "shape knn": {"value", "chance"}, …},
    rounded to three digits, as the cards of checkpoints hold it.
    """
    fit_on, ask_on = (
        extract(encode, one_object(n, split)) for n, split in ((FIT_ON, "train"), (ASK_ON, "test"))
    )
    known, asked = labels_of(FIT_ON, "train"), labels_of(ASK_ON, "test")
    found = {}
    for i, factor in enumerate(FACTORS):
        score = measure(fit_on, known[:, i], ask_on, asked[:, i])
        chance, shuffled = round(score.chance, 3), round(score.shuffled, 3)
        probe = {"value": round(score.probe, 3), "chance": chance, "shuffled": shuffled}
        found[f"{factor} probe"] = probe
        found[f"{factor} knn"] = {"value": round(score.knn, 3), "chance": chance}
    return found


def share_of_gap(
    found: Mapping[str, float], random: Mapping[str, float], labelled: Mapping[str, float]
) -> float:
    """Of the way from random weights to training with labels, how much was gone? A mean of factors.

    Each is a mapping from names to values, of which those of `labelled` count; 0: no better than
    random weights, 1: as good as with labels. Raises ValueError where labels gained nothing.
    """
    if closed := [name for name in labelled if labelled[name] <= random[name]]:
        raise ValueError(f"with labels {', '.join(closed)} is no better than at random: no gap")
    shares = [(found[n] - random[n]) / (labelled[n] - random[n]) for n in labelled]
    return float(np.mean(shares))
