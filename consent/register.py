"""The register of erasures: what has to stay forgotten, written down outside the database before anything is removed.

One small file for each erasure or withdrawal, under any fsspec URL, only ever added: a folder for each day, a file
named by the app and the erasure's random id. It names nobody. What it holds are keyed hashes of random numbers (of a
person's row, of the receipt that granted a cell), which nobody can recompute without the service's secret and a
database in which the row is still there. So it can tell of a restored backup who in it must go, and of nobody else anything.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import fsspec
from fsspec.implementations.local import LocalFileSystem

from consent.pseudonyms import derived_key

FORMAT = "assent-register/1"
NAMED = "register.json"
"""The file with the register's name, beside the folders of days."""
EVERYTHING, WITHDRAWAL = "everything", "withdrawal"


class RegisterUnreadable(OSError):
    """It is another register than the database was used with, or none, or an entry is damaged or of another secret; the message says which."""


@dataclass(frozen=True)
class Entry:
    """What was asked to be forgotten: `keys` of a person's row (kind `everything`), or of the grants that were taken back."""

    app_id: str
    erasure_id: str
    kind: str
    requested_at: int
    keys: Sequence[str]


@dataclass(frozen=True, order=True)
class Listed:
    """An entry as the listing shows it, before it is read."""

    day: date
    app_id: str
    erasure_id: str
    path: str


class Register:
    """The register under one URL, with the keys of one secret. Its methods block: call them from a thread."""

    def __init__(self, url: str, secret: bytes) -> None:
        self.url = url
        self.expected: str | None = None
        """The name of the register that belongs to the database, once that is known: nothing is added to another."""
        self._key = derived_key(secret, "register of erasures")
        self._made_under = self._keyed("secret")[:16]

    def of_person(self, app_id: str, subject_id: str | None) -> str:
        """Return the key of a person's row; a random one for someone never seen, so that their entry looks the same."""
        return secrets.token_hex(32) if subject_id is None else self._keyed("person", app_id, subject_id)

    def of_grant(self, app_id: str, receipt_id: str, signal: str, purpose: str) -> str:
        """Return the key of one cell as one receipt granted it."""
        return self._keyed("grant", app_id, receipt_id, signal, purpose)

    def _keyed(self, *parts: str) -> str:
        return hmac.digest(self._key, "\0".join(parts).encode(), hashlib.sha256).hex()

    def name(self) -> str | None:
        """Return the register's name, None where none was begun. RegisterUnreadable when it cannot be told."""
        system, folder = fsspec.core.url_to_fs(self.url)
        system.invalidate_cache()
        try:
            return str(json.loads(system.cat_file(f"{folder}/{NAMED}"))["name"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise RegisterUnreadable("the name of the register of erasures cannot be read") from None

    def begin(self, name: str) -> None:
        """Begin a register under a name. OSError when it cannot be written."""
        _write(NAMED, self.url, {"format": FORMAT, "name": name})

    def require_expected(self) -> None:
        """Raise RegisterUnreadable where another register lies than the one expected, or none."""
        if self.expected is not None and self.name() != self.expected:
            raise RegisterUnreadable(
                "the register of erasures that this database was used with is not there: is ASSENT_REGISTER_URL right, and mounted?"
            )

    def add(self, entry: Entry) -> None:
        """Write an entry down; once this returns, it outlives a power cut. OSError when it cannot be written."""
        self.require_expected()
        day = datetime.fromtimestamp(entry.requested_at / 1_000_000, UTC).date()
        path = f"{day}/{quote(entry.app_id, safe='')}~{entry.erasure_id}.json"
        document = {
            "format": FORMAT,
            "secret": self._made_under,
            "erasure_id": entry.erasure_id,
            "app": entry.app_id,
            "kind": entry.kind,
            "requested_at": entry.requested_at,
            "keys": list(entry.keys),
        }
        _write(path, self.url, document)

    def entries(self) -> list[Listed]:
        """List every entry, the oldest day first; none when nothing was ever written. OSError where something else lies."""
        system, folder = fsspec.core.url_to_fs(self.url)
        system.invalidate_cache()
        if not system.exists(folder):
            return []
        if not system.isdir(folder):
            raise NotADirectoryError("the register of erasures is no folder")
        # Day by day: `find` leaves out what it cannot look at, and such a day must not pass for one on which nobody left.
        days = [each["name"] for each in system.ls(folder, detail=True) if each["type"] == "directory"]
        return sorted(_listed(name for day in days for name in system.ls(day, detail=False)))

    def read(self, listed: Listed) -> Entry:
        """Read an entry. RegisterUnreadable when it is damaged, or its keys were made under another secret."""
        system, _ = fsspec.core.url_to_fs(self.url)
        try:
            document: dict[str, Any] = json.loads(system.cat_file(listed.path))
            entry = Entry(
                app_id=document["app"],
                erasure_id=document["erasure_id"],
                kind=document["kind"],
                requested_at=int(document["requested_at"]),
                keys=[str(key) for key in document["keys"]],
            )
            made_under = str(document["secret"])
        except (ValueError, KeyError, TypeError):
            raise RegisterUnreadable("an entry of the register of erasures cannot be read") from None
        if not hmac.compare_digest(made_under, self._made_under):
            raise RegisterUnreadable("the register of erasures was written under another secret")
        return entry

    def prune(self, entries: Sequence[Listed]) -> None:
        """Remove entries, and the folders of days that are empty then."""
        system, folder = fsspec.core.url_to_fs(self.url)
        for each in entries:
            system.rm_file(each.path)
        for day in {each.day for each in entries}:
            if system.exists(f"{folder}/{day}") and not system.ls(f"{folder}/{day}"):
                system.rmdir(f"{folder}/{day}")


def _listed(paths: Iterable[str]) -> Iterator[Listed]:
    for path in paths:
        *_, day, name = path.split("/")
        app, _, erasure_id = name.removesuffix(".json").rpartition("~")
        if name.endswith(".json") and app:  # what a crash left half-written has another ending
            yield Listed(date.fromisoformat(day), unquote(app), erasure_id, path)


def _write(path: str, url: str, document: Mapping[str, Any]) -> None:
    """Write a file within a folder, under any fsspec URL."""
    system, folder = fsspec.core.url_to_fs(url)
    content = json.dumps(document).encode()
    if isinstance(system, LocalFileSystem):
        _write_durably(Path(folder) / path, content)
    else:  # an object store answers once the object is safe
        system.pipe_file(f"{folder}/{path}", content)


def _write_durably(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, and stays."""
    for folder in reversed([each for each in (path.parent, path.parent.parent) if not each.exists()]):
        folder.mkdir(parents=True, exist_ok=True)
        _sync(folder.parent)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
