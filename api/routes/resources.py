"""`/v1/resources`: the app's catalogue."""

import asyncio
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import ResourcePage, SimilarOut, Written
from api.dependencies import CURSOR, RETRIED, PageLimit, ServiceDep, accepts, json_body, requires
from api.idempotency import json_response, once
from api.keys import Caller, Scope
from api.problems import NO_STORE, Problem, declared, invalid, not_found, of_body
from api.requests import ResourceBatch
from recommender import store
from recommender.catalog import Resource
from recommender.exchange import RowError, read_csv, read_jsonl, write_csv, write_jsonl
from recommender.query import Query as Question

router = APIRouter(prefix="/v1", tags=["catalogue"])
CatalogCaller = Annotated[Caller, Depends(requires(Scope.CATALOG))]
RecommendCaller = Annotated[Caller, Depends(requires(Scope.RECOMMEND))]
ResourceId = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._:-]{0,127}$",
        description="The app's own id of a resource",
        examples=["box-breathing"],
    ),
]


_EXPORTS = {
    "application/x-ndjson": ("application/x-ndjson", write_jsonl),
    "text/csv": ("text/csv", write_csv),
}


@router.get(
    "/resources",
    summary="The catalogue, page by page",
    responses={
        200: {
            "model": ResourcePage,
            "content": {
                kind: {"schema": {"type": "string"}} for kind in ("application/x-ndjson", "text/csv")
            },
        },
        **declared(401, 403, 422, 503),
    },
)
async def list_resources(
    http: Request,
    service: ServiceDep,
    caller: CatalogCaller,
    limit: PageLimit = 50,
    cursor: Annotated[
        str,
        Query(
            pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._:-]{0,127}$", description=CURSOR, examples=["box-breathing"]
        ),
    ] = "",
) -> Response:
    """Resources in the order of their ids, published or not.

    The whole catalogue at once as JSON Lines or CSV when `Accept` says application/x-ndjson or text/csv.
    """
    export = _EXPORTS.get(http.headers.get("accept", "").partition(";")[0].strip())
    if export is not None:
        async with service.database.read(caller.app_id) as connection:
            rows = await store.resource_rows(connection, caller.app_id)
        media_type, write = export
        # Tens of thousands would hold up every other request for a second.
        text = await asyncio.to_thread(_exported, rows, write)
        return Response(text, media_type=media_type, headers=NO_STORE)
    async with service.database.read(caller.app_id) as connection:
        found = await store.list_resources(connection, caller.app_id, cursor, limit + 1)
    page = found[:limit]
    document = {
        "resources": [each.model_dump(mode="json") for each in page],
        "next_cursor": page[-1].id if len(found) > limit else None,
    }
    return json_response(200, orjson.dumps(document))


@router.post(
    "/resources:batch",
    summary="Write many resources",
    openapi_extra={
        **RETRIED,
        "requestBody": {
            "required": True,
            "content": {
                **accepts(ResourceBatch)["requestBody"]["content"],
                "application/x-ndjson": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
            },
        },
    },
    responses={200: {"model": Written}, **declared(400, 401, 403, 409, 413, 422, 503)},
)
async def write_batch(http: Request, service: ServiceDep, caller: CatalogCaller) -> Response:
    """Write resources, all or nothing: JSON, JSON Lines or CSV by `Content-Type`. Bad rows are named, up to the thousandth mistake."""
    raw = await http.body()
    resources = _rows(http.headers.get("content-type", ""), raw)

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        await store.put_resources(connection, caller.app_id, resources, service.clock())
        return 200, {"written": len(resources)}

    return await once(service, http, caller, work, body=raw)


def _exported(rows: Iterable[tuple[str, str]], write: Callable[[Iterable[Resource]], Iterator[str]]) -> str:
    return "".join(write(Resource.model_validate_json(body) for _, body in sorted(rows)))


