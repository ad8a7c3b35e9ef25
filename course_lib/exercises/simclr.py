"""Exercises of notebook 07_simclr: pairs, NT-Xent, temperature, negatives, and what views forget.

All of it is NumPy on a handful of vectors. The loss is ten lines, and most of the ways to get it
wrong run without an error and even train a little.
"""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception, close
from course_lib.exercises.quiz import Question

# --- implement: who belongs to whom ---------------------------------------------------------------


def partners(n):
    """Rows 0 … n − 1 are first views, rows n … 2n − 1 second views, in the same order.

    n: number of pictures → whole numbers (2n,), the row of each view's partner
    """
    return (np.arange(2 * n) + n) % (2 * n)


def partners_cases(seed):
    rng = np.random.default_rng(seed)
    return [{"n": int(n)} for n in rng.permutation([2, 3, 5, 8])]


def as_array(got, expected):
    """A list of whole numbers is as good as an array of them."""
    return close(np.array(got) if isinstance(got, list) else got, expected)


def partners_zero(n):
    return np.zeros(2 * n, int)


def partners_next(n):
    return np.arange(2 * n) ^ 1


def partners_itself(n):
    return np.arange(2 * n)


def partners_half(n):
    return np.arange(n) + n


def partners_twice(n):
    return np.concatenate([np.arange(n), np.arange(n)])


def partners_past_the_end(n):
    return np.arange(2 * n) + n


PARTNERS = Exercise(
    name="partners",
    title="Who belongs to whom?",
    kind="implement",
    difficulty=1,
    importance=5,
    minutes=4,
    prompt="""
A batch of `n` pictures gives 2n views. All first views come first, then all second views in the
same order. Return the row of each view's partner: 2n whole numbers, as an array or a list. For
n = 2 they are 2, 3, 0, 1.
""",
    solution=partners,
    cases=partners_cases,
    compare=as_array,
    misconceptions=(
        Misconception(
            "labels all zero",
            partners_zero,
            "All your labels are 0. That is right only where somebody has moved each partner into "
            "column 0 before; here it stands in another column in every row.",
        ),
        Misconception(
            "neighbours",
            partners_next,
            "You pair 0 with 1 and 2 with 3: that is the order first, second, first, second. Here "
            "all first views come first.",
        ),
        Misconception(
            "itself",
            partners_itself,
            "You name each view itself; it would be right always and learn nothing.",
        ),
        Misconception(
            "first views only",
            partners_half,
            "Those are the partners of the first views; the second views look for theirs as well, "
            "so 2n numbers are due.",
        ),
        Misconception(
            "numbers of pictures",
            partners_twice,
            "You return the number of the *picture*. The partner of first view 0 is row n, and "
            "that of row n is row 0.",
        ),
        Misconception(
            "past the end",
            partners_past_the_end,
            "The first n are right; behind them your rows run past the end, which is row 2n − 1.",
        ),
    ),
    hints=(
        "Row i of the first half belongs to row i + n. And row i + n to row …?",
        "`%` brings what runs past the end back to the beginning.",
    ),
    equivalent={"arithmetic 6:12 + → -": "n forward and n backward are the same in a round of 2n"},
)

# --- implement: the loss --------------------------------------------------------------------------


def nt_xent(z1, z2, tau):
    """NT-Xent, the loss of SimCLR.

    z1, z2: (N, d) floats, projections of N pictures' first and second views; tau: above 0 → float
    """
    z = np.concatenate([z1, z2])
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    e = np.exp(z @ z.T / tau)
    np.fill_diagonal(e, 0)
    partner = np.roll(np.arange(len(z)), len(z1))
    return np.mean(-np.log(e[np.arange(len(z)), partner] / e.sum(axis=1)))


def nt_xent_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, d, tau in [(3, 4, 0.5), (4, 3, 0.2), (5, 7, 1.3)]:
        lengths = rng.uniform(0.6, 1.8, (2, n, 1))
        z1 = rng.normal(size=(n, d))
        z2 = z1 + 0.7 * rng.normal(size=(n, d))
        cases.append({"z1": z1 * lengths[0], "z2": z2 * lengths[1], "tau": tau})
    return cases


def _units(z1, z2):
    z = np.concatenate([z1, z2])
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def _positives(e):
    n = len(e) // 2
    return np.concatenate([e[np.arange(n), np.arange(n) + n], e[np.arange(n) + n, np.arange(n)]])


