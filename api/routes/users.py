"""`/v1/users/{user_id}` and erasures: deleting a person, exporting what is held, links to their pages."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api import archive, erasing, exporting, negotiation, people
from api.answers import ErasureOut, ErasureStarted, LinkOut
from api.dependencies import HARMLESS, RETRIED, ServiceDep, UserId, accepts, json_body, requires
from api.handing_over import HandingDep
from api.idempotency import json_response, once
from api.keys import Caller, Scope
from api.pages.wording import preferred, words
from api.problems import declared, invalid, not_found
from api.receipts import JSON
from api.requests import LinkRequest
from api.tokens import Kind
from consent import erasure
from consent import store as ledger
from consent.receipts.records import rfc3339

router = APIRouter(prefix="/v1", tags=["people"])
EraseCaller = Annotated[Caller, Depends(requires(Scope.ERASE))]
ConsentCaller = Annotated[Caller, Depends(requires(Scope.CONSENT))]


@router.delete(
    "/users/{user_id}",
    status_code=202,
    summary="Delete everything of a person",
    openapi_extra=RETRIED,
    responses={202: {"model": ErasureStarted}, **declared(401, 403, 409, 422, 503)},
)
async def delete(http: Request, service: ServiceDep, caller: EraseCaller, user_id: UserId) -> Response:
    """Delete a person's rows and keys now, and train without them. The same answer for someone never seen."""
    user_hash = service.pseudonyms.user(caller.app_id, user_id)

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        done = await erasing.erase(service, connection, caller.app_id, user_hash)
        return 202, {"erasure": people.erasure_json(done)}

    answer = await once(service, http, caller, work)
    await service.database.scrub()
    return answer


@router.get(
    "/erasures/{erasure_id}",
    summary="How far an erasure has come",
    responses={200: {"model": ErasureOut}, **declared(401, 403, 404, 422, 503)},
)
async def find_erasure(
    service: ServiceDep,
    caller: EraseCaller,
    erasure_id: Annotated[
        str,
        Path(
            pattern=r"^[0-9a-f]{32}$",
            description="Its id, as the deletion was answered with",
            examples=["4e07408562bedb8b60ce05c1decfe3ad"],
        ),
    ],
) -> Response:
    """An erasure, with its signed receipt once the model is without the person."""
    async with service.database.read(caller.app_id) as connection:
        found = await erasure.find(connection, caller.app_id, erasure_id)
    if found is None:
        raise not_found()
    return json_response(200, orjson.dumps(people.erasure_json(found)))


@router.get(
    "/users/{user_id}/export",
    summary="Everything held on a person",
    responses={
        200: {
            "description": "Consents, history, receipts, proofs and events; by `Accept` as a ZIP with a page to read",
            "content": {
                JSON: {"schema": {"type": "object"}},
                archive.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}},
            },
        },
        **declared(401, 403, 406, 422, 503),
    },
)
async def export(
    http: Request, service: ServiceDep, caller: ConsentCaller, handing: HandingDep, user_id: UserId
) -> Response:
    """Everything held on a person, machine-readable (GDPR 15 and 20); as a ZIP, its page is in the language of `Accept-Language`."""
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    media_type = negotiation.wanted(http, (JSON, archive.MEDIA_TYPE))
    if media_type == JSON:
        chunks = exporting.as_json(service, caller.app_id, user_hash)
    else:
        told = words(preferred(None, http.headers.get("accept-language", "")))
        chunks = archive.as_zip(service, caller.app_id, user_hash, told)
    return await handing.over(caller.app_id, user_hash, chunks, media_type, negotiation.NEGOTIATED)


@router.post(
    "/users/{user_id}/links",
    summary="A single-use link for a person",
    openapi_extra=accepts(LinkRequest) | HARMLESS,
    responses={200: {"model": LinkOut}, **declared(400, 401, 403, 413, 422, 503)},
)
async def link(
    service: ServiceDep,
    caller: ConsentCaller,
    user_id: UserId,
    body: Annotated[LinkRequest, Depends(json_body(LinkRequest))],
) -> Response:
    """A link that opens the person's own page once, for them or for a guardian who chooses for them. It is stored nowhere."""
    if body.guardian_id is not None and body.kind != "settings":
        raise invalid("guardian_id", "a guardian's link opens the settings alone")
    guardian = service.pseudonyms.guardian(caller.app_id, body.guardian_id) if body.guardian_id else None
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    async with service.database.read(caller.app_id) as connection:
        subject_id = await ledger.find_subject(connection, caller.app_id, user_hash)
    expires_at = service.clock() + body.ttl_s * 1_000_000
    kind = {"settings": Kind.SETTINGS, "why": Kind.WHY, "erase": Kind.ERASE}[body.kind]
    url = service.link(kind, caller.app_id, user_hash, subject_id, expires_at, guardian)
    return json_response(200, orjson.dumps({"url": url, "expires_at": rfc3339(expires_at)}))
