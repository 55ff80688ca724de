"""Delivery: what happened is told at least once, in order for each person, signed; failures are tried again, then left dead."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from api.service import Service
from api.serving import environment
from api.webhooks import outbox, subscriptions
from api.webhooks.delivery import ATTEMPTS, LEASE, SECOND, Courier, retry_in
from api.webhooks.outbox import Delivery
from api.webhooks.sending import GOODBYE, Sender
from api.webhooks.subscriptions import Leased
from api.worker import work_once
from tests.api import witness
from tests.api.webhooks.conftest import EVERYTHING, hasty
from tests.api.webhooks.receiver import Receiver, receiving
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, OTHER_APP, Caller, Clock, event

DAY_S = 86_400


async def subscribed(client: Caller, receiver: Receiver, types: Sequence[str] = EVERYTHING) -> dict[str, Any]:
    """Subscribe a receiver; return the answer."""
    answer = await client.post("/v1/subscriptions", {"url": receiver.url, "types": list(types)})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def deliveries(client: Caller, subscription: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    """A subscription's messages as the API shows them, newest first."""
    path = f"/v1/subscriptions/{subscription['subscription_id']}/deliveries"
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    return found


async def user_ref(client: Caller, user_id: str) -> str:
    """The name by which webhooks speak of a user."""
    return str((await client.get(f"/v1/users/{user_id}/consents")).json()["user_ref"])


async def test_a_change_of_consent_is_told(client: Caller, courier: Courier, receiver: Receiver) -> None:
    """Who it was, by reference, what they chose, and the receipt of it; the user's id is nowhere in it."""
    subscription = await subscribed(client, receiver)
    changed = await client.consent("u-who-chose", "views", "saves")
    await courier.deliver()
    (got,) = receiver.got
    assert got.line == "POST /hooks HTTP/1.1"
    assert got.headers["content-type"] == "application/json"
    told = got.document
    assert (told["type"], told["sequence"]) == ("consent.changed", 1)
    assert told["id"] == got.headers["webhook-id"]
    assert told["data"]["user_ref"] == changed["user_ref"] == await user_ref(client, "u-who-chose")
    assert told["data"]["receipt_id"] == changed["receipt"]["receipt_id"]
    assert told["data"]["actor"] == {"type": "self"}
    chosen = {(each["signal"], each["purpose"], each["state"]) for each in told["data"]["consents"]}
    assert chosen == {("views", "personalise", "given"), ("saves", "personalise", "given")}
    assert b"u-who-chose" not in got.body
    (row,) = await deliveries(client, subscription)
    assert (row["status"], row["attempts"], row["result"]) == ("delivered", 1, "status_204")


async def test_a_change_that_is_not_made_is_not_told(
    client: Caller, courier: Courier, receiver: Receiver, database_url: str
) -> None:
    """A refused request leaves nothing in the outbox: the message is written with the change, or not at all."""
    await subscribed(client, receiver)
    wrong = {
        "changes": [{"signal": "views", "purpose": "personalise", "state": "given"}],
        "notice_version": "2020-01-01",
        "locale": "en",
        "method": "test",
    }
    assert (await client.http.put("/v1/users/u1/consents", json=wrong)).status_code == 422
    await courier.deliver()
    assert receiver.got == []
    assert (await witness.everything(database_url))["webhook_delivery"] == []


async def test_only_what_was_subscribed_to_is_told(
    client: Caller, courier: Courier, receiver: Receiver
) -> None:
    """A subscription hears of its own types, and an app without any writes nothing."""
    await client.consent("u1", "views")
    await subscribed(client, receiver, ["erasure.completed"])
    await client.consent("u1", "saves")
    await courier.deliver()
    assert receiver.got == []


async def test_what_was_delivered_says_nothing_of_anybody(
    client: Caller, courier: Courier, receiver: Receiver, database_url: str
) -> None:
    """Before delivery a row knows whose it is and what it says; after it, neither."""
    await subscribed(client, receiver)
    await client.consent("u1", "views")
    (row,) = (await witness.everything(database_url))["webhook_delivery"]
    assert row["subject_id"]
    assert row["stream"] == await user_ref(client, "u1")
    assert "views" in row["body"]
    await courier.deliver()
    (row,) = (await witness.everything(database_url))["webhook_delivery"]
    assert (row["subject_id"], row["stream"], row["body"], row["status"]) == (None, None, None, "delivered")


FAILURES = [
    (500, "status_500"), (404, "status_404"), (410, "status_410"), ("hang", "timeout"), ("close", "connection"),
    ("redirect", "status_307"), ("drip", "timeout"),
]  # fmt: skip


