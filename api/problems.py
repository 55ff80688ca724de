"""Errors as people's programs see them: application/problem+json (RFC 9457) with a stable code, from one table."""

import logging
import re
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import asyncpg
import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.keys import BadKey
from api.tokens import BadToken
from consent.errors import FieldError, NoConsent, Overtaken

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
NO_STORE = {"Cache-Control": "no-store"}

_FIELD = re.compile(r"[a-zA-Z0-9_\[\]-]{1,64}")
_NAMED = 20  # of what is wrong with a body
_GONE_THROUGH = 1000


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str = Field(description="Path of the field", examples=["events.0.signal"])
    line: int | None = Field(default=None, description="The line, in a file of rows", examples=[3])
    message: str = Field(
        description="What is wrong with it; never what was sent", examples=["must not be empty"]
    )


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(
        default="about:blank",
        description="Always about:blank; tell problems apart by `code`",
        examples=["about:blank"],
    )
    title: str = Field(description="The status in words", examples=["Unprocessable Content"])
    status: int = Field(description="The HTTP status", examples=[422])
    code: str = Field(description="Stable name of the problem", examples=["invalid_request"])
    detail: str = Field(
        description="What went wrong, without anything personal", examples=["the request is not valid"]
    )
    errors: list[FieldProblem] | None = Field(default=None, description="The fields that are wrong")


class Problem(Exception):
    """An error to be answered as it is. `more` adds members to the document."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def response(self) -> Response:
        """Return the document."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = list(self.errors)
        return Response(
            orjson.dumps({**document, **self.more}),
            status_code=self.status,
            media_type=MEDIA_TYPE,
            headers={**NO_STORE, **self.headers},
        )


def invalid(field: str, message: str) -> Problem:
    """Return the problem of one wrong field."""
    return Problem(
        422, "invalid_request", "the request is not valid", errors=[{"field": field, "message": message}]
    )


def not_found() -> Problem:
    """Return the one answer for what does not exist and for what is another app's."""
    return Problem(404, "not_found", "there is no such thing here")


def not_acceptable(offered: Iterable[str]) -> Problem:
    """Return the problem of a client that accepts none of the media types there are."""
    return Problem(406, "not_acceptable", f"this can be had as {', '.join(offered)}")


_OUTAGES = ("08", "40", "53", "57", "58")
"""Classes of SQLSTATE that a later try may not meet: connection, serialisation, resources (a full disk), operators, system."""


def is_outage(error: Exception) -> bool:
    """Tell whether an exception says that the database cannot do its work at the moment, and not that we ask wrongly."""
    if isinstance(error, UNAVAILABLE):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or state.startswith(_OUTAGES)


UNAVAILABLE = (
    OperationalError,
    InterfaceError,
    PoolTimeout,
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    TimeoutError,
)
"""What says that the database cannot be reached at the moment."""


def unavailable() -> Problem:
    """Return the answer while the database cannot be reached."""
    return Problem(
        503, "unavailable", "the service cannot do this right now, try again", headers={"Retry-After": "2"}
    )


def too_large(largest: int) -> Problem:
    """Return the problem of a body of more than `largest` bytes."""
    return Problem(413, "payload_too_large", f"a body may have up to {largest} bytes")


def of_body(wrong: ValidationError) -> Problem:
    """Return the problem of a body that does not fit its model, without repeating any input."""
    count = wrong.error_count()
    # A body of nothing but mistakes: telling each would take hundreds of times its memory.
    if count > _GONE_THROUGH:
        told = [{"field": "", "message": f"{count:,} things are wrong, too many to name them"}]
        return Problem(422, "invalid_request", "the request is not valid", errors=told)
    errors = wrong.errors(include_input=False, include_url=False)
    if any(error["type"] == "json_invalid" for error in errors):
        return Problem(400, "malformed_body", "the body is not valid JSON")
    return of_validation(errors)


def of_validation(errors: Sequence[Any]) -> Problem:
    """Return the problem of what pydantic found, without repeating any input."""
    fields = [
        {
            "field": ".".join(map(_told, error["loc"])),
            "message": str(error["msg"]).removeprefix("Value error, "),
        }
        for error in errors[:_NAMED]
    ]
    return Problem(422, "invalid_request", "the request is not valid", errors=fields)


def _told(part: str | int) -> str:
    """One part of the path of a field. Names that no field of ours could have are whatever was sent: they are not repeated."""
    name = str(part)
    return name if _FIELD.fullmatch(name) else "(unknown)"


def _of(error: Exception) -> Problem:  # noqa: C901, PLR0911  one row of the table each
    match error:
        case Problem():
            return error
        case RequestValidationError():
            # FastAPI puts in front where a parameter comes from.
            return of_validation([each | {"loc": each["loc"][1:]} for each in error.errors()])
        case BadKey():
            return Problem(
                401, "unauthenticated", "a valid API key is needed", headers={"WWW-Authenticate": "Bearer"}
            )
        case BadToken():
            return Problem(404, "not_found", "this link does not work (any more)")
        case Overtaken():
            return Problem(
                409, "conflict", str(error), errors=[{"field": error.field, "message": error.message}]
            )
        case FieldError():
            return invalid(error.field, error.message)
        case NoConsent():
            return Problem(403, "forbidden", str(error))
        case IntegrityError():
            return Problem(409, "conflict", "another request did the same at the same time, try again")
        case HTTPException():
            return _of_status(error)
        case _ if is_outage(error):
            log.warning("the database cannot be reached: %s", type(error).__name__)
            return unavailable()
        case _:
            # The name of the class and no more: a message could repeat what someone sent.
            log.error("unexpected %s", type(error).__name__)
            return Problem(500, "internal", "something went wrong on our side")


def _of_status(error: HTTPException) -> Problem:
    """Return the problem of what the framework itself refuses."""
    codes = {
        401: "unauthenticated",
        403: "forbidden",
        404: "not_found",
        405: "method_not_allowed",
        413: "payload_too_large",
    }
    code = codes.get(error.status_code, "invalid_request")
    return Problem(error.status_code, code, error.detail, headers=dict(error.headers or {}))


async def answer(_request: Request, error: Exception) -> Response:
    """Answer any exception."""
    return _of(error).response()


def install(app: FastAPI) -> None:
    """Answer every error of an app in this one shape."""
    known: tuple[type[Exception], ...] = (
        Problem, RequestValidationError, HTTPException, BadKey, BadToken, FieldError, NoConsent, DBAPIError, PoolTimeout, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError,
    )  # fmt: skip
    for kind in known:
        app.add_exception_handler(kind, answer)
    app.add_middleware(LastResort)


class LastResort:
    """Answers what nobody expected, and keeps its message out of the logs: it could repeat what someone sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, and answer when it raises before it answered."""
        started = False

        def watched(message: Message) -> Awaitable[None]:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            return send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            await _of(error).response()(scope, receive, send)


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare errors of a route for its OpenAPI; one that asks for a key may also be asked too often."""
    if 401 in statuses:
        statuses = (*statuses, 429)
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }
