"""Where submissions lie: nbgrader's tree, the bulk downloads of platforms, loose files.

An archive is never unpacked to the disk: its members are read, up to a limit, into memory. Links
are never followed. Who handed in what follows from where the lecturer's system has put the file,
and never from what is written in it: `naming` has the forms.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from course_lib.classroom.arrival import read_arrival
from course_lib.classroom.naming import age, moodle_name, own_name, student_of
from course_lib.classroom.submission import NOTEBOOK_BYTES, Submission, nothing, read_notebook

MEMBERS = 50_000  # of a bulk download
INNER_MEMBERS = 1_000  # of what one student packed
IGNORED = {"__MACOSX", ".ipynb_checkpoints", "__pycache__", ".git"}


@dataclass(frozen=True)
class Entry:
    """A file in a folder, or a member of an archive; `problem` says why it must not be read."""

    root: Path
    parts: tuple[str, ...]
    member: str = ""
    problem: str = ""

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.parts[-1]

    def read(self) -> bytes:
        """Its bytes, at most one more than a notebook may have. Raises OSError or ValueError."""
        if self.problem:
            raise ValueError(self.problem)
        if not self.member:
            path = self.root.joinpath(*self.parts)
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            with os.fdopen(handle, "rb") as file:
                return file.read(NOTEBOOK_BYTES + 1)
        with zipfile.ZipFile(self.root) as archive:
            return _member(archive, self.member)


@dataclass(frozen=True)
class Received:
    """All that came from one student: files, and what is odd about them."""

    student: str
    entries: tuple[Entry, ...]
    time: datetime | None = None  # when it was handed in, if the platform has written that

    @property
    def moodle_name(self) -> str:
        """`Ana Berg_902`, if it came in Moodle's download, else ""."""
        return moodle_name(self.entries[0].parts) if self.entries else ""

    def submission(self, assignment: str) -> Submission:
        """The one notebook of it that counts, read. Never raises for what a student sent."""
        problems = [entry.problem for entry in self.entries if entry.problem]
        chosen, rest = _choice(self.entries, assignment)
        if chosen is None:
            return nothing(self.student, *problems, "no notebook (.ipynb) was handed in")
        if rest:
            problems.append(f"{1 + rest} notebooks were handed in; {chosen.name[:80]} is graded")
        try:
            data = chosen.read()
            if chosen.name.casefold().endswith(".zip"):
                data = _notebook_in(data, assignment)
        except _BROKEN as error:
            why = str(getattr(error, "strerror", None) or error)[:200]  # without any path
            return nothing(self.student, *problems, f"{chosen.name[:80]} cannot be read: {why}")
        found = read_notebook(data, self.student)
        return replace(found, problems=(*problems, *found.problems))


_BROKEN = (OSError, ValueError, RuntimeError, LookupError, EOFError, zlib.error, zipfile.BadZipFile)


def collect(source: Path, assignment: str) -> list[Received]:
    """A folder, an archive or one notebook → what each student handed in, by student.

    Raises ValueError if nothing is there, or if it is no place of submissions at all.
    """
    entries = list(_entries(source))
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        if student := student_of(entry.parts, assignment):
            found.setdefault(student, []).append(entry)
    if not found:
        raise ValueError(f"no submission of {assignment} is in {source.name}")
    told = read_arrival(entries, assignment)
    names = {folder: told.names.get(folder, folder) for folder in found}
    twice = {name for name, count in Counter(names.values()).items() if count > 1}
    received = []
    for folder, name in sorted(names.items()):
        student = f"{name} ({folder})" if name in twice and name != folder else name
        received.append(Received(student, tuple(found[folder]), time=told.times.get(folder)))
    return sorted(received, key=lambda one: one.student)


def _entries(source: Path) -> Iterator[Entry]:
    """Every file of a place, in order of name; links and special files with their problem."""
    if source.is_dir():
        yield from _walk(source, ())
    elif source.suffix.casefold() == ".zip" and not _is_notebook_zip(source):
        yield from _members(source)
    elif source.is_file():
        yield Entry(source.parent, (source.name,))
    else:
        raise ValueError(f"a folder, a zip or a notebook is expected, but there is no {source}")


