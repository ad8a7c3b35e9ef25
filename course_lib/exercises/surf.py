"""Exercises of notebook 02_surf: sums of boxes, the blobs they find, and how those are described.

Box filters on an integral image take the place of Gaussian derivatives; Haar wavelets take the
place of gradients. Each exercise is one link of that chain.
"""

from __future__ import annotations

import numpy as np

from course_lib.data.perturb import turn
from course_lib.data.photos import photo, stereo_motorcycle
from course_lib.evaluate.repeatability import right_matches, stereo_correct
from course_lib.exercises.engine import Exercise, Misconception, close
from course_lib.exercises.quiz import Question
from course_lib.features import box_filters, matching, surf

# --- predict: what a box costs --------------------------------------------------------------------


class Counted:
    """An array that counts how often it is read."""

    def __init__(self, values):
        self.values, self.reads = values, 0

    def __getitem__(self, place):
        self.reads += 1
        return self.values[place]


def count_reads():
    """Measures the look-ups of one box of 9×9 and one of 99×99 pixels in an integral image."""
    reads = {}
    for side in (9, 99):
        sums = Counted(box_filters.integral(np.ones((120, 130))))
        box_filters.box_sum(sums, 3, 5, 3 + side, 5 + side)
        reads[side] = sums.reads
    return reads


READS = Exercise(
    name="reads",
    title="What does a large box cost?",
    kind="predict",
    difficulty=1,
    importance=5,
    minutes=3,
    prompt="""
Suppose a table may be prepared once per picture: one number for each place, and the same table for
boxes of every size. How many of its entries have to be **read from memory** for the sum over one
box of **9**×9 pixels, and how many for one of **99**×99 pixels? (Nobody has told you yet. Think of
what the numbers in the table could be; the next section has the answer.)
""",
    solution={9: 4, 99: 4},
    measure=count_reads,
    misconceptions=(
        Misconception(
            "pixel by pixel",
            {9: 81, 99: 9801},
            "That is the price without a table, where every pixel of the box is read. The table "
            "may hold sums already, so that this need not be done.",
        ),
        Misconception(
            "row by row",
            {9: 9, 99: 99},
            "Reads for every row would be needed if only the rows had been summed up. A table can "
            "be summed along both axes, so the rows need not be visited one by one either.",
        ),
        Misconception(
            "along the sides",
            {9: 18, 99: 198},
            "That is what a separable filter reads, first along one axis, then along the other. "
            "A table can have done both sums in advance.",
        ),
        Misconception(
            "one look-up",
            {9: 1, 99: 1},
            "One would do if the table held the sums of boxes of one size only. This one is for "
            "all sizes: an entry that sums up too much needs others to take the rest away.",
        ),
        Misconception(
            "two look-ups",
            {9: 2, 99: 2},
            "Two ends are enough on a line, where a sum is end minus beginning. In a plane the "
            "same trick is played along both axes: two times two.",
        ),
    ),
    hints=(
        "Let each entry know the sum of one rectangle that begins at the picture's corner. From "
        "which such rectangles can yours be put together?",
        "All above and left of the box's last corner, minus a strip above, minus a strip to the "
        "left, plus the piece that was taken away twice.",
    ),
)

# --- implement: the integral image ----------------------------------------------------------------


def numbers(got, expected):
    """Whole numbers and floats count alike: 6 is as good as 6.0."""
    if not isinstance(got, np.ndarray) or got.dtype.kind not in "iuf":
        return close(got, expected)
    return close(got.astype(np.float64), expected.astype(np.float64))


def integral(image):
    """The sum of all pixels above and to the left, for every place.

    image: uint8 (H, W) → (H+1, W+1); [y, x] holds the sum of image[:y, :x], so row 0 is zero
    """
    sums = np.zeros((image.shape[0] + 1, image.shape[1] + 1))
    sums[1:, 1:] = image.astype(np.float64).cumsum(axis=0).cumsum(axis=1)
    return sums


def integral_cases(seed):
    rng = np.random.default_rng(seed)
    shapes = [(3, 4), (6, 11), (9, 5), (1, 7)]
    return [{"image": rng.integers(1, 256, shape, np.uint8)} for shape in shapes]


def integral_without_zeros(image):
    return integral(image)[1:, 1:]


def integral_zeros_behind(image):
    return np.roll(integral(image), -1, axis=(0, 1))


def integral_down_only(image):
    sums = integral(image)
    sums[:, 1:] = np.diff(sums, axis=1)
    return sums


def integral_across_only(image):
    sums = integral(image)
    sums[1:] = np.diff(sums, axis=0)
    return sums


def integral_in_bytes(image):
    return integral(image).astype(np.uint8)


