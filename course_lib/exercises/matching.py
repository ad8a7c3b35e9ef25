"""Exercises of notebook 04_matching: which matches to believe, and the geometry they agree on."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.quiz import Question
from course_lib.features import homography, matching

# --- predict: what cross-check lets through -------------------------------------------------------


def mean_survivors():
    """Mutual nearest neighbours of 100 random unit vectors and 100 others, mean of 20 draws."""
    counts = []
    for seed in range(20):
        pair = np.random.default_rng(seed).normal(size=(2, 100, 128))
        a, b = pair / np.linalg.norm(pair, axis=2, keepdims=True)
        counts.append(len(matching.cross_check(a, b)))
    return round(float(np.mean(counts)))


SURVIVORS = Exercise(
    name="survivors",
    title="How much noise gets through cross-check?",
    kind="predict",
    difficulty=3,
    importance=4,
    minutes=4,
    prompt="""
Two pictures that have **nothing** in common: 100 descriptors of the one and 100 of the other are
random vectors of 128 numbers, length 1. Every match between them is wrong. How many of the 100
possible matches pass the **cross-check**, on average? (Within 8 counts as right.)
""",
    solution=50,
    atol=8,
    measure=mean_survivors,
    misconceptions=(
        Misconception(
            "noise is never mutual",
            1,
            "You demand that a partner picks you out of 100, as if all choices were free; but "
            "being somebody's nearest makes it likely that they are near to you as well.",
        ),
        Misconception(
            "everybody has a nearest neighbour",
            100,
            "That is one direction only: cross-check also asks the neighbour back, and several "
            "queries may share one neighbour, who can answer only one of them.",
        ),
        Misconception(
            "chosen at all",
            65,
            "You count the descriptors that *anybody* chooses (100 · (1 − 1/e) = 63); of several "
            "that chose the same one, only the nearest is chosen back.",
        ),
        Misconception(
            "two coins",
            25,
            "You multiply two chances of one half as if they were independent, but both directions "
            "look at the same distance: if it is small for one, it is small for the other.",
        ),
    ),
    hints=(
        "Think of the table of 100 × 100 distances. A mutual pair is an entry that is the smallest "
        "of its row *and* the smallest of its column.",
        "That entry is the smallest of 100 + 100 − 1 numbers. If they are all alike, how probable "
        "is that? And how many entries are there?",
        "100 · 100 / 199.",
    ),
)

# --- implement: the ratio test --------------------------------------------------------------------


def ratio_test(query, train, ratio):
    """Lowe's ratio test: the nearest neighbours that are clearly nearer than the second nearest.

    query: (N, D), train: (M, D) with M ≥ 2 → int (K, 2): (query, its nearest train), queries in
    order; kept where the nearest distance is below `ratio` times the second nearest
    """
    distance = np.linalg.norm(query[:, None] - train, axis=2)
    order = np.argsort(distance, axis=1)
    rows = np.arange(len(query))
    first, second = distance[rows, order[:, 0]], distance[rows, order[:, 1]]
    keep = first < ratio * second
    return np.stack([rows[keep], order[keep, 0]], axis=1)


def ratio_test_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, m, d, ratio in [(7, 9, 4, 0.8), (11, 6, 3, 0.7), (8, 13, 5, 0.85)]:
        train = rng.uniform(-1, 1, (m, d))
        query = rng.uniform(-1, 1, (n, d))
        # Every second query lies near a train: at distances from clear to ambiguous.
        near = rng.integers(m, size=len(query[::2]))
        query[::2] = train[near] + rng.normal(0, 0.25, (len(near), d))
        cases.append({"query": query, "train": train, "ratio": ratio})
    # Distances 3 and 6 with ratio 0.5: exactly at the limit.
    train = np.array([[0.0, 6.0], [3.0, 0.0], [-40.0, 1.0]])
    query = np.array([[0.0, 0.0], [2.0, 0.0], [-39.0, rng.uniform(0, 1)], [3.0, 1.0]])
    return [*cases, {"query": query, "train": train, "ratio": 0.5}]


def ratio_table(query, train):
    """Distances (N, M) and the order of each row."""
    distance = np.linalg.norm(query[:, None] - train, axis=2)
    return distance, np.argsort(distance, axis=1)


def ratio_kept(order, keep):
    """(N, M) order and (N,) bool → the pairs that are kept."""
    rows = np.flatnonzero(keep)
    return np.stack([rows, order[rows, 0]], axis=1)


def ratio_on_squares(query, train, ratio):
    return ratio_test(query, train, np.sqrt(ratio))


def ratio_keeps_doubtful(query, train, ratio):
    distance, order = ratio_table(query, train)
    sorted_ = np.sort(distance, axis=1)
    return ratio_kept(order, sorted_[:, 0] > ratio * sorted_[:, 1])


def ratio_on_wrong_side(query, train, ratio):
    distance, order = ratio_table(query, train)
    sorted_ = np.sort(distance, axis=1)
    return ratio_kept(order, ratio * sorted_[:, 0] < sorted_[:, 1])


def ratio_second_is_first(query, train, ratio):
    distance, order = ratio_table(query, train)
    first = distance.min(axis=1)
    return ratio_kept(order, first < ratio * first)


def ratio_absolute(query, train, ratio):
    distance, order = ratio_table(query, train)
    return ratio_kept(order, distance.min(axis=1) < ratio)


def ratio_sorted_down(query, train, ratio):
    distance = np.linalg.norm(query[:, None] - train, axis=2)
    order = np.argsort(distance, axis=0)
    rows = np.arange(len(query))
    keep = distance[rows, order[:, 0]] < ratio * distance[rows, order[:, 1]]
    return np.stack([rows[keep], order[keep, 0]], axis=1)


def ratio_of_trains(query, train, ratio):
    return ratio_test(train, query, ratio)[:, ::-1]


def ratio_only_mask(query, train, ratio):
    distance = np.sort(np.linalg.norm(query[:, None] - train, axis=2), axis=1)
    return distance[:, 0] < ratio * distance[:, 1]


def ratio_pairs_swapped(query, train, ratio):
    return ratio_test(query, train, ratio)[:, ::-1]


def ratio_next_in_list(query, train, ratio):
    distance, order = ratio_table(query, train)
    rows, nearest = np.arange(len(query)), order[:, 0]
    second = distance[rows, (nearest + 1) % len(train)]
    return ratio_kept(order, distance[rows, nearest] < ratio * second)


RATIO_TEST = Exercise(
    name="ratio_test",
    title="The ratio test",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=10,
    prompt="""
