"""Exercises of notebook 01_sift: blur, sub-pixel peaks, edges, orientations, the descriptor."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np

from course_lib.data.perturb import relight, zoom
from course_lib.data.photos import photo
from course_lib.evaluate.repeatability import right_matches
from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.quiz import Question
from course_lib.features import matching, scale_space, sift

# --- implement: from one level of blur to the next ------------------------------------------------


def sigma_between(octave, level, sigma, layers):
    """Width of the Gaussian that makes level `level` of an octave out of level `level` − 1.

    octave: …, −1, 0, 1, …; level: 1, 2, …; sigma: e.g. 1.6; layers: e.g. 3
    → float, in pixels of the octave
    """
    before = sigma * 2.0 ** (octave + (level - 1) / layers)
    after = sigma * 2.0 ** (octave + level / layers)
    return float(np.sqrt(after**2 - before**2) / 2.0**octave)


def sigma_between_cases(seed):
    rng = np.random.default_rng(seed)
    places = [(0, 1, 3), (2, 2, 3), (-1, 5, 4), (1, 3, 2)]
    return [
        {"octave": o, "level": i, "sigma": float(rng.uniform(1.2, 2.4)), "layers": n}
        for o, i, n in places
    ]


def sigma_in_photo_pixels(octave, level, sigma, layers):
    return sigma_between(octave, level, sigma, layers) * 2.0**octave


def sigma_difference(octave, level, sigma, layers):
    return sigma * (2.0 ** (level / layers) - 2.0 ** ((level - 1) / layers))


def sigma_variance(octave, level, sigma, layers):
    return sigma_between(octave, level, sigma, layers) ** 2


def sigma_total(octave, level, sigma, layers):
    return sigma * 2.0 ** (level / layers)


def sigma_from_first(octave, level, sigma, layers):
    return float(sigma * np.sqrt(4.0 ** (level / layers) - 1))


def sigma_doubling(octave, level, sigma, layers):
    return sigma_between(octave, level, sigma, 1)


def sigma_all_levels(octave, level, sigma, layers):
    return sigma_between(octave, level, sigma, layers + 2)


def sigma_sum(octave, level, sigma, layers):
    return float(sigma * np.sqrt(4.0 ** (level / layers) + 4.0 ** ((level - 1) / layers)))


def sigma_always_1_6(octave, level, sigma, layers):
    return sigma_between(octave, level, 1.6, layers)


def sigma_always_3_layers(octave, level, sigma, layers):
    return sigma_between(octave, level, sigma, 3)


def sigma_precedence(octave, level, sigma, layers):
    before = sigma * 2.0**octave + (level - 1) / layers
    after = sigma * 2.0**octave + level / layers
    return float(np.sqrt(after**2 - before**2) / 2.0**octave)


def sigma_swapped(octave, level, sigma, layers):
    return float(np.sqrt(-(sigma_between(octave, level, sigma, layers) ** 2)))


def sigma_swapped_power(octave, level, sigma, layers):
    return (-(sigma_between(octave, level, sigma, layers) ** 2)) ** 0.5  # complex


def sigma_next_level(octave, level, sigma, layers):
    return sigma_between(octave, level + 1, sigma, layers)


BEFORE_MINUS_AFTER = (
    "You take the root of a negative number: level − 1 has the smaller blur, so it is "
    "after² − before², not the other way round."
)

SIGMA_BETWEEN = Exercise(
    name="sigma_between",
    title="How much more blur?",
    kind="implement",
    difficulty=2,
    importance=4,
    minutes=8,
    prompt="""