def integral_counted_twice(image):
    height, width = image.shape
    sums = np.zeros((height + 1, width + 1))
    for y in range(height):
        for x in range(width):
            sums[y + 1, x + 1] = image[y, x] + sums[y, x + 1] + sums[y + 1, x]
    return sums


def integral_transposed(image):
    return integral(image).T


def integral_exclusive_shifted(image):
    sums = integral(image)
    sums[1:, 1:] -= image
    return sums


INTEGRAL = Exercise(
    name="integral",
    title="Sum once, ask often",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=8,
    prompt="""
Make the **integral image** $S$ of a grey picture $I$:

$$S[y, x] = \\sum_{y' < y}\\ \\sum_{x' < x} I[y', x'].$$

It has one row and one column more than the picture, and its first row and column are zero, because
nothing lies above or to the left of them. Sums may be whole numbers or floats, but they must be
right: 255 + 255 is 510.
""",
    solution=integral,
    cases=integral_cases,
    compare=numbers,
    misconceptions=(
        Misconception(
            "no zero row and column",
            integral_without_zeros,
            "Your table begins with the first pixel. Without a row and a column of zeros, a box "
            "that touches the picture's upper or left side has no corners to look up.",
        ),
        Misconception(
            "zeros at the wrong end",
            integral_zeros_behind,
            "The row and the column of zeros belong in front: at the upper and left side, where "
            "nothing has been summed yet.",
        ),
        Misconception(
            "summed down only",
            integral_down_only,
            "You sum down the columns and stop. The columns have to be summed from left to right "
            "as well: `cumsum` along both axes, one after the other.",
        ),
        Misconception(
            "summed across only",
            integral_across_only,
            "You sum along the rows and stop. The rows have to be summed from top to bottom as "
            "well: `cumsum` along both axes, one after the other.",
        ),
        Misconception(
            "uint8 overflow",
            integral_in_bytes,
            "Your sums are kept in uint8 and start again at 0 after 255: make the table of a wider "
            "type than the picture, np.float64 for instance.",
        ),
        Misconception(
            "overlap counted twice",
            integral_counted_twice,
            "You add the sum above and the sum to the left. What lies above *and* to the left is "
            "in both of them, so it must be taken away once: − S[y − 1, x − 1].",
        ),
        Misconception(
            "transposed",
            integral_transposed,
            "Your table lies on its side: it has W + 1 rows, but should have H + 1.",
        ),
        Misconception(
            "own pixel left out of its own sum",
            integral_exclusive_shifted,
            "S[y + 1, x + 1] must include pixel [y, x]: the extra row and column have moved "
            "everything by one already.",
        ),
    ),
    hints=(
        "Do it for one row first: `np.cumsum([3, 1, 4])` is `[3, 4, 8]`. What is left to do when "
        "every row has been summed like that?",
        "`np.zeros((H + 1, W + 1))` is the table with its zeros; the sums belong into "
        "`sums[1:, 1:]`.",
        "`image.astype(np.float64).cumsum(axis=0).cumsum(axis=1)` are the sums.",
    ),
    equivalent={
        "drop 7:19 astype": "NumPy's cumsum widens uint8 to 64 bits by itself",
    },
)

# --- implement: the four corners ------------------------------------------------------------------


def box_sum(sums, x, y, w, h):
    """Sum of the picture's pixels in the box of w×h pixels whose first pixel is (x, y).

    sums: float (H+1, W+1), the integral image → float
    """
    return float(sums[y + h, x + w] - sums[y, x + w] - sums[y + h, x] + sums[y, x])


def box_sum_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for height, width in [(7, 12), (9, 6), (11, 17), (8, 5)]:
        w, h = rng.choice(np.arange(2, min(height, width) - 1), 2, replace=False)
        x, y = rng.integers(1, width - w), rng.integers(1, height - h)
        image = rng.uniform(1, 255, (height, width))
        box = {"x": int(x), "y": int(y), "w": int(w), "h": int(h)}
        cases.append({"sums": box_filters.integral(image), **box})
    return cases


def box_without_fourth(sums, x, y, w, h):
    return float(sums[y + h, x + w] - sums[y, x + w] - sums[y + h, x])


def box_fourth_subtracted(sums, x, y, w, h):
    return float(sums[y + h, x + w] - sums[y, x + w] - sums[y + h, x] - sums[y, x])


def box_end_too_early(sums, x, y, w, h):
    return box_sum(sums, x, y, w - 1, h - 1)


def box_textbook_corners(sums, x, y, w, h):
    return box_sum(sums, x - 1, y - 1, w, h)


def box_one_too_large(sums, x, y, w, h):
    return box_sum(sums, x - 1, y - 1, w + 1, h + 1)


def box_x_for_row(sums, x, y, w, h):
    return float(sums[x + w, y + h] - sums[x, y + h] - sums[x + w, y] + sums[x, y])


