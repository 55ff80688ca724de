"""`/v1/recommendations`: the list, and the list as it would be without some signals."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request, Response

from api.answers import Recommendations
from api.dependencies import ServiceDep, accepts, json_body, requires
from api.idempotency import json_response
from api.keys import Scope
from api.problems import UNAVAILABLE, declared, unavailable
from api.recommending import Recommending, query_of
from api.requests import RecommendationRequest, WhatIfRequest
from api.service import Service
from recommender.query import Query

router = APIRouter(prefix="/v1", tags=["recommendations"])

ERRORS = declared(400, 401, 403, 413, 422, 503)


def _query(request: RecommendationRequest) -> Query:
    return query_of(
        request, frozenset(request.without) if isinstance(request, WhatIfRequest) else frozenset()
    )


async def _answer(http: Request, service: Service, request: RecommendationRequest) -> Response:
    """Answer; where to turn in a crisis is told even when the database cannot be reached."""
    recommending: Recommending = http.app.state.recommending
    query = _query(request)
    try:
        caller = await _CALLER(http)
        user_hash = service.pseudonyms.user(caller.app_id, request.user_id)
        done = await recommending.recommend(caller.app_id, user_hash, query)
    except UNAVAILABLE:
        problem = unavailable()
        problem.more = recommending.support_only(query)
        return problem.response()
    return json_response(200, orjson.dumps(recommending.document(caller.app_id, user_hash, done, query)))


_CALLER = requires(Scope.RECOMMEND)


@router.post(
    "/recommendations",
    summary="Recommend resources to one person",
    openapi_extra=accepts(RecommendationRequest),
    responses={200: {"model": Recommendations}, **ERRORS},
)
async def recommend(
    http: Request,
    service: ServiceDep,
    body: Annotated[RecommendationRequest, Depends(json_body(RecommendationRequest))],
) -> Response:
    """Rank for one person from what they grant at this moment. Stores nothing."""
    return await _answer(http, service, body)


@router.post(
    "/recommendations:whatif",
    summary="The list as it would be without some signals",
    openapi_extra=accepts(WhatIfRequest),
    responses={200: {"model": Recommendations}, **ERRORS},
)
async def what_if(
    http: Request,
    service: ServiceDep,
    body: Annotated[WhatIfRequest, Depends(json_body(WhatIfRequest))],
) -> Response:
    """Rank as though the signals in `without` were off. Stores nothing."""
    return await _answer(http, service, body)
