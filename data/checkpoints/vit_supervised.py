"""Train the vision transformer of lesson 06 with labels: one object on a table, four factors.

    python data/checkpoints/vit_supervised.py        (make checkpoints)

Writes vit_supervised.safetensors and its card beside this file. A run that was stopped goes on
where it was. The card holds the metrics, beside chance and the same network with random weights.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from course_lib.backbones import vit
from course_lib.blocks.device import device
from course_lib.evaluate.factors import FACTORS, known_factors, labels_of, one_object
from course_lib.train.fit import fit
from course_lib.train.minibatches import minibatches
from course_lib.train.ship import ship

HERE = Path(__file__).parent
CONFIG = vit.Config(image_size=64, patch_size=8, dim=96, depth=4, heads=4, class_token=False)
SCENES, STEPS, BATCH, RATE, SEED = 24_000, 5000, 128, 2e-3, 0


class Named(nn.Module):
    """An encoder, and one linear layer that names all four factors."""

    def __init__(self, encoder: vit.ViT) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(encoder.dim, sum(map(len, FACTORS.values())))


def train_step(model: Named, batch: tuple, progress: float) -> dict[str, torch.Tensor]:
    """Four cross-entropies, added up; half of the pictures are mirrored."""
    images, labels = batch
    images = images.permute(0, 3, 1, 2).float() / 255
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    images = torch.where(mirrored, images.flip(3), images)
    logits = model.head(model.encoder(images)).float()
    parts = logits.split([len(words) for words in FACTORS.values()], dim=1)
    return {"loss": sum(cross_entropy(part, labels[:, i]) for i, part in enumerate(parts))}


def made() -> vit.ViT:
    """The encoder, as it is before training."""
    torch.manual_seed(SEED)
    return vit.ViT(CONFIG)


def measured(encoder: vit.ViT) -> dict[str, dict[str, float]]:
    """Linear probe and neighbours, beside chance."""
    return known_factors(encoder)


def main() -> None:
    """Train, measure, write the weights and their card."""
    model = Named(made()).to(device())
    random = measured(model.encoder)
    images = torch.from_numpy(one_object(SCENES))
    batches = minibatches(
        images, torch.from_numpy(labels_of(SCENES, "train")), batch_size=BATCH, seed=SEED
    )
    history = fit(
        model, batches, STEPS, train_step=train_step, lr=RATE, warmup=200, seed=SEED,
        checkpoint=HERE / "vit_supervised.run.safetensors", every=250,
    )  # fmt: skip
    ship(
        model.encoder,
        __file__,
        history,
        seed=SEED,
        batch_size=BATCH,
        data=f"world, split train, scenes 0 to {SCENES - 1} with one object, 64 × 64, mirrored",
        metrics=measured(model.encoder),
        random=random,
    )


if __name__ == "__main__":
    main()
