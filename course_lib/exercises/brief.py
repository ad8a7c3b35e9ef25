"""Exercises of notebook 03_brief: questions about a patch, their answers as bits, and FAST.

Corners are at (x, y), x to the right and y down; a pattern holds pairs of offsets, (n, 2, 2), as
`[question, first or second point, x or y]`; angles are in radians, from x towards y.
"""

from __future__ import annotations

import numpy as np

from course_lib.data.perturb import noise
from course_lib.data.photos import photo
from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.quiz import Question
from course_lib.features import brief

# --- implement: the answers of one corner ---------------------------------------------------------


def brief_bits(image, x, y, pattern):
    """Ask every question of the pattern about one corner: is the first point the darker one?

    image: (H, W), already smoothed; x, y: floats, rounded to the nearest pixel;
    pattern: whole (n, 2, 2), offsets (x, y) of the first and the second point → bool (n,)
    """
    column, row = int(np.rint(x)), int(np.rint(y))
    first, second = pattern[:, 0], pattern[:, 1]
    at_first = image[row + first[:, 1], column + first[:, 0]]
    at_second = image[row + second[:, 1], column + second[:, 0]]
    return at_first < at_second


def brief_bits_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for height, width, n in [(31, 43, 24), (37, 29, 40), (26, 35, 32)]:
        # Few grey levels, so that some pairs are equal, and .6 to .9, so that rounding matters.
        image = rng.integers(0, 6, (height, width)).astype(float)
        x, y = rng.choice(np.arange(9, 17), 2, replace=False) + rng.uniform(0.6, 0.9, 2)
        pattern = rng.integers(-4, 5, (n, 2, 2))
        cases.append({"image": image, "x": float(x), "y": float(y), "pattern": pattern})
    return cases


def bits_mirrored(image, x, y, pattern):
    return brief_bits(image.T, x, y, pattern)


def bits_offsets_swapped(image, x, y, pattern):
    return brief_bits(image, x, y, pattern[:, :, ::-1])


def bits_of_brighter(image, x, y, pattern):
    return brief_bits(-image, x, y, pattern)


def bits_not_rounded(image, x, y, pattern):
    return brief_bits(image, int(x), int(y), pattern)


def bits_chained(image, x, y, pattern):
    return brief_bits(image, x, y, np.cumsum(pattern, axis=1))


def bits_against_centre(image, x, y, pattern):
    centred = pattern.copy()
    centred[:, 1] = 0
    return brief_bits(image, x, y, centred)


def bits_of_ties(image, x, y, pattern):
    return ~brief_bits(image, x, y, pattern[:, ::-1])


BRIEF_BITS = Exercise(
    name="brief_bits",
    title="Ask the questions",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=6,
    prompt="""
`image` (H, W) is a smoothed grey picture, and a corner lies at (`x`, `y`), floats that you round to
the nearest pixel. `pattern` (n, 2, 2) holds whole offsets: `pattern[i, 0]` is the (x, y) offset of
question i's **first** point from the corner, `pattern[i, 1]` that of its **second**.

Return a bool array (n,): True where the picture is darker at the first point than at the second.

$$\\tau_i = \\begin{cases} 1 & I(p + a_i) < I(p + b_i) \\\\ 0 & \\text{otherwise} \\end{cases}$$
""",
    solution=brief_bits,
    cases=brief_bits_cases,
    misconceptions=(
        Misconception(
            "x and y swapped",
            bits_mirrored,
            "You read the picture as `image[x, y]`: an array is indexed row first, `image[y, x]`.",
        ),
        Misconception(
            "offsets swapped",
            bits_offsets_swapped,
            "The corner is in its place, but you add the x of an offset to the row: the last index "
            "of `pattern` is 0 for x and 1 for y.",
        ),
        Misconception(
            "brighter, not darker",
            bits_of_brighter,
            "You ask whether the first point is brighter; a bit is 1 where it is darker.",
        ),
        Misconception(
            "cut off, not rounded",
            bits_not_rounded,
            "`int(12.8)` is 12: it cuts the fraction off. Round to the nearest pixel first.",
        ),
        Misconception(
            "second point from the first",
            bits_chained,
            "You go to the second point from the first one; both offsets start at the corner.",
        ),
        Misconception(
            "compared with the centre",
            bits_against_centre,
            "You compare the first point with the corner's own pixel, which is the census "
            "transform; BRIEF compares two points, and the corner itself need not be one of them.",
        ),
        Misconception(
            "equal counts as darker",
            bits_of_ties,
            "Your bit is 1 where both points are equally bright: the question is <, not ≤.",
        ),
    ),
    hints=(
        "`pattern[:, 0]` is (n, 2): the offsets of all first points. Its column 0 is x, column 1 "
        "is y.",
        "NumPy takes a whole list of places at once: `image[rows, columns]` with two arrays (n,) "
        "gives (n,) values.",
        "`image[row + first[:, 1], column + first[:, 0]]` are the values at the first points.",
    ),
)

