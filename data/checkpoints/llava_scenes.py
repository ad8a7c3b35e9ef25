"""Train LLaVA of lesson 13: BLIP's eye, a projector and a small language model, on scenes.

    python data/checkpoints/llava_scenes.py        (make checkpoints)

The tower is the image encoder of blip_scenes, and stays as it is: CLIP's convolutions, which have
gone on learning there, and two blocks of a transformer, of which LLaVA reads the first. The
language model begins with random weights, so the projector cannot be aligned to it alone: first
both learn to tell pictures by tags, shape first ("cube shiny red small"), and how two objects stand
("a red cube is behind a torus"), then talks of up to four turns, of which these are two, and
questions the others; later of up to eight, and at last as many on each picture of a batch, so that
little is padded. Numbers and places take longest to learn, and are asked for
twice as often.

After 6,000 steps it could not tell left from right. So that run ends early, and a second one, with
a rate as high as the first, also asks "is the cube to the left or to the right of the torus?",
where the picture alone decides. That did not help: it ends after 1,000 steps, and a third one
leaves places alone and asks new questions of the other kinds.

What helped was to let it write what an answer rests on (course_lib.world.reasons). The fourth run
asks where each object is, in two digits, and answers a relation by "7 3 yes": it learned to say
where, and did not compare. It ends after 2,000 steps, and in the fifth a word stands in between,
"7 3 behind yes". Only the last word of a reply is its answer. In both nobody asked what is there,
and it forgot to tell: a short run at the end brings the tags back. It costs a little elsewhere, so
a fifth of the weights stays as it was before (Wortsman et al., Robust fine-tuning of zero-shot
models, CVPR 2022); the share was chosen on other scenes than those of the card.

Writes the tokens (llava_scenes.tokens.json), projector and language model
(llava_scenes.safetensors) and their card beside this file. A run that was stopped goes on.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
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
from course_lib.world.grammar import SAID, the
from course_lib.world.graph import OPPOSITE, graphs
from course_lib.world.questions import Question, questions
from course_lib.world.reasons import WORD, reasoned, where
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
# Steps that the rate is planned for, those that are made of them, and the rate.
RUNS = (
    (8000, 6000, 1e-3), (4000, 1000, 1e-3), (2000, 2000, 1e-3),
    (4000, 2000, 1e-3), (4000, 4000, 1e-3), (900, 900, 3e-4),
)  # fmt: skip
STEPS = sum(made for _, made, _ in RUNS)
NEW = 0.8  # share of the last run in the weights
# Until step TELL tags and places only; from LONG on long talks; from EVEN on equally long ones;
# from SIDES on the second run, with questions for one of two sides; from PLAIN on the third; from
# WHERE on the fourth, with places in digits; from COMPARE on the fifth, with a word for the two;
# from AGAIN on the last, with tags.
TELL, LONG, EVEN = 1500, 3250, 4250
SIDES, PLAIN, WHERE, COMPARE, AGAIN = 6000, 7000, 9000, 11000, 15000
EITHER = {
    "left of": "to the left or to the right of",
    "right of": "to the left or to the right of",
    "in front of": "in front of or behind",
    "behind": "in front of or behind",
}
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


def sides(n: int) -> list[list[Turn]]:
    """Of each training scene up to two questions for one of two sides; none of a single object."""
    scenes = sample(range(n), recipe=FEW)
    on_each = questions(scenes, range(n), seed=1, per_scene=2, kinds="relation", recipe=FEW)
    return [[one_of_two(question) for question in asked] for asked in on_each]


def without_places(n: int, seed: int = 2, asked: int = ASKED) -> list[list[Turn]]:
    """Of each training scene new questions of all kinds but relations."""
    scenes = sample(range(n), recipe=FEW)
    kinds = [*(kind for kind in KINDS if kind != "relation"), "count"]
    on_each = questions(scenes, range(n), seed=seed, per_scene=asked, kinds=kinds, recipe=FEW)
    return [[(q.text, q.answer) for q in asked] for asked in on_each]


def placed(n: int, seed: int, in_words: bool) -> list[list[Turn]]:
    """Of each training scene where the objects are, twice each, and relations with two digits."""
    scenes = sample(range(n), recipe=FEW)
    on_each = questions(scenes, range(n), seed=seed, per_scene=4, kinds="relation", recipe=FEW)
    draw, found = random.Random(SEED), []
    for graph, places, asked in zip(graphs(scenes), where(scenes).tolist(), on_each, strict=True):
        named = [i for i, names in enumerate(graph.names) if names] * 2
        looks = [(i, draw.choice(graph.names[i])) for i in named]
        turns = [(f"where is {the(look)}?", "{} {}".format(*places[i])) for i, look in looks]
        found.append(turns + [(q.text, reasoned(q, graph, places, in_words)) for q in asked])
    return found


def joined(*parts: list[list[Turn]]) -> list[list[Turn]]:
    """The turns of several lists, scene by scene."""
    return [[*chain.from_iterable(turns)] for turns in zip(*parts, strict=True)]


def one_of_two(question: Question) -> Turn:
    """A question of yes or no, "is the cube behind the torus?", as one for one of two sides."""
    said = question.program[1]
    phrase = next(phrase for phrase in SAID[said] if f" {phrase} " in question.text)
    is_so = said if question.answer == "yes" else OPPOSITE[said]
    return question.text.replace(phrase, EITHER[said], 1), WORD[is_so]


def tokenizer() -> ByteBPE:
    """The words of questions and answers; kept beside this file."""
    if not TOKENS.exists():
        said = [text for turns in talks(2000) for turn in turns for text in turn]
        ByteBPE.train([*said, "user\nassistant\n"], 512, special=(*TEMPLATE.marks, IMAGE)).save(
            TOKENS
        )
    return ByteBPE.load(TOKENS)


def batches() -> Batches:
    """Pictures and conversations: TELL steps of what and where, then talks, as the header says."""
    words, pictures = tokenizer(), cached(SCENES, recipe=FEW).rgb.transpose(0, 3, 1, 2)
    said, two = talks(SCENES), sides(SCENES)
    plain = joined([turns[:1] for turns in said], without_places(SCENES))
    places, compare = (
        joined(placed(SCENES, seed, in_words), without_places(SCENES, seed + 1, 4))
        for seed, in_words in ((3, False), (5, True))
    )
    runs = [(SIDES, said, 8), (PLAIN, joined(said, two), 10), (WHERE, plain, 7)]
    again = joined([turns[:1] * 3 for turns in said], compare)
    runs += [(COMPARE, places, 8), (AGAIN, compare, 8), (STEPS, again, 8)]
    draw = minibatches(
        np.ascontiguousarray(pictures), np.arange(SCENES), batch_size=BATCH, seed=SEED
    )
    once = cache(lambda turn: encoded(words, [turn], TEMPLATE))
    begin = cache(lambda turn: encoded(words, [with_picture(turn)], TEMPLATE))

    def make(step: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        images, which = draw(step, generator)
        told, longest = next((talk, most) for end, talk, most in runs if step < end)
        rows, longest, turns = [], 4 if step < LONG else longest, 0
        for scene in which.tolist():
            if step < TELL:
                chosen = told[scene][:2]
            else:
                order = torch.randperm(len(told[scene]), generator=generator)
                if step < EVEN or not turns:
                    turns = int(torch.randint(1, longest + 1, (), generator=generator))
                chosen = [told[scene][i] for i in order[:turns]]
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


def answers(model: llava.LLaVA, images: np.ndarray, asked: Sequence[str]) -> list[str]:
    """Pictures uint8 (Q, 64, 64, 3) and a question on each → the last word of each reply."""
    return [(said.split() or [""])[-1] for said in replies(model, images, asked)]


@torch.no_grad()
def replies(
    model: llava.LLaVA, images: np.ndarray, asked: Sequence[str], steps: int = 8
) -> list[str]:
    """Pictures uint8 (Q, 64, 64, 3) and a question on each → what is said, greedily."""
    words, there = tokenizer(), next(model.parameters()).device
    prompts = [[with_picture((text, None))] for text in asked]
    tokens, is_pad, _ = batch(words, prompts, TEMPLATE, side="left")
    end = words.id_of(TEMPLATE.end)
    new = model.generate(
        to_tensor(images).to(there), tokens.to(there), is_pad.to(there), steps=steps, end=end
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
    told = {
        name: {
            what: round(getattr(a, what), 3) for what in ("value", "chance", "blind", "shuffled")
        }
        for name, a in parts.items()
    }
    return told | places_of(model) | {"tags": tags_of(model)}


def tags_of(model: llava.LLaVA, n: int = 500) -> dict[str, float]:
    """Test scenes, "what is there?": the share of objects told right, all four words of each.

    Of the larger number, that of the objects or of those told. `chance` is how frequent the most
    frequent object is, `shuffled` what is said held against another scene.
    """
    scenes = sample(range(n), split="test", recipe=FEW)
    truth = [c.text.split(", ") for c in captions(scenes, range(n), style="tags")]
    images = np.array(cached(n, split="test", recipe=FEW).rgb)
    said = [reply.split(", ") for reply in replies(model, images, [DESCRIBE] * n, steps=24)]

    def right(truth: list[list[str]]) -> float:
        pairs = [(Counter(a), Counter(b)) for a, b in zip(said, truth, strict=True)]
        shares = [(a & b).total() / max(a.total(), b.total()) for a, b in pairs]
        return round(float(np.mean(shares)), 3)

    often = Counter(tag for tags in truth for tag in tags).most_common(1)[0][1]
    return {
        "value": right(truth),
        "chance": round(often / sum(map(len, truth)), 3),
        "shuffled": right(truth[1:] + truth[:1]),
    }


def places_of(model: llava.LLaVA, n: int = 1000) -> dict[str, dict[str, float]]:
    """Test scenes, "where is the cube?": how often strip and step are right, or next to it.

    `chance` is the most frequent digit, `blind` what is said of the mean of all pictures.
    """
    scenes, draw = sample(range(n), split="test", recipe=FEW), random.Random(1)
    images, places = np.array(cached(n, split="test", recipe=FEW).rgb), where(scenes)
    asked = [
        (b, i, f"where is {the(draw.choice(graph.names[i]))}?")
        for b, graph in enumerate(graphs(scenes))
        for i in [draw.randrange(len(graph.names))] if graph.names[i]
    ]  # fmt: skip
    which, texts = [b for b, *_ in asked], [text for *_, text in asked]
    truth = np.array([places[b, i] for b, i, _ in asked])
    mean = np.broadcast_to(images.mean(axis=0).astype(np.uint8), (len(asked), *images.shape[1:]))
    said, blind = (
        np.array([two_digits(text) for text in replies(model, pictures, texts)])
        for pictures in (images[which], mean)
    )
    return {
        f"place, {name}": {
            "value": round(float((said == truth)[:, axis].mean()), 3),
            "or next to it": round(float((abs(said - truth) <= 1)[:, axis].mean()), 3),
            "chance": round(float(np.bincount(truth[:, axis]).max() / len(truth)), 3),
            "blind": round(float((blind == truth)[:, axis].mean()), 3),
        }
        for axis, name in enumerate(("strip", "step"))
    }


def two_digits(reply: str) -> tuple[int, int]:
    """A reply "7 3" → (7, 3); (−9, −9), which is near nothing, for what is no place."""
    found = re.fullmatch(r"(\d) (\d)", reply.strip())
    return (int(found[1]), int(found[2])) if found else (-9, -9)


def mix(model: nn.Module, before: Mapping[str, torch.Tensor]) -> None:
    """Take the weights that lie between those of `before` and the model's own, NEW of the way."""
    own = model.state_dict()
    model.load_state_dict({
        name: torch.lerp(before[name], x, NEW) if x.is_floating_point() else x
        for name, x in own.items()
    })  # fmt: skip


def main() -> None:
    """Train, measure, write the weights and their card."""
    TOKENS.unlink(missing_ok=True)
    model = made().to(device())
    random = measured(model.eval())
    make, runs, done = batches(), [], 0
    for number, (planned, made_of_it, rate) in enumerate(RUNS):
        before = deepcopy(model.state_dict())
        runs.append(fit(
            model, partial(later, make, done), planned, train_step=llava.train_step, lr=rate,
            warmup=100, seed=SEED + number, stop=made_of_it, every=250,
            checkpoint=HERE / f"llava_scenes.run{number}.safetensors",
        ))  # fmt: skip
        if runs[-1].interrupted:
            raise SystemExit("the run was stopped: start it again, and it goes on")
        done += made_of_it
    mix(model, before)
    ship(
        shipped(model),
        __file__,
        runs,
        seed=SEED,
        batch_size=BATCH,
        data=f"world, split train, {SCENES} scenes with one to three objects: {TELL} steps of "
        f"tags and places, then talks, from {PLAIN} on without places, from {WHERE} on with places "
        "in digits; tower of blip_scenes",
        metrics=measured(model.eval()),
        random=random,
    )


if __name__ == "__main__":
    main()
