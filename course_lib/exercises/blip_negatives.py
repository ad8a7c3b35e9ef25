"""Exercise of notebook 12_blip: which false text a picture is given."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

# --- implement: hard negatives --------------------------------------------------------------------


def negative_chances(logits, same):
    """With which probability each text is drawn as a picture's false partner.

    logits: (B, C), each picture with each text; same: bool (B, C), True where the text is the
    picture's own, or the very same words → (B, C), each row sums to 1
    """
    alike = np.exp(logits)
    weights = alike / alike.sum(axis=1, keepdims=True) + 0.0001
    weights[same] = 0
    return weights / weights.sum(axis=1, keepdims=True)


def negative_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for b, c, wide in [(3, 7, 1.0), (4, 6, 2.5), (2, 9, 5.0)]:
        same = np.zeros((b, c), bool)
        same[np.arange(b), np.arange(b)] = True
        same[0, b] = same[b - 1, b + 1] = True  # the same words once more
        logits = wide * rng.normal(size=(b, c)) + 1.5 * same
        cases.append({"logits": logits, "same": same})
    return cases


def _softmax(logits):
    e = np.exp(logits)
    return e / e.sum(axis=1, keepdims=True)


def _drawn(weights, same):
    weights = np.where(same, 0, weights)
    return weights / weights.sum(axis=1, keepdims=True)


def negative_or_positive(logits, same):
    return _drawn(_softmax(logits) + 1e-4, np.zeros(same.shape, bool))


def negative_twins_drawn(logits, same):
    return _drawn(_softmax(logits) + 1e-4, np.eye(*same.shape, dtype=bool))


def negative_only_positives(logits, same):
    return _drawn(_softmax(logits) + 1e-4, ~same)


def negative_easiest(logits, same):
    return _drawn(_softmax(-logits) + 1e-4, same)


def negative_hardest_only(logits, same):
    best = np.where(same, -np.inf, logits).argmax(axis=1)
    return (np.arange(logits.shape[1]) == best[:, None]).astype(float)


def negative_at_random(logits, same):
    return _drawn(np.ones(logits.shape), same)


def negative_over_rows(logits, same):
    return _drawn(_softmax(logits.T).T + 1e-4, same)


def negative_not_renewed(logits, same):
    return np.where(same, 0, _softmax(logits) + 1e-4)


def negative_renewed_by_column(logits, same):
    weights = np.where(same, 0, _softmax(logits) + 1e-4)
    return weights / weights.sum(axis=0)


def negative_without_floor(logits, same):
    return _drawn(_softmax(logits), same)


def negative_positives_by_the_floor(logits, same):
    weights = np.where(same, 0, _softmax(logits)) + 1e-4
    return weights / weights.sum(axis=1, keepdims=True)


def negative_masked_to_zero(logits, same):
    return _softmax(np.where(same, 0, logits))


def negative_zero_logits_and_floor(logits, same):
    weights = _softmax(np.where(same, 0, logits)) + 1e-4
    return weights / weights.sum(axis=1, keepdims=True)


def negative_zero_logits_then_masked(logits, same):
    return _drawn(_softmax(np.where(same, 0, logits)) + 1e-4, same)


def negative_floor_left(logits, same):
    weights = _softmax(np.where(same, -np.inf, logits)) + 1e-4
    return weights / weights.sum(axis=1, keepdims=True)


def negative_floor_last(logits, same):
    return _drawn(_softmax(logits), same) + 1e-4


def negative_floor_last_for_the_others(logits, same):
    return np.where(same, 0, negative_floor_last(logits, same))


def negative_floor_before_the_softmax(logits, same):
    return _drawn(np.exp(logits) + 1e-4, same)


def negative_over_everything(logits, same):
    e = np.exp(logits)
    return _drawn(e / e.sum() + 1e-4, same)


def negative_floor_after_masking(logits, same):
    e = np.where(same, 0, np.exp(logits))
    return _drawn(e / e.sum(axis=1, keepdims=True) + 1e-4, same)


HARD_NEGATIVES = Exercise(
    name="negative_chances",
    title="Hard negatives, and never the positive",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=8,
    prompt="""
The match head needs mismatches, and easy ones teach it nothing. So each picture is given a false
text that is **like** its own: drawn with a probability that grows with the similarity. From
`logits` (B, C), each picture with each text of the batch:

1. take the softmax of each row and add 0.0001, so that nobody is out of reach;
2. give 0 to those that are `same` (True for the picture's own text, and for any other that is the
   very same words);
3. divide by the sum, so that each row sums to 1.