# --- implement: Hamming distance on packed bits ---------------------------------------------------


def hamming(a, b):
    """In how many bits do the descriptors differ? Every one of `a` with every one of `b`.

    a: uint8 (N, bytes), b: uint8 (M, bytes), 8 answers in each byte → whole numbers (N, M)
    """
    different = a[:, None] ^ b
    return np.unpackbits(different, axis=2).sum(axis=2)


def hamming_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, m, width in [(3, 5, 4), (2, 6, 7), (4, 3, 32)]:
        a, b = (rng.integers(0, 256, (rows, width), np.uint8) for rows in (n, m))
        b[0] = ~a[0]  # every bit differs: 256 of them in the last case
        cases.append({"a": a, "b": b})
    return cases


def hamming_bytes(a, b):
    return (a[:, None] != b).sum(axis=2)


def hamming_signed(a, b):
    different = a[:, None].view(np.int8) ^ b.view(np.int8)
    return np.bitwise_count(different).sum(axis=2).astype(int)


def hamming_without_xor(a, b):
    return np.bitwise_count(a[:, None] - b).sum(axis=2).astype(int)


def hamming_common_ones(a, b):
    return np.bitwise_count(a[:, None] & b).sum(axis=2).astype(int)


def hamming_equal_bits(a, b):
    return 8 * a.shape[1] - hamming(a, b)


def hamming_total_in_a_byte(a, b):
    return hamming(a, b).astype(np.uint8)


def hamming_wrong_axis(a, b):
    return np.unpackbits(a[:, None] ^ b, axis=1).sum(axis=1)


def hamming_transposed(a, b):
    return hamming(b, a)


HAMMING = Exercise(
    name="hamming",
    title="Count the answers that differ",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=6,
    prompt="""
Descriptors come **packed**: `a` is uint8 (N, bytes) and `b` is uint8 (M, bytes), eight answers in
each byte. Return the whole numbers (N, M): in how many **bits** does `a[i]` differ from `b[j]`?

$$d(a, b) = \\operatorname{popcount}(a \\oplus b)$$
""",
    solution=hamming,
    cases=hamming_cases,
    misconceptions=(
        Misconception(
            "bytes counted",
            hamming_bytes,
            "You count the bytes that differ. One byte holds eight answers: count its bits.",
        ),
        Misconception(
            "signed bytes",
            hamming_signed,
            "You count bits in signed bytes: int8 reads 11111111 as −1, and NumPy counts the "
            "bits of its absolute value, which is one. Keep uint8.",
        ),
        Misconception(
            "subtracted, not XORed",
            hamming_without_xor,
            "You subtract: 128 − 127 is 1, a single bit, though 10000000 and 01111111 differ in "
            "all eight. XOR, `^`, marks the bits that differ.",
        ),
        Misconception(
            "common ones",
            hamming_common_ones,
            "You count the ones that both have (AND); differing bits come from XOR, `^`.",
        ),
        Misconception(
            "equal bits",
            hamming_equal_bits,
            "You count the bits that agree: that is a similarity, great for a good match. A "
            "distance counts those that differ.",
        ),
        Misconception(
            "total overflows",
            hamming_total_in_a_byte,
            "Your total is kept in uint8, where 256 differing bits are 0: the exact negative would "
            "pass for the perfect match. Sum in a wider type.",
        ),
        Misconception(
            "wrong axis",
            hamming_wrong_axis,
            "You unpack and sum along the descriptors of `b`: the bits of one descriptor lie along "
            "the last axis.",
        ),
        Misconception(
            "transposed",
            hamming_transposed,
            "Your table is (M, N): rows belong to `a`, columns to `b`.",
        ),
    ),
    hints=(
        "`^` on two uint8 numbers leaves a 1 exactly where their bits differ.",
        "`a[:, None]` has the shape (N, 1, bytes), so `a[:, None] ^ b` is (N, M, bytes).",
        "`np.unpackbits(…, axis=2)` makes eight zeros and ones of each byte. Then sum.",
    ),
)