Level $i$ of octave $o$ has the blur $\\sigma \\cdot 2^{\\,o + i / \\text{layers}}$, in pixels **of
the photograph**. It is made from level $i - 1$ by one more Gaussian. Return the width of that
Gaussian in pixels **of the octave**, which are $2^o$ photograph pixels wide.
""",
    solution=sigma_between,
    cases=sigma_between_cases,
    misconceptions=(
        Misconception(
            "pixels of the photograph",
            sigma_in_photo_pixels,
            "You give the width in pixels of the photograph, but the kernel slides over the "
            "octave's own, which are 2^octave as wide: divide by that.",
        ),
        Misconception(
            "difference of widths",
            sigma_difference,
            "You subtract the two widths. Widths do not add when Gaussians follow each other; "
            "their squares, the variances, do.",
        ),
        Misconception(
            "root forgotten",
            sigma_variance,
            "That is the variance still to be added: its square root is the width.",
        ),
        Misconception(
            "all of the blur",
            sigma_total,
            "That is the blur the level shall have in the end, but level − 1 brings most of it: "
            "only the missing part is to be added.",
        ),
        Misconception(
            "from the first level",
            sigma_from_first,
            "That leads from level 0 straight to this level; here the level before is blurred "
            "once more.",
        ),
        Misconception(
            "doubled at every level",
            sigma_doubling,
            "You double the blur with every level; it doubles once in `layers` levels, so each "
            "step is a factor of 2^(1 / layers).",
        ),
        Misconception(
            "all levels counted",
            sigma_all_levels,
            "You spread the doubling over all the levels that are stored. It is complete after "
            "`layers` of them; the rest are there so that every layer has neighbours.",
        ),
        Misconception(
            "variances added",
            sigma_sum,
            "You add the two variances. Level − 1 has its variance already: what is missing is the "
            "difference.",
        ),
        Misconception("before minus after", sigma_swapped, BEFORE_MINUS_AFTER),
        Misconception("before minus after, `** 0.5`", sigma_swapped_power, BEFORE_MINUS_AFTER),
        Misconception(
            "sigma nailed to 1.6",
            sigma_always_1_6,
            "Your function takes 1.6 whatever `sigma` is: use the argument.",
        ),
        Misconception(
            "layers nailed to 3",
            sigma_always_3_layers,
            "Your function takes 3 layers whatever `layers` is: use the argument.",
        ),
        Misconception(
            "bracket forgotten",
            sigma_precedence,
            "`2**octave + level / layers` adds after the power is taken: the sum is the exponent, "
            "`2 ** (octave + level / layers)`.",
        ),
        Misconception(
            "one level too far",
            sigma_next_level,
            "Yours leads from this level to the next; asked for is the step from level − 1 to this "
            "level.",
        ),
    ),
    hints=(
        "Write down the blur of both levels first. Which of them is the greater?",
        "Variances add: (what you have)² + (what you add)² = (what you want)².",
        "`np.sqrt(after**2 - before**2)` is in pixels of the photograph; divide by `2.0**octave`.",
    ),
)

# --- repair: the top of a parabola ----------------------------------------------------------------


def peak_of_three(before, middle, after):
    """The parabola through three samples, one step apart: where is its top, and how high?

    → (offset of the top from the middle sample, in steps; height of the top)
    """
    slope = (after - before) / 2
    curvature = before - 2 * middle + after
    offset = -slope / curvature
    return offset, middle + slope * offset / 2


def peak_of_three_faulty(before, middle, after):
    """The parabola through three samples, one step apart: where is its top, and how high?

    → (offset of the top from the middle sample, in steps; height of the top)
    """
    slope = (after - before) / 2
    curvature = before - 2 * middle + after
    offset = slope / curvature
    return offset, middle + slope * offset / 2


def peak_of_three_cases(seed):
    rng = np.random.default_rng(seed)
    samples = [(2.0, 6.0, 4.0)]
    for turned in (1.0, -1.0, 1.0):  # a dark blob's D is a hill, a bright one's a valley
        top, height = rng.uniform(-0.45, 0.45), rng.uniform(5, 9)
        samples.append([turned * (height - 3 * (x - top) ** 2) for x in (-1, 0, 1)])
    return [{"before": a, "middle": b, "after": c} for a, b, c in samples]


def peak_full_step(before, middle, after):
    slope, curvature = after - before, before - 2 * middle + after
    return -slope / curvature, middle - slope**2 / (2 * curvature)


def peak_sample_height(before, middle, after):
    return peak_of_three(before, middle, after)[0], middle


def peak_on_tangent(before, middle, after):
    offset, _ = peak_of_three(before, middle, after)
    return offset, middle + (after - before) / 2 * offset


def peak_turned_curvature(before, middle, after):
    offset, height = peak_of_three(before, middle, after)
    return offset, 2 * middle - height


PEAK_OF_THREE = Exercise(
    name="peak_of_three",
    title="The peak that walks away",
    kind="repair",
    difficulty=2,
    importance=4,
    minutes=6,
    prompt="""
