"""`course grade`, from submissions to marks and pages; `course simulate`, a class to try it on.

`course autograder` makes the archive with which Gradescope grades by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from course_lib.classroom.grading import Asked, Ran, Runner
    from course_lib.classroom.inbox import Received
    from course_lib.classroom.sandbox import Limits

EXAMPLE = "like 2026-05-01T12:00+02:00"

Secret = Annotated[Path | None, typer.Option(help="File of the secret, made on first use.")]
Name = Annotated[str, typer.Argument(help="The assignment.")]

Submissions = Annotated[
    Path, typer.Option(help="nbgrader's tree, a bulk download (folder or zip), or a notebook.")
]
To = Annotated[Path | None, typer.Option(help="Folder of results and pages. Default: graded/NAME.")]
Student = Annotated[str | None, typer.Option(help="Grade only this one, again.")]
Variants = Annotated[bool, typer.Option(help="Each student had a variant of his own.")]
Deadline = Annotated[str | None, typer.Option(help="Day, hour and zone: 2026-05-01T12:00+02:00.")]
Times = Annotated[
    Path | None,
    typer.Option(help="CSV: `student`, `time`; a time without a zone has the deadline's."),
]
Sheets = Annotated[list[Path] | None, typer.Option(help="A sheet of written answers, filled in.")]
Students = Annotated[
    Path | None, typer.Option(help="CSV: `student`, and what platforms call each of them.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Default: one a core.")]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Run on several hosts: a dask scheduler's address, as tcp://10.0.0.5:8786. Each host "
        "needs this version of the course and bubblewrap, and runs `dask worker ADDRESS`. Whoever "
        "reaches these ports can run code there: a network of your own, or tls://."
    ),
]
Truth = Annotated[
    Path | None, typer.Option(help="truth.json of a simulated class: say where marks differ.")
]
Sandbox = Annotated[
    bool, typer.Option(help="--no-sandbox runs code with your rights: your own files only.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `course`."""
    app.command()(grade)
    app.command()(simulate)
    app.command()(autograder)


def grade(
    name: Name,
    submissions: Submissions,
    to: To = None,
    secret: Secret = None,
    student: Student = None,
    variants: Variants = False,
    deadline: Deadline = None,
    times: Times = None,
    by_hand: Sheets = None,
    students: Students = None,
    workers: Workers = None,
    sandbox: Sandbox = True,
    scheduler: Scheduler = None,
    truth: Truth = None,
) -> None:
    """Grade what was handed in; write results, feedback, a class page and exports.

    Stop it when you like: the next run goes on where this one was.
    """
    from course_lib.classroom.grading import Rules
    from course_lib.classroom.grading import grade as grade_all
    from course_lib.classroom.inbox import collect
    from course_lib.classroom.pool import WorkerError
    from course_lib.classroom.roster import read_students, recognised
    from course_lib.classroom.secret import SecretError, read_secret
    from course_lib.classroom.writing import write_everything

    try:
        to = to or Path("graded", name)
        end = _deadline(deadline) if deadline else None
        people = read_students(students) if students else {}
        received, strange = recognised(collect(submissions, name), people)
        known = _times(received) | (_table_of_times(times, end) if times else {})
        rules = Rules(name, read_secret(secret), variants, end, known)
        chosen = _chosen(received, student)
        hired = partial(on_cluster, scheduler) if scheduler else runner
        run = hired(workers, sandbox, rules.for_student("").limits)
        done, reused = grade_all(chosen, rules, run, to, again=student is not None)
        heard = write_everything(to, received, rules, by_hand or [], people, student is None)
        heard += _compared(truth, to) if truth else []
    except (ValueError, OSError, RuntimeError, SecretError, WorkerError) as error:
        _stop(str(error))
    except KeyboardInterrupt:
        _stop("stopped; the same command goes on where it was")
    for sentence in (*strange, *heard):
        typer.echo(sentence, err=True)
    typer.echo(f"{done} graded, {reused} as before; see {to / 'class.html'}")


