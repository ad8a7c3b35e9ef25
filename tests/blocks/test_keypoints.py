"""Keypoints keep their columns together, and go to OpenCV and back unharmed."""

from math import pi

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from course_lib.blocks.images import to_gray
from course_lib.blocks.keypoints import Keypoints, checked
from course_lib.data.photos import photo

TYPES = {"xy": "float32", "size": "float32", "angle": "float32", "response": "float32",
         "octave": "int32", "sign": "int8"}  # fmt: skip


def some(n: int = 5, seed: int = 0) -> Keypoints:
    rng = np.random.default_rng(seed)
    return Keypoints.at(
        rng.random((n, 2)) * (640, 480),
        size=rng.random(n) * 20 + 1,
        angle=rng.random(n) * 2 * pi,
        response=rng.random(n),
        octave=rng.integers(-1, 5, n),
        sign=rng.integers(-1, 2, n),
    )


def rows(keypoints: Keypoints) -> list[tuple]:
    columns = (getattr(keypoints, name).tolist() for name in TYPES)
    return list(zip(*columns, strict=True))


def test_types_and_one_value_for_all() -> None:
    for keypoints in (some(), Keypoints.at([[1, 2], [3, 4]], 7, 1, 0.5, 2, -1), Keypoints.empty()):
        assert {name: getattr(keypoints, name).dtype.name for name in TYPES} == TYPES
        assert {len(getattr(keypoints, name)) for name in TYPES} == {len(keypoints)}
    keypoints = Keypoints.at([[1, 2], [3, 4]], 7, 1, 0.5, 2, -1)
    assert rows(keypoints) == [([1, 2], 7, 1, 0.5, 2, -1), ([3, 4], 7, 1, 0.5, 2, -1)]


def test_columns_are_copies() -> None:
    xy, size = np.ones((3, 2), np.float32), np.ones(3, np.float32)
    keypoints = Keypoints.at(xy, size)
    xy[:], size[:] = 9, 9
    assert keypoints.xy.max() == keypoints.size.max() == 1


@given(st.floats(-1e4, 1e4))
def test_any_angle_comes_into_one_turn(angle: float) -> None:
    (found,) = Keypoints.at([[0, 0]], angle=angle).angle
    assert 0 <= float(found) < 2 * pi
    assert np.hypot(np.cos(found) - np.cos(angle), np.sin(found) - np.sin(angle)) < 1e-6


def test_just_below_a_full_turn_is_none() -> None:
    """float32 has no number between 2π − 5e-7 and 2π: rounding would leave the interval."""
    for angle in (2 * pi, np.nextafter(2 * pi, 0), -1e-12, float(np.float32(2 * pi))):
        assert float(Keypoints.at([[0, 0]], angle=angle).angle[0]) < 2 * pi


def test_subsets_keep_the_columns_together() -> None:
    keypoints, all_rows = some(), rows(some())
    mask = np.array([True, False, True, False, True])
    assert rows(keypoints[mask]) == all_rows[::2]
    assert rows(keypoints[[3, 1, 1]]) == [all_rows[3], all_rows[1], all_rows[1]]
    assert rows(keypoints[1:3]) == all_rows[1:3]
    assert rows(keypoints[2]) == rows(keypoints[np.int64(2)]) == all_rows[2:3]
    assert rows(keypoints[-1]) == all_rows[-1:]
    for nothing in ([], np.zeros(5, bool), np.array([]), slice(0, 0)):
        assert len(keypoints[nothing]) == 0
    assert [len(keypoint) for keypoint in keypoints] == [1] * 5
    with pytest.raises(IndexError):
        keypoints[7]


def test_strongest_first_and_ties_in_order() -> None:
    keypoints = Keypoints.at(np.arange(10).reshape(5, 2), response=[1, 3, 2, 3, 0])
    assert keypoints.strongest(3).xy[:, 0].tolist() == [2, 6, 4]
    assert keypoints.strongest(99).response.tolist() == [3, 3, 2, 1, 0]
    assert len(keypoints.strongest(None)) == 5
    assert len(keypoints.strongest(0)) == len(Keypoints.empty().strongest(3)) == 0
    with pytest.raises(ValueError, match="0 or more, but it is -1"):
        keypoints.strongest(-1)


