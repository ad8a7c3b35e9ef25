"""Our own wrong answers as cells: a function with all that it uses of its file, standing alone.

Only names that it needs are taken along, inside a function of their own, so that none of them
stands in the way of what a notebook defines.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from course_lib.exercises.cells import literal, source_as
from course_lib.exercises.engine import Exercise


def answer_cell(exercise: Exercise, answer: Any) -> str:
    """An answer, function or value → the source of a cell that defines it under the right name.

    Raises ValueError for a function whose source cannot stand alone.
    """
    if not exercise.is_function:
        return f"{exercise.name} = {literal(answer)}\n"
    imported: dict[str, Any] = {}
    exec(exercise.imports, imported)
    needed: dict[str, str] = {}
    _gather(answer, imported, needed)
    own = needed.pop(answer.__name__)
    if not needed:
        return source_as(answer, exercise.name)
    inside = textwrap.indent("\n".join([*needed.values(), own]), "    ")
    return f"def _own():\n{inside}\n    return {answer.__name__}\n\n\n{exercise.name} = _own()\n"


def _gather(function: Callable, imported: dict[str, Any], needed: dict[str, str]) -> None:
    """Add the source of a function to `needed`, after what it uses."""
    if not isinstance(function, FunctionType) or not function.__name__.isidentifier():
        raise ValueError(f"{function!r} has no source of its own")
    needed[function.__name__] = ""  # being gathered: it may call itself
    source = textwrap.dedent(inspect.getsource(function))
    values = function.__globals__ | inspect.getclosurevars(function).nonlocals
    for name in _names(source):
        is_known = name not in values or hasattr(builtins, name) or name in needed
        if not is_known and imported.get(name) is not values[name]:
            _add(name, values[name], function, imported, needed)
    del needed[function.__name__]
    needed[function.__name__] = source


def _add(
    name: str, value: Any, user: Callable, imported: dict[str, Any], needed: dict[str, str]
) -> None:
    """The line or the definition that makes `name` stand for `value`."""
    if isinstance(value, ModuleType):
        needed[name] = f"import {value.__name__} as {name}\n"
    elif isinstance(value, FunctionType) and value.__module__ == user.__module__:
        _gather(value, imported, needed)
        if value.__name__ != name:
            needed[name] = f"{name} = {value.__name__}\n"
    elif isinstance(value, (type, FunctionType)):
        needed[name] = f"from {value.__module__} import {value.__name__} as {name}\n"
    elif isinstance(value, np.ndarray):
        needed[name] = f"{name} = np.array({value.tolist()!r}, dtype=np.{value.dtype.name})\n"
    else:
        if ast.literal_eval(repr(value)) != value:
            raise ValueError(f"{name} cannot be written down")
        needed[name] = f"{name} = {value!r}\n"


def _names(source: str) -> list[str]:
    nodes = ast.walk(ast.parse(source))
    return sorted({node.id for node in nodes if isinstance(node, ast.Name)})


def weaker_tests(exercise: Exercise) -> list[tuple[str, str]]:
    """Our test without one of its asserts, for each of them → (which, source)."""
    tree = ast.parse(exercise.solution_cell())
    count = sum(isinstance(node, ast.Assert) for node in ast.walk(tree))
    found = []
    for left_out in range(count):
        dropping = _Dropping(left_out)
        changed = ast.fix_missing_locations(dropping.visit(ast.parse(exercise.solution_cell())))
        found.append((f"without assert {left_out + 1}", ast.unparse(changed) + "\n"))
    return found


class _Dropping(ast.NodeTransformer):
    """Takes out the assert of a number."""

    def __init__(self, number: int) -> None:
        self.left = number

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        self.left -= 1
        return ast.Pass() if self.left == -1 else node
