"""The protocol says 1 where all is found again, chance where nothing but chance is at work."""

from math import exp, pi

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.blocks.keypoints import Keypoints
from course_lib.data.perturb import PERTURBATIONS, turn, zoom
from course_lib.data.photos import photo, stereo_motorcycle
from course_lib.evaluate.repeatability import (
    curve,
    matching_score,
    random_keypoints,
    repeatability,
    right_matches,
    standard_curves,
    stereo_correct,
)

EYE = np.eye(3)
SHAPE = (200, 300)
CAMERA = photo("camera")[::2, ::2]


def far_apart(n: int) -> np.ndarray:
    """(n, 2) on a grid of 20 pixels: nothing is near another."""
    return np.array([[20 + 20 * (i % 13), 20 + 20 * (i // 13)] for i in range(n)], float)


def bright_blocks(image: np.ndarray) -> Keypoints:
    """A toy detector that looks at the pixels: the brightest pixel of every block of 16."""
    gray = image if image.ndim == 2 else image[..., 0]
    xy, response = [], []
    for y in range(0, gray.shape[0] - 15, 16):
        for x in range(0, gray.shape[1] - 15, 16):
            block = gray[y : y + 16, x : x + 16]
            i, j = np.unravel_index(block.argmax(), block.shape)
            xy.append((x + j, y + i))
            response.append(block[i, j])
    return Keypoints.at(np.array(xy, float).reshape(-1, 2), response=response)


def with_pixels(image: np.ndarray) -> tuple[Keypoints, np.ndarray]:
    """… described by the pixel's own position in the picture, so a match is "at the same place"."""
    keypoints = bright_blocks(image)
    return keypoints, keypoints.xy.copy()


def nearest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    away = np.linalg.norm(a[:, None] - b[None], axis=2)
    return np.column_stack([np.arange(len(a)), away.argmin(axis=1)])


def test_identity_is_one_and_nothing_is_zero() -> None:
    keypoints, none = Keypoints.at(far_apart(40)), Keypoints.empty()
    index = np.column_stack([np.arange(40)] * 2)
    assert repeatability(keypoints, keypoints, EYE, SHAPE) == 1
    assert matching_score(keypoints, keypoints, index, EYE, SHAPE) == 1
    for a, b in ((none, none), (none, keypoints), (keypoints, none)):
        assert repeatability(a, b, EYE, SHAPE) == 0
        assert matching_score(a, b, np.zeros((0, 2), int), EYE, SHAPE) == 0


def test_planted_shifts_by_hand() -> None:
    """Ten keypoints: six stay within 3 pixels, two go too far, two are lost; two more appear."""
    first = Keypoints.at(far_apart(10))
    shift = np.array([[0, 0], [2, 0], [0, 2.9], [2, 2], [-1, 1], [0, -3], [3.1, 0], [5, 5]])
    second = Keypoints.at(np.vstack([first.xy[:8] + shift, [[290, 190], [270, 190]]]))
    assert repeatability(first, second, EYE, SHAPE, 3) == pytest.approx(6 / 10)
    assert repeatability(first, second, EYE, SHAPE, 3.2) == pytest.approx(7 / 10)
    assert repeatability(first, second[:8], EYE, SHAPE, 3) == pytest.approx(6 / 8)
    assert repeatability(second, first, EYE, SHAPE, 3) == pytest.approx(6 / 10)


def test_only_what_both_pictures_show_counts() -> None:
    """Shifted by 100: of four keypoints two leave the second picture, and one of them comes in."""
    shift = np.array([[1, 0, 100], [0, 1, 0], [0, 0, 1.0]])
    first = Keypoints.at([[20, 50], [150, 50], [250, 50], [260, 90]])
    second = Keypoints.at([[120, 50], [30, 90]])  # the first of them again; one in the new part
    assert repeatability(first, second, shift, SHAPE) == 1
    second = Keypoints.at([[120, 50], [30, 90], [200, 150]])
    assert repeatability(first, second, shift, SHAPE) == pytest.approx(1 / 2)


def test_a_crowd_cannot_raise_the_share() -> None:
    """Forty keypoints on one spot that is found again, and forty others that are not."""
    crowd, others = np.full((40, 2), 50.0), far_apart(80)[40:]
    first = Keypoints.at(np.vstack([crowd, others]))
    second = Keypoints.at(np.vstack([[[51.0, 50.0]], np.add(others, 10)[:39]]))
    assert repeatability(first, second, EYE, SHAPE) == pytest.approx(1 / 40)
    assert repeatability(second, first, EYE, SHAPE) == pytest.approx(1 / 40)


@pytest.mark.parametrize(("n", "tolerance"), [(100, 1.5), (300, 3.0), (1000, 2.0)])
def test_random_points_meet_as_often_as_chance_says(n: int, tolerance: float) -> None:
    """A circle of radius r is empty of n random points with probability exp(−n π r² / area).

    One to one lowers it where circles share a point, to second order; both bounds are checked.
    """
    expected_any = 1 - exp(-n * pi * tolerance**2 / (SHAPE[0] * SHAPE[1]))
    shares = []
    for i in range(60):
        a, b = (random_keypoints(n, SHAPE, 2 * i + k) for k in (0, 1))
        shares.append(repeatability(a, b, EYE, SHAPE, tolerance))
    found = np.mean(shares)
    noise = 4 * np.sqrt(expected_any / n / 60)
    assert found < expected_any + noise
    assert found > expected_any - expected_any**2 / 2 - noise


def test_random_keypoints_fill_the_picture_evenly() -> None:
    keypoints = random_keypoints(20_000, (50, 80), seed=1)
    counts, *_ = np.histogram2d(*keypoints.xy.T, bins=(8, 5), range=((-0.5, 79.5), (-0.5, 49.5)))
    assert counts.sum() == 20_000
    assert np.abs(counts - 500).max() < 5 * np.sqrt(500)
    assert np.array_equal(keypoints.xy, random_keypoints(20_000, (50, 80), seed=1).xy)
    assert not np.array_equal(keypoints.xy, random_keypoints(20_000, (50, 80), seed=2).xy)


def test_matching_score_by_hand() -> None:
    first = Keypoints.at(far_apart(5))
    second = Keypoints.at(np.add(far_apart(5), (1, 0)))
    index = np.array([[0, 0], [1, 1], [2, 3], [3, 3]])
    assert right_matches(first, second, index, EYE).tolist() == [True, True, False, True]
    assert right_matches(first, second, index, EYE, 0.9).tolist() == [False] * 4
    assert matching_score(first, second, index, EYE, SHAPE) == pytest.approx(3 / 5)
    assert matching_score(first, second[:4], index, EYE, SHAPE) == pytest.approx(3 / 4)


def test_many_matches_to_one_keypoint_count_once() -> None:
    first = Keypoints.at([[50, 50], [51, 50], [50, 51], [100, 100]])
    second = Keypoints.at([[50, 50], [20, 20], [20, 90], [150, 20]])
    index = np.array([[0, 0], [1, 0], [2, 0], [3, 3]])
    assert right_matches(first, second, index, EYE).tolist() == [True, True, True, False]
    assert matching_score(first, second, index, EYE, SHAPE) == pytest.approx(1 / 4)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 50), st.sampled_from([0.0, 0.7, 2.0]))
def test_shares_lie_between_zero_and_one_and_do_not_depend_on_the_order(
    n_a: int, n_b: int, seed: int, angle: float
) -> None:
    H = turn(np.zeros((60, 90), np.uint8), angle)[1]
    a, b = random_keypoints(n_a, (60, 90), seed), random_keypoints(n_b, (60, 90), seed + 99)
    share = repeatability(a, b, H, (60, 90), 8)
    assert 0 <= share <= 1
    assert repeatability(a[::-1], b[::-1], H, (60, 90), 8) == pytest.approx(share)
    # A turn is rigid, so which picture is called the first makes no difference.
    assert repeatability(b, a, np.linalg.inv(H), (60, 90), 8) == pytest.approx(share)
    index = np.random.default_rng(seed).integers(0, [max(n_a, 1), max(n_b, 1)], (40, 2))
    if n_a and n_b:
        assert 0 <= matching_score(a, b, index, H, (60, 90), 8) <= share + 1e-9


def test_curve_of_a_detector_that_sees_pixels() -> None:
    result = curve(CAMERA, {"blocks": bright_blocks, "both": (with_pixels, nearest)}, "noise")
    assert result.axis.tolist() == [0, 5, 10, 20, 30]
    assert result.xlabel == "noise σ (grey levels)"
    assert list(result.matching) == ["both"]
    assert result.repeatability["blocks"][0] == result.matching["both"][0] == 1
    assert result.count["blocks"].tolist() == [256] * 5
    assert np.array_equal(result.repeatability["blocks"], result.repeatability["both"])
    assert (np.diff(result.repeatability["blocks"]) <= 0.05).all()
    chance = 1 - exp(-256 * 9 * pi / 256**2)
    assert result.chance == pytest.approx(np.full(5, chance), abs=0.04)
    assert result.repeatability["blocks"][1] > 2 * chance


def test_a_detector_blind_to_the_picture_stays_at_chance_under_every_perturbation() -> None:
    def blind(image: np.ndarray) -> Keypoints:
        return random_keypoints(400, image.shape, int(image.astype(int).sum()))

    for name, result in standard_curves(CAMERA, {"blind": blind}, long_side=256, n=100).items():
        moved = np.array(PERTURBATIONS[name].levels) != (1 if name == "zoom" else 0)
        share, chance = result.repeatability["blind"][moved], result.chance[moved]
        assert np.abs(share - chance).max() < 0.12, name
        assert abs((share - chance).mean()) < 0.05, name
        assert result.count["blind"].max() <= 100


def test_a_detector_that_knows_the_change_reaches_one_under_every_perturbation() -> None:
    """It marks the same thirty places, wherever the picture's own change puts them."""
    places = np.random.default_rng(0).uniform(60, 195, (30, 2))
    for perturbation in PERTURBATIONS.values():
        where = {"H": EYE}

        def change(image, level, function=perturbation.function, where=where):
            picture, where["H"] = function(image, level)
            return picture, where["H"]

        def oracle(image: np.ndarray, where=where) -> Keypoints:
            x, y, w = where["H"] @ np.column_stack([places, np.ones(30)]).T
            return Keypoints.at(np.column_stack([x / w, y / w]))

        result = curve(CAMERA, {"oracle": oracle}, change, perturbation.levels, tolerance=0.01)
        assert result.repeatability["oracle"].tolist() == [1] * len(perturbation.levels)
        assert result.count["oracle"].tolist() == [30] * len(perturbation.levels)
        assert result.xlabel == "change"


def test_chance_has_as_many_points_where_only_half_is_seen_in_both() -> None:
    def shift(image: np.ndarray, pixels: int) -> tuple[np.ndarray, np.ndarray]:
        return np.roll(image, pixels, axis=1), np.array([[1, 0, pixels], [0, 1, 0], [0, 0, 1.0]])

    def blind(image: np.ndarray) -> Keypoints:
        return random_keypoints(2000, image.shape)

    result = curve(CAMERA, {"blind": blind}, shift, [128], n=400, tolerance=2)
    assert result.count["blind"].tolist() == [400]
    chance = 1 - exp(-400 * pi * 2**2 / (256 * 128))
    assert result.chance[0] == pytest.approx(chance, abs=0.03)


def test_the_strongest_of_the_common_part_are_compared_with_their_own_descriptors() -> None:
    """Strong ones that turn out of the picture do not use up `n`; weak ones miss by 5 pixels."""
    H = turn(CAMERA, pi / 4)[1]
    inner = far_apart(30) * 0.4 + 64
    corner = np.random.default_rng(1).uniform(0, 12, (20, 2))

    def features(image: np.ndarray) -> tuple[Keypoints, np.ndarray]:
        same = np.array_equal(image, CAMERA)
        seen = inner if same else (np.column_stack([inner, np.ones(30)]) @ H.T)[:, :2]
        seen = seen if same else seen + np.where(np.arange(30) < 10, 0, 5)[:, None]
        order = np.random.default_rng(0 if same else 7).permutation(30)
        xy = np.vstack([corner, seen[order]])
        strength = np.concatenate([np.full(20, 99), 30 - order])
        names = np.concatenate([np.full(20, -9), order])[:, None].astype(float)
        return Keypoints.at(xy, response=strength), names

    result = curve(CAMERA, {"planted": (features, nearest)}, turn, [pi / 4], n=10, tolerance=0.5)
    assert result.count["planted"].tolist() == [10]
    assert result.repeatability["planted"].tolist() == [1]
    assert result.matching["planted"].tolist() == [1]


def test_standard_curves_shrink_a_long_picture_and_are_reproducible() -> None:
    sizes = []

    def spy(image: np.ndarray) -> Keypoints:
        sizes.append(image.shape[:2])
        return bright_blocks(image)

    first = standard_curves(CAMERA[:128], {"spy": spy}, long_side=128)
    assert list(first) == list(PERTURBATIONS)
    assert sizes[0] == (64, 128)
    second = standard_curves(CAMERA[:128], {"spy": bright_blocks}, long_side=128)
    for name in first:
        assert np.array_equal(first[name].chance, second[name].chance)
        assert np.array_equal(first[name].repeatability["spy"], second[name].repeatability["spy"])


def test_a_blank_picture_gives_zeros_not_an_error() -> None:
    result = curve(CAMERA, {"none": lambda image: Keypoints.empty()}, "blur")
    assert result.repeatability["none"].tolist() == result.chance.tolist() == [0] * 5
    both = {"none": (lambda image: (Keypoints.empty(), np.zeros((0, 8))), nearest)}
    assert curve(CAMERA, both, "zoom").matching["none"].tolist() == [0] * 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"perturbation": "rotate"}, "no perturbation 'rotate'; there are: turn, zoom, blur"),
        ({"perturbation": zoom}, "needs its levels, but None"),
        ({"n": 0}, "must be positive, not 0"),
        ({"methods": {}}, "must be positive, not 500, 0"),
        ({"tolerance": -1}, "tolerance must be positive"),
        ({"methods": {"bad": (with_pixels, lambda a, b: a)}}, r"whole numbers of shape \(M, 2\)"),
    ],
)
def test_bad_arguments_get_one_sentence(arguments: dict, said: str) -> None:
    wanted = {"methods": {"blocks": bright_blocks}, "perturbation": "blur", **arguments}
    with pytest.raises(ValueError, match=said):
        curve(CAMERA, **wanted)


