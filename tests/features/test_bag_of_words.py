"""bag_of_words: dense SIFT is SIFT, clusters and weights are scikit-learn's, cases by hand."""

import math
import time

import cv2
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfTransformer

from course_lib.blocks.keypoints import Keypoints
from course_lib.data.photos import photo
from course_lib.features import bag_of_words as bag
from course_lib.features import sift
from course_lib.features.bag_of_words import Config

SMALL = Config(words=16, sample=500)


def crops(name: str, n: int, seed: int = 0, side: int = 64) -> np.ndarray:
    image, rng = photo(name), np.random.default_rng(seed)
    corners = rng.integers(0, np.array(image.shape[:2]) - side, (n, 2))
    return np.stack([image[y : y + side, x : x + side] for y, x in corners])


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.concatenate([crops("brick", 6), crops("coffee", 6), crops("grass", 6)])


@pytest.mark.parametrize("size", [2.5, 4.0, 6.0, 8.0, 13.0])
@pytest.mark.parametrize(("shape", "step"), [((64, 64), 8), ((50, 71), 7), ((32, 32), 5)])
def test_dense_sift_is_sift_at_the_points_of_the_grid(size: float, shape, step: int) -> None:
    image = cv2.resize(photo("coffee"), shape[::-1])
    x, y = bag.grid(shape, step)
    points = [(column, row) for row in y for column in x]
    one_by_one = sift.describe(image, Keypoints.at(points, size=size))
    dense = bag.dense_sift(image, step, (size,))
    # Rounding to whole numbers may turn a difference of 1e-6 into one of 1.
    assert np.abs(dense - one_by_one).max() <= 1
    assert np.mean(dense != one_by_one) < 1e-3
    assert np.ptp(dense) > 100


def test_sizes_follow_one_another(pictures) -> None:
    both = bag.dense_sift(pictures[0], 8, (8.0, 4.0))
    apart = [bag.dense_sift(pictures[0], 8, (size,)) for size in (8.0, 4.0)]
    assert np.array_equal(both, np.concatenate(apart))


def test_the_grid_stands_in_the_middle() -> None:
    x, y = bag.grid((64, 20), 8)
    assert y.tolist() == [3, 11, 19, 27, 35, 43, 51, 59]  # 3 pixels above, 4 below
    assert x.tolist() == [1, 9, 17]  # 1 on the left, 2 on the right
    assert bag.grid((1, 3), 8)[0].tolist() == [1]


def test_kmeans_ends_where_scikit_learn_ends_from_the_same_start(pictures) -> None:
    points = np.concatenate(bag.describe_patches(pictures, SMALL)).astype(float)[:800]
    start = points[np.random.default_rng(0).permutation(len(points))[:10]]
    theirs = KMeans(10, init=start, n_init=1, max_iter=bag.STEPS, tol=0, algorithm="lloyd")
    theirs.fit(points)
    ours = bag.lloyd(points, start)
    assert ours == pytest.approx(theirs.cluster_centers_, abs=1e-6)


def test_clusters_that_lie_apart_are_found_and_are_means() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(6, 5)) * 100
    label = np.repeat(np.arange(6), 40)
    points = centres[label] + rng.normal(size=(240, 5))
    for seed in range(5):
        found = bag.kmeans(points, 6, np.random.default_rng(seed))
        means = np.array([points[label == i].mean(axis=0) for i in range(6)])
        order = cdist(means, found).argmin(axis=1)
        assert sorted(order) == list(range(6))
        assert found[order] == pytest.approx(means)


def test_kmeans_by_hand_and_a_centre_without_points_stays() -> None:
    points = np.array([[0.0], [2.0], [10.0], [14.0]])
    assert bag.lloyd(points, np.array([[0.0], [9.0]])).tolist() == [[1], [12]]
    assert bag.lloyd(points, np.array([[0.0], [9.0], [99.0]])).tolist() == [[1], [12], [99]]


def test_the_start_prefers_distant_points() -> None:
    """Two points apart and 98 on one spot: a start drawn evenly would mostly miss the two."""
    points = np.zeros((100, 1))
    points[:2] = [[5], [-5]]
    for seed in range(10):
        found = bag.kmeans(points, 3, np.random.default_rng(seed))
        assert sorted(found.ravel()) == [-5, 0, 5]


def test_words_are_the_nearest_centres(pictures) -> None:
    vocabulary = bag.fit(pictures, SMALL)
    found = bag.describe_patches(pictures, SMALL)
    counts = np.zeros((len(pictures), 16), int)
    for i, descriptors in enumerate(found):
        for word in cdist(descriptors, vocabulary.words).argmin(axis=1):
            counts[i, word] += 1
    assert np.array_equal(bag.count(found, vocabulary.words), counts)
    assert counts.sum(axis=1).tolist() == [len(d) for d in found] == [128] * 18


def test_weights_are_those_of_scikit_learn() -> None:
    counts = np.random.default_rng(0).poisson(0.4, (30, 12))
    counts[:, 3] = 1  # a word in every picture
    theirs = TfidfTransformer(smooth_idf=False, norm=None).fit(counts)
    idf = bag.inverse_document_frequency(counts)
    assert idf == pytest.approx(theirs.idf_ - 1)  # scikit-learn adds one
    assert idf[3] == 0
    plain = TfidfTransformer(smooth_idf=False, norm=None).fit(counts)
    plain.idf_ = idf
    weighted = plain.transform(counts).toarray()
    weighted /= np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-12)
    assert bag.tf_idf(counts, idf) == pytest.approx(weighted, abs=1e-6)


