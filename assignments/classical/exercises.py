"""New exercises of the assignment `classical`: what is done with keypoints after matching."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

# --- implement: a rotation by vote ----------------------------------------------------------------


def rotation_vote(angles_a, angles_b, bins):
    """By how much picture b is turned, from the angles of matched keypoints, many of them wrong.

    angles_a, angles_b: (N,) radians, row i of both is one match; bins: whole number
    → radians in [0, 2π), the mean turn within the fullest bin
    """
    turns = (angles_b - angles_a) % (2 * np.pi)
    votes = np.floor(turns / (2 * np.pi) * bins).astype(int)
    fullest = np.bincount(votes).argmax()
    return float(turns[votes == fullest].mean())


def rotation_vote_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, bins, share in [(60, 12, 0.6), (48, 9, 0.5), (90, 16, 0.5), (75, 11, 0.4)]:
        width = 2 * np.pi / bins
        turn = (rng.integers(bins // 2 + 1, bins) + 0.5) * width  # the middle of a bin
        good = int(n * share)
        turns = rng.uniform(0, 2 * np.pi, n)
        turns[:good] = turn + rng.uniform(-0.35, 0.45, good) * width
        angles = rng.uniform(0, 2 * np.pi, n)
        order = rng.permutation(n)
        both = {"angles_a": angles[order], "angles_b": ((angles + turns) % (2 * np.pi))[order]}
        cases.append(both | {"bins": bins})
    return cases


def vote_of_the_mean(angles_a, angles_b, bins):
    return float(((angles_b - angles_a) % (2 * np.pi)).mean())


def vote_of_the_median(angles_a, angles_b, bins):
    return float(np.median((angles_b - angles_a) % (2 * np.pi)))


def vote_backwards(angles_a, angles_b, bins):
    return rotation_vote(angles_b, angles_a, bins)


def vote_of_the_middle(angles_a, angles_b, bins):
    turns = (angles_b - angles_a) % (2 * np.pi)
    fullest = np.bincount(np.floor(turns / (2 * np.pi) * bins).astype(int)).argmax()
    return float((fullest + 0.5) * 2 * np.pi / bins)


def vote_without_wrap(angles_a, angles_b, bins):
    turns = angles_b - angles_a
    counts, edges = np.histogram(turns, bins)
    fullest = counts.argmax()
    inside = (turns >= edges[fullest]) & (turns <= edges[fullest + 1])
    return float(turns[inside].mean())


def vote_of_absolutes(angles_a, angles_b, bins):
    return rotation_vote(np.zeros(len(angles_a)), np.abs(angles_b - angles_a), bins)


def vote_in_degrees(angles_a, angles_b, bins):
    return float(np.degrees(rotation_vote(angles_a, angles_b, bins)))


ROTATION_VOTE = Exercise(
    name="rotation_vote",
    title="Let the matches vote on a rotation",
    kind="implement",
    difficulty=3,
    importance=4,
    minutes=15,
    prompt="""
Each matched keypoint has an angle in picture a and one in picture b. If b is a turned by some
angle, every right match tells that turn, `angles_b - angles_a`, and wrong matches tell anything.

1. Bring each turn into [0, 2π).
2. Let it vote for one of `bins` equal bins of [0, 2π); bin 0 begins at 0.
3. Return the **mean of the turns that lie in the fullest bin**, as a float in radians.

