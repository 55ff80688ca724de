"""Metrics, each with its formula, its rule at the edges and its source in its function's docstring."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np

from evaluation.metrics import accuracy, exposure, variety
from evaluation.metrics.background import background
from evaluation.metrics.metric import Background, Better, Measured, Metric
from evaluation.ranking import Lists

__all__ = [
    "METRICS",
    "Background",
    "Better",
    "Cell",
    "Measured",
    "Metric",
    "MetricName",
    "background",
    "measure",
]

MetricName = Literal[
    "ndcg",
    "recall",
    "precision",
    "map",
    "mrr",
    "hit_rate",
    "coverage",
    "gini",
    "novelty",
    "popularity_lift",
    "diversity",
    "serendipity",
    "calibration",
]

Cell = tuple[MetricName, int]
"""A metric and a cut-off."""

METRICS: Mapping[MetricName, Metric] = MappingProxyType(
    {
        "ndcg": accuracy.NDCG,
        "recall": accuracy.RECALL,
        "precision": accuracy.PRECISION,
        "map": accuracy.MAP,
        "mrr": accuracy.MRR,
        "hit_rate": accuracy.HIT_RATE,
        "coverage": exposure.COVERAGE,
        "gini": exposure.GINI,
        "novelty": exposure.NOVELTY,
        "popularity_lift": exposure.POPULARITY_LIFT,
        "diversity": variety.DIVERSITY,
        "serendipity": variety.SERENDIPITY,
        "calibration": variety.CALIBRATION,
    }
)
"""Every metric by the name that configurations and reports use; all are held to the contract of `TestEveryMetric`."""


def measure(
    lists: Lists, known: Background, metrics: Sequence[MetricName], cuts: Sequence[int]
) -> dict[Cell, Measured]:
    """Measure lists by several metrics at several cut-offs, in batches of people.

    Args:
        lists: of U people, as long as the largest cut-off or longer.
        known: of the same people.
        metrics: names of `METRICS`.
        cuts: cut-offs, in any order.

    Returns:
        by (metric, cut-off), in the order asked for.
    """
    ascending = np.unique(np.asarray(cuts, dtype=np.intp))
    found = {
        (name, int(cut)): one
        for name in metrics
        for cut, one in zip(ascending, METRICS[name].measure(lists, known, ascending), strict=True)
    }
    return {(name, cut): found[name, cut] for name in metrics for cut in cuts}
