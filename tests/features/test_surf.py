"""SURF against OpenCV's own values, slow oracles, hand-made blobs and the invariances promised."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree
from scipy.special import erf

from course_lib.blocks.keypoints import Keypoints
from course_lib.data.photos import photo
from course_lib.features import surf
from course_lib.features.box_filters import integral
from course_lib.features.surf import Config

GOLDEN = Path(__file__).parents[1] / "golden" / "surf"
NAMES = ["camera", "motorcycle_left", "motorcycle_right", "text"]
CAMERA = photo("camera")[..., 0]


@cache
def gray(name: str) -> np.ndarray:
    """The grey picture that the golden values were made from."""
    path = Path(skimage.__file__).parent / "data" / f"{name}.png"
    return cv2.imread(os.fspath(path), cv2.IMREAD_GRAYSCALE)


@cache
def golden(name: str, upright: bool) -> tuple[Keypoints, np.ndarray]:
    data = np.load(GOLDEN / f"{name}_u{int(upright)}.npz")
    keypoints = Keypoints.at(
        data["xy"],
        data["size"],
        np.radians(data["angle"]),
        data["response"],
        data["octave"],
        data["laplacian"],
    )
    return keypoints, data["descriptor"]


@cache
def found(name: str) -> tuple[Keypoints, np.ndarray]:
    return surf.detect_and_describe(gray(name))


def share_near(a: Keypoints, b: Keypoints) -> float:
    """Share of a's keypoints that have one of b's within 1 px and 10 % of size."""
    near = cKDTree(b.xy).query_ball_point(a.xy, 1)
    return np.mean(
        [(abs(b.size[n] - s) <= 0.1 * s).any() for n, s in zip(near, a.size, strict=True)]
    )


def turn_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Absolute difference of two angles, in degrees."""
    return np.degrees(np.abs((a - b + np.pi) % (2 * np.pi) - np.pi))


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def ellipse(
    shape: tuple[int, int], xy: tuple[float, float], sigma: tuple[float, float]
) -> np.ndarray:
    """A soft dark blob on white: float32 in 0…1."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    r = ((x - xy[0]) / sigma[0]) ** 2 + ((y - xy[1]) / sigma[1]) ** 2
    return 1 - np.exp(-r / 2)


# ---------------------------------------------------------------- parity with OpenCV 4.12


@pytest.mark.parametrize("name", NAMES)
def test_keypoints_are_opencvs_both_ways(name: str) -> None:
    ours, theirs = found(name)[0], golden(name, False)[0]
    assert share_near(ours, theirs) >= 0.99
    assert share_near(theirs, ours) >= 0.99


@pytest.mark.parametrize("name", NAMES)
def test_keypoints_come_in_opencvs_order_with_its_values(name: str) -> None:
    ours, theirs = found(name)[0], golden(name, False)[0]
    assert len(ours) == len(theirs)
    assert np.allclose(ours.response, theirs.response, rtol=1e-5)
    same = np.abs(ours.xy - theirs.xy).max(axis=1) < 1e-3
    assert same.mean() > 0.995, "only equal responses may swap places"
    for column in ("size", "octave", "sign"):
        assert np.array_equal(getattr(ours, column)[same], getattr(theirs, column)[same]), column


@pytest.mark.parametrize("name", NAMES)
def test_angles_on_opencvs_keypoints(name: str) -> None:
    theirs = golden(name, False)[0]
    angle = surf.dominant_angles(integral(gray(name)), theirs)
    error = turn_between(angle, theirs.angle)
    assert (error <= 5).mean() >= 0.99
    assert np.median(error) < 0.01


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_descriptors_on_opencvs_keypoints(name: str, upright: bool) -> None:
    theirs, expected = golden(name, upright)
    ours = surf.describe(gray(name), theirs, Config(upright=upright))
    alike = cosine(ours, expected)
    assert np.median(alike) >= 0.999
    assert alike.min() > (
        0.95 if upright else 0.999
    )  # OpenCV moves upright windows to whole pixels


def test_upright_detection_is_opencvs() -> None:
    ours, theirs = surf.detect(gray("text"), Config(upright=True)), golden("text", True)[0]
    assert share_near(ours, theirs) == share_near(theirs, ours) == 1
    assert np.array_equal(ours.angle, theirs.angle)


# ---------------------------------------------------------------- slow oracles and cases by hand


def test_local_maxima_equal_a_loop() -> None:
    det = np.random.default_rng(1).integers(0, 99, (5, 18, 31)).astype(np.float32)
    slow = []
    for k in range(1, 4):
        for i in range(1, 17):
            for j in range(1, 30):
                cube = det[k - 1 : k + 2, i - 1 : i + 2, j - 1 : j + 2].ravel()
                if cube[13] > 30 and cube[13] > np.delete(cube, 13).max():
                    slow.append([k, i, j])
    assert len(slow) > 20
    assert surf.local_maxima(det, 30).T.tolist() == slow


def test_a_plateau_is_no_maximum() -> None:
    det = np.zeros((3, 5, 6))
    det[1, 2, 2:4] = 7
    assert surf.local_maxima(det, 0).shape == (3, 0)


def test_interpolation_finds_the_top_of_a_quadratic() -> None:
    """A surface that is a quadratic has its top found exactly; one without a top is rejected."""
    top = np.array([0.3, -0.45, 0.2])  # x, y, layer
    curvature = -np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.7], [0.5, -0.7, 2.0]])
    layer, i, j = np.mgrid[-1:2, -1:2, -1:2]
    d = np.stack([j, i, layer], axis=-1) - top
    bowl = 50 + np.einsum("...a,ab,...b->...", d, curvature, d)
    middle = np.array([1])
    assert surf.interpolate(bowl, middle, middle, middle) == pytest.approx(top[None])
    ridge = np.repeat(bowl[:, :, 1:2], 3, axis=2)
    assert (np.abs(surf.interpolate(ridge, middle, middle, middle)) > 1).any()


def test_longest_window_equals_a_loop() -> None:
    rng = np.random.default_rng(2)
    gx, gy = rng.normal(size=(2, 30, 113)) + rng.normal(size=(2, 30, 1)) * 0.3
    fast = surf.longest_window(gx, gy)
    for n in range(30):
        direction = np.degrees(np.arctan2(gy[n], gx[n]))
        sums = []
        for middle in range(0, 360, 5):
            inside = np.abs((np.rint(direction) - middle + 180) % 360 - 180) < 30
            sums.append((np.hypot(gx[n][inside].sum(), gy[n][inside].sum()), inside))
        inside = max(sums, key=lambda s: s[0])[1]
        slow = np.arctan2(gy[n][inside].sum(), gx[n][inside].sum())
        assert turn_between(fast[n], slow) < 1e-9


@pytest.mark.parametrize("degrees", [0, 37, 90, 179, 181, 268, 300, 359])
def test_the_angle_points_to_where_it_gets_brighter(degrees: int) -> None:
    y, x = np.mgrid[:81, :91]
    slope = 128 + np.cos(np.radians(degrees)) * (x - 45) + np.sin(np.radians(degrees)) * (y - 40)
    angle = surf.dominant_angles(integral(slope), Keypoints.at([[45, 40], [44.3, 41.9]], [15, 22]))
    assert turn_between(angle, np.radians(degrees)).max() < 0.1
    assert ((angle >= 0) & (angle < np.float32(2 * np.pi))).all()


def test_an_angle_just_below_a_full_turn_stays_below_it() -> None:
    y, x = np.mgrid[:81, :91]
    angle = surf.dominant_angles(integral(100 + x - 1e-8 * y), Keypoints.at([[45, 40]], 15))
    assert turn_between(angle, 0).max() < 1e-3
    assert angle[0] < 2 * np.pi


def test_area_means_of_whole_and_broken_stretches() -> None:
    samples = np.arange(63.0) ** 2
    assert np.allclose(surf.area_means(63) @ samples, samples.reshape(21, 3).mean(axis=1))
    # 28 samples: 4/3 each, so the second mean takes 2/3 of sample 1 and 2/3 of sample 2
    assert np.allclose(surf.area_means(28)[1, :4], [0, 0.5, 0.5, 0])
    assert np.allclose(surf.area_means(28)[0, :3], [0.75, 0.25, 0])
    assert np.allclose(surf.area_means(7)[:, 2], np.repeat([0, 1, 0], [6, 3, 12])), "and upwards"


def test_bilinear_sampling_equals_scipy() -> None:
    rng = np.random.default_rng(3)
    picture = rng.uniform(0, 255, (13, 19)).astype(np.float32)
    x, y = rng.uniform(-5, 24, (2, 400)).astype(np.float32)
    slow = map_coordinates(picture, [y, x], order=1, mode="nearest")
    assert np.allclose(surf.bilinear(np.pad(picture, (0, 1)), x, y), slow, atol=1e-3)


def slow_descriptor(
    picture: np.ndarray, x: float, y: float, size: float, angle: float
) -> np.ndarray:
    """Sec. 4.2 in plain loops, over the whole turned window."""
    s = size * 1.2 / 9
    n = int(21 * s)
    c, d = np.cos(angle), np.sin(angle)
    patch = np.zeros((21, 21))
    fine = 21  # each sample is shared out in 21×21 parts, so that every part has one cell
    for i in range(n):
        for j in range(n):
            u, v = j - (n - 1) / 2, i - (n - 1) / 2
            at = [[y + d * u + c * v], [x + c * u - d * v]]
            value = map_coordinates(picture, at, order=1, mode="nearest")[0] / (n * n)
            rows, cols = (((k * fine + np.arange(fine)) // n) for k in (i, j))
            np.add.at(patch, np.ix_(rows, cols), value)
    weight = [np.exp(-((k - 9.5) ** 2) / (2 * 3.3**2)) for k in range(20)]
    sums = np.zeros((4, 4, 4))
    for i in range(20):
        for j in range(20):
            quad = patch[i : i + 2, j : j + 2]
            dx = (quad[:, 1] - quad[:, 0]).sum() * weight[i] * weight[j]
            dy = (quad[1] - quad[0]).sum() * weight[i] * weight[j]
            sums[i // 5, j // 5] += [dx, dy, abs(dx), abs(dy)]
    return sums.ravel() / np.linalg.norm(sums)


def test_the_descriptor_equals_plain_loops() -> None:
    keypoints = Keypoints.at([[60.3, 50.6], [3.2, 70.1]], [11.0, 15.0], [0.7, 4.0])
    fast = surf.describe(CAMERA[150:250, 180:300], keypoints)
    for n in range(2):
        x, y, size, angle = *keypoints.xy[n], keypoints.size[n], keypoints.angle[n]
        slow = slow_descriptor(CAMERA[150:250, 180:300].astype(float), x, y, size, angle)
        assert fast[n] == pytest.approx(slow, abs=1e-4)


def test_extended_halves_add_up_to_the_64() -> None:
    keypoints = found("text")[0]
    short = surf.describe(gray("text"), keypoints)
    halves = surf.describe(gray("text"), keypoints, Config(extended=True)).reshape(-1, 16, 2, 2, 2)
    whole = halves.sum(axis=3)  # of: cell, (dx, dy), (≥ 0, < 0), (sum, sum of sizes)
    whole = whole.transpose(0, 1, 3, 2).reshape(-1, 64)
    assert np.allclose(whole / np.linalg.norm(whole, axis=1, keepdims=True), short, atol=1e-5)
    assert (halves[..., 1] > 0).all(axis=(1, 2)).any(), "both halves are in use"


def test_extended_splits_by_the_sign_of_the_other_component() -> None:
    """A slope that rises in x and y has nothing in the halves where one of them falls."""
    y, x = np.mgrid[:21, :21].astype(np.float32)
    numbers = surf.sum_cells(np.stack([x + 2 * y, x - 2 * y]), True).reshape(2, 16, 2, 2, 2)
    dx, dy = numbers[:, :, 0], numbers[:, :, 1]
    assert (dx[0, :, 0] > 0).all()
    assert not dx[0, :, 1].any()
    assert not dx[1, :, 0].any(), "dy < 0"
    assert (dx[1, :, 1] > 0).all()
    assert (dy[1, :, 0, 0] < 0).all(), "dx ≥ 0: Σdy"
    assert (dy[1, :, 0, 1] > 0).all(), "dx ≥ 0: Σ|dy|"
    assert not dy[:, :, 1].any()


# ---------------------------------------------------------------- blobs, signs, invariances


def best_size(sigma: float) -> float:
    """Filter size with the greatest Dxx·Dyy at the middle of a Gaussian, integrated exactly."""
    size = np.linspace(9, 200, 5000)

    def mean(start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Of exp(−x²/2σ²) over start…end, but for a factor that all sizes share."""
        return (erf(end / sigma / 2**0.5) - erf(start / sigma / 2**0.5)) / (end - start)

    lobes = mean(-size / 2, -size / 6) + mean(size / 6, size / 2) - 2 * mean(-size / 6, size / 6)
    return size[np.argmax((lobes * mean(-size * 5 / 18, size * 5 / 18)) ** 2)]


