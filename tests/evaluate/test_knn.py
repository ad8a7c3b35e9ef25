"""knn: against a loop straight from the definition, against scikit-learn, and by hand."""

import math
import time

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from course_lib.evaluate import knn as module
from course_lib.evaluate.knn import knn, knn_votes


def clusters(n: int, seed: int, noise: float = 1.2, classes: int = 5, D: int = 12):
    centres = np.random.default_rng(99).normal(size=(classes, D))
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    return centres[labels] + noise * rng.normal(size=(n, D)), labels


TRAIN, TRAIN_LABELS = clusters(300, 0)
TEST, TEST_LABELS = clusters(80, 1)


def predicted_by_loops(train, labels, test, k: int, temperature: float) -> list[int]:
    answers = []
    for x in test.tolist():
        scored = []
        for t, label in zip(train.tolist(), labels.tolist(), strict=True):
            dot = sum(a * b for a, b in zip(x, t, strict=True))
            scored.append((dot / (math.hypot(*x) * math.hypot(*t)), label))
        votes = {}
        for cosine, label in sorted(scored, reverse=True)[:k]:
            votes[label] = votes.get(label, 0) + math.exp(cosine / temperature)
        answers.append(max(sorted(votes), key=votes.get))
    return answers


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (20, 0.07), (20, 1.0), (300, 0.2)])
def test_the_answer_of_the_plain_loop(k: int, temperature: float) -> None:
    classes, votes = knn_votes(TRAIN, TRAIN_LABELS, TEST, k, temperature)
    by_loops = predicted_by_loops(TRAIN, TRAIN_LABELS, TEST, k, temperature)
    assert classes[votes.argmax(axis=1)].tolist() == by_loops
    measured = knn(TRAIN, TRAIN_LABELS, TEST, TEST_LABELS, k, temperature)
    assert measured.value == np.mean(np.array(by_loops) == TEST_LABELS)


@pytest.mark.parametrize("k", [1, 7, 20])
def test_scikit_learns_neighbours_with_the_same_weights(k: int) -> None:
    theirs = KNeighborsClassifier(
        k, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07)
    )
    theirs.fit(TRAIN, TRAIN_LABELS)
    classes, votes = knn_votes(TRAIN, TRAIN_LABELS, TEST, k)
    shares = votes / votes.sum(axis=1, keepdims=True)
    assert shares == pytest.approx(theirs.predict_proba(TEST), abs=1e-4)
    assert np.array_equal(classes, theirs.classes_)


def test_a_near_neighbour_outvotes_two_far_ones_by_hand() -> None:
    # Cosines 1, 0.8 and 0.6: with T = 0.07 the first alone has more weight than both others.
    train = np.array([[2, 0], [4, 3], [3, 4]])
    assert knn(train, ["a", "b", "b"], [[1, 0]], ["a"], k=3).value == 1
    assert knn(train, ["a", "b", "b"], [[1, 0]], ["a"], k=3, temperature=1.0).value == 0
    _, votes = knn_votes(train.astype(np.float32), np.array([0, 1, 1]), np.eye(2)[:1], 3)
    assert votes[0] == pytest.approx([1, math.exp(-0.2 / 0.07) + math.exp(-0.4 / 0.07)], rel=1e-5)


def test_length_and_order_do_not_matter_and_chunks_change_nothing(monkeypatch) -> None:
    whole = knn_votes(TRAIN, TRAIN_LABELS, TEST)[1]
    order = np.random.default_rng(0).permutation(len(TRAIN))
    lengths = np.random.default_rng(1).uniform(0.1, 9, (len(TRAIN), 1))
    moved = knn_votes((TRAIN * lengths)[order], TRAIN_LABELS[order], 1e-6 * TEST)[1]
    assert moved == pytest.approx(whole, abs=1e-4)
    monkeypatch.setattr(module, "CHUNK", 900)  # three queries at once
    assert knn_votes(TRAIN, TRAIN_LABELS, TEST)[1] == pytest.approx(whole, abs=1e-5)


def test_features_that_are_all_alike_answer_the_most_frequent_class() -> None:
    labels = np.array([0] * 21 + [1] * 30)  # the first 20 in order would all say 0
    for constant in (np.ones((51, 3)), np.full((51, 3), 0.1), np.zeros((51, 3))):
        measured = knn(constant, labels, constant, labels)
        assert measured == pytest.approx((30 / 51, 30 / 51))


def test_a_tiny_temperature_is_the_nearest_neighbour() -> None:
    nearest = knn(TRAIN, TRAIN_LABELS, TEST, TEST_LABELS, k=1)
    assert knn(TRAIN, TRAIN_LABELS, TEST, TEST_LABELS, k=20, temperature=1e-5) == nearest


def test_a_class_with_one_sample_and_a_class_never_seen() -> None:
    train, labels = np.eye(4), np.array([0, 0, 1, 1])
    labels[3] = 2
    measured = knn(train, labels, np.eye(4), [0, 0, 1, 7], k=1)
    assert measured.value == 0.75


@pytest.mark.parametrize("k", [0, 301])
def test_more_neighbours_than_samples(k: int) -> None:
    with pytest.raises(ValueError, match=f"from 1 to 300, the train samples, but {k} was"):
        knn(TRAIN, TRAIN_LABELS, TEST, TEST_LABELS, k=k)


@pytest.mark.parametrize("temperature", [0, -1, np.nan])
def test_a_temperature_that_is_none(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be positive"):
        knn(TRAIN, TRAIN_LABELS, TEST, TEST_LABELS, temperature=temperature)


@pytest.mark.timing
def test_a_thousand_against_four_thousand_takes_half_a_second() -> None:
    train, labels = clusters(4000, 0, D=128)
    test, test_labels = clusters(1000, 1, D=128)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        knn(train, labels, test, test_labels)
        seconds.append(time.process_time() - start)
    assert min(seconds) <= 0.5
