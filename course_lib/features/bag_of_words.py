"""Bag of visual words: a picture as a histogram of the patches that it is made of.

Sivic, Zisserman: Video Google: a text retrieval approach to object matching, ICCV 2003.
Csurka, Dance, Fan, Willamowski, Bray: Visual categorization with bags of keypoints, ECCV-W 2004.
Idea: cluster descriptors once, and call every cluster a word. A picture is then a text without
order, and what counts texts counts pictures: rare words tell more than those that stand everywhere.

Lesson     notebooks/06_vit.ipynb
Reference  scikit-learn: KMeans from the same start, TfidfTransformer(smooth_idf=False)
Recipe     Sivic, Zisserman: SIFT of affine regions, 16,000 words for two films, tf-idf, cosine, the
           commonest 5 % of words left out. Csurka et al.: SIFT of Harris-affine regions, 1,000
           words, counts, a linear classifier on them.
Differs
  * Descriptors stand on a grid, at fixed sizes and upright (Fei-Fei, Perona 2005): a small smooth
    picture has hardly any keypoint. `detected` adds the keypoints that SIFT finds.
  * Hundreds of words, not thousands, since the pictures are small and few; no word is left out.
  * Distances between descriptors are Euclidean, not Mahalanobis; clusters start by k-means++.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from course_lib.blocks.images import to_gray
from course_lib.features import sift
from course_lib.features.matching import nearest
from course_lib.features.scale_space import Octave, last_octave, octave_of, octaves

STEPS = 30  # of k-means, unless nothing changes earlier


@dataclass(frozen=True)
class Config:
    words: int = 128
    dense_step: int = 8  # pixels between the centres of patches; 0: no grid
    dense_sizes: tuple[float, ...] = (4.0, 8.0)  # a keypoint's, pixels; patches are 6 times wider
    detected: bool = False  # the keypoints that SIFT finds, too
    sample: int = 10_000  # descriptors that are clustered, drawn from all


@dataclass(frozen=True, eq=False)
class Vocabulary:
    words: np.ndarray  # (K, 128) float64, the centres of the clusters
    idf: np.ndarray  # (K,) float64, how much a word tells: log of pictures / pictures with it
    config: Config


def fit(
    images: np.ndarray | Sequence[np.ndarray], config: Config = Config(), seed: int = 0
) -> Vocabulary:
    """N pictures, (N, H, W, 3) or of any sizes → Vocabulary. `seed` draws sample and clusters.

    Raises ValueError if the pictures have fewer different descriptors than words are asked for.
    """
    found = describe_patches(images, config)
    points, rng = np.concatenate(found).astype(np.float64), np.random.default_rng(seed)
    few = rng.permutation(len(points))[: config.sample]
    words = kmeans(points[few], config.words, rng)
    return Vocabulary(words, inverse_document_frequency(count(found, words)), config)


def describe(images: np.ndarray | Sequence[np.ndarray], vocabulary: Vocabulary) -> np.ndarray:
    """N pictures → (N, K) float32: tf-idf of each, of length 1; zeros where no word tells."""
    found = describe_patches(images, vocabulary.config)
    return tf_idf(count(found, vocabulary.words), vocabulary.idf)


def describe_patches(
    images: np.ndarray | Sequence[np.ndarray], config: Config = Config()
) -> list[np.ndarray]:
    """N pictures → N arrays of SIFT descriptors (n, 128) float32: the grid's, then keypoints'."""
    if len(images) == 0:
        raise ValueError("at least one picture is expected, but none was given")
    if not config.dense_step and not config.detected:
        raise ValueError("a bag needs dense_step > 0 or detected keypoints, but neither was given")
    result = []
    for image in images:
        found = []
        if config.dense_step:
            found.append(dense_sift(image, config.dense_step, config.dense_sizes))
        if config.detected:
            found.append(sift.detect_and_describe(image)[1])
        result.append(np.concatenate(found))
    return result


def grid(shape: tuple[int, int], step: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns x and rows y of a grid in the middle of a picture (H, W), every `step` pixels."""
    if step < 1:
        raise ValueError(f"the grid's step must be 1 pixel or more, but {step} was given")
    y, x = (np.arange((side - 1) % step // 2, side, step) for side in shape)
    return x, y


def dense_sift(image: np.ndarray, step: int = 8, sizes: Sequence[float] = (4.0,)) -> np.ndarray:
    """Any picture → (n, 128) float32: `sift.describe` of upright keypoints on a grid, row by row,
    for one size after the other.

    Keypoints of one size and angle share their windows, so what `describe` does one by one becomes
    two matrix products: every weight of a gradient is a factor in x times a factor in y.
    """
    sizes = np.asarray(sizes, np.float64)
    if sizes.ndim != 1 or len(sizes) == 0 or not (np.isfinite(sizes) & (sizes > 0)).all():
        raise ValueError(f"sizes must be one or more positive numbers, but {sizes} was given")
    gray = to_gray(image)
    x, y = grid(gray.shape, step)
    home = octave_of(sizes / 2, last_octave(gray.shape))
    result = np.empty((len(sizes), len(y) * len(x), 128), np.float32)
    for octave in octaves(gray):
        for i in np.flatnonzero(home == octave.number):
            result[i] = _grid_histograms(octave, x, y, sizes[i])
        if octave.number >= home.max():
            break
    return sift.normalise(result.reshape(-1, 128))


def _grid_histograms(octave: Octave, x: np.ndarray, y: np.ndarray, size: float) -> np.ndarray:
    """One octave → (len(y) · len(x), 128), not yet normalised."""
    picture = octave.gaussians[octave.layer(np.float64(size / 2))]
    H, W = picture.shape
    dx, dy = np.zeros((2, H, W), np.float32)  # 0 at the border
    dx[1:-1, 1:-1] = picture[1:-1, 2:] - picture[1:-1, :-2]
    dy[1:-1, 1:-1] = picture[2:, 1:-1] - picture[:-2, 1:-1]
    turn = -np.arctan2(dy, dx) * np.float32(sift.BINS / (2 * np.pi))
    turn -= sift.BINS * np.floor(turn / sift.BINS)
    bins = np.arange(sift.BINS + 1, dtype=np.float32)[:, None, None]
    votes = np.sqrt(dx**2 + dy**2) * sift.hat(turn - bins)
    votes[0] += votes[sift.BINS]  # a full turn is none

    cell = sift.CELL * size / 2 / octave.pixel
    along_y = _windows(np.rint(y / octave.pixel), cell, H)
    along_x = _windows(np.rint(x / octave.pixel), cell, W)
    cells = along_y @ votes[: sift.BINS] @ along_x.T  # (8, 4 len(y), 4 len(x))
    cells = cells.reshape(sift.BINS, len(y), sift.CELLS, len(x), sift.CELLS)
    return cells.transpose(1, 3, 2, 4, 0).reshape(len(y) * len(x), -1)


def _windows(centres: np.ndarray, cell: float, side: int) -> np.ndarray:
    """n centres on an axis of `side` pixels → (4 n, side): each pixel's weight in their 4 cells."""
    u = (np.arange(side) - centres[:, None, None]) / cell
    share = sift.hat(u - (np.arange(sift.CELLS)[:, None] - (sift.CELLS - 1) / 2))
    weights = share * np.exp(-(u**2) / (sift.CELLS**2 / 2))
    return weights.reshape(-1, side).astype(np.float32)


def kmeans(points: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """(N, D) → (k, D) float64, Lloyd's algorithm: each centre the mean of the points nearest to it.

    The start is k-means++ (Arthur, Vassilvitskii 2007): a point is drawn as the next centre with
    a probability proportional to its squared distance from the centres there are.
    """
    points = np.asarray(points, np.float64)
    if not 1 <= k <= len(points):
        raise ValueError(f"{k} words need as many descriptors, but {len(points)} were found")
    centres = points[rng.integers(len(points), size=1)]
    squared = ((points - centres) ** 2).sum(axis=1)
    for n in range(1, k):
        if not squared.any():
            raise ValueError(f"{k} words are asked for, but only {n} descriptors differ")
        new = points[rng.choice(len(points), p=squared / squared.sum())]
        centres = np.concatenate([centres, new[None]])
        squared = np.minimum(squared, ((points - new) ** 2).sum(axis=1))
    return lloyd(points, centres)


def lloyd(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(N, D), (k, D) → (k, D), improved until nothing moves; a centre without points stays."""
    index = None
    for _ in range(STEPS):
        before, index = index, assign(points, centres)
        if np.array_equal(index, before):
            break
        is_member = np.eye(len(centres))[index]
        members = is_member.sum(axis=0)[:, None]
        centres = np.where(members > 0, is_member.T @ points / np.maximum(members, 1), centres)
    return centres


def assign(descriptors: np.ndarray, words: np.ndarray) -> np.ndarray:
    """(n, 128), (K, 128) → (n,) the nearest word of each, the lowest number if equally near."""
    return nearest(descriptors, words).index[:, 1]


def count(descriptors: Sequence[np.ndarray], words: np.ndarray) -> np.ndarray:
    """Descriptors of N pictures → (N, K) int64: how often each word stands in each picture."""
    index = assign(np.concatenate(list(descriptors)), words)
    picture = np.repeat(np.arange(len(descriptors)), [len(found) for found in descriptors])
    cells = np.bincount(picture * len(words) + index, minlength=len(descriptors) * len(words))
    return cells.reshape(len(descriptors), len(words))


def inverse_document_frequency(counts: np.ndarray) -> np.ndarray:
    """(N, K) → (K,): log(N / pictures with the word); a word in none counts as in one."""
    return np.log(len(counts) / np.maximum((counts > 0).sum(axis=0), 1))


def tf_idf(counts: np.ndarray, idf: np.ndarray) -> np.ndarray:
    """(N, K), (K,) → (N, K) float32 of length 1: n_id / n_d · log(N / n_i) (Sivic, section 4.1)."""
    weighted = counts * idf  # n_d, the words of a picture, cancels in the length
    length = np.linalg.norm(weighted, axis=1, keepdims=True)
    return (weighted / np.where(length > 0, length, 1)).astype(np.float32)
