"""Exercises of notebook 11_clip: a loss of pairs, where a text ends, names as classes, blind spots.

All of it is NumPy on a handful of vectors. A picture and its caption have no size, no colour and no
length in common; what ties them is the row in which both stand, and one diagonal.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.quiz import Question

# --- implement: the loss --------------------------------------------------------------------------


def clip_loss(image, text, log_scale):
    """CLIP's loss of N pairs; row i of both is pair i.

    image, text: (N, E) floats, of any length; log_scale: a number, ln of the scale → float
    """
    image = image / np.linalg.norm(image, axis=1, keepdims=True)
    text = text / np.linalg.norm(text, axis=1, keepdims=True)
    logits = np.exp(log_scale) * image @ text.T
    own = np.diag(logits)
    of_image = np.log(np.exp(logits).sum(axis=1)) - own
    of_text = np.log(np.exp(logits).sum(axis=0)) - own
    return (of_image.mean() + of_text.mean()) / 2


def pairs_of(rng, n, d):
    """Features of n pairs that resemble each other a little, each of a length of its own."""
    image = rng.normal(size=(n, d))
    text = image + rng.normal(size=(n, d)) + rng.normal(size=d)
    lengths = rng.uniform(0.5, 2.0, (2, n, 1))
    return image * lengths[0], text * lengths[1]


def clip_loss_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, d, log_scale in [(3, 5, 1.6), (5, 3, -0.5), (4, 6, 2.5)]:
        image, text = pairs_of(rng, n, d)
        cases.append({"image": image, "text": text, "log_scale": log_scale})
    return cases


def _rows(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _both(logits):
    """The loss of a matrix of logits, partners on the diagonal."""
    own = np.diag(logits)
    e = np.exp(logits)
    return ((np.log(e.sum(axis=1)) - own).mean() + (np.log(e.sum(axis=0)) - own).mean()) / 2


def clip_of_images_only(image, text, log_scale):
    logits = np.exp(log_scale) * _rows(image) @ _rows(text).T
    return (np.log(np.exp(logits).sum(axis=1)) - np.diag(logits)).mean()


def clip_of_texts_only(image, text, log_scale):
    return clip_of_images_only(text, image, log_scale)


def clip_divided(image, text, log_scale):
    return clip_loss(image, text, -log_scale)


def clip_not_exponentiated(image, text, log_scale):
    return _both(log_scale * _rows(image) @ _rows(text).T)


def clip_divided_by_the_logarithm(image, text, log_scale):
    return _both(_rows(image) @ _rows(text).T / log_scale)


def clip_without_scale(image, text, log_scale):
    return clip_loss(image, text, 0.0)


def clip_not_normalised(image, text, log_scale):
    return _both(np.exp(log_scale) * image @ text.T)


def clip_one_normalised(image, text, log_scale):
    return _both(np.exp(log_scale) * _rows(image) @ text.T)


def clip_other_normalised(image, text, log_scale):
    return _both(np.exp(log_scale) * image @ _rows(text).T)


def clip_normalised_by_column(image, text, log_scale):
    image, text = (x / np.linalg.norm(x, axis=0, keepdims=True) for x in (image, text))
    return _both(np.exp(log_scale) * image @ text.T)


def clip_labels_zero(image, text, log_scale):
    logits = np.exp(log_scale) * _rows(image) @ _rows(text).T
    of_image = np.log(np.exp(logits).sum(axis=1)) - logits[:, 0]
    of_text = np.log(np.exp(logits).sum(axis=0)) - logits[0]
    return (of_image.mean() + of_text.mean()) / 2


def clip_labels_next(image, text, log_scale):
    logits = np.exp(log_scale) * _rows(image) @ _rows(text).T
    i = np.arange(len(logits))
    of_image = np.log(np.exp(logits).sum(axis=1)) - logits[i, (i + 1) % len(i)]
    of_text = np.log(np.exp(logits).sum(axis=0)) - logits[(i + 1) % len(i), i]
    return (of_image.mean() + of_text.mean()) / 2


def clip_own_left_out(image, text, log_scale):
    logits = np.exp(log_scale) * _rows(image) @ _rows(text).T
    e = np.exp(logits)
    np.fill_diagonal(e, 0)
    own = np.diag(logits)
    return ((np.log(e.sum(axis=1)) - own).mean() + (np.log(e.sum(axis=0)) - own).mean()) / 2


def clip_as_nt_xent(image, text, log_scale):
    z = np.concatenate([_rows(image), _rows(text)])
    logits = np.exp(log_scale) * z @ z.T
    e = np.exp(logits)
    np.fill_diagonal(e, 0)
    partner = np.roll(np.arange(len(z)), len(image))
    return np.mean(np.log(e.sum(axis=1)) - logits[np.arange(len(z)), partner])


def clip_over_all_pairs(image, text, log_scale):
    logits = np.exp(log_scale) * _rows(image) @ _rows(text).T
    return (np.log(np.exp(logits).sum()) - np.diag(logits)).mean()


def clip_log_of_mean(image, text, log_scale):
    e = np.exp(np.exp(log_scale) * _rows(image) @ _rows(text).T)
    shares = np.diag(e) / e.sum(axis=1), np.diag(e) / e.sum(axis=0)
    return -(np.log(shares[0].mean()) + np.log(shares[1].mean())) / 2


def clip_directions_added(image, text, log_scale):
    return 2 * clip_loss(image, text, log_scale)


def clip_sum(image, text, log_scale):
    return len(image) * clip_loss(image, text, log_scale)


def clip_sign_lost(image, text, log_scale):
    return -clip_loss(image, text, log_scale)


def clip_of_sums(image, text, log_scale):
    e = np.exp(np.exp(log_scale) * _rows(image) @ _rows(text).T)
    return (e.sum(axis=1).mean() + e.sum(axis=0).mean()) / 2 - np.log(np.diag(e)).mean()


def clip_of_shares(image, text, log_scale):
    e = np.exp(np.exp(log_scale) * _rows(image) @ _rows(text).T)
    return (np.diag(e) / e.sum(axis=1) + np.diag(e) / e.sum(axis=0)).mean() / 2


def clip_of_one_length(image, text, log_scale):
    return clip_not_normalised(*(x / np.linalg.norm(x) for x in (image, text)), log_scale)


def clip_of_squared_lengths(image, text, log_scale):
    image, text = (x / (x**2).sum(axis=1, keepdims=True) for x in (image, text))
    return clip_not_normalised(image, text, log_scale)


CLIP_LOSS = Exercise(
    name="clip_loss",
    title="The loss of pairs, both ways",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=12,
    prompt="""
`image` and `text` (N, E) hold the features of N pictures and of their N captions; row i of both is
pair i. Bring every row to length 1. The logits are the N × N cosines, multiplied by the **scale**
$s$ = exp(`log_scale`):

$$\\ell_{ij} = s\\, \\hat x_i \\cdot \\hat t_j, \\qquad
\\mathcal L = \\frac{1}{2N} \\sum_{i} \\Big(
-\\log \\frac{e^{\\ell_{ii}}}{\\sum_j e^{\\ell_{ij}}}
-\\log \\frac{e^{\\ell_{ii}}}{\\sum_j e^{\\ell_{ji}}} \\Big)$$

