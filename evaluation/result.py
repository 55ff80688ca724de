"""What an experiment found: polars frames to go on with, and JSON to keep. No id of a person is in either."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from evaluation.cache import versions
from evaluation.config import ExperimentConfig
from evaluation.consent_value import ConsentValue
from evaluation.contestants import CONTESTANTS, ModelName
from evaluation.differences import DIFFERENCES, Moved, differences
from evaluation.erasure_drift import ErasureDrift
from evaluation.metrics import METRICS, MetricName
from evaluation.outcome import Outcome
from evaluation.preparation import Fold, Prepared
from evaluation.showing import Safety, showing
from evaluation.slices import own_values, sharing, sliced, traits, worst
from evaluation.statistics import interval, movements

_BINS = 48
_FEW = 20
"""Of fewer people the bootstrap cannot tell how much others would differ."""
_LIBRARIES = ("implicit", "lightfm-next", "numpy", "optuna", "polars", "scipy", "statsmodels", "torch")
_FRAMES = ("scores", "differences", "models", "timeline", "slices", "worst", "sharing")

SCORES = {
    "model": pl.String(),
    "metric": pl.String(),
    "k": pl.Int64(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "seed_sd": pl.Float64(),
    "people": pl.Int64(),
}


@dataclass(frozen=True, eq=False)
class Result:
    """The outcome of an experiment.

    Attributes:
        config: what was asked for.
        facts: counts of the data set and of the split, by name.
        scores: columns model, metric, k, value, low, high (the bootstrap interval), seed_sd (standard deviation over
            seeds; 0 without chance, null when fitted once), people (for how many it is defined). Where a metric is
            not defined for anyone, value and interval are null, and `notes` say why.
        differences: the reference minus each other model; columns as `evaluation.differences.DIFFERENCES`.
        models: columns model, choice, validation_ndcg, trials, pruned, failed, choosing_s, fitting_s, ranking_s.
        timeline: columns start (microseconds), train, test: uptakes in equal stretches of time.
        people: a row for each measured person: fold, person (a number, no id), known (items they are known to have
            taken up), wanted (items they took up in the test).
        slices: how good each model is for parts of the people; columns as `evaluation.slices.SLICES`.
        worst: where the reference is worst; columns as `evaluation.slices.WORST`.
        sharing: people who share more against people who share less; columns as `evaluation.slices.SHARING`.
        notes: sentences on whatever is not as one would expect.
        consent: what consent is worth, where the configuration asks for it.
        explanations: how far they can be trusted, where the configuration asks for it; columns as
            `evaluation.explaining.EXPLANATIONS`.
        drift: what erasing people does to those who stay, where the configuration asks for it.
        safety: whether lists are safe to be shown, where the catalogue is known.
        outcomes: what is behind `scores`, by model.
    """

    config: ExperimentConfig
    facts: Mapping[str, Any]
    scores: pl.DataFrame
    differences: pl.DataFrame
    models: pl.DataFrame
    timeline: pl.DataFrame
    people: pl.DataFrame
    slices: pl.DataFrame
    worst: pl.DataFrame
    sharing: pl.DataFrame
    notes: tuple[str, ...] = ()
    consent: ConsentValue | None = None
    explanations: pl.DataFrame | None = None
    drift: ErasureDrift | None = None
    safety: Safety | None = None
    outcomes: Mapping[ModelName, Outcome] = field(default_factory=dict, repr=False)

    def per_person(self, metric: MetricName, k: int) -> pl.DataFrame:
        """`people` with a column for each model: each person's own value, mean over seeds; null where not defined.

        Raises:
            KeyError: no such metric or cut-off was measured, or people have no values of their own in it.
        """
        columns: dict[str, pl.Series] = {}
        for model, outcome in self.outcomes.items():
            own = outcome.measured[metric, k].own
            if own is None:
                raise KeyError(f"{metric} is of all lists together; people have no values of their own in it")
            columns[model] = pl.Series(own).fill_nan(None)
        return self.people.with_columns(**columns)

    def all_people(self) -> pl.DataFrame:
        """Every person's own values, one row each: model, metric, k, person (a number, no id), value."""
        parts = [
            pl.DataFrame(
                {"person": self.people["person"], "value": pl.Series(one.own).fill_nan(None)}
            ).select(
                model=pl.lit(model),
                metric=pl.lit(metric),
                k=pl.lit(k, pl.Int64),
                person="person",
                value="value",
            )
            for model, outcome in self.outcomes.items()
            for (metric, k), one in outcome.measured.items()
            if one.own is not None
        ]
        empty = {
            "model": pl.String,
            "metric": pl.String,
            "k": pl.Int64,
            "person": pl.UInt32,
            "value": pl.Float64,
        }
        return pl.concat([pl.DataFrame(schema=empty), *parts])

    def against(self, reference: ModelName) -> pl.DataFrame:
        """`differences` with another model as the reference.

        Raises:
            KeyError: no model of this name was run.
        """
        return _differences(self.config, self.outcomes, reference, _moved(self.config, self.outcomes))

    def to_json(self) -> str:
        """Everything but the events and the people, as one JSON object."""
        content = {
            "config": self.config.model_dump(mode="json"),
            "facts": dict(self.facts),
            "notes": list(self.notes),
            "libraries": versions(_LIBRARIES),
            **{name: getattr(self, name).to_dicts() for name in _FRAMES},
            "consent_value": self.consent and self.consent.to_dict(),
            "erasure_drift": self.drift and self.drift.to_dict(),
            "safety": self.safety and self.safety.to_dict(),
            "explanations": None if self.explanations is None else self.explanations.to_dicts(),
        }
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def summarised(config: ExperimentConfig, prepared: Prepared, outcomes: Mapping[ModelName, Outcome]) -> Result:
    """Put intervals on what was measured, all from the same resampled people, and gather the facts."""
    moved = _moved(config, outcomes)
    own, divided = own_values(outcomes, config), traits(prepared.folds, prepared.dataset)
    people = pl.concat([_people(number, fold) for number, fold in enumerate(prepared.folds)])
    return Result(
        config=config,
        facts=_facts(prepared),
        scores=_scores(config, outcomes, moved),
        differences=_differences(config, outcomes, config.compared_with, moved),
        models=pl.DataFrame([{"model": model, **outcome.taken} for model, outcome in outcomes.items()]),
        timeline=_timeline(prepared.folds[0]),
        people=people.with_row_index("person"),
        slices=sliced(config, divided, own),
        worst=worst(config, divided, own),
        sharing=sharing(config, divided, own),
        safety=showing(config, prepared, outcomes),
        notes=tuple(_notes(config, prepared, outcomes)),
        outcomes=outcomes,
    )


