"""Grants that end by themselves: told ahead of time, once, and told again when they have ended."""

import asyncio
import random

import pytest
from sqlalchemy import select

from api import removals, upkeep
from api.service import Service
from api.webhooks.delivery import Courier
from api.webhooks.tables import webhook_subscription
from consent.store import find_subject
from tests.api.webhooks.receiver import Receiver, receiving
from tests.api.webhooks.test_delivery import subscribed, user_ref
from tests.conftest import APP, Caller, Clock

BOTH = ["consent.expiring", "consent.expired"]


async def told(service: Service, courier: Courier, receiver: Receiver) -> list[tuple[str, str]]:
    """Let the clock's work be done and the webhooks be sent; everything received so far, as (type, user_ref)."""
    await upkeep.upkeep(service)
    await courier.deliver()
    return [(each["type"], each["data"]["user_ref"]) for each in receiver.documents]


async def test_an_end_is_told_ahead_and_when_it_comes(
    service: Service, client: Caller, courier: Courier, receiver: Receiver, clock: Clock
) -> None:
    """Thirty days before a grant ends the app hears of it, once; and again when it has ended."""
    await subscribed(client, receiver, BOTH)
    await client.consent("u1", "views", "saves")  # for a year
    ref = await user_ref(client, "u1")
    clock.forward(days=334)
    assert await told(service, courier, receiver) == []
    clock.forward(days=2)
    for _ in range(2):
        assert await told(service, courier, receiver) == [("consent.expiring", ref)]
    ends = receiver.documents[0]["data"]["consents"]
    assert {(each["signal"], each["state"]) for each in ends} == {("views", "given"), ("saves", "given")}
    clock.forward(days=30)
    assert await told(service, courier, receiver) == [("consent.expiring", ref), ("consent.expired", ref)]
    assert {each["state"] for each in receiver.documents[1]["data"]["consents"]} == {"expired"}


async def test_an_end_that_a_yes_anew_came_upon_is_told_before_it(
    service: Service, client: Caller, courier: Courier, receiver: Receiver, clock: Clock
) -> None:
    """Whoever says yes again before the worker found the end: the app hears that it ended, then of the yes, and the end once."""
    await client.consent("u1", "views")
    clock.forward(days=366)
    await subscribed(client, receiver, ["consent.changed", "consent.expired"])
    await client.consent("u1", "views")
    ref = await user_ref(client, "u1")
    for _ in range(2):
        assert await told(service, courier, receiver) == [("consent.expired", ref), ("consent.changed", ref)]
    states = [each["data"]["consents"][0]["state"] for each in receiver.documents]
    assert states == ["expired", "given"]
    async with service.database.read(APP) as connection:
        counted = {each.kind: each.number for each in await removals.days(connection, APP, 10)}
    assert counted["grants_ended"] == 1


async def test_what_is_withdrawn_or_renewed_in_time_is_not_told(
    service: Service, client: Caller, courier: Courier, receiver: Receiver, clock: Clock
) -> None:
    """No notice of a grant that is gone already, nor of one with a new term; that term's end is told in its own time."""
    await subscribed(client, receiver, BOTH)
    await client.consent("u1", "views")
    await client.consent("u2", "views")
    clock.forward(days=300)
    await client.consent("u1", "views", state="withdrawn")
    await client.consent("u2", "views")
    clock.forward(days=40)
    assert await told(service, courier, receiver) == []
    clock.forward(days=300)
    assert await told(service, courier, receiver) == [("consent.expiring", await user_ref(client, "u2"))]


async def test_whoever_subscribes_late_hears_of_what_is_still_to_come(
    service: Service, client: Caller, courier: Courier, receiver: Receiver, clock: Clock
) -> None:
    """A new subscription is told of every grant that ends within thirty days, whatever another was told before."""
    await client.consent("u1", "views")
    clock.forward(days=340)
    async with receiving() as early:
        await subscribed(client, early, BOTH)
        await told(service, courier, early)
        await subscribed(client, receiver, BOTH)
        assert len(await told(service, courier, receiver)) == 1
        assert len(early.got) == 1


async def test_many_are_told_a_few_at_a_time_and_each_once(
    service: Service,
    client: Caller,
    courier: Courier,
    receiver: Receiver,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Eleven people in batches of three, by two workers at once: each is told of once."""
    monkeypatch.setattr(upkeep, "PEOPLE", 3)
    await subscribed(client, receiver, BOTH)
    for number in range(11):
        await client.consent(f"u{number}", "views")
    clock.forward(days=340)
    assert (await upkeep.announce(service, APP)).more
    await asyncio.gather(upkeep.upkeep(service), upkeep.upkeep(service))
    seen = await told(service, Courier(service, courier.sender, random.Random(1)), receiver)
    assert len(seen) == len(set(seen)) == 11


async def test_who_was_erased_is_not_told_of(
    service: Service, client: Caller, courier: Courier, receiver: Receiver, clock: Clock
) -> None:
    """A notice that waits goes with the person, and so does that they were the last who was told of."""
    await subscribed(client, receiver, BOTH)
    await client.consent("u1", "views")
    clock.forward(days=340)
    await upkeep.announce(service, APP)
    come_as_far_as = select(webhook_subscription.c.expiring_subject)
    async with service.database.read(APP) as connection:
        subject = await find_subject(connection, APP, service.pseudonyms.user(APP, "u1"))
        assert (await connection.execute(come_as_far_as)).scalars().all() == [subject]
    await client.http.delete("/v1/users/u1")
    async with service.database.read(APP) as connection:
        assert (await connection.execute(come_as_far_as)).scalars().all() == [""]
    clock.forward(days=1)
    assert await told(service, courier, receiver) == []
