"""`/v1/log`: what auditors and witnesses check an app's ledger with. Nothing here names anybody."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Response

from api import transparency
from api.dependencies import LARGEST, ServiceDep, requires
from api.idempotency import json_response
from api.keys import Caller, Scope
from api.log_answers import ConsistencyOut, InclusionOut, LogKeysOut
from api.problems import NO_STORE, declared, invalid
from consent.log import store as log
from consent.log.checkpoints import base64_of

router = APIRouter(prefix="/v1/log", tags=["log"])
AuditCaller = Annotated[Caller, Depends(requires(Scope.AUDIT))]


def _number(description: str, example: int, alias: str | None = None) -> object:
    return Query(ge=0, le=LARGEST, alias=alias, description=description, examples=[example])


@router.get(
    "/checkpoint",
    summary="A signed checkpoint over the whole log",
    responses={
        200: {
            "description": "A signed note (C2SP tlog-checkpoint): origin, size and root of the log",
            "content": {
                "text/plain": {
                    "schema": {"type": "string"},
                    "example": "assent/6d1f0c4e9a3b5d7788990a1b2c3d4e5f\n0\n"
                    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n"
                    "— assent/6d1f0c4e9a3b5d7788990a1b2c3d4e5f AAAAAA==\n",
                }
            },
        },
        **declared(401, 403, 503),
    },
    response_class=Response,
)
async def checkpoint(service: ServiceDep, caller: AuditCaller) -> Response:
    """The head of the log as it is now. Keep it: from then on, nothing that it covers can be changed unnoticed."""
    note = await transparency.checkpoint(service, caller.app_id)
    return Response(note, media_type="text/plain; charset=utf-8", headers=NO_STORE)


@router.get(
    "/keys",
    summary="The keys that checkpoints and receipts are verified with",
    responses={200: {"model": LogKeysOut}, **declared(401, 403, 503)},
)
async def keys(service: ServiceDep, caller: AuditCaller) -> Response:
    """What `assent verify --key` takes, in one document. Get it once, over a way you trust, and keep it."""
    return json_response(200, orjson.dumps(await transparency.keys(service, caller.app_id)))


@router.get(
    "/inclusion",
    summary="That an entry is in the log",
    responses={200: {"model": InclusionOut}, **declared(401, 403, 422, 503)},
)
async def inclusion(
    service: ServiceDep,
    caller: AuditCaller,
    index: Annotated[int, _number("Place of the entry in the log, from 0", 17)],
    size: Annotated[int, _number("Size of the log, as a checkpoint says it", 1200)],
) -> Response:
    """The inclusion proof of RFC 6962: the hashes from the leaf up to the root of the log with `size` entries."""
    async with service.database.read(caller.app_id) as connection:
        whole = await log.size(connection, caller.app_id)
        if size > whole:
            raise invalid("size", f"the log has {whole} entries")
        if index >= size:
            raise invalid("index", "must be less than size")
        (proof,) = await log.inclusion(connection, caller.app_id, [index], size)
        (leaf,) = await log.leaves(connection, caller.app_id, (index, index + 1))
    document = {
        "index": index,
        "size": size,
        "leaf": base64_of(leaf),
        "proof": [base64_of(each) for each in proof],
    }
    return json_response(200, orjson.dumps(document))


@router.get(
    "/consistency",
    summary="That the log only grew",
    responses={200: {"model": ConsistencyOut}, **declared(401, 403, 422, 503)},
)
async def consistency(
    service: ServiceDep,
    caller: AuditCaller,
    old: Annotated[int, _number("Size of the log in an older checkpoint", 800, "from")],
    new: Annotated[int, _number("Size of the log in a newer checkpoint", 1200, "to")],
) -> Response:
    """The consistency proof of RFC 6962: the log with `to` entries begins with the one that had `from`, unchanged."""
    async with service.database.read(caller.app_id) as connection:
        whole = await log.size(connection, caller.app_id)
        if new > whole:
            raise invalid("to", f"the log has {whole} entries")
        if old > new:
            raise invalid("from", "must not be more than to")
        proof = await log.consistency(connection, caller.app_id, old, new)
    document = {"from": old, "to": new, "proof": [base64_of(each) for each in proof]}
    return json_response(200, orjson.dumps(document))
