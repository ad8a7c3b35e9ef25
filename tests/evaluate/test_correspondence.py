"""Pairs are one to one and where they should be: held to loops and to cases made by hand."""

from math import hypot, pi

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from course_lib.blocks.keypoints import Keypoints
from course_lib.data.perturb import turn, zoom
from course_lib.evaluate.correspondence import (
    check_matches,
    correspondences,
    distances,
    inside,
    one_to_one,
    project,
    visible,
)

EYE = np.eye(3)
TILTED = np.array([[0.9, 0.1, 5], [-0.05, 1.1, -3], [2e-4, -1e-4, 1]])  # a true homography


def scattered(n: int, seed: int, shape: tuple[int, int] = (100, 140)) -> Keypoints:
    rng = np.random.default_rng(seed)
    xy = rng.random((n, 2)) * (shape[1] - 1, shape[0] - 1)
    return Keypoints.at(xy, size=rng.uniform(2, 9, n), response=rng.random(n))


def moved(keypoints: Keypoints, H: np.ndarray) -> Keypoints:
    """Point by point, as one writes it on paper."""
    places = []
    for x, y in keypoints.xy.astype(float):
        w = H[2, 0] * x + H[2, 1] * y + H[2, 2]
        places.append(
            ((H[0, 0] * x + H[0, 1] * y + H[0, 2]) / w, (H[1, 0] * x + H[1, 1] * y + H[1, 2]) / w)
        )
    return Keypoints.at(np.array(places).reshape(-1, 2), keypoints.size)


def greedy_by_loops(a: np.ndarray, b: np.ndarray, tolerance: float) -> set[tuple[int, int]]:
    """Look through all pairs for the nearest that is still free, again and again."""
    free_a, free_b, pairs = set(range(len(a))), set(range(len(b))), set()
    while True:
        best = None
        for i in sorted(free_a):
            for j in sorted(free_b):
                d = hypot(a[i][0] - b[j][0], a[i][1] - b[j][1])
                if d <= tolerance and (best is None or d < best[0]):
                    best = (d, i, j)
        if best is None:
            return pairs
        pairs.add(best[1:])
        free_a.discard(best[1])
        free_b.discard(best[2])


def test_project_point_by_point() -> None:
    keypoints = scattered(50, 0)
    assert np.allclose(project(TILTED, keypoints.xy), moved(keypoints, TILTED).xy, atol=1e-4)
    assert np.allclose(project(7 * TILTED, keypoints.xy), project(TILTED, keypoints.xy))
    assert np.allclose(project(-TILTED, keypoints.xy), project(TILTED, keypoints.xy))
    assert project(EYE, np.zeros((0, 2))).shape == (0, 2)
    horizon = np.array([[1, 0, 0], [0, 1, 0], [-0.01, 0, 1]])  # w = 0 at x = 100
    assert np.isfinite(project(horizon, [[99, 5], [100, 5], [101, 5]])).all(axis=1).tolist() == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "H", [np.eye(2), np.zeros((3, 3)), np.full((3, 3), np.nan), np.ones((3, 3)), [[1, 2], [3, 4]]]
)
def test_what_is_no_homography(H: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"H must be \(3, 3\), finite and invertible"):
        project(H, np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"positions must have shape \(N, 2\)"):
        project(EYE, np.zeros((2, 3)))


def test_inside_reaches_to_the_outer_edges_of_pixels() -> None:
    points = [[-0.5, -0.5], [-0.51, 0], [9.49, 4.49], [9.5, 0], [0, 4.5], [np.nan, 1], [4, 2]]
    assert inside(np.array(points), (5, 10)).tolist() == [1, 0, 1, 0, 0, 0, 1]


