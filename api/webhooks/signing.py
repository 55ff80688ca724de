"""Signatures of webhooks after the Standard Webhooks specification: HMAC-SHA256 over id, time and body.

The secret of a subscription is derived from the service's, so no table holds it; it is shown when it is made, and a
rotation makes the next one. While both are in force, a message carries a signature of each.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable

from consent.pseudonyms import derived_key

PREFIX = "whsec_"


class Secrets:
    """Derives the secrets of subscriptions."""

    def __init__(self, secret: bytes) -> None:
        self._key = derived_key(secret, "webhooks")

    def of(self, app_id: str, subscription_id: str, generation: int) -> bytes:
        """Return the 32 bytes with which one generation of a subscription signs."""
        told = b"\x00".join((app_id.encode(), subscription_id.encode(), str(generation).encode()))
        return hmac.digest(self._key, told, hashlib.sha256)


def shown(secret: bytes) -> str:
    """Write a secret as the app is shown it."""
    return PREFIX + base64.b64encode(secret).decode()


def headers(message_id: str, at_s: int, body: bytes, secrets: Iterable[bytes]) -> dict[str, str]:
    """Return the headers that let the receiver check a message; one signature for each secret."""
    signed = b".".join((message_id.encode(), str(at_s).encode(), body))
    digests = (hmac.digest(secret, signed, hashlib.sha256) for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join("v1," + base64.b64encode(digest).decode() for digest in digests),
    }
