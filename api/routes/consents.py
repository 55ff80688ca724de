"""`/v1/users/{user_id}/consents` and receipts: what a person allows, since when, and the proof of it."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api import people
from api.answers import ConsentChanged, ConsentsOut, HistoryOut, NoticeOut, SignalsOut
from api.dependencies import (
    CURSOR,
    RETRIED,
    PageLimit,
    ServiceDep,
    UserId,
    accepts,
    json_body,
    requires,
)
from api.idempotency import json_response, once
from api.keys import Caller, Scope
from api.problems import NO_STORE, declared, invalid, not_found
from api.requests import ConsentRequest
from api.service import Service
from consent import store as ledger
from consent.changes import Request as Choices
from consent.ledger import Actor, Change, Choice
from consent.signals import SIGNALS

router = APIRouter(prefix="/v1", tags=["consent"])
ConsentCaller = Annotated[Caller, Depends(requires(Scope.CONSENT))]


@router.get("/signals", summary="The catalogue of signals", responses={200: {"model": SignalsOut}})
async def signals() -> Response:
    """Every signal: what is kept, for how long, what for, in plain words. Needs no key: everybody may know."""
    return Response(_SIGNALS, media_type="application/json", headers={"Cache-Control": "public, max-age=300"})


_SIGNALS = orjson.dumps(
    {
        "signals": [
            {
                "id": signal.id,
                "about": signal.about.value,
                "value": None
                if signal.values is None
                else {
                    "low": signal.values.low,
                    "high": signal.values.high,
                    "whole": signal.values.whole,
                    "unit": signal.values.unit or None,
                    "kept_as_bands_up_to": list(signal.values.bands) or None,
                },
                "stored": signal.stored,
                "sensitivity": signal.sensitivity.value,
                "retention_days": signal.retention.days,
                "consent_days": signal.consent_lasts.days,
                "owner": signal.owner,
                "purposes": [purpose.value for purpose in signal.purposes],
                "texts": {
                    locale: {"title": text.title, "description": text.description}
                    for locale, text in signal.texts.items()
                },
            }
            for signal in SIGNALS.values()
        ]
    }
)


@router.get(
    "/notices/{locale}",
    summary="The current notice",
    responses={200: {"model": NoticeOut}, **declared(404, 422)},
)
async def notice(
    service: ServiceDep,
    locale: Annotated[
        str,
        Path(
            pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}$", description="A language", examples=["en"]
        ),
    ],
) -> Response:
    """The text to show before someone chooses; send its version and locale with the choice."""
    language = locale.replace("_", "-").split("-")[0].lower()
    if language not in service.notices.locales:
        raise not_found()
    current = service.notices.current(language)
    document = {
        "version": current.version,
        "locale": current.locale,
        "text": current.text,
        "sha256": current.sha256,
    }
    return Response(orjson.dumps(document), media_type="application/json")


@router.get(
    "/users/{user_id}/consents",
    summary="What a person allows",
    responses={200: {"model": ConsentsOut}, **declared(401, 403, 422, 503)},
)
async def consents(service: ServiceDep, caller: ConsentCaller, user_id: UserId) -> Response:
    """Every cell as it stands now; `unknown` is what the person never chose, and is denied like everything not given."""
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    async with service.database.read(caller.app_id) as connection:
        cells = await people.cells(service, connection, caller.app_id, user_hash)
    return json_response(200, orjson.dumps({"consents": [people.cell_json(cell) for cell in cells]}))


@router.put(
    "/users/{user_id}/consents",
    summary="Record a person's choices",
    openapi_extra=accepts(ConsentRequest) | RETRIED,
    responses={200: {"model": ConsentChanged}, **declared(400, 401, 403, 409, 413, 422, 503)},
)
async def change(
    http: Request,
    service: ServiceDep,
    caller: ConsentCaller,
    user_id: UserId,
    body: Annotated[ConsentRequest, Depends(json_body(ConsentRequest))],
) -> Response:
    """Record choices, all or nothing, and answer with every cell and the receipt.

    When a signal loses its last grant, its events are deleted in the same transaction.
    """
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    choices = _choices(service, caller.app_id, body)

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        changed = await people.change(service, connection, caller.app_id, user_hash, choices)
        cells = await people.cells(service, connection, caller.app_id, user_hash)
        return 200, {"consents": [people.cell_json(cell) for cell in cells], "receipt": changed.receipt}

    answer = await once(
        service, http, caller, work, body=body.model_dump_json().encode(), user_hash=user_hash
    )
    if any(each.state != "given" for each in body.changes):  # only then can events have gone
        await service.database.scrub()
    return answer


def _choices(service: Service, app_id: str, body: ConsentRequest) -> Choices:
    if (body.actor.type == "guardian") != (body.actor.id is not None):
        raise invalid("actor.id", "a guardian needs an id, the person themselves has none")
    named = [(change.signal, change.purpose) for change in body.changes]
    if len(set(named)) < len(named):
        raise invalid("changes", "the same signal and purpose stand there twice")
    guardian = service.pseudonyms.guardian(app_id, body.actor.id) if body.actor.id else None
    return Choices(
        changes=[Change(change.signal, change.purpose, Choice(change.state)) for change in body.changes],
        notice_version=body.notice_version,
        locale=body.locale,
        method=body.method,
        actor=Actor(body.actor.type, guardian),
    )


@router.get(
    "/users/{user_id}/consents/history",
    summary="Every consent event of a person",
    responses={200: {"model": HistoryOut}, **declared(401, 403, 422, 503)},
)
async def history(
    service: ServiceDep,
    caller: ConsentCaller,
    user_id: UserId,
    limit: PageLimit = 50,
    cursor: Annotated[str, Query(pattern=r"^[0-9]{1,18}$", description=CURSOR, examples=["17"])] = "",
) -> Response:
    """The ledger's lines about a person, in order."""
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    async with service.database.read(caller.app_id) as connection:
        subject_id = await ledger.find_subject(connection, caller.app_id, user_hash)
        after = int(cursor) if cursor else -1
        found = (
            await ledger.history(connection, caller.app_id, subject_id, after, limit + 1)
            if subject_id
            else []
        )
    page = found[:limit]
    document = {
        "events": [people.history_json(event) for event in page],
        "next_cursor": str(page[-1].seq) if len(found) > limit else None,
    }
    return json_response(200, orjson.dumps(document))


@router.get(
    "/users/{user_id}/receipts/{receipt_id}",
    summary="A receipt",
    responses={
        200: {
            "description": "The receipt: JSON, or a signed JWS when `Accept` says application/jose",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "application/jose": {"schema": {"type": "string"}},
            },
        },
        **declared(401, 403, 404, 422, 503),
    },
)
async def receipt(
    http: Request,
    service: ServiceDep,
    caller: ConsentCaller,
    user_id: UserId,
    receipt_id: Annotated[
        str,
        Path(
            pattern=r"^[0-9a-f]{32}$",
            description="Its id, as a choice was answered with",
            examples=["9f86d081884c7d659a2feaa0c55ad015"],
        ),
    ],
) -> Response:
    """A receipt of a change of consent, as the person can keep it."""
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    async with service.database.read(caller.app_id) as connection:
        subject_id = await ledger.find_subject(connection, caller.app_id, user_hash)
        found = (
            await ledger.find_receipt(connection, caller.app_id, subject_id, receipt_id)
            if subject_id
            else None
        )
    if found is None:
        raise not_found()
    body, jws = found
    if "application/jose" in http.headers.get("accept", ""):
        return Response(jws, media_type="application/jose", headers=NO_STORE)
    return json_response(200, orjson.dumps(body))
