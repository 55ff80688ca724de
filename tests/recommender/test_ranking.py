import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given

from recommender.profile import ProfileConfig
from recommender.query import HistoryEvent, Query, Strategy
from recommender.ranking import Ranker
from recommender.release import Release
from tests.recommender.catalogues import GRANTED, NOW, event, release, resource
from tests.recommender.questions import (
    CATALOGUE,
    EVERYTHING,
    RANKERS,
    RELEASE,
    allowed,
    grants,
    histories,
    ids,
    queries,
    rankers,
)


@given(rankers, histories, grants, queries)
def test_reasons_add_up_to_the_score_that_ranks(
    name: str, history: list[HistoryEvent], granted: dict[str, str], query: Query
) -> None:
    """Base, contributions and adjustments sum to the score, and the scores descend; equals go by id."""
    ranking = RANKERS[name].rank(history, granted, query, NOW)
    for item in ranking.items:
        total = math.fsum([item.base, *item.values, *item.adjustments.values()])
        assert total == pytest.approx(item.score, abs=1e-9)
        assert math.isfinite(item.score)
        assert len(item.values) == len(ranking.lines)
    order = [(-item.score, item.resource.id) for item in ranking.items]
    if query.diversity:
        assert [score for score, _ in order] == sorted(score for score, _ in order)
        assert all(item.adjustments.get("diversity", 0) <= 0 for item in ranking.items)
    else:
        assert order == sorted(order)
    assert [item.rank for item in ranking.items] == list(range(1, len(ranking.items) + 1))


@given(rankers, histories, queries)
def test_a_counterfactual_is_what_ranking_without_the_signal_gives(
    name: str, history: list[HistoryEvent], query: Query
) -> None:
    """For every signal used: the item's rank in the whole other list, and what stands in the item's place there."""
    check_counterfactuals(RANKERS[name], history, query)


@given(queries)
def test_a_counterfactual_may_be_personal_where_the_list_is_not(query: Query) -> None:
    """Views of what the release never saw fill every window: without views, older saves would count."""
    full = ProfileConfig().longest
    known, unknown = ([resource(f"{kind}{n:02d}", topics=()) for n in range(35)] for kind in ("known", "new"))
    ranker = Ranker([*known, *unknown], release(known))
    history = [event("views", unknown[n % len(unknown)].id, n) for n in range(full)]
    history += [event("saves", each.id, full + n) for n, each in enumerate(known[:5])]
    query = replace(
        query,
        topics=frozenset(),
        kinds=frozenset(),
        context_topics=(),
        exclude_seen=True,
        without=frozenset(),
    )
    ranking = ranker.rank(history, GRANTED, query, NOW)
    assert ranking.strategy is Strategy.EDITORIAL
    others = ranker.rank(history, GRANTED, replace(query, without=frozenset({"views"})), NOW)
    assert others.strategy is Strategy.PERSONALISED
    check_counterfactuals(ranker, history, query)


def check_counterfactuals(ranker: Ranker, history: list[HistoryEvent], query: Query) -> None:
    """Compare what an answer says of each list without a signal with that list."""
    ranking = ranker.rank(history, GRANTED, query, NOW)
    for signal in ranking.signals_used:
        other = ranker.rank(
            history, GRANTED, replace(query, limit=100, without=query.without | {signal}), NOW
        )
        assert signal in other.signals_withheld
        others = ids(other)
        for item in ranking.items:
            told = {each.without: each for each in item.counterfactuals}[signal]
            where = others.index(item.resource.id) + 1 if item.resource.id in others else None
            assert told.rank == where
            there = others[item.rank - 1] if item.rank <= len(others) else None
            assert (told.instead.id if told.instead else None) == (
                None if there == item.resource.id else there
            )


@given(rankers, histories, grants, queries)
def test_filters_never_leak_and_never_hide_more(
    name: str, history: list[HistoryEvent], granted: dict[str, str], query: Query
) -> None:
    """The whole list is exactly what the rules let through, whoever ranks it."""
    ranking = RANKERS[name].rank(history, granted, replace(query, limit=100), NOW)
    assert set(ids(ranking)) == {each.id for each in CATALOGUE if allowed(each, query, history, granted)}


