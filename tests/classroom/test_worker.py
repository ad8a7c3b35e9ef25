"""The worker and its parts (job, probes, desk, warden, implementer) as a grader meets them."""

import inspect
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest

from course_lib.classroom import implementer, pool, probes, sandbox, wire
from course_lib.classroom.assignment import load, names
from course_lib.classroom.job import Progress
from course_lib.classroom.pool import Job, Limits, Pool, Worker, WorkerError, run_one
from course_lib.classroom.probes import Way, probe_of, sendable
from course_lib.classroom.warden import Warden
from course_lib.classroom.worker import fork
from course_lib.doctor import ROOT
from course_lib.exercises import dino, mae, start, vit
from course_lib.exercises.cells import source_as
from course_lib.exercises.engine import assess, probe
from course_lib.exercises.trial import implementations
from tests.classroom.test_attacks import need_sandbox
from tests.classroom.toys import HONEST, PROBES, TOYS, scores

FULL = {"twice": 1, "number": 1, "test_centred": 1}
SHORT = Limits(cell_seconds=2, probe_seconds=2, memory_mb=700)


@pytest.fixture(scope="module")
def worker():
    need_sandbox()
    with Worker(SHORT) as worker:
        yield worker


@pytest.mark.parametrize("exercise", [*start.EXERCISES, dino.TEST_FOLLOW], ids=lambda e: e.name)
def test_the_sandbox_gives_what_the_notebook_gives(worker, exercise):
    cells = ((exercise.imports, ""), (exercise.solution_cell(), exercise.name))
    got = worker.run(Job(cells, (probe_of(exercise, 9),))).outputs[exercise.name]
    here = probe(exercise, exercise.solution, exercise.cases_for(9))
    # Where a line stands differs: one is in a cell, the other in a file.
    assert [repr(item.get("value")) for item in got] == [repr(item.get("value")) for item in here]
    assert assess(exercise, got, 9).score == 1


def test_a_wrong_answer_is_diagnosed_across_the_wire(worker):
    exercise = start.PATCH_DISTANCE
    wrong = exercise.misconceptions[0]
    source = source_as(wrong.answer, exercise.name)
    ran = worker.run(Job(((exercise.imports, ""), (source, "")), (probe_of(exercise, 9),)))
    assert wrong.sentence in str(assess(exercise, ran.outputs[exercise.name], 9))


def test_an_untouched_notebook_is_untouched(worker):
    cells = (HONEST[0], *((e.stub_cell(), e.name) for e in TOYS))
    ran = worker.run(Job(cells, PROBES))
    assert ran.outputs["twice"] == [{"untouched": True}] * 4
    assert ran.outputs["number"] == [{"untouched": True}]
    assert ran.outputs["test_centred"][0] == {"untouched": True}
    assert ran.notes == ()


def test_a_missing_answer_is_said_to_be_missing(worker):
    ran = worker.run(Job(HONEST[:1], PROBES))
    assert (
        ran.outputs["twice"]
        == [{"error": "there is no `twice`: no cell that ran has defined it"}] * 4
    )


def test_the_same_job_gives_the_same_bytes(worker):
    cells = (*HONEST, ("object()\nraise ValueError(object())", ""), ("import os; os._exit(1)", ""))
    first, second = (worker.run(Job(cells, PROBES)) for _ in range(2))
    assert repr(first) == repr(second)
    assert first.notes == (
        "cell 5 raised ValueError: <object object at 0x…>",
        "cell 6 ended the process",
    )


def test_memory_above_the_limit_costs_the_cell(worker, monkeypatch):
    monkeypatch.setattr(worker, "limits", replace(SHORT, cell_seconds=30))
    hog = "hog = np.ones(2**27)\nimport time; time.sleep(30)"
    ran = worker.run(Job((HONEST[0], (hog, ""), *HONEST[1:]), PROBES))
    assert ran.notes == ("cell 2 used more than 700 MB of memory",)
    assert scores(ran) == FULL


def test_a_dead_worker_is_noticed_and_its_submission_runs_again():
    need_sandbox()
    with Worker(SHORT) as worker:
        inner = psutil.Process(worker.pid).children(recursive=True)[-1]
        inner.kill()
        with pytest.raises(WorkerError, match="has died"):
            worker.run(Job(HONEST, PROBES))
        fresh, ran = pool.run_or_give_up(worker, Job(HONEST, PROBES), SHORT)
        fresh.close()
    assert scores(ran) == FULL


