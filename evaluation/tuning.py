"""Chooses a model's settings on validation by Optuna, with the same budget for every model.

The test part is out of reach: `tune` takes a `Validation`, which was cut from train. The search is seeded and the
same wherever it is interrupted: each trial's sampler is seeded by how many trials came before it. Trials of models
that learn in rounds are pruned when they fall behind the median of the others; how many rounds to learn is chosen
from the same rounds, so it costs no trial.

Source: Akiba, Sano, Yanase, Ohta and Koyama, "Optuna", KDD 2019.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import TrialState

from evaluation.cache import Cache, key
from evaluation.contestants import Choice, Contestant, Setting, Settings
from evaluation.errors import JournalError, ScoreError
from evaluation.metrics.accuracy import ndcg_of
from evaluation.problem import Validation
from evaluation.ranking import Iterative, Model

CHOSEN_BY = 10
"""What is open is chosen by NDCG at this cut-off on validation."""

_INTERRUPTED = "interrupted"
"""Marks a trial during which the run ended; it is tried again."""

_STARTUP = 6
"""Trials drawn at random before the sampler begins to learn from them, the usual settings aside."""


@dataclass(frozen=True)
class Budget:
    """How much may be spent on one model: a number of trials, and seconds where these run out first."""

    trials: int = 20
    seconds: float | None = None


@dataclass(frozen=True)
class Chosen:
    """What came out of a search.

    Attributes:
        settings: the best trial's, with its rounds.
        value: its NDCG@10 on validation; None where nothing was tried.
        trials: how many were tried, pruned and failed ones included.
        pruned: how many of them were stopped early.
        failed: how many of them diverged.
        trials_now: how many of them were tried in this run, and not found in the cache.
        seconds: spent on all of them, in this run or an earlier one.
        usual: what the usual settings, which are tried first, reached; None where they diverged or nothing was tried.
    """

    settings: Settings
    value: float | None = None
    trials: int = 0
    pruned: int = 0
    failed: int = 0
    trials_now: int = 0
    seconds: float = 0.0
    usual: float | None = None


def tune(
    name: str,
    contestant: Contestant,
    setting: Setting,
    validation: Validation,
    budget: Budget,
    seed: int = 0,
    cache: Cache | None = None,
    tell: Callable[[int], None] = lambda _: None,
    journal: Path | None = None,
) -> Chosen:
    """Search until the budget is spent; the earlier one of equally good trials is taken.

    Args:
        name: of the contestant.
        contestant: what is tuned, and in which space.
        setting: what it may know beside.
        validation: what it is asked.
        budget: the same for every contestant.
        seed: of the search and of the models tried.
        cache: where trials are written down, so that an interrupted search goes on.
        tell: called with the number of each trial before it.
        journal: the file where they are written down, where no cache says it. It may hold searches of other data, which
            stay as they are.

    Raises:
        ScoreError: every trial diverged.
        JournalError: the file cannot be read or written, or is something else.
    """
    if not contestant.space or budget.trials == 0:
        return Chosen(contestant.usual)
    study = _study(name, contestant, setting, validation, seed, cache or Cache(), journal)
    found = None
    while True:
        done = _finished(study)
        found = len(done) if found is None else found
        spent = sum(trial.user_attrs["seconds"] for trial in done)
        if len(done) >= budget.trials or (budget.seconds is not None and done and spent >= budget.seconds):
            break
        tell(len(done))
        _try(study, len(done), name, contestant, setting, validation, seed)
    return _best(name, done[: budget.trials], trials_now=len(done) - found)


def _study(
    name: str,
    contestant: Contestant,
    setting: Setting,
    validation: Validation,
    seed: int,
    cache: Cache,
    journal: Path | None,
) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space, usual = str(dict(contestant.space)), dict(contestant.usual)
    study_key = key(
        name=name, space=space, usual=usual, setting=setting.digest, data=validation.digest, seed=seed
    )
    file = journal or cache.journal(f"search-{name}", study_key)
    study = optuna.create_study(
        storage=None if file is None else _opened(file),
        study_name=f"{name} {study_key}",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP),
        load_if_exists=True,
    )
    for trial in study.get_trials(states=(TrialState.RUNNING,)):  # of a run that was interrupted in mid-trial
        study.set_user_attr(f"{_INTERRUPTED} {trial.number}", value=True)
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _opened(journal: Path) -> JournalStorage:
    try:
        with journal.open("a+b") as file:
            file.seek(0)
            first = file.readline()
        # Optuna would write into any file before it noticed.
        if first and "op_code" not in json.loads(first):
            raise JournalError(f"{journal}: is no journal of searches")
        return JournalStorage(JournalFileBackend(str(journal)))
    except OSError as error:
        raise JournalError(f"{journal}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise JournalError(f"{journal}: is no journal of searches") from error


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that ran to their end, in order; those interrupted by a crash do not count."""
    return [
        trial
        for trial in study.get_trials()
        if trial.state.is_finished() and f"{_INTERRUPTED} {trial.number}" not in study.user_attrs
    ]


