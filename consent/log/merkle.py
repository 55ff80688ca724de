"""The Merkle tree of RFC 6962, section 2.1: hashes, inclusion and consistency proofs, and their verification. Knows no database.

A tree only grows, so the hash of a *complete* subtree (2^level leaves, aligned) never changes: those are stored, once
each, and everything else is put together from a logarithmic number of them. Each has one number, the array position
of RFC 9420, appendix C: leaf i is node 2i, and a parent lies in the middle between its children.

A range of leaves is written (begin, end), end excluded.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from consent.errors import ProofError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256().digest()
"""The root of the tree without leaves."""

Range = tuple[int, int]
"""Leaves from the first number up to, and without, the second."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256 over 0x00 and its data."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 over 0x01 and its children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def node_number(level: int, position: int) -> int:
    """Return the number of the complete subtree over leaves `position << level` up to `(position + 1) << level`."""
    return (((position << 1) | 1) << level) - 1


def _largest_power_below(count: int) -> int:
    """Return the largest power of two that is less than `count`, which is at least two."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the ranges whose hashes are PATH(index, D[size]), the leaf's neighbour first (RFC 6962, 2.1.1).

    Raises:
        ValueError: there is no such leaf in a tree of this size.
    """
    if not 0 <= index < size:
        raise ValueError("the index must lie within the tree")
    begin, end = 0, size
    path: list[Range] = []
    while end - begin > 1:
        middle = begin + _largest_power_below(end - begin)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin = middle
    return path[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """Return the ranges whose hashes are PROOF(old, D[new]) (RFC 6962, 2.1.2); none when one tree is empty or both are one.

    Raises:
        ValueError: the old tree is larger than the new one.
    """
    if not 0 <= old <= new:
        raise ValueError("the old tree must not be larger than the new one")
    if old in {0, new}:
        return []
    begin, end = 0, new
    path: list[Range] = []
    whole = True  # as long as the subtree on the way is known to the verifier as the old root
    while old != end:
        middle = begin + _largest_power_below(end - begin)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin, whole = middle, False
    if not whole:
        path.append((begin, end))
    return path[::-1]


def subtrees(leaves: Range) -> list[int]:
    """Return the numbers of the complete subtrees that a range of a tree is made of, largest first.

    The range is one that occurs in a tree: it begins at a multiple of the largest power of two within its length.
    """
    begin, end = leaves
    found = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        found.append(node_number(level, begin >> level))
        begin += 1 << level
    return found


def numbers_of(ranges: Iterable[Range]) -> set[int]:
    """Return the numbers of all nodes that it takes to hash these ranges."""
    return {number for leaves in ranges for number in subtrees(leaves)}


def range_hash(nodes: Mapping[int, bytes], leaves: Range) -> bytes:
    """Return the hash of a range from the complete subtrees it is made of; KeyError names one that is missing."""
    return _joined([nodes[number] for number in subtrees(leaves)])


def _joined(peaks: Sequence[bytes]) -> bytes:
    """Return the hash of a range from the hashes of its complete subtrees, largest first."""
    if not peaks:
        return EMPTY_ROOT
    hash_ = peaks[-1]
    for left in reversed(peaks[:-1]):
        hash_ = node_hash(left, hash_)
    return hash_


@dataclass
class Tree:
    """The right edge of a growing tree: its size, and the hashes of the complete subtrees it is made of, largest first."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, size: int, nodes: Mapping[int, bytes]) -> "Tree":
        """Return the edge of a stored tree; KeyError names a node that is missing."""
        return cls(size, [nodes[number] for number in subtrees((0, size))])

    @property
    def root(self) -> bytes:
        """The root of the tree as it is now."""
        return _joined(self.peaks)

    def append(self, leaf: bytes) -> list[tuple[int, bytes]]:
        """Add a leaf by its hash; return the nodes that are complete now, as (number, hash), the leaf first."""
        level, position, hash_ = 0, self.size, leaf
        made = [(node_number(0, position), hash_)]
        while position & 1:
            hash_ = node_hash(self.peaks.pop(), hash_)
            level, position = level + 1, position >> 1
            made.append((node_number(level, position), hash_))
        self.peaks.append(hash_)
        self.size += 1
        return made


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return when a leaf's hash is in the tree of this size and root at this index (RFC 6962, 2.1.1).

    Raises:
        ProofError: it is not, or this proof does not show it.
    """
    if not 0 <= index < size:
        raise ProofError("the index lies outside the tree")
    _require_hashes(leaf, root, *proof)
    hash_ = leaf
    for (begin, _), sibling in _matched(inclusion_ranges(index, size), proof):
        hash_ = node_hash(sibling, hash_) if begin <= index else node_hash(hash_, sibling)
    if hash_ != root:
        raise ProofError("the leaf is not in this tree at this index")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Return when the new tree begins with the old one, unchanged (RFC 6962, 2.1.2).

    Raises:
        ProofError: it does not, or this proof does not show it.
    """
    if not 0 <= old <= new:
        raise ProofError("the old tree is larger than the new one")
    _require_hashes(old_root, new_root, *proof)
    path = _matched(consistency_ranges(old, new), proof)
    if old == 0:
        before, after = EMPTY_ROOT, new_root  # every tree begins with the empty one
    elif (
        path and path[0][0][1] == old
    ):  # the old tree is not a subtree of the new one: the path begins within it
        before = after = path.pop(0)[1]
    else:
        before = after = old_root
    for (begin, _), sibling in path:
        if begin < old:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
        else:
            after = node_hash(after, sibling)
    if before != old_root or after != new_root:
        raise ProofError("the new tree does not begin with the old one")


def _matched(ranges: Sequence[Range], proof: Sequence[bytes]) -> list[tuple[Range, bytes]]:
    """Pair the hashes of a proof with the ranges they stand for."""
    if len(proof) != len(ranges):
        raise ProofError(f"the proof has {len(proof)} hashes, {len(ranges)} are needed")
    return list(zip(ranges, proof, strict=True))


def _require_hashes(*hashes: bytes) -> None:
    if any(len(each) != HASH_BYTES for each in hashes):
        raise ProofError("a hash is not 32 bytes long")