A silent fault: this function runs and returns sensible numbers, but between (2, 6, 4) it puts the
top on the side of the **2**. In SIFT every keypoint would move *away* from its blob, by at most a
pixel: no picture shows it, only worse matches. Find the fault and mend it.
""",
    solution=peak_of_three,
    stub=peak_of_three_faulty,
    cases=peak_of_three_cases,
    misconceptions=(
        Misconception(
            "slope over one step",
            peak_full_step,
            "Your slope is twice too steep: `after` and `before` are two steps apart.",
        ),
        Misconception(
            "height of the sample",
            peak_sample_height,
            "The place is right now, but the height is still that of the middle sample; the top "
            "lies beyond all three, higher on a hill and lower in a valley.",
        ),
        Misconception(
            "height on the tangent",
            peak_on_tangent,
            "The place is right now. For the height you follow the tangent to the top, but the "
            "parabola bends away and gains only half of that.",
        ),
        Misconception(
            "height on the wrong side",
            peak_turned_curvature,
            "The place is right now, but the height goes the wrong way: the top of a hill came "
            "out lower than its middle sample, the bottom of a valley higher.",
        ),
    ),
    hints=(
        "Draw the points (−1, 2), (0, 6), (1, 4). On which side of 0 must the top be?",
        "At the top the derivative, slope + curvature · offset, is zero. Solve it for the offset.",
        "`offset = -slope / curvature`; the rest was right.",
    ),
)

# --- test: blob or edge? --------------------------------------------------------------------------


def is_blob(dxx, dyy, dxy, ratio):
    """True where the greater curvature is less than `ratio` times the smaller, same sign."""
    trace = dxx + dyy
    determinant = dxx * dyy - dxy * dxy
    return trace**2 * ratio < (ratio + 1) ** 2 * determinant


def test_is_blob(is_blob):
    """Assert what a right `is_blob` does, and nothing that a right one might not do.

    is_blob: a function (dxx, dyy, dxy, ratio) of four numbers → True (blob) or False (edge, saddle)
    """
    assert is_blob(9.9, 1.0, 0.0, 10.0)
    assert not is_blob(10.1, 1.0, 0.0, 10.0)
    assert is_blob(-1.0, -9.9, 0.0, 10.0)
    assert not is_blob(-1.0, -10.1, 0.0, 10.0)
    assert not is_blob(3.0, -2.0, 0.0, 10.0)
    assert not is_blob(2.0, 2.0, 1.9, 10.0)
    assert is_blob(20.0, 20.0, 10.0, 10.0)
    assert is_blob(2.9, 1.0, 0.0, 3.0)
    assert not is_blob(3.1, 1.0, 0.0, 3.0)


def blob_reversed(dxx, dyy, dxy, ratio):
    return not is_blob(dxx, dyy, dxy, ratio)


def blob_divided(dxx, dyy, dxy, ratio):
    determinant = dxx * dyy - dxy**2
    return (dxx + dyy) ** 2 / determinant < (ratio + 1) ** 2 / ratio


def blob_no_mixed(dxx, dyy, dxy, ratio):
    return is_blob(dxx, dyy, 0.0, ratio)


def blob_ratio_alone(dxx, dyy, dxy, ratio):
    return (dxx + dyy) ** 2 < ratio * (dxx * dyy - dxy**2)


def blob_only_dark(dxx, dyy, dxy, ratio):
    return dxx + dyy > 0 and is_blob(dxx, dyy, dxy, ratio)


def blob_fixed_ratio(dxx, dyy, dxy, ratio):
    return is_blob(dxx, dyy, dxy, 10.0)


def blob_axes_only(dxx, dyy, dxy, ratio):
    return dxx * dyy > 0 and max(dxx / dyy, dyy / dxx) < ratio


def blob_at_the_ratio_too(dxx, dyy, dxy, ratio):
    determinant = dxx * dyy - dxy**2
    return determinant > 0 and (dxx + dyy) ** 2 * ratio <= (ratio + 1) ** 2 * determinant


def blob_by_numpy(dxx, dyy, dxy, ratio):
    return np.bool_(is_blob(dxx, dyy, dxy, ratio))


TEST_IS_BLOB = Exercise(
    name="test_is_blob",
    title="Write the test that lets no edge pass",
    kind="test",
    difficulty=4,
    importance=3,
    minutes=12,
    prompt="""
