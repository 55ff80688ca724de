"""What each choice in training is worth: NDCG@10 on validation, one thing varied at a time, on two data sets.

The test part is never asked. Seeds are the yardstick: a difference is called one only where it is more than twice the standard
error that the spread over seeds of the defaults gives it. `python -m benchmarks accuracy --data FOLDER`, where the
folder holds `ml-latest-small` (MovieLens) and `deskdrop/users_interactions.csv.gz`.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.sequences import data_sets
from benchmarks.table import Row
from benchmarks.variants import DEFAULTS, VARIANTS, Variant
from evaluation.baselines import RandomScores
from evaluation.config import ExperimentConfig, MovieLens
from evaluation.interactions import Indices, Interactions
from evaluation.metrics.accuracy import ndcg_of
from evaluation.ours import Ours
from evaluation.preparation import Prepared, prepare
from evaluation.problem import Validation
from evaluation.ranking import Model
from evaluation.splits.cold import ColdItems

DEPTH = 10
SEEDS = 2
"""How many seeds of each variant are measured; of the defaults, which are the yardstick, twice as many."""
CLEAR = 2.0
"""Standard errors from which on a difference is one."""


@dataclass(eq=False)
class Mean:
    """The mean of the scores of several models."""

    models: Sequence[Model]

    def fit(self, train: Interactions) -> Self:
        """Learn each by itself."""
        for model in self.models:
            model.fit(train)
        return self

    def scores(self, known: Interactions, users: Indices) -> NDArray[np.floating]:
        """(len(users), I) the mean."""
        return np.asarray(np.mean([model.scores(known, users) for model in self.models], axis=0))


@dataclass(eq=False)
class AmongNewcomers:
    """A model that is asked of the items that nobody used in training, and of no other."""

    model: Model
    new: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def fit(self, train: Interactions) -> Self:
        """Learn, and note which items are new."""
        self.model.fit(train)
        self.new = np.asarray(train.matrix.sum(axis=0) == 0).ravel()
        return self

    def scores(self, known: Interactions, users: Indices) -> NDArray[np.floating]:
        """(len(users), I) the model's scores; of what is not new, one below all."""
        found = np.asarray(self.model.scores(known, users), dtype=np.float64)
        return np.where(self.new, found, found.min() - 1.0)


def compare(data: Path, say: Callable[[str], None]) -> list[Row]:
    """Measure every variant on both data sets."""
    rows = []
    for source in data_sets(data):
        rows += _study(prepare(ExperimentConfig.model_validate({"dataset": source})), say)
    cold = ExperimentConfig(dataset=MovieLens(path=data / "ml-latest-small"), split=ColdItems())
    return rows + _newcomers(prepare(cold), say)


def _study(prepared: Prepared, say: Callable[[str], None]) -> list[Row]:
    """Measure every variant on one data set."""
    name, validation = prepared.dataset.name, prepared.folds[0].validation
    topics = prepared.setting.item_topics
    usual = [_ndcg(DEFAULTS, seed, validation, topics) for seed in range(2 * SEEDS)]
    error = stdev(usual) * math.sqrt(1 / SEEDS + 1 / (2 * SEEDS))
    say(_line(name, DEFAULTS, usual, 0.0))
    rows = [
        Row(f"{name}: {DEFAULTS.what}", "", None, f"{fmean(usual):.4f} NDCG@10", f"spread {stdev(usual):.4f}")
    ]
    for variant in VARIANTS:
        values = [_ndcg(variant, seed, validation, topics) for seed in range(SEEDS)]
        steps = (fmean(values) - fmean(usual)) / error
        say(_line(name, variant, values, steps))
        verdict = "better" if steps > CLEAR else "worse" if steps < -CLEAR else "no clear difference"
        what = f"{name}: {variant.factor}, {variant.what}"
        ours, theirs = f"{fmean(values):.4f}, {verdict}", f"{fmean(usual):.4f}"
        rows.append(Row(what, DEFAULTS.what, fmean(values) / fmean(usual), ours, theirs))
    return rows


def _ndcg(
    variant: Variant, seed: int, validation: Validation, topics: Mapping[str, tuple[str, ...]]
) -> float:
    seeds = range(seed * variant.models, (seed + 1) * variant.models)
    model = Mean([Ours(variant.config(each), topics) for each in seeds])
    with variant.in_place():
        model.fit(validation.train)
    return ndcg_of(validation.ask(model, DEPTH, 0, variant.what), DEPTH)


def _newcomers(prepared: Prepared, say: Callable[[str], None]) -> list[Row]:
    """Items that nobody used, placed by their tags alone and ranked among each other, against chance."""
    validation, topics = prepared.folds[0].validation, prepared.setting.item_topics
    tagged = fmean(_asked(Ours(DEFAULTS.config(seed), topics), validation) for seed in range(SEEDS))
    chance = fmean(_asked(RandomScores(seed), validation) for seed in range(10))
    name = f"{prepared.dataset.name}: new resources by tags alone"
    say(json.dumps({"data": name, "ndcg": tagged, "chance": chance}))
    return [Row(name, "a random order", tagged / chance, f"{tagged:.4f}", f"{chance:.4f}")]


def _asked(model: Model, validation: Validation) -> float:
    asked = AmongNewcomers(model).fit(validation.train)
    return ndcg_of(validation.ask(asked, DEPTH, 0, "newcomers"), DEPTH)


def _line(data: str, variant: Variant, values: Sequence[float], steps: float) -> str:
    """One finding as JSON, so that a run that is cut short has told what it found."""
    return json.dumps(
        {
            "data": data,
            "factor": variant.factor,
            "what": variant.what,
            "ndcg": [round(value, 5) for value in values],
            "standard_errors": round(steps, 1),
        }
    )
