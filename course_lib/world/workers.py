"""Other processes that draw along, as many as there are cores.

Threads would share one interpreter, and NumPy's calls on a picture are so short that they would
wait for each other most of the time. A worker is a plain Python that reads scenes from its standard
input and writes arrays to its output: no fork, and no import of the caller's script, so it also
works in notebooks and on Windows. It ends with its caller; if it is killed, another is started.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import fields

import numpy as np

from course_lib.world.scene import Scenes

Arrays = dict[str, np.ndarray]
Draw = Callable[[Scenes, dict, Arrays], None]

_START = "import sys; sys.path[:] = {path!r}; from course_lib.world.workers import serve; serve()"
_workers: list[subprocess.Popen] = []
_owner = os.getpid()
_busy = threading.Lock()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spread(draw: Draw, scenes: Scenes, how: dict, out: Arrays, step: int, processes: int) -> None:
    """Draw `step` scenes at a time into `out`, here and in processes − 1 workers.

    `how` (JSON) says how, `out` holds the arrays to fill: B rows each. `draw(scenes, how, rows)` is
    what a worker runs as well: raster.draw.
    """
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    for start in range(0, len(scenes), step):
        todo.put(start)

    def next_one() -> tuple[Scenes, Arrays, int] | None:
        try:
            start = todo.get_nowait()
        except queue.Empty:
            return None
        some = slice(start, start + step)
        return scenes[some], {name: array[some] for name, array in out.items()}, start

    def feed(worker: subprocess.Popen) -> None:
        while one := next_one():
            try:
                _ask(worker, one[0], how, one[1])
            except (OSError, EOFError, ValueError):  # it was killed: its scenes are drawn here
                todo.put(one[2])
                return

    # One call at a time has the workers; another thread's call meanwhile draws alone.
    mine = processes > 1 and _busy.acquire(blocking=False)
    try:
        feeders = [threading.Thread(target=feed, args=(w,)) for w in _hired(mine * (processes - 1))]
        for feeder in feeders:
            feeder.start()
        try:
            while one := next_one():
                draw(one[0], how, one[1])
            for feeder in feeders:
                feeder.join()
        except BaseException:
            _dismiss()  # an answer that nobody read would be taken for the next one
            for feeder in feeders:
                feeder.join()
            raise
        while one := next_one():
            draw(one[0], how, one[1])
    finally:
        if mine:
            _busy.release()


def _hired(count: int) -> list[subprocess.Popen]:
    """`count` workers that are alive; missing ones are started."""
    global _owner
    if _owner != os.getpid():  # forked: the workers and their pipes are the parent's
        _workers.clear()
        _owner = os.getpid()
    _workers[:] = [w for w in _workers if w.poll() is None]
    while len(_workers) < count:
        command = [sys.executable, "-c", _START.format(path=sys.path)]
        _workers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    return _workers[:count]


@atexit.register
def _dismiss() -> None:
    """End all workers of this process."""
    for worker in _workers if _owner == os.getpid() else ():
        worker.kill()
        worker.wait()
        worker.stdin.close()
        worker.stdout.close()
    _workers.clear()


def _ask(worker: subprocess.Popen, scenes: Scenes, how: dict, out: Arrays) -> None:
    """Have one worker draw the scenes into the arrays of `out`."""
    message = io.BytesIO()
    names = {name: [list(array.shape), array.dtype.str] for name, array in out.items()}
    message.write(json.dumps({"how": how, "out": names}).encode() + b"\n")
    for array in (getattr(scenes, f.name) for f in fields(Scenes)):
        np.save(message, array, allow_pickle=False)
    worker.stdin.write(len(message.getvalue()).to_bytes(8, "little") + message.getvalue())
    worker.stdin.flush()
    for array in out.values():
        _read_into(worker.stdout, memoryview(array).cast("B"))


def _read_into(stream: io.BufferedReader, view: memoryview) -> None:
    while len(view):
        count = stream.readinto(view)
        if not count:
            raise EOFError("the worker has ended")
        view = view[count:]


def serve() -> None:
    """What a worker does until its standard input ends."""
    from course_lib.world.raster import draw

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's affair
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing else may be written between the arrays
    while len(head := source.read(8)) == 8:
        message = io.BytesIO(source.read(int.from_bytes(head, "little")))
        asked = json.loads(message.readline())
        scenes = Scenes(**{f.name: np.load(message, allow_pickle=False) for f in fields(Scenes)})
        out = {name: np.empty(shape, kind) for name, (shape, kind) in asked["out"].items()}
        draw(scenes, asked["how"], out)
        _send(sink, out.values())


def _send(sink: io.BufferedWriter, arrays: Iterable[np.ndarray]) -> None:
    for array in arrays:
        sink.write(memoryview(array).cast("B"))
    sink.flush()
