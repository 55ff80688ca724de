"""Verifying an exported ledger without the service, with public keys and nothing else.

It returns what was found to hold, or raises: `HistoryChanged` names the first entry that is not what was logged.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from consent.errors import HistoryChanged, NotVerified, Unreadable
from consent.log import merkle
from consent.log.checkpoints import bytes_of
from consent.log.commitments import closing
from consent.log.merkle import Tree
from consent.verification.bundles import LEDGER, Keys, hash_of, parse, parse_line
from consent.verification.evidence import Kept, SignedReceipt, Verified, committed, place_of
from consent.verification.receipts import verify_receipts

Progress = Callable[[int, int], None]
"""Is told how many entries are done, of how many."""

_OPENED = {"index", "leaf", "hash", "entry", "leaf_key"}
_ERASED = {"index", "leaf", "hash", "erased"}
_CLOSED = {"index", "leaf", "hash"}


def keep(kept: Kept, text: bytes, keys: Keys) -> None:
    """Add a checkpoint, a person's bundle or an earlier ledger to what was kept; NotVerified when it does not hold itself."""
    if not text.lstrip().startswith(b"{"):
        try:
            checkpoint = keys.log.open(text.decode())
        except UnicodeDecodeError:
            raise Unreadable("this is not a checkpoint") from None
        kept.roots[checkpoint.size] = checkpoint.root
    elif is_ledger(text.partition(b"\n")[0]):
        verify_ledger(text.splitlines(keepends=True), keys, seen=kept)
    else:
        verify_receipts(parse(text), keys, seen=kept)


def is_ledger(first_line: bytes) -> bool:
    """Tell whether a file that begins so is a ledger."""
    try:
        told = parse(first_line)
    except Unreadable:
        return False
    return isinstance(told, dict) and told.get("format") == LEDGER


def verify_ledger(
    lines: Iterable[bytes],
    keys: Keys,
    *,
    kept: Kept | None = None,
    seen: Kept | None = None,
    progress: Progress | None = None,
) -> Verified:
    """Verify an exported ledger, line by line: checkpoints, tree, order, and every entry with its receipt.

    Args:
        lines: the file's lines, with their ends.
        keys: the public keys.
        kept: what has to agree with it.
        seen: takes up what was found, to be `kept` for a later one.
        progress: is told how far it is.

    Raises:
        HistoryChanged: entries were edited, deleted or put in another order; or the file was.
        Unreadable: this is not a ledger, or of another log.
    """
    rest = iter(lines)
    told = parse_line(next(rest, b""))
    if told.keys() != {"format", "origin", "size", "opened"} or told["format"] != LEDGER:
        raise Unreadable("this is not an exported ledger")
    if told["origin"] != keys.log.name or type(told["size"]) is not int or type(told["opened"]) is not bool:
        raise Unreadable("this is the ledger of another log than the key's")
    check = _LedgerCheck(keys, kept or Kept(), seen or Kept(), is_opened=told["opened"])
    for line in rest:
        check.take(line)
        if progress is not None:
            progress(check.tree.size, told["size"])
    return check.finished(told["size"])


