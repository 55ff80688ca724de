"""Something new: places of a list that are given by chance, with the chance known, so that it can be learned from.

Down the list, each place is given away with the probability that was asked for: not to the best that is left, but to
one drawn from all that the list would not have shown. The propensity of an item is the probability that it stands
where it stands, given the items above it; reported back with what came of it, it allows unbiased estimates (Horvitz
and Thompson, JASA 1952; for recommendations: Schnabel et al., ICML 2016).
"""

from dataclasses import dataclass

import numpy as np

from recommender.query import Floats, Rows


@dataclass(frozen=True, slots=True)
class Explored:
    """A list of n rows after chance had its say."""

    rows: Rows
    instead_of: Rows
    """(n,) the place, in the list before, whose score the row now has; its own place's where nothing was explored."""
    new: np.ndarray[tuple[int], np.dtype[np.bool_]]
    """(n,) which rows chance chose."""
    propensities: Floats


def explore(head: Rows, others: Rows, probability: float, random: np.random.Generator) -> Explored:
    """Give away places of a list by chance.

    Args:
        head: (n,) the list as it would be.
        others: (m,) rows that may be listed and are not in `head`, each once.
        probability: of each place being given away, from 0 to 1.
        random: where chance comes from.
    """
    drawn = random.permutation(others)[: len(head)]
    new = random.random(len(head)) < probability
    new &= np.cumsum(new) <= len(drawn)
    before: Rows = np.cumsum(new) - new  # places given away above each
    left = len(others) - before
    place = np.arange(len(head)) - before
    propensities = np.where(
        new, probability / np.maximum(left, 1), np.where(left > 0, 1.0 - probability, 1.0)
    )
    rows = head[place]
    rows[new] = drawn[: new.sum()]
    return Explored(rows, place, new, propensities)