def box_sides_swapped(sums, x, y, w, h):
    return box_sum(sums, x, y, h, w)


def box_size_for_end(sums, x, y, w, h):
    return float(sums[h, w] - sums[y, w] - sums[h, x] + sums[y, x])


def box_of_table(sums, x, y, w, h):
    return float(sums[y : y + h, x : x + w].sum())


BOX_SUM = Exercise(
    name="box_sum",
    title="Four corners make a box",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=6,
    prompt="""
`sums` is an integral image with its row and column of zeros: `sums[y, x]` is the sum of
`image[:y, :x]`. Return the sum of `image[y : y+h, x : x+w]` with **four** look-ups, as a float.
""",
    solution=box_sum,
    cases=box_sum_cases,
    misconceptions=(
        Misconception(
            "fourth corner forgotten",
            box_without_fourth,
            "The piece above and to the left of the box lies in both strips that you take away, so "
            "it was taken away twice: add it back once.",
        ),
        Misconception(
            "fourth corner subtracted",
            box_fourth_subtracted,
            "The sign of the fourth corner is wrong. Both strips hold the piece at the upper left, "
            "so it was subtracted twice already; it has to be added.",
        ),
        Misconception(
            "end taken as inclusive",
            box_end_too_early,
            "Your box is one pixel too narrow and too low: `sums[y+h, x+w]` already stops before "
            "row y+h and column x+w, so no −1 is needed.",
        ),
        Misconception(
            "corners of a table without zeros",
            box_textbook_corners,
            "Your box is right in size but begins one pixel too far up and left. Textbooks write "
            "x − 1 and y − 1 for a table without zeros; the zeros have made up for that here.",
        ),
        Misconception(
            "one pixel too many",
            box_one_too_large,
            "Your box has one row and one column too many, at the top and at the left: with a row "
            "and a column of zeros in the table, its first corner is `sums[y, x]`, without −1.",
        ),
        Misconception(
            "x taken for the row",
            box_x_for_row,
            "You index [x, y], but an array is indexed row first: y counts the rows.",
        ),
        Misconception(
            "width and height swapped",
            box_sides_swapped,
            "Width and height are swapped: w goes with x, along the columns, and h with y.",
        ),
        Misconception(
            "size taken for the end",
            box_size_for_end,
            "You look up [h, w], as if the box ended there; it ends at [y + h, x + w].",
        ),
        Misconception(
            "table summed up again",
            box_of_table,
            "You sum over the integral image, whose entries are sums already. Only its four "
            "corners are to be read.",
        ),
    ),
    hints=(
        "Draw the box into a larger rectangle that begins at (0, 0). Which rectangles that also "
        "begin at (0, 0) do you have to take away?",
        "`sums[y + h, x + w]` has all of the box and three pieces too many: above, to the left, "
        "and the corner where those two meet.",
    ),
)

# --- implement: the determinant -------------------------------------------------------------------


def determinant(dxx, dyy, dxy, size):
    """Determinant of the Hessian made of box filters (Bay et al. 2008, equation 3).

    dxx, dyy, dxy: float (H, W), plain sums of weighted boxes; size: side of the filter in pixels
    → float (H, W), comparable between sizes
    """
    area = size**2
    dxx, dyy, dxy = dxx / area, dyy / area, dxy / area
    return dxx * dyy - (0.9 * dxy) ** 2


def determinant_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for size, shape in [(9, (3, 5)), (15, (6, 4)), (27, (5, 7))]:
        dxx, dyy, dxy = rng.normal(0, 20 * size**2, (3, *shape))
        cases.append({"dxx": dxx, "dyy": dyy, "dxy": dxy, "size": size})
    return cases


def determinant_weight_unsquared(dxx, dyy, dxy, size):
    return (dxx * dyy - 0.9 * dxy**2) / size**4


def determinant_unweighted(dxx, dyy, dxy, size):
    return (dxx * dyy - dxy**2) / size**4


def determinant_weight_squared_twice(dxx, dyy, dxy, size):
    return (dxx * dyy - (0.81 * dxy) ** 2) / size**4


def determinant_plus(dxx, dyy, dxy, size):
    return (dxx * dyy + (0.9 * dxy) ** 2) / size**4


def determinant_raw(dxx, dyy, dxy, size):
    return dxx * dyy - (0.9 * dxy) ** 2


def determinant_raw_unsquared(dxx, dyy, dxy, size):
    return dxx * dyy - 0.9 * dxy**2


def determinant_once(dxx, dyy, dxy, size):
    return (dxx * dyy - (0.9 * dxy) ** 2) / size**2


def determinant_mixed_unsquared(dxx, dyy, dxy, size):
    area = size**2
    return dxx / area * (dyy / area) - 0.9 * dxy / area


