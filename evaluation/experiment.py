"""Run an experiment: read, split, choose on validation, fit on train, measure once on test.

from evaluation import experiment, report
result = experiment.run(experiment.ExperimentConfig(dataset={"kind": "movielens", "path": "ml-latest-small"}))
report.write(result, Path("report"))
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from evaluation import splits
from evaluation.config import ExperimentConfig, Given
from evaluation.contestants import CONTESTANTS, Candidate, Setting
from evaluation.datasets import Dataset
from evaluation.errors import DatasetError, EmptySplitError
from evaluation.interactions import Indices, Interactions
from evaluation.metrics import METRICS, Measured, ndcg
from evaluation.ranking import lists
from evaluation.result import Result, Taken, summarised

__all__ = ["ExperimentConfig", "Result", "run"]

Progress = Callable[[str, int, int], None]
"""Told what is being done now, how many steps are done, and how many there are."""

_CHOSEN_BY = 10
"""What is open is chosen by NDCG at this cut-off on validation."""


def quietly(_step: str, _done: int, _steps: int) -> None:
    """Tell no one about progress."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What every model gets: interactions to fit on, what came after, and the people who can be measured."""

    train: Interactions
    wanted: csr_array
    people: Indices

    @classmethod
    def of(cls, split: splits.Split, items: tuple[str, ...]) -> "Problem":
        """Number users and items. People without a past, or with nothing wanted, are not measured.

        Raises:
            EmptySplitError: nobody can be measured.
        """
        users = tuple(sorted(split.train["user"].unique()))
        wanted = Interactions.of(split.test, users, items).matrix
        people = np.flatnonzero(np.diff(wanted.indptr)).astype(np.intp)
        if not len(people):
            raise EmptySplitError(
                "nobody has events before the cut and something new after it, so nobody can be measured"
            )
        return cls(Interactions.of(split.train, users, items), wanted, people)

    @cached_property
    def seen(self) -> csr_array:
        """(users, I) what is left out of the lists."""
        return self.train.matrix


def run(config: ExperimentConfig, progress: Progress = quietly, *, given: Dataset | None = None) -> Result:
    """Run an experiment.

    Args:
        config: what to compare on what.
        progress: called before each step, and once when all is done.
        given: the events where the configuration says `given`; see `evaluation.datasets.consented`.

    Raises:
        EvaluationError: the input cannot be used, a split leaks or is empty, or a model gives no usable scores.
    """
    choices = [len(CONTESTANTS[name].candidates(Setting())) for name in config.models]
    steps = _Steps(progress, 3 + sum(1 + (count if count > 1 else 0) for count in choices))
    steps.next("reading events")
    dataset = _dataset(config, given)
    steps.next("splitting")
    split = splits.split(dataset.events, config.split)
    inner = splits.cut(split.train, config.split.kind, config.split.test_share)
    items = tuple(sorted(pl.concat([split.train["item"], split.test["item"]]).drop_nulls().unique()))
    problem, validation = Problem.of(split, items), Problem.of(inner, items)
    setting = Setting(config.seed, config.training, dataset.item_topics)
    measured: dict[str, dict[tuple[str, int], Measured]] = {}
    taken = []
    for name in config.models:
        contestant = CONTESTANTS[name]
        started = time.perf_counter()
        chosen = _chosen(contestant.title, contestant.candidates(setting), validation, config, steps)
        chosen_at = time.perf_counter()
        steps.next(f"{contestant.title}: learning")
        chosen.scorer.fit(problem.train)
        fitted_at = time.perf_counter()
        found = lists(
            chosen.scorer,
            problem.seen,
            problem.wanted,
            problem.people,
            max(config.k),
            config.seed,
            contestant.title,
        )
        ranked_at = time.perf_counter()
        measured[name] = {
            (metric, k): METRICS[metric](found, k) for metric in config.metrics for k in config.k
        }
        taken.append(
            Taken(name, chosen.choice, chosen_at - started, fitted_at - chosen_at, ranked_at - fitted_at)
        )
    steps.next("bootstrap intervals")
    result = summarised(config, dataset, split, problem.train, problem.people, measured, taken)
    steps.finish()
    return result


def _dataset(config: ExperimentConfig, given: Dataset | None) -> Dataset:
    if isinstance(config.dataset, Given):
        if given is None:
            raise DatasetError("the configuration says `given`, and no events were handed over")
        return given
    return config.dataset.read()


def _chosen(
    title: str,
    candidates: Sequence[Candidate],
    validation: Problem,
    config: ExperimentConfig,
    steps: "_Steps",
) -> Candidate:
    """The candidate with the highest NDCG on validation, the earlier one among equals; test is not looked at."""
    if len(candidates) == 1:
        return candidates[0]
    values: list[float] = []
    for candidate in candidates:
        steps.next(f"{title}: trying {candidate.choice}")
        scorer = candidate.scorer.fit(validation.train)
        found = lists(
            scorer, validation.seen, validation.wanted, validation.people, _CHOSEN_BY, config.seed, title
        )
        values.append(ndcg(found, _CHOSEN_BY).value)
    return candidates[int(np.argmax(values))]


class _Steps:
    """Counts steps for whoever watches."""

    def __init__(self, progress: Progress, count: int) -> None:
        self._progress, self._count, self._done = progress, count, 0

    def next(self, step: str) -> None:
        self._progress(step, self._done, self._count)
        self._done += 1

    def finish(self) -> None:
        self._progress("done", self._count, self._count)
