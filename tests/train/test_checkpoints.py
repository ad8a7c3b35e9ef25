"""checkpoints: whole or not there, after a kill, a cut, a flipped bit and a full disk."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from course_lib.train import checkpoints as module
from course_lib.train.checkpoints import (
    DamagedCheckpointError,
    load,
    load_weights,
    previous,
    save,
    save_weights,
)
from course_lib.train.fit import fit

CARD = {
    "command": "make toy", "seed": 0, "steps": 3, "data": "digits", "hardware": "one core",
    "seconds": 1.5, "metrics": {"knn": {"value": 0.9, "chance": 0.1, "random_init": 0.3}},
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "run.safetensors"


def tied() -> nn.Module:
    """Two layers that share a weight, a buffer, a scalar parameter and several types."""
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    model.register_parameter("tau", nn.Parameter(torch.tensor(0.07)))
    model.register_buffer("hidden", torch.tensor([True, False]))
    model.register_buffer("bits", torch.tensor([1.5, -2], dtype=torch.bfloat16))
    model.register_buffer("empty", torch.zeros(0, 4))
    return model


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


# One file.


def test_what_is_saved_comes_back_with_its_types(path):
    model = tied()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.8, 0.9))
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    state = {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 7,
        "lr": 0.1 + 0.2, "on": True, "note": "ü", "nothing": None, "pair": (1, [2.5, {3: "x"}]),
    }  # fmt: skip
    save(path, state)
    state["model"] = dict(state["model"])
    assert same(state, load(path))
    assert os.listdir(path.parent) == ["run.safetensors"]


def test_the_copy_shares_no_memory_with_the_model(path):
    weight = torch.ones(2, 3)
    save(path, {"a": weight, "b": weight.T})
    weight.zero_()
    state = load(path)
    assert torch.equal(state["a"], torch.ones(2, 3))
    assert torch.equal(state["b"], torch.ones(3, 2))


def test_nothing_saved_is_none(path):
    assert load(path) is None


@pytest.mark.parametrize("bad", [np.ones(3), {1}, lambda: 0])
def test_what_would_need_a_pickle_is_refused(path, bad):
    kind = type(bad).__name__
    with pytest.raises(TypeError, match=f"tensors, numbers and text, but a/b/0 is a {kind}"):
        save(path, {"a": {"b": [bad]}})
    assert not path.exists()


def test_other_names_are_refused():
    for call in (
        lambda: save("run.pt", {}),
        lambda: load("run"),
        lambda: load_weights(nn.Linear(1, 1), "a"),
    ):
        with pytest.raises(ValueError, match=r"named NAME\.safetensors, but"):
            call()


# Damage.


def two(path: Path) -> None:
    save(path, {"step": 1, "w": torch.arange(1000.0)})
    save(path, {"step": 2, "w": torch.arange(1000.0) + 1})


def test_two_are_kept(path):
    two(path)
    save(path, {"step": 3})
    assert load(path) == {"step": 3}
    assert load(previous(path))["step"] == 2
    assert sorted(os.listdir(path.parent)) == ["run.previous.safetensors", "run.safetensors"]


@pytest.mark.parametrize("keep", [0, 3, 8, 100, 2000, -1])
def test_a_cut_file_gives_way_to_the_one_before(path, keep):
    two(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.warns(UserWarning, match=r"^run\.safetensors .*; going on from run\.previous"):
        assert load(path)["step"] == 1


def test_a_flipped_bit_anywhere_is_seen(path):
    two(path)
    whole = path.read_bytes()
    at = [*range(0, 400, 7), *range(400, len(whole), 211), len(whole) - 1]
    for place in at:
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match="going on from"):
            assert load(path)["step"] == 1, place


def test_a_kill_between_the_two_moves_loses_one_checkpoint_at_most(path):
    two(path)
    os.replace(path, previous(path))
    assert load(path)["step"] == 2


def test_both_damaged_is_an_error_and_no_fresh_start(path):
    two(path)
    for file in (path, previous(path)):
        file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(DamagedCheckpointError, match=r"run\.safetensors .*; run\.previous"):
        load(path)
    with pytest.raises(DamagedCheckpointError):
        fit(nn.Linear(2, 1), None, 3, train_step=None, checkpoint=path)


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_one_whole(path, monkeypatch, call):
    two(path)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}

    def full(*arguments, **_):
        raise OSError(errno.ENOSPC, "No space left on device")

    target = {"open": (module, "open"), "fsync": (os, "fsync"), "replace": (os, "replace")}[call]
    with monkeypatch.context() as patch:
        patch.setattr(*target, full, raising=False)
        with pytest.raises(OSError, match=r"run\.safetensors could not be written \(No space") as e:
            save(path, {"step": 3})
    assert e.value.errno == errno.ENOSPC
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before
    assert load(path)["step"] == 2


def test_a_disk_that_fills_up_while_writing_leaves_no_part(path):
    """The system's own limit on a file's size stands for the disk: half of it gets written."""
    code = f"""
