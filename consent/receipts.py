"""What a person can keep: a receipt of each consent change (fields of ISO/IEC TS 27560) and of an erasure, signed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.jwk import OKPKey

from consent.ledger import ConsentEvent
from consent.pseudonyms import derived_key
from consent.signals import SIGNALS, Sensitivity

SCHEMA_VERSION = "ISO/IEC TS 27560:2023"


@dataclass(frozen=True)
class Controller:
    """Who answers for the data, and where and under which law it is kept."""

    name: str
    contact: str
    jurisdiction: str
    storage_location: str
    withdrawal_url: str


class Signer:
    """Signs receipts as JWS (RFC 7515) with Ed25519; the key comes from the service's secret."""

    def __init__(self, secret: bytes) -> None:
        private = Ed25519PrivateKey.from_private_bytes(derived_key(secret, "receipts"))
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._key = OKPKey.import_key(pem)
        self._header = {"alg": "Ed25519", "kid": self._key.thumbprint(), "typ": "JOSE"}

    @property
    def public_keys(self) -> dict[str, Any]:
        """The JWK set (RFC 7517) that verifies what this signer signed."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self._header["kid"], "alg": "Ed25519", "use": "sig"}]}

    def sign(self, body: dict[str, Any]) -> str:
        """Return the compact JWS over the canonical JSON (RFC 8785) of a receipt."""
        return self.sign_text(canonical(body))

    def sign_text(self, text: str) -> str:
        """Return the compact JWS over a receipt that is canonical JSON already."""
        return jws.serialize_compact(self._header, text.encode(), self._key, algorithms=["Ed25519"])


def canonical(body: dict[str, Any]) -> str:
    """Return the canonical JSON text (RFC 8785) of a receipt: what is stored and signed."""
    return rfc8785.dumps(body).decode()


def rfc3339(at: int) -> str:
    """Write microseconds since 1970 as a UTC time."""
    return (
        datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def of_consent(
    events: Sequence[ConsentEvent], *, receipt_id: str, app_id: str, subject_id: str, controller: Controller
) -> dict[str, Any]:
    """Return the receipt of one change of consent; `events` are its lines of the ledger, at least one."""
    first = events[0]
    return {
        "schema_version": SCHEMA_VERSION,
        "record_id": f"{app_id}/{first.seq}",
        "receipt_id": receipt_id,
        "pii_principal_id": subject_id,
        "pii_controllers": [
            {
                "name": controller.name,
                "contact": controller.contact,
                "type": "organisation",
                "role": "controller",
            }
        ],
        "jurisdiction": controller.jurisdiction,
        "storage_locations": [controller.storage_location],
        "recipient_third_parties": [],
        "withdrawal_method": controller.withdrawal_url,
        "privacy_notice": {"version": first.notice_version, "sha256": first.notice_sha256},
        "language": first.locale,
        "collection_method": first.method,
        "lawful_basis": "consent",
        "automation": "ranking of resources, explained and without legal effect",
        "default_state": "off",
        "privacy_rights": ["access", "portability", "rectification", "erasure", "withdrawal", "complaint"],
        "purposes": [_purpose(event) for event in events],
    }


def _purpose(event: ConsentEvent) -> dict[str, Any]:
    signal = SIGNALS[event.signal]
    return {
        "purpose": event.purpose.value,
        "pii_information": {
            "pii_type": signal.id,
            "description": signal.stored,
            "special_category": signal.sensitivity is Sensitivity.SPECIAL,
        },
        "retention_period": f"P{signal.retention.days}D",
        "event": {
            "seq": event.seq,
            "event_time": rfc3339(event.at),
            "event_type": "explicit",
            "event_state": event.state.value,
            "validity_duration": f"P{signal.consent_lasts.days}D" if event.expires_at else "P0D",
            "expires_at": rfc3339(event.expires_at) if event.expires_at else None,
            "entity_id": event.actor.pseudonym or event.actor.type,
        },
    }


def digest(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
