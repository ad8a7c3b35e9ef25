"""Batched views beside torchvision and kornia: `python -m benchmarks.views` prints the table.

Two cores for everyone: two threads for ours and for kornia's batched transforms; for torchvision,
which changes one picture at a time, a DataLoader with two workers that stay alive, on PIL pictures
as its CIFAR10 gives them (faster than on tensors). All draw one view of each of 1,024 pictures by
SimCLR's recipe, hue in HSV included, and end with float32 (1024, 3, size, size).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata

import kornia.augmentation as kornia
import torch
import torchvision.transforms.v2 as torchvision
from torch.utils.data import DataLoader, Dataset

from benchmarks.features import Row, race
from course_lib.data.recipes import SIMCLR, View
from course_lib.data.views import augment

PICTURES = 1024
THREADS = 2


class PerPicture(Dataset):
    """PIL pictures, changed one by one by `transform`; repeated, so that both workers get some."""

    def __init__(self, images: torch.Tensor, transform: Callable, repeats: int) -> None:
        self.pictures = [torchvision.functional.to_pil_image(image) for image in images]
        self.transform = transform
        self.repeats = repeats

    def __len__(self) -> int:
        return self.repeats * len(self.pictures)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.transform(self.pictures[index % len(self.pictures)])


def torchvision_transform(view: View) -> torchvision.Transform:
    """The same recipe, stage by stage."""
    strengths = (view.brightness, view.contrast, view.saturation, view.hue)
    blur = torchvision.GaussianBlur(view.kernel, view.sigma)
    return torchvision.Compose(
        [
            torchvision.RandomResizedCrop(view.size, view.scale, view.ratio),
            torchvision.RandomHorizontalFlip(view.flip),
            torchvision.RandomApply([torchvision.ColorJitter(*strengths)], view.jitter),
            torchvision.RandomGrayscale(view.grey),
            *([torchvision.RandomApply([blur], view.blur)] if view.blur else []),
            torchvision.ToImage(),
            torchvision.ToDtype(torch.float32, scale=True),
        ]
    )


def kornia_transform(view: View) -> torch.nn.Sequential:
    """The same recipe, batched; its ColorJitter has torchvision's formulas."""
    size = (view.size, view.size)
    strengths = (view.brightness, view.contrast, view.saturation, view.hue)
    kernel = (view.kernel, view.kernel)
    return torch.nn.Sequential(
        kornia.RandomResizedCrop(size, view.scale, view.ratio),
        kornia.RandomHorizontalFlip(view.flip),
        kornia.ColorJitter(*strengths, p=view.jitter),
        kornia.RandomGrayscale(p=view.grey),
        *([kornia.RandomGaussianBlur(kernel, view.sigma, p=view.blur)] if view.blur else []),
    )


def rows_of(size: int, blur: float, rounds: int) -> tuple[Row, Row]:
    """→ ours beside torchvision, ours beside kornia, from turns in one run."""
    view = replace(SIMCLR.views[0], size=size, blur=blur)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(PICTURES, 3, size, size, generator=generator)
    theirs = kornia_transform(view)
    repeats = 4  # two batches for each worker, so that neither waits for the other
    loader = DataLoader(
        PerPicture(images, torchvision_transform(view), repeats),
        batch_size=PICTURES,
        num_workers=THREADS,
        persistent_workers=True,
    )
    for _ in loader:  # starts the workers
        pass
    per_picture = race(lambda: [len(batch) for batch in loader], rounds=max(1, rounds // 2))[0]
    ours, batched = race(
        lambda: augment(images, view, generator), lambda: theirs(images), rounds=2 * rounds
    )
    what = f"SimCLR's view{' with blur' if blur else ''}, {size} × {size}"
    note = f"{PICTURES / ours:,.0f} and {{:,.0f}} pictures/s"
    per_picture /= repeats
    # Promised are the ratios at 32 × 32; those of larger pictures are only shown.
    eighth, quarter = (1 / 8, 1 / 4) if size == 32 else (None, None)
    return (
        Row(what, "torchvision", ours, per_picture, eighth, None, note.format(1024 / per_picture)),
        Row(what, "kornia", ours, batched, quarter, None, note.format(PICTURES / batched)),
    )


def rows(rounds: int = 5, sizes: tuple[int, ...] = (32, 64)) -> Iterator[Row]:
    """Every line of the table, measured as it is asked for."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        for size in sizes:
            for blur in (0.0, 0.5):
                yield from rows_of(size, blur, rounds)
    finally:
        torch.set_num_threads(before)


def main() -> None:
    """Measure, and print the table as it grows."""
    versions = ", ".join(f"{n} {metadata.version(n)}" for n in ("torch", "torchvision", "kornia"))
    print(f"Milliseconds for {PICTURES} pictures, {THREADS} cores; {versions}.\n")
    print(
        "| what | ours | peer | peer's | ratio | at most | | |",
        "|---|---|---|---|---|---|---|---|",
        sep="\n",
    )
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
