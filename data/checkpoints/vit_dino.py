"""Train the vision transformer of lesson 06 without labels, by DINO of lesson 08.

    python data/checkpoints/vit_dino.py        (make checkpoints)

Every scene is rendered twice, with the same objects on another table, in another light, from
another side (course_lib.world.again); global and local crops come from both pictures. Half of the
scenes hold one object, half one to six. At first the crops hardly change colours, so that the
network soon leaves its start by them; then the paint becomes ever less reliable, and shape,
material and size have to be looked at. Writes the teacher, vit_dino.safetensors, and its card
beside this file. A run that was stopped goes on where it was.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from course_lib.backbones import vit
from course_lib.blocks.device import device
from course_lib.blocks.images import to_tensor
from course_lib.data.recipes import View
from course_lib.data.views import augment
from course_lib.evaluate.attention import controls, overlap
from course_lib.evaluate.factors import ONE, known_factors
from course_lib.selfsup import dino
from course_lib.train.fit import fit
from course_lib.train.minibatches import Batches, minibatches
from course_lib.train.ship import ship
from course_lib.world.again import rendered_pairs
from course_lib.world.cache import cached
from course_lib.world.scene import Recipe, Split

HERE = Path(__file__).parent
CONFIG = replace(
    dino.TINY,
    encoder=vit.Config(image_size=64, patch_size=8, dim=96, depth=4, heads=4),
    prototypes=256,
    ema=0.98,
    freeze=0.01,
)
MANY = Recipe()
CAMOUFLAGE = Recipe(colours=("grey",), tables=("checks", "marble", "linen"))  # contrast fails
SCENES, STEPS, BATCH, RATE, SEED = 12_000, 4000, 64, 1e-3, 0
LOOKED_AT = 128  # pixels: patches of 8 are then fine enough to follow an object
GLOBAL = View(
    48, scale=(0.6, 1.0), jitter=0.8, brightness=0.3, contrast=0.3, saturation=0.2, hue=0.02,
)  # fmt: skip
LOCAL = replace(GLOBAL, size=24, scale=(0.2, 0.5))
MILD, WILD = 400, 1600  # steps between which the colours of the crops become unreliable


def batches() -> Batches:
    """Of each of BATCH scenes a global and two local crops of either picture, globals first."""
    # Seen from any side a single object stays in sight; of several, one may hide another.
    both = np.concatenate([rendered_pairs(SCENES, ONE), rendered_pairs(SCENES, MANY, turn=0.6)])
    draw = minibatches(both, batch_size=BATCH, seed=SEED)

    def batch(step: int, generator: torch.Generator) -> list[torch.Tensor]:
        pictures = draw(step, generator).transpose(0, 1).flatten(0, 1)  # (2B, 3, 64, 64)
        wild = min(1, max(0, (step - MILD) / (WILD - MILD)))
        paint = {"hue": 0.02 + wild * (0.2 - 0.02), "grey": wild * 0.3}
        kinds = [replace(view, **paint) for view in (GLOBAL, LOCAL, LOCAL)]
        views = [augment(pictures, view, generator) for view in kinds]
        return [half for view in views for half in view.chunk(2)]

    return batch


def whole() -> dino.DINO:
    """Student and teacher before training, told what pictures look like on average."""
    torch.manual_seed(SEED)
    model = dino.DINO(CONFIG)
    for network in (model.student, model.teacher):
        network.encoder.patches.expect(mean=0.6, deviation=0.2)
    return model


def made() -> dino.Network:
    """The teacher, as it is before training."""
    return whole().teacher


@torch.no_grad()
def attention(network: dino.Network, images: np.ndarray) -> np.ndarray:
    """uint8 (N, S, S, 3) → where the class token looks, each head by itself, (N, all heads, h, w).

    Heads of the first layer come first. Each map is brought to the sum 1.
    """
    where, first = next(network.parameters()).device, network.encoder.prefix_tokens
    maps = network.encoder.attention_maps(to_tensor(images).to(where))[:, :, :, 0, first:]
    side = images.shape[1] // CONFIG.encoder.patch_size
    maps = maps.flatten(1, 2).unflatten(-1, (side, side)).float()
    return (maps / maps.sum(dim=(2, 3), keepdim=True)).cpu().numpy()


def scenes_with_masks(n: int, split: Split, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """→ pictures uint8 (n, 128, 128, 3), masks bool (n, 128, 128), True on objects."""
    found = cached(n, LOOKED_AT, ("rgb", "instance"), split, recipe=recipe)
    return np.array(found.rgb), np.array(found.instance) >= 0


def chosen_heads(network: dino.Network) -> list[int]:
    """The heads whose mean map has the best AUC on 100 validation scenes, added one by one."""
    images, masks = scenes_with_masks(100, "validation", MANY)
    maps, chosen, best = attention(network, images), [], 0.0
    while True:
        tried = [
            overlap(maps[:, [*chosen, i]].mean(axis=1), masks).auc for i in range(len(maps[0]))
        ]
        if max(tried) < best + 1e-3:
            return chosen
        best = max(tried)
        chosen.append(int(np.argmax(tried)))


def attended(network: dino.Network) -> dict[str, dict[str, float]]:
    """Where the class token looks on 200 test scenes of 128 × 128, beside maps that know nothing.

    Chance is the uniform map's; centre prior and colour contrast stand beside it.
    """
    heads, found = chosen_heads(network), {}
    for name, recipe in (("attention", MANY), ("camouflage", CAMOUFLAGE)):
        images, masks = scenes_with_masks(200, "test", recipe)
        mine = overlap(attention(network, images)[:, heads].mean(axis=1), masks)
        beside = controls(images, masks)
        for score in mine._fields:
            value = {what: round(getattr(o, score), 3) for what, o in beside.items()}
            found[f"{name} {score}"] = {
                "value": round(getattr(mine, score), 3), "chance": value.pop("uniform"), **value,
            }  # fmt: skip
    return found


def measured(network: dino.Network) -> dict[str, dict[str, float]]:
    """Linear probe and neighbours beside chance, attention beside its controls."""
    return known_factors(network.features) | attended(network)


def main() -> None:
    """Train, measure, write the weights and their card."""
    random = measured(made().to(device()).eval())
    model = whole().to(device())
    history = fit(
        model, batches(), STEPS, train_step=dino.train_step, after_step=dino.after_step, lr=RATE,
        weight_decay=0.04, warmup=100, clip=3.0, seed=SEED,
        checkpoint=HERE / "vit_dino.run.safetensors", every=250,
    )  # fmt: skip
    ship(
        model.teacher,
        __file__,
        history,
        seed=SEED,
        batch_size=BATCH,
        data=f"world, split train, scenes 0 to {SCENES - 1} with one object and as many with "
        "one to six, each on two tables, in two lights, from two sides, 64 × 64",
        metrics=measured(model.teacher.eval()),
        random=random,
    )


if __name__ == "__main__":
    main()