def loss_with_itself(z1, z2, tau):
    z = _units(z1, z2)
    e = np.exp(z @ z.T / tau)
    return np.mean(-np.log(_positives(e) / e.sum(axis=1)))


def loss_without_positive(z1, z2, tau):
    z = _units(z1, z2)
    e = np.exp(z @ z.T / tau)
    np.fill_diagonal(e, 0)
    return np.mean(-np.log(_positives(e) / (e.sum(axis=1) - _positives(e))))


def loss_positive_twice(z1, z2, tau):
    z = _units(z1, z2)
    e = np.exp(z @ z.T / tau)
    np.fill_diagonal(e, 0)
    return np.mean(-np.log(_positives(e) / (e.sum(axis=1) + _positives(e))))


def loss_log_of_mean(z1, z2, tau):
    z = _units(z1, z2)
    e = np.exp(z @ z.T / tau)
    np.fill_diagonal(e, 0)
    return -np.log(np.mean(_positives(e) / e.sum(axis=1)))


def loss_not_normalised(z1, z2, tau):
    z = np.concatenate([z1, z2])
    e = np.exp(z @ z.T / tau)
    np.fill_diagonal(e, 0)
    return np.mean(-np.log(_positives(e) / e.sum(axis=1)))


def loss_normalised_by_column(z1, z2, tau):
    z = np.concatenate([z1, z2])
    z = z / np.linalg.norm(z, axis=0, keepdims=True)
    e = np.exp(z @ z.T / tau)
    np.fill_diagonal(e, 0)
    return np.mean(-np.log(_positives(e) / e.sum(axis=1)))


def loss_times_tau(z1, z2, tau):
    return nt_xent(z1, z2, 1 / tau)


def loss_one_direction(z1, z2, tau):
    z = _units(z1, z2)
    e = np.exp(z @ z.T / tau)
    np.fill_diagonal(e, 0)
    return np.mean(-np.log(_positives(e) / e.sum(axis=1))[: len(z1)])


def loss_next_row(z1, z2, tau):
    z = _units(z1, z2)
    e = np.exp(z @ z.T / tau)
    np.fill_diagonal(e, 0)
    i = np.arange(len(z))
    return np.mean(-np.log(e[i, i ^ 1] / e.sum(axis=1)))


def loss_other_views_only(z1, z2, tau):
    z = _units(z1, z2)
    s = np.exp(z[: len(z1)] @ z[len(z1) :].T / tau)
    return (
        np.mean(-np.log(s.diagonal() / s.sum(1))) + np.mean(-np.log(s.diagonal() / s.sum(0)))
    ) / 2


def loss_without_tau(z1, z2, tau):
    return nt_xent(z1, z2, 1.0)


def loss_diagonal_before_exp(z1, z2, tau):
    z = _units(z1, z2)
    s = z @ z.T / tau
    np.fill_diagonal(s, 0)
    e = np.exp(s)
    return np.mean(-np.log(_positives(e) / e.sum(axis=1)))


def loss_sign_lost(z1, z2, tau):
    return -nt_xent(z1, z2, tau)


def loss_sum(z1, z2, tau):
    return 2 * len(z1) * nt_xent(z1, z2, tau)