Descriptors of one picture are `query` (N, D), those of the other `train` (M, D). For each query
find the nearest and the second nearest train, by **Euclidean distance**, and keep the match where

$$d_1 < \\text{ratio} \\cdot d_2.$$

Return whole numbers of shape (K, 2): (query, its nearest train), in the order of the queries.
""",
    solution=ratio_test,
    cases=ratio_test_cases,
    misconceptions=(
        Misconception(
            "ratio on squared distances",
            ratio_on_squares,
            "You compare squared distances: a ratio of 0.8 between squares is one of √0.8 = 0.89 "
            "between distances, so doubtful matches get through. Take the root, or square the "
            "ratio as well.",
        ),
        Misconception(
            "keeps the doubtful ones",
            ratio_keeps_doubtful,
            "Your comparison is upside down: you keep the matches whose second nearest is almost "
            "as near, the very ones that Lowe throws away.",
        ),
        Misconception(
            "ratio on the wrong side",
            ratio_on_wrong_side,
            "You multiply the *first* distance by the ratio: a first is never farther than a "
            "second, so the test lets everything pass.",
        ),
        Misconception(
            "second neighbour is the first",
            ratio_second_is_first,
            "Your second nearest is the nearest itself: no distance is smaller than 0.8 times "
            "itself, so nothing is ever kept.",
        ),
        Misconception(
            "absolute threshold",
            ratio_absolute,
            "You hold the distance itself against the ratio; it is to be held against the distance "
            "to the *second* nearest.",
        ),
        Misconception(
            "sorted along the wrong axis",
            ratio_sorted_down,
            "You sort down the columns, over the queries: a row of the table is one query, so sort "
            "along axis 1.",
        ),
        Misconception(
            "ratio of the trains",
            ratio_of_trains,
            "You look for the two nearest *queries* of each train; it is the queries that ask.",
        ),
        Misconception(
            "only the mask",
            ratio_only_mask,
            "The right queries are kept, but you return the mask: say also *with whom*, as pairs "
            "(query, nearest train). `np.argsort` keeps the places that `np.sort` loses.",
        ),
        Misconception(
            "pairs swapped",
            ratio_pairs_swapped,
            "The right matches, but each pair is written as (train, query): the query comes first.",
        ),
        Misconception(
            "next in the list",
            ratio_next_in_list,
            "You compare with the train that stands *next in the list*; the second nearest is next "
            "in the order of distance.",
        ),
    ),
    hints=(
        "`np.linalg.norm(query[:, None] - train, axis=2)` is the whole table of distances (N, M).",
        "`np.argsort(distance, axis=1)` gives for each row the trains from nearest to farthest: "
        "columns 0 and 1 are the two you need.",
        "`keep = first < ratio * second`, then "
        "`np.stack([np.flatnonzero(keep), order[keep, 0]], axis=1)`.",
    ),
)

# --- test: a wrong cross-check --------------------------------------------------------------------


def cross_check(distances):
    """Distances (N, M) → int (K, 2): (query, train) that are each other's nearest."""
    there = distances.argmin(axis=1)
    back = distances.argmin(axis=0)
    rows = np.arange(len(distances))
    keep = back[there] == rows
    return np.stack([rows[keep], there[keep]], axis=1)


