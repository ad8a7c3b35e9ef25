"""Exercises of notebook 00_start: how a lesson works, on patches of grey pictures.

A patch is a small cut-out of a picture. All that SIFT and its successors do begins with cutting
patches, making them comparable, and measuring how far apart two of them are.
"""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.quiz import Question

# --- implement: the distance of two patches -------------------------------------------------------


def patch_distance(a, b):
    """Sum of squared differences of two grey patches.

    a, b: uint8 (H, W) → float
    """
    difference = a.astype(np.float64) - b.astype(np.float64)
    return float((difference**2).sum())


def patch_distance_cases(seed):
    rng = np.random.default_rng(seed)
    shapes = [(3, 5), (4, 7), (6, 2)]
    return [
        {"a": rng.integers(0, 256, shape, np.uint8), "b": rng.integers(0, 256, shape, np.uint8)}
        for shape in shapes
    ]


def distance_that_wraps(a, b):
    return float(((a - b).astype(np.float64) ** 2).sum())


def distance_squared_in_bytes(a, b):
    difference = np.abs(a.astype(np.int16) - b).astype(np.uint8)
    return float((difference**2).sum())


def distance_loop_in_bytes(a, b):
    total = 0
    for p, q in zip(a.ravel(), b.ravel(), strict=True):
        total += (p - q) ** 2  # uint8 − uint8 is uint8, and so is the total from then on
    return float(total)


def distance_squared_in_int16(a, b):
    difference = a.astype(np.int16) - b.astype(np.int16)
    return float((difference**2).sum())


def distance_built_in_sum(a, b):
    return sum((a.astype(np.float64) - b) ** 2)


def distance_absolute(a, b):
    return float(np.abs(a.astype(np.float64) - b).sum())


def distance_of_sums(a, b):
    return float((a.astype(np.float64).sum() - b.astype(np.float64).sum()) ** 2)


def distance_mean(a, b):
    return float(((a.astype(np.float64) - b) ** 2).mean())


def distance_with_root(a, b):
    return float(np.sqrt(((a.astype(np.float64) - b) ** 2).sum()))


PATCH_DISTANCE = Exercise(
    name="patch_distance",
    title="How far apart are two patches?",
    kind="implement",
    difficulty=1,
    importance=4,
    minutes=5,
    prompt="""
Two grey patches `a` and `b` have the same shape and type uint8. Return the **sum of squared
differences** of their pixels, as a float:

$$d(a, b) = \\sum_{y, x} (a_{yx} - b_{yx})^2$$
""",
    solution=patch_distance,
    cases=patch_distance_cases,
    misconceptions=(
        Misconception(
            "uint8 wrap-around",
            distance_that_wraps,
            "You subtract in uint8, where 3 − 5 is 254: convert to float before you subtract.",
        ),
        Misconception(
            "square overflows uint8",
            distance_squared_in_bytes,
            "Your squares are uint8, where 16² is 0: convert both patches to float first, then "
            "subtract and square.",
        ),
        Misconception(
            "loop in uint8",
            distance_loop_in_bytes,
            "A pixel taken out of the array in a loop is still uint8: its difference, its square "
            "and even the running total wrap around at 256. Convert both patches to float first.",
        ),
        Misconception(
            "square overflows int16",
            distance_squared_in_int16,
            "int16 has room for the difference, but ends at 32767, and 200² is 40000: convert to "
            "float.",
        ),
        Misconception(
            "built-in sum",
            distance_built_in_sum,
            "Python's own `sum` adds up the rows and returns one number for each column: "
            "`.sum()` of the array adds all pixels.",
        ),
        Misconception(
            "absolute, not squared",
            distance_absolute,
            "You sum absolute differences (L1); here each difference is squared first.",
        ),
        Misconception(
            "difference of the sums",
            distance_of_sums,
            "You compare the total brightness of the patches: square each pixel's difference, "
            "then sum.",
        ),
        Misconception(
            "mean, not sum",
            distance_mean,
            "You take the mean over the pixels; the sum is asked for.",
        ),
        Misconception(
            "root taken",
            distance_with_root,
            "You take the square root at the end: that is the Euclidean distance; its square is "
            "asked for.",
        ),
    ),
    hints=(
        "What does `np.uint8(3) - np.uint8(5)` give, and why?",
        "`a.astype(np.float64)` makes room for negative numbers and large squares.",
        "Convert both patches, subtract, square with `** 2`, and call `.sum()`.",
    ),
    equivalent={
        "drop 6:17 astype": "b is float64 already, so NumPy subtracts in float64",
        "drop 6:40 astype": "a is float64 already, so NumPy subtracts in float64",
    },
)

# --- predict: what survives a change of light -----------------------------------------------------

LIGHT_CHOICES = ("brightness", "contrast", "noise", "none of them")