def determinant_trace(dxx, dyy, dxy, size):
    return (dxx + dyy) / size**2


DETERMINANT = Exercise(
    name="determinant",
    title="A number that says: blob",
    kind="implement",
    difficulty=2,
    importance=4,
    minutes=6,
    prompt="""
The three box filters have answered with plain sums (weights 1, −2, 1 and ±1). A larger filter sums
more pixels, so first divide **each of the three** by the filter's area, `size²`. Then return

$$\\det H = D_{xx} D_{yy} - (0.9\\, D_{xy})^2 .$$
""",
    solution=determinant,
    cases=determinant_cases,
    misconceptions=(
        Misconception(
            "0.9 not squared",
            determinant_weight_unsquared,
            "The weight 0.9 stands inside the brackets and is squared with Dxy: 0.81 in all.",
        ),
        Misconception(
            "no weight",
            determinant_unweighted,
            "The weight 0.9 is missing: boxes answer more strongly to a diagonal pattern than the "
            "Gaussian derivative does, and 0.9 takes that back.",
        ),
        Misconception(
            "weight squared twice",
            determinant_weight_squared_twice,
            "You square 0.81, but that is 0.9² already: either 0.81 · Dxy², or (0.9 · Dxy)².",
        ),
        Misconception(
            "plus for minus",
            determinant_plus,
            "With a plus, an edge that runs diagonally would count as a blob. A determinant takes "
            "the product of the other diagonal *away*.",
        ),
        Misconception(
            "not divided by the area",
            determinant_raw,
            "You do not divide by the filter's area: the largest filter would always win, only "
            "because it sums the most pixels.",
        ),
        Misconception(
            "not divided, and 0.9 not squared",
            determinant_raw_unsquared,
            "Two things are missing: each of the three responses is first divided by size², and "
            "the weight 0.9 is squared together with Dxy.",
        ),
        Misconception(
            "area divided out once",
            determinant_once,
            "Each of the three responses is divided by size², so their products are divided by "
            "size⁴; yours are divided by size² only.",
        ),
        Misconception(
            "Dxy not squared",
            determinant_mixed_unsquared,
            "Dxy stands twice in the matrix, at the upper right and at the lower left, so the "
            "determinant holds its square.",
        ),
        Misconception(
            "trace for determinant",
            determinant_trace,
            "That is the trace, Dxx + Dyy. It tells dark blobs from bright ones, but it is also "
            "large on edges; the determinant is asked for.",
        ),
    ),
    hints=(
        "Three divisions first, then one line with a product, a square and a minus.",
        "`dxx / size**2` and so on; then `dxx * dyy - (0.9 * dxy) ** 2`.",
    ),
)

# --- repair: the orientation window ---------------------------------------------------------------


def dominant_angle(gx, gy):
    """Direction of the longest sum of gradients that lie within 60° of each other.

    gx, gy: float (N,), Haar responses around a keypoint → float, radians in [0, 2π)
    """
    direction = np.arctan2(gy, gx)
    longest, angle = 0.0, 0.0
    for start in direction:
        inside = (direction - start) % (2 * np.pi) < np.pi / 3
        x, y = gx[inside].sum(), gy[inside].sum()
        if np.hypot(x, y) > longest:
            longest, angle = np.hypot(x, y), np.arctan2(y, x)
    return float(angle % (2 * np.pi))


def dominant_angle_faulty(gx, gy):
    """Direction of the longest sum of gradients that lie within 60° of each other.

    gx, gy: float (N,), Haar responses around a keypoint → float, radians in [0, 2π)
    """
    direction = np.arctan2(gy, gx)
    longest, angle = 0.0, 0.0
    for start in direction:
        inside = (direction >= start) & (direction < start + np.pi / 3)
        x, y = gx[inside].sum(), gy[inside].sum()
        if np.hypot(x, y) > longest:
            longest, angle = np.hypot(x, y), np.arctan2(y, x)
    return float(angle % (2 * np.pi))


