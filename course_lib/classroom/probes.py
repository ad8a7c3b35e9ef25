"""What of an exercise goes into the sandbox: its cases or its implementations, never its answer.

Cases are computed here, on the secret seed, and sent as plain data. A test that a student wrote is
tried on implementations: their sources go to a process of their own, which answers calls and
shows nothing else.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from course_lib.classroom import sandbox, wire
from course_lib.exercises import cells, trial
from course_lib.exercises.engine import Exercise


@dataclass(frozen=True)
class Way:
    """One implementation that a student's test is tried on, as source.

    `is_guarded`: its loops are counted, because a mutant may loop for ever. Only the implementer
    sees any of it.
    """

    source: str
    name: str
    imports: str
    is_guarded: bool = False
    is_right: bool = False


@dataclass(frozen=True)
class Probe:
    """What the sandbox must know of one exercise to run an answer to it.

    `signature` has the parameters of the solution and no body, `stub` is what was handed out;
    `argument` is the parameter of a test. A test has `ways`, a function has `cases`.
    """

    name: str
    kind: str
    is_function: bool
    imports: str
    stub: str = ""
    signature: str = ""
    argument: str = ""
    cases: tuple[Mapping[str, Any], ...] = ({},)
    ways: tuple[Way, ...] = ()

    @property
    def results(self) -> int:
        """How many Outputs it gives."""
        return len(self.ways) or len(self.cases)

    def public(self) -> dict[str, Any]:
        """All but the implementations, as data for the wire; each case is a message of its own."""
        kept = {name: value for name, value in vars(self).items() if name not in ("cases", "ways")}
        messages = [np.frombuffer(wire.encode(dict(case)), np.uint8) for case in self.cases]
        return kept | {"cases": [] if self.ways else messages, "ways": len(self.ways)}


def probe_of(exercise: Exercise, seed: int) -> Probe:
    """The probe of an exercise on a seed. Raises ValueError if it cannot be sent."""
    if problem := sendable(exercise, seed):
        raise ValueError(problem)
    common = (exercise.name, exercise.kind, exercise.is_function, exercise.imports)
    if not exercise.is_function:
        return Probe(*common)
    stub = exercise.stub_cell()
    signature = cells.stub_of(exercise.solution, exercise.name)
    if exercise.kind == "test":
        (argument, *_) = inspect.signature(exercise.solution).parameters
        return Probe(*common, stub, signature, argument, (), _ways(exercise, seed))
    return Probe(*common, stub, signature, cases=tuple(exercise.cases_for(seed)))


def _ways(exercise: Exercise, seed: int) -> tuple[Way, ...]:
    """The implementations as sources, in the order of `trial.implementations`."""
    right = [exercise.subject, *(m.answer for m in exercise.also_right)]
    ways = [replace(_way(function, exercise), is_right=True) for function in right]
    ways += [_way(m.answer, exercise) for m in exercise.misconceptions]
    for mutant in trial.mutants_of(exercise):
        if mutant.id not in exercise.equivalent:
            ways.append(Way(mutant.source, mutant.name, mutant.imports, True))
    random.Random(seed).shuffle(ways)  # as the trial does
    tried = trial.implementations(exercise, seed)
    is_guarded = [not (item.is_right or item.misconception) for item in tried]
    if is_guarded != [way.is_guarded for way in ways]:
        raise RuntimeError(f"the implementations of {exercise.name!r} are in another order")
    return tuple(ways)


def _way(function: Callable, exercise: Exercise) -> Way:
    """An implementation with what it uses of its file, so that it stands alone."""
    source = cells.source_as(function, function.__name__)
    known = {*cells.define(source, function.__name__, exercise.imports).__globals__, *dir(builtins)}
    return Way(source, function.__name__, exercise.imports + _needed(function, known))


def _needed(function: Callable, known: set[str]) -> str:
    """Source of the functions, modules and constants that a function uses.

    Of the package only what the sandbox has is imported; what the banks define is written out.
    """
    text = ""
    for name in _globals_of(function.__code__):
        if name in known or name not in function.__globals__:
            continue
        known.add(name)
        value = function.__globals__[name]
        if isinstance(value, ModuleType):
            text += f"\nimport {value.__name__} as {name}"
        elif inspect.isfunction(value) and (
            value.__module__ == function.__module__ or not sandbox.has(value.__module__)
        ):
            text += _needed(value, known) + "\n" + cells.source_as(value, value.__name__)
        elif callable(value):
            text += f"\nfrom {value.__module__} import {value.__name__} as {name}"
        else:
            text += f"\n{name} = {cells.literal(value)}"
    return text


def sendable(exercise: Exercise, seed: int = 0) -> str:
    """Why an exercise cannot be run in the sandbox, in one sentence; "" if it can.

    Cases must be plain data, tensors or random generators, and implementations on trial must stand
    alone: every name that they use comes from the exercise's imports.
    """
    try:
        if exercise.kind == "test":
            for way in _ways(exercise, seed):
                if fault := _fault(way):
                    return f"exercise {exercise.name!r}: {way.name} does not stand alone: {fault}"
            return ""
        for case in exercise.cases_for(seed):
            wire.encode(dict(case))
    except wire.WireError as error:
        return f"exercise {exercise.name!r} cannot be sent: {error}"
    return ""


def _fault(way: Way) -> str:
    """Why an implementation does not stand alone; "" if it does."""
    try:
        imported = re.findall(r"(?m)^\s*(?:from|import) ([\w.]+)", way.imports)
        if outside := [module for module in imported if not sandbox.has(module)]:
            return f"the sandbox has no {outside[0]}"
        function = cells.define(way.source, way.name, way.imports)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    known = {*function.__globals__, *dir(builtins)}
    missing = [name for name in _globals_of(function.__code__) if name not in known]
    return f"it uses `{missing[0]}`, which is not imported" if missing else ""


def _globals_of(code: CodeType) -> list[str]:
    """The global names that a function and those inside it use."""
    inner = [item for item in code.co_consts if isinstance(item, CodeType)]
    own = [step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"]
    return own + [name for item in inner for name in _globals_of(item)]
