"""CLIP's training step beside open_clip: `python -m benchmarks.clip` prints the table.

A step begins with 256 pictures of 64 × 64, each with a text of 32 tokens, and ends in new weights:
both towers, loss, gradients, AdamW, clamped scale. The sizes are those of clip.TINY for both, but
that open_clip's patches have no bias. The same random pairs, contestants in turns; precision as
`fit` chooses it (bfloat16 where the processor multiplies it), and float32 for comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata

import open_clip.model
import torch
from open_clip.loss import ClipLoss
from torch import nn

from benchmarks.features import Row, race
from course_lib.backbones import modified_resnet
from course_lib.train.fit import AdamW, autocast_type
from course_lib.vision_language import clip

BATCH = 256
RESNET = replace(modified_resnet.TINY, blocks=(1, 1, 1, 1))  # open_clip's has four stages
CONFIGS = {"ViT": clip.TINY, "ModifiedResNet": replace(clip.TINY, vision=RESNET)}


def pairs(config: clip.Config) -> tuple[torch.Tensor, torch.Tensor]:
    """Random pictures and texts, full to the last token, which ends them."""
    text = config.text
    tokens = torch.randint(0, text.end, (BATCH, text.length))
    tokens[:, -1] = text.end
    return torch.rand(BATCH, 3, 64, 64), tokens


def reference(config: clip.Config) -> nn.Module:
    """open_clip's model of the same sizes."""
    vision, text = config.vision, config.text
    if isinstance(vision, modified_resnet.Config):
        layers, width = list(vision.blocks), vision.width
        options = {"layers": layers, "width": width, "head_width": 32 * width // vision.heads}
    else:
        options = {
            "layers": vision.depth, "width": vision.dim, "head_width": vision.dim // vision.heads,
            "patch_size": vision.patch_size,
        }  # fmt: skip
    words = {
        "context_length": text.length, "vocab_size": text.vocabulary, "width": text.dim,
        "heads": text.heads, "layers": text.depth,
    }  # fmt: skip
    return open_clip.model.CLIP(config.dim, options | {"image_size": 64}, words)


def step_of(
    model: nn.Module, loss: Callable[[], torch.Tensor], clamp: Callable[[], object], precision: str
) -> Callable[[], None]:
    """One update of `model`, as `fit` makes it."""
    optimizer = AdamW(model.parameters(), lr=1e-3)
    kind = autocast_type(torch.device("cpu"), precision)

    def step() -> None:
        with torch.autocast("cpu", kind, enabled=kind is not None):
            value = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        clamp()

    return step


def clip_row(name: str, precision: str, rounds: int) -> Row:
    config = CONFIGS[name]
    torch.manual_seed(0)
    images, tokens = pairs(config)
    ours, theirs, criterion = clip.CLIP(config).train(), reference(config).train(), ClipLoss()
    our_step = step_of(
        ours,
        lambda: clip.train_step(ours, (images, tokens), 0.0)["loss"],
        lambda: clip.after_step(ours, 0.0),
        precision,
    )
    their_step = step_of(
        theirs,
        lambda: criterion(*theirs(images, tokens)),
        lambda: theirs.logit_scale.data.clamp_(0, math.log(100)),
        precision,
    )
    mine, peer = race(our_step, their_step, rounds=rounds)
    note = f"{BATCH / mine:,.0f} and {BATCH / peer:,.0f} pairs/s"
    return Row(f"CLIP step, {name}, {precision}", "open_clip", mine, peer, 1.0, None, note)


def rows(rounds: int = 3, precisions: tuple[str, ...] = ("auto", "float32")) -> Iterator[Row]:
    """Every line of the table, measured as it is asked for."""
    for precision in precisions:
        for name in CONFIGS:
            yield clip_row(name, precision, rounds)


def main() -> None:
    """Measure, and print the table as it grows."""
    versions = ", ".join(f"{n} {metadata.version(n)}" for n in ("torch", "open_clip_torch"))
    kind = autocast_type(torch.device("cpu")) or torch.float32
    print(f"Milliseconds a step of {BATCH} pairs, {torch.get_num_threads()} threads; {versions};")
    print(f"`auto` is {str(kind).removeprefix('torch.')} here.\n")
    print("| what | ours | peer | peer's | ratio | at most | | |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
