"""Implementations of top-p, right and wrong, on which TEST_TOP_P in language.py tries tests."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Misconception


def top_p(probabilities: np.ndarray, p: float) -> np.ndarray:
    """Keep the fewest of the likeliest words that together have at least the probability p.

    probabilities: (V,) floats that sum to 1; p: above 0, at most 1 → (V,) floats that sum to 1
    """
    order = np.argsort(-probabilities)
    before = np.cumsum(probabilities[order]) - probabilities[order]
    nucleus = order[before < p]
    kept = np.zeros_like(probabilities)
    kept[nucleus] = probabilities[nucleus]
    return kept / kept.sum()


def _nucleus(probabilities, words):
    kept = np.zeros_like(probabilities)
    kept[words] = probabilities[words]
    return kept / kept.sum()


def _sums(probabilities):
    order = np.argsort(-probabilities)
    return order, np.cumsum(probabilities[order])


def _without_the_last(probabilities, p):
    order, sums = _sums(probabilities)
    return _nucleus(probabilities, order[: max((sums <= p).sum(), 1)])


def _one_too_many(probabilities, p):
    order, sums = _sums(probabilities)
    return _nucleus(probabilities, order[: (sums <= p).sum() + 1])


def _not_renewed(probabilities, p):
    return np.where(top_p(probabilities, p) > 0, probabilities, 0)


def _by_threshold(probabilities, p):
    return _nucleus(probabilities, probabilities >= probabilities.max() * (1 - p))


def _share_of_words(probabilities, p):
    order, _ = _sums(probabilities)
    return _nucleus(probabilities, order[: int(np.ceil(p * len(order)))])


def _not_sorted(probabilities, p):
    before = np.cumsum(probabilities) - probabilities
    return _nucleus(probabilities, before < p)


def _in_place(probabilities, p):
    probabilities[:] = top_p(probabilities, p)
    return probabilities


def _keeps_all(probabilities, p):
    return probabilities.copy()


def _from_below(probabilities, p):
    order = np.argsort(probabilities)
    cut = np.cumsum(probabilities[order]) <= 1 - p
    cut[-1] = False
    return _nucleus(probabilities, order[~cut])


def _in_float32(probabilities, p):
    return top_p(probabilities.astype(np.float32), p)


def _last_of_equals(probabilities, p):
    return top_p(probabilities[::-1], p)[::-1]


WRONG = (
    Misconception(
        "the word that reaches p is cut",
        _without_the_last,
        "Your test accepts a function that cuts the word with which p is reached (but never "
        "the likeliest): with .5, .25, .25 and p = 0.6 two words are due.",
    ),
    Misconception(
        "one too many at equality",
        _one_too_many,
        "Your test accepts a function that takes one word more where p is reached exactly. "
        "With .5, .25, .25 and p = .5 one word has *at least* p.",
    ),
    Misconception(
        "does not sum to 1",
        _not_renewed,
        "Your test accepts a function that sets the others to 0 and leaves it at that: what is "
        "kept has to sum to 1 again.",
    ),
    Misconception(
        "a threshold",
        _by_threshold,
        "Your test accepts a function that keeps words by how likely they are beside the "
        "likeliest (that is min-p), not by their sum.",
    ),
    Misconception(
        "a share of the words",
        _share_of_words,
        "Your test accepts a function that keeps the share p of the *words*, not of the "
        "probability.",
    ),
    Misconception(
        "not sorted",
        _not_sorted,
        "Your test accepts a function that adds up the words in the order of the vocabulary: "
        "do not give it probabilities that fall from the first to the last.",
    ),
    Misconception(
        "argument overwritten",
        _in_place,
        "Your test accepts a function that writes into its argument: keep a copy and compare "
        "after the call.",
    ),
    Misconception(
        "keeps everything",
        _keeps_all,
        "Your test accepts a function that keeps every word.",
    ),
)

ALSO_RIGHT = (
    Misconception(
        "from below",
        _from_below,
        "one that adds up from the least likely and cuts what together has at most 1 − p. That "
        "is the same nucleus, unless p is hit by a sum that is rounded.",
    ),
    Misconception(
        "in float32",
        _in_float32,
        "one that computes in float32, which rounds in the seventh digit. Allow 1e-6, and any "
        "type of float.",
    ),
    Misconception(
        "the last of equals",
        _last_of_equals,
        "one that keeps the last of equally likely words, where yours keeps the first. Do not "
        "cut between equals.",
    ),
)
