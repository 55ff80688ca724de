"""Retries: a write under an `Idempotency-Key` happens once, and is answered the same again."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from fastapi import Request, Response
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from api import store
from api.keys import Caller
from api.problems import NO_STORE, Problem
from api.service import Service
from consent.pseudonyms import derived_key

Work = Callable[[AsyncConnection], Awaitable[tuple[int, Mapping[str, Any]]]]

_LONGEST = 255


async def once(
    service: Service,
    request: Request,
    caller: Caller,
    work: Work,
    *,
    body: bytes = b"",
    user_hash: bytes | None = None,
) -> Response:
    """Do a write in one transaction and answer it as JSON; with the answer kept in the same transaction under its key.

    Args:
        service: the service.
        request: carries the key, if there is one.
        caller: whose key it is: keys of different apps never meet.
        work: writes, and returns the status and document to answer.
        body: what tells this request from another under the same key, beside method and path.
        user_hash: whom the answer concerns, so that it goes when they go; None when it says nothing of a person.

    Raises:
        Problem: 422 when the key was used for another request, 409 when the same is under way.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        async with service.database.write(caller.app_id) as connection:
            status, document = await work(connection)
        return json_response(status, orjson.dumps(document))
    if not 1 <= len(key) <= _LONGEST:
        raise Problem(422, "invalid_request", "Idempotency-Key must have 1 to 255 characters")
    secret = derived_key(service.settings.secret_bytes, "idempotency")
    key_hash = hmac.digest(secret, key.encode(), hashlib.sha256)
    told = b"\x00".join((request.method.encode(), request.url.path.encode(), body))
    request_hash = hmac.digest(secret, told, hashlib.sha256)
    try:
        async with service.database.write(caller.app_id) as connection:
            kept = await store.find_answer(connection, caller.app_id, key_hash)
            if kept is None:
                status, document = await work(connection)
                kept = store.Kept(request_hash, status, orjson.dumps(document))
                await store.keep_answer(connection, caller.app_id, key_hash, kept, user_hash, service.clock())
    except IntegrityError:
        raise Problem(
            409, "conflict", "a request with this Idempotency-Key is under way, try again"
        ) from None
    if not hmac.compare_digest(kept.request_hash, request_hash):
        raise Problem(422, "idempotency_mismatch", "this Idempotency-Key was used for another request")
    return json_response(kept.status, kept.body)


def json_response(status: int, body: bytes) -> Response:
    """Answer JSON that nobody may keep."""
    return Response(body, status_code=status, media_type="application/json", headers=NO_STORE)