class _LedgerCheck:
    """Goes through a ledger, and knows what has to come next."""

    def __init__(self, keys: Keys, kept: Kept, seen: Kept, *, is_opened: bool) -> None:
        self.tree = Tree()
        self._keys, self._kept, self._seen, self._is_opened = keys, kept, seen, is_opened
        self._receipt: SignedReceipt | None = None
        self._vouched = 0  # entries that a checkpoint was found to cover
        self._counts = {"opened": 0, "erased": 0, "receipts": 0, "checkpoints": 0}

    def take(self, line: bytes) -> None:
        """Check one line; HistoryChanged names the entry at which it stands otherwise."""
        index = self.tree.size
        try:
            told = parse_line(line)
            if told.keys() == {"checkpoint"}:
                self._checkpoint(told["checkpoint"])
            elif told.keys() == {"receipt"}:
                self._done_with_receipt()
                self._receipt = SignedReceipt.open(told["receipt"], self._keys)
                self._counts["receipts"] += 1
            else:
                self._entry(told)
        except HistoryChanged:
            raise
        except NotVerified as wrong:
            raise HistoryChanged(index, str(wrong)) from None

    def finished(self, size: int) -> Verified:
        """Check that nothing is missing at the end."""
        self._done_with_receipt()
        whole = self.tree.size
        if whole != size:
            raise HistoryChanged(min(whole, size), f"the ledger says it has {size} entries, here are {whole}")
        if self._vouched != whole or not self._counts["checkpoints"]:
            raise HistoryChanged(self._vouched, "no checkpoint covers the entries from here on")
        beyond = [each for each in self._kept.roots if each > whole] + [
            each + 1 for each in self._kept.leaves if each >= whole
        ]
        if beyond:
            raise HistoryChanged(whole, f"the log had {max(beyond)} entries before: the rest was deleted")
        return Verified(entries=whole, **self._counts)

    def _checkpoint(self, note: object) -> None:
        checkpoint = self._keys.log.open(note if isinstance(note, str) else "")
        if checkpoint.size != self.tree.size:
            raise Unreadable(f"the checkpoint of {checkpoint.size} entries is not in its place")
        self._require_root(checkpoint.root, f"checkpoint {checkpoint.size}")
        self._vouched = checkpoint.size
        self._counts["checkpoints"] += 1
        self._seen.roots[checkpoint.size] = checkpoint.root

    def _require_root(self, root: bytes, whose: str) -> None:
        if root != self.tree.root:
            last = self.tree.size - 1
            raise HistoryChanged(
                self._vouched, f"the entries from here to {last} are not those that {whose} was signed over"
            )

    def _entry(self, told: Mapping[str, Any]) -> None:
        index = self.tree.size
        _require_place(told.get("index"), index)
        leaf = hash_of(told.get("leaf"))
        if hash_of(told.get("hash")) != merkle.leaf_hash(leaf):
            raise NotVerified("the leaf was edited")
        if told.keys() == _OPENED and self._is_opened:
            self._opened(index, leaf, told)
        elif told.keys() == _ERASED:
            signature = bytes_of(told["erased"] if isinstance(told["erased"], str) else "")
            self._keys.log.verify(closing(self._keys.log.name, index, leaf), signature)
            self._counts["erased"] += 1
        elif told.keys() != _CLOSED or self._is_opened:
            raise NotVerified("the entry was deleted, and not by an erasure: nothing signed says so")
        if self._receipt is not None and index in self._receipt.unseen and told.keys() != _OPENED:
            raise NotVerified("the entry was deleted, and its receipt is still there")
        if self._kept.leaves.get(index, leaf) != leaf:
            raise NotVerified("another entry stood here before")
        self.tree.append(merkle.leaf_hash(leaf))
        self._seen.leaves[index] = leaf
        if self.tree.size in self._kept.roots:
            self._require_root(self._kept.roots[self.tree.size], f"the kept checkpoint {self.tree.size}")

    def _opened(self, index: int, leaf: bytes, told: Mapping[str, Any]) -> None:
        entry = committed(told, leaf)
        if (place := place_of(entry)) != index:
            raise NotVerified(f"this was logged as entry {place}: entries are missing or out of order")
        if self._receipt is None:
            raise NotVerified("the entry's receipt is missing")
        self._receipt.require(index, entry)
        self._counts["opened"] += 1

    def _done_with_receipt(self) -> None:
        if self._receipt is not None and self._receipt.unseen:
            missing = min(self._receipt.unseen)
            raise HistoryChanged(
                min(missing, self.tree.size),
                f"a receipt speaks of entry {missing}, which is not in its place",
            )


def _require_place(index: object, expected: int) -> None:
    if type(index) is not int:
        raise NotVerified("the line is not an entry")
    if index > expected:
        raise NotVerified(f"the entries up to {index - 1} were deleted")
    if index < expected:
        raise NotVerified(f"entry {index} stands here again: entries were put in another order")
