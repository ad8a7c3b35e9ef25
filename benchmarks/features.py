"""Classical features beside scikit-image, mahotas and OpenCV: `python -m benchmarks.features`.

One thread each (the make target and the tests set OMP_NUM_THREADS=1). Timings on one machine drift,
so the contestants of a row take turns and their best rounds are compared; only the ratio means
anything on another machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

import cv2
import mahotas.features.surf
import numpy as np
import skimage.feature

from course_lib.blocks.images import to_gray
from course_lib.data.photos import photo
from course_lib.features import brief, matching, sift, surf

PHOTOS = ("camera", "motorcycle_left")


@dataclass(frozen=True)
class Row:
    """One line of the table: seconds of ours, of the peer, of OpenCV (None where it has none)."""

    what: str
    peer: str
    ours: float
    theirs: float
    limit: float | None  # the greatest ratio ours / theirs that is good enough, if one is promised
    opencv: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    def __str__(self) -> str:
        opencv = "–" if self.opencv is None else f"{1e3 * self.opencv:.0f}"
        limit = "–" if self.limit is None else f"{self.limit:.2f}"
        return (
            f"| {self.what} | {1e3 * self.ours:.0f} | {self.peer} | {1e3 * self.theirs:.0f} | "
            f"**{self.ratio:.2f}** | {limit} | {opencv} | {self.note} |"
        )


def race(*contestants: Callable[[], object], rounds: int = 5) -> list[float]:
    """Seconds of the best call of each. They take turns, so that a slow minute hits all alike.

    A turn is two calls: the first one finds the caches and the memory as the other left them.
    """
    best = [np.inf] * len(contestants)
    for _ in range(rounds):
        for i, contestant in enumerate(contestants):
            for _ in range(2):
                started = time.perf_counter()
                contestant()
                best[i] = min(best[i], time.perf_counter() - started)
    return best


def sift_row(name: str, rounds: int) -> Row:
    image = photo(name)
    gray = to_gray(image).astype(np.uint8)
    theirs, cv_sift = skimage.feature.SIFT(), cv2.SIFT_create()
    found = len(sift.detect(image))
    seconds = race(
        lambda: sift.detect_and_describe(gray),
        lambda: theirs.detect_and_extract(gray),
        lambda: cv_sift.detectAndCompute(gray, None),
        rounds=rounds,
    )
    theirs.detect_and_extract(gray)
    note = f"{found} and {len(theirs.keypoints)} keypoints"
    return Row(f"SIFT, `{name}`", "scikit-image", seconds[0], seconds[1], 0.5, seconds[2], note)


def surf_row(name: str, rounds: int) -> Row:
    image = photo(name)
    gray = to_gray(image).astype(np.uint8)
    found = len(surf.detect(gray))

    def theirs() -> np.ndarray:
        # 5 sizes an octave as ours; its threshold is on another scale, so the number is made equal.
        return mahotas.features.surf.surf(gray, 4, 5, 1, max_points=found)

    seconds = race(lambda: surf.detect_and_describe(gray), theirs, rounds=rounds)
    note = f"{found} and {len(theirs())} keypoints"
    return Row(f"SURF, `{name}`", "mahotas (C++)", *seconds, 6, None, note)


def brief_row(name: str, rounds: int) -> Row:
    image = photo(name)
    gray = to_gray(image).astype(np.uint8)
    theirs = skimage.feature.BRIEF(mode="normal", rng=1)
    corners = brief.detect(image, brief.Config(keypoints=2000))
    pattern = brief.gaussian_pattern(1)
    kept = corners[brief.inside(gray.shape, corners, pattern)]
    row_column = np.rint(kept.xy[:, ::-1]).astype(np.int64)
    cv_keypoints, cv_brief = kept.to_cv2(), cv2.xfeatures2d.BriefDescriptorExtractor_create(32)
    seconds = race(
        lambda: brief.describe(gray, kept, pattern),
        lambda: theirs.extract(gray, row_column),
        lambda: cv_brief.compute(gray, cv_keypoints),
        rounds=3 * rounds,
    )
    note = f"{len(kept)} keypoints"
    return Row(f"BRIEF, `{name}`", "scikit-image", seconds[0], seconds[1], 0.7, seconds[2], note)


def matching_rows(rounds: int) -> Iterator[Row]:
    cv_sift = cv2.SIFT_create(2000)
    left, right = (photo(f"motorcycle_{side}") for side in ("left", "right"))
    floats = [cv_sift.detectAndCompute(image, None)[1][:2000] for image in (left, right)]
    orb = cv2.ORB_create(2000)
    bits = [orb.detectAndCompute(image, None)[1][:2000] for image in (left, right)]
    for what, norm, metric, (a, b) in (
        ("128 floats", cv2.NORM_L2, "l2", floats),
        ("256 bits", cv2.NORM_HAMMING, "hamming", bits),
    ):
        matcher = cv2.BFMatcher(norm, crossCheck=True)
        ours, theirs = race(
            lambda a=a, b=b, metric=metric: matching.cross_check(a, b, metric),
            lambda a=a, b=b, matcher=matcher: matcher.match(a, b),
            rounds=2 * rounds,
        )
        same = {tuple(p) for p in matching.cross_check(a, b, metric).index.tolist()} == {
            (m.queryIdx, m.trainIdx) for m in matcher.match(a, b)
        }
        note = f"{len(a)} × {len(b)}, {'the same matches' if same else 'OTHER MATCHES'}"
        yield Row(f"cross-check, {what}", "cv2.BFMatcher", ours, theirs, 1.5, theirs, note)


def rows(rounds: int = 5) -> Iterator[Row]:
    """Every line of the table, measured as it is asked for."""
    cv2.setNumThreads(1)
    for make in (sift_row, surf_row, brief_row):
        for name in PHOTOS:
            yield make(name, rounds)
    yield from matching_rows(rounds)


def main() -> None:
    """Measure, and print the table as it grows."""
    packages = ("numpy", "opencv-contrib-python", "scikit-image", "mahotas")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    print(f"Milliseconds of the best call, one thread each, contestants in turns; {versions}.")
    print("*cv2 alone* is the limit: OpenCV's time for the same picture.\n")
    print("| what | ours | peer | peer's | ratio | at most | cv2 alone | |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