@ON_SQLITE
@pytest.mark.parametrize(("behaviour", "result"), FAILURES)
async def test_what_fails_is_sent_again_the_same(
    client: Caller, courier: Courier, receiver: Receiver, clock: Clock, behaviour: int | str, result: str
) -> None:
    """An error, silence, a closed connection, a redirect, an endless head: the same bytes come again later, under the same id."""
    subscription = await subscribed(client, receiver)
    receiver.will(behaviour)
    await client.consent("u1", "views")
    await (hasty(courier) if result == "timeout" else courier).deliver()
    (row,) = await deliveries(client, subscription)
    assert (row["status"], row["attempts"], row["result"]) == ("waiting", 1, result)
    await courier.deliver()
    assert len(receiver.got) == 1  # not before its time
    clock.forward(days=10 / DAY_S)
    await courier.deliver()
    first, second = receiver.got
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    (row,) = await deliveries(client, subscription)
    assert (row["status"], row["attempts"], row["due_at"]) == ("delivered", 2, None)


@ON_SQLITE
async def test_a_redirect_is_not_followed(client: Caller, courier: Courier, receiver: Receiver) -> None:
    """Where a receiver points to is never asked: it could point inside."""
    async with receiving() as other:
        receiver.elsewhere = other.url
        receiver.will("redirect")
        await subscribed(client, receiver)
        await client.consent("u1", "views")
        await courier.deliver()
        assert len(receiver.got) == 1
        assert other.got == []


@ON_SQLITE
@pytest.mark.parametrize("breaks", ["answer", "sender"])
async def test_an_attempt_that_breaks_does_not_lose_the_others(
    client: Caller,
    courier: Courier,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    breaks: str,
) -> None:
    """A redirect to a host that there cannot be, or an error that nobody thought of: that message waits, and the rest of its batch is delivered and written down."""
    subscription = await subscribed(client, receiver)
    receiver.elsewhere = "https://xn--a/"
    if breaks == "answer":
        receiver.will("redirect")
    else:
        sent, left = Sender.send, ["the first"]

        async def broken(self: Sender, *arguments: Any) -> str:
            if left:
                left.clear()
                raise LookupError("https://secret.example/ is in the message")
            return await sent(self, *arguments)

        monkeypatch.setattr(Sender, "send", broken)
    for number in range(3):
        await client.consent(f"u{number}", "views")
    await courier.deliver()
    rows = await deliveries(client, subscription)
    assert sorted((row["status"], row["attempts"], row["result"]) for row in rows) == [
        ("delivered", 1, "status_204"),
        ("delivered", 1, "status_204"),
        ("waiting", 1, "connection"),
    ]
    assert ("LookupError" in caplog.text) == (breaks == "sender")
    assert "secret.example" not in caplog.text


@ON_SQLITE
async def test_of_an_answer_only_the_status_is_read(
    client: Caller, courier: Courier, receiver: Receiver
) -> None:
    """A body without an end is not waited for: 200 is 200."""
    subscription = await subscribed(client, receiver)
    receiver.will("flood")
    await client.consent("u1", "views")
    await asyncio.wait_for(courier.deliver(), 60)
    (row,) = await deliveries(client, subscription)
    assert (row["status"], row["result"]) == ("delivered", "status_200")


@ON_SQLITE
async def test_nobody_there(client: Caller, courier: Courier, receiver: Receiver, free_port: int) -> None:
    """A port where nobody listens is a failure like others."""
    receiver.port = free_port
    subscription = await subscribed(client, receiver)
    await client.consent("u1", "views")
    await courier.deliver()
    (row,) = await deliveries(client, subscription)
    assert (row["status"], row["result"]) == ("waiting", "connection")


async def test_a_person_is_told_of_in_order_and_nobody_waits_for_another(
    client: Caller, courier: Courier, receiver: Receiver, clock: Clock
) -> None:
    """While the first message of one person fails, their second is not sent; another person's is. Later all come in order."""
    await subscribed(client, receiver)
    receiver.will(500)
    await client.consent("u1", "views")
    await courier.deliver()
    await client.consent("u1", "views", state="withdrawn")
    await client.consent("u2", "views")
    await client.consent("u1", "saves")
    await courier.deliver()
    assert [each["data"]["user_ref"] for each in receiver.documents] == [
        await user_ref(client, "u1"),
        await user_ref(client, "u2"),
    ]
    clock.forward(days=10 / DAY_S)
    await courier.deliver()
    of_first = [
        each
        for each in receiver.documents
        if each["data"]["user_ref"] != receiver.documents[1]["data"]["user_ref"]
    ]
    assert [each["sequence"] for each in of_first] == [1, 1, 2, 4]
    assert [each["data"]["consents"][0]["state"] for each in of_first] == [
        "given",
        "given",
        "withdrawn",
        "given",
    ]


