"""Exercise of notebook 12_blip: soft targets, which admit a second right answer."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

# --- implement: soft targets ----------------------------------------------------------------------


def soft_targets(slow_logits, alpha, first):
    """What the comparison shall answer: the slow encoder's opinion, mixed with the truth.

    slow_logits: (B, M); alpha: from 0 to 1; the partner of row i is column first + i → (B, M)
    """
    opinion = np.exp(slow_logits)
    targets = alpha * opinion / opinion.sum(axis=1, keepdims=True)
    rows = np.arange(len(targets))
    targets[rows, first + rows] += 1 - alpha
    return targets


def soft_targets_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for b, m, alpha, first in [(2, 9, 0.15, 2), (3, 11, 0.4, 0), (4, 13, 0.7, 4)]:
        slow_logits = 1.5 * rng.normal(size=(b, m))
        cases.append({"slow_logits": slow_logits, "alpha": alpha, "first": first})
    return cases


def _opinion(logits):
    e = np.exp(logits)
    return e / e.sum(axis=1, keepdims=True)


def _mixed(logits, alpha, column):
    targets, rows = alpha * _opinion(logits), np.arange(len(logits))
    targets[rows, column] += 1 - alpha
    return targets


def soft_not_one(slow_logits, alpha, first):
    targets, rows = alpha * _opinion(slow_logits), np.arange(len(slow_logits))
    targets[rows, first + rows] += 1
    return targets


def soft_all_of_the_opinion(slow_logits, alpha, first):
    targets, rows = _opinion(slow_logits), np.arange(len(slow_logits))
    targets[rows, first + rows] += 1 - alpha
    return targets


def soft_turned_round(slow_logits, alpha, first):
    return soft_targets(slow_logits, 1 - alpha, first)


def soft_off_by_the_batch(slow_logits, alpha, first):
    return _mixed(slow_logits, alpha, first + len(slow_logits) + np.arange(len(slow_logits)))


def soft_queue_in_front(slow_logits, alpha, first):
    b, m = slow_logits.shape
    return _mixed(slow_logits, alpha, m - b + np.arange(b))


def soft_first_ignored(slow_logits, alpha, first):
    return _mixed(slow_logits, alpha, np.arange(len(slow_logits)))


def soft_one_column(slow_logits, alpha, first):
    return _mixed(slow_logits, alpha, np.full(len(slow_logits), first))


def soft_every_column(slow_logits, alpha, first):
    targets = alpha * _opinion(slow_logits)
    targets[:, first : first + len(targets)] += 1 - alpha
    return targets


def soft_over_rows(slow_logits, alpha, first):
    targets, rows = alpha * _opinion(slow_logits.T).T, np.arange(len(slow_logits))
    targets[rows, first + rows] += 1 - alpha
    return targets


def soft_over_everything(slow_logits, alpha, first):
    e = np.exp(slow_logits)
    targets, rows = alpha * e / e.sum(), np.arange(len(slow_logits))
    targets[rows, first + rows] += 1 - alpha
    return targets


def soft_shared_alike(slow_logits, alpha, first):
    return soft_targets(np.zeros_like(slow_logits), alpha, first)


def soft_truth_only(slow_logits, alpha, first):
    return _mixed(slow_logits, 0.0, first + np.arange(len(slow_logits)))


def soft_opinion_only(slow_logits, alpha, first):
    return _opinion(slow_logits)


def soft_hard_opinion(slow_logits, alpha, first):
    targets, rows = np.zeros(slow_logits.shape), np.arange(len(slow_logits))
    targets[rows, slow_logits.argmax(axis=1)] += alpha
    targets[rows, first + rows] += 1 - alpha
    return targets


def soft_without_softmax(slow_logits, alpha, first):
    targets, rows = alpha * slow_logits, np.arange(len(slow_logits))
    targets[rows, first + rows] += 1 - alpha
    return targets


def soft_not_divided(slow_logits, alpha, first):
    targets, rows = alpha * np.exp(slow_logits), np.arange(len(slow_logits))
    targets[rows, first + rows] += 1 - alpha
    return targets


def soft_partner_replaced(slow_logits, alpha, first):
    targets, rows = alpha * _opinion(slow_logits), np.arange(len(slow_logits))
    targets[rows, first + rows] = 1 - alpha
    return targets


SOFT_TARGETS = Exercise(
    name="soft_targets",
    title="Targets that admit a second right answer",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=9,
    prompt="""