def test_a_worker_that_is_broken_twice_marks_the_submission(monkeypatch):
    monkeypatch.setattr(pool.sandbox, "available", lambda: "")
    monkeypatch.setattr(
        pool.sandbox, "command", lambda _: [sys.executable, "-c", "print('x' * 99)"]
    )
    with Pool(1, SHORT) as pool_, pytest.raises(WorkerError, match="the worker"):
        list(pool_.run([Job(HONEST, PROBES)]))

    class Broken:
        def __init__(self, *_, **__): ...
        def close(self): ...
        def run(self, job):
            raise WorkerError("broken")

    monkeypatch.setattr(pool, "Worker", Broken)
    ran = run_one(Job(HONEST, PROBES), SHORT)
    assert ran.notes == ("its worker broke twice: look at this submission by hand",)
    assert scores(ran) == {"twice": 0, "number": 0, "test_centred": 0}


class Echo:
    """A worker that only says which job it was given."""

    def __init__(self, *_, **__): ...
    def close(self): ...
    def run(self, job):
        return job


def test_jobs_are_taken_as_they_are_needed(monkeypatch):
    monkeypatch.setattr(pool, "Worker", Echo)
    taken, done, most = [], [], 0
    with Pool(3, SHORT, sandboxed=False) as pool_:
        for number, ran in pool_.run(taken.append(n) or n for n in range(50)):
            most = max(most, len(taken) - len(done))
            done.append(number)
            assert ran == number
        assert sorted(done) == list(range(50))
        assert 3 < most <= pool.AHEAD * 3
        assert [ran for _, ran in pool_.run("a")] == ["a"]  # the next batch, the same workers
        assert next(pool_.run("ab"))[1] in "ab"
        with pytest.raises(WorkerError, match="is closed"):  # what is left of "ab" is not mixed in
            next(pool_.run("c"))


def test_nothing_is_left_when_the_grader_is_killed():
    need_sandbox()
    code = "from tests.classroom.test_worker import *\nwith Worker(SHORT) as w:\n"
    code += "  print(w.pid, flush=True)\n  w.run(Job((('while True: pass', ''),) * 9, ()))"
    grader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
    outer = psutil.Process(int(grader.stdout.readline()))
    time.sleep(1)
    family = [outer, *outer.children(recursive=True)]
    assert len(family) >= 4
    os.kill(grader.pid, signal.SIGKILL)
    grader.communicate()
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert len(gone) == len(family)


def test_without_a_sandbox_ones_own_files_run_the_same():
    ran = run_one(Job((*HONEST, ("while True: pass", "")), PROBES), SHORT, sandboxed=False)
    assert scores(ran) == FULL
    assert ran.notes == ("cell 5 ran out of time (2 s)",)


def test_without_a_sandbox_grading_refuses(monkeypatch):
    monkeypatch.setattr(pool.sandbox, "available", lambda: "`bwrap` is missing")
    with pytest.raises(WorkerError, match="is missing"):
        Pool(1)
    with pytest.raises(WorkerError, match="is missing"):
        Worker()


def test_which_exercises_can_be_sent():
    unsendable = [e.name for bank in (mae, vit, start, dino) for e in bank.EXERCISES if sendable(e)]
    assert unsendable == ["mask_tokens_in_encoder", "no_skip"]
    with pytest.raises(ValueError, match="_Layer cannot be sent"):
        probe_of(next(e for e in vit.EXERCISES if e.name == "no_skip"), 1)


def test_a_probe_holds_no_answer():
    public = repr([(probe.public(), probe.stub, probe.signature) for probe in PROBES])
    assert "2 * values" not in public
    assert "values.mean()" not in public
    assert "12" not in repr(PROBES[1])
    assert b"centred_in_place" not in wire.encode(PROBES[2].public())


def test_a_desk_that_leaves_units_out_has_them_lost():
    progress = Progress(Job(HONEST, PROBES), SHORT)
    assert progress.take(b"O", 0, wire.encode([{"value": 1.0}] * 4)) is False
    assert progress.take(b"Z", 0, b'{"place": "end", "number": 0, "why": ""}') is False
    ran = progress.result()
    assert ran.outputs["twice"] == [{"value": 1.0}] * 4
    assert ran.outputs["number"] == [{"error": "ended the process"}]
    assert ran.outputs["test_centred"] == [{}] * len(PROBES[2].ways)


