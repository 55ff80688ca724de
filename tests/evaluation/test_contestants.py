import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from implicit.recommender_base import ModelFitError
from scipy.sparse import csr_array

from evaluation.baselines import (
    Bpr,
    Ease,
    IdentityLightFM,
    ImplicitAls,
    ItemNeighbours,
    Popularity,
    RandomScores,
    RecentPopularity,
    ease_weights,
)
from evaluation.contestants import CONTESTANTS, Choice, ModelName, Setting
from evaluation.datasets import SCHEMA
from evaluation.errors import ScoreError
from evaluation.interactions import Interactions
from evaluation.ours import Ours
from evaluation.ranking import Iterative, Model
from tests.evaluation import generated

DAY = 86_400_000_000


def interactions(events: pl.DataFrame) -> Interactions:
    """Number all users and items of events, and one item that nobody took up."""
    items = (*sorted(generated.events()["item"].unique()), "never-used")
    return Interactions.of(events, tuple(sorted(events["user"].unique())), items)


def small(rows: list[tuple[Any, ...]]) -> Interactions:
    """Events of a few rows."""
    events = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    items = (*sorted(events["item"].drop_nulls().unique()), "never-used")
    return Interactions.of(events, tuple(sorted(events["user"].unique())), items)


def fresh(name: ModelName, seed: int = 0) -> Model:
    """A contestant with its usual settings, not fitted."""
    return CONTESTANTS[name].make(Setting(), CONTESTANTS[name].usual, seed)


EVERY = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not each.available, reason=f"{name} needs {each.needs}, which is not installed"
        ),
    )
    for name, each in CONTESTANTS.items()
]


@pytest.mark.parametrize("name", EVERY)
class TestEveryContestant:
    """What whoever takes part in a comparison has to keep."""

    EVENTS = generated.events()
    TRAIN = interactions(EVENTS.filter(pl.col("user") < "canary-50"))
    OTHER = interactions(generated.events(1).filter(pl.col("user") < "canary-40"))
    NEW = interactions(EVENTS.filter(pl.col("user") >= "canary-40"))
    """Ten people who were learned from, and ten who were not."""

    EVERYONE = np.arange(len(TRAIN.users))

    def test_scores_the_whole_catalogue(self, name: ModelName) -> None:
        """There is a finite score for every person and item, also for an item that nobody took up."""
        scores = fresh(name).fit(self.TRAIN).scores(self.TRAIN, self.EVERYONE)
        assert scores.shape == (50, 41)
        assert np.isfinite(scores).all()

    def test_scores_people_it_never_saw(self, name: ModelName) -> None:
        """Whoever was not learned from gets finite scores of the whole catalogue as well."""
        scores = fresh(name).fit(self.TRAIN).scores(self.NEW, np.arange(20))
        assert scores.shape == (20, 41)
        assert np.isfinite(scores).all()

    def test_batches_change_nothing(self, name: ModelName) -> None:
        """A person's scores do not depend on who is asked for beside them, or in which order."""
        model = fresh(name).fit(self.TRAIN)
        whole = model.scores(self.TRAIN, self.EVERYONE)
        assert model.scores(self.TRAIN, np.array([7, 3])) == pytest.approx(whole[[7, 3]], abs=1e-5)

    def test_is_reproducible(self, name: ModelName) -> None:
        """Fitting the same events twice with one seed gives the same scores; another seed differs where it should."""
        once, twice, other = (
            fresh(name, seed).fit(self.TRAIN).scores(self.TRAIN, self.EVERYONE) for seed in (0, 0, 1)
        )
        assert np.array_equal(once, twice)
        assert np.array_equal(once, other) != CONTESTANTS[name].seeded

    def test_fitting_again_forgets(self, name: ModelName) -> None:
        """Fitted on other events before or not, the scores are the same."""
        model = fresh(name)
        used = model.fit(self.OTHER).fit(self.TRAIN).scores(self.TRAIN, self.EVERYONE)
        assert np.array_equal(used, fresh(name).fit(self.TRAIN).scores(self.TRAIN, self.EVERYONE))

    def test_asking_leaves_no_trace(self, name: ModelName) -> None:
        """Asked about others in between, a model still gives everyone the same scores."""
        model = fresh(name).fit(self.TRAIN)
        before = np.array(model.scores(self.TRAIN, self.EVERYONE))
        model.scores(self.NEW, np.arange(20))
        assert np.array_equal(model.scores(self.TRAIN, self.EVERYONE), before)

    def test_what_may_be_chosen_holds_what_is_usual(self, name: ModelName) -> None:
        """The usual settings are a point of the space, and survive being written as JSON."""
        contestant = CONTESTANTS[name]
        assert set(contestant.usual) == set(contestant.space)
        assert json.loads(json.dumps(dict(contestant.usual))) == contestant.usual
        for key, span in contestant.space.items():
            usual = contestant.usual[key]
            assert usual in span.values if isinstance(span, Choice) else span.low <= usual <= span.high

    def test_both_ends_of_what_may_be_chosen_can_be_fitted(self, name: ModelName) -> None:
        """At the lowest and the highest settings it fits and scores, or says that it diverged."""
        for end in (0, -1):
            chosen = {
                key: span.values[end] if isinstance(span, Choice) else (span.low, span.high)[end]
                for key, span in CONTESTANTS[name].space.items()
            }
            whole = {
                key: int(value) if getattr(CONTESTANTS[name].space[key], "whole", False) else value
                for key, value in chosen.items()
            }
            try:
                scores = (
                    CONTESTANTS[name]
                    .make(Setting(), whole, 0)
                    .fit(self.TRAIN)
                    .scores(self.TRAIN, self.EVERYONE)
                )
            except ScoreError:
                continue
            assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, each in CONTESTANTS.items()
        if each.available and each.space and isinstance(fresh(name), Iterative)
    ],
)
def test_rounds_end_where_fit_ends(name: ModelName) -> None:
    """A model that learns in rounds can be asked at each, changes from one to the next, and ends where `fit` does."""
    train = interactions(generated.events())
    model, everyone = fresh(name), np.arange(len(train.users))
    assert isinstance(model, Iterative)
    asked = {done: np.array(model.scores(train, everyone)) for done in model.rounds(train)}
    assert list(asked) == sorted(asked)
    assert len({scores.tobytes() for scores in asked.values()}) == len(asked) > 2
    early = list(asked)[1]
    stopped = CONTESTANTS[name].make(Setting(), {**CONTESTANTS[name].usual, "epochs": early}, 0)
    assert np.array_equal(stopped.fit(train).scores(train, everyone), asked[early])