def _moved(config: ExperimentConfig, outcomes: Mapping[ModelName, Outcome]) -> Moved:
    """How resampling people moves every value."""
    cells = [(model, *cell) for model, outcome in outcomes.items() for cell in outcome.measured]
    shares = np.stack([outcomes[model].measured[metric, k].shares for model, metric, k in cells], axis=1)
    return dict(zip(cells, movements(shares, config.bootstrap_samples, config.seed).T, strict=True))


def _differences(
    config: ExperimentConfig, outcomes: Mapping[ModelName, Outcome], reference: ModelName, moved: Moved
) -> pl.DataFrame:
    return pl.DataFrame(differences(config, outcomes, reference, moved), schema=DIFFERENCES, orient="row")


def _scores(config: ExperimentConfig, outcomes: Mapping[ModelName, Outcome], moved: Moved) -> pl.DataFrame:
    rows = []
    for (model, metric, k), own in moved.items():
        one = outcomes[model].measured[metric, k]
        bounds = (None, None) if one.value is None else interval(one.value, own, config.confidence)
        rows.append((model, metric, k, one.value, *bounds, outcomes[model].seed_sd((metric, k)), one.people))
    return pl.DataFrame(rows, schema=SCORES, orient="row")


def _people(number: int, fold: Fold) -> pl.DataFrame:
    exam = fold.exam
    counts = {"known": np.diff(exam.known.matrix.indptr), "wanted": np.diff(exam.wanted.indptr)}
    columns = {name: pl.Series(count[exam.people], dtype=pl.Int64) for name, count in counts.items()}
    return pl.DataFrame({"fold": pl.Series([number] * len(exam.people), dtype=pl.Int64), **columns})


