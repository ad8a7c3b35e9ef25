"""The notebooks as files: built from their text twins, executed, measured, solved.

notebooks/source/NN_name.py (jupytext percent) is the source one edits; notebooks/NN_name.ipynb is
built from it and executed. What would change at every build (widget ids, timings of cells) is left
out of the file, so that a difference in a diff is a difference in the lesson.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

import course_lib
from course_lib.doctor import ROOT
from course_lib.exercises.engine import Exercise

NOTEBOOKS = ROOT / "notebooks"
HOUSE = ROOT / "course_lib"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def find(names: list[str] | None = None) -> list[Path]:
    """Paths of the notebooks, in order: all that have a twin, or those named ("01_sift")."""
    known = {
        twin.stem: NOTEBOOKS / f"{twin.stem}.ipynb" for twin in (NOTEBOOKS / "source").glob("*.py")
    }
    wanted = sorted(known) if names is None else [Path(name).stem for name in names]
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(
            f"there is no lesson {', '.join(unknown)}; there are: {', '.join(sorted(known))}"
        )
    return [known[name] for name in wanted]


def twin(path: Path) -> Path:
    """notebooks/01_sift.ipynb → notebooks/source/01_sift.py."""
    return path.parent / "source" / f"{path.stem}.py"


def read_twin(path: Path) -> NotebookNode:
    """The notebook that the text twin of `path` describes: no outputs, stable cell ids."""
    notebook = jupytext.read(twin(path))
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "course": {},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def essence(notebook: NotebookNode) -> list[tuple]:
    """What makes a lesson the same lesson: its cells and their tags, without outputs."""
    return [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]


def read_built(path: Path) -> NotebookNode | None:
    """The notebook as it was built, or None if the file is missing, damaged or not one of ours."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError):
        return None
    return notebook if "course" in notebook.metadata else None


def in_step(path: Path) -> bool:
    """Does the built notebook hold exactly the cells and tags of its twin?"""
    built = read_built(path)
    return built is not None and essence(built) == essence(read_twin(path))


def fingerprint(content: str) -> str:
    """Sixteen characters that change when `content` does."""
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def library_hash() -> str:
    """A fingerprint of the library's rooms: a notebook executed with another one is stale."""
    files = sorted(p for ending in ("py", "js", "css") for p in HOUSE.glob(f"*/*.{ending}"))
    return fingerprint("".join(p.name + p.read_text(encoding="utf-8") for p in files))


def is_stale(path: Path) -> bool:
    """Has its twin or the library changed since this notebook was executed? Or is it damaged?"""
    return not in_step(path) or read_built(path).metadata.course.get("library") != library()


def library() -> dict[str, str]:
    """Version and fingerprint of the library, as a notebook remembers them."""
    return {"version": course_lib.__version__, "hash": library_hash()}


class CellError(RuntimeError):
    """A cell of a lesson failed: which one, and why, in two lines."""


def _news(error: Exception, number: int, cell: NotebookNode) -> str:
    if isinstance(error, CellExecutionError):
        reason = f"{error.ename}: {error.evalue}"
    else:
        reason = "it took too long"
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    return f"cell {number} failed with {reason}\n  it begins: {first}"


@contextmanager
def peak_memory(process_id: int) -> Iterator[list[float]]:
    """Watch a process while the block runs → list with its peak resident memory in MB."""
    process, peak, done = psutil.Process(process_id), [0.0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            with suppress(psutil.Error):
                peak[0] = max(peak[0], process.memory_info().rss / 1e6)
            done.wait(0.05)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _environment(folder: str) -> dict[str, str]:
    return {**os.environ, "COURSE_PASSPORT": str(Path(folder) / "passport.json")}


def execute(notebook: NotebookNode, timeout: int = 600) -> dict[str, float]:
    """Run every cell in a fresh kernel, outputs into `notebook` → {"seconds", "peak_mb"}.

    The kernel gets an empty passport of its own: building a lesson leaves the reader's alone.
    """
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
    )
    with TemporaryDirectory() as own, client.setup_kernel(env=_environment(own)):
        started = time.perf_counter()
        with peak_memory(client.km.provisioner.pid) as peak:
            for number, cell in enumerate(notebook.cells):
                try:
                    client.execute_cell(cell, number)
                except (CellExecutionError, CellTimeoutError) as error:
                    raise CellError(_news(error, number, cell)) from None
        seconds = time.perf_counter() - started
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
    return {"seconds": round(seconds, 1), "peak_mb": round(peak[0])}


def keep_edited(path: Path) -> Path | None:
    """Copy a notebook in which somebody has worked, so that building loses nothing → the copy."""
    built = read_built(path)
    if not path.exists():
        return None
    if built and built.metadata.course.get("cells") == fingerprint(repr(essence(built))):
        return None
    copies = (path.with_name(f"{path.stem}.mine-{n}.ipynb") for n in range(1, 10_000))
    copy = next(copy for copy in copies if not copy.exists())
    shutil.copy2(path, copy)
    return copy


def build(path: Path) -> str:
    """Execute the twin's cells and write the notebook, whole or not at all → one line of news.

    A notebook in which somebody has worked is copied first. Raises CellError if a cell fails.
    """
    notebook, made_with = read_twin(path), library()
    cells = fingerprint(repr(essence(notebook)))
    measured = execute(notebook)
    notebook.metadata.course.update(library=made_with, cells=cells, measured=measured)
    nbformat.validate(notebook)
    copy = keep_edited(path)
    part = path.with_suffix(".part")
    nbformat.write(notebook, part)
    os.replace(part, path)
    seconds, peak, size = *measured.values(), path.stat().st_size / 1e6
    news = f"{path.stem}: {seconds} s, {peak} MB at peak, file {size:.2f} MB"
    return f"{news}; your edited notebook is kept as {copy.name}" if copy else news


def exercises_of(path: Path) -> dict[str, Exercise]:
    """This lesson's exercises by name, in order: 01_sift → those of course_lib.exercises.sift."""
    module = importlib.import_module(f"course_lib.exercises.{path.stem.partition('_')[2]}")
    return {exercise.name: exercise for exercise in module.EXERCISES}


def solved(path: Path) -> NotebookNode:
    """The lesson with every stub replaced by its solution, not yet executed."""
    notebook, exercises = read_twin(path), exercises_of(path)
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("exercise:"):
                cell.source = exercises[tag.removeprefix("exercise:")].solution_cell()
    return notebook
