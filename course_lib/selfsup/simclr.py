"""SimCLR: two views of one picture shall be near each other, and far from all other pictures.

Chen, Kornblith, Norouzi, Hinton: A Simple Framework for Contrastive Learning of Visual
Representations, ICML 2020.
Idea: every picture is augmented twice, and among the 2N views of a batch each has to find its
partner. What the augmentation changes is thereby forgotten, what it leaves is learned.

Lesson     notebooks/07_simclr.ipynb
Reference  lightly NTXentLoss and SimCLRProjectionHead, pytorch-metric-learning NTXentLoss: losses,
           outputs, gradients
Recipe     §2.2 and appendix B, on ImageNet: LARS, batch 4,096, rate 0.3 · batch / 256, weight decay
           1e-6, 10 epochs of warm-up, then cosine; τ = 0.1, 100 to 1,000 epochs of ResNet-50.
           Appendix B.9, on CIFAR-10: τ = 0.5, no blur. Views: SIMCLR_IMAGENET and SIMCLR of
           course_lib.data.recipes.
Differs
  * The encoder is any module with a width `dim`; the paper's is a ResNet.
  * The projector has batch norm behind both layers, which the authors' code has and eq. (g(h) =
    W₂ σ(W₁ h)) leaves out; theirs lets the last one have no shift.
  * Batch norm takes its means over both views of one process's pictures; the authors' over all
    processes.
  * AdamW in place of LARS (course_lib.train.fit).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn, promote_types
from torch.nn.functional import cross_entropy, normalize

from course_lib.backbones import resnet
from course_lib.blocks.convert import load_reference
from course_lib.blocks.gather import gather, rank, world_size


def _check_temperature(tau: float) -> None:
    if not tau > 0:
        raise ValueError(f"the temperature must be above 0, but it is {tau}")


@dataclass(frozen=True)
class Config:
    hidden: int = 2048  # width of the projector's hidden layer
    out: int = 128  # width of z, on which the loss works
    tau: float = 0.1  # temperature: how much the nearest of the others count

    def __post_init__(self) -> None:
        _check_temperature(self.tau)


TINY = Config(hidden=256, out=64, tau=0.2)
IMAGENET = Config()


class SimCLR(nn.Module):
    """An encoder f and a projector g: pictures x → features h = f(x) → projections z = g(h).

    The loss sees z only, and g is thrown away afterwards: `forward` gives h.
    """

    def __init__(self, encoder: nn.Module, config: Config = TINY) -> None:
        super().__init__()
        self.config, self.encoder, self.dim = config, encoder, encoder.dim
        self.projector = nn.Sequential(
            nn.Linear(encoder.dim, config.hidden, bias=False),
            nn.BatchNorm1d(config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.out, bias=False),
            nn.BatchNorm1d(config.out),
        )

    def project(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → projections z (B, out)."""
        return self.projector(self.encoder(images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → features h (B, D)."""
        return self.encoder(images)


def similarities(z1: torch.Tensor, z2: torch.Tensor, tau: float) -> torch.Tensor:
    """Projections of N pictures' two views, (N, d) twice → cosine / τ of all 2N, (2N, 2N).

    Rows and columns: the first views of all pictures, then the second views. The diagonal, each
    view with itself, is −∞. With several processes, rows are this one's views, (2N, 2NR).
    """
    if z1.shape != z2.shape or z1.ndim != 2 or not len(z1) or len(z1) * world_size() < 2:
        raise ValueError(
            "two views of the same pictures, (N, d) each and N at least 2, are expected, "
            f"but {tuple(z1.shape)} and {tuple(z2.shape)} were given"
        )
    _check_temperature(tau)
    z1, z2 = (normalize(z.to(promote_types(z.dtype, torch.float32)), dim=1) for z in (z1, z2))
    everybody = torch.cat([gather(z1), gather(z2)])
    with torch.autocast(z1.device.type, enabled=False):  # 1 / τ would enlarge bfloat16's rounding
        cosines = torch.cat([z1, z2]) @ everybody.T / tau
    itself, _ = _places(len(z1), len(everybody), z1.device)
    return cosines.scatter(1, itself[:, None], -torch.inf)


def nt_xent(z1: torch.Tensor, z2: torch.Tensor, tau: float) -> torch.Tensor:
    """Projections of N pictures' two views, (N, d) twice → the loss, a scalar (eq. 1).

    The mean over all 2N views i, with partner j, of −log exp(s_ij / τ) / Σ_k≠i exp(s_ik / τ): the
    cross-entropy of naming one's partner among the 2N − 1 others. Negatives come from all
    processes. Raises ValueError for other shapes, and for a single picture: it has no negative.
    """
    logits = similarities(z1, z2, tau)
    _, partner = _places(len(z1), logits.shape[1], z1.device)
    return cross_entropy(logits, partner)


def train_step(
    model: SimCLR, batch: tuple[torch.Tensor, torch.Tensor], progress: float
) -> dict[str, torch.Tensor]:
    """Two views, (B, 3, H, W) each → loss, and how often a view finds its partner first."""
    view1, view2 = batch
    z1, z2 = model.project(torch.cat([view1, view2])).chunk(2)
    logits = similarities(z1, z2, model.config.tau)
    _, partner = _places(len(z1), logits.shape[1], logits.device)
    found = (logits.argmax(dim=1) == partner).float().mean()
    return {"loss": cross_entropy(logits, partner), "partner_found": found}


def _places(n: int, columns: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Of this process's 2n views → the columns (2n,) of each itself, and of its partner."""
    first = rank() * n + torch.arange(n, device=device)
    second = first + columns // 2
    return torch.cat([first, second]), torch.cat([second, first])


PROJECTOR = {
    "projection_head.layers.*.weight": "projector.*.weight",
    "projection_head.layers.*.bias": "projector.*.bias",
    "projection_head.layers.*.running_*": "projector.*.running_*",
    "projection_head.layers.*.num_batches_tracked": "projector.*.num_batches_tracked",
}


def from_reference(
    state_dict: Mapping[str, torch.Tensor], config: resnet.Config, tau: float = 0.1
) -> SimCLR:
    """Weights of lightly's form, `backbone` a torchvision ResNet and `projection_head` → SimCLR.

    `config` is the ResNet's, e.g. resnet.RESNET50. Raises ValueError for names or shapes that do
    not fit.
    """
    first, last = "projection_head.layers.0.weight", "projection_head.layers.3.weight"
    if first not in state_dict or last not in state_dict:
        raise ValueError(f"{first} and {last} are expected, but they are not both there")
    ours = Config(hidden=len(state_dict[first]), out=len(state_dict[last]), tau=tau)
    table = {f"backbone.{name}": f"encoder.{name}" for name in resnet.NAMES} | PROJECTOR
    return load_reference(
        SimCLR(resnet.ResNet(config), ours), state_dict, table, ignored=["backbone.fc.*"]
    )
