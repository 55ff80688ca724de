"""Events, read, divided and audited: what models can be fitted and measured on."""

from dataclasses import dataclass

import polars as pl

from evaluation.config import ExperimentConfig, Given
from evaluation.contestants import Setting
from evaluation.datasets import Dataset
from evaluation.errors import DatasetError, EmptySplitError
from evaluation.metrics import Background, background
from evaluation.problem import Exam, Validation
from evaluation.splits import Split
from evaluation.splits.uptakes import uptakes


@dataclass(frozen=True, eq=False)
class Fold:
    """One division of the events: what is chosen on, what is tested on, and what metrics know beside."""

    split: Split
    validation: Validation
    exam: Exam
    background: Background


@dataclass(frozen=True, eq=False)
class Prepared:
    """What every model gets.

    Attributes:
        dataset: the events.
        catalogue: (I,) every item that can be recommended, sorted.
        folds: one, or several where a rule has folds.
        setting: what the makers of models may know.
    """

    dataset: Dataset
    catalogue: tuple[str, ...]
    folds: tuple[Fold, ...]
    setting: Setting


def prepare(config: ExperimentConfig, given: Dataset | None = None) -> Prepared:
    """Read and divide.

    Args:
        config: which events, and how divided.
        given: the events where the configuration says `given`; see `evaluation.consented.consented`.

    Raises:
        EvaluationError: the input cannot be used, a split leaks or is empty.
    """
    dataset = dataset_of(config, given)
    source = dataset.name if isinstance(config.dataset, Given) else config.dataset.path
    if uptakes(dataset.events).is_empty():
        raise EmptySplitError(
            f"{source}: none of {len(dataset.events):,} events is an uptake; impressions and events without an item are not"
        )
    try:
        catalogue, folds = _divided(config, dataset)
    except EmptySplitError as empty:
        raise EmptySplitError(f"{source}: {empty}") from None
    return Prepared(dataset, catalogue, folds, Setting(config.training, dataset.item_topics))


def dataset_of(config: ExperimentConfig, given: Dataset | None) -> Dataset:
    """Read the events, or take those that were handed over.

    Raises:
        DatasetError: the input cannot be used, or nothing was handed over.
    """
    if isinstance(config.dataset, Given):
        if given is None:
            raise DatasetError("the configuration says `given`, and no events were handed over")
        return given
    return config.dataset.read()


def _divided(config: ExperimentConfig, dataset: Dataset) -> tuple[tuple[str, ...], tuple[Fold, ...]]:
    """The catalogue, sorted, and the folds over it."""
    splits = tuple(config.split.folds(dataset.events, config.seed))
    named = [frame["item"] for split in splits for frame in (split.train, split.known, split.test)]
    catalogue = tuple(sorted({*pl.concat(named).drop_nulls().unique(), *dataset.catalogue}))
    folds = []
    for split in splits:
        exam = Exam.of(split, catalogue)
        validation = Validation.of(config.split.validation(split.train, config.seed), catalogue)
        folds.append(Fold(split, validation, exam, background(exam, dataset.item_topics)))
    return catalogue, tuple(folds)