def _notes(config: ExperimentConfig, prepared: Prepared, outcomes: Mapping[ModelName, Outcome]) -> list[str]:
    first, known = next(iter(outcomes.values())), prepared.folds[0].background
    notes = [] if config.split.PROMISE.before != "nothing" else [config.split.CAVEAT]
    people = sum(len(fold.exam.people) for fold in prepared.folds)
    if people < _FEW:
        counted = "One person was" if people == 1 else f"{people} people were"
        notes.append(f"{counted} measured; intervals from so few are narrower than what is known.")
    if prepared.dataset.duplicates:
        notes.append(
            f"{prepared.dataset.duplicates:,} rows that repeat another in every column were left out."
        )
    for metric in config.metrics:
        people = min(first.measured[metric, k].people for k in config.k)
        total = len(first.measured[metric, config.k[0]].shares)
        title = METRICS[metric].title
        if METRICS[metric].needs_topics and not known.topics.shape[1]:
            notes.append(f"{title} is not defined: no item has a topic.")
        elif people < total:
            notes.append(f"{title} is defined for {people:,} of {total:,} people at the smallest cut-off.")
    if "diversity" in config.metrics and not known.topics.shape[1]:
        notes.append("Items are compared by who took them up, since none has a topic.")
    for model, outcome in outcomes.items():
        if outcome.taken["failed"]:
            notes.append(
                f"{CONTESTANTS[model].title}: {outcome.taken['failed']} trials diverged and were passed over."
            )
    return notes


def _facts(prepared: Prepared) -> dict[str, Any]:
    events, fold = prepared.dataset.events, prepared.folds[0]
    split, train = fold.split, fold.exam.train
    unseen = split.test.join(split.train.select("item").unique(), on="item", how="anti")
    signals = events["signal"].value_counts().sort("count", "signal", descending=[True, False])
    return {
        "dataset": prepared.dataset.name,
        "personal": prepared.dataset.personal,
        "events": len(events),
        "duplicate_rows_left_out": prepared.dataset.duplicates,
        "signals": dict(signals.iter_rows()),
        "people_granting": _granting(prepared),
        "from": _day(events["at"].min()),
        "to": _day(events["at"].max()),
        "users": len(set(split.train["user"]) | set(split.known["user"]) | set(split.test["user"])),
        "items": len(prepared.catalogue),
        "folds": len(prepared.folds),
        "train_uptakes": len(train.user),
        "test_uptakes": len(split.test),
        "users_measured": sum(len(fold.exam.people) for fold in prepared.folds),
        "test_uptakes_of_items_unseen_in_train": len(unseen) / len(split.test),
        "test_digest": "+".join(fold.exam.digest for fold in prepared.folds),
    }


def _granting(prepared: Prepared) -> dict[str, int] | None:
    """How many people granted each signal for `measure`; None where the source does not say."""
    if prepared.dataset.grants is None:
        return None
    granting = Counter(signal for own in prepared.dataset.grants.values() for signal in own)
    return dict(sorted(granting.items()))


def _day(at: Any) -> str:
    return str(np.datetime64(int(at), "us").astype("datetime64[D]"))


def _timeline(fold: Fold) -> pl.DataFrame:
    train, test = fold.exam.train.at, fold.split.test["at"].to_numpy()
    first, last = int(min(train.min(), test.min())), int(max(train.max(), test.max()))
    edges = np.linspace(first, last + 1, _BINS + 1)
    counts = {"train": np.histogram(train, edges)[0], "test": np.histogram(test, edges)[0]}
    return pl.DataFrame({"start": edges[:-1].astype(np.int64), **counts})
