"""What training takes from each person as bytes: one stretch for each, the same for the same rows, whoever else is there.

Everything is a triple of little-endian 32-bit words. A person's stretch begins with how many training rows they have
and their seed; then come their profiles, their positives and their interests, each value as the row of theirs that it
is in, its column, and itself. Row 0 are the interests, 1 + 2k and 2 + 2k the profile and the positives of training
row k. So the bytes can be read back in one way alone, and two people's, or two different sets of rows, are never alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.snapshots import Snapshots

_PEOPLE = 1 << 15
"""How many people are laid out at once, so that memory does not grow with the people."""
_WORDS = 3


def row_bytes(
    seeds: NDArray[np.uint64], rows: Snapshots, interests: sparse.csr_array
) -> Iterator[tuple[bytes, Sequence[int]]]:
    """Lay out people's rows, some thousand people at a time.

    Args:
        seeds: (P,) the people.
        rows: their snapshots.
        interests: (P, F) what the closed-form start learns from.

    Yields:
        The bytes of n people in turn, and the n + 1 edges between them.
    """
    first = np.searchsorted(rows.person, np.arange(len(seeds) + 1))
    for begin in range(0, len(seeds), _PEOPLE):
        people = np.arange(begin, min(begin + _PEOPLE, len(seeds)) + 1)
        edges = first[people]
        tables = (
            _Table.of(rows.profiles, edges, 1),
            _Table.of(rows.positives, edges, 2),
            _Table.of(interests, people, 0),
        )
        yield _laid_out(seeds[people[:-1]], np.diff(edges), tables)


@dataclass(frozen=True, eq=False)
class _Table:
    """The part of a sparse matrix that some people have.

    Attributes:
        sizes: (n,) how many values each of the people has.
        words: (values, 3) them, person by person.
    """

    sizes: NDArray[np.int64]
    words: NDArray[np.uint32]

    @classmethod
    def of(cls, matrix: sparse.csr_array, edges: NDArray[np.int64], label: int) -> "_Table":
        """Take the rows from edges[p] up to edges[p + 1] for each person p, the first being called `label`."""
        pointers = matrix.indptr[edges[0] : edges[-1] + 1]
        number = np.arange(edges[0], edges[-1]) - np.repeat(edges[:-1], np.diff(edges))
        words = np.empty((pointers[-1] - pointers[0], _WORDS), dtype="<u4")
        words[:, 0] = np.repeat(label + 2 * number, np.diff(pointers))
        words[:, 1] = matrix.indices[pointers[0] : pointers[-1]]
        words[:, 2] = matrix.data[pointers[0] : pointers[-1]].astype("<f4").view("<u4")
        return cls(np.diff(matrix.indptr[edges]).astype(np.int64), words)


def _laid_out(
    seeds: NDArray[np.uint64], counts: NDArray[np.int64], tables: Sequence[_Table]
) -> tuple[bytes, Sequence[int]]:
    """Put the parts of each person (n) one after another."""
    edges = np.concatenate(([0], np.cumsum(1 + sum(table.sizes for table in tables))))
    words = np.empty((edges[-1], _WORDS), dtype="<u4")
    place = edges[:-1]
    words[place, 0] = counts
    words[place, 1] = seeds >> np.uint64(32)
    words[place, 2] = seeds & np.uint64(0xFFFFFFFF)
    place = place + 1
    for table in tables:
        before = np.cumsum(table.sizes) - table.sizes
        words[np.repeat(place - before, table.sizes) + np.arange(len(table.words))] = table.words
        place = place + table.sizes
    return words.tobytes(), (words.itemsize * _WORDS * edges).tolist()
