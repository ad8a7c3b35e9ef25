"""Train the vision transformer of lesson 06 without labels, by SimCLR of lesson 07.

    python data/checkpoints/vit_simclr.py        (make checkpoints)

Each positive pair is two pictures of the same object on another table, in another light, from
another side (course_lib.world.again), each cropped and jittered a little. Writes
vit_simclr.safetensors and its card beside this file. A run that was stopped goes on where it was.
"""

from __future__ import annotations

from pathlib import Path

import torch

from course_lib.backbones import vit
from course_lib.blocks.device import device
from course_lib.data.recipes import View
from course_lib.data.views import augment
from course_lib.evaluate.factors import ONE, known_factors
from course_lib.selfsup import simclr
from course_lib.train.fit import fit
from course_lib.train.minibatches import Batches, minibatches
from course_lib.train.ship import ship
from course_lib.world.again import rendered_pairs

HERE = Path(__file__).parent
CONFIG = vit.Config(image_size=64, patch_size=8, dim=96, depth=4, heads=4, class_token=False)
SCENES, STEPS, BATCH, RATE, SEED = 24_000, 3000, 128, 2e-3, 0
VIEW = View(
    64, scale=(0.5, 1.0), jitter=0.8, brightness=0.3, contrast=0.3, saturation=0.2, hue=0.02
)


def batches() -> Batches:
    """Two views of each of BATCH scenes: one of each picture."""
    draw = minibatches(rendered_pairs(SCENES, ONE), batch_size=BATCH, seed=SEED)

    def batch(step: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        first, second = draw(step, generator).unbind(dim=1)
        return augment(first, VIEW, generator), augment(second, VIEW, generator)

    return batch


def made() -> simclr.SimCLR:
    """The network, as it is before training."""
    torch.manual_seed(SEED)
    return simclr.SimCLR(vit.ViT(CONFIG), simclr.TINY)


def measured(model: simclr.SimCLR) -> dict[str, dict[str, float]]:
    """Linear probe and neighbours, beside chance."""
    return known_factors(model)


def main() -> None:
    """Train, measure, write the weights and their card."""
    model = made().to(device())
    random = measured(model)
    history = fit(
        model, batches(), STEPS, train_step=simclr.train_step, lr=RATE, warmup=100, seed=SEED,
        checkpoint=HERE / "vit_simclr.run.safetensors", every=250,
    )  # fmt: skip
    ship(
        model,
        __file__,
        history,
        seed=SEED,
        batch_size=BATCH,
        data=f"world, split train, scenes 0 to {SCENES - 1} with one object, "
        "each on two tables, in two lights, from two sides, 64 × 64",
        metrics=measured(model),
        random=random,
    )


if __name__ == "__main__":
    main()
