"""Answering a question for recommendations: one read of what the person grants, one ranking, nothing written."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BigInteger, Float, Select, cast, literal, null, union_all

from api.keys import BadKey, Caller, scopes_of
from api.requests import AnonymousRequest, WhatIfRequest
from api.service import Service
from api.store import key_in_force
from api.tokens import Kind
from consent.pseudonyms import new_id
from consent.purposes import Purpose
from recommender import explanation
from recommender.query import Query, Ranking
from recommender.store import personal_history


class Recommended(NamedTuple):
    """A ranking, and what it was made from and for."""

    ranking: Ranking
    release_id: str | None
    subject_id: str | None
    one_click: bool
    """Whether the answer carries a link that deletes the person."""


def query_of(request: AnonymousRequest) -> Query:
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
        without=frozenset(request.without) if isinstance(request, WhatIfRequest) else frozenset(),
        explain=request.explain,
    )


Rows = Sequence[Any]
"""Of one person: the grants, then the events, as `recommender.store.personal_history` selects them."""

_KEY = "key"
"""Stands in the row of a key where a grant has the person's row, which is no such word."""


def _key_row() -> Select[Any]:
    """Select the scopes of a key that is in force, in the columns of a history."""
    # PostgreSQL finds the types of a union pair by pair, and takes what it does not know for text.
    nothing = [cast(null(), kind) for kind in (Float, BigInteger)]
    return key_in_force().add_columns(literal(_KEY), *nothing)


class Recommending:
    """Answers questions; made once per process, since its query is prepared once."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._support = lru_cache(maxsize=1024)(self._support_block)
        self._points = service.database.points
        history = personal_history(service.notices, lateral=not service.database.is_sqlite)
        self._history = self._points.prepare(history)
        self._history_by_key = self._points.prepare(union_all(_key_row(), *history.selects))

    async def recommend(self, app_id: str, user_hash: bytes | None, query: Query) -> Recommended:
        """Rank for one person, from what they grant at this moment; for nobody (None), from the query alone."""
        return await self.rank(app_id, await self.history(app_id, user_hash), query)

    async def history(self, app_id: str, user_hash: bytes | None) -> Rows:
        """Read what a person grants, and the events under it."""
        if user_hash is None:
            return ()
        values = {"app_id": app_id, "user_hash": user_hash, "now": self._service.clock()}
        return await self._points.rows(self._history, values, Purpose.PERSONALISE)

    async def history_by_key(
        self, app_id: str, user_hash: bytes, key_id: str, secret_hash: bytes
    ) -> tuple[Caller, Rows]:
        """Read the same, and in the same query whether the key of who asks is in force.

        Raises:
            BadKey: it is not, or not this app's.
        """
        values = {"app_id": app_id, "user_hash": user_hash, "now": self._service.clock()}
        values |= {"key_id": key_id, "secret_hash": secret_hash}
        rows = list(await self._points.rows(self._history_by_key, values, Purpose.PERSONALISE))
        for place, row in enumerate(rows):  # it comes first on all databases there are
            if row[2] == _KEY and row[4] is None:
                del rows[place]
                return Caller(app_id, key_id, scopes_of(row[0])), rows
        raise BadKey

    async def rank(self, app_id: str, rows: Rows, query: Query) -> Recommended:
        """Rank from what was read."""
        service = self._service
        granted = {row[0]: row[1] for row in rows if row[4] is None and row[1] is not None}
        history = [row for row in rows if row[4] is not None]
        served = service.models.of(app_id) or await service.models.load(app_id)
        ranking = served.ranker.rank(history, granted, query, service.now())
        return Recommended(ranking, served.release_id, rows[0][2] if rows else None, served.one_click)

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
