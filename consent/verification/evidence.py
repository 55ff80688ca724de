"""What verifying a ledger and verifying a person's receipts have in common."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consent.errors import HistoryChanged, NotVerified, Unreadable
from consent.log.commitments import canonical, commitment, digest
from consent.receipts import records as receipts
from consent.verification.bundles import Keys, hash_of, parse


@dataclass(frozen=True)
class Verified:
    """What was found to hold: how many entries, opened and erased, receipts and checkpoints there are, and lines of an export's history."""

    entries: int
    opened: int
    erased: int
    receipts: int
    checkpoints: int
    history: int = 0


@dataclass
class Kept:
    """What somebody kept from earlier, and history has to agree with: roots by size of the log, leaves by index."""

    roots: dict[int, bytes] = field(default_factory=dict)
    leaves: dict[int, bytes] = field(default_factory=dict)

    def require_agreement(self, other: "Kept") -> None:
        """Require that two histories, as far as both are known, are one; HistoryChanged names where they part."""
        for index in sorted(self.leaves.keys() & other.leaves.keys()):
            if self.leaves[index] != other.leaves[index]:
                raise HistoryChanged(index, "another entry stood here before")
        for size in sorted(self.roots.keys() & other.roots.keys()):
            if self.roots[size] != other.roots[size]:
                raise HistoryChanged(0, f"the first {size} entries are not those that were there before")


def committed(told: Mapping[str, Any], leaf: bytes) -> Mapping[str, Any]:
    """Return the entry that a leaf commits to; NotVerified when it is not the one that is told."""
    entry = told["entry"]
    if not isinstance(entry, dict) or not all(type(value) in {str, int, bool} for value in entry.values()):
        raise NotVerified("the entry is not a line of a ledger")
    if not hmac.compare_digest(commitment(hash_of(told["leaf_key"]), entry), leaf):
        raise NotVerified("the entry is not the one that was logged: it was edited")
    return entry


def place_of(entry: Mapping[str, Any]) -> int:
    """Return the place at which an entry was logged; NotVerified when it names none, whatever stands there instead."""
    place = entry.get("seq")
    if type(place) is not int:
        raise NotVerified("the entry has no place")
    return place


@dataclass
class SignedReceipt:
    """A signed receipt whose signature holds, and the entries it speaks of that were not seen yet."""

    sha256: str
    body: Mapping[str, Any]
    told: Mapping[int, tuple[str, str, str]]
    unseen: set[int]

    @classmethod
    def open(cls, jws: object, keys: Keys) -> "SignedReceipt":
        """Return the receipt in a JWS; NotVerified when its signature does not hold, or it is none."""
        payload = keys.open(jws)
        body = parse(payload)
        try:
            told, text = receipts.told(body), payload.decode()
        except (LookupError, TypeError, AttributeError, UnicodeDecodeError):
            raise Unreadable("this is not a receipt") from None
        if not all(type(index) is int for index in told):
            raise Unreadable("this is not a receipt")
        return cls(digest(text), body, told, set(told))

    def require_same(self, receipt_id: object, body: object) -> None:
        """Require that the readable copy of a receipt is what was signed."""
        if receipt_id != self.body.get("receipt_id") or canonical(body) != canonical(self.body):
            raise NotVerified("the receipt is not the one that was signed: it was edited")

    def require(self, index: int, entry: Mapping[str, Any]) -> None:
        """Require that the receipt and an entry say the same of each other."""
        if entry.get("receipt_sha256") != self.sha256:
            raise NotVerified("the entry was logged with another receipt")
        if self.told.get(index) != (entry.get("signal"), entry.get("purpose"), entry.get("state")):
            raise NotVerified("the receipt that was signed says otherwise: the entry was edited")
        self.unseen.discard(index)
