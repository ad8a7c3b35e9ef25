"""The same scene seen by two cameras: where each pixel of one picture is in the other, exactly.

    pair = two_views(scenes, size=64)   a second camera goes around the table, up or down, nearer
    pair = stereo(scenes, size=64)      a second camera is only moved to the right (rectified)

Hartley and Zisserman: Multiple view geometry in computer vision, 2004, ch. 9: a point X_a in the
frame of camera a is X_b = R X_a + t in that of camera b, so that x_bᵀ E x_a = 0 with E = [t]ₓ R; in
pixels F = K⁻ᵀ E K⁻¹. All of it follows from the poses; nothing is estimated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from course_lib.world import camera
from course_lib.world.follow import correspond
from course_lib.world.motion import draws_of
from course_lib.world.render import Rendered, render
from course_lib.world.scene import Scenes

STEEPEST, FLATTEST = np.radians(60), np.radians(20)  # elevations of the second camera
CLIMB = np.radians(8)  # radians by which it stands higher or lower, at most
NEARER = (0.92, 1.08)  # its distance, in those of the first


@dataclass(frozen=True, eq=False)
class Pair:
    """B scenes in two pictures of S × S pixels.

    a, b            Rendered: rgb, depth, instance
    correspondence  float32 (B, S, S, 2) where what a pixel of a shows is in b, (x, y)
    seen_in_both    bool (B, S, S) whether b sees it: neither hidden there nor out of the picture
    scenes_a, _b    the scenes with the cameras of a and of b
    """

    a: Rendered
    b: Rendered
    correspondence: np.ndarray
    seen_in_both: np.ndarray
    scenes_a: Scenes
    scenes_b: Scenes

    @property
    def size(self) -> int:
        """Pixels on a side of both pictures."""
        return self.correspondence.shape[1]

    @property
    def K(self) -> np.ndarray:
        """Both cameras' intrinsics (3, 3), from a ray (x, y, 1) to pixels."""
        focal, middle = self.size / (2 * camera.HALF_VIEW), (self.size - 1) / 2
        return np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])

    @property
    def R(self) -> np.ndarray:
        """Rotations (B, 3, 3) from a camera's frame a to b: X_b = R X_a + t."""
        return camera.axes(self.scenes_b) @ camera.axes(self.scenes_a).swapaxes(1, 2)

    @property
    def t(self) -> np.ndarray:
        """Where camera a stands in the frame of camera b (B, 3), metres."""
        return camera.to_camera(self.scenes_b, camera.eye(self.scenes_a)[:, None])[:, 0]

    @property
    def essential(self) -> np.ndarray:
        """E = [t]ₓ R (B, 3, 3): x_bᵀ E x_a = 0 for rays (x, y, 1) to the same point."""
        x, y, z = self.t.T
        o = np.zeros_like(x)
        cross = np.stack([o, -z, y, z, o, -x, -y, x, o], axis=-1).reshape(-1, 3, 3)
        return cross @ self.R

    @property
    def fundamental(self) -> np.ndarray:
        """F = K⁻ᵀ E K⁻¹ (B, 3, 3): p_bᵀ F p_a = 0 for pixels (x, y, 1) of the same point."""
        inverse = np.linalg.inv(self.K)
        return inverse.T @ self.essential @ inverse

    @property
    def disparity(self) -> np.ndarray:
        """How far to the left in b what a pixel of a shows is → float32 (B, S, S), pixels.

        For `stereo` it is focal length × baseline / depth; elsewhere a part of the correspondence.
        """
        return np.arange(self.size, dtype=np.float32) - self.correspondence[..., 0]

    def swapped(self) -> Pair:
        """The same two pictures, with the correspondence from b to a."""
        return _pair(self.scenes_b, self.scenes_a, self.b, self.a)


def two_views(scenes: Scenes, size: int = 64, turn: float = 0.35, seed: int = 0) -> Pair:
    """B scenes → each seen by its own camera and by a second one that looks at the same target.

    The second stands `turn`/2 to `turn` radians around the table, to the left or right, up to 8°
    higher or lower, and up to 8 % nearer or farther; `seed` decides.
    """
    if not 0 < turn <= np.pi:
        raise ValueError(f"turn must be above 0 and at most π radians, but it is {turn!r}")
    draws = draws_of(scenes, seed, "two views")

    def one(name: str, low: float, high: float) -> np.ndarray:
        return draws.uniform(name, 1, low, high)[:, 0]

    around = np.where(one("side", 0, 1) < 0.5, -1, 1) * one("turn", turn / 2, turn)
    elevation = scenes.elevation + one("climb", -CLIMB, CLIMB)
    second = replace(
        scenes,
        azimuth=scenes.azimuth + around,
        elevation=np.clip(elevation, FLATTEST, STEEPEST),
        distance=scenes.distance * one("nearer", *NEARER),
    )
    return _seen_twice(scenes, second, size)


def stereo(scenes: Scenes, size: int = 64, baseline: float = 0.03) -> Pair:
    """B scenes → a left picture and a right one, `baseline` metres beside it, looking the same way.

    Rows correspond to rows: what a pixel of a shows is in b `Pair.disparity` pixels farther left.
    """
    if not 0 < baseline < np.inf:
        raise ValueError(f"the baseline must be above 0 metres, but it is {baseline!r}")
    right = camera.axes(scenes)[:, 0]
    return _seen_twice(scenes, replace(scenes, target=scenes.target + baseline * right), size)


def _seen_twice(scenes_a: Scenes, scenes_b: Scenes, size: int) -> Pair:
    want = ("rgb", "depth", "instance")
    return _pair(scenes_a, scenes_b, render(scenes_a, size, want), render(scenes_b, size, want))


def _pair(scenes_a: Scenes, scenes_b: Scenes, a: Rendered, b: Rendered) -> Pair:
    xy, seen = correspond(scenes_a, scenes_b, a.instance, a.depth)
    return Pair(a, b, xy.astype(np.float32), seen, scenes_a, scenes_b)
