"""Bundles: what leaves the service to be verified elsewhere, and the keys to verify it with. Reading is strict.

A ledger is a file of lines, each canonical JSON:

    {"format": "assent-ledger/1", "opened": true, "origin": ..., "size": ...}
    {"receipt": JWS}                                      before the first of its entries
    {"entry": {...}, "hash": ..., "index": 0, "leaf": ..., "leaf_key": ...}
    {"erased": signature, "hash": ..., "index": 1, "leaf": ...}
    {"checkpoint": signed note}                           after the last entry that it covers

`opened` is false where the entries are left out for an auditor who may not see them.

A person's bundle is a JSON document: their export, with `receipts`, each with `body` and `jws`, and `log`, each with a
`checkpoint` and `entries` of `index`, `leaf`, `leaf_key`, `entry` and `proof`; or one receipt with a member `proof`, which has
`jws`, `checkpoint` and `entries`, and may have `consistency` with an older checkpoint: `from`, `root` and `proof`.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consent.errors import NotVerified, Unreadable
from consent.log.checkpoints import LogKey, base64_of, bytes_of
from consent.log.commitments import Leaf, canonical
from consent.log.merkle import HASH_BYTES, leaf_hash

LEDGER = "assent-ledger/1"


def header(origin: str, size: int, *, opened: bool) -> bytes:
    """Return the first line of a ledger."""
    return _line({"format": LEDGER, "origin": origin, "size": size, "opened": opened})


def entry_line(index: int, data: bytes, opened: Leaf | None, erased: bytes | None) -> bytes:
    """Return the line of an entry: opened, closed by an erasure, or neither."""
    told: dict[str, Any] = {"index": index, "leaf": base64_of(data), "hash": base64_of(leaf_hash(data))}
    if opened is not None:
        told |= {"entry": dict(opened.entry), "leaf_key": base64_of(opened.key)}
    elif erased is not None:
        told["erased"] = base64_of(erased)
    return _line(told)


def receipt_line(jws: str) -> bytes:
    """Return the line of a signed receipt."""
    return _line({"receipt": jws})


def checkpoint_line(note: str) -> bytes:
    """Return the line of a checkpoint."""
    return _line({"checkpoint": note})


def _line(told: Mapping[str, Any]) -> bytes:
    return canonical(told) + b"\n"


def parse_line(line: bytes) -> dict[str, Any]:
    """Return what a line holds; Unreadable unless it is written exactly as it was exported."""
    told, written = _read(line)
    if not isinstance(told, dict) or written + b"\n" != line:
        raise Unreadable("the line is not as it was exported")
    return told


def parse(text: bytes | str) -> Any:
    """Return a JSON value; Unreadable when it is none."""
    return _read(text)[0]


def _read(text: bytes | str) -> tuple[Any, bytes]:
    """Return a JSON value, and how it is written canonically; nothing is nested too deeply for either."""
    try:
        value = json.loads(text)
        return value, canonical(value)
    except (ValueError, RecursionError):
        raise Unreadable("this is not JSON") from None


def hash_of(text: object) -> bytes:
    """Read 32 bytes in base64; NotVerified when it is something else."""
    if not isinstance(text, str):
        raise Unreadable("a hash is missing")
    return bytes_of(text, HASH_BYTES)


@dataclass(frozen=True)
class Keys:
    """The public keys that bundles are verified with: the log's, and those of receipts by their id."""

    log: LogKey
    receipts: Mapping[str, Ed25519PublicKey]

    @classmethod
    def parse(cls, *texts: str) -> "Keys":
        """Read keys: a verifier key as text, a JWK set, or the document that `/v1/log/keys` answers with.

        Raises:
            Unreadable: one of them is something else, or there is no key of a log among them.
        """
        log: LogKey | None = None
        receipts: dict[str, Ed25519PublicKey] = {}
        for text in texts:
            told = parse(text) if text.lstrip().startswith("{") else {"log": text.strip()}
            if isinstance(told.get("log"), str):
                log = _log_key(told["log"])
            receipts |= _receipt_keys(told.get("receipts", told))
        if log is None:
            raise Unreadable("the key of the log is missing: GET /v1/log/keys has it")
        return cls(log, receipts)

    def open(self, jws: object) -> bytes:
        """Return what a receipt says that one of these keys signed; NotVerified otherwise."""
        parts = jws.split(".") if isinstance(jws, str) else []
        if len(parts) != 3:
            raise Unreadable("this is not a signed receipt")
        head, payload, signature = (_base64url(part) for part in parts)
        told = parse(head)
        key = self.receipts.get(str(told.get("kid"))) if isinstance(told, dict) else None
        if key is None or told.get("alg") not in {"Ed25519", "EdDSA"}:
            raise NotVerified("the receipt is signed with a key that is not among those given")
        try:
            key.verify(signature, ".".join(parts[:2]).encode())
        except InvalidSignature:
            raise NotVerified("the receipt's signature does not hold") from None
        return payload


def _log_key(text: str) -> LogKey:
    try:
        return LogKey.parse(text)
    except NotVerified:
        raise Unreadable("this is not the verifier key of a log") from None


def _receipt_keys(key_set: object) -> dict[str, Ed25519PublicKey]:
    keys = key_set.get("keys", []) if isinstance(key_set, dict) else None
    if not isinstance(keys, list):
        raise Unreadable("this is not a set of keys")
    try:
        return {str(each["kid"]): Ed25519PublicKey.from_public_bytes(_base64url(each["x"])) for each in keys}
    except (LookupError, TypeError, ValueError, AttributeError):
        raise Unreadable("a key of the receipts is not an Ed25519 key with an id") from None


def _base64url(text: str) -> bytes:
    """Read base64url without padding (RFC 7515), of which there is one way to write each value."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("this is not base64") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise Unreadable("this is not base64")
    return data
