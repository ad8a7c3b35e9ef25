"""BRIEF against scikit-image's bits, FAST against OpenCV's corners, both against plain loops."""

import math
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import BRIEF

from course_lib.blocks.images import to_gray
from course_lib.blocks.keypoints import Keypoints
from course_lib.data import photos
from course_lib.features import brief

NAMES = ["camera", "motorcycle_left", "text", "coins", "brick", "page", "chelsea", "gravel"]


def grey(name: str) -> np.ndarray:
    return to_gray(photos.photo(name)).astype(np.uint8)


def skimage_pattern(seed: int) -> np.ndarray:
    """The pairs that skimage.feature.BRIEF(rng=seed) draws; it keeps (row, column)."""
    samples = (49 / 5 * np.random.default_rng(seed).standard_normal(256 * 8)).astype(np.int32)
    samples = samples[(samples < 24) & (samples > -24)][: 256 * 4]
    return np.stack(np.split(samples.reshape(512, 2)[:, ::-1].astype(np.int64), 2), axis=1)


# ------------------------------------------------------------------------------------------ detect


def loop_score(image: np.ndarray, x: int, y: int) -> int:
    """FAST by its definition: raise the threshold until the pixel is a corner no more."""
    circle = [(0, -3), (1, -3), (2, -2), (3, -1), (3, 0), (3, 1), (2, 2), (1, 3)]
    circle += [(-x, -y) for x, y in circle]
    ring = [int(image[y + v, x + u]) - int(image[y, x]) for u, v in circle]
    for threshold in range(256):
        arcs = [[ring[(start + i) % 16] for i in range(9)] for start in range(16)]
        if not any(min(a) > threshold or max(a) < -threshold for a in arcs):
            return threshold
    return 256


def test_fast_is_the_plain_loop():
    rng = np.random.default_rng(0)
    image = grey("camera")[90:110, 230:255].copy()
    image[4:12, 3:9] = rng.integers(0, 256, (8, 6))
    score = brief.fast_score(image, threshold=12)
    for y in range(20):
        for x in range(25):
            inner = 3 <= x < 22 and 3 <= y < 17
            margin = loop_score(image, x, y) if inner else 0
            assert score[y, x] == (margin if margin > 12 else 0)


@pytest.mark.parametrize("threshold", [5, 20, 60])
@pytest.mark.parametrize("name", NAMES)
def test_fast_finds_exactly_opencvs_corners(name, threshold):
    image = grey(name)
    score = brief.fast_score(image, threshold)
    theirs = cv2.FastFeatureDetector_create(threshold, False).detect(image)
    assert {k.pt for k in theirs} == {(x, y) for y, x in np.argwhere(score)}
    maxima = cv2.FastFeatureDetector_create(threshold, True).detect(image)
    # OpenCV's score is the greatest whole threshold that is still passed: one below the margin.
    ours = {(x, y, score[y, x] - 1) for x, y in brief.local_maxima(score)}
    assert {(*k.pt, k.response) for k in maxima} == ours


def test_harris_is_the_plain_loop():
    image = grey("camera")[100:117, 200:223].astype(np.float64)
    ours = brief.harris(image.astype(np.uint8))
    H, W = image.shape
    for y in range(4, H - 4):
        for x in range(4, W - 4):
            M = np.zeros((2, 2))
            for v in range(y - 3, y + 4):
                for u in range(x - 3, x + 4):
                    g = np.zeros(2)
                    for i, weight in zip((-1, 0, 1), (1, 2, 1), strict=True):
                        g[0] += weight * (image[v + i, u + 1] - image[v + i, u - 1]) / 8
                        g[1] += weight * (image[v + 1, u + i] - image[v - 1, u + i]) / 8
                    M += np.outer(g, g) / 49
            expected = np.linalg.det(M) - 0.04 * np.trace(M) ** 2
            assert ours[y, x] == pytest.approx(expected, rel=1e-4, abs=1e-2)


def test_harris_knows_a_corner_from_an_edge():
    image = np.zeros((40, 40), np.uint8)
    image[20:, 20:] = 200
    response = brief.harris(image)
    assert response[20, 20] > 0 > response[35, 20]
    assert response[5, 5] == 0
    peak = np.array(np.unravel_index(response.argmax(), response.shape))
    assert abs(peak - 20).max() <= 3  # somewhere in the window around the corner


