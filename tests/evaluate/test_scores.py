"""scores: the parts of one call, and controls that know nothing."""

import numpy as np
import pytest

from course_lib.evaluate.knn import knn
from course_lib.evaluate.linear_probe import linear_probe
from course_lib.evaluate.scores import measure

CENTRES = np.random.default_rng(99).normal(size=(4, 6))


def clusters(n: int, seed: int):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    return CENTRES[labels] + rng.normal(size=(n, 6)), labels


SPLIT = (*clusters(400, 0), *clusters(400, 1))


def test_one_call_is_its_parts() -> None:
    scores = measure(*SPLIT, k=7, seed=3)
    probed = linear_probe(*SPLIT, seed=3)
    assert (scores.probe, scores.per_class) == (probed.value, probed.per_class)
    assert (scores.knn, scores.chance) == tuple(knn(*SPLIT, k=7))
    assert str(scores) == (
        f"probe {scores.probe:.3f}, kNN {scores.knn:.3f} "
        f"(shuffled labels {scores.shuffled:.3f}, chance 0.250)"
    )


def test_shuffled_labels_are_chance_and_labels_are_not() -> None:
    found = [measure(*SPLIT, seed=seed) for seed in range(8)]
    assert np.mean([s.shuffled for s in found]) == pytest.approx(0.25, abs=0.04)
    assert len({s.shuffled for s in found}) > 1
    assert min(s.probe for s in found) > 0.6
    assert SPLIT[1].tolist() == clusters(400, 0)[1].tolist(), "the labels that were given changed"


def test_shuffled_labels_are_chance_for_a_perfect_encoder_too() -> None:
    """Four points, one a class: with the true test labels it would be 0, 1/4, 1/2 or more."""
    perfect = np.eye(4)[SPLIT[1]], SPLIT[1], np.eye(4)[SPLIT[3]], SPLIT[3]
    found = [measure(*perfect, seed=seed) for seed in range(8)]
    assert {s.probe for s in found} == {1.0}
    deviation = np.sqrt(0.25 * 0.75 / 400)
    assert [s.shuffled for s in found] == pytest.approx([0.25] * 8, abs=3 * deviation)


def test_seed_alone_decides() -> None:
    assert measure(*SPLIT, seed=5) == measure(*SPLIT, seed=5)


def test_features_without_information() -> None:
    constant = np.ones((400, 6))
    scores = measure(constant, SPLIT[1], constant, SPLIT[3])
    assert scores.probe == scores.knn == scores.chance == 0.25
