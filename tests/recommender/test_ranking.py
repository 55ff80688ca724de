import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.signals import SIGNALS
from recommender import editorial
from recommender.catalog import Format, Kind, Resource
from recommender.history import SIGNAL_IDS, History
from recommender.lines import read_lines
from recommender.profile import Features, ProfileConfig
from recommender.query import HistoryEvent, Query, Ranking, Strategy
from recommender.ranking import Ranker, topic_matrix
from recommender.release import Release
from recommender.selection import Lists
from recommender.snapshots import present_profiles
from tests.recommender.catalogues import NOW, TOPICS, event, release, resource

RNG = np.random.default_rng(5)
CATALOGUE = [
    resource(
        f"r{number:02d}",
        topics=tuple(sorted(RNG.choice(TOPICS, RNG.integers(0, 3), replace=False))),
        kind=list(Kind)[number % len(Kind)],
        minutes=None if number % 5 == 0 else number,
        languages=("es", "en") if number % 9 == 1 else ("es",) if number % 7 == 2 else ("en-GB",),
        regions=("GB", "IE") if number % 8 == 3 else ("MX",) if number % 8 == 4 else (),
        contraindications=("recent_trauma", "work")
        if number % 11 == 5
        else ("Grief",)
        if number % 11 == 6
        else (),
        intensity="demanding" if number % 22 == 5 else "gentle",
        status="draft" if number == 8 else "published",
        review_due="2026-05-31" if number == 9 else "2026-06-01",
        source=None if number == 10 else {"name": "A charity", "kind": "charity"},
        editorial_rank=number if number % 13 == 0 and number else None,
        translation_of="r01" if number % 7 == 2 else None,
    )
    for number in range(60)
]
IDS = [each.id for each in CATALOGUE]
RELEASE = release(CATALOGUE)
RANKERS = {
    "release": Ranker(CATALOGUE, RELEASE),
    "ties": Ranker(CATALOGUE, release(CATALOGUE, components=2, grain=1.0)),
    "editors": Ranker(CATALOGUE),
    "older": Ranker(CATALOGUE, release(CATALOGUE[::2], seed=3, shards=3)),
}
ALL = frozenset(SIGNALS)
EVERYTHING = Query(limit=100, explain="full")

resource_events = st.builds(
    event,
    st.sampled_from(["views", "completions", "saves", "groups", "time_spent", "impressions"]),
    st.sampled_from([*IDS, "deleted"]),
    st.integers(0, 40),
)
topic_events = st.builds(
    event, st.sampled_from(["topics", "searches"]), st.sampled_from([*TOPICS, "unknown"]), st.integers(0, 40)
)
ratings = st.builds(
    lambda about, stars, ago: event("ratings", about, ago)._replace(value=float(stars)),
    st.sampled_from(IDS), st.integers(1, 5), st.integers(0, 40),
)  # fmt: skip
check_ins = st.builds(event, st.just("check_ins"), st.integers(1, 5).map(float), st.integers(0, 40))
histories = st.lists(resource_events | topic_events | ratings | check_ins, max_size=40).map(
    lambda events: sorted(events, key=lambda each: each.occurred_at, reverse=True)
)
queries = st.builds(
    Query,
    limit=st.integers(1, 100),
    topics=st.frozensets(st.sampled_from(TOPICS), max_size=2),
    kinds=st.just(frozenset()) | st.frozensets(st.sampled_from(Kind), max_size=4),
    languages=st.just(frozenset()) | st.frozensets(st.sampled_from(["en", "es", "fr", "es-MX"]), max_size=2),
    formats=st.just(frozenset()) | st.frozensets(st.sampled_from(Format), max_size=3),
    max_minutes=st.none() | st.integers(1, 60),
    exclude=st.frozensets(st.sampled_from([*IDS, "nothing"]), max_size=5),
    context_topics=st.lists(st.sampled_from([*TOPICS, "unknown"]), max_size=3).map(tuple),
    locale=st.sampled_from([None, "en", "en-US", "es_MX", "fr"]),
    region=st.sampled_from([None, "GB", "MX", "US"]),
    exclude_seen=st.booleans(),
    diversity=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    without=st.frozensets(st.sampled_from(sorted(ALL)), max_size=2),
    explain=st.just("full"),
)
rankers = st.sampled_from(sorted(RANKERS))
grants = st.frozensets(st.sampled_from(sorted(ALL))) | st.just(ALL)


def _ids(ranking: Ranking) -> list[str]:
    return [item.resource.id for item in ranking.items]


