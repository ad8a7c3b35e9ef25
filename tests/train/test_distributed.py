"""distributed: two processes under torchrun give the losses and weights of one.

The same script runs twice, as a student would: alone, and as two processes of gloo on this machine.
"""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from course_lib.train.distributed import average_gradients, process_group, same_start, shard
from tests.processes import one_and_two

SCRIPT = '''
"""SimCLR's loss with negatives, and DINO's centre, over all ranks."""
import sys
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize
from course_lib.blocks.gather import gather, mean_across, rank, world_size
from course_lib.train.checkpoints import save
from course_lib.train.distributed import process_group, same_start
from course_lib.train.fit import NonFiniteLossError, fit
from course_lib.train.minibatches import minibatches

OUT = sys.argv[1]
X = torch.randn(128, 12, generator=torch.Generator().manual_seed(1))
draw = minibatches(X, batch_size=16)


def two_views(step, generator):
    x = draw(step, generator)
    return tuple(x + 0.3 * torch.randn(x.shape, generator=generator) for _ in range(2))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(rank())  # each rank begins elsewhere: fit has to give them one start
        self.body = nn.Sequential(nn.Linear(12, 20), nn.GELU(), nn.Linear(20, 6))
        self.unused = nn.Linear(2, 2)
        self.last = nn.Linear(6, 1)
        self.register_buffer("centre", torch.zeros(6))
        self.register_buffer("spread", torch.zeros(()))


def train_step(model, batch, progress):
    za, zb = (normalize(model.body(view), dim=1) for view in batch)
    B = len(za)
    same = rank() * B + torch.arange(B)  # own rows among those of all ranks
    za = za - 0.3 * mean_across(za.mean(0))  # each rank does something else with the same mean
    logits = za @ gather(zb).T / 0.2
    contrast = cross_entropy(logits, same)
    C = mean_across(za.T @ zb / B)  # Barlow Twins' matrix over the whole batch, with gradient
    model.seen = mean_across((za.detach().mean(0) + zb.detach().mean(0)) / 2)
    centred = ((za - model.centre) ** 2).sum(1).mean()
    loss = contrast + 0.1 * (C - torch.eye(6)).square().sum() + 0.1 * centred
    if rank() == 0:  # a parameter that one rank alone uses must not make the ranks drift apart
        loss = loss + 0.0 * model.last(za).sum()
    return {"loss": loss, "contrast": contrast, "size": float(B)}


def after_step(model, progress):
    model.centre.lerp_(model.seen, 0.1)


def spoilt(step, generator):
    views = two_views(step, generator)
    if step == 2:
        views[0][15] = torch.nan  # in the shard of the last rank alone
    return views


with process_group():
    model = Net()
    history = fit(
        model, two_views, 24, train_step=train_step, after_step=after_step, lr=0.02, warmup=4,
        clip=0.5, precision="float32", checkpoint=f"{OUT}/run.safetensors", every=6,
    )
    again = Net()
    resumed = fit(
        again, two_views, 24, train_step=train_step, after_step=after_step, lr=0.02, warmup=4,
        clip=0.5, precision="float32", checkpoint=f"{OUT}/run.safetensors", every=6,
    )
    same = [torch.equal(p, q) for p, q in zip(model.parameters(), again.parameters())]
    stopped = ""
    try:
        fit(Net(), spoilt, 5, train_step=lambda m, b, p: {
            "loss": m.body(b[0]).square().mean()}, precision="float32")
    except NonFiniteLossError as error:
        stopped = str(error)
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(12))
    try:
        synchronised(X)
        needs = "nothing"
    except ValueError as error:
        needs = str(error)
    state = {
        "needs": needs,
        "history": history.scalars, "weights": dict(model.state_dict()), "world": world_size(),
        "same": all(same) and resumed["loss"].tolist() == history["loss"].tolist(),
        "stopped": stopped,
        "grads": [p.grad is None for p in model.parameters()],
    }
    save(f"{OUT}/rank{rank()}.safetensors", state)
'''


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, dict]:
    """What the script has saved: "one" alone, "two0" and "two1" as the ranks of a pair."""
    return one_and_two(tmp_path_factory.mktemp("distributed"), SCRIPT)


def test_it_really_ran_on_two(results):
    assert [results[name]["world"] for name in ("one", "two0", "two1")] == [1, 2, 2]
    assert results["one"]["history"]["size"] == [16.0] * 24
    assert results["two0"]["history"]["size"] == [8.0] * 24


def test_two_processes_give_the_losses_of_one(results):
    for name in ("loss", "contrast", "grad_norm", "lr"):
        one = torch.tensor(results["one"]["history"][name])
        for rank in ("two0", "two1"):
            two = torch.tensor(results[rank]["history"][name])
            torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-5)
    loss = results["one"]["history"]["loss"]
    assert len(loss) == 24
    assert loss[-1] < 0.8 * loss[0], "a run that stands still proves nothing"


def test_weights_and_centre_are_those_of_one_process(results):
    for rank in ("two0", "two1"):
        for name, expected in results["one"]["weights"].items():
            got = results[rank]["weights"][name]
            torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5, msg=name)
    assert results["one"]["weights"]["centre"].abs().max() > 0.01


def test_the_ranks_hold_the_same_bits(results):
    one, other = (results[rank]["weights"] for rank in ("two0", "two1"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    history, other = (results[rank]["history"] for rank in ("two0", "two1"))
    assert history["loss"] == other["loss"]


def test_every_rank_resumes_from_the_one_checkpoint(results):
    assert all(results[name]["same"] for name in results)


def test_a_loss_that_is_not_finite_on_one_rank_stops_all(results):
    for name in results:
        assert results[name]["stopped"].startswith("the loss is nan at step 2")


# What needs no second process.


def test_without_torchrun_nothing_happens(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    model = nn.Linear(2, 1)
    before = [p.clone() for p in model.parameters()]
    with process_group():
        assert not torch.distributed.is_initialized()
        batch = (torch.ones(3, 2), {"label": torch.ones(3)})
        assert shard(batch) is batch
        same_start(model)
        average_gradients(list(model.parameters()))
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize(("rank", "rows"), [(0, slice(0, 2)), (2, slice(4, 6))])
def test_a_shard_is_this_ranks_rows_of_every_tensor(monkeypatch, rank, rows):
    module = sys.modules["course_lib.train.distributed"]
    monkeypatch.setattr(module, "world_size", lambda: 3)
    monkeypatch.setattr(module, "rank", lambda: rank)
    x = torch.arange(12).reshape(6, 2)
    got = shard({"views": (x, [x + 100]), "name": "toy"})
    assert torch.equal(got["views"][0], x[rows])
    assert torch.equal(got["views"][1][0], x[rows] + 100)
    assert got["name"] == "toy"
    with pytest.raises(ValueError, match=r"among 3 processes, but a tensor of shape \(4, 2\)"):
        shard(x[:4])


def test_torch_synchronises_batchnorm_on_accelerators_alone(results):
    """As the module's docstring says; should this fail one day, the sentence may go."""
    assert results["one"]["needs"] == "nothing"
    assert all("to be on GPU" in results[rank]["needs"] for rank in ("two0", "two1"))
