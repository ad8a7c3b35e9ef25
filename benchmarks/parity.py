"""The same arithmetic on the CPU and on the accelerator: `python -m benchmarks.parity`.

A case is a function of a device: it makes its weights and inputs from a seed on the CPU, moves them
there, computes, and returns what came out by name (gradients too). Everything is float32 without
TF32, so that what remains is the order of sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from course_lib.backbones.resnet import RESNET18, RESNET50, SMALL, ResNet
from course_lib.backbones.vit import TINY, Config, ViT
from course_lib.blocks.attention import Attention, explicit_attention, fused_attention
from course_lib.blocks.device import best_device
from course_lib.blocks.masking import draw_hidden
from course_lib.blocks.mlp import MLP
from course_lib.blocks.patches import PatchEmbed, patchify
from course_lib.blocks.positions import resize, sincos_2d
from course_lib.blocks.transformer import Block
from course_lib.data import recipes, views
from course_lib.selfsup import dino, mae, simclr
from course_lib.vision_language import blip, clip, llava

LIMIT = 1e-4  # greatest difference / greatest value that rounding alone may make in a deep network
Case = Callable[[torch.device], Mapping[str, torch.Tensor]]


@dataclass(frozen=True)
class Difference:
    """One line of the report: the greatest difference of one output, and what it is measured by."""

    case: str
    output: str
    difference: float
    greatest: float  # value of that output; of a gradient: of any gradient in the case

    @property
    def relative(self) -> float:
        return self.difference / self.greatest if self.greatest else self.difference

    @property
    def is_small(self) -> bool:
        return self.relative <= LIMIT  # NaN is not

    def __str__(self) -> str:
        verdict = "" if self.is_small else "**differs**"
        return (
            f"| {self.case} | {self.output} | {self.difference:.1e} | {self.relative:.1e} "
            f"| {verdict} |"
        )


def compare(name: str, case: Case, device: torch.device) -> Difference:
    """The output of `case` that differs most, relative to its size, between CPU and `device`.

    Raises ValueError if the two runs do not return the same names and shapes.
    """
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        ours, theirs = case(torch.device("cpu")), case(device)
    shapes = [{key: tuple(value.shape) for key, value in run.items()} for run in (ours, theirs)]
    if shapes[0] != shapes[1] or not shapes[0]:
        raise ValueError(f"{name} gives {shapes[0]} on the CPU, but {shapes[1]} on {device}")
    ours, theirs = (
        {key: x.detach().cpu().double() for key, x in run.items()} for run in (ours, theirs)
    )
    greatest = {key: float(x.abs().max()) for key, x in ours.items()}
    # The true gradient of a key's bias is 0, and rounding is all there is of it: it has no size of
    # its own to be measured by.
    steepest = max((size for key, size in greatest.items() if key.startswith("∂")), default=0.0)
    lines = [
        Difference(
            name,
            key,
            float((ours[key] - theirs[key]).abs().max()),
            steepest if key.startswith("∂") else greatest[key],
        )
        for key in ours
    ]
    return max(lines, key=lambda line: (math.isnan(line.relative), line.relative))


def function_case(function: Callable[..., torch.Tensor], *shapes: tuple[int, ...]) -> Case:
    """A pure function of tensors of these shapes → a case: its output and its gradients."""

    def run(device: torch.device) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        inputs = [torch.randn(s, generator=generator).to(device).requires_grad_() for s in shapes]
        return _backward(function(*inputs), {f"input {i}": x for i, x in enumerate(inputs)})

    return run


def module_case(make: Callable[[], nn.Module], *shape: int, train: bool = True) -> Case:
    """A network, and the shape of its input → a case: output, gradients, and buffers behind it."""

    def run(device: torch.device) -> dict[str, torch.Tensor]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = make()
            x = torch.rand(shape)
        module.to(device).train(train)
        found = _backward(module(x.to(device)), dict(module.named_parameters()))
        return {**found, **dict(module.named_buffers())}

    return run


def _backward(output: torch.Tensor, leaves: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Backward from an uneven sum of the output (a plain sum has no gradient through a norm)."""
    weights = torch.linspace(-1, 1, output.numel()).reshape(output.shape).to(output.device)
    (output * weights).sum().backward()
    gradients = {f"∂ {name}": x.grad for name, x in leaves.items() if x.grad is not None}
    return {"output": output, **gradients}


