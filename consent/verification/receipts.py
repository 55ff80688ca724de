"""Verifying a person's receipts without the service: signatures, and that each entry stands in the log."""

from collections.abc import Collection, Mapping
from typing import Any

from consent.errors import HistoryChanged, NotVerified, Unreadable
from consent.log import merkle
from consent.log.checkpoints import Checkpoint
from consent.log.commitments import canonical
from consent.receipts.records import rfc3339
from consent.verification.bundles import Keys, hash_of
from consent.verification.evidence import Kept, SignedReceipt, Verified, committed, place_of

PROOF = "proof"
"""The member of a receipt that stands beside what was signed: the signature, and the proof of its entries."""

_MEMBERS = {"jws", "checkpoint", "entries", "consistency"}
_TIMES = {"at", "expires_at", "shown_at"}
_ELSEWHERE = {"subject_id", "receipt_sha256"}
_PROVED = {"index", "leaf", "leaf_key", "entry", "proof"}


def verify_receipts(document: object, keys: Keys, *, seen: Kept | None = None) -> Verified:
    """Verify a person's receipts: signatures, and that each of their entries stands in the log.

    Of an export the consent history too: it has to be these entries, line for line. The rest of an export is signed by nobody.

    Args:
        document: an export, or a receipt with its proof.
        keys: the public keys.
        seen: takes up what was found, to be `kept` for a ledger.

    Raises:
        HistoryChanged: a receipt, an entry or a line of the history is not what was logged.
        Unreadable: this is neither.
    """
    given = _bundle(document) if isinstance(document, dict) else {}
    signed, proofs = given.get("receipts"), given.get("log")
    if not isinstance(signed, list) or not isinstance(proofs, list):
        raise Unreadable("this is neither an exported ledger nor a person's receipts")
    entries: dict[int, Mapping[str, Any]] = {}
    for proof in proofs:
        entries |= _proved(proof, keys, seen or Kept())
    unseen = set(entries)
    for each in signed:
        unseen -= _receipt_and_entries(each, entries, keys)
    if unseen:
        raise HistoryChanged(min(unseen), "the entry's receipt is missing")
    lines = _as_logged(given["consent_history"], entries) if "consent_history" in given else 0
    return Verified(len(entries), len(entries), 0, len(signed), len(proofs), lines)


def _as_logged(history: object, entries: Mapping[int, Mapping[str, Any]]) -> int:
    """Return how many lines a history has, when they are the entries that were proved, each of them once."""
    if not isinstance(history, list):
        raise Unreadable("the consent history is no list")
    left_out = set(entries)
    for line in history:
        index = line.get("seq") if isinstance(line, dict) else None
        if type(index) is not int or index not in left_out:
            named = index if type(index) is int and index >= 0 else min(entries, default=0)
            raise HistoryChanged(named, "the consent history has a line that was not logged, or has it twice")
        left_out.remove(index)
        said = {name: value for name, value in line.items() if value is not None}
        if canonical(said) != canonical(_as_exported(index, entries[index])):
            raise HistoryChanged(
                index, "the line of the consent history is not what was logged: it was edited"
            )
    if left_out:
        raise HistoryChanged(min(left_out), "the entry is missing in the consent history")
    return len(history)


def _as_exported(index: int, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an entry as the line of an export's history, where whose it is stands at the head, and its receipt apart."""
    try:
        return {
            name: rfc3339(value) if name in _TIMES else value
            for name, value in entry.items()
            if name not in _ELSEWHERE
        }
    except (TypeError, ValueError, OverflowError, OSError):
        raise HistoryChanged(index, "the entry's time is none") from None


def _bundle(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a receipt with its proof as a bundle of one; a bundle as it is."""
    proof = document.get(PROOF)
    if not isinstance(proof, dict):
        return document
    body = {name: value for name, value in document.items() if name != PROOF}
    return {
        "receipts": [{"receipt_id": body.get("receipt_id"), "body": body, "jws": proof.get("jws")}],
        "log": [proof],
    }


def _proved(proof: object, keys: Keys, seen: Kept) -> dict[int, Mapping[str, Any]]:
    """Return the entries of a proof, each found to stand in the log."""
    if not isinstance(proof, dict) or not isinstance(proof.get("entries"), list):
        raise Unreadable("this is not a proof")
    first = _places(proof["entries"])
    if proof.keys() - _MEMBERS:
        raise HistoryChanged(min(first, default=0), "this is not a proof")
    try:
        note = proof.get("checkpoint")
        checkpoint = keys.log.open(note if isinstance(note, str) else "")
        _only_grew(proof.get("consistency"), checkpoint, seen)
    except NotVerified as wrong:
        raise HistoryChanged(min(first, default=0), str(wrong)) from None
    seen.roots[checkpoint.size] = checkpoint.root
    found = {}
    for told in proof["entries"]:
        index = min(_places([told]), default=0)
        try:
            entry, leaf = _included(told, checkpoint)
        except NotVerified as wrong:
            raise HistoryChanged(index, str(wrong)) from None
        found[told["index"]] = entry
        seen.leaves[told["index"]] = leaf
    return found


def _only_grew(told: object, checkpoint: Checkpoint, seen: Kept) -> None:
    """Check the proof, where there is one, that the log begins with an older one, whose root is taken up to be compared."""
    if told is None:
        return
    if (
        not isinstance(told, dict)
        or type(told.get("from")) is not int
        or not isinstance(told.get("proof"), list)
    ):
        raise NotVerified("this is not a proof of consistency")
    root = hash_of(told.get("root"))
    path = [hash_of(each) for each in told["proof"]]
    merkle.verify_consistency(told["from"], checkpoint.size, path, root, checkpoint.root)
    seen.roots[told["from"]] = root


def _places(entries: Collection[object]) -> list[int]:
    """Return the places that entries say they have, as far as they can be read."""
    told = [each["index"] for each in entries if isinstance(each, dict) and "index" in each]
    return [index for index in told if type(index) is int and index >= 0]


def _included(told: object, checkpoint: Checkpoint) -> tuple[Mapping[str, Any], bytes]:
    if not isinstance(told, dict) or told.keys() != _PROVED or type(told["index"]) is not int:
        raise NotVerified("this is not a proved entry")
    leaf = hash_of(told["leaf"])
    entry = committed(told, leaf)
    if (place := place_of(entry)) != told["index"]:
        raise NotVerified(f"this was logged as entry {place}")
    if not isinstance(told["proof"], list):
        raise NotVerified("there is no proof of the entry yet: ask again")
    path = [hash_of(each) for each in told["proof"]]
    merkle.verify_inclusion(merkle.leaf_hash(leaf), told["index"], checkpoint.size, path, checkpoint.root)
    return entry, leaf


def _receipt_and_entries(signed: object, entries: Mapping[int, Mapping[str, Any]], keys: Keys) -> set[int]:
    """Return the entries of a receipt, when its signature holds and it says what they say."""
    told = signed if isinstance(signed, dict) else {}
    mine = [index for index, entry in entries.items() if entry.get("receipt_id") == told.get("receipt_id")]
    try:
        receipt = SignedReceipt.open(told.get("jws"), keys)
        mine = list(receipt.told)
        receipt.require_same(told.get("receipt_id"), told.get("body"))
    except NotVerified as wrong:
        raise HistoryChanged(min(mine or entries, default=0), str(wrong)) from None
    for index in sorted(receipt.told):
        if index not in entries:
            raise HistoryChanged(index, "the receipt speaks of an entry that is missing")
        try:
            receipt.require(index, entries[index])
        except NotVerified as wrong:
            raise HistoryChanged(index, str(wrong)) from None
    return set(receipt.told)
