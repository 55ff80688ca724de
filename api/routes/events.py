"""`/v1/events`: what people did, in batches, behind the gate."""

from collections import Counter
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Response

from api.answers import EventResults
from api.database import INGEST
from api.dependencies import ServiceDep, accepts, json_body, requires
from api.idempotency import json_response
from api.keys import Caller, Scope
from api.problems import declared
from api.requests import EventBatch
from recommender import events

router = APIRouter(prefix="/v1", tags=["events"])


@router.post(
    "/events",
    summary="Send what people did",
    openapi_extra=accepts(EventBatch),
    responses={200: {"model": EventResults}, **declared(400, 401, 403, 409, 413, 422, 503)},
)
async def send(
    service: ServiceDep,
    caller: Annotated[Caller, Depends(requires(Scope.EVENTS))],
    body: Annotated[EventBatch, Depends(json_body(EventBatch))],
) -> Response:
    """Store those events that their person grants. Of a refused event nothing is kept. Sending again changes nothing."""
    hashes = {
        user_id: service.pseudonyms.user(caller.app_id, user_id)
        for user_id in {event.user_id for event in body.events}
    }
    batch = [
        events.Incoming(
            event_id=event.event_id,
            user_hash=hashes[event.user_id],
            signal=event.signal,
            resource_id=event.resource_id,
            topic=event.topic,
            value=event.value,
            occurred_at=round(event.occurred_at.timestamp() * 1_000_000),
        )
        for event in body.events
    ]
    async with service.database.write(caller.app_id, INGEST) as connection:
        outcomes = await events.ingest(
            connection, caller.app_id, batch, now=service.clock(), notices=service.notices
        )
    counts = Counter(outcome.status for outcome in outcomes)
    results = [
        {"event_id": each.event_id, "status": each.status.value, "code": each.code} for each in outcomes
    ]
    totals = {status.value: counts[status] for status in events.Status}
    return json_response(200, orjson.dumps({"results": results, **totals}))
