"""BLIP's two claims, three seeds each: `python -m benchmarks.blip [capfilt | itm]`.

capfilt  Does a new captioner learn more from captions that BLIP has written and filtered than from
         the web's? Beside it: all written captions, a random choice of all, and the clean ones.
itm      Does a match head notice more if its mismatches are hard ones? Beside it: an equally long
         training with random ones.

Both begin from the shipped network blip_scenes, on the CPU in float32. What a run has measured is
kept in build/benchmarks/blip, so that a killed benchmark goes on; with other sizes or other weights
it is measured anew. After a change of the code, remove that folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from course_lib.backbones import modified_resnet, vit
from course_lib.blocks.decoding import Sampling
from course_lib.blocks.images import to_tensor
from course_lib.data.tokenizer import ByteBPE, padded
from course_lib.doctor import ROOT
from course_lib.evaluate.captioning import captioning, objects_of, share
from course_lib.train.checkpoints import load_weights
from course_lib.train.fit import fit
from course_lib.train.minibatches import minibatches
from course_lib.vision_language.blip import BLIP
from course_lib.vision_language.capfilt import synthetic_captions
from course_lib.vision_language.med import Matcher, Writer
from course_lib.vision_language.momentum_queue import hard_negatives, similarities
from course_lib.world.cache import cached
from course_lib.world.captions import Kind, Noisy, captions, noisy_captions
from course_lib.world.foils import DUO, Change, Foils, foils, noticed
from course_lib.world.grammar import facts_of
from course_lib.world.graph import SceneGraph, graphs, holds
from course_lib.world.scene import Recipe, sample

FEW, WEB_SEED, SEEDS = Recipe(objects=(1, 3)), 1, (0, 1, 2)  # blip_scenes has seen scenes of seed 0
CHECKPOINTS, KEPT = ROOT / "data" / "checkpoints", ROOT / "build" / "benchmarks" / "blip"
ARMS = ("the web", "CapFilt", "random", "written", "clean")
ASKED: tuple[Change, ...] = ("colour", "material", "shape", "exchanged")
Result = dict[str, Any]  # what JSON can hold


@dataclass(frozen=True)
class Captions:
    """The sizes of `capfilt`."""

    pictures: int = 8000
    tests: int = 1000
    steps: int = 400
    batch: int = 64
    rate: float = 3e-3
    warmup: int = 50
    noise: float = 0.6
    kinds: tuple[Kind, ...] = ("attribute", "drop", "other scene")
    nucleus: float = 0.9
    least: float = 0.5  # a caption is kept if it matches with a probability above this


@dataclass(frozen=True)
class Pairs:
    """The sizes of `itm`; `steps` twice, once before and once after."""

    scenes: int = 8000
    tests: int = 1000
    steps: int = 800
    batch: int = 24
    rate: float = 1e-3
    warmup: int = 20
    softer: float = 3.0  # hard mismatches are drawn at so many times the network's τ


class Trunk(nn.Module):
    """A residual network, as it is: images (B, 3, H, W) → the places of its last map, (B, N, C)."""

    def __init__(self, config: modified_resnet.Config) -> None:
        super().__init__()
        self.trunk = modified_resnet.ModifiedResNet(config)
        self.dim = 4 * config.width * 2 ** (len(config.blocks) - 1)

    def tokens(self, images: torch.Tensor) -> torch.Tensor:
        return self.trunk.feature_maps(images)[-1].flatten(2).transpose(1, 2)


@dataclass(frozen=True)
class Given:
    """What both experiments begin from: tokens, the shipped BLIP, and eyes for new captioners."""

    words: ByteBPE
    model: BLIP
    eyes: Trunk

    @property
    def room(self) -> int:
        """How many tokens a caption may have beside start and end."""
        return self.model.config.text.length - 2

    def ids(self, sentences: Sequence[str]) -> torch.Tensor:
        """Sentences → ids (B, L): start, at most `room` tokens, end, and ends behind it."""
        start, end = self.words.id_of("<|start|>"), self.model.config.marks.end
        rows = [[start, *self.words.encode(text)[: self.room], end] for text in sentences]
        return padded(rows, end)[0]

    def read(self, rows: torch.Tensor) -> list[str]:
        """Ids (B, T) without a start → sentences, up to the first end."""
        end = self.model.config.marks.end
        cut = [row[: row.index(end)] if end in row else row for row in rows.tolist()]
        return [self.words.decode(row) for row in cut]


def recipe(name: str) -> ModuleType:
    """The script beside a checkpoint that makes it."""
    spec = importlib.util.spec_from_file_location(name, CHECKPOINTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def given() -> Given:
    """The shipped networks, in evaluation mode."""
    scenes = recipe("blip_scenes")
    model, eyes = scenes.made(), Trunk(scenes.TRUNK)
    load_weights(model.essentials(), CHECKPOINTS / "blip_scenes.safetensors")
    load_weights(eyes.trunk, CHECKPOINTS / "clip_scenes.safetensors", part="vision.")
    return Given(scenes.tokenizer(), model.eval(), eyes.eval())


def fingerprint(sizes: Captions | Pairs, start: Given) -> str:
    """All that decides about a result beside its seed and the code → 64 letters."""
    digest = hashlib.sha256(json.dumps(asdict(sizes), sort_keys=True).encode())
    digest.update(repr(sorted(start.words.ids.items())).encode())
    for network in (start.model.essentials(), start.eyes):
        for name, tensor in network.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def once(folder: Path, name: str, mark: str, make: Callable[[], Result]) -> Result:
    """What `make` returned when it was last called for this name and fingerprint, or returns now.

    It is kept as folder/name.json, whole or not at all; one line on stderr says what it took.
    """
    path = folder / f"{name}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # a damaged file is made anew
        found = {}
    if found.get("fingerprint") == mark:
        return found["result"]
    began = time.perf_counter()
    result = make()
    seconds = time.perf_counter() - began
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{name}.json.part"
    kept = {"fingerprint": mark, "seconds": round(seconds, 1), "result": result}
    part.write_text(json.dumps(kept), encoding="utf-8")
    os.replace(part, path)
    print(f"{name}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return result


@torch.no_grad()
def looked_at(encoder: vit.ViT | Trunk, images: np.ndarray) -> torch.Tensor:
    """Pictures uint8 (N, H, W, 3) → their tokens (N, T, C)."""
    parts = np.array_split(images, -(-len(images) // 256))
    return torch.cat([encoder.tokens(to_tensor(np.array(part))) for part in parts])


def noise(sentences: Sequence[str], clean: Sequence[str], scenes: Sequence[SceneGraph]) -> Result:
    """Captions, the clean ones and their scenes, N each → N, and shares of two kinds.

    false  says something that is not so
    wrong  is false, or leaves something out
    """
    pairs = zip(sentences, clean, strict=True)
    whole = [share(objects_of(said), objects_of(true)) == 1 for said, true in pairs]
    so = [holds(facts_of(text), scene) for text, scene in zip(sentences, scenes, strict=True)]
    return {
        "captions": len(so), "false": 1 - float(np.mean(so)), "wrong": 1 - float(np.mean(whole)),
    }  # fmt: skip


@dataclass
class Captioners:
    """The experiment `capfilt`: new captioners, which differ in the captions they learn from."""

    start: Given
    sizes: Captions
    folder: Path

    @cached_property
    def mark(self) -> str:
        """The fingerprint of all that is kept."""
        return fingerprint(self.sizes, self.start)

    @cached_property
    def web(self) -> list[Noisy]:
        """The web's captions, and the clean ones."""
        s, rows = self.sizes, range(self.sizes.pictures)
        scenes = sample(rows, WEB_SEED, recipe=FEW)
        return noisy_captions(
            scenes, rows, WEB_SEED, rate=s.noise, kinds=s.kinds, recipe=FEW
        )  # fmt: skip

    @cached_property
    def clean(self) -> list[str]:
        """The captions as they were before the noise."""
        return [noisy.clean.text for noisy in self.web]

    @cached_property
    def scenes(self) -> list[SceneGraph]:
        """What is in the pictures."""
        return graphs(sample(range(self.sizes.pictures), WEB_SEED, recipe=FEW))

    @cached_property
    def images(self) -> np.ndarray:
        """The pictures of the web, uint8 (N, 64, 64, 3)."""
        return cached(self.sizes.pictures, seed=WEB_SEED, recipe=FEW).rgb

    @cached_property
    def seen(self) -> torch.Tensor:
        """The same through the locked encoder, (N, 64, C)."""
        return looked_at(self.start.eyes, self.images)

    @cached_property
    def asked(self) -> tuple[torch.Tensor, list[str]]:
        """Test pictures through the locked encoder, and their captions."""
        n = self.sizes.tests
        truth = captions(sample(range(n), split="test", recipe=FEW), range(n))
        images = cached(n, split="test", recipe=FEW).rgb
        return looked_at(self.start.eyes, images), [caption.text for caption in truth]

    @cached_property
    def pool(self) -> tuple[np.ndarray, list[str], np.ndarray]:
        """All captions, the web's and then the written: picture, text, probability of a pair."""
        made = once(self.folder, "capfilt-pool", self.mark, self._written_and_judged)
        texts = [*(noisy.caption.text for noisy in self.web), *made["written"]]
        return np.tile(np.arange(len(self.web)), 2), texts, np.array(made["probabilities"])

    @torch.no_grad()
    def _written_and_judged(self) -> Result:
        model, how = self.start.model, Sampling(top_p=self.sizes.nucleus)
        generator, written, found = torch.Generator().manual_seed(0), [], ([], [])
        for rows in torch.arange(len(self.web)).split(250):
            images = to_tensor(np.array(self.images[rows.numpy()]))
            web = self.start.ids([self.web[i].caption.text for i in rows.tolist()])
            new = synthetic_captions(
                model.captioner(), images, web[:, :1], self.start.room, how, generator
            )
            written += self.start.read(new[:, 1:])
            for side, tokens in zip(found, (web, new), strict=True):
                side.extend(model.matcher.probability(images, tokens).tolist())
        return {"written": written, "probabilities": [*found[0], *found[1]]}

    def chosen(self, arm: str, seed: int) -> tuple[np.ndarray, list[str]]:
        """An arm → the pictures (M,) and texts that it learns from."""
        pictures, texts, probability = self.pool
        everything = np.arange(len(self.web))
        keep = np.flatnonzero(probability > self.sizes.least)
        some = np.random.default_rng(seed).permutation(len(texts))[: len(keep)]
        if arm == "clean":
            return everything, self.clean
        rows = {
            "the web": everything, "written": everything + len(everything), "CapFilt": keep,
            "random": np.sort(some),
        }[arm]  # fmt: skip
        return pictures[rows], [texts[i] for i in rows]

    def noise_of(self, pictures: np.ndarray, texts: Sequence[str]) -> Result:
        """`noise` of captions of the pictures (M,)."""
        return noise(texts, *([side[i] for i in pictures] for side in (self.clean, self.scenes)))

    def sources(self) -> dict[str, Result]:
        """Noise before the filter and behind it, of the web's captions and of the written."""
        pictures, texts, probability = self.pool
        n, keep, found = len(self.web), probability > self.sizes.least, {}
        for name, part in (("the web", slice(0, n)), ("written", slice(n, None))):
            rows = np.arange(2 * n)[part]
            for label, of in ((name, rows), (f"{name}, kept", rows[keep[part]])):
                if len(of):
                    found[label] = self.noise_of(pictures[of], [texts[i] for i in of])
        return found

    def learned(self, arm: str, seed: int) -> Result:
        """Train a new captioner → how good it is, and what its captions were like."""
        s, (pictures, texts) = self.sizes, self.chosen(arm, seed)
        torch.manual_seed(seed)
        config = self.start.model.config
        writer = Writer(replace(config.text, cross_width=self.start.eyes.dim), config.marks)
        draw = minibatches(
            torch.from_numpy(pictures), self.start.ids(texts), batch_size=s.batch, seed=seed
        )
        fit(
            writer, draw, s.steps, lr=s.rate, warmup=s.warmup, seed=seed, precision="float32",
            train_step=lambda w, batch, _: {"loss": w.loss(batch[1], self.seen[batch[0]])},
        )  # fmt: skip
        context, truth = self.asked
        told = self.start.read(writer.eval().generate(context, self.start.room))
        found, names = captioning(told, truth), ("facts", "complete", "chance", "shuffled")
        return self.noise_of(pictures, texts) | {name: getattr(found, name) for name in names}

    def results(self, seeds: Sequence[int] = SEEDS) -> dict[str, list[Result]]:
        """arm → what was measured, seed by seed. Seed by seed, so that each is soon complete."""
        found = {arm: [] for arm in ARMS}
        for seed in seeds:
            for arm in ARMS:
                name = f"capfilt-{arm.replace(' ', '-')}-{seed}"
                found[arm].append(
                    once(self.folder, name, self.mark, partial(self.learned, arm, seed))
                )
        return found