(The public and the hidden cases have one bin that is clearly the fullest.)
""",
    solution=rotation_vote,
    cases=rotation_vote_cases,
    misconceptions=(
        Misconception(
            "mean of all",
            vote_of_the_mean,
            "You average all turns: half of them come from wrong matches and pull the mean away. "
            "Vote first, and average only within the fullest bin.",
        ),
        Misconception(
            "median of all",
            vote_of_the_median,
            "You take the median of all turns. It stands fewer than half wrong values, and on a "
            "circle it depends on where the circle was cut open: vote instead.",
        ),
        Misconception(
            "turned back",
            vote_backwards,
            "You measure how a is turned against b: the turn asked for is `angles_b - angles_a`.",
        ),
        Misconception(
            "middle of the bin",
            vote_of_the_middle,
            "You return the middle of the fullest bin: the vote finds the right bin, and the mean "
            "of the turns inside it is finer than the bin.",
        ),
        Misconception(
            "no circle",
            vote_without_wrap,
            "Your turns are negative where b's angle is the smaller one, so one rotation votes in "
            "two places, 2π apart: take the difference modulo 2π.",
        ),
        Misconception(
            "absolute difference",
            vote_of_absolutes,
            "You take the absolute difference, which gives a turn of −1 and one of +1 the same "
            "vote: take it modulo 2π.",
        ),
        Misconception(
            "in degrees", vote_in_degrees, "Your answer is in degrees; radians are asked for."
        ),
    ),
    hints=(
        "A turn of −0.1 and one of 2π − 0.1 are the same turn: what does `%` do with both?",
        "`np.floor(turns / (2 * np.pi) * bins)` is the bin, `np.bincount` counts the votes.",
    ),
    equivalent={
        "drop 8:12 floor": "whole numbers are cut off downwards, and no turn is negative",
        "call 8:12 floor → ceil": "every bin moves up by one, with all its votes",
    },
)

# --- repair: strong points, apart from each other -------------------------------------------------


def strongest_apart(points, responses, distance):
    """Pick keypoints from the strongest down; skip what is too near to one that was picked.

    points: (N, 2), responses: (N,), distance: pixels → list of row numbers, the strongest first
    """
    picked = []
    for i in np.argsort(-responses):
        gaps = np.hypot(*(points[picked] - points[i]).T)
        if (gaps >= distance).all():
            picked.append(int(i))
    return picked


def strongest_apart_faulty(points, responses, distance):
    """Pick keypoints from the strongest down; skip what is too near to one that was picked.

    points: (N, 2), responses: (N,), distance: pixels → list of row numbers, the strongest first
    """
    picked = []
    order = np.argsort(-responses)
    for rank, i in enumerate(order):
        gaps = np.hypot(*(points[order[:rank]] - points[i]).T)
        if (gaps >= distance).all():
            picked.append(int(i))
    return picked


def strongest_apart_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, distance in [(70, 5), (45, 4), (90, 5), (60, 3)]:
        cells = rng.permutation(16 * 11)[:n]  # whole pixels, so that gaps of exactly `distance`
        points = np.stack([cells % 16, cells // 16], 1) * 1.0
        cases.append({"points": points, "responses": rng.uniform(0, 1, n), "distance": distance})
    return cases


def apart_from_the_weakest(points, responses, distance):
    return strongest_apart(points, -responses, distance)


def apart_from_the_last(points, responses, distance):
    picked = []
    for i in np.argsort(-responses):
        if not picked or np.hypot(*(points[picked[-1]] - points[i])) >= distance:
            picked.append(int(i))
    return picked


def apart_in_a_square(points, responses, distance):
    picked = []
    for i in np.argsort(-responses):
        if (np.abs(points[picked] - points[i]).max(axis=1) >= distance).all():
            picked.append(int(i))
    return picked


def apart_squared(points, responses, distance):
    return strongest_apart(points, responses, distance**0.5)


def apart_in_order_of_rows(points, responses, distance):
    return sorted(strongest_apart(points, responses, distance))


def apart_one_by_one(points, responses, distance):
    return strongest_apart(points, -np.arange(len(points)), distance)


STRONGEST_APART = Exercise(
    name="strongest_apart",
    title="Repair: points that vanish for nothing",
    kind="repair",
    difficulty=3,
    importance=4,
    minutes=12,
    prompt="""
