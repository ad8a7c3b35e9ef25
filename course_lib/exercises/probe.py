"""The probe: runs an answer on cases and brings back plain data.

Nothing of the student's own making leaves this file: numbers, text, lists, dictionaries and base
NumPy arrays only, so that the judge may sit in another process.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from course_lib.exercises.cells import can_raise, same_code, statement_at

if TYPE_CHECKING:
    from course_lib.exercises.engine import Exercise

Case = dict[str, Any]  # keyword arguments of one call
DEPTH = 12  # of nested lists; deeper data is taken for a cycle
UNDEFINED = "there is no"  # begins the error of an answer that no cell has defined


class Output(TypedDict, total=False):
    """What one case gave: `value` or `error` or `untouched`, and maybe more about it."""

    value: Any  # plain data
    error: str  # one line: type, message, the line of the student's code
    untouched: bool  # the stub as it was handed out
    unfinished: bool  # not the stub, but its `raise NotImplementedError` is still reached
    changed: list[str]  # names of the arguments that the function wrote into
    returned: bool  # a test came to its end and returned something
    asserts_nothing: bool  # a test without an `assert`
    where: str  # the line of a test that failed
    advice: str  # what may be wrong with that line


class NotPlainError(TypeError):
    """An answer holds something that is no number, text, array, list or dictionary."""


@contextmanager
def quiet() -> Iterator[None]:
    """Our own wrong answers divide by zero and overflow: nobody needs to be warned of that."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def probe(exercise: Exercise, answer: Any, cases: Sequence[Case]) -> list[Output]:
    """The student's answer on copies of the cases → one Output a case. Catches what it raises."""
    if not exercise.is_function:
        return [_read(exercise, answer)]
    if not callable(answer):
        got = "None" if answer is None else f"a {type(answer).__name__}"
        error = f"a function called `{exercise.name}` is expected, but {got} was given"
        return [{"error": error} for _ in cases]
    if same_code(answer, exercise.stub_function()):
        return [{"untouched": True} for _ in cases]
    if exercise.kind == "test":
        outputs = run_test(answer, cases)
        nothing: Output = {} if can_raise(answer) else {"asserts_nothing": True}
        return [output | nothing for output in outputs]
    return run(answer, cases, _renamed(answer, exercise.solution))


def run(
    function: Callable, cases: Sequence[Case], renamed: Mapping[str, str] | None = None
) -> list[Output]:
    """Call `function` on a copy of each case → Outputs. `renamed`: case's name → function's."""
    return [_call(function, case, renamed or {}) for case in cases]


def run_test(function: Callable, cases: Sequence[Case]) -> list[Output]:
    """A test on each implementation → Outputs; the value is True where nothing was raised."""
    with quiet():
        return [_call_test(function, case) for case in cases]


def _renamed(function: Callable, solution: Callable) -> dict[str, str]:
    """The solution's names → the student's by position, where only the names differ."""
    try:
        theirs, ours = (inspect.signature(f).parameters.values() for f in (function, solution))
    except (TypeError, ValueError):
        return {}
    by_position = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
    same_number = len(theirs) == len(ours)
    names = {ours_.name: theirs_.name for ours_, theirs_ in zip(ours, theirs, strict=False)}
    same_names = set(names) == set(names.values())  # in another order: each finds its own
    can_move = same_number and all(p.kind in by_position for p in (*theirs, *ours))
    return names if can_move and not same_names else {}


def _call_test(function: Callable, case: Case) -> Output:
    try:
        # The one argument goes by position: its name is the student's own affair.
        result = function(*case.values())
    except NotImplementedError:
        return {"untouched": True, "unfinished": True}
    except AssertionError as error:
        return {"value": False} | _failed_line(error, function)
    except (Exception, SystemExit) as error:
        return {"error": _one_line(error, function)}
    except BaseException as error:
        if not _failed_in_pytest(error):
            raise  # an interrupt
        return {"value": False} | _failed_line(error, function)
    return {"value": True} if result is None else {"value": True, "returned": True}


def _call(function: Callable, case: Case, renamed: Mapping[str, str]) -> Output:
    given = copy.deepcopy(case)
    try:
        result = function(**{renamed.get(name, name): value for name, value in given.items()})
        output: Output = {"value": plain(result)}
    except NotImplementedError:
        return {"untouched": True, "unfinished": True}
    except NotPlainError as error:
        return {"error": str(error)}
    except (Exception, SystemExit) as error:
        return {"error": _one_line(error, function)}
    changed = [name for name, value in case.items() if _differs(given[name], value)]
    if changed:
        output["changed"] = changed
    return output