import resource, signal, torch
from course_lib.train.checkpoints import save
save({str(path)!r}, {{"w": torch.zeros(10)}})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save({str(path)!r}, {{"w": torch.zeros(100_000)}})
except OSError as error:
    print(error)
"""
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "run.safetensors could not be written (File too large)" in done.stdout, done.stderr
    assert os.listdir(path.parent) == ["run.safetensors"]
    assert load(path)["w"].shape == (10,)


# A run that is killed.

RUN = """
import os, sys
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from course_lib.train.fit import fit
from course_lib.train.minibatches import minibatches

X = torch.randn(256, 32, generator=torch.Generator().manual_seed(1))
Y = (X[:, :3].sum(1) > 0).long()
draw = minibatches(X, Y, batch_size=32)

def batches(step, generator):  # what is random in a batch comes from the step's generator
    images, labels = draw(step, generator)
    return images + 0.1 * torch.randn(images.shape, generator=generator), labels

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.student = nn.Sequential(
            nn.Linear(32, 64), nn.BatchNorm1d(64), nn.GELU(), nn.Dropout(0.3), nn.Linear(64, 2)
        )
        self.teacher = nn.Linear(64, 2).requires_grad_(False)
        self.register_buffer("centre", torch.zeros(2))

def train_step(model, batch, progress):
    logits = model.student(batch[0])
    model.seen = logits.detach().mean(0)
    return {"loss": cross_entropy(logits - model.centre, batch[1])}

def after_step(model, progress):
    model.centre.mul_(0.9).add_(model.seen, alpha=0.1)
    for t, s in zip(model.teacher.parameters(), model.student[-1].parameters()):
        t.data.lerp_(s.data, 0.05)

def train(path, every):
    print(os.getpid(), flush=True)
    fit(Net(), batches, 60, train_step=train_step, after_step=after_step, warmup=5,
        checkpoint=path, every=every, watch=lambda step, *_: print(step, flush=True))

fit(Net(), batches, 1, train_step=train_step)  # so that what torch imports late is imported once
for line in sys.stdin:  # one process for each run
    path, every = line.split()
    child = os.fork()
    if child == 0:
        train(path, int(every))
        os._exit(0)
    print("ended", os.waitpid(child, 0)[1], flush=True)