def _rows(content_type: str, raw: bytes) -> list[Resource]:
    kind = content_type.partition(";")[0].strip().lower()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Problem(400, "malformed_body", "the body is not UTF-8") from None
    of_json = False
    if kind in {"application/x-ndjson", "application/jsonl"}:
        reading = read_jsonl(text.split("\n"))
    elif kind == "text/csv":
        reading = read_csv(io.StringIO(text, newline=""))
    else:
        try:
            batch = ResourceBatch.model_validate_json(raw)
        except ValidationError as wrong:
            raise of_body(wrong) from None
        of_json = True
        # As it was sent: orjson would write NaN as null, and fail on numbers beyond 64 bits.
        reading = read_jsonl(json.dumps(row, ensure_ascii=False) for row in batch.resources)
    if reading.errors:
        raise _bad_rows(reading.errors, of_json=of_json)
    if not reading.resources:
        raise invalid("resources", "there are none")
    return list(reading.resources)


def _bad_rows(errors: tuple[RowError, ...], *, of_json: bool) -> Problem:
    """Return the problem that names bad rows: by its place in a JSON array, by its line in a file."""
    told: list[dict[str, Any]] = [
        {"field": f"resources.{error.line - 1}.{error.field}".rstrip("."), "message": error.message}
        if of_json
        else {"line": error.line, "field": error.field or "row", "message": error.message}
        for error in errors
    ]
    rows = len({error.line for error in errors})
    detail = f"{rows} {'row is' if rows == 1 else 'rows are'} wrong; nothing was written"
    return Problem(422, "invalid_request", detail, errors=told)


@router.put(
    "/resources/{resource_id}",
    summary="Write one resource",
    openapi_extra=accepts(Resource) | RETRIED,
    responses={200: {"model": Resource}, **declared(400, 401, 403, 409, 413, 422, 503)},
)
async def put_resource(
    http: Request,
    service: ServiceDep,
    caller: CatalogCaller,
    resource_id: ResourceId,
    body: Annotated[Resource, Depends(json_body(Resource))],
) -> Response:
    """Write a resource, new or changed."""
    if body.id != resource_id:
        raise invalid("id", "must be the id in the path")

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        await store.put_resources(connection, caller.app_id, [body], service.clock())
        return 200, body.model_dump(mode="json")

    return await once(service, http, caller, work, body=body.model_dump_json().encode())


@router.get(
    "/resources/{resource_id}",
    summary="One resource",
    responses={200: {"model": Resource}, **declared(401, 403, 404, 422, 503)},
)
async def get_resource(service: ServiceDep, caller: CatalogCaller, resource_id: ResourceId) -> Response:
    """A resource of the app's catalogue."""
    async with service.database.read(caller.app_id) as connection:
        found = await store.find_resource(connection, caller.app_id, resource_id)
    if found is None:
        raise not_found()
    return json_response(200, orjson.dumps(found.model_dump(mode="json")))


@router.delete(
    "/resources/{resource_id}",
    status_code=204,
    summary="Remove one resource",
    openapi_extra=RETRIED,
    responses={204: {"description": "Removed"}, **declared(401, 403, 404, 409, 422, 503)},
)
async def delete_resource(
    http: Request, service: ServiceDep, caller: CatalogCaller, resource_id: ResourceId
) -> Response:
    """Remove a resource from the catalogue; it is recommended no more from within a second."""

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        if not await store.delete_resource(connection, caller.app_id, resource_id):
            raise not_found()
        return 204, {}

    await once(service, http, caller, work)
    return Response(status_code=204)


@router.get(
    "/resources/{resource_id}/similar",
    summary="Resources near one",
    responses={200: {"model": SimilarOut}, **declared(401, 403, 404, 422, 503)},
)
async def similar(
    service: ServiceDep,
    caller: RecommendCaller,
    resource_id: ResourceId,
    limit: PageLimit = 10,
) -> Response:
    """The nearest resources that may be recommended, for browsing. Needs nobody's data."""
    served = service.models.of(caller.app_id) or await service.models.load(caller.app_id)
    try:
        near = served.ranker.similar(resource_id, Question(limit=limit), service.now())
    except KeyError:
        raise not_found() from None
    items = [{"resource": resource.model_dump(mode="json"), "similarity": value} for resource, value in near]
    return json_response(200, orjson.dumps({"items": items}))