@pytest.mark.parametrize("sigma", [2.5, 4.0, 7.0, 13.0])
def test_a_blob_is_found_at_its_place_and_with_its_size(sigma: float) -> None:
    centre = (112.4, 97.7)
    strongest = surf.detect(ellipse((201, 231), centre, (sigma, sigma)))[0]
    assert np.hypot(*(strongest.xy[0] - centre)) < max(0.2, 0.1 * sigma)
    assert strongest.size[0] == pytest.approx(best_size(sigma), rel=0.15)


def test_dark_and_bright_blobs_have_opposite_signs() -> None:
    dark = ellipse((101, 131), (60, 50), (5, 5))
    assert surf.detect(dark).sign[0] == 1
    assert surf.detect(1 - dark).sign[0] == -1


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_quarter_turn_turns_positions_and_angles_and_keeps_descriptors(turns: int) -> None:
    picture = CAMERA[:301, 100:397]  # odd sides: the sampling grids of octaves 0 fall together
    config = Config(octaves=1)
    before, d0 = surf.detect_and_describe(picture, config)
    after, d1 = surf.detect_and_describe(np.rot90(picture, turns), config)
    xy = before.xy.astype(np.float64)
    width = picture.shape[1]
    for _ in range(turns):  # np.rot90 turns against the clock: (x, y) ↦ (y, W − 1 − x)
        xy = np.stack([xy[:, 1], width - 1 - xy[:, 0]], axis=1)
        width = picture.shape[0] if width == picture.shape[1] else picture.shape[1]
    distance, pair = cKDTree(after.xy).query(xy)
    kept = distance < 0.01
    assert kept.mean() > 0.99
    turned = turn_between(after.angle[pair], before.angle - turns * np.pi / 2)[kept]
    assert (turned < 3).mean() > 0.9
    assert np.median(cosine(d0, d1[pair])[kept]) > 0.99


