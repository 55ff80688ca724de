from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recommender.history import SIGNAL_IDS, History
from recommender.profile import MOOD_BANDS, Features
from tests.recommender.histories import DAY, catalogue, events, history

Array = NDArray[Any]

FEATURES = Features(("a", "b"), ("sleep",))


def columns(found: History) -> list[Array]:
    """Every array of a history."""
    return [found.seeds, found.person, found.signal, found.resource, found.topic, found.value, found.at]


def test_order_of_rows_changes_nothing() -> None:
    """The same events in any order, also several at one moment and some twice, give the same history."""
    features, _ = catalogue(12)
    table = events(people=30, each=20, size=12).with_columns(at=pl.col("at") // (20 * DAY))
    table = pl.concat([table, table.head(50)])
    first = history(table, features)
    again = history(table.sample(fraction=1.0, shuffle=True, seed=3), features)
    for one, other in zip(columns(first), columns(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_people_are_ordered_by_pseudonym_and_seeded_from_it_alone() -> None:
    """A seed is the first eight bytes of the pseudonym, whoever else is there; a shorter one is followed by zeros."""
    people = [b"z" * 32, b"z", b"a" * 8]
    found = History.from_columns(
        people, ["views"] * 3, ["a"] * 3, [None] * 3, [None] * 3, [1, 2, 3], FEATURES
    )
    expected = [int.from_bytes(head) for head in (b"a" * 8, b"z" + bytes(7), b"z" * 8)]
    assert found.seeds.tolist() == expected
    assert found.person.tolist() == [0, 1, 2]
    assert found.at.tolist() == [3, 2, 1]


def test_events_that_name_no_feature_are_left_out() -> None:
    """Unknown resources and topics, and check-ins without a band, go; a person of whom nothing is left goes too."""
    rows = [
        (b"p", "views", "a", None, None),
        (b"p", "views", "gone", None, None),
        (b"p", "views", "gone", "sleep", None),
        (b"p", "topics", None, "sleep", None),
        (b"p", "topics", None, "gone", None),
        (b"p", "check_ins", None, None, 5.0),
        (b"p", "check_ins", None, None, None),
        (b"q", "views", "gone", None, None),
    ]
    people, signals, resources, topics, values = zip(*rows, strict=True)
    found = History.from_columns(people, signals, resources, topics, values, range(8), FEATURES)
    assert len(found.seeds) == 1
    assert [SIGNAL_IDS[number] for number in found.signal] == ["views", "topics", "check_ins"]
    assert found.resource.tolist() == [0, -1, -1]
    assert found.topic.tolist() == [-1, 2, -1]
    assert found.column(FEATURES).tolist() == [0, 2, 7]


def test_every_event_has_the_column_of_what_it_names() -> None:
    """The vectorised columns are those that each event by itself has: of its resource, its topic, or its mood."""
    features, _ = catalogue(12)
    table = events(people=20, each=20, size=12)
    found = history(table.filter(pl.col("person") == b"pseudonym-00003"), features)
    rows = table.filter(pl.col("person") == b"pseudonym-00003").sort("at").iter_rows(named=True)
    mood = len(features) - MOOD_BANDS - 1
    expected = [
        features.resource_index.get(row["resource"], features.topic_index.get(row["topic"]))
        if row["resource"] or row["topic"]
        else mood + int(row["value"])
        for row in rows
    ]
    assert sorted(found.column(features)) == sorted(column for column in expected if column is not None)


def test_moment_and_people_select_events() -> None:
    """`before` keeps the people and earlier events only; `of` keeps the chosen people and numbers them anew."""
    features, _ = catalogue(12)
    whole = history(events(people=10, each=20, size=12), features)
    earlier = whole.before(50 * DAY)
    assert 0 < len(earlier) < len(whole)
    assert earlier.at.max() < 50 * DAY
    np.testing.assert_array_equal(earlier.seeds, whole.seeds)
    chosen = np.arange(10) % 3 == 1
    some = whole.of(chosen)
    np.testing.assert_array_equal(some.seeds, whole.seeds[chosen])
    np.testing.assert_array_equal(some.seeds[some.person], whole.seeds[whole.person[chosen[whole.person]]])
    assert some.starts.tolist() == np.cumsum([0, *np.bincount(some.person)]).tolist()


def test_no_events_give_an_empty_history() -> None:
    """Nobody at all is no error here: what needs people says so itself."""
    empty = History.from_columns([], [], [], [], [], [], FEATURES)
    assert len(empty) == 0
    assert len(empty.seeds) == 0
    assert empty.starts.tolist() == [0]


def test_wrong_columns_are_refused() -> None:
    """A signal that is not in the catalogue, or columns of different lengths, raise ValueError."""
    with pytest.raises(ValueError, match="catalogue of signals"):
        History.from_columns([b"p"], ["glances"], ["a"], [None], [None], [1], FEATURES)
    with pytest.raises(ValueError, match="differ in length"):
        History.from_columns([b"p"], ["views", "views"], ["a"], [None], [None], [1], FEATURES)