Strong keypoints crowd together on one textured wall, and a homography wants them spread over the
picture. So one goes **from the strongest down and picks a point, unless it is nearer than
`distance` to one that has been picked**. This function runs, its points are far enough apart, and
yet it leaves holes: points are missing that nothing stands in the way of. Find the fault and mend
it.
""",
    solution=strongest_apart,
    stub=strongest_apart_faulty,
    cases=strongest_apart_cases,
    misconceptions=(
        Misconception(
            "weakest first",
            apart_from_the_weakest,
            "You begin with the weakest point: `np.argsort` sorts upwards, hence the minus sign.",
        ),
        Misconception(
            "only the last one",
            apart_from_the_last,
            "You look only at the point picked last: a new one must be far from every picked one.",
        ),
        Misconception(
            "square, not circle",
            apart_in_a_square,
            "You measure the larger of the two steps in x and y, so that corners of a square count "
            "as near: the straight distance is meant.",
        ),
        Misconception(
            "distance squared on one side",
            apart_squared,
            "You hold a squared gap against a distance that is not squared.",
        ),
        Misconception(
            "sorted rows",
            apart_in_order_of_rows,
            "The right points, but sorted by row number: the strongest comes first.",
        ),
        Misconception(
            "strength ignored",
            apart_one_by_one,
            "You go through the rows as they stand: strength decides who comes first.",
        ),
    ),
    hints=(
        "Three points in a row, the middle one near to both others: who should be left?",
        "With what is point i compared: with all stronger points, or with those picked?",
    ),
)

# --- predict: what matching costs, with constants of one's own ------------------------------------


def costs_of(points_a, points_b):
    """Comparisons of all pairs and bytes of both pictures' descriptors, from real arrays."""
    sift = [np.zeros((n, 128), np.float32) for n in (points_a, points_b)]
    brief = [np.packbits(np.zeros((n, 256), bool), axis=1) for n in (points_a, points_b)]
    return {
        "comparisons": points_a * points_b,
        "sift_bytes": sum(array.nbytes for array in sift),
        "brief_bytes": sum(array.nbytes for array in brief),
    }


