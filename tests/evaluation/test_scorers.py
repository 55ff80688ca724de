import numpy as np
import polars as pl
import pytest

from evaluation.baselines import Ease, Popularity, RecentPopularity, ease_weights
from evaluation.contestants import CONTESTANTS, Setting
from evaluation.datasets import SCHEMA
from evaluation.interactions import Interactions
from evaluation.ours import Ours
from evaluation.ranking import Scorer
from tests.evaluation import generated

DAY = 86_400_000_000


def interactions(events: pl.DataFrame) -> Interactions:
    """Number all users and items of events, and one item that nobody took up."""
    items = (*sorted(events["item"].drop_nulls().unique()), "never-used")
    return Interactions.of(events, tuple(sorted(events["user"].unique())), items)


def fresh(name: str) -> Scorer:
    """The first candidate of a contestant, not fitted."""
    return next(found.candidates(Setting())[0].scorer for key, found in CONTESTANTS.items() if key == name)


@pytest.mark.parametrize("name", CONTESTANTS)
class TestEveryScorer:
    """What whoever takes part in a comparison has to keep."""

    TRAIN = interactions(generated.events())
    OTHER = interactions(generated.events(1).filter(pl.col("user") < "canary-40"))
    EVERYONE = np.arange(len(TRAIN.users))

    def test_scores_the_whole_catalogue(self, name: str) -> None:
        """There is a finite score for every person and item, also for an item that nobody took up."""
        scores = fresh(name).fit(self.TRAIN).scores(self.EVERYONE)
        assert scores.shape == (60, 41)
        assert np.isfinite(scores).all()

    def test_batches_change_nothing(self, name: str) -> None:
        """A person's scores do not depend on who is asked for beside them, or in which order."""
        scorer = fresh(name).fit(self.TRAIN)
        whole = scorer.scores(self.EVERYONE)
        assert scorer.scores(np.array([7, 3])) == pytest.approx(whole[[7, 3]], abs=1e-5)

    def test_is_reproducible(self, name: str) -> None:
        """Fitting the same events twice gives the same scores."""
        once, twice = (fresh(name).fit(self.TRAIN).scores(self.EVERYONE) for _ in range(2))
        assert np.array_equal(once, twice)

    def test_fitting_again_forgets(self, name: str) -> None:
        """Fitted on other events before or not, the scores are the same."""
        scorer = fresh(name)
        used = scorer.fit(self.OTHER).fit(self.TRAIN).scores(self.EVERYONE)
        assert np.array_equal(used, fresh(name).fit(self.TRAIN).scores(self.EVERYONE))


def test_popularity_counts_people() -> None:
    """An item's score is the number of its people; using it twice counts once."""
    rows = [
        ("a", "x", "views", 1, None, None),
        ("a", "x", "saves", 2, None, None),
        ("b", "y", "views", 3, None, None),
    ]
    rows += [("c", "y", "views", 4, None, None), ("c", "x", "impressions", 5, None, None)]
    train = interactions(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    assert Popularity().fit(train).scores(np.array([0]))[0].tolist() == [1.0, 2.0, 0.0]


def test_recent_popularity_halves() -> None:
    """An uptake one half-life before the last counts half."""
    rows = [
        ("a", "x", "views", 0, None, None),
        ("b", "x", "views", 5 * DAY, None, None),
        ("b", "y", "views", 10 * DAY, None, None),
    ]
    train = interactions(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    scores = RecentPopularity(half_life_days=5).fit(train).scores(np.array([1]))[0]
    assert scores == pytest.approx([0.25 + 0.5, 1.0, 0.0])


def test_ease_solves_each_items_ridge_regression() -> None:
    """Each column of the weights is the ridge regression of that item on all others."""
    train = interactions(generated.events())
    gram = (train.matrix.T @ train.matrix).toarray().astype(np.float64)
    weights = ease_weights(train.matrix, 20.0)
    for item in range(len(train.items)):
        others = np.arange(len(train.items)) != item
        left = gram[np.ix_(others, others)] + 20.0 * np.eye(int(others.sum()))
        assert weights[others, item] == pytest.approx(np.linalg.solve(left, gram[others, item]), abs=1e-6)
    assert not np.diag(weights).any()


def test_ease_on_recent_items_reads_the_latest_alone() -> None:
    """With `last`, only a person's latest items are multiplied with the weights."""
    train = interactions(generated.events())
    weights = ease_weights(train.matrix, 20.0)
    latest = train.item[train.user == 5][-3:]
    assert Ease(20.0, last=3).fit(train).scores(np.array([5])) == pytest.approx(
        weights[latest].sum(axis=0)[None], abs=1e-5
    )


def test_ours_places_an_unused_item_by_its_topics() -> None:
    """Of two items that nobody used, a person is nearer to the one on the topic of what they use."""
    events = generated.events()
    items = (*sorted(events["item"].unique()), "new-even", "new-odd")
    users = tuple(sorted(events["user"].unique()))
    topics = {item: ("even" if int(item[-2:]) % 2 == 0 else "odd",) for item in items[:-2]}
    topics |= {"new-even": ("even",), "new-odd": ("odd",)}
    scores = Ours(item_topics=topics).fit(Interactions.of(events, users, items)).scores(np.arange(60))
    nearer_to_even = scores[:, -2] - scores[:, -1]
    assert nearer_to_even[::2].mean() > 0 > nearer_to_even[1::2].mean()


def test_ours_scores_who_has_no_profile_by_bias_alone() -> None:
    """People without events that count all get the same scores: the biases."""
    events = generated.events()
    silent = [(who, "item-00", "impressions", 1, None, None) for who in ("zz-1", "zz-2")]
    both = pl.concat([events, pl.DataFrame(silent, schema=SCHEMA, orient="row")])
    train = interactions(both)
    scores = Ours().fit(train).scores(np.array([0, 60, 61]))
    assert np.array_equal(scores[1], scores[2])
    assert not np.array_equal(scores[0], scores[1])


def test_ours_finds_each_person_whatever_the_order() -> None:
    """With the users numbered in another order, everyone keeps their own scores."""
    events = generated.events()
    items = tuple(sorted(events["item"].unique()))
    users = sorted(events["user"].unique())
    mixed = [users[place] for place in np.random.default_rng(0).permutation(len(users))]
    plain = Ours().fit(Interactions.of(events, tuple(users), items)).scores(np.arange(60))
    other = Ours().fit(Interactions.of(events, tuple(mixed), items)).scores(np.arange(60))
    assert other == pytest.approx(plain[[users.index(user) for user in mixed]], abs=1e-5)