def test_detect_keeps_the_strongest_first():
    image = grey("motorcycle_left")
    few, many = brief.detect(image, brief.Config(keypoints=50)), brief.detect(image)
    assert len(few) == 50
    assert (np.diff(many.response) <= 0).all()
    assert np.array_equal(few.xy, many.xy[:50])
    best = brief.local_maxima(brief.fast_score(image))
    response = brief.harris(image)[best[:, 1], best[:, 0]]
    assert few.response[-1] == np.sort(response)[-50]


@pytest.mark.parametrize(
    ("bright", "angle"),
    [("right", 0.0), ("below", math.pi / 2), ("left", math.pi), ("above", 3 * math.pi / 2)],
)
def test_angle_points_to_the_bright_side(bright, angle):
    y, x = np.mgrid[-20:21, -20:21]
    side = {"right": x > 0, "below": y > 0, "left": x < 0, "above": y < 0}[bright]
    image = np.where(side, 200, 50).astype(np.uint8)
    assert brief.intensity_centroid(image, [(20, 20)])[0] == pytest.approx(angle, abs=1e-6)


def test_angle_is_the_plain_loop_and_stays_below_a_full_turn():
    image = grey("chelsea")
    keypoints = brief.detect(image, brief.Config(keypoints=40))
    for (x, y), angle in zip(keypoints.xy.astype(int), keypoints.angle, strict=True):
        m10 = m01 = 0
        for j in range(-15, 16):
            for i in range(-15, 16):
                if math.hypot(i, j) <= 15.5:
                    v = min(max(y + j, 0), image.shape[0] - 1)
                    u = min(max(x + i, 0), image.shape[1] - 1)
                    m10 += i * int(image[v, u])
                    m01 += j * int(image[v, u])
        assert angle == pytest.approx(math.atan2(m01, m10) % (2 * math.pi), abs=1e-5)
    assert ((keypoints.angle >= 0) & (keypoints.angle < 2 * np.pi)).all()


def test_angle_agrees_with_opencvs_orb():
    image = grey("camera")
    theirs = cv2.ORB_create(400, nlevels=1).detect(image)
    ours = brief.intensity_centroid(image, np.array([k.pt for k in theirs]))
    gap = (ours - np.radians([k.angle for k in theirs]) + np.pi) % (2 * np.pi) - np.pi
    assert len(theirs) > 300
    assert abs(gap).max() < np.radians(0.4)  # its arc tangent is an approximation, to 0.3°


# ---------------------------------------------------------------------------------------- describe


@pytest.mark.parametrize("name", NAMES)
def test_every_bit_is_skimages(name):
    image = grey(name)
    corners = brief.local_maxima(brief.fast_score(image, 15))[:, ::-1][:3000]  # (row, column)
    for seed in (1, 7):
        reference = BRIEF(rng=seed)
        reference.extract(image, corners)
        keypoints = Keypoints.at(corners[reference.mask][:, ::-1])
        ours = brief.describe(image, keypoints, skimage_pattern(seed))
        assert len(ours) > 150
        assert np.array_equal(np.unpackbits(ours, axis=1), reference.descriptors)


def test_bits_of_a_ramp_by_hand():
    image = np.tile(np.arange(120, dtype=np.uint8), (90, 1))
    pattern = np.zeros((16, 2, 2), np.int64)
    pattern[:, 0, 0] = [-3, 3, 0, 5, 1, 2, -9, 9, 7, -7, 0, 0, 1, -1, 8, 6]
    pattern[:, 1, 0] = [3, -3, 0, 5, 2, 1, 9, -9, 8, -8, 0, 1, 0, -1, 9, -6]
    pattern[:, 0, 1] = 4  # rows do not matter on this ramp
    rows = brief.describe(image, Keypoints.at([(50, 40), (60.4, 51.6)]), pattern)
    assert rows.tolist() == [[0b10001010, 0b10010010]] * 2


def test_order_of_bits_and_of_x_and_y():
    image = np.zeros((60, 80), np.uint8)
    image[30, 45] = 255  # five to the right of (40, 30)
    pattern = np.zeros((8, 2, 2), np.int64)
    pattern[2] = [(0, 0), (5, 0)]
    pattern[5] = [(0, 0), (0, 5)]
    near = Keypoints.at([(39.6, 30.4)])  # the nearest pixel counts
    row = brief.describe(image, near, pattern, config=brief.Config(sigma=0))
    assert row.tolist() == [[0b00100000]]


