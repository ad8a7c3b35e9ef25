"""Exercise of notebook 12_blip: the test that wrong soft targets cannot pass."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.blip_targets import (
    soft_first_ignored,
    soft_hard_opinion,
    soft_not_one,
    soft_off_by_the_batch,
    soft_one_column,
    soft_opinion_only,
    soft_over_everything,
    soft_over_rows,
    soft_partner_replaced,
    soft_shared_alike,
    soft_targets,
    soft_truth_only,
    soft_turned_round,
)
from course_lib.exercises.engine import Exercise, Misconception

# --- test: soft targets on trial ------------------------------------------------------------------


def test_soft_targets(soft_targets):
    """Assert what a right `soft_targets` does, and nothing that a right one might not do.

    soft_targets: a function of slow_logits (B, M), alpha and first → targets (B, M)
    """
    slow_logits = np.array([
        [0.3, -1.0, 2.0, 0.5, 1.1, -0.4, 0.0],
        [1.4, 0.2, -0.7, 0.9, 0.1, 1.6, -2.0],
    ])  # fmt: skip
    before, first = slow_logits.copy(), 2
    for alpha in (0.3, 0.8):
        expected = np.zeros((2, 7))
        for i in range(2):
            total = sum(np.exp(x) for x in before[i])
            for j in range(7):
                expected[i, j] = alpha * np.exp(before[i, j]) / total
            expected[i, first + i] += 1 - alpha
        got = np.asarray(soft_targets(slow_logits, alpha, first))
        assert got.shape == (2, 7)
        assert np.abs(got - expected).max() < 1e-5
        assert np.array_equal(slow_logits, before)


def soft_in_place(slow_logits, alpha, first):
    slow_logits[:] = soft_targets(slow_logits, alpha, first)
    return slow_logits


def soft_always_three_tenths(slow_logits, alpha, first):
    return soft_targets(slow_logits, 0.3, first)


def soft_always_four_tenths(slow_logits, alpha, first):
    return soft_targets(slow_logits, 0.4, first)


def soft_rest_evenly(slow_logits, alpha, first):
    right, rows = soft_targets(slow_logits, alpha, first), np.arange(len(slow_logits))
    own = right[rows, first + rows]
    targets = np.repeat((1 - own[:, None]) / (right.shape[1] - 1), right.shape[1], axis=1)
    targets[rows, first + rows] = own
    return targets


def soft_in_float32(slow_logits, alpha, first):
    return soft_targets(slow_logits.astype(np.float32), np.float32(alpha), first)


def soft_by_matrices(slow_logits, alpha, first):
    e = np.exp(slow_logits - slow_logits.max(axis=1, keepdims=True))
    truth = np.eye(*slow_logits.shape, k=first)
    return alpha * e / e.sum(axis=1, keepdims=True) + (1 - alpha) * truth


TEST_SOFT_TARGETS = Exercise(
    name="test_soft_targets",
    title="Write the test that wrong targets cannot pass",
    kind="test",
    difficulty=3,
    importance=4,
    minutes=12,
    prompt="""
With wrong targets the loss still falls, towards something else. Write a test that calls
`soft_targets(slow_logits, alpha, first)` (the function of this lesson's exercise) with numbers that
**you** choose, NumPy arrays (B, M), and asserts what a right one returns. Choose a `first` that is
not 0, two values of `alpha` between 0 and 1 that are not one half, and more candidates than two
batches (M > 2B). Assert also that the argument is left as it was. Every right implementation must
pass, also one that computes in float32.
""",
    solution=test_soft_targets,
    subject=soft_targets,
    misconceptions=(
        Misconception(
            "truth only",
            soft_truth_only,
            "Your test accepts the plain labels: choose an alpha above 0, and assert how much each "
            "candidate is given.",
        ),
        Misconception(
            "opinion only",
            soft_opinion_only,
            "Your test accepts the slow encoder's opinion alone: choose an alpha below 1, and "
            "assert what the partner has more than that.",
        ),
        Misconception(
            "does not sum to one",
            soft_not_one,
            "Your test accepts targets that sum to 1 + alpha.",
        ),
        Misconception(
            "alpha the wrong way round",
            soft_turned_round,
            "Your test accepts targets in which alpha is the weight of the truth: at one half "
            "nobody can tell.",
        ),
        Misconception(
            "alpha always 0.3",
            soft_always_three_tenths,
            "Your test accepts a function that takes 0.3 for every alpha: call it with a second "
            "one.",
        ),
        Misconception(
            "alpha always 0.4",
            soft_always_four_tenths,
            "Your test accepts a function in which the paper's 0.4 stands in place of the argument "
            "alpha: call it with a second one.",
        ),
        Misconception(
            "off by the batch",
            soft_off_by_the_batch,
            "Your test accepts targets whose partners stand one batch too far to the right.",
        ),
        Misconception(
            "first ignored",
            soft_first_ignored,
            "Your test accepts targets that ignore `first`: choose another value than 0.",
        ),
        Misconception(
            "one partner for all",
            soft_one_column,
            "Your test accepts targets in which all rows have one partner: give it two rows or "
            "more, and compare all of them.",
        ),
        Misconception(
            "softmax over the rows",
            soft_over_rows,
            "Your test accepts a softmax down the columns.",
        ),
        Misconception(
            "softmax over everything",
            soft_over_everything,
            "Your test accepts a softmax over the whole matrix: give it two rows or more, and "
            "compare each entry to 1e-5, `np.abs(got - expected)`.",
        ),
        Misconception(
            "shared alike",
            soft_shared_alike,
            "Your test accepts a function that never looks at the logits and gives all candidates "
            "the same part of alpha: choose logits that differ within a row.",
        ),
        Misconception(
            "the rest spread evenly",
            soft_rest_evenly,
            "Your test accepts targets that are right for the partner and give all others the "
            "same: compare every candidate.",
        ),
        Misconception(
            "opinion of one",
            soft_hard_opinion,
            "Your test accepts targets that give all of alpha to one candidate.",
        ),
        Misconception(
            "partner's opinion lost",
            soft_partner_replaced,
            "Your test accepts targets that lose the slow encoder's opinion of the partner.",
        ),
        Misconception(
            "argument overwritten",
            soft_in_place,
            "Your test accepts a function that writes into its argument: keep a copy, and compare "
            "after the call.",
        ),
    ),
    also_right=(
        Misconception(
            "in float32",
            soft_in_float32,
            "one that computes in float32, which rounds in the seventh digit. Allow 1e-5, ask "
            "for no dtype, and take logits between −5 and 5.",
        ),
        Misconception(
            "by matrices",
            soft_by_matrices,
            "one that subtracts the greatest logit first and adds a shifted identity.",
        ),
    ),
    hints=(
        "Two rows and seven candidates are enough; write the formula as two loops.",
        "`assert np.abs(got - expected).max() < 1e-5`, and compare the argument with a copy.",
    ),
)