def test_visible_by_hand() -> None:
    """A shift of 30 to the right: the right end of one picture and the left end of the other go."""
    shift = np.array([[1, 0, 30], [0, 1, 0], [0, 0, 1.0]])
    keypoints = Keypoints.at([[0, 5], [60, 5], [75, 5]])
    seen_a, seen_b = visible(keypoints, keypoints, shift, (20, 100))
    assert seen_a.tolist() == [True, True, False]
    assert seen_b.tolist() == [False, True, True]
    seen_a, seen_b = visible(keypoints, keypoints, shift, (20, 100), (20, 70))
    assert seen_a.tolist() == [True, False, False]
    assert seen_b.tolist() == [False, True, False]  # 75 lies outside the second picture itself


CHANGES = [(turn, 0.5), (turn, 2.6), (zoom, 0.4), (zoom, 1.7)]


@pytest.mark.parametrize(("function", "level"), CHANGES)
def test_visible_point_by_point(function, level: float) -> None:
    picture, H = function(np.zeros((90, 130), np.uint8), level)
    grid = np.stack(np.meshgrid(np.arange(0, 130, 7), np.arange(0, 90, 5)), -1).reshape(-1, 2)
    seen, _ = visible(Keypoints.at(grid), Keypoints.empty(), H, (90, 130), picture.shape)
    height, width = picture.shape
    for (x, y), found in zip(moved(Keypoints.at(grid), H).xy, seen, strict=True):
        assert found == (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5)
    assert seen.all() == (function is zoom)  # only a turn loses corners


@given(st.integers(0, 25), st.integers(0, 25), st.integers(0, 99), st.floats(0.5, 40))
def test_correspondences_equal_the_loops(n_a: int, n_b: int, seed: int, tolerance: float) -> None:
    a, b = scattered(n_a, seed), scattered(n_b, seed + 1000)
    pairs = correspondences(a, b, EYE, tolerance)
    assert {tuple(pair) for pair in pairs.tolist()} == greedy_by_loops(
        a.xy.tolist(), b.xy.tolist(), tolerance
    )
    assert len(set(pairs[:, 0].tolist())) == len(set(pairs[:, 1].tolist())) == len(pairs)


def test_nearest_first_finds_nearly_as_many_pairs_as_the_best_assignment() -> None:
    for seed in range(5):
        a, b = scattered(200, seed), scattered(200, seed + 50)
        away = np.linalg.norm(a.xy[:, None] - b.xy[None], axis=2)
        rows, columns = linear_sum_assignment(away > 4)
        best = (away[rows, columns] <= 4).sum()
        found = len(correspondences(a, b, EYE, 4))
        assert 0.9 * best <= found <= best


def test_a_crowd_finds_one_partner_together() -> None:
    crowd = Keypoints.at([[50, 50]] * 40)
    one = Keypoints.at([[51, 50]])
    assert len(correspondences(crowd, one, EYE)) == 1
    assert len(correspondences(one, crowd, EYE)) == 1
    assert len(correspondences(crowd, crowd, EYE)) == 40


def test_planted_keypoints_are_found_through_any_homography() -> None:
    keypoints = scattered(60, 3, (400, 500))
    order = np.random.default_rng(0).permutation(60)
    for H in (EYE, TILTED, turn(np.zeros((400, 500), np.uint8), 1.1)[1]):
        pairs = correspondences(keypoints, moved(keypoints, H)[order], H, 0.01)
        assert pairs[:, 0].tolist() == list(range(60))
        assert np.array_equal(order[pairs[:, 1]], pairs[:, 0])


def test_distances_are_in_pixels_of_the_first_picture() -> None:
    half = zoom(np.zeros((100, 100), np.uint8), 0.5)[1]
    first = Keypoints.at([[20, 20], [60, 60]])
    second = moved(first, half)
    second.xy[:, 0] += [1, 2]  # 2 and 4 pixels of the first picture
    assert distances(first, second, np.array([[0, 0], [1, 1]]), half) == pytest.approx([2, 4])
    assert correspondences(first, second, half, 3).tolist() == [[0, 0]]
    assert correspondences(first, second, half, 4.01).tolist() == [[0, 0], [1, 1]]