def survivor_of_light():
    """Measures which change leaves the difference of two patches' pixels as it was."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 100, (2, 5, 7))
    changes = {
        "brightness": lambda patch: patch + 40,
        "contrast": lambda patch: patch * 1.5,
        "noise": lambda patch: patch + rng.normal(0, 5, patch.shape),
    }
    same = [
        name
        for name, f in changes.items()
        if np.isclose(((f(a) - f(b)) ** 2).sum(), ((a - b) ** 2).sum())
    ]
    return same[0] if same else "none of them"


SURVIVES = Exercise(
    name="survives",
    title="What does the distance survive?",
    kind="predict",
    difficulty=2,
    importance=3,
    minutes=3,
    prompt="""
Two patches are compared by the sum of squared differences. Now **both** photographs change in the
same way, and no pixel leaves the range that its type can hold. Which change leaves the distance
**exactly** as it was?

* `"brightness"`: 40 is added to every pixel of both,
* `"contrast"`: every pixel of both is multiplied by 1.5,
* `"noise"`: each pixel of both gets a random number of its own,
* `"none of them"`.
""",
    solution="brightness",
    choices=LIGHT_CHOICES,
    measure=survivor_of_light,
    misconceptions=(
        Misconception(
            "contrast cancels",
            "contrast",
            "A factor does not cancel in a difference: 1.5a − 1.5b is 1.5 (a − b), so the distance "
            "grows by 1.5².",
        ),
        Misconception(
            "noise averages out",
            "noise",
            "Noise differs from pixel to pixel and from picture to picture, and squares cannot "
            "cancel: it adds to the distance.",
        ),
        Misconception(
            "nothing survives",
            "none of them",
            "One of them cancels: write the change into (a − b)² and see which.",
        ),
    ),
    hints=(
        "Write the changed patches into the formula: what is (a + 40) − (b + 40)?",
        "Only what is added to *both* pixels alike disappears in the subtraction.",
    ),
)

# --- repair: the patch cutter ---------------------------------------------------------------------


def cut_patch(image, x, y, radius):
    """Cut the square patch around the point (x, y), x to the right and y down.

    image: (H, W), radius: whole number → (2·radius + 1, 2·radius + 1)
    """
    rows = slice(y - radius, y + radius + 1)
    columns = slice(x - radius, x + radius + 1)
    return image[rows, columns]


def cut_patch_faulty(image, x, y, radius):
    """Cut the square patch around the point (x, y), x to the right and y down.

    image: (H, W), radius: whole number → (2·radius + 1, 2·radius + 1)
    """
    first = slice(x - radius, x + radius + 1)
    second = slice(y - radius, y + radius + 1)
    return image[first, second]


def cut_patch_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for height, width, radius in [(17, 23, 2), (15, 19, 3), (21, 14, 1), (12, 26, 2)]:
        x, y = rng.choice(np.arange(radius + 1, min(height, width) - radius - 1), 2, replace=False)
        image = rng.uniform(0, 255, (height, width))
        cases.append({"image": image, "x": int(x), "y": int(y), "radius": radius})
    return cases


def cut_short(image, x, y, radius):
    return image[y - radius : y + radius, x - radius : x + radius]


def cut_transposed(image, x, y, radius):
    return cut_patch_faulty(image, x, y, radius).T


def cut_result_transposed(image, x, y, radius):
    return cut_patch(image, x, y, radius).T


def cut_chained(image, x, y, radius):
    return image[x - radius : x + radius + 1][y - radius : y + radius + 1]


def cut_chained_rows_first(image, x, y, radius):
    return image[y - radius : y + radius + 1][x - radius : x + radius + 1]


def cut_from_corner(image, x, y, radius):
    size = 2 * radius + 1
    return image[y : y + size, x : x + size]


ONE_AFTER_THE_OTHER = (
    "`image[…][…]` cuts rows, and then rows of those rows: both slices belong into one pair of "
    "brackets, `image[rows, columns]`."
)

CUT_PATCH = Exercise(
    name="cut_patch",
    title="The patch from the wrong place",
    kind="repair",
    difficulty=2,
    importance=5,
    minutes=5,
    prompt="""
