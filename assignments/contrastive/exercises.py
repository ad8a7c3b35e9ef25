"""New exercises of the assignment `contrastive`: pictures and texts that must find each other."""

from __future__ import annotations

import math

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

# --- implement: the mean reciprocal rank ----------------------------------------------------------


def reciprocal_rank(scores, right):
    """Mean over the questions of 1 / rank of the best right answer; ties count against it.

    scores: (N, M) floats, larger is better; right: bool (N, M), at least one True a row → float
    """
    total = 0.0
    for row, is_right in zip(scores, right, strict=True):
        best = row[is_right].max()
        rank = 1 + (row[~is_right] >= best).sum()
        total += 1 / rank
    return float(total / len(scores))


def reciprocal_rank_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, m in [(6, 9), (4, 12), (8, 7)]:
        right = rng.random((n, m)) < 0.3
        right[:, :2] = [True, False]
        right[0, 2] = True
        scores = np.round(rng.normal(0, 1, (n, m)) + 0.6 * right, 1)  # rounded: ties occur
        row = int(rng.integers(1, n))
        scores[row, right[row]] = scores[row, ~right[row]].min()  # a tie for certain
        scores[0, right[0]] += 3  # several right ones in front
        order = rng.permutation(m)
        cases.append({"scores": scores[:, order], "right": right[:, order]})
    return cases


def rank_of_each(scores, right, worst=False, ties=True):
    """Ranks with the ways to get them wrong."""
    ranks = []
    for row, is_right in zip(scores, right, strict=True):
        best = row[is_right].min() if worst else row[is_right].max()
        wrong = row[~is_right]
        ranks.append(1 + ((wrong >= best) if ties else (wrong > best)).sum())
    return np.array(ranks)


def rank_lucky_ties(scores, right):
    return float((1 / rank_of_each(scores, right, ties=False)).mean())


def rank_of_the_worst(scores, right):
    return float((1 / rank_of_each(scores, right, worst=True)).mean())


def rank_inverse_of_mean(scores, right):
    return float(1 / rank_of_each(scores, right).mean())


def rank_upwards(scores, right):
    return reciprocal_rank(-np.asarray(scores), right)


def rank_first_only(scores, right):
    return float((rank_of_each(scores, right) == 1).mean())


def rank_among_all(scores, right):
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    return float((1 / (scores >= best).sum(axis=1)).mean())


def rank_first_right(scores, right):
    first = np.asarray(right).argmax(axis=1)
    best = scores[np.arange(len(scores)), first][:, None]
    return float((1 / (1 + ((scores >= best) & ~right).sum(axis=1))).mean())


RECIPROCAL_RANK = Exercise(
    name="reciprocal_rank",
    title="How soon does the first right answer come?",
    kind="implement",
    difficulty=3,
    importance=4,
    minutes=15,
    prompt="""
Retrieval asks N questions (pictures) of M answers (texts), and a question may have **several**
right answers. The rank of a question is 1 plus the number of **wrong** answers that stand before
its
**best** right one; a wrong answer with the **same** score stands before it. Return the mean over
the questions of 1 / rank, as a float.

A row of scores `0.9, 0.7, 0.7, 0.2`, of which the second and the last are right, has rank 3.
""",
    solution=reciprocal_rank,
    cases=reciprocal_rank_cases,
    misconceptions=(
        Misconception(
            "ties in one's favour",
            rank_lucky_ties,
            "You let the right answer win every tie. A network that gives all the same score would "
            "then be perfect: a wrong answer with the same score stands before it.",
        ),
        Misconception(
            "the worst right one",
            rank_of_the_worst,
            "You take the rank of the worst right answer; the best of them is asked for.",
        ),
        Misconception(
            "inverse of the mean rank",
            rank_inverse_of_mean,
            "You invert the mean rank: take 1 / rank of each question first, and then the mean.",
        ),
        Misconception(
            "small is good",
            rank_upwards,
            "You rank upwards: these are similarities, so the largest score stands first.",
        ),
        Misconception(
            "only the first place counts",
            rank_first_only,
            "You count how often a right answer comes first (recall at 1): second and third places "
            "earn 1/2 and 1/3 here.",
        ),
        Misconception(
            "other right ones in the way",
            rank_among_all,
            "You count right answers too among those that stand before it: only wrong ones are in "
            "the way.",
        ),
        Misconception(
            "the right one that is listed first",
            rank_first_right,
            "You take the first right answer of the list; the one with the best score is meant.",
        ),
    ),
    hints=(
        "What is the best score among the right answers of one row?",
        "`(row[~is_right] >= best).sum()` counts the wrong ones that stand before it.",
    ),
    equivalent={"constant 7:51 True → False": "both have N rows, so there is nothing to notice"},
)

# --- repair: one feature for each class -----------------------------------------------------------


