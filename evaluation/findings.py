"""What two reports found beside scores, side by side: slices, sharing, consent's worth, erasure drift, safety, explanations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import hypot
from typing import Any

import polars as pl

from evaluation.statistics import verdict

FURTHER = {
    "finding": pl.String(),
    "of": pl.String(),
    "figure": pl.String(),
    "a": pl.Float64(),
    "b": pl.Float64(),
    "difference": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "verdict": pl.String(),
}
"""A row for each figure that both reports have: B minus A, with an interval from the widths of the two, as of independent samples, and
so rather too wide where both asked the same people; nulls where a figure has no interval of its own."""


@dataclass(frozen=True)
class _Kind:
    """A frame of `report.json`: where it is, what tells its rows apart, and a figure with the ends of its interval."""

    path: tuple[str, ...]
    told_by: tuple[str, ...]
    figure: str
    ends: tuple[str, str] | None = ("low", "high")


_KINDS = (
    _Kind(("slices",), ("dimension", "slice", "model", "metric", "k"), "value"),
    _Kind(("sharing",), ("by", "model", "metric", "k"), "difference"),
    _Kind(("consent_value", "signals"), ("signal", "way"), "worth"),
    _Kind(("consent_value", "opt_in"), ("chosen_by", "share"), "everyone", None),
    _Kind(("consent_value", "utility"), ("shares",), "value"),
    _Kind(("erasure_drift", "lists"), ("share", "against"), "jaccard", ("jaccard_low", "jaccard_high")),
    _Kind(("erasure_drift", "lists"), ("share", "against"), "difference"),
    _Kind(("erasure_drift", "times"), ("share",), "times_faster", None),
    _Kind(("safety", "exposure"), ("lists", "property", "group"), "place_share"),
    _Kind(("safety", "concentration"), ("lists",), "mean"),
    _Kind(("safety", "support"), ("asked_by",), "share", None),
    _Kind(("explanations",), ("measure",), "value"),
)


def further(a: Mapping[str, Any], b: Mapping[str, Any]) -> pl.DataFrame:
    """Rows of `FURTHER` from the contents of two `report.json`.

    Raises:
        KeyError: a row lacks what tells it apart, or its figure.
        TypeError: what should be rows is something else.
    """
    rows = [row for kind in _KINDS for row in _both(kind, a, b)]
    return pl.DataFrame(rows, schema=FURTHER, orient="row")


def _both(kind: _Kind, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    in_a = {tuple(row[name] for name in kind.told_by): row for row in _rows(kind, a)}
    for row in _rows(kind, b):
        cell = tuple(row[name] for name in kind.told_by)
        if cell in in_a and None not in {row[kind.figure], in_a[cell][kind.figure]}:
            told = {"finding": kind.path[-1], "of": ", ".join(map(_written, cell)), "figure": kind.figure}
            yield told | _apart(kind, in_a[cell], row)


def _rows(kind: _Kind, content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of a frame; none where the report did not measure it."""
    found: Any = content
    for name in kind.path:
        found = (found or {}).get(name)
    return list(found or ())


def _apart(kind: _Kind, a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    gap = float(b[kind.figure] - a[kind.figure])
    told = {"a": float(a[kind.figure]), "b": float(b[kind.figure]), "difference": gap}
    if kind.ends is None:
        return told
    low, high = kind.ends
    reach = hypot(a[high] - a[low], b[high] - b[low]) / 2
    ends = (gap - reach, gap + reach)
    return told | {"low": ends[0], "high": ends[1], "verdict": verdict(*ends, "neither")}


def _written(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