def test_cross_check(cross_check):
    """Assert what a right `cross_check` does, and nothing that a right one might not do.

    cross_check: distances (N, M) → int (K, 2), the pairs (query, train) that are each other's
    nearest, in the order of the queries
    """
    distances = np.array(
        [
            [5.0, 2.0, 6.0, 9.0, 9.5],
            [7.0, 1.0, 3.0, 8.0, 9.4],
            [4.0, 8.5, 6.5, 7.5, 2.5],
            [9.2, 9.1, 9.6, 9.9, 9.8],
        ]
    )
    before = distances.copy()
    pairs = np.asarray(cross_check(distances))
    assert pairs.tolist() == [[1, 1], [2, 4]]
    assert np.array_equal(distances, before)
    assert np.asarray(cross_check(distances.T)).tolist() == [[1, 1], [4, 2]]


def crossed_one_way(distances):
    return np.stack([np.arange(len(distances)), distances.argmin(axis=1)], axis=1)


def crossed_other_way(distances):
    back = distances.argmin(axis=0)
    return np.stack([back, np.arange(len(back))], axis=1)


def crossed_swapped(distances):
    return cross_check(distances)[:, ::-1]


def crossed_renumbered(distances):
    pairs = cross_check(distances)
    return np.stack([np.arange(len(pairs)), pairs[:, 1]], axis=1)


def crossed_one_to_one(distances):
    """Nearest pairs first, nobody twice: one to one, but not mutual."""
    table, pairs = distances.copy(), []
    for _ in range(min(table.shape)):
        i, j = np.unravel_index(table.argmin(), table.shape)
        pairs.append((int(i), int(j)))
        table[i], table[:, j] = np.inf, np.inf
    return np.array(sorted(pairs))


def crossed_first_come(distances):
    """Each query takes its nearest, unless an earlier query has taken it."""
    taken, pairs = set(), []
    for i, j in enumerate(distances.argmin(axis=1).tolist()):
        if j not in taken:
            pairs.append((i, j))
            taken.add(j)
    return np.array(pairs)


def crossed_writes(distances):
    pairs = cross_check(distances)
    distances[pairs[:, 0], pairs[:, 1]] = np.inf
    return pairs


TEST_CROSS_CHECK = Exercise(
    name="test_cross_check",
    title="Write the test that a wrong cross-check cannot pass",
    kind="test",
    difficulty=3,
    importance=4,
    minutes=10,
    prompt="""
A right `cross_check(distances)` takes a table (N, M) of distances, queries in rows and trains in
columns, and returns whole numbers (K, 2): the pairs **(query, train)** that are each other's
nearest, in the order of the queries. It leaves the table as it is. Write a test that calls it and
`assert`s. It is then run on one right and on many wrong implementations: accept the one, reject
the others. (Let no two of your distances be equal: what is right in a tie is left open.)
""",
    solution=test_cross_check,
    subject=cross_check,
    misconceptions=(
        Misconception(
            "one direction only",
            crossed_one_way,
            "Your test accepts a function that never asks back: it gives each query its nearest "
            "train. Put two queries into the table that have the same nearest train.",
        ),
        Misconception(
            "the other direction only",
            crossed_other_way,
            "Your test accepts a function that only asks each train for its nearest query.",
        ),
        Misconception(
            "query and train swapped",
            crossed_swapped,
            "Your test accepts pairs written as (train, query): a mutual pair with two *different* "
            "numbers would show it.",
        ),
        Misconception(
            "queries numbered anew",
            crossed_renumbered,
            "Your test accepts a function that numbers the kept pairs 0, 1, 2, … and forgets which "
            "query each belonged to: let the first query be one that is dropped.",
        ),
        Misconception(
            "one to one is not mutual",
            crossed_one_to_one,
            "Your test accepts a function that pairs everybody off, nearest first: nobody is used "
            "twice, but some get the best that is *left*. Add a query that nobody wants.",
        ),
        Misconception(
            "first come, first served",
            crossed_first_come,
            "Your test accepts a function in which the first query to ask gets the train: let a "
            "later query be nearer to it.",
        ),
        Misconception(
            "table overwritten",
            crossed_writes,
            "Your test accepts a function that writes into the table of distances: keep a copy and "
            "compare after the call.",
        ),
    ),
    hints=(
        "A table of 4 × 5 that you can solve with a pencil is enough. Not square: then rows and "
        "columns cannot be confused.",
        "Two queries that like the same train; a first query that is dropped; a query that nobody "
        "wants; a pair like (2, 4).",
        "`assert cross_check(distances).tolist() == [[1, 1], [2, 4]]`, for a table of your own, "
        "and the same for `distances.T` with the pairs turned round.",
    ),
)