def _walk(root: Path, parts: tuple[str, ...]) -> Iterator[Entry]:
    with os.scandir(root.joinpath(*parts)) as listing:
        items = sorted(listing, key=lambda item: item.name)
    for item in items:
        here = (*parts, _printable(item.name))
        mode = item.stat(follow_symlinks=False).st_mode
        if item.name in IGNORED:
            continue
        if here[-1] != item.name:
            yield Entry(root, here, problem="a file name cannot be read")
        elif stat.S_ISDIR(mode) and len(here) < 8:
            yield from _walk(root, here)
        elif stat.S_ISLNK(mode):
            yield Entry(root, here, problem=f"{item.name[:80]} is a link, which is not followed")
        elif stat.S_ISREG(mode):
            yield Entry(root, here)


def _members(path: Path) -> Iterator[Entry]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except zipfile.BadZipFile:
        raise ValueError(f"{path.name} is no zip archive, or is damaged") from None
    if len(infos) > MEMBERS:
        raise ValueError(f"{path.name} has {len(infos):,} members, at most {MEMBERS:,} are read")
    names = Counter(info.filename for info in infos)
    for info in sorted(infos, key=lambda info: info.filename):
        parts = PurePosixPath(info.filename.replace("\\", "/")).parts
        if info.is_dir() or not parts or IGNORED & set(parts):
            continue
        problem = _member_problem(info)
        if names[info.filename] > 1:
            problem = "the archive holds two files of one name"
        inside = tuple(_printable(part) for part in parts if part not in ("..", "/"))
        inside = _without_export_folder(inside)
        if inside:
            yield Entry(path, inside, info.filename, problem)


def _without_export_folder(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Gradescope puts all into one folder `assignment_1234_export`."""
    is_export = len(parts) > 1 and re.fullmatch(r"assignment_\d+_export", parts[0])
    return parts[1:] if is_export else parts


def _member_problem(info: zipfile.ZipInfo) -> str:
    name = info.filename.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
        return "a file in the archive points outside it"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a file in the archive is a link, which is not followed"
    return ""


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of a member, whatever size its header promises."""
    with archive.open(name) as file:
        return file.read(NOTEBOOK_BYTES + 1)


def _choice(entries: Sequence[Entry], assignment: str) -> tuple[Entry | None, int]:
    """The file that counts and how many others might be meant.

    The assignment's name goes first, then what came last, then A to Z.
    """
    usable = [entry for entry in entries if not entry.problem]
    notebooks = [entry for entry in usable if entry.name.casefold().endswith(".ipynb")]
    candidates = notebooks or [e for e in usable if e.name.casefold().endswith(".zip")]
    if not candidates:
        return None, 0
    ranked = sorted(
        candidates,
        key=lambda e: (not own_name(e.name).startswith(assignment), *age(e.name), e.parts),
    )
    return ranked[0], len(ranked) - 1


def _notebook_in(data: bytes, assignment: str) -> bytes:
    """The notebook in what `course submit`, or a student, packed."""
    if len(data) > NOTEBOOK_BYTES:
        raise ValueError(f"it has more than {NOTEBOOK_BYTES / 1e6:.0f} MB")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        if len(infos) > INNER_MEMBERS:
            raise ValueError(f"it has more than {INNER_MEMBERS:,} members")
        if problems := [problem for info in infos if (problem := _member_problem(info))]:
            raise ValueError(problems[0])
        notebooks = sorted(
            info.filename
            for info in infos
            if info.filename.casefold().endswith(".ipynb")
            and not IGNORED & set(info.filename.split("/"))
        )
        if not notebooks:
            raise ValueError("no notebook (.ipynb) is in it")
        named = [name for name in notebooks if PurePosixPath(name).name.startswith(assignment)]
        return _member(archive, (named or notebooks)[0])


def _is_notebook_zip(path: Path) -> bool:
    """Whether an archive is one student's: it has its notebook at the top."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "manifest.json" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def _printable(name: str) -> str:
    return name.encode("utf-8", "replace").decode("utf-8")
