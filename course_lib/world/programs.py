"""Questions as small programs that run on a scene graph, in the manner of CLEVR.

Johnson et al.: CLEVR, a diagnostic dataset for compositional language and elementary visual
reasoning, CVPR 2017. A program is a nested tuple, the operation first:

    ("query", "colour", ("unique", ("filter", "shape", "cube", ("scene",))))

operation                          gives
("scene",)                         all places
("filter", attribute, value, set)  those of the set with that value
("relate", relation, place)        those that stand so to the object
("unique", set)                    the only one; an error if there is none, or another
("most", relation, set)            the one that stands so to all others of the set
("count", set)                     a number
("exist", set)                     true or false
("query", attribute, place)        the value
("is", relation, place, place)     true or false
("same", attribute, place, place)  true or false
("more" | "fewer" | "equal", number, number), ("and" | "or", truth, truth)
"""

from __future__ import annotations

from collections.abc import Callable

from course_lib.world.graph import RELATIONS, VALUES, Look, SceneGraph

Program = tuple
SCENE: Program = ("scene",)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")


class UnclearError(ValueError):
    """The scene does not answer: a name fits no object or several, or a relation is unclear."""


def filtered(look: Look, source: Program = SCENE) -> Program:
    """The program that keeps what looks so."""
    for attribute, value in look:
        source = ("filter", attribute, value, source)
    return source


def unique(look: Look) -> Program:
    """The program that finds the one object that looks so."""
    return ("unique", filtered(look))


def execute(program: Program, graph: SceneGraph) -> list[int] | int | bool | str:
    """Run a program (the table above). Raises UnclearError; ValueError for what is no program."""
    if not isinstance(program, tuple) or not program or program[0] not in _OPERATIONS:
        known = ", ".join(_OPERATIONS)
        raise ValueError(f"a program begins with one of {known}, but this is {program!r}")
    run, kinds, parts = _OPERATIONS[program[0]]
    words, inner = program[1 : 1 + len(kinds)], program[1 + len(kinds) :]
    if len(words) != len(kinds) or len(inner) != parts or not _known(kinds, words):
        takes = ", ".join([*kinds, *["program"] * parts]) or "nothing"
        raise ValueError(f"{program[0]} takes {takes}, but this is {program!r}")
    return run(graph, *words, *(execute(part, graph) for part in inner))


def _known(kinds: tuple[str, ...], words: tuple[str, ...]) -> bool:
    values = VALUES.get(words[0], ()) if words else ()
    known = {"attribute": VALUES, "relation": RELATIONS, "value": values}
    return all(word in known[kind] for kind, word in zip(kinds, words, strict=True))


def answer(program: Program, graph: SceneGraph) -> str:
    """Run a program → "yes", "no", "zero" to "six", or a value such as "red"."""
    result = execute(program, graph)
    if isinstance(result, bool):
        return "yes" if result else "no"
    return NUMBERS[result] if isinstance(result, int) else result


def written(program: Program) -> str:
    """A program as one line: query(colour, unique(filter(shape, cube, scene())))."""
    parts = [written(part) if isinstance(part, tuple) else str(part) for part in program[1:]]
    return f"{program[0]}({', '.join(parts)})"


def _filter(graph: SceneGraph, attribute: str, value: str, places: list[int]) -> list[int]:
    return [i for i in places if graph.objects[i][attribute] == value]


def _relate(graph: SceneGraph, relation: str, place: int) -> list[int]:
    found = graph.clear(relation, place)
    if found is None:
        raise UnclearError(f"it is unclear which objects are {relation} the object {place}")
    return found


def _unique(graph: SceneGraph, places: list[int]) -> int:
    if len(places) != 1:
        raise UnclearError(f"one object was expected, but {len(places)} were found")
    return places[0]


def _most(graph: SceneGraph, relation: str, places: list[int]) -> int:
    return _unique(graph, [
        i for i in places if all(graph.related(i, relation, j) for j in places if j != i)
    ])  # fmt: skip


def _is(graph: SceneGraph, relation: str, i: int, j: int) -> bool:
    truth = graph.related(i, relation, j)
    if truth is None:
        raise UnclearError(f"it is unclear whether the object {i} is {relation} the object {j}")
    return truth


# Operation → what it does, the words it takes, and how many inner programs.
_OPERATIONS: dict[str, tuple[Callable, tuple[str, ...], int]] = {
    "scene": (lambda graph: list(range(len(graph.objects))), (), 0),
    "filter": (_filter, ("attribute", "value"), 1),
    "relate": (_relate, ("relation",), 1),
    "unique": (_unique, (), 1),
    "most": (_most, ("relation",), 1),
    "count": (lambda graph, places: len(places), (), 1),
    "exist": (lambda graph, places: len(places) > 0, (), 1),
    "query": (lambda graph, attribute, i: graph.objects[i][attribute], ("attribute",), 1),
    "is": (_is, ("relation",), 2),
    "same": (lambda graph, a, i, j: graph.objects[i][a] == graph.objects[j][a], ("attribute",), 2),
    "more": (lambda graph, a, b: a > b, (), 2),
    "fewer": (lambda graph, a, b: a < b, (), 2),
    "equal": (lambda graph, a, b: a == b, (), 2),
    "and": (lambda graph, a, b: a and b, (), 2),
    "or": (lambda graph, a, b: a or b, (), 2),
}
