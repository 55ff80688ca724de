"""A catalogue with every kind of rule, rankers over it, and strategies that ask them anything."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from hypothesis import strategies as st

from recommender.catalog import Format, Kind, Resource
from recommender.query import HistoryEvent, Query, Ranking
from recommender.ranking import Ranker
from tests.recommender.catalogues import GRANTED, NOW, TOPICS, event, release, resource

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
    freshness=st.sampled_from([0.0, 0.0, 0.5]),
    max_shown=st.sampled_from([None, None, 1, 3]),
    minutes=st.none() | st.integers(1, 60),
    context_formats=st.just(frozenset()) | st.frozensets(st.sampled_from(Format), max_size=2),
    without=st.frozensets(st.sampled_from(sorted(GRANTED)), max_size=2),
    explain=st.just("full"),
)
rankers = st.sampled_from(sorted(RANKERS))
grants = st.frozensets(st.sampled_from(sorted(GRANTED))).map(
    lambda some: {signal: GRANTED[signal] for signal in some}
)


def ids(ranking: Ranking) -> list[str]:
    """The resources of a list in their order."""
    return [item.resource.id for item in ranking.items]


def allowed(each: Resource, query: Query, history: Sequence[HistoryEvent], granted: Collection[str]) -> bool:
    """The rules of `filters`, told once more one resource at a time."""
    told = [row for row in history if row.signal in granted and row.signal not in query.without]
    concerns = {*query.topics, *query.context_topics, *(row.topic for row in told if row.topic)}
    ruled_out = {term.lower().split("_")[-1] for term in each.contraindications}
    seen = {row.resource_id for row in told if row.signal != "impressions"} if query.exclude_seen else set()
    rated = [
        (row.occurred_at, -(row.value or 0.0), row.resource_id) for row in told if row.signal == "ratings"
    ]
    newest = {resource_id: -stars for _, stars, resource_id in sorted(rated, key=lambda each: each[:2])}
    seen |= {resource_id for resource_id, stars in newest.items() if stars < 3}
    shown = Counter(row.resource_id for row in told if row.signal == "impressions")
    if query.max_shown is not None:
        seen |= {resource_id for resource_id, times in shown.items() if times >= query.max_shown}
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
