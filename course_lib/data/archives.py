"""Unpack the files that a data set needs from its .tar.gz: all of them, or no folder at all."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from course_lib.data.storage import DownloadError, alone, bytes_bar, unwritable

CHUNK = 1 << 20  # bytes


def unpack(
    archive: str | os.PathLike,
    folder: str | os.PathLike,
    members: Sequence[str],
    *,
    progress: bool = True,
) -> Path:
    """→ `folder` with the regular files `members` of a .tar.gz side by side, unless it is there.

    members   names without folders, such as "test_batch.bin"; whatever else is in the archive stays

    No name in the archive ever becomes a path: a member is found by the last part of its name and
    written under the name given here, so no archive can write elsewhere. The files are written to
    `folder.part`, which becomes `folder` at the end. Raises DownloadError for an archive that is
    cut short, none, or lacks a member, and for a full disk.
    """
    archive, folder = Path(archive).absolute(), Path(folder).absolute()
    if folder.is_dir():
        return folder
    part = folder.with_name(folder.name + ".part")
    with alone(folder, progress):
        if folder.is_dir():  # another process made it
            return folder
        try:
            shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
            part.mkdir()
            missing = _copy(archive, part, members, progress)
            if not missing:
                os.replace(part, folder)
        except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise _unusable(archive, folder, f"is cut short or no .tar.gz ({error})") from None
        except OSError as error:
            raise unwritable(folder, error) from None
        finally:
            shutil.rmtree(part, ignore_errors=True)
    if missing:
        raise _unusable(archive, folder, f"lacks {', '.join(missing)}")
    return folder


def _copy(archive: Path, part: Path, members: Sequence[str], progress: bool) -> list[str]:
    """Write `members` into the folder `part`; return those that the archive has not."""
    missing = list(members)
    with tarfile.open(archive, "r:gz") as tar, bytes_bar(archive.name, None, 0, progress) as bar:
        for entry in tar:
            name = PurePosixPath(entry.name).name
            if name in missing and entry.isfile():
                with tar.extractfile(entry) as source, open(part / name, "wb") as target:
                    while chunk := source.read(CHUNK):
                        target.write(chunk)
                        bar.update(len(chunk))
                missing.remove(name)
                if not missing:
                    break
    return missing


def _unusable(archive: Path, folder: Path, why: str) -> DownloadError:
    return DownloadError(
        f"{folder.name} is missing, because {archive} {why}: delete that file and download it anew"
    )
