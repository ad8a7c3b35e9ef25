"""Checkpoints that are whole or not there, in safetensors and JSON: reading one runs no code.

`save` and `load` keep the state of a run, so that it goes on after a kill exactly as if nothing had
happened; `save_weights` and `load_weights` keep what a run has learned, with a card that says how.

A file is written beside its place and moved there, and the one before is kept as
NAME.previous.safetensors. A SHA-256 over all it holds tells a damaged file from a whole one.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

LIMIT = 8_000_000  # bytes of a checkpoint that the repository holds
CARD = ("command", "seed", "steps", "data", "hardware", "seconds", "metrics")
BESIDE = ("value", "chance", "random_init")  # what each metric of a card stands beside


class DamagedCheckpointError(ValueError):
    """A checkpoint that cannot be used: which file, and why."""


def save(path: str | os.PathLike, state: Mapping[str, Any]) -> None:
    """A state (dicts, lists, tensors, numbers, text, None) → one file, whole or not at all.

    Raises TypeError for anything else in it, and OSError in one sentence if it cannot be written;
    the checkpoint that was there stays whole then.
    """
    path, tensors = _named(path), {}
    shape = json.dumps(_take_apart(state, tensors, ""))
    data = to_bytes(tensors, {"state": shape, "sha256": _digest(shape, tensors)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(_part(path), data)
        if path.exists():
            os.replace(path, previous(path))
        os.replace(_part(path), path)
    except OSError as error:
        _part(path).unlink(missing_ok=True)
        raise _failed(path, error) from error


def load(path: str | os.PathLike) -> dict[str, Any] | None:
    """What `save` was given, tensors on the CPU, tuples as lists; None if nothing was saved.

    If the file is damaged or missing, the one before it, with a warning in one sentence. Raises
    DamagedCheckpointError if neither can be used.
    """
    path = _named(path)
    problems = []
    for candidate in (path, previous(path)):
        if candidate.exists():
            try:
                state = _read(candidate)
            except DamagedCheckpointError as error:
                problems.append(str(error))
                continue
            if problems:
                warnings.warn(f"{problems[0]}; going on from {candidate.name}", stacklevel=2)
            return state
    if problems:
        raise DamagedCheckpointError("; ".join(problems))
    return None


def previous(path: Path) -> Path:
    """run.safetensors → run.previous.safetensors, the checkpoint before it."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save_weights(model: torch.nn.Module, path: str | os.PathLike, card: Mapping[str, Any]) -> None:
    """A model's state → `path` (.safetensors, at most 8 MB) and its card beside it (.json).

    The card says how it came about: the keys of `CARD`; each of its metrics is a dict with a value
    and those of `chance` and `random_init` beside it. Raises ValueError if something is missing.
    """
    path = _named(path)
    _check_card(card)
    data = to_bytes({name: _apart(tensor) for name, tensor in model.state_dict().items()})
    if len(data) > LIMIT:
        size, most = len(data) / 1e6, LIMIT / 1e6
        raise ValueError(
            f"{path.name} would have {size:.1f} MB, but at most {most:.0f} are allowed"
        )
    text = json.dumps({**card, "sha256": hashlib.sha256(data).hexdigest()}, indent=2) + "\n"
    files = {path: data, path.with_suffix(".json"): text.encode()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            _write(_part(file), content)
        for file in files:
            os.replace(_part(file), file)
    except OSError as error:
        for file in files:
            _part(file).unlink(missing_ok=True)
        raise _failed(path, error) from error


def load_weights(model: torch.nn.Module, path: str | os.PathLike, part: str = "") -> dict[str, Any]:
    """Put the weights of `save_weights` into `model`, all of them or none → the card.

    part: `model` is one part of what was saved, named "vision." or so in the file, or a piece of
    that part; the file's other weights are not used.

    Raises FileNotFoundError, DamagedCheckpointError if the file is not the one of its card, and
    ValueError that lists both sides if a name, shape or type differs from the model's.
    """
    path = _named(path)
    beside = path.with_suffix(".json")
    for file in (path, beside):
        if not file.exists():
            raise FileNotFoundError(f"there is no file {str(file)!r}, but weights need a card")
    try:
        card = json.loads(beside.read_bytes())
    except ValueError:
        raise DamagedCheckpointError(f"{beside.name} is no JSON: it is damaged") from None
    if hashlib.sha256(path.read_bytes()).hexdigest() != card.get("sha256"):
        raise DamagedCheckpointError(
            f"{path.name} is not the file that its card {beside.name} names: their SHA-256 differ"
        )
    with safe_open(path, "pt") as file:
        names = [name for name in file.keys() if name.startswith(part)]  # noqa: SIM118
        weights = {name[len(part) :]: file.get_tensor(name) for name in names}
    if part:
        wanted = model.state_dict().keys()
        weights = {name: tensor for name, tensor in weights.items() if name in wanted}
    put_weights(model, weights, path.name)
    return card


def put_weights(model: torch.nn.Module, weights: Mapping[str, torch.Tensor], source: str) -> None:
    """Copy `weights` into `model` if names, shapes and types are the same, else change nothing."""
    ours, theirs = (
        {
            name: f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}"
            for name, t in side.items()
        }
        for side in (model.state_dict(), weights)
    )
    if ours != theirs:
        only_ours, only_theirs = (
            ", ".join(
                f"{name} {what}" for name, what in sorted(mine.items()) if other.get(name) != what
            )
            for mine, other in ((ours, theirs), (theirs, ours))
        )
        raise ValueError(
            f"{source} does not fit the model: only the model has {only_ours or 'nothing'}; "
            f"only the file has {only_theirs or 'nothing'}"
        )
    model.load_state_dict(weights)


