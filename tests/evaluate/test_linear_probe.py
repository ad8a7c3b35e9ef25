"""linear_probe: scikit-learn's optimum, its gradient by differences, and cases by hand."""

import math
import time

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from course_lib.evaluate.linear_probe import PENALTIES, UNCHOSEN, fit_probe, hold_out, linear_probe


def clusters(n: int, seed: int, noise: float = 1.5, classes: int = 4, D: int = 10):
    centres = np.random.default_rng(99).normal(size=(classes, D))
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    scale = 10.0 ** np.linspace(-2, 3, D)  # features of very different units
    return (centres[labels] + noise * rng.normal(size=(n, D))) * scale + 5 * scale, labels


TRAIN, TRAIN_LABELS = clusters(400, 0)
TEST, TEST_LABELS = clusters(200, 1)


@pytest.mark.parametrize("penalty", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_optimum_of_scikit_learn(penalty: float, classes: int) -> None:
    few = classes > TRAIN_LABELS
    x, y = TRAIN[few], TRAIN_LABELS[few]
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    # With two classes scikit-learn fits one weight vector w for W = (−w/2, w/2): |W|² = |w|²/2.
    C = (2 if classes == 2 else 1) / (len(x) * penalty)
    theirs = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(standard, y)
    probe = fit_probe(x, y, penalty=penalty)
    new = TEST[classes > TEST_LABELS]
    logits = probe.logits(new)
    ours = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = theirs.predict_proba((new - x.mean(axis=0)) / x.std(axis=0))
    assert ours == pytest.approx(expected, abs=1e-3)
    assert np.array_equal(probe.predict(new), theirs.classes_[expected.argmax(axis=1)])
    if classes > 2:
        assert pytest.approx(theirs.coef_, abs=1e-3) == probe.weights.T
        assert probe.bias == pytest.approx(theirs.intercept_ - theirs.intercept_.mean(), abs=1e-3)


def test_no_direction_leads_further_down() -> None:
    """The objective written as loops, around the weights that were found."""
    probe = fit_probe(TRAIN[:60], TRAIN_LABELS[:60], penalty=0.05)
    x = ((TRAIN[:60] - probe.mean) / probe.scale).tolist()

    def objective(W: np.ndarray, b: np.ndarray) -> float:
        total = 0.0
        for row, label in zip(x, TRAIN_LABELS[:60], strict=True):
            logits = [b[c] + sum(map(math.prod, zip(row, W[:, c], strict=True))) for c in range(4)]
            total += math.log(sum(map(math.exp, logits))) - logits[label]
        return total / len(x) + 0.05 / 2 * sum(w * w for w in W.ravel())

    least, rng = objective(probe.weights, probe.bias), np.random.default_rng(0)
    for _ in range(20):
        dW, db = rng.normal(size=(10, 4)), rng.normal(size=4)
        for step in (-1e-2, 1e-2):
            assert objective(probe.weights + step * dW, probe.bias + step * db) > least


def test_one_feature_by_hand() -> None:
    """Samples at ±1, one in four on the wrong side; by symmetry W = (−w, w), b = 0."""
    x = np.array([[-1.0]] * 4 + [[1.0]] * 4)
    y = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    penalty = 0.03

    def objective(w: float) -> float:
        right, wrong = math.log1p(math.exp(-2 * w)), math.log1p(math.exp(2 * w))
        return 0.75 * right + 0.25 * wrong + penalty / 2 * 2 * w**2

    w = minimize_scalar(objective, (0, 1)).x
    probe = fit_probe(x, y, penalty=penalty)
    assert probe.weights == pytest.approx(np.array([[-w, w]]), abs=1e-5)
    assert probe.bias == pytest.approx(np.zeros(2), abs=1e-6)


def test_accuracy_is_counted_class_by_class() -> None:
    probed = linear_probe(TRAIN, TRAIN_LABELS, TEST, TEST_LABELS)
    predicted = probed.probe.predict(TEST)
    assert probed.value == np.mean([p == t for p, t in zip(predicted, TEST_LABELS, strict=True)])
    for label, share in probed.per_class.items():
        own = [p == label for p, t in zip(predicted, TEST_LABELS, strict=True) if t == label]
        assert share == sum(own) / len(own)
    counts = np.bincount(TRAIN_LABELS)
    assert probed.chance == np.mean(counts.argmax() == TEST_LABELS)
    assert probed.value > 0.65 > 2 * probed.chance
    assert repr(probed) == f"Probed({probed.value:.3f}, chance {probed.chance:.3f})"


def test_only_the_train_set_sets_the_units() -> None:
    probe = linear_probe(TRAIN, TRAIN_LABELS, TEST * 7 + 3, TEST_LABELS).probe
    assert probe.mean == pytest.approx(TRAIN.mean(axis=0))
    assert probe.scale == pytest.approx(TRAIN.std(axis=0))


def test_units_and_names_of_labels_do_not_matter() -> None:
    plain = linear_probe(TRAIN, TRAIN_LABELS, TEST, TEST_LABELS)
    units = np.exp(np.random.default_rng(0).normal(size=10) * 3)
    names = np.array(["cone", "cube", "disc", "torus"])
    other = linear_probe(
        TRAIN * units - 5, names[TRAIN_LABELS], TEST * units - 5, names[TEST_LABELS]
    )
    assert other.value == pytest.approx(plain.value, abs=0.006)
    assert list(other.per_class) == names.tolist()
    again = linear_probe(TRAIN, TRAIN_LABELS, TEST, TEST_LABELS)
    assert np.array_equal(again.probe.weights, plain.probe.weights)


def test_the_penalty_is_that_of_least_held_out_loss() -> None:
    for seed in range(3):
        held = hold_out(TRAIN_LABELS, seed)
        losses = []
        for penalty in PENALTIES:
            probe = fit_probe(TRAIN[~held], TRAIN_LABELS[~held], penalty=penalty)
            logits = probe.logits(TRAIN[held])
            p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            losses.append(-np.log(p[np.arange(held.sum()), TRAIN_LABELS[held]]).mean())
        chosen = fit_probe(TRAIN, TRAIN_LABELS, seed=seed).penalty
        assert chosen == PENALTIES[int(np.argmin(losses))]


def test_noise_gets_a_stronger_penalty_than_signal() -> None:
    rng = np.random.default_rng(0)
    noise = fit_probe(rng.normal(size=(300, 50)), rng.integers(3, size=300)).penalty
    clear = fit_probe(*clusters(300, 0, noise=0.3)).penalty
    assert noise >= 100 * clear


def test_a_fifth_of_each_class_is_held_out_but_not_the_only_one() -> None:
    y = np.array([0] * 50 + [1] * 11 + [2] * 2 + [3])
    held = hold_out(y, 0)
    assert [int(held[y == c].sum()) for c in range(4)] == [10, 2, 1, 0]
    assert not np.array_equal(held, hold_out(y, 1))
    assert np.array_equal(held, hold_out(y, 0))


def test_one_sample_a_class_still_makes_a_probe() -> None:
    probe = fit_probe(np.eye(3), [0, 1, 2])
    assert probe.penalty == UNCHOSEN
    assert probe.predict(np.eye(3)).tolist() == [0, 1, 2]
    lonely = np.append(TRAIN_LABELS, 9)  # one class has one sample, the others have many
    probe = fit_probe(np.append(TRAIN, [TRAIN.max(axis=0) * 5], axis=0), lonely)
    assert probe.predict([TRAIN.max(axis=0) * 5]).tolist() == [9]


def test_constant_features_are_ignored() -> None:
    for constant in (0.0, 0.1, 1e6):
        column = np.full((len(TRAIN), 1), constant)
        with_it = np.concatenate([TRAIN, column], axis=1)
        probe = fit_probe(with_it, TRAIN_LABELS, penalty=0.01)
        plain = fit_probe(TRAIN, TRAIN_LABELS, penalty=0.01)
        assert probe.weights[-1] == pytest.approx(0, abs=1e-6)
        assert probe.weights[:-1] == pytest.approx(plain.weights, abs=1e-3)
        new = np.concatenate([TEST, np.full((len(TEST), 1), constant + 0.5)], axis=1)
        assert np.mean(probe.predict(new) == plain.predict(TEST)) > 0.99
    noise = np.random.default_rng(0).integers(2, size=(len(TRAIN), 1))
    nearly = np.nextafter(np.float32(1000), np.float32(1000 + noise))  # 1000, or the next float32
    assert len(np.unique(nearly)) == 2
    with_it = np.concatenate([TRAIN, nearly], axis=1)
    assert fit_probe(with_it, TRAIN_LABELS).scale[-1] == 1
    same = linear_probe(np.ones((9, 2)), [0] * 5 + [1] * 4, np.ones((4, 2)), [0, 0, 1, 1])
    assert (same.value, same.chance) == (0.5, 0.5)


def test_a_class_that_was_never_shown_counts_as_wrong() -> None:
    probed = linear_probe(TRAIN, TRAIN_LABELS, TEST, np.full(len(TEST), 77))
    assert (probed.value, probed.per_class) == (0, {77: 0})


def test_bad_arguments_get_one_sentence() -> None:
    with pytest.raises(ValueError, match="at least two classes, but all labels are 4"):
        fit_probe(np.eye(3), [4, 4, 4])
    for penalty in (0, -1, np.inf, np.nan):
        with pytest.raises(ValueError, match="penalty must be positive and finite"):
            fit_probe(TRAIN, TRAIN_LABELS, penalty=penalty)
    with pytest.raises(ValueError, match="features of 10 columns, but 3 were given"):
        fit_probe(TRAIN, TRAIN_LABELS, penalty=1).predict(np.eye(3))
    with pytest.raises(ValueError, match=r"labels must have shape \(400,\)"):
        fit_probe(TRAIN, TRAIN_LABELS[:9])
    with pytest.raises(ValueError, match="train features must be finite"):
        linear_probe(TRAIN * np.nan, TRAIN_LABELS, TEST, TEST_LABELS)


@pytest.mark.timing
@pytest.mark.parametrize("noise", [0.5, 8.0])
def test_four_thousand_by_128_take_two_seconds(noise: float) -> None:
    train, labels = clusters(4000, 0, noise, 10, 128)
    test, test_labels = clusters(1000, 1, noise, 10, 128)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        linear_probe(train, labels, test, test_labels)
        seconds.append(time.process_time() - start)
    assert min(seconds) <= 2
