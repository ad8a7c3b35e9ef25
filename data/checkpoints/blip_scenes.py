"""Train BLIP of lesson 12 on scenes of one to three objects and their captions: all three losses.

    python data/checkpoints/blip_scenes.py        (make checkpoints)

The image encoder begins as the network of lesson 06 that had labels, as the authors' begins as one
trained on ImageNet; its class token begins anew. A caption names every object with all that it is.
Writes the tokens of the captions (blip_scenes.tokens.json), the network (blip_scenes.safetensors)
and its card beside this file. A run that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from course_lib.backbones import text_encoder, vit
from course_lib.blocks.device import device
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
SCENES, STEPS, BATCH, RATE, SEED = 80_000, 8000, 64, 1e-3, 0
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
    vision = vit.Config(image_size=64, patch_size=8, dim=96, depth=4, heads=4)
    text = text_encoder.Config(
        len(words), LENGTH, dim=96, depth=2, heads=4, mlp_width=384, cross_width=96, segments=0
    )
    return replace(blip.TINY, vision=vision, text=text, marks=marks)


def made() -> blip.BLIP:
    """The network before training, with the image encoder of lesson 06 and a new class token."""
    torch.manual_seed(SEED)
    model = blip.BLIP(config())
    taught = vit.ViT(replace(model.config.vision, class_token=False))
    load_weights(taught, HERE / "vit_supervised.safetensors")
    state = {name: x for name, x in taught.state_dict().items() if name != "prefix"}
    for encoder in (model.matcher.vision, model.slow.vision):
        encoder.load_state_dict(state, strict=False)
    return model


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
    """Scenes of two objects: how often does the match head take the true caption for the better?"""
    scenes, found = sample(range(n), split="test", recipe=DUO), {}
    images = np.array(cached(n, split="test", recipe=DUO).rgb)
    changes: tuple[Change, ...] = ("left out", "colour", "material", "shape", "exchanged")
    for change in changes:
        rows, *sides = foils(scenes, range(n), change)
        share = noticed(*(fits(model, images[rows], side) for side in sides))
        found[f"{change} noticed"] = {"value": round(share, 3), "chance": 0.5}
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
        model, batches(), STEPS, train_step=blip.train_step, after_step=blip.after_step, lr=RATE,
        warmup=200, seed=SEED, checkpoint=HERE / "blip_scenes.run.safetensors", every=250,
    )  # fmt: skip
    ship(
        model,
        __file__,
        history,
        seed=SEED,
        batch_size=BATCH,
        data=f"world, split train, {SCENES} scenes with one to three objects and their short "
        "captions, 64 × 64; image encoder from vit_supervised",
        metrics=measured(model.eval()),
        random=random,
    )


if __name__ == "__main__":
    main()
