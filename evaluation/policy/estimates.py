"""The value of a policy that did not choose what was shown: the average reward, had it chosen instead.

With propensity p, reward r and target probability t of impression i of N, and weight w = t / p:

| estimator | is | without bias | source |
|---|---|---|---|
| `ips` | mean of w r | where p > 0 for all that the target shows | Horvitz and Thompson, JASA 47(260), 1952 |
| `clipped_ips` | mean of min(w, c) r | never, but steadier; too low for rewards of at least 0 | Ionides, JCGS 17(2), 2008 |
| `snips` | sum of w r / sum of w | as N grows; an affine change of rewards changes it alike | Swaminathan and Joachims, NeurIPS 2015 |
| `dr` | mean of m + w (r - q) | as `ips`, whatever the model of rewards predicts | Dudík, Langford and Li, ICML 2011 |
| `clipped_dr` | mean of m + min(w, c) (r - q) | never, unless the model is right; steadier | as `dr`; Su et al., ICML 2020 |

q is what the model of rewards predicts for what was shown (`predicted`), m its average over what the target would have
shown (`expected`). `logged` is the mean of r: the value of the policy that did choose.

Intervals are percentile intervals of the bootstrap over people, or over impressions where nobody is named: sums are
resampled, and each estimator is computed again from them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from evaluation.errors import EvaluationError
from evaluation.policy.impressions import Floats, Impressions
from evaluation.statistics import interval, movements, verdict

ESTIMATES = {
    "estimator": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "difference": pl.Float64(),
    "difference_low": pl.Float64(),
    "difference_high": pl.Float64(),
    "verdict": pl.String(),
}
"""Columns of `PolicyValue.estimates`: the value with its interval, the value minus that of `logged` from the same
resampled people, and the word that its interval allows. Null where an estimator is not defined (`snips` without any
weight)."""

ESTIMATORS: Mapping[str, tuple[str, str]] = {
    "logged": ("r", "n"),
    "ips": ("wr", "n"),
    "clipped_ips": ("cr", "n"),
    "snips": ("wr", "w"),
    "dr": ("dr", "n"),
    "clipped_dr": ("cdr", "n"),
}
"""Each estimator as a sum over a sum, which is what a bootstrap over people needs; the columns are those of `_summed`."""

_QUANTILES = (0.5, 0.9, 0.99)
_FEW = 0.05
"""Share of impressions below which the effective sample size is called small."""

_REWARDED = 30
"""Impressions with a weight and a reward below which resampling them is said to tell too little."""


@dataclass(frozen=True)
class Overlap:
    """How far the impressions can speak for the policy in question.

    Attributes:
        impressions: N.
        units: people, or impressions where nobody is named: what is resampled.
        unused_share: share of impressions that the target would never have shown (w = 0): they say nothing about it.
        mean_weight: mean of w, 1 on average where the log could have shown all that the target shows.
        mean_weight_low: lower end of its interval; None where there is one unit alone.
        mean_weight_high: upper end; where it is below 1, the target shows what the log never did, as much as is missing.
        effective_sample_size: (sum of w)² / sum of w² (Kish, Survey Sampling, 1965), 0 where no weight is above 0: as
            many impressions of the target's own would say as much.
        largest_weight: the largest w.
        quantiles: of w, by share.
    """

    impressions: int
    units: int
    unused_share: float
    mean_weight: float
    mean_weight_low: float | None
    mean_weight_high: float | None
    effective_sample_size: float
    largest_weight: float
    quantiles: Mapping[float, float]


@dataclass(frozen=True)
class PolicyValue:
    """Estimates of a policy's value, what they rest on, and sentences on what should be known before they are believed.

    Attributes:
        estimates: a row for each estimator, columns as in `ESTIMATES`.
        overlap: how far the impressions can speak for the policy.
        clip: c, the weight that the clipped estimators cut larger ones to.
        notes: sentences; none where all is as one would wish.
    """

    estimates: pl.DataFrame
    overlap: Overlap
    clip: float
    notes: tuple[str, ...]


def estimate(
    impressions: Impressions,
    *,
    clip: float | None = None,
    confidence: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> PolicyValue:
    """Estimate what the policy in question would have been worth.

    Args:
        impressions: as they were logged, N of them.
        clip: c, above 0; the square root of N when None (Ionides 2008).
        confidence: of the intervals, between 0 and 1.
        samples: bootstrap samples.
        seed: of the bootstrap.

    Raises:
        EvaluationError: naming the argument that is out of bounds.
    """
    _check(clip, confidence, samples)
    cut = float(np.sqrt(len(impressions))) if clip is None else clip
    sums = _summed(impressions, cut)
    names = list(sums)
    own = np.stack(list(sums.values()), axis=1)
    moved = own.mean(axis=0) + movements(own, samples, seed)
    draws = _Draws(
        dict(zip(names, own.mean(axis=0).tolist(), strict=True)), dict(zip(names, moved.T, strict=True))
    )
    units = len(own)
    rows = [_row(draws, name, confidence, units) for name, (above, _) in ESTIMATORS.items() if above in sums]
    overlap = _overlap(impressions, draws, confidence, units)
    return PolicyValue(
        pl.DataFrame(rows, schema=ESTIMATES), overlap, cut, tuple(_notes(impressions, overlap, draws))
    )


@dataclass(frozen=True)
class _Draws:
    """Means over units of the columns of `_summed`: as they are, and in each bootstrap sample (samples,)."""

    means: Mapping[str, float]
    resampled: Mapping[str, Floats]

    def value(self, above: str, below: str) -> float | None:
        """One mean over another; None where there is nothing below."""
        return self.means[above] / self.means[below] if self.means[below] > 0 else None

    def values(self, above: str, below: str) -> Floats:
        """(samples,) the same in each sample; NaN where a sample has nothing below, rounding aside."""
        something = self.resampled[below] > 1e-9 * self.means[below]
        ratios: Floats = np.full(len(something), np.nan)
        np.divide(self.resampled[above], self.resampled[below], out=ratios, where=something)
        return ratios


def _check(clip: float | None, confidence: float, samples: int) -> None:
    if clip is not None and not (np.isfinite(clip) and clip > 0):
        raise EvaluationError(f"clip: {clip} is not a weight above 0")
    if not 0 < confidence < 1:
        raise EvaluationError(f"confidence: {confidence} is not between 0 and 1")
    if samples < 1:
        raise EvaluationError(f"samples: {samples} is not at least 1")


def _summed(impressions: Impressions, cut: float) -> dict[str, Floats]:
    """Each unit's sums (U,) of what the estimators are made of: n impressions, rewards, weights, and their products."""
    w, r = impressions.weights, impressions.reward
    clipped = np.minimum(w, cut)
    columns = {"n": np.ones_like(r), "r": r, "w": w, "wr": w * r, "cr": clipped * r}
    if impressions.predicted is not None and impressions.expected is not None:
        residual = r - impressions.predicted
        columns |= {
            "dr": impressions.expected + w * residual,
            "cdr": impressions.expected + clipped * residual,
        }
    if impressions.person is None:
        return columns
    _, unit = np.unique(impressions.person, return_inverse=True)
    return {name: np.bincount(unit, weights=each).astype(np.float64) for name, each in columns.items()}


