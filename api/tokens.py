"""Links and sessions: short-lived tokens that only this service can read.

A token is an AES-256-GCM box over what it opens. Whoever holds it learns nothing from it: the app, the person and the
kind are inside. It carries the row id of the person it was made for, if they had a row: once erased, that id never
comes back, so the token died with them. For who has none yet it carries when it was made. Links work once (`used_link` remembers their random number until they expire).
The link to an erasure is the exception: it is about nobody, outlives the person, and only shows.
"""

import base64
import binascii
import secrets
import struct
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent.pseudonyms import derived_key


class Kind(IntEnum):
    """What a token opens."""

    SETTINGS = 1
    WHY = 2
    ERASE = 3
    SESSION = 4
    ERASURE = 5


class BadToken(Exception):
    """The token was never made here, was changed, is of another kind, or is over."""


@dataclass(frozen=True)
class Token:
    """What a token says once it is opened. Times in microseconds, UTC; `subject_id` is None for who has no row.

    One that opens an erasure names that in the place of the person's row, and nobody.
    """

    kind: Kind
    app_id: str
    user_hash: bytes
    subject_id: str | None
    expires_at: int
    nonce: bytes
    guardian: str | None = None
    """Pseudonym of whoever acts for the person, when it is not they."""
    made_at: int = 0
    """When it was made, for who has no row; otherwise nought."""

    @property
    def erasure_id(self) -> str:
        """The erasure that a token of that kind opens."""
        return self.subject_id or ""


_HEAD = struct.Struct(">BQ")
_NOBODY = struct.Struct(">QQ")
"""In the place of a row's 16 random bytes: half of nought, which no such id has, and when the token was made."""
_NONCE, _USER_HASH = 12, 32


class Tokens:
    """Makes and opens tokens under a key of the service's secret."""

    def __init__(self, secret: bytes) -> None:
        self._box = AESGCM(derived_key(secret, "tokens"))

    def make(
        self,
        kind: Kind,
        app_id: str,
        user_hash: bytes,
        subject_id: str | None,
        expires_at: int,
        guardian: str | None = None,
        made_at: int = 0,
    ) -> str:
        """Return a token, safe in a URL; `made_at` counts for who has no row."""
        nonce = secrets.token_bytes(_NONCE)
        subject = bytes.fromhex(subject_id) if subject_id else _NOBODY.pack(0, made_at)
        message = _HEAD.pack(kind, expires_at) + user_hash + subject + app_id.encode()
        if guardian is not None:
            message += b"\x00" + bytes.fromhex(guardian)
        return base64.urlsafe_b64encode(nonce + self._box.encrypt(nonce, message, None)).decode().rstrip("=")

    def make_for_erasure(self, app_id: str, erasure_id: str, expires_at: int) -> str:
        """Return a token that opens what an erasure says of itself; there is no person in it."""
        return self.make(Kind.ERASURE, app_id, bytes(_USER_HASH), erasure_id, expires_at)

    def open(self, token: str, kind: Kind, now: int) -> Token:
        """Return what a token says; BadToken unless it is of this kind and still good."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            message = self._box.decrypt(raw[:_NONCE], raw[_NONCE:], None)
        except (binascii.Error, InvalidTag, ValueError):
            raise BadToken("not a link of this service") from None
        made_for, expires_at = _HEAD.unpack_from(message)
        if made_for != kind:
            raise BadToken("a link for something else")
        if expires_at <= now:
            raise BadToken("this link is over")
        rest = message[_HEAD.size :]
        subject = rest[32:48]
        somebody, made_at = _NOBODY.unpack(subject)
        app_id, _, guardian = rest[48:].partition(b"\x00")
        return Token(
            kind=kind,
            app_id=app_id.decode(),
            user_hash=rest[:32],
            subject_id=subject.hex() if somebody else None,
            expires_at=expires_at,
            nonce=raw[:_NONCE],
            guardian=guardian.hex() or None,
            made_at=0 if somebody else made_at,
        )
