"""Published weights into our models: a table of names, and nothing left over on either side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)
SHOWN = 8  # names listed of each kind of fault; a wholly wrong file has hundreds


def load_reference(
    model: Module,
    state_dict: Mapping[str, torch.Tensor],
    table: Mapping[str, str | tuple[str, ...]],
    ignored: Sequence[str] = (),
) -> Module:
    """Copy a reference's weights into `model` and return it. Strict on both sides.

    `table` says what each of their names is called here: {"blocks.*.ln.*": "blocks.*.norm.*"}. A
    star is one step of a name, or part of one, without a dot; the stars on the right stand for
    those on the left in order; the first line that fits counts. A tuple on the right shares out a
    tensor in equal parts along its first dimension (a packed qkv → query, key, value). `ignored`
    lists patterns of names that have no home here.

    Raises one ValueError that lists every name of theirs without a home, every name of ours left
    empty or filled twice, and every shape that differs; the model is then untouched.
    """
    ours = model.state_dict()
    filled, faults = rename(state_dict, table, ignored)
    for fault, names in (
        ("in the model, but not filled", [name for name in ours if name not in filled]),
        ("filled, but not in the model", [name for name in filled if name not in ours]),
        (
            "of another shape",
            [
                f"{name} {tuple(filled[name].shape)}, here {tuple(ours[name].shape)}"
                for name in ours
                if name in filled and filled[name].shape != ours[name].shape
            ],
        ),
    ):
        faults[fault] = names
    if any(faults.values()):
        listed = "; ".join(f"{fault}: {_some(names)}" for fault, names in faults.items() if names)
        raise ValueError(f"these weights do not fit {type(model).__name__}: {listed}")
    model.load_state_dict(filled)
    return model


def rename(
    state_dict: Mapping[str, torch.Tensor],
    table: Mapping[str, str | tuple[str, ...]],
    ignored: Sequence[str] = (),
) -> tuple[dict[str, torch.Tensor], dict[str, list[str]]]:
    """Their weights under our names, and the names at fault: {"what is wrong": [names]}."""
    patterns = [(_pattern(theirs), ours) for theirs, ours in table.items()]
    skip = [_pattern(name) for name in ignored]
    renamed: dict[str, torch.Tensor] = {}
    unknown, uneven, twice = [], [], []
    for name, tensor in state_dict.items():
        found = ((p.fullmatch(name), ours) for p, ours in patterns)
        match, targets = next(((m, ours) for m, ours in found if m), (None, ()))
        if match is None:
            if not any(pattern.fullmatch(name) for pattern in skip):
                unknown.append(name)
            continue
        targets = (targets,) if isinstance(targets, str) else targets
        if len(targets) > 1 and len(tensor) % len(targets):
            uneven.append(f"{name} {tuple(tensor.shape)}")
            continue
        parts = tensor.chunk(len(targets)) if len(targets) > 1 else [tensor]
        for target, part in zip(targets, parts, strict=True):
            stars = iter(match.groups())
            target = re.sub(r"\*", lambda _, stars=stars: next(stars), target)
            if target in renamed:
                twice.append(target)
            renamed[target] = part
    faults = {"theirs, without a home here": unknown, "not to be split evenly": uneven}
    return renamed, {**faults, "filled twice": twice}


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(r"\*", r"([^.]+)"))


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest
