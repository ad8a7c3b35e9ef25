"""retrieval: against loops and scikit-learn, chance against random orders, collapse by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from course_lib.evaluate import retrieval as module
from course_lib.evaluate.retrieval import cross_retrieval, paired_retrieval, retrieval

RNG = np.random.default_rng(0)
LABELS = np.array([0] * 3 + [1] * 12 + [2] * 25 + [3])  # the last is alone
FEATURES = RNG.normal(size=(4, 6))[LABELS] + RNG.normal(size=(41, 6))


def cosine(a, b) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def test_the_plain_loop_and_scikit_learns_average_precision() -> None:
    hits, precisions = {1: [], 5: [], 10: []}, []
    for i, label in enumerate(LABELS[:-1]):
        others = [j for j in range(41) if j != i]
        score = [cosine(FEATURES[i], FEATURES[j]) for j in others]
        right = [LABELS[j] == label for j in others]
        precisions.append(average_precision_score(right, score))
        ranked = [r for _, r in sorted(zip(score, right, strict=True), reverse=True)]
        for k in hits:
            hits[k].append(any(ranked[:k]))
    found = retrieval(FEATURES, LABELS)
    assert found.mean_average_precision.value == pytest.approx(np.mean(precisions), abs=1e-6)
    for k in hits:
        assert found.recall[k].value == pytest.approx(np.mean(hits[k]))


def test_average_precision_by_hand() -> None:
    """Two of class a at 0° and 10°, one b between: each a finds the other second, 1/2."""
    angle = np.radians([0, 10, 6])
    features = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = retrieval(features, ["a", "a", "b"], (1, 2))
    assert found.mean_average_precision.value == pytest.approx(0.5)
    assert [found.recall[k].value for k in (1, 2)] == [0, 1]
    assert [found.recall[k].chance for k in (1, 2)] == pytest.approx([0.5, 1])
    assert found.mean_average_precision.chance == pytest.approx((1 + 0.5) / 2)


def test_chance_is_what_random_orders_give() -> None:
    rng = np.random.default_rng(1)
    trials = [retrieval(rng.normal(size=(41, 6)), LABELS) for _ in range(400)]
    expected = trials[0]
    for k in (1, 5, 10):
        values = [t.recall[k].value for t in trials]
        assert expected.recall[k].chance == pytest.approx(np.mean(values), abs=0.02)
    values = [t.mean_average_precision.value for t in trials]
    assert expected.mean_average_precision.chance == pytest.approx(np.mean(values), abs=0.01)
    pairs = [
        paired_retrieval(rng.normal(size=(20, 6)), rng.normal(size=(20, 6)))[5] for _ in range(400)
    ]
    assert pairs[0].chance == 0.25 == pytest.approx(np.mean([p.value for p in pairs]), abs=0.02)


def test_pairs_by_loops() -> None:
    answers = FEATURES + 1.5 * np.random.default_rng(5).normal(size=FEATURES.shape)
    found = paired_retrieval(FEATURES, answers, (1, 3, 10))
    for k, measured in found.items():
        right = 0
        for i, query in enumerate(FEATURES):
            ranked = sorted(range(41), key=lambda j: -cosine(query, answers[j]))
            right += i in ranked[:k]
        assert measured == pytest.approx((right / 41, k / 41))
    assert found[1].value < found[10].value


def captions() -> tuple[np.ndarray, np.ndarray]:
    """Three captions of each of the 41 samples, in no order, and a few of nothing that is asked."""
    rng = np.random.default_rng(5)
    labels = rng.permutation(np.repeat(np.arange(43), 3))[:-2]
    features = np.concatenate([FEATURES, FEATURES[:2]])[labels]
    return features + 2 * rng.normal(size=features.shape), labels


def test_several_right_answers_by_loops() -> None:
    texts, labels = captions()
    found = cross_retrieval(FEATURES, np.arange(41), texts, labels, (1, 3, 10))
    for k, measured in found.items():
        right, chance = 0, 0.0
        for i, query in enumerate(FEATURES):
            ranked = sorted(range(len(texts)), key=lambda j: -cosine(query, texts[j]))
            right += any(labels[j] == i for j in ranked[:k])
            wrong = sum(labels != i)
            chance += 1 - math.comb(wrong, k) / math.comb(len(texts), k)
        assert measured == pytest.approx((right / 41, chance / 41))
    assert 0 < found[1].value < found[10].value < 1


def test_captions_ask_for_their_pictures_and_pairs_are_a_special_case(monkeypatch) -> None:
    texts, labels = captions()
    known = labels < 41
    back = cross_retrieval(texts[known], labels[known], FEATURES, np.arange(41), (1, 5))
    right = [
        max(range(41), key=lambda j: cosine(text, FEATURES[j])) == label
        for text, label in zip(texts[known], labels[known], strict=True)
    ]
    assert back[1] == pytest.approx((np.mean(right), 1 / 41))
    other, names = FEATURES[::-1], [f"picture {i}" for i in range(41)]
    pairs = paired_retrieval(FEATURES, other)
    found = cross_retrieval(FEATURES, names, other, names)
    assert {k: tuple(m) for k, m in found.items()} == {
        k: pytest.approx(tuple(m)) for k, m in pairs.items()
    }
    monkeypatch.setattr(module, "CHUNK", 300)
    assert cross_retrieval(FEATURES, names, other, names) == found
    constant = np.ones((41, 6))
    assert cross_retrieval(constant, names, constant, names)[10].value == 0


def test_a_collapsed_encoder_finds_nothing() -> None:
    for constant in (np.ones((41, 6)), np.zeros((41, 6)), np.full((41, 6), 0.1)):
        found = paired_retrieval(constant, constant)
        assert [measured.value for measured in found.values()] == [0, 0, 0]
        worst = retrieval(constant, LABELS)
        assert worst.recall[10].value <= 25 / 40  # only where fewer than ten are wrong
        assert worst.mean_average_precision.value < worst.mean_average_precision.chance


def test_identity_finds_all_and_chunks_change_nothing(monkeypatch) -> None:
    assert paired_retrieval(FEATURES, 3 * FEATURES)[1].value == 1
    whole = retrieval(FEATURES, LABELS), paired_retrieval(FEATURES, FEATURES[::-1])
    monkeypatch.setattr(module, "CHUNK", 100)
    parts = retrieval(FEATURES, LABELS), paired_retrieval(FEATURES, FEATURES[::-1])
    assert parts == whole


def test_bad_arguments_get_one_sentence() -> None:
    for ks in ((), (0,), (41,)):
        with pytest.raises(ValueError, match="k must be from 1 to 40"):
            retrieval(FEATURES, LABELS, ks)
    with pytest.raises(ValueError, match="needs a class of two samples, but all 41 labels differ"):
        retrieval(FEATURES, np.arange(41))
    with pytest.raises(ValueError, match=r"one shape.*\(41, 6\) and \(40, 6\)"):
        paired_retrieval(FEATURES, FEATURES[:40])
    with pytest.raises(ValueError, match="an answer with its label, but query 2, 7, has none"):
        cross_retrieval(FEATURES[:3], [0, 1, 7], FEATURES, LABELS)
    with pytest.raises(ValueError, match="equally wide, but 6 and 5 columns were given"):
        cross_retrieval(FEATURES, LABELS, FEATURES[:, :5], LABELS)
    with pytest.raises(ValueError, match="queries must be finite"):
        paired_retrieval(FEATURES * np.nan, FEATURES)