`is_blob(dxx, dyy, dxy, ratio)` is Lowe's edge test: **True** where both curvatures have the same
sign and the greater is less than `ratio` times the smaller. Write a test of it: call `is_blob` with
numbers whose answer you know, and `assert`. Without `dxy` the curvatures are `dxx` and `dyy`
themselves, so (9.9, 1, 0) with ratio 10 is just a blob, and (10.1, 1, 0) is not. Your test must
accept the right function and reject every wrong one: think of dark and bright blobs, saddles,
slanted edges, and other ratios than 10. (What happens exactly *at* the ratio is nobody's business,
and a right function may return NumPy's `True` as well as Python's.)
""",
    solution=test_is_blob,
    subject=is_blob,
    misconceptions=(
        Misconception(
            "blob and edge exchanged",
            blob_reversed,
            "Your test accepts a function that keeps the edges and throws the blobs away.",
        ),
        Misconception(
            "saddle accepted",
            blob_divided,
            "Your test accepts a function that divides by the determinant. At a saddle (curvatures "
            "of opposite sign, such as 3 and −2) it is negative, and negative is below any limit.",
        ),
        Misconception(
            "bright blobs lost",
            blob_only_dark,
            "Your test accepts a function that loses every blob with negative curvatures: D has "
            "hills and valleys, and both are blobs.",
        ),
        Misconception(
            "slanted edge accepted",
            blob_no_mixed,
            "Your test accepts a function that ignores `dxy`, as if edges ran only along the axes: "
            "with dxx = dyy = 2 and dxy = 1.9 the curvatures are 3.9 and 0.1.",
        ),
        Misconception(
            "along the axes only",
            blob_axes_only,
            "Your test accepts a function that compares dxx with dyy. On a slanted edge those two "
            "are equal; the curvatures, across and along it, are not.",
        ),
        Misconception(
            "ratio for its limit",
            blob_ratio_alone,
            "Your test accepts a function that compares trace²/determinant with `ratio`, and not "
            "with (ratio + 1)² / ratio: it throws away good blobs near the limit.",
        ),
        Misconception(
            "ratio nailed to 10",
            blob_fixed_ratio,
            "Your test accepts a function that ignores `ratio` and always takes 10: try another.",
        ),
    ),
    also_right=(
        Misconception(
            "at the ratio, too",
            blob_at_the_ratio_too,
            "one that also says blob exactly at the ratio. That case is left open: do not test it.",
        ),
        Misconception(
            "NumPy's True",
            blob_by_numpy,
            "one that returns NumPy's `True`, which `is True` refuses. Write `assert is_blob(…)`.",
        ),
    ),
    hints=(
        "Begin with two lines: 9.9 against 1 is a blob, 10.1 against 1 is not (ratio 10).",
        "Add the same two with both signs turned, and a saddle: 3 against −2.",
        "With dxx = dyy = a the curvatures are a + dxy and a − dxy: (2, 2, 1.9) is a slanted edge, "
        "(20, 20, 10) a blob. Then ratio 3: 2.9 against 1, 3.1 against 1.",
    ),
    equivalent={
        "compare 5:11 < → <=": "what happens exactly at the ratio is left open by the prompt",
    },
)

# --- implement: where does the patch point? -------------------------------------------------------


def orientation_histogram(patch, bins):
    """Directions of the gradients of a patch, each voting with its length.

    patch: (H, W) float → (bins,) float. Gradients are differences of the two neighbours, at the
    (H − 2, W − 2) inner pixels; bin k is *centred* on the angle 2πk / bins, from x towards y.
    """
    dx = patch[1:-1, 2:] - patch[1:-1, :-2]
    dy = patch[2:, 1:-1] - patch[:-2, 1:-1]
    turns = np.arctan2(dy, dx) / (2 * np.pi)
    nearest = np.rint(bins * turns).astype(int) % bins
    return np.bincount(nearest.ravel(), np.hypot(dx, dy).ravel(), bins)


def orientation_histogram_cases(seed):
    rng = np.random.default_rng(seed)
    return [
        {"patch": rng.uniform(0, 255, shape), "bins": bins}
        for shape, bins in [((9, 12), 8), ((14, 11), 36), ((13, 17), 8)]
    ]


def _gradients(patch):
    dx = patch[1:-1, 2:] - patch[1:-1, :-2]
    dy = patch[2:, 1:-1] - patch[:-2, 1:-1]
    return dx, dy, np.hypot(dx, dy)


def _vote(turns, weight, bins):
    nearest = np.rint(bins * turns).astype(int) % bins
    return np.bincount(nearest.ravel(), weight.ravel(), bins)


def histogram_not_round(patch, bins):
    dx, dy, length = _gradients(patch)
    turns = np.arctan2(dy, dx) / (2 * np.pi) % 1
    nearest = np.rint(bins * turns).astype(int).clip(0, bins - 1)
    return np.bincount(nearest.ravel(), length.ravel(), bins)


def histogram_one_too_many(patch, bins):
    dx, dy, length = _gradients(patch)
    turns = np.arctan2(dy, dx) % (2 * np.pi) / (2 * np.pi)
    nearest = np.rint(bins * turns).astype(int)
    return np.bincount(nearest.ravel(), length.ravel(), bins)


def histogram_counts(patch, bins):
    dx, dy, _ = _gradients(patch)
    nearest = np.rint(bins * np.arctan2(dy, dx) / (2 * np.pi)).astype(int) % bins
    return np.bincount(nearest.ravel(), minlength=bins)  # whole numbers


def histogram_unweighted(patch, bins):
    return histogram_counts(patch, bins).astype(float)


def histogram_swapped(patch, bins):
    dx, dy, length = _gradients(patch)
    return _vote(np.arctan2(dx, dy) / (2 * np.pi), length, bins)


def histogram_no_quadrant(patch, bins):
    dx, dy, length = _gradients(patch)
    return _vote(np.arctan(dy / dx) / (2 * np.pi), length, bins)


def histogram_y_up(patch, bins):
    dx, dy, length = _gradients(patch)
    return _vote(np.arctan2(-dy, dx) / (2 * np.pi), length, bins)


def histogram_left_minus_right(patch, bins):
    dx, dy, length = _gradients(patch)
    return _vote(np.arctan2(dy, -dx) / (2 * np.pi), length, bins)


def histogram_opposite(patch, bins):
    dx, dy, length = _gradients(patch)
    return _vote(np.arctan2(-dy, -dx) / (2 * np.pi), length, bins)


def histogram_from_minus_pi(patch, bins):
    dx, dy, length = _gradients(patch)
    return np.histogram(np.arctan2(dy, dx), bins, (-np.pi, np.pi), weights=length)[0]


def histogram_edges(patch, bins):
    dx, dy, length = _gradients(patch)
    nearest = np.floor(bins * np.arctan2(dy, dx) / (2 * np.pi)).astype(int) % bins
    return np.bincount(nearest.ravel(), length.ravel(), bins)


def histogram_cut_to_int(patch, bins):
    dx, dy, length = _gradients(patch)
    nearest = (bins * np.arctan2(dy, dx) / (2 * np.pi)).astype(int) % bins
    return np.bincount(nearest.ravel(), length.ravel(), bins)


def histogram_degrees(patch, bins):
    dx, dy, length = _gradients(patch)
    return _vote(np.degrees(np.arctan2(dy, dx)) / (2 * np.pi), length, bins)


def histogram_squared(patch, bins):
    dx, dy, length = _gradients(patch)
    return _vote(np.arctan2(dy, dx) / (2 * np.pi), length**2, bins)


def histogram_sum_of_sides(patch, bins):
    dx, dy, _ = _gradients(patch)
    return _vote(np.arctan2(dy, dx) / (2 * np.pi), np.abs(dx) + np.abs(dy), bins)


def histogram_overwritten(patch, bins):
    dx, dy, length = _gradients(patch)
    nearest = np.rint(bins * np.arctan2(dy, dx) / (2 * np.pi)).astype(int) % bins
    votes = np.zeros(bins)
    votes[nearest] += length
    return votes


def histogram_with_border(patch, bins):
    dy, dx = np.gradient(patch)
    return _vote(np.arctan2(dy, dx) / (2 * np.pi), np.hypot(dx, dy), bins)


def histogram_halved(patch, bins):
    return orientation_histogram(patch, bins) / 2


ONE_VOTE_EACH = (
    "Every pixel has one vote in yours; its length is its vote. Else the noise of flat ground "
    "outvotes an edge (`np.bincount` takes the lengths as its second argument)."
)

ORIENTATION_HISTOGRAM = Exercise(
    name="orientation_histogram",
    title="Where does the patch point?",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=15,
    prompt="""
