"""Which cell answers which exercise: by its tag, and else by the name that it defines.

The cells are only read here, never run. All of them run in their order, as in the notebook, so an
answer counts wherever it stands. One thing is put right: an empty copy of a stub cannot take away
the answer that stands in another cell.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from course_lib.classroom.assignment import ANSWER, Assignment, Written
from course_lib.classroom.submission import Cell, Submission
from course_lib.exercises.engine import Exercise

PUBLIC_CHECK = "from course_lib.classroom.checking import public_check"
READ_CHARACTERS = 100_000  # of a cell, to look for names in it
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True)
class Answers:
    """The code cells to be run, each with the exercise it is for or "", and what was odd.

    `sources`: the last cell of each exercise that has one; `written`: the text of each question.
    """

    cells: tuple[tuple[str, str], ...]
    sources: dict[str, str]
    written: dict[str, str]
    problems: tuple[str, ...]


def find_answers(submission: Submission, assignment: Assignment) -> Answers:
    """Submission → what is run, and for which exercise. Never raises for what a student sent."""
    owners, problems = [""] * len(submission.code), []
    dropped: set[int] = set()
    definitions = [defined(cell.source) for cell in submission.code]
    for task in assignment.tasks if submission.cells else ():
        name = task.exercise.name
        tagged = [i for i, cell in enumerate(submission.code) if name in cell.marked("exercise")]
        defining = [i for i, names in enumerate(definitions) if name in names]
        filled = [i for i in defining if not is_stub(submission.code[i].source, task.exercise)]
        if filled:
            dropped.update(set(defining) - set(filled))
        for i in {*tagged, *defining} - dropped:
            owners[i] = owners[i] or name
        problems += _oddities(name, tagged, defining, filled, submission, definitions)
    dropped |= {i for i, cell in enumerate(submission.code) if _is_public_check(cell)}
    # What is dropped stays as an empty cell, so that cells are counted as the student counts them.
    sources_run = [
        "" if i in dropped else without_public_check(c.source)
        for i, c in enumerate(submission.code)
    ]
    cells = tuple(zip(sources_run, owners, strict=True))
    sources = {owner: source for source, owner in cells if owner and source}
    written = {}
    for question in assignment.written if submission.cells else ():
        text, problem = _written(submission, question)
        written[question.name] = text
        problems += problem
    return Answers(cells, sources, written, tuple(problems))


def _is_public_check(cell: Cell) -> bool:
    """Whether a cell is one of the hand-out's own checks, which need not run again."""
    names = cell.marked("check")
    return bool(names) and cell.source.strip() == f'check("{names[0]}", {names[0]})'


def without_public_check(source: str) -> str:
    """A cell whose import of the public check is one that checks nothing: it is not there."""
    return source.replace(PUBLIC_CHECK, "public_check = lambda name: lambda *given: None")


def _oddities(
    name: str,
    tagged: Sequence[int],
    defining: Sequence[int],
    filled: Sequence[int],
    submission: Submission,
    definitions: Sequence[set[str]],
) -> list[str]:
    """What a student has done to the cell of an exercise, in sentences."""
    if not tagged and not defining:
        if any(name in cell.marked("exercise") for cell in submission.cells):
            return [f"the cell of `{name}` is a text cell: make it a code cell again"]
        return [f"`{name}` is missing: no cell has its tag, and none defines it"]
    if not defining:
        broken = [i for i in tagged if tree_of(submission.code[i].source) is None]
        if broken:
            return [f"the cell of `{name}` is no valid Python"]
        others = sorted(set().union(*(definitions[i] for i in tagged)))
        instead = f", but {', '.join(f'`{other}`' for other in others[:3])}" if others else ""
        return [f"the cell of `{name}` does not define it{instead}"]
    if len(filled) > 1:
        return [f"`{name}` is defined in {len(filled)} cells; the last of them counts"]
    if len(defining) > 1 or len(tagged) > 1:
        return [f"the cell of `{name}` was copied; the one that is filled in counts"]
    if not tagged:
        return [f"the cell of `{name}` has lost its tag; it was found by the name"]
    if tagged != defining:
        return [f"`{name}` is defined in another cell than its own; that one counts"]
    return []


def _written(submission: Submission, question: Written) -> tuple[str, list[str]]:
    """The text of a written answer: all cells with its tag."""
    cells = [cell for cell in submission.cells if question.name in cell.marked("written")]
    if not cells:
        return "", [f"the written answer `{question.name}` is missing: no cell has its tag"]
    text = "\n\n".join(cell.source.strip() for cell in cells)
    text = "" if text == ANSWER.strip() else text
    problem = f"the written answer `{question.name}` stands in {len(cells)} cells; all are read"
    return text, [problem] if len(cells) > 1 else []


def tree_of(source: str) -> ast.Module | None:
    """The syntax tree of a cell, its magics left out; None for what is no Python, or too much."""
    if len(source) > READ_CHARACTERS:
        return None
    try:
        return ast.parse(without_magics(source))
    except UNREADABLE:
        return None


def without_magics(source: str) -> str:
    """A cell without `%magic`, `!command`, and `name?`, each line still in its place."""
    if source.lstrip().startswith("%%"):
        return ""
    return re.sub(r"(?m)^([ \t]*)(?:[%!?]|[\w.]+\?{1,2}[ \t]*$).*", r"\1pass", source)


def defined(source: str) -> set[str]:
    """Names that a cell defines at its top level, under conditions too."""
    tree = tree_of(source)
    if tree is None:
        return set()
    found: set[str] = set()
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = (inner for target in targets for inner in ast.walk(target))
            found.update(inner.id for inner in names if isinstance(inner, ast.Name))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        else:
            inside = (getattr(node, field, []) for field in ("body", "orelse", "finalbody"))
            waiting += [statement for statements in inside for statement in statements]
    return found


def is_stub(source: str, exercise: Exercise) -> bool:
    """Whether a cell is the one that was handed out; spaces and comments do not count."""
    tree, stub = tree_of(source), tree_of(exercise.stub_cell())
    return tree is not None and stub is not None and _same(tree, stub)


def _same(tree: ast.AST, other: ast.AST) -> bool:
    """Equal trees. Their sizes are held side by side first: a dump of a huge one is slow."""
    sizes = [sum(1 for _ in ast.walk(node)) for node in (tree, other)]
    try:
        return sizes[0] == sizes[1] and ast.dump(tree) == ast.dump(other)
    except RecursionError:
        return False
