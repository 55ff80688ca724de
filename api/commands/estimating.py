"""Estimates a policy's value for the terminal: the table, how far the impressions can speak, and what to know first."""

from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from api.commands.running import Failed, console
from evaluation import policy
from evaluation.errors import EvaluationError


def run(
    file: Path,
    columns: Mapping[str, str | None],
    *,
    clip: float | None,
    confidence: float,
    samples: int,
    seed: int,
) -> None:
    """Read impressions and print the estimates; a wrong file or argument ends the command by its name."""
    try:
        found = policy.estimate(
            policy.read(file, policy.Columns.model_validate(columns)),
            clip=clip,
            confidence=confidence,
            samples=samples,
            seed=seed,
        )
    except EvaluationError as wrong:
        raise Failed(str(wrong)) from None
    console.print(_table(found, confidence))
    for line in (*_overlap(found), *found.notes):
        console.print(line, highlight=False, markup=False)


def _table(found: policy.PolicyValue, confidence: float) -> Table:
    table = Table(
        "estimator",
        "value",
        f"{confidence:.0%} interval",
        "minus logged",
        "interval",
        "than logged",
        box=None,
    )
    for row in found.estimates.iter_rows(named=True):
        table.add_row(
            row["estimator"],
            _number(row["value"]),
            _between(row["low"], row["high"]),
            _number(row["difference"]),
            _between(row["difference_low"], row["difference_high"]),
            row["verdict"] or "",
        )
    return table


def _overlap(found: policy.PolicyValue) -> tuple[str, str]:
    overlap = found.overlap
    tails = ", ".join(f"{_number(weight)} ({share:.0%})" for share, weight in overlap.quantiles.items())
    mean = _between(overlap.mean_weight_low, overlap.mean_weight_high) or "no interval"
    shown = (
        f"{overlap.impressions:,} impressions, {overlap.units:,} units to resample; the policy would never have shown "
        f"{overlap.unused_share:.1%} of them"
    )
    weights = (
        f"effective sample size {overlap.effective_sample_size:,.1f}; mean weight {_number(overlap.mean_weight)} "
        f"({mean}); weights {tails}, largest {_number(overlap.largest_weight)}; clipped at {_number(found.clip)}"
    )
    return shown, weights


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None else f"{_number(low)} to {_number(high)}"
