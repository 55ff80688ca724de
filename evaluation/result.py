"""What an experiment found: polars frames to go on with, and JSON to keep. No id of a person is in either."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl

from evaluation.config import ExperimentConfig
from evaluation.contestants import CONTESTANTS, OURS
from evaluation.datasets import Dataset
from evaluation.interactions import Indices, Interactions
from evaluation.metrics import Measured
from evaluation.splits import Split
from evaluation.statistics import interval, movements, verdict

_BINS = 48
_LIBRARIES = ("lightfm-next", "numpy", "scipy", "polars")


@dataclass(frozen=True)
class Taken:
    """What was chosen for a model on validation, and the seconds that each part took."""

    model: str
    choice: str
    choosing_s: float
    fitting_s: float
    ranking_s: float


@dataclass(frozen=True, eq=False)
class Result:
    """The outcome of an experiment.

    Attributes:
        config: what was asked for.
        facts: counts of the data set and of the split, by name.
        scores: columns model, metric, k, value, low, high; low and high bound the bootstrap interval.
        differences: columns model, metric, k, difference, low, high, verdict: ours minus the model, with "better" or
            "worse" said of ours only where the interval excludes zero. Empty when ours was not run.
        models: columns model, choice, choosing_s, fitting_s, ranking_s.
        timeline: columns start (microseconds), train, test: uptakes in equal stretches of time.
    """

    config: ExperimentConfig
    facts: Mapping[str, Any]
    scores: pl.DataFrame
    differences: pl.DataFrame
    models: pl.DataFrame
    timeline: pl.DataFrame

    def to_json(self) -> str:
        """Everything but the events, as one JSON object."""
        frames = {
            name: getattr(self, name).to_dicts() for name in ("scores", "differences", "models", "timeline")
        }
        libraries = {name: version(name) for name in _LIBRARIES}
        content = {
            "config": self.config.model_dump(mode="json"),
            "facts": dict(self.facts),
            "libraries": libraries,
            **frames,
        }
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def summarised(
    config: ExperimentConfig,
    dataset: Dataset,
    split: Split,
    train: Interactions,
    people: Indices,
    measured: Mapping[str, Mapping[tuple[str, int], Measured]],
    taken: Sequence[Taken],
) -> Result:
    """Put intervals on what was measured, all from the same resampled people, and gather the facts."""
    cells = [(model, metric, k) for model, own in measured.items() for metric, k in own]
    shares = np.stack([measured[model][metric, k].shares for model, metric, k in cells], axis=1)
    moved = movements(shares, config.bootstrap_samples, config.seed)
    place = {cell: column for column, cell in enumerate(cells)}
    value = {(model, metric, k): measured[model][metric, k].value for model, metric, k in cells}
    scores, differences = [], []
    for cell in cells:
        model, metric, k = cell
        scores.append((*cell, value[cell], *interval(value[cell], moved[:, place[cell]], config.confidence)))
        ours = (OURS, metric, k)
        if model != OURS and ours in place:
            gap = value[ours] - value[cell]
            low, high = interval(gap, moved[:, place[ours]] - moved[:, place[cell]], config.confidence)
            differences.append((*cell, gap, low, high, verdict(low, high)))
    key = {"model": pl.String(), "metric": pl.String(), "k": pl.Int64()}
    bounds = {"low": pl.Float64(), "high": pl.Float64()}
    return Result(
        config=config,
        facts=_facts(dataset, split, train, people),
        scores=pl.DataFrame(scores, schema={**key, "value": pl.Float64(), **bounds}, orient="row"),
        differences=pl.DataFrame(
            differences,
            schema={**key, "difference": pl.Float64(), **bounds, "verdict": pl.String()},
            orient="row",
        ),
        models=pl.DataFrame([vars(one) for one in taken]),
        timeline=_timeline(train, split),
    )


def _facts(dataset: Dataset, split: Split, train: Interactions, people: Indices) -> dict[str, Any]:
    events = dataset.events
    unseen = split.test.join(split.train.select("item").unique(), on="item", how="anti")
    signals = events["signal"].value_counts().sort("count", "signal", descending=[True, False])
    return {
        "dataset": dataset.name,
        "events": len(events),
        "duplicate_rows_left_out": dataset.duplicates,
        "signals": dict(signals.iter_rows()),
        "from": _day(events["at"].min()),
        "to": _day(events["at"].max()),
        "users": len(set(split.train["user"]) | set(split.test["user"])),
        "items": len(train.items),
        "train_uptakes": len(train.user),
        "test_uptakes": len(split.test),
        "users_measured": len(people),
        "test_uptakes_of_items_unseen_in_train": len(unseen) / len(split.test),
    }


def _day(at: Any) -> str:
    return str(np.datetime64(int(at), "us").astype("datetime64[D]"))


def _timeline(train: Interactions, split: Split) -> pl.DataFrame:
    test = split.test["at"].to_numpy()
    first, last = int(min(train.at.min(), test.min())), int(max(train.at.max(), test.max()))
    edges = np.linspace(first, last + 1, _BINS + 1)
    counts = {"train": np.histogram(train.at, edges)[0], "test": np.histogram(test, edges)[0]}
    return pl.DataFrame({"start": edges[:-1].astype(np.int64), **counts})


def title(model: str) -> str:
    """What people read for a model's name."""
    return next(contestant.title for name, contestant in CONTESTANTS.items() if name == model)
