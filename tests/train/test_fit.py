"""fit: every number against a loop written out, and a run that can be stopped, repeated, blamed."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, linear

from course_lib.blocks.schedule import warmup_cosine
from course_lib.train import fit as module
from course_lib.train.fit import NonFiniteLossError, autocast_type, decay_groups, fit
from course_lib.train.minibatches import minibatches, step_seed

X = torch.randn(96, 5, generator=torch.Generator().manual_seed(1))
Y = (X[:, :2].sum(1) > 0).long()
DRAW = minibatches(X, Y, batch_size=16, seed=3)


def network(seed: int = 0, norm: bool = False) -> nn.Module:
    torch.manual_seed(seed)
    middle = nn.BatchNorm1d(7) if norm else nn.LayerNorm(7)
    return nn.Sequential(nn.Linear(5, 7), middle, nn.Dropout(0.2), nn.Linear(7, 2))


def classify(model, batch, progress):
    images, labels = batch
    logits = model(images)
    hits = (logits.argmax(1) == labels).float().mean()
    return {"accuracy": hits, "loss": cross_entropy(logits, labels)}


run = partial(fit, train_step=classify, precision="float32")


def state(model: nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


def equal(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(s, t) for s, t in zip(a, b, strict=True))


def test_it_is_adamw_with_a_schedule_written_out():
    """The same arithmetic by hand: Loshchilov and Hutter's Algorithm 2 in float64, no optimiser."""
    model, steps, lr, decay = nn.Linear(5, 2).double(), 12, 0.02, 0.3
    weights = [p.detach().clone() for p in model.parameters()]
    first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    history = fit(
        model, lambda s, g: (X[s : s + 8].double(), Y[s : s + 8]), steps, train_step=classify,
        lr=lr, weight_decay=decay, warmup=4, clip=0.5, precision="float32",
    )  # fmt: skip
    for s in range(steps):
        for w in weights:
            w.requires_grad_()
        loss = cross_entropy(linear(X[s : s + 8].double(), *weights), Y[s : s + 8])
        grads = torch.autograd.grad(loss, weights)
        norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
        grads = [g * min(1.0, 0.5 / norm) for g in grads]
        rate = lr * s / 4 if s < 4 else lr * 0.5 * (1 + math.cos(math.pi * (s - 4) / 8))
        assert history["loss"][s] == pytest.approx(loss.item(), rel=1e-6)
        assert history["grad_norm"][s] == pytest.approx(norm, rel=1e-5)
        assert history["lr"][s] == pytest.approx(rate)
        for i, (w, g) in enumerate(zip(weights, grads, strict=True)):
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            m, v = first[i] / (1 - 0.9 ** (s + 1)), second[i] / (1 - 0.999 ** (s + 1))
            w = w.detach() * (1 - rate * (decay if w.ndim == 2 else 0))
            weights[i] = w - rate * m / (v.sqrt() + 1e-8)
    for ours, theirs in zip(model.parameters(), weights, strict=True):
        torch.testing.assert_close(ours.detach(), theirs, rtol=1e-5, atol=1e-7)


def test_it_learns():
    history = run(network(), DRAW, 150, lr=0.02, warmup=10)
    assert history["loss"][:10].mean() > 0.5 > 0.25 > history["loss"][-10:].mean()
    assert history["accuracy"][-20:].mean() > 0.9
    assert next(iter(history.scalars)) == "loss"
    assert (history["images_per_second"] > 0).all()
    assert len(history) == history.total == 150


def test_decay_acts_on_matrices_and_frozen_weights_stay():
    model = nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4), nn.Linear(4, 2), nn.Linear(2, 2))
    model[3].requires_grad_(False)
    matrices, vectors = decay_groups(model, 0.1)
    assert [p.shape for p in matrices["params"]] == [(4, 3, 2, 2), (2, 4)]
    assert [p.shape for p in vectors["params"]] == [(4,), (4,), (4,), (2,)]
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)