def test_tf_idf_by_hand() -> None:
    """Three pictures, three words: the first stands in all, the second in one, the third in two."""
    counts = np.array([[2, 2, 0], [4, 0, 4], [1, 0, 3]])
    idf = bag.inverse_document_frequency(counts)
    assert idf == pytest.approx([0, math.log(3), math.log(1.5)])
    mixed = bag.tf_idf(np.array([[1, 2, 5], [7, 0, 0], [0, 0, 0]]), idf)
    a, b = 2 / 8 * math.log(3), 5 / 8 * math.log(1.5)
    assert mixed[0] == pytest.approx(np.array([0, a, b]) / math.hypot(a, b))
    assert mixed[1:].tolist() == [[0, 0, 0]] * 2
    assert bag.inverse_document_frequency(np.array([[1, 0], [1, 0]])).tolist() == [0, math.log(2)]


def test_a_bag_has_no_order() -> None:
    """Grid points 8 pixels apart: swapping two blank-framed tiles leaves nearly the same words."""
    image = np.full((128, 128, 3), 90, np.uint8)
    one, two = crops("brick", 2, side=64)[:, 8:40, 8:40]
    left, right = image.copy(), image.copy()
    left[16:48, 16:48], left[80:112, 80:112] = one, two
    right[16:48, 16:48], right[80:112, 80:112] = two, one
    vocabulary = bag.fit(crops("brick", 8), Config(words=16, dense_sizes=(4.0,)))
    a, b = bag.describe([left, right], vocabulary)
    assert a @ b > 0.99


def test_textures_lie_nearer_to_themselves(pictures) -> None:
    vocabulary = bag.fit(pictures, SMALL)
    new = np.concatenate([crops(name, 4, seed=9) for name in ("brick", "coffee", "grass")])
    features = bag.describe(new, vocabulary)
    assert features.dtype == np.float32
    assert np.linalg.norm(features, axis=1) == pytest.approx(np.ones(12), abs=1e-6)
    cosine = features @ bag.describe(pictures, vocabulary).T
    label = np.repeat([0, 1, 2], 4)
    assert (np.repeat([0, 1, 2], 6)[cosine.argmax(axis=1)] == label).mean() >= 0.75


def test_seed_alone_decides_and_pictures_are_described_one_by_one(pictures) -> None:
    one, two = bag.fit(pictures, SMALL, seed=3), bag.fit(pictures, SMALL, seed=3)
    assert np.array_equal(one.words, two.words)
    assert not np.array_equal(one.words, bag.fit(pictures, SMALL, seed=4).words)
    together = bag.describe(pictures, one)
    alone = np.concatenate([bag.describe(picture[None], one) for picture in pictures])
    assert np.array_equal(together, alone)


def test_keypoints_come_beside_the_grid_or_instead(pictures) -> None:
    grid, points = Config(words=8), Config(words=8, dense_step=0, detected=True)
    both = Config(words=8, detected=True)
    for g, p, b in zip(*(bag.describe_patches(pictures[:3], c) for c in (grid, points, both))):  # noqa: B905
        assert np.array_equal(b, np.concatenate([g, p]))
    blank = np.full((1, 64, 64, 3), 128, np.uint8)  # no keypoint at all: nothing to say
    assert bag.describe(blank, bag.fit(pictures, points)).tolist() == [[0] * 8]


def test_pictures_of_any_size_and_kind() -> None:
    images = [photo("coffee")[:90, :70], photo("camera")[:40, :33], np.zeros((20, 20), np.float32)]
    vocabulary = bag.fit(images, Config(words=5))
    assert bag.describe(images, vocabulary).shape == (3, 5)


def test_bad_arguments_get_one_sentence(pictures) -> None:
    blank = np.full((3, 64, 64, 3), 128, np.uint8)
    with pytest.raises(ValueError, match="128 words are asked for, but only 1 descriptors differ"):
        bag.fit(blank)
    with pytest.raises(
        ValueError, match="9000 words need as many descriptors, but 2304 were found"
    ):
        bag.fit(pictures, Config(words=9000))
    with pytest.raises(ValueError, match="at least one picture is expected"):
        bag.fit(pictures[:0])
    with pytest.raises(ValueError, match="needs dense_step > 0 or detected keypoints"):
        bag.fit(pictures, Config(dense_step=0))
    with pytest.raises(ValueError, match="step must be 1 pixel or more, but -4"):
        bag.fit(pictures, Config(dense_step=-4))
    for sizes in ((), (0.0,), (np.nan,)):
        with pytest.raises(ValueError, match="sizes must be one or more positive numbers"):
            bag.fit(pictures, Config(dense_sizes=sizes))
    with pytest.raises(ValueError, match="NaN or infinite"):
        bag.dense_sift(np.full((9, 9), np.nan))


@pytest.mark.timing
def test_it_describes_150_pictures_a_second() -> None:
    pictures = crops("coffee", 100)
    vocabulary = bag.fit(pictures, Config(sample=1000))
    seconds = []
    for _ in range(3):
        start = time.process_time()
        bag.describe(pictures, vocabulary)
        seconds.append(time.process_time() - start)
    assert 100 / min(seconds) >= 150
