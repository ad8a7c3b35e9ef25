"""Matches against OpenCV's, one for one; homographies by hand and against other libraries."""

import math
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.blocks.images import to_gray
from course_lib.data import photos
from course_lib.features import brief, matching
from course_lib.features.homography import homography_of_four

NORMS = {"l2": cv2.NORM_L2, "hamming": cv2.NORM_HAMMING}
TILT = np.array([[1.1, 0.1, 20.0], [-0.05, 0.95, -10.0], [1e-4, -2e-4, 1.0]])


@pytest.fixture(scope="module")
def pair():
    return photos.stereo_motorcycle()


@pytest.fixture(scope="module")
def real(pair):
    """Descriptors of OpenCV's SIFT and ORB on the real pair."""
    left, right = (to_gray(image).astype(np.uint8) for image in (pair.left, pair.right))
    makers = {"l2": cv2.SIFT_create(1500), "hamming": cv2.ORB_create(1500)}
    return {
        metric: (
            maker.detectAndCompute(left, None)[1],
            maker.detectAndCompute(right, None)[1],
        )
        for metric, maker in makers.items()
    }


def random_descriptors(metric, n, seed):
    rng = np.random.default_rng(seed)
    if metric == "l2":
        return rng.random((n, 64), np.float32)
    return rng.integers(0, 256, (n, 32), dtype=np.uint8)


def assert_same_as_opencv(query, train, metric):
    theirs = cv2.BFMatcher(NORMS[metric], crossCheck=True).match(query, train)
    theirs = sorted((m.queryIdx, m.trainIdx, m.distance) for m in theirs)
    ours = matching.cross_check(query, train, metric)
    assert ours.index.tolist() == [[q, t] for q, t, _ in theirs]
    assert ours.distance == pytest.approx([d for _, _, d in theirs], rel=1e-6)
    one_way = cv2.BFMatcher(NORMS[metric]).match(query, train)
    ours = matching.nearest(query, train, metric)
    assert ours.index.tolist() == [[m.queryIdx, m.trainIdx] for m in one_way]
    assert ours.distance == pytest.approx([m.distance for m in one_way], rel=1e-6)


# ------------------------------------------------------------------------------------------ match


@pytest.mark.parametrize("metric", NORMS)
def test_real_descriptors_match_as_in_opencv(real, metric):
    assert_same_as_opencv(*real[metric], metric)


@pytest.mark.parametrize("metric", NORMS)
@pytest.mark.parametrize("seed", range(3))
def test_random_descriptors_match_as_in_opencv(metric, seed):
    query, train = random_descriptors(metric, 700, seed), random_descriptors(metric, 600, seed + 9)
    assert_same_as_opencv(query, train, metric)


