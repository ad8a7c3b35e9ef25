"""The pool: warm workers run submissions, each in a room of its own, and bring plain data back.

    with Pool(workers=2, limits=Limits()) as pool:
        for number, ran in pool.run(jobs):
            report = assess(exercise, ran.outputs[exercise.name], seed)

A cell that kills its process, or has to be killed, costs itself: the submission runs again without
it. A worker that dies is replaced, and its submission gets one more chance, alone.
"""

from __future__ import annotations

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

from course_lib.classroom import sandbox, wire
from course_lib.classroom.job import Job, Progress, Ran
from course_lib.classroom.sandbox import Limits

__all__ = ["Job", "Limits", "Pool", "Ran", "Worker", "WorkerError", "run_one"]

START_SECONDS = 120
SLACK_SECONDS = 20  # beyond a submission's own limit, before the whole worker is given up
AHEAD = 2  # jobs for each worker that are read before the first of them is done
RUNS = 50  # of one submission, each without one more of its cells or exercises


class WorkerError(RuntimeError):
    """A worker did not start, died, or sent what is no answer."""


class Worker:
    """One warm process. Use it as a context; `run` takes one job after the other."""

    def __init__(self, limits: Limits | None = None, *, sandboxed: bool = True) -> None:
        self.limits, self.sandboxed = limits or Limits(), sandboxed
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
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
        return progress.result("total")

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
        limits: Limits | None = None,
        *,
        sandboxed: bool = True,
    ) -> None:
        self.limits, self.sandboxed = limits or Limits(), sandboxed
        self.workers = workers or len(os.sched_getaffinity(0))
        if sandboxed and (problem := sandbox.available()):
            raise WorkerError(problem)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._waiting: queue.SimpleQueue[tuple[int, Job] | None] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[tuple[int, Ran] | BaseException] = queue.SimpleQueue()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for _ in self._threads:
            self._waiting.put(None)  # wakes one that waits
        for thread in self._threads:
            thread.join()

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Ran]]:
        """(number of the job, what came of it), each as soon as it is ready.

        Jobs are taken as they are needed, `AHEAD` for each worker. A pool whose batch was not
        taken to its end runs no other one.
        """
        if self._stop.is_set():
            raise WorkerError("this pool of workers is closed")
        underway = 0
        try:
            for number, job in enumerate(jobs):
                self._waiting.put((number, job))
                underway += 1
                if len(self._threads) < self.workers:
                    self._threads.append(threading.Thread(target=self._serve, daemon=True))
                    self._threads[-1].start()
                while underway == AHEAD * self.workers:
                    yield self._next()
                    underway -= 1
            while underway:
                yield self._next()
                underway -= 1
        finally:
            if underway:
                self._stop.set()

    def _next(self) -> tuple[int, Ran]:
        got = self._ready.get()
        if isinstance(got, BaseException):
            raise got
        return got

    def _serve(self) -> None:
        """One thread and its worker, until the pool is closed."""
        worker = None
        try:
            while (taken := self._waiting.get()) is not None and not self._stop.is_set():
                number, job = taken
                worker, ran = run_or_give_up(worker, job, self.limits, sandboxed=self.sandboxed)
                self._ready.put((number, ran))
        except BaseException as error:
            self._ready.put(error)
        finally:
            if worker is not None:
                worker.close()


def run_or_give_up(
    worker: Worker | None, job: Job, limits: Limits, *, sandboxed: bool = True
) -> tuple[Worker | None, Ran]:
    """Run a job; if its worker breaks, once more in a new one → the worker to go on with, result.

    Raises WorkerError if a new worker does not start.
    """
    for _ in range(2):
        worker = worker or Worker(limits, sandboxed=sandboxed)
        try:
            return worker, worker.run(job)
        except WorkerError:
            worker.close()
            worker = None
    return None, given_up(job, limits)


def given_up(job: Job, limits: Limits) -> Ran:
    """What stands for a submission whose workers break."""
    broken = Progress(job, limits)
    broken.notes["end", 0] = "its worker broke twice: look at this submission by hand"
    return broken.result("died")


def run_one(job: Job, limits: Limits | None = None, *, sandboxed: bool = True) -> Ran:
    """Run one submission in a worker of its own, from any process."""
    with Pool(1, limits, sandboxed=sandboxed) as pool:
        ((_, ran),) = pool.run([job])
    return ran
