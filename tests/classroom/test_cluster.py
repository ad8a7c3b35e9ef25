"""Several hosts: the same results as in the pool, whatever dies; unfit hosts are named.

The cluster has two worker processes of their own on this machine, and listens on 127.0.0.1 only.
"""

import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from distributed import KilledWorker, LocalCluster
from typer import Typer
from typer.testing import CliRunner

from course_lib.classroom import cluster, commands_grade, host, wire
from course_lib.classroom.cluster import Cluster
from course_lib.classroom.job import Job
from course_lib.classroom.parcel import pack_job, pack_ran, unpack_job, unpack_ran
from course_lib.classroom.pool import AHEAD, Limits, Pool, WorkerError, given_up
from course_lib.classroom.probes import Probe
from tests.classroom.test_attacks import need_sandbox
from tests.classroom.toys import HONEST, PROBES, scores

LIMITS = Limits(cell_seconds=4, probe_seconds=2, memory_mb=700)
WRONG = ("def twice(values):\n    return values**2", "twice")
ODD = "def twice(values):\n    return ['a', None, float('nan'), values > 0, 1j, {'b': values.T}]"
JOBS = [
    Job(HONEST, PROBES),
    Job((HONEST[0], WRONG, *HONEST[2:]), PROBES),
    Job((*HONEST[:3], ("def test_centred(f): pass", "test_centred")), PROBES),
    Job((HONEST[0], (ODD, "twice")), PROBES),
    Job((*HONEST, ("raise ValueError('a\\n\\x00 b')", ""), ("import os; os._exit(1)", "")), PROBES),
    Job((*HONEST, ("assert open('data.txt').read() == '12'", "")), PROBES, (("data.txt", b"12"),)),
]


HOSTS = 2
GIVEN_UP = given_up(JOBS[0], LIMITS)


def small_cluster(hosts):
    return LocalCluster(
        n_workers=hosts,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        silence_logs=50,
    )


@pytest.fixture(scope="module")
def hosts():
    need_sandbox()
    with small_cluster(HOSTS) as hosts:
        yield hosts


@pytest.fixture(scope="module")
def local():
    """What the pool gives, as bytes."""
    need_sandbox()
    with Pool(1, LIMITS) as pool:
        return as_bytes(dict(pool.run(JOBS)))


def on(hosts, jobs):
    return dict(Cluster(hosts.scheduler_address, LIMITS).run(jobs))


def as_bytes(results):
    return [pack_ran(results[number], job) for number, job in enumerate(JOBS)]


def inside(hosts, *numbers):
    """The processes of the sandboxes of some hosts."""
    pids = [hosts.workers[number].pid for number in numbers]
    return [child for pid in pids for child in psutil.Process(pid).children(recursive=True)]


@pytest.fixture(scope="module")
def batch(hosts):
    """All jobs twice, and in the second round a host is killed at work → results, what was seen."""
    results, seen = {}, {"taken": 0, "most": 0}

    def jobs():
        for number, job in enumerate(JOBS * 2):
            seen["taken"] += 1
            if number == len(JOBS) + AHEAD * HOSTS:
                seen["pid"], seen["inside"] = hosts.workers[0].pid, inside(hosts, 0)
                os.kill(seen["pid"], signal.SIGKILL)
            yield job

    for number, ran in Cluster(hosts.scheduler_address, LIMITS).run(jobs()):
        seen["most"] = max(seen["most"], seen["taken"] - len(results))
        results[number] = ran
    return results, seen


def test_a_cluster_gives_the_bytes_that_the_pool_gives(hosts, local, batch):
    results, seen = batch
    assert as_bytes(results) == local
    full = {"twice": 1, "number": 1, "test_centred": 1}
    assert [scores(results[n]) for n in (0, 4, 5)] == [full] * 3
    assert scores(results[1]) == full | {"twice": 0}
    assert results[4].notes == ("cell 5 raised ValueError: a b", "cell 6 ended the process")
    assert results[5].notes == ()
    assert HOSTS <= seen["most"] <= AHEAD * HOSTS  # jobs are taken as they are needed
    assert inside(hosts, *range(HOSTS)) == []  # the warm workers are gone with the batch


def test_a_host_that_is_killed_in_the_middle_changes_nothing(hosts, local, batch):
    results, seen = batch
    assert as_bytes({n - len(JOBS): ran for n, ran in results.items()}) == local
    assert hosts.workers[0].pid != seen["pid"]
    assert len(seen["inside"]) >= 3
    assert psutil.wait_procs(seen["inside"], timeout=5)[1] == []


def test_nothing_listens_for_other_machines(hosts):
    heard = []
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            heard += [c.laddr for c in process.net_connections() if c.status == "LISTEN"]
    assert len(heard) >= 1 + 2 * HOSTS
    assert {address.ip for address in heard} == {"127.0.0.1"}
    assert 8787 not in {address.port for address in heard}


def test_a_host_with_another_version_is_refused_by_name(hosts, monkeypatch):
    other = host.inventory() | {"numpy": "0.1"}
    monkeypatch.setattr(cluster, "inventory", lambda: other)
    said = f"host {host.socket.gethostname()} has numpy in version 2.*, and the grader has 0.1"
    with pytest.raises(WorkerError, match=said):
        on(hosts, [])
    monkeypatch.setattr(Cluster, "_greet", lambda *_: None)  # it has joined since
    with pytest.raises(WorkerError, match=said):
        on(hosts, JOBS)


