"""Train BLIP of lesson 12 on scenes of one to three objects and their captions: all three losses.

    python data/checkpoints/blip_scenes.py        (make checkpoints)

The image encoder begins with the convolutions of lesson 11's CLIP (clip_scenes), as the authors'
begins as one trained on ImageNet; two blocks of a transformer behind them begin anew. The
convolutions stand still at first, until what stands behind them has learned to use them. A caption
names every object with all that it is. Writes the tokens of the captions (blip_scenes.tokens.json),
the network without what only its training needs (blip_scenes.safetensors) and its card beside this
file. A run that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from course_lib.backbones import hybrid, modified_resnet, text_encoder, vit
from course_lib.blocks.device import device
from course_lib.blocks.ema import slow_copy
from course_lib.blocks.images import to_tensor
from course_lib.data.recipes import View
from course_lib.data.tokenizer import ByteBPE, padded
from course_lib.data.views import augment
from course_lib.evaluate.captioning import captioning
from course_lib.evaluate.factors import known_factors
from course_lib.train.checkpoints import load_weights
from course_lib.train.fit import fit
from course_lib.train.minibatches import Batches, minibatches
from course_lib.train.ship import ship
from course_lib.vision_language import blip
from course_lib.vision_language.blip_tasks import Captioner
from course_lib.vision_language.med import Marks
from course_lib.world.cache import cached
from course_lib.world.captions import captions
from course_lib.world.foils import DUO, Change, foils, noticed
from course_lib.world.scene import Recipe, Split, sample

HERE = Path(__file__).parent
TOKENS = HERE / "blip_scenes.tokens.json"
START, END, MATCH, WRITE = MARKS = ("<|start|>", "<|end|>", "<|match|>", "<|write|>")
LENGTH = 24  # tokens of a caption, start and end included
FEW = Recipe(objects=(1, 3))
TRUNK = modified_resnet.Config(image_size=64, blocks=(1, 1, 1), width=32, heads=4, out=128)
SCENES, STEPS, BATCH, RATE, SEED = 80_000, 4400, 64, 1e-3, 0
LOCKED = 0.6  # share of the training in which the convolutions stand still
VIEW = View(64, scale=(0.8, 1.0), flip=0.0, jitter=0.5, brightness=0.2, contrast=0.2)


def texts(n: int, recipe: Recipe = FEW, split: Split = "train") -> list[str]:
    """The captions of scenes 0 … n − 1."""
    scenes = sample(range(n), split=split, recipe=recipe)
    return [caption.text for caption in captions(scenes, range(n))]


def tokenizer() -> ByteBPE:
    """The words of captions, learned from 3,000 of them; kept beside this file."""
    if not TOKENS.exists():
        ByteBPE.train(texts(3000), 512, special=MARKS).save(TOKENS)
    return ByteBPE.load(TOKENS)


def ids(words: ByteBPE, sentences: Sequence[str]) -> torch.Tensor:
    """Sentences → ids (B, L): start, tokens, end, and ends behind it."""
    start, end = words.id_of(START), words.id_of(END)
    return padded([[start, *words.encode(text), end] for text in sentences], end)[0]


def batches() -> Batches:
    """BATCH pictures and their captions."""
    pictures = np.ascontiguousarray(cached(SCENES, recipe=FEW).rgb.transpose(0, 3, 1, 2))
    said = ids(tokenizer(), texts(SCENES)).short()
    draw = minibatches(pictures, said, batch_size=BATCH, seed=SEED)

    def batch(step: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        images, tokens = draw(step, generator)
        return augment(images, VIEW, generator), tokens.long()

    return batch


def config() -> blip.Config:
    """A small BLIP for the tokens of the captions."""
    words = tokenizer()
    marks = Marks(*(words.id_of(name) for name in (END, MATCH, WRITE)))
    vision = vit.Config(image_size=64, patch_size=16, dim=128, depth=2, heads=4)
    text = text_encoder.Config(
        len(words), LENGTH, dim=128, depth=2, heads=4, mlp_width=512, cross_width=128, segments=0
    )
    return replace(blip.TINY, vision=vision, text=text, marks=marks)


def made() -> blip.BLIP:
    """The network before training, with the convolutions of clip_scenes in its image encoders."""
    torch.manual_seed(SEED)
    model = blip.BLIP(config())
    places = hybrid.Places(TRUNK, model.config.vision.dim)
    load_weights(places.trunk, HERE / "clip_scenes.safetensors", part="vision.")
    model.matcher.vision.patches = places
    model.slow.vision.patches = slow_copy(places)
    return model


def shipped(model: blip.BLIP) -> nn.Module:
    """What is kept."""
    return model.essentials()


def train_step(
    model: blip.BLIP, batch: tuple[torch.Tensor, torch.Tensor], progress: float
) -> dict[str, torch.Tensor]:
    """BLIP's, with convolutions that learn only at the end."""
    model.matcher.vision.patches.trunk.requires_grad_(progress >= LOCKED)
    return blip.train_step(model, batch, progress)


