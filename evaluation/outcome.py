"""What one model reached: over folds, seeds, metrics and cut-offs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

import numpy as np

from evaluation.contestants import Settings, told
from evaluation.examination import Examined
from evaluation.metrics import Cell, Measured
from evaluation.ranking import Lists
from evaluation.tuning import Chosen


@dataclass(frozen=True)
class Spent:
    """What was chosen for a model on one fold, and what fitting it with one seed took."""

    fold: int
    chosen: Chosen
    examined: Examined


@dataclass(frozen=True, eq=False)
class Outcome:
    """One model's figures.

    Attributes:
        measured: by cell; the mean over the seeds, with all folds' people one after the other.
        by_seed: each seed's value by cell; one alone for a model that does not depend on chance.
        seeded: whether another seed gives another model.
        taken: a row for the frame `models` of a result.
        lists: what the model of the first seed lists, by fold.
    """

    measured: Mapping[Cell, Measured]
    by_seed: Mapping[Cell, tuple[float | None, ...]]
    seeded: bool
    taken: Mapping[str, str | int | float | None]
    lists: tuple[Lists, ...]

    @classmethod
    def of(
        cls, by_seed: Sequence[Sequence[Mapping[Cell, Measured]]], spent: Sequence[Spent], *, seeded: bool
    ) -> "Outcome":
        """Put together what was measured by seed and fold."""
        cells = by_seed[0][0]
        first = {one.fold: one.examined.lists for one in reversed(spent)}
        pooled = [{cell: _pooled([fold[cell] for fold in folds]) for cell in cells} for folds in by_seed]
        return cls(
            {cell: _averaged([one[cell] for one in pooled]) for cell in cells},
            {cell: tuple(one[cell].value for one in pooled) for cell in cells},
            seeded,
            _taken(spent),
            tuple(first[fold] for fold in sorted(first)),
        )

    def seed_sd(self, cell: Cell) -> float | None:
        """Standard deviation over the seeds; 0 for a model without chance, None where it was fitted once only."""
        values = [value for value in self.by_seed[cell] if value is not None]
        if not self.seeded:
            return 0.0
        return stdev(values) if len(values) > 1 else None


def _pooled(folds: Sequence[Measured]) -> Measured:
    """The folds' people one after the other; the value is the folds' mean, weighted by people."""
    if len(folds) == 1:
        return folds[0]
    people = sum(fold.people for fold in folds)
    known = [fold for fold in folds if fold.value is not None]
    value = (
        sum(fold.value * fold.people for fold in known if fold.value is not None) / people if known else None
    )
    shares = [
        fold.shares if fold.value is not None else np.full(len(fold.shares), value or 0.0) for fold in folds
    ]
    own = [fold.own for fold in folds if fold.own is not None]
    return Measured(
        value, np.concatenate(shares), people, np.concatenate(own) if len(own) == len(folds) else None
    )


def _averaged(seeds: Sequence[Measured]) -> Measured:
    """The mean over seeds, for each person as for all."""
    if len(seeds) == 1:
        return seeds[0]
    own = [seed.own for seed in seeds if seed.own is not None]
    mean_of_own = np.mean(own, axis=0) if len(own) == len(seeds) else None
    values = [seed.value for seed in seeds if seed.value is not None]
    if len(values) < len(seeds):  # for some seed not defined, so not for their mean
        return Measured(None, np.zeros(len(seeds[0].shares)), 0, mean_of_own)
    return Measured(
        float(np.mean(values)),
        np.mean([seed.shares for seed in seeds], axis=0),
        min(seed.people for seed in seeds),
        mean_of_own,
    )


def _taken(spent: Sequence[Spent]) -> dict[str, str | int | float | None]:
    by_fold = {one.fold: one.chosen for one in spent}
    choices: list[Settings] = [chosen.settings for chosen in by_fold.values()]
    values = [chosen.value for chosen in by_fold.values() if chosen.value is not None]
    return {
        "choice": "; ".join(dict.fromkeys(told(choice) for choice in choices)),
        "validation_ndcg": float(np.mean(values)) if values else None,
        "trials": sum(chosen.trials for chosen in by_fold.values()),
        "pruned": sum(chosen.pruned for chosen in by_fold.values()),
        "failed": sum(chosen.failed for chosen in by_fold.values()),
        "choosing_s": sum(chosen.seconds for chosen in by_fold.values()),
        "fitting_s": sum(one.examined.fitting_s for one in spent),
        "ranking_s": sum(one.examined.ranking_s for one in spent),
    }
