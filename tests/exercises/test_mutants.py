"""The operators, each on a line written by hand, and the guard against mutants that never end."""

import ast

import numpy as np
import pytest

from course_lib.exercises.mutants import mutants


def bodies(line):
    """Every mutant of a function that returns `line`, as the text after `return`."""
    found = mutants(f"def f(a, b, i, j):\n    return {line}\n")
    return {mutant.source.partition("return ")[2] for mutant in found}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a + b", {"a - b"}),
        ("a // b", {"a / b"}),
        ("a % b", {"a"}),
        ("a ** 2", {"a", "a ** 3", "a ** 1"}),
        ("a < b", {"a <= b", "a >= b"}),
        ("a == b", {"a != b"}),
        ("a and b", {"a or b"}),
        ("-a", {"a"}),
        ("a @ b", {"b @ a"}),
        ("a << b", {"a >> b"}),
        ("a[i, j]", {"a[j, i]"}),
        ("a[i, i]", set()),
        ("a.T", {"a"}),
        ("abs(a)", {"a"}),
        ("np.sqrt(a)", {"a"}),
        ("a.astype(float)", {"a"}),
        ("np.argmin(a)", {"np.argmax(a)"}),
        ("a.max()", {"a.min()"}),
        ("np.arctan2(a, b)", {"np.arctan2(b, a)"}),
        ("a.sum(axis=0)", {"a.sum(axis=1)", "a.mean(axis=0)"}),
        ("a.sum(axis=-1)", {"a.sum(axis=0)", "a.mean(axis=-1)"}),
        ("a if b else i", {"a if not b else i"}),
        ("True", {"False"}),
        ("0.5", {"1.5"}),
        ("'text'", set()),
    ],
)
def test_each_operator_by_hand(line, expected):
    assert bodies(line) == expected


def test_statements_docstring_signature_and_errors():
    source = (
        'def f(a: "1" = 2):\n    """1 + 1"""\n'
        '    if a < 0:\n        raise ValueError(a + 1, f"{a}")\n'
        "    a[0] = 3\n    a -= 4\n    return a\n"
    )
    found = {mutant.id for mutant in mutants(source)}
    assert found == {
        "negate 3:4 condition",
        "compare 3:7 < → <=",
        "compare 3:7 < → >=",
        "constant 3:11 0 → 1",
        "constant 3:11 0 → -1",
        "drop 5:4 statement",
        "constant 5:6 0 → 1",
        "constant 5:6 0 → -1",
        "constant 5:11 3 → 4",
        "constant 5:11 3 → 2",
        "arithmetic 6:4 - → +",
        "drop 6:4 statement",
        "constant 6:9 4 → 5",
        "constant 6:9 4 → 3",
    }


def test_a_mutant_changes_one_thing_and_the_original_stays():
    source = "def f(a):\n    return a * 2 + 1\n"
    found = mutants(source)
    original = ast.unparse(ast.parse(source))
    assert len({m.source for m in found} | {original}) == len(found) + 1
    assert {m.function(5) for m in found} == {5 * 2 - 1, 5 / 2 + 1, 5 * 3 + 1, 5 + 1, 10 + 2, 10}


def test_an_id_does_not_depend_on_the_place_in_the_file():
    source = "def f(a):\n    return np.abs(a) - 1\n"
    assert [m.id for m in mutants(source)] == [m.id for m in mutants(source.replace("1", "1  "))]
    assert "drop 2:11 abs" in {m.id for m in mutants(source)}


def test_a_mutant_that_never_ends_is_stopped_each_time():
    source = "def f(n):\n    i = 0\n    while i < n:\n        i += 1\n    return i\n"
    found = {mutant.id: mutant for mutant in mutants(source)}
    endless = found["arithmetic 4:8 + → -"].function
    for _ in range(2):
        with pytest.raises(TimeoutError):
            endless(3)
    patient = found["compare 3:10 < → <="].function
    assert [patient(50_000), patient(60_000)] == [50_001, 60_001]  # turns are counted for each call


def test_a_mutant_sees_the_imports_only():
    (mutant,) = mutants("def f(a):\n    return np.sqrt(a)\n", "import numpy as np")
    assert mutant.function(9.0) == 9.0
    (mutant,) = mutants("def f(a):\n    return -np.exp(a)\n".replace("np.exp", "missing"))
    with pytest.raises(NameError):
        mutant.function(np.ones(2))
