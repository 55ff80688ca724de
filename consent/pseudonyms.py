"""Who is meant, without naming them: an app's user id is kept as a keyed hash only."""

import hashlib
import hmac
import secrets

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derived_key(secret: bytes, label: str) -> bytes:
    """Return 32 bytes for one use of the service's secret (HKDF-SHA256, RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"assent/" + label.encode()).derive(secret)


class Pseudonyms:
    """Turns user ids into keyed hashes; without the service's secret nobody can tell whose they are."""

    def __init__(self, secret: bytes) -> None:
        self._key = derived_key(secret, "pseudonyms")

    def user(self, app_id: str, user_id: str) -> bytes:
        """Return the 32-byte pseudonym of an app's user."""
        return hmac.digest(self._key, app_id.encode() + b"\x00" + user_id.encode(), hashlib.sha256)

    def guardian(self, app_id: str, guardian_id: str) -> str:
        """Return the pseudonym, in hexadecimal, of someone who acts for a user."""
        message = app_id.encode() + b"\x00guardian\x00" + guardian_id.encode()
        return hmac.digest(self._key, message, hashlib.sha256).hex()


def new_id() -> str:
    """Return a random identifier of 128 bits, in hexadecimal."""
    return secrets.token_hex(16)