# --- implement: project points --------------------------------------------------------------------


def project(H, xy):
    """Send points through a homography.

    H: (3, 3), xy: (N, 2) → (N, 2)
    """
    lifted = np.column_stack([xy, np.ones(len(xy))]) @ H.T
    return lifted[:, :2] / lifted[:, 2:]


def project_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, corner in [(5, 1.0), (7, 2.0), (4, 0.5)]:
        H = np.array([[1.2, -0.3, 40.0], [0.4, 0.9, -25.0], [0.002, -0.001, corner]])
        H = H * rng.uniform(0.8, 1.2, (3, 3))
        cases.append({"H": H, "xy": rng.uniform(0, 100, (n, 2))})
    return cases


def project_undivided(H, xy):
    return (np.column_stack([xy, np.ones(len(xy))]) @ H.T)[:, :2]


def project_transposed(H, xy):
    return project(H.T, xy)


def project_swapped(H, xy):
    return project(H, xy[:, ::-1])


def project_swapped_out(H, xy):
    return project(H, xy[:, ::-1])[:, ::-1]


def project_divided_too_soon(H, xy):
    w = np.column_stack([xy, np.ones(len(xy))]) @ H[2]
    return xy @ H[:2, :2].T / w[:, None] + H[:2, 2]


def project_by_corner(H, xy):
    return project_undivided(H, xy) / H[2, 2]


def project_back(H, xy):
    return project(np.linalg.inv(H), xy)


PROJECT = Exercise(
    name="project",
    title="Send points through a homography",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=8,
    prompt="""
$$\\begin{pmatrix} u \\\\ v \\\\ w \\end{pmatrix}
= H \\begin{pmatrix} x \\\\ y \\\\ 1 \\end{pmatrix},
\\qquad (x', y') = (u / w,\\; v / w)$$

`H` is (3, 3), and `xy` holds N points as **rows** (x, y). Return the N points (x′, y′) as rows.
""",
    solution=project,
    cases=project_cases,
    misconceptions=(
        Misconception(
            "no division by w",
            project_undivided,
            "You never divide by w, so parallels stay parallel and the scale of H changes the "
            "result: divide u and v by the third coordinate.",
        ),
        Misconception(
            "H transposed",
            project_transposed,
            "You multiply rows by H itself, which applies Hᵀ: for points in rows it is "
            "`rows @ H.T`.",
        ),
        Misconception(
            "x and y swapped",
            project_swapped,
            "You feed (y, x) to H: a point is (x, y), only arrays are indexed [y, x].",
        ),
        Misconception(
            "rows and columns as points",
            project_swapped_out,
            "You swap x and y on the way in and on the way out: that is right for a matrix that "
            "acts on (row, column), not for this one.",
        ),
        Misconception(
            "divided before the translation",
            project_divided_too_soon,
            "You divide the turned points by w and add the translation afterwards: the translation "
            "is part of u and v, so it is divided too.",
        ),
        Misconception(
            "divided by the corner of H",
            project_by_corner,
            "You divide by H[2, 2], one number for all; w = h₃₁·x + h₃₂·y + h₃₃ is another "
            "one for each point.",
        ),
        Misconception(
            "the way back",
            project_back,
            "You send the points through the inverse of H: that is the way from the second picture "
            "back to the first.",
        ),
    ),
    hints=(
        "`np.column_stack([xy, np.ones(len(xy))])` makes (x, y, 1) of every row.",
        "For columns it is `H @ column`; for rows the same is `rows @ H.T`.",
        "Divide `lifted[:, :2]` by `lifted[:, 2:]`, which has shape (N, 1).",
    ),
)

# --- ablate: the DLT without normalising ----------------------------------------------------------


def dlt_error(window, normalised):
    """Median error in pixels of a DLT of 50 noisy pairs in a window (100 × 100) at (x, y)."""
    truth = np.array([[0.95, -0.2, 300], [0.2, 1.0, -100], [2e-5, -1e-5, 1]])
    rng, errors = np.random.default_rng(0), []
    for _ in range(101):
        p = rng.uniform(0, 100, (50, 2)) + window
        exact = homography.project(truth, p)
        q = exact + rng.normal(0, 1, p.shape)
        H = homography.homography_dlt(p, q) if normalised else raw_dlt(p, q)
        errors.append(np.sqrt((homography.transfer_error(H, p, exact) ** 2).mean()))
    return float(np.median(errors))


