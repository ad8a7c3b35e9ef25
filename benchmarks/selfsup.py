"""Training steps beside lightly and transformers: `python -m benchmarks.selfsup` prints the table.

A SimCLR step begins with pictures and ends with new weights: two views of each of 256 pictures of
32 × 32, a small ResNet, loss, gradients, AdamW. Ours draws the views of a batch at once; lightly's
transform works picture by picture, in a DataLoader with one worker a core. An MAE step is that of
transformers' ViTMAEForPreTraining with the same sizes. Same precision for both, as `fit` chooses
it (bfloat16 where the processor multiplies it), and float32 for comparison.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import metadata

import numpy as np
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models.resnet import BasicBlock
from torchvision.transforms.v2.functional import to_pil_image
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from benchmarks.features import Row, race
from course_lib.backbones import resnet, vit
from course_lib.data.recipes import SIMCLR
from course_lib.data.views import two_views
from course_lib.selfsup import mae, simclr
from course_lib.train.fit import AdamW, autocast_type

BATCH, TAU = 256, 0.2
MAE = mae.Config(
    vit.Config(image_size=64, patch_size=8, dim=128, depth=4, heads=4, positions="fixed"),
    decoder_dim=96, decoder_depth=1, decoder_heads=4,
)  # fmt: skip
Step = Callable[[], torch.Tensor]


class Pictures(Dataset):
    """PIL pictures, as torchvision's CIFAR10 gives them, `repeats` times; changed one by one."""

    def __init__(self, images: np.ndarray, transform: Callable, repeats: int = 1) -> None:
        self.pictures = [to_pil_image(image) for image in images]
        self.transform, self.repeats = transform, repeats

    def __len__(self) -> int:
        return self.repeats * len(self.pictures)

    def __getitem__(self, index: int) -> list[torch.Tensor]:
        return self.transform(self.pictures[index % len(self.pictures)])


def lightly_transform() -> SimCLRTransform:
    """SIMCLR of course_lib.data.recipes, in lightly's words."""
    return SimCLRTransform(input_size=32, cj_strength=0.5, gaussian_blur=0.0, normalize=None)


def torchvision_encoder() -> nn.Sequential:
    """`resnet.SMALL` in torchvision's blocks, with random weights drawn as ours are."""

    def stage(inside: int, out: int) -> nn.Sequential:
        shortcut = nn.Sequential(nn.Conv2d(inside, out, 1, 2, bias=False), nn.BatchNorm2d(out))
        halves = inside != out
        return nn.Sequential(
            BasicBlock(inside, out, 2, shortcut) if halves else BasicBlock(inside, out)
        )

    encoder = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 64, 3, 2, 1, bias=False), bn1=nn.BatchNorm2d(64), relu=nn.ReLU(),
            layer1=stage(64, 64), layer2=stage(64, 128), layer3=stage(128, 256),
            mean=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(),
        )
    )  # fmt: skip
    encoder.load_state_dict(resnet.ResNet(resnet.SMALL).state_dict())
    return encoder


class LightlySimCLR(nn.Module):
    """The same network in torchvision's blocks, under lightly's projector."""

    def __init__(self, config: simclr.Config) -> None:
        super().__init__()
        self.encoder = torchvision_encoder()
        self.head = SimCLRProjectionHead(resnet.SMALL.channels[-1], config.hidden, config.out)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(images))


def _step(
    model: nn.Module,
    draw: Callable[[], Sequence[torch.Tensor]],
    loss: Callable[..., torch.Tensor],
    precision: str,
) -> Step:
    """One update of `model` on the batch that `draw` gives, as `fit` makes it."""
    optimizer = AdamW(model.parameters(), lr=1e-3)
    kind = autocast_type(torch.device("cpu"), precision)

    def step() -> torch.Tensor:
        batch = draw()
        with torch.autocast("cpu", kind, enabled=kind is not None):
            value = loss(*batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value

    return step


def simclr_row(precision: str, rounds: int) -> Row:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(BATCH, 3, 32, 32, generator=generator)
    config = replace(simclr.TINY, tau=TAU)
    ours = simclr.SimCLR(resnet.ResNet(resnet.SMALL), config).train()
    our_step = _step(
        ours,
        lambda: two_views(images, SIMCLR, generator),
        lambda *views: simclr.train_step(ours, views, 0.0)["loss"],
        precision,
    )
    theirs, criterion, repeats = LightlySimCLR(config).train(), NTXentLoss(TAU), 4
    loader = DataLoader(
        Pictures(images.numpy().transpose(0, 2, 3, 1), lightly_transform(), repeats),
        batch_size=BATCH, num_workers=os.cpu_count() or 1, persistent_workers=True,
    )  # fmt: skip
    batch: list[torch.Tensor] = []
    their_step = _step(
        theirs, lambda: batch, lambda a, b: criterion(theirs(a), theirs(b)), precision
    )

    def their_epoch() -> None:
        for views in loader:
            batch[:] = views
            their_step()

    their_epoch()  # starts the workers
    our_step()
    (peer,) = race(their_epoch, rounds=max(1, rounds // 2))
    peer /= repeats
    (mine,) = race(our_step, rounds=2 * rounds)
    note = f"{BATCH / mine:,.0f} and {BATCH / peer:,.0f} pictures/s"
    what = f"SimCLR step, views included, {precision}"
    return Row(what, "lightly", mine, peer, 1 / 2, None, note)


def mae_row(precision: str, rounds: int) -> Row:
    c, images = MAE, torch.rand(BATCH, 3, 64, 64)
    ours = mae.MAE(c).train()
    our_step = _step(
        ours, lambda: [images], lambda x: mae.train_step(ours, x, 0.0)["loss"], precision
    )
    theirs = ViTMAEForPreTraining(
        ViTMAEConfig(
            hidden_size=c.encoder.dim,
            num_hidden_layers=c.encoder.depth,
            num_attention_heads=c.encoder.heads,
            intermediate_size=4 * c.encoder.dim,
            image_size=64,
            patch_size=8,
            decoder_hidden_size=c.decoder_dim,
            decoder_num_hidden_layers=c.decoder_depth,
            decoder_num_attention_heads=c.decoder_heads,
            decoder_intermediate_size=4 * c.decoder_dim,
            norm_pix_loss=c.normalise,
        )
    ).train()
    their_step = _step(theirs, lambda: [images], lambda x: theirs(x).loss, precision)
    mine, peer = race(our_step, their_step, rounds=rounds)
    note = f"{BATCH / mine:,.0f} and {BATCH / peer:,.0f} pictures/s"
    return Row(f"MAE step, {precision}", "transformers", mine, peer, 1 / 1.2, None, note)


def rows(rounds: int = 5, precisions: tuple[str, ...] = ("auto", "float32")) -> Iterator[Row]:
    """Every line of the table, measured as it is asked for."""
    for precision in precisions:
        yield simclr_row(precision, rounds)
        yield mae_row(precision, rounds)


def main() -> None:
    """Measure, and print the table as it grows."""
    names = ("torch", "lightly", "transformers")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    kind = autocast_type(torch.device("cpu")) or torch.float32
    print(
        f"Milliseconds a step of {BATCH} pictures, {torch.get_num_threads()} threads; {versions};"
    )
    print(f"`auto` is {str(kind).removeprefix('torch.')} here.\n")
    print(
        "| what | ours | peer | peer's | ratio | at most | | |",
        "|---|---|---|---|---|---|---|---|",
        sep="\n",
    )
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
