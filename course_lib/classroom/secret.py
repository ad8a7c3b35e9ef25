"""The lecturer's secret: hidden seeds and students' variants follow from it, and from nothing else.

It lies in a file of its own outside the repository, readable by its owner only. Who has it can
reproduce every number; who has a bundle cannot get back to it (HMAC-SHA-256).
"""

from __future__ import annotations

import hmac
import os
import secrets
import tomllib
from pathlib import Path

LARGEST = 2**31 - 1  # every random generator takes a seed up to here


class SecretError(RuntimeError):
    """The secret is not to be had, or others can read it: one sentence, with what to do."""


def secret_path() -> Path:
    """$COURSE_SECRET, else .config/course/secret.toml in the home folder."""
    if chosen := os.environ.get("COURSE_SECRET"):
        return Path(chosen).expanduser().absolute()
    return Path.home() / ".config" / "course" / "secret.toml"


def read_secret(path: Path | None = None) -> bytes:
    """The secret's 32 bytes; the file is made on first use. Raises SecretError."""
    path = path or secret_path()
    try:
        if not path.exists():
            _make(path)
        text = path.read_text(encoding="utf-8")
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise SecretError(f"others can read the secret {path}: run chmod 600 on it")
    except OSError as error:
        why = error.strerror or error
        raise SecretError(f"the secret {path} cannot be read or made: {why}") from None
    try:
        secret = bytes.fromhex(tomllib.loads(text)["secret"])
    except (KeyError, TypeError, ValueError):
        raise SecretError(f'{path} must hold one line, secret = "64 hexadecimal digits"') from None
    if len(secret) != 32:
        raise SecretError(f"the secret in {path} must have 32 bytes, but it has {len(secret)}")
    return secret


def _make(path: Path) -> None:
    """Write a new secret whole or not at all; of two processes, the first one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(f'secret = "{secrets.token_hex(32)}"\n')
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()


def variant_of(secret: bytes, assignment: str, student: str) -> int:
    """The number of a student's variant, 1 to 2³¹ − 1."""
    return _number(secret, "variant", assignment, student)


def hidden_seed(secret: bytes, assignment: str) -> int:
    """The seed of the hidden cases of an assignment, 1 to 2³¹ − 1, the same for the whole class."""
    return _number(secret, "hidden", assignment)


def order_of(secret: bytes, assignment: str, student: str) -> str:
    """What decides in which order a student's tests meet implementations: 64 hexadecimal digits.

    Not of the hidden seed, which is a small number, and whose cases a student's code has seen.
    """
    return _digest(secret, "order", assignment, student).hex()


def _number(secret: bytes, *what: str) -> int:
    return 1 + int.from_bytes(_digest(secret, *what)[:8], "big") % LARGEST


def _digest(secret: bytes, *what: str) -> bytes:
    return hmac.digest(secret, "\0".join(what).encode(), "sha256")
