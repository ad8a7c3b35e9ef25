"""Answers that are the course's own: called, looked up, or copied. For a person to look at.

Nothing here changes a mark. Names are followed through the notebook's imports and its own
functions, as far as they stand in the text; who hides a call behind `getattr` and joined strings is
not found here, but by the person who reads it.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from functools import lru_cache

from course_lib.classroom.answers import Answers, tree_of
from course_lib.classroom.assignment import Assignment
from course_lib.exercises.cells import source_as
from course_lib.exercises.engine import Exercise

GIVEN_AWAY = {"solution", "solution_cell", "show_solution", "misconceptions", "also_right"}
NODES = 40  # of a solution; a shorter one is written alike by everybody
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def borrowings(answers: Answers, assignment: Assignment) -> list[dict[str, str]]:
    """→ [{"exercise", "what"}], a sentence for each answer that may be the course's own."""
    trees = [tree for source, _ in answers.cells if (tree := tree_of(source)) is not None]
    imported = _imports(trees)
    definitions = _definitions(trees)
    found = [{"exercise": "", "what": what} for what in sorted(set(_everything(trees)))]
    for task in assignment.tasks:
        exercise = task.exercise
        tree = tree_of(answers.sources.get(exercise.name, ""))
        if tree is None:
            continue
        allowed = _used_by_solution(exercise)
        reach = list(_reachable(tree, definitions))
        said = [
            *_lookups(reach),
            *_calls(reach, imported, allowed),
            *_copy(tree, exercise),
        ]
        found += [{"exercise": exercise.name, "what": sentence} for sentence in sorted(set(said))]
    return found


def _lookups(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """`exercise.solution` and its like, as an attribute or as text for `getattr`."""
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in GIVEN_AWAY:
            yield f"it reads `.{node.attr}` of an exercise"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value in GIVEN_AWAY:
                yield f"it holds the text '{node.value}'"
            if node.value.startswith("course_lib"):
                yield f"it holds the text '{node.value[:60]}'"


def _calls(
    nodes: Iterable[ast.AST], imported: dict[str, str], allowed: frozenset[str]
) -> Iterator[str]:
    """Names of the package that the answer reaches and the solution does not need."""
    inner: set[int] = set()  # `a.b` inside `a.b.c`, which came first
    for node in nodes:
        path = "" if id(node) in inner else _path(node, imported)
        if path:
            inner.update(id(part) for part in ast.walk(node))
        name = path.rpartition(".")[2]
        is_bank = path.startswith("course_lib.exercises.") and name.isupper()  # for `check`
        if path and not is_bank and name not in allowed:
            yield f"it uses {path[:100]}"


def _everything(trees: Iterable[ast.Module]) -> Iterator[str]:
    """`from course_lib… import *`, after which nobody sees whose a name is."""
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            module = node.module or ""
            if module.split(".")[0] == "course_lib":
                yield f"the notebook imports all names of {module[:100]}"


def _path(node: ast.AST, imported: dict[str, str]) -> str:
    """`sift.describe` → "course_lib.features.sift.describe", by what the notebook imports."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in imported:
        return ""
    return ".".join([imported[node.id], *reversed(parts)])


def _copy(tree: ast.Module, exercise: Exercise) -> Iterator[str]:
    """The course's own solution, down to the names in it; comments and docstring do not count."""
    if not exercise.is_function or exercise.kind == "repair":  # mended, all look alike
        return
    solution = _normal(tree_of(exercise.solution_cell()), exercise.name)
    if solution.count("(") >= NODES and _normal(tree, exercise.name) == solution:
        yield "it is the course's own solution, word for word"


def _normal(tree: ast.Module | None, name: str) -> str:
    """The function's tree as text, without docstring and type hints."""
    if tree is None:
        return ""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            try:
                return ast.dump(ast.Module(body, []))
            except RecursionError:
                return ""
    return ""


def _imports(trees: Iterable[ast.Module]) -> dict[str, str]:
    """Names in the notebook → what of the package they stand for."""
    found = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.split(".")[0]
                    found[name] = alias.name if alias.asname else name
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return {name: path for name, path in found.items() if path.startswith("course_lib")}


def _definitions(trees: Iterable[ast.Module]) -> dict[str, ast.AST]:
    """Functions, classes and assigned names at the top of the notebook's cells."""
    found: dict[str, ast.AST] = {}
    for statement in (statement for tree in trees for statement in tree.body):
        if isinstance(statement, DEFINITIONS):
            found[statement.name] = statement
        elif isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = statement
    return found


def _reachable(tree: ast.AST, definitions: dict[str, ast.AST]) -> Iterator[ast.AST]:
    """All nodes of an answer, and of what it uses of the notebook."""
    waiting, seen = [tree], set()
    while waiting:
        for node in ast.walk(waiting.pop()):
            yield node
            if isinstance(node, ast.Name) and node.id in definitions and node.id not in seen:
                seen.add(node.id)
                waiting.append(definitions[node.id])


@lru_cache(maxsize=256)
def _used_by_solution(exercise: Exercise) -> frozenset[str]:
    """Names that stand in the solution, in the stub or in the imports that were handed out."""
    texts = [exercise.imports, exercise.stub_cell(), exercise.solution_cell()]
    if exercise.kind == "test":
        texts.append(source_as(exercise.solution, exercise.name))
    names: set[str] = {"check", "expected", "hint"}
    for text in texts:
        tree = tree_of(inspect.cleandoc(text))
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.alias):
                names.update((node.name.rpartition(".")[2], node.asname or ""))
    return frozenset(names)