def test_stereo_by_hand() -> None:
    disparity = np.full((40, 60), 10.0)
    disparity[:, 30:] = np.nan
    disparity[20, 20] = 4  # one near thing
    left = np.array(
        [[15, 10], [15, 10], [15, 10], [15, 10], [40, 10], [19.6, 20.4], [5, 5], [45, 5]]
    )
    right = np.array(
        [[5, 10], [6.5, 11], [6.6, 10], [5, 11.1], [30, 10], [15.6, 20], [-5, 5], [45, 5]]
    )
    index = np.column_stack([np.arange(8)] * 2)
    verdict = stereo_correct(left, right, index, disparity)
    assert verdict.measured.tolist() == [1, 1, 1, 1, 0, 1, 1, 0]
    assert verdict.right.tolist() == [1, 1, 0, 0, 0, 1, 1, 0]
    swapped = stereo_correct(right.clip(0), left, index, disparity)
    assert not swapped.right.any()  # the right picture lies on the other side
    keypoints = Keypoints.at(left), Keypoints.at(right)
    assert np.array_equal(stereo_correct(*keypoints, index, disparity).right, verdict.right)
    assert np.array_equal(
        stereo_correct(left, right, index[::-1], disparity).right, verdict.right[::-1]
    )
    narrow = stereo_correct(left, right, index, disparity, row_tol=0.2, disparity_tol=0.2)
    assert narrow.right.tolist() == [1, 0, 0, 0, 0, 0, 1, 0]
    assert stereo_correct([], [], [], disparity).right.shape == (0,)
    off = stereo_correct([[99, 99], [59.4, 0]], [[0, 0]], [[0, 0], [1, 0]], disparity)
    assert not off.measured.any()


