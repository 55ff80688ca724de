"""How good each model is, and how it compares with the reference: by metric and cut-off, for the page and the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from evaluation.contestants import CONTESTANTS
from evaluation.metrics import METRICS, MetricName
from evaluation.report.drawings import Group, Intervals, Row
from evaluation.report.plots import digits_for, number
from evaluation.result import Result

HEADLINES: tuple[MetricName, ...] = ("ndcg", "recall", "coverage")
"""The metrics that are shown first; others stand in their place if missing."""


def headlines(result: Result) -> list[MetricName]:
    """The three metrics that are shown first."""
    found = [metric for metric in HEADLINES if metric in result.config.metrics]
    return [*found, *(metric for metric in result.config.metrics if metric not in found)][:3]


def of(frame: pl.DataFrame, metric: str, k: int) -> list[dict[str, Any]]:
    """Rows of a metric at a cut-off, of the models that it is defined for."""
    return frame.filter(pl.col("metric") == metric, pl.col("k") == k, pl.col("low").is_not_null()).to_dicts()


@dataclass(frozen=True)
class Chart:
    """A metric at a cut-off for all models."""

    metric: MetricName
    k: int
    drawn: Intervals

    @property
    def name(self) -> str:
        """The metric's title with the cut-off."""
        return f"{METRICS[self.metric].title}@{self.k}"


def scored(result: Result, metrics: Sequence[MetricName]) -> list[Chart]:
    """Every model's value and interval."""
    return [
        Chart(metric, k, Intervals(f"{METRICS[metric].title}@{k}", _meaning(metric, k), "Model", (Group("", rows),)))
        for metric in metrics
        for k in result.config.k
        if (rows := tuple(_row(result, row, "value") for row in of(result.scores, metric, k)))
    ]  # fmt: skip


def compared(result: Result, metrics: Sequence[MetricName]) -> list[Chart]:
    """The reference minus every other model."""
    title = CONTESTANTS[result.config.compared_with].title
    caption = (
        f"{title} minus the other, for the same people. Right of zero, {title} is higher; “better” and “worse” are said "
        "only where the whole interval is on one side."
    )
    return [
        Chart(metric, k, Intervals("Difference", caption, "Compared with", (Group("", rows),), f"{title} is"))
        for metric in metrics
        for k in result.config.k
        if (rows := tuple(_row(result, row, "difference") for row in of(result.differences, metric, k)))
    ]


def _meaning(metric: MetricName, k: int) -> str:
    return f"{METRICS[metric].title}@{k}: {METRICS[metric].meaning}."


def _row(result: Result, row: dict[str, Any], value: str) -> Row:
    verdict = row.get("verdict", "")
    mark = "ours" if row["model"] == result.config.compared_with else verdict.split(" ")[0]
    return Row(CONTESTANTS[row["model"]].title, row[value], row["low"], row["high"], verdict, mark)


def every_metric(result: Result, k: int) -> tuple[list[str], list[list[str]]]:
    """Titles of the metrics, and a row of cells for each model, its title first; a dash where a metric is not defined."""
    metrics = result.config.metrics
    values = {(row["model"], row["metric"]): row["value"] for row in result.scores.filter(k=k).to_dicts()}
    digits = {
        metric: digits_for([value for (_, name), value in values.items() if name == metric and value is not None])
        for metric in metrics
    }  # fmt: skip
    cells = [
        [CONTESTANTS[model].title, *(_cell(values[model, metric], digits[metric]) for metric in metrics)]
        for model in result.config.models
    ]
    return [METRICS[metric].title for metric in metrics], cells


def _cell(value: float | None, digits: int) -> str:
    return "\N{EN DASH}" if value is None else number(value, digits)
