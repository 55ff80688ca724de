"""Run an experiment: read, split, choose on validation, fit on train, measure once on test.

from evaluation import experiment
result = experiment.evaluate("ml-latest-small")
result.scores
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from evaluation import datasets
from evaluation.cache import Cache
from evaluation.config import ExperimentConfig, source
from evaluation.consent_value import consent_value
from evaluation.contestants import CONTESTANTS, Contestant, ModelName
from evaluation.datasets import Dataset
from evaluation.erasure_drift import erasure_drift
from evaluation.examination import examine
from evaluation.explaining import explained
from evaluation.metrics import Cell, Measured, measure
from evaluation.outcome import Outcome, Spent
from evaluation.preparation import Prepared, prepare
from evaluation.result import Result, summarised
from evaluation.tuning import tune

__all__ = ["ExperimentConfig", "Result", "evaluate", "prepare", "run"]

Progress = Callable[[str, int, int], None]
"""Told what is being done now, how many steps are done, and how many there are."""


def quietly(_step: str, _done: int, _steps: int) -> None:
    """Tell no one about progress."""


def evaluate(
    data: str | Path | pl.DataFrame, progress: Progress = quietly, cache: Path | None = None, **fields: Any
) -> Result:
    """Run an experiment on events, all else by default.

    Args:
        data: a file or folder as `assent evaluate` takes it, or a frame with the columns `user`, `item`, `time`, and
            `signal` where there are several.
        progress: as in `run`.
        cache: as in `run`.
        fields: of `ExperimentConfig`, where they should differ from the defaults.

    Raises:
        EvaluationError: as `run`.
        pydantic.ValidationError: naming the field that is wrong.
    """
    given = datasets.frame(data) if isinstance(data, pl.DataFrame) else None
    asked = {"kind": "given"} if isinstance(data, pl.DataFrame) else source(Path(data))
    config = ExperimentConfig.model_validate({"dataset": asked, **fields})
    return run(config, progress, given=given, cache=cache)


def run(
    config: ExperimentConfig,
    progress: Progress = quietly,
    *,
    given: Dataset | None = None,
    cache: Path | None = None,
) -> Result:
    """Run an experiment.

    Args:
        config: what to compare on what.
        progress: called before each step, and once when all is done.
        given: the events where the configuration says `given`; see `evaluation.consented.consented`.
        cache: a folder that keeps what was computed, so that an interrupted run goes on where it stopped. Never used
            for what people granted.

    Raises:
        EvaluationError: the input cannot be used, a split leaks or is empty, or a model gives no usable scores.
    """
    models = [CONTESTANTS[name] for name in config.models]
    each = sum(_trials(config, model) + (config.seeds if model.seeded else 1) for model in models)
    steps = _Steps(progress, 2 + _asked_beside(config) + config.split.number_of_folds * each)
    steps.next("reading and splitting")
    prepared = prepare(config, given)
    kept = Cache(None if prepared.dataset.personal else cache)
    outcomes = {name: _outcome(name, config, prepared, kept, steps) for name in config.models}
    steps.next("intervals and tests")
    result = summarised(config, prepared, outcomes)
    if config.consent_value is not None:
        steps.next("what consent is worth")
        consent = consent_value(config, config.consent_value, prepared, kept, steps.within)
        result = replace(result, consent=consent)
    if config.explanations is not None:
        steps.next("explanations")
        result = replace(result, explanations=explained(config, config.explanations, prepared))
    if config.erasure_drift is not None:
        steps.next("what erasing people does")
        drift = erasure_drift(config, config.erasure_drift, prepared, kept, steps.within)
        result = replace(result, drift=drift)
    steps.finish()
    return result


def _asked_beside(config: ExperimentConfig) -> int:
    """How many further findings are asked for."""
    return sum(each is not None for each in (config.consent_value, config.explanations, config.erasure_drift))


def _outcome(
    name: ModelName, config: ExperimentConfig, prepared: Prepared, cache: Cache, steps: "_Steps"
) -> Outcome:
    """Choose, fit and measure one model on every fold."""
    contestant = CONTESTANTS[name]
    seeds = range(config.seed, config.seed + (config.seeds if contestant.seeded else 1))
    by_seed: dict[int, list[dict[Cell, Measured]]] = {seed: [] for seed in seeds}
    spent = []
    for number, fold in enumerate(prepared.folds):
        of = f" (fold {number + 1} of {len(prepared.folds)})" if len(prepared.folds) > 1 else ""

        def trying(trial: int, of: str = of) -> None:
            steps.next(f"{contestant.title}: choosing, trial {trial + 1} of {config.trials}{of}")

        chosen = tune(
            name, contestant, prepared.setting, fold.validation, config.budget, config.seed, cache, trying
        )
        steps.skip(_trials(config, contestant) - chosen.trials_now)
        for seed in seeds:
            steps.next(f"{contestant.title}: learning, seed {seed}{of}")
            examined = examine(
                name, chosen.settings, prepared.setting, fold.exam, max(config.k), seed, config.seed, cache
            )
            by_seed[seed].append(measure(examined.lists, fold.background, config.metrics, config.k))
            spent.append(Spent(number, chosen, examined))
    return Outcome.of(list(by_seed.values()), spent, seeded=contestant.seeded)


def _trials(config: ExperimentConfig, contestant: Contestant) -> int:
    return config.trials if contestant.space else 0


class _Steps:
    """Counts steps for whoever watches."""

    def __init__(self, progress: Progress, count: int) -> None:
        self._progress, self.count, self._done = progress, count, 0

    def next(self, step: str) -> None:
        self._progress(step, self._done, self.count)
        self._done += 1

    def within(self, part: str) -> None:
        """Tell what is being done of the present step."""
        self._progress(part, self._done, self.count)

    def skip(self, steps: int) -> None:
        """Leave out steps that were done in an earlier run."""
        self._done += steps

    def finish(self) -> None:
        self._progress("done", self.count, self.count)
