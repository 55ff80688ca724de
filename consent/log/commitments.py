"""What stands in the log: a commitment to each line of the ledger, which only a key of its person opens.

Each person has a random log key, in a row of its own. Each of their entries has a leaf key derived from it, so that
showing one entry opens no other. The leaf is the HMAC of the entry under its leaf key: with the log key gone, nobody
can tell an entry from any other 32 bytes, not even by guessing everything that could stand in it.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Entry = Mapping[str, str | int]
"""A line of the ledger as it was committed to."""


def new_log_key() -> bytes:
    """Return a random key for a person's entries."""
    return secrets.token_bytes(32)


def leaf_key(log_key: bytes, index: int) -> bytes:
    """Return the key that opens one entry of a person, by its index in the log."""
    return hmac.digest(log_key, b"assent/leaf/%d" % index, hashlib.sha256)


def entry(row: Mapping[str, Any], receipt_sha256: str | None) -> dict[str, str | int]:
    """Return the entry of a line of the ledger: every column of its row but the app, and the digest of its receipt.

    What is null is left out, so a column that came later leaves the entries of older lines as they were.
    """
    told = {**row, "receipt_sha256": receipt_sha256}
    return {name: value for name, value in told.items() if name != "app_id" and value is not None}


def commitment(key: bytes, committed: Entry) -> bytes:
    """Return the leaf of an entry: HMAC-SHA256 of its canonical JSON under its leaf key."""
    return hmac.digest(key, canonical(committed), hashlib.sha256)


def canonical(value: object) -> bytes:
    """Return canonical JSON: RFC 8785, for values of texts, whole numbers, booleans and nothing else.

    For these, and names in ASCII, it is what every JSON library writes that sorts names and leaves spaces out.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode(
        errors="surrogatepass"  # half a character, which JSON can write and UTF-8 cannot: it equals nothing that was exported
    )


@dataclass(frozen=True)
class Leaf:
    """An entry of the log, with the key that opens it."""

    index: int
    entry: Entry
    key: bytes

    @property
    def data(self) -> bytes:
        """What stands in the log: the commitment."""
        return commitment(self.key, self.entry)


def leaf_of(log_key: bytes, row: Mapping[str, Any], receipt_sha256: str | None) -> Leaf:
    """Return the leaf of a line of the ledger."""
    return Leaf(row["seq"], entry(row, receipt_sha256), leaf_key(log_key, row["seq"]))


def digest(text: str) -> str:
    """Return the SHA-256 of a signed receipt's text, in hexadecimal: what binds the receipt to its entries."""
    return hashlib.sha256(text.encode()).hexdigest()


def closing(origin: str, index: int, leaf: bytes) -> bytes:
    """Return what the log signs when an entry's key was destroyed by an erasure, so that nobody else can claim one."""
    return f"{origin}\nerased\n{index}\n{leaf.hex()}\n".encode()