@given(rankers, histories, grants, queries)
@settings(deadline=None)
def test_reasons_add_up_to_the_score_that_ranks(
    name: str, history: list[HistoryEvent], granted: frozenset[str], query: Query
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
        assert all(item.adjustments["diversity"] <= 0 for item in ranking.items)
    else:
        assert order == sorted(order)
    assert [item.rank for item in ranking.items] == list(range(1, len(ranking.items) + 1))


@given(rankers, histories, queries)
@settings(deadline=None)
def test_a_counterfactual_is_what_ranking_without_the_signal_gives(
    name: str, history: list[HistoryEvent], query: Query
) -> None:
    """For every signal used: the item's rank in the whole other list, and what stands in the item's place there."""
    ranker = RANKERS[name]
    ranking = ranker.rank(history, ALL, query, NOW)
    for signal in ranking.signals_used:
        other = ranker.rank(history, ALL, replace(query, limit=100, without=query.without | {signal}), NOW)
        assert signal in other.signals_withheld
        others = _ids(other)
        for item in ranking.items:
            told = {each.without: each for each in item.counterfactuals}[signal]
            where = others.index(item.resource.id) + 1 if item.resource.id in others else None
            assert told.rank == where
            there = others[item.rank - 1] if item.rank <= len(others) else None
            assert (told.instead.id if told.instead else None) == (
                None if there == item.resource.id else there
            )


def _allowed(each: Resource, query: Query, history: Sequence[HistoryEvent], granted: Collection[str]) -> bool:
    """The rules of `filters`, told once more one resource at a time."""
    told = [row for row in history if row.signal in granted and row.signal not in query.without]
    concerns = {*query.topics, *query.context_topics, *(row.topic for row in told if row.topic)}
    ruled_out = {term.lower().split("_")[-1] for term in each.contraindications}
    seen = {row.resource_id for row in told if row.signal != "impressions"} if query.exclude_seen else set()
    spoken = {name[:2] for name in each.languages}
    wanted = {name[:2] for name in query.languages} or ({query.locale[:2]} if query.locale else set())
    if wanted and not query.languages and not wanted & {"en", "es"}:
        wanted = set()
    return (
        each.eligible(NOW.date())
        and not (each.intensity == "demanding" and each.contraindications)
        and not ruled_out & concerns
        and bool(spoken & wanted if wanted else each.translation_of is None)
        and (not each.regions or query.region in each.regions)
        and (not query.topics or bool(query.topics & set(each.topics)))
        and (not query.kinds or each.kind in query.kinds)
        and (not query.formats or bool(query.formats & each.formats))
        and (query.max_minutes is None or (each.minutes is not None and each.minutes <= query.max_minutes))
        and each.id not in query.exclude | seen
    )


@given(rankers, histories, grants, queries)
@settings(deadline=None)
def test_filters_never_leak_and_never_hide_more(
    name: str, history: list[HistoryEvent], granted: frozenset[str], query: Query
) -> None:
    """The whole list is exactly what the rules let through, whoever ranks it."""
    ranking = RANKERS[name].rank(history, granted, replace(query, limit=100), NOW)
    assert set(_ids(ranking)) == {each.id for each in CATALOGUE if _allowed(each, query, history, granted)}


@given(rankers, histories, queries, st.randoms(use_true_random=False))
@settings(deadline=None)
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
    one, other = ranker.rank(history, ALL, query, NOW), ranker.rank(shuffled, ALL, query, NOW)
    assert one.lines == other.lines or not one.items
    assert [(item.resource.id, item.score, item.counterfactuals) for item in one.items] == [
        (item.resource.id, item.score, item.counterfactuals) for item in other.items
    ]


def test_rows_of_one_moment_weigh_by_their_content_and_not_by_their_place() -> None:
    """Twelve events at once do not fit the smallest window; which of them do is not for the database to decide."""
    history = [event("views", each) for each in IDS[:12]]
    one, other = (RANKERS["release"].rank(rows, ALL, EVERYTHING, NOW) for rows in (history, history[::-1]))
    assert one == other


@given(histories, grants)
@settings(deadline=None)
def test_what_is_not_granted_is_not_looked_at(history: list[HistoryEvent], granted: frozenset[str]) -> None:
    """Rows of other signals change nothing, should they ever arrive; what is used was granted."""
    ranker = RANKERS["release"]
    ranking = ranker.rank(history, granted, EVERYTHING, NOW)
    assert ranking == ranker.rank([row for row in history if row.signal in granted], granted, EVERYTHING, NOW)
    assert set(ranking.signals_used) <= granted
    assert set(ranking.signals_withheld) == ALL - granted
    assert {line.signal for line in ranking.lines} <= granted


@given(histories)
@settings(deadline=None)
def test_scores_are_those_of_the_release(history: list[HistoryEvent]) -> None:
    """One dot product of the training's own profile with the release's own arrays, in plain floating point."""
    distinct = [row._replace(occurred_at=10_000 - place) for place, row in enumerate(history)]
    ranking = RANKERS["release"].rank(distinct, ALL, replace(EVERYTHING, exclude_seen=False), NOW)
    if ranking.strategy is Strategy.EDITORIAL:
        return
    features = Features(tuple(IDS), TOPICS)
    signals, resources, topics, values, times, _ = zip(*distinct, strict=True)
    past = History.from_columns(
        [b"p"] * len(distinct), signals, resources, topics, np.array(values, dtype=float), times, features
    )
    profile = present_profiles(past, features, RELEASE.manifest.config.profile).toarray()[0]
    matrix = topic_matrix(sorted(CATALOGUE, key=lambda each: each.id), features)
    outputs, biases = RELEASE.outputs(features, matrix)
    expected = biases + outputs @ (profile @ RELEASE.inputs(features, matrix))
    for item in ranking.items:
        assert item.score == pytest.approx(float(expected[IDS.index(item.resource.id)]), abs=2e-5)


@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
    st.sampled_from([2, 10, 10**9]),
    st.integers(1, 100),
)
@settings(deadline=None)
def test_picking_agrees_with_sorting(lists: int, blocks: int, seed: int, values: int, count: int) -> None:
    """The best and the places are those of a full sort by score and row, with few values and so many ties too."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, values, (lists, 100 * blocks)).astype(float)
    scores[rng.random(scores.shape) < rng.random()] = -np.inf
    rows = rng.choice(scores.shape[1], 7, replace=False)
    sorted_once = Lists(scores)
    for number, head in enumerate(sorted_once.best(count)):
        listed = [
            row
            for row in np.lexsort((np.arange(scores.shape[1]), -scores[number]))
            if scores[number, row] > -np.inf
        ]
        assert head.tolist() == listed[:count]
        assert sorted_once.places(rows, number).tolist() == [
            listed.index(row) + 1 if row in listed else 0 for row in rows
        ]


def test_scores_stay_exact_with_many_components_and_large_numbers() -> None:
    """Biases and embeddings of very different sizes still give reasons that add up, and no score that is no number."""
    for scale in (1e-6, 1.0, 1e6):
        trained = release(CATALOGUE, components=128, shards=4)
        shards = tuple(
            replace(each, resource_biases=each.resource_biases * np.float32(scale)) for each in trained.shards
        )
        ranker = Ranker(CATALOGUE, replace(trained, shards=shards))
        scorer = ranker._scorer
        assert scorer is not None
        assert np.array_equal(scorer.outputs, np.rint(scorer.outputs))
        ranking = ranker.rank([event("views", "r01")], ALL, EVERYTHING, NOW)
        assert ranking.items
        for item in ranking.items:
            assert item.base + sum(item.values) == item.score


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_release_with_numbers_that_are_not_finite_is_refused(wrong: float) -> None:
    """Better no new ranker than one that answers NaN."""
    broken = release(CATALOGUE)
    broken.shards[0].feature_embeddings[0, 0] = wrong
    with pytest.raises(ValueError, match="not finite"):
        Ranker(CATALOGUE, broken)


def test_two_resources_may_not_share_an_id() -> None:
    """An id is a row."""
    with pytest.raises(ValueError, match="share an id"):
        Ranker([CATALOGUE[0], CATALOGUE[0]])


@pytest.mark.parametrize("trained", [None, release([]), RELEASE])
def test_an_empty_catalogue_gives_an_empty_list(trained: Release | None) -> None:
    """Nothing to show is an answer."""
    query = Query(explain="full", context_topics=("sleep",), diversity=0.5)
    ranking = Ranker([], trained).rank([event("views", "r01"), event("topics", "sleep")], ALL, query, NOW)
    assert ranking.items == ()


def test_who_shares_nothing_gets_the_editors_list() -> None:
    """Editors' ranks come first, then one of each kind in turn; nothing is used and everything withheld."""
    ranking = RANKERS["release"].rank([], frozenset(), EVERYTHING, NOW)
    assert ranking.strategy is Strategy.EDITORIAL
    assert (ranking.signals_used, ranking.signals_withheld) == ((), tuple(SIGNALS))
    ranked = [
        each.editorial_rank for each in (item.resource for item in ranking.items) if each.editorial_rank
    ]
    assert [item.resource.editorial_rank for item in ranking.items[: len(ranked)]] == sorted(ranked)
    rest = [item.resource.kind for item in ranking.items[len(ranked) :]]
    assert len(set(rest[:6])) >= 5