def test_progress_and_after_step_see_every_step_after_the_update():
    seen, model = [], network()

    def step(model, batch, progress):
        seen.append(("train", progress, model[0].weight.sum().item()))
        return classify(model, batch, progress)

    def after(model, progress):
        seen.append(("after", progress, model[0].weight.sum().item()))

    fit(model, DRAW, 4, train_step=step, after_step=after)
    assert [s[:2] for s in seen] == [(w, k / 4) for k in range(4) for w in ("train", "after")]
    assert seen[2][2] == seen[1][2]
    assert seen[2][2] != seen[3][2]


def test_the_optimiser_can_be_replaced():
    model = nn.Linear(5, 2)
    start = state(model)
    seen = []

    def sgd(groups, lr):
        seen.append(torch.optim.SGD(groups, lr=lr))
        return seen[0]

    history = run(model, DRAW, 1, lr=0.5, weight_decay=0.0, clip=None, optimizer=sgd)
    moved = torch.cat([(b - a).flatten() for a, b in zip(start, state(model), strict=True)])
    assert moved.norm().item() == pytest.approx(0.5 * history["grad_norm"][0], rel=1e-5)


# The same step is the same everywhere.


def test_a_run_repeats_bit_for_bit_whatever_a_watcher_draws():
    def noisy(step, scalars, history):
        torch.manual_seed(step)
        torch.rand(step + 1)

    results = []
    for watch in ((), noisy):
        torch.manual_seed(len(results))  # nor does the state before the run matter
        model = network()
        torch.manual_seed(len(results) + 7)
        history = run(model, DRAW, 20, watch=watch)
        results.append((history["loss"].tolist(), state(model)))
    assert results[0][0] == results[1][0]
    assert equal(results[0][1], results[1][1])
    other = network()
    assert run(other, DRAW, 20, seed=1)["loss"].tolist() != results[0][0], "dropout must differ"


def test_what_was_outside_is_as_before():
    torch.manual_seed(5)
    expected = torch.rand(3)
    model = network().eval()
    torch.manual_seed(5)
    run(model, DRAW, 3)
    assert torch.equal(torch.rand(3), expected), "torch's random numbers"
    assert not model.training
    assert all(p.grad is None for p in model.parameters())


# Watching and stopping.


def test_watchers_get_every_step_in_order():
    seen = []
    history = run(
        network(),
        DRAW,
        3,
        watch=[lambda step, scalars, h: seen.append((step, scalars["loss"], len(h)))] * 2,
    )
    expected = [(s, loss, s + 1) for s, loss in enumerate(history["loss"]) for _ in range(2)]
    assert seen == expected


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_stops_with_step_and_seed(where):
    def spoilt(step, generator):
        images, labels = DRAW(step, generator)
        return (images * math.nan if step == 7 and where == "loss" else images), labels

    def step(model, batch, progress):
        out = classify(model, batch, progress)
        if progress == 0.7 and where == "gradient":
            out["loss"] = out["loss"] + (model[0].weight[0, 0] * 0).sqrt()  # 0 with slope 1 / 0
        return out

    model, states, seen = network(norm=True), [], []

    def watch(step, scalars, history):
        states.append(state(model))
        seen.append((step, history.interrupted))

    with pytest.raises(NonFiniteLossError) as caught:
        fit(model, spoilt, 10, train_step=step, seed=11, watch=watch)
    message = str(caught.value)
    assert (
        f"at step 7, whose batch is batches(7, torch.Generator().manual_seed({step_seed(11, 7)}"
        in (message)
    )
    assert message.startswith(
        "the loss is nan" if where == "loss" else "the gradient's norm is nan"
    )
    assert seen[-2:] == [(6, False), (6, True)]
    assert equal(states[-1], states[-2])
    assert equal(state(model), states[-1]), "BatchNorm's statistics must come back too"
    assert all(torch.isfinite(t).all() for t in state(model))
    generators = []
    run(network(), lambda s, g: generators.append(g.initial_seed()) or DRAW(s, g), 10, seed=11)
    assert generators[7] == step_seed(11, 7), "the seed named is the one that made the batch"


# Precision.


def test_automatic_precision_follows_the_hardware(monkeypatch):
    cpu = torch.device("cpu")
    can = {}
    monkeypatch.setattr(module.torch.cpu, "get_capabilities", lambda: can)
    assert autocast_type(cpu) is None
    for feature in ("avx512_bf16", "amx_bf16"):
        can.clear()
        can[feature] = True
        assert autocast_type(cpu) is torch.bfloat16
    assert autocast_type(cpu, "float32") is None
    assert autocast_type(torch.device("mps")) is None
    with pytest.raises(ValueError, match="\"bfloat16\", but 'float16' was given"):
        autocast_type(cpu, "float16")


