"""What a new release is held to: popularity, and the release before it, on events that neither knew."""

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recommender.holdout import HoldoutResult, Trial
from recommender.profile import Features, ProfileConfig
from recommender.release import Recipe, TrainingConfig
from recommender.training import Checked, Given, Served, train_checked
from tests.recommender.histories import DAY, catalogue, events, history
from tests.recommender.test_training import NOW

GOOD = TrainingConfig(components=8, epochs=4)
BAD = TrainingConfig(components=1, epochs=0)
TABLE = events(160, 20, 60)


def checked(config: TrainingConfig, served: Served | None = None, table: pl.DataFrame = TABLE) -> Checked:
    """A release of these events, tried beside one that is served."""
    features, topics = catalogue(60)
    recipe = Recipe(features, topics, config)
    return train_checked(Given(history(table, features)), recipe, now=NOW, served=served)


def served_of(made: Checked) -> Served:
    """A release as the one that is served."""
    return Served(made.release, made.tried)


def test_a_release_that_is_clearly_worse_falls_behind() -> None:
    """A model of one component that learned nothing is refused beside a good one, and passes alone if popularity is worse."""
    good = checked(GOOD)
    found = checked(BAD, served_of(good)).result
    assert found.former_ndcg == pytest.approx(good.result.ndcg)
    assert found.fell_behind
    assert not found.passed


def test_a_better_release_passes_and_so_does_an_equal_one() -> None:
    """Beside the worse one, or beside itself, a release is not behind."""
    better = checked(GOOD, served_of(checked(BAD))).result
    assert better.former_ndcg is not None
    assert better.ndcg > better.former_ndcg
    assert better.passed
    same = checked(GOOD, served_of(checked(GOOD))).result
    assert same.former_ndcg == same.ndcg
    assert same.passed


def test_a_loss_within_chance_is_no_reason_to_refuse() -> None:
    """Two standard errors of the difference person by person are allowed; of one person nothing can be said."""
    assert HoldoutResult(0.19, 0.1, 50, 0.20, 0.006).passed
    assert not HoldoutResult(0.19, 0.1, 50, 0.20, 0.004).passed
    assert HoldoutResult(0.10, 0.05, 1, 0.90).passed
    assert not HoldoutResult(0.19, 0.19, 50, 0.10, 0.01).passed


def test_what_the_former_release_knew_already_is_not_asked_of_it() -> None:
    """Where it was tried at a later moment than the new one is, its shards know what is asked, and it is no measure."""
    later = served_of(checked(GOOD))
    earlier = TABLE.filter(pl.col("at") < 60 * DAY)
    assert checked(BAD, later, earlier).result.former_ndcg is None


def test_the_former_release_may_know_another_catalogue_and_weigh_otherwise() -> None:
    """It is asked by names, with profiles as its own settings make them; what it does not know is placed by topics."""
    size = 40
    features, topics = catalogue(size)
    smaller = TABLE.filter(pl.col("resource").is_null() | pl.col("resource").is_in(list(features.resources)))
    config = GOOD.model_copy(update={"profile": ProfileConfig(windows=(3,))})
    former = train_checked(Given(history(smaller, features)), Recipe(features, topics, config), now=NOW)
    found = checked(GOOD, served_of(former)).result
    assert found.former_ndcg is not None
    assert found.popularity_ndcg < found.former_ndcg < 1


def test_blocks_of_people_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many people are scored at once, the figures are the same."""
    whole = checked(GOOD, served_of(checked(BAD))).result
    monkeypatch.setattr("recommender.holdout._CELLS", 60 * 7)
    parts = checked(GOOD, served_of(checked(BAD))).result
    assert parts.people == whole.people > 7
    assert parts.former_ndcg == pytest.approx(whole.former_ndcg, rel=1e-9)
    assert (parts.ndcg, parts.popularity_ndcg, parts.former_error) == pytest.approx(
        (whole.ndcg, whole.popularity_ndcg, whole.former_error), rel=1e-9
    )


def test_people_are_told_by_their_place_in_the_history() -> None:
    """Those who are asked are those whose profile and later uptakes stand in the same rows."""
    features = Features(("a", "b", "c"), ())
    rows = [(b"p", "a", 0), (b"q", "a", 1), (b"q", "b", 2), (b"p", "b", 90), (b"r", "c", 95)]
    table = pl.DataFrame(
        {
            "person": [row[0] * 8 for row in rows],
            "signal": ["views"] * 5,
            "resource": [row[1] for row in rows],
            "topic": pl.Series([None] * 5, dtype=pl.String),
            "value": [np.nan] * 5,
            "at": [row[2] for row in rows],
        }
    )
    trial = Trial.of(history(table, features), features, ProfileConfig(), moment=50)
    assert trial.people.tolist() == [0]
    assert sparse.csr_array(trial.later).toarray().tolist() == [[0, 1, 0]]