# --- test: the Hamming distance that nobody noticed -----------------------------------------------


def test_hamming(hamming):
    """Assert what a right `hamming` does.

    hamming: a function of a, uint8 (N, bytes), and b, uint8 (M, bytes) → whole numbers (N, M)
    """
    a = np.array([[0b00000000, 0b11110000], [0b11111111, 0b00000001]], np.uint8)
    b = np.array([[0b00000000, 0b11110001], [0b10000000, 0b00000000], [255, 1]], np.uint8)
    before = a.copy()
    assert hamming(a, b).tolist() == [[1, 5, 13], [12, 8, 0]]
    assert np.array_equal(a, before)
    black, white = np.zeros((1, 32), np.uint8), np.full((1, 32), 255, np.uint8)
    assert hamming(black, white).tolist() == [[256]]


def hamming_in_place(a, b):
    distances = hamming(a, b)
    a ^= a
    return distances


def hamming_first_word(a, b):
    return hamming(a[:, :8], b[:, :8])


TEST_HAMMING = Exercise(
    name="test_hamming",
    title="Write the test that a wrong Hamming distance cannot pass",
    kind="test",
    difficulty=3,
    importance=4,
    minutes=8,
    prompt="""
Each of the wrong Hamming distances here runs without an error, and with most of them matching still
works, more or less. Write the test that catches them all: choose a few bytes whose distances you
can count by hand, call `hamming`, and `assert`. It must accept the one right implementation.
""",
    solution=test_hamming,
    subject=hamming,
    misconceptions=(
        Misconception(
            "one bit a byte is not enough",
            hamming_bytes,
            "Your test accepts a function that counts bytes: let two bytes differ in more than "
            "one bit.",
        ),
        Misconception(
            "the highest bit is not tested",
            hamming_signed,
            "Your test accepts a function that counts in signed bytes: let two bytes differ in the "
            "highest bit, 0b10000000, and in another one.",
        ),
        Misconception(
            "subtraction is not caught",
            hamming_without_xor,
            "Your test accepts a function that subtracts instead of XORing: try 0b10000000 against "
            "0b01111111.",
        ),
        Misconception(
            "256 is not tried",
            hamming_total_in_a_byte,
            "Your test accepts a function whose total overflows at 256: compare 32 bytes of zeros "
            "with 32 of ones.",
        ),
        Misconception(
            "the table's orientation",
            hamming_transposed,
            "Your test accepts the transposed table: take more descriptors in `b` than in `a`.",
        ),
        Misconception(
            "only the first eight bytes",
            hamming_first_word,
            "Your test accepts a function that looks at the first 64 bits only: put a difference "
            "behind the eighth byte.",
        ),
        Misconception(
            "argument overwritten",
            hamming_in_place,
            "Your test accepts a function that overwrites `a`: keep a copy and compare after the "
            "call.",
        ),
    ),
    hints=(
        "Write bytes in binary, `0b11110000`, and count by hand; compare with `.tolist()`.",
        "Use two descriptors in `a` and three in `b`, and let some distance be large.",
        "`np.zeros((1, 32), np.uint8)` against `np.full((1, 32), 255, np.uint8)`: 256 bits.",
    ),
)

# --- predict: two strangers -----------------------------------------------------------------------


def distance_of_strangers():
    """Measures the mean Hamming distance of different corners of one photograph."""
    _, descriptors = brief.detect_and_describe(photo("camera"))
    distances = brief.hamming(descriptors, descriptors)
    return float(distances[np.triu_indices(len(distances), 1)].mean())


