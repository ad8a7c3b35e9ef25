"""The pool: warm workers that run submissions, each in a room of its own, and bring plain data back.

    with Pool(workers=2, limits=Limits()) as pool:
        for number, ran in pool.run(jobs):
            report = assess(exercise, ran.outputs[exercise.name], seed)

A cell that kills its process, or has to be killed, costs itself: the submission runs again without
it. A worker that dies is replaced, and its submission gets one more chance, alone.
"""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field

import numpy as np

from course_lib.classroom import sandbox, wire
from course_lib.classroom.probes import Probe
from course_lib.classroom.returned import checked, lost_outputs, note_of
from course_lib.classroom.sandbox import Limits
from course_lib.exercises.probe import Output

START_SECONDS = 120
SLACK_SECONDS = 20  # beyond a submission's own limit, before the whole worker is given up
RUNS = 12  # of one submission, each without one more of its cells or exercises


@dataclass(frozen=True)
class Job:
    """One submission: its code cells, what to try of it, and the assignment's own files.

    cells  (source, name of the exercise that the cell is for, or "")
    files  (name, content) of what lies beside the notebook; never the student's own files
    """

    cells: tuple[tuple[str, str], ...]
    probes: tuple[Probe, ...]
    files: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Ran:
    """What came back of a submission, checked: the outputs by exercise, and what went wrong."""

    outputs: dict[str, list[Output]]
    notes: tuple[str, ...] = ()


class WorkerError(RuntimeError):
    """A worker did not start, died, or sent what is no answer."""


@dataclass
class Progress:
    """Where the runs of one submission stand."""

    job: Job
    limits: Limits
    units: list[dict[str, int]] = field(default_factory=list)
    skipped_cells: set[int] = field(default_factory=set)
    done: dict[int, list[Output]] = field(default_factory=dict)  # by unit
    notes: dict[tuple, str] = field(default_factory=dict)  # by place, so in the order of the cells

    def __post_init__(self) -> None:
        ways = 0
        for number, probe in enumerate(self.job.probes):
            tried = range(ways, ways + len(probe.ways)) if probe.ways else (-1,)
            self.units += [{"probe": number, "way": way} for way in tried]
            ways += len(probe.ways)

    def message(self, seconds_left: float) -> bytes:
        """The job as the worker reads it: first what only the implementer may know."""
        ways = [asdict(way) for probe in self.job.probes for way in probe.ways]
        hidden = wire.encode(ways) if ways else b""
        body = wire.encode(
            {
                "cells": list(self.job.cells),
                "probes": [probe.public() for probe in self.job.probes],
                "units": self.units,
                "files": [(name, np.frombuffer(got, np.uint8)) for name, got in self.job.files],
                "limits": asdict(self.limits),
                "seconds_left": seconds_left,
                "skipped_cells": sorted(self.skipped_cells),
                "skipped_units": sorted(self.done),
            }
        )
        return b"".join([b"J", len(hidden).to_bytes(4), hidden, len(body).to_bytes(4), body])

    def take(self, letter: bytes, number: int, payload: bytes) -> bool:
        """One frame of the worker → whether the run is over and another one is needed."""
        if letter == b"O":
            probe = self.job.probes[self.units[number]["probe"]]
            self.done[number] = checked(probe, payload)
        elif letter in (b"E", b"T"):
            text = payload.decode("utf-8", "replace")
            why = "time" if letter == b"T" else ""
            self.notes["cell", number] = note_of(self.job, "cell", number, why, text, self.limits)
        elif letter == b"Z":
            return self._end(**json.loads(payload))
        else:
            raise WorkerError("the worker sent what is no answer")
        return False

    def _end(self, place: str, number: int, why: str) -> bool:
        """The run is over, well or not → whether to run again without what ended it."""
        if not why:
            return False
        if place == "unit":
            probe_number = self.units[number]["probe"]
            probe = self.job.probes[probe_number]
            self.done[number] = lost_outputs(probe, why, self.limits)
            self.notes["unit", probe_number] = note_of(
                self.job, "unit", probe_number, why, "", self.limits
            )
        elif place == "cell" and 0 <= number < len(self.job.cells):
            self.skipped_cells.add(number)
            self.notes["cell", number] = note_of(self.job, place, number, why, "", self.limits)
        else:
            self.notes["end", 0] = note_of(self.job, place, number, why, "", self.limits)
            return False
        return why != "total"

    def result(self, why: str = "total") -> Ran:
        """What there is; exercises that were not reached get outputs that say so."""
        outputs: dict[str, list[Output]] = {probe.name: [] for probe in self.job.probes}
        for number, unit in enumerate(self.units):
            probe = self.job.probes[unit["probe"]]
            outputs[probe.name] += self.done.get(number) or lost_outputs(probe, why, self.limits)
        return Ran(outputs, tuple(self.notes[place] for place in sorted(self.notes)))