@dataclass
class Matchers:
    """The experiment `itm`: match heads, which differ in the mismatches they learn from."""

    start: Given
    sizes: Pairs
    folder: Path = KEPT

    @cached_property
    def mark(self) -> str:
        """The fingerprint of all that is kept."""
        return fingerprint(self.sizes, self.start)

    @cached_property
    @torch.no_grad()
    def pairs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scenes of two objects: tokens (N, T, C), texts (N, L), features of both (N, E)."""
        n, matcher = self.sizes.scenes, self.start.model.matcher
        said = captions(sample(range(n), recipe=DUO), range(n))
        seen = looked_at(matcher.vision, cached(n, recipe=DUO).rgb)
        tokens = self.start.ids([caption.text for caption in said])
        of_text = torch.cat([matcher.text_feature(part) for part in tokens.split(256)])
        return seen, tokens, matcher.image_feature(seen), of_text

    @cached_property
    def asked(self) -> tuple[torch.Tensor, dict[Change, Foils]]:
        """Test scenes: the pictures' tokens, and true and changed captions."""
        n = self.sizes.tests
        scenes = sample(range(n), split="test", recipe=DUO)
        seen = looked_at(self.start.model.matcher.vision, cached(n, split="test", recipe=DUO).rgb)
        return seen, {change: foils(scenes, range(n), change) for change in ASKED}

    def forgetful(self, seed: int) -> Matcher:
        """The shipped match head's network with new self-attention, norms before it, and head.

        What the reader shares with the writer stays; only the reader and the head will learn.
        """
        old, config = self.start.model.matcher, self.start.model.config
        torch.manual_seed(seed)
        fresh = Matcher(config.vision, config.text, config.dim, config.marks)
        stays = {
            name: x for name, x in old.reader.state_dict().items()
            if ".attention." not in name and ".norm1." not in name
        }  # fmt: skip
        fresh.reader.load_state_dict(stays, strict=False)
        matcher = deepcopy(old).requires_grad_(False)
        matcher.reader, matcher.match_head = fresh.reader, fresh.match_head
        return matcher

    def mismatches(self, kind: str, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pairs (B,) → twice one false text for each, (B, L); never its own, nor the same words."""
        _, tokens, of_image, of_text = self.pairs
        same = (tokens[batch][:, None] == tokens[batch]).all(dim=2)
        if kind == "hard":
            tau = self.sizes.softer * self.start.model.tau.detach()
            logits = similarities(of_image[batch], of_text[batch], tau)
        else:
            logits = torch.zeros(same.shape)  # all are equally likely
        first, second = (tokens[batch[hard_negatives(logits, same)]] for _ in range(2))
        return first, second

    def trained(self, matcher: Matcher, kind: str, seed: int, place: Path | None = None) -> Matcher:
        """The same network after `steps` more steps, with mismatches of one kind."""

        def step(matcher: Matcher, batch: torch.Tensor, _: float) -> dict[str, torch.Tensor]:
            seen, tokens, *_ = self.pairs
            texts = torch.cat([tokens[batch], *self.mismatches(kind, batch)])
            is_pair = (torch.arange(len(texts)) < len(batch)).long()
            return {
                "loss": cross_entropy(matcher.match(seen[batch].repeat(3, 1, 1), texts), is_pair)
            }

        s = self.sizes
        draw = minibatches(torch.arange(s.scenes), batch_size=s.batch, seed=seed)
        fit(
            matcher, draw, s.steps, train_step=step, lr=s.rate, warmup=s.warmup, seed=seed,
            precision="float32", checkpoint=place,
        )  # fmt: skip
        return matcher.eval()

    def before(self, seed: int) -> Matcher:
        """Forgetful, then trained with random mismatches. The weights are kept as well."""
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / f"itm-before-{seed}-{self.mark[:12]}.safetensors"
        return self.trained(self.forgetful(seed), "random", 2 * seed, place)

    def after(self, kind: str, seed: int) -> Matcher:
        """From there with mismatches of one kind; the batches are new, and the same for both."""
        return self.trained(self.before(seed), kind, 2 * seed + 1)

    @torch.no_grad()
    def noticed(self, matcher: Matcher) -> Result:
        """{change: share of test scenes whose true caption is preferred to the changed one}."""
        seen, asked = self.asked
        shares = {}
        for change, (rows, *sides) in asked.items():
            near, far = (
                torch.cat([
                    matcher.match(seen[part], tokens).diff(dim=1)[:, 0]
                    for part, tokens in zip(
                        torch.from_numpy(rows).split(256), self.start.ids(side).split(256),
                        strict=True,
                    )
                ]).numpy()
                for side in sides
            )  # fmt: skip
            shares[change] = noticed(near, far)
        return shares

    def measured(self, name: str, seed: int) -> Result:
        """`noticed` of the network before, or after mismatches of the kind `name`."""
        return self.noticed(self.before(seed) if name == "before" else self.after(name, seed))

    def results(self, seeds: Sequence[int] = SEEDS) -> dict[str, list[Result]]:
        """What was trained → shares, seed by seed; the shipped network has one line."""
        shipped = partial(self.noticed, self.start.model.matcher)
        found = {"shipped": [once(self.folder, "itm-shipped", self.mark, shipped)]}
        for seed in seeds:
            for name in ("before", "random", "hard"):
                make = partial(self.measured, name, seed)
                kept = once(self.folder, f"itm-{name}-{seed}", self.mark, make)
                found.setdefault(name, []).append(kept)
        return found


def listed(values: Sequence[float]) -> str:
    """Values → "0.412, 0.400"."""
    return ", ".join(f"{value:.3f}" for value in values)


def mean(runs: Sequence[Mapping[str, float]], name: str) -> float:
    """The mean of one measurement over the seeds."""
    return float(np.mean([run[name] for run in runs]))


def capfilt_table(sources: Mapping[str, Result], found: Mapping[str, list[Result]]) -> str:
    """Both tables of `capfilt`, and who is ahead of whom, seed by seed."""
    lines = ["| captions | number | false | false or incomplete |", "|---|---|---|---|"]
    for name, of in sources.items():
        lines.append(f"| {name} | {of['captions']:,} | {of['false']:.3f} | {of['wrong']:.3f} |")
    lines += ["", "| trained on | captions | false | false or incomplete | facts, by seed | mean | "
              "shuffled | all right, by seed | mean |", "|" + "---|" * 9]  # fmt: skip
    chance = mean(found["the web"], "chance")
    lines.append(f"| chance | | | | | {chance:.3f} | | | |")
    for arm, runs in found.items():
        averages = {name: mean(runs, name) for name in runs[0]}
        facts, complete = (listed([run[k] for run in runs]) for k in ("facts", "complete"))
        lines.append(
            f"| {arm} | {averages['captions']:,.0f} | {averages['false']:.3f} | "
            f"{averages['wrong']:.3f} | {facts} | {averages['facts']:.3f} | "
            f"{averages['shuffled']:.3f} | {complete} | {averages['complete']:.3f} |"
        )
    lines.append("")
    for seed in range(len(found["CapFilt"])):
        said = []
        for other in ("the web", "random"):
            gain = found["CapFilt"][seed]["facts"] - found[other][seed]["facts"]
            said.append(f"{'ahead' if gain > 0 else 'not ahead'} of {other} ({gain:+.3f})")
        lines.append(f"* run {seed}, facts: CapFilt is {' and '.join(said)}")
    return "\n".join(lines)


def itm_table(found: Mapping[str, list[Result]]) -> str:
    """The table of `itm`, and what hard mismatches gain over random ones, seed by seed."""
    names = {
        "shipped": "the shipped network", "before": "before", "random": "after, random again",
        "hard": "after, hard",
    }  # fmt: skip
    lines = ["| true caption preferred | " + " | ".join(ASKED) + " |", "|---" * 5 + "|"]
    lines.append("| chance | " + " | ".join(["0.500"] * len(ASKED)) + " |")
    for key, label in names.items():
        cells = []
        for change in ASKED:
            values = [run[change] for run in found[key]]
            each = f" ({listed(values)})" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{each}")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    lines.append("")
    for seed, (hard, random) in enumerate(zip(found["hard"], found["random"], strict=True)):
        gains = ", ".join(f"{change} {hard[change] - random[change]:+.3f}" for change in ASKED)
        lines.append(f"* run {seed}, hard less random: {gains}")
    return "\n".join(lines)


def main() -> None:
    """Run what was asked for, or both, and print the tables."""
    asked = sys.argv[1:] or ["capfilt", "itm"]
    if not set(asked) <= {"capfilt", "itm"}:
        sys.exit(f"the experiments are capfilt and itm, but {' '.join(asked)} was asked for")
    start = given()
    for sizes in (Captions(), Captions(pictures=2000)) if "capfilt" in asked else ():
        run = Captioners(start, sizes, KEPT / f"{sizes.pictures} pictures")
        print(f"{run.sizes}\n\n{capfilt_table(run.sources(), run.results())}\n", flush=True)
    if "itm" in asked:
        run = Matchers(start, Pairs())
        print(f"{run.sizes}\n\n{itm_table(run.results())}", flush=True)


if __name__ == "__main__":
    main()