def test_light_changes_neither_keypoints_nor_descriptors() -> None:
    picture = CAMERA[100:300, 150:400].astype(np.float32) / 255
    lit, d0 = surf.detect_and_describe(picture)
    dim, d1 = surf.detect_and_describe(picture * 0.5 + 0.2, Config(threshold=400 / 4))
    assert len(lit) == len(dim) > 100
    assert np.allclose(lit.xy, dim.xy, atol=1e-2)
    assert np.allclose(lit.response / 4, dim.response, rtol=1e-3)
    assert cosine(d0, d1).min() > 0.9999


def test_turned_upright_descriptors_are_lost_and_oriented_ones_are_not() -> None:
    """What orientation is for: the same places, described in a picture turned by a quarter."""
    keypoints = found("text")[0]
    turned = np.rot90(gray("text"), 2)
    height, width = gray("text").shape
    moved = replace(keypoints, xy=np.float32([width - 1, height - 1]) - keypoints.xy)
    moved = replace(moved, angle=surf.dominant_angles(integral(turned), moved))
    alike = {}
    for upright in (False, True):
        config = Config(upright=upright)
        before = surf.describe(gray("text"), keypoints, config)
        alike[upright] = np.median(cosine(before, surf.describe(turned, moved, config)))
    assert alike[False] > 0.99
    assert alike[True] < 0.8