def dominant_angle_cases(seed):
    """Three bundles in each case, and a flat neighbourhood at the end.

    The first bundle should win: tight and strong, pointing left (across ±π), right (across 0) and
    elsewhere. The second is as strong but fans out, the third has the most gradients, all weak.
    """
    rng = np.random.default_rng(seed)
    counts, strength = [24, 24, 50, 3, 3], [1.5, 1.55, 0.2, 0.8, 0.8]
    middles, scales = (np.pi, 0.05, 2.0, np.pi + 0.1, -0.07, 4.0), (1, 7, 0.001, 0.2, 30, 2)
    cases = []
    for first, scale in zip(middles, scales, strict=True):
        strong = first + rng.uniform(-0.45, 0.45, 24)
        fan = first + 2.0 + np.repeat([-0.47, 0.47], 12) + rng.uniform(-0.03, 0.03, 24)
        weak = first - 1.9 + rng.uniform(-0.2, 0.2, 50)
        opposite = first + np.pi + rng.uniform(0.1, 0.2, 3)
        beside = first + rng.uniform(0.8, 0.9, 3)  # just outside of 60°
        direction = np.concatenate([strong, fan, weak, opposite, beside])
        length = scale * rng.uniform(0.97, 1.03, len(direction)) * np.repeat(strength, counts)
        cases.append({"gx": length * np.cos(direction), "gy": length * np.sin(direction)})
    return [*cases, {"gx": np.zeros(3), "gy": np.zeros(3)}]


def _window(gx, gy, inside, score, result):
    """The best of all windows, by `score`; `inside(direction, start)` says who belongs to one."""
    direction = np.arctan2(gy, gx)
    windows = [(start, inside(direction, start)) for start in direction]
    start, chosen = max(windows, key=lambda pair: score(gx[pair[1]], gy[pair[1]]))
    return float(result(start, gx[chosen].sum(), gy[chosen].sum()))


def _ahead(width):
    return lambda direction, start: (direction - start) % (2 * np.pi) < width


def _length(gx, gy):
    return np.hypot(gx.sum(), gy.sum())


def _angle(start, x, y):
    return np.arctan2(y, x) % (2 * np.pi)


def angle_wrapped_elsewhere(gx, gy):
    def inside(direction, start):
        ahead = direction % (2 * np.pi) - start % (2 * np.pi)
        return (ahead >= 0) & (ahead < np.pi / 3)

    return _window(gx, gy, inside, _length, _angle)


def angle_of_distance(gx, gy):
    def inside(direction, start):
        return np.abs(direction - start) < np.pi / 6

    return _window(gx, gy, inside, _length, _angle)


def angle_window_both_ways(gx, gy):
    def inside(direction, start):
        return np.cos(direction - start) > 0.5

    return _window(gx, gy, inside, _length, _angle)


def angle_of_most(gx, gy):
    return _window(gx, gy, _ahead(np.pi / 3), lambda x, y: len(x), _angle)


def angle_of_longest_pieces(gx, gy):
    return _window(gx, gy, _ahead(np.pi / 3), lambda x, y: np.hypot(x, y).sum(), _angle)


def angle_of_start(gx, gy):
    return _window(gx, gy, _ahead(np.pi / 3), _length, lambda start, x, y: start % (2 * np.pi))


def angle_signed(gx, gy):
    return _window(gx, gy, _ahead(np.pi / 3), _length, lambda start, x, y: np.arctan2(y, x))


def angle_of_all(gx, gy):
    return float(np.arctan2(gy.sum(), gx.sum()) % (2 * np.pi))


DOMINANT_ANGLE = Exercise(
    name="dominant_angle",
    title="The direction that falls through the gap",
    kind="repair",
    difficulty=3,
    importance=5,
    minutes=10,
    prompt="""
SURF's orientation: a window of 60° slides around the circle, and the longest sum of gradients
inside it gives the angle. This version works for most keypoints. It is **wrong** for some, without
any error: they come out with a badly chosen angle, always at the same part of the circle. Find the
fault and mend it.
""",
    solution=dominant_angle,
    stub=dominant_angle_faulty,
    cases=dominant_angle_cases,
    rtol=1e-6,
    misconceptions=(
        Misconception(
            "gap moved, not closed",
            angle_wrapped_elsewhere,
            "You brought the directions into [0, 2π), which only moves the gap from the left to "
            "the right: now the windows across 0 are torn. It is the *difference* of two "
            "directions that has to be taken modulo 2π.",
        ),
        Misconception(
            "distance without wrap-around",
            angle_of_distance,
            "|direction − start| does not know that −179° and 179° are neighbours: it says 358°. "
            "Take the difference modulo 2π before you compare it.",
        ),
        Misconception(
            "window of 120°",
            angle_window_both_ways,
            "Your window reaches 60° to both sides, 120° in all; it should span 60° in all.",
        ),
        Misconception(
            "most, not longest",
            angle_of_most,
            "You choose the window with the most gradients; many weak ones must not beat a few "
            "strong ones. The length of their *sum* decides.",
        ),
        Misconception(
            "sum of lengths",
            angle_of_longest_pieces,
            "You add up the lengths of the gradients; what counts is the length of their vector "
            "sum, in which different directions weaken each other.",
        ),
        Misconception(
            "window's edge for the angle",
            angle_of_start,
            "You return where the window begins; the angle of the summed vector is asked for.",
        ),
        Misconception(
            "negative angles",
            angle_signed,
            "The window is right now, but the angle lies in (−π, π]; it should lie in [0, 2π).",
        ),
        Misconception(
            "no window at all",
            angle_of_all,
            "You sum all gradients. Without a window, those of the other side pull the angle away "
            "or cancel the strongest direction altogether.",
        ),
    ),
    hints=(
        "Give it a bundle of gradients that point to the right, then turn the bundle by 90° again "
        "and again. For which direction does the answer not follow?",
        "`np.arctan2` jumps from π to −π where a gradient points to the left. Which gradients does "
        "a window miss that begins at 170°?",
        "`(direction - start) % (2 * np.pi)` is how far a direction lies ahead of `start`, on a "
        "circle.",
    ),
    equivalent={
        "operands 6:16 arctan2(a, b) → arctan2(b, a)": "a circle seen in a mirror has the same "
        "windows, and the angle of the sum is taken apart from them",
        "compare 9:17 < → <=": "no two directions are exactly 60° apart",
        "compare 11:11 > → >=": "no two windows have sums of exactly the same length",
    },
)

