"""Which people a shard learns from: those whose pseudonyms lie within a range.

A pseudonym is a keyed hash (consent.pseudonyms), so equal ranges hold about equally many people, and a person's part depends on
nothing but themselves: no partition remembers anybody. A range is also what a database reads by its index.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BUCKETS = 4096
"""The smallest parts there are: people whose pseudonyms begin with the same 12 bits."""


@dataclass(frozen=True, order=True)
class Part:
    """The people of the buckets from `first` up to, and without, `end`."""

    first: int = 0
    end: int = BUCKETS

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.end <= BUCKETS:
            raise ValueError(f"a part lies within the {BUCKETS} buckets")

    @property
    def bounds(self) -> tuple[bytes, bytes | None]:
        """The least pseudonym, and the one that is too great already, None when none is."""
        low, high = (
            (bucket << 4).to_bytes(2) if bucket < BUCKETS else None for bucket in (self.first, self.end)
        )
        return low or b"", high

    def holds(self, seeds: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """(P,) whether the people with these seeds belong to it."""
        buckets = seeds >> np.uint64(52)
        return np.asarray((buckets >= self.first) & (buckets < self.end))

    def beginning(self, share: float) -> "Part":
        """About this share of it, one bucket at least."""
        return Part(self.first, self.first + max(1, round(share * (self.end - self.first))))


def bucket_of(pseudonym: bytes) -> int:
    """Return the bucket of a person."""
    return int.from_bytes(pseudonym[:2]) >> 4


def shard_part(number: int, of: int) -> Part:
    """Return the part that shard `number` of `of` learns from."""
    return Part(-(-number * BUCKETS // of), -(-(number + 1) * BUCKETS // of))


def shard_of(bucket: int, of: int) -> int:
    """Return the shard, of `of`, that learns from the people of a bucket."""
    return bucket * of // BUCKETS