def test_popularity_counts_people() -> None:
    """An item's score is the number of its people; using it twice counts once."""
    train = small(
        [
            ("a", "x", "views", 1, None, None),
            ("a", "x", "saves", 2, None, None),
            ("b", "y", "views", 3, None, None),
            ("c", "y", "views", 4, None, None),
            ("c", "x", "impressions", 5, None, None),
        ]
    )
    assert Popularity().fit(train).scores(train, np.array([0]))[0].tolist() == [1.0, 2.0, 0.0]


def test_recent_popularity_halves() -> None:
    """An uptake one half-life before the last counts half."""
    train = small(
        [
            ("a", "x", "views", 0, None, None),
            ("b", "x", "views", 5 * DAY, None, None),
            ("b", "y", "views", 10 * DAY, None, None),
        ]
    )
    scores = RecentPopularity(half_life_days=5).fit(train).scores(train, np.array([1]))[0]
    assert scores == pytest.approx([0.25 + 0.5, 1.0, 0.0])


def test_random_scores_are_even() -> None:
    """Scores are spread evenly from 0 to 1, and people's are not alike."""
    train = interactions(generated.events())
    scores = RandomScores(3).fit(train).scores(train, np.arange(60))
    assert np.histogram(scores, bins=4, range=(0, 1))[0] == pytest.approx(len(scores.ravel()) / 4, rel=0.15)
    assert abs(np.asarray(np.corrcoef(scores))[np.triu_indices(60, 1)]).mean() < 0.2


def test_item_neighbours_by_hand() -> None:
    """Cosine with shrinkage: x and y share one person of two and one; of neighbours only the nearest counts."""
    train = small(
        [
            ("a", "x", "views", 1, None, None),
            ("a", "y", "views", 2, None, None),
            ("b", "x", "views", 3, None, None),
            ("b", "z", "views", 4, None, None),
            ("c", "z", "views", 5, None, None),
            ("d", "y", "views", 6, None, None),
            ("d", "x", "views", 7, None, None),
        ]
    )
    wide = ItemNeighbours(neighbours=9, shrinkage=1.0).fit(train).scores(train, np.array([2]))[0]
    assert wide == pytest.approx([1 / (np.sqrt(6) + 1), 0, 0, 0])
    one = ItemNeighbours(neighbours=1, shrinkage=0.0).fit(train).scores(train, np.array([1]))[0]
    # Of x the nearest is y (2 of sqrt(3 * 2)); of z it is x (1 of sqrt(2 * 3)).
    assert one == pytest.approx([1 / np.sqrt(6), 2 / np.sqrt(6), 0, 0])


def test_item_neighbours_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of items at a time gives what all at once give."""
    train = interactions(generated.events())
    whole = ItemNeighbours(5, 10.0).fit(train).scores(train, np.arange(60))
    monkeypatch.setattr("evaluation.baselines.neighbours._BLOCK", 7)
    assert np.array_equal(ItemNeighbours(5, 10.0).fit(train).scores(train, np.arange(60)), whole)


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
    assert Ease(20.0, last=3).fit(train).scores(train, np.array([5])) == pytest.approx(
        weights[latest].sum(axis=0)[None], abs=1e-5
    )


@pytest.mark.parametrize("model", [Bpr(epochs=10), IdentityLightFM(epochs=2)])
def test_identities_score_strangers_as_the_average_person(model: Model) -> None:
    """Whoever has no parameters of their own gets everyone's mean scores, whatever is known of them."""
    everyone = interactions(generated.events())
    train = interactions(generated.events().filter(pl.col("user") < "canary-50"))
    model.fit(train)
    strangers = model.scores(everyone, np.arange(50, 60))
    mean = np.asarray(model.scores(train, np.arange(50)), dtype=np.float64).mean(axis=0)
    assert strangers == pytest.approx(np.tile(mean, (10, 1)), abs=1e-4)


