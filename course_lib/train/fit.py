"""One training loop for every paper: the paper says what a step is, the loop does the rest.

    history = fit(model, minibatches(images, batch_size=256), 500, train_step=train_step)

A paper gives `train_step(model, batch, progress) -> {"loss": scalar tensor, more scalars …}` and,
where something moves beside the gradient (a teacher, a centre, a queue), `after_step(model,
progress)`. `progress` is step / steps, from 0 to below 1.

**The same step is the same everywhere.** `batches(step, generator)` makes a batch from these two
alone, and before each step torch's random numbers are set from (seed, step) too. So a run that was
killed goes on bit for bit, whatever a watcher draws in between, and a failed step can be made anew.
NumPy's and Python's own random numbers are not set: draw from the generator.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from course_lib.blocks.gather import mean_across, rank
from course_lib.blocks.schedule import warmup_cosine
from course_lib.train import checkpoints
from course_lib.train.distributed import average_gradients, same_start, shard
from course_lib.train.history import History
from course_lib.train.minibatches import Batches, batch_size, moved, step_seed
from course_lib.train.terminal import progress_bar, stop_pressed

TrainStep = Callable[[nn.Module, Any, float], Mapping[str, Any]]
AfterStep = Callable[[nn.Module, float], None]
Watch = Callable[[int, Mapping[str, float], History], None]
Place = str | os.PathLike | None  # of a checkpoint
Precision = Literal["auto", "float32", "bfloat16"]

AdamW = partial(torch.optim.AdamW, fused=True)  # one kernel for all parameters


class NonFiniteLossError(FloatingPointError):
    """A loss or gradient that is NaN or infinite: the step, and the seed that makes its batch."""


def autocast_type(device: torch.device, precision: Precision = "auto") -> torch.dtype | None:
    """The type of matrix products: bfloat16, or None for float32 throughout.

    "auto" takes bfloat16 where the hardware multiplies it: CUDA from Ampere on, CPUs with
    AVX512-BF16 or AMX. MPS stays in float32, where nobody has measured a gain for these models.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        need = '"auto", "float32" or "bfloat16"'
        raise ValueError(f"the precision must be {need}, but {precision!r} was given")
    if precision == "auto":
        if device.type == "cuda":
            has = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            can = torch.cpu.get_capabilities() if device.type == "cpu" else {}
            has = can.get("avx512_bf16", False) or can.get("amx_bf16", False)
        precision = "bfloat16" if has else "float32"
    return torch.bfloat16 if precision == "bfloat16" else None


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters, those of 2-D and more with weight decay, biases and gains without.

    Raises ValueError if there are none.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise ValueError(f"{type(model).__name__} has no parameter to train; a model is expected")
    matrices, vectors = [p for p in trained if p.ndim >= 2], [p for p in trained if p.ndim < 2]
    groups = [(matrices, weight_decay), (vectors, 0.0)]
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]


def fit(
    model: nn.Module,
    batches: Batches,
    steps: int,
    *,
    train_step: TrainStep,
    after_step: AfterStep | None = None,
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    warmup: int = 0,
    clip: float | None = 1.0,
    optimizer: Callable[..., torch.optim.Optimizer] = AdamW,
    precision: Precision = "auto",
    seed: int = 0,
    stop: int | None = None,
    checkpoint: Place = None,
    every: int = 100,
    watch: Watch | Sequence[Watch] = (),
) -> History:
    """Train `model` in place for `steps` steps → History.

    The rate warms up over `warmup` steps to `lr` and falls to 0 by a cosine. `weight_decay` acts as
    in `decay_groups`; the gradient's norm is cut to `clip`; `optimizer(groups, lr=lr)` makes the
    optimiser; `precision` see `autocast_type`. Batches are moved to the model's device. With `stop`
    only so many steps are made, at the rates of a run of `steps`.

    With `checkpoint` (NAME.safetensors) the run is kept every `every` steps and at its end, and the
    same call goes on from there. `watch(step, scalars, history)` is called after each step, and
    once more if the run fails or was complete before. Ctrl-C, or the notebook's ■, ends the run
    after the step that it is in and loses nothing; pressed twice it ends at once, maybe in the
    middle of an update.

    Raises NonFiniteLossError (the model is as it was before that step), ValueError in one
    sentence, OSError if a checkpoint cannot be written.
    """
    total = steps if stop is None else stop
    if not (steps >= total >= 1 and 0 <= warmup < steps and every >= 1 and lr > 0):
        need = "steps ≥ stop ≥ 1, 0 ≤ warmup < steps, every ≥ 1 and lr > 0"
        raise ValueError(f"fit needs {need}, but got {steps}, {warmup}, {every} and {lr}")
    recipe = {"steps": steps, "lr": lr, "weight_decay": weight_decay, "warmup": warmup,
              "clip": clip, "seed": seed}  # fmt: skip
    watchers = (watch,) if callable(watch) else tuple(watch)
    made = optimizer(decay_groups(model, weight_decay), lr=lr)
    run = _Run(model, made, train_step, after_step, watchers, recipe, precision, total)
    run.start(checkpoint)
    try:
        with run.kept_apart():
            run.to_the_end(batches, checkpoint, every)
    except (KeyboardInterrupt, NonFiniteLossError) as error:
        run.history.interrupted = True
        run.tell()
        if isinstance(error, NonFiniteLossError):
            raise
    return run.history


