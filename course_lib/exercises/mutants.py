"""Mutants: what a solution becomes when one small thing in it is wrong.

A check that cannot tell a mutant from the solution would accept a student's slip too. Each
operator below is a slip that people make. A mutant's id (`operator line:column change`) counts
lines from its `def`, so it stays the same wherever the function stands in its file.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

TURNS = 100_000  # of all loops in one call: a mutant may loop for ever

ARITHMETIC = {
    ast.Add: (ast.Sub, "+ → -"),
    ast.Sub: (ast.Add, "- → +"),
    ast.Mult: (ast.Div, "* → /"),
    ast.Div: (ast.Mult, "/ → *"),
    ast.FloorDiv: (ast.Div, "// → /"),
    ast.BitAnd: (ast.BitOr, "& → |"),
    ast.BitOr: (ast.BitAnd, "| → &"),
    ast.BitXor: (ast.BitOr, "^ → |"),
    ast.LShift: (ast.RShift, "<< → >>"),
    ast.RShift: (ast.LShift, ">> → <<"),
}
BOUNDARY = {
    ast.Lt: (ast.LtE, "< → <="),
    ast.LtE: (ast.Lt, "<= → <"),
    ast.Gt: (ast.GtE, "> → >="),
    ast.GtE: (ast.Gt, ">= → >"),
}
REVERSE = {
    ast.Lt: (ast.GtE, "< → >="),
    ast.LtE: (ast.Gt, "<= → >"),
    ast.Gt: (ast.LtE, "> → <="),
    ast.GtE: (ast.Lt, ">= → <"),
    ast.Eq: (ast.NotEq, "== → !="),
    ast.NotEq: (ast.Eq, "!= → =="),
}
PAIRS = [
    ("min", "max"),
    ("argmin", "argmax"),
    ("minimum", "maximum"),
    ("sin", "cos"),
    ("floor", "ceil"),
    ("mean", "sum"),
    ("any", "all"),
    ("zeros", "ones"),
    ("hstack", "vstack"),
    ("logical_and", "logical_or"),
]
SWAPPED = dict(PAIRS) | {b: a for a, b in PAIRS}
# Calls that people forget: f(x, …) → x, and x.f(…) → x.
FORGOTTEN = {
    *("abs", "absolute", "sqrt", "square", "floor", "ceil", "round", "rint", "exp", "log", "clip"),
    *("astype", "copy", "reshape", "transpose", "sort", "cumsum", "mod", "minimum", "maximum"),
    *("radians", "deg2rad", "degrees", "rad2deg", "unwrap"),
}
ORDERED = {"arctan2", "dot", "matmul", "subtract", "divide", "cross"}  # f(a, b) is not f(b, a)


@dataclass(frozen=True)
class Mutant:
    """A function with one thing changed: where and what (`id`), the code `before` and `after`."""

    id: str
    before: str
    after: str
    source: str
    name: str
    imports: str

    @cached_property
    def function(self) -> Callable:
        """The mutant itself. It raises TimeoutError after `TURNS` turns of its loops."""
        turns = [0]

        def tick() -> None:
            turns[0] += 1
            if turns[0] > TURNS:
                raise TimeoutError(f"more than {TURNS} turns of a loop")

        namespace: dict[str, Any] = {"_tick": tick}
        exec(self.imports, namespace)
        exec(compile(_guarded(self.source), f"<mutant of {self.name}>", "exec"), namespace)

        def function(*args: Any, **kwargs: Any) -> Any:
            turns[0] = 0
            return namespace[self.name](*args, **kwargs)

        return function


def mutants(source: str, imports: str = "import numpy as np") -> list[Mutant]:
    """Every mutant of the function that `source` defines, in the order of the source.

    Only the body is changed: not the docstring, the signature, type hints or the text of errors.
    """
    tree = ast.parse(source)
    name = tree.body[0].name
    found: dict[str, Mutant] = {}
    seen = {ast.unparse(tree)}
    for path, node in _sites(tree):
        for operator, change, replacement in _variants(node):
            changed = ast.unparse(_replaced(tree, path, replacement))
            if changed in seen:
                continue
            seen.add(changed)
            label = f"{operator} {node.lineno}:{node.col_offset} {change}"
            before, after = ast.unparse(node), ast.unparse(replacement)
            found[label] = Mutant(label, before, after, changed, name, imports)
    return list(found.values())


Path = tuple[
    tuple[str, int | None], ...
]  # from the root: field, and index where the field is a list


def _sites(tree: ast.Module) -> Iterator[tuple[Path, ast.AST]]:
    function = tree.body[0]
    start = 1 if ast.get_docstring(function) is not None else 0
    for i, statement in enumerate(function.body[start:], start):
        yield from _descend(statement, (("body", 0), ("body", i)))


def _descend(node: ast.AST, path: Path) -> Iterator[tuple[Path, ast.AST]]:
    if isinstance(node, (ast.Raise, ast.JoinedStr)):
        return
    if isinstance(node, (ast.expr, ast.stmt, ast.keyword)):
        yield path, node
    skipped = (
        {"annotation", "returns", "args"} if isinstance(node, ast.FunctionDef) else {"annotation"}
    )
    if isinstance(node, ast.keyword) and node.arg == "axis":
        return  # has its own operator: the axis plus one may be the same axis, counted from the end
    for field, value in ast.iter_fields(node):
        if field in skipped:
            continue
        for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST):
                yield from _descend(child, (*path, (field, i)))


def _replaced(tree: ast.Module, path: Path, replacement: ast.AST) -> ast.Module:
    tree = copy.deepcopy(tree)
    node: Any = tree
    for field, i in path[:-1]:
        node = getattr(node, field) if i is None else getattr(node, field)[i]
    field, i = path[-1]
    if i is None:
        setattr(node, field, replacement)
    else:
        getattr(node, field)[i] = replacement
    return ast.fix_missing_locations(tree)


Variant = tuple[str, str, ast.AST]  # operator, what changes, the new node


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _variants(node: ast.AST) -> Iterator[Variant]:
    """Every way in which this one node can be wrong."""
    match node:
        case ast.BinOp() | ast.AugAssign():
            yield from _arithmetic(node)
        case ast.Compare(ops=[op]):
            for table in (BOUNDARY, REVERSE):
                if type(op) in table:
                    other, change = table[type(op)]
                    yield "compare", change, _with(node, ops=[other()])
        case ast.BoolOp():
            other, change = (
                (ast.Or, "and → or") if isinstance(node.op, ast.And) else (ast.And, "or → and")
            )
            yield "logic", change, _with(node, op=other())
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            yield "drop", f"{ast.unparse(node)} → {ast.unparse(node.operand)}", node.operand
        case ast.If() | ast.While() | ast.IfExp():
            yield "negate", "condition", _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.Constant():
            yield from _constants(node)
        case ast.keyword(arg="axis", value=ast.Constant() | ast.UnaryOp()):
            other = ast.Constant(1 if ast.unparse(node.value) == "0" else 0)
            change = f"{ast.unparse(node.value)} → {other.value}"
            yield "axis", change, _with(node, value=other)
        case ast.Subscript(slice=ast.Tuple(elts=[first, second, *rest])):
            swapped = ast.Tuple([second, first, *rest], ast.Load())
            yield "index", "first two swapped", _with(node, slice=swapped)
        case ast.Call():
            yield from _calls(node)
        case ast.Attribute(attr="T"):
            yield "drop", ".T", node.value
    is_write = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)
    if isinstance(node, ast.AugAssign) or is_write:
        yield "drop", "statement", ast.copy_location(ast.Pass(), node)


def _arithmetic(node: ast.BinOp | ast.AugAssign) -> Iterator[Variant]:
    if type(node.op) in ARITHMETIC:
        other, change = ARITHMETIC[type(node.op)]
        yield "arithmetic", change, _with(node, op=other())
    if isinstance(node, ast.AugAssign):
        return
    if isinstance(node.op, (ast.Mod, ast.Pow)):
        yield "drop", "%" if isinstance(node.op, ast.Mod) else "**", node.left
    if isinstance(node.op, ast.MatMult):
        yield "operands", "a @ b → b @ a", _with(node, left=node.right, right=node.left)


def _constants(node: ast.Constant) -> Iterator[Variant]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", f"{value} → {not value}", ast.Constant(not value)
    elif isinstance(value, int):
        for other in (value + 1, value - 1):
            yield "constant", f"{value} → {other}", ast.Constant(other)
    elif isinstance(value, float):
        yield "constant", f"{value} → {value + 1}", ast.Constant(value + 1)


def _calls(node: ast.Call) -> Iterator[Variant]:
    function = node.func
    is_method = isinstance(function, ast.Attribute)
    name = function.attr if is_method else getattr(function, "id", "")
    from_module = is_method and isinstance(function.value, ast.Name) and function.value.id == "np"
    if name in FORGOTTEN:
        if is_method and not from_module:
            yield "drop", name, function.value
        elif node.args:
            yield "drop", name, node.args[0]
    if name in SWAPPED:
        other = SWAPPED[name]
        renamed = _with(function, attr=other) if is_method else _with(function, id=other)
        yield "call", f"{name} → {other}", _with(node, func=renamed)
    if name in ORDERED and len(node.args) == 2:
        yield "operands", f"{name}(a, b) → {name}(b, a)", _with(node, args=node.args[::-1])


def _guarded(source: str) -> ast.Module:
    """The source with a count of turns at the head of every loop."""
    tree = ast.parse(source)
    for loop in ast.walk(tree):
        if isinstance(loop, (ast.For, ast.While)):
            loop.body.insert(0, ast.parse("_tick()").body[0])
    return ast.fix_missing_locations(tree)
