"""inputs: what counts as features and labels, and what is said when something else is given."""

import numpy as np
import pytest
import torch

from course_lib.evaluate.inputs import (
    Measured,
    check_features,
    check_labels,
    check_split,
    directions,
    majority,
)

GOOD = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize("given", [GOOD, GOOD.tolist(), torch.tensor(GOOD), GOOD.astype(np.uint8)])
def test_what_counts_as_features(given) -> None:
    found = check_features(given)
    assert found.dtype == np.float32
    assert found.tolist() == GOOD.tolist()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (np.zeros(3), ValueError, r"shape \(N, D\).*\(3,\) was given"),
        (np.zeros((0, 4)), ValueError, r"at least one row.*\(0, 4\)"),
        (np.zeros((4, 0)), ValueError, r"at least one row and one column.*\(4, 0\)"),
        (np.zeros((2, 3, 4)), ValueError, r"\(2, 3, 4\)"),
        ([[1, 2], [3]], TypeError, "array of numbers.* but list was given"),
        (None, TypeError, "NoneType was given"),
        (torch.ones(2, 2, requires_grad=True), TypeError, "but Tensor was given"),
        (np.array([["a"]]), TypeError, "<U1 was given"),
        (np.ones((2, 2)) * 1j, TypeError, "complex128 was given"),
        ([[1, 2], [np.nan, 1], [np.inf, 0]], ValueError, "2 of 3 rows .* the first is row 1"),
        (np.full((2, 2), 1e300), ValueError, "2 of 2 rows hold NaN or infinity"),
    ],
)
def test_what_does_not(given, error: type, words: str) -> None:
    with pytest.raises(error, match=words) as raised:
        check_features(given)
    assert "\n" not in str(raised.value)


def test_labels_may_be_numbers_bools_and_names() -> None:
    for labels in ([3, 1, 3], [True, False, True], ["cube", "cone", "cube"]):
        assert check_labels(labels, 3).tolist() == labels
    with pytest.raises(ValueError, match=r"must have shape \(3,\).*\(2,\) was given"):
        check_labels([1, 2], 3)
    with pytest.raises(TypeError, match="whole numbers, bools or names, but float64 was given"):
        check_labels([0.0, 1.0], 2)


def test_a_split_must_fit_together() -> None:
    with pytest.raises(ValueError, match="equally wide, but 2 and 3 columns"):
        check_split(GOOD, [0, 1, 0], np.zeros((1, 3)), [0])
    with pytest.raises(ValueError, match=r"test labels must have shape \(3,\)"):
        check_split(GOOD, [0, 1, 0], GOOD, [0])
    with pytest.raises(ValueError, match="at least two classes, but all 3 are cube"):
        check_split(GOOD, ["cube"] * 3, GOOD, ["cube"] * 3)


def test_directions_have_length_one_whatever_the_size() -> None:
    found = directions(np.array([[3e-30, 4e-30], [3e30, 4e30], [0, 0]], np.float32))
    assert found == pytest.approx(np.array([[0.6, 0.8], [0.6, 0.8], [0, 0]]))


def test_the_majority_is_that_of_the_train_set() -> None:
    assert majority(np.array([2, 5, 5]), np.array([2, 2, 2, 5])) == 0.25
    assert str(Measured(0.5, 0.25)) == "0.500 (chance 0.250)"