@pytest.mark.parametrize("metric", NORMS)
def test_equal_distances_go_to_the_lowest_index_as_in_opencv(real, metric):
    query, train = real[metric]
    assert_same_as_opencv(np.repeat(query[:200], 2, axis=0), np.tile(train[:150], (3, 1)), metric)
    assert_same_as_opencv(np.zeros_like(query[:70]), np.zeros_like(train[:50]), metric)
    coarse = (lambda d: d // 64 * 64) if metric == "hamming" else (lambda d: (d > 60) * 1.0)
    query, train = (coarse(d[:400, :8]).astype(d.dtype) for d in real[metric])
    assert_same_as_opencv(query, train, metric)


def test_near_duplicates_are_told_apart():
    query = random_descriptors("l2", 300, 0)
    nearly = query + np.float32(1e-6)
    assert_same_as_opencv(query, np.concatenate([nearly, query]), "l2")
    assert_same_as_opencv(query + 1000, np.concatenate([nearly, query]) + 1000, "l2")
    index = matching.nearest(query, np.concatenate([nearly, query])).index
    assert np.array_equal(index[:, 1], np.arange(300) + 300)


@pytest.mark.parametrize("metric", NORMS)
def test_nearest_and_ratio_are_the_plain_loop(metric):
    query, train = random_descriptors(metric, 40, 1), random_descriptors(metric, 30, 2)
    train[20] = train[4]  # two equal neighbours: no ratio is below one
    query[7] = train[4]
    nearest, kept = [], []
    for i, q in enumerate(query):
        if metric == "l2":
            distances = [math.dist(q.tolist(), t.tolist()) for t in train]
        else:
            distances = [sum(bin(x ^ y).count("1") for x, y in zip(q, t)) for t in train.tolist()]  # noqa: B905
        order = sorted(range(len(train)), key=lambda j: (distances[j], j))
        nearest.append([i, order[0]])
        if distances[order[0]] < 0.95 * distances[order[1]]:
            kept.append([i, order[0]])
    assert matching.nearest(query, train, metric).index.tolist() == nearest
    assert matching.ratio_test(query, train, 0.95, metric).index.tolist() == kept
    assert 0 < len(kept) < len(query)
    assert 7 not in np.array(kept)[:, 0]


def test_ratio_is_of_distances_not_of_their_squares():
    query = np.zeros((1, 2))
    train = np.array([[3.0, 4.0], [0.0, 5.9]])  # 5 / 5.9 = 0.847; squared, 0.718
    assert len(matching.ratio_test(query, train, 0.8)) == 0
    matches = matching.ratio_test(query, train, 0.85)
    assert matches.index.tolist() == [[0, 0]]
    assert matches.distance.tolist() == [5.0]
    # Counted in bits the distance is the count, not its root: 4 / 6 bits.
    bits = np.array([[0b1111], [0b111111]], np.uint8)
    nothing = np.zeros((1, 1), np.uint8)
    assert len(matching.ratio_test(nothing, bits, 0.66, "hamming")) == 0
    assert matching.ratio_test(nothing, bits, 0.67, "hamming").distance.tolist() == [4.0]


@pytest.mark.parametrize("metric", NORMS)
@pytest.mark.parametrize("swap_ties", [False, True])
def test_cross_check_does_not_care_who_asks(real, metric, swap_ties):
    query, train = (d[: 500 if swap_ties else None] for d in real[metric])
    there, back = (
        matching.cross_check(query, train, metric),
        matching.cross_check(train, query, metric),
    )
    order = np.argsort(back.index[:, 1], kind="stable")
    assert np.array_equal(there.index, back.index[order][:, ::-1])
    assert np.array_equal(there.distance, back.distance[order])


def test_blocks_change_nothing():
    query, train = random_descriptors("l2", 300, 0), random_descriptors("l2", 5000, 1)
    whole = matching.ratio_test(query, train, 0.99)
    parts = [matching.ratio_test(query[i : i + 7], train, 0.99) for i in range(0, 300, 7)]
    index = np.concatenate([p.index + np.array([7 * i, 0]) for i, p in enumerate(parts)])
    assert np.array_equal(whole.index, index)
    assert np.array_equal(whole.distance, np.concatenate([p.distance for p in parts]))


@pytest.mark.parametrize("metric", NORMS)
def test_few_or_no_descriptors(metric):
    some = random_descriptors(metric, 5, 0)
    for query, train in ((some[:0], some), (some, some[:0]), (some[:0], some[:0])):
        for match in (matching.nearest, matching.cross_check):
            matches = match(query, train, metric)
            assert matches.index.shape == (0, 2)
            assert matches.distance.shape == (0,)
        assert len(matching.ratio_test(query, train, metric=metric)) == 0
    assert len(matching.ratio_test(some, some[:1], metric=metric)) == 0
    assert matching.nearest(some, some[:1], metric).index.tolist() == [[i, 0] for i in range(5)]
    assert (
        len(matching.nearest(some, some, metric)[np.array([True, False, True, False, False])]) == 2
    )


def test_bad_descriptors_are_refused_in_a_sentence():
    floats, bits = random_descriptors("l2", 5, 0), random_descriptors("hamming", 5, 0)
    cases = [
        (floats, floats[:, :9], "l2", "equally long"),
        (floats, None, "l2", "NoneType"),  # what OpenCV returns for no keypoints
        (floats, floats[0], "l2", r"\(N, D\)"),
        (floats * np.nan, floats, "l2", "NaN or infinite"),
        (floats.astype(np.float64) * 1e300, floats, "l2", "NaN or infinite"),
        (floats.astype(str), floats, "l2", "numbers"),
        (floats, floats, "hamming", "uint8"),
        (bits.astype(np.int8), bits, "hamming", "int8"),
        (floats, floats, "cosine", "'cosine'"),
    ]
    for query, train, metric, sentence in cases:
        for match in (matching.nearest, matching.ratio_test, matching.cross_check):
            with pytest.raises((TypeError, ValueError), match=sentence):
                match(query, train, metric=metric)


def test_two_thousand_by_fifty_thousand_fit_in_memory():
    # What NumPy itself holds: a child's resident memory also counts what its parent had.
    program = """
import tracemalloc, numpy as np
from course_lib.features import matching
rng = np.random.default_rng(0)
bits = rng.integers(0, 256, (52_000, 8), dtype=np.uint8)
tracemalloc.start()
matches = matching.nearest(bits[::26], bits[:50_000], "hamming")
print(len(matches), tracemalloc.get_traced_memory()[1] // 1_000_000)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    count, megabytes = map(int, run.stdout.split())
    assert count == 2000
    assert 0 < megabytes < 200  # the whole matrix alone would take 400 MB


# ------------------------------------------------------------------------------------- homography

SQUARE = np.array([(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (SQUARE + np.array([7, -3]), [[1, 0, 7], [0, 1, -3], [0, 0, 1]]),
        (SQUARE * 2.5, [[2.5, 0, 0], [0, 2.5, 0], [0, 0, 1]]),
        (SQUARE[:, ::-1] * (-1, 1), [[0, -1, 0], [1, 0, 0], [0, 0, 1]]),  # a quarter turn
        # The far side shrunk to half: w = 1 + y / 100, so x′ = x / w and y′ = 100 y / (100 + y).
        ([(0, 0), (100, 0), (50, 50), (0, 50)], [[1, 0, 0], [0, 1, 0], [0, 0.01, 1]]),
    ],
)
def test_homographies_by_hand(target, expected):
    H = matching.homography_dlt(SQUARE, target)
    assert np.allclose(H, expected, atol=1e-9)
    assert np.allclose(matching.project(np.array(expected), SQUARE), target, atol=1e-9)
    four, is_fixed = homography_of_four(SQUARE[None], np.array(target, float)[None])
    assert is_fixed.all()
    assert np.allclose(four[0], expected, atol=1e-9)


@pytest.mark.parametrize("n", [4, 5, 9, 200])
def test_dlt_on_exact_points(n):
    rng = np.random.default_rng(n)
    for _ in range(50):
        source = rng.uniform(0, 800, (n, 2))
        H = np.eye(3) + rng.normal(0, [[0.3, 0.3, 50], [0.3, 0.3, 50], [3e-4, 3e-4, 0]])
        lifted = np.column_stack([source, np.ones(n)]) @ H.T
        ours = matching.homography_dlt(source, lifted[:, :2] / lifted[:, 2:])
        assert np.abs(ours - H / H[2, 2]).max() / np.abs(H / H[2, 2]).max() < 1e-9


def test_dlt_on_noisy_points_agrees_with_kornia_and_skimage():
    import torch
    from kornia.geometry import find_homography_dlt
    from skimage.transform import ProjectiveTransform

    rng = np.random.default_rng(0)
    source = rng.uniform(0, 600, (60, 2))
    target = matching.project(TILT, source) + rng.normal(0, 0.7, (60, 2))
    ours = matching.project(matching.homography_dlt(source, target), source)
    theirs = find_homography_dlt(*(torch.tensor(p)[None] for p in (source, target)))[0].numpy()
    # Normalised in different ways, least squares differ, by much less than the noise.
    assert np.abs(ours - matching.project(theirs, source)).max() < 0.02
    skimage = ProjectiveTransform.from_estimate(source, target).params
    assert np.abs(ours - matching.project(skimage, source)).max() < 0.02


def test_normalising_makes_the_fit_independent_of_the_units():
    rng = np.random.default_rng(1)
    source = rng.uniform(0, 600, (30, 2))
    target = matching.project(TILT, source) + rng.normal(0, 1, (30, 2))
    H = matching.homography_dlt(source, target)
    shifted = matching.homography_dlt(source * 1000 + 5e5, target * 1e-3 - 40)
    expected = matching.project(H, source)
    assert np.allclose(
        (matching.project(shifted, source * 1000 + 5e5) + 40) * 1000, expected, atol=1e-5
    )


def test_origin_that_goes_to_infinity():
    source = SQUARE + np.array([50, 20])
    H = np.array([[1.0, 0, 3], [0, 1, 5], [0.01, 0.02, 0]])  # H[2, 2] = 0
    found = matching.homography_dlt(source, matching.project(H, source))
    assert np.allclose(matching.project(found, source), matching.project(H, source))
    assert np.linalg.norm(found) == pytest.approx(1)  # there is no H[2, 2] to divide by
    assert not np.isfinite(matching.project(H, np.zeros((1, 2)))).any()


THREE_IN_LINE = np.array([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (5.0, 0.0)])
LINE = np.column_stack([np.arange(8.0), 3 * np.arange(8.0) + 1])


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        (SQUARE[:3], SQUARE[:3], "at least 4 matches, but 3 were given"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "but 0 were given"),
        (SQUARE, SQUARE[:3], "both have shape"),
        (np.zeros((4, 3)), np.zeros((4, 3)), "both have shape"),
        (SQUARE * np.nan, SQUARE, "NaN or infinite"),
        (SQUARE, SQUARE + np.inf, "NaN or infinite"),
        (LINE, LINE, "fix"),
        (LINE, LINE**2, "fix"),
        (LINE**2, LINE, "fix"),
        (np.repeat(SQUARE[:2], 3, axis=0), np.repeat(SQUARE[1:3], 3, axis=0), "fix"),
        (SQUARE[[0, 1, 2, 2]], SQUARE[[0, 1, 2, 2]], "fix"),
        (np.zeros((6, 2)), np.zeros((6, 2)), "fix"),
        # Three of four on one line: in both pictures, in the first, in the second.
        (THREE_IN_LINE, THREE_IN_LINE * (1, 2), "fix"),
        (THREE_IN_LINE, SQUARE, "fix"),
        (SQUARE, THREE_IN_LINE, "fix"),
    ],
)
def test_degenerate_points_are_refused_in_a_sentence(source, target, sentence):
    for fit in (matching.homography_dlt, matching.ransac_homography):
        with pytest.raises(ValueError, match=sentence):
            fit(source, target)


def test_four_points_at_once_know_which_fix_a_homography():
    rng = np.random.default_rng(0)
    source, target = rng.uniform(0, 600, (2, 50, 4, 2))
    H, is_fixed = homography_of_four(source, target)
    assert is_fixed.mean() > 0.9
    for i in np.flatnonzero(is_fixed):
        assert np.allclose(H[i], matching.homography_dlt(source[i], target[i]), rtol=1e-6)
    for first in range(4):  # whichever of the four lies off the line, in whichever picture
        line = np.roll(THREE_IN_LINE, first, axis=0) * 0.1 + 0.7
        for a, b in ((line, SQUARE), (SQUARE, line), (line, line)):
            assert not homography_of_four(a[None], b[None])[1].any()
    tilted = np.column_stack([np.arange(4) * 0.1, np.arange(4) * 0.3 + 0.1])
    assert not homography_of_four(tilted[None], SQUARE[None])[1].any()  # a line but for rounding


points = st.lists(st.tuples(*[st.integers(-3, 3)] * 4), min_size=0, max_size=9)


@given(points, st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_points_give_a_fit_or_a_sentence(rows, as_float32):
    rows = np.array(rows, np.float32 if as_float32 else np.float64).reshape(-1, 4) * 17.3
    for fit in (matching.homography_dlt, matching.ransac_homography):
        try:
            result = fit(rows[:, :2], rows[:, 2:])
        except ValueError as error:
            assert "homography" in str(error)  # noqa: PT017
            continue
        H = getattr(result, "H", result)
        assert np.isfinite(H).all()
        assert abs(np.linalg.det(H)) > 0


# ----------------------------------------------------------------------------------------- RANSAC


def planted(n, share_wrong, seed, noise=0.5):
    rng = np.random.default_rng(seed)
    source = rng.uniform(0, 600, (n, 2))
    target = matching.project(TILT, source) + rng.normal(0, noise, (n, 2))
    wrong = rng.permutation(n) < share_wrong * n
    target[wrong] = rng.uniform(0, 600, (wrong.sum(), 2))
    return source, target, ~wrong


@pytest.mark.parametrize("share_wrong", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_ransac_finds_the_planted_homography(share_wrong, seed):
    source, target, right = planted(300, share_wrong, seed)
    found = matching.ransac_homography(source, target, threshold=3, seed=seed)
    assert (found.inliers & ~right).sum() <= 3  # a wrong match may land near by chance
    assert (found.inliers & right).sum() >= 0.98 * right.sum()
    miss = matching.project(found.H, source) - matching.project(TILT, source)
    assert np.abs(miss).max() < 1
    _, mask = cv2.findHomography(source, target, cv2.RANSAC, 3.0, confidence=0.999)
    assert (found.inliers != mask.ravel().astype(bool)).mean() < 0.03


def test_ransac_result_is_the_dlt_of_its_inliers_only():
    source, target, _ = planted(200, 0.4, 5)
    found = matching.ransac_homography(source, target, threshold=2)
    refit = matching.homography_dlt(source[found.inliers], target[found.inliers])
    assert np.array_equal(found.H, refit)
    everything = matching.homography_dlt(source, target)
    assert np.abs(matching.project(everything, source) - matching.project(TILT, source)).max() > 20
    expected = [
        math.dist(p, q) for p, q in zip(matching.project(found.H, source), target, strict=True)
    ]
    assert np.allclose(found.error, expected)
    assert (found.error[~found.inliers] > 2).mean() > 0.97


def test_ransac_is_repeatable_and_stops_as_soon_as_it_may():
    source, target, _ = planted(200, 0.5, 3, noise=0.2)
    first, second = (matching.ransac_homography(source, target, seed=4) for _ in range(2))
    assert np.array_equal(first.H, second.H)
    assert first.iterations == second.iterations
    # The share that it stopped at is that of the best sample, at most the refit's.
    assert first.iterations >= matching.samples_needed(first.inliers.mean())
    assert first.iterations < 400
    clean = matching.ransac_homography(*planted(50, 0, 1, noise=0)[:2])
    assert clean.iterations < 20
    hurried = [
        matching.ransac_homography(source, target, 1.0, seed, max_iterations=3)
        for seed in (1, 1, 2)
    ]
    assert [h.iterations for h in hurried] == [3, 3, 3]
    assert np.array_equal(hurried[0].inliers, hurried[1].inliers)
    assert not np.array_equal(hurried[0].inliers, hurried[2].inliers)


def test_ransac_threshold_is_in_pixels_of_the_target():
    source, target, right = planted(300, 0.3, 2, noise=1.0)
    counts = [matching.ransac_homography(source, target, t).inliers.sum() for t in (0.5, 1.5, 4)]
    assert counts[0] < 0.5 * right.sum() < counts[1] < counts[2]
    assert abs(counts[2] - right.sum()) <= 4
    wide = matching.ransac_homography(source, target * 10, threshold=40)
    assert abs(wide.inliers.sum() - counts[2]) <= 2


def test_matches_on_one_line_but_for_rounding_fix_nothing():
    along = np.linspace(0, 1, 60)[:, None]
    source = along * (300.1, 99.7) + (1.3, 7.7)
    target = along * (-200.3, 333.1) + (555.5, 0.1)
    with pytest.raises(ValueError, match="no four of these 60 matches fix a homography"):
        matching.ransac_homography(source, target)


def test_samples_needed_by_hand():
    assert matching.samples_needed(0.5, 0.99) == 72  # log 0.01 / log(1 − 1/16) = 71.4
    assert matching.samples_needed(0.9, 0.99) == 5
    assert matching.samples_needed(1.0) == 1
    assert matching.samples_needed(0.0) > 10**9


@pytest.mark.parametrize(
    "options", [{"threshold": 0}, {"threshold": np.nan}, {"confidence": 1}, {"max_iterations": 0}]
)
def test_ransac_refuses_settings_that_make_no_sense(options):
    with pytest.raises(ValueError, match="RANSAC needs threshold > 0"):
        matching.ransac_homography(*planted(20, 0, 0)[:2], **options)


# --------------------------------------------------------------------------------------- panorama


def shift(x, y):
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


def test_pieces_of_a_photograph_make_it_whole_again():
    photo = photos.photo("coffee")
    H, W = photo.shape[:2]
    pieces = [photo[:, :380], photo[50:, 220:], photo[:300, 100:500]]
    whole = matching.stitch(pieces, [shift(220, 50), shift(100, 0)])
    covered = np.ones((H, W), bool)
    covered[:50, 500:] = False
    assert whole.dtype == np.uint8
    assert np.array_equal(whole[covered], photo[covered])
    assert (whole[~covered] == 0).all()
    left = matching.stitch([photo[50:, 220:], photo[:, :380]], [shift(-220, -50)])
    covered[:50, 380:] = False
    assert np.array_equal(left[covered], photo[covered])  # the canvas grew to the left and upwards


def test_overlap_is_blended_by_the_distance_from_the_border():
    dark, bright = np.zeros((9, 20), np.uint8), np.full((9, 20), 255, np.uint8)
    row = matching.stitch([dark, bright], [shift(10, 0)])[4, :, 0].astype(int)
    assert (row[:10] == 0).all()
    assert (row[20:] == 255).all()
    assert (np.diff(row[10:20]) > 0).all()
    # In the fifth overlapping column dark has 6 columns left to its border, bright is 5 in.
    assert row[14] == round(255 * 5 / 11)
    wider = np.full((9, 50), 255, np.uint8)
    assert matching.stitch([dark, wider], [shift(10, 0)])[4, 14, 0] == round(255 * 5 / 11)


def test_ransac_and_stitch_rebuild_a_turned_photograph():
    photo = photos.photo("brick")
    turn = np.vstack([cv2.getRotationMatrix2D((200, 200), 12, 1.0), [0, 0, 1]]) @ shift(-150, -40)
    right = cv2.warpPerspective(photo, turn, (330, 330))
    left = photo[:, :350]
    maker = cv2.SIFT_create()
    (ka, da), (kb, db) = (
        maker.detectAndCompute(to_gray(i).astype(np.uint8), None) for i in (left, right)
    )
    matches = matching.ratio_test(db, da)
    source = np.array([kb[i].pt for i in matches.index[:, 0]])
    target = np.array([ka[i].pt for i in matches.index[:, 1]])
    found = matching.ransac_homography(source, target, 2.0)
    corners = np.array([(0, 0), (329, 0), (329, 329), (0, 329)])
    expected = matching.project(np.linalg.inv(turn), corners)
    assert np.abs(matching.project(found.H, corners) - expected).max() < 1.5
    panorama = matching.stitch([left, right], [found.H])
    assert panorama.shape[1] > 450


def test_panoramas_that_cannot_be_are_refused_in_a_sentence():
    image = np.zeros((100, 100, 3), np.uint8)
    cases = [
        ([image], [shift(0, 0)], "a homography is needed for each"),
        ([], [], "a homography is needed for each"),
        ([image, image], [shift(1e6, 0)], "look at its inliers"),
        ([image, image], [shift(1e300, 0)], "look at its inliers"),
        ([image, image], [np.diag([5e3, 5e3, 1])], "look at its inliers"),
        ([image, image], [np.array([[1, 0, 0], [0, 1, 0], [-0.02, 0, 1]])], "to infinity"),
        ([image, image], [np.full((3, 3), np.nan)], "finite"),
        ([image, image], [np.eye(2)], r"\(3, 3\)"),
        ([image, image * np.nan], [shift(1, 1)], "NaN"),
    ]
    for images, homographies, sentence in cases:
        with pytest.raises((TypeError, ValueError), match=sentence):
            matching.stitch(images, homographies)
    assert matching.stitch([image], []).shape == (100, 100, 3)
    assert matching.stitch([np.zeros((1, 1), np.uint8)] * 2, [shift(2, 0)]).shape == (1, 3, 3)


# ---------------------------------------------------------------------------------- the real pair


def share_of_right_matches(pair, left_xy, right_xy, matches):
    """Of the matches whose disparity was measured: same row ± 1 px and disparity ± 1.5 px."""
    a, b = left_xy[matches.index[:, 0]], right_xy[matches.index[:, 1]]
    x, y = np.rint(a).astype(int).T
    disparity = pair.disparity[y, x]
    known = np.isfinite(disparity)
    right = (abs(a[:, 1] - b[:, 1]) <= 1) & (abs(a[:, 0] - b[:, 0] - disparity) <= 1.5)
    return right[known].mean(), known.sum()


def test_our_sift_is_as_right_as_opencvs_on_the_real_pair(pair):
    from course_lib.features import sift

    ours = [sift.detect_and_describe(image) for image in (pair.left, pair.right)]
    maker = cv2.SIFT_create()
    theirs = [
        maker.detectAndCompute(to_gray(i).astype(np.uint8), None) for i in (pair.left, pair.right)
    ]
    for match in (matching.ratio_test, matching.cross_check):
        our_share, our_count = share_of_right_matches(
            pair, ours[0][0].xy, ours[1][0].xy, match(ours[0][1], ours[1][1])
        )
        xy = [np.array([k.pt for k in keypoints]) for keypoints, _ in theirs]
        share, count = share_of_right_matches(pair, *xy, match(theirs[0][1], theirs[1][1]))
        assert our_share > share - 0.02
        assert our_count > 0.8 * count


@pytest.mark.parametrize("oriented", [False, True])
def test_brief_on_the_real_pair(pair, oriented):
    (a, bits_a), (b, bits_b) = (
        brief.detect_and_describe(image, oriented=oriented) for image in (pair.left, pair.right)
    )
    ratio = matching.ratio_test(bits_a, bits_b, metric="hamming")
    mutual = matching.cross_check(bits_a, bits_b, "hamming")
    everything = matching.nearest(bits_a, bits_b, "hamming")
    share, count = share_of_right_matches(pair, a.xy, b.xy, ratio)
    assert share > 0.8
    assert count > 200
    assert share_of_right_matches(pair, a.xy, b.xy, mutual)[0] > 0.7
    assert share_of_right_matches(pair, a.xy, b.xy, everything)[0] < share - 0.1
    shuffled = np.random.default_rng(0).permutation(len(b))  # the control: nothing to find
    assert share_of_right_matches(pair, a.xy, b.xy[shuffled], ratio)[0] < 0.02