The first term asks each picture for its text among all N texts, the second each text for its
picture among all N pictures. Return their mean as a float.

By hand: N = 2, `log_scale` 0, both pictures [1, 0], the texts [1, 0] and [0, 1]. The cosines are
1, 0 in both rows. The pictures pay ln(e + 1) − 1 = 0.313 and ln(e + 1) − 0 = 1.313, on the mean
0.813; each text finds both pictures alike and pays ln 2 = 0.693. The loss is 0.753.
""",
    solution=clip_loss,
    cases=clip_loss_cases,
    misconceptions=(
        Misconception(
            "pictures only",
            clip_of_images_only,
            "Your value is that of one direction: each picture looks for its text, along the rows. "
            "Either the other direction is missing, or both of your softmaxes run along the rows; "
            "the second has to run down the columns.",
        ),
        Misconception(
            "texts only",
            clip_of_texts_only,
            "Your value is that of one direction: each text looks for its picture, down the "
            "columns. Either the other direction is missing, or both of your softmaxes run down "
            "the columns.",
        ),
        Misconception(
            "divided by the scale",
            clip_divided,
            "You divide by exp(log_scale). What is learned is the logarithm of the *scale*, "
            "1 / τ: the cosines are multiplied by it.",
        ),
        Misconception(
            "logarithm not undone",
            clip_not_exponentiated,
            "You multiply by `log_scale` itself: the scale is its exponential, which keeps it "
            "above 0 whatever the optimiser does.",
        ),
        Misconception(
            "divided by the logarithm",
            clip_divided_by_the_logarithm,
            "You divide by `log_scale`, as if it were a temperature. It is the logarithm of the "
            "scale: multiply by its exponential.",
        ),
        Misconception(
            "scale without effect",
            clip_without_scale,
            "Your value is that of the scale 1, whatever `log_scale` is: multiply the cosines, and "
            "do it after bringing the rows to length 1.",
        ),
        Misconception(
            "not normalised",
            clip_not_normalised,
            "You compare scalar products. Bring each row to length 1 first, or the network may "
            "lower the loss by making its vectors long.",
        ),
        Misconception(
            "pictures normalised only",
            clip_one_normalised,
            "Your pictures have length 1, your texts have not: long texts are then everybody's "
            "favourite.",
        ),
        Misconception(
            "texts normalised only",
            clip_other_normalised,
            "Your texts have length 1, your pictures have not.",
        ),
        Misconception(
            "normalised by column",
            clip_normalised_by_column,
            "You normalise each column over the batch (`axis=0`). It is each *row*, one feature, "
            "that is to have length 1.",
        ),
        Misconception(
            "labels all zero",
            clip_labels_zero,
            "All your labels are 0: everybody would belong to pair 0. The partner of row i stands "
            "in column i.",
        ),
        Misconception(
            "labels off by one",
            clip_labels_next,
            "You take column i + 1 for the partner of row i. It is column i: the diagonal.",
        ),
        Misconception(
            "partner left out of the sum",
            clip_own_left_out,
            "Your sums hold the strangers alone. The partner is a candidate too, or it could not "
            "be found: N terms.",
        ),
        Misconception(
            "as in SimCLR",
            clip_as_nt_xent,
            "That is NT-Xent: your pictures also compare themselves with pictures and your texts "
            "with texts. CLIP compares across only: a picture has N candidates, all of them texts.",
        ),
        Misconception(
            "one softmax over the matrix",
            clip_over_all_pairs,
            "You take one softmax over all N × N pairs. Each row chooses among its N texts, and "
            "each column among its N pictures.",
        ),
        Misconception(
            "log of the mean",
            clip_log_of_mean,
            "You average the probabilities and take the logarithm then. Each row pays its own "
            "−log; the mean comes last.",
        ),
        Misconception(
            "directions added",
            clip_directions_added,
            "Your value is twice the loss: the *mean* of both directions is asked for.",
        ),
        Misconception(
            "sum over the pairs",
            clip_sum,
            "You add up over the N pairs; the loss is their mean, so that it does not grow with "
            "the batch.",
        ),
        Misconception(
            "everything summed",
            lambda image, **rest: 2 * len(image) * clip_loss(image, **rest),
            "You add up all 2N terms: divide by their number.",
        ),
        Misconception(
            "sign lost",
            clip_sign_lost,
            "Your loss is negative: a share is below 1, so its logarithm is below 0, and the minus "
            "in front of it is missing.",
        ),
        Misconception(
            "logarithm of the sum forgotten",
            clip_of_sums,
            "You subtract the partner's logit from the sum of the exponentials. Their *logarithm* "
            "is to stand there: −log(e^own / Σ e^ℓ) is log Σ e^ℓ − own.",
        ),
        Misconception(
            "shares without a logarithm",
            lambda **case: -clip_of_shares(**case),
            "You average the shares, with a minus but without their logarithm. Each term is −log "
            "of a share, from 0 up.",
        ),
        Misconception(
            "mean share",
            clip_of_shares,
            "You return the mean share of the partners, a number from 0 to 1 that is to *rise*. "
            "The loss takes −log of each share first.",
        ),
        Misconception(
            "scale outside",
            lambda image, text, log_scale: np.exp(log_scale) * clip_loss(image, text, 0.0),
            "You multiply the finished loss by the scale. It belongs to the cosines, inside the "
            "exponentials: there it makes the softmax sharp, outside it only makes numbers larger.",
        ),
        Misconception(
            "one length for all rows",
            clip_of_one_length,
            "You divide all rows by one number, the length of the whole matrix: without `axis`, "
            "`norm` knows no rows. Each row has its own length: `axis=1, keepdims=True`.",
        ),
        Misconception(
            "divided by the square of the length",
            clip_of_squared_lengths,
            "You divide each row by its sum of squares; its length is the root of that.",
        ),
        Misconception(
            "half of one direction, pictures",
            lambda **case: clip_of_images_only(**case) / 2,
            "Your value is half of what the pictures pay. The `/ 2` is there, but the texts' "
            "direction, down the columns, is missing from the sum.",
        ),
        Misconception(
            "half of one direction, texts",
            lambda **case: clip_of_texts_only(**case) / 2,
            "Your value is half of what the texts pay. The `/ 2` is there, but the pictures' "
            "direction, along the rows, is missing from the sum.",
        ),
    ),
    hints=(
        "`np.linalg.norm(image, axis=1, keepdims=True)` holds the length of each row.",
        "`logits = np.exp(log_scale) * image @ text.T` holds all you need: rows are pictures, "
        "columns texts, partners on the diagonal, `np.diag(logits)`.",
        "−log(e^own / Σ e^ℓ) is log Σ e^ℓ − own: with `.sum(axis=1)` for the pictures, with "
        "`.sum(axis=0)` for the texts.",
    ),
)

# --- predict: the first loss ----------------------------------------------------------------------

FIRST = {"guessing": 3.466, "scale": 14.286, "perfect": 2.518}
FIRST_SLIPS = {  # (name, value, sentence) of one field
    "guessing": (
        (
            "strangers only",
            3.434,
            "3.43 is the logarithm of 31, the number of strangers. A picture's own text is a "
            "candidate too, or it could not be found: 32 in all.",
        ),
        (
            "as in SimCLR",
            4.143,
            "4.14 is the logarithm of 63, as in SimCLR, where a view chooses among all other "
            "views. Here a picture chooses among the 32 texts, and no picture is a candidate.",
        ),
        (
            "both directions added",
            6.931,
            "6.93 is twice ln 32: the loss is the mean of both directions, not their sum.",
        ),
        ("bits", 5.0, "5 is the number of bits; the loss takes the natural logarithm."),
        (
            "probability of guessing",
            0.031,
            "1/32 is the probability of guessing right. The loss is −ln of it.",
        ),
    ),
    "scale": (
        (
            "the temperature itself",
            0.07,
            "0.07 is the temperature, by which one divides. One multiplies by its inverse.",
        ),
        (
            "the logarithm of the scale",
            2.659,
            "2.66 is the number that the network keeps and learns, the *logarithm* of the scale; "
            "the cosines are multiplied by its exponential.",
        ),
        (
            "exponential of the temperature",
            1.073,
            "1.07 is exp(0.07). The exponential undoes the logarithm of the *scale*, which the "
            "network keeps; τ is no logarithm, but the scale's inverse.",
        ),
    ),
    "perfect": (
        (
            "perfect is free",
            0.0,
            "It would be nearly 0 with the scale 14.3. With the scale 1, the partner has e¹ = 2.72 "
            "against 31 strangers with e⁰ = 1 each: softmax still gives it only 8 %.",
        ),
        (
            "partner left out of the sum",
            2.434,
            "2.43 is ln 31 − 1: the partner's own e¹ is missing from the sum.",
        ),
        (
            "partner counted as a stranger",
            2.466,
            "2.47 is ln 32 − 1: in your sum the partner has e⁰ like everybody else, but its cosine "
            "is 1.",
        ),
        (
            "one stranger too many",
            2.547,
            "2.55 is ln(1 + 32/e): beside the partner there are only 31 strangers.",
        ),
        (
            "probability of the partner",
            0.081,
            "0.08 is the partner's share, e / (e + 31). The loss is −ln of it.",
        ),
    ),
}


def each_field_named(right, slips):
    """Every choice of at most one slip a field, as one misconception; those with most come first.

    An answer is told the first that is a part of it: so every slip in it is named at once.
    """
    found = []
    for chosen in product(*([None, *slips[field]] for field in right)):
        made = {field: slip for field, slip in zip(right, chosen, strict=True) if slip}
        if made:
            name = ", ".join(slip[0] for slip in made.values())
            answer = right | {field: slip[1] for field, slip in made.items()}
            said = " ".join(f"`{field}`: {slip[2]}" for field, slip in made.items())
            found.append((-len(made), Misconception(name, answer, said)))
    return tuple(misconception for _, misconception in sorted(found, key=lambda pair: pair[0]))


FIRST_LOSS = Exercise(
    name="first_loss",
    title="What must the first loss be, and how low can it fall?",
    kind="predict",
    difficulty=2,
    importance=5,
    minutes=6,
    prompt="""