STRANGERS = Exercise(
    name="strangers",
    title="How far apart are two strangers?",
    kind="predict",
    difficulty=2,
    importance=5,
    minutes=2,
    prompt="""
Take two corners of a photograph that have nothing to do with each other, and compare their 256
bits. In how many do they differ, on average over all such pairs? (A guess within 8 counts.)
""",
    solution=128.0,
    rtol=0.0,
    atol=8.0,
    measure=distance_of_strangers,
    misconceptions=(
        Misconception(
            "strangers share nothing",
            256.0,
            "If all 256 bits differed, one would be the exact negative of the other, and each "
            "would tell you everything about the other. Knowing nothing is agreeing half the time.",
        ),
        Misconception(
            "a quarter",
            64.0,
            "A quarter would be right if both bits had to be 1; but a pair differs as 0, 1 or as "
            "1, 0: that is twice a quarter.",
        ),
        Misconception(
            "bytes",
            32.0,
            "32 is the number of bytes; the distance counts bits.",
        ),
        Misconception(
            "no distance",
            0.0,
            "At a distance of 0 all answers agree: that is a perfect match, not a stranger.",
        ),
    ),
    hints=(
        "Think of one question. What is the chance that two patches that know nothing of each "
        "other answer it differently?",
        "Two fair coins differ in half of all throws. Now 256 throws.",
    ),
)

# --- ablate: without smoothing --------------------------------------------------------------------


def flipped_by_noise():
    """Measures the mean number of bits that noise of σ = 20 flips, for three smoothings."""
    image, pattern = photo("camera"), brief.gaussian_pattern()
    corners, _ = brief.detect_and_describe(image)
    noisy, _ = noise(image, 20)
    flipped = {}
    for sigma in (0, 1, 2):
        config = brief.Config(sigma=sigma)
        before, after = (brief.describe(p, corners, pattern, config=config) for p in (image, noisy))
        count = np.bitwise_count(before ^ after).sum(axis=1).mean()
        flipped[sigma] = round(float(count), 1)
    return flipped


NOISE_FLIPS = Exercise(
    name="noise_flips",
    title="Take the smoothing away",
    kind="ablate",
    difficulty=2,
    importance=4,
    minutes=6,
    prompt="""
Noise of 20 grey levels (`noisy`) is added to `camera` (`image`). For each corner in `corners`, how
many of its 256 bits flip, on average? Measure it with **no smoothing** (`sigma=0`), with σ = 1 and
with σ = 2, at the same corners and with the same `pattern`, and fill in three numbers, to 0.5 bits.
You may write code in the cell. Say first which of the three you expect to be the largest.
""",
    solution={0: 43.3, 1: 21.6, 2: 13.9},
    rtol=0.0,
    atol=0.5,
    measure=flipped_by_noise,
    misconceptions=(
        Misconception(
            "order turned round",
            {0: 13.9, 1: 21.6, 2: 43.3},
            "You have the order turned round: smoothing averages the noise away, so the most bits "
            "flip without it.",
        ),
        Misconception(
            "shares, not bits",
            {0: 0.169, 1: 0.085, 2: 0.054},
            "These are shares of the 256 bits: multiply by 256.",
        ),
        Misconception(
            "bytes counted",
            {0: 24.0, 1: 15.2, 2: 10.6},
            "You count the bytes in which something flipped; count the bits, with "
            "`np.bitwise_count` or `brief.hamming`.",
        ),
        Misconception(
            "config not used",
            {0: 21.6, 1: 21.6, 2: 21.6},
            "Three times the value of σ = 1: your `config` does not reach `brief.describe`, which "
            "falls back on its default.",
        ),
        Misconception(
            "compared with strangers",
            {0: 127.0, 1: 126.6, 2: 126.1},
            "You average over the whole table of distances, so over strangers: a corner belongs to "
            "itself, which is the table's diagonal.",
        ),
    ),
    hints=(
        "`brief.describe(image, corners, pattern, config=brief.Config(sigma=0))` gives the "
        "descriptors without smoothing.",
        "Describe `image` and `noisy` alike; `np.bitwise_count(before ^ after).sum(axis=1)` "
        "counts the flipped bits of each corner.",
        "Take the mean over the corners, for sigma 0, 1 and 2.",
    ),
)

# --- implement: FAST's arc of nine ----------------------------------------------------------------


def is_corner(centre, ring, threshold):
    """FAST-9: are nine neighbours in a row on the circle all brighter, or all darker, than centre?

    centre: float; ring: (16,) floats, in order round the circle; threshold: float → True or False
    """
    brighter = ring > centre + threshold
    darker = ring < centre - threshold
    for start in range(16):
        arc = np.arange(start, start + 9) % 16
        if brighter[arc].all() or darker[arc].all():
            return True
    return False


