"""invariance: 1 for identical, 0 for strangers, by loops, and nothing for a collapsed encoder."""

import math

import numpy as np
import pytest

from course_lib.evaluate.invariance import invariance

RNG = np.random.default_rng(0)
BASE = RNG.normal(size=(50, 9)) + 1


def test_the_definition_by_loops() -> None:
    changed = BASE + 0.8 * RNG.normal(size=BASE.shape)

    def cosine(a, b) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))

    same = np.mean([cosine(a, b) for a, b in zip(BASE, changed, strict=True)])
    apart = np.mean([cosine(a, b) for i, a in enumerate(BASE) for b in BASE[:i]])
    found = invariance(BASE, {"light": changed, "nothing": BASE, "length": 7 * BASE})
    assert found["light"] == pytest.approx((same - apart) / (1 - apart), abs=1e-5)
    assert found["nothing"] == pytest.approx(1)
    assert found["length"] == pytest.approx(1)


def test_another_scene_is_zero_and_the_opposite_is_below() -> None:
    rng = np.random.default_rng(1)
    many, others = rng.normal(size=(2, 4000, 9)) + 1
    found = invariance(many, {"scene": others, "opposite": -many})
    assert found["scene"] == pytest.approx(0, abs=0.02)
    assert found["opposite"] < -1


def test_by_hand() -> None:
    """Two scenes at right angles: cos = 0. Each is turned by 60°: cos = ½."""
    turn = np.array([[0.5, -math.sqrt(0.75)], [math.sqrt(0.75), 0.5]])
    assert invariance(np.eye(2), {"turn": np.eye(2) @ turn})["turn"] == pytest.approx(0.5)


def test_a_factor_is_left_where_it_does_not_show() -> None:
    """Features made of shape and light: ignoring light is invariance to light, and only to it."""
    shape, light, other = RNG.normal(size=(3, 200, 6))
    sees_both = {
        "light": np.concatenate([shape, other], axis=1),
        "shape": np.concatenate([other, light], axis=1),
    }
    half = invariance(np.concatenate([shape, light], axis=1), sees_both)
    blind = invariance(shape, {"light": shape, "shape": other})
    assert half == pytest.approx({"light": 0.5, "shape": 0.5}, abs=0.1)
    assert blind == pytest.approx({"light": 1, "shape": 0}, abs=0.1)


@pytest.mark.parametrize("value", [0.1, 1.0, 1e5])
def test_a_collapsed_encoder_has_none(value: float) -> None:
    constant = np.full((30, 4), value)
    assert math.isnan(invariance(constant, {"light": constant})["light"])


def test_bad_arguments_get_one_sentence() -> None:
    with pytest.raises(ValueError, match="two scenes or more"):
        invariance(BASE[:1], {"light": BASE[:1]})
    with pytest.raises(ValueError, match=r"features of light must have the shape \(50, 9\)"):
        invariance(BASE, {"light": BASE[:9]})
    with pytest.raises(ValueError, match="features of light must be finite"):
        invariance(BASE, {"light": BASE * np.nan})
