"""Where downloads stand: the folder, one process at a time, and a full disk in one sentence.

COURSE_DATA     the folder of downloads     (default: data/downloads of the course)
COURSE_OFFLINE  1 connects nowhere; 0 connects although HF_HUB_OFFLINE is 1
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import course_lib

if TYPE_CHECKING:
    from tqdm import tqdm

FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class DownloadError(RuntimeError):
    """A file is not to be had: one sentence, from what is missing to what to do about it."""


def downloads() -> Path:
    """The folder of downloads: $COURSE_DATA, else data/downloads beside the package."""
    if chosen := os.environ.get("COURSE_DATA"):
        return Path(chosen).expanduser().absolute()
    return Path(course_lib.__file__).parent.parent / "data" / "downloads"


def offline() -> str | None:
    """The setting that forbids connections, such as "COURSE_OFFLINE=1", or None."""
    for name in ("COURSE_OFFLINE", "HF_HUB_OFFLINE"):
        if value := os.environ.get(name):
            return None if value.lower() in ("0", "false", "no", "off") else f"{name}={value}"
    return None


@contextmanager
def alone(path: Path, progress: bool) -> Iterator[None]:
    """Hold `path.lock`, which the system frees even when its holder is killed."""
    from filelock import FileLock, Timeout

    lock = FileLock(f"{path}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:  # an OSError too
            if progress:
                print(f"another process is at work on {path.name}; waiting", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise unwritable(path, error) from None
    try:
        yield
    finally:
        lock.release()


def unwritable(path: Path, error: OSError, need: int = 0) -> DownloadError:
    """The sentence for a disk that is full (`need` more bytes are wanted) or may not be written."""
    if error.errno in FULL:
        more = f"; {need:,} bytes more are needed" if need else ""
        return DownloadError(
            f"{path.name} is missing, because the disk of {path.parent} is full{more}: "
            "free space there, or set COURSE_DATA to a folder on another disk"
        )
    why = error.strerror or error
    return DownloadError(
        f"{path.name} is missing, because {path.parent} cannot be written ({why}): "
        "set COURSE_DATA to a folder that can be written"
    )


def sha256_of(path: Path) -> str:
    """The digest of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_bar(label: str, total: int | None, first: int, shown: bool) -> tqdm:
    """A bar that counts bytes, as an object to use in `with`."""
    from tqdm.auto import tqdm

    return tqdm(
        desc=label, total=total, initial=first, disable=not shown, unit="B", unit_scale=True
    )