@given(st.integers(0, 20), st.integers(0, 1000))
def test_to_opencv_and_back(n: int, seed: int) -> None:
    keypoints = some(n, seed)
    back = Keypoints.from_cv2(keypoints.to_cv2(), signed=True)
    for name in TYPES:
        assert np.allclose(getattr(back, name), getattr(keypoints, name), atol=1e-6), name


def test_opencv_gets_degrees_and_diameters() -> None:
    (keypoint,) = Keypoints.at(
        [[3, 4]], size=6, angle=pi / 2, response=0.5, octave=2, sign=-1
    ).to_cv2()
    assert keypoint.pt == (3, 4)
    assert keypoint.angle == pytest.approx(90)
    assert (keypoint.size, keypoint.response, keypoint.octave, keypoint.class_id) == (6, 0.5, 2, -1)


def test_opencvs_own_keypoints() -> None:
    """SIFT packs its octave; "no angle" is −1; its class_id −1 says nothing about the sign."""
    gray = to_gray(photo("text")).astype(np.uint8)
    theirs = cv2.SIFT_create().detect(gray)
    ours = Keypoints.from_cv2(theirs)
    assert len(ours) == len(theirs) > 100
    # OpenCV's octave 0 is the doubled picture's second level: scales double from octave to octave.
    assert set(ours.octave.tolist()) <= set(range(-1, 6))
    for octave in np.unique(ours.octave):
        size = ours.size[ours.octave == octave] / 2.0**octave
        assert 2 < size.min() <= size.max() < 9
    assert set(ours.sign.tolist()) == {0}
    assert np.allclose(np.degrees(ours.angle), [k.angle % 360 for k in theirs], atol=1e-3)
    corners = Keypoints.from_cv2(cv2.FastFeatureDetector_create().detect(gray))
    assert set(corners.angle.tolist()) == {0}
    assert len(Keypoints.from_cv2([])) == len(Keypoints.from_cv2(())) == 0
    (packed,) = Keypoints.from_cv2([cv2.KeyPoint(1, 2, 3, 0, 0, 255 | 2 << 8 | 77 << 16)]).octave
    assert packed == -1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"xy": np.zeros((4, 3))}, r"shape \(N, 2\), but \(4, 3\)"),
        ({"xy": [1, 2]}, r"but \(2,\)"),
        ({"xy": [[np.nan, 0]]}, "positions must be finite"),
        ({"xy": [[0, np.inf]]}, "positions must be finite"),
        ({"xy": [[0, 0]], "size": [1, 2]}, r"size must be one value or \(1,\), but \(2,\)"),
        ({"xy": [[0, 0]], "size": np.nan}, "size must be finite"),
        ({"xy": [[0, 0]], "angle": [[1]]}, r"angle must be one value or \(1,\)"),
        ({"xy": [[0, 0]], "angle": np.inf}, "angle must be finite"),
        ({"xy": [[0, 0]], "response": [np.nan]}, "response must be finite"),
        ({"xy": [[0, 0]], "octave": [1, 2, 3]}, "octave must be one value"),
        ({"xy": [[0, 0]], "sign": []}, "sign must be one value"),
    ],
)
def test_bad_columns_get_one_sentence(arguments: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Keypoints.at(**arguments)


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)))
def test_any_positions_are_right_or_one_sentence(xy: np.ndarray) -> None:
    good = xy.size == 0 or (xy.ndim == 2 and xy.shape[1] == 2 and (np.abs(xy) < 3.4e38).all())
    if not good:
        with pytest.raises(ValueError, match="positions must"):
            Keypoints.at(xy)
        return
    assert np.array_equal(Keypoints.at(xy).xy, xy.reshape(-1, 2).astype(np.float32))


def test_opencvs_list_is_refused_with_the_way_to_convert_it():
    keypoints = Keypoints.at([(1, 2)])
    assert checked(keypoints) is keypoints
    with pytest.raises(TypeError, match=r"a list was given; Keypoints\.from_cv2"):
        checked(keypoints.to_cv2())
