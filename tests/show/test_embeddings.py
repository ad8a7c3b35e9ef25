"""embeddings: principal axes against scikit-learn's, and what is asked for is what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from course_lib.show import embeddings as module
from course_lib.show.embeddings import marker_of, principal_axes, scatter, similarities

RNG = np.random.default_rng(0)
FEATURES = RNG.gamma(1.0, size=(30, 6)) * np.array([9, 5, 3, 2, 1, 0.5])
NAMES = np.array(["cone", "cube", "disc"])[np.arange(30) % 3]
IMAGES = RNG.integers(0, 256, (30, 16, 24, 3), np.uint8)


@pytest.fixture
def figures(monkeypatch):
    """The matplotlib figures behind the pictures."""
    made = []
    real = module.figure
    monkeypatch.setattr(module, "figure", lambda fig, alt: made.append(fig) or real(fig, alt=alt))
    return made


def test_principal_axes_are_scikit_learns_with_their_long_tail_ahead() -> None:
    axes = principal_axes(FEATURES, 3)
    theirs = PCA(3, svd_solver="full").fit(FEATURES).components_.T
    assert np.abs((axes * theirs).sum(axis=0)) == pytest.approx(np.ones(3))
    scores = (FEATURES - FEATURES.mean(axis=0)) @ axes
    assert ((scores**3).sum(axis=0) > 0).all()
    assert principal_axes(-FEATURES, 3) == pytest.approx(-axes)


def test_directions_that_are_not_there_are_zeros() -> None:
    line = np.outer([0.0, 1, 5], [3, 4, 0])
    assert principal_axes(line, 3) == pytest.approx(np.array([[0.6, 0, 0], [0.8, 0, 0], [0, 0, 0]]))
    assert principal_axes(np.ones((4, 2)), 3).tolist() == [[0, 0, 0]] * 2


def test_points_stand_where_their_features_say(figures) -> None:
    shown = scatter(FEATURES, NAMES, title="t", alt="Thirty points.")
    (ax,) = figures[0].axes
    xy = (FEATURES - FEATURES.mean(axis=0)) @ principal_axes(FEATURES, 2)
    for line in ax.get_lines():
        here = line.get_label() == NAMES
        assert line.get_xydata() == pytest.approx(xy[here])
    looks = {(line.get_color(), line.get_marker()) for line in ax.get_lines()}
    assert looks == {marker_of(i) for i in range(3)}
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["cone", "cube", "disc"]
    ratio = PCA(2).fit(FEATURES).explained_variance_ratio_
    assert f"{ratio[0]:.0%} of the variance" in ax.get_xlabel()
    assert shown.alt == "Thirty points."
    again = scatter(FEATURES, NAMES, title="t", alt="Thirty points.")
    assert again.data == shown.data


def test_pictures_may_be_the_markers(figures) -> None:
    scatter(FEATURES, NAMES, images=IMAGES, alt="Thirty pictures.")
    (ax,) = figures[0].axes
    xy = (FEATURES - FEATURES.mean(axis=0)) @ principal_axes(FEATURES, 2)
    assert np.array([box.xy for box in sorted(ax.artists, key=lambda b: b.xy[0])]) == pytest.approx(
        xy[xy[:, 0].argsort()]
    )
    frames = {box.patch.get_edgecolor() for box in ax.artists}
    assert len(frames) == 3


def test_sixty_four_labels_look_different() -> None:
    assert len({marker_of(i) for i in range(64)}) == 64
    for look in zip(*map(marker_of, range(8)), strict=True):
        assert len(set(look)) == 8


def test_features_that_are_all_alike_are_one_point() -> None:
    scatter(np.ones((5, 3)), np.arange(5), alt="One point.")


def test_matrices_are_drawn_with_their_pictures_and_numbers(figures) -> None:
    matrix = np.corrcoef(RNG.normal(size=(4, 9)))
    ranked = np.arange(16.0).reshape(4, 4)
    shown = similarities({"SIFT": matrix, "a person": ranked}, IMAGES[:4], alt="Two matrices.")
    first, second = figures[0].axes
    assert [first.get_title(), second.get_title()] == ["SIFT", "a person"]
    assert np.array_equal(first.get_images()[0].get_array(), matrix)
    assert len(first.get_images()) == 1 + 2 * 4
    written = {(t.get_position()): t.get_text() for t in second.texts}
    assert written[2, 1] == "6.00"  # row 1, column 2
    assert len(written) == 16
    assert second.get_images()[0].get_clim() == (1, 14)  # the greatest, 15, is on the diagonal
    assert shown.width == 800


def test_many_pictures_have_no_numbers(figures) -> None:
    similarities({"SIFT": np.eye(9)}, IMAGES[:9], alt="Nine pictures.")
    assert not figures[0].axes[0].texts


def test_bad_arguments_get_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"labels must have shape \(30,\)"):
        scatter(FEATURES, NAMES[:3], alt="x")
    with pytest.raises(ValueError, match="30 features need as many pictures, but got 2"):
        scatter(FEATURES, NAMES, images=IMAGES[:2], alt="x")
    with pytest.raises(ValueError, match="at most 64 labels"):
        scatter(RNG.normal(size=(70, 2)), np.arange(70), alt="x")
    with pytest.raises(ValueError, match=r"finite and of shape \(N, D\)"):
        scatter(FEATURES * np.nan, NAMES, alt="x")
    with pytest.raises(ValueError, match=r"SIFT must be a matrix .* \(3, 3\)"):
        similarities({"SIFT": np.eye(4)}, IMAGES[:3], alt="x")
    with pytest.raises(ValueError, match="at least two pictures and one matrix"):
        similarities({}, IMAGES, alt="x")
