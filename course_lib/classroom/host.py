"""What runs on each host of a cluster: a job comes in as bytes, its results go out as bytes.

Warm workers are kept between jobs, one for each that runs at once. They end with the process that
started them, or when a grader has no more to run.
"""

from __future__ import annotations

import platform
import socket
import threading
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version

from course_lib.classroom import sandbox
from course_lib.classroom.marking import grader_fingerprint
from course_lib.classroom.parcel import pack_ran, unpack_job
from course_lib.classroom.pool import Worker, WorkerError, run_or_give_up

_idle: list[Worker] = []
_lock = threading.Lock()


@lru_cache(maxsize=1)
def inventory() -> dict[str, str]:
    """What must be the same on all hosts, for results to be the same."""
    versions = {name: version(name) for name in ("numpy", "torch", "opencv-contrib-python")}
    package = {"the course's package": grader_fingerprint()}
    return {**package, "Python": platform.python_version(), **versions}


def unfitness(needs: Mapping[str, str]) -> str:
    """Why this host cannot run what the grader asks for, in one sentence; "" if it can."""
    host, has = f"host {socket.gethostname()}", inventory()
    for name, wanted in needs.items():
        if has.get(name) != wanted:
            return f"{host} has {name} in version {has.get(name)}, and the grader has {wanted}"
    problem = sandbox.available()
    return f"{host}: {problem}" if problem else ""


def run_there(message: bytes) -> bytes:
    """Run a packed job in this host's sandbox. Raises WorkerError if the host is not fit for it."""
    job, limits, needs = unpack_job(message)
    if problem := unfitness(needs):
        raise WorkerError(problem)
    with _lock:
        worker = _idle.pop() if _idle else None
    if worker is not None:
        worker.limits = limits
    try:
        worker, ran = run_or_give_up(worker, job, limits)
    except WorkerError as error:
        raise WorkerError(f"host {socket.gethostname()}: {error}") from None
    if worker is not None:
        with _lock:
            _idle.append(worker)
    return pack_ran(ran, job)


def close_idle() -> None:
    """End the workers that have nothing to do."""
    with _lock:
        idle, _idle[:] = list(_idle), []
    for worker in idle:
        worker.close()