def test_stereo_on_the_real_pair() -> None:
    """A pixel led by its own disparity is right; two rows off, or led by another one, it is not."""
    disparity = stereo_motorcycle().disparity
    y, x = np.nonzero(np.isfinite(disparity))
    pick = np.random.default_rng(0).choice(len(x), 500, replace=False)
    left = np.column_stack([x, y])[pick].astype(float)
    right = left - np.column_stack([disparity[y[pick], x[pick]], np.zeros(500)])
    index = np.column_stack([np.arange(500)] * 2)
    verdict = stereo_correct(left, right, index, disparity)
    assert verdict.right.all()
    assert verdict.measured.all()
    assert not stereo_correct(left, np.add(right, (0, 2)), index, disparity).right.any()
    shuffled = np.column_stack([np.arange(500), np.roll(np.arange(500), 1)])
    assert stereo_correct(left, right, shuffled, disparity).right.mean() < 0.01


def test_stereo_bad_input() -> None:
    with pytest.raises(
        ValueError, match=r"disparity must have shape \(H, W\), but it has \(4, 4, 3\)"
    ):
        stereo_correct([], [], [], np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match=r"positions must have shape \(N, 2\)"):
        stereo_correct(np.zeros((2, 3)), np.zeros((2, 2)), [], np.zeros((4, 4)))
    with pytest.raises(ValueError, match="must point into 2 and 2 keypoints"):
        stereo_correct(np.zeros((2, 2)), np.zeros((2, 2)), [[0, 2]], np.zeros((4, 4)))
