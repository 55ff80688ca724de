"""API keys of partner apps: random, shown once, kept as a hash, with scopes.

A key reads `assent_<key id>_<secret><checksum>`: the prefix and the CRC-32 at the end let secret scanners find one
that leaked, and let a mistyped one be refused without asking the database.
"""

import hashlib
import hmac
import secrets
import string
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

PREFIX = "assent"
_LETTERS = string.ascii_letters + string.digits
_SECRET_LENGTH = 43  # of 62 letters: 256 bits
_CHECKSUM_LENGTH = 8


class Scope(StrEnum):
    """What a key may do."""

    RECOMMEND = "recommend"
    EVENTS = "events"
    CONSENT = "consent"
    CATALOG = "catalog"
    ERASE = "erase"
    TRAIN = "train"
    AUDIT = "audit"
    ADMIN = "admin"


IMPLIED_BY: Mapping[Scope, frozenset[Scope]] = {Scope.AUDIT: frozenset({Scope.CONSENT})}
"""Scopes that another one has in it: who keeps consent may read the log, which names nobody."""


_ENOUGH = {scope: {scope, Scope.ADMIN, *IMPLIED_BY.get(scope, ())} for scope in Scope}
"""For each scope, those of which any one will do."""


class BadKey(Exception):
    """The key is malformed, unknown, over or revoked; which of them is nobody's business."""


@dataclass(frozen=True)
class Caller:
    """A partner app that proved who it is."""

    app_id: str
    key_id: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Tell whether the key has a scope; `admin` has them all."""
        return not self.scopes.isdisjoint(_ENOUGH[scope])


@dataclass(frozen=True)
class NewKey:
    """A key just made: `text` is shown once, `secret_hash` is kept."""

    key_id: str
    text: str
    secret_hash: bytes


class Proven:
    """Keys that proved themselves to this process before, whose they are, and what they could do then.

    Whether one is still in force is asked each time, and so is what it may do now. Memory is bounded: of more than `most` those that were used
    longest ago are forgotten, and prove themselves again.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._known: OrderedDict[str, tuple[bytes, Caller]] = OrderedDict()

    def add(self, caller: Caller, secret_hash: bytes) -> None:
        """Remember a key that was found to be good."""
        self._known[caller.key_id] = secret_hash, caller
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def caller_of(self, key_id: str, secret_hash: bytes) -> Caller | None:
        """Whose key this is; None when it did not prove itself here, or its secret is another."""
        expected, caller = self._known.get(key_id, (bytes(32), None))
        if not hmac.compare_digest(expected, secret_hash) or caller is None:
            return None
        self._known.move_to_end(key_id)
        return caller


def create() -> NewKey:
    """Make a key."""
    key_id = "".join(secrets.choice(_LETTERS) for _ in range(12))
    secret = "".join(secrets.choice(_LETTERS) for _ in range(_SECRET_LENGTH))
    body = f"{PREFIX}_{key_id}_{secret}"
    return NewKey(key_id, body + _checksum(body), _hash(secret))


def parse(text: str) -> tuple[str, bytes]:
    """Return the id of a key and the hash of its secret; BadKey when it is not one."""
    prefix, _, rest = text.partition("_")
    key_id, _, tail = rest.partition("_")
    secret, checksum = tail[:_SECRET_LENGTH], tail[_SECRET_LENGTH:]
    # Compared as bytes, since a header may hold anything.
    expected = _checksum(f"{prefix}_{key_id}_{secret}").encode()
    if prefix != PREFIX or not hmac.compare_digest(checksum.encode(errors="replace"), expected):
        raise BadKey
    return key_id, _hash(secret)


def caller(row: Sequence[object] | None, secret_hash: bytes, now: int) -> Caller:
    """Return who calls, from the row (app_id, key_id, secret_hash, scopes, expires_at, revoked_at) of their key.

    Raises:
        BadKey: there is no such key, the secret is another, or its time is over.
    """
    known = row is not None
    app_id, key_id, expected, scopes, expires_at, revoked_at = (
        row if row is not None else ("", "", bytes(32), "", None, None)
    )
    same = hmac.compare_digest(bytes(expected), secret_hash)  # type: ignore[call-overload]  # rows are untyped
    over = revoked_at is not None or (expires_at is not None and int(str(expires_at)) <= now)
    if not known or not same or over:
        raise BadKey
    return Caller(str(app_id), str(key_id), scopes_of(str(scopes)))


@lru_cache(maxsize=256)
def scopes_of(text: str) -> frozenset[Scope]:
    """Read scopes as they are kept."""
    return frozenset(Scope(name) for name in text.split())


def scopes_text(scopes: Iterable[Scope]) -> str:
    """Write scopes as they are kept."""
    return " ".join(sorted(scopes))


def _hash(secret: str) -> bytes:
    # The secret has 256 random bits: there is nothing to slow a guesser down for.
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode(errors='replace')):08x}"
