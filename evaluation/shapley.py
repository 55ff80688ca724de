"""What each of several players adds to a value that they reach together: Shapley values, exact or sampled.

Sources: Shapley, "A value for n-person games", 1953; sampling of permutations: Castro, Gomez and Tejada, Computers and
Operations Research 36(5), 2009.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Value = Callable[[frozenset[str]], Floats]
"""What some players reach together, (U,): for each of U people."""

_FEWEST = 2
"""Permutations that are sampled even beyond the budget: fewer have no standard error."""


@dataclass(frozen=True, eq=False)
class Shares:
    """What each of n players adds.

    Attributes:
        of: (n, U); over the players they sum to the value of all less the value of none, for every person.
        errors: (n,) standard errors of the shares' means over people that come from sampling permutations; None where
            the shares are exact.
        subsets: how many subsets were valued.
    """

    of: Floats
    errors: Floats | None
    subsets: int


def shapley(players: Sequence[str], value: Value, budget: int, seed: int) -> Shares:
    """Share out a value.

    Args:
        players: n names.
        value: asked once for each subset.
        budget: the most subsets that are valued. Where all 2^n are within it, shares are exact; otherwise as many random
            permutations are walked as it allows, and at least two.
        seed: of the permutations.
    """
    known: dict[frozenset[str], Floats] = {}

    def valued(subset: frozenset[str]) -> Floats:
        if subset not in known:
            known[subset] = value(subset)
        return known[subset]

    if 2 ** len(players) <= budget:
        return Shares(_exact(players, valued), None, len(known))
    random = np.random.default_rng(seed)
    walks: list[Floats] = []
    while True:
        order = random.permutation(len(players))
        walk = [frozenset(players[place] for place in order[:size]) for size in range(len(order) + 1)]
        if len(walks) >= _FEWEST and len(known | dict.fromkeys(walk)) > budget:
            break
        steps = np.diff(np.stack([valued(subset) for subset in walk]), axis=0)
        walks.append(steps[np.argsort(order)])
    means = np.stack(walks).mean(axis=2)
    return Shares(np.mean(walks, axis=0), means.std(axis=0, ddof=1) / np.sqrt(len(walks)), len(known))


def _exact(players: Sequence[str], valued: Value) -> Floats:
    count = len(players)
    shares = []
    for player in players:
        others = [name for name in players if name != player]
        parts = [
            factorial(size)
            * factorial(count - size - 1)
            / factorial(count)
            * (valued(frozenset({*subset, player})) - valued(frozenset(subset)))
            for size in range(count)
            for subset in combinations(others, size)
        ]
        shares.append(np.sum(parts, axis=0))
    return np.stack(shares)
