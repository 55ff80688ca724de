"""Signatures on receipts: compact JWS (RFC 7515) with Ed25519 over canonical JSON (RFC 8785)."""

from collections.abc import Iterable, Mapping
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.jwk import OKPKey

ALGORITHM = "Ed25519"

PublicKey = Mapping[str, str]
"""A JWK (RFC 7517) without its private part."""


class Signer:
    """One private key, of 32 bytes, and what it signs."""

    def __init__(self, private: bytes) -> None:
        key = Ed25519PrivateKey.from_private_bytes(private)
        self._key = OKPKey.import_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.kid = self._key.thumbprint()
        """The key's name, which stands in the header of all it signs (RFC 7638)."""
        self._header = {"alg": ALGORITHM, "kid": self.kid, "typ": "JOSE"}

    @property
    def public_key(self) -> PublicKey:
        """What verifies the signatures of this key."""
        public = self._key.as_dict(private=False)
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": str(public["x"]),
            "kid": self.kid,
            "alg": ALGORITHM,
            "use": "sig",
        }

    def sign(self, body: Mapping[str, Any]) -> str:
        """Return the compact JWS over the canonical JSON of a receipt."""
        return self.sign_text(canonical(body))

    def sign_text(self, text: str) -> str:
        """Return the compact JWS over a receipt that is canonical JSON already."""
        return jws.serialize_compact(self._header, text.encode(), self._key, algorithms=[ALGORITHM])


def canonical(body: Mapping[str, Any]) -> str:
    """Return the canonical JSON text (RFC 8785) of a receipt: what is stored and signed."""
    return rfc8785.dumps(dict(body)).decode()


def key_set(keys: Iterable[PublicKey]) -> dict[str, Any]:
    """Return the JWK set (RFC 7517) of these keys."""
    return {"keys": [dict(key) for key in keys]}
