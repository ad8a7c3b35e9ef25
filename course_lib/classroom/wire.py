"""The wire: plain data as bytes, between the grader and a process that nobody trusts.

A message is the length of a JSON header, the header, and the raw bytes of its arrays. Reading one
runs nothing of the sender's: it makes numbers, text, lists, tuples, dictionaries, arrays, and, for
the cases of an exercise, tensors and random generators. Whatever else comes is refused in one
sentence, a `WireError`. Messages travel in frames: one letter, a number, a length, the bytes.
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

DEPTH = 24  # of lists in lists; `probe.plain` stops at 12
ITEMS = 500_000  # of everything that is no byte of an array
MEGABYTE = 2**20
KINDS = "biufcU"  # of arrays: truth values, whole numbers, floats, complex numbers, text
GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
UNICODE_END, SURROGATES = 0x110000, (0xD800, 0xDFFF)
HEAD = struct.Struct(">cII")  # of a frame: letter, number, length


class WireError(ValueError):
    """A value that cannot be sent, or bytes that are no message."""


def encode(value: Any) -> bytes:
    """A value as a message. Raises WireError for what the wire does not carry."""
    blobs: list[bytes] = []
    tree = _Packing(blobs).pack(value, DEPTH)
    head = json.dumps(tree, separators=(",", ":")).encode("ascii")
    return b"".join([struct.pack(">I", len(head)), head, *blobs])


def decode(message: bytes, *, only_plain: bool = False) -> Any:
    """The value of a message. `only_plain`: of what `probe.plain` gives. Raises WireError."""
    try:
        (length,) = struct.unpack_from(">I", message)
        head = message[4 : 4 + length]
        if sum(map(head.count, (b",", b"[", b"{"))) > 8 * ITEMS:  # no item needs more
            raise WireError(f"more than {ITEMS:,} items came back")
        tree = json.loads(head.decode("ascii"))
        return _Unpacking(memoryview(message)[4 + length :], only_plain).unpack(tree, DEPTH)
    except WireError:
        raise
    except Exception as error:  # whatever a stranger's bytes may lead to
        raise WireError(f"these bytes are no message: {type(error).__name__}") from None


@dataclass
class _Packing:
    """Turns values into a JSON tree; the bytes of arrays go to `blobs`."""

    blobs: list[bytes]
    items: int = 0
    offset: int = 0

    def pack(self, value: Any, depth: int) -> Any:
        self.items += 1
        if depth == 0 or self.items > ITEMS:
            raise WireError(f"more than {DEPTH} levels or {ITEMS:,} items cannot be sent")
        if value is None or type(value) in (bool, int, float):
            return value
        if type(value) is str:
            return _sound(value)
        if type(value) is list:
            return [self.pack(item, depth - 1) for item in value]
        if type(value) is tuple:
            return {"tuple": [self.pack(item, depth - 1) for item in value]}
        if type(value) is dict:
            pairs = [[self.pack(key, 1), self.pack(item, depth - 1)] for key, item in value.items()]
            return {"dict": pairs}
        if type(value) is complex:
            return {"complex": [value.real, value.imag]}
        return self._pack_numbers(value, depth)

    def _pack_numbers(self, value: Any, depth: int) -> dict:
        if isinstance(value, np.generic) and value.dtype.kind in KINDS:
            return {"scalar": self._store(np.asarray(value))}
        if type(value) is np.ndarray and value.dtype.kind in KINDS:
            return {"array": self._store(value)}
        if type(value) is np.random.Generator:
            return {"generator": self.pack(value.bit_generator.state, depth - 1)}
        torch = sys.modules.get("torch")
        if torch is not None and type(value) is torch.Tensor:
            kept, narrow = value.detach().cpu(), ""
            if kept.dtype == torch.bfloat16:  # NumPy does not know it
                kept, narrow = kept.float(), "bfloat16"
            return {"tensor": [narrow, value.requires_grad, self._store(kept.numpy())]}
        if torch is not None and type(value) is torch.Generator:
            return {"torch_generator": self._store(value.get_state().numpy())}
        raise WireError(f"a {type(value).__name__} cannot be sent; plain data can")

    def _store(self, array: np.ndarray) -> list:
        blob = array.tobytes()
        place = [array.dtype.str, list(array.shape), self.offset, len(blob)]
        self.blobs.append(blob)
        self.offset += len(blob)
        return place


@dataclass
class _Unpacking:
    """Turns a JSON tree back into values, believing nothing that it says."""

    blobs: memoryview
    only_plain: bool
    items: int = 0

    def unpack(self, tree: Any, depth: int) -> Any:
        self.items += 1
        if depth == 0 or self.items > ITEMS:
            raise WireError(f"more than {DEPTH} levels or {ITEMS:,} items came back")
        if tree is None or isinstance(tree, (bool, int, float)):
            return tree
        if isinstance(tree, str):
            return _sound(tree)
        if isinstance(tree, list):
            return [self.unpack(item, depth - 1) for item in tree]
        ((kind, body),) = tree.items()
        if kind == "dict":
            return {self._key(key): self.unpack(item, depth - 1) for key, item in body}
        if kind == "complex":
            return complex(*map(float, body))
        if kind == "array":
            return self._load(body)
        if self.only_plain:
            raise WireError(f"a {kind!r:.20} came back, but plain data is expected")
        return self._unpack_case(kind, body, depth)

    def _key(self, key: Any) -> Any:
        if isinstance(key, str) or (not self.only_plain and isinstance(key, int)):
            return _sound(key) if isinstance(key, str) else key
        raise WireError("the keys of a dictionary must be text")

    def _unpack_case(self, kind: str, body: Any, depth: int) -> Any:
        if kind == "tuple":
            return tuple(self.unpack(item, depth - 1) for item in body)
        if kind == "scalar":
            return self._load(body)[()]
        if kind == "generator":
            state = self.unpack(body, depth - 1)
            if state["bit_generator"] not in GENERATORS:
                raise WireError(f"no generator is called {state['bit_generator']!r:.20}")
            bits = getattr(np.random, state["bit_generator"])()
            bits.state = state
            return np.random.Generator(bits)
        if kind in ("tensor", "torch_generator"):
            return self._unpack_torch(kind, body)
        raise WireError(f"nothing on the wire is called {kind!r:.20}")

    def _unpack_torch(self, kind: str, body: Any) -> Any:
        import torch

        if kind == "torch_generator":
            return torch.Generator().set_state(torch.from_numpy(self._load(body)))
        narrow, needs_gradient, place = body
        tensor = torch.from_numpy(self._load(place))
        tensor = tensor.bfloat16() if narrow == "bfloat16" else tensor
        return tensor.requires_grad_(bool(needs_gradient))

    def _load(self, place: Any) -> np.ndarray:
        name, shape, offset, length = place
        if not isinstance(name, str) or len(name) > 12 or not isinstance(shape, list):
            raise WireError("an array without a type or a shape came back")
        dtype = np.dtype(name)
        whole = all(type(n) is int and n >= 0 for n in (*shape, offset, length))
        if dtype.kind not in KINDS or dtype.hasobject or not whole or len(shape) > 16:
            raise WireError("an array of an unknown type or shape came back")
        if offset + length > len(self.blobs) or math.prod(shape) * dtype.itemsize != length:
            raise WireError("an array came back whose shape does not fit its bytes")
        array = np.frombuffer(bytearray(self.blobs[offset : offset + length]), dtype)
        return _sound_array(array).reshape(shape)


def _sound(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise WireError("text with half a character (a lone surrogate) cannot be sent") from None
    return text


def _sound_array(array: np.ndarray) -> np.ndarray:
    """Refuses bytes that NumPy would choke on later: a truth value of 7, a character of no code."""
    if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise WireError("an array of truth values came back that holds others")
    if array.dtype.kind == "U" and array.dtype.itemsize and array.size:
        codes = array.view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        halves = (codes >= SURROGATES[0]) & (codes <= SURROGATES[1])
        if codes.max() >= UNICODE_END or halves.any():
            raise WireError("an array of text came back that holds no characters")
    return array


def write_all(file: int, content: bytes) -> None:
    """Write every byte to a file descriptor."""
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def read_exactly(file: int, count: int) -> bytes:
    """Read `count` bytes from a file descriptor. Raises EOFError if it ends before."""
    parts = bytearray()
    while len(parts) < count:
        part = os.read(file, min(count - len(parts), MEGABYTE))
        if not part:
            raise EOFError("the other side is gone")
        parts += part
    return bytes(parts)


def write_frame(file: int, letter: bytes, number: int = 0, payload: bytes = b"") -> None:
    """Send one frame."""
    write_all(file, HEAD.pack(letter, number, len(payload)) + payload)


Frame = tuple[bytes, int, bytes]  # letter, number, payload


class Frames:
    """Cuts a stream of bytes, fed as they come, into frames; at most `most` bytes in all."""

    def __init__(self, most: int) -> None:
        self._rest, self._left, self._most = bytearray(), most, most

    def feed(self, content: bytes) -> Iterator[Frame]:
        """The frames that `content` completes. Raises WireError if they grow too large."""
        self._left -= len(content)
        if self._left < 0:
            raise WireError(f"more than {self._most // MEGABYTE} MB came back")
        self._rest += content
        while len(self._rest) >= HEAD.size:
            letter, number, length = HEAD.unpack_from(self._rest)
            if length > self._most:
                raise WireError(f"more than {self._most // MEGABYTE} MB came back")
            end = HEAD.size + length
            if len(self._rest) < end:
                return
            yield letter, number, bytes(self._rest[HEAD.size : end])
            del self._rest[:end]