Build the histogram from which SIFT reads a patch's direction. At every **inner** pixel the gradient
is right neighbour minus left, lower minus upper. Its direction, `x` towards `y`, chooses the bin;
its **length** is its vote. The circle has `bins` bins, and bin $k$ is *centred* on the angle
$2\\pi k / \\text{bins}$: so bin 0 takes what is a little above 0 **and** a little below $2\\pi$.
(The Gaussian window is left out here.)
""",
    solution=orientation_histogram,
    cases=orientation_histogram_cases,
    misconceptions=(
        Misconception(
            "no wrap-around",
            histogram_not_round,
            "Your histogram has two ends, but a circle has none: what is nearest to bin `bins` "
            "belongs to bin 0 (`% bins`), not to the last one.",
        ),
        Misconception(
            "one bin too many",
            histogram_one_too_many,
            "What is a little below 2π rounds to bin `bins`, which does not exist: on a circle it "
            "is bin 0. Take the rounded number modulo `bins`, not only the angle modulo 2π.",
        ),
        Misconception("votes not weighted", histogram_counts, ONE_VOTE_EACH),
        Misconception("votes not weighted, as floats", histogram_unweighted, ONE_VOTE_EACH),
        Misconception(
            "x and y swapped",
            histogram_swapped,
            "Your angle runs from y towards x. Either `arctan2` has its arguments exchanged (it is "
            "`np.arctan2(dy, dx)`, y first), or dx and dy are exchanged: dx compares columns.",
        ),
        Misconception(
            "no quadrant",
            histogram_no_quadrant,
            "`arctan(dy / dx)` cannot tell a gradient from its opposite, so half of your circle is "
            "empty: use `np.arctan2(dy, dx)`.",
        ),
        Misconception(
            "y upwards",
            histogram_y_up,
            "You let y point upwards, as in mathematics; in a picture it points down: dy is the "
            "lower neighbour minus the upper.",
        ),
        Misconception(
            "left minus right",
            histogram_left_minus_right,
            "Your dx is left minus right: it is the right neighbour minus the left, "
            "`patch[1:-1, 2:] - patch[1:-1, :-2]`.",
        ),
        Misconception(
            "downhill",
            histogram_opposite,
            "All your gradients point the opposite way, from bright to dark: right minus left and "
            "lower minus upper, not the reverse.",
        ),
        Misconception(
            "counted from −π",
            histogram_from_minus_pi,
            "`arctan2` gives −π to π, and your bin 0 begins at −π: it must be centred on 0.",
        ),
        Misconception(
            "borders, not centres",
            histogram_edges,
            "Your bins begin at their angles; they shall be centred on them: round, do not floor.",
        ),
        Misconception(
            "cut to int",
            histogram_cut_to_int,
            "`.astype(int)` alone does not round, it cuts towards zero, so bin 0 takes from both "
            "sides and is twice as wide as the others: `np.rint` first.",
        ),
        Misconception(
            "degrees for radians",
            histogram_degrees,
            "You convert to degrees, then divide by 2π: radians go with 2π, degrees with 360.",
        ),
        Misconception(
            "squared lengths",
            histogram_squared,
            "You vote with dx² + dy², the length squared: take the root.",
        ),
        Misconception(
            "|dx| + |dy|",
            histogram_sum_of_sides,
            "You vote with |dx| + |dy|, which favours slanted gradients: the length is "
            "`np.hypot(dx, dy)`.",
        ),
        Misconception(
            "votes overwritten",
            histogram_overwritten,
            "`votes[bins] += length` keeps only the last vote of each bin, however often the bin "
            "occurs: sum them with `np.bincount` (or `np.add.at`).",
        ),
        Misconception(
            "border pixels vote",
            histogram_with_border,
            "`np.gradient` lets the border vote, too, where one neighbour is missing, and halves "
            "the differences: only the inner pixels count here.",
        ),
        Misconception(
            "differences halved",
            histogram_halved,
            "You divide the differences by 2. That is a good derivative, but plain differences "
            "are asked for: compare the prompt.",
        ),
    ),
    hints=(
        "`patch[1:-1, 2:] - patch[1:-1, :-2]` is dx at every inner pixel. What is dy?",
        "`np.arctan2(dy, dx) / (2 * np.pi)` is the direction in turns; times `bins`, rounded, it "
        "is the bin, if you take it modulo `bins`.",
        "`np.bincount(which.ravel(), weights.ravel(), bins)` sums the votes of each bin. If it "
        "complains of negative elements: `arctan2` gives −π to π, and `% bins` brings the negative "
        "bins round.",
    ),
)

# --- implement: unit length, no share above 0.2 ---------------------------------------------------


def finish(histograms):
    """Normalise, clip, normalise: what makes 128 sums of gradients a descriptor.

    histograms: (N, D) float, not negative → (N, D) float. Each row is brought to length 1, its
    numbers above 0.2 are lowered to 0.2, and it is brought to length 1 again. A row of zeros
    stays zero.
    """
    length = np.linalg.norm(histograms, axis=1, keepdims=True)
    clipped = np.minimum(histograms / np.maximum(length, 1e-7), 0.2)
    length = np.linalg.norm(clipped, axis=1, keepdims=True)
    return clipped / np.maximum(length, 1e-7)


def finish_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for rows, columns in [(5, 48), (3, 128), (7, 64)]:
        histograms = rng.exponential(30, (rows, columns)) ** 1.5
        histograms[0, 3] = 40 * histograms[0].max()  # a glint
        histograms[1] /= 5000  # a shadow
        histograms[2] = 0
        cases.append({"histograms": histograms})
    return cases


def _unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-7)


def finish_not_again(histograms):
    return np.minimum(_unit(histograms), 0.2)


def finish_clip_first(histograms):
    return _unit(np.minimum(histograms, 0.2))


def finish_no_clip(histograms):
    return _unit(histograms)


def finish_by_sum(histograms):
    def unit(rows):
        return rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-7)

    return unit(np.minimum(unit(histograms), 0.2))


def finish_by_greatest(histograms):
    return _unit(np.minimum(histograms, 0.2 * histograms.max(axis=1, keepdims=True)))


def finish_all_rows(histograms):
    clipped = np.minimum(histograms / np.linalg.norm(histograms), 0.2)
    return clipped / np.linalg.norm(clipped)


def finish_zero_by_zero(histograms):
    clipped = np.minimum(histograms / np.linalg.norm(histograms, axis=1, keepdims=True), 0.2)
    return clipped / np.linalg.norm(clipped, axis=1, keepdims=True)


def _unit_columns(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=0, keepdims=True), 1e-7)


def finish_columns(histograms):
    return _unit_columns(np.minimum(_unit_columns(histograms), 0.2))


def finish_maximum(histograms):
    return _unit(np.maximum(_unit(histograms), 0.2))


def finish_to_zero(histograms):
    rows = _unit(histograms)
    rows[rows > 0.2] = 0
    return _unit(rows)


def finish_cut_again(histograms):
    return np.minimum(finish(histograms), 0.2)


FINISH = Exercise(
    name="finish",
    title="Deaf to contrast, hard to dazzle",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=8,
    prompt="""