async def test_many_changes_at_once_are_told_in_their_order(
    client: Caller, courier: Courier, receiver: Receiver
) -> None:
    """Forty changes of four people at the same time: numbers without a gap, and each person's in the order of their ledger."""
    await subscribed(client, receiver)
    signals = ["views", "saves", "ratings", "topics", "groups"]
    await asyncio.gather(
        *(
            client.consent(f"u{person}", signal, purposes=(purpose,))
            for person in range(4)
            for signal in signals
            for purpose in ("personalise", "measure")
        )
    )
    await courier.deliver()
    assert sorted(each["sequence"] for each in receiver.documents) == list(range(1, 41))
    for person in range(4):
        ref = await user_ref(client, f"u{person}")
        theirs = [each for each in receiver.documents if each["data"]["user_ref"] == ref]
        assert [each["sequence"] for each in theirs] == sorted(each["sequence"] for each in theirs)
        history = (await client.get(f"/v1/users/u{person}/consents/history")).json()["events"]
        assert [each["data"]["receipt_id"] for each in theirs] == [each["receipt_id"] for each in history]


async def test_what_fails_for_days_is_left_dead(
    client: Caller, courier: Courier, receiver: Receiver, clock: Clock, service: Service
) -> None:
    """After the last attempt a message is dead, the person's next one goes, and an operator can send the dead one again."""
    subscription = await subscribed(client, receiver)
    receiver.will(*[503] * ATTEMPTS)
    await client.consent("u1", "views")
    await client.consent("u1", "saves")
    for _ in range(ATTEMPTS):
        await courier.deliver()
        clock.forward(days=0.76)
    dead = await deliveries(client, subscription, status="dead")
    assert [(each["sequence"], each["attempts"], each["result"]) for each in dead] == [
        (1, ATTEMPTS, "status_503")
    ]
    await courier.deliver()
    assert receiver.documents[-1]["sequence"] == 2
    async with service.database.write(OTHER_APP) as connection:
        assert await outbox.revive(connection, OTHER_APP, None, clock()) == 0
    async with service.database.write(APP) as connection:
        assert await outbox.revive(connection, APP, dead[0]["message_id"], clock()) == 1
    await courier.deliver()
    assert receiver.documents[-1]["id"] == dead[0]["message_id"]
    assert {each["status"] for each in await deliveries(client, subscription)} == {"delivered"}


def test_attempts_go_on_for_days() -> None:
    """Each wait is three times the one before, give or take a half, up to twelve hours; all of them two to three days."""

    class Middle:
        @staticmethod
        def uniform(low: float, high: float) -> float:
            return (low + high) / 2

    waits = [retry_in(attempt, Middle()) for attempt in range(1, ATTEMPTS)]  # type: ignore[arg-type]  # dice that always fall in the middle
    assert waits[:4] == [5, 15, 45, 135]
    assert max(waits) == 12 * 3600
    assert 2 * DAY_S < sum(waits) < 3 * DAY_S


async def test_a_worker_that_gives_up_is_followed_by_one_that_sends_again(
    service: Service, client: Caller, courier: Courier, receiver: Receiver
) -> None:
    """A courier cut off in the middle of an attempt leaves the message to the next, at once; it is the same one."""
    subscription = await subscribed(client, receiver)
    receiver.will("hang")
    await client.consent("u1", "views")
    await courier.start()
    while not receiver.got:  # noqa: ASYNC110  the server tells by what it got
        await asyncio.sleep(0.01)
    await courier.give_up()
    await Courier(service, courier.sender, courier.dice).deliver()
    assert len(receiver.got) == 2
    assert len({each.headers["webhook-id"] for each in receiver.got}) == 1
    (row,) = await deliveries(client, subscription)
    assert row["status"] == "delivered"


async def test_two_workers_do_not_send_twice(
    service: Service, client: Caller, courier: Courier, receiver: Receiver
) -> None:
    """Two couriers at once: each message goes out once, and in order."""
    await subscribed(client, receiver)
    for number in range(30):
        await client.consent(f"u{number % 3}", "views", state="given" if number % 2 else "refused")
    other = Courier(service, courier.sender, courier.dice)
    await asyncio.gather(courier.deliver(), other.deliver())
    assert sorted(each["sequence"] for each in receiver.documents) == list(range(1, 31))


