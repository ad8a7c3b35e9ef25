"""Draws belong to a scene: not to the batch, the order or the process."""

import numpy as np
import pytest

from course_lib.world.draws import Draws

MASK = 2**64 - 1


def splitmix(x: int) -> int:
    """SplitMix64's finaliser on Python's whole numbers."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def test_a_draw_is_the_hash_that_it_says() -> None:
    import zlib

    golden = 0x9E3779B97F4A7C15
    word = zlib.crc32(b"train/x")
    key = splitmix((splitmix((5 + word * golden) & MASK) + 7 * golden) & MASK)
    expected = [(splitmix((key + i * golden) & MASK) >> 11) * 2.0**-53 for i in (1, 2, 3)]
    np.testing.assert_array_equal(Draws([7], 5, "train").uniform("x", 3)[0], expected)


def test_batches_hold_the_same_numbers() -> None:
    many = Draws(np.arange(1000), 3, "s").uniform("a", 4)
    np.testing.assert_array_equal(Draws([17], 3, "s").uniform("a", 4)[0], many[17])
    np.testing.assert_array_equal(many[:, :2], Draws(np.arange(1000), 3, "s").uniform("a", 2))


def test_seeds_streams_names_and_scenes_are_unrelated() -> None:
    base = Draws(np.arange(5000), 0, "a").uniform("x", 2)
    others = [
        Draws(np.arange(5000), 1, "a").uniform("x", 2),
        Draws(np.arange(5000), 0, "b").uniform("x", 2),
        Draws(np.arange(5000), 0, "a").uniform("y", 2),
        Draws(np.arange(1, 5001), 0, "a").uniform("x", 2),
        base[:, ::-1],
    ]
    for other in others:
        assert abs(np.corrcoef(base[:, 0], other[:, 0])[0, 1]) < 0.06  # 4 standard errors


def test_numbers_are_even() -> None:
    draws = Draws(np.arange(20000))
    x = draws.uniform("x", 1, -1, 3)[:, 0]
    assert x.min() >= -1
    assert x.max() < 3
    counts = np.histogram(x, 20, (-1, 3))[0]
    assert (np.abs(counts - 1000) < 5 * 1000**0.5).all()
    np.testing.assert_array_equal(np.unique(draws.integer("n", 3, 6)), np.arange(6))


@pytest.mark.parametrize("seed", [-1, 1.5, True, "0", None])
def test_a_seed_that_is_none(seed) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number"):
        Draws([0], seed)


@pytest.mark.parametrize("index", [[-1], [0.5], [[0]], 3])
def test_indices_that_are_none(index) -> None:
    with pytest.raises(ValueError, match="indices must be whole numbers"):
        Draws(index)
