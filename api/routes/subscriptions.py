"""`/v1/subscriptions`: where webhooks go, their secrets, and how far each message has come."""

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.dependencies import CURSOR, RETRIED, PageLimit, ServiceDep, accepts, json_body, requires
from api.idempotency import json_response, once
from api.keys import Caller, Scope
from api.problems import NO_STORE, Problem, declared, invalid, not_found
from api.requests import SubscriptionRequest
from api.service import Service
from api.webhooks import outbox, signing, subscriptions
from api.webhooks.addresses import NotAllowed
from api.webhooks.answers import (
    DeliveriesOut,
    PingOut,
    SubscriptionOut,
    SubscriptionsOut,
    SubscriptionWithSecret,
)
from api.webhooks.messages import Message, Type
from api.webhooks.outbox import Delivery
from api.webhooks.subscriptions import Subscription
from consent.receipts.records import rfc3339

router = APIRouter(prefix="/v1", tags=["webhooks"])
ConsentCaller = Annotated[Caller, Depends(requires(Scope.CONSENT))]
SubscriptionId = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{32}$",
        description="Its id, as it was answered with",
        examples=["4e07408562bedb8b60ce05c1decfe3ad"],
    ),
]
Body = Annotated[SubscriptionRequest, Depends(json_body(SubscriptionRequest))]


def _json(subscription: Subscription, now: int) -> dict[str, Any]:
    overlap = len(subscription.generations(now)) > 1
    return {
        "subscription_id": subscription.subscription_id,
        "url": subscription.url,
        "types": list(subscription.types),
        "created_at": rfc3339(subscription.created_at),
        "secret_generation": subscription.generation,
        "previous_secret_until": rfc3339(subscription.overlap_until) if overlap else None,
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "message_id": delivery.message_id,
        "sequence": delivery.sequence,
        "type": delivery.type,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "result": delivery.result,
        "created_at": rfc3339(delivery.created_at),
        "due_at": rfc3339(delivery.due_at) if delivery.status == outbox.WAITING else None,
        "ended_at": None if delivery.ended_at is None else rfc3339(delivery.ended_at),
    }


def _with_secret(service: Service, app_id: str, answer: Response) -> Response:
    """Add the secret to an answer. It is no part of what is kept for retries; a retry derives the same."""
    document = orjson.loads(bytes(answer.body))
    secret = service.webhook_secrets.of(app_id, document["subscription_id"], document["secret_generation"])
    return json_response(answer.status_code, orjson.dumps({**document, "secret": signing.shown(secret)}))


def _checked(service: Service, body: SubscriptionRequest) -> list[Type]:
    try:
        service.settings.webhook_policy.check_url(body.url)
    except NotAllowed as wrong:
        raise invalid("url", str(wrong)) from None
    return [Type(name) for name in dict.fromkeys(body.types)]


@router.post(
    "/subscriptions",
    status_code=201,
    summary="Subscribe to webhooks",
    openapi_extra=accepts(SubscriptionRequest) | RETRIED,
    responses={201: {"model": SubscriptionWithSecret}, **declared(400, 401, 403, 409, 413, 422, 503)},
)
async def subscribe(http: Request, service: ServiceDep, caller: ConsentCaller, body: Body) -> Response:
    """Be told of what happens from now on. The answer has the secret that signs; it is not shown again."""
    types = _checked(service, body)

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        now = service.clock()
        try:
            made = await subscriptions.add(connection, caller.app_id, body.url, types, now)
        except subscriptions.TooMany:
            raise Problem(409, "conflict", f"an app has {subscriptions.MOST} subscriptions at most") from None
        return 201, _json(made, now)

    answer = await once(service, http, caller, work, body=body.model_dump_json().encode())
    return _with_secret(service, caller.app_id, answer)


@router.get(
    "/subscriptions",
    summary="Every subscription",
    responses={200: {"model": SubscriptionsOut}, **declared(401, 403, 503)},
)
async def every_subscription(service: ServiceDep, caller: ConsentCaller) -> Response:
    """The app's subscriptions, without their secrets."""
    async with service.database.read(caller.app_id) as connection:
        found = await subscriptions.of_app(connection, caller.app_id)
    now = service.clock()
    return json_response(200, orjson.dumps({"subscriptions": [_json(each, now) for each in found]}))


@router.get(
    "/subscriptions/{subscription_id}",
    summary="A subscription",
    responses={200: {"model": SubscriptionOut}, **declared(401, 403, 404, 422, 503)},
)
async def subscription(
    service: ServiceDep, caller: ConsentCaller, subscription_id: SubscriptionId
) -> Response:
    """One subscription, without its secret."""
    async with service.database.read(caller.app_id) as connection:
        found = await subscriptions.find(connection, caller.app_id, subscription_id)
    if found is None:
        raise not_found()
    return json_response(200, orjson.dumps(_json(found, service.clock())))


