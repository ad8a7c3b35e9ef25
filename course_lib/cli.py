"""The command `course`."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="From SIFT to LLaVA: the course's own tools.", no_args_is_help=True, add_completion=False
)


@app.command()
def doctor() -> None:
    """Check this machine: one line a check, and what to do about each failure.

    The exit code is 1 if anything failed. Paste the output into a bug report.
    """
    from course_lib.doctor import examine

    findings = examine()
    for finding in findings:
        typer.echo(str(finding))
    failed = sum(not finding.ok and not finding.optional for finding in findings)
    typer.echo(f"\n{failed} of {len(findings)} checks failed." if failed else "\nAll is well.")
    raise typer.Exit(code=1 if failed else 0)


@app.command()
def lab(
    port: Annotated[
        int | None, typer.Option(help="Use this port; without it, the first free one from 8888.")
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
    from course_lib.lessons import build, find, is_stale

    try:
        chosen = find(names) if names else [path for path in find() if is_stale(path)]
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(code=2) from None
    if not chosen:
        typer.echo("every notebook is up to date")
    for path in chosen:
        typer.echo(f"{path.stem} is stale" if check else build(path))
    raise typer.Exit(code=1 if check and chosen else 0)


if __name__ == "__main__":
    app()
