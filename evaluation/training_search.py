"""Chooses how our own model is trained, by the search of `evaluation.tuning`.

What would be the test part of an experiment on the same events is cut off first: neither its events nor the items that
it alone knows are looked at, so that `assent evaluate` can tell afterwards what the choice was worth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evaluation.config import ExperimentConfig
from evaluation.contestants import CONTESTANTS, OURS, Setting
from evaluation.datasets import Dataset
from evaluation.ours import Ours
from evaluation.preparation import dataset_of
from evaluation.problem import Validation
from evaluation.tuning import Chosen, tune
from recommender.training import TrainingConfig


@dataclass(frozen=True)
class Found:
    """The training configuration that was best on validation, and how the search went."""

    training: TrainingConfig
    chosen: Chosen

    @property
    def setting(self) -> str:
        """What differs from the defaults as JSON, which is how the service takes it; seed and shards have settings of their own."""
        return self.training.model_dump_json(exclude={"seed", "shards"}, exclude_defaults=True)


def search(
    config: ExperimentConfig,
    tell: Callable[[int], None] = lambda _: None,
    *,
    given: Dataset | None = None,
    journal: Path | None = None,
) -> Found:
    """Search until the budget of the configuration is spent.

    Args:
        config: which events, how divided, how many trials, and what the search begins from (`training`).
        tell: called with the number of each trial before it.
        given: the events where the configuration says `given`.
        journal: where trials are written down, so that an interrupted search goes on.

    Raises:
        EvaluationError: the input cannot be used, too little is left to learn from, or every trial diverged.
    """
    dataset = dataset_of(config, given)
    past = next(iter(config.split.folds(dataset.events, config.seed))).train
    catalogue = tuple(sorted({*past["item"].drop_nulls().unique(), *dataset.catalogue}))
    validation = Validation.of(config.split.validation(past, config.seed), catalogue)
    contestant, setting = CONTESTANTS[OURS], Setting(config.training, dataset.item_topics)
    chosen = tune(
        OURS, contestant, setting, validation, config.budget, config.seed, tell=tell, journal=journal
    )
    best = contestant.make(setting, chosen.settings, config.training.seed)
    assert isinstance(best, Ours)  # noqa: S101  by its name
    return Found(best.config, chosen)
