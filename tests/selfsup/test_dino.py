"""selfsup/dino: a slow oracle, who sees and learns what; lightly's loss, head and whole steps."""

from dataclasses import replace
from math import cos, exp, log, pi

import pytest
import torch
from torch import nn

from course_lib.backbones import vit
from course_lib.blocks.ema import slow_copy
from course_lib.selfsup import dino
from course_lib.selfsup.dino import B16, DINO, S16, TINY, Config, Head, dino_loss, from_reference
from course_lib.train.fit import decay_groups, fit
from tests.processes import one_and_two

# Batch 3, grid 4 × 4, width 24, 3 heads, head 28 and 10 wide, K = 20: no two numbers alike.
ENCODER = vit.Config(16, 4, dim=24, depth=2, heads=3)
SMALL = Config(ENCODER, 20, 28, 10, tau_teacher=(0.05, 0.08), ema=0.9, freeze=0.0)
TIMM = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}


@pytest.fixture(autouse=True)
def _everything_in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def perturbed(module: nn.Module) -> nn.Module:
    """No parameter is 0 or 1, so that none can hide; lengths of weight norm stay at 1."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    return module


def made(config: Config = SMALL) -> DINO:
    """Student and teacher differ, and the centre is not 0."""
    torch.manual_seed(0)
    model = DINO(config)
    perturbed(model.student)
    for parameter in model.teacher.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape)
    model.centre.copy_(0.1 * torch.randn(config.prototypes))
    return model


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pictures(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def crops(batch: int = 3) -> list[torch.Tensor]:
    """Two global views and three local ones."""
    sizes = (16, 16, 8, 8, 8)
    return [pictures(batch, 3, size, size, seed=i) for i, size in enumerate(sizes)]


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-8, atol=1e-8)


# ---------------------------------------------------------------------------------------- shapes


def test_shapes_of_the_small_configuration() -> None:
    torch.set_default_dtype(torch.float32)
    model, images = DINO(TINY), torch.rand(2, 3, 64, 64)
    assert model(images).shape == (2, model.dim) == (2, 96)
    assert model.student(images).shape == model.teacher(images).shape == (2, 512)
    assert model.centre.shape == (512,)
    assert model.attention(images).shape == (2, 4, 8, 8)
    views = [torch.rand(2, 3, size, size) for size in (48, 48, 24, 24)]
    assert dino.by_size(model.student, views).shape == (4, 2, 512)
    found = dino.train_step(model, views, 0.0)
    assert list(found) == ["loss", "doubt", "variety"]
    assert {value.shape for value in found.values()} == {()}


def test_shapes_at_an_odd_size() -> None:
    model, images = made(), pictures(3, 3, 12, 20)
    assert model(images).shape == (3, 24)
    assert model.student(images).shape == (3, 20)
    assert model.attention(images).shape == (3, 3, 3, 5)
    views = [images, images, pictures(3, 3, 4, 8), pictures(3, 3, 8, 4)]
    assert dino.by_size(model.student, views).shape == (4, 3, 20)
    assert dino.train_step(model, views, 0.5)["loss"].isfinite()


# ---------------------------------------------------------------------- oracle, and cases by hand


def slow_loss(
    student: list, teacher: list, centre: list[float], tau_student: float, tau_teacher: float
) -> float:
    """Eq. 3 and Algorithm 1, one class of one picture of one pair of views at a time."""
    terms = []
    for t in range(len(teacher)):
        for v in range(len(student)):
            for b in range(len(student[v])) if t != v else ():
                centred = [x - c for x, c in zip(teacher[t][b], centre, strict=True)]
                wants = [exp(x / tau_teacher) for x in centred]
                says = [exp(x / tau_student) for x in student[v][b]]
                terms.append(
                    -sum(
                        want / sum(wants) * log(say / sum(says))
                        for want, say in zip(wants, says, strict=True)
                    )
                )
    return sum(terms) / len(terms)


@pytest.mark.parametrize(("V", "T"), [(2, 2), (5, 2), (3, 1), (4, 4)])
@pytest.mark.parametrize(("tau_student", "tau_teacher"), [(0.1, 0.04), (0.3, 0.7)])
def test_loss_is_that_of_the_slow_oracle(V, T, tau_student: float, tau_teacher: float) -> None:
    student, teacher, centre = random(V, 3, 7, seed=1), random(T, 3, 7, seed=2), random(7, seed=3)
    found = dino_loss(student, teacher, centre, tau_student, tau_teacher).item()
    lists = student.tolist(), teacher.tolist(), centre.tolist()
    assert found == pytest.approx(slow_loss(*lists, tau_student, tau_teacher), rel=1e-9)


def test_loss_by_hand() -> None:
    # Student, τ = 2, so logits are halved: 1 : 3, 1 : 1 and 1 : 1 → (¼, ¾), (½, ½), (½, ½).
    student = torch.tensor([[[0.0, 2 * log(3)]], [[0.0, 0.0]], [[5.0, 5.0]]])
    # Teacher, centre (1, 0), τ = ½, so what is left is doubled: 2 : 1 and 1 : 4 → (⅔, ⅓), (⅕, ⅘).
    teacher = torch.tensor([[[1 + log(2) / 2, 0.0]], [[1.0, log(2)]]])
    # Pairs of different views: 0–1, 0–2 and 1–2 cost ln 2 = 0.6931 each, for the student is even;
    # 1–0 costs ⅕ ln 4 + ⅘ ln 4/3 = 0.2773 + 0.2301 = 0.5074. (2.0794 + 0.5074) / 4 = 0.6467.
    loss = dino_loss(student, teacher, torch.tensor([1.0, 0.0]), 2.0, 0.5)
    assert loss.item() == pytest.approx(0.6467, abs=1e-4)


def test_the_teachers_answer_by_hand() -> None:
    # Centred: (ln 2, 0, 0); doubled: (ln 4, 0, 0), that is 4 : 1 : 1.
    logits, centre = torch.tensor([[log(2) + 3, 1.0, -1.0]]), torch.tensor([3.0, 1.0, -1.0])
    found = dino.teacher_probabilities(logits, centre, 0.5)
    assert torch.allclose(found, torch.tensor([[4.0, 1.0, 1.0]]) / 6)


def test_entropy_by_hand() -> None:
    p = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.25, 0.25]])
    assert torch.allclose(dino.entropy(p), torch.tensor([2 * log(2), 0.0, 1.5 * log(2)]))


@pytest.mark.parametrize(
    ("warmup", "progress", "tau"),
    [(0.3, 0.0, 0.04), (0.3, 0.15, 0.055), (0.3, 0.3, 0.07), (0.3, 0.9, 0.07), (0, 0.0, 0.07)],
)
def test_the_teachers_temperature_by_hand(warmup: float, progress: float, tau: float) -> None:
    config = replace(SMALL, tau_teacher=(0.04, 0.07), tau_warmup=warmup)
    assert dino.teacher_temperature(config, progress) == pytest.approx(tau)


# ----------------------------------------------------------------------------- the loss, invariants


def test_a_view_is_never_compared_with_itself() -> None:
    student, teacher = random(4, 3, 7).requires_grad_(), random(1, 3, 7, seed=2)
    dino_loss(student, teacher, torch.zeros(7), 0.1, 0.05).backward()
    assert not student.grad[0].any()
    assert (student.grad[1:] != 0).all()


def test_order_of_pictures_and_of_local_views_is_nothing() -> None:
    student, teacher, centre = random(5, 4, 7), random(2, 4, 7, seed=2), random(7, seed=3)
    loss = dino_loss(student, teacher, centre, 0.1, 0.05)
    rows, views = [2, 0, 3, 1], [0, 1, 4, 2, 3]
    assert close(dino_loss(student[:, rows], teacher[:, rows], centre, 0.1, 0.05), loss)
    assert close(dino_loss(student[views], teacher, centre, 0.1, 0.05), loss)
    assert not close(dino_loss(student, teacher[[1, 0]], centre, 0.1, 0.05), loss)
    single = [dino_loss(student[:, [b]], teacher[:, [b]], centre, 0.1, 0.05) for b in range(4)]
    assert close(torch.stack(single).mean(), loss)


def test_what_all_logits_share_is_nothing_and_the_centre_is_the_teachers_alone() -> None:
    student, teacher, centre = random(4, 3, 7), random(2, 3, 7, seed=2), random(7, seed=3)
    loss = dino_loss(student, teacher, centre, 0.1, 0.05)
    assert close(dino_loss(student + 2, teacher - 5, centre + 3, 0.1, 0.05), loss)
    assert close(dino_loss(student, teacher - centre, torch.zeros(7), 0.1, 0.05), loss)
    assert not close(dino_loss(student - centre, teacher, centre, 0.1, 0.05), loss)


def test_huge_logits_stay_finite_and_half_precision_is_not_used_for_the_loss() -> None:
    student = (500 * random(3, 2, 7)).requires_grad_()
    loss = dino_loss(student, 500 * random(2, 2, 7, seed=2), torch.zeros(7), 0.1, 0.04)
    loss.backward()
    assert loss.isfinite()
    assert student.grad.isfinite().all()
    halves = random(3, 2, 7).bfloat16(), random(2, 2, 7, seed=2).bfloat16()
    expected = dino_loss(*(half.float() for half in halves), torch.zeros(7).float(), 0.1, 0.04)
    found = dino_loss(*halves, torch.zeros(7).float(), 0.1, 0.04)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_the_loss_changes_nothing() -> None:
    given = random(4, 3, 7), random(2, 3, 7, seed=2), random(7, seed=3)
    copies = [tensor.clone() for tensor in given]
    dino_loss(*given, 0.1, 0.05)
    assert all(torch.equal(a, b) for a, b in zip(given, copies, strict=True))
    model = made()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    dino.train_step(model, crops(), 0.2)["loss"].backward()
    assert all(torch.equal(t, state[name]) for name, t in model.state_dict().items())


# --------------------------------------------------------------------------- a step, who does what


def test_a_step_is_the_loss_of_its_views() -> None:
    model, views = made(), crops()
    tau = 0.05 + 0.03 * 0.2 / 0.3
    found = dino.train_step(model, views, 0.2)
    student = [model.student(view).tolist() for view in views]
    teacher = [model.teacher(view).tolist() for view in views[:2]]
    expected = slow_loss(student, teacher, model.centre.tolist(), 0.1, tau)
    assert found["loss"].item() == pytest.approx(expected, rel=1e-9)
    answers = []
    for row in (row for view in teacher for row in view):
        weights = [exp((x - c) / tau) for x, c in zip(row, model.centre.tolist(), strict=True)]
        answers.append([weight / sum(weights) for weight in weights])
    mean = [sum(column) / 6 for column in zip(*answers, strict=True)]
    doubt = sum(-p * log(p) for row in answers for p in row) / 6
    assert found["doubt"].item() == pytest.approx(doubt, rel=1e-9)
    assert found["variety"].item() == pytest.approx(-sum(p * log(p) for p in mean), rel=1e-9)
    assert doubt + 0.01 < found["variety"].item() < log(20)


def test_collapse_shows_in_the_two_entropies() -> None:
    model = made()
    for parameter in model.teacher.encoder.parameters():
        parameter.data.zero_()  # says the same of every picture
    found = dino.train_step(model, crops(), 0.2)
    assert found["doubt"].item() == pytest.approx(found["variety"].item(), rel=1e-9)


def test_the_student_learns_and_the_teacher_gets_no_gradient() -> None:
    model = made()
    dino.train_step(model, crops(), 0.2)["loss"].backward()
    for name, parameter in model.student.named_parameters():
        if not name.endswith("key.bias"):  # the same shift of all keys changes no attention
            assert parameter.grad.abs().max() > 1e-9, name
    assert all(p.grad is None and not p.requires_grad for p in model.teacher.parameters())
    trained = {id(p) for group in decay_groups(model, 0.1) for p in group["params"]}
    assert trained == {id(p) for p in model.student.parameters()}
    model.teacher.requires_grad_(True)  # nor does it if somebody sets its parameters free
    dino.train_step(model, crops(), 0.2)["loss"].backward()
    assert all(p.grad is None for p in model.teacher.parameters())


def test_the_teacher_sees_the_two_global_views_and_the_student_all() -> None:
    model, views, seen = made(), crops(), {"student": [], "teacher": []}
    for name in seen:
        network = getattr(model, name)
        network.register_forward_hook(lambda _, given, out, name=name: seen[name].append(given[0]))
    dino.train_step(model, views, 0.0)
    assert [call.shape for call in seen["teacher"]] == [(6, 3, 16, 16)]
    assert torch.equal(seen["teacher"][0], torch.cat(views[:2]))
    assert [call.shape for call in seen["student"]] == [(6, 3, 16, 16), (9, 3, 8, 8)]
    assert torch.equal(seen["student"][1], torch.cat(views[2:]))


def test_views_of_a_size_run_together_and_come_back_in_order() -> None:
    model, sizes = made(), (8, 16, 8, 12, 16)
    views, calls = [pictures(3, 3, s, s, seed=i) for i, s in enumerate(sizes)], []
    model.student.register_forward_hook(lambda _, given, out: calls.append(len(given[0])))
    found = dino.by_size(model.student, views)
    assert calls == [6, 6, 3]
    assert close(found, torch.stack([model.student(view) for view in views]))


def test_stochastic_depth_is_the_students_alone() -> None:
    model, views = made(replace(SMALL, encoder=replace(ENCODER, drop_path=0.6))), crops()
    means, losses = [], set()
    for seed in range(4):
        torch.manual_seed(seed)
        losses.add(dino.train_step(model.train(), views, 0.2)["loss"].item())
        means.append(model.batch_mean.clone())
    assert len(losses) > 1
    assert all(close(mean, means[0]) for mean in means)
    assert close(means[0], torch.cat([model.teacher.eval()(view) for view in views[:2]]).mean(0))


@pytest.mark.parametrize(
    ("ema", "progress", "momentum"),
    [(0.9, 0.0, 0.9), (0.9, 0.5, 0.95), (0.9, 1.0, 1.0), (0.9, 1 / 3, 0.925), (1.0, 0.4, 1.0),
     (0.0, 0.0, 0.0), (0.0, 0.7, 0.0)],
)  # fmt: skip
def test_the_teacher_follows_on_a_cosine(ema: float, progress: float, momentum: float) -> None:
    model = made(replace(SMALL, ema=ema))  # cos 60° = ½: a third of the way, a quarter of the rise
    before, student = slow_copy(model.teacher), slow_copy(model.student)
    dino.after_step(model, progress)
    for new, old, live, still in zip(
        model.teacher.parameters(), before.parameters(), model.student.parameters(),
        student.parameters(), strict=True,
    ):  # fmt: skip
        assert close(new, momentum * old + (1 - momentum) * live)
        assert torch.equal(live, still)


def test_the_centre_follows_the_teachers_logits_after_the_loss() -> None:
    model = made(replace(SMALL, centre_momentum=0.7))
    before, views = model.centre.clone(), crops()
    expected = mean_logits(model, views)  # of the teacher as it is before it moves
    dino.train_step(model, views, 0.0)
    assert torch.equal(model.centre, before)
    dino.after_step(model, 0.0)
    assert close(model.centre, 0.7 * before + 0.3 * expected)
    before, expected = model.centre.clone(), mean_logits(model, views)
    dino.train_step(model, views, 0.5)
    dino.after_step(model, 0.5)
    assert close(model.centre, 0.7 * before + 0.3 * expected)


def mean_logits(model: DINO, views: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([model.teacher(view) for view in views[:2]]).mean(0)


def test_without_centring_the_centre_stays() -> None:
    model = DINO(replace(SMALL, centre_momentum=1.0))
    dino.train_step(model, crops(), 0.0)
    dino.after_step(model, 0.0)
    assert not model.centre.any()


def test_a_last_layer_that_is_frozen_is_left_alone_by_the_optimiser() -> None:
    """Neither gradient nor weight decay nor momentum touches it, and everything else learns."""
    model = made(replace(SMALL, freeze=0.5)).float()
    first, seen = model.student.head.prototypes.detach().clone(), []
    weight = model.student.head.mlp[4].weight.detach().clone()
    views = [view.float() for view in crops()]
    history = fit(
        model, lambda step, generator: views, 6, train_step=dino.train_step,
        after_step=dino.after_step, lr=1e-2, weight_decay=0.5, precision="float32",
        watch=lambda *_: seen.append([model.student.head.prototypes.detach().clone(),
                                      model.teacher.head.prototypes.clone(),
                                      model.student.head.mlp[4].weight.detach().clone()]),
    )  # fmt: skip
    assert len(history) == 6
    assert [torch.equal(student, first) for student, _, _ in seen] == [True] * 3 + [False] * 3
    assert all(not torch.equal(other, weight) for _, _, other in seen)
    teachers = [teacher for _, teacher, _ in seen]
    assert not torch.equal(teachers[0], teachers[1])  # follows also what is frozen


def test_a_run_goes_on_from_its_checkpoint_with_its_centre(tmp_path) -> None:
    torch.set_default_dtype(torch.float32)

    def batches(step: int, generator: torch.Generator) -> list[torch.Tensor]:
        return [torch.rand(3, 3, size, size, generator=generator) for size in (16, 16, 8)]

    def trained(**options) -> DINO:
        torch.manual_seed(0)
        model = DINO(replace(SMALL, freeze=0.3))
        fit(model, batches, 6, train_step=dino.train_step, after_step=dino.after_step, **options)
        return model

    def stop(step: int, *_) -> None:
        if step == 3:
            raise RuntimeError("the power is cut")

    whole = trained().state_dict()
    with pytest.raises(RuntimeError, match="power"):
        trained(checkpoint=tmp_path / "run.safetensors", every=2, watch=stop)
    again = trained(checkpoint=tmp_path / "run.safetensors", every=2).state_dict()
    assert whole["centre"].abs().max() > 0
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())


# ------------------------------------------------------------------------------------ the network


def test_logits_are_cosines_whatever_the_lengths() -> None:
    head = perturbed(Head(24, SMALL))
    logits = head(random(5, 24))
    assert logits.abs().max() < 1
    hidden, expected = head.mlp(random(5, 24)), torch.empty(5, 20)
    for b in range(5):
        for k in range(20):
            a, w = hidden[b].tolist(), head.prototypes[k].tolist()
            dot = sum(x * y for x, y in zip(a, w, strict=True))
            expected[b, k] = dot / (sum(x * x for x in a) * sum(y * y for y in w)) ** 0.5
    assert close(logits, expected)
    head.prototypes.data *= torch.linspace(0.5, 9, 20)[:, None]
    assert close(head(random(5, 24)), logits)


def test_frozen_prototypes_answer_the_same() -> None:
    head, features = perturbed(Head(24, SMALL)), random(5, 24)
    assert torch.equal(head(features, frozen=True), head(features))
    head(features, frozen=True).square().sum().backward()
    assert head.prototypes.grad is None
    assert head.mlp[0].weight.grad.any()


def test_features_are_the_teachers_class_token() -> None:
    model, images = made(), pictures(3, 3, 16, 16)
    assert torch.equal(model(images), model.teacher.encoder(images))
    assert close(model.teacher.head(model(images)), model.teacher(images))
    assert not close(model(images), model.student.encoder(images))
    assert close(model(images[1:2]), model(images)[1:2])


@pytest.mark.parametrize("registers", [0, 2])
def test_attention_is_the_class_tokens_row(registers: int) -> None:
    model = made(replace(SMALL, encoder=replace(ENCODER, registers=registers)))
    images, P = pictures(2, 3, 12, 20), 1 + registers
    maps = model.teacher.encoder.attention_maps(images)
    for layer in (0, 1):
        found = model.attention(images, layer)
        for row in range(3):
            for column in range(5):
                expected = maps[:, layer, :, 0, P + 5 * row + column]
                assert torch.equal(found[:, :, row, column], expected)
        kept = maps[:, layer, :, 0, :P].sum(-1)
        assert close(found.sum((2, 3)), 1 - kept)
    assert torch.equal(model.attention(images), model.attention(images, 1))
    assert not model.attention(images).requires_grad


def test_they_start_equal_and_as_the_header_says() -> None:
    torch.manual_seed(0)
    model = DINO(TINY)
    teacher = model.teacher.state_dict()
    assert all(torch.equal(t, teacher[name]) for name, t in model.student.state_dict().items())
    assert not model.centre.any()
    assert "centre" in model.state_dict()
    assert "batch_mean" not in model.state_dict()
    head = model.student.head
    for layer in (head.mlp[0], head.mlp[2], head.mlp[4]):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert not layer.bias.any()
    assert 0.99 / 8 < head.prototypes.abs().max() <= 1 / 8
    assert head.prototypes.std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.02)


def test_half_precision_stays_near() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model = DINO(TINY)
    views = [torch.rand(4, 3, size, size) for size in (48, 48, 24)]
    exact = dino.train_step(model, views, 0.5)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = dino.train_step(model, views, 0.5)["loss"]
    rounded.backward()
    dino.after_step(model, 0.5)
    assert rounded.dtype == model.centre.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=0.01)
    assert all(p.grad.isfinite().all() for p in model.student.parameters())


# --------------------------------------------------------------------------------------- it learns


def patterns(step: int, generator: torch.Generator) -> list[torch.Tensor]:
    """Eight pictures, each a pattern of its own: whole twice, two parts; the same in every step."""
    small = 3 * torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(5)).round()
    whole = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    return [whole, 0.9 * whole, whole[:, :, :8, :8], whole[:, :, 8:, 8:]]


def test_it_learns_one_batch_by_heart() -> None:
    """From a teacher that stands still, whose answers are not all the same."""
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model = DINO(replace(SMALL, tau_teacher=(0.04, 0.04), ema=1.0, centre_momentum=1.0))
    model.teacher.load_state_dict(perturbed(dino.Network(SMALL)).state_dict())
    history = fit(model, patterns, 60, train_step=dino.train_step, after_step=dino.after_step,
                  lr=5e-3, warmup=5, precision="float32")  # fmt: skip
    loss, doubt, variety = (history[name] for name in ("loss", "doubt", "variety"))
    assert variety[0] - doubt[0] > 0.3
    assert doubt[-1] == pytest.approx(doubt[0])
    assert loss[0] - doubt[0] > 3  # least possible: the teacher's entropy
    assert loss[-1] - doubt[-1] < 0.3


# ----------------------------------------------------------------------------------------- parity


@pytest.mark.parametrize(("V", "T"), [(2, 2), (6, 2), (3, 1)])
def test_loss_and_centre_equal_lightlys(V: int, T: int) -> None:
    from lightly.loss import DINOLoss

    theirs = DINOLoss(7, student_temp=0.1, center_momentum=0.8)
    model = DINO(replace(SMALL, prototypes=7, centre_momentum=0.8))
    for call in range(4):  # their centre moves behind each loss
        student = random(V, 5, 7, seed=call).requires_grad_()
        teacher = random(T, 5, 7, seed=10 + call).requires_grad_()
        expected = theirs([*teacher], [*student], teacher_temp=0.07)
        found = dino_loss(student, teacher, model.centre, 0.1, 0.07)
        assert close(found, expected)
        for ours, other in zip(
            torch.autograd.grad(found, (student, teacher)),
            torch.autograd.grad(expected, (student, teacher)), strict=True,
        ):  # fmt: skip
            assert close(ours, other)
        model.batch_mean.copy_(teacher.detach().mean((0, 1)))
        dino.after_step(model, 0.0)
        assert close(model.centre, theirs.center[0, 0])


def reference(modern: bool = False) -> nn.Module:
    """backbone.* of timm and head.* of lightly, or with weight norm as torch has it today."""
    from lightly.models.modules import DINOProjectionHead
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    theirs = nn.Module()
    theirs.backbone = VisionTransformer(**TIMM, num_classes=0, dynamic_img_size=True)
    theirs.head = DINOProjectionHead(24, 28, 10, 20)
    if modern:
        layer = nn.utils.parametrizations.weight_norm(nn.Linear(10, 20, bias=False))
        lengths = layer.parametrizations.weight.original0
        lengths.data.fill_(1)
        lengths.requires_grad_(False)
        theirs.head.last_layer = layer
    theirs.forward = lambda images: theirs.head(theirs.backbone(images))
    return perturbed(theirs)


def authors_name(name: str) -> str:
    return name.replace("head.layers.", "head.mlp.")


@pytest.mark.parametrize("modern", [False, True], ids=["weight_g", "parametrizations"])
@pytest.mark.parametrize("size", [(16, 16), (8, 8), (12, 20)])
def test_network_equals_timms_with_lightlys_head(modern: bool, size: tuple[int, int]) -> None:
    theirs, images = reference(modern), pictures(3, 3, *size)
    ours = from_reference(theirs.state_dict(), TIMM)
    assert ours.config == Config(ENCODER, prototypes=20, hidden=28, bottleneck=10)
    expected = theirs.forward(images)
    for network in (ours.student, ours.teacher):
        assert close(network(images), expected)
    assert close(ours(images), theirs.backbone(images))
    (expected * random(3, 20)).sum().backward()
    (ours.student(images) * random(3, 20)).sum().backward()
    assert_same_gradients(theirs, ours)


def passed(theirs: nn.Module) -> dict[str, torch.Tensor]:
    """Gradients under the names of weights: conversion only moves numbers, so it takes them too.

    But one thing it adds, the class token's position to the token; both have the same gradient.
    """
    grads = {name: p if p.grad is None else p.grad for name, p in theirs.named_parameters()}
    grads["backbone.pos_embed"] = grads["backbone.pos_embed"].clone()
    grads["backbone.pos_embed"][:, :1] = 0
    return grads


def assert_same_gradients(theirs: nn.Module, ours: DINO) -> None:
    expected = from_reference(passed(theirs), TIMM).student.state_dict()
    for name, parameter in ours.student.named_parameters():
        assert parameter.grad.abs().max() > 1e-9 or name.endswith("key.bias"), name
        assert torch.allclose(parameter.grad, expected[name], rtol=1e-5, atol=1e-7), name


def test_the_authors_names_are_read() -> None:
    state = reference().state_dict()
    named = {authors_name(name): tensor for name, tensor in state.items()}
    assert {"head.mlp.4.bias", "head.last_layer.weight_v", "backbone.cls_token"} <= named.keys()
    now, then = (from_reference(s, TIMM).state_dict() for s in (state, named))
    assert all(torch.equal(now[name], then[name]) for name in now)


def test_whole_steps_equal_a_loop_of_lightly() -> None:
    """Loss, gradients, teacher, centre and temperature, four steps of gradient descent long."""
    from lightly.loss import DINOLoss
    from lightly.models.utils import update_momentum

    student, teacher = reference(), reference()
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    criterion = DINOLoss(20, center_momentum=0.8)
    # The class token and its row of the table are one tensor here, which moves once a step.
    first = torch.tensor([0])
    student.backbone.pos_embed.register_hook(lambda slope: slope.index_fill(1, first, 0))
    ours = from_reference(student.state_dict(), TIMM)
    ours.config = replace(ours.config, tau_teacher=(0.04, 0.07), tau_warmup=0.5, ema=0.9,
                          centre_momentum=0.8, freeze=0.0)  # fmt: skip
    optimisers = [
        torch.optim.SGD([p for p in m.parameters() if p.requires_grad], lr=0.02)
        for m in (student, ours.student)
    ]
    for step in range(4):
        views = [pictures(3, 3, s, s, seed=10 * step + s + i) for i, s in enumerate((16, 16, 8, 8))]
        loss = criterion(
            [teacher.forward(view) for view in views[:2]], [student.forward(v) for v in views],
            teacher_temp=(0.04, 0.055, 0.07, 0.07)[step],
        )  # fmt: skip
        found = dino.train_step(ours, views, step / 4)["loss"]
        torch.testing.assert_close(found, loss, rtol=1e-7, atol=0)
        for optimiser, value in zip(optimisers, (loss, found), strict=True):
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
        update_momentum(student, teacher, m=1 - 0.1 * (1 + cos(pi * step / 4)) / 2)
        dino.after_step(ours, step / 4)
    assert torch.allclose(ours.centre, criterion.center[0, 0], rtol=1e-6)
    images = pictures(3, 3, 16, 16)
    assert torch.allclose(ours.student(images), student.forward(images), rtol=1e-6)
    assert torch.allclose(ours.teacher(images), teacher.forward(images), rtol=1e-6)
    assert not torch.allclose(ours.student(images), ours.teacher(images), rtol=1e-3)


def test_the_published_size_is_timms_with_lightlys_head() -> None:
    import timm
    from lightly.models.modules import DINOProjectionHead

    with torch.device("meta"):
        theirs, expected = nn.Module(), dino.Network(S16).state_dict()
        theirs.backbone = timm.create_model("vit_small_patch16_224", num_classes=0)
    theirs.head = DINOProjectionHead(384, 2048, 256, 65_536)
    state = {n: torch.zeros(()).expand(t.shape) for n, t in theirs.state_dict().items()}
    state["head.last_layer.weight_g"] = torch.ones(()).expand(65_536, 1)
    torch.set_default_dtype(torch.float32)
    options = {"img_size": 224, "patch_size": 16, "embed_dim": 384, "depth": 12, "num_heads": 6}
    ours = from_reference({authors_name(name): t for name, t in state.items()}, options)
    assert replace(ours.config, freeze=S16.freeze) == S16
    assert {n: t.shape for n, t in ours.student.state_dict().items()} == {
        n: t.shape for n, t in expected.items()
    }
    # 21.7 million in the encoder; 384·2048 + 2048² + 2048·256, 4,352 biases and 65,536·256 above.
    count = sum(p.numel() for p in ours.student.head.parameters())
    assert count == 786_432 + 4_194_304 + 524_288 + 4_352 + 16_777_216
    with torch.device("meta"):
        assert dino.Network(B16)(torch.zeros(2, 3, 96, 96)).shape == (2, 65_536)


# -------------------------------------------------------------------------------------- bad input


def test_an_encoder_without_a_class_token_is_refused() -> None:
    with pytest.raises(ValueError, match="has a class token, but this config has none"):
        DINO(replace(SMALL, encoder=replace(ENCODER, class_token=False)))


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ((1, 3, 7), (1, 3, 7)),  # no pair is left
        ((2, 3, 7), (3, 3, 7)),
        ((2, 3, 7), (0, 3, 7)),
        ((2, 3, 7), (2, 4, 7)),
        ((2, 3, 7), (2, 3, 6)),
        ((3, 7), (2, 7)),
    ],
)
def test_logits_that_do_not_pair_are_refused(student: tuple, teacher: tuple) -> None:
    with pytest.raises(ValueError, match=r"V ≥ 2 views \(V, B, K\) and of T ≤ V .* were given"):
        dino_loss(torch.zeros(student), torch.zeros(teacher), torch.zeros(7), 0.1, 0.04)


def test_weights_of_another_build_are_refused() -> None:
    from lightly.models.modules import DINOProjectionHead

    theirs = reference()
    state = theirs.state_dict()
    longer = state | {"head.last_layer.weight_g": torch.linspace(1, 2, 20)[:, None]}
    with pytest.raises(ValueError, match="lengths must all be 1"):
        from_reference(longer, TIMM)
    normed = DINOProjectionHead(24, 28, 10, 20, batch_norm=True)
    encoder = {name: t for name, t in state.items() if name.startswith("backbone.")}
    head = {f"head.{name}": t for name, t in normed.state_dict().items()}
    with pytest.raises(ValueError, match=r"fit Network: .*head\.mlp\.1"):
        from_reference(encoder | head, TIMM)
    for lost in ("head.last_layer.weight_v", "head.layers.0.weight"):
        few = {name: t for name, t in state.items() if name != lost}
        with pytest.raises(ValueError, match="a head of three layers and a last layer is expected"):
            from_reference(few, TIMM)
    with pytest.raises(ValueError, match="a head of three layers"):
        from_reference(encoder, TIMM)
    with pytest.raises(ValueError, match=r"filled: head\.mlp\.4\.bias"):
        from_reference({n: t for n, t in state.items() if n != "head.layers.4.bias"}, TIMM)
    with pytest.raises(
        ValueError, match=r"fit ViT: of another shape: prefix \(0, 24\), here \(1, 24\)"
    ):
        from_reference({n: t for n, t in state.items() if n != "backbone.cls_token"}, TIMM)


# --------------------------------------------------------------------------------- two processes

SCRIPT = """
import sys

