"""DINO: a student names, from any crop, what its own slow average sees in two large ones.

Caron, Touvron, Misra, Jégou, Mairal, Bojanowski, Joulin: Emerging Properties in Self-Supervised
Vision Transformers, ICCV 2021.
Idea: student and teacher each sort a view into one of K classes that nobody has defined, and the
student is trained to agree with the teacher on other views of the picture. Nothing pushes pictures
apart; centring (no class may win always) and sharpening (each view takes a stand) together keep
everything from becoming equal. The class token's attention then lies on the objects.

Lesson     notebooks/08_dino.ipynb
Reference  lightly DINOLoss, DINOProjectionHead: losses, centre, gradients; transformers' ViT
Recipe     §3.2, on ImageNet, ViT-S/16: AdamW, batch 1,024, rate 5e-4 · batch / 256, warm-up of 10
           of 300 epochs, cosine; weight decay 0.04 → 0.4; K = 65,536; EMA 0.996 → 1; τ_s = 0.1, τ_t
           0.04 → 0.07 in 30 epochs; last layer frozen for 1; views: course_lib.data.recipes.DINO.
Differs
  * The last layer's rows are made unit vectors where they are used (the authors' norm_last_layer).
  * No batch norm in the head (the authors': only for convolutional encoders).
  * Weight decay is constant, and one norm of all gradients is cut (course_lib.train.fit).
  * Temperatures and freezing run by the share of the training that is done, not by epochs.
  * Of ViT-S the authors' probe joins the class tokens of four layers; of ViT-B it has `features`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear, log_softmax, normalize, softmax

from course_lib.backbones import vit
from course_lib.blocks.convert import load_reference
from course_lib.blocks.ema import follow, slow_copy
from course_lib.blocks.gather import mean_across
from course_lib.blocks.schedule import ema_momentum


@dataclass(frozen=True)
class Config:
    encoder: vit.Config = vit.S16
    prototypes: int = 65_536  # K, classes that nobody has defined
    hidden: int = 2048  # width of the head's two hidden layers
    bottleneck: int = 256  # width before the last layer
    tau_student: float = 0.1
    tau_teacher: tuple[float, float] = (0.04, 0.07)  # at the start, and after the warm-up
    tau_warmup: float = 0.3  # share of the training in which the teacher's rises
    centre_momentum: float = 0.9  # 1: the centre stays at 0, there is no centring
    ema: float = 0.996  # what the teacher keeps of itself at first, 1 at the end; 0: ever nothing
    freeze: float = 0.01  # share of the training in which the last layer stands still


TINY = Config(
    vit.Config(image_size=64, patch_size=8, dim=96, depth=4, heads=4),
    prototypes=512, hidden=256, bottleneck=64, tau_teacher=(0.04, 0.04), ema=0.99,
)  # fmt: skip
S16 = Config()
B16 = Config(vit.B16)


class Head(nn.Module):
    """Features (B, D) → logits (B, K): an MLP, then cosines with K prototypes."""

    def __init__(self, dim: int, config: Config) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(dim, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, config.bottleneck),
        )
        self.prototypes = nn.Parameter(torch.empty(config.prototypes, config.bottleneck))
        nn.init.uniform_(self.prototypes, -(config.bottleneck**-0.5), config.bottleneck**-0.5)
        for layer in self.mlp[::2]:
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, features: torch.Tensor, frozen: bool = False) -> torch.Tensor:
        """Features (B, D) → cosines (B, K); `frozen`: the prototypes get no gradient."""
        prototypes = self.prototypes.detach() if frozen else self.prototypes
        return linear(normalize(self.mlp(features), dim=1), normalize(prototypes, dim=1))


class Network(nn.Module):
    """An encoder and a head: student and teacher are two of these."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.encoder = vit.ViT(config.encoder)
        self.head = Head(config.encoder.dim, config)

    def forward(self, images: torch.Tensor, frozen: bool = False) -> torch.Tensor:
        """Images (B, 3, H, W) → logits (B, K)."""
        return self.head(self.encoder(images), frozen)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → (B, 2D): class token and mean patch, what ViT-B's probe reads."""
        tokens = self.encoder.tokens(images)
        return torch.cat([tokens[:, 0], tokens[:, self.encoder.prefix_tokens :].mean(1)], dim=1)