"""


def trained(runs: subprocess.Popen, path: Path, every: int, kill_after: int | None) -> list[int]:
    """One run in a process of its own, killed soon after that step → the steps that it did."""
    runs.stdin.write(f"{path} {every}\n")
    runs.stdin.flush()
    process, steps = int(runs.stdout.readline()), []
    for line in runs.stdout:
        if line.startswith("ended"):
            assert int(line.split()[1]) == (0 if kill_after is None else signal.SIGKILL)
            return steps
        steps.append(int(line))
        if steps[-1] == kill_after:
            time.sleep(random.Random(kill_after).uniform(0, 0.01))
            os.kill(process, signal.SIGKILL)
    raise AssertionError(runs.stderr.read())


def everything_but_times(path: Path) -> dict:
    state = load(path)
    state.pop("seconds")
    state["scalars"].pop("images_per_second")
    return state


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are of POSIX")
def test_a_run_killed_at_random_moments_ends_bit_for_bit_like_one_that_was_not(tmp_path):
    """SIGKILL in steps and in the writing of checkpoints, which here comes after every step."""
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", RUN], text=True, **pipes) as runs:
        assert trained(runs, whole, 60, None) == list(range(60))
        assert not previous(whole).exists()
        done = -1
        for kill_after in (4, 11, 16, 27, 34, 41, 52, None):
            steps = trained(runs, killed, 1, kill_after)
            # A step that was told is in its place; at most one more is there that was not yet told.
            assert done + 1 <= steps[0] <= done + 2
            assert steps == list(range(steps[0], steps[-1] + 1))
            done = steps[-1]
        runs.stdin.close()
    assert done == 59
    assert same(everything_but_times(whole), everything_but_times(killed))
    assert len(load(killed)["scalars"]["loss"]) == 60


def draw(step, generator):
    return torch.randn(4, 3, generator=generator)


def squares(model, batch, progress):
    return {"loss": model(batch).square().mean()}


def test_a_finished_run_is_not_run_again_but_shown(path):
    seen, model = [], nn.Linear(3, 1)
    first = fit(model, draw, 5, train_step=squares, checkpoint=path)
    other = nn.Linear(3, 1)
    again = fit(
        other, None, 5, train_step=None, checkpoint=path, watch=lambda s, v, h: seen.append((s, v))
    )
    assert again == first
    assert seen == [(4, first.last())]
    assert same(dict(model.state_dict()), dict(other.state_dict()))


def test_a_longer_interval_loses_no_more_than_it_says(path):
    def stops(step, generator):
        if step == 8:
            raise RuntimeError("the machine is gone")
        return draw(step, generator)

    model = nn.Linear(3, 1)
    with pytest.raises(RuntimeError, match="gone"):
        fit(model, stops, 10, train_step=squares, checkpoint=path, every=3)
    steps = []
    history = fit(
        nn.Linear(3, 1), draw, 10, train_step=squares, checkpoint=path, every=3,
        watch=lambda s, v, h: steps.append(s),
    )  # fmt: skip
    assert steps == [6, 7, 8, 9]
    assert len(history) == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.5}, r"was made with \{'lr': 0.001\}, but \{'lr': 0.5\} was asked for; remove it"),
        ({"steps": 6}, "'steps': 5"),
        ({"seed": 3}, "'seed': 0"),
        ({"optimizer": torch.optim.SGD}, "'optimizer': 'AdamW'"),
        ({"model": nn.Linear(3, 2)}, r"only the model has bias \(2,\) float32, weight \(2, 3\)"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(path, change, message):
    arguments = {"model": nn.Linear(3, 1), "batches": draw, "steps": 5, "train_step": squares}
    fit(**arguments, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        fit(**{**arguments, **change}, checkpoint=path)
    assert path.read_bytes() == before


# Weights with their card.


def test_weights_come_back_with_their_card(path):
    model = tied()
    save_weights(model, path, CARD)
    other = tied()
    card = load_weights(other, path)
    assert same(dict(model.state_dict()), dict(other.state_dict()))
    assert card.pop("sha256")
    assert card == CARD
    assert sorted(os.listdir(path.parent)) == ["run.json", "run.safetensors"]
    assert json.loads(path.with_suffix(".json").read_text())["metrics"] == CARD["metrics"]
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == set(model.state_dict())


def test_weights_of_another_model_change_nothing(path):
    save_weights(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), path, CARD)
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1, bias=False))
    before = {name: t.clone() for name, t in model.state_dict().items()}
    with pytest.raises(ValueError, match="does not fit") as caught:
        load_weights(model, path)
    ours, theirs = str(caught.value).split("; ")
    assert ours.endswith("only the model has 1.weight (1, 3) float32")
    assert theirs == "only the file has 1.bias (2,) float32, 1.weight (2, 3) float32"
    assert same(before, dict(model.state_dict()))
    with pytest.raises(ValueError, match=r"float16"):
        load_weights(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)).half(), path)


def test_a_part_is_filled_from_the_part_of_its_name(path):
    torch.manual_seed(0)
    whole = nn.ModuleDict({"eye": nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)),
                           "eyes": nn.Linear(3, 4)})  # fmt: skip
    save_weights(whole, path, CARD)
    part, piece = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), nn.Sequential(nn.Linear(3, 4))
    assert load_weights(part, path, part="eye.")["steps"] == CARD["steps"]
    load_weights(piece, path, part="eye.")
    torch.testing.assert_close(part.state_dict(), whole["eye"].state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(piece[0].weight, whole["eye"][0].weight, rtol=0, atol=0)
    wrong = nn.Sequential(nn.Linear(3, 5))
    with pytest.raises(ValueError, match=r"only the model has 0\.bias \(5,\)"):
        load_weights(wrong, path, part="eye.")
    with pytest.raises(ValueError, match=r"only the model has 0\.bias"):
        load_weights(piece, path, part="ear.")


def test_damaged_or_missing_weights_are_named(path):
    model = nn.Linear(3, 1)
    with pytest.raises(FileNotFoundError, match=r"run\.safetensors"):
        load_weights(model, path)
    save_weights(model, path, CARD)
    whole = path.read_bytes()
    for content in (whole[:20], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        path.write_bytes(content)
        with pytest.raises(DamagedCheckpointError, match=r"run\.safetensors is not the file"):
            load_weights(model, path)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(DamagedCheckpointError, match=r"run\.json is no JSON"):
        load_weights(model, path)
    path.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match=r"run\.json"):
        load_weights(model, path)


def test_a_card_must_tell_all(path):
    model = nn.Linear(3, 1)
    with pytest.raises(ValueError, match="card must also say: seed, seconds"):
        save_weights(model, path, {k: v for k, v in CARD.items() if k not in ("seed", "seconds")})
    with pytest.raises(ValueError, match="metric knn must be a dict of value, chance, random_init"):
        save_weights(model, path, {**CARD, "metrics": {"knn": {"value": 0.9}}})
    with pytest.raises(ValueError, match=r"would have 9\.0 MB, but at most 8 are"):
        save_weights(nn.Linear(1500, 1500), path, CARD)
    assert not path.exists()


def test_weights_on_a_full_disk_leave_the_old_ones(path, monkeypatch):
    save_weights(nn.Linear(3, 1), path, CARD)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="could not be written"):
        save_weights(nn.Linear(3, 1), path, CARD)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before