def _read(exercise: Exercise, answer: Any) -> Output:
    """A predicted or measured value → Output. Nothing filled in counts as untouched."""
    try:
        value = plain(answer)
    except NotPlainError as error:
        return {"error": str(error)}
    return {"untouched": True} if _nothing_in(value) else {"value": value}


def _nothing_in(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_nothing_in(item) for item in value.values())
    if isinstance(value, list):
        return all(_nothing_in(item) for item in value)
    return value is None


def plain(value: Any, depth: int = DEPTH) -> Any:
    """Numbers, text, arrays, tensors, dataclasses, lists and dictionaries → plain data.

    Tuples become lists, zero-dimensional arrays become numbers. Raises NotPlainError for the rest.
    """
    torch = sys.modules.get("torch")  # a tensor can only exist if somebody has imported torch
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if value is None or type(value) in (bool, int, float, complex, str):
        return value
    if depth == 0:
        raise NotPlainError(f"lists nested deeper than {DEPTH} levels cannot be judged")
    if isinstance(value, (np.ndarray, np.generic)) and not isinstance(value, np.ma.MaskedArray):
        array = np.array(value, copy=True, subok=False)
        if array.dtype.kind in "biufcU":
            return array.item() if array.ndim == 0 else array
        if array.dtype.kind == "O" and array.ndim > 0:
            return [plain(item, depth - 1) for item in array]
    if isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item, depth - 1) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name), depth - 1) for field in fields}
    raise NotPlainError(
        f"a {type(value).__name__} came back, but numbers, text, arrays, lists or dictionaries "
        "are expected"
    )


def _differs(after: Any, before: Any) -> bool:
    """Whether an argument was written into; a random generator, no plain data, may change."""
    try:
        after, before = plain(after), plain(before)
    except NotPlainError:
        return False
    return not _identical(after, before)


def _identical(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_identical(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_identical, a, b))
    return type(a) is type(b) and (a == b or a != a)


def _failed_in_pytest(error: BaseException) -> bool:
    """Whether `pytest.raises` or `pytest.fail` failed: a verdict, though no Exception in Python."""
    pytest = sys.modules.get("pytest")  # such an error can only exist if somebody has imported it
    return pytest is not None and isinstance(error, pytest.fail.Exception)


def _failed_line(error: BaseException, function: Callable) -> Output:
    """Where the student's test failed: the last step that was in its own file or cell."""
    code = getattr(function, "__code__", None)
    step, last = error.__traceback__, None
    while step is not None:
        if code and step.tb_frame.f_code.co_filename == code.co_filename:
            last = step
        step = step.tb_next
    if last is None:
        return {}
    text, statement = statement_at(code.co_filename, last.tb_lineno)
    text = text if len(text) <= 100 else text[:99] + "…"
    output: Output = {"where": f"Line {last.tb_lineno}" + (f", `{text}`," if text else "")}
    if _compares_floats(statement, last):
        output["advice"] = "compare floats with a tolerance"
    elif str(error).startswith("DID NOT RAISE"):  # in the words of pytest
        output["advice"] = "nothing is raised there"
    return output


def _compares_floats(statement: ast.stmt | None, step: TracebackType) -> bool:
    """Whether an `assert` holds `==` or `array_equal` between floats, found by evaluating them."""
    if not isinstance(statement, ast.Assert):
        return False
    sides: list[ast.expr] = []
    for node in ast.walk(statement.test):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq):
            sides += [node.left, node.comparators[0]]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("array_equal"):
            sides += node.args
    return any(_is_float(side, step) for side in sides)


def _is_float(expression: ast.expr, step: TracebackType) -> bool:
    frame = step.tb_frame
    try:
        value = eval(ast.unparse(expression), frame.f_globals, frame.f_locals)
        return np.asarray(value).dtype.kind in "fc"
    except Exception:  # a name of a comprehension, say
        return False


def _one_line(error: BaseException, function: Callable) -> str:
    """`ValueError: message (line 3)`, the line where the student's own file was left."""
    text = " ".join(str(error).split())
    text = re.sub(r"0x[0-9a-fA-F]+", "0x…", text)  # an address would differ from run to run
    text = text if len(text) <= 160 else text[:159] + "…"
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    code = getattr(function, "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if code and frame.filename == code.co_filename]
    return f"{message} (line {lines[-1]})" if lines else message