def test_upright_ignores_the_angle_and_means_270_degrees() -> None:
    keypoints = found("text")[0][:20]
    at_270 = replace(keypoints, angle=np.full(20, np.radians(270), np.float32))
    expected = surf.describe(gray("text"), at_270)
    assert np.array_equal(surf.describe(gray("text"), keypoints, Config(upright=True)), expected)
    assert (surf.detect(gray("text"), Config(upright=True)).angle == at_270.angle[0]).all()


def test_a_higher_threshold_only_removes() -> None:
    everything = found("text")[0]
    some = surf.detect(gray("text"), Config(threshold=1500))
    assert 0 < len(some) < len(everything)
    assert np.array_equal(some.xy, everything.xy[: len(some)])


def test_working_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surf, "CHUNK", 700)
    keypoints, descriptors = surf.detect_and_describe(gray("text"))
    assert np.array_equal(keypoints.angle, found("text")[0].angle)
    assert np.allclose(descriptors, found("text")[1], atol=1e-5)


# ---------------------------------------------------------------- any picture, or one sentence


@settings(max_examples=40)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.bool_]),
        st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 4])),
        fill=st.just(0),
    ),
    st.booleans(),
)
def test_any_small_picture_gives_keypoints_inside_it(picture: np.ndarray, extended: bool) -> None:
    config = Config(threshold=1, extended=extended)
    keypoints, descriptors = surf.detect_and_describe(picture, config)
    assert descriptors.shape == (len(keypoints), 128 if extended else 64)
    height, width = picture.shape[:2]
    assert (keypoints.xy >= 0).all()
    assert (keypoints.xy <= [width - 1, height - 1]).all()
    length = np.linalg.norm(descriptors, axis=1)
    assert np.allclose(length[length > 0], 1, atol=1e-5)