NT_XENT = Exercise(
    name="nt_xent",
    title="NT-Xent, the whole loss",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=15,
    prompt="""
`z1` and `z2` (N, d) hold the projections of the two views of N pictures; row i of both is picture
i. Bring all 2N to length 1, compare each with each, and return

$$\\mathcal L = \\frac{1}{2N} \\sum_{i} -\\log
\\frac{\\exp(s_{i,p(i)} / \\tau)}{\\sum_{k \\neq i} \\exp(s_{ik} / \\tau)}$$

with $s_{ik}$ the cosine of views i and k, and $p(i)$ the partner of view i. The sum has 2N − 1
terms: everybody but oneself, the partner included.
""",
    solution=nt_xent,
    cases=nt_xent_cases,
    misconceptions=(
        Misconception(
            "self-similarity left in",
            loss_with_itself,
            "Your value equals NT-Xent with each view's similarity to itself in the denominator: "
            "exp(1 / τ) is greater than every other term. Take the diagonal out.",
        ),
        Misconception(
            "partner left out of the sum",
            loss_without_positive,
            "Your denominator has 2(N − 1) terms: the partner is missing. It is one of the 2N − 1 "
            "candidates among which the view has to choose.",
        ),
        Misconception(
            "partner counted twice",
            loss_positive_twice,
            "The partner stands in your denominator twice: the sum over k ≠ i already holds it.",
        ),
        Misconception(
            "log of the mean",
            loss_log_of_mean,
            "You average the probabilities and take the logarithm then. Each view pays its own "
            "−log; the mean comes last.",
        ),
        Misconception(
            "not normalised",
            loss_not_normalised,
            "You compare scalar products. Without bringing z to length 1 the network may lower the "
            "loss by making its vectors long.",
        ),
        Misconception(
            "normalised by column",
            loss_normalised_by_column,
            "You normalise each column over the batch. It is each *row*, one view's projection, "
            "that is to have length 1.",
        ),
        Misconception(
            "temperature multiplied",
            loss_times_tau,
            "You multiply by τ. A *small* temperature shall sharpen the choice, so the cosine is "
            "divided by it.",
        ),
        Misconception(
            "temperature forgotten",
            loss_without_tau,
            "Your value is that of τ = 1, whatever τ is: divide the cosines by it before `exp`.",
        ),
        Misconception(
            "diagonal zeroed before exp",
            loss_diagonal_before_exp,
            "You set each view's similarity to itself to 0 *before* the exponential: exp(0) = 1 "
            "stays in the sum. Set it to 0 after `exp`, or to −∞ before.",
        ),
        Misconception(
            "sign lost",
            loss_sign_lost,
            "Your loss is negative: a share is below 1, so its logarithm is below 0, and the minus "
            "in front of it is missing.",
        ),
        Misconception(
            "one direction only",
            loss_one_direction,
            "Only the first views look for their partner in yours. The second views do it too: the "
            "mean runs over 2N.",
        ),
        Misconception(
            "wrong pairing",
            loss_next_row,
            "You take row i + 1 (or i − 1) for the partner. First views are stacked on second "
            "views here, so the partner of row i is row i + N.",
        ),
        Misconception(
            "negatives of the other view only",
            loss_other_views_only,
            "Each of your views is compared with the N views of the other half only. Views of "
            "*other* pictures in its own half are negatives too: 2N − 1 candidates in all.",
        ),
        Misconception(
            "sum in place of mean",
            loss_sum,
            "You add up over the 2N views; the loss is their mean, so that it does not grow with "
            "the batch.",
        ),
    ),
    hints=(
        "Stack: `z = np.concatenate([z1, z2])`, and divide each row by its length.",
        "`e = np.exp(z @ z.T / tau)` holds all terms; `np.fill_diagonal(e, 0)` takes the view "
        "itself out of its own sum.",
        "`e[np.arange(2 * N), partner]` are the numerators, with the partners of the exercise "
        "before.",
    ),
    equivalent={
        "index 11:27 first two swapped": "the matrix is symmetric",
        "axis 11:65 1 → 0": "the matrix is symmetric",
    },
)

# --- predict: the first loss ----------------------------------------------------------------------

START = Exercise(
    name="start",
    title="What must the first loss be?",
    kind="predict",
    difficulty=2,
    importance=5,
    minutes=5,
    prompt="""
A batch of N = 64 pictures, so 128 views.

* `candidates`: among how many others does a view look for its partner?
* `guessing`: the loss, to two decimals, of a network that finds all candidates equally likely.
* `collapsed`: the loss of a network that gives **every** picture the same projection.
""",
    solution={"candidates": 127, "guessing": 4.84, "collapsed": 4.84},
    rtol=2e-3,
    misconceptions=(
        Misconception(
            "pictures for views",
            {"candidates": 63, "guessing": 4.84, "collapsed": 4.84},
            "63 other pictures have two views each, and then there is the partner: 126 + 1.",
        ),
        Misconception(
            "itself a candidate",
            {"candidates": 128, "guessing": 4.84, "collapsed": 4.84},
            "128 views there are; but a view is no candidate for its own partner.",
        ),
        Misconception(
            "negatives only",
            {"candidates": 126, "guessing": 4.84, "collapsed": 4.84},
            "126 are the *negatives*; the partner itself is a candidate too, or it could not be "
            "found.",
        ),
        Misconception(
            "logarithm of the pictures",
            {"candidates": 127, "guessing": 4.14, "collapsed": 4.84},
            "4.14 is the logarithm of 63, the number of other *pictures*; a view chooses among "
            "views.",
        ),
        Misconception(
            "logarithm of all views",
            {"candidates": 127, "guessing": 4.85, "collapsed": 4.84},
            "4.85 is the logarithm of 128; the view itself is no candidate.",
        ),
        Misconception(
            "logarithm of base 2",
            {"candidates": 127, "guessing": 6.99, "collapsed": 4.84},
            "6.99 is the number of bits; the loss takes the natural logarithm.",
        ),
        Misconception(
            "collapse is free",
            {"candidates": 127, "guessing": 4.84, "collapsed": 0.0},
            "If all projections are equal, the partner is as near as everybody else: no better "
            "than guessing. The negatives are what makes collapse expensive.",
        ),
    ),
    hints=(
        "If all of K candidates are equally likely, each has the probability 1 / K, and the loss "
        "is ln K.",
        "In a collapse all cosines are 1. What does softmax make of equal numbers?",
    ),
)

