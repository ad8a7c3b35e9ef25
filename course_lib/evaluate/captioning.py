"""Captions: how many facts about the objects are right, and how many captions are right as a whole.

A fact is a size, colour, material or shape of one object: "a small red cube" states three. Which
object of a caption is meant to be which of the truth nobody says, so they are matched one to one,
in the way that makes most facts right. The share is

    facts right / max(facts predicted, facts true)

and not a precision, which would be best for a caption that stops after its first sure word. What is
left out and what is made up both cost.

course_lib.world.grammar.score also counts relations, the number of objects and the table. Hodosh,
Young and Hockenmaier: Framing Image Description as a Ranking Task, JAIR 2013, on why counting
common n-grams (BLEU) says little about one caption of one picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from course_lib.world.grammar import facts_of, tokens
from course_lib.world.graph import ATTRIBUTES, WHOLE

Object = dict[str, str]  # attribute → value, of what a caption says of it


@dataclass(frozen=True)
class Captioned:
    """What n captions get right.

    facts      mean share of facts, 0 to 1
    exact      share of captions that are the truth, word for word
    complete   share of captions all of whose facts are right, and none is missing; any order
    chance     `facts` of the most frequent true caption, said of every picture
    shuffled   `facts` of the same captions, each dealt to another picture
    by         attribute → facts of it that are right / the larger of those predicted and true
    by_count   number of true objects → `facts`
    """

    facts: float
    exact: float
    complete: float
    chance: float
    shuffled: float
    by: dict[str, float]
    by_count: dict[int, float]
    n: int

    def __str__(self) -> str:
        return (
            f"facts {self.facts:.3f} (chance {self.chance:.3f}, shuffled {self.shuffled:.3f}), "
            f"exact {self.exact:.3f}, {self.n} captions"
        )


def captioning(predicted: Sequence[str], truth: Sequence[str], seed: int = 0) -> Captioned:
    """N captions and the true ones (N,) → Captioned. Raises ValueError for fewer than 2, or if
    the two are not equally many, and TypeError for a single text in place of a list.
    """
    if isinstance(predicted, str) or isinstance(truth, str):
        raise TypeError("two lists of captions are expected, but a single text was given")
    if len(predicted) != len(truth) or len(truth) < 2:
        raise ValueError(
            "as many captions as true ones are expected, two or more, but "
            f"{len(predicted)} and {len(truth)} were given"
        )
    said, true = [objects_of(t) for t in predicted], [objects_of(t) for t in truth]
    shares = np.array([share(*pair) for pair in zip(said, true, strict=True)])
    most = objects_of(Counter(truth).most_common(1)[0][0])
    order = np.random.default_rng(seed).permutation(len(truth))
    dealt = [share(said[order[k - 1]], true[order[k]]) for k in range(len(order))]
    counts = np.array([len(objects) for objects in true])
    same = [tokens(p) == tokens(t) for p, t in zip(predicted, truth, strict=True)]
    return Captioned(
        facts=float(shares.mean()),
        exact=float(np.mean(same)),
        complete=float(np.mean(shares == 1)),
        chance=float(np.mean([share(most, objects) for objects in true])),
        shuffled=float(np.mean(dealt)),
        by=_by_attribute(said, true),
        by_count={n: float(shares[counts == n].mean()) for n in np.unique(counts).tolist()},
        n=len(truth),
    )


def objects_of(text: str) -> list[Object]:
    """A caption → its objects in the order of mention: [{"size": "small", "shape": "cube"}, …]."""
    found: dict[int, Object] = {}
    for place, name, value in facts_of(text):
        if place != WHOLE and name in ATTRIBUTES:
            found.setdefault(place, {})[name] = value
    return [found[place] for place in sorted(found)]


def matched(said: Sequence[Object], true: Sequence[Object]) -> list[tuple[int, int]]:
    """Two lists of objects → pairs (place in `said`, place in `true`), each place at most once.

    No other matching makes more facts right; of equally good ones, that which changes the order
    of mention least.
    """
    n, m = len(said), len(true)
    # All steps out of order together weigh less than one fact.
    common = np.array([
        [len(a.items() & b.items()) - abs(i - j) / (1 + n * m) for j, b in enumerate(true)]
        for i, a in enumerate(said)
    ]).reshape(n, m)  # fmt: skip
    rows, columns = linear_sum_assignment(common, maximize=True)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def share(said: Sequence[Object], true: Sequence[Object]) -> float:
    """Two lists of objects → facts right / max(facts said, facts true). Two empty ones: 1."""
    right = sum(len(said[i].items() & true[j].items()) for i, j in matched(said, true))
    most = max(sum(map(len, said)), sum(map(len, true)))
    return right / most if most else 1.0


def _by_attribute(said: Sequence[list[Object]], true: Sequence[list[Object]]) -> dict[str, float]:
    """Over all captions; attributes that nobody mentions are left out."""
    right: Counter = Counter()
    most: Counter = Counter()
    for one, other in zip(said, true, strict=True):
        for i, j in matched(one, other):
            right.update(name for name, _ in one[i].items() & other[j].items())
        for name in ATTRIBUTES:
            most[name] += max(sum(name in thing for thing in side) for side in (one, other))
    return {name: right[name] / most[name] for name in ATTRIBUTES if most[name]}