Turn raw histograms, one in each row, into descriptors, in three steps: bring every row to **length
1** (Euclidean), lower every number above 0.2 **to** 0.2, bring every row to length 1 **again**.
(Afterwards some numbers exceed 0.2 again; that is meant.) A row of zeros (a flat patch) stays zero:
no division by zero. Do not change the argument.
""",
    solution=finish,
    cases=finish_cases,
    misconceptions=(
        Misconception(
            "not normalised again",
            finish_not_again,
            "After the cut the rows are shorter than 1, each by another amount: normalise again, "
            "or a dazzled patch looks like a faint one.",
        ),
        Misconception(
            "cut before normalising",
            finish_clip_first,
            "You cut at 0.2 before the rows have length 1: then 0.2 is 0.2 grey levels, which "
            "nearly everything exceeds, and contrast counts.",
        ),
        Misconception(
            "no cut",
            finish_no_clip,
            "Nothing is cut: one glint may still fill the whole descriptor.",
        ),
        Misconception(
            "sum instead of length",
            finish_by_sum,
            "You divide by the sum (L1); Euclidean length is the root of the sum of squares.",
        ),
        Misconception(
            "0.2 of the greatest",
            finish_by_greatest,
            "You cut at 0.2 of the greatest number; the limit is 0.2 of the row's length.",
        ),
        Misconception(
            "all rows together",
            finish_all_rows,
            "You divide all rows by one length: every keypoint must be normalised for itself "
            "(`axis=1, keepdims=True`).",
        ),
        Misconception(
            "zero divided by zero",
            finish_zero_by_zero,
            "A flat patch has length 0, and 0 / 0 is NaN, which poisons every distance: divide by "
            "`np.maximum(length, 1e-7)`.",
        ),
        Misconception(
            "columns for rows",
            finish_columns,
            "You normalise the columns: a descriptor is a row, so its length is the norm along "
            "`axis=1`.",
        ),
        Misconception(
            "maximum for minimum",
            finish_maximum,
            "`np.maximum(rows, 0.2)` raises everything to at least 0.2; to cap at 0.2 is "
            "`np.minimum`.",
        ),
        Misconception(
            "cut to zero",
            finish_to_zero,
            "You set what exceeds 0.2 to 0, and the strongest direction is lost: lower it to 0.2.",
        ),
        Misconception(
            "cut once more",
            finish_cut_again,
            "You cut a second time at the end, so the rows are shorter than 1 again. That some "
            "numbers exceed 0.2 after the last step is meant.",
        ),
    ),
    hints=(
        "`np.linalg.norm(histograms, axis=1, keepdims=True)` has the shape (N, 1), one a row.",
        "`np.minimum(rows, 0.2)` cuts; then do the first step once more.",
        "Guard both divisions: `rows / np.maximum(length, 1e-7)`.",
    ),
)

# --- predict: what does the descriptor not survive? -----------------------------------------------

PHOTO_CHANGES = {
    "darker": lambda image: image * 0.5,
    "washed out": lambda image: image * 0.5 + 100,
    "mirrored": lambda image: image[:, ::-1],
    "turned": lambda image: np.rot90(image),
}


def descriptor_breaker():
    """Which change of a photograph loses the most right matches of SIFT's descriptors?"""
    image = photo("camera")[..., 0].astype(float)
    before = sift.detect_and_describe(image.astype(np.uint8))[1]
    kept = {}
    for name, change in PHOTO_CHANGES.items():
        picture = np.ascontiguousarray(np.rint(change(image)).astype(np.uint8))
        kept[name] = len(matching.ratio_test(before, sift.detect_and_describe(picture)[1], 0.6))
    return min(kept, key=kept.get)