class Worker:
    """One warm process. Use it as a context; `run` takes one job after the other."""

    def __init__(self, limits: Limits = Limits(), *, sandboxed: bool = True) -> None:  # noqa: B008
        self.limits, self.sandboxed = limits, sandboxed
        self._said = tempfile.TemporaryFile()
        self._frames, self._waiting = wire.Frames(2**62), []  # cut, not yet taken
        if sandboxed and (problem := sandbox.available()):
            raise WorkerError(problem)
        self._process = subprocess.Popen(
            sandbox.command(sandboxed),
            env=sandbox.environment(sandboxed),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            bufsize=0,
            cwd="/",
            start_new_session=True,
        )
        try:
            if self._frame(time.monotonic() + START_SECONDS)[0] != b"R":
                raise WorkerError("the worker's first word is not that it is ready")
        except WorkerError:
            self.close()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the outermost command of the chain."""
        return self._process.pid

    def close(self) -> None:
        """End the worker and everything in it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._said.close()

    def run(self, job: Job) -> Ran:
        """Run a submission, as often as its dying cells need. Raises WorkerError."""
        progress = Progress(job, self.limits)
        end = time.monotonic() + self.limits.submission_seconds
        for _ in range(RUNS):
            left = end - time.monotonic()
            if left <= 0:
                break
            if not self._run_once(progress, left):
                return progress.result()
        progress.notes["end", 0] = "it could not be run to its end within its limits"
        return progress.result()

    def _run_once(self, progress: Progress, left: float) -> bool:
        end = time.monotonic() + left + SLACK_SECONDS
        message = progress.message(left)
        writer = threading.Thread(target=self._send, args=(message,), daemon=True)
        writer.start()
        try:
            while True:
                letter, number, payload = self._frame(end)
                again = progress.take(letter, number, payload)
                if letter == b"Z":
                    return again
        except (IndexError, ValueError) as error:
            raise WorkerError(f"the worker sent what is no answer: {error}") from None

    def _send(self, message: bytes) -> None:
        with suppress(OSError, ValueError):  # a worker that is gone is noticed where it is read
            wire.write_all(self._process.stdin.fileno(), message)

    def _frame(self, end: float) -> wire.Frame:
        """The next frame of the worker. Raises WorkerError if it is gone, late or mad."""
        while not self._waiting:
            source = self._process.stdout
            ready, _, _ = select.select([source], [], [], max(0.0, end - time.monotonic()))
            content = os.read(source.fileno(), wire.MEGABYTE) if ready else b""
            if not content:
                why = "has died" if ready else "does not answer"
                raise WorkerError(f"the worker {why}{self._last_words()}")
            try:
                self._waiting += self._frames.feed(content)
            except wire.WireError as error:
                raise WorkerError(f"the worker sent what is no answer: {error}") from None
        return self._waiting.pop(0)

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


class Pool:
    """Several workers. Use it as a context; results come as they are ready, in any order."""

    def __init__(
        self,
        workers: int | None = None,
        limits: Limits = Limits(),
        *,
        sandboxed: bool = True,
    ) -> None:
        self.limits, self.sandboxed = limits, sandboxed
        self.workers = workers or len(os.sched_getaffinity(0))
        if sandboxed and (problem := sandbox.available()):
            raise WorkerError(problem)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Ran]]:
        """(number of the job, what came of it), each as soon as it is ready."""
        waiting: queue.Queue[tuple[int, Job]] = queue.Queue()
        ready: queue.Queue[tuple[int, Ran] | BaseException] = queue.Queue()
        count = 0
        for count, job in enumerate(jobs, 1):
            waiting.put((count - 1, job))
        for _ in range(min(self.workers, count)):
            thread = threading.Thread(target=self._serve, args=(waiting, ready), daemon=True)
            self._threads.append(thread)
            thread.start()
        for _ in range(count):
            got = ready.get()
            if isinstance(got, BaseException):
                self._stop.set()
                raise got
            yield got

    def _serve(self, waiting: queue.Queue, ready: queue.Queue) -> None:
        """One thread and its worker, until nothing waits any more."""
        worker = None
        try:
            while not self._stop.is_set():
                try:
                    number, job = waiting.get_nowait()
                except queue.Empty:
                    return
                worker, ran = self._run(worker, job)
                ready.put((number, ran))
        except BaseException as error:
            ready.put(error)
        finally:
            if worker is not None:
                worker.close()

    def _run(self, worker: Worker | None, job: Job) -> tuple[Worker | None, Ran]:
        """Run a job; if its worker breaks, once more in a new one."""
        for _ in range(2):
            worker = worker or Worker(self.limits, sandboxed=self.sandboxed)
            try:
                return worker, worker.run(job)
            except WorkerError:
                worker.close()
                worker = None
        broken = Progress(job, self.limits)
        broken.notes["end", 0] = "its worker broke twice: look at this submission by hand"
        return None, broken.result("died")


def run_one(job: Job, limits: Limits = Limits(), *, sandboxed: bool = True) -> Ran:  # noqa: B008
    """Run one submission in a worker of its own, from any process."""
    with Pool(1, limits, sandboxed=sandboxed) as pool:
        ((_, ran),) = pool.run([job])
    return ran
