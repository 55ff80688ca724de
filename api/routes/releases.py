"""`/v1/releases`: trained models, training, promoting and rolling back."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api import releasing, training
from api.answers import ReleaseOut, ReleasesOut, TrainingOut
from api.dependencies import CURSOR, RETRIED, PageLimit, ServiceDep, requires
from api.idempotency import json_response, once
from api.keys import Caller, Scope
from api.problems import Problem, declared, not_found
from api.releasing import NoSuchRelease, NotServable
from consent.receipts.records import rfc3339
from recommender import registry
from recommender.registry import ReleaseRecord

router = APIRouter(prefix="/v1", tags=["releases"])
RELEASE_ID = r"^[A-Za-z0-9-]{1,64}$"
TrainCaller = Annotated[Caller, Depends(requires(Scope.TRAIN))]


def _shown(record: ReleaseRecord) -> dict[str, Any]:
    return {
        "release_id": record.release_id,
        "status": record.status,
        "digest": record.digest,
        "metrics": dict(record.metrics),
        "created_at": rfc3339(record.created_at),
        "promoted_at": None if record.promoted_at is None else rfc3339(record.promoted_at),
    }


@router.get(
    "/releases",
    summary="Trained models, page by page",
    responses={200: {"model": ReleasesOut}, **declared(401, 403, 422, 503)},
)
async def list_releases(
    service: ServiceDep,
    caller: TrainCaller,
    limit: PageLimit = 50,
    cursor: Annotated[
        str, Query(pattern=RELEASE_ID, description=CURSOR, examples=["20261122-101500-6b86b273-5feceb66"])
    ] = "",
) -> Response:
    """The releases of the app, newest first, those whose files are destroyed too."""
    async with service.database.read(caller.app_id) as connection:
        found = await registry.releases(connection, caller.app_id, after=cursor or None, limit=limit + 1)
    page = found[:limit]
    document = {
        "releases": [_shown(record) for record in page],
        "next_cursor": page[-1].release_id if len(found) > limit else None,
    }
    return json_response(200, orjson.dumps(document))


@router.post(
    "/releases",
    status_code=202,
    summary="Train",
    openapi_extra=RETRIED,
    responses={202: {"model": TrainingOut}, **declared(401, 403, 409, 422, 503)},
)
async def train(http: Request, service: ServiceDep, caller: TrainCaller) -> Response:
    """Ask for a training; a worker does it. One that still waits serves for all who ask."""

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        training_id = await training.ask(connection, caller.app_id, "asked", service.clock())
        return 202, {"training_id": training_id, "status": "waiting"}

    return await once(service, http, caller, work)


@router.post(
    "/releases/{release_id}:promote",
    summary="Promote a release, or roll back to it",
    openapi_extra=RETRIED,
    responses={200: {"model": ReleaseOut}, **declared(401, 403, 404, 409, 422, 503)},
)
async def promote(
    http: Request,
    service: ServiceDep,
    caller: TrainCaller,
    release_id: Annotated[
        str,
        Path(pattern=RELEASE_ID, description="Its id", examples=["20261122-6b86b273"]),
    ],
) -> Response:
    """Serve a release from now on. One that has learned from somebody who left since is refused (409)."""

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        try:
            record = await releasing.promote(connection, caller.app_id, release_id, service.clock())
        except NoSuchRelease:
            raise not_found() from None
        except NotServable as refused:
            raise Problem(409, "conflict", str(refused)) from None
        return 200, _shown(record)

    return await once(service, http, caller, work)
