"""Weights in a folder, one tensor at a time: a safetensors file, or several with an index.

A safetensors file is a list of names, types and places, and then plain numbers, which the system
maps into memory as they are asked for. A pickle is a program, which runs when it is opened: none
is read here, nor is any other format.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import torch

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"  # says which of several files holds which tensor
OTHER = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")


class RefusedError(ValueError):
    """Files that may not be read, or are not what they should be: one sentence."""


def chosen(names: Collection[str], where: str) -> str:
    """Names of files in `where` → the one to read: the index, or the only file of weights.

    Raises RefusedError if there is no safetensors file, or one cannot tell which.
    """
    found = sorted(name for name in names if name.endswith(".safetensors") and "/" not in name)
    for name in (INDEX, WHOLE, *(found if len(found) == 1 else ())):
        if name in names:
            return name
    if found:
        raise RefusedError(
            f"one {WHOLE} or an index is expected in {where}, but there are {', '.join(found)}"
        )
    if others := sorted(name for name in names if name.endswith(OTHER)):
        raise RefusedError(
            f"{where} has its weights only as {', '.join(others)}, which are never opened here: "
            "unlike safetensors, a pickle runs whatever program its author put in it"
        )
    raise RefusedError(f"a file {WHOLE} is expected in {where}, but it has no weights at all")


def parts(index: Path) -> dict[str, list[str]]:
    """An index → {file beside it: names of its tensors}.

    Raises RefusedError if it cannot be read, or names a file that is elsewhere.
    """
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = {name: [] for name in sorted(set(places.values()))}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RefusedError(f"{index.name} is no index of safetensors files") from None
    for tensor, name in places.items():
        if not isinstance(name, str) or set(name) & set("/\\:\0") or not name[:1].isalnum():
            raise RefusedError(
                f"{index.name} may only name files beside it, but it puts {tensor} in {name!r}"
            )
        if not name.endswith(".safetensors"):
            raise RefusedError(f"{index.name} may only name safetensors files, not {name!r}")
        files[name].append(tensor)
    return files


def weight_files(folder: Path) -> dict[str, list[str] | None]:
    """A folder → {file of weights: names of its tensors by the index, or None without an index}.

    The files of an index need not be there. Raises RefusedError as `chosen` and `parts`.
    """
    first = chosen(os.listdir(folder), str(folder))
    return dict(parts(folder / INDEX)) if first == INDEX else {first: None}


class Tensors(Mapping[str, torch.Tensor]):
    """The tensors of a folder by name, each read when it is asked for, and not kept.

    Without `dtype` a tensor is a view of the mapped file (what one writes into it stays in memory);
    with it, floating-point tensors are converted, and their piece of the file is let go.
    """

    def __init__(self, folder: Path, dtype: torch.dtype | None = None) -> None:
        """Raises RefusedError for files that are cut, do not fit the index, or are of OTHER kinds.

        FileNotFoundError for a file that the index names, but that is not there.
        """
        if dtype is not None and not dtype.is_floating_point:
            raise ValueError(f"dtype must be a floating-point type or None, not {dtype}")
        self.dtype = dtype
        self._files: dict[str, Path] = {}
        for file, expected in weight_files(folder).items():
            names = _names(folder / file)
            if expected is not None and set(names) != set(expected):
                odd = sorted(set(names) ^ set(expected))
                raise RefusedError(
                    f"{file} and the index must name the same tensors, but only one names {odd[0]}"
                )
            self._files |= dict.fromkeys(names, folder / file)

    def __getitem__(self, name: str) -> torch.Tensor:
        from safetensors import safe_open

        # Opened for each tensor: a mapping that stays would keep all that was ever read of it.
        with safe_open(self._files[name], framework="pt") as file:
            tensor = file.get_tensor(name)
        return tensor.to(self.dtype) if self.dtype and tensor.is_floating_point() else tensor

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _names(path: Path) -> list[str]:
    """The tensors of a file, which its header describes to the last byte."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except SafetensorError as error:
        raise RefusedError(f"{path.name} is no whole safetensors file ({error})") from None
