"""The homography between two pictures of one plane: apply it, measure it, fit it.

Hartley: In defense of the eight-point algorithm, PAMI 1997 (the normalisation).
Hartley, Zisserman: Multiple View Geometry, 2nd ed. 2004, §4.1 (the DLT), §2.4 (four points).

Lesson     notebooks/04_matching.ipynb
Reference  kornia.geometry.find_homography_dlt, skimage.transform.ProjectiveTransform
Differs    four pairs are solved in closed form (`homography_of_four`), many at once, for RANSAC.
"""

from __future__ import annotations

import numpy as np


def project(H: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Homographies (…, 3, 3), points (N, 2) → (…, N, 2), not finite for points sent to infinity."""
    lifted = np.column_stack([xy, np.ones(len(xy))]) @ np.swapaxes(H, -1, -2)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return lifted[..., :2] / lifted[..., 2:]


def transfer_error(H: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Homographies (…, 3, 3), points (N, 2) twice → (…, N) pixels, |H·source − target|."""
    with np.errstate(invalid="ignore", over="ignore"):
        miss = project(H, source) - target
        return np.sqrt(miss[..., 0] ** 2 + miss[..., 1] ** 2)


def check_pairs(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and where they go, (N, 2) twice, N ≥ 4 → both float64, or one sentence why not."""
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2:
        raise ValueError(
            "source and target must both have shape (N, 2), "
            f"but {source.shape} and {target.shape} were given"
        )
    if len(source) < 4:
        raise ValueError(f"a homography needs at least 4 matches, but {len(source)} were given")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("points must be finite, but some are NaN or infinite")
    return source, target


def homography_dlt(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points (N, 2) and where they go (N, 2), N ≥ 4 → (3, 3) float64 with H[2, 2] = 1.

    Normalised direct linear transform: H·p ∥ p′ gives two equations a pair, linear in the nine
    entries of H; the answer is the right singular vector of the smallest singular value. Exact for
    exact points, else least squares. ValueError where the points do not fix a homography.
    """
    source, target = check_pairs(source, target)
    (p, T), (q, U) = _normalise(source), _normalise(target)
    zero = np.zeros_like(p)
    A = np.vstack([np.hstack([p, zero, -q[:, :1] * p]), np.hstack([zero, p, -q[:, 1:2] * p])])
    A = np.vstack([A, np.zeros(9)])  # so that four pairs, too, have nine singular vectors
    _, s, vt = np.linalg.svd(A, full_matrices=False)
    H = vt[8].reshape(3, 3)
    # A second null vector, or a plane squeezed to a line: three of four points are on one line.
    if s[7] < 1e-6 * s[0] or abs(np.linalg.det(H)) < 1e-8:
        raise ValueError(
            f"these {len(source)} pairs of points do not fix a homography: in both pictures there "
            "must be four different points, no three of them on one line"
        )
    return _scaled(np.linalg.inv(U) @ H @ T)


def _normalise(xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) → (N, 3) homogeneous, centred, at mean distance √2; and the (3, 3) that does it.

    Without it, entries of A differ by the square of the picture's size, and rounding decides.
    """
    x, y = xy.mean(axis=0)
    radius = np.linalg.norm(xy - (x, y), axis=1).mean()
    scale = np.sqrt(2) / radius if radius > 0 else 1.0
    T = np.array([[scale, 0, -scale * x], [0, scale, -scale * y], [0, 0, 1]])
    return np.column_stack([xy, np.ones(len(xy))]) @ T.T, T


def homography_of_four(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B, 4, 2) twice → B homographies (B, 3, 3) at once, and (B,) bool: do the four fix one?

    Four points are a projective basis: B = (a·p₁ b·p₂ c·p₃) takes the axes to p₁, p₂, p₃ and
    (1, 1, 1) to p₄, so H = B′·B⁻¹. The same H as the DLT's, without a singular value in sight.
    """
    (S, source_is_wide), (T, target_is_wide) = _basis(source), _basis(target)
    return _scaled(T @ _adjugate(S)), source_is_wide & target_is_wide


def _basis(xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B, 4, 2) → the basis (B, 3, 3) of each four, and (B,) bool: are no three on one line?"""
    p = np.concatenate([xy, np.ones((len(xy), 4, 1))], axis=2)
    triangle = np.swapaxes(p[:, :3], 1, 2)
    # a, b, c up to one factor: by Cramer's rule twice the areas of the triangles that p₄ makes.
    areas = (_adjugate(triangle) @ p[:, 3, :, None])[..., 0]
    sizes = abs(np.column_stack([areas, areas.sum(axis=1)]))  # with signs, they add up to p₁p₂p₃
    spread = xy.var(axis=1).sum(axis=1)  # square pixels
    return triangle * areas[:, None], sizes.min(axis=1) > 1e-4 * spread


def _adjugate(M: np.ndarray) -> np.ndarray:
    """(B, 3, 3) → det(M)·M⁻¹, which exists for singular matrices as well."""
    a, b, c = np.moveaxis(M, 2, 0)
    return np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)


def _scaled(H: np.ndarray) -> np.ndarray:
    """(…, 3, 3) → with H[2, 2] = 1, except where H sends the origin to infinity: with norm 1."""
    corner, size = H[..., 2:, 2:], np.linalg.norm(H, axis=(-2, -1), keepdims=True)
    divisor = np.where(abs(corner) > 1e-12 * size, corner, size)
    return H / np.where(divisor == 0, 1, divisor)