def test_sizes_must_agree_as_seen_through_h() -> None:
    H = zoom(np.zeros((100, 100), np.uint8), 2)[1]
    first = Keypoints.at([[20, 20], [40, 40], [60, 60], [80, 80]], size=4)
    second = Keypoints.at(moved(first, H).xy, size=[8, 8 * 1.4, 8 / 1.6, 4])
    assert correspondences(first, second, H, 1, size_ratio=1.5)[:, 0].tolist() == [0, 1]
    assert correspondences(first, second, H, 1, size_ratio=2)[:, 0].tolist() == [0, 1, 2, 3]
    assert len(correspondences(first, second, H, 1)) == 4


def test_local_magnification_of_a_homography() -> None:
    """Against the area of a small square that is carried through H corner by corner."""
    first = scattered(30, 5)
    scale = []
    for x, y in first.xy.astype(float):
        e = 1e-3
        corners = [project(TILTED, [[x + dx, y + dy]])[0] for dx, dy in ((0, 0), (e, 0), (0, e))]
        (ux, uy), (vx, vy) = corners[1] - corners[0], corners[2] - corners[0]
        scale.append(np.sqrt(abs(ux * vy - uy * vx)) / e)
    second = Keypoints.at(moved(first, TILTED).xy, size=first.size * scale)
    assert len(correspondences(first, second, TILTED, 0.1, size_ratio=1.001)) == 30
    wrong = Keypoints.at(second.xy, size=second.size * 1.01)
    assert len(correspondences(first, wrong, TILTED, 0.1, size_ratio=1.001)) == 0


def test_one_to_one_by_hand() -> None:
    pairs = np.array([[0, 0], [0, 1], [1, 0], [2, 2]])
    assert one_to_one(pairs, np.array([2.0, 1.0, 3.0, 9.0])).tolist() == [False, True, True, True]
    assert one_to_one(pairs, np.array([1.0, 1.0, 1.0, 1.0])).tolist() == [True, False, False, True]
    assert one_to_one(np.zeros((0, 2), int), np.zeros(0)).tolist() == []


def test_bad_arguments_get_one_sentence() -> None:
    a = scattered(3, 0)
    for tolerance in (0, -1, np.nan):
        with pytest.raises(ValueError, match="tolerance must be positive"):
            correspondences(a, a, EYE, tolerance)
    for ratio in (0.5, np.nan):
        with pytest.raises(ValueError, match="size_ratio must be None or at least 1"):
            correspondences(a, a, EYE, 3, ratio)
    for index in (np.zeros((2, 3), int), np.zeros((2, 2)), np.array([1, 2])):
        with pytest.raises(ValueError, match=r"whole numbers of shape \(M, 2\)"):
            check_matches(index, 3, 3)
    for index in ([[0, 3]], [[3, 0]], [[-1, 0]]):
        with pytest.raises(ValueError, match="must point into 3 and 3 keypoints"):
            check_matches(index, 3, 3)
    assert check_matches([], 3, 3).shape == (0, 2)


def test_no_keypoints_no_pairs() -> None:
    none = Keypoints.empty()
    for a, b in ((none, none), (none, scattered(3, 0)), (scattered(3, 0), none)):
        assert correspondences(a, b, EYE).shape == (0, 2)
        assert [len(mask) for mask in visible(a, b, EYE, (9, 9))] == [len(a), len(b)]


def test_the_circle_of_tolerance_is_a_circle() -> None:
    centre = Keypoints.at([[50, 50]])
    for angle in np.linspace(0, 2 * pi, 17):
        for radius, found in ((2.99, 1), (3.01, 0)):
            there = Keypoints.at([[50 + radius * np.cos(angle), 50 + radius * np.sin(angle)]])
            assert len(correspondences(centre, there, EYE, 3)) == found