def test_who_knows_the_seed_does_not_know_which_implementation_it_meets(worker):
    """A test that judges by how many it met, with the order that the seed gives."""
    exercise = dino.TEST_FOLLOW
    wrong = [n for n, item in enumerate(implementations(exercise, 9)) if not item.is_right]
    (argument, *_) = inspect.signature(exercise.solution).parameters
    code = (
        f"def {exercise.name}({argument}):\n    assert {argument}._Distant__number not in {wrong}"
    )
    asked = (probe_of(exercise, 9),)
    got = [
        worker.run(Job(((code, exercise.name),), asked, order=order)).outputs[exercise.name]
        for order in ("one", "another", "one")
    ]
    assert got[0] == got[2] != got[1]
    assert max(assess(exercise, outputs, 9).score for outputs in got) < 1


def test_outputs_come_home_from_another_order():
    progress = Progress(Job(HONEST, PROBES, order="secret"), SHORT)
    places = [
        place
        for place, unit in zip(progress.places, progress.units, strict=True)
        if unit["probe"] == 2
    ]
    assert sorted(places) == list(range(len(PROBES[2].ways)))
    assert places != sorted(places)
    for number, (place, unit) in enumerate(zip(progress.places, progress.units, strict=True)):
        if unit["probe"] == 2:
            assert progress.ways[unit["way"]] == PROBES[2].ways[place]
            progress.take(b"O", number, wire.encode([{"error": str(place)}]))
    met = [PROBES[2].ways[place] for place in places]
    assert met[0].is_guarded  # a mutant first, and no misconception before what is right
    ranks = [way.is_right for way in met if not way.is_guarded]
    assert ranks == sorted(ranks, reverse=True)
    said = [output["error"] for output in progress.result().outputs["test_centred"]]
    assert said == [str(place) for place in range(len(places))]


def test_an_implementation_changes_the_arguments_of_its_caller():
    """What a function does to its arguments, and which of them it gives back, crosses the line."""
    source = "def f(a, b):\n    a[0] = 9.0\n    b.append(a)\n    return [b, a, a + 1]\n"
    way = {"source": source, "name": "f", "imports": "", "is_guarded": False}
    near, far = socket.socketpair()
    turns, told = os.pipe()
    server = implementer.Implementer([way, way], far.fileno(), turns)
    process = fork(server.serve)
    far.close()
    implementer.open_turn(told, 0)
    array, items = np.zeros(2), []
    got = implementer.Distant(near.fileno(), 0, "f")(array, b=items)
    assert array.tolist() == [9.0, 0.0]
    assert got[0] is items
    assert got[1] is array
    assert got[2].tolist() == [10.0, 1.0]
    implementer.open_turn(told, 1)
    implementer.Distant(near.fileno(), 1, "f")(array, b=items)
    with pytest.raises((EOFError, OSError)):  # its turn is over
        implementer.Distant(near.fileno(), 0, "f")(array, b=items)
    os.waitpid(process, 0)


CROWD = """
import os, time
for _ in range(12):
    if os.fork() == 0:
        os.setsid()
        while True: pass
found = {}
while len(found) < 12 or set(found.values()) != {("19", False)}:
    for pid in [name for name in os.listdir("/proc") if name.isdigit() and int(name) > 2]:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        found[pid] = (fields[16], fields[3] == pid)
    time.sleep(0.1)
raise ValueError("all of them give way")
"""


def test_a_crowd_of_processes_gives_way_and_has_no_share_of_its_own(worker, monkeypatch):
    monkeypatch.setattr(worker, "limits", replace(SHORT, cell_seconds=60))
    ran = worker.run(Job((("import numpy as np", ""), (CROWD, "")), ()))
    assert ran.notes == ("cell 2 raised ValueError: all of them give way",)


OPEN = """
import os
found = {name: f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")}
raise ValueError(*(f"{n}:{os.readlink(p)}" for n, p in found.items() if os.path.lexists(p)))
"""