`slow_logits` (B, M) are the logits of the slow encoders: each of B pictures with M candidate texts.
The target of row i is a **distribution** over the candidates,

$$q_i = \\alpha \\cdot \\text{softmax}(\\ell_i)
+ (1 - \\alpha) \\cdot \\text{one-hot}(\\text{partner}_i).$$

Where do the partners stand? In front are the pairs of all processes, in their order, and behind
them the queue. The partner of row i is column `first + i`; `first` is 0 on the first process.

By hand: one row, logits ln 3, 0, 0, `alpha` 0.5, `first` 1. The softmax is 0.6, 0.2, 0.2; half of
it is 0.3, 0.1, 0.1; the partner, column 1, gets the other half: **0.3, 0.6, 0.1**, which sum to 1.
""",
    solution=soft_targets,
    cases=soft_targets_cases,
    misconceptions=(
        Misconception(
            "does not sum to one",
            soft_not_one,
            "Your rows sum to 1 + alpha: the partner's share is 1 − alpha, not 1. So the truth "
            "outweighs the opinion more than alpha says.",
        ),
        Misconception(
            "the whole opinion",
            soft_all_of_the_opinion,
            "Your softmax is not multiplied by alpha, so your rows sum to 2 − alpha.",
        ),
        Misconception(
            "alpha the wrong way round",
            soft_turned_round,
            "Your alpha is the weight of the truth. It is the weight of the slow encoder's "
            "*opinion*: with alpha 0 the targets are the plain labels.",
        ),
        Misconception(
            "off by the batch",
            soft_off_by_the_batch,
            "Your partners stand one batch too far to the right, behind the pairs of this process. "
            "They begin at column `first`.",
        ),
        Misconception(
            "queue in front",
            soft_queue_in_front,
            "Your partners are the last columns, as if the queue stood in front. It stands behind: "
            "in your targets the right answer is somebody of an earlier batch.",
        ),
        Misconception(
            "first ignored",
            soft_first_ignored,
            "You take column i for the partner of row i. That is right on the first process only: "
            "add `first`.",
        ),
        Misconception(
            "one partner for all",
            soft_one_column,
            "All your rows have the same partner, column `first`. Row i has column first + i.",
        ),
        Misconception(
            "everybody's partner",
            soft_every_column,
            "You add 1 − alpha to the columns of *all* partners in each row: `targets[:, …]` is a "
            "block. Give rows and columns as two lists of indices.",
        ),
        Misconception(
            "softmax over the rows",
            soft_over_rows,
            "Your softmax runs down the columns. Each row, one picture, chooses among its M "
            "candidates: `axis=1`.",
        ),
        Misconception(
            "softmax over everything",
            soft_over_everything,
            "Your softmax sums to 1 over the whole matrix. Each row is a distribution of its own, "
            "so each needs its own sum: `axis=1, keepdims=True`.",
        ),
        Misconception(
            "shared alike",
            soft_shared_alike,
            "You give every candidate the same part of alpha: that is label smoothing. The slow "
            "encoder's softmax says who gets how much of it.",
        ),
        Misconception(
            "truth only",
            soft_truth_only,
            "Your targets are the plain labels; the slow encoder is not asked.",
        ),
        Misconception(
            "opinion only",
            soft_opinion_only,
            "Your targets are the slow encoder's opinion alone. Nothing would ever tell the two "
            "encoders which text belongs to which picture.",
        ),
        Misconception(
            "opinion of one",
            soft_hard_opinion,
            "You give alpha to the one candidate that the slow encoder likes best. Its opinion is "
            "the whole softmax, which may be divided among several.",
        ),
        Misconception(
            "logits for probabilities",
            soft_without_softmax,
            "You mix the logits themselves; take their softmax first.",
        ),
        Misconception(
            "not divided by the sum",
            soft_not_divided,
            "Your exp(logits) are not divided by their sum: a softmax is a distribution.",
        ),
        Misconception(
            "partner's opinion lost",
            soft_partner_replaced,
            "You *set* the partner to 1 − alpha, and lose what the slow encoder gave it: add.",
        ),
    ),
    hints=(
        "`np.exp(slow_logits)`, divided by its sum over `axis=1`, is the softmax.",
        "`rows = np.arange(B)`; `targets[rows, first + rows]` are the B partners.",
        "`+=` keeps the slow encoder's opinion of the partner.",
    ),
)