def is_corner_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for sign in (1, -1):
        # From each start, arcs of eight (no corner), nine (just one) and twelve.
        for start, length in [*((s, 9) for s in range(16)), (3, 8), (11, 8), (13, 12), (5, 16)]:
            cases.append(_ring(rng, sign, {start: length}))
        cases.append(_ring(rng, sign, {1: 5, 8: 6}))  # eleven in all, but never nine in a row
        centre, ring, threshold = _ring(rng, sign, {2: 9}).values()
        ring[4] = centre + sign * threshold  # a tie is not more than the threshold
        cases.append({"centre": centre, "ring": ring, "threshold": threshold})
        mixed = _ring(rng, sign, {0: 5})
        mixed["ring"][5:9] = mixed["centre"] - sign * (mixed["threshold"] + 9)
        cases.append(mixed)  # five brighter, then four darker: nine that differ
    return [cases[i] for i in rng.permutation(len(cases))]


def _ring(rng, sign, arcs):
    """A centre, and a ring that differs from it by more than the threshold on {start: length}."""
    centre, threshold = float(rng.integers(100, 150)), float(rng.integers(15, 25))
    ring = centre + rng.integers(-12, 13, 16).astype(float)
    for start, length in arcs.items():
        arc = np.arange(start, start + length) % 16
        ring[arc] = centre + sign * (threshold + rng.integers(1, 60, length))
    return {"centre": centre, "ring": ring, "threshold": threshold}


def corner_without_wrap(centre, ring, threshold):
    signs = np.sign(ring - centre) * (np.abs(ring - centre) > threshold)
    return any(abs(signs[i : i + 9].sum()) == 9 for i in range(8))


def corner_of_short_slices(centre, ring, threshold):
    brighter, darker = ring > centre + threshold, ring < centre - threshold
    return any(brighter[i : i + 9].all() or darker[i : i + 9].all() for i in range(16))


def corner_scattered(centre, ring, threshold):
    brighter, darker = (ring > centre + threshold).sum(), (ring < centre - threshold).sum()
    return bool(max(brighter, darker) >= 9)


def corner_mixed(centre, ring, threshold):
    return is_corner(0.0, np.abs(ring - centre), threshold)


def corner_with_ties(centre, ring, threshold):
    return is_corner(centre, ring, threshold - 1e-6)


def corner_of_twelve(centre, ring, threshold):
    different = [np.sign(v - centre) * (abs(v - centre) > threshold) for v in ring] * 2
    return any(abs(sum(different[i : i + 12])) == 12 for i in range(16))


def corner_only_bright(centre, ring, threshold):
    return is_corner(centre, np.maximum(ring, centre), threshold)


IS_CORNER = Exercise(
    name="is_corner",
    title="Nine in a row",
    kind="implement",
    difficulty=3,
    importance=3,
    minutes=8,
    prompt="""
`ring` (16,) holds the pixels of the circle around a pixel `centre`, in order. The pixel is a
**FAST-9** corner if **nine neighbours in a row** on the circle are all brighter than
`centre + threshold`, or all darker than `centre - threshold`. Return True or False.
The circle has no end: after number 15 comes number 0.
""",
    solution=is_corner,
    cases=is_corner_cases,
    misconceptions=(
        Misconception(
            "the circle is cut open",
            corner_without_wrap,
            "You miss the arcs that run over the end of the array: after number 15 comes number 0 "
            "again.",
        ),
        Misconception(
            "slices cut off at the end",
            corner_of_short_slices,
            "Your last slices are shorter than nine: `ring[12:21]` ends at number 15, and fewer "
            "pixels agree more easily. Go on with number 0.",
        ),
        Misconception(
            "nine anywhere",
            corner_scattered,
            "You count how many of the sixteen differ; the nine must be neighbours in a row.",
        ),
        Misconception(
            "brighter and darker mixed",
            corner_mixed,
            "Your arc mixes brighter pixels with darker ones: all nine must be brighter, or all "
            "nine darker.",
        ),
        Misconception(
            "a tie counts",
            corner_with_ties,
            "You accept a pixel that differs by exactly the threshold; it has to be more.",
        ),
        Misconception(
            "FAST-12",
            corner_of_twelve,
            "You ask for twelve in a row, as the first form of FAST did; here nine are enough.",
        ),
        Misconception(
            "dark arcs forgotten",
            corner_only_bright,
            "You look for bright arcs only: a bright corner on a dark ground has a dark arc "
            "around it.",
        ),
    ),
    hints=(
        "Make two bool arrays first: `brighter` and `darker`, sixteen answers each.",
        "An arc that starts at `s` has the indices `np.arange(s, s + 9) % 16`.",
        "Try all sixteen starts; inside, `brighter[arc].all() or darker[arc].all()`.",
    ),
    equivalent={
        "constant 8:23 16 → 17": "the seventeenth start is the first one again",
    },
)