import torch

from course_lib.backbones import vit
from course_lib.blocks.gather import rank, world_size
from course_lib.selfsup import dino
from course_lib.train.checkpoints import save
from course_lib.train.distributed import process_group
from course_lib.train.fit import fit

config = dino.Config(vit.Config(16, 4, dim=24, depth=2, heads=3), 20, 28, 10, ema=0.9, freeze=0.4)


def batches(step, generator):
    return [torch.rand(6, 3, size, size, generator=generator) for size in (16, 16, 8)]


with process_group():
    torch.manual_seed(rank())  # rank 0's weights are everybody's
    model, frozen = dino.DINO(config), []
    history = fit(
        model, batches, 8, train_step=dino.train_step, after_step=dino.after_step, lr=3e-3,
        weight_decay=0.1, precision="float32",
        watch=lambda *_: frozen.append(model.student.head.prototypes.sum().item()),
    )
    state = {"weights": dict(model.state_dict()), "loss": history["loss"].tolist(),
             "frozen": frozen, "world": world_size(), "mean": model.batch_mean.tolist()}
    save(f"{sys.argv[1]}/rank{rank()}.safetensors", state)
"""


def test_two_processes_are_one(tmp_path) -> None:
    """The centre follows the whole batch; a last layer without gradients stands on all ranks."""
    torch.set_default_dtype(torch.float32)
    one, two, other = one_and_two(tmp_path, SCRIPT).values()
    assert [state["world"] for state in (one, two, other)] == [1, 2, 2]
    assert two["mean"] != other["mean"]  # each has its shard's
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
    for name, expected in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], expected, rtol=1e-4, atol=1e-5, msg=name)
        assert torch.equal(two["weights"][name], other["weights"][name]), name
    assert one["weights"]["centre"].abs().max() > 0.01
    for state in (one, two, other):  # steps 0 to 3 are below 0.4 of 8
        assert len(set(state["frozen"][:4])) == 1
        assert len(set(state["frozen"])) == 5


def test_features_are_the_class_token_beside_the_mean_patch() -> None:
    torch.manual_seed(0)
    encoder = replace(TINY.encoder, registers=2)
    network = dino.Network(replace(TINY, encoder=encoder)).eval()
    images = torch.rand(2, 3, 64, 48)
    tokens = network.encoder.tokens(images)
    assert tokens.shape[1] == 3 + 8 * 6
    wanted = torch.stack([torch.cat([row[0], sum(row[3:]) / 48]) for row in tokens])
    torch.testing.assert_close(network.features(images), wanted)
