"""Random numbers that belong to a scene, not to the order in which scenes are made.

A number is a hash of (seed, split, index of the scene, name of what is drawn, place): a batch of a
thousand and a batch of one hold the same scene, in every process and on every machine, and a factor
that is added later changes no other. The hash is SplitMix64's finaliser (Steele, Lea and Flood,
OOPSLA 2014), on whole arrays.
"""

from __future__ import annotations

import zlib

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Draws:
    """The draws of B scenes: `index` (B,) whole numbers ≥ 0, of one `seed` ≥ 0 and one `stream`."""

    def __init__(self, index: np.ndarray, seed: int = 0, stream: str = "") -> None:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"the seed must be a whole number of at least 0, but it is {seed!r}")
        index = np.asarray(index)
        if index.ndim != 1 or index.dtype.kind not in "iu" or (index.size and index.min() < 0):
            raise ValueError(
                "the scenes' indices must be whole numbers of at least 0 in a list, but "
                f"{index.dtype} of shape {index.shape} was given"
            )
        self._index = index.astype(np.uint64)
        self._seed = np.uint64(int(seed) % 2**64)
        self._stream = stream

    def __len__(self) -> int:
        return len(self._index)

    def uniform(self, name: str, n: int = 1, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """`n` numbers for each scene, evenly in [low, high) → float64 (B, n)."""
        word = np.uint64(zlib.crc32(f"{self._stream}/{name}".encode()))
        with np.errstate(over="ignore"):  # arithmetic modulo 2⁶⁴ is the method
            key = _mixed(_mixed(self._seed + word * GOLDEN) + self._index * GOLDEN)
            bits = _mixed(key[:, None] + np.arange(1, n + 1, dtype=np.uint64) * GOLDEN)
        return low + (high - low) * ((bits >> np.uint64(11)) * 2.0**-53)

    def integer(self, name: str, n: int, count: int) -> np.ndarray:
        """`n` whole numbers for each scene, evenly in 0 … count − 1 → int64 (B, n)."""
        return (self.uniform(name, n) * count).astype(np.int64)
