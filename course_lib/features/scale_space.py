"""Scale space: one picture at every blur, and the differences in which blobs stand out.

Idea: a structure shows best in a picture blurred by about its own size, so whoever does not know
the size looks at all blurs. Gaussian blurs compose (variances add), so each level is made cheaply
from the one before; once the blur has doubled, an *octave* is complete and half the pixels do.

Source: Lindeberg, "Scale-space theory" (1994); the pyramid is Lowe's (IJCV 60, 2004, section 3).
Lesson: notebooks/01_sift.ipynb. Reference: the pyramid inside cv2.SIFT_create.

Octave −1 is the picture doubled, octave 0 has its pixels, octave 1 every second one. An octave has
L = layers + 3 levels; level i has the blur sigma · 2^(i / layers), in pixels of that octave. Of the
layers + 2 differences of neighbouring levels, `layers` have one above and one below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

CAMERA_BLUR = 0.5  # what a sharp photograph is taken to have already, in pixels (section 3.3)
FIRST_OCTAVE = -1


def gaussian_kernel(sigma: float) -> np.ndarray:
    """A Gaussian of `sigma` > 0 pixels, sampled out to 4 sigma → (2r + 1,) float32 with sum 1."""
    if not (np.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma must be a positive number of pixels, but {sigma} was given")
    r = (round(8 * sigma) + 1) // 2
    x = np.arange(-r, r + 1)
    kernel = np.exp(-(x**2) / (2 * sigma**2))
    return (kernel / kernel.sum()).astype(np.float32)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W) → (H, W) float32, convolved with a Gaussian of `sigma` pixels, mirrored at the border.

    In two dimensions it is a product of two kernels: 2 (2r + 1) products a pixel, not (2r + 1)².
    """
    kernel = gaussian_kernel(sigma)
    image = np.asarray(image, np.float32)
    return cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)


def blur_between(sigma_from: float, sigma_to: float) -> float:
    """The blur that leads from one blur to a greater one: √(to² − from²), since variances add."""
    if not 0 <= sigma_from < sigma_to:
        raise ValueError(
            "blur can only grow, so 0 <= sigma_from < sigma_to is expected, "
            f"but {sigma_from} and {sigma_to} were given"
        )
    return float(np.sqrt(sigma_to**2 - sigma_from**2))


def double(image: np.ndarray, precise: bool = False) -> np.ndarray:
    """(H, W) → (2H, 2W), interpolated linearly.

    Resizing aligns the corners of the two pictures: pixel x lands on 2x + ½, which halved again is
    x + ¼, the bias of OpenCV's SIFT. `precise` aligns the centres of their pixels: x lands on 2x.
    """
    H, W = image.shape
    if not precise:
        return cv2.resize(image, (2 * W, 2 * H), interpolation=cv2.INTER_LINEAR)
    half = np.array([[0.5, 0, 0], [0, 0.5, 0]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, half, (2 * W, 2 * H), flags=how, borderMode=cv2.BORDER_REFLECT)


def level_sigmas(sigma: float = 1.6, layers: int = 3) -> np.ndarray:
    """The blur of every level of an octave, in pixels of that octave → (L,)."""
    return sigma * 2.0 ** (np.arange(layers + 3) / layers)


def build_octave(base: np.ndarray, sigma: float = 1.6, layers: int = 3) -> np.ndarray:
    """`base` (H, W), which has the blur `sigma` already → its octave of Gaussians (L, H, W)."""
    sigmas = level_sigmas(sigma, layers)
    gaussians = np.empty((len(sigmas), *base.shape), np.float32)
    gaussians[0] = base
    for i in range(1, len(sigmas)):
        gaussians[i] = blur(gaussians[i - 1], blur_between(sigmas[i - 1], sigmas[i]))
    return gaussians


def last_octave(shape: tuple[int, int]) -> int:
    """The octave in which the shorter side of a picture (H, W) is about 4 pixels; at least −1."""
    return max(0, round(np.log2(2 * min(shape)) - 2)) + FIRST_OCTAVE


@dataclass(frozen=True, eq=False)
class Octave:
    """One octave: `gaussians` (L, H, W) float32; a pixel is 2^`number` of the picture's wide."""

    number: int
    gaussians: np.ndarray
    sigma: float
    layers: int

    @property
    def pixel(self) -> float:
        """The width of this octave's pixels, in pixels of the picture."""
        return 2.0**self.number

    def differences(self) -> np.ndarray:
        """D (L − 1, H, W): each level minus the one before (equation 1).

        About (2^(1 / layers) − 1) · sigma² · Laplacian, which is the same for blobs of any size.
        """
        return np.diff(self.gaussians, axis=0)

    def scale(self, layer: float | np.ndarray) -> float | np.ndarray:
        """The blur of a layer, or a fraction of one, in pixels of the picture."""
        return self.pixel * self.sigma * 2.0 ** (layer / self.layers)

    def layer(self, scale: np.ndarray) -> np.ndarray:
        """The layers, 1 … layers, of the blur nearest to `scale` (N,), in pixels of the picture."""
        layer = self.layers * np.log2(scale / (self.pixel * self.sigma))
        return np.rint(layer).clip(1, self.layers).astype(int)


def octaves(
    gray: np.ndarray, sigma: float = 1.6, layers: int = 3, precise: bool = False
) -> Iterator[Octave]:
    """Grey (H, W) float32 → its octaves, from −1 upwards; list(octaves(gray)) is the whole pyramid.

    A generator, because octave −1 of 20 megapixels alone takes 1.9 GB.
    """
    base = blur(double(gray, precise), blur_between(2 * CAMERA_BLUR, sigma))
    for number in range(FIRST_OCTAVE, last_octave(gray.shape) + 1):
        octave = Octave(number, build_octave(base, sigma, layers), sigma, layers)
        # Level `layers` has twice the first blur: in pixels twice as wide, that is sigma again.
        H, W = base.shape
        base = octave.gaussians[layers, : H - H % 2 : 2, : W - W % 2 : 2].copy()
        yield octave


def octave_of(scale: np.ndarray, last: int, sigma: float = 1.6, layers: int = 3) -> np.ndarray:
    """The octaves, −1 … `last`, that find blobs of `scale` (N,), in pixels of the picture.

    Octave 0 finds those of layers ½ to layers + ½, which are `layers` steps of 2^(1 / layers).
    """
    layer = layers * np.log2(scale / sigma)
    return np.floor((layer - 0.5) / layers).clip(FIRST_OCTAVE, last).astype(int)