def test_one_kind_does_not_fill_the_head_of_the_editors_list() -> None:
    """Without editors' ranks the best of each kind comes before the second of any; stronger evidence first."""
    shelf = [resource(name) for name in "abc"] + [
        resource("d", kind="exercise"),
        resource("e", evidence="trial"),
    ]
    assert _ids(Ranker(shelf).rank([], ALL, Query(), NOW)) == ["e", "d", "a", "b", "c"]


def test_the_editors_list_puts_the_calls_topics_first_and_lifts_the_region() -> None:
    """Topics of the call come before everything, what serves its region rises by ten places; each says what it adds."""
    shelf = [
        resource("anywhere", topics=[], editorial_rank=1),
        resource("near", topics=[], regions=["GB"]),
        resource("about", topics=["sleep"]),
    ]
    ranking = Ranker(shelf).rank([], ALL, Query(region="GB", context_topics=("sleep",)), NOW)
    assert _ids(ranking) == ["about", "near", "anywhere"]
    assert ranking.items[0].values == [2.0]
    assert ranking.items[1].adjustments == {"region": editorial.NEARBY}
    crowd = [resource(f"place-{number:02}", editorial_rank=number) for number in range(1, 21)]
    local = resource("near", regions=["GB"], editorial_rank=21)
    assert _ids(Ranker([*crowd, local]).rank([], ALL, Query(region="GB", limit=20), NOW)).index("near") == 10


