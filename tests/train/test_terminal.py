"""terminal: a run can be watched, and stopped without losing anything."""

from __future__ import annotations

import os
import signal
import sys
import threading
from functools import partial

import pytest
import torch
from torch import nn

from course_lib.train.fit import fit


def toy() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 1))


def draw(step, generator):
    return torch.randn(8, 3, generator=generator)


def squares(model, batch, progress):
    return {"loss": model(batch).square().mean()}


def state(model: nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


run = partial(fit, train_step=squares, precision="float32")


def test_ctrl_c_waits_for_the_step_and_keeps_everything(tmp_path):
    """A real SIGINT within a step: the step ends, is counted, and is in the checkpoint."""
    path = tmp_path / "run.safetensors"

    def step(model, batch, progress):
        if progress == 0.5:
            os.kill(os.getpid(), signal.SIGINT)
        return squares(model, batch, progress)

    seen, model = [], toy()
    arguments = {
        "precision": "float32",
        "checkpoint": path,
        "watch": lambda s, scalars, h: seen.append((s, h.interrupted)),
    }
    history = fit(model, draw, 20, train_step=step, **arguments)
    assert (len(history), history.interrupted) == (11, True)
    assert repr(history).startswith("History(11 of 20 steps, interrupted: loss, lr, ")
    assert seen[-1] == (10, True)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    history = fit(model, draw, 20, train_step=squares, **arguments)
    whole = toy()
    assert run(whole, draw, 20)["loss"].tolist() == history["loss"].tolist()
    assert all(map(torch.equal, state(model), state(whole)))
    assert not history.interrupted


def test_pressed_twice_it_ends_at_once():
    def step(model, batch, progress):
        if progress == 0.5:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("the second press must not wait")
        return squares(model, batch, progress)

    seen, model = [], toy()
    history = fit(model, draw, 4, train_step=step, watch=lambda s, v, h: seen.append(s))
    assert (len(history), history.interrupted, seen) == (2, True, [0, 1, 1])
    assert all(torch.isfinite(t).all() for t in state(model))


def test_in_another_thread_it_trains_as_well():
    results = []
    thread = threading.Thread(target=lambda: results.append(run(toy(), draw, 3)))
    thread.start()
    thread.join()
    assert results[0]["loss"].tolist() == run(toy(), draw, 3)["loss"].tolist()


def test_a_bar_in_a_terminal_and_silence_elsewhere(monkeypatch, capsys):
    run(toy(), draw, 3)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run(toy(), draw, 3)
    said = capsys.readouterr()
    assert said.out == ""
    assert "3/3" in said.err
    assert "images/s" in said.err
