"""Picking from scores: the best, the place of one among all, and a head without near-repeats.

Scores are whole numbers in float64 (see `scoring`), so equal means equal. Equal scores go by row, and rows are in the
order of ids. Minus infinity stands for what is not in the list.
"""

import numpy as np
from numpy.typing import NDArray

from recommender import kernels

Scores = NDArray[np.float64]
Rows = NDArray[np.int64]


def rows_in(scores: Scores) -> Rows:
    """Every row that is in a list, by its scores (R,)."""
    rows: Rows = (scores > -np.inf).nonzero()[0]
    return rows


def best(scores: Scores, count: int) -> Rows:
    """(lists, count) the rows of the greatest scores of several lists (lists, R), best first; -1 where one has ended."""
    rows = np.empty((len(scores), count), dtype=np.int64)
    kernels.best(scores, rows)
    return rows


def places_of(scores: Scores, rows: Rows) -> Rows:
    """(lists, n) where n different rows stand in several lists (lists, R): 1 for the best, 0 for what is not in it."""
    places = np.empty((len(scores), len(rows)), dtype=np.int64)
    kernels.rank(scores, rows, places)
    return places


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
    taken = np.empty(min(count, len(scores)), dtype=np.int64)
    added = np.empty(len(taken))
    kernels.diversify(scores, similarity, strength * spread, taken, added)
    return taken, added
