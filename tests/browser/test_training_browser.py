"""A training in a real JupyterLab: its picture moves meanwhile, and ■ loses nothing."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

TOY = """
import time, torch
from course_lib.show.training import live_loss
from course_lib.train.fit import fit
model = torch.nn.Linear(3, 1)
def train_step(model, batch, progress):
    time.sleep(0.01)
    return {"loss": model(batch).square().mean()}
def draw(step, generator):
    return torch.randn(8, 3, generator=generator)
fit(model, draw, 1, train_step=train_step)  # what torch imports late
"""
TRAIN = (
    'curve = live_loss(60_000, alt="A toy.")\n'
    "history = fit(model, draw, 60_000, train_step=train_step, watch=curve)\n"
    "history"
)
PICTURE = ".jp-OutputArea-output img"
SOURCE = f"document.querySelector('{PICTURE}')?.src"


def test_the_curve_moves_and_the_stop_button_keeps_what_was_learned(lab):
    page = lab(TOY)
    page.evaluate("jupyterapp.commands.execute('notebook:insert-cell-below')")
    page.evaluate("jupyterapp.commands.execute('notebook:enter-edit-mode')")
    page.keyboard.insert_text(TRAIN)
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-cell'); }")
    page.wait_for_selector(f"{PICTURE} >> visible=true")
    for _ in range(3):  # ten minutes of training are ahead: the kernel is at work all the while
        page.wait_for_function(f"before => ![undefined, before].includes({SOURCE})",
                               arg=page.evaluate(SOURCE))  # fmt: skip
    live = page.evaluate(f"document.querySelector('{PICTURE}').naturalWidth")
    page.evaluate("jupyterapp.commands.execute('notebook:interrupt-kernel')")
    said = page.wait_for_selector(".jp-OutputArea-executeResult >> text=interrupted")
    assert "of 60000 steps, interrupted: loss, lr" in said.inner_text()
    assert page.locator(PICTURE).count() == 1, "one picture, replaced in its place"
    page.wait_for_function(
        f"live => document.querySelector('{PICTURE}').naturalWidth > live", arg=live
    )  # the last picture is the fine one
    assert not page.locator(".jp-OutputArea [data-mime-type*=error]").count()
    assert not page.locator(".jp-OutputArea [data-mime-type*=stderr]").count()
