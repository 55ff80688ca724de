"""Choosing how our own model is trained: on validation alone, some trials stopped early, an interrupted search goes on."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from evaluation.config import ExperimentConfig
from evaluation.datasets import SCHEMA, Dataset
from evaluation.errors import EmptySplitError, JournalError
from evaluation.training_search import Found, search
from recommender.release import TrainingConfig
from tests.evaluation import generated

EVENTS = generated.events()


def found(
    trials: int, journal: Path | None = None, events: pl.DataFrame = EVENTS, stop_at: int = -1
) -> Found:
    """What a search on the generated world finds; it is interrupted before the trial `stop_at`."""

    def tell(number: int) -> None:
        if number == stop_at:
            raise KeyboardInterrupt

    config = ExperimentConfig.model_validate({"dataset": {"kind": "given"}, "trials": trials})
    return search(config, tell, given=Dataset("generated", events), journal=journal)


def settled(one: Found) -> Found:
    """The same without what the clock and the number of runs decide."""
    return replace(one, chosen=replace(one.chosen, seconds=0.0, trials_now=0))


def test_some_trials_are_stopped_early_and_the_best_is_no_worse_than_what_ships() -> None:
    """The settings that ship are tried first; what comes out can be set, and trials that fall behind are not finished."""
    best = found(12)
    assert (best.chosen.trials, best.chosen.failed) == (12, 0)
    assert best.chosen.pruned > 0
    assert best.chosen.value is not None
    assert best.chosen.usual is not None
    assert best.chosen.value >= best.chosen.usual
    assert TrainingConfig.model_validate_json(best.setting) == best.training
    assert best.training.seed == TrainingConfig().seed


def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    """Stopped before its fourth trial and started again on the same file, it ends as one without a break."""
    file = tmp_path / "tune.journal"
    with pytest.raises(KeyboardInterrupt):
        found(6, file, stop_at=3)
    resumed = found(6, file)
    assert resumed.chosen.trials_now == 3
    assert settled(resumed) == settled(found(6))
    assert found(6, file).chosen.trials_now == 0


def test_nothing_of_the_test_part_is_looked_at() -> None:
    """Whatever the last fifth of the events is about, items of its own included, the search is the same."""
    cut = EVENTS["at"].quantile(0.8, interpolation="higher")
    late = pl.col("at") >= cut
    others = EVENTS.with_columns(item=pl.when(late).then(pl.lit("late-") + pl.col("item")).otherwise("item"))
    assert others["item"].n_unique() > EVENTS["item"].n_unique()
    assert settled(found(3, events=others)) == settled(found(3))


def test_a_file_may_hold_searches_of_other_data(tmp_path: Path) -> None:
    """Trials on other events are not taken for trials on these."""
    file = tmp_path / "tune.journal"
    found(2, file)
    assert found(2, file, generated.events(1)).chosen.trials_now == 2
    assert found(2, file).chosen.trials_now == 0
    assert "canary" not in file.read_text("utf-8")


@pytest.mark.parametrize("content", ["not a journal\n", "{}\n", "[1]\n"])
def test_another_file_is_refused_by_its_name(tmp_path: Path, content: str) -> None:
    """What is no journal, or cannot be opened, is named; it stays as it was."""
    file = tmp_path / "notes.txt"
    file.write_text(content)
    with pytest.raises(JournalError, match=r"notes\.txt"):
        found(1, file)
    assert file.read_text() == content
    with pytest.raises(JournalError, match="missing"):
        found(1, tmp_path / "missing" / "tune.journal")


def test_too_little_is_said() -> None:
    """One event is nothing to choose on."""
    one = pl.DataFrame([("p", "a", "views", 1, None, None)], schema=SCHEMA, orient="row")
    with pytest.raises(EmptySplitError):
        found(1, events=one)