BREAKER = Exercise(
    name="breaker",
    title="Which change does SIFT not survive?",
    kind="predict",
    difficulty=3,
    importance=4,
    minutes=4,
    prompt="""
Four copies of a photograph are matched to the original (ratio test at 0.6, which a wrong match
hardly ever passes). With **which copy do the fewest descriptors match?**

* `"darker"`: every value halved,
* `"washed out"`: every value halved, then 100 added,
* `"mirrored"`: left and right exchanged,
* `"turned"`: by a quarter turn.
""",
    solution="mirrored",
    choices=tuple(PHOTO_CHANGES),
    measure=descriptor_breaker,
    misconceptions=(
        Misconception(
            "light counts",
            "darker",
            "Halving all values halves all gradients, and normalising takes that away again. "
            "Some weak keypoints are lost, but those that remain match.",
        ),
        Misconception(
            "grey level counts",
            "washed out",
            "What is added to every pixel vanishes from every difference, and the factor 0.5 is "
            "taken away by normalising: only the weakest keypoints are lost.",
        ),
        Misconception(
            "turning counts",
            "turned",
            "The keypoint's angle turns with the picture, so its patch is cut out upright again.",
        ),
    ),
    hints=(
        "The descriptor is made of gradient *directions*, in a frame that turns with the patch. "
        "Go through the four: does the frame follow?",
        "No turn makes a left glove a right one.",
    ),
)

# --- ablate: what are octaves and normalising good for? -------------------------------------------


def share_right(image, changed, H):
    """SIFT on both pictures, matched by cross-check → percent of the matches that are right."""
    (first, a), (second, b) = sift.detect_and_describe(image), sift.detect_and_describe(changed)
    index = matching.cross_check(a, b).index
    right = right_matches(first, second, index, H)
    return round(100 * float(right.mean())) if len(right) else 0


def upright(octave, blobs):
    """In place of `sift.orient`: every keypoint points to the right."""
    return replace(blobs, angle=np.zeros_like(blobs.angle))


def one_octave(gray, *arguments):
    """In place of `sift.octaves`: only octave 0, so only blobs of one range of sizes."""
    return [octave for octave in scale_space.octaves(gray, *arguments) if octave.number == 0]


def raw(histograms):
    """In place of `sift.normalise`: the sums of gradients as they are."""
    return histograms


def uncut(histograms):
    """In place of `sift.normalise`: brought to length 512, but nothing is cut."""
    return 512 * histograms / np.maximum(np.linalg.norm(histograms, axis=1, keepdims=True), 1e-7)


SWITCHES = {
    "orientation": ("orient", upright),
    "octaves": ("octaves", one_octave),
    "normalising": ("normalise", raw),
    "cut": ("normalise", uncut),
}


def without(part):
    """`with without("octaves"):` SIFT works without that part; None leaves it whole."""
    if part is not None and part not in SWITCHES:
        raise ValueError(f"there is no part {part!r}; there are {', '.join(map(repr, SWITCHES))}")
    name, replacement = SWITCHES.get(part, ("orient", sift.orient))
    return mock.patch.object(sift, name, replacement)


def measured_costs():
    """The four shares, in percent."""
    image, found = photo("camera"), []
    for change, part in [
        (zoom(image, 0.5), None),
        (zoom(image, 0.5), "octaves"),
        (relight(image, -2), None),
        (relight(image, -2), "normalising"),
    ]:
        with without(part):
            found.append(share_right(image, *change))
    return found


