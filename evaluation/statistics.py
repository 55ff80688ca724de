"""What can be said of figures: intervals, effect sizes and tests, all paired over people.

Sources: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 15 (percentile intervals,
permutation tests); Welch, Biometrika 34, 1947; Wilcoxon, Biometrics Bulletin 1(6), 1945, zeros as Pratt, JASA 54(287), 1959; Holm, Scandinavian
Journal of Statistics 6(2), 1979; Cohen, Statistical Power Analysis, 1988, section 2.3 (d of paired samples).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evaluation.metrics import Better

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
    even = np.full(people, 1 / people)
    centred = shares - shares.mean(axis=0)
    return np.concatenate(
        [random.multinomial(people, even, size=size) @ centred / people for size in _blocks(people, samples)]
    )


def interval(value: float, moved: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """The percentile interval around a value whose resampled values are `value + moved`."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(moved, [tail, 1 - tail])
    return value + float(low), value + float(high)


def apart(
    one: NDArray[np.float64], other: NDArray[np.float64], confidence: float
) -> tuple[float, float, float]:
    """The first group's mean minus the second's, with a normal interval by Welch's standard error, since they share nobody."""
    gap = float(one.mean() - other.mean())
    error = float(np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other)))
    reach = float(stats.norm.ppf((1 + confidence) / 2)) * error
    return gap, gap - reach, gap + reach


def verdict(low: float, high: float, better: Better = "higher") -> str:
    """Say "better" or "worse" of a difference only where the interval excludes zero.

    Where neither way is better, the words are "higher" and "lower".
    """
    if low <= 0 <= high:
        return "no clear difference"
    if better == "neither":
        return "higher" if low > 0 else "lower"
    return "better" if (low > 0) == (better == "higher") else "worse"


@dataclass(frozen=True)
class Effect:
    """How large a paired difference is, apart from how sure it is.

    Attributes:
        d: mean of the differences over their standard deviation; 0 where all are 0, None where all are the same
            number other than 0, since they then have no spread to be measured by.
        dominance: share of people with a higher value less the share with a lower one, from -1 to 1.
    """

    d: float | None
    dominance: float


def effect(differences: NDArray[np.float64]) -> Effect:
    """The effect size of people's differences."""
    mean = float(differences.mean())
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    dominance = float(np.sign(differences).mean())
    if spread <= 1e-12 * abs(mean):  # rounding is no spread
        return Effect(0.0 if mean == 0 else None, dominance)
    return Effect(mean / spread, dominance)


def permutation_tests(differences: NDArray[np.float64], samples: int, seed: int) -> NDArray[np.float64]:
    """Test each column's mean against 0 by changing the signs of people's differences at random.

    Args:
        differences: (U, columns).
        samples: how often the signs are drawn; the same draws for all columns.
        seed: of the draws.

    Returns:
        (columns,) two-sided p = (1 + draws whose mean is as far from 0) / (1 + samples); 1 where all are 0.
    """
    people = len(differences)
    random = np.random.default_rng([seed, 1])
    observed = np.abs(differences.sum(axis=0)) * (1 - 1e-12)
    as_far = np.zeros(differences.shape[1])
    for size in _blocks(people, samples):
        signs = random.integers(0, 2, size=(size, people), dtype=np.int8) * 2.0 - 1
        as_far += (np.abs(signs @ differences) >= observed).sum(axis=0)
    return (1 + as_far) / (1 + samples)


def wilcoxon(differences: NDArray[np.float64]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; 1 where all differences are 0."""
    if not differences.any():
        return 1.0
    return float(
        stats.wilcoxon(differences, zero_method="pratt", method="asymptotic", correction=True).pvalue
    )


def holm(p: Sequence[float]) -> list[float]:
    """Correct p values for their number, so that any false alarm among them is as rare as one alone would be.

    The i-th smallest of m is multiplied by m - i + 1; none falls below a smaller one's, none rises above 1. Written
    out, because statsmodels collects garbage at every call, which costs a second and more in a large process; it is
    the oracle of the tests.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1)
    return [float(value) for value in corrected]


def _blocks(people: int, samples: int) -> Iterator[int]:
    block = max(1, _CELLS // people)
    for start in range(0, samples, block):
        yield min(block, samples - start)
