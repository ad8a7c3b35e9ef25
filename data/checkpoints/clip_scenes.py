"""Train CLIP of lesson 11 on scenes and their captions, and nothing else.

    python data/checkpoints/clip_scenes.py        (make checkpoints)

Three quarters of each batch are scenes of one object, one quarter of one to six; a caption names
every object with all that it is, or two of them with their relation, in words that leave some of
it out. No picture has a label. Writes the tokens of the captions (clip_scenes.tokens.json), the
network (clip_scenes.safetensors) and its card beside this file. A run that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from course_lib.backbones import modified_resnet
from course_lib.blocks.device import device
from course_lib.data.recipes import View
from course_lib.data.tokenizer import ByteBPE, padded
from course_lib.data.views import augment
from course_lib.evaluate.extract import extract
from course_lib.evaluate.factors import ONE, known_factors
from course_lib.evaluate.inputs import directions
from course_lib.evaluate.retrieval import cross_retrieval
from course_lib.evaluate.zero_shot import zero_shot, zero_shot_classifier
from course_lib.train.fit import fit
from course_lib.train.minibatches import Batches, minibatches
from course_lib.train.ship import ship
from course_lib.vision_language import clip
from course_lib.world.cache import cached
from course_lib.world.captions import captions
from course_lib.world.foils import DUO, Change, foils, noticed
from course_lib.world.scene import COLOURS, SHAPES, Recipe, Split, sample

HERE = Path(__file__).parent
TOKENS = HERE / "clip_scenes.tokens.json"
START, END = "<|start|>", "<|end|>"
LENGTH = 40  # tokens of a caption, start and end included
MANY = Recipe()
# Of which scenes: how many there are, and how many of them a batch holds.
DATA = {ONE: (80_000, 96), MANY: (40_000, 32)}
STEPS, RATE, SEED = 10_000, 2e-3, 0
VIEW = View(64, scale=(0.8, 1.0), flip=0.0, jitter=0.5, brightness=0.2, contrast=0.2)
TEMPLATES = ("a {}", "a small {}", "a large {}")
CLASSES = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]


def texts(n: int, recipe: Recipe, style: str = "short", split: Split = "train") -> list[str]:
    """The captions of scenes 0 … n − 1."""
    scenes = sample(range(n), split=split, recipe=recipe)
    return [caption.text for caption in captions(scenes, range(n), style=style)]


def tokenizer() -> ByteBPE:
    """The words of captions, learned from 3,000 of them in two styles; kept beside this file."""
    if not TOKENS.exists():
        learned = [text for style in ("short", "relational") for text in texts(3000, MANY, style)]
        ByteBPE.train(learned, 512, special=(START, END)).save(TOKENS)
    return ByteBPE.load(TOKENS)


def ids(words: ByteBPE, sentences: Sequence[str]) -> torch.Tensor:
    """Sentences → ids (B, LENGTH): start, tokens, end, and zeros, which nothing sees."""
    start, end = words.id_of(START), words.id_of(END)
    return padded([[start, *words.encode(text), end] for text in sentences], 0, LENGTH)[0]


def batches() -> Batches:
    """Pictures, as many of each kind as DATA says, each with one of its two captions."""
    words, draws = tokenizer(), []
    for recipe, (scenes, size) in DATA.items():
        pictures = np.ascontiguousarray(cached(scenes, recipe=recipe).rgb.transpose(0, 3, 1, 2))
        both = [ids(words, texts(scenes, recipe, style)) for style in ("short", "relational")]
        said = torch.stack(both, dim=1).short()  # (scenes, 2 styles, LENGTH)
        draws.append(minibatches(pictures, said, batch_size=size, seed=SEED))

    def batch(step: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        pictures, said = (
            torch.cat(parts)
            for parts in zip(*(draw(step, generator) for draw in draws), strict=True)
        )
        style = torch.randint(2, (len(said),), generator=generator)
        return augment(pictures, VIEW, generator), said[torch.arange(len(said)), style].long()

    return batch


def made() -> clip.CLIP:
    """The network, as it is before training."""
    torch.manual_seed(SEED)
    words = tokenizer()
    tower = modified_resnet.Config(image_size=64, blocks=(1, 1, 1), width=32, heads=4, out=128)
    text = replace(clip.TINY.text, vocabulary=len(words), length=LENGTH, end=words.id_of(END))
    return clip.CLIP(replace(clip.TINY, vision=tower, text=text))


def features_of_texts(model: clip.CLIP, sentences: Sequence[str]) -> np.ndarray:
    """Sentences → features, float32 (N, E)."""
    where = model.log_scale.device
    with torch.no_grad():
        parts = ids(tokenizer(), sentences).split(256)
        return (
            torch.cat([model.encode_text(part.to(where)) for part in parts]).float().cpu().numpy()
        )


def named(model: clip.CLIP, n: int, split: Split) -> dict[str, float]:
    """Scenes of one object, 40 names of colour and shape → the share named rightly, controls."""
    pictures = np.array(cached(n, split=split, recipe=ONE).rgb)
    scenes = sample(range(n), split=split, recipe=ONE)
    labels = scenes.colour[:, 0] * len(SHAPES) + scenes.shape[:, 0]
    classifier = zero_shot_classifier(lambda t: features_of_texts(model, t), CLASSES, TEMPLATES)
    seen = extract(model.encode_image, pictures)
    order = np.random.default_rng(0).permutation(len(CLASSES))
    dealt = np.empty_like(classifier)
    dealt[order] = classifier[np.roll(order, 1)]  # each name at another's place
    return {
        "value": round(zero_shot(seen, labels, classifier).value, 3),
        "chance": round(1 / len(CLASSES), 3),
        "shuffled": round(zero_shot(seen, labels, dealt).value, 3),
    }


def retrieved(model: clip.CLIP, sets: int = 10, size: int = 100) -> dict[str, dict[str, float]]:
    """Among 100 test scenes and their captions: how often is the first one found the right one?

    The mean of ten hundreds. Scenes with equal captions are right for each other.
    """
    n = sets * size
    seen = extract(model.encode_image, np.array(cached(n, split="test", recipe=MANY).rgb))
    said = texts(n, MANY, split="test")
    read = features_of_texts(model, said)
    which = np.unique(said, return_inverse=True)[1]
    dealt = np.random.default_rng(0).permutation(size)
    found: dict[str, list] = {"image to text R@1": [], "text to image R@1": []}
    for part in np.arange(n).reshape(sets, size):
        for name, (a, b) in zip(found, ((seen, read), (read, seen)), strict=True):
            right = cross_retrieval(a[part], which[part], b[part], which[part], ks=[1])[1]
            false = cross_retrieval(a[part], which[part], b[part], which[part[dealt]], ks=[1])[1]
            found[name].append((right.value, right.chance, false.value))
    means = {name: np.mean(values, axis=0) for name, values in found.items()}
    keys = ("value", "chance", "shuffled")
    return {
        name: {key: round(float(v), 3) for key, v in zip(keys, values, strict=True)}
        for name, values in means.items()
    }


def told(model: clip.CLIP, n: int = 800) -> dict[str, dict[str, float]]:
    """Scenes of two objects: how often is the true caption nearer than one with a change?

    Shuffled: the same two captions, asked of another scene; some captions please whatever is shown.
    """
    scenes = sample(range(n), split="test", recipe=DUO)
    seen = directions(
        extract(model.encode_image, np.array(cached(n, split="test", recipe=DUO).rgb))
    )
    found = {}
    for change in get_args(Change):
        rows, *texts = foils(scenes, range(n), change)
        read = [directions(features_of_texts(model, side)) for side in texts]
        shares = [
            round(noticed(*((pictures * side).sum(axis=1) for side in read)), 3)
            for pictures in (seen[rows], np.roll(seen[rows], 1, axis=0))
        ]
        found[f"{change} noticed"] = {"value": shares[0], "chance": 0.5, "shuffled": shares[1]}
    return found


def measured(model: clip.CLIP) -> dict[str, dict[str, float]]:
    """Names, new pairs, captions found, changes noticed, and the common linear probe."""
    return {
        "zero-shot": named(model, 2000, "test"),
        "zero-shot held-out pairs": named(model, 1000, "compositional"),
        **retrieved(model),
        **told(model),
        **known_factors(model.encode_image),
    }


def main() -> None:
    """Train, measure, write the weights and their card."""
    TOKENS.unlink(missing_ok=True)
    model = made().to(device())
    random = measured(model.eval())
    history = fit(
        model, batches(), STEPS, train_step=clip.train_step, after_step=clip.after_step, lr=RATE,
        warmup=200, seed=SEED, checkpoint=HERE / "clip_scenes.run.safetensors", every=250,
    )  # fmt: skip
    ship(
        model,
        __file__,
        history,
        seed=SEED,
        batch_size=sum(size for _, size in DATA.values()),
        data=f"world, split train, {DATA[ONE][0]} scenes with one object and {DATA[MANY][0]} "
        "with one to six, with captions in two styles, 64 × 64",
        metrics=measured(model.eval()),
        random=random,
    )


if __name__ == "__main__":
    main()