A batch of N = 32 pictures and their captions, no two of them alike. To two decimals (0.01 more or
less is accepted):

* `guessing`: the loss of a network to which every text fits every picture equally well.
* `scale`: CLIP begins with the temperature τ = 0.07. What are the cosines **multiplied** by?
* `perfect`: now a perfect network, cosine 1 for partners and 0 for all strangers, but with the
  scale held at 1. What is its loss?
""",
    solution=FIRST,
    rtol=0.0,
    atol=0.01,
    misconceptions=(
        Misconception(
            "of 64 pairs",
            FIRST | {"guessing": 4.159, "perfect": 3.185},
            "4.16 and 3.19 are the losses among 64 pairs. Here N is 32.",
        ),
        *each_field_named(FIRST, FIRST_SLIPS),
        Misconception(
            "scale to one decimal",
            FIRST | {"scale": 14.3},
            "`scale`: 14.3 is right to one decimal; two are asked for.",
        ),
    ),
    hints=(
        "If all of K candidates are equally likely, each has the probability 1 / K, and the loss "
        "is ln K.",
        "The scale is 1 / τ.",
        "`perfect`: the sum of a row is e¹ + 31 · e⁰, and the partner's share of it is e¹ divided "
        "by that. Both directions are alike.",
    ),
)

# --- repair: where does a text end? ---------------------------------------------------------------


def text_feature(states, tokens, end):
    """What the network knows at the first end token of each text.

    states: (B, L, D), tokens: whole numbers (B, L), end: the end token's id → (B, D)
    """
    place = (tokens == end).argmax(axis=1)
    return states[np.arange(len(tokens)), place]


def text_feature_broken(states, tokens, end):
    """What the network knows at the first end token of each text.

    states: (B, L, D), tokens: whole numbers (B, L), end: the end token's id → (B, D)
    """
    place = tokens.argmax(axis=1)  # the end token has the largest id
    return states[np.arange(len(tokens)), place]


def text_feature_cases(seed):
    rng = np.random.default_rng(seed)
    start, end, cases = 20, 21, []
    # Words are 0 to 19; 22 to 25 came later. Pads are zeros, or the end token once more.
    for b, n, d, pad in [(4, 9, 3, 0), (3, 8, 5, end), (5, 10, 2, 0)]:
        tokens = np.full((b, n), pad)
        lengths = rng.permutation(np.arange(3, n - 2))[:b]
        for row, length in zip(tokens, lengths, strict=False):
            words = rng.integers(1, 20, length)
            words[rng.integers(1, length - 1)] = 0  # a word like any other, the pad's namesake
            row[: length + 2] = [start, *words, end]
        for row, length in zip(tokens[:2], lengths, strict=False):
            row[1], row[length] = rng.integers(22, 24), rng.integers(24, 26)
        cases.append({"states": rng.normal(size=(b, n, d)), "tokens": tokens, "end": end})
    return cases


def _at(states, place):
    return states[np.arange(len(states)), place]


def text_at_the_last_end(states, tokens, end):
    return _at(states, tokens.shape[1] - 1 - (tokens == end)[:, ::-1].argmax(axis=1))


def text_before_the_end(states, tokens, end):
    return _at(states, (tokens == end).argmax(axis=1) - 1)


def text_at_the_first_from_the_end_on(states, tokens, end):
    return _at(states, (tokens >= end).argmax(axis=1))


def text_by_counting_pads(states, tokens, end):
    return _at(states, (tokens != 0).sum(axis=1) - 1)


def text_before_the_first_zero(states, tokens, end):
    return _at(states, (tokens == 0).argmax(axis=1) - 1)


def text_mean_to_the_end(states, tokens, end):
    stop = (tokens == end).argmax(axis=1)
    return np.stack([row[: at + 1].mean(axis=0) for row, at in zip(states, stop, strict=True)])


def text_everybody_at_everybodys_end(states, tokens, end):
    return states[:, (tokens == end).argmax(axis=1)]


END_TOKEN = Exercise(
    name="text_feature",
    title="Repair: the text that ends too early",
    kind="repair",
    difficulty=2,
    importance=4,
    minutes=6,
    prompt="""
A text's feature is the state at its end token: attention is causal, so only there is the whole text
known. CLIP's authors find the place with `argmax`, because in their vocabulary the end token has
the **largest id**. Here somebody has added a few words to the vocabulary later, with ids **above**
the end token. Nothing fails, the shapes are right, and texts without the new words are read as
before. Repair it, so that it finds the **first token with the id `end`**, whatever stands before
or behind it.

