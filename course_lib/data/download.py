"""Fetch a published file once: resumed, verified, and whole or not there at all.

`path` exists only when its SHA-256 is right. Until then its bytes stand in `path.part`, and
`path.part.json` says of which file they are: both outlive a kill, and the next call goes on there.
HTTPS_PROXY, HTTP_PROXY and NO_PROXY are obeyed.
"""

from __future__ import annotations

import errno
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from course_lib.data.storage import (
    FULL,
    DownloadError,
    alone,
    bytes_bar,
    offline,
    sha256_of,
    unwritable,
)

CHUNK = 1 << 16  # bytes
PAUSES = (1.0, 2.0, 4.0)  # seconds before another attempt, as long as attempts bring nothing new
PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP answers that may be better in a while
NO_NETWORK = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}


class _FailedError(Exception):
    """One attempt failed; `again` says whether the same address deserves another."""

    def __init__(self, why: str, again: bool = True) -> None:
        super().__init__(why)
        self.again = again


def download(
    urls: str | Sequence[str],
    path: str | os.PathLike,
    sha256: str,
    size: int | None = None,
    *,
    instead: str = "",
    progress: bool = True,
    timeout: float = 30.0,
) -> Path:
    """→ `path`, fetched from the first of `urls` that serves the file, unless it is there already.

    size      bytes, if known: a server that offers another file is found out before it is fetched
    instead   what works without it, such as "digits()"; ends the sentence of an error
    progress  show a bar
    timeout   seconds without a byte after which a connection counts as lost

    A lost connection goes on where it stopped (RFC 9110 §14: Range with If-Range); an address is
    given up when `PAUSES` is used up without one new byte. Of two processes, one downloads and one
    waits. Raises DownloadError, and leaves nothing at `path` that is not the file; Ctrl-C keeps the
    part. ValueError for an address or a digest that is none.
    """
    urls = (urls,) if isinstance(urls, str) else tuple(urls)
    if not urls or not all(re.match("https?://.", url) for url in urls):
        raise ValueError(f"urls must begin with http:// or https://, but {urls} was given")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"sha256 must be 64 digits of 0-9a-f, but {sha256!r} was given")
    wanted = _Wanted(urls, Path(path).absolute(), sha256, size, instead, progress, timeout)
    if wanted.is_there():
        return wanted.path
    if setting := offline():
        raise DownloadError(wanted.sentence(f"{setting} forbids connections"))
    with alone(wanted.path, progress):
        if not wanted.is_there():  # the process that was waited for may have fetched it
            wanted.fetch()
    return wanted.path


@dataclass(frozen=True)
class _Note:
    """Of which file a part is: its address, its ETag or date there, its bytes, its digest."""

    url: str
    mark: str | None
    total: int | None
    sha256: str

    def is_same_file(self, other: _Note) -> bool:
        """Marks of different servers cannot be compared; the digest judges in the end."""
        marks_agree = self.url != other.url or self.mark == other.mark
        return marks_agree and self.total == other.total