async def test_a_lost_lease_sends_nothing(
    service: Service, client: Caller, courier: Courier, receiver: Receiver, clock: Clock
) -> None:
    """A worker whose lease went to another sends nothing more when it wakes up, and gives back nothing."""
    await subscribed(client, receiver)
    await client.consent("u1", "views")
    async with service.database.write("", "deliver") as connection:
        (late,) = await subscriptions.lease_due(connection, clock(), LEASE, 10)
    clock.forward(days=(LEASE / SECOND + 1) / DAY_S)
    async with service.database.write("", "deliver") as connection:
        assert await subscriptions.lease_due(connection, clock() - 2 * SECOND, LEASE, 10) == []
        (mine,) = await subscriptions.lease_due(connection, clock(), LEASE, 10)
    await courier._serve(late)
    assert receiver.got == []
    assert isinstance(mine, Leased)
    await courier._serve(mine)
    assert len(receiver.got) == 1


async def test_a_change_of_address_counts_from_the_next_batch_on(
    service: Service, client: Caller, courier: Courier, receiver: Receiver
) -> None:
    """While a worker serves a subscription, its URL and its secret change, or it ends: what is sent after goes by what is so then."""
    subscription = await subscribed(client, receiver)
    path = f"/v1/subscriptions/{subscription['subscription_id']}"
    await client.consent("u1", "views")
    async with service.database.write("", "deliver") as connection:
        (leased,) = await subscriptions.lease_due(connection, service.clock(), LEASE, 10)
    async with receiving() as elsewhere:
        assert await courier._batch(leased)
        body = {"url": elsewhere.url, "types": list(EVERYTHING)}
        assert (await client.http.put(path, json=body)).status_code == 200
        assert (await client.post(f"{path}:rotate")).status_code == 200
        await client.consent("u1", "saves")
        assert await courier._batch(leased)
        assert [len(each.got) for each in (receiver, elsewhere)] == [1, 1]
        assert len(elsewhere.got[0].headers["webhook-signature"].split()) == 2  # of both secrets
        await client.consent("u1", "ratings")
        assert (await client.http.delete(path)).status_code == 204
        assert not await courier._batch(leased)
        assert [len(each.got) for each in (receiver, elsewhere)] == [1, 1]


async def test_a_slow_app_does_not_hold_up_another(
    client: Caller, caller_for: Callable[..., Any], courier: Courier, receiver: Receiver
) -> None:
    """While one app's receiver hangs, another app's gets its messages; and neither sees the other's."""
    other = await caller_for(OTHER_APP)
    async with receiving() as quick:
        await subscribed(client, receiver)
        await subscribed(other, quick)
        receiver.will("hang")
        await client.consent("u1", "views")
        await other.consent("u1", "views")
        delivering = asyncio.create_task(hasty(courier).deliver())
        while not quick.got:  # noqa: ASYNC110  the server tells by what it got
            await asyncio.sleep(0.01)
        assert not delivering.done()
        await delivering
        assert len(quick.got) == 1
        assert quick.documents[0]["data"]["user_ref"] != receiver.documents[0]["data"]["user_ref"]


async def test_an_erasure_is_told_when_everything_else_of_the_person_is_forgotten(
    service: Service, client: Caller, courier: Courier, receiver: Receiver, clock: Clock, database_url: str
) -> None:
    """What waited about the person goes with them; the notice goes out after any attempt under way, naming the reference alone."""
    subscription = await subscribed(client, receiver)
    ref = await user_ref(client, "u1")
    await client.consent("u1", "views")
    erased = (await client.http.delete("/v1/users/u1")).json()["erasure"]
    assert erased["counts"]["webhooks"] == 1
    while await work_once(service):
        pass
    done = (await client.get(f"/v1/erasures/{erased['erasure_id']}")).json()
    rows = (await witness.everything(database_url))["webhook_delivery"]
    assert [(row["type"], row["subject_id"]) for row in rows] == [
        ("erasure.rows_erased", None),
        ("erasure.completed", None),
    ]
    await courier.deliver()
    assert receiver.got == []
    clock.forward(days=GOODBYE / SECOND / DAY_S)
    await courier.deliver()
    gone, completed = receiver.documents
    assert (gone["type"], completed["type"]) == ("erasure.rows_erased", "erasure.completed")
    assert gone["data"]["user_ref"] == ref
    assert gone["data"]["erasure_id"] == completed["data"]["erasure_id"] == erased["erasure_id"]
    assert completed["data"]["receipt"] == done["receipt"]
    assert ref not in str(completed)
    assert ref not in repr(await witness.everything(database_url))
    assert {each["status"] for each in await deliveries(client, subscription)} == {"delivered"}


