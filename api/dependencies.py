"""What routes ask for: the service, who calls, a body that was checked, the user in the path."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, ValidationError

from api import keys
from api.keys import BadKey, Caller, Scope
from api.limits import Buckets
from api.problems import Problem, of_body, too_large
from api.replaying import ensure_replayed
from api.service import Service

Model = TypeVar("Model", bound=BaseModel)

USER_ID = (
    r"^(?:[A-Za-z0-9._~:@+=|,!$*-]{3,128}|[A-Za-z0-9_~:@+=|,!$*-][A-Za-z0-9._~:@+=|,!$*-]?|"
    r"\.[A-Za-z0-9_~:@+=|,!$*-])$"
)
"""A user id fits in a path as it is; it is the app's own and opaque, never an e-mail address or a name.

Whoever were called `.` or `..` could not be reached: clients take these out of a path before they send it.
"""
ID_RULE = "1 to 128 of the characters A-Z a-z 0-9 . _ ~ : @ + = | , ! $ * -, but neither . nor .."


def get_service(request: Request) -> Service:
    """Return the service that the app was made with."""
    service: Service = request.app.state.service
    return service


async def _service(request: Request) -> Service:
    return get_service(request)


ServiceDep = Annotated[Service, Depends(_service)]


async def credentials(request: Request) -> tuple[str, bytes]:
    """Return the id of the key that is sent, and the hash of its secret; BadKey when there is none."""
    await ensure_replayed(get_service(request))
    header = request.headers.get("authorization", "")
    if header[:7].lower() != "bearer ":
        raise BadKey
    return keys.parse(header[7:].strip())


async def _caller(request: Request) -> Caller:
    """Find out whose key it is; BadKey when there is none, or none in force."""
    service = get_service(request)
    key_id, secret_hash = await credentials(request)
    rows = await service.database.points.rows(service.key_by_id, {"key_id": key_id, "app_id": ""}, "")
    caller = keys.caller(rows[0] if rows else None, secret_hash, service.clock())
    service.proven.add(caller, secret_hash)
    count(request, caller)
    return caller


def count(request: Request, caller: Caller) -> None:
    """Count one request of a key; a problem when it asks too often."""
    buckets: Buckets = request.app.state.buckets
    buckets.take(caller.key_id)


def check_scope(caller: Caller, scope: Scope) -> None:
    """See that a key has a scope; a problem when it has not."""
    if not caller.may(scope):
        raise Problem(403, "forbidden", f"this key lacks the scope {scope.value}")


async def maybe_caller(request: Request) -> Caller | None:
    """Return who calls, or None where no key is sent; a key that is sent must be good."""
    return await _caller(request) if "authorization" in request.headers else None


def requires(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    """Return a dependency that finds out who calls, and that their key has a scope."""

    async def authenticated(request: Request) -> Caller:
        caller = await _caller(request)
        check_scope(caller, scope)
        return caller

    return authenticated


def json_body(model: type[Model], largest: int | None = None) -> Callable[[Request], Awaitable[Model]]:
    """Return a dependency that reads a body of limited size and checks it against a model, strictly.

    `largest` is how many bytes it may have where that is less than the service takes from any request.
    """

    async def checked(request: Request) -> Model:
        raw = await request.body()
        if largest is not None and len(raw) > largest:
            raise too_large(largest)
        try:
            return model.model_validate_json(raw)
        except ValidationError as wrong:
            raise of_body(wrong) from None

    return checked


def accepts(model: type[BaseModel]) -> dict[str, Any]:
    """Declare the body of a route for its OpenAPI."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


RETRIED: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Names this request for retries: under one key it is done once, and answered the same again",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            "example": "0f8fad5b-d9cb-469f-a165-70867728950e",
        }
    ]
}
"""Declares, for the OpenAPI of a route, that it answers by `idempotency.once`."""

HARMLESS: dict[str, Any] = {
    "parameters": [
        {
            **RETRIED["parameters"][0],
            "description": "Taken, and without effect: this stores nothing, so that a retry repeats nothing and no answer is kept",
        }
    ]
}
"""Declares that a retry does no harm: a POST that only reads, or whose answer nobody may keep."""

LARGEST = 2**53 - 1
"""The largest of the whole numbers that every reader of JSON keeps exact."""

PageLimit = Annotated[int, Query(ge=1, le=100, description="How many at most", examples=[50])]
CURSOR = "Where the page begins: `next_cursor` of the one before"

UserId = Annotated[
    str,
    Path(pattern=USER_ID, description=f"The app's own opaque id of a user: {ID_RULE}", examples=["u-4711"]),
]
