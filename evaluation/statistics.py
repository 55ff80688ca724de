"""Intervals by the paired bootstrap over people (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13)."""

import numpy as np
from numpy.typing import NDArray

_CELLS = 20_000_000
"""Most cells of a block of resampling counts, 160 MB."""


def movements(shares: NDArray[np.float64], samples: int, seed: int) -> NDArray[np.float64]:
    """Resample people and see how the means of their shares move.

    Every column is resampled with the same people, so differences between columns are paired.

    Args:
        shares: (U, columns) each person's share in each quantity.
        samples: number of bootstrap samples.
        seed: of the random generator; the same seed and U give the same people.

    Returns:
        (samples, columns) the mean over the resampled people minus the mean over the people.
    """
    people = len(shares)
    random = np.random.default_rng(seed)
    block = max(1, _CELLS // people)
    even = np.full(people, 1 / people)
    centred = shares - shares.mean(axis=0)
    parts = []
    for start in range(0, samples, block):
        counts = random.multinomial(people, even, size=min(block, samples - start))
        parts.append(counts @ centred / people)
    return np.concatenate(parts)


def interval(value: float, moved: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """The percentile interval around a value whose resampled values are `value + moved`."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(moved, [tail, 1 - tail])
    return value + float(low), value + float(high)


def verdict(low: float, high: float) -> str:
    """Say "better" or "worse" of a difference only where the interval excludes zero."""
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "no clear difference"
