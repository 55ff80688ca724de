"""For whom a model is how good: the people measured, divided in several ways, with an interval for each part.

Every dimension divides all measured people; nobody is in two slices of one, and nobody in none. What a slice says is an
association: people who share more also do more, and may be easier to predict for other reasons.

Source of the interval for several slices at once: Dunn, JASA 56(293), 1961 (Bonferroni).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.config import ExperimentConfig
from evaluation.contestants import ModelName
from evaluation.datasets import Dataset
from evaluation.metrics import METRICS, Better, Cell
from evaluation.outcome import Outcome
from evaluation.preparation import Fold
from evaluation.statistics import apart, interval, movements, verdict

TOO_FEW = "too few"
_HISTORY = ((4, "up to 4 items"), (9, "5 to 9"), (19, "10 to 19"), (49, "20 to 49"), (None, "50 and more"))
_UNKNOWN = "not known"
_MOST_NAMED = 12
"""Slices of one dimension that get a name; people of rarer values are together in `other`."""

SLICES = {
    "dimension": pl.String(),
    "slice": pl.String(),
    "model": pl.String(),
    "metric": pl.String(),
    "k": pl.Int64(),
    "people": pl.Int64(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "difference": pl.Float64(),
    "difference_low": pl.Float64(),
    "difference_high": pl.Float64(),
    "verdict": pl.String(),
}
"""Columns of `Result.slices`.

`value` with `low` and `high` is the mean over the slice's people; `difference` is the reference minus the model, for the
same people, and `verdict` is said of the reference. A slice of fewer people than `slice_people` has no figures, and the
verdict "too few"; the reference's own rows have no difference and no verdict.
"""

WORST = {
    "metric": pl.String(),
    "k": pl.Int64(),
    "dimension": pl.String(),
    "slice": pl.String(),
    "people": pl.Int64(),
    "value": pl.Float64(),
    "rest": pl.Float64(),
    "difference": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "verdict": pl.String(),
    "looked_at": pl.Int64(),
}
"""Columns of `Result.worst`: where the reference is worst, against everyone else.

The interval of the difference is wider than others, since the slice was picked from `looked_at` slices (Bonferroni).
"""

SHARING = {
    "by": pl.String(),
    "model": pl.String(),
    "metric": pl.String(),
    "k": pl.Int64(),
    "people_less": pl.Int64(),
    "people_more": pl.Int64(),
    "less": pl.Float64(),
    "more": pl.Float64(),
    "difference": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "verdict": pl.String(),
}
"""Columns of `Result.sharing`: people who share more (`by` events, and by signals granted or used) minus people who share less.

Who shares more than the median is on one side, the others on the other; `verdict` is said of how those who share more fare.
"""

GRANTED, USED = "signals granted", "signals used"
"""How many signals a person shares: those granted for `measure`, or, where the source does not say, those with an event."""


def traits(folds: Sequence[Fold], dataset: Dataset) -> pl.DataFrame:
    """Which slice each measured person is in: a String column for each dimension, with `events` and `shared` (counts).

    Args:
        folds: whose people follow one another, as in `Result.people`.
        dataset: says what is known of the items, and what people granted.
    """
    if dataset.grants is None:
        shared = {user: own for fold in folds for user, own in _used(fold).items()}
    else:
        shared = dict(dataset.grants)
    signals = sorted({name for own in shared.values() for name in own})
    return pl.concat([_of_fold(fold, dataset, shared, signals) for fold in folds])


def _used(fold: Fold) -> dict[str, frozenset[str]]:
    """The signals under which something is known of each person. What was merely shown to people is none."""
    events = fold.exam.known.events.filter(pl.col("signal") != "impressions")
    return {user: frozenset(own) for user, own in events.group_by("user").agg("signal").iter_rows()}


def _of_fold(
    fold: Fold, dataset: Dataset, shared: Mapping[str, frozenset[str]], signals: Sequence[str]
) -> pl.DataFrame:
    exam = fold.exam
    known, people = exam.known, exam.people
    users = [known.users[index] for index in people]
    events = known.events.filter(pl.col("signal") != "impressions")
    counts = dict(events.group_by("user").len().iter_rows())
    learned = set(exam.train.users)
    taken = np.diff(known.matrix.indptr)[people]
    wanted = [exam.wanted.indices[exam.wanted.indptr[p] : exam.wanted.indptr[p + 1]] for p in people]
    found = [[known.items[item] for item in own] for own in wanted]
    counted, verb = (USED, "uses") if dataset.grants is None else (GRANTED, "grants")
    columns: dict[str, list[Any]] = {
        "events": [counts.get(user, 0) for user in users],
        "shared": [len(shared.get(user, ())) for user in users],
        "history": [_band(int(count)) for count in taken],
        counted: [str(len(shared.get(user, ()))) for user in users],
        "newcomers": ["learned from" if user in learned else "new" for user in users],
    }
    for signal in signals:
        columns[f"{verb} {signal}"] = ["yes" if signal in shared.get(user, ()) else "no" for user in users]
    columns["topic"] = [
        _most(item_topics for item in own for item_topics in dataset.item_topics.get(item, ()))
        for own in found
    ]
    for name, by_item in dataset.item_traits.items():
        columns[name] = [_most(by_item[item] for item in own if item in by_item) for own in found]
    return pl.DataFrame(columns)


def _band(count: int) -> str:
    return next(name for most, name in _HISTORY if most is None or count <= most)


def _most(values: Any) -> str:
    """The value that most of what was found has; of equals the first by name."""
    counted = Counter(values)
    return min(counted, key=lambda name: (-counted[name], name)) if counted else _UNKNOWN


def slices_of(people: pl.DataFrame) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """By dimension and slice, (U,) who is in it. A dimension in which all people are alike is left out.

    Args:
        people: what `traits` returned.
    """
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for dimension in people.columns:
        if people.schema[dimension] != pl.String:
            continue
        column = people[dimension]
        names = sorted(Counter(column).items(), key=lambda each: (-each[1], each[0]))
        kept = [name for name, _ in names[:_MOST_NAMED]]
        named = column.to_numpy()
        own = {name: named == name for name in sorted(kept, key=_order)}
        if rest := len(names) - len(kept):
            own[f"other ({rest} more)"] = ~np.isin(named, kept)
        if len(own) > 1:
            found[dimension] = own
    return found


def _order(name: str) -> tuple[int, int, str]:
    """Bands of history by length, numbers by size, then names."""
    bands = [band for _, band in _HISTORY]
    if name in bands:
        return (0, bands.index(name), "")
    return (1, int(name), "") if name.isdecimal() else (2, 0, name)


Own = Mapping[ModelName, Mapping[Cell, NDArray[np.float64]]]
"""By model and cell, (U,) people's own values; NaN for whom one is not defined."""


