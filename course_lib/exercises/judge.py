"""The judge: compares plain data with plain data, and names the difference.

`problem` says what is wrong without showing an expected value (fit for a hidden check);
`detail` shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_lib.exercises.probe import Output

# Kinds of NumPy types that answer one question: signed or not, 32 or 64 bits does not matter.
FAMILIES = {"b": "bool", "i": "integer", "u": "integer", "f": "float", "c": "complex", "U": "text"}


@dataclass(frozen=True)
class Verdict:
    """On one case: right, or what is wrong (`problem`, no values) and by how much (`detail`)."""

    right: bool
    problem: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.problem}; {self.detail}" if self.detail else self.problem


RIGHT = Verdict(True)
MISSING = "no result came back"
STILL_RAISES = "the line `raise NotImplementedError` is still there"
Compare = Callable[[Any, Any], Verdict]


def judge(outputs: Sequence[Output], expected: Sequence[Any], compare: Compare) -> list[Verdict]:
    """Outputs of a probe against expected values → one Verdict a case; a missing one is wrong."""
    padded = list(outputs) + [{"error": MISSING}] * (len(expected) - len(outputs))
    return [
        _verdict(output, value, compare)
        for output, value in zip(padded[: len(expected)], expected, strict=True)
    ]


def _verdict(output: Output, expected: Any, compare: Compare) -> Verdict:
    if "value" not in output:
        return Verdict(False, output.get("error", STILL_RAISES))
    verdict = agree(output["value"], expected, compare)
    if verdict.right and output.get("changed"):
        names = ", ".join(f"`{name}`" for name in output["changed"])
        return Verdict(
            False, f"the value is right, but the function writes into its argument {names}"
        )
    return verdict


def agree(got: Any, expected: Any, compare: Compare) -> Verdict:
    """`compare`, held to never raise: what it cannot digest is wrong."""
    try:
        return compare(got, expected)
    except Exception:
        plain_verdict = close(got, expected)
        return plain_verdict if not plain_verdict.right else Verdict(False, "the value is unusable")


def close(got: Any, expected: Any, rtol: float = 1e-5, atol: float = 1e-8) -> Verdict:
    """Same structure, shape and family of type, and |got − expected| ≤ atol + rtol·|expected|.

    Whole numbers are compared with `atol` alone, text without regard to case. NaN equals NaN.
    Whole numbers may stand for floats of the same value.
    """
    if isinstance(expected, dict):
        if not isinstance(got, dict) or set(got) != set(expected):
            names = list(got) if isinstance(got, dict) else describe(got)
            return Verdict(False, f"a dictionary with {list(expected)} expected, {names} got")
        return _first_wrong({repr(key): (got[key], expected[key]) for key in expected}, rtol, atol)
    if isinstance(expected, list):
        got = list(got) if isinstance(got, np.ndarray) else got
        if not isinstance(got, list) or len(got) != len(expected):
            # Tuples become lists on their way here, so either may be what the prompt asks for.
            needed = f"a list or tuple of {len(expected)}"
            return Verdict(False, f"{needed} expected, {describe(got)} got")
        pairs = enumerate(zip(got, expected, strict=True), 1)
        named = {f"item {i} of {len(expected)}": pair for i, pair in pairs}
        return _first_wrong(named, rtol, atol)
    if isinstance(expected, np.ndarray):
        return _close_arrays(got, expected, rtol, atol)
    return _close_scalars(got, expected, rtol, atol)


def _first_wrong(pairs: dict[str, tuple[Any, Any]], rtol: float, atol: float) -> Verdict:
    for where, (got, expected) in pairs.items():
        verdict = close(got, expected, rtol, atol)
        if not verdict.right:
            problem = "is None" if got is None else verdict.problem
            return Verdict(False, f"{where}: {problem}", verdict.detail)
    return RIGHT


def _close_scalars(got: Any, expected: Any, rtol: float, atol: float) -> Verdict:
    got = got.item() if isinstance(got, np.generic) else got
    expected = expected.item() if isinstance(expected, np.generic) else expected
    if describe(got) != describe(expected):
        return Verdict(False, f"{describe(expected)} expected, {describe(got)} got")
    if isinstance(expected, str):
        same = got.strip().casefold() == expected.strip().casefold()
    elif isinstance(expected, (bool, type(None))):
        same = got is expected
    else:
        rtol = 0.0 if isinstance(expected, int) else rtol
        same = bool(np.isclose(got, expected, rtol, atol, equal_nan=True))
    return (
        RIGHT
        if same
        else Verdict(False, "the value differs", f"{show(expected)} expected, {show(got)} got")
    )


def _close_arrays(got: Any, expected: np.ndarray, rtol: float, atol: float) -> Verdict:
    if not isinstance(got, np.ndarray):
        advice = ": wrap it in `np.array`" if _has_shape(got, expected.shape) else ""
        return Verdict(False, f"{describe(expected)} expected, {describe(got)} got{advice}")
    if got.shape != expected.shape:
        return Verdict(False, f"shape {expected.shape} expected, {got.shape} got")
    family, want = FAMILIES.get(got.dtype.kind, got.dtype.name), FAMILIES[expected.dtype.kind]
    if family != want and (family, want) != ("integer", "float"):
        return Verdict(False, f"an array of type {want} expected, {family} ({got.dtype}) got")
    if want in ("text", "bool"):
        wrong = got != expected
        distance = wrong.astype(float)
    else:
        wide = complex if want == "complex" else float
        a, b = got.astype(wide), expected.astype(wide)
        unusable = ~np.isfinite(a) & np.isfinite(b)
        if unusable.any():
            return Verdict(False, f"NaN or infinity in {unusable.sum()} of {a.size} places")
        wrong = ~np.isclose(a, b, 0.0 if want == "integer" else rtol, atol, equal_nan=True)
        with np.errstate(invalid="ignore"):
            distance = np.nan_to_num(np.abs(a - b), nan=np.inf)
    if not wrong.any():
        return RIGHT
    place = np.unravel_index(np.argmax(np.where(wrong, distance, -1.0)), wrong.shape)
    where = "[" + ", ".join(str(int(i)) for i in place) + "]"
    is_cut = family != want and (b[np.isfinite(b)] % 1 != 0).any()
    cut = "whole numbers came back where fractions are expected: " if is_cut else ""
    return Verdict(
        False,
        f"{cut}{wrong.sum()} of {wrong.size} values differ",
        f"most at {where}: {show(expected[place])} expected, {show(got[place])} got",
    )


def _has_shape(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether a list, nested or not, would be an array of this shape."""
    try:
        return isinstance(value, list) and np.array(value).shape == shape
    except ValueError:  # rows of unequal length
        return False


def describe(value: Any) -> str:
    """What a plain value is, without its content."""
    if value is None:
        return "None (is `return` missing?)"
    if isinstance(value, bool):
        return "True or False"
    if isinstance(value, (int, float, complex)):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"a list of {len(value)}" if isinstance(value, list) else "a dictionary"


def show(value: Any) -> str:
    """A plain value in a few characters, the same on every machine."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (float, complex)):
        return f"{value:.6g}"
    if isinstance(value, np.ndarray):
        text = np.array2string(value, precision=4, suppress_small=True, threshold=24, edgeitems=3)
        return f"{text}  ({value.dtype.name}, shape {value.shape})"
    if isinstance(value, list):
        return "[" + ", ".join(show(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {show(item)}" for key, item in value.items()) + "}"
    return repr(value)