Every text has one. Behind it come pads: zeros in some batches, more end tokens in others. And 0 is
the id of a word, too (in CLIP's own vocabulary it is that of "!").
""",
    solution=text_feature,
    stub=text_feature_broken,
    cases=text_feature_cases,
    misconceptions=(
        Misconception(
            "last place",
            lambda states, tokens, end: states[:, -1],
            "You take the last place, which is right only for the longest text: behind the end "
            "stand pads.",
        ),
        Misconception(
            "first place",
            lambda states, tokens, end: states[:, 0],
            "You read the first place. `argmin` ends there: of True and False it finds the first "
            "*False*, and the start token is one; `argmax` finds the first True. If you meant it, "
            "as one takes a class token: attention is causal, the start token has seen nothing.",
        ),
        Misconception(
            "last end token",
            text_at_the_last_end,
            "You take the *last* end token. Where pads are end tokens, too, that is the last place "
            "of the row, and depends on how far a batch was padded.",
        ),
        Misconception(
            "one before the end",
            text_before_the_end,
            "You take the place before the end, the last word. The network was trained to collect "
            "the text at the end token.",
        ),
        Misconception(
            "one after the end",
            lambda states, tokens, end: _at(states, (tokens == end).argmax(axis=1) + 1),
            "You take the place *behind* the end, a pad. `argmax` counts from 0, as indices do: "
            "nothing is to be added.",
        ),
        Misconception(
            "every end token",
            lambda states, tokens, end: _at(states, np.where(tokens == end)[1]),
            "Where pads are end tokens, too, a row holds several, and you collect the places of "
            "all of them (`np.where` and `np.nonzero` do): more places than rows. Take the first "
            "of each row.",
        ),
        Misconception(
            "at least the end's id",
            text_at_the_first_from_the_end_on,
            "You look for the first id that is `end` *or above* (or cut larger ids down to it): a "
            "new word has such an id and stands earlier. Ask for equality.",
        ),
        Misconception(
            "pads counted",
            text_by_counting_pads,
            "You count what is not 0. But 0 is the id of a word, too, and in some batches the pads "
            "are end tokens: look for the end token itself.",
        ),
        Misconception(
            "before the first zero",
            text_before_the_first_zero,
            "You stop before the first 0. But 0 is the id of a word, too, and in some batches "
            "there is no zero behind the end: look for the end token itself.",
        ),
        Misconception(
            "mean over all places",
            lambda states, tokens, end: states.mean(axis=1),
            "You take the mean over all places, pads included; the state at one place is asked "
            "for.",
        ),
        Misconception(
            "mean up to the end",
            text_mean_to_the_end,
            "You take the mean over the words up to the end; the state *at* the end is asked for.",
        ),
        Misconception(
            "everybody at everybody's end",
            text_everybody_at_everybodys_end,
            "`states[:, place]` gives every text at every text's end, (B, B, D). Row b belongs to "
            "place b: give both as indices, `states[np.arange(B), place]`.",
        ),
    ),
    hints=(
        "Which id does `tokens.argmax(axis=1)` find in a text that holds a new word?",
        "`tokens == end` is True where an end token stands. A row may hold several, so `np.where` "
        "may give more places than there are rows.",
        "`argmax(axis=1)` of True and False gives the place of the *first* True of each row.",
    ),
)

# --- implement: a class of several sentences ------------------------------------------------------


def ensemble(features):
    """A class is the mean of its sentences' directions.

    features: (K, T, E), of T sentences about each of K classes, of any length
    → (K, E), one direction of length 1 for each class
    """
    unit = features / np.linalg.norm(features, axis=2, keepdims=True)
    mean = unit.mean(axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def ensemble_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for k, t, d in [(3, 4, 5), (5, 2, 3), (4, 3, 6)]:
        classes = rng.normal(size=(k, 1, d))
        features = classes + 0.8 * rng.normal(size=(k, t, d))
        cases.append({"features": features * rng.uniform(0.4, 2.5, (k, t, 1))})
    return cases


def ensemble_of_any_length(features):
    return _rows(features.mean(axis=1))


def ensemble_not_normalised_again(features):
    return (features / np.linalg.norm(features, axis=2, keepdims=True)).mean(axis=1)


def ensemble_over_classes(features):
    return _rows((features / np.linalg.norm(features, axis=2, keepdims=True)).mean(axis=0))


def ensemble_normalised_over_templates(features):
    return _rows((features / np.linalg.norm(features, axis=1, keepdims=True)).mean(axis=1))


def ensemble_unit_by_columns(features):
    mean = (features / np.linalg.norm(features, axis=2, keepdims=True)).mean(axis=1)
    return mean / np.linalg.norm(mean, axis=0, keepdims=True)


def ensemble_of_squared_lengths(features):
    unit = features / (features**2).sum(axis=2, keepdims=True)
    return _rows(unit.mean(axis=1))


def ensemble_side_by_side(features):
    unit = features / np.linalg.norm(features, axis=2, keepdims=True)
    return unit.reshape(len(features), -1)


def ensemble_of_squares_twice(features):
    mean = (features / (features**2).sum(axis=2, keepdims=True)).mean(axis=1)
    return mean / (mean**2).sum(axis=1, keepdims=True)


def ensemble_squared_in_the_end(features):
    mean = ensemble_not_normalised_again(features)
    return mean / (mean**2).sum(axis=1, keepdims=True)


def ensemble_of_one_length(features):
    mean = ensemble_not_normalised_again(features)
    return mean / np.linalg.norm(mean)


ENSEMBLE = Exercise(
    name="ensemble",
    title="One class, several sentences",
    kind="implement",
    difficulty=2,
    importance=4,
    minutes=6,
    prompt="""
"a red cube", "a small red cube", "a large red cube": T sentences about one class, K classes, and a
feature of any length for each, `features` (K, T, E). Make one direction of each class, as CLIP's
authors do: bring every sentence's feature to **length 1**, take the **mean** over the sentences of
the class, and bring it to length 1 **again**. Return (K, E).

By hand: one class, two sentences, [3, 0] and [0, 1]. Their directions are [1, 0] and [0, 1], the
mean is [0.5, 0.5], and of length 1 it is [0.707, 0.707].
""",
    solution=ensemble,
    cases=ensemble_cases,
    misconceptions=(
        Misconception(
            "features of any length averaged",
            ensemble_of_any_length,
            "A sentence with a long feature counts more than the others in yours. Either the "
            "features are averaged as they come, or all are divided by one number (`norm` without "
            "`axis` is the length of the whole array). Divide each by its *own* length first.",
        ),
        Misconception(
            "not of length 1 again",
            ensemble_not_normalised_again,
            "The mean of unit vectors is shorter than 1, and the shorter, the less the sentences "
            "agree: such a class would lose every comparison. Bring it to length 1 again.",
        ),
        Misconception(
            "never normalised",
            lambda features: features.mean(axis=1),
            "You took the mean alone. Every feature is to have length 1 before it, and the mean "
            "after it.",
        ),
        Misconception(
            "mean over the classes",
            ensemble_over_classes,
            "Your mean runs over the classes (`axis=0`): one row for each *sentence* came out. It "
            "must run over the sentences.",
        ),
        Misconception(
            "normalised over the sentences",
            ensemble_normalised_over_templates,
            "Your first lengths run over the sentences (`axis=1`). A feature's length is that of "
            "its E numbers, the last axis.",
        ),
        Misconception(
            "normalised over the classes",
            lambda features: _rows((features / np.linalg.norm(features, axis=0)).mean(axis=1)),
            "Your first lengths run over the classes (`axis=0`). A feature's length is that of its "
            "E numbers, the last axis.",
        ),
        Misconception(
            "first sentence only",
            lambda features: _rows(features[:, 0]),
            "Only the first sentence of each class counts in yours.",
        ),
        Misconception(
            "columns of length 1",
            ensemble_unit_by_columns,
            "In the end you bring the *columns* to length 1, over the classes. Each class, a row, "
            "is to have length 1.",
        ),
        Misconception(
            "divided by the square of the length",
            ensemble_of_squared_lengths,
            "You divide by the sum of squares; the length is its root.",
        ),
        Misconception(
            "divided by the square of the last length",
            ensemble_squared_in_the_end,
            "You divide the mean by its sum of squares; its length is the root of that.",
        ),
        Misconception(
            "divided by squares twice",
            ensemble_of_squares_twice,
            "Both times you divide by the sum of squares; the length is its root.",
        ),
        Misconception(
            "one length for all classes",
            ensemble_of_one_length,
            "In the end you divide by one number, the length of the whole matrix (`norm` without "
            "`axis`). Each class, a row, has its own: `axis=1, keepdims=True`.",
        ),
        Misconception(
            "no axis, twice",
            lambda features: features.mean(axis=1) / np.linalg.norm(features.mean(axis=1)),
            "You divide by one number each time: `norm` without `axis` is the length of the whole "
            "array. Every feature has its own length, and every class in the end.",
        ),
        Misconception(
            "side by side",
            ensemble_side_by_side,
            "You put the sentences side by side, (K, T · E). No picture's feature is that long: "
            "the mean over the sentences is asked for.",
        ),
    ),
    hints=(
        "`np.linalg.norm(features, axis=2, keepdims=True)` has the shape (K, T, 1): one length for "
        "each sentence.",
        "`.mean(axis=1)` runs over the sentences; what remains is (K, E), whose rows are the "
        "classes.",
    ),
    equivalent={
        "call 8:11 mean → sum": "the last line takes away every factor, so a sum does as well",
    },
)

# --- ablate: one direction ------------------------------------------------------------------------


def both_ways(image, text, scale):
    """CLIP's loss of N pairs, both ways; row i of both is pair i.

    image, text: (N, E) floats, of any length; scale: above 0 → float
    """
    image = image / np.linalg.norm(image, axis=1, keepdims=True)
    text = text / np.linalg.norm(text, axis=1, keepdims=True)
    logits = scale * image @ text.T
    own = np.diag(logits)
    down = np.log(np.exp(logits).sum(axis=0)) - own
    along = np.log(np.exp(logits).sum(axis=1)) - own
    return (down.mean() + along.mean()) / 2


def one_way(image, text, scale):
    """CLIP's loss of N pairs, pictures look for their texts only; row i of both is pair i.

    image, text: (N, E) floats, of any length; scale: above 0 → float
    """
    image = image / np.linalg.norm(image, axis=1, keepdims=True)
    text = text / np.linalg.norm(text, axis=1, keepdims=True)
    logits = scale * image @ text.T
    own = np.diag(logits)
    along = np.log(np.exp(logits).sum(axis=1)) - own
    return along.mean()


def one_way_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, d, scale in [(4, 3, 5.0), (3, 6, 1.5), (5, 4, 10.0)]:
        image, text = pairs_of(rng, n, d)
        cases.append({"image": image, "text": text, "scale": scale})
    return cases


def one_way_of_texts(image, text, scale):
    return one_way(text, image, scale)


def one_way_without_strangers(image, text, scale):
    return -scale * (_rows(image) * _rows(text)).sum(axis=1).mean()


def one_way_without_lengths(image, text, scale):
    logits = scale * image @ text.T
    return (np.log(np.exp(logits).sum(axis=1)) - np.diag(logits)).mean()


def one_way_among_pictures(image, text, scale):
    z, t = _rows(image), _rows(text)
    e = np.exp(scale * z @ z.T)
    own = scale * (z * t).sum(axis=1)
    np.fill_diagonal(e, np.exp(own))
    return (np.log(e.sum(axis=1)) - own).mean()


def one_way_and_strangers_of_both(image, text, scale):
    e = np.exp(scale * _rows(image) @ _rows(text).T)
    own = np.diag(e)
    return np.mean(np.log(e.sum(axis=1) + e.sum(axis=0) - own) - np.log(own))


def one_way_without_own(image, text, scale):
    return np.log(np.exp(scale * _rows(image) @ _rows(text).T).sum(axis=1)).mean()


ONE_WAY = Exercise(
    name="one_way",
    title="Ablate: only pictures ask",
    kind="ablate",
    difficulty=2,
    importance=4,
    minutes=5,
    prompt="""
Here is CLIP's loss, complete. Take **one direction** away and nothing else: each picture shall look
for its text among all texts, but no text looks for its picture any more. The result is a full
loss of its own, the mean over the N pictures. Which of `down` and `along` is it?

(Then no text is ever asked, and nobody minds if one picture lies nearer to a text than the text's
own.)
""",
    solution=one_way,
    stub=both_ways,
    cases=one_way_cases,
    misconceptions=(
        Misconception(
            "the other way",
            one_way_of_texts,
            "You kept the direction of the *texts*. Rows of `logits` are pictures; a picture's "
            "candidates, the texts, stand along its row: `axis=1`.",
        ),
        Misconception(
            "still halved",
            lambda **case: one_way(**case) / 2,
            "Your value is half the loss: with one direction left there is nothing to average, so "
            "the `/ 2` goes too.",
        ),
        Misconception(
            "the other way, still halved",
            lambda **case: one_way_of_texts(**case) / 2,
            "Your value is half of what the *texts* pay. Two things: a picture's candidates stand "
            "along its row, `axis=1`; and with one direction left there is nothing to halve.",
        ),
        Misconception(
            "both kept, added",
            lambda **case: 2 * both_ways(**case),
            "You took the `/ 2` away, and kept both directions. One of the two sums has to go, and "
            "the `/ 2` goes with it.",
        ),
        Misconception(
            "nothing taken away",
            lambda **case: both_ways(**case),
            "Your value is still that of both directions: nothing was taken away.",
        ),
        Misconception(
            "partner's logit forgotten",
            one_way_without_own,
            "Your rows pay log Σ e^ℓ alone. The `- own` belongs to each direction: without it, "
            "the loss would push partners apart as well.",
        ),
        Misconception(
            "scale forgotten",
            lambda image, text, scale: one_way(image, text, 1.0),
            "Your value is that of the scale 1. The cosines are still to be multiplied by `scale`.",
        ),
        Misconception(
            "no strangers",
            one_way_without_strangers,
            "You took the strangers away altogether: partners only attract now, and one vector for "
            "everything would be perfect. The N texts stay candidates.",
        ),
        Misconception(
            "lengths left as they are",
            one_way_without_lengths,
            "Your rows no longer have length 1; nothing but a direction was to go.",
        ),
        Misconception(
            "among pictures",
            one_way_among_pictures,
            "The strangers in your sum are pictures; a picture chooses among *texts*.",
        ),
        Misconception(
            "strangers of both ways in one sum",
            one_way_and_strangers_of_both,
            "Your sum holds row *and* column. A picture's candidates are the N texts of its row.",
        ),
        Misconception(
            "sum over the pairs",
            lambda image, text, scale: len(image) * one_way(image, text, scale),
            "You add up over the N pictures; their mean is asked for.",
        ),
    ),
    hints=(
        "`logits[i, j]` compares picture i with text j. Along which axis do the candidates of "
        "picture i stand?",
        "Delete `down`, and look at the last line: what is still to be averaged?",
    ),
)

# --- implement: found among the first k -----------------------------------------------------------


def recall_at(similarity, right, k):
    """The share of queries that find a right answer among their first k.

    similarity: (N, M) floats, all different; right: bool (N, M); k: from 1 to M → float
    """
    first = np.argsort(-similarity, axis=1)[:, :k]
    return np.take_along_axis(right, first, axis=1).any(axis=1).mean()


def recall_at_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, m, k in [(9, 7, 2), (11, 9, 3), (10, 8, 1), (8, 11, 4), (9, 5, 5)]:
        right = np.zeros((n, m), bool)
        for i, row in enumerate(right):
            row[rng.permutation(m)[: (i + 1) % 4]] = True  # none for one query in four
        similarity = rng.normal(size=(n, m)) + 0.6 * right
        cases.append({"similarity": similarity, "right": right, "k": k})
    return cases


def _hits(similarity, right, k):
    first = np.argsort(-similarity, axis=1)[:, :k]
    return np.take_along_axis(right, first, axis=1)


def _shares_found(similarity, right, k):
    return _hits(similarity, right, k).sum(axis=1) / right.sum(axis=1)


def recall_first_right_one_only(similarity, right, k):
    only = np.arange(right.shape[1]) == right.argmax(axis=1)[:, None]
    return recall_at(similarity, only, k)


def recall_of_the_diagonal(similarity, right, k):
    return recall_at(similarity, np.eye(*right.shape, dtype=bool), k)


def recall_by_places(similarity, right, k):
    """Takes the order of the answers for their ranks."""
    order = np.argsort(-similarity, axis=1)
    return ((order < k) & right).any(axis=1).mean()


SHARE_OF_THE_RIGHT_ONES = (
    "You return which share of its right answers a query finds. That is recall elsewhere; for "
    "pictures and captions one right answer is enough."
)

RECALL = Exercise(
    name="recall_at",
    title="Found among the first k",
    kind="implement",
    difficulty=2,
    importance=4,
    minutes=8,
    prompt="""
N queries, say pictures, are compared with M answers, say captions: `similarity` (N, M), no two
numbers alike. `right` (N, M) is True where an answer is right for a query; there may be several, as
a picture has several captions, or none. **Recall at k** (R@k), as it is meant for pictures and
captions, is the share of the N queries with **at least one** right answer among the k most similar;
a query without any right answer counts as not found. Return it as a number from 0 to 1.

By hand: similarities 0.2, 0.9, 0.5 in the first row and 0.7, 0.1, 0.3 in the second; right are the
last answer of the first query and the first and second of the second. R@1: the first query finds
0.9, which is wrong, the second 0.7, which is right: 0.5. R@2: 0.9 and 0.5, one is right: 1.0.
""",
    solution=recall_at,
    cases=recall_at_cases,
    misconceptions=(
        Misconception(
            "all k must be right",
            lambda **case: _hits(**case).all(axis=1).mean(),
            "You ask for *all* of the first k to be right; one is enough.",
        ),
        Misconception(
            "precision",
            lambda **case: _hits(**case).mean(),
            "You return which share of the first k answers is right: that is the precision. A "
            "query counts as found with one right answer.",
        ),
        Misconception(
            "hits counted",
            lambda **case: _hits(**case).sum(axis=1).mean(),
            "A query with two right answers among its first k counts twice in yours: it is found "
            "or not.",
        ),
        Misconception(
            "share of the right ones",
            lambda **case: _shares_found(**case).mean(),
            SHARE_OF_THE_RIGHT_ONES,
        ),
        Misconception(
            "share of the right ones, 0 of none",
            lambda **case: np.nan_to_num(_shares_found(**case)).mean(),
            SHARE_OF_THE_RIGHT_ONES,
        ),
        Misconception(
            "share of the right ones, where there are any",
            lambda **case: np.nanmean(_shares_found(**case)),
            SHARE_OF_THE_RIGHT_ONES,
        ),
        Misconception(
            "least similar first",
            lambda similarity, right, k: recall_at(-similarity, right, k),
            "`argsort` begins with the *smallest*: your first k are the least similar ones.",
        ),
        Misconception(
            "queries and answers exchanged",
            lambda similarity, right, k: recall_at(similarity.T, right.T, k),
            "You let the columns ask. The rows are the queries here; text → picture is another "
            "number.",
        ),
        Misconception(
            "one too many",
            lambda similarity, right, k: recall_at(similarity, right, k + 1),
            "You look at k + 1 answers: a slice `[:k]` holds k of them, and a rank that counts "
            "from 0 must be below k.",
        ),
        Misconception(
            "place k alone",
            lambda **case: _hits(**case)[:, -1].mean(),
            "You look at the k-th answer alone; all from the first to the k-th count.",
        ),
        Misconception(
            "one right answer a query",
            recall_first_right_one_only,
            "You take one right answer for each query, the first True of its row; any of them "
            "counts.",
        ),
        Misconception(
            "the diagonal",
            recall_of_the_diagonal,
            "You take answer i for the right one of query i. That holds in a batch of pairs; here "
            "`right` says it.",
        ),
        Misconception(
            "number in place of share",
            lambda **case: _hits(**case).any(axis=1).sum(),
            "You return how many queries find something; divide by N.",
        ),
        Misconception(
            "divided by the answers",
            lambda similarity, right, k: (
                _hits(similarity, right, k).any(axis=1).sum() / right[0].size
            ),
            "You divide by M, the number of answers. The share is one of the N queries, the rows.",
        ),
        Misconception(
            "percent",
            lambda **case: 100 * recall_at(**case),
            "You return percent; a number from 0 to 1 is asked for.",
        ),
        Misconception(
            "k without effect",
            lambda similarity, right, k: recall_at(similarity, right, 1),
            "You look at the most similar answer alone, whatever k is: that is R@1.",
        ),
        Misconception(
            "first k columns",
            lambda similarity, right, k: right[:, :k].any(axis=1).mean(),
            "You look at the first k *columns*. They are the answers 0 to k − 1; the k most "
            "similar ones stand elsewhere in each row: sort first.",
        ),
        Misconception(
            "pooled",
            lambda similarity, right, k: _hits(similarity, right, k).sum() / right.sum(),
            "You divide all right answers that were found by all there are. Each *query* counts "
            "once: found or not.",
        ),
        Misconception(
            "queries skipped",
            lambda similarity, right, k: recall_at(similarity, right, k) / right.any(axis=1).mean(),
            "You leave out the queries that have no right answer. They count as not found: divide "
            "by all N.",
        ),
        Misconception(
            "order taken for ranks",
            recall_by_places,
            "`argsort` says *which answer* stands at each place, not at which place an answer "
            "stands. Take its first k columns and look up whether those answers are right.",
        ),
    ),
    hints=(
        "`np.argsort(-similarity, axis=1)[:, :k]` holds the numbers of each query's first k "
        "answers.",
        "`np.take_along_axis(right, first, axis=1)` looks up, row by row, whether they are right.",
        "`.any(axis=1)` asks for at least one; the mean of True and False is a share.",
    ),
)

# --- test: the loss on trial ----------------------------------------------------------------------


def test_clip_loss(clip_loss):
    """Assert what a right `clip_loss` does, and nothing that a right one might not do.

    clip_loss: a function of NumPy arrays image, text (N, E) and a number log_scale → the loss
    """
    image = np.array([[1.0, 0.5, 0.0, -1.0], [0.2, 2.0, -1.0, 0.4], [-0.5, 0.3, 0.9, 0.1]])
    text = np.array([[0.8, 0.1, 0.4, 0.0], [0.0, 0.7, 0.1, 1.1], [2.0, -1.0, 1.5, 0.3]])
    log_scale = 0.7
    before = image.copy(), text.copy()
    x, t = ([v / np.sqrt((v * v).sum()) for v in rows] for rows in (image, text))
    s = [[np.exp(log_scale) * (a @ b) for b in t] for a in x]
    expected = 0.0
    for i in range(3):
        row, column = (sum(np.exp(s[i][j]) for j in range(3)), sum(np.exp(r[i]) for r in s))
        expected += (np.log(row) + np.log(column) - 2 * s[i][i]) / 6
    assert abs(float(clip_loss(image, text, log_scale)) - expected) < 1e-4
    assert np.array_equal(image, before[0])
    assert np.array_equal(text, before[1])


def clip_in_place(image, text, log_scale):
    image /= np.linalg.norm(image, axis=1, keepdims=True)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    return clip_loss(image, text, log_scale)


def _demand_arrays(*given):
    for x in given:
        if not isinstance(x, np.ndarray):
            kind = type(x).__name__
            raise TypeError(f"image and text must be NumPy arrays, but a {kind} was given")


def clip_in_float32(image, text, log_scale):
    _demand_arrays(image, text)
    x, t = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in map(np.float32, (image, text)))
    scores = np.exp(np.float32(log_scale)) * (x @ t.T)
    ways = [s - s.max(axis=1, keepdims=True) for s in (scores, scores.T)]  # exp(100) is too much
    return float(sum((np.log(np.exp(s).sum(axis=1)) - np.diag(s)).mean() / 2 for s in ways))


def clip_by_loops(image, text, log_scale):
    _demand_arrays(image, text)
    x, t = ([v / np.sqrt((v**2).sum()) for v in rows] for rows in (image, text))
    n, total = len(image), 0.0
    for i in range(n):
        own = np.exp(log_scale) * (x[i] @ t[i])
        for others in ([x[i] @ t[j] for j in range(n)], [x[j] @ t[i] for j in range(n)]):
            scores = np.exp(log_scale) * np.array(others)
            top = scores.max()
            total += top + np.log(np.exp(scores - top).sum()) - own
    return total / (2 * n)


TEST_CLIP_LOSS = Exercise(
    name="test_clip_loss",
    title="Write the test that a wrong loss cannot pass",
    kind="test",
    difficulty=4,
    importance=5,
    minutes=15,
    prompt="""
A loss of one direction falls in training; so does one whose scale is stuck, or whose features have
any length. Only a test finds them. Write one that calls `clip_loss(image, text, log_scale)` (the
function of this lesson's first exercise) and asserts the **value** of a right one, for features
that **you** choose: NumPy arrays of shape (N, E), rows of different lengths, no symmetry, a
`log_scale` that is not 0. Assert also that the arrays are left as they were. It must let every
right implementation pass, also one that computes in float32.
""",
    solution=test_clip_loss,
    subject=clip_loss,
    misconceptions=(
        Misconception(
            "pictures only",
            clip_of_images_only,
            "Your test accepts a loss in which only the pictures look for their texts. Either it "
            "compares with no value, or too loosely, or both directions cost the same in your "
            "example: choose features for which pictures and texts pay differently.",
        ),
        Misconception(
            "texts only",
            clip_of_texts_only,
            "Your test accepts a loss in which only the texts look for their pictures. Either it "
            "compares with no value, or too loosely, or both directions cost the same in your "
            "example: choose features for which pictures and texts pay differently.",
        ),
        Misconception(
            "divided by the scale",
            clip_divided,
            "Your test accepts a loss that divides by the scale. It is as symmetric as the right "
            "one, and ignores lengths as well: only a value tells them apart, closely compared, "
            "at a `log_scale` other than 0.",
        ),
        Misconception(
            "logarithm not undone",
            clip_not_exponentiated,
            "Your test accepts a loss that multiplies by `log_scale` itself: compare with a value, "
            "for which the cosines were multiplied by its exponential.",
        ),
        Misconception(
            "scale without effect",
            clip_without_scale,
            "Your test accepts a loss that ignores `log_scale`: compare with a value, at a "
            "`log_scale` other than 0.",
        ),
        Misconception(
            "not normalised",
            clip_not_normalised,
            "Your test accepts a loss that compares scalar products: compare with a value, for "
            "features of different lengths.",
        ),
        Misconception(
            "texts not normalised",
            clip_one_normalised,
            "Your test accepts a loss that leaves the texts as long as they are: compare with a "
            "value, for texts of different lengths.",
        ),
        Misconception(
            "labels all zero",
            clip_labels_zero,
            "Your test accepts a loss that calls pair 0 everybody's partner.",
        ),
        Misconception(
            "partner left out of the sum",
            clip_own_left_out,
            "Your test accepts a loss whose sums lack the partner.",
        ),
        Misconception(
            "as in SimCLR",
            clip_as_nt_xent,
            "Your test accepts NT-Xent, which compares pictures with pictures as well.",
        ),
        Misconception(
            "log of the mean",
            clip_log_of_mean,
            "Your test accepts −log of a mean; not all pairs may find each other equally well in "
            "your example.",
        ),
        Misconception(
            "directions added",
            clip_directions_added,
            "Your test accepts a loss that is twice too large: compare with a number.",
        ),
        Misconception(
            "arguments overwritten",
            clip_in_place,
            "Your test accepts a loss that overwrites the arrays it was given: keep copies, and "
            "compare after the call.",
        ),
    ),
    also_right=(
        Misconception(
            "in float32",
            clip_in_float32,
            "one that computes in float32, which rounds in the seventh digit. Allow 1e-4.",
        ),
        Misconception(
            "by loops",
            clip_by_loops,
            "one that goes through the pairs one by one and subtracts the greatest logit first.",
        ),
    ),
    hints=(
        "Three pairs of features with four numbers are enough; write the sums down as loops, "
        "straight from the equation.",
        "`s[i][j]` = exp(log_scale) · cosine of picture i and text j; pair i pays "
        "log Σ exp(s[i][j]) − s[i][i] along its row, and the same down its column.",
        "`assert abs(float(clip_loss(image, text, log_scale)) - expected) < 1e-4`, and afterwards "
        "compare both arrays with copies that you kept.",
    ),
)

# --- predict: what it cannot tell -----------------------------------------------------------------

ALWAYS, HARDLY = "nearly always", "hardly"
TOLD = {"colour": ALWAYS, "left_out": ALWAYS, "exchanged": HARDLY, "relation": HARDLY}

BLIND_SPOTS = Exercise(
    name="blind_spots",
    title="Which changes does it notice?",
    kind="predict",
    difficulty=3,
    importance=5,
    minutes=5,
    prompt="""
Test pictures of two objects, each with its caption, "a small red matte cone and a large purple
shiny torus", and with a **changed** one beside it. The network notices the change if the *true*
caption has the greater cosine with the picture; a coin would notice half of all changes. For the
network that was trained for long, say of each change `"nearly always"` (more than nine in ten are
noticed) or `"hardly"` (fewer than two in three):

* `colour`: one object gets a colour that neither of the two has: "a small **blue** matte cone and a
  large purple shiny torus";
* `left_out`: the second object is not mentioned: "a small red matte cone";
* `exchanged`: the two colours change places: "a small **purple** matte cone and a large **red**
  shiny torus";
* `relation`: in captions of the other style, "a red cone is left of a purple torus", the relation
  turns into its opposite: "a red cone is **right** of a purple torus".
""",
    solution=TOLD,
    misconceptions=(
        Misconception(
            "a blind network",
            TOLD | {"colour": HARDLY, "left_out": HARDLY},
            "Not everything escapes it: in a batch, captions differ in their *words*, and a word "
            "that does not fit, or one that is missing, is what the loss has trained it to see.",
        ),
        Misconception(
            "a network that understands",
            TOLD | {"exchanged": ALWAYS, "relation": ALWAYS},
            "Two of these changes keep all the words, or turn a single small one round. To tell a "
            "picture's own caption from the others of a batch, it is enough to know *which* words "
            "fit; who is which, and where, hardly ever decides.",
        ),
        Misconception(
            "exactly the other way",
            TOLD | {"colour": HARDLY, "left_out": HARDLY, "exchanged": ALWAYS, "relation": ALWAYS},
            "It is the other way round: a word that does not fit is noticed; the same words, bound "
            "otherwise, are not.",
        ),
        Misconception(
            "colour unseen",
            TOLD | {"colour": HARDLY},
            "A colour that nothing in the picture has is the easiest of all: hardly another word "
            "tells a batch's captions apart so well.",
        ),
        Misconception(
            "omission unseen",
            TOLD | {"left_out": HARDLY},
            "The short caption is true, but the full one fits better: captions were trained to "
            "name what is there, and the picture asks for the torus as well.",
        ),
        Misconception(
            "bindings seen",
            TOLD | {"exchanged": ALWAYS},
            "Both captions hold the same words. Only a stranger with the same colours and shapes, "
            "bound otherwise, would have taught it the difference, and among the captions of a "
            "batch there is hardly ever one.",
        ),
        Misconception(
            "relations seen",
            TOLD | {"relation": ALWAYS},
            "*Left* against *right* would decide only between two pictures with the same two "
            "objects, and a batch hardly ever holds such a pair. The loss can be low without it.",
        ),
    ),
    hints=(
        "Which captions has a picture to be told apart from in training: those of *other* pictures "
        "of the batch. In what do they differ?",
        "How often does a batch hold two captions with the same words in another order? What is "
        "not needed for a low loss is not learned.",
    ),
)

EXERCISES = (
    CLIP_LOSS,
    FIRST_LOSS,
    END_TOKEN,
    ONE_WAY,
    ENSEMBLE,
    RECALL,
    BLIND_SPOTS,
    TEST_CLIP_LOSS,
)

QUIZ = (
    Question(
        prompt="How does one make a classifier for new classes of a trained CLIP?",
        choices=(
            "Put their names into sentences; the features of the texts are the classifier",
            "Train a linear layer on a few labelled pictures of each class",
            "Look up the nearest caption of the training set, and read the class in it",
        ),
        correct=0,
        why=(
            "A picture belongs to the class whose text has the greatest cosine. No picture with a "
            "label is needed, which is why it is called zero-shot.",
            "That is a linear probe. It works, too, but it needs labelled pictures.",
            "The captions of the training are no longer needed: what they taught is in the towers.",
        ),
    ),
    Question(
        prompt="Why are the cosines multiplied by a learned scale, and not compared as they are?",
        choices=(
            "So that features of different lengths can be compared",
            "So that pictures and texts come to lie in one cone",
            "Cosines end at 1: with the scale 1 the loss cannot fall far, however well pairs fit",
        ),
        correct=2,
        why=(
            "Lengths are gone before: a cosine does not know them.",
            "The scale moves nothing to another place; it makes differences count more or less.",
            "With 31 strangers at cosine 0 the partner gets 8 %. The scale makes the softmax "
            "sharp, and training finds out how sharp.",
        ),
    ),
    Question(
        prompt=(
            "Pictures lie in one region of the sphere, texts in another (the *modality gap*). Why "
            "can zero-shot classification work all the same?"
        ),
        choices=(
            "The gap closes by itself once the loss is low",
            "A picture is compared with texts only: what all texts share favours none of them",
            "Zero-shot classification brings both clouds to one place first",
        ),
        correct=1,
        why=(
            "It need not: only differences along a row and down a column count in the loss.",
            "The common part adds the same to every cosine of a picture, and cancels in the "
            "comparison. It would matter if a picture were compared with pictures *and* texts.",
            "It compares them as they are.",
        ),
    ),
    Question(
        prompt="Two pictures of a batch have the very same caption. What does the loss ask?",
        choices=(
            "Nothing: equal captions are recognised, and left out",
            "That both pictures get the same feature",
            "That each prefers its own copy, which is impossible: each pays ln 2 at least",
        ),
        correct=2,
        why=(
            "The loss sees vectors and a diagonal; that two texts are alike it does not know.",
            "It asks the contrary: each text shall tell the two apart.",
            "The copy counts as a stranger, although it is right: a false negative. Two equal "
            "logits share the probability, one half at best.",
        ),
    ),
    Question(
        prompt=(
            "From lesson 10: in a causal transformer each token sees those before it. Why does "
            "CLIP read a text's feature at the *end* token?"
        ),
        choices=(
            "Its id is the largest",
            "It is the only token before the pads that has seen the whole text",
            "Its embedding is learned, those of words are not",
        ),
        correct=1,
        why=(
            "That is a way to find it, and a fragile one, as the repair has shown. It is no reason "
            "to choose it.",
            "The start token has seen nothing, a word only itself and what stands before it.",
            "All embeddings are learned.",
        ),
    ),
    Question(
        prompt=(
            "From lesson 07: what differs between two views is forgotten, what they share is kept. "
            "What plays the part of the second view here?"
        ),
        choices=(
            "The caption: what captions never mention, nothing in the loss asks the picture for",
            "The other pictures of the batch",
            "The scale",
        ),
        correct=0,
        why=(
            "The one who writes the captions decides what is kept, as the one who chose the crops "
            "and colours did there.",
            "They are the strangers, as they were there.",
            "It takes the part of the temperature: its inverse.",
        ),
    ),
)
