import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, get_type_hints

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation import tuning
from evaluation.cache import Cache
from evaluation.contestants import CONTESTANTS, Contestant, Setting, Span
from evaluation.errors import ScoreError
from evaluation.interactions import Indices, Interactions
from evaluation.problem import Exam, Validation
from evaluation.splits import PerUserTime
from evaluation.tuning import Budget, Chosen, tune
from tests.evaluation import generated


def validation() -> Validation:
    """The validation part of the generated world."""
    rule, events = PerUserTime(items_per_user=2, users_per_item=2), generated.events()
    split = next(rule.folds(events))
    return Validation.of(rule.validation(split.train), tuple(sorted(events["item"].unique())))


VALIDATION = validation()


@dataclass
class Tilted:
    """Scores items of a person's own taste higher, as far as `tilt` is near 3; learns nothing."""

    tilt: float
    fitted: list[float]

    def fit(self, _train: Interactions) -> Self:
        self.fitted.append(self.tilt)
        return self

    def scores(self, known: Interactions, users: Indices) -> NDArray[np.float64]:
        taste = np.array([int(known.users[user][-2:]) % 2 for user in users])
        items = np.array([int(item[-2:]) for item in known.items])
        noise = np.random.default_rng(0).random(len(items))
        return np.asarray((items % 2 == taste[:, None]) / (0.1 + abs(self.tilt - 3)) + noise)


@dataclass
class Slow(Tilted):
    """Learns in rounds, and is at its best after the second of three."""

    def rounds(self, _train: Interactions) -> Iterator[int]:
        aim = self.tilt
        for done in (1, 2, 3):
            self.tilt = aim + 2 * abs(done - 2)
            self.fitted.append(aim)
            yield done


def tilted(fitted: list[float], kind: type[Tilted] = Tilted) -> Contestant:
    """A contestant with one thing to choose, for which 3 is best."""

    def make(_: Setting, chosen: Mapping[str, Any], __: int) -> Tilted:
        return kind(chosen["tilt"], fitted)

    return Contestant("Tilted", "for tests", make, {"tilt": Span(0.0, 10.0)}, {"tilt": 9.0})


def search(contestant: Contestant, trials: int, cache: Cache | None = None, seed: int = 0) -> Chosen:
    """Tune on the generated world."""
    return tune("tilted", contestant, Setting(), VALIDATION, Budget(trials), seed, cache)


def test_finds_what_is_good_on_validation() -> None:
    """The usual settings are tried first; the search then comes nearer to the best."""
    fitted: list[float] = []
    chosen = search(tilted(fitted), 25)
    assert fitted[0] == 9.0
    assert abs(chosen.settings["tilt"] - 3) < 1.5
    assert (chosen.trials, len(fitted)) == (25, 25)
    assert chosen.value is not None
    assert chosen.value > 0.4


def test_choosing_cannot_be_handed_the_test() -> None:
    """By its type, what chooses takes the validation part, and an exam is not one."""
    assert get_type_hints(tune)["validation"] is Validation
    assert not issubclass(Exam, Validation)


def test_the_same_seed_searches_alike() -> None:
    """Two searches of one seed try the same settings; another seed tries others."""
    tried: list[list[float]] = [[], [], []]
    for own, seed in zip(tried, (0, 0, 1), strict=True):
        search(tilted(own), 12, seed=seed)
    assert tried[0] == tried[1] != tried[2]


def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    """Stopped after four trials and started again, it tries only what is left, and ends as one without a break."""
    whole, parts = list[float](), list[float]()
    alone = search(tilted(whole), 12)
    assert search(tilted(parts), 4, Cache(tmp_path)).trials_now == 4
    resumed = search(tilted(parts), 12, Cache(tmp_path))
    assert parts == whole
    assert resumed.trials_now == 8
    assert replace(resumed, seconds=0, trials_now=0) == replace(alone, seconds=0, trials_now=0)
    assert search(tilted(parts), 12, Cache(tmp_path)).trials_now == 0


def test_a_trial_that_was_killed_is_tried_again(tmp_path: Path) -> None:
    """A run that ends in the middle of a trial leaves no trace in what is chosen."""
    whole, parts = list[float](), list[float]()
    search(tilted(whole), 8)

    class Killed(Tilted):
        def fit(self, train: Interactions) -> Self:
            if len(self.fitted) == 3:
                raise KeyboardInterrupt
            return super().fit(train)

    with pytest.raises(KeyboardInterrupt):
        search(tilted(parts, Killed), 8, Cache(tmp_path))
    search(tilted(parts), 8, Cache(tmp_path))
    assert parts == whole


def test_trials_that_diverge_are_counted_and_passed_over() -> None:
    """A trial without usable scores costs its share of the budget, and the others decide."""

    class Fragile(Tilted):
        def scores(self, known: Interactions, users: Indices) -> NDArray[np.float64]:
            return super().scores(known, users) * (np.nan if self.tilt > 5 else 1)

    chosen = search(tilted([], Fragile), 12)
    assert chosen.trials == 12
    assert chosen.failed > 0
    assert chosen.settings["tilt"] <= 5


def test_when_all_diverge_the_message_says_so() -> None:
    """A model that never gives usable scores is named."""

    class Broken(Tilted):
        def scores(self, known: Interactions, users: Indices) -> NDArray[np.float64]:
            return super().scores(known, users) * np.nan

    with pytest.raises(ScoreError, match="tilted: all 3 trials on validation diverged"):
        search(tilted([], Broken), 3)


def test_rounds_are_chosen_with_the_settings() -> None:
    """A model that is best after the second of three rounds is chosen with two, without a trial of its own."""
    chosen = search(tilted([], Slow), 6)
    assert chosen.settings["epochs"] == 2
    assert chosen.trials == 6


def test_trials_that_fall_behind_are_pruned() -> None:
    """Of models that learn in rounds, some are stopped after fewer rounds than three."""
    fitted: list[float] = []
    chosen = search(tilted(fitted, Slow), 25)
    assert chosen.pruned > 0
    assert len(fitted) < 25 * 3


def test_seconds_can_be_the_budget() -> None:
    """A budget of seconds ends the search once they are spent, after one trial at least."""
    fitted: list[float] = []
    chosen = tune("tilted", tilted(fitted), Setting(), VALIDATION, Budget(100, seconds=1e-9))
    assert (chosen.trials, len(fitted)) == (1, 1)


@pytest.mark.parametrize("name", ["popularity", "random", "ours_shipped"])
def test_what_leaves_nothing_open_is_not_searched(name: str) -> None:
    """Models without a choice, and all of them with a budget of nothing, take what is usual."""
    contestant = next(one for key, one in CONTESTANTS.items() if key == name)
    assert tune(name, contestant, Setting(), VALIDATION, Budget(5)) == Chosen({})
    assert search(tilted([]), 0) == Chosen({"tilt": 9.0})


def test_other_code_searches_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older version of the models' code found is not taken for what the present one would find."""
    fitted: list[float] = []
    search(tilted(fitted), 3, Cache(tmp_path))
    monkeypatch.setattr("evaluation.cache.code", lambda: "another version")
    assert search(tilted(fitted), 3, Cache(tmp_path)).trials_now == 3
    assert len(list(tmp_path.glob("search-tilted-*"))) == 2


def test_the_journal_names_no_person(tmp_path: Path) -> None:
    """What is written down of a search are settings and figures."""
    search(tilted([]), 3, Cache(tmp_path))
    text = next(tmp_path.iterdir()).read_text("utf-8")
    assert "canary" not in text
    assert all(json.loads(line) for line in text.splitlines())
    assert tuning.CHOSEN_BY == 10
