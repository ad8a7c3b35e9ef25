"""selfsup/simclr: a slow oracle, what the loss must not see, two processes; lightly's and pml's."""

import inspect
import math

import pytest
import torch
import torchvision
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from pytorch_metric_learning import losses
from torch import nn
from torchvision.models.resnet import BasicBlock

from course_lib.backbones import resnet, vit
from course_lib.selfsup.simclr import (
    IMAGENET,
    TINY,
    Config,
    SimCLR,
    from_reference,
    nt_xent,
    similarities,
    train_step,
)
from tests.processes import two_ranks

# No two numbers alike: width 12, hidden 20, out 7.
ENCODER = vit.Config(16, 4, dim=12, depth=1, heads=3, class_token=False)
SMALL = Config(hidden=20, out=7, tau=0.3)


@pytest.fixture(autouse=True)
def _everything_in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def made(config: Config = SMALL) -> SimCLR:
    torch.manual_seed(0)
    return SimCLR(vit.ViT(ENCODER), config)


def pictures(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def alike(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two views (n, 3, 16, 16) of n plain pictures, the second one noisy."""
    view1 = 3 * pictures(n, 3, 1, 1).expand(n, 3, 16, 16)
    return view1, view1 + pictures(n, 3, 16, 16, seed=3)


def projections(n: int, d: int, seed: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Two views of n pictures, half alike, of very different lengths."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(n, d, generator=generator)
    views = [common + torch.randn(n, d, generator=generator) for _ in range(2)]
    z1, z2 = (z * torch.linspace(0.2, 5, n)[:, None] for z in views)
    return z1.requires_grad_(), (3 * z2).detach().requires_grad_()


# ---------------------------------------------------------------------------------------- shapes


def test_shapes_of_the_small_configuration() -> None:
    torch.set_default_dtype(torch.float32)
    model = SimCLR(vit.ViT(vit.Config(64, 8, dim=96, depth=2, heads=4, class_token=False)), TINY)
    images = torch.rand(3, 3, 64, 64)
    assert model(images).shape == (3, model.dim) == (3, 96)
    assert model.project(images).shape == (3, 64)
    assert set(train_step(model, (images, images.flip(3)), 0.0)) == {"loss", "partner_found"}


def test_shapes_at_an_odd_size() -> None:
    model, images = made(), pictures(5, 3, 12, 20)
    assert model(images).shape == (5, 12)
    assert model.project(images).shape == (5, 7)
    z1, z2 = projections(5, 7)
    assert similarities(z1, z2, 0.3).shape == (10, 10)
    assert nt_xent(z1, z2, 0.3).shape == ()


def test_features_do_not_pass_the_projector() -> None:
    model, images = made().eval(), pictures(2, 3, 16, 16)
    assert torch.equal(model(images), model.encoder(images))
    assert torch.equal(model.project(images), model.projector(model.encoder(images)))


def test_the_papers_projector() -> None:
    model = SimCLR(resnet.ResNet(resnet.TINY), IMAGENET)
    assert [tuple(layer.weight.shape) for layer in model.projector if isinstance(layer, nn.Linear)
            ] == [(2048, 16), (128, 2048)]  # fmt: skip
    assert IMAGENET.tau == 0.1


# ---------------------------------------------------------------------- oracle, and cases by hand


def slow_loss(z1: list[list[float]], z2: list[list[float]], tau: float) -> float:
    """Algorithm 1 of the paper: views 2k − 1 and 2k are of picture k; one number at a time."""
    views = [z for pair in zip(z1, z2, strict=True) for z in pair]

    def cosine(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))

    def one(i: int, j: int) -> float:
        others = [k for k in range(len(views)) if k != i]
        below = sum(math.exp(cosine(views[i], views[k]) / tau) for k in others)
        return -math.log(math.exp(cosine(views[i], views[j]) / tau) / below)

    total = 0.0
    for k in range(len(z1)):
        total += one(2 * k, 2 * k + 1) + one(2 * k + 1, 2 * k)
    return total / len(views)


@pytest.mark.parametrize(("n", "d", "tau"), [(2, 3, 0.5), (5, 7, 0.1), (6, 2, 1.7)])
def test_loss_is_that_of_the_slow_oracle(n: int, d: int, tau: float) -> None:
    z1, z2 = projections(n, d)
    expected = slow_loss(z1.tolist(), z2.tolist(), tau)
    assert nt_xent(z1, z2, tau).item() == pytest.approx(expected, rel=1e-12)


def test_gradients_are_the_slopes_of_the_slow_oracle() -> None:
    z1, z2 = projections(3, 4)
    gradients = torch.autograd.grad(nt_xent(z1, z2, 0.3), (z1, z2))
    pair = [z1.tolist(), z2.tolist()]
    for view, i, k in [(v, i, k) for v in range(2) for i in range(3) for k in range(4)]:
        here, ends = pair[view][i][k], []
        for step in (1e-5, -1e-5):
            pair[view][i][k] = here + step
            ends.append(slow_loss(*pair, 0.3))
        pair[view][i][k] = here
        slope = (ends[0] - ends[1]) / 2e-5
        assert gradients[view][i, k].item() == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_loss_by_hand() -> None:
    # Two pictures; their views: a = (2, 0), b = (0, 3) and a' = (5, 0), b' = (0, 1). τ = 1/2.
    # Cosines / τ: with the partner 2, with both others 0. Each of the four views has
    # −ln(e² / (e² + 1 + 1)) = ln(1 + 2 e⁻²) = ln 1.27067 = 0.23955.
    z1, z2 = torch.tensor([[2.0, 0], [0, 3]]), torch.tensor([[5.0, 0], [0, 1]])
    assert nt_xent(z1, z2, 0.5).item() == pytest.approx(0.23955, abs=1e-5)
    # b' turned round, (0, −1): b and b' then have −2 with each other and 0 with a and a'. Those of
    # a are as before; those of b: −ln(e⁻² / (e⁻² + 2)) = 2 + ln(2.13534) = 2.75863.
    z2 = torch.tensor([[5.0, 0], [0, -1]])
    expected = (0.23955 + 2.75863) / 2
    assert nt_xent(z1, z2, 0.5).item() == pytest.approx(expected, abs=1e-5)


def test_the_matrix_by_hand() -> None:
    z1, z2 = torch.tensor([[2.0, 0], [0, 3]]), torch.tensor([[5.0, 0], [3, 4]])
    # Of a, b, a', b' the cosines are ab 0, aa' 1, ab' 3/5, ba' 0, bb' 4/5, a'b' 3/5; τ = 1/5.
    no = -math.inf
    expected = [[no, 0, 5, 3], [0, no, 0, 4], [5, 0, no, 3], [3, 4, 3, no]]
    assert torch.allclose(similarities(z1, z2, 0.2), torch.tensor(expected))


# ------------------------------------------------------------------------------------- invariants


def test_lengths_and_a_common_turn_do_not_matter() -> None:
    z1, z2 = projections(5, 4)
    turn = torch.linalg.qr(torch.randn(4, 4)).Q
    loss = nt_xent(z1, z2, 0.2)
    assert torch.allclose(nt_xent(7 * z1 @ turn, 0.1 * z2 @ turn, 0.2), loss)
    (gradient,) = torch.autograd.grad(loss, z1)
    along = (gradient * z1).sum(1)
    assert torch.allclose(along, torch.zeros(5), atol=1e-12)  # a length cannot be learned


def test_the_order_of_pictures_and_of_views_does_not_matter() -> None:
    z1, z2 = projections(6, 4)
    mixed = torch.tensor([3, 0, 5, 1, 4, 2])
    assert torch.allclose(nt_xent(z1[mixed], z2[mixed], 0.2), nt_xent(z1, z2, 0.2))
    assert torch.allclose(nt_xent(z2, z1, 0.2), nt_xent(z1, z2, 0.2))
    swapped = torch.tensor([True, False, True, True, False, False])[:, None]
    pair = torch.where(swapped, z2, z1), torch.where(swapped, z1, z2)
    assert torch.allclose(nt_xent(*pair, 0.2), nt_xent(z1, z2, 0.2))
    near = z1 + 0.1 * z2
    assert nt_xent(z1, near[mixed], 0.2) > nt_xent(z1, near, 0.2)  # wrong partners


def test_all_alike_costs_the_logarithm_of_the_others() -> None:
    same = torch.ones(8, 5)
    for tau in (0.05, 0.5):
        assert nt_xent(same, same, tau).item() == pytest.approx(math.log(2 * 8 - 1))


def test_the_best_is_a_simplex() -> None:
    # Partners alike, and all pairs of pictures equally far, at a cosine of −1 / (N − 1) = −1/4:
    # ln(1 + (2N − 2) exp((−1/4 − 1) / τ)) = ln(1 + 8 exp(−2.5)) = ln 1.65668 = 0.50481.
    corners = torch.eye(5) - 1 / 5
    best = nt_xent(corners, corners, 0.5)
    assert best.item() == pytest.approx(0.50481, abs=1e-5)
    for seed in range(20):
        z1, z2 = (corners + 0.3 * z for z in projections(5, 5, seed))
        assert nt_xent(z1, z2, 0.5) > best


def test_the_two_ends_of_the_temperature() -> None:
    z1, z2 = (z.detach() for z in projections(6, 4))
    assert nt_xent(z1, z2, 1e6).item() == pytest.approx(math.log(11), abs=1e-4)  # nobody counts
    # τ · loss → how far the nearest of the others is above the partner: the hardest one counts.
    cosines = similarities(z1, z2, 1.0)
    partner = cosines[range(12), [6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]]
    margin = (cosines.max(1).values - partner).mean()
    assert margin > 0.1
    assert (1e-4 * nt_xent(z1, z2, 1e-4)).item() == pytest.approx(margin.item(), abs=1e-4)


def test_no_view_is_compared_with_itself() -> None:
    logits = similarities(*projections(4, 3), 0.1)
    assert torch.isneginf(logits.diagonal()).all()
    off = ~torch.eye(8, dtype=torch.bool)
    assert logits[off].isfinite().all()
    assert torch.allclose(logits[off], logits.T[off])


def test_small_temperatures_do_not_overflow() -> None:
    z1, z2 = projections(4, 3)
    loss = nt_xent(z1.float(), z2.float(), 1e-3)
    loss.backward()
    assert loss.isfinite()
    assert z1.grad.isfinite().all()


def test_a_small_temperature_listens_to_the_nearest() -> None:
    """The share of the hardest negative in the gradient grows as τ falls."""
    z1, z2 = projections(6, 4)

    def share(tau: float) -> float:
        weights = similarities(z1, z2, tau).softmax(1)
        weights = weights.masked_fill(torch.eye(12, dtype=torch.bool).roll(6, 1), 0)
        return (weights.max(1).values / weights.sum(1)).mean().item()

    assert share(0.05) > share(0.3) > share(3.0) > 0.1


def test_the_arguments_stay_as_they_are() -> None:
    z1, z2 = projections(4, 3)
    before = z1.detach().clone(), z2.detach().clone()
    nt_xent(z1, z2, 0.2).backward()
    assert torch.equal(z1, before[0])
    assert torch.equal(z2, before[1])


def test_a_step_is_the_loss_of_both_views_projections() -> None:
    model, view1, view2 = made(), pictures(4, 3, 16, 16), pictures(4, 3, 16, 16, seed=3)
    z = model.project(torch.cat([view1, view2]))  # batch norm over both views at once
    found = train_step(model, (view1, view2), 0.5)
    assert torch.allclose(found["loss"], nt_xent(z[:4], z[4:], SMALL.tau))
    nearest = similarities(z[:4], z[4:], 1.0).argmax(1).tolist()
    hits = sum(nearest[i] == (i + 4) % 8 for i in range(8))
    assert found["partner_found"].item() == pytest.approx(hits / 8)
    same = train_step(model.eval(), (view1, view1), 0.5)
    assert same["partner_found"] == 1


def test_every_parameter_learns() -> None:
    model, views = made(), (pictures(4, 3, 16, 16), pictures(4, 3, 16, 16, seed=3))
    train_step(model, views, 0.0)["loss"].backward()
    steepest = {n: p.grad.abs().max().item() for n, p in model.named_parameters() if p.numel()}
    still = {name for name, slope in steepest.items() if slope < 1e-9}
    # One shift of all keys changes no attention; batch norm takes out one shift of all features.
    assert still == {"encoder.blocks.0.attention.key.bias", "encoder.norm.bias"}
    assert model.projector[1].num_batches_tracked == 1  # both views in one batch


def test_projections_of_no_length_stay_finite() -> None:
    z1, z2 = projections(4, 3)
    z1.data[2] = 0
    loss = nt_xent(z1, z2, 0.1)
    loss.backward()
    assert all(tensor.isfinite().all() for tensor in (loss, z1.grad, z2.grad))


def test_half_precision_stays_near() -> None:
    z1, z2 = (z.detach().float() for z in projections(64, 32))
    exact = nt_xent(z1, z2, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert nt_xent(z1, z2, 0.05).item() == pytest.approx(exact.item(), rel=1e-6)
    rounded = nt_xent(z1.bfloat16(), z2.bfloat16(), 0.05)
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=0.01)


# ------------------------------------------------------------------------------------ it learns


def test_it_learns_one_batch_by_heart() -> None:
    torch.set_default_dtype(torch.float32)
    model = made(Config(hidden=32, out=16, tau=0.2))
    views = [pictures(8, 3, 16, 16), pictures(8, 3, 16, 16, seed=4)]  # nothing in common
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for step in range(60):
        found = train_step(model, views, step / 60)
        optimiser.zero_grad()
        found["loss"].backward()
        optimiser.step()
        losses.append(found["loss"].item())
    assert losses[0] > 2  # ln 15 = 2.71
    best = math.log(1 + 14 * math.exp((-1 / 7 - 1) / 0.2))  # the simplex, 0.045
    assert best < losses[-1] < 3 * best
    assert found["partner_found"] == 1


# -------------------------------------------------------------------------------- the references


@pytest.mark.parametrize(("n", "d", "tau"), [(2, 3, 0.5), (9, 6, 0.1), (32, 64, 0.2)])
def test_the_loss_and_its_gradients_equal_lightlys(n: int, d: int, tau: float) -> None:
    z1, z2 = projections(n, d)
    ours, theirs = nt_xent(z1, z2, tau), NTXentLoss(temperature=tau)(z1, z2)
    assert torch.allclose(ours, theirs, rtol=1e-7)
    grads = (torch.autograd.grad(loss, (z1, z2)) for loss in (ours, theirs))
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(("n", "d", "tau"), [(2, 3, 0.5), (9, 6, 0.1), (32, 64, 0.2)])
def test_the_loss_and_its_gradients_equal_metric_learnings(n: int, d: int, tau: float) -> None:
    z1, z2 = projections(n, d)
    ours = nt_xent(z1, z2, tau)
    theirs = losses.SelfSupervisedLoss(losses.NTXentLoss(temperature=tau))(z1, z2)
    assert torch.allclose(ours, theirs, rtol=1e-7)
    grads = (torch.autograd.grad(loss, (z1, z2)) for loss in (ours, theirs))
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-9)


class Reference(nn.Module):
    """lightly's example of SimCLR: a torchvision network without its last layer, and a head."""

    def __init__(self, backbone: torchvision.models.ResNet, hidden: int, out: int) -> None:
        super().__init__()
        width, backbone.fc = backbone.fc.in_features, nn.Identity()
        self.backbone = backbone
        self.projection_head = SimCLRProjectionHead(width, hidden, out)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.projection_head(self.backbone(images))


def perturbed(module: nn.Module) -> nn.Module:
    """No scale, shift or running statistic is 0 or 1, so that none can hide."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and tensor.ndim == 1:
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.add_(noise if name.endswith("var") else 0.2 * noise)
    return module


FOUR = resnet.Config(blocks=(1, 1, 1, 1))


def small_reference() -> Reference:
    torch.manual_seed(0)
    return Reference(torchvision.models.ResNet(BasicBlock, [1, 1, 1, 1]), 20, 7)


def test_outputs_gradients_and_statistics_equal_lightlys_model() -> None:
    theirs = perturbed(small_reference())
    ours = from_reference(theirs.state_dict(), FOUR, tau=0.3)
    assert ours.config == SMALL
    view1, view2 = pictures(3, 3, 32, 48), pictures(3, 3, 32, 48, seed=3)
    assert torch.allclose(ours.eval()(view1), theirs.eval().backbone(view1), rtol=1e-8, atol=1e-8)
    assert torch.allclose(ours.project(view1), theirs(view1), rtol=1e-8, atol=1e-8)
    found = train_step(ours.train(), (view1, view2), 0.0)["loss"]
    z1, z2 = theirs.train()(torch.cat([view1, view2])).chunk(2)
    expected = NTXentLoss(temperature=0.3)(z1, z2)
    assert torch.allclose(found, expected, rtol=1e-7)
    found.backward(), expected.backward()
    pairs = {f"encoder.{n}": p for n, p in theirs.backbone.named_parameters()}
    head = theirs.projection_head.layers
    pairs |= {f"projector.{n}": p for n, p in head.named_parameters()}
    gradients = {n: p.grad for n, p in ours.named_parameters()}
    assert gradients.keys() == pairs.keys()
    for name, parameter in pairs.items():
        assert torch.allclose(gradients[name], parameter.grad, rtol=1e-5, atol=1e-9), name
    for part, other in ((ours.projector, head), (ours.encoder, theirs.backbone)):
        for name, tensor in part.state_dict().items():
            expected = other.state_dict()[name]
            assert torch.allclose(tensor.double(), expected.double(), rtol=1e-8), name


def test_the_papers_size_takes_lightlys_weights() -> None:
    with torch.device("meta"):
        theirs = Reference(torchvision.models.resnet50(), 2048, 128)
        ours = from_reference(theirs.state_dict(), resnet.RESNET50)
        assert ours.project(torch.zeros(2, 3, 224, 224)).shape == (2, 128)
    assert ours.config == IMAGENET
    # A ResNet-50 without its classifier has 23,508,032; g: 2048², 128 · 2048, two batch norms.
    expected = 23_508_032 + 2048**2 + 128 * 2048 + 2 * 2048 + 2 * 128
    assert sum(p.numel() for p in ours.parameters()) == expected


# ---------------------------------------------------------------------------------- two processes

PICTURES = 6  # in the whole batch


def step_of(own: slice) -> dict:
    """What one process computes from its pictures, with its own gradients."""
    model = made().eval()  # in training batch norm's means would be those of each process
    view1, view2 = (view[own] for view in alike(PICTURES))
    z1, z2 = projections(PICTURES, 7)
    nt_xent(z1[own], z2[own], 0.3).backward()
    found = train_step(model, (view1, view2), 0.0)
    found["loss"].backward()
    return {
        "loss": found["loss"].item(),
        "∂ z1": z1.grad[own],
        "∂ z2": z2.grad[own],
        "matrix": similarities(z1[own], z2[own], 0.3).detach(),
        "weights": {n: p.grad for n, p in model.named_parameters() if p.numel()},
        "partner_found": found["partner_found"].item(),
    }


SCRIPT = """
from torch import nn
from course_lib.backbones import vit
from course_lib.selfsup.simclr import Config, SimCLR, nt_xent, similarities, train_step
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict]:
    """What each of two processes has computed from its half of the pictures."""
    lines = [SCRIPT, f"PICTURES, ENCODER, SMALL = {PICTURES!r}, vit.{ENCODER!r}, {SMALL!r}"]
    lines += [inspect.getsource(f) for f in (made, pictures, alike, projections, step_of)]
    lines += ["state = step_of(slice(3 * rank, 3 * rank + 3))"]
    lines += ['state["alone"] = step_of(slice(rank, rank + 1))["loss"]']
    return two_ranks(tmp_path_factory.mktemp("simclr"), "\n\n".join(lines))


def test_two_processes_have_the_loss_of_one(ranks) -> None:
    one = step_of(slice(PICTURES))
    for name, rounding in (("loss", 1e-10), ("partner_found", 1e-6)):
        mean = (ranks[0][name] + ranks[1][name]) / 2
        assert mean == pytest.approx(one[name], rel=rounding)
    assert ranks[0]["loss"] != ranks[1]["loss"]
    assert one["partner_found"] > 0


def test_two_processes_have_the_gradients_of_one(ranks) -> None:
    one = step_of(slice(PICTURES))
    for name in ("∂ z1", "∂ z2"):  # each rank's pictures are in both ranks' losses
        parts = torch.cat([part[name] for part in ranks]) / 2
        assert torch.allclose(parts, one[name], rtol=1e-8, atol=1e-12)
    for name, expected in one["weights"].items():
        mean = (ranks[0]["weights"][name] + ranks[1]["weights"][name]) / 2
        assert torch.allclose(mean, expected, rtol=1e-8, atol=1e-12), name


def test_negatives_come_from_both_processes(ranks) -> None:
    whole = step_of(slice(PICTURES))["matrix"]
    for part, rows in zip(ranks, ([0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11]), strict=True):
        assert torch.allclose(part["matrix"], whole[rows])


def test_one_picture_a_process_is_enough_for_two(ranks) -> None:
    expected = step_of(slice(2))["loss"]
    assert (ranks[0]["alone"] + ranks[1]["alone"]) / 2 == pytest.approx(expected, rel=1e-10)


# ---------------------------------------------------------------------------------------- errors


def test_errors_are_one_sentence() -> None:
    z1, z2 = projections(4, 3)
    need = r"\(N, d\) each and N at least 2, are expected, but"
    for a, b in ((z1, z2[:3]), (z1[:1], z2[:1]), (z1[:0], z2[:0]), (z1[0], z2[0])):
        with pytest.raises(ValueError, match=need):
            nt_xent(a, b, 0.1)
    for tau in (0, -0.1, math.nan):
        with pytest.raises(ValueError, match="the temperature must be above 0, but it is"):
            Config(tau=tau)
        with pytest.raises(ValueError, match="the temperature must be above 0, but it is"):
            nt_xent(z1, z2, tau)


def test_foreign_weights_are_refused() -> None:
    theirs = small_reference().state_dict()
    assert from_reference(theirs | {"backbone.fc.bias": torch.zeros(9)}, FOUR).config.out == 7
    headless = {name: tensor for name, tensor in theirs.items() if name.startswith("backbone")}
    with pytest.raises(ValueError, match=r"projection_head.layers.0.weight and .* not both there"):
        from_reference(headless, FOUR)
    with pytest.raises(ValueError, match="theirs, without a home here: stranger"):
        from_reference(theirs | {"stranger": torch.zeros(1)}, FOUR)
    lost = {n: tensor for n, tensor in theirs.items() if n != "projection_head.layers.4.bias"}
    with pytest.raises(ValueError, match=r"not filled: projector\.4\.bias"):
        from_reference(lost, FOUR)
    fewer = {name: tensor for name, tensor in theirs.items() if "layer4" not in name}
    with pytest.raises(ValueError, match=r"projector\.0\.weight \(20, 512\), here \(20, 256\)"):
        from_reference(fewer, resnet.Config(blocks=(1, 1, 1), channels=(64, 128, 256)))