By hand: one row, logits ln 6, ln 3, 0, the first is `same`. The softmax is 0.6, 0.3, 0.1; with the
floor and without the first 0, 0.3001, 0.1001; divided by their sum: 0, **0.74988**, **0.25012**.
""",
    solution=negative_chances,
    cases=negative_cases,
    misconceptions=(
        Misconception(
            "the positive is drawn",
            negative_or_positive,
            "Your hard negatives may be the positive itself, and it is the likeliest of all. The "
            "head would be told that true pairs are false.",
        ),
        Misconception(
            "twins are drawn",
            negative_twins_drawn,
            "You leave out the diagonal only. A picture whose caption is the very same words is "
            "true for both: leave out all that is `same`.",
        ),
        Misconception(
            "positives only",
            negative_only_positives,
            "You draw among those that are `same`: the mask is the wrong way round.",
        ),
        Misconception(
            "the easiest",
            negative_easiest,
            "The *least* similar texts are likeliest in yours: the sign of the logits is wrong. "
            "That a cube is no torus the head knows after a few steps.",
        ),
        Misconception(
            "the hardest only",
            negative_hardest_only,
            "You always take the most similar text. It is to be *drawn*: the most similar one is "
            "often right as well, and the same in every epoch.",
        ),
        Misconception(
            "at random",
            negative_at_random,
            "All false texts are equally likely in yours, and most of those are easy.",
        ),
        Misconception(
            "softmax over the rows",
            negative_over_rows,
            "Your softmax runs down the columns. A picture chooses among the texts of its row.",
        ),
        Misconception(
            "does not sum to one",
            negative_not_renewed,
            "Your rows lack what the positives had: divide by the sum once more.",
        ),
        Misconception(
            "divided by the sums of columns",
            negative_renewed_by_column,
            "At the end you divide by the sums of the *columns*. Each row is to sum to 1: "
            "`axis=1, keepdims=True`.",
        ),
        Misconception(
            "no floor",
            negative_without_floor,
            "The 0.0001 is missing, or stands where it changes nothing, as in the logits. Where "
            "the comparison is very sure, what the softmax gives nearly 0 would never be met.",
        ),
        Misconception(
            "floor for the positives too",
            negative_positives_by_the_floor,
            "You add the floor after the mask, and so the positive is drawn now and then.",
        ),
        Misconception(
            "logits set to zero",
            negative_masked_to_zero,
            "You set the logits of the positives to 0, but e⁰ is 1, not 0. Set the *weights* to 0.",
        ),
        Misconception(
            "logits set to zero, with the floor",
            negative_zero_logits_and_floor,
            "You set the logits of the positives to 0, and e⁰ is 1, not 0: they are drawn like any "
            "text of similarity 0. Set their *weights* to 0, behind the softmax and the floor.",
        ),
        Misconception(
            "logits set to zero, weights as well",
            negative_zero_logits_then_masked,
            "No positive is drawn, but before the softmax you set their logits to 0. That changes "
            "the sum by which all others are divided, and so what the floor weighs beside them. "
            "Leave the logits as they are.",
        ),
        Misconception(
            "masked before the softmax, with the floor",
            negative_floor_left,
            "You leave the positives out at first, and then add the floor to everybody, to them as "
            "well: now and then one of them is drawn. The mask comes last, behind the floor.",
        ),
        Misconception(
            "the floor last",
            negative_floor_last,
            "You add the floor at the very end, behind the mask and the division: the positives "
            "may be drawn, and each row sums to more than 1. Floor, mask, division: in this order.",
        ),
        Misconception(
            "the floor last, for the others",
            negative_floor_last_for_the_others,
            "You add the floor behind the division, so each row sums to more than 1. First the "
            "floor, then the mask; the division comes last.",
        ),
        Misconception(
            "floor before the division",
            negative_floor_before_the_softmax,
            "You add the floor to exp(logit), before the division that makes it a softmax. There "
            "0.0001 weighs little or much, as the row's sum is large or small.",
        ),
        Misconception(
            "softmax over everything",
            negative_over_everything,
            "Your softmax sums to 1 over the whole matrix. Each row needs its own sum, or the "
            "floor does not weigh the same in all of them: `axis=1, keepdims=True`.",
        ),
        Misconception(
            "masked before the softmax",
            negative_floor_after_masking,
            "You leave the positives out before the softmax, so that the floor counts less beside "
            "the others. Softmax over all first, then the floor, then the mask.",
        ),
    ),
    hints=(
        "`weights = np.exp(logits)`, divided by its sum over `axis=1, keepdims=True`.",
        "`weights[same] = 0` sets many places at once.",
        "The sums have to be computed anew after that.",
    ),
)