def test_steering_turns_clockwise_and_rounds():
    pattern = np.array([[(10, 0), (0, 4)], [(7, -3), (1, 1)]])
    turned = brief.steer(pattern, np.array([0, np.pi / 2, np.pi, np.pi / 4], np.float32))
    assert np.array_equal(turned[0], pattern)
    assert turned[1].tolist() == [[[0, 10], [-4, 0]], [[3, 7], [-1, 1]]]
    assert turned[2].tolist() == [[[-10, 0], [0, -4]], [[-7, 3], [-1, -1]]]
    assert turned[3].tolist() == [[[7, 7], [-3, 3]], [[7, 3], [0, 1]]]


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_oriented_bits_turn_with_the_picture_and_plain_ones_do_not(quarters):
    image = grey("camera")
    keypoints, oriented = brief.detect_and_describe(image, oriented=True)
    turned, xy, W = image, keypoints.xy, image.shape[1]
    for _ in range(quarters):  # counter-clockwise on the screen: (x, y) → (y, W − 1 − x)
        turned, xy, W = np.rot90(turned), np.column_stack([xy[:, 1], W - 1 - xy[:, 0]]), len(turned)
    turned = np.ascontiguousarray(turned)
    angle = brief.intensity_centroid(turned, xy)
    assert np.allclose(np.cos(angle - keypoints.angle + quarters * np.pi / 2), 1, atol=1e-6)
    moved = Keypoints.at(xy, angle=angle)
    pattern = brief.gaussian_pattern()

    def share_of_equal_bits(a, b):
        return 1 - np.unpackbits(a ^ b).mean()

    assert len(keypoints) > 500
    assert share_of_equal_bits(oriented, brief.describe(turned, moved, pattern, True)) > 0.995
    plain = brief.describe(image, keypoints, pattern), brief.describe(turned, moved, pattern)
    assert share_of_equal_bits(*plain) < 0.65  # chance is 0.5


def test_bits_ignore_brightness_and_contrast():
    image = grey("motorcycle_left")
    keypoints, bits = brief.detect_and_describe(image)
    dim = image / 255 * 0.5 + 0.2
    changed = np.unpackbits(bits ^ brief.describe(dim, keypoints, brief.gaussian_pattern()))
    assert changed.mean() < 1e-3  # exact ties only


def test_pattern_is_gaussian_inside_its_patch():
    pattern = brief.gaussian_pattern(seed=3, patch=49, bits=4096)
    assert abs(pattern).max() <= 24
    assert (pattern[:, 0] != pattern[:, 1]).any(axis=1).all()
    assert pattern.std() == pytest.approx(49 / 5, rel=0.05)  # a little less: the tails are cut
    assert abs(pattern.mean(axis=0)).max() < 0.5
    correlation = np.corrcoef(pattern.reshape(-1, 4).T) - np.eye(4)
    assert abs(correlation).max() < 0.06
    assert np.array_equal(brief.gaussian_pattern(3), brief.gaussian_pattern(3))
    assert not np.array_equal(brief.gaussian_pattern(3), brief.gaussian_pattern(4))
    assert brief.gaussian_pattern(bits=8, patch=3).shape == (8, 2, 2)


def test_smoothing_is_scipys_to_the_last_bit():
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    for H, W, sigma in [(70, 33, 1.0), (5, 90, 2.0), (1, 1, 1.0), (300, 7, 0.6)]:
        image = rng.integers(0, 256, (H, W)).astype(np.float32)
        expected = gaussian_filter(image.astype(np.float64) * (1 / 255), sigma, mode="reflect")
        assert np.array_equal(brief.smooth(image, sigma), expected)


def test_inside_is_exact_at_every_side():
    pattern = np.zeros((8, 2, 2), np.int64)
    pattern[0, 0], pattern[1, 1] = (-3, -5), (7, 2)
    x, y = np.meshgrid(np.arange(30), np.arange(20))
    everywhere = Keypoints.at(np.column_stack([x.ravel(), y.ravel()]))
    keep = brief.inside((20, 30), everywhere, pattern)
    expected = (x >= 3) & (x <= 22) & (y >= 5) & (y <= 17)
    assert np.array_equal(keep, expected.ravel())
    image = np.zeros((20, 30), np.uint8)
    assert brief.describe(image, everywhere[keep], pattern).shape == (expected.sum(), 1)
    with pytest.raises(ValueError, match=r"1 of 1 keypoints lie too near the border"):
        brief.describe(image, everywhere[~keep][:1], pattern)
    reach = 8  # |(7, 2)| = 7.3
    oriented = brief.inside((20, 30), everywhere, pattern, oriented=True)
    room = (x >= reach) & (x < 30 - reach) & (y >= reach) & (y < 20 - reach)
    assert np.array_equal(oriented, room.ravel())