This function runs, gives the right shape, and is **wrong**: the patch comes from another place than
asked for. No error will tell you. Find the fault and mend it.
""",
    solution=cut_patch,
    stub=cut_patch_faulty,
    cases=cut_patch_cases,
    misconceptions=(
        Misconception(
            "end left out",
            cut_short,
            "A Python slice stops before its end: without the `+ 1` the last row and column are "
            "missing, and the point is no longer in the middle.",
        ),
        Misconception(
            "wrong patch, transposed",
            cut_transposed,
            "You mirrored the patch, but it still comes from row x and column y: swap the slices, "
            "not the result.",
        ),
        Misconception(
            "right patch, transposed",
            cut_result_transposed,
            "The place is right now, but the patch lies on its side: nothing is to be transposed.",
        ),
        Misconception(
            "corner, not centre",
            cut_from_corner,
            "Your patch begins at (x, y); the point should be its centre.",
        ),
        Misconception("rows of rows", cut_chained_rows_first, ONE_AFTER_THE_OTHER),
        Misconception("rows of rows, exchanged", cut_chained, ONE_AFTER_THE_OTHER),
    ),
    hints=(
        "Try it on a picture that is wider than high, with x and y far apart.",
        "An array is indexed row first: which of x and y counts the rows?",
        "Rows run with y: it must be `image[rows around y, columns around x]`.",
    ),
)

# --- test: is this patch normalised? --------------------------------------------------------------


def normalise(patch):
    """Zero mean, unit norm: the same patch in another light gives the same result."""
    centred = patch - patch.mean()
    return centred / np.sqrt((centred**2).sum())


def test_normalise(normalise):
    """Assert what a right `normalise` does, and nothing that a right one might not do.

    normalise: a function that takes a float patch (H, W) and returns one of the same shape
    """
    patch = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 40.0]])
    before = patch.copy()
    result = normalise(patch)
    assert result.shape == patch.shape
    assert abs(result.mean()) < 1e-6
    assert abs((result**2).sum() - 1) < 1e-6
    assert result[1, 2] > result[0, 0]
    assert np.allclose(normalise(3 * patch + 5), result)
    assert np.array_equal(patch, before)


def normalise_not_centred(patch):
    return patch / np.sqrt((patch**2).sum())


def normalise_by_deviation(patch):
    return (patch - patch.mean()) / patch.std()


def normalise_by_range(patch):
    return (patch - patch.min()) / (patch.max() - patch.min())


def normalise_negative(patch):
    return -normalise(patch)


def normalise_by_sum(patch):
    centred = patch - patch.mean()
    return centred / np.abs(centred).sum()


def normalise_in_place(patch):
    patch -= patch.mean()
    patch /= np.sqrt((patch**2).sum())
    return patch


def normalise_in_float32(patch):
    return normalise(patch.astype(np.float32))


def normalise_by_reciprocal(patch):
    centred = patch - patch.mean()
    return centred * (1 / np.linalg.norm(centred))


TEST_NORMALISE = Exercise(
    name="test_normalise",
    title="Write the test that a wrong normalise cannot pass",
    kind="test",
    difficulty=3,
    importance=4,
    minutes=10,
    prompt="""
A right `normalise(patch)` returns a **new** patch with **mean 0** and **norm 1** (its squares sum
to 1) that still looks the same: brighter stays brighter. Write a test that calls `normalise` and
`assert`s these. Your test is then run on a few right implementations (one of them computes in
float32: leave room for rounding) and on many wrong ones: it must accept every right one and reject
all the others.
""",
    solution=test_normalise,
    subject=normalise,
    misconceptions=(
        Misconception(
            "mean is not checked",
            normalise_not_centred,
            "Your test accepts a function that never subtracts the mean.",
        ),
        Misconception(
            "norm is not checked",
            normalise_by_deviation,
            "Your test accepts a function that divides by the standard deviation: its squares sum "
            "to the number of pixels, not to 1.",
        ),
        Misconception(
            "range taken for norm",
            normalise_by_range,
            "Your test accepts a function that stretches the patch to 0…1.",
        ),
        Misconception(
            "sign is not checked",
            normalise_negative,
            "Your test accepts a negative: mean 0 and norm 1, but dark and bright are swapped.",
        ),
        Misconception(
            "norm of absolute values",
            normalise_by_sum,
            "Your test accepts a function whose absolute values sum to 1, instead of its squares.",
        ),
        Misconception(
            "argument overwritten",
            normalise_in_place,
            "Your test accepts a function that overwrites the patch it was given: keep a copy and "
            "compare after the call.",
        ),
    ),
    also_right=(
        Misconception(
            "in another order",
            normalise_by_reciprocal,
            "one that multiplies by 1 / norm, so that the last digits differ. Compare with a "
            "tolerance, not with `==`.",
        ),
        Misconception(
            "in float32",
            normalise_in_float32,
            "one that computes in float32, which rounds in the seventh digit. Allow 1e-6.",
        ),
    ),
    hints=(
        "Choose a small patch with no symmetry: `np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 40.0]])`.",
        "One `assert` for each promise: the mean, the sum of squares, the order of dark and "
        "bright, the argument left alone.",
        "Rounding: `assert abs(result.mean()) < 1e-6`, never `== 0`.",
    ),
)

EXERCISES = (SURVIVES, PATCH_DISTANCE, CUT_PATCH, TEST_NORMALISE)

QUIZ = (
    Question(
        prompt="A check says *wrong* and adds a sentence. Where does the sentence come from?",
        choices=(
            "From a comparison of your source code with the solution's",
            "Your outputs equal those of a mistake that people often make",
            "From a language model that has read your code",
        ),
        correct=1,
        why=(
            "Your source is never read for that: two programs may differ and both be right.",
            "Each exercise knows several wrong solutions; your outputs are compared with theirs.",
            "No model is asked; everything works offline and gives the same answer every time.",
        ),
    ),
    Question(
        prompt="In which order does `image[…]` take the coordinates of the point (x, y)?",
        choices=("`image[x, y]`", "`image[y, x]`"),
        correct=1,
        why=(
            "That would take x for the row: on a wide picture it soon leaves the array.",
            "Rows first: y counts rows downwards, x counts columns to the right.",
        ),
    ),
)