def class_features(texts, n_classes):
    """One unit feature for each class from all sentences about it.

    texts: (T·K, d) floats: T templates one after the other, each filled with all K classes in turn
    → (K, d), the mean of the unit sentences of a class, brought to length 1
    """
    unit = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    mean = unit.reshape(-1, n_classes, texts.shape[1]).mean(axis=0)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def class_features_faulty(texts, n_classes):
    """One unit feature for each class from all sentences about it.

    texts: (T·K, d) floats: T templates one after the other, each filled with all K classes in turn
    → (K, d), the mean of the unit sentences of a class, brought to length 1
    """
    unit = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    mean = unit.reshape(n_classes, -1, texts.shape[1]).mean(axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def class_features_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for templates, k, d in [(3, 5, 4), (4, 2, 6), (2, 7, 3)]:
        texts = rng.normal(0.2, 1, (templates * k, d)) * rng.uniform(0.3, 4, (templates * k, 1))
        cases.append({"texts": texts, "n_classes": k})
    return cases


def class_mean_of_raw(texts, n_classes):
    mean = texts.reshape(-1, n_classes, texts.shape[1]).mean(axis=0)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def class_not_unit(texts, n_classes):
    unit = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    return unit.reshape(-1, n_classes, texts.shape[1]).mean(axis=0)


def class_first_template(texts, n_classes):
    first = texts[:n_classes]
    return first / np.linalg.norm(first, axis=1, keepdims=True)


def class_over_classes(texts, n_classes):
    unit = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    mean = unit.reshape(-1, n_classes, texts.shape[1]).mean(axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


CLASS_FEATURES = Exercise(
    name="class_features",
    title="Repair: classes that speak for each other",
    kind="repair",
    difficulty=2,
    importance=5,
    minutes=8,
    prompt="""
Zero-shot classification fills T templates with K class names:

    texts = [template.format(name) for template in templates for name in names]

and wants **one** unit feature for each class: the mean of its unit sentences, brought to length 1
again. This function returns the right shape and unit rows, and its classifier guesses. With one
template, or with one class, it is right. Find the fault and mend it.
""",
    solution=class_features,
    stub=class_features_faulty,
    cases=class_features_cases,
    misconceptions=(
        Misconception(
            "sentences not of unit length",
            class_mean_of_raw,
            "You take the mean of sentences of any length: a long one outweighs the others. Bring "
            "each sentence to length 1 first.",
        ),
        Misconception(
            "mean left short",
            class_not_unit,
            "The mean of unit features is shorter than 1: bring it to length 1 again.",
        ),
        Misconception(
            "first template only",
            class_first_template,
            "You use the first template only: all T sentences of a class are to be averaged.",
        ),
        Misconception(
            "mean over the classes",
            class_over_classes,
            "You average over the classes and get one feature for each template.",
        ),
    ),
    hints=(
        "Write down which template and which class rows 0, 1 and K belong to.",
        "The class runs fastest: which axis of `reshape` must be the last but one?",
    ),
    equivalent={
        "call 8:11 mean → sum": "the sum has the direction of the mean, and only that remains",
        "constant 8:25 1 → 2": "NumPy takes any negative length for the one to be found",
    },
)

# --- predict: a batch on several devices, with constants of one's own -----------------------------


def numbers_of(pairs, devices):
    """Counted on the table of all pairs."""
    owner = np.arange(pairs) // (pairs // devices)
    return {
        "alone": int((owner == owner[0]).sum() - 1),
        "gathered": len(owner) - 1,
        "first_loss": math.log(len(owner)),
    }


def gathered_batch(variant):
    """The exercise, with a batch and a number of devices that follow from the variant."""
    rng = np.random.default_rng(variant)
    devices = int(rng.choice([4, 6, 8, 16]))
    each = int(rng.choice([24, 48, 80, 96]))
    pairs = devices * each
    right = numbers_of(pairs, devices)
    return Exercise(
        name="gathered_batch",
        title="A batch on several devices",
        kind="predict",
        difficulty=2,
        importance=4,
        minutes=6,
        prompt=f"""
CLIP is trained with **{pairs} pairs** in a batch, spread evenly over **{devices} devices**. Say

* `"alone"`: how many wrong texts a picture is compared with, if each device keeps to its own pairs,
* `"gathered"`: how many, if the features of all devices are gathered first,
* `"first_loss"`: the loss of the gathered batch for a network that gives **all pairs the same**
  similarity (natural logarithm, to 1 %).
""",
        solution=right,
        measure=lambda: numbers_of(pairs, devices),
        rtol=0.01,
        misconceptions=(
            Misconception(
                "the right text counted",
                right | {"alone": each, "gathered": pairs},
                "You count the right text among the wrong ones.",
            ),
            Misconception(
                "pictures as negatives",
                right | {"alone": 2 * each - 2, "gathered": 2 * pairs - 2},
                "You count the other pictures as well, as in SimCLR: CLIP compares a picture with "
                "texts only.",
            ),
            Misconception(
                "one from each device",
                right | {"gathered": each - 1 + devices - 1},
                "You gather one text from each other device: all their texts are gathered.",
            ),
            Misconception(
                "loss of one device",
                right | {"first_loss": math.log(each)},
                "That is the first loss of one device by itself: the gathered batch has more "
                "candidates.",
            ),
            Misconception(
                "to base 2",
                right | {"first_loss": math.log2(pairs)},
                "You took the logarithm to base 2: losses are in nats.",
            ),
            Misconception(
                "both directions added",
                right | {"first_loss": 2 * math.log(pairs)},
                "You added both directions: CLIP's loss is their mean.",
            ),
        ),
        hints=(
            "How many pairs has one device?",
            "All alike: what is the probability of the right one among N, and its logarithm?",
        ),
    )


EXERCISES = (RECIPROCAL_RANK, CLASS_FEATURES)


def varied(variant):
    """The exercises whose constants differ from student to student."""
    return (gathered_batch(variant),)
