"""Train LLaVA of lesson 13: BLIP's eye, a projector and a small language model, on scenes.

    python data/checkpoints/llava_scenes.py        (make checkpoints)

The tower is the image encoder of blip_scenes, and stays as it is: CLIP's convolutions, which have
gone on learning there, and two blocks of a transformer, of which LLaVA reads the first. The
language model begins with random weights, so the projector cannot be aligned to it alone: first
both learn to tell pictures by tags, shape first ("cube shiny red small"), and how two objects stand
("a red cube is behind a torus": a question of yes or no gives away much less), then one to four
turns on each, of which these are two, and questions the others; later one to eight, and at last as
many on each picture of a batch, so that none is padded to the length of another. Numbers and places
take longest to learn, and are asked for twice as often. When the rate has fallen to nothing, it
rises once more. Writes the tokens (llava_scenes.tokens.json), projector and language model
(llava_scenes.safetensors) and their card beside this file. A run that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import nn

from course_lib.backbones import causal_lm, hybrid, modified_resnet, vit
from course_lib.blocks.device import device
from course_lib.blocks.images import to_tensor
from course_lib.data.chat import CHATML, IMAGE, Turn, batch, encoded
from course_lib.data.recipes import View
from course_lib.data.tokenizer import ByteBPE, padded
from course_lib.data.views import augment
from course_lib.evaluate.question_answering import Answered, Report, question_answering
from course_lib.train.checkpoints import load_weights
from course_lib.train.fit import fit
from course_lib.train.minibatches import Batches, minibatches
from course_lib.train.ship import ship
from course_lib.vision_language import llava
from course_lib.world.cache import cached
from course_lib.world.captions import captions
from course_lib.world.questions import questions
from course_lib.world.scene import Recipe, Split, sample

HERE = Path(__file__).parent
TOKENS = HERE / "llava_scenes.tokens.json"
TEMPLATE = replace(CHATML, system="")
FEW = Recipe(objects=(1, 3))
KINDS = ("existence", "colour", "shape", "count", "relation")
DESCRIBE, STAND = "what is there?", "how do they stand?"
EYE = vit.Config(image_size=64, patch_size=16, dim=128, depth=2, heads=4)
TRUNK = modified_resnet.Config(image_size=64, blocks=(1, 1, 1), width=32, heads=4, out=128)
SCENES, ASKED, BATCH, SEED = 80_000, 6, 32, 0
RUNS = ((8000, 1e-3), (3000, 5e-4))  # steps, and the rate to which each run rises before it falls
STEPS = sum(steps for steps, _ in RUNS)
# Until step TELL tags and places only; from LONG on long talks; from EVEN on equally long ones.
TELL, LONG, EVEN = 1500, 3250, 4250
VIEW = View(64, scale=(0.9, 1.0), flip=0.0, jitter=0.5, brightness=0.2, contrast=0.2)


def talks(n: int, split: Split = "train", asked: int = ASKED) -> list[list[Turn]]:
    """Of each scene what there is, in tags, how two objects stand, then questions with answers."""
    scenes = sample(range(n), split=split, recipe=FEW)
    tags = captions(scenes, range(n), style="tags")
    stand = captions(scenes, range(n), style="relational")
    kinds = (*KINDS, "count", "relation")
    on_each = questions(scenes, range(n), per_scene=asked, kinds=kinds, recipe=FEW)
    return [
        [(DESCRIBE, what.text), (STAND, where.text), *((q.text, q.answer) for q in asked)]
        for what, where, asked in zip(tags, stand, on_each, strict=True)
    ]


def tokenizer() -> ByteBPE:
    """The words of questions and answers; kept beside this file."""
    if not TOKENS.exists():
        said = [text for turns in talks(2000) for turn in turns for text in turn]
        ByteBPE.train([*said, "user\nassistant\n"], 512, special=(*TEMPLATE.marks, IMAGE)).save(
            TOKENS
        )
    return ByteBPE.load(TOKENS)


def batches() -> Batches:
    """Pictures and conversations: TELL steps of what and where, then up to four turns, or eight."""
    words, pictures = tokenizer(), cached(SCENES, recipe=FEW).rgb.transpose(0, 3, 1, 2)
    said = talks(SCENES)
    draw = minibatches(
        np.ascontiguousarray(pictures), np.arange(SCENES), batch_size=BATCH, seed=SEED
    )
    once = cache(lambda turn: encoded(words, [turn], TEMPLATE))
    begin = cache(lambda turn: encoded(words, [with_picture(turn)], TEMPLATE))

    def make(step: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        images, which = draw(step, generator)
        rows, longest, turns = [], 4 if step < LONG else ASKED + 2, 0
        for scene in which.tolist():
            if step < TELL:
                chosen = said[scene][:2]
            else:
                order = torch.randperm(len(said[scene]), generator=generator)
                if step < EVEN or not turns:
                    turns = int(torch.randint(1, longest + 1, (), generator=generator))
                chosen = [said[scene][i] for i in order[:turns]]
            parts = [begin(chosen[0]), *map(once, chosen[1:])]
            rows.append([list(chain.from_iterable(side)) for side in zip(*parts, strict=True)])
        tokens, is_pad = padded([ids for ids, _ in rows], words.id_of(TEMPLATE.end))
        counts = padded([counts for _, counts in rows], 0)[0].bool()
        return augment(images, VIEW, generator), tokens, is_pad, counts

    return make


def later(make: Batches, done: int, step: int, generator: torch.Generator) -> tuple:
    """The batches of a run that begins behind `done` steps."""
    return make(done + step, generator)


def with_picture(turn: Turn) -> Turn:
    """The first turn of a conversation shows the picture."""
    return f"{IMAGE}\n{turn[0]}", turn[1]


def made() -> llava.LLaVA:
    """The network before training, with the image encoder of blip_scenes as its tower."""
    torch.manual_seed(SEED)
    words = tokenizer()
    language = replace(causal_lm.TINY, vocabulary=len(words))
    model = llava.LLaVA(llava.Config(EYE, language, words.id_of(IMAGE)))
    model.vision.patches = hybrid.Places(TRUNK, EYE.dim)
    load_weights(model.vision, HERE / "blip_scenes.safetensors", part="matcher.vision.")
    return llava.tune(model)


def shipped(model: llava.LLaVA) -> nn.Module:
    """What is kept: all but the tower, which blip_scenes has."""
    return nn.ModuleDict({"projector": model.projector, "language": model.language})


@torch.no_grad()
def answers(model: llava.LLaVA, images: np.ndarray, asked: Sequence[str]) -> list[str]:
    """Pictures uint8 (Q, 64, 64, 3) and a question on each → answers, greedily."""
    words, where = tokenizer(), next(model.parameters()).device
    prompts = [[with_picture((text, None))] for text in asked]
    tokens, is_pad, _ = batch(words, prompts, TEMPLATE, side="left")
    end = words.id_of(TEMPLATE.end)
    new = model.generate(
        to_tensor(images).to(where), tokens.to(where), is_pad.to(where), steps=8, end=end
    )
    return [words.decode(row[: row.index(end)] if end in row else row) for row in new.tolist()]


def asked_of(model: llava.LLaVA, n: int = 1000) -> Report:
    """Test scenes of one to three objects, three questions on each."""
    scenes = sample(range(n), split="test", recipe=FEW)
    on_each = questions(scenes, range(n), per_scene=3, kinds=KINDS, recipe=FEW)
    images = np.array(cached(n, split="test", recipe=FEW).rgb)
    return question_answering(
        lambda pictures, texts: answers(model, pictures, texts), images, on_each, scenes.count
    )


def measured(model: llava.LLaVA) -> dict[str, dict[str, float]]:
    """Right answers, all, by kind and by number of objects, beside blind and shuffled pictures."""
    report = asked_of(model)
    parts: dict[str, Answered] = {"answers": report.overall}
    parts |= {f"answers, {kind}": found for kind, found in report.by_kind.items()}
    parts |= {f"answers, {count} objects": found for count, found in report.by_count.items()}
    parts |= {
        f"{kind}, {count} objects": a for (kind, count), a in report.by_kind_and_count.items()
    }
    return {
        name: {
            what: round(getattr(a, what), 3) for what in ("value", "chance", "blind", "shuffled")
        }
        for name, a in parts.items()
    }


def main() -> None:
    """Train, measure, write the weights and their card."""
    TOKENS.unlink(missing_ok=True)
    model = made().to(device())
    random = measured(model.eval())
    make, runs, done = batches(), [], 0
    for number, (steps, rate) in enumerate(RUNS):
        runs.append(fit(
            model, partial(later, make, done), steps, train_step=llava.train_step, lr=rate,
            warmup=100, seed=SEED + number, every=250,
            checkpoint=HERE / f"llava_scenes.run{number}.safetensors",
        ))  # fmt: skip
        done += steps
    ship(
        shipped(model),
        __file__,
        runs,
        seed=SEED,
        batch_size=BATCH,
        data=f"world, split train, {SCENES} scenes with one to three objects: {TELL} steps of "
        f"tags and places, then 1 to 4 turns, from step {LONG} 1 to 8; tower of blip_scenes",
        metrics=measured(model.eval()),
        random=random,
    )


if __name__ == "__main__":
    main()
