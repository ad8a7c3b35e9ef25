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
from pathlib import Path
from typing import Any

import psutil

from course_lib.classroom.wire import Frames, WireError, write_frame

PAGE = os.sysconf("SC_PAGE_SIZE")
LOOK = 0.03  # seconds between two looks at clock and memory
GRACE = 2.0  # seconds that an interrupted cell has to end
MEGABYTE = 2**20
PLACES = {b"E": "cell", b"O": "unit"}  # where the desk is when it answers
CROWD = 8  # processes of a cell that is interrupted; above, the run begins again without it
ROUNDS = 30  # of killing, until nothing is left that forks
NOTE = 300  # characters of a cell's error
LOWEST = 19  # priority
MOST_SOCKETS = 512  # what waits in them is memory of no process
LATE = 75  # exit code of a desk whose test did not end in time


class Warden:
    """Watches one run of a submission and relays its results; ends with one frame b"Z".

    `turn(k)` opens unit k to the desk, `answers` is where frames for the grader go.
    """

    def __init__(
        self, desk: int, source: int, answers: int, job: Mapping[str, Any], turn: Callable
    ) -> None:
        self.desk, self.source, self.answers, self.turn = desk, source, answers, turn
        self.limits = job["limits"]
        self.cells = set(range(len(job["cells"]))).difference(job["skipped_cells"])
        self.units = set(range(len(job["units"]))).difference(job["skipped_units"])
        self.frames = Frames(self.limits["output_mb"] * MEGABYTE)
        self.place, self.number = "start", 0  # where the desk is: start, cell, unit, end
        self.was_interrupted = self.has_answered = self.was_spared = False
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
        is_answer = (self.place, self.number) == (PLACES.get(letter), number)
        if is_answer and self.has_answered:
            raise WireError("two results came back for one piece of work")
        if letter == b"C" and self.place != "unit" and number in self.cells:
            self.cells = {later for later in self.cells if later > number}
            self._move("cell", number, self.limits["cell_seconds"])
        elif letter == b"E" and is_answer:
            self.has_answered = True
            text = b"" if self.was_interrupted else payload[: 4 * NOTE]
            write_frame(self.answers, b"T" if self.was_interrupted else b"E", number, text)
        elif letter == b"P" and number in self.units:
            self.units = {later for later in self.units if later > number}
            self._move("unit", number, self.limits["probe_seconds"] + GRACE)
            self.turn(number)
        elif letter == b"O" and is_answer:
            self.has_answered = True
            write_frame(self.answers, b"O", number, payload)
        elif letter == b"D":
            self.place = "end"
        else:
            raise WireError("what came back is not in the order of the work")

    def _move(self, place: str, number: int, seconds: float) -> None:
        self.place, self.number = place, number
        self.was_interrupted = self.has_answered = self.was_spared = False
        self.deadline = min(self.end, time.monotonic() + seconds)

    def _over_a_limit(self) -> str:
        if sockets() > MOST_SOCKETS:
            return f"more than {MOST_SOCKETS} sockets are open"
        if memory_mb(self.desk) > self.limits["memory_mb"]:
            return "memory"
        make_way(self.desk)
        now = time.monotonic()
        if now > self.end:
            return "total"
        if now > self.deadline:
            if self.place == "cell" and not self.was_interrupted:
                os.kill(self.desk, signal.SIGSTOP)
                if not self.was_spared and select.select([self.source], [], [], 0)[0]:
                    self.was_spared = True  # perhaps it has just moved on
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
    held = sum(map(_resident, processes))
    if held >= 500 * MEGABYTE:  # the parts in common are in it more than once
        held = sum(map(_proportional, processes))
    return held / MEGABYTE


def _resident(process: psutil.Process) -> int:
    """Its memory in bytes; a process whose first thread has ended shows it in the others only."""
    with suppress(psutil.Error):
        if held := process.memory_info().rss:
            return held
        return max(map(_pages, _threads(process.pid)), default=0) * PAGE
    return 0


def _pages(thread: Path) -> int:
    with suppress(OSError):
        return int((thread / "statm").read_text().split()[1])
    return 0


def _proportional(process: psutil.Process) -> int:
    """Its memory with shared pages divided, or undivided where it hides the division."""
    with suppress(OSError, ValueError), open(f"/proc/{process.pid}/smaps_rollup") as lines:
        for line in lines:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return _resident(process)


def sockets() -> int:
    """How many sockets are open that lead to processes of the same room; 0 without a room."""
    if os.getpid() != 1:
        return 0
    with open("/proc/self/net/unix", "rb") as lines:
        return sum(1 for _ in lines) - 1


def make_way(desk: int) -> None:
    """Let a crowd take only the time that nobody else wants: the desk, the warden, other rooms."""
    if os.getpid() == 1:
        threads = [thread.name for pid in psutil.pids() if pid != 1 for thread in _threads(pid)]
        for thread in map(int, threads if len(threads) > CROWD else ()):
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, thread, 0 if thread == desk else LOWEST)


def _threads(pid: int) -> list[Path]:
    with suppress(OSError):
        return list(Path(f"/proc/{pid}/task").iterdir())
    return []


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
        return process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
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