def own_values(outcomes: Mapping[ModelName, Outcome], config: ExperimentConfig) -> Own:
    """People's own values, of metrics that people have values of."""
    cells = [(metric, k) for metric in config.metrics for k in config.k]
    return {
        model: {cell: own for cell in cells if (own := outcome.measured[cell].own) is not None}
        for model, outcome in outcomes.items()
    }


def sliced(config: ExperimentConfig, people: pl.DataFrame, own: Own) -> pl.DataFrame:
    """Rows of `SLICES`: each model in each slice, by the metrics that people have values of."""
    rows = []
    for dimension, parts in slices_of(people).items():
        for name, inside in parts.items():
            for cell in own[config.compared_with]:
                told = {"dimension": dimension, "slice": name, "metric": cell[0], "k": cell[1]}
                rows += [
                    told | row for row in _slice(config, inside, {m: by[cell] for m, by in own.items()}, cell)
                ]
    return pl.DataFrame(rows, schema=SLICES, orient="row")


def _slice(
    config: ExperimentConfig,
    inside: NDArray[np.bool_],
    own: Mapping[ModelName, NDArray[np.float64]],
    cell: Cell,
) -> list[dict[str, Any]]:
    reference = config.compared_with
    values = np.stack([by_person[inside] for by_person in own.values()], axis=1)
    values = values[~np.isnan(values).any(axis=1)]
    if len(values) < config.slice_people:
        return [{"model": model, "people": len(values), "verdict": TOO_FEW} for model in own]
    moved = dict(zip(own, movements(values, config.bootstrap_samples, config.seed).T, strict=True))
    means = dict(zip(own, values.mean(axis=0).tolist(), strict=True))
    rows = []
    for model, value in means.items():
        low, high = interval(value, moved[model], config.confidence)
        row = {"model": model, "people": len(values), "value": value, "low": low, "high": high}
        if model != reference:
            gap = means[reference] - value
            ends = interval(gap, moved[reference] - moved[model], config.confidence)
            row |= {"difference": gap, "difference_low": ends[0], "difference_high": ends[1]}
            row |= {"verdict": verdict(*ends, METRICS[cell[0]].better)}
        rows.append(row)
    return rows


def worst(config: ExperimentConfig, people: pl.DataFrame, own: Own) -> pl.DataFrame:
    """Rows of `WORST`: for each metric that has a better end, the slice where the reference is worst."""
    rows = []
    for cell, values in own[config.compared_with].items():
        better = METRICS[cell[0]].better
        if better == "neither":
            continue
        parts = [
            (dimension, name, inside & ~np.isnan(values), ~inside & ~np.isnan(values))
            for dimension, by_name in slices_of(people).items()
            for name, inside in by_name.items()
        ]
        big = [part for part in parts if min(part[2].sum(), part[3].sum()) >= config.slice_people]
        if not big:
            continue
        sign = 1 if better == "higher" else -1
        dimension, name, inside, outside = min(big, key=lambda part: sign * values[part[2]].mean())
        confidence = 1 - (1 - config.confidence) / len(big)
        gap = _apart(values[inside], values[outside], confidence, better)
        told = {"metric": cell[0], "k": cell[1], "dimension": dimension, "slice": name, "looked_at": len(big)}
        means = {"value": float(values[inside].mean()), "rest": float(values[outside].mean())}
        rows.append(told | means | gap | {"people": int(inside.sum())})
    return pl.DataFrame(rows, schema=WORST, orient="row")


def sharing(config: ExperimentConfig, people: pl.DataFrame, own: Own) -> pl.DataFrame:
    """Rows of `SHARING`; none where all share alike, or where one side is too few."""
    rows = []
    counted = GRANTED if GRANTED in people.columns else USED
    for by, column in (("events", "events"), (counted, "shared")):
        count = people[column].to_numpy()
        more = count > np.median(count)
        for model, cells in own.items():
            for (metric, k), values in cells.items():
                known = ~np.isnan(values)
                much, little = values[more & known], values[~more & known]
                if min(len(much), len(little)) < config.slice_people:
                    continue
                gap = _apart(much, little, config.confidence, METRICS[metric].better)
                told = {"by": by, "model": model, "metric": metric, "k": k}
                sizes = {"people_less": len(little), "people_more": len(much)}
                rows.append(told | sizes | {"less": float(little.mean()), "more": float(much.mean())} | gap)
    return pl.DataFrame(rows, schema=SHARING, orient="row")


def _apart(
    one: NDArray[np.float64], other: NDArray[np.float64], confidence: float, better: Better
) -> dict[str, Any]:
    gap, low, high = apart(one, other, confidence)
    return {"difference": gap, "low": low, "high": high, "verdict": verdict(low, high, better)}
