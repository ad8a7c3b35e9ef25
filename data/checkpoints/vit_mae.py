"""Train the vision transformer of lesson 06 without labels, as the masked autoencoder of lesson 09.

    python data/checkpoints/vit_mae.py        (make checkpoints)

Pictures of one object, three quarters of the patches hidden, plain pixels predicted (so that the
reconstruction can be looked at and its error compared). Writes vit_mae.safetensors and its card
beside this file. A run that was stopped goes on where it was.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from course_lib.backbones import vit
from course_lib.blocks.device import device
from course_lib.blocks.images import to_tensor
from course_lib.blocks.masking import draw_hidden
from course_lib.blocks.patches import patchify
from course_lib.evaluate.factors import ONE, known_factors, one_object
from course_lib.selfsup import mae
from course_lib.train.fit import fit
from course_lib.train.minibatches import Batches, minibatches
from course_lib.train.ship import ship
from course_lib.world.cache import cached

HERE = Path(__file__).parent
CONFIG = mae.Config(
    vit.Config(image_size=64, patch_size=8, dim=96, depth=4, heads=4, positions="fixed"),
    decoder_dim=96, decoder_depth=1, decoder_heads=4, normalise=False,
)  # fmt: skip
SCENES, STEPS, BATCH, RATE, SEED = 24_000, 6_000, 128, 2e-3, 0
ASKED = 500  # test scenes whose hidden patches are painted


def batches() -> Batches:
    """BATCH pictures, half of them mirrored."""
    draw = minibatches(one_object(SCENES), batch_size=BATCH, seed=SEED)

    def batch(step: int, generator: torch.Generator) -> torch.Tensor:
        images = draw(step, generator).permute(0, 3, 1, 2).float() / 255
        mirrored = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
        return torch.where(mirrored, images.flip(3), images)

    return batch


def made() -> mae.MAE:
    """The network, as it is before training."""
    torch.manual_seed(SEED)
    return mae.MAE(CONFIG)


@torch.no_grad()
def hidden_error(model: mae.MAE) -> dict[str, dict[str, float]]:
    """Squared error on hidden patches of test scenes, in parts of what the mean colour makes.

    The mean colour is that of the picture's visible patches. A patch is an object's if at least
    half of it shows one.
    """
    asked = cached(ASKED, split="test", recipe=ONE, want=("rgb", "instance"))
    images, size = to_tensor(np.array(asked.rgb)), CONFIG.encoder.patch_size
    grid = model.encoder.grid
    hidden = draw_hidden("random", ASKED, grid, 0.75, torch.Generator().manual_seed(0))
    on_object = torch.from_numpy(np.array(asked.instance) >= 0).float()[:, None]
    on_object = patchify(on_object, size).mean(dim=2) >= 0.5
    true = patchify(images, size).unflatten(2, (-1, 3))  # (B, N, p², 3)
    where = next(model.parameters()).device
    painted = patchify(model.reconstruct(images.to(where), hidden.to(where)).cpu(), size)
    error = (painted.unflatten(2, (-1, 3)) - true).square().mean(dim=(2, 3))
    visible = (~hidden)[..., None, None]
    mean = (true * visible).sum(dim=(1, 2)) / (visible.sum(dim=(1, 2)) * size**2)
    plain = (mean[:, None, None] - true).square().mean(dim=(2, 3))
    parts = {"error": hidden, "error on objects": hidden & on_object}
    return {
        name: {"value": round(float(error[part].mean() / plain[part].mean()), 3), "chance": 1.0}
        for name, part in parts.items()
    }


def measured(model: mae.MAE) -> dict[str, dict[str, float]]:
    """Linear probe and neighbours beside chance, errors beside the mean colour's."""
    return known_factors(model) | hidden_error(model)


def main() -> None:
    """Train, measure, write the weights and their card."""
    model = made().to(device())
    random = measured(model.eval())
    history = fit(
        model, batches(), STEPS, train_step=mae.train_step, lr=RATE, warmup=200, seed=SEED,
        optimizer=partial(torch.optim.AdamW, betas=(0.9, 0.95), fused=True),
        checkpoint=HERE / "vit_mae.run.safetensors", every=250,
    )  # fmt: skip
    ship(
        model,
        __file__,
        history,
        seed=SEED,
        batch_size=BATCH,
        data=f"world, split train, scenes 0 to {SCENES - 1} with one object, 64 × 64, mirrored",
        metrics=measured(model.eval()),
        random=random,
    )


if __name__ == "__main__":
    main()