@settings(max_examples=30)
@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.lists(
        st.tuples(st.floats(-99, 99), st.floats(-99, 99), st.floats(1, 2), st.floats(0, 6.2)),
        max_size=5,
    ),
)
def test_every_keypoint_given_gets_a_row(height: int, width: int, rows: list) -> None:
    x, y, size, angle = np.array(rows, np.float32).reshape(-1, 4).T
    keypoints = Keypoints.at(np.stack([x, y], axis=1), size, angle)
    picture = np.random.default_rng(height).uniform(size=(height, width))
    descriptors = surf.describe(picture, keypoints)
    assert descriptors.shape == (len(rows), 64)
    assert np.isfinite(descriptors).all()
    assert np.isfinite(surf.dominant_angles(integral(picture), keypoints)).all()


@pytest.mark.parametrize(
    "picture",
    [np.zeros((1, 1), np.uint8), np.full((90, 120), 0.37), np.full((64, 64, 3), 255, np.uint8)],
    ids=["one pixel", "constant", "white"],
)
def test_nothing_to_see_gives_nothing(picture: np.ndarray) -> None:
    keypoints, descriptors = surf.detect_and_describe(picture)
    assert len(keypoints) == 0
    assert descriptors.shape == (0, 64)
    assert surf.detect_and_describe(picture, Config(extended=True))[1].shape == (0, 128)


def test_flat_surroundings_are_described_by_zeros() -> None:
    keypoints = Keypoints.at([[50.3, 40.7], [0, 0], [99, 79]], [9.0, 15.0, 44.0], [0.3, 4.0, 1.2])
    assert not surf.describe(np.full((80, 100), 0.37), keypoints).any()


