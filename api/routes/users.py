"""`/v1/users/{user_id}` and erasures: deleting a person, exporting what is held, links to their pages."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api import people
from api.answers import ErasureOut, ErasureStarted, LinkOut
from api.dependencies import RETRIED, ServiceDep, UserId, accepts, json_body, requires
from api.idempotency import json_response, once
from api.keys import Caller, Scope
from api.problems import declared, not_found
from api.requests import LinkRequest
from api.tokens import Kind
from consent import erasure
from consent import store as ledger
from consent.receipts import rfc3339

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
        done = await people.erase(service, connection, caller.app_id, user_hash)
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
            "description": "Consents, history, receipts and events",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        **declared(401, 403, 422, 503),
    },
)
async def export(service: ServiceDep, caller: ConsentCaller, user_id: UserId) -> Response:
    """Everything held on a person, machine-readable (GDPR 15 and 20)."""
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    async with service.database.read(caller.app_id) as connection:
        document = await people.export(service, connection, caller.app_id, user_hash)
    return json_response(200, orjson.dumps(document))


@router.post(
    "/users/{user_id}/links",
    summary="A single-use link for a person",
    openapi_extra=accepts(LinkRequest),
    responses={200: {"model": LinkOut}, **declared(400, 401, 403, 413, 422, 503)},
)
async def link(
    service: ServiceDep,
    caller: ConsentCaller,
    user_id: UserId,
    body: Annotated[LinkRequest, Depends(json_body(LinkRequest))],
) -> Response:
    """A link that opens the person's own page once. It is stored nowhere."""
    user_hash = service.pseudonyms.user(caller.app_id, user_id)
    async with service.database.read(caller.app_id) as connection:
        subject_id = await ledger.find_subject(connection, caller.app_id, user_hash)
    expires_at = service.clock() + body.ttl_s * 1_000_000
    kind = {"settings": Kind.SETTINGS, "why": Kind.WHY, "erase": Kind.ERASE}[body.kind]
    url = service.link(kind, caller.app_id, user_hash, subject_id, expires_at)
    return json_response(200, orjson.dumps({"url": url, "expires_at": rfc3339(expires_at)}))