COSTS = Exercise(
    name="costs",
    title="What do octaves and normalising buy?",
    kind="ablate",
    difficulty=2,
    importance=4,
    minutes=8,
    prompt="""
How many **percent of the matches are right**, on the photograph `camera`, by `share_right`:

1. after `zoom(camera, 0.5)`, with the whole of SIFT,
2. the same, without `"octaves"`,
3. after `relight(camera, -2)`, two stops darker, with the whole of SIFT,
4. the same, without `"normalising"`.

Guess all four before you measure. Put whole percents in this order; 3 more or less do not matter.
""",
    solution=[91, 6, 100, 0],
    measure=measured_costs,
    atol=3,
    misconceptions=(
        Misconception(
            "counted, no share",
            [193, 2, 78, 0],
            "You counted the right matches; asked for is their share of all matches, in percent.",
        ),
        Misconception(
            "share of the keypoints",
            [24, 1, 10, 0],
            "You divided by the keypoints of the first picture (that is recall); asked for is the "
            "share of the matches that are right (precision).",
        ),
        Misconception(
            "fractions",
            [0.91, 0.06, 1.0, 0.0],
            "Those are fractions: times 100, they are percents.",
        ),
        Misconception(
            "switch the wrong way round",
            [6, 91, 0, 100],
            "Exchanged: inside `with without(…)` the part is missing.",
        ),
        Misconception(
            "always whole",
            [91, 91, 100, 100],
            "Nothing was switched off: `share_right` must be called inside the `with` block.",
        ),
        Misconception(
            "parts exchanged",
            [91, 0, 100, 6],
            "The second and the fourth are exchanged: the octaves belong to the zoom, normalising "
            "to the dark.",
        ),
        Misconception(
            "changes exchanged",
            [100, 0, 91, 6],
            "The pairs are exchanged: first the zoom, then the dark.",
        ),
        Misconception(
            "whole ones first",
            [91, 100, 6, 0],
            "The order is another: whole and without for the zoom, then whole and without for the "
            "dark.",
        ),
    ),
    hints=(
        "A switch is a `with` block: `with ex.without('octaves'):`, and in it, indented, "
        "`ex.share_right(…)`.",
        "`changed, H = zoom(camera, 0.5)`, then `ex.share_right(camera, changed, H)`.",
    ),
)

EXERCISES = (
    SIGMA_BETWEEN,
    PEAK_OF_THREE,
    TEST_IS_BLOB,
    ORIENTATION_HISTOGRAM,
    FINISH,
    BREAKER,
    COSTS,
)

QUIZ = (
    Question(
        prompt="A picture is blurred with σ = 3, and the result with σ = 4. The blur is now …",
        choices=("3.5", "5", "7", "12"),
        correct=1,
        why=(
            "A blur never undoes another: the result is more blurred than with 4 alone.",
            "Variances add: 9 + 16 = 25, and the root of 25 is 5.",
            "Widths do not add; their squares do.",
            "Nothing is multiplied: 3² + 4² = 5².",
        ),
    ),
    Question(
        prompt="Why must a keypoint be extreme among its neighbours in scale, too?",
        choices=(
            "It makes the detector faster",
            "So that it brings its own size, and is found again when the camera comes nearer",
            "It removes the noise of the camera",
        ),
        correct=1,
        why=(
            "On the contrary: several blurs have to be made and compared.",
            "The blur at which a blob answers most strongly grows with the blob, and says how "
            "large a patch to describe.",
            "Blurring does that; the extremum chooses the scale.",
        ),
    ),
    Question(
        prompt="A point in the middle of a long straight edge answers strongly. Why throw it away?",
        choices=(
            "Along the edge its neighbours look alike, so its place is not fixed",
            "Edges have no gradient",
            "Edges vanish when the light changes",
        ),
        correct=0,
        why=(
            "It may slide along the edge: one curvature is large, the other nearly zero.",
            "They have the strongest gradients of all, across the edge.",
            "They stay where they are; it is the place *along* the edge that cannot be found.",
        ),
    ),
    Question(
        prompt="A patch has two directions of nearly equal weight. What does SIFT do?",
        choices=(
            "It takes the mean of the two",
            "It makes two keypoints, one for each",
            "It drops the keypoint",
        ),
        correct=1,
        why=(
            "The mean of 10° and 350° would be 180°; and between two edges there may be nothing.",
            "Whichever of them wins in the other picture, there is a partner for it.",
            "It would lose a good point for having more than one direction.",
        ),
    ),
    Question(
        prompt="What does cutting the descriptor's numbers at 0.2 protect against?",
        choices=(
            "A camera that is turned",
            "One glint or hard shadow that fills the whole descriptor",
            "A picture that is twice as bright",
        ),
        correct=1,
        why=(
            "That is what the keypoint's angle is for.",
            "No direction in any cell may have more than 0.2 of the length, before it is "
            "normalised again.",
            "A factor on all gradients is taken away by normalising alone.",
        ),
    ),
    Question(
        prompt="From lesson 00: 40 is added to every pixel of one picture only. What becomes of "
        "the squared distance of two patches, and what of their SIFT descriptors?",
        choices=(
            "Both stay as they were",
            "The distance grows, the descriptors stay",
            "The distance stays, the descriptors change",
        ),
        correct=1,
        why=(
            "Only a change that *both* pictures share cancels in (a − b)².",
            "Each pixel now differs by 40 more; but a gradient is a difference within one picture, "
            "and there 40 cancels (as long as nothing is cut off at white).",
            "It is the other way round: gradients cancel what is added, raw pixels do not.",
        ),
    ),
    Question(
        prompt="From lesson 00: which pixel is `image[120, 40]`?",
        choices=("x = 120, y = 40", "x = 40, y = 120"),
        correct=1,
        why=(
            "The first index counts rows, so it is y.",
            "Row 120 is y = 120, column 40 is x = 40. Keypoints say (x, y), arrays [y, x].",
        ),
    ),
)