# --- test: the sums of a cell ---------------------------------------------------------------------


def cell_sums(dx, dy):
    """Σdx, Σdy, Σ|dx|, Σ|dy| of one cell."""
    return np.array([dx.sum(), dy.sum(), np.abs(dx).sum(), np.abs(dy).sum()])


def test_cell_sums(cell_sums):
    """Assert what a right `cell_sums` does, and nothing that a right one might not do.

    cell_sums: a function that takes dx, dy, float (5, 5), and returns a float array (4,)
    """
    dx = np.linspace(-1, 3, 25).reshape(5, 5)
    dy = np.linspace(2, -5, 25).reshape(5, 5)
    kept = dx.copy(), dy.copy()
    got = cell_sums(dx, dy)
    expected = [
        sum(dx.ravel().tolist()),
        sum(dy.ravel().tolist()),
        sum(abs(v) for v in dx.ravel().tolist()),
        sum(abs(v) for v in dy.ravel().tolist()),
    ]
    assert got.shape == (4,)
    assert np.allclose(got, expected)
    assert np.array_equal(dx, kept[0])
    assert np.array_equal(dy, kept[1])


def cell_abs_of_sum(dx, dy):
    return np.array([dx.sum(), dy.sum(), abs(dx.sum()), abs(dy.sum())])


def cell_only_abs(dx, dy):
    return np.array([np.abs(dx).sum(), np.abs(dy).sum()] * 2)


def cell_grouped_by_axis(dx, dy):
    return np.array([dx.sum(), np.abs(dx).sum(), dy.sum(), np.abs(dy).sum()])


def cell_axes_swapped(dx, dy):
    return cell_sums(dy, dx)


def cell_means(dx, dy):
    return cell_sums(dx, dy) / dx.size


def cell_squares(dx, dy):
    return np.array([dx.sum(), dy.sum(), (dx**2).sum(), (dy**2).sum()])


def cell_absolute_in_place(dx, dy):
    plain = [dx.sum(), dy.sum()]
    np.abs(dx, out=dx)
    np.abs(dy, out=dy)
    return np.array([*plain, dx.sum(), dy.sum()])


TEST_CELL_SUMS = Exercise(
    name="test_cell_sums",
    title="Write the test that a wrong cell cannot pass",
    kind="test",
    difficulty=3,
    importance=4,
    minutes=10,
    prompt="""
One cell of the descriptor: `cell_sums(dx, dy)` takes two arrays of 5×5 wavelet responses and
returns the array `[Σdx, Σdy, Σ|dx|, Σ|dy|]`, in this order, and leaves `dx` and `dy` as they were.
Write a test that calls `cell_sums` and `assert`s this. It is then run on one right and on many
wrong implementations: it must accept the one and reject all the others. The most famous of the
wrong ones confuses Σ|dx| with |Σdx|. **With which inputs do the two agree?** Do not use those.
""",
    solution=test_cell_sums,
    subject=cell_sums,
    misconceptions=(
        Misconception(
            "|Σ| for Σ|·|",
            cell_abs_of_sum,
            "Your test accepts |Σdx| in place of Σ|dx|. They agree wherever all dx have the same "
            "sign: give it a cell in which some are negative and some positive.",
        ),
        Misconception(
            "sign lost",
            cell_only_abs,
            "Your test accepts a cell that has only absolute values: use a dx whose sum is not the "
            "sum of its absolute values, and look at the first two numbers.",
        ),
        Misconception(
            "another order",
            cell_grouped_by_axis,
            "Your test accepts the order Σdx, Σ|dx|, Σdy, Σ|dy|: the right numbers in the wrong "
            "places match nothing. Compare each number in its own place.",
        ),
        Misconception(
            "dx and dy swapped",
            cell_axes_swapped,
            "Your test accepts a cell with dx and dy swapped: give it a dy that differs from dx.",
        ),
        Misconception(
            "mean for sum",
            cell_means,
            "Your test accepts means in place of sums: compare with the numbers themselves, not "
            "only with their signs or their order.",
        ),
        Misconception(
            "squares for absolute values",
            cell_squares,
            "Your test accepts Σdx² in place of Σ|dx|. They agree where every dx is −1, 0 or 1: "
            "use other numbers.",
        ),
        Misconception(
            "argument overwritten",
            cell_absolute_in_place,
            "Your test accepts a function that overwrites dx and dy with their absolute values: "
            "keep copies and compare after the call.",
        ),
    ),
    hints=(
        "Choose a dx and a dy without symmetry, each with positive and negative numbers, none of "
        "them ±1 only: `np.linspace(-1, 3, 25).reshape(5, 5)` for one.",
        "Work out the four expected sums in another way than the function would, for instance by "
        "a loop over `dx.ravel()`.",
        "`np.allclose(got, expected)` compares floats in their places. After the call, compare dx "
        "with a copy that you made before.",
    ),
)

