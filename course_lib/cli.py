"""The command `course`."""

from __future__ import annotations

from typing import Annotated

import typer

from course_lib.classroom import commands_grade, commands_student

app = typer.Typer(
    help="From SIFT to LLaVA: the course's own tools.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
commands_student.register(app)
commands_grade.register(app)


@app.command()
def doctor() -> None:
    """Check this machine: one line a check, and what to do about each failure.

    The exit code is 1 if anything failed. Paste the output into a bug report.
    """
    from course_lib.doctor import main

    raise typer.Exit(code=main())


@app.command()
def lab(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Use this port; without it, the first free one from 8888."
        ),
    ] = None,
    browser: Annotated[
        bool | None, typer.Option(help="Open a browser; without it, if there is a display.")
    ] = None,
) -> None:
    """Open JupyterLab on the first lesson; print its address."""
    from course_lib.doctor import opencv_problem
    from course_lib.lab import run_lab

    if problem := opencv_problem():
        typer.echo(problem, err=True)
        raise typer.Exit(code=1)
    try:
        raise typer.Exit(code=run_lab(port, browser))
    except OSError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(code=1) from None


@app.command()
def notebooks(
    names: Annotated[
        list[str] | None, typer.Argument(help="Lessons, as 01_sift; without any, the stale ones.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say which are stale.")] = False,
) -> None:
    """Build notebooks from their text twins and execute them: the stale ones, or those named.

    With --check nothing is built, and the exit code is 1 if any is stale.
    """
    from course_lib.lessons import CellError, build, find, is_stale

    try:
        chosen = find(names or None)
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(code=2) from None
    if check or not names:
        chosen = [path for path in chosen if is_stale(path)]
    if not chosen:
        typer.echo("up to date")
    failed = check and bool(chosen)
    for path in chosen:
        try:
            typer.echo(f"{path.stem} is stale" if check else build(path))
        except CellError as error:
            typer.echo(f"{path.stem}: {error}", err=True)
            failed = True
    raise typer.Exit(code=int(failed))


if __name__ == "__main__":
    app()