def test_all_forms_of_a_grey_picture_are_one() -> None:
    picture, expected = gray("text"), found("text")
    opaque = np.dstack([picture] * 3 + [np.full_like(picture, 255)])
    for same in (np.dstack([picture] * 3), opaque, picture.astype(np.uint16) * 257, picture / 255):
        keypoints, descriptors = surf.detect_and_describe(same)
        assert np.allclose(keypoints.xy, expected[0].xy, atol=1e-2)
        assert np.allclose(descriptors, expected[1], atol=1e-2)


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (np.zeros((0, 5), np.uint8), "empty"),
        (np.full((20, 20), np.nan), "NaN"),
        (np.zeros((4, 4, 2), np.uint8), "shape"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_sentence(picture, sentence) -> None:
    for call in (
        surf.detect,
        surf.detect_and_describe,
        lambda p: surf.describe(p, Keypoints.empty()),
    ):
        with pytest.raises(ValueError, match=sentence):
            call(picture)


@pytest.mark.parametrize("size", [0.0, -3.0, 0.9, 401.0])
def test_impossible_sizes_are_refused_in_one_sentence(size: float) -> None:
    keypoints = Keypoints.at([[50, 50], [60, 60]], [12, size])
    with pytest.raises(ValueError, match=r"300×200 SURF describes .* size 1 to 400, but 1 of "):
        surf.describe(np.zeros((200, 300), np.uint8), keypoints)


@pytest.mark.parametrize("wrong", [{"octaves": 0}, {"layers": 0}, {"threshold": -1}])
def test_impossible_parameters_are_refused_in_one_sentence(wrong: dict) -> None:
    with pytest.raises(ValueError, match="octaves and layers must be ≥ 1, threshold ≥ 0, but got"):
        Config(**wrong)


def test_twenty_megapixels_stay_below_six_gigabytes() -> None:
    pytest.importorskip("resource")
    code = (
        "import numpy as np, resource\n"
        "from course_lib.features import surf\n"
        "tiles = np.random.default_rng(0).integers(0, 256, (20, 25), np.uint8)\n"
        "picture = np.kron(tiles, np.ones((200, 210), np.uint8))\n"
        "keypoints, descriptors = surf.detect_and_describe(picture)\n"
        "print(len(keypoints), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    n, peak = map(int, done.stdout.split())
    unit = 1 if sys.platform == "darwin" else 1024
    assert n > 100
    assert peak * unit < 6e9


@pytest.mark.timing
@pytest.mark.parametrize("name", ["camera", "motorcycle_left"])
def test_time_beside_mahotas(name: str) -> None:
    """At most 6 × mahotas (C++) for like work: 4 octaves of 5 sizes, every pixel, equal counts."""
    from mahotas.features import surf as mahotas

    picture, n = gray(name), len(found(name)[0])
    # it takes the n strongest, then drops those whose window leaves the picture
    peer = {"nr_octaves": 4, "nr_scales": 5, "initial_step_size": 1, "max_points": n}
    assert 0.9 * n < len(mahotas.surf(picture, **peer)) <= n
    runs = {
        "ours": lambda: surf.detect_and_describe(picture),
        "peer": lambda: mahotas.surf(picture, **peer),
    }
    seconds = {"ours": [], "peer": []}
    for _ in range(5):
        for who, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[who].append(time.perf_counter() - start)
    ratio = min(seconds["ours"]) / min(seconds["peer"])
    print(f"{name}: {ratio:.2f} × mahotas, {n} keypoints, {min(seconds['ours']):.3f} s")
    assert ratio <= 6


def test_a_plain_list_of_keypoints_is_refused_in_one_sentence():
    image = np.zeros((60, 80), np.uint8)
    with pytest.raises(TypeError, match="keypoints must be Keypoints, but a list was given"):
        surf.describe(image, [])