@dataclass(frozen=True)
class _Wanted:
    """One file to fetch, and the attempts to get it."""

    urls: tuple[str, ...]
    path: Path
    sha256: str
    size: int | None
    instead: str
    progress: bool
    timeout: float

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    @property
    def note_path(self) -> Path:
        return self.path.with_name(self.path.name + ".part.json")

    def is_there(self) -> bool:
        return self.path.is_file() and sha256_of(self.path) == self.sha256

    def sentence(self, why: str) -> str:
        state = "is not the published file" if self.path.is_file() else "is missing"
        size = f"{self.size:,} bytes, " if self.size else ""
        instead = f", or use {self.instead}" if self.instead else ""
        return (
            f"{self.path.name} {state} and could not be downloaded ({why}): fetch {self.urls[0]} "
            f"({size}SHA-256 {self.sha256}) elsewhere and save it as {self.path}{instead}"
        )

    def fetch(self) -> None:
        reasons = []
        for url in self.urls:
            reason = self._from(url)
            if reason is None:
                return
            reasons.append(f"{urllib.request.Request(url).host}: {reason}")
        raise DownloadError(self.sentence("; ".join(reasons)))

    def _from(self, url: str) -> str | None:
        """Attempts at one address → None when the file is whole, else why it is not."""
        most = self._have()[0]  # bytes ever: a server that always starts over makes no progress
        idle = 0
        while True:
            try:
                self._attempt(url)
                return None
            except _FailedError as failed:
                have = self._have()[0]
                idle = 0 if have > most else idle + 1
                most = max(most, have)
                if not failed.again or idle > len(PAUSES):
                    return str(failed)
            time.sleep(PAUSES[max(idle - 1, 0)])

    def _have(self) -> tuple[int, _Note | None]:
        """Bytes of the part and its note; (0, None) for a part of which nothing is known."""
        try:
            note = _Note(**json.loads(self.note_path.read_text(encoding="utf-8")))
            size = self.part.stat().st_size
        except (OSError, ValueError, TypeError):
            return 0, None
        return (size, note) if size and note.sha256 == self.sha256 else (0, None)

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note_path.unlink(missing_ok=True)

    def _attempt(self, url: str) -> None:
        """Fetch what the part lacks and make it the file. Raises _FailedError, DownloadError."""
        start, note = self._have()
        if note is None or start != note.total:  # else killed between the last byte and the check
            with self._ask(url, start, note) as answer:
                offered, first = self._offered(answer, url)
                if first != 0 and (first != start or not offered.is_same_file(note)):
                    self._forget()
                    raise _FailedError("the file changed while it was fetched")
                self._add(answer, first, offered)
        found = sha256_of(self.part)
        if found != self.sha256:
            self._forget()
            # Pieces of two downloads may not fit; what came in one piece would come so again.
            raise _FailedError(f"what came has the SHA-256 {found}", again=start > 0)
        os.replace(self.part, self.path)
        self.note_path.unlink(missing_ok=True)

    def _ask(self, url: str, start: int, note: _Note | None) -> http.client.HTTPResponse:
        headers = {"Accept-Encoding": "identity", "User-Agent": "from-sift-to-llava"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if note.url == url and note.mark:
                headers["If-Range"] = note.mark
        try:
            request = urllib.request.Request(url, headers=headers)
            return urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # the part is longer than the file: not a part of it
                self._forget()
            why = f"HTTP {error.code} {error.reason}"
            raise _FailedError(why, again=error.code in PASSING | {416}) from None
        except (OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", error)
            hopeless = isinstance(cause, (socket.gaierror, ssl.SSLCertVerificationError))
            hopeless = hopeless or getattr(cause, "errno", None) in NO_NETWORK
            raise _FailedError(f"no connection, {cause}", again=not hopeless) from None

    def _offered(self, answer: http.client.HTTPResponse, url: str) -> tuple[_Note, int]:
        """What the server says of the file, and which byte of it comes first."""
        first, total = 0, answer.headers.get("Content-Length")
        if answer.status == 206:
            spoken = answer.headers.get("Content-Range", "")
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", spoken)
            if not span:
                raise _FailedError(f"its Content-Range is {spoken!r}", again=False)
            first, total = int(span[1]), span[2]
        total = int(total) if total else self.size
        if self.size and total != self.size:
            why = f"it offers {total:,} bytes where {self.size:,} are expected"
            raise _FailedError(why, again=False)
        etag = answer.headers.get("ETag", "W/")
        # If-Range takes no weak ETag (RFC 9110 §13.1.5).
        mark = answer.headers.get("Last-Modified") if etag.startswith("W/") else etag
        return _Note(url, mark, total, self.sha256), first

    def _add(self, answer: http.client.HTTPResponse, first: int, offered: _Note) -> None:
        """Write the body from byte `first` on; a disk that fills up meanwhile is emptied again."""
        need = max((offered.total or 0) - first, 0)
        if need > shutil.disk_usage(self.path.parent).free:
            raise unwritable(self.path, OSError(errno.ENOSPC, ""), need)
        have = first
        try:
            if first == 0:
                self._forget()
                self.note_path.write_text(json.dumps(asdict(offered)), encoding="utf-8")
            with (
                open(self.part, "ab") as file,
                bytes_bar(self.path.name, offered.total, first, self.progress) as bar,
            ):
                for chunk in _chunks(answer):
                    file.write(chunk)
                    bar.update(len(chunk))
                    have += len(chunk)
                    if offered.total and have > offered.total:
                        break  # its end may be nowhere
                file.flush()
                os.fsync(file.fileno())  # a rename must not outlive the bytes in a power cut
        except OSError as error:
            if error.errno in FULL:
                self._forget()
            raise unwritable(self.path, error, need) from None
        if offered.total and have > offered.total:
            self._forget()
            raise _FailedError(f"it sends more than the {offered.total:,} bytes", again=False)
        if offered.total and have < offered.total:
            raise _FailedError(f"the connection was lost after {have:,} of {offered.total:,} bytes")


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body, piece by piece; what the network does to it is no error of the disk."""
    while True:
        try:
            chunk = answer.read1(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            what = str(error) or type(error).__name__
            raise _FailedError(f"the connection was lost, {what}") from None
        if not chunk:
            return
        yield chunk
