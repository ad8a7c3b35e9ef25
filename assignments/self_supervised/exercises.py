"""New exercises of the assignment `self_supervised`: how one measures what nobody has labelled."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

# --- implement: alignment and uniformity ----------------------------------------------------------


def align_uniform(z1, z2):
    """Alignment and uniformity of projections of the same pictures under two views.

    z1, z2: (N, d) floats of any length → (alignment, uniformity), two floats
    """
    z1 = z1 / np.linalg.norm(z1, axis=1, keepdims=True)
    z2 = z2 / np.linalg.norm(z2, axis=1, keepdims=True)
    alignment = ((z1 - z2) ** 2).sum(axis=1).mean()
    z = np.concatenate([z1, z2])
    rows, columns = np.triu_indices(len(z), 1)
    squared = ((z[rows] - z[columns]) ** 2).sum(axis=1)
    return float(alignment), float(np.log(np.exp(-2 * squared).mean()))


def align_uniform_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, d, noise in [(7, 4, 0.3), (5, 3, 0.6), (9, 6, 0.1)]:
        z1 = rng.normal(0.3, 1, (n, d)) * rng.uniform(0.5, 3, (n, 1))
        z2 = (z1 + rng.normal(0, noise, (n, d))) * rng.uniform(0.5, 3, (n, 1))
        cases.append({"z1": z1, "z2": z2})
    return cases


def unit_rows(z):
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def spread(squared):
    return float(np.log(np.exp(-2 * squared).mean()))


def squared_of_pairs(z):
    rows, columns = np.triu_indices(len(z), 1)
    return ((z[rows] - z[columns]) ** 2).sum(axis=1)


def align_not_normalised(z1, z2):
    alignment = ((z1 - z2) ** 2).sum(axis=1).mean()
    return float(alignment), spread(squared_of_pairs(np.concatenate([z1, z2])))


def align_with_itself(z1, z2):
    z = unit_rows(np.concatenate([z1, z2]))
    squared = ((z[:, None] - z[None]) ** 2).sum(axis=2)
    return align_uniform(z1, z2)[0], spread(squared)


def align_one_view(z1, z2):
    return align_uniform(z1, z2)[0], spread(squared_of_pairs(unit_rows(z1)))


def align_not_squared(z1, z2):
    a, b = unit_rows(z1), unit_rows(z2)
    gaps = np.sqrt(squared_of_pairs(np.concatenate([a, b])))
    return float(np.linalg.norm(a - b, axis=1).mean()), spread(gaps)


def align_mean_of_logs(z1, z2):
    squared = squared_of_pairs(unit_rows(np.concatenate([z1, z2])))
    return align_uniform(z1, z2)[0], float((-2 * squared).mean())


def align_over_elements(z1, z2):
    alignment = ((unit_rows(z1) - unit_rows(z2)) ** 2).mean()
    return float(alignment), align_uniform(z1, z2)[1]


def align_columns(z1, z2):
    a = z1 / np.linalg.norm(z1, axis=0)
    b = z2 / np.linalg.norm(z2, axis=0)
    alignment = ((a - b) ** 2).sum(axis=1).mean()
    return float(alignment), spread(squared_of_pairs(np.concatenate([a, b])))


ALIGN_UNIFORM = Exercise(
    name="align_uniform",
    title="Two numbers in place of a loss",
    kind="implement",
    difficulty=3,
    importance=4,
    minutes=15,
    prompt="""
Wang and Isola (2020) measure a contrastive embedding by two numbers. First **every row is brought
to length 1**. Then

* **alignment** is the mean over the pictures of the squared distance between their two views:
  $\\frac1N \\sum_i \\lVert z_{1,i} - z_{2,i} \\rVert^2$;
* **uniformity** is $\\log$ of the mean of $\\exp(-2\\,\\lVert u - v \\rVert^2)$ over **all pairs of
  different rows** u, v among the 2N rows of both views, each pair once.