def raw_dlt(p, q):
    """The direct linear transform on the pixels as they are."""
    ones, zero = np.column_stack([p, np.ones(len(p))]), np.zeros((len(p), 3))
    upper = np.hstack([ones, zero, -q[:, :1] * ones])
    lower = np.hstack([zero, ones, -q[:, 1:] * ones])
    return np.linalg.svd(np.vstack([upper, lower]))[2][8].reshape(3, 3)


def dlt_errors():
    """Window near the origin, normalised and raw; window far from it, normalised and raw."""
    near, far = (0, 0), (3000, 2000)
    return [dlt_error(window, normalised) for window in (near, far) for normalised in (1, 0)]


NORMALISING = Exercise(
    name="normalising",
    title="What is Hartley's normalisation worth?",
    kind="ablate",
    difficulty=3,
    importance=4,
    minutes=8,
    prompt="""
Fifty pairs of points in a window of 100 × 100 pixels, with noise of 1 pixel. **Guess first**, then
measure with `fit_error(window, normalise)` and note four median errors in pixels, in this order:

1. window at (0, 0), near the origin, points normalised;
2. the same window, points raw;
3. window at (3000, 2000), in the lower right of a photograph of 12 megapixels, points normalised;
4. the same window, points raw.

(Within 20 % counts as right.)
""",
    solution=[0.39, 0.42, 0.40, 76.0],
    rtol=0.2,
    atol=0.02,
    measure=dlt_errors,
    misconceptions=(
        Misconception(
            "it never matters",
            [0.39, 0.42, 0.40, 0.42],
            "The equations are the same, but what is minimised is not: far from the origin the "
            "entries of A differ by a factor of ten million. Measure the fourth one.",
        ),
        Misconception(
            "it always matters",
            [0.39, 76.0, 0.40, 76.0],
            "Raw is not bad everywhere: near the origin these fifty points bear it well, whatever "
            "the condition number says. Measure the second one.",
        ),
        Misconception(
            "normalising removes noise",
            [0.0, 0.42, 0.0, 76.0],
            "Normalising makes the equations well-balanced; the noise of the points stays in them, "
            "so the error cannot be 0.",
        ),
        Misconception(
            "switch read the wrong way",
            [0.42, 0.39, 76.0, 0.40],
            "You have the two rows the wrong way round: `normalise=True` is the one that works far "
            "from the origin.",
        ),
    ),
    hints=(
        "`fit_error((0, 0), normalise=True)` is the first of the four.",
        "The others are `fit_error((0, 0), False)`, `fit_error((3000, 2000), True)` and "
        "`fit_error((3000, 2000), False)`.",
    ),
)

# --- predict: how many draws ----------------------------------------------------------------------

DRAWS = ("about 17", "about 100", "about 570", "about 6300")


def draws_at_70_percent():
    """The choice nearest to the number of samples needed with 30 % inliers, 0.99 sure."""
    needed = matching.samples_needed(0.3, 0.99)
    return min(DRAWS, key=lambda choice: abs(int(choice.split()[1]) - needed))


DRAWS_NEEDED = Exercise(
    name="draws_needed",
    title="From 50 % to 70 % outliers",
    kind="predict",
    difficulty=2,
    importance=3,
    minutes=2,
    prompt="""
At 50 % outliers, RANSAC needs **72** samples of four matches to be 99 % sure that at least one is
free of outliers. How many at **70 %**? Do not compute; feel.
""",
    solution="about 570",
    choices=DRAWS,
    measure=draws_at_70_percent,
    misconceptions=(
        Misconception(
            "the fewer right, the fewer draws",
            "about 17",
            "That is the number for 30 % outliers: you took the share of right matches for that of "
            "the wrong ones.",
        ),
        Misconception(
            "in proportion",
            "about 100",
            "72 · 70/50 is 101, as if effort grew in proportion; but a sample is good only if "
            "*all four* are right, and 0.3⁴ is eight times smaller than 0.5⁴.",
        ),
        Misconception(
            "a sample of six",
            "about 6300",
            "So many would be needed if a sample took six matches: with four, 0.3⁴ = 0.0081 of the "
            "samples are good.",
        ),
    ),
    hints=(
        "The share of good samples is 0.5⁴ = 0.0625 at 50 %, and 0.3⁴ at 70 %.",
        "The number of draws grows about as the share of good samples falls: 0.0625 / 0.0081 ≈ 8.",
    ),
)

# --- implement: the number of iterations ----------------------------------------------------------


