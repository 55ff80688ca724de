"""`/v1/users/{user_id}/decisions`: may this signal be used for this purpose, and by which record?"""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Response

from api import deciding
from api.database import RIGHTS
from api.deciding import DecisionOut
from api.dependencies import ServiceDep, UserId, requires
from api.idempotency import json_response
from api.keys import Caller, Scope
from api.problems import declared
from api.requests import SignalId
from consent import decisions
from consent.decisions import Denied
from consent.purposes import Purpose

router = APIRouter(prefix="/v1", tags=["consent"])


@router.get(
    "/users/{user_id}/decisions",
    summary="May this signal be used for this purpose?",
    responses={200: {"model": DecisionOut}, **declared(401, 403, 422, 503)},
)
async def decide(
    service: ServiceDep,
    caller: Annotated[Caller, Depends(requires(Scope.CONSENT))],
    user_id: UserId,
    signal: Annotated[SignalId, Query(description="Which signal", examples=["views"])],
    purpose: Annotated[Purpose, Query(description="For what", examples=["personalise"])],
) -> Response:
    """A permit with the record it rests on, or a denial with its reason.

    It holds for this moment: ask for each use, and take anything but `permitted: true` (an error too) for a no.
    """
    values = {
        "app_id": caller.app_id,
        "user_hash": service.pseudonyms.user(caller.app_id, user_id),
        "signal": signal,
        "purpose": purpose.value,
    }
    rows = await service.database.points.rows(service.one_cell, values, RIGHTS)
    try:
        use = decisions.permit(signal, purpose, rows[0] if rows else None, service.clock(), service.notices)
    except Denied as denial:
        return json_response(200, orjson.dumps(deciding.denied(denial)))
    return json_response(200, orjson.dumps(deciding.permitted(use)))