class DINO(nn.Module):
    """A student, and a teacher that follows it. One uses the teacher's encoder."""

    def __init__(self, config: Config = TINY) -> None:
        super().__init__()
        if not config.encoder.class_token:
            raise ValueError("DINO's encoder has a class token, but this config has none")
        self.config, self.dim = config, config.encoder.dim
        self.student = Network(config)
        self.teacher = slow_copy(self.student)
        self.register_buffer("centre", torch.zeros(config.prototypes))
        self.register_buffer("batch_mean", torch.zeros(config.prototypes), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) → the teacher's features (B, D)."""
        return self.teacher.encoder(images)

    @torch.no_grad()
    def attention(self, images: torch.Tensor, layer: int = -1) -> torch.Tensor:
        """Images (B, 3, H, W) → where the class token looks in the teacher's block `layer`.

        (B, heads, h, w): one map a head, summing to 1 less what the prefix tokens keep.
        """
        size, first = self.config.encoder.patch_size, self.teacher.encoder.prefix_tokens
        maps = self.teacher.encoder.attention_maps(images)[:, layer, :, 0, first:]
        return maps.unflatten(-1, (images.shape[2] // size, images.shape[3] // size))


def dino_loss(
    student: torch.Tensor,
    teacher: torch.Tensor,
    centre: torch.Tensor,
    tau_student: float,
    tau_teacher: float,
) -> torch.Tensor:
    """Logits of V views (V, B, K) and of the T that the teacher saw (T, B, K), the first of those.

    → eq. 3, the mean of −Σ_k p_t log p_s over pictures and pairs of different views, a scalar, with
    p_t = softmax((teacher − centre) / τ_t), p_s = softmax(student / τ_s). ValueError for no pair.
    """
    V, T = len(student), len(teacher)
    if not (2 <= V >= T >= 1 and student.ndim == 3 and student.shape[1:] == teacher.shape[1:]):
        raise ValueError(
            "logits of V ≥ 2 views (V, B, K) and of T ≤ V of them (T, B, K) are expected, "
            f"but {tuple(student.shape)} and {tuple(teacher.shape)} were given"
        )
    targets = teacher_probabilities(teacher, centre, tau_teacher)
    guesses = log_softmax(_precise(student) / tau_student, dim=-1)
    pairs = -torch.stack([(target * guesses).sum(dim=-1).mean(dim=-1) for target in targets])
    return pairs[~torch.eye(T, V, dtype=torch.bool, device=pairs.device)].mean()


def teacher_probabilities(teacher: torch.Tensor, centre: torch.Tensor, tau: float) -> torch.Tensor:
    """Logits (…, K), centre (K,) → probabilities (…, K): centred, then sharpened by τ."""
    return softmax((_precise(teacher) - centre) / tau, dim=-1)


def teacher_temperature(config: Config, progress: float) -> float:
    """τ_t at a share of the training: rising in a straight line, then constant."""
    start, end = config.tau_teacher
    done = min(1.0, progress / config.tau_warmup) if config.tau_warmup else 1.0
    return start + (end - start) * done


def train_step(
    model: DINO, batch: Sequence[torch.Tensor], progress: float
) -> dict[str, torch.Tensor]:
    """Views of B pictures, each (B, 3, S, S), the two global ones first → loss and two entropies.

    `doubt`: entropy of the teacher's answer to one view (0: it takes a stand); `variety`:
    entropy of its mean answer (ln K: all classes are used). Both nats; equal ones mean collapse.
    """
    c, frozen = model.config, progress < model.config.freeze
    with torch.no_grad():  # and in eval mode: the student alone drops branches
        teacher = model.teacher.eval()(torch.cat(list(batch[:2]))).unflatten(0, (2, -1))
    student = by_size(lambda views: model.student(views, frozen), batch)
    tau = teacher_temperature(c, progress)
    loss = dino_loss(student, teacher, model.centre, c.tau_student, tau)
    model.batch_mean.copy_(_precise(teacher).mean(dim=(0, 1)))
    answers = teacher_probabilities(teacher, model.centre, tau)
    return {
        "loss": loss,
        "doubt": entropy(answers).mean(),
        "variety": entropy(answers.mean(dim=(0, 1))),
    }


@torch.no_grad()
def after_step(model: DINO, progress: float) -> None:
    """The teacher follows the student; the centre follows the mean of the teacher's logits."""
    c = model.config
    follow(model.teacher, model.student, ema_momentum(progress, c.ema) if c.ema else 0.0)
    model.centre.lerp_(mean_across(model.batch_mean), 1 - c.centre_momentum)


def by_size(network: Callable, views: Sequence[torch.Tensor]) -> torch.Tensor:
    """Run views of equal size together, a call for each size → (V, B, K), in the views' order."""
    sizes = [view.shape[-2:] for view in views]
    out: dict[int, torch.Tensor] = {}
    for size in dict.fromkeys(sizes):
        same = [i for i, other in enumerate(sizes) if other == size]
        logits = network(torch.cat([views[i] for i in same]))
        out |= zip(same, logits.split([len(views[i]) for i in same]), strict=True)
    return torch.stack([out[i] for i in range(len(views))])


def entropy(p: torch.Tensor) -> torch.Tensor:
    """Probabilities (…, K) → nats (…)."""
    return -torch.xlogy(p, p).sum(dim=-1)


def _precise(logits: torch.Tensor) -> torch.Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


HEAD_NAMES = {
    "head.mlp.*.*": "head.mlp.*.*",  # the authors'
    "head.layers.*.*": "head.mlp.*.*",  # lightly's
    "head.last_layer.weight_v": "head.prototypes",
    "head.last_layer.parametrizations.weight.original1": "head.prototypes",
}
LENGTHS = ("head.last_layer.weight_g", "head.last_layer.parametrizations.weight.original0")


def from_reference(state_dict: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> DINO:
    """Weights of one network, `backbone.*` and `head.*` → DINO with it as student and teacher.

    `config`: options of the backbone for `vit.from_reference` (timm, whose names the authors use,
    or transformers), which also loads an encoder alone. The head is the authors' or lightly's.
    Raises ValueError for names or shapes that do not fit, and for lengths other than 1.
    """
    head = {name: t for name, t in state_dict.items() if not name.startswith("backbone.")}
    backbone = {n.removeprefix("backbone."): t for n, t in state_dict.items() if n not in head}
    encoder = vit.from_reference(backbone, config)
    for name in LENGTHS:
        if (length := head.pop(name, None)) is not None and not (length == 1).all():
            raise ValueError("the last layer's lengths must all be 1 (norm_last_layer)")
    first = [len(t) for name, t in head.items() if name.endswith(".0.weight")]
    last = [t.shape for name, t in head.items() if name.startswith("head.last_layer")]
    if not (len(first) == len(last) == 1 and len(last[0]) == 2):
        raise ValueError("a head of three layers and a last layer is expected, without batch norm")
    K, bottleneck = last[0]
    model = DINO(Config(encoder.config, prototypes=K, hidden=first[0], bottleneck=bottleneck))
    body = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    load_reference(model.student, body | head, dict(zip(body, body, strict=True)) | HEAD_NAMES)
    model.teacher = slow_copy(model.student)
    return model
