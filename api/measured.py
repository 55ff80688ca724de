"""What people of an app granted for `measure`, read through the gate, and what the service would answer them by that alone."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from api.recommending import Recommended, Recommending
from api.service import Service
from consent.permits import granted as granted_by_person
from consent.purposes import Purpose
from evaluation.consented import consented
from evaluation.datasets import Answer, Dataset
from recommender import store
from recommender.query import HistoryEvent, Query


async def measured(service: Service, app_id: str) -> Dataset:
    """Read an app's events that are granted for `measure`, what each person granted, and the catalogue.

    Raises:
        evaluation.errors.DatasetError: nobody has granted anything, or nothing has come in.
    """
    now = service.clock()
    async with service.database.read(app_id, Purpose.MEASURE) as connection:
        events = await store.granted_events(
            connection, app_id, Purpose.MEASURE, now=now, notices=service.notices
        )
        grants = await granted_by_person(connection, app_id, Purpose.MEASURE, now, service.notices)
        resources = await store.list_resources(connection, app_id)
    name = f"Consented events of {app_id}"
    return consented(events, resources, grants, name, await _answer(service, app_id))


async def _answer(service: Service, app_id: str) -> Answer:
    """What answers as the API does, from what it is told in place of what is stored."""
    served = await service.models.load(app_id)
    recommending = Recommending(service)

    def answer(
        history: Sequence[HistoryEvent], granted: Collection[str], *, limit: int, locale: str | None
    ) -> Mapping[str, Any]:
        query = Query(limit=limit, locale=locale, explain="none")
        ranking = served.ranker.rank(history, dict.fromkeys(granted), query, service.now())
        done = Recommended(ranking, served.release_id, None, served.one_click)
        body: Mapping[str, Any] = orjson.loads(orjson.dumps(recommending.document(app_id, None, done, query)))
        return body

    return answer