def _row(draws: _Draws, name: str, confidence: float, units: int) -> dict[str, Any]:
    """A row of `ESTIMATES`."""
    value, logged = draws.value(*ESTIMATORS[name]), draws.value(*ESTIMATORS["logged"])
    row: dict[str, Any] = {"estimator": name, "value": value}
    if value is None or logged is None:
        return row
    resampled = draws.values(*ESTIMATORS[name])
    row |= dict(zip(("low", "high"), _around(value, resampled, confidence, units), strict=True))
    if name == "logged":
        return row
    gap = value - logged
    low, high = _around(gap, resampled - draws.values(*ESTIMATORS["logged"]), confidence, units)
    row |= {"difference": gap, "difference_low": low, "difference_high": high}
    return row if low is None or high is None else row | {"verdict": verdict(low, high)}


def _around(
    value: float, resampled: Floats, confidence: float, units: int
) -> tuple[float, float] | tuple[None, None]:
    """The interval; None where one unit alone cannot tell how much another would differ."""
    if units < 2:
        return None, None
    return interval(value, resampled[~np.isnan(resampled)] - value, confidence)


def _overlap(impressions: Impressions, draws: _Draws, confidence: float, units: int) -> Overlap:
    w = impressions.weights
    mean = float(w.mean())
    low, high = _around(mean, draws.values("w", "n"), confidence, units)
    return Overlap(
        impressions=len(w),
        units=units,
        unused_share=float((w == 0).mean()),
        mean_weight=mean,
        mean_weight_low=low,
        mean_weight_high=high,
        effective_sample_size=effective_sample_size(w),
        largest_weight=float(w.max()),
        quantiles=dict(zip(_QUANTILES, np.quantile(w, _QUANTILES).tolist(), strict=True)),
    )


def effective_sample_size(weights: Floats) -> float:
    """(sum of w)² / sum of w² (Kish, Survey Sampling, 1965): from 0, where no weight is above 0, to N, where all are equal."""
    largest = weights.max()
    if largest == 0:
        return 0.0
    scaled = weights / largest  # so that squares neither vanish nor overflow
    return float(scaled.sum() ** 2 / (scaled**2).sum())


def _notes(impressions: Impressions, overlap: Overlap, draws: _Draws) -> Iterator[str]:
    counted = int(((impressions.weights > 0) & (impressions.reward != 0)).sum())
    if overlap.units < 2:
        yield "All impressions are one person's, or there is only one: intervals are not defined."
    if overlap.mean_weight == 0:
        yield "The policy would have shown nothing that was shown: these impressions say nothing about it."
        return
    if overlap.mean_weight_low is not None and overlap.mean_weight_low > 1:
        yield (
            f"The mean weight is {overlap.mean_weight:.2f}, above 1 by more than chance: propensities or target "
            "probabilities are wrong."
        )
    if overlap.mean_weight_high is not None and overlap.mean_weight_high < 1:
        yield (
            f"About {1 - overlap.mean_weight:.0%} of what the policy would show was never left to chance, so these "
            "impressions cannot tell what it is worth there."
        )
    if overlap.effective_sample_size < _FEW * overlap.impressions:
        yield (
            f"The {overlap.impressions:,} impressions say as much as {overlap.effective_sample_size:,.0f} of the "
            "policy's own would."
        )
    if counted < _REWARDED:
        yield (
            f"Only {counted:,} impressions that the policy might have shown have a reward other than 0: the intervals "
            "are likely too narrow."
        )
    missing = float(np.isnan(draws.values(*ESTIMATORS["snips"])).mean())
    if missing:
        yield f"snips is not defined in {missing:.1%} of the bootstrap samples, which are left out of its interval."
