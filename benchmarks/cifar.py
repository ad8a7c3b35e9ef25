"""SimCLR on real pictures beside lightly: `python -m benchmarks.cifar [PICTURES.npz]`.

Same encoder, batch, views, optimiser, precision and number of steps; then 20 nearest neighbours,
beside centred pixels and an encoder that never learned. Without a file the pictures are CIFAR-10's
(course_lib.data.datasets, downloaded once), the first 10,000 for training and 2,000 for testing; a
file holds uint8 train_images, test_images (N, 32, 32, 3) and train_labels, test_labels.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from lightly.loss import NTXentLoss
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.selfsup import BATCH, TAU, LightlySimCLR, Pictures, lightly_transform
from course_lib.backbones import resnet
from course_lib.blocks.schedule import warmup_cosine
from course_lib.data.datasets import cifar10
from course_lib.data.recipes import SIMCLR
from course_lib.data.views import two_views
from course_lib.evaluate.extract import extract
from course_lib.evaluate.knn import knn
from course_lib.selfsup import simclr
from course_lib.train.fit import AdamW, autocast_type, decay_groups, fit
from course_lib.train.minibatches import minibatches

STEPS, RATE, WARMUP, DECAY = 352, 3e-3, 20, 0.05


def pictures(path: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """→ train pictures and labels, test pictures and labels."""
    if path is None:
        train, test = cifar10("train"), cifar10("test")
        return train.images[:10_000], train.labels[:10_000], test.images[:2000], test.labels[:2000]
    with np.load(Path(path), allow_pickle=False) as file:
        names = ("train_images", "train_labels", "test_images", "test_labels")
        return tuple(file[name] for name in names)


def ours(images: np.ndarray, steps: int, seed: int) -> tuple[resnet.ResNet, float]:
    """→ the encoder after `steps` steps, and the seconds that took."""
    torch.manual_seed(seed)
    model = simclr.SimCLR(resnet.ResNet(resnet.SMALL), simclr.Config(256, 64, TAU))
    # Channels first once, not at every step.
    draw = minibatches(np.ascontiguousarray(images.transpose(0, 3, 1, 2)), batch_size=BATCH)
    began = time.perf_counter()
    fit(
        model, lambda step, g: two_views(draw(step, g), SIMCLR, g), steps,
        train_step=simclr.train_step, lr=RATE, warmup=WARMUP, weight_decay=DECAY, seed=seed,
    )  # fmt: skip
    return model.encoder, time.perf_counter() - began


def lightly(images: np.ndarray, steps: int, seed: int) -> tuple[nn.Sequential, float]:
    """The same by lightly's transform, projector and loss, in a plain loop."""
    torch.manual_seed(seed)
    model, criterion = LightlySimCLR(simclr.Config(256, 64, TAU)).train(), NTXentLoss(TAU)
    optimizer = AdamW(decay_groups(model, DECAY), lr=RATE)
    kind = autocast_type(torch.device("cpu"))
    loader = DataLoader(
        Pictures(images, lightly_transform()), batch_size=BATCH, shuffle=True, drop_last=True,
        num_workers=os.cpu_count() or 1, persistent_workers=True,
    )  # fmt: skip
    began, step = time.perf_counter(), 0
    while step < steps:
        for first, second in loader:
            if step == steps:
                break
            for group in optimizer.param_groups:
                group["lr"] = warmup_cosine(step / steps, RATE, warmup=WARMUP / steps)
            with torch.autocast("cpu", kind, enabled=kind is not None):
                loss = criterion(model(first), model(second))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
    return model.encoder, time.perf_counter() - began


def main() -> None:
    """Train both, three seeds each, and print the table."""
    path = sys.argv[1] if len(sys.argv) > 1 else None
    train, labels, test, asked = pictures(path)
    print(f"{len(train):,} pictures to train, {len(test):,} to ask; {STEPS} steps of {BATCH}, ")
    print(f"{torch.get_num_threads()} threads; the right class by 20 nearest neighbours.\n")
    print("| what | seconds | neighbours |\n|---|---|---|")
    mean = train.mean(axis=0)
    flat = [(x - mean).reshape(len(x), -1).astype(np.float32) for x in (train, test)]

    def score(a: np.ndarray, b: np.ndarray) -> float:
        return knn(a, labels, b, asked).value

    print(f"| chance | – | {np.bincount(asked).max() / len(asked):.3f} |")
    print(f"| centred pixels | – | {score(*flat):.3f} |", flush=True)
    for seed in range(3):
        torch.manual_seed(seed)
        random = resnet.ResNet(resnet.SMALL)
        print(f"| random init, seed {seed} | – | "
              f"{score(extract(random, train), extract(random, test)):.3f} |")  # fmt: skip
        for name, learn in (("ours", ours), ("lightly", lightly)):
            encoder, seconds = learn(train, STEPS, seed)
            value = score(extract(encoder, train), extract(encoder, test))
            print(f"| {name}, seed {seed} | {seconds:.0f} | {value:.3f} |", flush=True)


if __name__ == "__main__":
    main()