def test_bfloat16_multiplies_in_bfloat16_and_learns_in_float32():
    seen = []

    def step(model, batch, progress):
        seen.append(model[0](batch[0]).dtype)
        return classify(model, batch, progress)

    model = network()
    history = fit(model, DRAW, 150, train_step=step, lr=0.02, precision="bfloat16")
    assert set(seen) == {torch.bfloat16}
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert history["loss"][-10:].mean() < 0.25


# What is wrong is said in one sentence.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "stop ≥ 1.* but got 0"),
        ({"steps": 4, "stop": 5}, "steps ≥ stop ≥ 1"),
        ({"steps": 4, "stop": 0}, "steps ≥ stop ≥ 1"),
        ({"warmup": 9, "steps": 9}, "warmup < steps.* but got 9, 9"),
        ({"warmup": -1}, "0 ≤ warmup"),
        ({"every": 0}, "every ≥ 1"),
        ({"lr": 0.0}, "lr > 0"),
        ({"model": nn.Identity()}, "Identity has no parameter to train"),
        ({"model": nn.Linear(5, 2).requires_grad_(False)}, "Linear has no parameter to train"),
        ({"train_step": lambda m, b, p: {"cost": 1}}, '"loss", but it returned only cost'),
        ({"train_step": lambda m, b, p: torch.ones(1)}, '"loss", but it returned .*Tensor'),
        ({"train_step": lambda m, b, p: {"loss": 1.0}}, "depends on the model"),
        ({"train_step": lambda m, b, p: {"loss": torch.ones(())}}, "depends on the model"),
        (
            {"train_step": lambda m, b, p: {"loss": m(b[0]).sum(1)}},
            r"loss must be a scalar.*\(16,\)",
        ),
        ({"batches": lambda s, g: (X[:0], Y[:0])}, r"batch is empty: its shape is \(0, 5\)"),
        ({"batches": lambda s, g: None}, "tensors .*, but NoneType was given"),
        ({"batches": lambda s, g: ()}, "tensors .*, but tuple was given"),
        ({"precision": "half"}, "precision must be"),
        ({"checkpoint": "run.pt"}, r"NAME\.safetensors, but 'run\.pt'"),
    ],
)
def test_wrong_requests_are_named(change, message):
    arguments = {"model": nn.Linear(5, 2), "batches": DRAW, "steps": 3, "train_step": classify}
    with pytest.raises(ValueError, match=message) as caught:
        fit(**{**arguments, **change})
    assert "\n" not in str(caught.value)


def test_steps_that_measure_different_things_are_named():
    def step(model, batch, progress):
        out = classify(model, batch, progress)
        return out if progress < 0.5 else {"loss": out["loss"]}

    with pytest.raises(ValueError, match="each step must measure the same"):
        fit(network(), DRAW, 4, train_step=step)


def test_the_rate_is_the_schedules():
    history = run(network(), DRAW, 30, lr=0.1, warmup=6)
    expected = [warmup_cosine(s / 30, 0.1, warmup=0.2) for s in range(30)]
    np.testing.assert_allclose(history["lr"], expected)


def test_it_stops_where_it_is_told_at_the_rates_of_the_whole_run(tmp_path):
    whole, part, twice = network(), network(), network()
    rates = run(whole, DRAW, 12, warmup=3)["lr"]
    place = tmp_path / "run.safetensors"
    history = run(part, DRAW, 12, warmup=3, stop=5, checkpoint=place)
    assert (len(history), history.total, history.interrupted) == (5, 5, False)
    assert history["lr"].tolist() == rates[:5].tolist()
    again = run(twice, DRAW, 12, warmup=3, stop=5, checkpoint=place)  # nothing is left to do
    assert len(again) == 5
    assert equal(state(twice), state(part))
    run(twice, DRAW, 12, warmup=3, checkpoint=place)
    assert equal(state(twice), state(whole))