def iterations(outliers, confidence, sample):
    """How many samples RANSAC must draw, so that one without outliers is `confidence` sure.

    outliers: share of wrong matches, 0 to 1; confidence: 0 to 1; sample: matches in one draw
    → int, rounded up
    """
    all_right = (1 - outliers) ** sample
    return int(np.ceil(np.log(1 - confidence) / np.log(1 - all_right)))


def iterations_cases(seed):
    rng = np.random.default_rng(seed)
    return [
        {
            "outliers": round(float(rng.uniform(low, low + 0.1)), 3),
            "confidence": float(rng.choice([0.95, 0.99, 0.999])),
            "sample": sample,
        }
        for low, sample in ((0.32, 4), (0.61, 4), (0.53, 2), (0.41, 7))
    ]


def iterations_of_one(outliers, confidence, sample):
    return iterations(outliers, confidence, 1)


def iterations_swapped(outliers, confidence, sample):
    return iterations(1 - outliers, confidence, sample)


def iterations_rounded_down(outliers, confidence, sample):
    return int(np.log(1 - confidence) / np.log(1 - (1 - outliers) ** sample))


def iterations_not_rounded(outliers, confidence, sample):
    return float(np.log(1 - confidence) / np.log(1 - (1 - outliers) ** sample))


def iterations_of_confidence(outliers, confidence, sample):
    return iterations(outliers, 1 - confidence, sample)


def iterations_any_right(outliers, confidence, sample):
    return int(np.ceil(np.log(1 - confidence) / np.log(outliers**sample)))


def iterations_on_average(outliers, confidence, sample):
    return int(np.ceil(1 / (1 - outliers) ** sample))


def iterations_without_one(outliers, confidence, sample):
    return int(np.ceil(np.log(1 - confidence) / np.log((1 - outliers) ** sample)))


ITERATIONS = Exercise(
    name="iterations",
    title="How often must RANSAC draw?",
    kind="implement",
    difficulty=2,
    importance=4,
    minutes=8,
    prompt="""
One draw takes `sample` matches at random; a share `outliers` of all matches is wrong. How many
draws $N$ make it `confidence` sure that **at least one** of them contains no wrong match? Return a
whole number, rounded **up**. (Check: 50 % outliers, 0.99, samples of four give 72.)
""",
    solution=iterations,
    cases=iterations_cases,
    misconceptions=(
        Misconception(
            "one right match is enough",
            iterations_of_one,
            "You use w where w to the power of the sample's size belongs: *all* matches of a draw "
            "must be right.",
        ),
        Misconception(
            "inliers and outliers swapped",
            iterations_swapped,
            "You took the outliers' share for the inliers': w = 1 − outliers.",
        ),
        Misconception(
            "rounded down",
            iterations_rounded_down,
            "`int` cuts off, and one draw too few is not sure enough: round up.",
        ),
        Misconception(
            "not rounded",
            iterations_not_rounded,
            "The formula is right; there is no such thing as half a draw: round up, to a whole "
            "number.",
        ),
        Misconception(
            "log of the confidence",
            iterations_of_confidence,
            "You take log(confidence) on top; what may happen N times in a row is *failure*, and "
            "its chance must fall to 1 − confidence.",
        ),
        Misconception(
            "at least one right in the sample",
            iterations_any_right,
            "1 − outliers^sample is the chance that *some* match of a draw is right; for all of "
            "them it is (1 − outliers)^sample.",
        ),
        Misconception(
            "on average",
            iterations_on_average,
            "1 / w⁴ draws bring one good sample *on average*; to be 99 % sure takes about 4.6 "
            "times as many.",
        ),
        Misconception(
            "failure and success swapped",
            iterations_without_one,
            "You repeat success: below the fraction stands the log of the chance that a draw "
            "*fails*, 1 − w⁴.",
        ),
    ),
    hints=(
        "w = 1 − outliers. One draw is good with chance w^sample. What is the chance that it is "
        "not?",
        "That N draws in a row all fail has the chance (1 − w^sample)^N; it must be at most "
        "1 − confidence.",
        "Take logarithms: N = log(1 − confidence) / log(1 − w^sample), and `np.ceil`.",
    ),
)

# --- repair: RANSAC that keeps the last model -----------------------------------------------------


def consensus(source, target, draws, threshold):
    """The shift from one picture to the other, by RANSAC: one match is a sample.

    source, target: (N, 2) matched points; draws: (T,) the match that each round believes;
    threshold: pixels → (2,) mean shift of the largest set that agrees; of equals, the first
    """
    moved = target - source
    best, most = None, 0
    for draw in draws:
        error = np.linalg.norm(moved - moved[draw], axis=1)
        inliers = error <= threshold
        if inliers.sum() > most:
            best, most = inliers, inliers.sum()
    return moved[best].mean(axis=0)


