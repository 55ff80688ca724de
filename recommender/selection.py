"""Picking from scores: the best, the place of one among all, and a head without near-repeats.

Scores are whole numbers in float64 (see `scoring`), so equal means equal. Equal scores go by row, and rows are in the
order of ids. Minus infinity stands for what is not in the list.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BLOCKS = 128
"""Scores come in a width that is a multiple of this; no more than this many can be picked."""

Scores = NDArray[np.float64]
Rows = NDArray[np.int64]

_IN_LIST = np.finfo(np.float64).min


def best(scores: Scores, count: int) -> list[Rows]:
    """The rows of the `count` greatest scores of each list, best first.

    Args:
        scores: (lists, width), width a multiple of `BLOCKS`.
        count: at most `BLOCKS`.

    Returns:
        For each list up to `count` rows.
    """
    lists, width = scores.shape
    # The count-th greatest of the blocks' maxima bounds the count-th greatest of all from below, and cuts away nearly
    # everything: what is left is sorted.
    maxima = scores.reshape(lists, width // BLOCKS, BLOCKS).max(axis=1)
    maxima.partition(BLOCKS - count, axis=1)
    bound = np.maximum(maxima[:, BLOCKS - count], _IN_LIST)
    which, row = np.nonzero(scores >= bound[:, None])
    order = np.lexsort((-scores[which, row], which))  # stable: equal scores stay in the order of rows
    ends = np.searchsorted(which, np.arange(lists + 1)).tolist()
    row = row[order]
    return [row[start : min(end, start + count)] for start, end in pairwise(ends)]


def places(scores: Scores, rows: Rows) -> NDArray[np.int64]:
    """(lists, n) the place of each of n rows in each list, 1 for the first; 0 where it is not in the list.

    Args:
        scores: (lists, width).
        rows: (n,) rows that every list is asked about.
    """
    own = scores[:, rows]
    ahead = _counts(scores[:, None, :] > own[:, :, None])
    equal = scores[:, None, :] == own[:, :, None]
    if np.count_nonzero(equal) > own.size:
        ahead += _counts(equal & (np.arange(scores.shape[1]) < rows[:, None]))
    return np.where(own >= _IN_LIST, ahead + 1, 0)


def _counts(of: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(lists, n) how many are true in each row of (lists, n, width)."""
    flat = of.reshape(-1, of.shape[2])
    return np.array([np.count_nonzero(row) for row in flat], dtype=np.int64).reshape(of.shape[:2])


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
