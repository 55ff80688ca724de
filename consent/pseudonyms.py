"""Who is meant, without naming them: an app's user id is kept as a keyed hash only."""

import hashlib
import hmac
import secrets

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derived_key(secret: bytes, label: str) -> bytes:
    """Return 32 bytes for one use of the service's secret (HKDF-SHA256, RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"assent/" + label.encode()).derive(secret)


class Pseudonyms:
    """Turns user ids into keyed hashes; without the service's secret nobody can tell whose they are."""

    def __init__(self, secret: bytes) -> None:
        # Keyed once and copied: OpenSSL takes longer to look up its algorithms than to hash an id.
        self._keyed = HMAC(derived_key(secret, "pseudonyms"), SHA256())
        self._reference_key = derived_key(secret, "user references")

    def user(self, app_id: str, user_id: str) -> bytes:
        """Return the 32-byte pseudonym of an app's user."""
        return self._digest(app_id.encode() + b"\x00" + user_id.encode())

    def reference(self, user_hash: bytes) -> str:
        """Return the name, 32 hexadecimal digits, by which an app is told of one of its users.

        It is always the same for the same user, is stored with no row of theirs, and nobody without the secret can tell
        from it whose it is.
        """
        return hmac.digest(self._reference_key, user_hash, hashlib.sha256)[:16].hex()

    def guardian(self, app_id: str, guardian_id: str) -> str:
        """Return the pseudonym, in hexadecimal, of someone who acts for a user."""
        return self._digest(app_id.encode() + b"\x00guardian\x00" + guardian_id.encode()).hex()

    def _digest(self, message: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(message)
        return keyed.finalize()


def new_id() -> str:
    """Return a random identifier of 128 bits, in hexadecimal."""
    return secrets.token_hex(16)
