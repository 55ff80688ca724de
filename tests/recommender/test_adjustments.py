from typing import Any

import pytest

from recommender.adjustments import PER_SHOWING, SHOWINGS, SUITS
from recommender.catalog import Format
from recommender.query import Query, Ranking
from recommender.ranking import Ranker
from tests.recommender.catalogues import GRANTED, NOW, event, release, resource
from tests.recommender.questions import EVERYTHING, RANKERS, ids

SHELF = [resource(f"r{number}", topics=["sleep" if number % 2 else "work"]) for number in range(8)]


def _editors(*history: Any, shelf: Any = SHELF, **query: Any) -> Ranking:
    return Ranker(shelf).rank(list(history), GRANTED, Query(explain="full", **query), NOW)


def _added(ranking: Ranking, name: str) -> dict[str, float]:
    return {item.resource.id: item.adjustments[name] for item in ranking.items}


def test_what_was_shown_comes_later_every_time_and_is_not_hidden() -> None:
    """An impression is not a use: each one lowers a little, up to a bound, and consent to it is named as used."""
    once, often = event("impressions", "r0", 1), [event("impressions", "r1", 2 + ago) for ago in range(20)]
    ranking = _editors(once, *often)
    lowered = _added(ranking, "shown_before")
    assert lowered["r1"] == pytest.approx(SHOWINGS * lowered["r0"], rel=2e-3)
    assert lowered["r0"] < 0
    assert {lowered[name] for name in ids(ranking) if name not in {"r0", "r1"}} == {0.0}
    assert ids(ranking).index("r1") > 4 > ids(ranking).index("r0")
    assert ranking.signals_used == ("impressions",)
    assert {each.without for each in ranking.items[0].counterfactuals} == {"impressions"}


def test_a_limit_of_showings_hides_what_reached_it() -> None:
    """Only what was shown as often; without the signal the limit knows nothing."""
    history = [event("impressions", "r0", 1), event("impressions", "r1", 2), event("impressions", "r1", 3)]
    assert "r1" not in ids(_editors(*history, max_shown=2))
    assert "r0" in ids(_editors(*history, max_shown=2))
    assert "r1" in ids(_editors(*history, max_shown=2, without=frozenset({"impressions"})))


def test_what_was_not_helpful_is_gone_at_once_and_what_is_like_it_comes_later() -> None:
    """Also when seen resources are not left out; a better rating since then takes it back."""
    low, high = (event("ratings", "r1", ago)._replace(value=stars) for ago, stars in ((5, 1.0), (1, 5.0)))
    ranking = _editors(low, exclude_seen=False)
    assert "r1" not in ids(ranking)
    lowered = _added(ranking, "not_helpful")
    assert lowered["r3"] < 0 == lowered["r0"]
    assert "r1" in ids(_editors(high, low, exclude_seen=False))
    assert "not_helpful" not in _editors(high, low, exclude_seen=False).adjustments


def test_time_and_format_of_the_moment_lift_what_suits_and_hide_nothing() -> None:
    """What is longer comes later, what does not say stays; the format that suits comes up."""
    shelf = [
        resource("long", minutes=30, kind="video"),
        resource("short", minutes=5),
        resource("silent"),
    ]
    ranking = _editors(shelf=shelf, minutes=10, context_formats=frozenset({Format.VIDEO}))
    added = _added(ranking, "time")
    assert added["short"] == pytest.approx(-added["long"])
    assert added["short"] > 0 == added["silent"]
    assert _added(ranking, "format") == pytest.approx({"long": added["short"], "short": 0.0, "silent": 0.0})
    assert set(ids(ranking)) == {"long", "short", "silent"}


def test_freshness_halves_with_every_quarter_of_a_year() -> None:
    """By the day of the review; as much as was asked for."""
    shelf = [
        resource("new", reviewed_at="2026-06-01"),
        resource("older", reviewed_at="2026-03-02"),
        resource("old", reviewed_at="2025-12-01"),
    ]
    added = _added(_editors(shelf=shelf, freshness=1.0), "freshness")
    assert added["older"] == pytest.approx(added["new"] / 2, rel=2e-3)
    assert added["old"] == pytest.approx(added["new"] / 4, rel=2e-3)
    assert _added(_editors(shelf=shelf, freshness=0.5), "freshness")["new"] == pytest.approx(
        added["new"] / 2, rel=2e-3
    )


@pytest.mark.parametrize("name", sorted(RANKERS))
def test_a_rule_counts_in_spreads_of_the_list(name: str) -> None:
    """Beside a model and beside the editors alike: half a spread for what suits, a quarter per showing."""
    history = [event("views", "r02", 1), event("impressions", "r06", 2)]
    plain = RANKERS[name].rank(history[:1], GRANTED, EVERYTHING, NOW)
    spread = float(plain.scores.std())
    moved = RANKERS[name].rank(history, GRANTED, Query(limit=100, minutes=20), NOW)
    assert _added(moved, "shown_before")["r06"] == pytest.approx(-PER_SHOWING * spread, rel=1e-3)
    assert _added(moved, "time")["r06"] == pytest.approx(SUITS * spread, rel=1e-3)


def test_without_anything_to_adjust_there_are_no_adjustments() -> None:
    """The plain question is answered by the scores alone."""
    ranking = Ranker(SHELF, release(SHELF)).rank([event("views", "r1")], GRANTED, EVERYTHING, NOW)
    assert ranking.adjustments == {}
