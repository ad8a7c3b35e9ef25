"""`course release` for the lecturer; `course check` and `course submit` for the student."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

Seconds = Annotated[float, typer.Option(min=0.1, help="Limit for one cell or one check.")]
Notebook = Annotated[Path, typer.Argument(help="The notebook, beside its bundle.json.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `course`."""
    app.command()(release)
    app.command()(check)
    app.command()(submit)


def release(
    name: Annotated[
        str | None, typer.Argument(help="An assignment; without one, all are listed.")
    ] = None,
    to: Annotated[Path, typer.Option(help="Folder of the bundles.")] = Path("release"),
    variants: Annotated[
        Path | None, typer.Option(help="CSV with a column `student`: one bundle for each.")
    ] = None,
    secret: Annotated[
        Path | None, typer.Option(help="File of the secret, made on first use.")
    ] = None,
) -> None:
    """Make the bundle that students get: notebook, public data, README; a folder and a zip.

    With --variants each student gets constants and public data of his own, which follow from the
    secret and the student's name.
    """
    from course_lib.classroom.assignment import load, names
    from course_lib.classroom.release import write_bundle
    from course_lib.classroom.roster import read_students
    from course_lib.classroom.secret import SecretError, read_secret, variant_of

    try:
        if name is None:
            for each in names():
                typer.echo(f"{each:<16} {_told(each)}")
            return
        students = list(read_students(variants)) if variants else [""]
        key = read_secret(secret) if variants else b""
        for student in students:
            variant = variant_of(key, name, student) if student else 0
            _, archive = write_bundle(load(name, variant), to, student)
            typer.echo(f"{archive}")
    except (ValueError, OSError, SecretError) as error:
        _stop(str(error), 2)


def _told(name: str) -> str:
    """An assignment in a line; of one that is not finished, what is missing."""
    from course_lib.classroom.assignment import load

    try:
        found = load(name)
    except (ValueError, OSError) as error:
        return f"cannot be handed out: {error}"
    return f"{found.title}: {found.points:g} points, {found.minutes} minutes"


def check(notebook: Notebook, seconds: Seconds = 20.0) -> None:
    """Say what will be handed in, what is missing, and what the public checks find.

    The exit code is 1 if something is missing or odd; a wrong answer is not missing.
    """
    from course_lib.classroom.bundle import BundleError
    from course_lib.classroom.checking import check_notebook

    try:
        found = check_notebook(notebook, seconds)
    except BundleError as error:
        _stop(str(error), 1)
    typer.echo(str(found))
    raise typer.Exit(code=int(not found.is_complete))


def submit(
    notebook: Notebook,
    student: Annotated[
        str,
        typer.Option(prompt="Your identifier", help="Your identifier, as your lecturer has it."),
    ],
    to: Annotated[Path, typer.Option(help="Folder of the file.")] = Path("."),
) -> None:
    """Make the one file that is handed in, NAME-STUDENT.zip, and say what is missing in it."""
    from course_lib.classroom.bundle import BundleError
    from course_lib.classroom.handing_in import hand_in

    try:
        path, found = hand_in(notebook, student, to)
    except (BundleError, ValueError, OSError) as error:
        _stop(str(error), 1)
    typer.echo(str(found))
    typer.echo(f"\nHand in this file: {path}")


def _stop(sentence: str, code: int) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code=code)
