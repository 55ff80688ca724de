from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender import kernels
from recommender.history import SIGNAL_IDS, History
from recommender.lines import Weighing, read_lines
from recommender.profile import Features, ProfileConfig
from recommender.query import HistoryEvent, Query
from recommender.snapshots import present_profiles
from tests.recommender.catalogues import GRANTED, NOW, TOPICS, event
from tests.recommender.questions import EVERYTHING, IDS, RANKERS, histories, ids, queries, rankers


@given(histories, st.sampled_from([1, 600_000_000, 10**12]))
def test_serving_weighs_as_training_does(history: list[HistoryEvent], unit: int) -> None:
    """The lines' weights, laid out over the features, are the row that training makes of the same events, however many have one time."""
    history = [
        row._replace(occurred_at=row.occurred_at // unit)
        for row in history
        if isinstance(row.occurred_at, int)
    ]
    features, config = (
        Features(tuple(IDS), TOPICS),
        ProfileConfig(strengths={name: 0.3 + 0.1 * n for n, name in enumerate(SIGNAL_IDS[:9])}),
    )
    weighing = Weighing(config)
    told = read_lines(history, GRANTED, features, weighing)
    served = np.zeros(len(features))
    np.add.at(served, told.columns, told.weights(np.array([-1]), weighing)[0])
    if not history:
        assert not served.any()
        return
    signals, resources, topics, values, times = zip(*history, strict=True)
    past = History.from_columns(
        [b"p"] * len(history), signals, resources, topics, np.array(values, dtype=float), times, features
    )
    trained = present_profiles(past, features, config).toarray()
    np.testing.assert_allclose(served, trained[0] if len(trained) else 0.0, atol=1e-6)


def test_every_event_has_one_feature_and_one_family_or_counts_for_nothing() -> None:
    """Resources, then topics, then moods; what is not in the catalogue, and no mood, is passed over."""
    history = [
        ("check_ins", None, None, 5.0, 9),
        ("views", "b", None, None, 8),
        ("searches", None, "sleep", None, 7),
        ("check_ins", None, None, 1.0, 6),
        ("views", "gone", None, None, 5),
        ("searches", None, "gone", None, 4),
        ("check_ins", None, None, None, 3),
        ("views", "a", "sleep", None, 2),
    ]
    told = read_lines(history, GRANTED, Features(("a", "b"), ("sleep",)), Weighing(ProfileConfig()), [2])
    assert told.columns.tolist() == [7, 1, 2, 3, 0, 2]
    assert (told.own, told.signals[-1]) == (5, kernels.CONTEXT)
    engagement, interest, mood = (
        told.columns[told.events[first:end]].tolist() for first, end in pairwise(told.starts.tolist())
    )
    assert (engagement, interest, mood) == ([1, 0], [2], [7, 3])


def test_several_events_with_one_thing_are_one_line() -> None:
    """Lines are by signal and thing, and name the consent behind the signal."""
    history = [event("views", "r01", 1), event("saves", "r01", 2), event("views", "r01", 3)]
    ranking = RANKERS["release"].rank(history, GRANTED, EVERYTHING, NOW)
    assert [(line.signal, line.resource_id, line.receipt_id) for line in ranking.lines] == [
        ("views", "r01", "receipt-views"),
        ("saves", "r01", "receipt-saves"),
    ]


def test_a_rating_that_was_taken_back_speaks_for_nothing() -> None:
    """One star after five: what was said before counts no more; five stars after that count again."""
    low, high = (
        event("ratings", "r01", 1)._replace(value=1.0),
        event("ratings", "r01", 2)._replace(value=5.0),
    )
    other = event("views", "r02", 3)
    ranking = RANKERS["release"].rank([low, high, other], GRANTED, EVERYTHING, NOW)
    assert {line.signal for line in ranking.lines} == {"views"}
    again = event("ratings", "r01", 0)._replace(value=4.0)
    ranking = RANKERS["release"].rank([again, low, high, other], GRANTED, EVERYTHING, NOW)
    assert [line.signal for line in ranking.lines] == ["ratings", "views"]


def test_events_of_an_odd_shape_are_passed_over() -> None:
    """A rating of a topic, a mood that is no number: nothing that ingest lets through, and nothing that breaks a list."""
    odd = [
        HistoryEvent("ratings", None, "sleep", 1.0, 5),
        HistoryEvent("check_ins", None, None, float("nan"), 4),
        HistoryEvent("views", None, None, 3.0, 3),
        HistoryEvent("ratings", "r01", None, None, 2),
    ]
    assert RANKERS["release"].rank(odd, GRANTED, EVERYTHING, NOW).items


def test_a_low_rating_does_not_speak_for_anything_but_hides_what_was_rated() -> None:
    """Two stars are no interest; the resource is known already."""
    rating = event("ratings", "r01")._replace(value=2.0)
    ranking = RANKERS["release"].rank([rating, event("views", "r02")], GRANTED, EVERYTHING, NOW)
    assert {line.signal for line in ranking.lines} == {"views"}
    assert "r01" not in ids(ranking)
    assert ranking.signals_used == ("views", "ratings")


@given(rankers, histories, queries, st.randoms(use_true_random=False))
def test_the_order_of_rows_of_one_moment_does_not_matter(
    name: str, history: list[HistoryEvent], query: Query, random: Any
) -> None:
    """Databases give equal times in any order; the answer is the same."""
    history = [
        row._replace(occurred_at=row.occurred_at // 600_000_000)
        for row in history
        if isinstance(row.occurred_at, int)
    ]
    shuffled = random.sample(history, len(history))
    shuffled.sort(key=lambda row: -row.occurred_at)
    ranker = RANKERS[name]
    one, other = ranker.rank(history, GRANTED, query, NOW), ranker.rank(shuffled, GRANTED, query, NOW)
    assert one.lines == other.lines or not one.items
    assert [(item.resource.id, item.score, item.counterfactuals) for item in one.items] == [
        (item.resource.id, item.score, item.counterfactuals) for item in other.items
    ]


def test_rows_of_one_moment_weigh_by_their_content_and_not_by_their_place() -> None:
    """Twelve events at once do not fit the smallest window; which of them do is not for the database to decide."""
    history = [event("views", each) for each in IDS[:12]]
    one, other = (
        RANKERS["release"].rank(rows, GRANTED, EVERYTHING, NOW) for rows in (history, history[::-1])
    )
    assert (one.lines, one.items) == (other.lines, other.items)