# --- repair: where does the patch point? ----------------------------------------------------------


def centroid_angle(patch):
    """Angle from the patch's centre to its centroid of intensity, over the disc that fits into it.

    patch: (2·radius + 1, 2·radius + 1) → radians in [0, 2π), x towards y
    """
    radius = patch.shape[0] // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = x**2 + y**2 <= radius**2
    m10 = (x * patch)[disc].sum()
    m01 = (y * patch)[disc].sum()
    return float(np.arctan2(m01, m10) % (2 * np.pi))


def centroid_angle_faulty(patch):
    """Angle from the patch's centre to its centroid of intensity, over the disc that fits into it.

    patch: (2·radius + 1, 2·radius + 1) → radians in [0, 2π), x towards y
    """
    radius = patch.shape[0] // 2
    y, x = np.mgrid[0 : 2 * radius + 1, 0 : 2 * radius + 1]
    disc = (x - radius) ** 2 + (y - radius) ** 2 <= radius**2
    m10 = (x * patch)[disc].sum()
    m01 = (y * patch)[disc].sum()
    return float(np.arctan2(m01, m10) % (2 * np.pi))


def centroid_angle_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for quarter, radius in enumerate((3, 5, 4, 7)):  # one angle in each quarter of the circle
        angle = (quarter + rng.uniform(0.15, 0.4)) * np.pi / 2
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1] / radius
        slope = 40 * (x * np.cos(angle) + y * np.sin(angle))
        cases.append({"patch": 120 + slope + rng.uniform(-15, 15, x.shape)})
    return cases


def centroid_swapped(patch):
    return centroid_angle(patch.T)


def centroid_half_circle(patch):
    return float(np.arctan(np.tan(centroid_angle(patch))) % (2 * np.pi))


def centroid_of_square(patch):
    radius = patch.shape[0] // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return float(np.arctan2((y * patch).sum(), (x * patch).sum()) % (2 * np.pi))


def centroid_signed(patch):
    angle = centroid_angle(patch)
    return angle - 2 * np.pi if angle > np.pi else angle


def centroid_degrees(patch):
    return float(np.degrees(centroid_angle(patch)))


def centroid_brightest(patch):
    radius = patch.shape[0] // 2
    y, x = np.unravel_index(patch.argmax(), patch.shape)
    return float(np.arctan2(y - radius, x - radius) % (2 * np.pi))


def centroid_away(patch):
    return float((centroid_angle(patch) + np.pi) % (2 * np.pi))


