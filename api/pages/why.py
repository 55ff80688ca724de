"""Why am I seeing this: the person's list as it is now, with every reason in full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from api.pages.reasons import Reasons, reasons
from api.pages.serving import PageRoute, country, language, page, service_of
from api.pages.sessions import PersonDep
from api.recommending import Recommending
from consent.signals import SIGNALS
from recommender import explanation
from recommender.catalog import Resource
from recommender.query import Query

why = APIRouter(route_class=PageRoute, include_in_schema=False)

SHOWN = 10


@dataclass(frozen=True)
class Reasoned:
    """One item of the list with its reasons."""

    rank: int
    resource: Resource
    score: float
    text: str
    reasons: Reasons
    counterfactuals: Sequence[Mapping[str, Any]]


@why.get("/me/why")
async def show(request: Request, who: PersonDep) -> Response:
    """Rank as the app would, and show the reasons; nothing is recorded."""
    service = service_of(request)
    locale = language(request)
    recommending: Recommending = request.app.state.recommending
    query = Query(limit=SHOWN, locale=locale, explain="full")
    done = await recommending.recommend(who.app_id, who.user_hash, query)
    documents = orjson.loads(orjson.dumps(explanation.items(done.ranking, "full", locale)))
    named = {resource.id: resource.title for resource in done.ranking.shelf.resources}
    titles = {signal.id: signal.texts[locale].title for signal in SIGNALS.values()}
    items = [
        Reasoned(
            item.rank,
            item.resource,
            item.score,
            document["explanation"]["text"],
            reasons(document["explanation"], named),
            document["explanation"]["counterfactuals"],
        )
        for item, document in zip(done.ranking.items, documents, strict=True)
    ]
    return page(
        request,
        "why.html",
        who=who,
        strategy=done.ranking.strategy.value,
        release=done.release_id,
        items=items,
        used=done.ranking.signals_used,
        withheld=done.ranking.signals_withheld,
        titles=titles,
        support=service.support.block(locale, country(request)),
    )