def test_the_context_alone_personalises_and_uses_no_signal() -> None:
    """Topics of this call are enough for the model, and nothing stored is used."""
    ranking = RANKERS["release"].rank([], frozenset(), Query(context_topics=("sleep",), explain="full"), NOW)
    assert ranking.strategy is Strategy.PERSONALISED
    assert ranking.signals_used == ()
    assert [(line.signal, line.topic, line.receipt_id) for line in ranking.lines] == [
        ("context", "sleep", None)
    ]
    assert not any(item.counterfactuals for item in ranking.items)


def test_what_the_model_does_not_know_falls_back_to_the_editors() -> None:
    """A view of a resource without any known feature personalises nothing, but still is not shown again."""
    lonely = [*CATALOGUE, resource("new", topics=[], editorial_rank=1)]
    ranking = Ranker(lonely, RELEASE).rank([event("views", "new")], ALL, EVERYTHING, NOW)
    assert ranking.strategy is Strategy.EDITORIAL
    assert "new" not in _ids(ranking)
    assert ranking.signals_used == ("views",)


def test_a_new_resource_is_ranked_by_its_topics() -> None:
    """What came after training gets the score of its topics' parts."""
    shelf = [*CATALOGUE, resource("new-a", topics=["sleep"]), resource("new-b", topics=["sleep"])]
    ranking = Ranker(shelf, RELEASE).rank([event("views", "r01")], ALL, EVERYTHING, NOW)
    scores = {item.resource.id: item.score for item in ranking.items}
    assert scores["new-a"] == scores["new-b"] != 0
    found = _ids(ranking)
    assert found.index("new-b") == found.index("new-a") + 1


def test_a_low_rating_does_not_speak_for_anything_but_hides_what_was_rated() -> None:
    """Two stars are no interest; the resource is known already."""
    rating = event("ratings", "r01")._replace(value=2.0)
    ranking = RANKERS["release"].rank([rating, event("views", "r02")], ALL, EVERYTHING, NOW)
    assert {line.signal for line in ranking.lines} == {"views"}
    assert "r01" not in _ids(ranking)
    assert ranking.signals_used == ("views", "ratings")


def test_what_was_only_shown_may_be_shown_again() -> None:
    """An impression is not a use."""
    ranking = RANKERS["release"].rank([event("impressions", "r01")], ALL, EVERYTHING, NOW)
    assert "r01" in _ids(ranking)
    assert ranking.signals_used == ()