def test_a_model_that_diverges_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a library calls a failed fit is a score error that names the model."""

    def diverged(*_: object, **__: object) -> None:
        raise ModelFitError("NaN encountered in factors")

    monkeypatch.setattr("evaluation.baselines.factors.BayesianPersonalizedRanking.fit", diverged)
    with pytest.raises(ScoreError, match="BPR: NaN encountered"):
        Bpr().fit(interactions(generated.events()))


def test_lightfm_that_diverges_says_so() -> None:
    """A learning rate that makes LightFM's numbers overflow is a score error that names the model."""
    with pytest.raises(ScoreError, match="LightFM with identities: "):
        IdentityLightFM(learning_rate=1e30, epochs=20).fit(interactions(generated.events()))


def test_ours_places_an_unused_item_by_its_topics() -> None:
    """Of two items that nobody used, a person is nearer to the one on the topic of what they use."""
    events = generated.events()
    items = (*sorted(events["item"].unique()), "new-even", "new-odd")
    users = tuple(sorted(events["user"].unique()))
    topics = {item: ("even" if int(item[-2:]) % 2 == 0 else "odd",) for item in items[:-2]}
    topics |= {"new-even": ("even",), "new-odd": ("odd",)}
    train = Interactions.of(events, users, items)
    scores = Ours(item_topics=topics).fit(train).scores(train, np.arange(60))
    nearer_to_even = scores[:, -2] - scores[:, -1]
    assert nearer_to_even[::2].mean() > 0 > nearer_to_even[1::2].mean()


def test_ours_scores_who_has_no_profile_by_bias_alone() -> None:
    """People without events that count all get the same scores: the biases."""
    events = generated.events()
    silent = [(who, "item-00", "impressions", 1, None, None) for who in ("zz-1", "zz-2")]
    both = pl.concat([events, pl.DataFrame(silent, schema=SCHEMA, orient="row")])
    train = interactions(both)
    scores = Ours().fit(train).scores(train, np.array([0, 60, 61]))
    assert np.array_equal(scores[1], scores[2])
    assert not np.array_equal(scores[0], scores[1])


def test_ours_makes_the_profile_of_what_is_known_now() -> None:
    """A stranger with the same events as someone who was learned from gets the same scores."""
    events = generated.events()
    train = interactions(events)
    twin = events.filter(user="canary-07").with_columns(user=pl.lit("stranger"))
    asked = interactions(twin)
    model = Ours().fit(train)
    assert model.scores(asked, np.array([0])) == pytest.approx(model.scores(train, np.array([7])), abs=1e-5)


def test_ours_finds_each_person_whatever_the_order() -> None:
    """With the users numbered in another order, everyone keeps their own scores."""
    events = generated.events()
    items = tuple(sorted(events["item"].unique()))
    users = sorted(events["user"].unique())
    mixed = [users[place] for place in np.random.default_rng(0).permutation(len(users))]
    straight, turned = (Interactions.of(events, tuple(order), items) for order in (users, mixed))
    plain = Ours().fit(straight).scores(straight, np.arange(60))
    other = Ours().fit(turned).scores(turned, np.arange(60))
    assert other == pytest.approx(plain[[users.index(user) for user in mixed]], abs=1e-5)


def test_interactions_have_a_digest_of_their_content() -> None:
    """Equal events in another order have one digest; another time, user or item gives another."""
    events = generated.events()
    plain = interactions(events).digest
    assert interactions(events.reverse()).digest == plain
    assert interactions(events.with_columns(at=pl.col("at") + 1)).digest != plain
    assert Interactions.of(events, ("canary-01",), ("item-00",)).digest != plain


def test_latest_takes_each_ones_last() -> None:
    """The latest two of a person are the two that came last."""
    train = small([("a", item, "views", at, None, None) for at, item in enumerate("zyx")])
    assert isinstance(train.latest(2), csr_array)
    assert train.latest(2).toarray().tolist() == [[1, 1, 0, 0]]


def test_ials_weighs_what_was_taken_up_by_one_and_the_weight() -> None:
    """A person's factors solve Hu, Koren and Volinsky's equations for the items' factors, done by hand."""
    train, weight, penalty = interactions(generated.events()), 3.0, 0.1
    model = ImplicitAls(components=4, penalty=penalty, weight=weight, epochs=5).fit(train)
    items = model._model.item_factors.astype(float)
    for user in range(5):
        taken = train.matrix[[user]].toarray()[0] > 0
        confidence = np.where(taken, 1.0 + weight, 1.0)
        weighed = items.T * confidence
        person = np.linalg.solve(weighed @ items + penalty * np.eye(4), weighed @ taken)
        found = model.scores(train, np.array([user]))[0]
        np.testing.assert_allclose(found, items @ person, atol=1e-4)