async def test_a_person_who_comes_back_is_told_of_after_their_erasure(
    client: Caller, courier: Courier, receiver: Receiver, clock: Clock
) -> None:
    """They have the same reference, and their new choice waits for the notice that they left."""
    await subscribed(client, receiver, ["consent.changed", "erasure.rows_erased"])
    await client.consent("u1", "views")
    await client.http.delete("/v1/users/u1")
    await client.consent("u1", "saves")
    await courier.deliver()
    assert receiver.got == []
    clock.forward(days=GOODBYE / SECOND / DAY_S)
    await courier.deliver()
    assert [each["type"] for each in receiver.documents] == ["erasure.rows_erased", "consent.changed"]
    assert len({each["data"]["user_ref"] for each in receiver.documents}) == 1


@ON_SQLITE
async def test_what_waits_is_shown_to_the_person(client: Caller, receiver: Receiver) -> None:
    """An export has what is still to be told of the person."""
    await subscribed(client, receiver)
    await client.consent("u1", "views")
    (waiting,) = (await client.get("/v1/users/u1/export")).json()["webhooks"]
    assert waiting["type"] == "consent.changed"


@ON_SQLITE
async def test_addresses_are_checked_again_when_sending(
    service: Service, client: Caller, courier: Courier, receiver: Receiver
) -> None:
    """A subscription that was allowed once goes nowhere when the operator allows it no more; nothing is sent."""
    subscription = await subscribed(client, receiver)
    await client.consent("u1", "views")
    strict = Courier(
        service,
        type(courier.sender)(type(courier.sender.policy)(), courier.sender.certificates),
        courier.dice,
    )
    await strict.deliver()
    (row,) = await deliveries(client, subscription)
    assert (row["status"], row["result"], receiver.got) == ("waiting", "not_allowed", [])


@ON_SQLITE
async def test_a_real_worker_delivers_and_one_that_is_killed_is_replaced(
    service: Service, client: Caller, receiver: Receiver, clock: Clock
) -> None:
    """`assent worker` delivers by itself; killed in the middle of an attempt, the next one sends the message again."""
    await subscribed(client, receiver)
    receiver.will("hang")
    await client.consent("u1", "views")
    variables = {**os.environ, **environment(service.settings)}

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(sys.executable, "-m", "api.cli", "worker", env=variables)

    async def until(count: int) -> None:
        async with asyncio.timeout(300):
            while len(receiver.got) < count:  # noqa: ASYNC110  the server tells by what it got
                await asyncio.sleep(0.05)

    process = await start()
    await until(1)
    process.kill()
    await process.wait()
    # Nobody waits a minute here for the lease of the dead: the next worker is told that it is over.
    async with service.database.write("", "deliver") as connection:
        (taken,) = await subscriptions.lease_due(connection, clock() + LEASE + SECOND, 0, 1)
        assert await subscriptions.renew(connection, taken, 0)
    process = await start()
    try:
        await until(2)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 90) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert receiver.got[0].body == receiver.got[1].body


@ON_SQLITE
async def test_old_messages_are_forgotten(
    service: Service, client: Caller, courier: Courier, receiver: Receiver, clock: Clock
) -> None:
    """Delivered ones, and dead ones, go when their time is over, a few at a time; what waits stays."""
    await subscribed(client, receiver)
    for number in range(3):
        await client.consent(f"u{number}", "views")
    await courier.deliver()
    await client.consent("u4", "views")

    async def prune(**before: int) -> int:
        async with service.database.write(APP) as connection:
            return await outbox.prune(connection, APP, **before, limit=2)

    assert await prune(delivered_before=0, dead_before=clock()) == 0
    assert [await prune(delivered_before=clock(), dead_before=0) for _ in range(3)] == [2, 1, 0]
    async with service.database.read(APP) as connection:
        left: list[Delivery] = await outbox.deliveries(connection, APP, limit=10)
    assert [each.status for each in left] == ["waiting"]


@ON_SQLITE
async def test_events_are_never_told(client: Caller, courier: Courier, receiver: Receiver) -> None:
    """What people do is in no webhook."""
    await subscribed(client, receiver)
    await client.consent("u1", "views")
    await client.events(event("u1", "views", "box-breathing"))
    await courier.deliver()
    assert [each["type"] for each in receiver.documents] == ["consent.changed"]