# --- predict: what the temperature does -----------------------------------------------------------

TEMPERATURE = Exercise(
    name="temperature",
    title="How much more does a near stranger count?",
    kind="predict",
    difficulty=2,
    importance=4,
    minutes=5,
    prompt="""
The loss pushes a view away from each stranger with a force in proportion to exp(cosine / τ). One
stranger is near (cosine 0.9), another not so near (0.5). How many **times as hard** is the near one
pushed (one decimal is enough)

* `warm`: at τ = 1?
* `cold`: at τ = 0.1?
""",
    solution={"warm": 1.5, "cold": 54.6},
    rtol=1e-2,
    misconceptions=(
        Misconception(
            "temperature multiplied",
            {"warm": 1.5, "cold": 1.04},
            "At τ = 0.1 you multiplied by τ. The cosines are *divided* by it: 0.4 / 0.1 = 4, and "
            "e⁴ is 54.6.",
        ),
        Misconception(
            "ratio of the cosines",
            {"warm": 1.8, "cold": 54.6},
            "1.8 is the ratio of the cosines. What counts is exp(cosine / τ), so their "
            "*difference* decides.",
        ),
        Misconception(
            "difference without the exponential",
            {"warm": 0.4, "cold": 54.6},
            "0.4 is the difference of the exponents; the ratio is e to that power.",
        ),
        Misconception(
            "ratio of the cosines, cold",
            {"warm": 1.5, "cold": 1.8},
            "1.8 is the ratio of the cosines, and the same for every τ. What counts is "
            "exp(cosine / τ).",
        ),
        Misconception(
            "ratio by the temperature",
            {"warm": 1.5, "cold": 18.0},
            "18 is the ratio of the cosines, divided by τ: the exponential is missing.",
        ),
        Misconception(
            "difference without the exponential, cold",
            {"warm": 1.5, "cold": 4.0},
            "4 is the difference of the exponents; the ratio is e to that power.",
        ),
        Misconception(
            "ten times as cold, ten times as hard",
            {"warm": 1.5, "cold": 15.0},
            "You took ten times the push at τ = 1. But τ stands in the exponent: there the "
            "difference grows tenfold, and the push to the tenth power.",
        ),
        Misconception(
            "exchanged",
            {"warm": 54.6, "cold": 1.5},
            "The numbers are right, but exchanged: it is the *small* τ that makes the near "
            "stranger outweigh the rest.",
        ),
    ),
    hints=(
        "exp(0.9 / τ) / exp(0.5 / τ) = exp(0.4 / τ).",
        "At τ = 0.1 the exponent is 4.",
    ),
)

# --- repair: a batch in another order -------------------------------------------------------------


def views_apart(z):
    """Projections of a batch in the loader's order → the first and the second views.

    z: (2N, d): picture 0's first view, its second, picture 1's first, its second, …
    → two arrays (N, d), row i of both of the same picture
    """
    return z[::2], z[1::2]


def views_apart_cases(seed):
    rng = np.random.default_rng(seed)
    return [{"z": rng.normal(size=(2 * n, d))} for n, d in [(2, 3), (5, 2), (4, 6)]]


