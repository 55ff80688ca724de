"""Retries: a write under an `Idempotency-Key` happens once, and is answered the same again.

What a kept answer says of a person goes with the person (`user_hash`). Where it would say too much, the caller tells
how to shorten it, and how to write it out again from the request that comes with the retry: `Shortened`.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api import store
from api.database import RIGHTS
from api.keys import Caller
from api.problems import NO_STORE, Problem, invalid
from api.service import Service
from consent import store as ledger
from consent.pseudonyms import derived_key

Document = Mapping[str, Any]
Work = Callable[[AsyncConnection], Awaitable[tuple[int, Document]]]

_LONGEST = 255


@dataclass(frozen=True)
class Shortened:
    """How an answer is kept in fewer words, and written out again for a retry of the same request."""

    shorten: Callable[[Document], bytes]
    write_out: Callable[[bytes], Document]


_WHOLE = Shortened(orjson.dumps, orjson.loads)


async def once(
    service: Service,
    request: Request,
    caller: Caller,
    work: Work,
    *,
    body: bytes = b"",
    user_hash: bytes | None = None,
    purpose: str = RIGHTS,
    kept_as: Shortened = _WHOLE,
) -> Response:
    """Do a write in one transaction and answer it as JSON; with the answer kept in the same transaction under its key.

    Args:
        service: the service.
        request: carries the key, if there is one.
        caller: whose key it is: keys of different apps never meet.
        work: writes, and returns the status and document to answer.
        body: what tells this request from another under the same key, beside method and path.
        user_hash: whom the answer concerns, so that it goes when they go; None when it says nothing of a person.
        purpose: what the transaction is for.
        kept_as: how the answer is kept.

    Raises:
        Problem: 422 when the key was used for another request; 409 when the same is under way, or when the person
            was deleted since the request arrived, or since it was answered.
    """
    whole = work if user_hash is None else await _of_the_same(service, caller.app_id, user_hash, work)
    key = request.headers.get("idempotency-key")
    if key is None:
        async with service.database.write(caller.app_id, purpose) as connection:
            status, document = await whole(connection)
        return json_response(status, orjson.dumps(document))
    if not 1 <= len(key) <= _LONGEST:
        raise invalid("Idempotency-Key", f"must have 1 to {_LONGEST} characters")
    secret = derived_key(service.settings.secret_bytes, "idempotency")
    key_hash = hmac.digest(secret, key.encode(), hashlib.sha256)
    # The key, which is kept nowhere, is part of it: so nobody can try afterwards whose path this was.
    told = b"\x00".join((key.encode(), request.method.encode(), request.url.path.encode(), body))
    request_hash = hmac.digest(secret, told, hashlib.sha256)
    with _alone(service, caller.app_id, key_hash):
        async with service.database.write(caller.app_id, purpose) as connection:
            if not await store.claim_answer(connection, caller.app_id, key_hash):
                raise _under_way()
            kept = await store.find_answer(connection, caller.app_id, key_hash)
            if kept is not None and kept.status == store.SPENT:
                raise _left(
                    "whom this was about was deleted since; whoever means it anew sends it under another key"
                )
            if kept is None:
                status, document = await whole(connection)
                kept = store.Kept(request_hash, status, kept_as.shorten(document))
                await store.keep_answer(connection, caller.app_id, key_hash, kept, user_hash, service.clock())
                answer = json_response(status, orjson.dumps(document))
            elif not hmac.compare_digest(kept.request_hash, request_hash):
                raise Problem(
                    422, "idempotency_mismatch", "this Idempotency-Key was used for another request"
                )
            else:
                answer = json_response(kept.status, orjson.dumps(kept_as.write_out(kept.body)))
    return answer


async def _of_the_same(service: Service, app_id: str, user_hash: bytes, work: Work) -> Work:
    """Return work that is undone when the person whom it is about was deleted since now: it was asked for before that."""
    async with service.database.read(app_id) as connection:
        arrived = await ledger.find_subject(connection, app_id, user_hash)

    async def unless_they_left(connection: AsyncConnection) -> tuple[int, Document]:
        done = await work(connection)
        if arrived is not None and await ledger.find_subject(connection, app_id, user_hash) != arrived:
            raise _left("whom this is about was deleted in the meantime: look again, then choose")
        return done

    return unless_they_left


def _left(detail: str) -> Problem:
    return Problem(409, "conflict", detail)


@contextmanager
def _alone(service: Service, app_id: str, key_hash: bytes) -> Iterator[None]:
    """Let one request at a time in under a key; the database sees to those of other processes."""
    if (app_id, key_hash) in service.under_way:
        raise _under_way()
    service.under_way.add((app_id, key_hash))
    try:
        yield
    finally:
        service.under_way.remove((app_id, key_hash))


def _under_way() -> Problem:
    return Problem(
        409,
        "conflict",
        "a request with this Idempotency-Key is under way, try again",
        headers={"Retry-After": "1"},
    )


def json_response(status: int, body: bytes) -> Response:
    """Answer JSON that nobody may keep."""
    return Response(body, status_code=status, media_type="application/json", headers=NO_STORE)
