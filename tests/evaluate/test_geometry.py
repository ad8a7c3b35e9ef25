"""geometry: closed forms by hand, loops, and what rotation and scale must not change."""

import math

import numpy as np
import pytest

from course_lib.evaluate import geometry as module
from course_lib.evaluate.geometry import alignment, effective_rank, uniformity

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(60, 7)) * np.array([5, 3, 1, 1, 0.5, 0.1, 0.01]) + 2


def test_effective_rank_of_equal_directions_is_their_number() -> None:
    for d in (1, 2, 5):
        cross = np.concatenate([np.eye(d), -np.eye(d)])
        wide = np.concatenate([cross, np.zeros((2 * d, 4))], axis=1)
        assert effective_rank(wide + 3) == pytest.approx(d, abs=1e-4)


def test_effective_rank_of_unequal_directions_by_hand() -> None:
    """Singular values 3 : 1, so p = (¾, ¼) and erank = exp(−¾ ln ¾ − ¼ ln ¼)."""
    features = np.array([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    by_hand = math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert effective_rank(features) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(1.7548, abs=1e-4)


def test_effective_rank_from_eigenvalues_of_the_covariance() -> None:
    x = FEATURES.astype(np.float32).astype(float)
    sigma = np.sqrt(np.linalg.eigvalsh(np.cov(x.T)).clip(0))
    p = [s / sigma.sum() for s in sigma]
    assert effective_rank(FEATURES) == pytest.approx(
        math.exp(-sum(q * math.log(q) for q in p)), rel=1e-4
    )


def test_effective_rank_ignores_turn_scale_and_shift() -> None:
    turn = np.linalg.qr(RNG.normal(size=(7, 7)))[0]
    moved = 30 * (FEATURES @ turn) - 11
    assert effective_rank(moved) == pytest.approx(effective_rank(FEATURES), rel=1e-3)
    assert 1 < effective_rank(FEATURES) < 7


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_a_collapse_has_rank_zero(value: float) -> None:
    assert effective_rank(np.full((50, 9), value)) == 0
    assert effective_rank([[1.0, 2.0]]) == 0
    noise = np.random.default_rng(0).uniform(-1e-7, 1e-7, (50, 9))  # rounding is no direction
    assert effective_rank(value * (1 + noise)) == 0


def test_alignment_by_hand_and_by_loops() -> None:
    first, second = [[2, 0], [0, 1]], [[0, 3], [0, 9]]  # a right angle, and the same direction
    assert alignment(first, second) == pytest.approx(((2 + 0) / 2, (2 + 0) / 2))
    other = FEATURES + RNG.normal(size=FEATURES.shape)
    own, others = [], []
    for i, a in enumerate(FEATURES):
        for j, b in enumerate(other):
            gap = [p / math.hypot(*a) - q / math.hypot(*b) for p, q in zip(a, b, strict=True)]
            (own if i == j else others).append(math.hypot(*gap) ** 3)
    measured = alignment(FEATURES, other, alpha=3)
    assert measured == pytest.approx((np.mean(own), np.mean(others)), rel=1e-4)
    assert alignment(FEATURES, 4 * FEATURES).value == pytest.approx(0, abs=1e-10)


def test_uniformity_by_hand_and_by_loops() -> None:
    assert uniformity([[1, 0], [-7, 0]]).value == pytest.approx(-8)  # |u − v|² = 4, t = 2
    # A square: of each corner's three others two are √2 away and one is 2.
    square = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    expected = math.log((2 * math.exp(-4) + math.exp(-8)) / 3)
    assert uniformity(square).value == pytest.approx(expected)
    total, pairs = 0.0, 0
    for i, a in enumerate(FEATURES):
        for b in FEATURES[:i]:
            gap = [p / math.hypot(*a) - q / math.hypot(*b) for p, q in zip(a, b, strict=True)]
            total, pairs = total + math.exp(-0.5 * math.hypot(*gap) ** 2), pairs + 1
    measured = uniformity(FEATURES, t=0.5).value
    assert measured == pytest.approx(math.log(total / pairs), rel=1e-4)
    assert uniformity(np.full((40, 3), 0.1)).value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("D", [2, 3, 16])
def test_chance_of_uniformity_is_that_of_random_directions(D: int) -> None:
    measured = uniformity(np.random.default_rng(D).normal(size=(3000, D)))
    assert measured.value == pytest.approx(measured.chance, abs=0.02)
    if D == 3:  # on the sphere u · v is uniform in −1 … 1: log of the mean of exp(4 (u · v − 1))
        assert measured.chance == pytest.approx(math.log((1 - math.exp(-8)) / 8))


def test_chunks_change_nothing(monkeypatch) -> None:
    whole = uniformity(FEATURES), alignment(FEATURES, FEATURES[::-1])
    monkeypatch.setattr(module, "CHUNK", 200)
    parts = uniformity(FEATURES), alignment(FEATURES, FEATURES[::-1])
    assert np.array(parts) == pytest.approx(np.array(whole))


def test_bad_arguments_get_one_sentence() -> None:
    with pytest.raises(ValueError, match="two samples or more"):
        uniformity([[1, 2]])
    with pytest.raises(ValueError, match="two pairs or more"):
        alignment([[1, 2]], [[1, 2]])
    with pytest.raises(ValueError, match=r"one shape.*\(60, 7\) and \(59, 7\)"):
        alignment(FEATURES, FEATURES[1:])
    for measure in (effective_rank, uniformity):
        with pytest.raises(ValueError, match="finite"):
            measure(FEATURES * np.inf)