def _take_apart(tree: Any, tensors: dict[str, torch.Tensor], name: str) -> Any:
    """Plain JSON of the same shape; tensors move to `tensors` and leave their name."""
    if isinstance(tree, torch.Tensor):
        tensors[name] = _apart(tree)
        return {"tensor": name}
    if isinstance(tree, Mapping):  # as pairs: JSON would turn the optimiser's numbers into text
        pairs = [(key, _take_apart(part, tensors, f"{name}/{key}")) for key, part in tree.items()]
        return {"pairs": pairs}
    if isinstance(tree, (list, tuple)):
        return [_take_apart(part, tensors, f"{name}/{i}") for i, part in enumerate(tree)]
    if tree is None or type(tree) in (bool, int, float, str):
        return tree
    got = f"{name[1:]} is a {type(tree).__name__}"
    raise TypeError(f"a checkpoint holds tensors, numbers and text, but {got}")


def _put_together(tree: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(tree, list):
        return [_put_together(part, tensors) for part in tree]
    if isinstance(tree, dict):
        if "tensor" in tree:
            return tensors[tree["tensor"]]
        return {key: _put_together(part, tensors) for key, part in tree["pairs"]}
    return tree


def _read(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DamagedCheckpointError(f"{path.name} cannot be read ({error})") from None
    if "state" not in notes or notes.get("sha256") != _digest(notes["state"], tensors):
        raise DamagedCheckpointError(f"{path.name} is damaged: its SHA-256 is not the one it names")
    return _put_together(json.loads(notes["state"]), tensors)


def _digest(shape: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of all that a checkpoint holds: safetensors sees a cut, but not a flipped bit."""
    digest = hashlib.sha256(shape.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _apart(tensor: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU that shares memory with nobody: tied weights are written twice."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _named(path: str | os.PathLike) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"a checkpoint is named NAME.safetensors, but {path.name!r} was given")
    return path


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _write(path: Path, data: bytes) -> None:
    """Write, and wait until the disk has it."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _failed(path: Path, error: OSError) -> OSError:
    reason = f"{path.name} could not be written ({error.strerror or error})"
    return OSError(error.errno, f"{reason}; what was there before is whole")


def _check_card(card: Mapping[str, Any]) -> None:
    if missing := [key for key in CARD if key not in card]:
        raise ValueError(f"the card must also say: {', '.join(missing)}")
    for name, metric in card["metrics"].items():
        if not isinstance(metric, Mapping) or set(BESIDE) - metric.keys():
            raise ValueError(
                f"the metric {name} must be a dict of {', '.join(BESIDE)}, not {metric!r}"
            )
