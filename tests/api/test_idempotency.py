"""Retries: a write under an Idempotency-Key happens once and is answered the same again."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from api import people, store
from api.service import Service
from api.worker import housekeeping
from tests.api import witness
from tests.api.calls import CALLS, CONSENT, RESOURCE, SUBSCRIPTION, Call
from tests.api.witness import ON_POSTGRESQL, ON_SQLITE
from tests.conftest import APP, OTHER_APP, Caller, Clock, event

KEPT = [call for call in CALLS if call.writes]
"""Every write. What only reads, and the making of links, takes a key too and has nothing to keep."""


async def send(client: Caller, call: Call, key: str, body: Any = None, **names: str) -> httpx.Response:
    """Make a call under a key."""
    return await client.http.request(
        call.method, call.path(**names), json=body or call.body, headers={"Idempotency-Key": key}
    )


async def test_every_write_is_answered_the_same_again(client: Caller, database_url: str) -> None:
    """On every route that writes, the second request under one key writes nothing and is answered as the first."""
    await client.http.put("/v1/resources/tea-and-a-window", json=RESOURCE)
    made = (await client.post("/v1/subscriptions", SUBSCRIPTION)).json()
    names = {"subscription_id": str(made["subscription_id"])}
    tried = 0
    for call in KEPT:
        if call.template.endswith(":promote"):
            continue  # there is no release to promote here; failures are not kept
        first = await send(client, call, "key-of " + call.method + call.template, **names)
        assert first.status_code < 300, (call, first.text)
        before = await witness.everything(database_url)
        again = await send(client, call, "key-of " + call.method + call.template, **names)
        assert (again.status_code, again.content) == (first.status_code, first.content), call
        assert await witness.everything(database_url) == before, call
        tried += 1
    assert tried == sum(not call.template.endswith(":promote") for call in KEPT) > 10


@ON_SQLITE
async def test_another_request_under_a_used_key_is_refused(client: Caller, database_url: str) -> None:
    """Another body, path or method under a used key is 422 idempotency_mismatch, and nothing is written."""
    put = next(
        call for call in KEPT if call.template == "/v1/resources/{resource_id}" and call.method == "PUT"
    )
    assert (await send(client, put, "k")).status_code == 200
    before = await witness.everything(database_url)
    for other, body in [
        (put, {**RESOURCE, "title": "Other"}),
        *((call, None) for call in KEPT if call != put),
    ]:
        answer = await send(client, other, "k", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch"), other
    assert await witness.everything(database_url) == before


async def test_fifty_at_once_write_once(client: Caller, database_url: str) -> None:
    """Of fifty requests under one key at the same time one writes; the others get its answer, or are told to try again."""
    answers = await asyncio.gather(
        *(
            client.http.put("/v1/users/u1/consents", json=CONSENT, headers={"Idempotency-Key": "k"})
            for _ in range(50)
        )
    )
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 409}, [
        answer.text for answer in answers if answer.status_code not in {200, 409}
    ]
    assert statuses[200] >= 1
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    rows = await witness.counts(database_url)
    assert (rows["consent_event"], rows["receipt"], rows["idempotent_answer"]) == (1, 1, 1)


@ON_SQLITE
async def test_failures_are_not_kept(client: Caller, database_url: str) -> None:
    """What was refused may be tried again under its key, once it is right."""
    wrong = {**CONSENT, "notice_version": "2020-01-01"}
    headers = {"Idempotency-Key": "k"}
    assert (await client.http.put("/v1/users/u1/consents", json=wrong, headers=headers)).status_code == 422
    assert (await witness.counts(database_url))["idempotent_answer"] == 0
    assert (await client.http.put("/v1/users/u1/consents", json=CONSENT, headers=headers)).status_code == 200


@ON_SQLITE
async def test_keys_that_are_none(client: Caller, database_url: str) -> None:
    """An empty key, or one of 256 characters, is refused; 255 are fine."""
    before = await witness.everything(database_url)
    for key in ("", "k" * 256):
        answer = await client.http.delete("/v1/users/u1", headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await witness.everything(database_url) == before
    answer = await client.http.delete("/v1/users/u1", headers={"Idempotency-Key": "k" * 255})
    assert answer.status_code == 202


@ON_SQLITE
async def test_keys_of_different_apps_never_meet(client: Caller, caller_for: Callable[..., Any]) -> None:
    """The same key in two apps stands for two requests."""
    other = await caller_for(OTHER_APP)
    headers = {"Idempotency-Key": "k"}
    assert (await client.http.delete("/v1/users/u1", headers=headers)).status_code == 202
    assert (await other.http.put("/v1/users/u1/consents", json=CONSENT, headers=headers)).status_code == 200


@ON_SQLITE
async def test_answers_are_kept_for_a_day(
    client: Caller, service: Service, clock: Clock, database_url: str
) -> None:
    """After a day the worker forgets kept answers, and neither keys nor bodies were ever stored as they came."""
    headers = {"Idempotency-Key": "key-with-canary-7f3a"}
    await client.http.put("/v1/users/u1/consents", json=CONSENT, headers=headers)
    assert "canary-7f3a" not in repr(await witness.everything(database_url))
    clock.forward(days=0.9)
    await housekeeping(service)
    assert (await witness.counts(database_url))["idempotent_answer"] == 1
    clock.forward(days=0.2)
    await housekeeping(service)
    assert (await witness.counts(database_url))["idempotent_answer"] == 0


async def test_a_request_that_is_under_way_is_not_begun_again(
    client: Caller, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first works, a second under its key is told 409 at once; afterwards it gets the first one's answer, byte for byte."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    change = people.change

    async def slow(*arguments: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await change(*arguments)

    def put() -> Any:
        return client.http.put("/v1/users/u1/consents", json=CONSENT, headers={"Idempotency-Key": "k"})

    monkeypatch.setattr(people, "change", slow)
    first = asyncio.create_task(put())
    await begun.wait()
    second = await asyncio.wait_for(put(), 60)
    assert (second.status_code, second.json()["code"]) == (409, "conflict")
    assert second.headers["retry-after"]
    go_on.set()
    answer = await first
    assert answer.status_code == 200
    again = await put()
    assert (again.status_code, again.content) == (200, answer.content)
    assert not service.under_way


@ON_POSTGRESQL
async def test_a_key_is_claimed_across_processes(service: Service) -> None:
    """While one connection answers a key, no other may; once it is through, any may. Keys of other apps are others."""
    async with service.database.write(APP) as one:
        assert await store.claim_answer(one, APP, b"k")
        async with service.database.write(APP) as other:
            assert not await store.claim_answer(other, APP, b"k")
            assert await store.claim_answer(other, OTHER_APP, b"k")
    async with service.database.write(APP) as other:
        assert await store.claim_answer(other, APP, b"k")


async def test_a_batch_of_events_is_answered_as_it_was(client: Caller, database_url: str) -> None:
    """Under a key the same batch says again what became of each event then, also when consent changed; and stores nothing new."""
    await client.consent("u1", "views")
    batch = {
        "events": [
            event("u1", "views", "box-breathing", event_id="canary7f3a-1"),
            event("u2", "views", "box-breathing", event_id="canary7f3a-2"),
            event("u1", "views", "no-such-thing", event_id="canary7f3a-3"),
        ]
    }

    async def post(body: Any) -> httpx.Response:
        return await client.http.post("/v1/events", json=body, headers={"Idempotency-Key": "k"})

    first = await post(batch)
    assert [each["status"] for each in first.json()["results"]] == ["accepted", "refused", "invalid"]
    await client.consent("u1", "views", state="withdrawn")
    await client.consent("u2", "views")
    before = await witness.everything(database_url)
    again = await post(batch)
    assert (again.status_code, again.content) == (200, first.content)
    assert await witness.everything(database_url) == before
    assert "canary7f3a" not in repr(before["idempotent_answer"])
    other = await post({"events": batch["events"][:2]})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    unkeyed = await client.post("/v1/events", batch)
    assert [each["status"] for each in unkeyed.json()["results"]] == ["refused", "accepted", "refused"]


@ON_SQLITE
async def test_what_only_reads_keeps_nothing(client: Caller, database_url: str) -> None:
    """Asking for a list or a link under a key is answered, and leaves no trace of the key or the answer."""
    await client.consent("u1", "views")
    before = await witness.everything(database_url)
    for call in CALLS:
        if call.method == "POST" and not call.writes:
            assert (await send(client, call, "k")).status_code == 200
            assert (await send(client, call, "k")).status_code == 200
    assert await witness.everything(database_url) == before


@ON_SQLITE
async def test_old_answers_are_forgotten_in_batches(client: Caller, service: Service, clock: Clock) -> None:
    """So many at a time, and of one app."""
    for number in range(5):
        await client.http.put(
            "/v1/users/u1/consents", json=CONSENT, headers={"Idempotency-Key": f"k{number}"}
        )
    clock.forward(days=2)
    async with service.database.write(APP) as connection:
        assert await store.prune_answers(connection, OTHER_APP, service.clock(), 2) == 0
        forgotten = [await store.prune_answers(connection, APP, service.clock(), 2) for _ in range(4)]
    assert forgotten == [2, 2, 1, 0]