@given(histories, grants)
def test_what_is_not_granted_is_not_looked_at(history: list[HistoryEvent], granted: dict[str, str]) -> None:
    """Rows of other signals change nothing, should they ever arrive; what is used was granted."""
    ranker = RANKERS["release"]
    ranking = ranker.rank(history, granted, EVERYTHING, NOW)
    other = ranker.rank([row for row in history if row.signal in granted], granted, EVERYTHING, NOW)
    assert (ranking.lines, ranking.items) == (other.lines, other.items)
    assert set(ranking.signals_used) <= granted.keys()
    assert set(ranking.signals_withheld) == GRANTED.keys() - granted.keys()
    assert {line.signal for line in ranking.lines} <= granted.keys()


@pytest.mark.parametrize("trained", [None, release([]), RELEASE])
def test_an_empty_catalogue_gives_an_empty_list(trained: Release | None) -> None:
    """Nothing to show is an answer."""
    query = Query(explain="full", context_topics=("sleep",), diversity=0.5)
    ranking = Ranker([], trained).rank([event("views", "r01"), event("topics", "sleep")], GRANTED, query, NOW)
    assert ranking.items == []


def test_the_context_alone_personalises_and_uses_no_signal() -> None:
    """Topics of this call are enough for the model, and nothing stored is used."""
    ranking = RANKERS["release"].rank([], {}, Query(context_topics=("sleep",), explain="full"), NOW)
    assert ranking.strategy is Strategy.PERSONALISED
    assert ranking.signals_used == ()
    assert [(line.signal, line.topic, line.receipt_id) for line in ranking.lines] == [
        ("context", "sleep", None)
    ]
    assert not any(item.counterfactuals for item in ranking.items)


def test_eligibility_is_that_of_the_moment_of_asking() -> None:
    """A resource leaves on the day after its review is due, in UTC, without a new ranker."""
    ranker = Ranker([resource("a", review_due="2026-06-01")])
    last = datetime(2026, 6, 1, 23, 59, 59, tzinfo=UTC)
    assert ids(ranker.rank([], GRANTED, Query(), last)) == ["a"]
    assert ids(ranker.rank([], GRANTED, Query(), last + timedelta(seconds=1))) == []
    assert ids(ranker.rank([], GRANTED, Query(), last)) == ["a"]


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"limit": 101}, {"diversity": -0.1}, {"diversity": 1.1}, {"diversity": math.nan}]
)
def test_a_query_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    """The ranker's bounds are those of the contract."""
    with pytest.raises(ValueError, match="must be from"):
        Query(**wrong)


def test_a_language_with_few_resources_is_filled_up_with_originals() -> None:
    """Who reads a language of which there is little gets that, and the rest in another; nothing twice, and no third language's translations."""
    english = [resource(f"en-{number:02d}", editorial_rank=2) for number in range(12)]
    hindi = [
        resource("hi-a", languages=["hi"], translation_of="en-03", editorial_rank=1),
        resource("hi-b", languages=["hi"], editorial_rank=1),
    ]
    spanish = [resource("es-a", languages=["es"], translation_of="en-05", editorial_rank=1)]
    few = Ranker([*english, *hindi, *spanish])
    found = ids(few.rank([], GRANTED, Query(limit=100, locale="hi-IN"), NOW))
    assert found[:2] == ["hi-a", "hi-b"]
    assert set(found[2:]) == {each.id for each in english} - {"en-03"}
    assert ids(few.rank([], GRANTED, Query(limit=100, languages=frozenset({"hi"})), NOW)) == ["hi-a", "hi-b"]
    enough = Ranker([*english, *(resource(f"hi-{number}", languages=["hi"]) for number in range(10))])
    assert all(
        name.startswith("hi") for name in ids(enough.rank([], GRANTED, Query(limit=100, locale="hi"), NOW))
    )
