"""Published weights into our models: a table of names, and nothing left over on either side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

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
    lists patterns of names that have no home here. A model that is on the meta device, or was built
    in `unfilled`, takes their tensors themselves, with their dtype, instead of a copy.

    Raises one ValueError that lists every name of theirs without a home, every name of ours left
    empty or filled twice, and every shape that differs; the model is then untouched.
    """
    ours = model.state_dict()
    takes = any(tensor.is_meta for tensor in ours.values())
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
        ("on the meta device, where nothing can fill them", _lost_buffers(model, ours)),
    ):
        faults[fault] = names
    if any(faults.values()):
        listed = "; ".join(f"{fault}: {_some(names)}" for fault, names in faults.items() if names)
        raise ValueError(f"these weights do not fit {type(model).__name__}: {listed}")
    shared = _shared(model) if takes else []
    model.load_state_dict(filled, assign=takes)
    for first, *others in shared:
        for name in others:
            where, _, last = name.rpartition(".")
            setattr(model.get_submodule(where), last, model.get_parameter(first))
    return model


@contextmanager
def unfilled() -> Iterator[None]:
    """Modules built inside have parameters of a shape without memory, for `load_reference` to fill.

    Unlike `torch.device("meta")` it leaves buffers real, for a constructor computes many of them.
    """

    def emptied(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter | None:
        if parameter.is_meta or module._parameters.get(name) is not None:
            return None  # shared with another module, or being filled
        return nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)

    hook = register_module_parameter_registration_hook(emptied)
    try:
        yield
    finally:
        hook.remove()


def check_filled(model: nn.Module) -> None:
    """Raise ValueError that lists what is left without memory: parameters and buffers."""
    tensors = (*model.named_parameters(), *model.named_buffers())
    if empty := [name for name, tensor in tensors if tensor.is_meta]:
        raise ValueError(
            f"every tensor of {type(model).__name__} must be filled, but these are on the meta "
            f"device: {_some(empty)}"
        )


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


def _lost_buffers(model: nn.Module, ours: Mapping[str, torch.Tensor]) -> list[str]:
    """Buffers that are in no file, and whose values the constructor computed on the meta device."""
    return [name for name, buffer in model.named_buffers() if buffer.is_meta and name not in ours]


def _shared(model: nn.Module) -> list[list[str]]:
    """The names of each parameter that has several; taking tensors would part them."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [same for same in names.values() if len(same) > 1]


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(r"\*", r"([^.]+)"))


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest
