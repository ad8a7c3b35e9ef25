"""The source text of an exercise's cells, read from the real functions that define it.

A stub is the solution's own signature and docstring, so the two cannot drift apart.
"""

from __future__ import annotations

import ast
import dis
import inspect
import json
import linecache
import re
import textwrap
from collections.abc import Callable
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

BODY_OF_A_STUB = "raise NotImplementedError  # replace this line"


def source_as(function: Callable, name: str) -> str:
    """The function's source, dedented and defined under `name`."""
    source = textwrap.dedent(inspect.getsource(function)).strip() + "\n"
    return re.sub(rf"\bdef {function.__name__}\b", f"def {name}", source, count=1)


def stub_of(function: Callable, name: str) -> str:
    """Signature and docstring of `function` under `name`; the body raises NotImplementedError."""
    source = source_as(function, name)
    definition = ast.parse(source).body[0]
    first = definition.body[0]
    has_docstring = ast.get_docstring(definition) is not None
    head = source.splitlines()[: first.end_lineno if has_docstring else first.lineno - 1]
    return "\n".join(head) + f"\n    {BODY_OF_A_STUB}\n"


def blank(value: Any) -> Any:
    """A value to fill in: the same dictionary or tuple with None in every place, else None."""
    if isinstance(value, dict):
        return {key: blank(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(blank(item) for item in value)
    return None


def literal(value: Any) -> str:
    """A value as one types it: like repr, with double quotes, as the formatter writes them."""
    if isinstance(value, dict):
        items = (f"{literal(key)}: {literal(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal, value)) + (",)" if len(value) == 1 else ")")
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def define(source: str, name: str, imports: str) -> Any:
    """Run `imports`, then `source`, as cells of an empty notebook → what is called `name`."""
    namespace: dict[str, Any] = {}
    exec(imports, namespace)
    exec(compile(source, f"<{name}>", "exec"), namespace)
    return namespace[name]


def statement_at(filename: str, line: int) -> tuple[str, ast.stmt | None]:
    """The innermost statement on a line of a file or cell, as text and tree; ("", None) if lost."""
    return _statement("".join(linecache.getlines(filename)), line)  # IPython's cells are there


@lru_cache(maxsize=64)
def _statement(source: str, line: int) -> tuple[str, ast.stmt | None]:
    covering = [n for n in _statements(source) if n.lineno <= line <= n.end_lineno]
    if not covering:
        return "", None
    node = min(covering, key=lambda n: (n.end_lineno - n.lineno, -n.col_offset))
    return " ".join((ast.get_source_segment(source, node) or "").split()), node


@lru_cache(maxsize=4)
def _statements(source: str) -> list[ast.stmt]:
    try:
        return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    except SyntaxError:
        return []


def can_raise(function: Any) -> bool:
    """Whether a function or a helper beside it holds an `assert` or a `raise`."""
    waiting, seen = [function], set()
    while waiting:
        function = waiting.pop()
        if not isinstance(function, FunctionType):
            return True  # no source of ours: the benefit of the doubt
        codes = [function.__code__]
        for code in codes:
            if any(step.opname == "RAISE_VARARGS" for step in dis.get_instructions(code)):
                return True
            if any(name.startswith(("assert", "raises", "fail")) for name in code.co_names):
                return True
            codes += [item for item in code.co_consts if isinstance(item, CodeType)]
            used = [function.__globals__.get(name) for name in code.co_names]
            helpers = [f for f in used if getattr(f, "__module__", 0) == function.__module__]
            waiting += [f for f in helpers if isinstance(f, FunctionType) and f not in seen]
            seen.update(waiting)
    return False


def same_code(function: Any, other: Callable) -> bool:
    """Whether two functions compile to the same instructions: spaces and comments do not count."""
    code = getattr(function, "__code__", None)
    return isinstance(code, CodeType) and _instructions(code) == _instructions(other.__code__)


def _instructions(code: CodeType) -> tuple:
    constants = tuple(
        _instructions(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts
    )
    return code.co_code, code.co_names, code.co_varnames, constants
