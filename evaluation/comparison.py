"""Two reports side by side: what changed from A to B, and whether more than chance would change."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from evaluation.errors import ComparisonError
from evaluation.findings import further
from evaluation.metrics import METRICS, Better
from evaluation.statistics import effect, holm, interval, movements, permutation_tests, verdict

JSON, PEOPLE = "report.json", "people.parquet"

COLUMNS = {
    "model": pl.String(),
    "metric": pl.String(),
    "k": pl.Int64(),
    "a": pl.Float64(),
    "b": pl.Float64(),
    "difference": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "verdict": pl.String(),
    "paired": pl.Boolean(),
    "effect": pl.Float64(),
    "dominance": pl.Float64(),
    "p_permutation": pl.Float64(),
    "p_holm": pl.Float64(),
}
"""`difference` is B minus A, and the verdict is said of B; the rest as in `evaluation.differences.DIFFERENCES`."""

_CELL = ["model", "metric", "k"]


@dataclass(frozen=True, eq=False)
class Report:
    """What `evaluation.report.write` left in a folder."""

    path: Path
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    scores: pl.DataFrame
    people: pl.DataFrame | None
    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Report":
        """Read a folder, or its `report.json`.

        Raises:
            ComparisonError: there is no report, or it is not one of ours.
        """
        file = path / JSON if path.is_dir() else path
        try:
            content = json.loads(file.read_text("utf-8"))
            scores = pl.DataFrame(content["scores"]).select(*_CELL, "value", "low", "high")
            config, facts = dict(content["config"]), dict(content["facts"])
        except OSError:
            raise ComparisonError(f"{path}: there is no {JSON}") from None
        except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
            raise ComparisonError(f"{file}: is no report of an evaluation ({type(error).__name__})") from None
        beside = file.parent / PEOPLE
        return cls(
            file, config, facts, scores, pl.read_parquet(beside) if beside.is_file() else None, content
        )


@dataclass(frozen=True, eq=False)
class Comparison:
    """What changed.

    Attributes:
        frame: columns `COLUMNS`, a row for each model, metric and cut-off that both reports have.
        changed: fields of the configuration that differ, as (name, in A, in B).
        notes: sentences on how far the two can be compared.
        further: what both found beside scores; columns as `evaluation.findings.FURTHER`.
    """

    frame: pl.DataFrame
    changed: tuple[tuple[str, Any, Any], ...]
    notes: tuple[str, ...]
    further: pl.DataFrame


def compare(a: Report, b: Report) -> Comparison:
    """Compare every figure that both reports have.

    Where both were measured on the same test and kept each person's values, the differences are paired over people;
    elsewhere the two intervals are combined as those of independent samples.

    Raises:
        ComparisonError: the reports have no figure in common.
    """
    both = a.scores.join(b.scores, on=_CELL, suffix="_b", maintain_order="left")
    if both.is_empty():
        raise ComparisonError(f"{a.path} and {b.path} have no model, metric and cut-off in common")
    same_test = a.facts.get("test_digest") == b.facts.get("test_digest")
    notes = (
        []
        if same_test
        else ["The two were measured on different people or events, so figures may differ for that alone."]
    )
    paired: dict[tuple[str, str, int], dict[str, Any]] = {}
    if same_test and a.people is not None and b.people is not None:
        paired = _paired(a.people, b.people, b.config)
    elif same_test:
        notes.append(
            "At least one report has no people.parquet beside it, so differences are not paired over people."
        )
    confidence = float(b.config["confidence"])
    rows = [
        _row(row, paired.get((row["model"], row["metric"], row["k"])), confidence) for row in both.to_dicts()
    ]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    changed = tuple(_changed(a.config, b.config))
    return Comparison(_corrected(frame), changed, tuple(notes), _further(a, b))


def _further(a: Report, b: Report) -> pl.DataFrame:
    try:
        return further(a.content, b.content)
    except (AttributeError, KeyError, TypeError) as error:
        told = f"{a.path} or {b.path}: a finding is not as reports have it ({type(error).__name__})"
        raise ComparisonError(told) from None


def _paired(a: pl.DataFrame, b: pl.DataFrame, config: Mapping[str, Any]) -> dict[Any, dict[str, Any]]:
    """By cell: interval, effect and test of people's differences."""
    joined = a.join(b, on=[*_CELL, "person"], suffix="_b").drop_nulls(["value", "value_b"])
    found: dict[Any, dict[str, Any]] = {}
    for cell, own in joined.sort("person").group_by(*_CELL, maintain_order=True):
        gaps = (own["value_b"] - own["value"]).to_numpy()
        samples, seed = int(config["bootstrap_samples"]), int(config["seed"])
        low, high = interval(
            float(gaps.mean()), movements(gaps[:, None], samples, seed)[:, 0], float(config["confidence"])
        )
        size = effect(gaps)
        found[cell] = {
            "low": low,
            "high": high,
            "effect": size.d,
            "dominance": size.dominance,
            "p_permutation": float(permutation_tests(gaps[:, None], samples, seed)[0]),
        }
    return found


def _row(row: Mapping[str, Any], paired: Mapping[str, Any] | None, confidence: float) -> dict[str, Any]:
    told = {
        **{name: row[name] for name in _CELL},
        "a": row["value"],
        "b": row["value_b"],
        "paired": paired is not None,
    }
    if row["value"] is None or row["value_b"] is None:
        return told | {"verdict": "not defined"}
    gap = row["value_b"] - row["value"]
    bounds = paired or _combined(gap, row, confidence)
    better: Better = next(
        (about.better for name, about in METRICS.items() if name == row["metric"]), "neither"
    )
    return (
        told | dict(bounds) | {"difference": gap, "verdict": verdict(bounds["low"], bounds["high"], better)}
    )


def _combined(gap: float, row: Mapping[str, Any], confidence: float) -> dict[str, float]:
    """The interval of a difference of independent figures, from the widths of their own."""
    z = float(stats.norm.ppf((1 + confidence) / 2))
    errors = ((row["high"] - row["low"]) / (2 * z), (row["high_b"] - row["low_b"]) / (2 * z))
    half = z * float(np.hypot(*errors))
    return {"low": gap - half, "high": gap + half}


def _corrected(frame: pl.DataFrame) -> pl.DataFrame:
    """Holm's correction over the models of each metric and cut-off."""
    tested = frame.with_row_index("row").filter(pl.col("p_permutation").is_not_null())
    corrected: dict[int, float] = {}
    for _, own in tested.group_by("metric", "k"):
        corrected |= dict(zip(own["row"], holm(own["p_permutation"].to_list()), strict=True))
    return frame.with_columns(
        p_holm=pl.Series([corrected.get(row) for row in range(len(frame))], dtype=pl.Float64)
    )


def _changed(a: Any, b: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, dict) and isinstance(b, dict):
        for field in [*a, *(field for field in b if field not in a)]:
            yield from _changed(a.get(field), b.get(field), f"{name}.{field}" if name else field)
    elif a != b:
        yield name, a, b
