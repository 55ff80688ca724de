"""Picking from scores: the best, the place of one among all, and a head without near-repeats.

Scores are whole numbers in float64 (see `scoring`), so equal means equal. Equal scores go by row, and rows are in the
order of ids. Minus infinity stands for what is not in the list.
"""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Rows = NDArray[np.int64]

_IN_LIST = np.finfo(np.float64).min


class Lists:
    """Several lists over the same rows, each by its own scores.

    NumPy sorts plain numbers an order of magnitude faster than it sorts indices. So each list's scores are sorted
    once; the best and the places of a few rows are then found by comparing with that.

    Args:
        scores: (lists, R).
    """

    def __init__(self, scores: Scores) -> None:
        self._scores = scores
        self._ascending = np.sort(scores, axis=1)

    def best(self, count: int) -> list[Rows]:
        """For each list the rows of its `count` greatest scores, best first; fewer where the list is shorter."""
        lists, width = self._scores.shape
        count = min(count, width)
        if count == 0:
            return [np.zeros(0, dtype=np.int64) for _ in range(lists)]
        bound = np.maximum(self._ascending[:, width - count], _IN_LIST)
        heads = []
        for scores, least in zip(self._scores, bound, strict=True):
            (rows,) = (scores >= least).nonzero()
            order = (-scores[rows]).argsort(kind="stable")  # equal scores stay in the order of rows
            heads.append(rows[order[:count]])
        return heads

    def places(self, rows: Rows, number: int) -> NDArray[np.int64]:
        """(n,) the place of each of n rows in one list, 1 for the first; 0 where it is not in the list."""
        scores, ascending = self._scores[number], self._ascending[number]
        own = scores[rows]
        after, before = ascending.searchsorted(own, "right"), ascending.searchsorted(own, "left")
        ahead = len(ascending) - after
        if (after - before).max(initial=0) > 1:
            ahead += [np.count_nonzero(scores[:row] == score) for row, score in zip(rows, own, strict=True)]
        return np.where(own >= _IN_LIST, ahead + 1, 0)


def diversified(
    scores: Scores, similarity: NDArray[np.float64], strength: float, count: int
) -> tuple[NDArray[np.int64], Scores]:
    """Reorder the head of a list so that near-repeats come later (MMR: Carbonell and Goldstein, SIGIR 1998).

    Step by step the best of the remaining is taken, each lowered by its greatest similarity to what was taken
    before, times `strength`, times the spread of the scores. What lowers only grows, so the lowered scores descend.

    Args:
        scores: (n,) descending.
        similarity: (n, n) from 0 to 1.
        strength: 0 to 1.
        count: how many to take; at most n are.

    Returns:
        (k,) places in `scores` in their new order, and (k,) the whole numbers, 0 or less, added to their scores.
    """
    spread = float(scores[0] - scores[-1]) if len(scores) else 0.0
    penalty = -np.rint(similarity * (strength * spread))
    lowered = scores.copy()
    taken = np.zeros(min(count, len(scores)), dtype=np.int64)
    added = np.zeros(len(taken))
    for step in range(len(taken)):
        pick = int(lowered.argmax())
        taken[step], added[step] = pick, lowered[pick] - scores[pick]
        np.minimum(lowered, scores + penalty[pick], out=lowered)
        lowered[taken[: step + 1]] = -np.inf
    return taken, added