def consensus_faulty(source, target, draws, threshold):
    """The shift from one picture to the other, by RANSAC: one match is a sample.

    source, target: (N, 2) matched points; draws: (T,) the match that each round believes;
    threshold: pixels → (2,) mean shift of the largest set that agrees; of equals, the first
    """
    moved = target - source
    best, most = None, 0
    for draw in draws:
        error = np.linalg.norm(moved - moved[draw], axis=1)
        inliers = error <= threshold
        if inliers.sum() > most:
            best = inliers
    return moved[best].mean(axis=0)


def consensus_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, wrong in [(14, 6), (17, 10)]:
        source = rng.uniform(0, 90, (n, 2))
        moved = rng.normal((31, -12), 0.9, (n, 2))
        moved[:wrong] = rng.uniform(-60, 60, (wrong, 2))
        draws = [wrong + 2, 0, wrong + 4, 1, 2]
        cases.append({"source": source, "target": source + moved, "draws": draws, "threshold": 3.0})
    # Two sets of three; in the first, one match is exactly `threshold` = 5 off the drawn one.
    source = rng.integers(0, 50, (7, 2)).astype(float)
    moved = [(10, 20), (13, 24), (11, 20), (-30, 5), (-31, 6), (-30, 7), (99, 0)]
    moved = np.array(moved, float)
    cases.append({"source": source, "target": source + moved, "draws": [6, 0, 4], "threshold": 5.0})
    # Nobody agrees with anybody: the first draw is as good as any.
    source = rng.integers(0, 50, (3, 2)).astype(float)
    moved = np.array([(8, 1), (50, 9), (-20, 30)], float)
    return [*cases, {"source": source, "target": source + moved, "draws": [1, 0], "threshold": 2.0}]


def consensus_sets(source, target, draws, threshold):
    """The shifts, the errors of each draw (T, N), and who follows it."""
    moved = target - source
    error = np.linalg.norm(moved - moved[draws][:, None], axis=2)
    return moved, error, error <= threshold


def consensus_of_all(source, target, draws, threshold):
    return (target - source).mean(axis=0)


def consensus_not_refitted(source, target, draws, threshold):
    moved, _, follows = consensus_sets(source, target, draws, threshold)
    return moved[draws[follows.sum(axis=1).argmax()]]


def consensus_last_of_equals(source, target, draws, threshold):
    return consensus(source, target, draws[::-1], threshold)


def consensus_least_error(source, target, draws, threshold):
    moved, error, follows = consensus_sets(source, target, draws, threshold)
    return moved[follows[error.sum(axis=1).argmin()]].mean(axis=0)


def consensus_strict(source, target, draws, threshold):
    return consensus(source, target, draws, np.nextafter(threshold, 0))


def consensus_squared_pixels(source, target, draws, threshold):
    return consensus(source, target, draws, np.sqrt(threshold))


def consensus_of_outliers(source, target, draws, threshold):
    moved, _, follows = consensus_sets(source, target, draws, threshold)
    return moved[~follows[follows.sum(axis=1).argmax()]].mean(axis=0)


def consensus_first(source, target, draws, threshold):
    return consensus(source, target, draws[:1], threshold)


CONSENSUS = Exercise(
    name="consensus",
    title="A RANSAC that does not find the best",
    kind="repair",
    difficulty=3,
    importance=5,
    minutes=8,
    prompt="""
Two pictures of a camera that only slid sideways: the model is a **shift**, and one match fixes it.
The function below draws matches, counts who agrees, and refits to those who do. It returns numbers
that look right and sometimes are. Find the silent fault and mend it. (So that the check is fair,
the matches to be drawn are given. Of equally large sets the first one wins.)
""",
    solution=consensus,
    stub=consensus_faulty,
    cases=consensus_cases,
    misconceptions=(
        Misconception(
            "refit on all points",
            consensus_of_all,
            "You refit to *all* matches at the end: the outliers, just found, are back in. Take "
            "the mean over the inliers of the best draw only.",
        ),
        Misconception(
            "not refitted",
            consensus_not_refitted,
            "You return the shift of the match that was drawn, with that match's own noise: the "
            "mean over all its inliers is steadier.",
        ),
        Misconception(
            "last of equals",
            consensus_last_of_equals,
            "Of two equally large sets you keep the later one; here the first is asked for, so "
            "compare with `>`.",
        ),
        Misconception(
            "least total error",
            consensus_least_error,
            "You keep the draw of least total error, and one far outlier rules a sum: RANSAC "
            "*counts* the followers.",
        ),
        Misconception(
            "squared pixels",
            consensus_squared_pixels,
            "You hold squared errors against a threshold in pixels: take the root, or square the "
            "threshold.",
        ),
        Misconception(
            "limit left out",
            consensus_strict,
            "Nearly: a match whose error is exactly the threshold still follows, so compare with "
            "`<=`.",
        ),
        Misconception(
            "outliers averaged",
            consensus_of_outliers,
            "Your mask is turned round: you average the matches that do *not* follow.",
        ),
        Misconception(
            "keeps the first draw",
            consensus_first,
            "You stop at, or never replace, the first draw: a later one may have more followers.",
        ),
    ),
    hints=(
        "Write down `most` and `best` after each round. Which of them never changes?",
        "Every draw has at least one follower: itself. So a comparison with 0 is always true.",
        "When a draw is better, remember *how good* it was: `most = inliers.sum()`.",
    ),
    equivalent={"constant 8:23 0 → -1": "every draw has a follower, itself, so the first one wins"},
)

