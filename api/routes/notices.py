"""`/v1/notices`: the texts that people are shown before they choose, the app's own among them."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api import notices
from api.dependencies import RETRIED, ServiceDep, accepts, json_body, maybe_caller, requires
from api.idempotency import json_response, once
from api.keys import Caller, Scope
from api.notices import NoticeOut, NoticeRequest, RevisionOut, RevisionsOut
from api.problems import declared, not_found
from consent.errors import UnknownNotice

router = APIRouter(prefix="/v1", tags=["notices"])


@router.get(
    "/notices/{locale}",
    summary="A notice",
    responses={200: {"model": NoticeOut}, **declared(401, 404, 422, 503)},
)
async def find(
    service: ServiceDep,
    caller: Annotated[Caller | None, Depends(maybe_caller)],
    locale: Annotated[
        str,
        Path(
            pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}$", description="A language", examples=["en"]
        ),
    ],
    version: Annotated[
        str, Query(pattern=r"^[!-~]{1,32}$", description="A version; the current one when left out")
    ] = "",
    app: Annotated[
        str, Query(pattern=r"^[!-~]{1,64}$", description="Whose notice; that of the key's app when left out")
    ] = "",
) -> Response:
    """The text to show before someone chooses; send its version and locale with the choice.

    Needs no key: everybody may read what people were shown. Without a key and without `app` it is the notice that ships.
    """
    app_id = app or (caller.app_id if caller is not None else "")
    language = locale.replace("_", "-").split("-")[0].lower()
    async with service.database.read(app_id) as connection:
        board = await service.board.of(connection, app_id)
    try:
        found = board.find(version or board.current_version, language)
    except UnknownNotice:
        raise not_found() from None
    return Response(orjson.dumps(notices.notice(found, board)), media_type="application/json")


@router.get(
    "/notices",
    summary="The app's own notices",
    responses={200: {"model": RevisionsOut}, **declared(401, 403, 503)},
)
async def own(service: ServiceDep, caller: Annotated[Caller, Depends(requires(Scope.CONSENT))]) -> Response:
    """Every notice that the app ever published, by version and digest; each is kept for ever."""
    async with service.database.read(caller.app_id) as connection:
        published = await service.board.own(connection, caller.app_id)
        board = await service.board.of(connection, caller.app_id)
    document = {
        "current": board.current_version,
        "revisions": [notices.revision(each) for each in published],
    }
    return json_response(200, orjson.dumps(document))


@router.post(
    "/notices",
    status_code=201,
    summary="Publish a notice in the app's own words",
    openapi_extra=accepts(NoticeRequest) | RETRIED,
    responses={201: {"model": RevisionOut}, **declared(400, 401, 403, 409, 413, 422, 503)},
)
async def publish(
    http: Request,
    service: ServiceDep,
    caller: Annotated[Caller, Depends(requires(Scope.ADMIN))],
    body: Annotated[NoticeRequest, Depends(json_body(NoticeRequest))],
) -> Response:
    """Publish a wording within the closed catalogue. The facts are Assent's, put where the text has places for them.

    A text that leaves a fact out is refused with the fact's name. The new version counts from this moment: pages show it,
    consent is given on it alone, and a material one ends earlier grants for the cells it touches until they are renewed.
    """
    draft = body.draft()

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        return 201, notices.revision(
            await service.board.publish(connection, caller.app_id, draft, service.clock())
        )

    return await once(service, http, caller, work, body=body.model_dump_json().encode())
