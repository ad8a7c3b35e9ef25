"""Token ↔ number: what every tokenizer needs besides its idea.

The checks that turn a slip into a sentence, and the JSON file that a learned tokenizer is kept in,
which is whole or not there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

KEPT = 1 << 16  # words that a tokenizer remembers


class Merge(NamedTuple):
    """One step of learning: the two tokens that were put together, and how often they met."""

    left: str
    right: str
    count: int


def merges(steps: Iterable[Sequence]) -> tuple[Merge, ...]:
    """Steps as a JSON file has them → merges. Raises ValueError for anything else."""
    made = []
    for step in steps:
        match step:
            case (str(left), str(right), int(count)):
                made.append(Merge(left, right, count))
            case _:
                raise ValueError(f"a merge is two tokens and a count, but {step!r} was given")
    return tuple(made)


def numbered(tokens: Sequence[str]) -> dict[str, int]:
    """Tokens → token to id, in their order. Raises ValueError if one is empty or there twice."""
    ids: dict[str, int] = {}
    for token in tokens:
        if not token or token in ids:
            raise ValueError(
                f"every token, special ones too, must be there once and not be empty, "
                f"but {token!r} is {'there twice' if token else 'among them'}"
            )
        ids[token] = len(ids)
    return ids


def id_of(ids: Mapping[str, int], token: str) -> int:
    """The id of a token. Raises ValueError if it has none."""
    if token not in ids:
        raise ValueError(f"one of the {len(ids):,} tokens is expected, but {token!r} was given")
    return ids[token]


def names_of(names: Mapping[int, str], ids: Iterable[int]) -> Iterator[str]:
    """Ids → their tokens. Raises ValueError for an id that is none."""
    for number in ids:
        if int(number) not in names:
            raise ValueError(
                f"ids of the {len(names):,} tokens are expected, but {int(number)} was given"
            )
        yield names[int(number)]


def several(texts: Iterable[str], of_what: str = "texts") -> Iterable[str]:
    """The texts. Raises ValueError for one string, whose letters would pass for texts."""
    if isinstance(texts, str):
        raise ValueError(
            f"several {of_what} are expected, but one string was given: {texts[:40]!r}"
        )
    return texts


def remembered(
    known: dict[str, list[int]], word: str, pieces: Callable[[str], list[int]]
) -> list[int]:
    """The ids of a word: known from before, or made by `pieces`, and known from now on.

    Long words are not kept, and too many words are forgotten all at once.
    """
    if word in known:
        return known[word]
    made = pieces(word)
    if len(word) <= 64:
        if len(known) >= KEPT:
            known.clear()
        known[word] = made
    return made


def write_json(path: str | os.PathLike, content: Mapping[str, Any]) -> None:
    """→ one file, whole or not at all. Raises OSError in one sentence if it cannot be written."""
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        reason = f"{path.name} could not be written ({error.strerror or error})"
        raise OSError(error.errno, f"{reason}; what was there before is whole") from error


def read_json(path: str | os.PathLike, keys: Iterable[str]) -> dict[str, Any]:
    """A file's JSON object. Raises ValueError if it is none, or has not all of the keys."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is expected to be JSON, but: {error}") from None
    if not isinstance(content, dict) or (missing := [key for key in keys if key not in content]):
        has = ", ".join(content) if isinstance(content, dict) else type(content).__name__
        lack = ", ".join(missing) if isinstance(content, dict) else ", ".join(keys)
        raise ValueError(f"{path.name} is expected to have {lack}, but it has only: {has[:200]}")
    return content


def kept(path: str | os.PathLike, kind: str, keys: Sequence[str]) -> dict[str, Any]:
    """What a tokenizer's `save` wrote. Raises ValueError if the file is of another kind."""
    content = read_json(path, ("kind", *keys))
    if content["kind"] != kind:
        raise ValueError(
            f"a {kind} is expected in {Path(path).name}, but it is {content['kind']!r}"
        )
    return content