EXERCISES = (
    SURVIVORS,
    RATIO_TEST,
    TEST_CROSS_CHECK,
    PROJECT,
    NORMALISING,
    DRAWS_NEEDED,
    ITERATIONS,
    CONSENSUS,
)

QUIZ = (
    Question(
        prompt="Why does a nearest neighbour by itself prove nothing?",
        choices=(
            "It always exists, also for a point that the other picture does not show",
            "Euclidean distance is the wrong measure for descriptors",
            "It is found by an approximate search",
        ),
        correct=0,
        why=(
            "There is a nearest one in any list. Only what else is there tells whether it is near.",
            "The measure does well; the question asked of it was too weak.",
            "Ours compares with all of them, and the problem stays.",
        ),
    ),
    Question(
        prompt="A photograph of a brick wall. Which test is hurt most?",
        choices=(
            "The ratio test: the second nearest is another brick, as near as the first",
            "RANSAC: a wall is a plane",
            "Hamming distance: bricks have few bits",
        ),
        correct=0,
        why=(
            "Where things repeat, right matches too have a close second; the test throws them out.",
            "A plane is exactly what a homography is made for.",
            "The number of bits is that of the pattern, whatever it looks at.",
        ),
    ),
    Question(
        prompt="You set RANSAC's threshold to 80 pixels and it finds more inliers. Is that better?",
        choices=(
            "Yes: more inliers fix the homography better",
            "No: wrong matches now count as followers, and the refit listens to them",
            "It makes no difference: the refit removes them",
        ),
        correct=1,
        why=(
            "Only if they are right. The threshold decides who is called one.",
            "The count grows with the threshold always; the error to the truth is what tells.",
            "The refit is a least squares fit to just those followers.",
        ),
    ),
    Question(
        prompt="When do two photographs follow one homography exactly?",
        choices=(
            "Always, if the camera has no distortion",
            "When the scene is flat, or the camera only turned on the spot",
            "When the camera moved straight ahead",
        ),
        correct=1,
        why=(
            "Near things move more than far ones as soon as the camera changes its place.",
            "Those are the two cases: a plane, or no parallax.",
            "Moving ahead shifts near things more than far ones, unless the scene is flat.",
        ),
    ),
    Question(
        prompt="From lesson 00: a method finds 40 % of its points again. What is missing?",
        choices=(
            "The standard deviation of the 40 %",
            "What as many random points would reach",
            "The time that it took",
        ),
        correct=1,
        why=(
            "Good to have, but it would not tell whether 40 % is much.",
            "A number is high or low only beside its control: a crowd of points hits by luck.",
            "Another question than whether the points are any good.",
        ),
    ),
    Question(
        prompt="From lesson 01: a picture has blur 1.6 (sigma). Which further blur makes it 3.2?",
        choices=("1.6", "2.77", "3.2"),
        correct=1,
        why=(
            "Variances add, not sigmas: 1.6 and 1.6 make 2.26.",
            "The root of 3.2² − 1.6² = 7.68.",
            "That would give the root of 3.2² + 1.6² = 3.58.",
        ),
    ),
    Question(
        prompt="From lesson 02: how many look-ups in an integral image sum a box of 99 × 99?",
        choices=("4", "99", "9801"),
        correct=0,
        why=(
            "Its four corners, whatever its size.",
            "One row at a time would take those; the table has summed both ways.",
            "That is what the table spares you.",
        ),
    ),
    Question(
        prompt="From lesson 03: 256 bits of two unrelated patches. How many differ, about?",
        choices=("0", "128", "256"),
        correct=1,
        why=(
            "None differ only for the same patch.",
            "Each bit is a toss of a coin: half of them agree by chance.",
            "That would be a photographic negative, which is very much related.",
        ),
    ),
)