def views_apart_broken(z):
    """Projections of a batch in the loader's order → the first and the second views.

    z: (2N, d): picture 0's first view, its second, picture 1's first, its second, …
    → two arrays (N, d), row i of both of the same picture
    """
    N = len(z) // 2
    return z[:N], z[N:]


def views_the_same(z):
    return z[::2], z[::2]


def views_exchanged(z):
    return z[1::2], z[::2]


def views_reversed(z):
    return z[::2], z[1::2][::-1]


def views_off_by_one(z):
    return z[::2], np.roll(z[1::2], 1, axis=0)


def views_of_columns(z):
    return z[:, ::2], z[:, 1::2]


VIEWS_APART = Exercise(
    name="views_apart",
    title="Repair: the batch that was stacked otherwise",
    kind="repair",
    difficulty=2,
    importance=5,
    minutes=6,
    prompt="""
A new loader is quicker: it hands both views of a picture over **together**, so a batch is ordered
picture 0 first view, picture 0 second view, picture 1 first view, … The old line that takes the
batch apart still runs, the shapes are right, and the loss even falls a little. Whom does it call a
pair, with four pictures? Repair it.
""",
    solution=views_apart,
    stub=views_apart_broken,
    cases=views_apart_cases,
    misconceptions=(
        Misconception(
            "the same view twice",
            views_the_same,
            "Both of your halves are first views: each finds its partner at once, because it is "
            "itself, and nothing is learned.",
        ),
        Misconception(
            "exchanged",
            views_exchanged,
            "Your pairs are right, but you return the second views first.",
        ),
        Misconception(
            "second half reversed",
            views_reversed,
            "Your second views stand in the opposite order: row i of both must be the same "
            "picture.",
        ),
        Misconception(
            "shifted by one",
            views_off_by_one,
            "Each of your first views is paired with the second view of the picture before.",
        ),
        Misconception(
            "every other number",
            views_of_columns,
            "You took every other *column*, half of each projection. The views are rows.",
        ),
    ),
    hints=(
        "Four pictures: rows 0 and 1 are a pair, 2 and 3, … `z[:4]` and `z[4:]` pair row 0 with "
        "row 4: pictures 0 and 2.",
        "A slice has a step: `z[start::2]`.",
    ),
)

# --- ablate: take the negatives away --------------------------------------------------------------