# ----------------------------------------------------------------------------------------- compare


@given(st.integers(0, 40), st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_hamming_counts_bits(width, n, m, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 256, (k, width), dtype=np.uint8) for k in (n, m))
    distance = brief.hamming(a, b)
    assert distance.shape == (n, m)
    for i in range(n):
        for j in range(m):
            differ = int.from_bytes(a[i].tobytes(), "big") ^ int.from_bytes(b[j].tobytes(), "big")
            assert distance[i, j] == bin(differ).count("1")
    assert np.array_equal(distance.T, brief.hamming(b, a))


def test_hamming_refuses_signed_bytes_and_unequal_widths():
    bits = np.zeros((3, 32), np.uint8)
    assert brief.hamming(bits, ~bits).tolist() == [[256] * 3] * 3
    for wrong in (bits.astype(np.int8), bits[:, :16], bits[0]):
        with pytest.raises(ValueError, match="Hamming distance needs uint8"):
            brief.hamming(bits, wrong)


# --------------------------------------------------------------------------------------- bad input

pictures = st.sampled_from(["uint8", "uint16", "float32", "float64", "bool"]).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.sampled_from([(), (1,), (3,), (4,)]),
        st.integers(1, 70),
        st.integers(1, 70),
        st.integers(0, 2**32),
        st.booleans(),
    )
)


@given(pictures)
@settings(max_examples=60, deadline=None)
def test_every_picture_is_described_or_empty(case):
    kind, channels, H, W, seed, constant = case
    image = np.random.default_rng(seed).random((H, W, *channels))
    image = np.full_like(image, 0.4) if constant else image
    scale = {"uint8": 255, "uint16": 65535}.get(kind, 1)
    image = (image * scale).astype(kind) if kind != "bool" else image > 0.5
    for oriented in (False, True):
        keypoints, bits = brief.detect_and_describe(image, oriented=oriented)
        assert bits.shape == (len(keypoints), 32)
        assert bits.dtype == np.uint8
        assert len(keypoints) == 0 or not constant


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.zeros((0, 5), np.uint8), "empty"),
        (np.full((9, 9), np.nan), "NaN"),
        (np.zeros((9, 9, 2), np.uint8), "shape"),
        (np.full((9, 9), 90.0), "0 to 1"),
        ([[1, 2]], "NumPy array"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(image, sentence):
    for use in (brief.detect, brief.fast_score, brief.harris, brief.detect_and_describe):
        with pytest.raises((TypeError, ValueError), match=sentence):
            use(image)


def test_no_keypoints_bad_patterns_and_bad_points():
    image = grey("text")
    pattern = brief.gaussian_pattern(bits=128)
    assert brief.describe(image, Keypoints.empty(), pattern).shape == (0, 16)
    assert brief.describe(image, Keypoints.empty(), pattern, oriented=True).shape == (0, 16)
    assert brief.intensity_centroid(image, np.zeros((0, 2))).shape == (0,)
    for wrong in (pattern[:5], pattern.astype(float), pattern[:, 0]):
        with pytest.raises(ValueError, match="a pattern must be whole numbers"):
            brief.describe(image, Keypoints.at([(50, 50)]), wrong)
    for patch, bits in ((2, 256), (49, 250), (49, 0)):
        with pytest.raises(ValueError, match="a pattern needs"):
            brief.gaussian_pattern(patch=patch, bits=bits)
    with pytest.raises(ValueError, match="finite"):
        brief.intensity_centroid(image, [(np.nan, 3)])


def test_twenty_megapixels_of_gravel_fit_in_memory():
    program = """
import resource, numpy as np
from course_lib.data import photos
from course_lib.features import brief
image = np.tile(photos.photo("gravel"), (8, 10, 1))
keypoints, bits = brief.detect_and_describe(image)
print(len(bits), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    count, megabytes = map(int, run.stdout.split())
    assert count > 900
    assert megabytes < 3000


def test_a_plain_list_of_keypoints_is_refused_in_one_sentence():
    image = np.zeros((60, 80), np.uint8)
    with pytest.raises(TypeError, match="keypoints must be Keypoints, but a list was given"):
        brief.describe(image, [], brief.gaussian_pattern())