@router.put(
    "/subscriptions/{subscription_id}",
    summary="Change a subscription",
    openapi_extra=accepts(SubscriptionRequest) | RETRIED,
    responses={200: {"model": SubscriptionOut}, **declared(400, 401, 403, 404, 409, 413, 422, 503)},
)
async def change(
    http: Request, service: ServiceDep, caller: ConsentCaller, subscription_id: SubscriptionId, body: Body
) -> Response:
    """Send elsewhere, or other types. What waits goes to the new place too; the secret stays."""
    types = _checked(service, body)

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        changed = await subscriptions.change(connection, caller.app_id, subscription_id, body.url, types)
        if changed is None:
            raise not_found()
        return 200, _json(changed, service.clock())

    return await once(service, http, caller, work, body=body.model_dump_json().encode())


@router.delete(
    "/subscriptions/{subscription_id}",
    status_code=204,
    summary="End a subscription",
    openapi_extra=RETRIED,
    responses={204: {"description": "It is gone"}, **declared(401, 403, 404, 409, 422, 503)},
)
async def end(
    http: Request, service: ServiceDep, caller: ConsentCaller, subscription_id: SubscriptionId
) -> Response:
    """End a subscription; what still waited for it is forgotten."""

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        if not await subscriptions.remove(connection, caller.app_id, subscription_id):
            raise not_found()
        return 204, {}

    answer = await once(service, http, caller, work)
    return Response(status_code=answer.status_code, headers=NO_STORE)


@router.post(
    "/subscriptions/{subscription_id}:rotate",
    summary="Begin a new secret",
    openapi_extra=RETRIED,
    responses={200: {"model": SubscriptionWithSecret}, **declared(401, 403, 404, 409, 422, 503)},
)
async def rotate(
    http: Request, service: ServiceDep, caller: ConsentCaller, subscription_id: SubscriptionId
) -> Response:
    """Sign with a new secret from now on; for a day with the one before too, so that nothing is missed meanwhile."""

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        now = service.clock()
        rotated = await subscriptions.rotate(connection, caller.app_id, subscription_id, now)
        if rotated is None:
            raise not_found()
        return 200, _json(rotated, now)

    return _with_secret(service, caller.app_id, await once(service, http, caller, work))


@router.post(
    "/subscriptions/{subscription_id}:ping",
    status_code=202,
    summary="Send a test message",
    openapi_extra=RETRIED,
    responses={202: {"model": PingOut}, **declared(401, 403, 404, 409, 422, 503)},
)
async def ping(
    http: Request, service: ServiceDep, caller: ConsentCaller, subscription_id: SubscriptionId
) -> Response:
    """Send a `webhook.ping`, like any other message: signed, by the worker, tried again when it fails."""

    async def work(connection: AsyncConnection) -> tuple[int, dict[str, Any]]:
        found = await subscriptions.find(connection, caller.app_id, subscription_id)
        if found is None:
            raise not_found()
        (sent,) = await outbox.tell_to(connection, found, [Message(Type.PING, {})], service.clock())
        return 202, {"message_id": sent}

    return await once(service, http, caller, work)


@router.get(
    "/subscriptions/{subscription_id}/deliveries",
    summary="How far messages have come",
    responses={200: {"model": DeliveriesOut}, **declared(401, 403, 404, 422, 503)},
)
async def deliveries(
    service: ServiceDep,
    caller: ConsentCaller,
    subscription_id: SubscriptionId,
    status: Annotated[
        Literal["waiting", "delivered", "dead"] | None,
        Query(description="Only these", examples=["dead"]),
    ] = None,
    limit: PageLimit = 50,
    cursor: Annotated[str, Query(pattern=r"^[0-9]{1,18}$", description=CURSOR, examples=["17"])] = "",
) -> Response:
    """A subscription's messages, newest first: delivered ones for a week, dead ones for a month. They name nobody."""
    async with service.database.read(caller.app_id) as connection:
        if await subscriptions.find(connection, caller.app_id, subscription_id) is None:
            raise not_found()
        found = await outbox.deliveries(
            connection,
            caller.app_id,
            subscription_id,
            status=status,
            before=int(cursor) if cursor else None,
            limit=limit + 1,
        )
    page = found[:limit]
    document = {
        "deliveries": [_delivery(each) for each in page],
        "next_cursor": str(page[-1].sequence) if len(found) > limit else None,
    }
    return json_response(200, orjson.dumps(document))