# --- predict: the sign of the Laplacian -----------------------------------------------------------


def measure_sign_kept():
    """Measures on the stereo pair: of right and of wrong nearest neighbours, who agrees in sign?"""
    pair = stereo_motorcycle()
    (left, a), (right, b) = map(surf.detect_and_describe, (pair.left, pair.right))
    query, train = matching.nearest(a, b).index.T
    same = left.sign[query] == right.sign[train]
    correct, known = stereo_correct(left, right, np.stack([query, train], 1), pair.disparity)
    return [round(100 * float(same[part].mean())) for part in (correct, known & ~correct)]


SIGN_KEPT = Exercise(
    name="sign_kept",
    title="What does the sign of a blob sort out?",
    kind="predict",
    difficulty=3,
    importance=3,
    minutes=3,
    prompt="""
Every left keypoint of the stereo pair has a nearest neighbour on the right, by its 64 numbers; some
of these pairs are right, others wrong. Now look at the signs: **in how many percent of the right
pairs, and of the wrong ones, are both blobs dark or both bright?** Fill in two whole numbers:
`[of the right pairs, of the wrong pairs]`. About half of all keypoints are dark.
""",
    solution=[100, 95],
    measure=measure_sign_kept,
    atol=4,
    misconceptions=(
        Misconception(
            "a coin is tossed",
            [100, 50],
            "That would hold for wrong pairs drawn at random. These were chosen by their 64 "
            "numbers, and signed sums see already whether it gets brighter or darker outwards.",
        ),
        Misconception(
            "a good part is found out",
            [100, 75],
            "You trust the sign a little too much: a wrong neighbour was chosen because its 64 "
            "numbers are alike, and these know dark from bright nearly as well.",
        ),
        Misconception(
            "every wrong pair is found out",
            [100, 0],
            "The sign is one bit: two different blobs can both be dark. It cannot find out all the "
            "wrong pairs.",
        ),
        Misconception(
            "half of everything is lost",
            [50, 50],
            "A blob that is dark in the left view is dark in the right view too: the same point "
            "does not change its sign from one picture to the other.",
        ),
        Misconception(
            "right and wrong swapped",
            [95, 100],
            "The other way round: it is the same point in both views that surely keeps its sign.",
        ),
    ),
    hints=(
        "Can the *same* point of the motorcycle be a dark blob on the left and a bright one on the "
        "right?",
        "The wrong neighbours are no random points: their descriptors look alike. Do a dark and a "
        "bright blob have like Σdx and Σdy, cell by cell?",
    ),
)

# --- ablate: without orientation ------------------------------------------------------------------


def measure_orientation_worth():
    """Percent of cross-checked matches that are right, on `camera` turned by 15° and by 45°."""
    image = photo("camera")
    shares = {15: [], 45: []}
    for degrees, row in shares.items():
        turned, H = turn(image, np.radians(degrees))
        for upright in (False, True):
            config = surf.Config(upright=upright)
            a, rows = surf.detect_and_describe(image, config)
            b, columns = surf.detect_and_describe(turned, config)
            right = right_matches(a, b, matching.cross_check(rows, columns).index, H)
            row.append(round(100 * float(right.mean())))
    return shares


