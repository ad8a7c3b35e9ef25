"""What a long run owes the person who waits for it: a bar, and a way to stop that loses nothing."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from course_lib.blocks.gather import rank


@contextmanager
def stop_pressed() -> Iterator[Callable[[], bool]]:
    """→ a function: was Ctrl-C or ■ pressed? The first press waits for the step, the second not."""
    presses = []

    def press(number: int, frame: Any) -> None:
        presses.append(number)
        if len(presses) > 1:
            raise KeyboardInterrupt

    # Only where Python's own handler stands, and in the one thread that may set it.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours := ours and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(presses)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def progress_bar(steps: int, done: int) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """A progress bar in a terminal, nothing elsewhere: a notebook has its picture of the loss."""
    shown = sys.stderr.isatty() and rank() == 0
    with tqdm(total=steps, initial=done, unit="step", disable=not shown) as bar:

        def advance(scalars: Mapping[str, float]) -> None:
            loss, speed = scalars["loss"], scalars["images_per_second"]
            bar.set_postfix_str(f"loss {loss:.4g}, {speed:,.0f} images/s", refresh=False)
            bar.update()

        yield advance
