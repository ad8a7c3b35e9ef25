"""schedule: equal to the published code's numbers, step by step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from course_lib.blocks.schedule import cosine, ema_momentum, warmup_cosine


def rate_of_mae(epoch: float, epochs: float, warmup: float, lr: float, least: float) -> float:
    """MAE's adjust_learning_rate: the rate is set from the (fractional) epoch."""
    if epoch < warmup:
        return lr * epoch / warmup
    angle = math.pi * (epoch - warmup) / (epochs - warmup)
    return least + (lr - least) * 0.5 * (1.0 + math.cos(angle))


def table_of_dino(base: float, final: float, steps: int, warmup: int) -> np.ndarray:
    """DINO's cosine_scheduler: one table of the values of all steps."""
    i = np.arange(steps - warmup)
    fall = final + 0.5 * (base - final) * (1 + np.cos(np.pi * i / len(i)))
    return np.concatenate([np.linspace(0, base, warmup), fall])


@pytest.mark.parametrize("warmup", [0, 7, 40])
def test_the_rate_is_maes_at_every_step(warmup):
    for step in range(101):
        ours = warmup_cosine(step / 100, 1.5e-3, warmup=warmup / 100, end=1e-5)
        assert ours == pytest.approx(rate_of_mae(step, 100, warmup, 1.5e-3, 1e-5), rel=1e-9)


@pytest.mark.parametrize("warmup", [0, 10, 33])
def test_after_the_warmup_the_rate_is_dinos(warmup):
    table = table_of_dino(2e-3, 1e-6, 90, warmup)
    ours = [warmup_cosine(s / 90, 2e-3, warmup=warmup / 90, end=1e-6) for s in range(90)]
    np.testing.assert_allclose(ours[warmup:], table[warmup:], rtol=1e-9)


def test_the_momentum_is_dinos_table_and_byols_formula():
    ours = [ema_momentum(k / 50, 0.99) for k in range(50)]
    np.testing.assert_allclose(ours, table_of_dino(0.99, 1.0, 50, 0), rtol=1e-12)
    byol = [1 - (1 - 0.99) * (math.cos(math.pi * k / 50) + 1) / 2 for k in range(50)]
    np.testing.assert_allclose(ours, byol, rtol=1e-12)
    assert ema_momentum(1.0, 0.99) == 1.0


def test_by_hand():
    assert [cosine(p, 4.0, 2.0) for p in (0, 0.5, 1)] == pytest.approx([4, 3, 2])
    assert cosine(1 / 3, 4.0, 2.0) == pytest.approx(3.5)  # cos 60° is a half
    assert [warmup_cosine(p, 1.0, warmup=0.2) for p in (0, 0.1, 0.2, 0.6, 1)] == pytest.approx(
        [0, 0.5, 1, 0.5, 0]
    )


@pytest.mark.parametrize("progress", [-0.01, 1.01, math.nan])
def test_progress_is_a_share(progress):
    for schedule in (lambda p: cosine(p, 0, 1), lambda p: warmup_cosine(p, 1.0), ema_momentum):
        with pytest.raises(ValueError, match="from 0 to 1, but"):
            schedule(progress)


def test_wrong_shares_are_named():
    with pytest.raises(ValueError, match=r"from 0 to below 1, but 1\.0"):
        warmup_cosine(0.5, 1.0, warmup=1.0)
    with pytest.raises(ValueError, match=r"momentum must lie from 0 to 1, but 1\.5"):
        ema_momentum(0.5, 1.5)
