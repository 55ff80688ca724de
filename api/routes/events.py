"""`/v1/events`: what people did, in batches, behind the gate."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import EventResults
from api.database import INGEST
from api.dependencies import RETRIED, ServiceDep, accepts, json_body, requires
from api.idempotency import Document, Shortened, once
from api.keys import Caller, Scope
from api.problems import declared
from api.requests import EventBatch
from recommender import events

router = APIRouter(prefix="/v1", tags=["events"])


@router.post(
    "/events",
    summary="Send what people did",
    openapi_extra=accepts(EventBatch) | RETRIED,
    responses={200: {"model": EventResults}, **declared(400, 401, 403, 409, 413, 422, 503)},
)
async def send(
    http: Request,
    service: ServiceDep,
    caller: Annotated[Caller, Depends(requires(Scope.EVENTS))],
    body: Annotated[EventBatch, Depends(json_body(EventBatch))],
) -> Response:
    """Store those events that their person grants. Of a refused event nothing is kept.

    What happened while somebody had said no is refused, whatever they said since.

    An event is stored once under its `event_id`, so sending again changes nothing, and tells `duplicate`; under an
    `Idempotency-Key` it is answered as it was the first time.
    """
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

    async def work(connection: AsyncConnection) -> tuple[int, Document]:
        outcomes = await events.ingest(
            connection, caller.app_id, batch, now=service.clock(), notices=service.notices
        )
        return 200, _document(body, [(each.status.value, each.code) for each in outcomes])

    return await once(
        service,
        http,
        caller,
        work,
        body=body.model_dump_json().encode(),
        purpose=INGEST,
        # Of the answer is kept what became of the first, the second and so on: no id of an event, and nobody's name.
        kept_as=Shortened(_outcomes, lambda kept: _document(body, orjson.loads(kept))),
    )


def _document(body: EventBatch, outcomes: Iterable[tuple[str, str | None]]) -> dict[str, Any]:
    results = [
        {"event_id": event.event_id, "status": status, "code": code}
        for event, (status, code) in zip(body.events, outcomes, strict=True)
    ]
    counts = Counter(result["status"] for result in results)
    return {"results": results, **{status.value: counts[status.value] for status in events.Status}}


def _outcomes(document: Document) -> bytes:
    return orjson.dumps([(result["status"], result["code"]) for result in document["results"]])