def test_several_events_with_one_thing_are_one_line_with_the_newest_receipt() -> None:
    """Lines are by signal and thing; a renewed consent shows as the newest receipt."""
    history = [
        event("views", "r01", 1, receipt="new"),
        event("saves", "r01", 2),
        event("views", "r01", 3, receipt="old"),
    ]
    ranking = RANKERS["release"].rank(history, ALL, EVERYTHING, NOW)
    assert [(line.signal, line.resource_id, line.receipt_id) for line in ranking.lines] == [
        ("views", "r01", "new"),
        ("saves", "r01", "receipt-saves"),
    ]


def test_eligibility_is_that_of_the_moment_of_asking() -> None:
    """A resource leaves on the day after its review is due, in UTC, without a new ranker."""
    ranker = Ranker([resource("a", review_due="2026-06-01")])
    last = datetime(2026, 6, 1, 23, 59, 59, tzinfo=UTC)
    assert _ids(ranker.rank([], ALL, Query(), last)) == ["a"]
    assert _ids(ranker.rank([], ALL, Query(), last + timedelta(seconds=1))) == []
    assert _ids(ranker.rank([], ALL, Query(), last)) == ["a"]


def test_diversity_moves_near_repeats_down() -> None:
    """Without it the alikes fill the head; with it something else comes second."""
    shelf = [resource(name, topics=["sleep"], editorial_rank=1) for name in "abc"] + [
        resource("d", topics=["grief"])
    ]
    ranker = Ranker(shelf)
    assert _ids(ranker.rank([], ALL, Query(), NOW)) == ["a", "b", "c", "d"]
    diverse = ranker.rank([], ALL, Query(diversity=1.0), NOW)
    assert _ids(diverse)[:2] == ["a", "d"]
    assert diverse.items[0].adjustments == {"diversity": 0.0}


@pytest.mark.parametrize("name", sorted(RANKERS))
def test_similar_resources_come_nearest_first_and_filtered(name: str) -> None:
    """Never the resource itself, nothing that may not be shown, similarities from 0 to 1."""
    query = Query(limit=100, max_minutes=40, exclude=frozenset({"r03"}))
    found = RANKERS[name].similar("r01", query, NOW)
    assert found
    assert [value for _, value in found] == sorted((value for _, value in found), reverse=True)
    for each, value in found:
        assert 0 < value <= 1 + 1e-6
        assert each.id != "r01"
        assert _allowed(each, query, [], ALL)


def test_similar_without_a_release_is_by_topics() -> None:
    """The one with the same topics is nearest; one with none of them is not similar."""
    shelf = [
        resource("a", topics=["sleep", "work"]),
        resource("b", topics=["sleep"]),
        resource("c", topics=["work", "sleep"]),
        resource("d"),
    ]
    assert [each.id for each, _ in Ranker(shelf).similar("a", Query(), NOW)] == ["c", "b"]


def test_similar_to_an_unknown_resource_is_an_error() -> None:
    """The caller asked for something that is not there."""
    with pytest.raises(KeyError):
        RANKERS["release"].similar("nothing", Query(), NOW)


def test_the_payload_is_the_whole_resource() -> None:
    """What goes out as JSON reads back as the same resource."""
    for item in RANKERS["editors"].rank([], ALL, EVERYTHING, NOW).items:
        assert Resource.model_validate(orjson.loads(item.payload)) == item.resource


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"limit": 101}, {"diversity": -0.1}, {"diversity": 1.1}, {"diversity": math.nan}]
)
def test_a_query_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    """The ranker's bounds are those of the contract."""
    with pytest.raises(ValueError, match="must be from"):
        Query(**wrong)


@given(histories)
@settings(deadline=None)
def test_serving_weighs_as_training_does(history: list[HistoryEvent]) -> None:
    """The lines' weights, laid out over the features, are the row that training makes of the same events."""
    distinct = [row._replace(occurred_at=10_000 - place) for place, row in enumerate(history)]
    features, config = (
        Features(tuple(IDS), TOPICS),
        ProfileConfig(strengths={name: 0.3 + 0.1 * n for n, name in enumerate(SIGNAL_IDS[:9])}),
    )
    told = read_lines(distinct, ALL, features, config)
    served = np.zeros(len(features))
    np.add.at(served, told.columns, told.weights([-1], config)[0])
    if not distinct:
        assert not served.any()
        return
    signals, resources, topics, values, times, _ = zip(*distinct, strict=True)
    past = History.from_columns(
        [b"p"] * len(distinct), signals, resources, topics, np.array(values, dtype=float), times, features
    )
    trained = present_profiles(past, features, config).toarray()
    np.testing.assert_allclose(served, trained[0] if len(trained) else 0.0, atol=1e-6)