def _chosen(received: Sequence[Received], student: str | None) -> list[Received]:
    """All submissions, or the one student's. Raises ValueError if he handed in nothing."""
    chosen = [one for one in received if student in (None, one.student)]
    if not chosen:
        raise ValueError(f"{student!r} handed in nothing; there are {len(received)} others")
    return chosen


def _compared(truth: Path, to: Path) -> list[str]:
    """How the marks stand to those of a simulated class, in sentences."""
    from course_lib.classroom.results import load_results
    from course_lib.classroom.simulate import differences

    results = load_results(to)
    found = differences(truth, results)
    return [*found, f"{len(found)} differences from {truth.name} in {len(results)} submissions"]


def simulate(
    name: Name,
    n: Annotated[int, typer.Option("-n", min=1, help="How many students.")] = 200,
    seed: Annotated[int, typer.Option(help="Another seed, another class.")] = 0,
    to: Annotated[Path, typer.Option(help="Folder of the class.")] = Path("simulated"),
    secret: Secret = None,
) -> None:
    """Make a class whose true marks are known: submitted/ and truth.json, to try grading on."""
    from course_lib.classroom.assignment import load
    from course_lib.classroom.grading import Rules
    from course_lib.classroom.secret import SecretError, read_secret
    from course_lib.classroom.simulate import write_class

    try:
        assignment = load(name)
        path = write_class(assignment, n, seed, Rules(name, read_secret(secret)).seed, to)
    except (ValueError, OSError, RuntimeError, SecretError) as error:
        _stop(str(error))
    typer.echo(f"{n} submissions and {path}")


def autograder(
    name: Name,
    to: Annotated[Path, typer.Option(help="The archive.")] = Path("autograder.zip"),
    secret: Secret = None,
) -> None:
    """Make the archive that grades on Gradescope. It holds the secret: upload it, and delete it."""
    from course_lib.classroom.autograder import autograder as archive
    from course_lib.classroom.secret import SecretError, read_secret
    from course_lib.classroom.whole import write_whole

    try:
        write_whole(to, archive(name, read_secret(secret)), private=True)
    except (ValueError, OSError, SecretError) as error:
        _stop(str(error))
    typer.echo(f"{to}")


def runner(workers: int | None, sandboxed: bool, limits: Limits) -> Runner:
    """Runs submissions in a pool of workers. Raises WorkerError without a sandbox."""
    from course_lib.classroom.pool import Pool

    pool = Pool(workers, limits, sandboxed=sandboxed)

    def run(asked: Iterable[Asked]) -> Iterator[tuple[int, Ran]]:
        with pool:
            yield from pool.run(one.job() for one in asked)

    return run


def on_cluster(address: str, workers: int | None, sandboxed: bool, limits: Limits) -> Runner:
    """Runs submissions on the hosts of a dask scheduler. Raises WorkerError without dask."""
    from course_lib.classroom.cluster import Cluster

    if workers or not sandboxed:
        raise ValueError("--workers and --no-sandbox are for one machine, not for --scheduler")
    cluster = Cluster(address, limits)
    return lambda asked: cluster.run(one.job() for one in asked)


def _times(received: Iterable[Received]) -> dict[str, datetime]:
    """When submissions came, as far as the platform has written it beside them."""
    return {one.student: one.time for one in received if one.time is not None}


def _table_of_times(path: Path, deadline: datetime | None) -> dict[str, datetime]:
    """The moments of a table; one without a zone is of the deadline's. Raises ValueError."""
    from course_lib.classroom.tables import read_table

    zone = deadline.tzinfo if deadline else UTC
    found = {}
    for row in read_table(path, ["student", "time"]):
        moment = _moment(row["time"])
        found[row["student"]] = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return found


def _deadline(text: str) -> datetime:
    """A moment with its hour and zone: nobody shall lose points to a guess. Raises ValueError."""
    moment = _moment(text)
    if moment.tzinfo is None:
        raise ValueError(f"the deadline needs its hour and zone, {EXAMPLE}, but is {text!r}")
    return moment


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"a time {EXAMPLE} is expected, not {text!r}") from None


def _stop(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code=2)