def _masked(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Fused attention where the last query may attend to nothing."""
    may_attend = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril()
    may_attend[-1] = False
    return fused_attention(q, k, v, may_attend)


def view_case(view: recipes.View) -> Case:
    """One view of 64 pictures; its parameters are drawn on the CPU: the same for both devices."""

    def run(device: torch.device) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(64, 3, 40, 48, generator=generator).to(device).float()
        return {"output": views.augment(images, view, generator)}

    return run


def _dino_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    centre = torch.linspace(-1, 1, student.shape[-1]).to(student.device, student.dtype)
    return dino.dino_loss(student, teacher, centre, 0.1, 0.04)


class _MaskedLoss(mae.MAE):
    """MAE's loss as a network's output, under one mask for all devices."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        hidden = draw_hidden("random", len(images), self.grid_of(images), 0.75, generator)
        return self.loss(images, hidden.to(images.device))


class _Losses(blip.BLIP):
    """BLIP's three losses; its mismatches are the neighbours, for devices draw other ones."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = torch.arange(1, 4 * len(images) + 1, device=images.device).view(-1, 4)
        seen = self.matcher.vision.tokens(images)
        itc, _, _ = self.contrast(images, seen, tokens, alpha=0.4)
        match = self.matcher.match(torch.cat([seen, seen.roll(1, 0)]), tokens.repeat(2, 1))
        is_pair = (torch.arange(len(match), device=match.device) < len(images)).long()
        return torch.stack([itc, cross_entropy(match, is_pair), self.tell(seen, tokens)])


class _Shown(llava.LLaVA):
    """LLaVA's logits of texts with a picture at their second place."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = torch.arange(1, 4 * len(images) + 1, device=images.device).view(-1, 4)
        tokens[:, 1] = self.config.image_token
        return super().forward(images, tokens)


QKV = [(2, 3, 17, 8), (2, 3, 17, 8), (2, 3, 17, 8)]
FULL = Config(image_size=32, patch_size=8, dim=48, depth=3, heads=3, registers=2, layer_scale=0.1)
CASES: dict[str, Case] = {
    "patchify": function_case(lambda images: patchify(images, 8), (2, 3, 16, 32)),
    "positions, resized": function_case(lambda x: resize(x, (4, 4), (7, 3)), (16, 12)),
    "positions, fixed": lambda device: {"output": sincos_2d((5, 7), 64).to(device)},
    "attention, explicit": function_case(explicit_attention, *QKV),
    "attention, fused": function_case(fused_attention, *QKV),
    "attention, fused and masked": function_case(_masked, *QKV),
    "Attention": module_case(lambda: Attention(24, 3), 2, 17, 24),
    "MLP": module_case(lambda: MLP(24), 2, 17, 24),
    "Block": module_case(lambda: Block(24, 3, layer_scale=0.1), 2, 17, 24),
    "PatchEmbed": module_case(lambda: PatchEmbed(8, 24), 2, 3, 16, 32),
    "ViT, TINY": module_case(lambda: ViT(TINY), 4, 3, 64, 64),
    "ViT, registers, LayerScale, 48 × 64": module_case(lambda: ViT(FULL), 4, 3, 48, 64),
    "ResNet, SMALL": module_case(lambda: ResNet(SMALL), 8, 3, 32, 32),
    "views, SimCLR": view_case(recipes.SIMCLR.views[0]),
    "views, DINO's second global": view_case(recipes.DINO.views[1]),
    "SimCLR's loss": function_case(lambda a, b: simclr.nt_xent(a, b, 0.2), (6, 16), (6, 16)),
    "DINO's loss": function_case(_dino_loss, (4, 5, 12), (2, 5, 12)),
    "DINO, student's network": module_case(lambda: dino.Network(dino.TINY), 4, 3, 48, 48),
    "MAE with its loss": module_case(lambda: _MaskedLoss(mae.TINY), 4, 3, 64, 64),
    "CLIP's loss": function_case(lambda a, b: clip.clip_loss(a, b, 10.0), (6, 16), (6, 16)),
    "CLIP, image tower": module_case(lambda: clip.CLIP(clip.TINY), 4, 3, 64, 64),
    "BLIP, its three losses": module_case(lambda: _Losses(blip.TINY), 4, 3, 64, 64),
    "LLaVA": module_case(lambda: _Shown(llava.TINY), 4, 3, 64, 64),
    # In training, many batch norms in a row multiply any rounding a thousandfold.
    "ResNet-18": module_case(lambda: ResNet(RESNET18), 4, 3, 64, 64, train=False),
    "ResNet-50": module_case(lambda: ResNet(RESNET50), 4, 3, 64, 64, train=False),
}


def report(cases: Mapping[str, Case], device: torch.device) -> Iterator[Difference]:
    """One line a case, as it is computed."""
    for name, case in cases.items():
        yield compare(name, case, device)


def main(cases: Mapping[str, Case] = CASES) -> int:
    """Print the table; return how many cases differ by more than rounding."""
    device = torch.device(best_device())
    if device.type == "cpu":
        print("Torch sees no accelerator here, so there is nothing to compare with the CPU.")
        return 0
    print(f"CPU beside {device}, float32 without TF32; at most {LIMIT:.0e} of the greatest value.")
    print("| case | output | greatest difference | relative | |\n|---|---|---|---|---|")
    wrong = 0
    for line in report(cases, device):
        wrong += not line.is_small
        print(line, flush=True)
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
