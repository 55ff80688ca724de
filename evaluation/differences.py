"""The reference minus every other model, with interval, effect size and tests, all paired over people."""

from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.config import ExperimentConfig
from evaluation.contestants import ModelName
from evaluation.metrics import METRICS, Cell, MetricName
from evaluation.outcome import Outcome
from evaluation.statistics import effect, holm, interval, permutation_tests, verdict, wilcoxon

DIFFERENCES = {
    "reference": pl.String(),
    "model": pl.String(),
    "metric": pl.String(),
    "k": pl.Int64(),
    "difference": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "verdict": pl.String(),
    "effect": pl.Float64(),
    "dominance": pl.Float64(),
    "p_permutation": pl.Float64(),
    "p_wilcoxon": pl.Float64(),
    "p_holm": pl.Float64(),
    "seed_sd": pl.Float64(),
}
"""Columns of `Result.differences`.

`difference` is the reference minus the model, `low` and `high` its paired bootstrap interval; `verdict` is said of the
reference, and only where the interval excludes zero. `effect` is Cohen's d of the people's differences, `dominance` the
share of people with a higher value less that with a lower one. `p_holm` is `p_permutation` corrected for all models of
this metric and cut-off. Tests are null for metrics of all lists together, in which people have no values of their own.
`seed_sd` is the difference's standard deviation over seeds, null where all was fitted once.
"""

Moved = Mapping[tuple[ModelName, MetricName, int], NDArray[np.float64]]


def differences(
    config: ExperimentConfig, outcomes: Mapping[ModelName, Outcome], reference: ModelName, moved: Moved
) -> list[dict[str, Any]]:
    """Rows of `DIFFERENCES`; none for a metric that is not defined for either.

    Args:
        config: says how sure intervals are.
        outcomes: by model.
        reference: what all others are compared with.
        moved: by model, metric and cut-off: how resampling people moves the value.
    """
    rows = []
    for cell in outcomes[reference].measured:
        own = [
            _row(config, outcomes, moved, (reference, model), cell)
            for model in outcomes
            if model != reference
        ]
        rows.append(_tested(config, [row for row in own if row is not None], outcomes))
    found = [row for own in rows for row in own]
    order = {model: place for place, model in enumerate(outcomes)}
    return sorted(found, key=lambda row: order[row["model"]])


def _row(
    config: ExperimentConfig,
    outcomes: Mapping[ModelName, Outcome],
    moved: Moved,
    pair: tuple[ModelName, ModelName],
    cell: Cell,
) -> dict[str, Any] | None:
    ours, theirs = (outcomes[name].measured[cell] for name in pair)
    if ours.value is None or theirs.value is None:
        return None
    gap = ours.value - theirs.value
    movement = moved[pair[0], *cell] - moved[pair[1], *cell]
    low, high = interval(gap, movement, config.confidence)
    return {
        "reference": pair[0],
        "model": pair[1],
        "metric": cell[0],
        "k": cell[1],
        "difference": gap,
        "low": low,
        "high": high,
        "verdict": verdict(low, high, METRICS[cell[0]].better),
        "seed_sd": _seed_sd(outcomes[pair[0]], outcomes[pair[1]], cell),
    }


def _tested(
    config: ExperimentConfig, rows: list[dict[str, Any]], outcomes: Mapping[ModelName, Outcome]
) -> Sequence[dict[str, Any]]:
    """Rows of one metric and cut-off with effect sizes and tests, corrected for how many they are."""
    gaps = [gap for row in rows if (gap := _gaps(outcomes, row)) is not None]
    if len(gaps) < len(rows) or not rows:  # people have no values of their own in this metric
        return rows
    # Who has no value differs by nothing, and changing the sign of nothing changes nothing: as if left out.
    p = permutation_tests(
        np.nan_to_num(np.stack(gaps, axis=1)), config.bootstrap_samples, config.seed
    ).tolist()
    for row, gap, own, corrected in zip(rows, gaps, p, holm(p), strict=True):
        known = gap[~np.isnan(gap)]
        size = effect(known)
        row |= {"effect": size.d, "dominance": size.dominance, "p_wilcoxon": wilcoxon(known)}
        row |= {"p_permutation": own, "p_holm": corrected}
    return rows


def _gaps(outcomes: Mapping[ModelName, Outcome], row: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """(U,) people's differences, NaN for whom one is not defined; None where people have no values of their own."""
    cell = (row["metric"], row["k"])
    ours, theirs = (outcomes[row[name]].measured[cell].own for name in ("reference", "model"))
    return None if ours is None or theirs is None else ours - theirs


def _seed_sd(ours: Outcome, theirs: Outcome, cell: Cell) -> float | None:
    one, other = ours.by_seed[cell], theirs.by_seed[cell]
    count = max(len(one), len(other))
    if count < 2:
        return 0.0 if not ours.seeded and not theirs.seeded else None
    pairs = zip(one * (count // len(one)), other * (count // len(other)), strict=True)
    return stdev(a - b for a, b in pairs if a is not None and b is not None)