def _try(
    study: optuna.Study,
    number: int,
    name: str,
    contestant: Contestant,
    setting: Setting,
    validation: Validation,
    seed: int,
) -> None:
    study.sampler = TPESampler(seed=seed * 1_000_003 + number, n_startup_trials=_STARTUP)
    if number == 0:
        study.enqueue_trial(dict(contestant.usual))
    trial = study.ask()
    settings = _suggested(trial, contestant)
    began = time.perf_counter()
    state, value = TrialState.COMPLETE, None
    try:
        values = _learned(trial, name, contestant.make(setting, settings, seed), validation, seed)
        best = max(values, key=lambda rounds: (values[rounds], -rounds))
        value = values[best]
        if best:
            settings = {**settings, "epochs": best}
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except ScoreError:
        state = TrialState.FAIL
    trial.set_user_attr("settings", json.dumps(settings))
    trial.set_user_attr("seconds", time.perf_counter() - began)
    study.tell(trial, value, state=state)


def _learned(
    trial: optuna.Trial, name: str, model: Model, validation: Validation, seed: int
) -> Mapping[int, float]:
    """Validation's NDCG by the rounds learned; by 0 for a model that does not learn in rounds."""

    def value() -> float:
        return ndcg_of(validation.ask(model, CHOSEN_BY, seed, name), CHOSEN_BY)

    if not isinstance(model, Iterative):
        model.fit(validation.train)
        return {0: value()}
    values = {}
    for done in model.rounds(validation.train):
        values[done] = value()
        trial.report(values[done], done)
        if trial.should_prune():
            raise optuna.TrialPruned
    return values


def _suggested(trial: optuna.Trial, contestant: Contestant) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, span in contestant.space.items():
        if isinstance(span, Choice):
            found[name] = trial.suggest_categorical(name, span.values)
        elif span.whole:
            found[name] = trial.suggest_int(name, int(span.low), int(span.high), log=span.log)
        else:
            found[name] = trial.suggest_float(name, span.low, span.high, log=span.log)
    return found


def _best(name: str, trials: list[optuna.trial.FrozenTrial], trials_now: int) -> Chosen:
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE and trial.value is not None]
    if not complete:
        raise ScoreError(f"{name}: all {len(trials)} trials on validation diverged")
    best = max(complete, key=lambda trial: (trial.value, -trial.number))
    states = [trial.state for trial in trials]
    return Chosen(
        settings=json.loads(best.user_attrs["settings"]),
        value=best.value,
        trials=len(trials),
        pruned=states.count(TrialState.PRUNED),
        failed=states.count(TrialState.FAIL),
        trials_now=trials_now,
        seconds=sum(trial.user_attrs["seconds"] for trial in trials),
        usual=trials[0].value,
    )
