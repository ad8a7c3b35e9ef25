"""The warden: the first process of a submission's room. It watches, and runs nothing of theirs.

It forks the desk, where the student's cells run, reads the desk's frames, counts seconds and
memory, and ends what goes beyond its limits. As the first process of its namespace it cannot be
killed, stopped or traced from inside. What the desk says is believed only as far as it can be
checked: units come in order, each once, while it is their turn.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import psutil

from course_lib.classroom.wire import Frames, WireError, write_frame

LOOK = 0.03  # seconds between two looks at clock and memory
GRACE = 2.0  # seconds that an interrupted cell has to end
MEGABYTE = 2**20
CROWD = 8  # processes of a cell that is interrupted; above, the run begins again without it
ROUNDS = 30  # of killing, until nothing is left that forks
NOTE = 300  # characters of a cell's error
LATE = 75  # exit code of a desk whose test did not end in time


class Warden:
    """Watches one run of a submission and relays its results; ends with one frame b"Z".

    `turn(k)` opens unit k to the desk, `answers` is where frames for the grader go.
    """

    def __init__(
        self, desk: int, source: int, answers: int, job: Mapping[str, Any], turn: Callable
    ) -> None:
        self.desk, self.source, self.answers, self.turn = desk, source, answers, turn
        self.limits, self.units = job["limits"], len(job["units"])
        self.frames = Frames(self.limits["output_mb"] * MEGABYTE)
        self.place, self.number = "start", 0  # where the desk is: start, cell, unit, end
        self.was_interrupted = self.has_answered = False
        self.next_unit = 0
        self.end = time.monotonic() + job["seconds_left"]
        self.deadline = self.end

    def watch(self) -> None:
        """Until the desk is done, dead or over a limit; then say which."""
        waiting = select.poll()
        waiting.register(self.source, select.POLLIN)
        waiting.register(0, 0)  # the grader is gone: so are we
        why = ""
        while not why and self.place != "end":
            events = dict(waiting.poll(LOOK * 1000))
            if 0 in events:
                os._exit(1)
            try:
                if self.source in events and not self._read():
                    waiting.unregister(self.source)  # how it ended is soon known
            except WireError as error:
                why = str(error)
            why = why or self._over_a_limit() or self._dead()
        outcome = {"place": self.place, "number": self.number, "why": why}
        write_frame(self.answers, b"Z", 0, json.dumps(outcome).encode())

    def _read(self) -> bool:
        content = os.read(self.source, MEGABYTE)
        for letter, number, payload in self.frames.feed(content):
            self._take(letter, number, payload)
        return bool(content)

    def _take(self, letter: bytes, number: int, payload: bytes) -> None:
        """One frame of the desk. Raises WireError at anything out of turn."""
        if letter == b"C" and self.place in ("start", "cell"):
            self._move("cell", number, self.limits["cell_seconds"])
        elif letter == b"E" and (self.place, self.number) == ("cell", number):
            text = b"" if self.was_interrupted else payload[: 4 * NOTE]
            write_frame(self.answers, b"T" if self.was_interrupted else b"E", number, text)
        elif letter == b"P" and self.next_unit <= number < self.units:
            self.next_unit = number + 1
            self.has_answered = False
            self._move("unit", number, self.limits["probe_seconds"] + GRACE)
            self.turn(number)
        elif letter == b"O" and (self.place, self.number) == ("unit", number):
            if self.has_answered:
                raise WireError("two results came back for one exercise")
            self.has_answered = True
            write_frame(self.answers, b"O", number, payload)
        elif letter == b"D":
            self.place = "end"
        else:
            raise WireError("what came back is not in the order of the work")

    def _move(self, place: str, number: int, seconds: float) -> None:
        self.place, self.number, self.was_interrupted = place, number, False
        self.deadline = min(self.end, time.monotonic() + seconds)

    def _over_a_limit(self) -> str:
        if memory_mb(self.desk) > self.limits["memory_mb"]:
            return "memory"
        now = time.monotonic()
        if now > self.end:
            return "total"
        if now > self.deadline:
            if self.place == "cell" and not self.was_interrupted:
                os.kill(self.desk, signal.SIGSTOP)
                if select.select([self.source], [], [], 0)[0]:  # it has just moved on
                    os.kill(self.desk, signal.SIGCONT)
                    return ""
                if len(family(self.desk)) > CROWD:
                    return "time"  # too many to begin again from where it is
                self.was_interrupted = True
                self.deadline = now + GRACE
                end_others(self.desk)
                os.kill(self.desk, signal.SIGINT)
                os.kill(self.desk, signal.SIGCONT)
                return ""
            return "time"
        return ""

    def _dead(self) -> str:
        """Also takes in the orphans of the namespace, which become this process's children."""
        with suppress(ChildProcessError):
            while True:
                done, status = os.waitpid(-1, os.WNOHANG)
                if done == 0:
                    return ""
                if done == self.desk:
                    # What it wrote before it died still counts, if it came to its end.
                    with suppress(WireError, BlockingIOError):
                        os.set_blocking(self.source, False)
                        while self.place != "end" and self._read():
                            pass
                    is_late = self.place == "unit" and status == LATE << 8
                    return "" if self.place == "end" else "time" if is_late else "died"
        return "died"


def memory_mb(desk: int) -> float:
    """What the desk and everything it started hold; shared pages are divided among their users."""
    processes = family(desk)
    resident = 0.0
    for process in processes:
        with suppress(psutil.Error):
            resident += process.memory_info().rss
    if resident < 500 * MEGABYTE:
        return resident / MEGABYTE  # the parts in common are in it more than once
    shared_out = 0.0
    for process in processes:
        shared_out += _proportional(process)
    return shared_out / MEGABYTE


def _proportional(process: psutil.Process) -> float:
    """Its memory with shared pages divided, or undivided where it hides the division."""
    with suppress(OSError, ValueError), open(f"/proc/{process.pid}/smaps_rollup") as lines:
        for line in lines:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    with suppress(psutil.Error):
        return process.memory_info().rss
    return 0.0


def family(desk: int) -> list[psutil.Process]:
    """In a room of its own all processes but the first; else the desk and its descendants."""
    if os.getpid() == 1:
        return [process for process in psutil.process_iter() if process.pid != 1]
    with suppress(psutil.Error):
        process = psutil.Process(desk)
        return [process, *process.children(recursive=True)]
    return []


def end_others(desk: int) -> None:
    """Kill what a cell has started, without the desk; as long as there are more, for they fork."""
    for _ in range(ROUNDS):
        others = [process for process in family(desk) if process.pid != desk and _runs(process)]
        if not others:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in others:
                with suppress(psutil.Error):
                    process.send_signal(number)


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def end_all(desk: int) -> None:
    """Kill everything that the submission started."""
    if os.getpid() == 1:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)  # all of this namespace but its first process
        return
    for process in family(desk):
        with suppress(psutil.Error):
            process.kill()
