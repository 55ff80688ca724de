"""`/v1/users/{user_id}/consents` and receipts: what a person allows, since when, and the proof of it."""

from dataclasses import replace
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api import negotiation, people, transparency
from api.answers import ConsentChanged, ConsentsOut, HistoryOut, SignalsOut
from api.arrivals import Arrival, Known
from api.dependencies import (
    CURSOR,
    LARGEST,
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
from api.log_answers import ReceiptOut
from api.problems import declared, invalid, not_found
from api.receipts import FORMATS, JSON, JWS, RECORD_FORMATS
from api.requests import ConsentRequest
from api.routes.prompts import acting
from api.service import Service
from consent import store as ledger
from consent.changes import Request as Choices
from consent.ledger import Change, Choice
from consent.receipts import records as receipts
from consent.signals import SIGNALS

router = APIRouter(prefix="/v1", tags=["consent"])
ConsentCaller = Annotated[Caller, Depends(requires(Scope.CONSENT))]
ReceiptId = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{32}$",
        description="Its id, as a choice was answered with",
        examples=["9f86d081884c7d659a2feaa0c55ad015"],
    ),
]


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
                    locale: {
                        "title": text.title,
                        "description": text.description,
                        "stored": text.stored,
                    }
                    for locale, text in signal.texts.items()
                },
            }
            for signal in SIGNALS.values()
        ]
    }
)


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
    return json_response(200, orjson.dumps(people.consents_json(service, user_hash, cells)))


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

    When a signal loses its last grant, its events are deleted in the same transaction; also what was kept under a grant that
    ran out and is given anew. All changes of an app have
    one order, and a no wins: something given without knowledge of a later no (later than `as_of`, or than this
    request's arrival) is 409, and nothing of the request is recorded.
    """
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    known = await _known(service, caller.app_id, user_hash, body, http.scope["arrival"])
    choices = replace(_choices(service, caller.app_id, body), known=known.lines, arrived=known.arrived)

    events_went = any(each.state != "given" for each in body.changes)

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        nonlocal events_went
        changed = await people.change(service, connection, caller.app_id, user_hash, choices)
        events_went |= bool(changed.signals_lost)  # something given anew may have lapsed before
        under_way.takes(changed.leaves[0].index)
        cells = await people.cells(service, connection, caller.app_id, user_hash)
        told = {
            "receipt": changed.receipt,
            "log": transparency.promised(changed.leaves),
            "erasure_id": changed.erasure_id,
        }
        return 200, people.consents_json(service, user_hash, cells) | told

    async with service.changes.under_way(caller.app_id, user_hash) as under_way:
        answer = await once(
            service, http, caller, work, body=body.model_dump_json().encode(), user_hash=user_hash
        )
    if events_went:
        await service.database.scrub()
    return answer


async def _known(
    service: Service, app_id: str, user_hash: bytes, body: ConsentRequest, arrival: Arrival
) -> Known:
    """Return what whoever chose can have known of the ledger: no more than `as_of`, and nothing after the arrival."""
    rows = await service.database.points.rows(service.ledger_size, {"app_id": app_id}, "")
    return service.changes.known(app_id, user_hash, arrival, size=int(rows[0][0]), as_of=body.as_of)


def _choices(service: Service, app_id: str, body: ConsentRequest) -> Choices:
    named = [(change.signal, change.purpose) for change in body.changes]
    if len(set(named)) < len(named):
        raise invalid("changes", "the same signal and purpose stand there twice")
    return Choices(
        changes=[Change(change.signal, change.purpose, Choice(change.state)) for change in body.changes],
        notice_version=body.notice_version,
        locale=body.locale,
        method=body.method,
        actor=acting(service, app_id, body.actor),
        prompt_id=body.prompt_id,
        **_shown(service, body),
    )


def _shown(service: Service, body: ConsentRequest) -> dict[str, Any]:
    """Return what the app says of the showing that was chosen on."""
    if body.shown is None:
        return {}
    if body.prompt_id is not None:
        raise invalid("shown", "the recorded prompt says what was shown")
    at = body.shown.at
    if at is not None and at.timestamp() < 0:
        raise invalid("shown.at", "must not be before 1970")
    return {
        "place": body.shown.place,
        "shown_at": None if at is None else min(int(at.timestamp() * 1_000_000), service.clock()),
        "shown": {(cell.signal, cell.purpose) for cell in body.shown.cells},
    }


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
            "model": ReceiptOut,
            "description": "The receipt, in the format that `Accept` would rather have",
            "content": {
                name: {"schema": {"type": "string" if name == JWS else "object"}}
                for name in FORMATS
                if name != JSON
            },
        },
        **declared(401, 403, 404, 406, 422, 503),
    },
)
async def receipt(
    http: Request,
    service: ServiceDep,
    caller: ConsentCaller,
    user_id: UserId,
    receipt_id: ReceiptId,
    proof: Annotated[bool, Query(description="Put its proof beside it, in JSON", examples=[True])] = False,
    since: Annotated[
        int | None,
        Query(
            ge=0,
            le=LARGEST,
            description="Size of a checkpoint you kept: the proof also shows that the log only grew since",
            examples=[12],
        ),
    ] = None,
) -> Response:
    """A receipt of a change of consent, as the person can keep it.

    With `proof` it is all that `assent verify` needs beside the public keys, and holds after an erasure too: a member
    `proof` has the signature over the other members, the key of each of the receipt's entries in the log, inclusion
    proofs, and a signed checkpoint.
    """
    media_type = negotiation.wanted(http, (JSON,) if proof else FORMATS)
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    if proof:
        content = await _proved(service, caller.app_id, user_hash, receipt_id, since)
    else:
        content = await _written(service, caller.app_id, user_hash, receipt_id, media_type)
    if content is None:
        raise not_found()
    return Response(content, media_type=media_type, headers=negotiation.NEGOTIATED)


async def _proved(
    service: Service, app_id: str, user_hash: bytes, receipt_id: str, since: int | None
) -> bytes | None:
    try:
        found = await transparency.receipt_with_proof(service, app_id, user_hash, receipt_id, since)
    except ValueError:
        raise invalid("since", "the log has fewer entries") from None
    return None if found is None else FORMATS[JSON](found, "")


async def _written(
    service: Service, app_id: str, user_hash: bytes, receipt_id: str, media_type: str
) -> bytes | None:
    async with service.database.read(app_id) as connection:
        subject_id = await ledger.find_subject(connection, app_id, user_hash)
        found = subject_id and await ledger.find_receipt(connection, app_id, subject_id, receipt_id)
    return FORMATS[media_type](*found) if found else None


@router.get(
    "/users/{user_id}/record",
    summary="A person's consent record",
    responses={
        200: {
            "description": "The record (ISO/IEC TS 27560), as JSON or JSON-LD by `Accept`",
            "content": {name: {"schema": {"type": "object"}} for name in RECORD_FORMATS},
        },
        **declared(401, 403, 404, 406, 422, 503),
    },
)
async def record(http: Request, service: ServiceDep, caller: ConsentCaller, user_id: UserId) -> Response:
    """What a person's receipts say together: each choice with every event about it. 404 for who never chose."""
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    async with service.database.read(caller.app_id) as connection:
        subject_id = await ledger.find_subject(connection, caller.app_id, user_hash)
        found = await ledger.receipts_of(connection, caller.app_id, subject_id) if subject_id else []
    if not found:
        raise not_found()
    media_type = negotiation.wanted(http, RECORD_FORMATS)
    return Response(
        RECORD_FORMATS[media_type](receipts.record(found)),
        media_type=media_type,
        headers=negotiation.NEGOTIATED,
    )