ORIENTATION_WORTH = Exercise(
    name="orientation_worth",
    title="Take the orientation away",
    kind="ablate",
    difficulty=2,
    importance=4,
    minutes=8,
    prompt="""
`surf.Config(upright=True)` switches the orientation off and saves its cost. What does it cost in
matches? With `share_right(config, degrees)` from the cell above, measure oriented and upright SURF
on the photograph turned by 15° and by 45°, and fill in the four **percentages** as whole numbers:
for each angle a pair `[oriented, upright]`.
""",
    solution={15: [77, 63], 45: [66, 0]},
    measure=measure_orientation_worth,
    atol=3,
    misconceptions=(
        Misconception(
            "pairs swapped",
            {15: [63, 77], 45: [0, 66]},
            "Your pairs are swapped: the oriented one comes first, and `upright=True` is the one "
            "*without* an orientation.",
        ),
        Misconception(
            "shares, not percentages",
            {15: [0.77, 0.63], 45: [0.66, 0]},
            "These are shares from 0 to 1; percentages are asked for: times 100.",
        ),
        Misconception(
            "angle not changed",
            {15: [77, 63], 45: [77, 63]},
            "You have the values of 15° twice: the second pair belongs to `degrees=45`.",
        ),
        Misconception(
            "configuration not used",
            {15: [77, 77], 45: [66, 66]},
            "Both methods give the same numbers, so both measurements were made with the same "
            "configuration: pass `surf.Config(upright=True)` for the upright ones.",
        ),
    ),
    hints=(
        "`share_right(surf.Config(upright=True), 45)` is one of the four.",
        "Two loops around one call: for both configurations, for both angles, print the result.",
    ),
)

EXERCISES = (
    READS,
    INTEGRAL,
    BOX_SUM,
    DETERMINANT,
    DOMINANT_ANGLE,
    TEST_CELL_SUMS,
    SIGN_KEPT,
    ORIENTATION_WORTH,
)

QUIZ = (
    Question(
        prompt="The box grows from 9×9 to 99×99 pixels. What happens to the cost of its sum?",
        choices=("It grows with the area", "It grows with the side", "Nothing"),
        correct=2,
        why=(
            "That is the cost of adding pixel by pixel, which the integral image has done in "
            "advance, once for all boxes.",
            "That is what a separable filter costs, two passes along the sides: SIFT's way.",
            "Four corners are read, whatever lies between them.",
        ),
    ),
    Question(
        prompt="Why does the determinant find blobs, and the trace does not do as well?",
        choices=(
            "The trace costs more look-ups",
            "On an edge one curvature is near zero, and so is the product, but not the sum",
            "The determinant knows whether a blob is dark or bright",
        ),
        correct=1,
        why=(
            "The trace is cheaper: it needs no Dxy. Cost is not the reason.",
            "The determinant asks for curvature in both directions; the sum is content with one.",
            "It is the trace whose sign tells them apart: two negative curvatures have a positive "
            "product too.",
        ),
    ),
    Question(
        prompt="A cell holds dx = +3, −3, +3, −3. Which two numbers does SURF write for it?",
        choices=("Σdx = 0 and Σ|dx| = 12", "Σdx = 0 and |Σdx| = 0", "Σdx = 12 and Σ|dx| = 12"),
        correct=0,
        why=(
            "The sum alone would look like an empty cell; the absolute sum says that there are "
            "stripes.",
            "The absolute value is taken before the sum: otherwise it could say nothing new.",
            "Signed values cancel each other: that is what makes Σdx different from Σ|dx|.",
        ),
    ),
    Question(
        prompt="From 01_sift: what does SIFT do after an octave, and what does SURF do instead?",
        choices=(
            "SIFT halves the picture; SURF doubles the filters and keeps the picture",
            "SIFT doubles the filters; SURF halves the picture",
            "Both halve the picture",
        ),
        correct=0,
        why=(
            "Blurring and halving is a chain, each step waits for the one before; SURF's filters "
            "can all be applied at once, to the same integral image.",
            "The other way round: filters that grow are cheap only for boxes.",
            "SURF never makes the picture smaller: every filter reads the same integral image. It "
            "only looks at fewer places.",
        ),
    ),
    Question(
        prompt="From 01_sift: how far apart are two gradients with angles of 350° and 10°?",
        choices=("340°", "20°", "180°"),
        correct=1,
        why=(
            "On a line they would be. Angles live on a circle: take the difference modulo 360°.",
            "The shorter way leads across 0°. Forgetting it is the most common silent fault of "
            "every orientation, in SIFT's histogram and in SURF's window.",
            "Only opposite directions are that far apart.",
        ),
    ),
    Question(
        prompt="From 00_start: two uint8 patches hold 3 and 5 at the same place. `a - b` gives",
        choices=("−2", "2", "254"),
        correct=2,
        why=(
            "It would in a type that knows negative numbers; uint8 starts again at 255.",
            "That would be the absolute difference, which nobody has asked NumPy for.",
            "Bytes go round in circles. An integral image kept in uint8 does so within the first "
            "few pixels.",
        ),
    ),
)
