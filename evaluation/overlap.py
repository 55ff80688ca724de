"""How alike two lists of one person are: 1 where they are the same, 0 where they share nothing.

Sources: Jaccard, Bulletin de la Société vaudoise des sciences naturelles 37, 1901; rank-biased overlap, extrapolated from the
depth seen, with unequal lengths as in equation 7: Webber, Moffat and Zobel, ACM TOIS 28(4), 2010, section 4.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking import NOTHING

Items = NDArray[np.intp]
Floats = NDArray[np.float64]

PERSISTENCE = 0.9
"""Of rank-biased overlap: the chance that a reader goes on to the next place; the first ten places have 86 % of the weight."""

_CELLS = 20_000_000
"""Pairs of places that are compared at once."""


def jaccard(one: Items, other: Items) -> Floats:
    """(U,) (items in both) / (items in either) of two lists (U, k) of each person, whatever their order; two empty lists are the same."""
    shared = np.concatenate([_same(*block).sum(axis=(1, 2)) for block in _blocks(one, other)])
    together = (one != NOTHING).sum(axis=1) + (other != NOTHING).sum(axis=1) - shared
    return np.where(together > 0, shared / np.maximum(together, 1), 1.0)


def rbo(one: Items, other: Items, persistence: float = PERSISTENCE) -> Floats:
    """(U,) rank-biased overlap of two lists (U, k) of each person, in which the first places count most.

    Formula: A_k p^k + (1 - p) / p sum over d = 1..k of A_d p^d, where A_d = 2 |first d of both| / (places of both
    down to d). Edge: a depth at which neither has a place has the agreement of the depth before it; two empty lists are the same.
    """
    agreement = np.concatenate([_agreement(*block) for block in _blocks(one, other)])
    weights = persistence ** np.arange(1, one.shape[1] + 1)
    return np.asarray(
        agreement[:, -1] * weights[-1] + (1 - persistence) / persistence * (agreement @ weights)
    )


def _agreement(one: Items, other: Items) -> Floats:
    shared = _same(one, other).cumsum(axis=1).cumsum(axis=2).diagonal(axis1=1, axis2=2)
    places = (one != NOTHING).cumsum(axis=1) + (other != NOTHING).cumsum(axis=1)
    return np.where(places > 0, 2 * shared / np.maximum(places, 1), 1.0)


def _same(one: Items, other: Items) -> NDArray[np.bool_]:
    """(U, k, k) whether the two have the same item at a place of each."""
    return np.asarray((one[:, :, None] == other[:, None, :]) & (one != NOTHING)[:, :, None])


def _blocks(one: Items, other: Items) -> Iterator[tuple[Items, Items]]:
    people = max(1, _CELLS // one.shape[1] ** 2)
    for start in range(0, len(one), people):
        yield one[start : start + people], other[start : start + people]
