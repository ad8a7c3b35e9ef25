"""Box filters against plain loops, hand-drawn filters and scikit-image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.data.photos import photo
from course_lib.features import box_filters
from course_lib.features.box_filters import (
    box_filter,
    box_response,
    box_sum,
    boxes,
    haar_gradients,
    hessian_response,
    integral,
)

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (41, 53)).astype(np.float32)


def correlate(picture: np.ndarray, kernel: np.ndarray, step: int) -> np.ndarray:
    """The slow oracle: at every place, multiply and add."""
    n = len(kernel)
    ys = range(0, picture.shape[0] - n + 1, step)
    xs = range(0, picture.shape[1] - n + 1, step)
    return np.array([[(picture[y : y + n, x : x + n] * kernel).sum() for x in xs] for y in ys])


def test_integral_of_ones_is_the_area() -> None:
    assert np.array_equal(integral(np.ones((3, 5))), np.outer(np.arange(4), np.arange(6)))


def test_integral_of_a_large_bright_picture_is_exact() -> None:
    # 5,000 × 4,400 white pixels sum up to more than int32 or float32 can hold
    assert integral(np.full((5000, 4400), 255, np.uint8))[-1, -1] == 5000 * 4400 * 255


@given(st.integers(0, 53), st.integers(0, 53), st.integers(0, 41), st.integers(0, 41))
def test_box_sum_equals_a_loop(xa: int, xb: int, ya: int, yb: int) -> None:
    (x0, x1), (y0, y1) = sorted((xa, xb)), sorted((ya, yb))
    by_loop = sum(float(PICTURE[y, x]) for y in range(y0, y1) for x in range(x0, x1))
    assert box_sum(integral(PICTURE), x0, y0, x1, y1) == by_loop


def test_box_sum_of_arrays_and_slices_equals_single_boxes() -> None:
    sums = integral(PICTURE)
    x, y, w, h = RNG.integers(1, 20, (4, 7))
    many = box_sum(sums, x, y, x + w, y + h)
    assert many.tolist() == [box_sum(sums, *b) for b in zip(x, y, x + w, y + h, strict=True)]
    grid = box_sum(sums, slice(2, 8, 2), slice(1, 9, 2), slice(5, 11, 2), slice(6, 14, 2))
    assert grid.shape == (4, 3)
    assert grid[3, 1] == PICTURE[7:12, 4:7].sum()


def test_the_smallest_filters_are_those_of_the_paper() -> None:
    dxx, dxy = np.zeros((2, 9, 9))
    dxx[2:7, 0:3], dxx[2:7, 3:6], dxx[2:7, 6:9] = 1, -2, 1
    dxy[1:4, 1:4], dxy[5:8, 5:8] = 1, 1
    dxy[1:4, 5:8], dxy[5:8, 1:4] = -1, -1
    assert np.allclose(box_filter("xx", 9) * 15, dxx, atol=1e-12)
    assert np.allclose(box_filter("yy", 9) * 15, dxx.T, atol=1e-12)
    assert np.allclose(box_filter("xy", 9) * 9, dxy, atol=1e-12)


@pytest.mark.parametrize("size", [9, 15, 21, 18, 42, 66, 36, 264])
@pytest.mark.parametrize("kind", ["xx", "yy", "xy"])
def test_filters_of_all_sizes_are_blind_to_flat_ground_and_see_curvature(kind, size) -> None:
    kernel = box_filter(kind, size)
    assert abs(kernel.sum()) < 1e-12
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    assert abs((kernel * x).sum()) < 1e-9, "a slope has no second derivative"
    assert abs((kernel * y).sum()) < 1e-9
    surface = {"xx": x * x, "yy": y * y, "xy": x * y}[kind]
    assert (kernel * surface).sum() > size, "x², y² and xy curve upwards"


@pytest.mark.parametrize(("size", "step"), [(9, 1), (15, 1), (18, 2), (30, 4), (41, 1), (33, 8)])
def test_responses_equal_correlation_with_the_drawn_filter(size: int, step: int) -> None:
    sums = integral(PICTURE)
    slow = {k: correlate(PICTURE, box_filter(k, size), step) for k in ("xx", "yy", "xy")}
    for kind in slow:
        fast = box_response(sums, kind, size, step)
        assert fast.shape == slow[kind].shape
        assert np.allclose(fast, slow[kind], atol=1e-9)
    det, trace = hessian_response(sums, size, step)
    assert det.shape == trace.shape == (41 // step, 53 // step)
    m = size // 2 // step
    rows, cols = slow["xx"].shape
    expected = np.zeros_like(det)
    expected[m : m + rows, m : m + cols] = slow["xx"] * slow["yy"] - 0.81 * slow["xy"] ** 2
    assert np.allclose(det, expected, rtol=1e-5, atol=1e-3)
    expected[m : m + rows, m : m + cols] = slow["xx"] + slow["yy"]
    assert np.allclose(trace, expected, rtol=1e-5, atol=1e-4)


def test_working_in_bands_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = hessian_response(integral(PICTURE), 12, 2)
    monkeypatch.setattr(box_filters, "CHUNK", 50)
    assert np.array_equal(hessian_response(integral(PICTURE), 12, 2), whole)


def test_response_to_a_dark_square_by_hand() -> None:
    """A 3×3 square 10 darker than its ground: Dxx = Dyy = −2·(−90)/15 = 12, Dxy = 0."""
    picture = np.full((21, 25), 100.0)
    picture[9:12, 11:14] -= 10
    det, trace = hessian_response(integral(picture), 9)
    assert det[10, 12] == pytest.approx(144)
    assert trace[10, 12] == pytest.approx(24)
    assert np.unravel_index(det.argmax(), det.shape) == (10, 12)


@pytest.mark.parametrize("size", [9, 15])
def test_responses_equal_scikit_image(size: int) -> None:
    """skimage divides all boxes by size², and its answer lies one pixel further up and left.

    From size 21 on it makes the boxes of Dxx two pixels longer than OpenCV and we do (13, not 11).
    """
    from skimage.feature import hessian_matrix_det

    picture = photo("camera")[100:180, 60:160, 0].astype(float)
    theirs = hessian_matrix_det(picture, sigma=size / 3 + 0.01)
    sums, area = integral(picture), {}
    for kind in ("xx", "xy"):
        x0, y0, x1, y1, _ = boxes(kind, size)[0]
        area[kind] = (x1 - x0) * (y1 - y0) / size**2
    dxx, dyy = (box_response(sums, kind, size) * area["xx"] for kind in ("xx", "yy"))
    dxy = box_response(sums, "xy", size) * area["xy"]
    ours = dxx * dyy - 0.81 * dxy**2
    m = size // 2 - 1
    inner = theirs[m : m + len(ours), m : m + ours.shape[1]]
    assert np.allclose(ours[2:-2, 2:-2], inner[2:-2, 2:-2], rtol=1e-9, atol=1e-9 * np.ptp(theirs))


@pytest.mark.parametrize(("kind", "size"), [("xz", 9), ("xx", 8), ("xy", 0)])
def test_impossible_filters_are_refused_in_one_sentence(kind: str, size: int) -> None:
    for call in (boxes, box_filter, lambda k, s: box_response(integral(PICTURE), k, s)):
        with pytest.raises(ValueError, match=f"size ≥ 9, but got '{kind}', {size}"):
            call(kind, size)


def test_filters_larger_than_the_picture_give_nothing() -> None:
    for shape in [(1, 1), (8, 60), (60, 8), (2, 2)]:
        det, trace = hessian_response(integral(np.ones(shape)), 9, 2)
        assert det.shape == trace.shape == (shape[0] // 2, shape[1] // 2)
        assert not det.any()
        assert not trace.any()


def test_haar_gradients_of_a_slope_by_hand() -> None:
    """On 3x + 5y each half of a wavelet of side 2h differs from the other by slope·h·(2h·h)."""
    y, x = np.mgrid[:30, :40]
    places = np.array([[[15.5, 12.5], [20.2, 9.9]], [[15.5, 12.5], [1.0, 12.0]]])
    gx, gy = haar_gradients(integral(3 * x + 5 * y), places, np.array([2, 4]))
    assert gx.tolist() == [[3 * 2 * 8, 3 * 2 * 8], [3 * 4 * 32, 0]]
    assert gy.tolist() == [[5 * 2 * 8, 5 * 2 * 8], [5 * 4 * 32, 0]], (
        "the last one leaves the picture"
    )


def test_haar_gradients_sit_where_they_should() -> None:
    """A step edge between columns 19 and 20 is seen in full by the wavelet centred at x = 19.5."""
    picture = np.zeros((30, 40))
    picture[:, 20:] = 1
    places = np.stack([np.arange(15.5, 25), np.full(10, 14.5)], axis=1)[None]
    gx, gy = haar_gradients(integral(picture), places, np.array([3]))
    assert gx[0].argmax() == 4
    assert gx[0, 4] == 18
    assert not gy.any()
