"""Several hosts: submissions run where dask.distributed has workers, each in its host's sandbox.

    dask scheduler --host 10.0.0.5            once
    dask worker tcp://10.0.0.5:8786           on each host; as many submissions at once as threads
    course grade NAME --submissions DIR --scheduler tcp://10.0.0.5:8786

A job goes out as bytes, and its results come back so. They are looked at again where the grader
runs, and only there they are judged: no solution and no secret leaves it. Hosts must have what the
grader has; one that has not is named, and nothing is graded on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_lib.classroom.host import close_idle, inventory, run_there, unfitness
from course_lib.classroom.job import Job, Ran
from course_lib.classroom.parcel import pack_job, unpack_ran
from course_lib.classroom.pool import AHEAD, WorkerError, given_up
from course_lib.classroom.sandbox import Limits
from course_lib.classroom.wire import WireError

if TYPE_CHECKING:
    from distributed import Client, Future

INSTALL = "several hosts need dask.distributed: pip install 'from-sift-to-llava[cluster]'"
CONNECT_SECONDS = 10
LOOK_SECONDS = 30  # without any result, before it is asked whether hosts are left
RETRIES = 2  # of a submission whose host fails


@dataclass(frozen=True)
class Cluster:
    """The workers of one scheduler; `run` is as that of a Pool."""

    address: str
    limits: Limits

    def __post_init__(self) -> None:
        try:
            import distributed  # noqa: F401
        except ImportError:
            raise WorkerError(INSTALL) from None

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Ran]]:
        """(number of the job, what came of it), each as soon as it is ready.

        Raises WorkerError if nobody answers, or a host is not fit for grading.
        """
        from distributed import Client
        from distributed.comm import CommClosedError

        silence = f"no scheduler answers at {self.address}"
        try:
            client = Client(self.address, timeout=CONNECT_SECONDS)
        except OSError:
            raise WorkerError(silence) from None
        except (TypeError, ValueError) as error:  # no such kind of address, no certificates
            raise WorkerError(f"{self.address} cannot be used: {error}") from None
        with client:
            try:
                self._greet(client)
                yield from self._run(client, jobs)
            except (CommClosedError, CancelledError):
                raise WorkerError(silence) from None
            finally:
                client.run(close_idle, on_error="ignore")

    def _greet(self, client: Client) -> None:
        """Ask every host whether it is fit. Raises WorkerError with the first that is not."""
        self._places(client)
        for address, said in client.run(unfitness, inventory(), on_error="return").items():
            if isinstance(said, BaseException):
                said = f"the host at {address} cannot run this version of the course: {said}"
            if said:
                raise WorkerError(said)

    def _places(self, client: Client) -> int:
        """How many submissions run at once. Raises WorkerError if none does."""
        places = sum(client.nthreads().values())
        if not places:
            start = f"start one on each host with `dask worker {self.address}`"
            raise WorkerError(f"no worker is known to the scheduler at {self.address}: {start}")
        return places

    def _run(self, client: Client, jobs: Iterable[Job]) -> Iterator[tuple[int, Ran]]:
        underway: dict[Future, tuple[int, Job]] = {}
        for number, job in enumerate(jobs):
            message = pack_job(job, self.limits, inventory())
            future = client.submit(run_there, message, pure=False, retries=RETRIES)
            underway[future] = number, job
            while len(underway) >= AHEAD * self._places(client):
                yield from self._ready(client, underway)
        while underway:
            yield from self._ready(client, underway)

    def _ready(
        self, client: Client, underway: dict[Future, tuple[int, Job]]
    ) -> Iterator[tuple[int, Ran]]:
        """What has come back; waits for something a while."""
        from distributed import wait

        try:
            done = wait(list(underway), LOOK_SECONDS, "FIRST_COMPLETED").done
        except TimeoutError:
            self._places(client)  # hosts that are gone for good are not waited for
            return
        for future in done:
            number, job = underway.pop(future)
            yield number, self._result(future, job)

    def _result(self, future: Future, job: Job) -> Ran:
        """What one submission gave. Raises WorkerError if it failed for its host's sake."""
        from distributed import KilledWorker

        try:
            return unpack_ran(future.result(), job)
        except (KilledWorker, WireError):
            return given_up(job, self.limits)
        except (WorkerError, CancelledError):
            raise
        except Exception as error:
            raise WorkerError(f"a host failed: {type(error).__name__}: {error}") from None