Return both as floats: `(alignment, uniformity)`. For both, lower is better.
""",
    solution=align_uniform,
    cases=align_uniform_cases,
    misconceptions=(
        Misconception(
            "not normalised",
            align_not_normalised,
            "Your rows keep their length: both numbers live on the sphere, so divide each row by "
            "its norm first.",
        ),
        Misconception(
            "columns normalised",
            align_columns,
            "You divide each column by its norm: a row is one picture, and its norm is meant.",
        ),
        Misconception(
            "a row with itself",
            align_with_itself,
            "Your uniformity counts each row beside itself, at distance 0: only pairs of different "
            "rows are meant.",
        ),
        Misconception(
            "first views only",
            align_one_view,
            "Your uniformity looks at the first views only: all 2N rows are to be paired.",
        ),
        Misconception(
            "distance, not squared",
            align_not_squared,
            "You use the distances themselves: both formulas have them squared.",
        ),
        Misconception(
            "mean of the logarithms",
            align_mean_of_logs,
            "You take the mean of the logarithms; the logarithm of the mean is asked for, and the "
            "near pairs decide it.",
        ),
        Misconception(
            "mean over coordinates",
            align_over_elements,
            "Your alignment averages over the coordinates too: sum over them, then take the mean "
            "over the pictures.",
        ),
    ),
    hints=(
        "Three steps: unit rows, the distance of partners, the distances of all pairs.",
        "`np.triu_indices(len(z), 1)` gives each pair of different rows once.",
    ),
)

# --- repair: a classifier of neighbours that has seen the answers ---------------------------------


def neighbour_score(features, labels, k):
    """Share of pictures whose k nearest *others* mostly have their label (ties: smallest label).

    features: (N, d), labels: whole numbers (N,) from 0, k: below N → float 0 to 1
    """
    gaps = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    np.fill_diagonal(gaps, np.inf)
    nearest = np.argsort(gaps, axis=1)[:, :k]
    told = [np.bincount(labels[row]).argmax() for row in nearest]
    return float((np.array(told) == labels).mean())


def neighbour_score_faulty(features, labels, k):
    """Share of pictures whose k nearest *others* mostly have their label (ties: smallest label).

    features: (N, d), labels: whole numbers (N,) from 0, k: below N → float 0 to 1
    """
    gaps = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    nearest = np.argsort(gaps, axis=1)[:, :k]
    told = [np.bincount(labels[row]).argmax() for row in nearest]
    return float((np.array(told) == labels).mean())


def neighbour_score_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, d, k in [(37, 3, 1), (31, 4, 3), (43, 2, 4)]:
        labels = rng.integers(0, 5, n)
        middles = rng.normal(0, 1.2, (5, d))
        features = middles[labels] + rng.normal(0, 1, (n, d))
        cases.append({"features": features, "labels": labels, "k": k})
    return cases


def score_of_gaps(gaps, labels, k, start=0):
    nearest = np.argsort(gaps, axis=1)[:, start : start + k]
    told = [np.bincount(labels[row]).argmax() for row in nearest]
    return float((np.array(told) == labels).mean())


def squared_gaps(features):
    return ((features[:, None] - features[None]) ** 2).sum(axis=2)


def neighbours_one_more(features, labels, k):
    return score_of_gaps(squared_gaps(features), labels, k + 1)


def neighbours_one_less(features, labels, k):
    return score_of_gaps(squared_gaps(features), labels, max(k - 1, 1), 1)


def neighbours_farthest(features, labels, k):
    return score_of_gaps(-squared_gaps(features), labels, k)


def neighbours_mean_label(features, labels, k):
    gaps = squared_gaps(features)
    np.fill_diagonal(gaps, np.inf)
    nearest = np.argsort(gaps, axis=1)[:, :k]
    return float((np.round(labels[nearest].mean(axis=1)) == labels).mean())


def neighbours_share(features, labels, k):
    gaps = squared_gaps(features)
    np.fill_diagonal(gaps, np.inf)
    nearest = np.argsort(gaps, axis=1)[:, :k]
    return float((labels[nearest] == labels[:, None]).mean())


NEIGHBOUR_SCORE = Exercise(
    name="neighbour_score",
    title="Repair: a score that is too good",
    kind="repair",
    difficulty=2,
    importance=5,
    minutes=10,
    prompt="""