CENTROID_ANGLE = Exercise(
    name="centroid_angle",
    title="Every patch points to the lower right",
    kind="repair",
    difficulty=3,
    importance=4,
    minutes=6,
    prompt="""
This function is to give a corner its angle: the direction from the centre of the patch to its
centroid of intensity. It runs, never complains, and returns a plausible angle. But look at many of
them: **all lie near 45°**, whatever the patch shows. Oriented BRIEF built on it would be steered
nowhere. Find the fault and mend it.

$$m_{10} = \\sum_{x, y} x\\, I(x, y) \\qquad m_{01} = \\sum_{x, y} y\\, I(x, y) \\qquad
\\theta = \\operatorname{atan2}(m_{01}, m_{10})$$
""",
    solution=centroid_angle,
    stub=centroid_angle_faulty,
    cases=centroid_angle_cases,
    misconceptions=(
        Misconception(
            "x and y swapped",
            centroid_swapped,
            "The origin is right now, but x and y have changed places: `mgrid` gives rows (y) "
            "first, and it is `arctan2(m01, m10)`, y before x.",
        ),
        Misconception(
            "half of the circle",
            centroid_half_circle,
            "`arctan` of a quotient cannot tell a direction from its opposite: `arctan2` keeps the "
            "two signs apart.",
        ),
        Misconception(
            "square, not disc",
            centroid_of_square,
            "You sum over the square: its corners come and go as the picture turns, and the angle "
            "with them. Keep to the disc.",
        ),
        Misconception(
            "negative angles",
            centroid_signed,
            "`arctan2` runs from −π to π; angles in this course run from 0 to 2π: take `% (2π)`.",
        ),
        Misconception(
            "degrees",
            centroid_degrees,
            "Your angle is in degrees; radians are asked for.",
        ),
        Misconception(
            "brightest pixel",
            centroid_brightest,
            "You point to the brightest pixel, which noise can move anywhere; the centroid weighs "
            "all of them.",
        ),
        Misconception(
            "opposite direction",
            centroid_away,
            "Your angle points from the centroid to the centre; it goes from the centre to the "
            "centroid.",
        ),
    ),
    hints=(
        "Where must x and y be zero, so that bright pixels on the left pull to the left?",
        "In the stub x and y run from 0 to 2·radius: they are never negative, so neither sum is.",
        "Let `mgrid` run from −radius to radius; the disc is then `x**2 + y**2 <= radius**2`.",
    ),
    equivalent={
        "constant 6:25 0 → 1": "the patch is square",
        "constant 6:25 0 → -1": "the patch is square",
    },
)

# --- implement: turn the questions ----------------------------------------------------------------


def steer(pattern, angle):
    """Turn every point of the pattern about the corner, and round it to whole pixels.

    pattern: whole (n, 2, 2), offsets (x, y); angle: radians, x towards y → whole (n, 2, 2)
    """
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = pattern[..., 0], pattern[..., 1]
    turned = np.stack([cos * x - sin * y, sin * x + cos * y], axis=2)
    return np.rint(turned).astype(int)


def steer_cases(seed):
    rng = np.random.default_rng(seed)
    return [
        {"pattern": rng.integers(-24, 25, (n, 2, 2)), "angle": float(rng.uniform(low, low + 0.9))}
        for n, low in [(3, 0.3), (12, 1.9), (5, 3.4), (9, 5.1)]
    ]


def steer_backwards(pattern, angle):
    return steer(pattern, -angle)


def steer_degrees(pattern, angle):
    return steer(pattern, np.radians(angle))


def steer_to_degrees(pattern, angle):
    return steer(pattern, np.degrees(angle))


