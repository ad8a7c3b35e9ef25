"""Choices in words: one after another, each from its scene's own draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, cycle
from math import factorial
from typing import TypeVar

import numpy as np

from course_lib.world.draws import Draws
from course_lib.world.scene import Scenes

T = TypeVar("T")
DRAWN = 64  # numbers for one text: more than a text uses, and else used again from the start


class Choices:
    """A hand that chooses: its `numbers`, in 0 to 1, are used one a choice."""

    def __init__(self, numbers: Iterable[float]) -> None:
        self._numbers = cycle(numbers)

    def one(self, options: Sequence[T]) -> T:
        """One of the options, each equally likely."""
        return options[int(next(self._numbers) * len(options))]

    def chance(self, p: float = 0.5) -> bool:
        """True with probability p."""
        return next(self._numbers) < p

    def weighted(self, options: Sequence[T], weights: Sequence[float]) -> T:
        """One of the options, with likelihood in proportion to its weight."""
        sums = list(accumulate(weights))
        at = next(self._numbers) * sums[-1]
        return options[next(i for i, s in enumerate(sums) if at < s)]

    def shuffled(self, options: Iterable[T]) -> list[T]:
        """Up to 18 options in any order: one draw has the 53 bits that 18! orders need."""
        left, order = list(options), []
        code = int(next(self._numbers) * factorial(len(left)))
        while left:
            code, i = divmod(code, len(left))
            order.append(left.pop(i))
        return order


def choices(
    scenes: Scenes, index: int | Iterable[int], seed: int, stream: str, name: str
) -> list[Choices]:
    """B scenes and their numbers `index` (B,) → a hand for each, of that `stream` and `name`."""
    numbers = Draws(numbered(scenes, index), seed, stream).uniform(name, DRAWN)
    return [Choices(row) for row in numbers.tolist()]


def numbered(scenes: Scenes, index: int | Iterable[int]) -> np.ndarray:
    """The scenes' numbers as an array (B,), or one sentence why they are not."""
    if not isinstance(scenes, Scenes):
        raise TypeError(f"texts are made of Scenes, but a {type(scenes).__name__} was given")
    plain = isinstance(index, np.ndarray) or not isinstance(index, Iterable)
    index = np.atleast_1d(index if plain else list(index))
    if index.shape != (len(scenes),):
        raise ValueError(
            f"each of the {len(scenes)} scenes needs its number, but index has shape {index.shape}"
        )
    return index if index.size else index.astype(int)
