"""One call, one line: what a lesson says about a representation, with the controls beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from course_lib.evaluate.knn import knn
from course_lib.evaluate.linear_probe import linear_probe


@dataclass(frozen=True)
class Scores:
    """Shares of test samples that are right."""

    probe: float  # linear probe
    knn: float  # 20 nearest neighbours
    shuffled: float  # the same probe where all labels were dealt out anew: must be near chance
    chance: float  # the most frequent class
    per_class: dict  # {label: share of its own samples that the probe gets right}

    def __str__(self) -> str:
        return (
            f"probe {self.probe:.3f}, kNN {self.knn:.3f} "
            f"(shuffled labels {self.shuffled:.3f}, chance {self.chance:.3f})"
        )


def measure(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    *,
    k: int = 20,
    seed: int = 0,
) -> Scores:
    """Features (N, D), (M, D) and their labels → Scores on the M.

    The other control, a random encoder, is a representation of its own: measure it the same way.
    """
    neighbours = knn(train, train_labels, test, test_labels, k)
    probed = linear_probe(train, train_labels, test, test_labels, seed=seed)
    # Test labels too: where classes are tight clusters, a probe answers each of them alike, and
    # against the true labels that would be a lottery of 0, 1/K, 2/K …
    deal = np.random.default_rng(seed).permutation
    train_deal, test_deal = deal(np.asarray(train_labels)), deal(np.asarray(test_labels))
    shuffled = linear_probe(train, train_deal, test, test_deal, seed=seed)
    return Scores(
        probed.value, neighbours.value, shuffled.value, neighbours.chance, probed.per_class
    )
