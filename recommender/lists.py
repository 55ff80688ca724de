"""Lists, and what is asked of them: the one asked for is the first, and after it comes the list without each of some signals.

Scores are whole numbers (see `scoring`). Both kinds of lists answer alike, to the last row: `Scored` has a score for
every resource, which rules and the editors' order need; `Profiled` finds the same with far fewer exact scores.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recommender.query import Floats, Rows
from recommender.scoring import Scorer
from recommender.selection import best, places_of, rows_in

_NO_ROWS: Rows = np.zeros(0, dtype=np.int64)


class Lists(Protocol):
    """What is asked of lists."""

    def head(self, count: int) -> Rows:
        """(n,) the best of the first list, best first: as many as asked for, or as there are."""

    def scores_of(self, number: int, rows: Rows) -> Floats:
        """(n,) the scores of some resources of one list."""

    def elsewhere(self, rows: Rows, count: int) -> tuple[Rows, Rows]:
        """(lists - 1, n) the places of n resources in the other lists, 0 for none, and the best of each (lists - 1, count), -1 behind the last."""

    def rows(self) -> Rows:
        """Every resource of the first list, in the order of the catalogue."""


@dataclass(slots=True)
class Scored:
    """Lists with a score for every resource."""

    scores: Floats
    """(lists, R) minus infinity for what is not in a list."""

    def head(self, count: int) -> Rows:
        """See `Lists`."""
        return _until_the_end(best(self.scores[:1], count)[0])

    def scores_of(self, number: int, rows: Rows) -> Floats:
        """See `Lists`."""
        scores: Floats = self.scores[number, rows]
        return scores

    def elsewhere(self, rows: Rows, count: int) -> tuple[Rows, Rows]:
        """See `Lists`."""
        return places_of(self.scores[1:], rows), best(self.scores[1:], count)

    def rows(self) -> Rows:
        """See `Lists`."""
        return rows_in(self.scores[0])


@dataclass(slots=True)
class Profiled:
    """Lists by profiles alone: the release says everything about their order."""

    scorer: Scorer
    vectors: Floats
    """(lists, D) the profile behind each list."""
    listed: NDArray[np.bool_]
    """(R,) what may be listed."""
    hidden: dict[int, list[int]]
    """The rows that each signal keeps out of a list."""
    without: Rows
    """(lists,) the signal that each list is made without."""

    def head(self, count: int) -> Rows:
        """See `Lists`."""
        return _until_the_end(self._standings(slice(0, 1), _NO_ROWS, count)[1][0])

    def scores_of(self, number: int, rows: Rows) -> Floats:
        """See `Lists`."""
        return self.scorer.scores_of(self.vectors[number], rows)

    def elsewhere(self, rows: Rows, count: int) -> tuple[Rows, Rows]:
        """See `Lists`."""
        return self._standings(slice(1, None), rows, count)

    def rows(self) -> Rows:
        """See `Lists`."""
        listed = self.listed.copy()
        listed[[row for rows in self.hidden.values() for row in rows]] = False
        return listed.nonzero()[0]

    def _standings(self, which: slice, rows: Rows, count: int) -> tuple[Rows, Rows]:
        vectors, without = self.vectors[which], self.without[which]
        return self.scorer.standings(vectors, self.listed, self.hidden, without, rows, count)


def _until_the_end(head: Rows) -> Rows:
    return head if not len(head) or head[-1] >= 0 else head[head >= 0]
