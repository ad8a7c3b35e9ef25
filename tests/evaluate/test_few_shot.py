"""few_shot: the draws by hand, what more samples must do, and what is refused."""

import numpy as np
import pytest

from course_lib.evaluate import few_shot as module
from course_lib.evaluate.few_shot import few_shot
from course_lib.evaluate.linear_probe import UNCHOSEN, fit_probe


def clusters(n: int, seed: int, noise: float = 1.5):
    centres = np.random.default_rng(99).normal(size=(3, 8))
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    return centres[labels] + noise * rng.normal(size=(n, 8)), labels


TRAIN, TRAIN_LABELS = clusters(180, 0)
TEST, TEST_LABELS = clusters(300, 1)


def test_mean_and_deviation_of_the_draws(monkeypatch) -> None:
    used = []
    real = module.fit_probe

    def noted(x: np.ndarray, y: np.ndarray, **options):
        used.append((x, y))
        return real(x, y, **options)

    monkeypatch.setattr(module, "fit_probe", noted)
    curve = few_shot(TRAIN, TRAIN_LABELS, TEST, TEST_LABELS, (2, 5), draws=3)
    accuracy = np.zeros((3, 2))
    for i, (x, y) in enumerate(used):
        assert np.bincount(y).tolist() == [(2, 5)[i % 2]] * 3
        probe = fit_probe(x, y, penalty=UNCHOSEN)
        accuracy[i // 2, i % 2] = (probe.predict(TEST) == TEST_LABELS).mean()
    assert curve.mean == pytest.approx(accuracy.sum(axis=0) / 3)
    spread = np.sqrt(((accuracy - accuracy.mean(axis=0)) ** 2).sum(axis=0) / 3)
    assert curve.deviation == pytest.approx(spread)
    for two, five in zip(used[::2], used[1::2], strict=True):  # five shots contain the two
        assert {tuple(row) for row in two[0]} < {tuple(row) for row in five[0]}
    assert not np.array_equal(used[0][0], used[2][0]), "every draw is a new one"


def test_more_samples_help_and_all_of_them_leave_no_deviation() -> None:
    curve = few_shot(TRAIN, TRAIN_LABELS, TEST, TEST_LABELS, (1, 5, 20, 60))
    assert curve.shots == (1, 5, 20, 60)
    assert curve.mean[0] < curve.mean[1] < curve.mean[3]
    assert curve.chance == 1 / 3 < curve.mean[0]
    assert curve.deviation[0] > curve.deviation[2]
    assert curve.deviation[3] == pytest.approx(0, abs=1e-9)


def test_seed_alone_decides() -> None:
    given = (TRAIN, TRAIN_LABELS, TEST, TEST_LABELS, (1, 3))
    assert few_shot(*given, seed=4) == few_shot(*given, seed=4) != few_shot(*given, seed=5)


def test_bad_arguments_get_one_sentence() -> None:
    lonely = np.append(TRAIN_LABELS[:-1], 7)
    with pytest.raises(ValueError, match=r"2 samples of each class are .*, but class 7 has 1"):
        few_shot(TRAIN, lonely, TEST, TEST_LABELS, (1, 2))
    for shots, draws in (((), 5), ((0, 1), 5), ((1,), 0)):
        with pytest.raises(ValueError, match="from 1 upwards, and draws at least 1"):
            few_shot(TRAIN, TRAIN_LABELS, TEST, TEST_LABELS, shots, draws=draws)