@torch.no_grad()
def told(captioner: Captioner, images: np.ndarray) -> list[str]:
    """Pictures uint8 (N, 64, 64, 3) → captions, greedily."""
    words, where = tokenizer(), next(captioner.parameters()).device
    end, found = words.id_of(END), []
    for part in to_tensor(images).split(256):
        for row in captioner.generate(part.to(where), LENGTH - 2).tolist():
            found.append(words.decode(row[: row.index(end)] if end in row else row))
    return found


def captioned(model: blip.BLIP, n: int = 1000) -> dict[str, dict[str, float]]:
    """Facts right in captions of test scenes, all and by number of objects."""
    images = np.array(cached(n, split="test", recipe=FEW).rgb)
    found = captioning(told(model.captioner(), images), texts(n, split="test"))
    facts = {"value": found.facts, "chance": found.chance, "shuffled": found.shuffled}
    metrics = {"facts": facts, "exact captions": {"value": found.exact, "chance": 0.0}}
    for count, share in found.by_count.items():
        metrics[f"facts, {count} objects"] = {"value": share, "chance": found.chance}
    return {k: {kind: round(v, 3) for kind, v in found.items()} for k, found in metrics.items()}


@torch.no_grad()
def fits(model: blip.BLIP, images: np.ndarray, sentences: Sequence[str]) -> np.ndarray:
    """Pictures uint8 (N, 64, 64, 3) and a text for each → logit of a pair less that of none, (N,).

    The match head's.
    """
    where, found = model.log_tau.device, []
    pairs = zip(to_tensor(images).split(200), ids(tokenizer(), sentences).split(200), strict=True)
    for pictures, tokens in pairs:
        seen = model.matcher.vision.tokens(pictures.to(where))
        found.append(model.matcher.match(seen, tokens.to(where)).diff(dim=1)[:, 0].cpu())
    return torch.cat(found).numpy()


def judged(model: blip.BLIP, n: int = 800) -> dict[str, dict[str, float]]:
    """Scenes of two objects: how often does the match head take the true caption for the better?

    Shuffled: the same two captions, asked of another scene.
    """
    scenes, found = sample(range(n), split="test", recipe=DUO), {}
    images = np.array(cached(n, split="test", recipe=DUO).rgb)
    changes: tuple[Change, ...] = ("left out", "colour", "material", "shape", "exchanged")
    for change in changes:
        rows, *sides = foils(scenes, range(n), change)
        shares = [
            round(noticed(*(fits(model, shown, side) for side in sides)), 3)
            for shown in (images[rows], np.roll(images[rows], 1, axis=0))
        ]
        found[f"{change} noticed"] = {"value": shares[0], "chance": 0.5, "shuffled": shares[1]}
    return found


def measured(model: blip.BLIP) -> dict[str, dict[str, float]]:
    """Captions, verdicts on changed captions, and the common linear probe."""
    return captioned(model) | judged(model) | known_factors(model)


def main() -> None:
    """Train, measure, write the weights and their card."""
    TOKENS.unlink(missing_ok=True)
    model = made().to(device())
    random = measured(model.eval())
    history = fit(
        model, batches(), STEPS, train_step=train_step, after_step=blip.after_step, lr=RATE,
        warmup=200, seed=SEED, checkpoint=HERE / "blip_scenes.run.safetensors", every=250,
    )  # fmt: skip
    ship(
        shipped(model),
        __file__,
        history,
        seed=SEED,
        batch_size=BATCH,
        data=f"world, split train, {SCENES} scenes with one to three objects and their short "
        "captions, 64 × 64; convolutions from clip_scenes",
        metrics=measured(model.eval()),
        random=random,
    )


if __name__ == "__main__":
    main()