def matching_cost(variant):
    """The exercise, with numbers of points that follow from the variant."""
    rng = np.random.default_rng(variant)
    a, b = (int(n) for n in rng.choice(np.arange(12, 40), 2, replace=False) * 50)
    right = costs_of(a, b)
    return Exercise(
        name="matching_cost",
        title="What do two pictures cost?",
        kind="predict",
        difficulty=1,
        importance=3,
        minutes=5,
        prompt=f"""
Picture a has **{a}** keypoints, picture b has **{b}**. Their descriptors are held in memory, and
every one of a is compared with every one of b. Say

* `"comparisons"`: how many pairs are compared,
* `"sift_bytes"`: how many bytes the SIFT descriptors of **both** pictures take (128 numbers in
  float32 each),
* `"brief_bytes"`: how many bytes their BRIEF descriptors take (256 bits each, packed).
""",
        solution=right,
        measure=lambda: costs_of(a, b),
        misconceptions=(
            Misconception(
                "each pair twice",
                right | {"comparisons": 2 * a * b},
                "You count each pair twice: one distance serves both directions.",
            ),
            Misconception(
                "pairs among all points",
                right | {"comparisons": (a + b) * (a + b - 1) // 2},
                "You also compare points of one picture with each other.",
            ),
            Misconception(
                "float64",
                right | {"sift_bytes": 2 * right["sift_bytes"]},
                "You count eight bytes a number, which is float64; float32 takes four.",
            ),
            Misconception(
                "one byte a number",
                right | {"sift_bytes": right["sift_bytes"] // 4},
                "You count one byte a number. Files hold SIFT like that; float32 takes four.",
            ),
            Misconception(
                "a bit takes a byte",
                right | {"brief_bytes": 8 * right["brief_bytes"]},
                "You count a byte for each bit: packed, eight bits share one byte.",
            ),
            Misconception(
                "one picture only",
                right | {"sift_bytes": a * 512, "brief_bytes": a * 32},
                "You count the descriptors of picture a only.",
            ),
        ),
        hints=("float32 has 32 bits. How many bytes are 128 of them?", "256 bits are 32 bytes."),
    )


# --- test: a difference of angles -----------------------------------------------------------------


def angle_gap(a, b):
    """How far two directions are apart, 0 to π, whatever turns have been added to either."""
    return np.abs((np.asarray(a) - b + np.pi) % (2 * np.pi) - np.pi)


def test_angle_gap(angle_gap):
    """Assert what a right `angle_gap` does.

    angle_gap: a function of two angles in radians, numbers or arrays of one shape → 0 to π
    """
    assert abs(angle_gap(1.0, 0.25) - 0.75) < 1e-5
    assert abs(angle_gap(0.25, 1.0) - 0.75) < 1e-5
    assert abs(angle_gap(0.1, 2 * np.pi - 0.2) - 0.3) < 1e-5
    assert abs(angle_gap(2 * np.pi - 0.2, 0.1) - 0.3) < 1e-5
    assert abs(angle_gap(0.5, 0.5 + np.pi) - np.pi) < 1e-5
    assert abs(angle_gap(7 * np.pi, 0.5) - (np.pi - 0.5)) < 1e-5
    gaps = angle_gap(np.array([0.0, 6.0, 3.0]), np.array([0.4, 0.0, 1.0]))
    assert np.allclose(gaps, [0.4, 2 * np.pi - 6, 2.0], atol=1e-5)


def gap_without_wrap(a, b):
    return np.abs(np.asarray(a) - b)


def gap_with_sign(a, b):
    return (np.asarray(a) - b + np.pi) % (2 * np.pi) - np.pi


def gap_one_way(a, b):
    return (np.asarray(a) - b) % (2 * np.pi)


def gap_of_lines(a, b):
    return np.abs((np.asarray(a) - b + np.pi / 2) % np.pi - np.pi / 2)


def gap_after_one_turn(a, b):
    gap = np.abs(np.asarray(a) - b)
    return np.minimum(gap, np.abs(2 * np.pi - gap))


def gap_of_numbers(a, b):
    return float(angle_gap(np.ravel(a)[0], np.ravel(b)[0]))


def gap_by_cosine(a, b):
    return np.arccos(np.clip(np.cos(np.asarray(a) - b), -1, 1))


def gap_by_halves(a, b):
    gap = np.abs(np.asarray(a) - b) % (2 * np.pi)
    return np.minimum(gap, 2 * np.pi - gap)


TEST_ANGLE_GAP = Exercise(
    name="test_angle_gap",
    title="Write the test of a difference on a circle",
    kind="test",
    difficulty=3,
    importance=4,
    minutes=12,
    prompt="""
`angle_gap(a, b)` says how far two directions are apart: radians from 0 to π, the short way round,
the same in both orders, and whatever full turns have been added to either angle. It takes two
numbers, or two arrays of one shape. Write a test that `assert`s this. It is then run on several
right implementations (they round differently: leave room for 1e-5) and on many wrong ones: accept
every right one, reject all others.
""",
    solution=test_angle_gap,
    subject=angle_gap,
    misconceptions=(
        Misconception(
            "no circle",
            gap_without_wrap,
            "Your test accepts a plain |a − b|: put one angle just above 0 and one just below 2π.",
        ),
        Misconception(
            "sign kept",
            gap_with_sign,
            "Your test accepts a gap with a sign: ask in both orders.",
        ),
        Misconception(
            "one way round",
            gap_one_way,
            "Your test accepts a gap that goes one way round, up to 2π: ask in both orders.",
        ),
        Misconception(
            "lines, not directions",
            gap_of_lines,
            "Your test accepts a function for which opposite directions are the same.",
        ),
        Misconception(
            "one turn only",
            gap_after_one_turn,
            "Your test accepts a function that fails when several full turns have been added.",
        ),
        Misconception(
            "numbers only",
            gap_of_numbers,
            "Your test accepts a function that looks at the first element only: give it arrays.",
        ),
    ),
    also_right=(
        Misconception(
            "by cosine",
            gap_by_cosine,
            "one that takes arccos(cos(a − b)), which rounds near 0 and π. Allow 1e-5.",
        ),
        Misconception(
            "by the shorter arc",
            gap_by_halves,
            "one that takes the smaller of the two arcs, which rounds differently.",
        ),
    ),
    hints=(
        "Which pair of angles is 0.3 apart, although their difference is nearly 2π?",
        "One line for each promise: order, short way, opposite, several turns, arrays.",
    ),
    equivalent={"arithmetic 3:19 + → -": "a full turn more or less, which the modulo takes away"},
)

EXERCISES = (ROTATION_VOTE, STRONGEST_APART, TEST_ANGLE_GAP)


def varied(variant):
    """The exercises whose constants differ from student to student."""
    return (matching_cost(variant),)
