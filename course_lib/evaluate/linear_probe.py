"""A linear probe: what can be read from frozen features by weighing and adding them up?

Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016. It is
multinomial logistic regression: minimise over W (D, K) and b (K,)

    mean_i −log softmax(x_i W + b)[y_i]  +  penalty / 2 · |W|²

which is convex, so there is one answer, and no learning rate to be unlucky with. Features are
standardised by the mean and deviation of the *train* set. The penalty is chosen on a fifth of the
train set that is held out, then all of it is fitted.

Reference: sklearn.linear_model.LogisticRegression, whose C is 1 / (N · penalty).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

from course_lib.evaluate.inputs import (
    check_features,
    check_labels,
    check_split,
    majority,
)

PENALTIES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # from strong to weak
UNCHOSEN = 1e-2  # where no class has two samples, so that nothing can be held out
HELD_OUT = 0.2  # share of each class


@dataclass(frozen=True, eq=False)
class Probe:
    """A fitted probe. Weights are for standardised features, (x − mean) / scale."""

    classes: np.ndarray  # (K,) the labels, sorted
    weights: np.ndarray  # (D, K) float64
    bias: np.ndarray  # (K,) float64
    mean: np.ndarray  # (D,) of the train set
    scale: np.ndarray  # (D,) deviation of the train set; 1 where a feature is constant
    penalty: float

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, D) → (N, K) float64."""
        features = check_features(features)
        if features.shape[1] != len(self.mean):
            raise ValueError(
                f"the probe was fitted to features of {len(self.mean)} columns, "
                f"but {features.shape[1]} were given"
            )
        return (features - self.mean) / self.scale @ self.weights + self.bias

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N, D) → (N,) labels."""
        return self.classes[self.logits(features).argmax(axis=1)]


@dataclass(frozen=True, eq=False)
class Probed:
    """`value` is the share of test samples that are right, `per_class` {label: share of its own}"""

    value: float
    chance: float
    per_class: dict
    probe: Probe

    def __repr__(self) -> str:
        return f"Probed({self.value:.3f}, chance {self.chance:.3f})"


def linear_probe(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    *,
    penalty: float | None = None,
    seed: int = 0,
) -> Probed:
    """Features (N, D), (M, D) and their labels → accuracy on the M, in all and class by class.

    `seed` decides which fifth is held out to choose the penalty, unless one is given. A test class
    that the train set lacks counts as wrong.
    """
    train, train_labels, test, test_labels = check_split(train, train_labels, test, test_labels)
    probe = fit_probe(train, train_labels, penalty=penalty, seed=seed)
    right = probe.predict(test) == test_labels
    names = np.unique(test_labels)
    per_class = {name.item(): float(right[test_labels == name].mean()) for name in names}
    return Probed(float(right.mean()), majority(train_labels, test_labels), per_class, probe)


def fit_probe(
    features: np.ndarray, labels: np.ndarray, *, penalty: float | None = None, seed: int = 0
) -> Probe:
    """(N, D), (N,) → Probe. Raises ValueError for fewer than two classes or a penalty not > 0."""
    features = check_features(features)
    labels = check_labels(labels, len(features))
    classes, y = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"a probe needs at least two classes, but all labels are {labels[0]!s}")
    start = None
    if penalty is None:
        penalty, start = _choose_penalty(features, y, seed)
    elif not 0 < penalty < np.inf:
        raise ValueError(f"the penalty must be positive and finite, but {penalty} was given")
    mean, scale = _standard(features)
    theta = _minimise((features - mean) / scale, y, len(classes), penalty, start)
    return Probe(classes, theta[:-1], theta[-1], mean, scale, penalty)


def hold_out(y: np.ndarray, seed: int, share: float = HELD_OUT) -> np.ndarray:
    """(N,) → bool (N,): `share` of each class, at least one, but none of a class of one sample."""
    rng, held = np.random.default_rng(seed), np.zeros(len(y), bool)
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        if len(members) > 1:
            held[members[: max(1, int(share * len(members)))]] = True
    return held


def _choose_penalty(
    features: np.ndarray, y: np.ndarray, seed: int
) -> tuple[float, np.ndarray | None]:
    """The penalty of least held-out loss, from strong to weak, until the loss rises again.

    And where that fit ended, (D + 1, K): the fit of all features ends near there.
    """
    held = hold_out(y, seed)
    if not held.any():
        return UNCHOSEN, None
    mean, scale = _standard(features[~held])
    X, K = (features - mean) / scale, y.max() + 1
    best, least, theta = (PENALTIES[0], None), np.inf, None
    for penalty in PENALTIES:
        # Penalties are factors of ten apart: to compare them, four digits of the loss will do.
        theta = _minimise(X[~held], y[~held], K, penalty, theta, ftol=1e-7, gtol=1e-4)
        loss = _cross_entropy(X[held] @ theta[:-1] + theta[-1], y[held])
        if loss >= least:
            break
        best, least = (penalty, theta), loss
    return best


def _standard(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (D,), float64; the deviation of a constant feature is called 1."""
    mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=float)
    rounding = 1e-6 * np.abs(features).max(axis=0)
    return mean, np.where(deviation > rounding, deviation, 1.0)


def _cross_entropy(logits: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]))


def _minimise(
    X: np.ndarray,
    y: np.ndarray,
    K: int,
    penalty: float,
    start: np.ndarray | None = None,
    ftol: float = 1e-13,
    gtol: float = 1e-6,
) -> np.ndarray:
    """(N, D), (N,) in 0 … K − 1 → (D + 1, K): the weights and, as last row, the bias."""
    # In the axes of the data, each brought to about the same curvature, the optimum is the same and
    # a tenth of the steps is enough: a random network's features lie almost in one line.
    N, D = X.shape
    variance, axes = np.linalg.eigh(X.T @ X / N)
    scale = np.sqrt(np.maximum(variance, 0) + penalty)
    Z, shrink = X @ (axes / scale), penalty / scale[:, None] ** 2
    rows = np.arange(N)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        A, b = np.split(flat.reshape(D + 1, K), [D])
        logits = Z @ A + b
        logits -= logits.max(axis=1, keepdims=True)  # so that no exponential overflows
        p = np.exp(logits)
        total = p.sum(axis=1, keepdims=True)
        loss = (np.log(total).sum() - logits[rows, y].sum()) / N + (shrink * A**2).sum() / 2
        p /= total
        p[rows, y] -= 1
        slope = p / N
        return loss, np.concatenate([Z.T @ slope + shrink * A, slope.sum(axis=0)[None]]).ravel()

    start = np.zeros((D + 1, K)) if start is None else start
    start = np.concatenate([scale[:, None] * (axes.T @ start[:-1]), start[-1:]])
    options = {"maxiter": 2000, "maxfun": 4000, "ftol": ftol, "gtol": gtol, "maxcor": 20}
    with threadpool_limits(1, "blas"):  # on matrices as narrow as these, threads only wait
        found = minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    A, b = np.split(found.x.reshape(D + 1, K), [D])
    return np.concatenate([axes / scale @ A, b])