def steer_cut_off(pattern, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return (pattern @ np.array([[cos, sin], [-sin, cos]])).astype(int)


def steer_not_rounded(pattern, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return pattern @ np.array([[cos, sin], [-sin, cos]])


def steer_swapped(pattern, angle):
    return steer(pattern[..., ::-1], angle)


def steer_overwritten(pattern, angle):
    x, y = pattern[..., 0], pattern[..., 1]
    x = np.cos(angle) * x - np.sin(angle) * y
    y = np.sin(angle) * x + np.cos(angle) * y
    return np.rint(np.stack([x, y], axis=2)).astype(int)


def steer_second_only(pattern, angle):
    return np.stack([pattern[:, 0], steer(pattern, angle)[:, 1]], axis=1)


STEER = Exercise(
    name="steer",
    title="Turn the questions with the corner",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=6,
    prompt="""
`pattern` (n, 2, 2) holds offsets (x, y) and `angle` is in radians, from x towards y. Turn **every**
point by the angle about the corner, and round to the nearest whole pixels:

$$\\begin{pmatrix} x' \\\\ y' \\end{pmatrix} =
\\begin{pmatrix} \\cos\\theta & -\\sin\\theta \\\\ \\sin\\theta & \\cos\\theta \\end{pmatrix}
\\begin{pmatrix} x \\\\ y \\end{pmatrix}$$
""",
    solution=steer,
    cases=steer_cases,
    misconceptions=(
        Misconception(
            "turned the wrong way",
            steer_backwards,
            "You turn the wrong way: the questions move against the picture, and after 30° they "
            "are 60° off. Look at the signs of the two sines.",
        ),
        Misconception(
            "radians taken for degrees",
            steer_degrees,
            "You convert the angle with `np.radians`, but it is in radians already: 1.5 becomes "
            "0.03, and nothing turns.",
        ),
        Misconception(
            "degrees handed to the cosine",
            steer_to_degrees,
            "You turn the angle into degrees first; `np.cos` and `np.sin` take radians.",
        ),
        Misconception(
            "cut off, not rounded",
            steer_cut_off,
            "`astype(int)` alone cuts towards zero, so the pattern shrinks: `np.rint` first.",
        ),
        Misconception(
            "not rounded",
            steer_not_rounded,
            "Your offsets are not whole numbers: there is no pixel at 3.7. Use `np.rint` and "
            "`.astype(int)`.",
        ),
        Misconception(
            "x and y swapped",
            steer_swapped,
            "You take y for x: the last index of `pattern` is 0 for x and 1 for y.",
        ),
        Misconception(
            "x overwritten too early",
            steer_overwritten,
            "Your new y is computed from the new x: keep the old x until both are done.",
        ),
        Misconception(
            "second points only",
            steer_second_only,
            "You turn only the second point of each pair: both points move with the corner.",
        ),
    ),
    hints=(
        "`x, y = pattern[..., 0], pattern[..., 1]` are two arrays (n, 2): all points at once.",
        "x′ = cos·x − sin·y and y′ = sin·x + cos·y; `np.stack([…, …], axis=2)` joins them.",
        "Last, `np.rint(…).astype(int)`: `astype` alone would cut the fractions off.",
    ),
)

EXERCISES = (
    BRIEF_BITS,
    HAMMING,
    TEST_HAMMING,
    STRANGERS,
    NOISE_FLIPS,
    IS_CORNER,
    CENTROID_ANGLE,
    STEER,
)

QUIZ = (
    Question(
        prompt="Every pixel of a picture is replaced by its square root, and nothing is smoothed. "
        "How many of a corner's 256 bits change?",
        choices=("None", "About half", "It depends on how bright the patch is"),
        correct=0,
        why=(
            "Where I(a) < I(b), the roots stand in the same order: no answer changes.",
            "Half is what strangers differ in; here even the order of the pixels is kept.",
            "Grey values change by different amounts, but their order never does, and only the "
            "order is asked for.",
        ),
    ),
    Question(
        prompt="On a circle of sixteen, five neighbours are brighter by more than the threshold, "
        "and the next four are darker by more. Is the pixel a FAST-9 corner?",
        choices=("Yes: nine in a row differ", "No"),
        correct=1,
        why=(
            "They differ, but not in the same direction; all nine must be brighter, or all darker.",
            "Nine in a row must be brighter, or nine in a row darker; here it is five and four.",
        ),
    ),
    Question(
        prompt="Two views of a scene, nothing turned. Plain BRIEF gives more right matches than "
        "oriented BRIEF. Why?",
        choices=(
            "Oriented BRIEF has fewer bits",
            "Each angle is a little wrong, and steered bits tell less",
            "Oriented BRIEF needs colour",
        ),
        correct=1,
        why=(
            "Both have 256.",
            "An invariance that is not needed costs distinctiveness: errors of the angle, and "
            "answers that have become predictable.",
            "Both look at grey values only.",
        ),
    ),
    Question(
        prompt="After a quarter turn all corners are found again (repeatability 1.0), but the "
        "matching score is 0. Where is the fault?",
        choices=("In the detector", "In the descriptor", "In the tolerance of 3 pixels"),
        correct=1,
        why=(
            "The detector did its part: every point is there again.",
            "The points are there, but their descriptions no longer agree.",
            "The tolerance is the same for both numbers, and the first of them is perfect.",
        ),
    ),
    Question(
        prompt="From lesson 02: a box filter of 9 × 9 pixels and one of 99 × 99, both on an "
        "integral image. What do they cost?",
        choices=("The same", "The large one 121 times as much", "The large one 11 times as much"),
        correct=0,
        why=(
            "Four look-ups each, whatever the size.",
            "That would be so if every pixel of the box were added up.",
            "That would be so for a separable filter; an integral image needs four look-ups.",
        ),
    ),
    Question(
        prompt="From lesson 01: two blurs after each other, of widths 3 and 4. Together they are "
        "one blur of width …",
        choices=("7", "5", "12"),
        correct=1,
        why=(
            "Widths do not add; variances do.",
            "Variances add: 9 + 16 = 25, and the root of 25 is 5.",
            "Widths do not multiply; variances add.",
        ),
    ),
)
