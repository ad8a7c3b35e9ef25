"""Exercises of notebook 06_vit: patches, attention, heads, positions, and honest measuring.

All of it is NumPy on a handful of numbers: what a vision transformer does to a picture is a few
lines, and every one of them has its classic slip.
"""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.quiz import Question

# --- implement: cut a picture into patches --------------------------------------------------------


def cut_patches(image, p):
    """Cut a picture into squares of p × p pixels, row by row from the top left, each one a row.

    image: (H, W, C), H and W multiples of p → (H/p · W/p, p · p · C)
    """
    H, W, C = image.shape
    grid = image.reshape(H // p, p, W // p, p, C)
    return grid.transpose(0, 2, 1, 3, 4).reshape(-1, p * p * C)


def cut_patches_cases(seed):
    rng = np.random.default_rng(seed)
    sizes = [(4, 6, 3, 2), (6, 9, 2, 3), (8, 4, 1, 4)]
    return [{"image": rng.integers(0, 256, (h, w, c), np.uint8), "p": p} for h, w, c, p in sizes]


def patches_without_transpose(image, p):
    return image.reshape(-1, p * p * image.shape[2])


def patches_by_columns(image, p):
    H, W, C = image.shape
    grid = image.reshape(H // p, p, W // p, p, C)
    return grid.transpose(2, 0, 1, 3, 4).reshape(-1, p * p * C)


def patches_pixels_transposed(image, p):
    H, W, C = image.shape
    grid = image.reshape(H // p, p, W // p, p, C)
    return grid.transpose(0, 2, 3, 1, 4).reshape(-1, p * p * C)


def patches_channels_first(image, p):
    H, W, C = image.shape
    grid = image.reshape(H // p, p, W // p, p, C)
    return grid.transpose(0, 2, 4, 1, 3).reshape(-1, p * p * C)


def patches_strided(image, p):
    H, W, C = image.shape
    grid = image.reshape(p, H // p, p, W // p, C)
    return grid.transpose(1, 3, 0, 2, 4).reshape(-1, p * p * C)


def patches_not_flat(image, p):
    H, W, C = image.shape
    return image.reshape(H // p, p, W // p, p, C).transpose(0, 2, 1, 3, 4).reshape(-1, p, p, C)


CUT_PATCHES = Exercise(
    name="cut_patches",
    title="Cut the picture into words",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=8,
    prompt="""
A transformer reads a list. Cut `image` (H, W, C) into squares of `p` × `p` pixels: patches **row by
row from the top left**, as one reads; and in each patch its pixels row by row, each with its C
colours side by side. Return an array of shape (number of patches, p · p · C). H and W are multiples
of p.
""",
    solution=cut_patches,
    cases=cut_patches_cases,
    misconceptions=(
        Misconception(
            "reshape alone",
            patches_without_transpose,
            "Each of your rows is a strip of one or two rows of the picture, not a square: "
            "`reshape` "
            "never moves a number. Split both axes, then `transpose`, then flatten.",
        ),
        Misconception(
            "patches by columns",
            patches_by_columns,
            "Your patches are right, but they go down the first column first: the row of the grid "
            "must be the outer axis.",
        ),
        Misconception(
            "pixels transposed",
            patches_pixels_transposed,
            "Each of your patches is mirrored at its diagonal: inside a patch, rows of pixels come "
            "before columns.",
        ),
        Misconception(
            "channels first",
            patches_channels_first,
            "In your patches all reds come first, then all greens: the C colours of a pixel belong "
            "side by side, so the channel stays the last axis.",
        ),
        Misconception(
            "every n-th pixel",
            patches_strided,
            "Your patches gather pixels from all over the picture, at equal distances: split H "
            "into "
            "(H/p, p), not into (p, H/p).",
        ),
        Misconception(
            "patches not flattened",
            patches_not_flat,
            "Those are the right patches, but as little pictures: a token is one row of p · p · C "
            "numbers.",
        ),
    ),
    hints=(
        "Give each axis two names: which patch, and where in the patch: "
        "`image.reshape(H // p, p, W // p, p, C)`.",
        "Now bring the two *which patch* axes to the front with `transpose`, before you flatten.",
        "`transpose(0, 2, 1, 3, 4).reshape(-1, p * p * C)`.",
    ),
    equivalent={
        "constant 8:50 1 → 2": "reshape takes any negative number for the rest",
    },
)

# --- implement: attention -------------------------------------------------------------------------


def attend(q, k, v):
    """Scaled dot-product attention of one head.

    q: (T, d), k: (S, d), v: (S, e), floats → (T, e)
    """
    scores = q @ k.T / np.sqrt(q.shape[1])
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = weights / weights.sum(axis=1, keepdims=True)
    return weights @ v


def attend_cases(seed):
    rng = np.random.default_rng(seed)
    shapes = [(3, 4, 5, 2), (2, 5, 3, 6)]
    cases = [
        {"q": rng.normal(size=(t, d)), "k": rng.normal(size=(s, d)), "v": rng.normal(size=(s, e))}
        for t, s, d, e in shapes
    ]
    t, s, d, e = 4, 3, 6, 5  # scores near a thousand: exp alone would overflow
    q, k = 40 * rng.normal(size=(t, d)), 40 * rng.normal(size=(s, d))
    return [*cases, {"q": q, "k": k, "v": rng.normal(size=(s, e))}]


def attend_without_scale(q, k, v):
    scores = q @ k.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def attend_scaled_by_width(q, k, v):
    scores = q @ k.T / q.shape[1]
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def attend_scaled_by_tokens(q, k, v):
    scores = q @ k.T / np.sqrt(len(k))
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def attend_over_queries(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    weights = np.exp(scores - scores.max(axis=0, keepdims=True))
    return weights / weights.sum(axis=0, keepdims=True) @ v


def attend_over_everything(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    weights = np.exp(scores - scores.max())
    return weights / weights.sum() @ v


def attend_that_overflows(q, k, v):
    weights = np.exp(q @ k.T / np.sqrt(q.shape[1]))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def attend_without_softmax(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    return scores / np.abs(scores).sum(axis=1, keepdims=True) @ v


def attend_hard(q, k, v):
    return v[(q @ k.T).argmax(axis=1)]


ATTEND = Exercise(
    name="attend",
    title="Attention, in four lines",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=12,
    prompt="""
Write scaled dot-product attention of one head. Each of the T queries `q` (T, d) compares itself
with the S keys `k` (S, d) and takes a weighted mean of the values `v` (S, e):

$$\\text{out} = \\text{softmax}\\!\\left(\\frac{q\\,k^\\top}{\\sqrt d}\\right) v$$

The weights of **each query** sum to 1. Large scores must not overflow. T, S, d and e all differ in
the test.
""",
    solution=attend,
    cases=attend_cases,
    misconceptions=(
        Misconception(
            "not scaled",
            attend_without_scale,
            "Your value equals attention without the division by √d: with wide vectors the softmax "
            "would then look at one key only.",
        ),
        Misconception(
            "scaled by d",
            attend_scaled_by_width,
            "You divide by d. A sum of d products of unit variance has the *variance* d, so its "
            "spread is √d.",
        ),
        Misconception(
            "scaled by the number of keys",
            attend_scaled_by_tokens,
            "You divide by the root of the number of keys; d is the width of one query.",
        ),
        Misconception(
            "softmax over the queries",
            attend_over_queries,
            "Your softmax runs down the queries: the weights of one *key* sum to 1. They must sum "
            "to "
            "1 over the keys, for each query.",
        ),
        Misconception(
            "softmax over everything",
            attend_over_everything,
            "All your weights together sum to 1; those of *each query* must.",
        ),
        Misconception(
            "overflow",
            attend_that_overflows,
            "Right for small scores, but `exp(1000)` is infinite, and infinity by infinity is NaN: "
            "subtract each query's greatest score first; it changes nothing else.",
        ),
        Misconception(
            "no softmax",
            attend_without_softmax,
            "You divide the scores by their sum; softmax takes `exp` first, so that every weight "
            "is "
            "positive.",
        ),
        Misconception(
            "hard choice",
            attend_hard,
            "You take the value of the best key alone; attention takes a weighted mean of all.",
        ),
    ),
    hints=(
        "The scores have shape (T, S): `q @ k.T`.",
        "Along which axis must the weights sum to 1? Each row is a query, each column a key.",
        "`scores - scores.max(axis=1, keepdims=True)` before `np.exp`.",
    ),
)

# --- repair: heads that share what they must not --------------------------------------------------


def split_heads(x, heads):
    """Give each head its own share of every token's numbers.

    x: (T, D), D a multiple of `heads` → (heads, T, D / heads)
    """
    T, D = x.shape
    return x.reshape(T, heads, D // heads).transpose(1, 0, 2)


def split_heads_cases(seed):
    rng = np.random.default_rng(seed)
    return [
        {"x": rng.normal(size=(t, h * d)), "heads": h}
        for t, h, d in [(3, 2, 4), (5, 3, 2), (4, 6, 5)]
    ]


def split_heads_broken(x, heads):
    """Give each head its own share of every token's numbers.

    x: (T, D), D a multiple of `heads` → (heads, T, D / heads)
    """
    T, D = x.shape
    return x.reshape(heads, T, D // heads)


def heads_interleaved(x, heads):
    T, D = x.shape
    return x.reshape(T, D // heads, heads).transpose(2, 0, 1)


def heads_after_tokens(x, heads):
    T, D = x.shape
    return x.reshape(T, heads, D // heads)


def heads_tokens_last(x, heads):
    T, D = x.shape
    return x.reshape(T, heads, D // heads).transpose(1, 2, 0)


SPLIT_HEADS = Exercise(
    name="split_heads",
    title="Repair: a silent bug in the heads",
    kind="repair",
    difficulty=3,
    importance=5,
    minutes=8,
    prompt="""
This function hands each head its share of the numbers. It runs, its shape is right, the network
even learns; it only learns badly. Find out what a head really gets, with a small example
(`x = np.arange(12).reshape(3, 4)`, two heads), and repair it: head h gets the numbers
h · D/heads … (h + 1) · D/heads − 1 of **every** token.
""",
    solution=split_heads,
    stub=split_heads_broken,
    cases=split_heads_cases,
    misconceptions=(
        Misconception(
            "interleaved",
            heads_interleaved,
            "Your head h gets every `heads`-th number of a token; it is to get D/heads numbers "
            "that "
            "stand side by side.",
        ),
        Misconception(
            "tokens before heads",
            heads_after_tokens,
            "The numbers are split rightly, but the first axis is still the token: heads come "
            "first.",
        ),
        Misconception(
            "tokens last",
            heads_tokens_last,
            "Heads are in front, but your tokens have become the last axis: (heads, T, D / heads) "
            "is "
            "asked for.",
        ),
    ),
    hints=(
        "Run it on `np.arange(12).reshape(3, 4)` with two heads: token 0 holds 0, 1, 2, 3. Head 0 "
        "should see 0 and 1 of it.",
        "`reshape` can only cut an axis in two where it stands. Which axis holds the numbers of a "
        "token?",
        "Cut first: `x.reshape(T, heads, D // heads)`. Then move the axis of the heads.",
    ),
)

# --- predict: without positions -------------------------------------------------------------------

SHUFFLED = Exercise(
    name="shuffled",
    title="The jigsaw",
    kind="predict",
    difficulty=3,
    importance=5,
    minutes=3,
    prompt="""
Cut a picture into patches and shuffle them like a jigsaw. A vision transformer **without a position
table** reads both, the picture and the jigsaw. What happens to the mean of its output tokens?
""",
    solution="the same",
    choices=("the same", "shuffled alike", "a little different", "quite different"),
    misconceptions=(
        Misconception(
            "shuffled along",
            "shuffled alike",
            "The output *tokens* are shuffled along with the patches; but their mean does not know "
            "in "
            "which order they stood.",
        ),
        Misconception(
            "neighbours count",
            "a little different",
            "Attention has no neighbours: each token compares itself with all others, wherever "
            "they "
            "stand. Only the position table says where a patch is.",
        ),
        Misconception(
            "another picture",
            "quite different",
            "For you it is another picture; but without positions a transformer reads a *bag* of "
            "patches, like the bag of words, and the bag is the same.",
        ),
    ),
    hints=(
        "In attention, which formula contains the number of the token?",
        "Exchange two rows of q, k and v at the same time: what happens to the rows of the output?",
    ),
)

# --- predict: what smaller patches cost -----------------------------------------------------------

PATCH_COST = Exercise(
    name="patch_cost",
    title="What do smaller patches cost?",
    kind="predict",
    difficulty=2,
    importance=4,
    minutes=4,
    prompt="""
A picture of 64 × 64 pixels, patches of 8 × 8, no class token. Now the patches become 4 × 4.

* `tokens`: how many tokens are there now?
* `scores`: how many **times as many** scores (entries of all the attention matrices) are computed?
* `mlp`: how many times as much work have the MLPs, which treat each token by itself?
""",
    solution={"tokens": 256, "scores": 16, "mlp": 4},
    misconceptions=(
        Misconception(
            "one side only",
            {"tokens": 128, "scores": 4, "mlp": 2},
            "You halved one side: a patch becomes half as wide *and* half as high, so four fit "
            "where "
            "there was one.",
        ),
        Misconception(
            "scores grow as tokens do",
            {"tokens": 256, "scores": 4, "mlp": 4},
            "Every token compares itself with every other: four times the tokens are 4 · 4 times "
            "the "
            "scores.",
        ),
        Misconception(
            "everything is quadratic",
            {"tokens": 256, "scores": 16, "mlp": 16},
            "An MLP sees one token at a time: its work grows as the number of tokens.",
        ),
        Misconception(
            "the old number",
            {"tokens": 64, "scores": 16, "mlp": 4},
            "64 is the number of patches of 8 × 8; how many of 4 × 4 fit?",
        ),
    ),
    hints=(
        "64 / 4 patches lie side by side, and as many one above the other.",
        "The matrix of scores has one row and one column for each token.",
    ),
)

# --- ablate: take the residual road away ----------------------------------------------------------


def block(x, attention, mlp, norm):
    """A transformer block: x (T, D) → (T, D); the other three arguments are functions."""
    x = x + attention(norm(x))
    return x + mlp(norm(x))


def no_skip(x, attention, mlp, norm):
    """A transformer block without the two skip connections: x (T, D) → (T, D)."""
    x = attention(norm(x))
    return mlp(norm(x))


class _Layer:
    """A layer with its own numbers: mixes the tokens with A, the widths with B, then bends."""

    def __init__(self, A, B, shift):
        self.A, self.B, self.shift = A, B, shift

    def __call__(self, x):
        return np.tanh(self.A @ x @ self.B + self.shift)


def _norm(x):
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-6)


def block_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for t, d in [(3, 5), (4, 2), (2, 6)]:
        mixing = _Layer(rng.normal(size=(t, t)), rng.normal(size=(d, d)), 0.1)
        alone = _Layer(np.eye(t), rng.normal(size=(d, d)), -0.2)
        x = 1 + rng.normal(size=(t, d))
        cases.append({"x": x, "attention": mixing, "mlp": alone, "norm": _norm})
    return cases


def ablated_first_only(x, attention, mlp, norm):
    x = attention(norm(x))
    return x + mlp(norm(x))


def ablated_second_only(x, attention, mlp, norm):
    x = x + attention(norm(x))
    return mlp(norm(x))


def ablated_norm_too(x, attention, mlp, norm):
    return mlp(attention(x))


def ablated_one_norm(x, attention, mlp, norm):
    return mlp(attention(norm(x)))


def ablated_attention_lost(x, attention, mlp, norm):
    attention(norm(x))
    return mlp(norm(x))


NO_SKIP = Exercise(
    name="no_skip",
    title="Take the road past the layers away",
    kind="ablate",
    difficulty=2,
    importance=4,
    minutes=5,
    prompt="""
Here is the whole block. Make of it the block **without its two skip connections**, and leave
everything else as it is: an ablation is only worth something if *one* thing is missing. (What it
costs in training, you see further down.)
""",
    solution=no_skip,
    stub=block,
    cases=block_cases,
    misconceptions=(
        Misconception(
            "second skip left",
            ablated_first_only,
            "The skip past the attention is gone, but the one past the MLP is still there.",
        ),
        Misconception(
            "first skip left",
            ablated_second_only,
            "The skip past the MLP is gone, but the one past the attention is still there.",
        ),
        Misconception(
            "norms removed too",
            ablated_norm_too,
            "You took the two norms away as well: then nobody can say which of the two it was.",
        ),
        Misconception(
            "second norm removed",
            ablated_one_norm,
            "The norm before the MLP has gone as well; only the skips are to be removed.",
        ),
        Misconception(
            "attention lost",
            ablated_attention_lost,
            "The attention is computed, but its result is thrown away: what it returns must go on.",
        ),
    ),
    hints=(
        "A skip connection is the `x +` in front of a layer.",
        "What each layer returns now *replaces* x.",
    ),
)

# --- implement: nearest neighbours ----------------------------------------------------------------


def vote(features, labels, query, k, classes):
    """The class that the k nearest neighbours of a query vote for, each with its cosine.

    features: (N, D) floats, labels: (N,) whole numbers below `classes`, query: (D,) → int
    """
    length = np.linalg.norm(features, axis=1) * np.linalg.norm(query)
    cosine = features @ query / length
    nearest = np.argsort(-cosine)[:k]
    return int(np.argmax(np.bincount(labels[nearest], np.exp(cosine[nearest] / 0.07), classes)))


def vote_cases(seed):
    """Crowds in which each mistake elects somebody else; the seed turns and renames everything."""
    rng = np.random.default_rng(seed)
    cases = []
    for angles, lengths, votes, k in _CROWDS:
        name = rng.permutation(5)
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        a = np.radians(angles)
        flat = np.stack([np.cos(a), np.sin(a), np.zeros_like(a)], axis=1)
        order = rng.permutation(len(a))
        features = (flat * np.array(lengths)[:, None] @ turn)[order]
        query = rng.uniform(0.2, 0.35) * turn[0]
        labels = name[np.array(votes)][order]
        cases.append({"features": features, "labels": labels, "query": query, "k": k, "classes": 5})
    return cases


# Angles to the query in degrees, lengths, classes, k.
_CROWDS = (
    # The near one outweighs two farther ones; a head count elects class 1.
    ([5, 40, 42, 80, 100], [1, 1, 1, 1, 1], [0, 1, 1, 2, 2], 3),
    # Long vectors far off have the greatest dot product: unnormalised, class 1 wins.
    ([8, 12, 60, 62, 64, 120], [0.5, 0.6, 9, 9, 9, 1], [0, 0, 1, 1, 1, 2], 2),
    # Short vectors are nearest by distance: class 2 wins by distance.
    ([4, 6, 70, 75, 85, 150], [6, 7, 0.8, 0.8, 0.7, 1], [3, 3, 2, 2, 2, 0], 2),
    # All six would elect class 4; only the three nearest may vote.
    ([20, 22, 24, 25, 26, 27, 28], [1] * 7, [0, 0, 1, 4, 4, 4, 4], 3),
)


def vote_by_count(features, labels, query, k, classes):
    cosine = features @ query / np.linalg.norm(features, axis=1) / np.linalg.norm(query)
    nearest = np.argsort(-cosine)[:k]
    return int(np.argmax(np.bincount(labels[nearest], minlength=classes)))


def vote_by_dot(features, labels, query, k, classes):
    dot = features @ query
    nearest = np.argsort(-dot)[:k]
    weight = np.exp((dot[nearest] - dot.max()) / 0.07)
    return int(np.argmax(np.bincount(labels[nearest], weight, classes)))


def vote_by_distance(features, labels, query, k, classes):
    distance = np.linalg.norm(features - query, axis=1)
    nearest = np.argsort(distance)[:k]
    return int(np.argmax(np.bincount(labels[nearest], np.exp(-distance[nearest]), classes)))


def vote_of_the_farthest(features, labels, query, k, classes):
    cosine = features @ query / np.linalg.norm(features, axis=1) / np.linalg.norm(query)
    nearest = np.argsort(cosine)[:k]
    return int(np.argmax(np.bincount(labels[nearest], np.exp(cosine[nearest] / 0.07), classes)))


def vote_of_all(features, labels, query, k, classes):
    cosine = features @ query / np.linalg.norm(features, axis=1) / np.linalg.norm(query)
    return int(np.argmax(np.bincount(labels, np.exp(cosine / 0.07), classes)))


VOTE = Exercise(
    name="vote",
    title="Ask the neighbours",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=10,
    prompt="""
The simplest measurement of an encoder needs no training at all. Given the `features` (N, D) of
pictures with known `labels`, and the features `query` (D,) of a new picture, find the `k` with the
greatest **cosine** to the query; each votes for its label with the weight exp(cosine / 0.07).
Return the label with the most votes, as an `int`. There are `classes` labels.
""",
    solution=vote,
    cases=vote_cases,
    misconceptions=(
        Misconception(
            "one vote each",
            vote_by_count,
            "You count heads. Each neighbour's vote weighs exp(cosine / 0.07): a near one may "
            "outvote "
            "two that only just made it among the k.",
        ),
        Misconception(
            "not normalised",
            vote_by_dot,
            "You compare dot products: a long vector then beats a near one. Divide by both "
            "lengths.",
        ),
        Misconception(
            "Euclidean distance",
            vote_by_distance,
            "You measure how far apart the tips are; the cosine asks only for the direction.",
        ),
        Misconception(
            "the farthest",
            vote_of_the_farthest,
            "Your neighbours are the ones with the *smallest* cosine: `argsort` sorts upwards.",
        ),
        Misconception(
            "everybody votes",
            vote_of_all,
            "All N may vote in yours; only the k nearest may.",
        ),
    ),
    hints=(
        "`features @ query`, divided by the length of each row and by the length of the query.",
        "`np.argsort(-cosine)[:k]` are the k nearest.",
        "`np.bincount(labels, weights, minlength)` adds up the weights of each label.",
    ),
)

# --- test: where do mean and deviation come from? -------------------------------------------------


def standardise(train, test):
    """Bring both sets to mean 0 and deviation 1 in each column, by the numbers of `train` alone."""
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / deviation, (test - mean) / deviation


def test_standardise(standardise):
    """Assert what a right `standardise` does, and nothing that a right one might not do.

    standardise: a function of train (N, D) and test (M, D) that returns both, standardised
    """
    train = np.array([[0.0, 10.0], [2.0, 30.0], [4.0, 80.0]])
    test = np.array([[2.0, 40.0], [8.0, 41.0]])
    before = train.copy(), test.copy()
    a, b = standardise(train, test)
    assert np.allclose(a.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(a.std(axis=0), 1, atol=1e-5)
    assert np.allclose(b, (test - train.mean(axis=0)) / train.std(axis=0), atol=1e-5)
    assert np.array_equal(train, before[0])
    assert np.array_equal(test, before[1])


def standardise_each(train, test):
    return (train - train.mean(axis=0)) / train.std(axis=0), (test - test.mean(axis=0)) / test.std(
        axis=0
    )


def standardise_together(train, test):
    both = np.concatenate([train, test])
    mean, deviation = both.mean(axis=0), both.std(axis=0)
    return (train - mean) / deviation, (test - mean) / deviation


def standardise_by_test(train, test):
    mean, deviation = test.mean(axis=0), test.std(axis=0)
    return (train - mean) / deviation, (test - mean) / deviation


def standardise_whole(train, test):
    return (train - train.mean()) / train.std(), (test - train.mean()) / train.std()


def standardise_mean_only(train, test):
    mean = train.mean(axis=0)
    return train - mean, test - mean


def standardise_train_only(train, test):
    return (train - train.mean(axis=0)) / train.std(axis=0), test.copy()


def standardise_in_place(train, test):
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    train -= mean
    train /= deviation
    test -= mean
    test /= deviation
    return train, test


def standardise_in_float32(train, test):
    a, b = standardise(train.astype(np.float32), test.astype(np.float32))
    return a, b


def standardise_by_product(train, test):
    scale = 1 / np.sqrt(((train - train.mean(axis=0)) ** 2).mean(axis=0))
    return (train - train.mean(axis=0)) * scale, (test - train.mean(axis=0)) * scale


TEST_STANDARDISE = Exercise(
    name="test_standardise",
    title="Write the test that a leak cannot pass",
    kind="test",
    difficulty=4,
    importance=5,
    minutes=12,
    prompt="""
Before a linear probe the features are standardised: each column to mean 0 and deviation 1, **by the
mean and deviation of the training set, in both sets**. A probe that looks at the test set for that
has seen what it is examined on; it runs, and its numbers are a little too good.

Write a test that calls `standardise(train, test)`, which returns both, and asserts what a right one
does: neither a leak, nor a shortcut, nor one that overwrites its arguments may pass. One of the
right ones computes in float32: leave room for rounding.
""",
    solution=test_standardise,
    subject=standardise,
    misconceptions=(
        Misconception(
            "each by itself",
            standardise_each,
            "Your test accepts a function that standardises the test set by its *own* numbers: two "
            "test pictures more would change all features.",
        ),
        Misconception(
            "both together",
            standardise_together,
            "Your test accepts a leak: mean and deviation over train *and* test.",
        ),
        Misconception(
            "by the test set",
            standardise_by_test,
            "Your test accepts a function that takes mean and deviation from the test set.",
        ),
        Misconception(
            "one number for all columns",
            standardise_whole,
            "Your test accepts one mean and one deviation for all columns together.",
        ),
        Misconception(
            "mean only",
            standardise_mean_only,
            "Your test accepts a function that never divides by the deviation.",
        ),
        Misconception(
            "test set forgotten",
            standardise_train_only,
            "Your test accepts a function that returns the test set as it was.",
        ),
        Misconception(
            "arguments overwritten",
            standardise_in_place,
            "Your test accepts a function that overwrites the arrays it was given: keep copies, "
            "and "
            "compare after the call.",
        ),
    ),
    also_right=(
        Misconception(
            "in float32",
            standardise_in_float32,
            "one that computes in float32, which rounds in the seventh digit. Allow 1e-5.",
        ),
        Misconception(
            "by multiplication",
            standardise_by_product,
            "one that multiplies by 1 / deviation, so that the last digits differ. Compare with a "
            "tolerance, not with `==`.",
        ),
    ),
    hints=(
        "Two small sets that differ: the test set must have another mean and another deviation, or "
        "a leak cannot be seen.",
        "For the training set, the result's mean and deviation are known. For the test set, "
        "compute "
        "by hand what one value must become.",
        "`assert np.allclose(b, (test - train.mean(axis=0)) / train.std(axis=0), atol=1e-5)`",
    ),
)

EXERCISES = (
    CUT_PATCHES,
    ATTEND,
    SPLIT_HEADS,
    SHUFFLED,
    PATCH_COST,
    NO_SKIP,
    VOTE,
    TEST_STANDARDISE,
)

QUIZ = (
    Question(
        prompt="What does the position table change?",
        choices=(
            "It sorts the patches into their places",
            "It adds to each token a vector that belongs to its place",
            "It forbids tokens that are far apart to look at each other",
        ),
        correct=1,
        why=(
            "The patches already come in order; attention just takes no notice of it.",
            "After that, the same patch at another place is another token.",
            "Every token may look at every other; that is what a convolution cannot do.",
        ),
    ),
    Question(
        prompt="An encoder's linear probe reaches 60 % on shapes. Is that good?",
        choices=(
            "Yes: chance is 20 %",
            "One cannot say before one knows what a random encoder reaches",
            "No: it is below 90 %",
        ),
        correct=1,
        why=(
            "Chance is the lowest bar. A random network already keeps much of a picture.",
            "And what the same probe reaches on shuffled labels, which must be chance.",
            "There is no such bar: shapes under shadow in 64 × 64 pixels are hard.",
        ),
    ),
    Question(
        prompt="On shuffled labels a probe reaches 35 % of 5 classes. What has happened?",
        choices=(
            "The features are excellent",
            "Something leaks: the probe is examined on what it has seen",
            "Nothing: a probe can learn everything",
        ),
        correct=1,
        why=(
            "There is nothing to know about shuffled labels.",
            "On unseen pictures with labels drawn at random nobody can be better than chance.",
            "On its *training* set it can. The examination is on other pictures.",
        ),
    ),
    Question(
        prompt="From lesson 03: BRIEF is compared by Hamming distance. kNN here by …",
        choices=("… the cosine", "… the Hamming distance", "… the squared distance of pixels"),
        correct=0,
        why=(
            "Only the direction of a feature counts, not its length.",
            "That counts bits; features are real numbers.",
            "That is where lesson 00 began, and what fails when anything moves.",
        ),
    ),
    Question(
        prompt=(
            "Why do a class's pictures in the bag of visual words not know *where* a word stood?"
        ),
        choices=(
            "The histogram counts words and forgets their places",
            "SIFT descriptors are invariant to scale",
            "The vocabulary is too small",
        ),
        correct=0,
        why=(
            "Exactly as a transformer without positions reads a bag of patches.",
            "That is about size, not about place.",
            "A larger vocabulary has more words, still without places.",
        ),
    ),
)