@dataclass
class _Run:
    """A model on its way: what `fit` was given, and where it is."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    train_step: TrainStep
    after_step: AfterStep | None
    watchers: tuple[Watch, ...]
    recipe: dict[str, Any]
    precision: Precision
    total: int  # steps that are made

    def __post_init__(self) -> None:
        self.parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        self.device = self.parameters[0].device
        self.autocast = autocast_type(self.device, self.precision)
        self.history = History(self.total)
        self.recipe |= {"optimizer": type(self.optimizer).__name__, "autocast": str(self.autocast)}

    def to_the_end(self, batches: Batches, checkpoint: Place, every: int) -> None:
        """The steps that are left, or those until somebody stops them."""
        first, steps = len(self.history), self.total
        if first >= steps:
            self.tell()
        with progress_bar(steps, first) as bar, stop_pressed() as stopped:
            for step in range(first, steps):
                self.step(step, batches)
                done, stop = step + 1, stopped()
                self.history.interrupted = stop and done < steps
                if checkpoint is not None and (done % every == 0 or done == steps or stop):
                    self.save(checkpoint)
                bar(self.history.last())
                self.tell()
                if stop:
                    break

    def step(self, step: int, batches: Batches) -> None:
        """One step of the recipe. All that is random in it comes from (seed, step)."""
        began, recipe = time.perf_counter(), self.recipe
        progress = step / recipe["steps"]
        rate = warmup_cosine(progress, recipe["lr"], warmup=recipe["warmup"] / recipe["steps"])
        for group in self.optimizer.param_groups:
            group["lr"] = rate

        batch = batches(step, torch.Generator().manual_seed(step_seed(recipe["seed"], step)))
        size = batch_size(batch)
        torch.manual_seed(step_seed(recipe["seed"], step, 1 + rank()))
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
            out = self.train_step(self.model, moved(shard(batch), self.device), progress)
        names, values = _scalars(out)
        self.optimizer.zero_grad()
        values[0].backward()
        average_gradients(self.parameters)
        norm = nn.utils.clip_grad_norm_(self.parameters, recipe["clip"] or math.inf)
        # One wait for the device a step: all that is measured is fetched together.
        fetched = torch.stack([*(value.detach() for value in values), norm.float()])
        *values, norm = mean_across(fetched).tolist()
        if not (math.isfinite(values[0]) and math.isfinite(norm)):
            for buffer, before in buffers:  # a forward pass has moved them: BatchNorm's statistics
                buffer.copy_(before)
            raise NonFiniteLossError(_news(step, values[0], norm, recipe["seed"]))
        self.optimizer.step()
        if self.after_step is not None:
            self.after_step(self.model, progress)

        seconds = time.perf_counter() - began
        measured = {"lr": rate, "grad_norm": norm, "images_per_second": size / seconds}
        self.history.append(dict(zip(names, values, strict=True)) | measured)
        self.history.seconds += seconds

    def tell(self) -> None:
        """Show the watchers the newest step, if there is one."""
        for look in self.watchers if len(self.history) else ():
            look(len(self.history) - 1, self.history.last(), self.history)

    def start(self, checkpoint: Place) -> None:
        """From the checkpoint, if there is one; every rank with the weights of rank 0."""
        same_start(self.model)
        state = None if checkpoint is None else checkpoints.load(checkpoint)
        if state is None:
            return
        name = Path(checkpoint).name
        if other := [k for k, v in self.recipe.items() if state["recipe"].get(k) != v]:
            was, asked = ({k: r.get(k) for k in other} for r in (state["recipe"], self.recipe))
            raise ValueError(
                f"{name} was made with {was}, but {asked} was asked for; "
                "remove it, or give another name"
            )
        checkpoints.put_weights(self.model, state["model"], name)
        self.optimizer.load_state_dict(state["optimizer"])
        scalars = {key: values.tolist() for key, values in state["scalars"].items()}
        self.history = History(self.total, scalars, state["seconds"])

    def save(self, checkpoint: str | os.PathLike) -> None:
        """All that `start` needs; rank 0 alone writes, for all ranks have the same."""
        if rank() == 0:
            scalars = {name: torch.from_numpy(self.history[name]) for name in self.history.scalars}
            state = {"recipe": self.recipe, "model": self.model.state_dict(),
                     "optimizer": self.optimizer.state_dict(), "scalars": scalars,
                     "seconds": self.history.seconds}  # fmt: skip
            checkpoints.save(checkpoint, state)

    @contextmanager
    def kept_apart(self) -> Iterator[None]:
        """In training mode, and with torch's random numbers as they were afterwards."""
        was_training = self.model.training
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            try:
                self.model.train()
                yield
            finally:
                self.model.train(was_training)
                self.optimizer.zero_grad()


def _scalars(out: Any) -> tuple[list[str], list[torch.Tensor]]:
    """What train_step returned → names and float32 scalars, the loss first; or what is wrong."""
    if not isinstance(out, Mapping) or "loss" not in out:
        got = f"only {', '.join(out) or 'nothing'}" if isinstance(out, Mapping) else repr(type(out))
        raise ValueError(f'train_step must return a dict with "loss", but it returned {got}')
    loss = out["loss"]
    if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
        raise ValueError("the loss must be a tensor that depends on the model, but it does not")
    for name, value in out.items():
        if getattr(value, "ndim", 0):
            raise ValueError(f"{name} must be a scalar, but it has shape {tuple(value.shape)}")
    names = ["loss", *(name for name in out if name != "loss")]
    device = loss.device
    return names, [torch.as_tensor(out[name], device=device).float() for name in names]


def _news(step: int, loss: float, norm: float, seed: int) -> str:
    what = f"the gradient's norm is {norm}" if math.isfinite(loss) else f"the loss is {loss}"
    made = f"torch.Generator().manual_seed({step_seed(seed, step)})"
    return (
        f"{what} at step {step}, whose batch is batches({step}, {made}); "
        "the model is as it was before this step"
    )
