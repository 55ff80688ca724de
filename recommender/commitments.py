"""What a shard learned from, committed to: a Merkle tree whose leaves are sorted, so that absence can be proved as well.

Everybody in a shard has one leaf: a tag, which says whose it is, and a commitment to all that training takes from
them. Both are keyed with a key of the service, so a leaf tells nobody anything who lacks the key and the person's
pseudonym. Leaves are in the order of their tags: two neighbours between which a tag would lie prove that no leaf has
it. The tree is that of RFC 6962 (consent.log.merkle). Only the root is kept; the leaves are made again when needed.

Keyed hashes are BLAKE2b (RFC 7693), one for each person over one stretch of bytes: HMAC costs four times as much, and
there may be a million people in a shard.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from consent.errors import ProofError
from consent.log import merkle
from recommender.row_bytes import row_bytes
from recommender.snapshots import Snapshots

_HASH = merkle.HASH_BYTES


@dataclass(frozen=True)
class Leaf:
    """What one person has in a tree: their tag, and the commitment to their training rows (32 bytes each)."""

    tag: bytes
    commitment: bytes

    @property
    def hash(self) -> bytes:
        """The leaf's hash (RFC 6962)."""
        return merkle.leaf_hash(self.tag + self.commitment)


def tag_of(seed: int, key: bytes) -> bytes:
    """Return the tag of the person with a seed."""
    return _keyed(key, b"person", int(seed).to_bytes(8), [0, 8]).tobytes()


@dataclass(frozen=True)
class Place:
    """A leaf with the proof that it is in the tree of `size` leaves at `index`."""

    leaf: Leaf
    index: int
    proof: tuple[bytes, ...]

    def verify(self, size: int, root: bytes) -> None:
        """Return when the leaf is there; ProofError otherwise."""
        merkle.verify_inclusion(self.leaf.hash, self.index, size, self.proof, root)


@dataclass(frozen=True)
class Proof:
    """Whether somebody is in a tree of `size` leaves: their own place, or the neighbours between which they would stand."""

    tag: bytes
    size: int
    places: tuple[Place, ...]

    @property
    def present(self) -> bool:
        """What it claims."""
        return any(place.leaf.tag == self.tag for place in self.places)

    def verify(self, root: bytes) -> None:
        """Return when the claim is true of the tree with this root.

        Raises:
            ProofError: the proof does not show what it claims.
        """
        if self.size == 0:
            if root != merkle.EMPTY_ROOT or self.places:
                raise ProofError("the tree is not empty")
            return
        for place in self.places:
            place.verify(self.size, root)
        if not self.present and not self._is_a_gap():
            raise ProofError("the places are no neighbours with the tag between them")

    def _is_a_gap(self) -> bool:
        """Whether the places leave no room for the tag: neighbours around it, or the first or last leaf beyond it."""
        indices = [place.index for place in self.places]
        tags = [place.leaf.tag for place in self.places]
        if len(self.places) == 2:
            return indices[1] == indices[0] + 1 and tags[0] < self.tag < tags[1]
        if indices == [0]:
            return self.tag < tags[0] or (self.size == 1 and self.tag > tags[0])
        return indices == [self.size - 1] and self.tag > tags[0]


@dataclass(frozen=True, eq=False)
class Commitments:
    """The tree of one shard.

    Attributes:
        content: (P, 64) uint8, tag then commitment, ascending.
    """

    content: NDArray[np.uint8]

    @classmethod
    def of(cls, leaves: NDArray[np.uint8]) -> "Commitments":
        """Put leaves (P, 64) in the order of their tags."""
        tags = leaves.view(">u8")[:, : _HASH // 8]
        return cls(leaves[np.lexsort(tags.T[::-1])])

    def __len__(self) -> int:
        return len(self.content)

    @cached_property
    def levels(self) -> list[NDArray[np.uint8]]:
        """The hashes (n, 32) of the tree's levels, leaves first and the root last; none where nobody is.

        A node without a neighbour moves up as it is: so every subtree is as large as RFC 6962 has it.
        """
        if len(self) == 0:
            return []
        found = [_hashed(b"\x00", self.content)]
        while len(below := found[-1]) > 1:
            pairs = below[: len(below) // 2 * 2].reshape(-1, 2 * _HASH)
            found.append(np.concatenate((_hashed(b"\x01", pairs), below[2 * len(pairs) :])))
        return found

    @property
    def root(self) -> bytes:
        """The root of the tree."""
        return self.levels[-1].tobytes() if self.levels else merkle.EMPTY_ROOT

    def leaf(self, index: int) -> Leaf:
        """The leaf at a place."""
        content = self.content[index].tobytes()
        return Leaf(content[:_HASH], content[_HASH:])

    def prove(self, tag: bytes) -> Proof:
        """Prove that the person with a tag is in the tree, or that they are not."""
        size = len(self)
        place = bisect_left(range(size), tag, key=lambda index: self.leaf(index).tag)
        here = place < size and self.leaf(place).tag == tag
        around = [place] if here else [index for index in (place - 1, place) if 0 <= index < size]
        return Proof(tag, size, tuple(self._place(index) for index in around))

    def _place(self, index: int) -> Place:
        beside = ((level, (index >> height) ^ 1) for height, level in enumerate(self.levels))
        proof = tuple(level[number].tobytes() for level, number in beside if number < len(level))
        return Place(self.leaf(index), index, proof)


def commitments(
    seeds: NDArray[np.uint64], rows: Snapshots, interests: sparse.csr_array, key: bytes
) -> Commitments:
    """Commit to everything that training takes from each person.

    Args:
        seeds: (P,) the people.
        rows: their snapshots.
        interests: (P, F) what the closed-form start learns from.
        key: 32 bytes that nobody else has.
    """
    leaves = np.empty((len(seeds), 2 * _HASH), dtype=np.uint8)
    leaves[:, :_HASH] = _keyed(key, b"person", seeds.astype(">u8").tobytes(), range(0, 8 * len(seeds) + 1, 8))
    done = 0
    for content, edges in row_bytes(seeds, rows, interests):
        made = _keyed(key, b"rows", content, edges)
        leaves[done : done + len(made), _HASH:] = made
        done += len(made)
    return Commitments.of(leaves)


def _keyed(key: bytes, what: bytes, content: bytes, edges: Iterable[int]) -> NDArray[np.uint8]:
    """(n, 32) the keyed hash of each stretch of some bytes between n + 1 edges; `what` keeps purposes apart."""
    begun, view, found = hashlib.blake2b(key=key, person=what, digest_size=_HASH), memoryview(content), []
    for begin, end in pairwise(edges):
        mac = begun.copy()
        mac.update(view[begin:end])
        found.append(mac.digest())
    return np.frombuffer(b"".join(found), dtype=np.uint8).reshape(-1, _HASH)


def _hashed(prefix: bytes, content: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 32) the SHA-256 of a prefix and each row of (n, 64): what RFC 6962 makes of leaves, and of pairs of nodes."""
    whole, view, sha = content.shape[1], memoryview(content.tobytes()), hashlib.sha256(prefix)
    found = []
    for begin in range(0, len(view), whole):
        each = sha.copy()
        each.update(view[begin : begin + whole])
        found.append(each.digest())
    return np.frombuffer(b"".join(found), dtype=np.uint8).reshape(-1, _HASH)
