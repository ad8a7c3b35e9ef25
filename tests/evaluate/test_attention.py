"""attention: scikit-learn's AUC, DINO's mask by loops, maps by hand, controls."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab
from sklearn.metrics import jaccard_score, roc_auc_score

from course_lib.data.photos import photo
from course_lib.evaluate.attention import (
    centre_prior,
    colour_contrast,
    controls,
    mass_mask,
    overlap,
)

RNG = np.random.default_rng(0)
MASKS = np.zeros((5, 12, 16), bool)
for i in range(5):
    MASKS[i, i : i + 5, 2 * i : 2 * i + 6] = True
MAPS = RNG.gamma(0.5, size=(5, 12, 16)) + MASKS * RNG.random((5, 12, 16))


def kept_by_loops(values: list[float], mass: float) -> list[bool]:
    """The greatest values, until what is left holds no more than the rest of the mass."""
    kept, left = [True] * len(values), (1 - mass) * sum(values)
    dropped = 0.0
    for i in sorted(range(len(values)), key=values.__getitem__):
        dropped += values[i]
        if dropped > left:
            break
        kept[i] = False
    return kept


def test_auc_and_jaccard_are_scikit_learns_and_pointing_is_the_peak() -> None:
    expected = np.zeros((5, 3))
    for i, (map_, mask) in enumerate(zip(MAPS, MASKS, strict=True)):
        values, truth = map_.ravel().tolist(), mask.ravel()
        peak = max(range(len(values)), key=values.__getitem__)
        kept = kept_by_loops(values, 0.6)
        expected[i] = truth[peak], roc_auc_score(truth, values), jaccard_score(truth, kept)
    assert overlap(MAPS, MASKS) == pytest.approx(expected.mean(axis=0), abs=1e-6)


@pytest.mark.parametrize("mass", [0.1, 0.6, 0.95])
def test_the_mask_of_the_greatest_mass(mass: float) -> None:
    for map_ in MAPS:
        kept = mass_mask(map_.reshape(1, -1), mass)[0]
        assert kept.tolist() == kept_by_loops(map_.ravel().tolist(), mass)


def test_the_mask_by_hand() -> None:
    assert mass_mask(np.array([[5, 1, 3, 1]])).tolist() == [[True, False, True, False]]
    assert mass_mask(np.array([[1, 0, 0, 0]])).tolist() == [[True, False, False, False]]
    assert mass_mask(np.array([[2, 2, 2, 0]])).tolist() == [[True, True, True, False]]
    assert mass_mask(np.array([[1, 2, 1]]), 0.5).tolist() == [[False, True, False]]  # just half


def test_a_perfect_map_and_its_opposite() -> None:
    assert overlap(MASKS.astype(float), MASKS) == (1, 1, 1)
    assert overlap((~MASKS).astype(float), MASKS) == (0, 0, 0)


def test_coarse_maps_are_enlarged_in_blocks() -> None:
    fine = MAPS[:, ::4, ::4].repeat(4, axis=1).repeat(4, axis=2)
    assert overlap(MAPS[:, ::4, ::4], MASKS) == overlap(fine, MASKS)
    corner = np.zeros((1, 2, 2))
    corner[0, 1, 0] = 1
    mask = np.zeros((1, 10, 6), bool)
    mask[0, 5:, :3] = True
    assert overlap(corner, mask) == (1, 1, 1)


def test_the_order_of_pixels_and_the_scale_of_maps_do_not_matter() -> None:
    order = RNG.permutation(12 * 16)
    turned = [x.reshape(5, -1)[:, order].reshape(5, 12, 16) for x in (MAPS, MASKS)]
    assert overlap(*turned) == pytest.approx(overlap(MAPS, MASKS))
    assert overlap(1e-9 * MAPS, MASKS) == pytest.approx(overlap(MAPS, MASKS))


def test_the_uniform_control_is_chance() -> None:
    images = RNG.integers(0, 256, (5, 12, 16, 3), np.uint8)
    uniform = controls(images, MASKS)["uniform"]
    assert uniform == pytest.approx((MASKS.mean(), 0.5, MASKS.mean()))


def scene(shift: int, texture: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """A red disc on a grey table, `shift` pixels off the middle."""
    image = np.full((64, 64, 3), 120, np.uint8)
    image = np.clip(image + texture * RNG.normal(size=(64, 64, 1)), 0, 255).astype(np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    cv2.circle(mask, (32 + shift, 32 + shift), 10, 1, -1)
    image[mask == 1] = (200, 40, 30)
    return image, mask == 1


def test_controls_do_what_their_names_say() -> None:
    off, mask_off = scene(15)
    middle, mask_middle = scene(0)
    found = controls(np.stack([off]), np.stack([mask_off]))
    assert list(found) == ["uniform", "centre", "colour contrast"]
    contrast = found["colour contrast"]
    assert contrast.pointing == 1
    assert contrast.auc > 0.95
    assert found["centre"].pointing == 0
    centre = controls(np.stack([middle]), np.stack([mask_middle]))["centre"]
    assert centre.pointing == 1
    assert centre.auc == pytest.approx(1, abs=1e-3)


def test_colour_contrast_is_zero_without_contrast_and_sees_colour_at_equal_grey() -> None:
    flat = np.full((1, 32, 32, 3), (10, 200, 90), np.uint8)
    assert colour_contrast(flat) == pytest.approx(np.zeros((1, 32, 32)), abs=1e-3)
    patch = np.full((32, 32, 3), 128, np.uint8)
    patch[12:20, 12:20] = (200, 100, 86)  # as bright as the ground
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
    assert np.ptp(grey.astype(int)) <= 1
    y, x = np.unravel_index(colour_contrast(patch[None])[0].argmax(), (32, 32))
    assert 12 <= y < 20
    assert 12 <= x < 20


def test_colour_contrast_from_other_libraries() -> None:
    image = photo("coffee")[100:164, 200:280]
    lab = rgb2lab(image)
    here, around = (
        np.stack([gaussian_filter(lab[..., c], 64 / part, mode="mirror") for c in range(3)], -1)
        for part in (32, 4)
    )
    expected = np.sqrt(((here - around) ** 2).sum(axis=-1))
    assert expected.max() > 20
    assert colour_contrast(image[None])[0] == pytest.approx(expected, abs=0.3)


def test_the_centre_prior_by_hand() -> None:
    prior = centre_prior((5, 3))
    assert prior[2, 1] == 1
    assert prior[0, 1] == prior[2, 2] == pytest.approx(np.exp(-2))  # two deviations to the border
    assert prior[1, 0] == pytest.approx(np.exp(-2 * (0.25 + 1)))
    assert centre_prior((1, 1)).tolist() == [[1]]


@pytest.mark.parametrize(
    ("maps", "masks", "error", "words"),
    [
        (MAPS[0], MASKS, ValueError, r"maps \(N, h, w\) and masks \(N, H, W\)"),
        (MAPS[:4], MASKS, ValueError, r"\(4, 12, 16\) and \(5, 12, 16\)"),
        (MAPS, MASKS.astype(int), TypeError, "masks must be bool.*int64"),
        (MAPS, MASKS[:, :6], ValueError, r"not be finer.*\(12, 16\) and \(6, 16\)"),
        (-MAPS, MASKS, ValueError, "finite numbers from 0 upwards"),
        (MAPS * np.nan, MASKS, ValueError, "finite numbers from 0 upwards"),
        (MAPS * 0, MASKS, ValueError, "not only zeros"),
        (MAPS, MASKS & (np.arange(5) != 3)[:, None, None], ValueError, "mask 3 has no object"),
        (MAPS, MASKS | (np.arange(5) == 1)[:, None, None], ValueError, "mask 1 has only objects"),
    ],
)
def test_bad_arguments_get_one_sentence(maps, masks, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        overlap(maps, masks)


def test_more_bad_arguments() -> None:
    for mass in (0, 1, np.nan):
        with pytest.raises(ValueError, match="mass must be between 0 and 1"):
            overlap(MAPS, MASKS, mass)
    for images in (np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"uint8 of shape \(N, H, W, 3\)"):
            colour_contrast(images)
