"""`/v1/recommendations`: the list, and the list as it would be without some signals."""

import asyncio
import types
from collections.abc import Awaitable, Callable, Iterator

import orjson
from fastapi import APIRouter, Request, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.answers import Recommendations
from api.dependencies import (
    HARMLESS,
    accepts,
    check_scope,
    count,
    credentials,
    get_service,
    json_body,
    requires,
)
from api.idempotency import json_response
from api.keys import Caller
from api.keys import Scope as KeyScope
from api.problems import UNAVAILABLE, Problem, declared, unavailable
from api.recommending import Recommending, Rows, query_of
from api.requests import AnonymousRequest, RecommendationRequest, WhatIfRequest
from recommender.query import Query

router = APIRouter(prefix="/v1", tags=["recommendations"])

ERRORS = declared(400, 401, 403, 413, 422, 503)


_CALLER = requires(KeyScope.RECOMMEND)
_LARGEST = 400_000  # bytes of a question; a thousand resources to exclude take up to 132,000
_QUESTION = json_body(RecommendationRequest, _LARGEST)
_WHAT_IF = json_body(WhatIfRequest, _LARGEST)
_ANONYMOUS = json_body(AnonymousRequest, _LARGEST)


@router.post(
    "/recommendations",
    summary="Recommend resources to one person",
    openapi_extra=accepts(RecommendationRequest) | HARMLESS,
    responses={200: {"model": Recommendations}, **ERRORS},
)
async def recommend(http: Request) -> Response:
    """Rank for one person from what they grant at this moment. Stores nothing."""
    return await _answer(http, _QUESTION)


class _Direct:
    """`recommend` as an application of its own, without what FastAPI puts around every endpoint.

    It has no dependencies to solve, no exit stack to leave and no answer to convert.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what is raised, the exception handlers answer as on every route."""
        response = await recommend(Request(scope, receive))
        await response(scope, receive, send)


DIRECT = Route("/v1/recommendations", _Direct(), methods=["POST"])
"""Stands before all other routes; FastAPI's own of this path describes it in the OpenAPI document."""


class Shortcut:
    """Answers what `DIRECT` would before any route is looked for, within the layer that answers whatever is raised.

    What is traced goes the long way: where the framework chooses a route it names the span.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request here, or let the application do it."""
        ours = scope["type"] == "http" and scope["path"] == DIRECT.path and scope["method"] == "POST"
        return (DIRECT.app if ours and _TRACED not in scope else self._app)(scope, receive, send)


_TRACED = "fastapi.telemetry"
"""Where FastAPI keeps what it notes of a request, when anything is."""


@router.post(
    "/recommendations:whatif",
    summary="The list as it would be without some signals",
    openapi_extra=accepts(WhatIfRequest) | HARMLESS,
    responses={200: {"model": Recommendations}, **ERRORS},
)
async def what_if(http: Request) -> Response:
    """Rank as though the signals in `without` were off. Stores nothing."""
    return await _answer(http, _WHAT_IF)


@router.post(
    "/recommendations:anonymous",
    summary="Recommend resources to somebody who has no id",
    openapi_extra=accepts(AnonymousRequest) | HARMLESS,
    responses={200: {"model": Recommendations}, **ERRORS},
)
async def recommend_to_nobody(http: Request) -> Response:
    """Rank from what this very call says: topics, time, language, format. Nothing is known of anybody, and no link is made."""
    return await _answer(http, _ANONYMOUS)


async def _answer(http: Request, question: Callable[[Request], Awaitable[AnonymousRequest]]) -> Response:
    """Answer in time; where to turn in a crisis is told even when the database cannot be reached or the key asks too often.

    It is told too to who takes too long to send the question, by what is known of them then: nothing. What other routes
    have FastAPI ask for is asked for here by name: on this path that saves about 7 % of the time.
    """
    recommending: Recommending = http.app.state.recommending
    query = Query()
    try:
        async with asyncio.timeout(get_service(http).settings.recommend_deadline_s):
            key = await credentials(http)  # before a question is read from whoever brings none
            asked = await question(http)
            query = query_of(asked)
            user_id = asked.user_id if isinstance(asked, RecommendationRequest) else None
            await _in_step()
            caller, user_hash, rows = await _read(http, key, user_id)
            await _in_step()
            done = await recommending.rank(caller.app_id, rows, query)
            await _in_step()
    except UNAVAILABLE:
        return _support_only(unavailable(), recommending, query)
    except Problem as problem:
        if problem.code != "rate_limited":
            raise
        return _support_only(problem, recommending, query)
    answer = json_response(200, orjson.dumps(recommending.document(caller.app_id, user_hash, done, query)))
    await _in_step()
    return answer


@types.coroutine
def _in_step() -> Iterator[None]:
    """Let the other requests under way come as far as this one.

    So each kind of work is done for all of them before the next kind begins, and finds its code and its data in the
    processor's caches, where the work in between would have driven them out (decision 28). This is what
    `asyncio.sleep(0)` awaits, without the two coroutines around it.
    """
    yield


async def _read(
    http: Request, key: tuple[str, bytes], user_id: str | None
) -> tuple[Caller, bytes | None, Rows]:
    """Find out who asks, and read what the person grants: in one query where the key proved itself here before.

    A key that did not is looked up first, and so is one that lacked the scope then: nothing of a person is read for
    it, nor for one that asks too often.
    """
    recommending: Recommending = http.app.state.recommending
    service = get_service(http)
    key_id, secret_hash = key
    proven = service.proven.caller_of(key_id, secret_hash)
    if proven is None or user_id is None or not proven.may(KeyScope.RECOMMEND):
        caller = await _CALLER(http)
        user_hash = None if user_id is None else service.pseudonyms.user(caller.app_id, user_id)
        return caller, user_hash, await recommending.history(caller.app_id, user_hash)
    count(http, proven)
    user_hash = service.pseudonyms.user(proven.app_id, user_id)
    caller, rows = await recommending.history_by_key(proven.app_id, user_hash, key_id, secret_hash)
    check_scope(caller, KeyScope.RECOMMEND)
    return caller, user_hash, rows


def _support_only(problem: Problem, recommending: Recommending, query: Query) -> Response:
    problem.more = recommending.support_only(query)
    return problem.response()