def all_negatives(s):
    """NT-Xent of similarities: s (2N, 2N) cosines / τ, first, then second views → float."""
    n = len(s)
    i = np.arange(n)
    partner = (i + n // 2) % n
    e = np.exp(s)
    e[i, i] = 0
    return np.mean(np.log(e.sum(axis=1)) - s[i, partner])


def few_negatives(s):
    """NT-Xent with two negatives: s (2N, 2N) cosines / τ, first, then second views → float."""
    n = len(s)
    i = np.arange(n)
    partner = (i + n // 2) % n
    e = np.exp(s)
    candidates = e[i, partner] + e[i, (i + 1) % n] + e[i, (i + 2) % n]
    return np.mean(np.log(candidates) - s[i, partner])


def few_negatives_cases(seed):
    rng = np.random.default_rng(seed)
    return [
        {"s": rng.uniform(-1, 1, (2 * n, 2 * n)) / tau} for n, tau in [(4, 0.5), (5, 1), (7, 0.3)]
    ]


def few_without_partner(s):
    n = len(s)
    i = np.arange(n)
    e = np.exp(s)
    candidates = e[i, (i + 1) % n] + e[i, (i + 2) % n]
    return np.mean(np.log(candidates) - s[i, (i + n // 2) % n])


def few_with_itself(s):
    n = len(s)
    i = np.arange(n)
    partner = (i + n // 2) % n
    e = np.exp(s)
    candidates = e[i, partner] + e[i, i] + e[i, (i + 1) % n]
    return np.mean(np.log(candidates) - s[i, partner])


def few_the_first_two(s):
    n = len(s)
    i = np.arange(n)
    partner = (i + n // 2) % n
    e = np.exp(s)
    candidates = e[i, partner] + e[:, 0] + e[:, 1]
    return np.mean(np.log(candidates) - s[i, partner])


def few_one(s):
    n = len(s)
    i = np.arange(n)
    partner = (i + n // 2) % n
    e = np.exp(s)
    return np.mean(np.log(e[i, partner] + e[i, (i + 1) % n]) - s[i, partner])


def few_none(s):
    n = len(s)
    i = np.arange(n)
    return np.mean(-s[i, (i + n // 2) % n])


def few_cut_at_the_end(s):
    n = len(s)
    i = np.arange(n)
    partner = (i + n // 2) % n
    e = np.exp(s)
    strangers = np.array([e[k, k + 1 : k + 3].sum() for k in range(n)])
    return np.mean(np.log(e[i, partner] + strangers) - s[i, partner])


def few_behind(s):
    n = len(s)
    i = np.arange(n)
    partner = (i + n // 2) % n
    e = np.exp(s)
    candidates = e[i, partner] + e[i, i - 1] + e[i, i - 2]
    return np.mean(np.log(candidates) - s[i, partner])


def few_other_way(s):
    n = len(s)
    i = np.arange(n)
    partner = (i + n // 2) % n
    e = np.exp(s)
    candidates = e[i, partner] + e[(i + 1) % n, i] + e[(i + 2) % n, i]
    return np.mean(np.log(candidates) - s[i, partner])


FEW_NEGATIVES = Exercise(
    name="few_negatives",
    title="Take the negatives away",
    kind="ablate",
    difficulty=3,
    importance=4,
    minutes=8,
    prompt="""
Here is the whole loss, from the matrix of similarities on. Leave each view i only **three
candidates**: its partner, and the views in columns i + 1 and i + 2 (counted round: behind the last
comes the first). Everything else stays. (A batch has at least four pictures, so none of the two is
the partner.)
""",
    solution=few_negatives,
    stub=all_negatives,
    cases=few_negatives_cases,
    misconceptions=(
        Misconception(
            "partner no candidate",
            few_without_partner,
            "Your sum holds the two strangers alone. The partner is a candidate too: three terms.",
        ),
        Misconception(
            "itself a candidate",
            few_with_itself,
            "One of your two strangers is the view itself, whose cosine is always 1.",
        ),
        Misconception(
            "the same two for all",
            few_the_first_two,
            "Your strangers are columns 0 and 1 for every view; some views then meet themselves.",
        ),
        Misconception(
            "one stranger",
            few_one,
            "Yours has a single stranger; two are asked for.",
        ),
        Misconception(
            "none at all",
            few_none,
            "No stranger is left: the loss then only asks pairs to be near, and a network that "
            "gives the same vector to everything would be perfect.",
        ),
        Misconception(
            "no way round",
            few_cut_at_the_end,
            "Your last two views have too few strangers: a slice that runs past the last column "
            "just ends. Counted round, `% n`, the first column comes behind it.",
        ),
        Misconception(
            "the two before",
            few_behind,
            "Your strangers are columns i − 1 and i − 2; asked are i + 1 and i + 2.",
        ),
        Misconception(
            "rows for columns",
            few_other_way,
            "You took how rows i + 1 and i + 2 see view i; asked is how view i sees *them*: row i, "
            "columns i + 1 and i + 2.",
        ),
    ),
    hints=(
        "`e.sum(axis=1)` is the sum over all candidates. Which three entries of row i remain?",
        "`e[i, (i + 1) % n]` with `i = np.arange(n)` picks one entry of each row.",
    ),
    equivalent={
        "arithmetic 5:15 + → -": "half a round forward and backward are the same",
        "index 8:40 first two swapped": "over all views, the same entries are averaged",
    },
)

# --- predict: the shortcut ------------------------------------------------------------------------

SHORTCUT = Exercise(
    name="shortcut",
    title="What does a lazy network learn?",
    kind="predict",
    difficulty=3,
    importance=5,
    minutes=4,
    prompt="""
Now both views are crops of **the same picture**: an object on its table, colours jittered a little.
Each view only has to find its partner in the batch. Compared with pairs that show the
object on *two* tables, the neighbours of a picture in the features agree **more** often in …
""",
    solution="the table",
    choices=("the table", "the colour", "the shape", "the size"),
    misconceptions=(
        Misconception(
            "colour is easiest",
            "the colour",
            "Colour helps to find the partner in both cases. But here the table does, too, so "
            "less depends on the colour.",
        ),
        Misconception(
            "it wants to know things",
            "the shape",
            "Nothing in the loss speaks of things. Whatever both views share and other pictures "
            "have not will do, and pattern is easier than shape.",
        ),
        Misconception(
            "the object fills the picture",
            "the size",
            "The crop changes how large the object looks, so size is a poor sign of the partner.",
        ),
    ),
    hints=(
        "What do two crops of one picture have in common that another picture has not?",
        "Most of a picture's pixels do not belong to the object.",
    ),
)

# --- test: the loss on trial ----------------------------------------------------------------------


def test_nt_xent(nt_xent):
    """Assert what a right `nt_xent` does, and nothing that a right one might not do.

    nt_xent: a function of NumPy arrays z1, z2 (N, d) and a number tau that returns the loss
    """
    z1 = np.array([[1.0, 0.5, 0.0], [0.2, 2.0, -1.0], [-0.5, 0.3, 0.9]])
    z2 = np.array([[0.8, 0.1, 0.4], [0.0, 0.7, 0.1], [-2.0, -1.0, 1.5]])
    tau = 0.4
    before = z1.copy(), z2.copy()
    z = [v / np.sqrt((v * v).sum()) for v in (*z1, *z2)]
    expected = 0.0
    for i in range(6):
        others = [np.exp(z[i] @ z[k] / tau) for k in range(6) if k != i]
        expected -= np.log(np.exp(z[i] @ z[(i + 3) % 6] / tau) / sum(others)) / 6
    assert abs(float(nt_xent(z1, z2, tau)) - expected) < 1e-4
    assert np.array_equal(z1, before[0])
    assert np.array_equal(z2, before[1])


def loss_in_place(z1, z2, tau):
    z1 /= np.linalg.norm(z1, axis=1, keepdims=True)
    z2 /= np.linalg.norm(z2, axis=1, keepdims=True)
    return nt_xent(z1, z2, tau)


def _demand_arrays(*given):
    for z in given:
        if not isinstance(z, np.ndarray):
            raise TypeError(f"z1 and z2 must be NumPy arrays, but a {type(z).__name__} was given")


def loss_in_float32(z1, z2, tau):
    _demand_arrays(z1, z2)
    return np.float32(nt_xent(z1.astype(np.float32), z2.astype(np.float32), np.float32(tau)))


def loss_by_loops(z1, z2, tau):
    _demand_arrays(z1, z2)
    z = [v / np.sqrt((v**2).sum()) for v in (*z1, *z2)]
    n, total = len(z1), 0.0
    for i in range(2 * n):
        scores = [z[i] @ z[k] / tau for k in range(2 * n) if k != i]
        top = max(scores)
        total += (
            top + np.log(sum(np.exp(s - top) for s in scores)) - z[i] @ z[(i + n) % (2 * n)] / tau
        )
    return total / (2 * n)


TEST_NT_XENT = Exercise(
    name="test_nt_xent",
    title="Write the test that a wrong loss cannot pass",
    kind="test",
    difficulty=4,
    importance=5,
    minutes=15,
    prompt="""
All wrong losses of this lesson *run*, and most of them fall during training. Only a test finds
them. Write one that calls `nt_xent(z1, z2, tau)` and asserts what a right one returns, for vectors
that **you** choose, NumPy arrays of shape (N, d): of different lengths, not symmetric, with a τ
that is not 1. It must let every right implementation pass, also one that computes in float32.
""",
    solution=test_nt_xent,
    subject=nt_xent,
    misconceptions=(
        Misconception(
            "self-similarity left in",
            loss_with_itself,
            "Your test accepts a loss in which each view is a candidate for its own partner.",
        ),
        Misconception(
            "partner left out of the sum",
            loss_without_positive,
            "Your test accepts a loss whose denominator lacks the partner.",
        ),
        Misconception(
            "log of the mean",
            loss_log_of_mean,
            "Your test accepts −log of a mean; the views must not all find their partner equally "
            "well in your example.",
        ),
        Misconception(
            "not normalised",
            loss_not_normalised,
            "Your test accepts a loss that compares scalar products: give your vectors different "
            "lengths.",
        ),
        Misconception(
            "temperature multiplied",
            loss_times_tau,
            "Your test accepts a loss that multiplies by τ: at τ = 1 nobody can tell.",
        ),
        Misconception(
            "one direction only",
            loss_one_direction,
            "Your test accepts a loss in which only the first views look for their partner: choose "
            "vectors for which the two directions differ.",
        ),
        Misconception(
            "wrong pairing",
            loss_next_row,
            "Your test accepts a loss that pairs rows 0 and 1: with a single pair, or with all "
            "vectors alike, nobody can tell.",
        ),
        Misconception(
            "negatives of the other view only",
            loss_other_views_only,
            "Your test accepts a loss without the negatives from a view's own half.",
        ),
        Misconception(
            "arguments overwritten",
            loss_in_place,
            "Your test accepts a loss that overwrites the arrays it was given: keep copies, and "
            "compare after the call.",
        ),
    ),
    also_right=(
        Misconception(
            "in float32",
            loss_in_float32,
            "one that computes in float32, which rounds in the seventh digit. Allow 1e-4.",
        ),
        Misconception(
            "by loops",
            loss_by_loops,
            "one that goes through the views one by one and subtracts the greatest score first.",
        ),
    ),
    hints=(
        "Three pictures with vectors of three numbers are enough; write the double sum down as "
        "two loops, straight from the equation.",
        "For view i: a list of `np.exp(cosine / tau)` over all k that are not i.",
        "`assert abs(nt_xent(z1, z2, tau) - expected) < 1e-4`, and afterwards compare z1 and z2 "
        "with copies that you kept.",
    ),
    equivalent={
        "index 11:27 first two swapped": "the matrix is symmetric",
        "axis 11:65 1 → 0": "the matrix is symmetric",
    },
)

EXERCISES = (
    PARTNERS,
    NT_XENT,
    START,
    TEMPERATURE,
    VIEWS_APART,
    FEW_NEGATIVES,
    SHORTCUT,
    TEST_NT_XENT,
)

QUIZ = (
    Question(
        prompt="Why does SimCLR need pictures that are *not* partners?",
        choices=(
            "Without them the same vector for everything would be a perfect answer",
            "They make the batch larger, so that the GPU is used well",
            "They teach the network which classes exist",
        ),
        correct=0,
        why=(
            "Pairs pull together; the strangers keep everything from falling into one point.",
            "A large batch is their price, not their purpose.",
            "Nobody tells it classes: two pictures of one class may well be strangers.",
        ),
    ),
    Question(
        prompt="The loss works on z = g(h). Why does one use h afterwards?",
        choices=(
            "h is smaller",
            "z has forgotten more of what the views change; h still holds some of it",
            "z is not differentiable",
        ),
        correct=1,
        why=(
            "In the paper it is larger: 2,048 numbers against 128.",
            "The projector takes the loss's invariance upon itself, and is then thrown away.",
            "The loss is differentiated through z all the time.",
        ),
    ),
    Question(
        prompt="You want features that tell ripe from unripe tomatoes. Which view may you not use?",
        choices=("Random crops", "Strong colour jitter", "Mirror images"),
        correct=1,
        why=(
            "Ripeness is in every crop.",
            "What the views change is forgotten, and ripeness is a colour.",
            "A mirrored tomato is as ripe.",
        ),
    ),
    Question(
        prompt="The first loss at N = 64 is 0.9. What is the matter?",
        choices=(
            "The network is well initialised",
            "Something gives the partner away, or the candidates are not 127",
            "The rate is too high",
        ),
        correct=1,
        why=(
            "Random projections have about ln 127 = 4.84. An untrained network is not far from "
            "that; in section 4 it lies *above*, because the same table misleads it. But 0.9?",
            "Print the number of candidates, and look at the two views: are they copies?",
            "Before the first step no rate has acted.",
        ),
    ),
    Question(
        prompt="From lesson 06: a linear probe reads colour at 0.75. The encoder has learned …",
        choices=(
            "… colour",
            "… perhaps nothing: a random network reads as much",
            "… to tell tables apart",
        ),
        correct=1,
        why=(
            "Only what goes beyond the random network was learned.",
            "That is why a random network stands beside every number here.",
            "The probe of the table would tell; that of the colour does not.",
        ),
    ),
    Question(
        prompt=(
            "From lesson 04: a SIFT match is kept if the best is much nearer than the second "
            "best. What is that here?"
        ),
        choices=(
            "The partner against the nearest stranger: what a small τ looks at",
            "The projector",
            "The crop",
        ),
        correct=0,
        why=(
            "Both ask not *how near* the match is, but how much nearer than anybody else.",
            "It maps features to where the loss compares them.",
            "It makes the two views.",
        ),
    ),
)
