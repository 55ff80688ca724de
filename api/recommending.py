"""Answering a question for recommendations: one read of what the person grants, one ranking, nothing written."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from api.requests import AnonymousRequest
from api.service import Service
from api.tokens import Kind
from consent.pseudonyms import new_id
from consent.purposes import Purpose
from recommender import explanation
from recommender.query import Query, Ranking
from recommender.store import personal_history


@dataclass(frozen=True)
class Recommended:
    """A ranking, and what it was made from and for."""

    ranking: Ranking
    release_id: str | None
    subject_id: str | None
    one_click: bool
    """Whether the answer carries a link that deletes the person."""


def query_of(request: AnonymousRequest, without: frozenset[str] = frozenset()) -> Query:
    """Return what the ranker is asked, from what the app asked."""
    wanted, context = request.filter, request.context
    return Query(
        limit=request.limit,
        topics=frozenset(wanted.topics),
        kinds=frozenset(wanted.kinds),
        languages=frozenset(wanted.languages),
        formats=frozenset(wanted.formats),
        max_minutes=wanted.max_minutes,
        exclude=frozenset(wanted.exclude),
        max_shown=wanted.max_shown,
        context_topics=tuple(context.topics),
        context_formats=frozenset(context.formats),
        minutes=context.minutes,
        locale=context.locale,
        region=context.region,
        exclude_seen=request.exclude_seen,
        diversity=request.diversity,
        freshness=request.freshness,
        explore=request.explore,
        without=without,
        explain=request.explain,
    )


class Recommending:
    """Answers questions; made once per process, since its query is prepared once."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._support = lru_cache(maxsize=1024)(self._support_block)
        self._points = service.database.points
        self._history = self._points.prepare(personal_history(service.notices))

    async def recommend(self, app_id: str, user_hash: bytes | None, query: Query) -> Recommended:
        """Rank for one person, from what they grant at this moment; for nobody (None), from the query alone."""
        service = self._service
        rows: Sequence[Any] = ()
        if user_hash is not None:
            values = {"app_id": app_id, "user_hash": user_hash, "now": service.clock()}
            rows = await self._points.rows(self._history, values, Purpose.PERSONALISE)
        granted = {row[0]: row[5] for row in rows if row[5] is not None}
        history = [row[:5] for row in rows if row[4] is not None]
        served = service.models.of(app_id) or await service.models.load(app_id)
        ranking = served.ranker.rank(history, granted, query, service.now())
        return Recommended(ranking, served.release_id, rows[0][6] if rows else None, served.one_click)

    def document(
        self, app_id: str, user_hash: bytes | None, done: Recommended, query: Query
    ) -> dict[str, Any]:
        """Return the answer as the API shows it, ready for orjson."""
        service = self._service
        expires_at = service.clock() + service.settings.link_ttl_s * 1_000_000
        return {
            "recommendation_id": new_id(),
            "strategy": done.ranking.strategy.value,
            "release": done.release_id,
            "items": explanation.items(done.ranking, query.explain, query.locale),
            "signals_used": done.ranking.signals_used,
            "signals_withheld": done.ranking.signals_withheld,
            "support": self._support(query.locale, query.region),
            "controls": None
            if user_hash is None
            else {
                name: service.link(kind, app_id, user_hash, done.subject_id, expires_at)
                for name, kind in _CONTROLS
                if done.one_click or kind is not Kind.ERASE
            },
        }

    def _support_block(self, locale: str | None, region: str | None) -> orjson.Fragment:
        """The support block of a place, as JSON."""
        return orjson.Fragment(orjson.dumps(self._service.support.block(locale, region)))

    def support_only(self, query: Query) -> dict[str, Any]:
        """Return what is said when the database cannot be reached: where to turn, and nothing else."""
        return {"strategy": "support_only", "items": [], "support": self._support(query.locale, query.region)}


_CONTROLS = (("settings_url", Kind.SETTINGS), ("why_url", Kind.WHY), ("erase_url", Kind.ERASE))