def test_a_submission_whose_hosts_die_is_given_up_as_in_the_pool(hosts, monkeypatch):
    monkeypatch.setattr(hosts.scheduler, "allowed_failures", 0)
    monkeypatch.setattr(cluster, "run_there", lambda _: os.kill(os.getpid(), signal.SIGKILL))
    assert on(hosts, JOBS[:1]) == {0: GIVEN_UP}
    assert GIVEN_UP.notes == ("its worker broke twice: look at this submission by hand",)


def test_a_host_without_a_sandbox_or_with_other_code_is_unfit(monkeypatch):
    assert host.unfitness(host.inventory()) == ""
    assert host.inventory().keys() >= {"the course's package", "Python", "numpy", "torch"}
    assert "has the course's package in version" in host.unfitness({"the course's package": "x"})
    monkeypatch.setattr(host.sandbox, "available", lambda: "`bwrap` is missing")
    assert host.unfitness({}) == f"host {host.socket.gethostname()}: `bwrap` is missing"


def test_who_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with pytest.raises(WorkerError, match=r"no scheduler answers at tcp://127.0.0.1:9$"):
        list(Cluster("tcp://127.0.0.1:9", LIMITS).run(JOBS))
    with pytest.raises(WorkerError, match=r"tls://127.0.0.1:9 cannot be used: TLS expects"):
        list(Cluster("tls://127.0.0.1:9", LIMITS).run(JOBS))
    with small_cluster(0) as empty, pytest.raises(WorkerError, match="no worker is known to"):
        on(empty, JOBS)


class Came:
    """A future that has come."""

    def __init__(self, what):
        self.what = what

    def result(self):
        if isinstance(self.what, Exception):
            raise self.what
        return self.what


def test_what_comes_back_is_not_believed():
    job, grader = JOBS[0], Cluster("tcp://127.0.0.1:9", LIMITS)
    honest = pack_ran(GIVEN_UP, job)
    assert grader._result(Came(honest), job) == GIVEN_UP == unpack_ran(honest, job)
    content = wire.decode(honest)
    outputs = content["outputs"]
    for wrong in (
        b"",
        honest[:-9],
        wire.encode([]),
        wire.encode({"outputs": outputs}),
        wire.encode(content | {"notes": None}),
        wire.encode(content | {"outputs": outputs | {"number": []}}),
        wire.encode(content | {"outputs": outputs | {"number": [7]}}),
        wire.encode(content | {"outputs": outputs | {"test_centred": outputs["number"]}}),
        KilledWorker("run_there", None, 3),
    ):
        assert grader._result(Came(wrong), job) == GIVEN_UP
    forged = wire.encode([{"value": 12, "marks": 100, "returned": "yes"}])
    blob = np.frombuffer(forged, np.uint8)
    there = wire.encode(content | {"outputs": outputs | {"number": [blob]}})
    assert unpack_ran(there, job).outputs["number"] == [{"value": 12}]
    with pytest.raises(WorkerError, match="a host failed: MemoryError: full"):
        grader._result(Came(MemoryError("full")), job)


def test_jobs_travel_as_plain_bytes_without_answers():
    case = {
        "weights": torch.eye(3).bfloat16().requires_grad_(),
        "generator": torch.Generator().manual_seed(4),
        "rng": np.random.default_rng(5),
        "sizes": (2, np.float32(0.5), [np.ones((2, 3)).T]),
    }
    probes = (*PROBES, Probe("odd", "implement", True, "import torch", cases=(case,)))
    job = Job(JOBS[5].cells, probes, JOBS[5].files)
    sent = pack_job(job, LIMITS, {"numpy": "2"})
    again, limits, needs = unpack_job(sent)
    assert pack_job(again, limits, needs) == sent
    assert repr(again) == repr(replace(job, probes=again.probes))
    assert [repr(p) for p in again.probes[:3]] == [repr(p) for p in PROBES]
    back = again.probes[3].cases[0]
    assert back["weights"].requires_grad
    assert torch.equal(back["weights"], case["weights"])
    assert torch.rand(2, generator=back["generator"]).tolist() == pytest.approx(
        torch.rand(2, generator=case["generator"]).tolist(), abs=0
    )
    bare = pack_job(Job((), PROBES), LIMITS, {})
    assert b"def twice" in bare
    assert b"2 * values" not in bare
    assert b"[-2.0, -1.0, 3.0]" not in bare


def test_the_command_says_what_is_missing(monkeypatch, tmp_path):
    app = Typer()
    commands_grade.register(app)
    (tmp_path / "anna.ipynb").write_text("{}")
    common = ["grade", "classical", "--submissions", str(tmp_path), "--scheduler", "tcp://h:1"]
    common += ["--secret", str(tmp_path / "secret.toml")]
    refused = CliRunner().invoke(app, [*common, "--no-sandbox"])
    assert (refused.exit_code, "not for --scheduler" in refused.output) == (2, True)
    monkeypatch.setitem(sys.modules, "distributed", None)
    refused = CliRunner().invoke(app, common)
    assert refused.exit_code == 2
    assert "pip install 'from-sift-to-llava[cluster]'" in refused.output