def test_a_desk_holds_its_two_connections_and_nothing_else(worker):
    """Not the warden's, with which it could open the turn of an implementation."""
    (note,) = worker.run(Job(((OPEN, ""),), ())).notes
    kinds = re.findall(r"'(\d+):(/dev/null|pipe|socket)", note)
    silent = [(str(number), "/dev/null") for number in range(3)]
    assert kinds == [*silent, ("3", "pipe"), ("4", "socket")], note


MANY = """
import os, time
for _ in range(10):
    if os.fork() == 0:
        held = b"x" * (100 * 2**20)
        time.sleep(20)
        os._exit(0)
time.sleep(20)
"""


def test_memory_is_that_of_all_processes_together(worker, monkeypatch):
    monkeypatch.setattr(worker, "limits", replace(SHORT, cell_seconds=60))
    ran = worker.run(Job((("import numpy as np", ""), (MANY, "")), ()))
    assert ran.notes == ("cell 2 used more than 700 MB of memory",)


def test_a_call_of_an_implementation_cannot_take_all_memory(worker):
    way = Way("def f(n):\n    return float(np.ones(n).sum())\n", "f", "import numpy as np")
    asked = replace(PROBES[2], ways=(way,))
    code = "def test_centred(f):\n    assert f(9) == 9\n    try: f(2**28)\n"
    code += "    except MemoryError: raise AssertionError('refused')\n"
    (got,) = worker.run(Job(((code, "test_centred"),), (asked,))).outputs["test_centred"]
    assert "refused" in repr(got), got


def test_words_of_the_desk_count_once_and_in_order():
    job = {"limits": vars(SHORT), "cells": [0] * 4, "units": [0] * 2, "seconds_left": 9}
    job |= {"skipped_cells": [1], "skipped_units": [0]}
    out = os.open(os.devnull, os.O_WRONLY)

    def said(*words):
        warden = Warden(0, 0, out, job, lambda _: None)
        for letter, number in words:
            warden._take(letter, number, b"x")
        return warden.place, warden.number

    assert said((b"C", 0), (b"E", 0), (b"C", 2)) == ("cell", 2)
    assert said((b"C", 3), (b"P", 1), (b"O", 1), (b"D", 0)) == ("end", 1)
    wrong = [[(b"C", 1)], [(b"C", 4)], [(b"C", 2), (b"C", 2)], [(b"C", 2), (b"C", 0)], [(b"P", 0)]]
    wrong += [[(b"C", 0), (b"E", 0), (b"E", 0)], [(b"P", 1), (b"O", 1), (b"O", 1)]]
    wrong += [[(b"P", 1), (b"C", 2)], [(b"P", 2)], [(b"O", 1)], [(b"C", 0), (b"E", 2)]]
    for words in wrong:
        with pytest.raises(wire.WireError):
            said(*words)
    os.close(out)


@pytest.mark.parametrize("name", names())
def test_the_right_answers_of_an_assignment_are_right_in_the_sandbox(worker, name, monkeypatch):
    """All kinds, on hidden cases: what a bank imports, the sandbox may not have."""
    monkeypatch.setattr(worker, "limits", Limits())
    tasks = [task.exercise for task in load(name).tasks]
    cells = [cell for e in tasks for cell in ((e.imports, ""), (e.solution_cell(), e.name))]
    ran = worker.run(Job(tuple(cells), tuple(probe_of(e, 9) for e in tasks), order="any"))
    assert ran.notes == ()
    marks = {e.name: assess(e, ran.outputs[e.name], 9).score for e in tasks}
    assert marks == {e.name: 1 for e in tasks}


def test_an_implementation_that_imports_a_bank_cannot_be_sent(monkeypatch):
    assert sandbox.has("numpy.linalg")
    assert sandbox.has("course_lib.features.sift")
    assert sandbox.has("course_lib.exercises.probe")
    assert not sandbox.has("course_lib.exercises.llava_masks")
    assert not sandbox.has("course_lib.classroom.marking")
    assert not sandbox.has("course_assignment_classical")
    imports = "from course_lib.exercises.blip_targets import soft_targets"
    way = Way("def f(a):\n    return soft_targets(a, 0.5, 0)\n", "f", imports)
    monkeypatch.setattr(probes, "_ways", lambda exercise, seed: (way,))
    assert "the sandbox has no course_lib.exercises.blip_targets" in sendable(TOYS[2])
