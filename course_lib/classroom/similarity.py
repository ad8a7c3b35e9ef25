"""Answers that are built alike, whatever their names and comments: for a person to look at.

The tree of an answer is read as a sequence of node types; names, numbers, texts, comments and type
hints are left out. Of each K steps in a row a hash is taken, and of each window of hashes the
smallest is kept (winnowing; Schleimer, Wilkerson and Aiken, SIGMOD 2003). What the stub, our own
solution, or a fifth of the class has too says nothing, and is not counted. Of a written answer five
words in a row are such a step.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from course_lib.classroom.answers import tree_of
from course_lib.classroom.assignment import Assignment

K = 8  # steps that make one fingerprint
WINDOW = 4
RUN = 5  # words that make one of a written answer
LEAST = 6  # fingerprints of its own that an answer must have to be compared
ALIKE = 0.6  # share of the smaller answer's fingerprints that the other has too
COMMON = 0.2  # share of the class, from which a fingerprint is everybody's
MOST_COMMON = 4  # students at least, before something is everybody's
NODES = 20_000
SILENT = (ast.expr_context, ast.arguments, ast.Load, ast.Store)


@dataclass(frozen=True)
class Group:
    """Students whose answers to one exercise are alike; `share` of the least alike pair."""

    exercise: str
    students: tuple[str, ...]
    share: float


def structure(source: str) -> list[str]:
    """The steps of an answer: node types from top to bottom, attributes by name."""
    tree = tree_of(source)
    return [] if tree is None else list(_steps(tree))


def _steps(tree: ast.AST) -> Iterator[str]:
    """Before a node's children, the node; without recursion, for a tree may be deep."""
    waiting: list[ast.AST] = [tree]
    for _ in range(NODES):
        if not waiting:
            return
        node = waiting.pop()
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            children = [child for child in children if child is not node.body[0]]
        if isinstance(node, ast.arg):
            children = []  # its type hint
        waiting.extend(reversed(children))
        if isinstance(node, ast.Attribute):
            yield f".{node.attr}"
        elif not isinstance(node, SILENT):
            yield type(node).__name__


def fingerprints(source: str) -> frozenset[int]:
    """The kept hashes of an answer's structure."""
    steps = structure(source)
    hashes = [_hash(steps[i : i + K]) for i in range(len(steps) - K + 1)]
    windows = range(max(1, len(hashes) - WINDOW + 1)) if hashes else ()
    return frozenset(min(hashes[i : i + WINDOW]) for i in windows)


def _hash(steps: Sequence[str]) -> int:
    digest = hashlib.blake2b(" ".join(steps).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def phrases(text: str) -> frozenset[int]:
    """The same for a written answer: each RUN of its words, marks and capitals left out."""
    said = re.findall(r"\w+", text.casefold())
    return frozenset(_hash(said[i : i + RUN]) for i in range(len(said) - RUN + 1))


def groups(sources: Mapping[str, Mapping[str, str]], assignment: Assignment) -> list[Group]:
    """{student: {exercise or question: answer}} → groups, those most alike first."""
    found = []
    for task in assignment.tasks:
        if task.exercise.is_function:
            exercise = task.exercise
            ours = fingerprints(exercise.stub_cell()) | fingerprints(exercise.solution_cell())
            found += _groups_of(exercise.name, _prints(fingerprints, exercise.name, sources), ours)
    for question in assignment.written:
        found += _groups_of(question.name, _prints(phrases, question.name, sources), frozenset())
    return sorted(found, key=lambda group: (-group.share, group.exercise, group.students))


def _prints(
    taken: Callable[[str], frozenset[int]], name: str, sources: Mapping[str, Mapping[str, str]]
) -> dict[str, frozenset[int]]:
    return {student: taken(own[name]) for student, own in sources.items() if name in own}


def _groups_of(
    name: str, prints: Mapping[str, frozenset[int]], ours: frozenset[int]
) -> list[Group]:
    counts = Counter(mark for own in prints.values() for mark in own)
    limit = max(MOST_COMMON, COMMON * len(prints))
    everybody = ours | {mark for mark, count in counts.items() if count > limit}
    own = {student: marks - everybody for student, marks in prints.items()}
    own = {student: marks for student, marks in own.items() if len(marks) >= LEAST}
    pairs = _alike(own)
    found = []
    for members in _connected(pairs):
        shares = [share for pair, share in pairs.items() if set(pair) <= members]
        found.append(Group(name, tuple(sorted(members)), round(min(shares), 3)))
    return found


def _alike(own: Mapping[str, frozenset[int]]) -> dict[tuple[str, str], float]:
    """Pairs that share enough, found through the fingerprints that they share."""
    holders = defaultdict(list)
    for student in sorted(own):
        for mark in own[student]:
            holders[mark].append(student)
    shared = Counter(pair for students in holders.values() for pair in combinations(students, 2))
    shares = {(a, b): count / min(len(own[a]), len(own[b])) for (a, b), count in shared.items()}
    return {pair: share for pair, share in shares.items() if share >= ALIKE}


def _connected(pairs: Mapping[tuple[str, str], float]) -> list[set[str]]:
    """Students in one set if a chain of pairs joins them."""
    sets: list[set[str]] = []
    for pair in sorted(pairs):
        joined = set(pair).union(*(one for one in sets if one & set(pair)))
        sets = [one for one in sets if not one & joined] + [joined]
    return sets
