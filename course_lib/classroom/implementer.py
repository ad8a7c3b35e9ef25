"""The implementer: answers the calls of a student's test, and shows nothing else.

A test is tried on right and wrong implementations. They live in a process of their own, outside
the student's room, that has never seen the student's code; only arguments and results pass. The
warden says whose turn it is: an implementation that has been judged cannot be called again, and
none can be called before its turn. So a test learns of an implementation what calling it shows.
"""

from __future__ import annotations

import builtins
import os
import signal
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from course_lib.classroom import wire
from course_lib.exercises.cells import define
from course_lib.exercises.mutants import Mutant
from course_lib.exercises.probe import quiet

TURN = struct.Struct(">I")
CALL_SECONDS = 5
MOST = 16 * wire.MEGABYTE  # of one call's arguments or results


class Distant:
    """An implementation that is elsewhere: called like a function; what it changes is changed."""

    def __init__(self, line: int, number: int, name: str) -> None:
        self.__line, self.__number = line, number
        self.__name__ = self.__qualname__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            call = wire.encode((args, kwargs))
        except wire.WireError as error:
            text = f"an implementation takes numbers, text, arrays and lists; {error}"
            raise TypeError(text) from None
        wire.write_frame(self.__line, b"A", self.__number, call)
        letter, _, payload = receive(self.__line)
        reply = wire.decode(payload)
        if letter == b"R":
            kind = getattr(builtins, reply[0], RuntimeError)
            raise kind(reply[1])
        value, aliases, changes = reply
        given = mutables((args, kwargs))
        for item, change in zip(given, changes, strict=True):
            if change is not None:
                _overwrite(item, change)
        return _with_aliases(value, {tuple(path): given[i] for path, i in aliases})


def mutables(tree: Any) -> list[Any]:
    """All in nested arguments that a function can write into, in an order that both sides share."""
    if isinstance(tree, (np.ndarray, np.random.Generator)):
        return [tree]
    if isinstance(tree, (list, dict, tuple)):
        items = tree.values() if isinstance(tree, dict) else tree
        own = [] if isinstance(tree, tuple) else [tree]
        return own + [found for item in items for found in mutables(item)]
    return []


def aliases_in(tree: Any, given: Sequence[Any], path: tuple = ()) -> list[tuple[tuple, int]]:
    """Where a result holds the very objects that were given: (path in it, number of the object)."""
    for number, item in enumerate(given):
        if item is tree:
            return [(path, number)]
    if isinstance(tree, (list, tuple, dict)):
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return [found for key, item in pairs for found in aliases_in(item, given, (*path, key))]
    return []


def _with_aliases(tree: Any, same: Mapping[tuple, Any], path: tuple = ()) -> Any:
    """The result with the caller's own objects in their places."""
    if path in same:
        return same[path]
    if isinstance(tree, (list, tuple)):
        return type(tree)(_with_aliases(item, same, (*path, i)) for i, item in enumerate(tree))
    if isinstance(tree, dict):
        return {key: _with_aliases(item, same, (*path, key)) for key, item in tree.items()}
    return tree


def _overwrite(given: Any, then: Any) -> None:
    """Make an argument what the implementation made of it."""
    if isinstance(given, np.ndarray):
        given[...] = then
    elif isinstance(given, list):
        given[:] = then
    elif isinstance(given, dict):
        given.clear()
        given.update(then)
    else:
        given.bit_generator.state = then.bit_generator.state


def _shallow(item: Any) -> Any:
    """Enough of a thing to tell later whether it was written into."""
    if isinstance(item, np.ndarray):
        return item.tobytes()
    if isinstance(item, np.random.Generator):
        return repr(item.bit_generator.state)
    return [(key, id(value)) for key, value in _entries(item)]


def _entries(item: list | dict) -> Iterable[tuple[Any, Any]]:
    return item.items() if isinstance(item, dict) else enumerate(item)


def receive(line: int) -> wire.Frame:
    """One whole frame from a file descriptor. Raises EOFError or WireError."""
    letter, number, length = wire.HEAD.unpack(wire.read_exactly(line, wire.HEAD.size))
    if length > MOST:
        raise wire.WireError(f"at most {MOST // wire.MEGABYTE} MB can be sent to an implementation")
    return letter, number, wire.read_exactly(line, length)


class Implementer:
    """Serves calls on `line`; whose turn it is comes on `turns`."""

    def __init__(self, ways: Sequence[Mapping[str, Any]], line: int, turns: int) -> None:
        self.ways, self.line, self.turns = ways, line, turns
        self.turn = -1

    def serve(self) -> None:
        """Until the other side closes, or sends what is no call."""
        signal.signal(signal.SIGALRM, _too_long)
        while True:
            try:
                _, number, payload = receive(self.line)
                while self.turn < number:
                    (self.turn,) = TURN.unpack(wire.read_exactly(self.turns, TURN.size))
                if self.turn != number:
                    return
                wire.write_frame(self.line, *self._reply(number, payload))
            except (EOFError, OSError, wire.WireError):
                return

    def _reply(self, number: int, payload: bytes) -> tuple[bytes, int, bytes]:
        args, kwargs = wire.decode(payload)
        signal.alarm(CALL_SECONDS)
        try:
            given = mutables((args, kwargs))
            before = [_shallow(item) for item in given]
            with quiet():
                value = self._function(number)(*args, **kwargs)
            then = [_shallow(item) for item in given]
            pairs = zip(given, before, then, strict=True)
            changes = [None if old == new else item for item, old, new in pairs]
            reply = (value, aliases_in(value, given), changes)
            return b"V", number, wire.encode(reply)
        except Exception as error:
            return b"R", number, wire.encode([_builtin(error), str(error)[:200]])
        finally:
            signal.alarm(0)

    @lru_cache(maxsize=2)  # noqa: B019  the process has one implementer and ends with it
    def _function(self, number: int) -> Any:
        way = self.ways[number]
        if way["is_guarded"]:
            return Mutant("", "", "", way["source"], way["name"], way["imports"]).function
        return define(way["source"], way["name"], way["imports"])


def _builtin(error: BaseException) -> str:
    """The nearest kind of error that every process knows."""
    return next(kind.__name__ for kind in type(error).__mro__ if hasattr(builtins, kind.__name__))


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"an implementation took more than {CALL_SECONDS} s")


def open_turn(turns: int, number: int) -> None:
    """The warden's side: it is the turn of this implementation."""
    os.write(turns, TURN.pack(number))
