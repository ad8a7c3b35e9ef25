"""From a finished run to a shipped checkpoint: the weights, and the card that tells how."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from course_lib.blocks.device import device
from course_lib.train.checkpoints import save_weights
from course_lib.train.history import History

Metrics = Mapping[str, Mapping[str, float]]  # {name: {"value": …, "chance": …, …}}


def ship(
    model: torch.nn.Module,
    recipe: str | os.PathLike,
    history: History | Sequence[History],
    *,
    seed: int,
    batch_size: int,
    data: str,
    metrics: Metrics,
    random: Metrics,
) -> None:
    """Write NAME.safetensors and its card NAME.json beside the script NAME.py, the `recipe`.

    `history` is that of the run, or those of several in their order. `metrics` are the trained
    network's, `random` those of the same network before its training, whose values stand beside.
    The runs' own checkpoints, NAME.run*, are removed at the end. Raises ValueError as
    `save_weights`, for a run that has not ended, and if the two do not measure the same; nothing is
    written or removed then.
    """
    runs = [history] if isinstance(history, History) else history
    for run in runs:
        if len(run) < run.total:
            raise ValueError(
                f"the run made {len(run)} of {run.total} steps: start it again, and it goes on"
            )
    if metrics.keys() != random.keys():
        found = f"{sorted(metrics)} and {sorted(random)}"
        raise ValueError(f"before and after training the same must be measured, not {found}")
    recipe = Path(recipe)
    card = {
        "command": f"python data/checkpoints/{recipe.name}",
        "seed": seed,
        "steps": sum(map(len, runs)),
        "batch_size": batch_size,
        "data": data,
        "hardware": f"{device().type}, {torch.get_num_threads()} thread(s), {platform.machine()}",
        "seconds": round(sum(run.seconds for run in runs)),
        "made": time.strftime("%Y-%m-%d"),
        "metrics": {
            name: {**found, "random_init": random[name]["value"]} for name, found in metrics.items()
        },
    }
    save_weights(model, recipe.with_suffix(".safetensors"), card)
    for checkpoint in recipe.parent.glob(f"{recipe.stem}.run*"):
        checkpoint.unlink()