Features without a classifier are judged by their neighbours: **leave one picture out, ask its k
nearest others, and let the majority tell its label** (of equal votes, the smallest label wins).
This function runs, and with k = 1 it finds *every* feature perfect, even random ones. Find the
fault and mend it.
""",
    solution=neighbour_score,
    stub=neighbour_score_faulty,
    cases=neighbour_score_cases,
    misconceptions=(
        Misconception(
            "one neighbour more",
            neighbours_one_more,
            "You ask one neighbour more, but the picture itself is still among them and votes for "
            "its own label.",
        ),
        Misconception(
            "one neighbour less",
            neighbours_one_less,
            "The picture itself is left out now, but only k − 1 others are asked: k are due.",
        ),
        Misconception(
            "the farthest",
            neighbours_farthest,
            "You ask the farthest pictures, not the nearest ones.",
        ),
        Misconception(
            "mean of the labels",
            neighbours_mean_label,
            "You average the labels of the neighbours: a label is a name, and between 1 and 3 "
            "there is no 2. Let the majority tell it.",
        ),
        Misconception(
            "no majority",
            neighbours_share,
            "You count the share of neighbours with the right label; a majority is asked for, "
            "which is right or wrong as a whole.",
        ),
    ),
    hints=(
        "Who is the nearest neighbour of a picture, if nobody is excluded?",
        "`np.fill_diagonal(gaps, np.inf)` writes into gaps and returns nothing.",
    ),
    equivalent={"call 6:11 sum → mean": "every gap is divided by the same d: the order stays"},
)

# --- predict: a queue and a slow teacher, with constants of one's own -----------------------------


def slow_copy(steps, rate):
    """Weight that a moving average still gives to its start after so many steps, by stepping."""
    old = 1.0
    for _ in range(steps):
        old = rate * old
    return old


def slow_teacher(variant):
    """The exercise, with numbers that follow from the variant."""
    rng = np.random.default_rng(variant)
    steps = int(rng.integers(5, 16)) * 20
    rate = float(rng.choice([0.98, 0.985, 0.99, 0.992]))
    batch = int(rng.choice([48, 96, 160, 320]))
    right = {"negatives": 2 * batch - 2, "start_left": slow_copy(steps, rate)}
    return Exercise(
        name="slow_teacher",
        title="How many strangers, how old a teacher?",
        kind="predict",
        difficulty=2,
        importance=4,
        minutes=6,
        prompt=f"""
Two numbers to know before a training starts. Compute them, by hand or by code:

* `"negatives"`: SimCLR takes a batch of **{batch}** pictures, two views each. How many
  **negatives** does one view have in NT-Xent?
* `"start_left"`: a teacher follows its student, `teacher = {rate} * teacher + {1 - rate:.3f} *
  student`, in every step. What **share** of the teacher's first weights is left in it after
  **{steps}** steps? (0 to 1, to 1 %)
""",
        solution=right,
        measure=lambda: {
            "negatives": len({*range(2 * batch)} - {0, batch}),
            "start_left": slow_copy(steps, rate),
        },
        rtol=0.01,
        misconceptions=(
            Misconception(
                "the other pictures",
                right | {"negatives": batch - 1},
                "You count the other pictures once: each of them stands there in two views.",
            ),
            Misconception(
                "partner counted",
                right | {"negatives": 2 * batch - 1},
                "You count all other views: one of them is the partner, which is the positive.",
            ),
            Misconception(
                "all views",
                right | {"negatives": 2 * batch},
                "You count all 2N views: a view is no negative of itself, and nor is its partner.",
            ),
            Misconception(
                "share that came in",
                right | {"start_left": 1 - slow_copy(steps, rate)},
                "You tell the share that came from the student; the share that is left is asked "
                "for.",
            ),
            Misconception(
                "straight line",
                right | {"start_left": max(0.0, 1 - steps * (1 - rate))},
                "You subtract the same amount in each step. Each step keeps a share of what is "
                "left: the shares multiply.",
            ),
        ),
        hints=(
            "How many views are in the batch, and which two of them are no negatives?",
            "After one step, `rate` of the start is left. After two?",
        ),
    )


EXERCISES = (ALIGN_UNIFORM, NEIGHBOUR_SCORE)


def varied(variant):
    """The exercises whose constants differ from student to student."""
    return (slow_teacher(variant),)
