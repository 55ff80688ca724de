"""Retries: a write under an Idempotency-Key happens once and is answered the same again."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx

from api.service import Service
from api.worker import housekeeping
from tests.api import witness
from tests.api.calls import CALLS, CONSENT, RESOURCE, Call
from tests.api.witness import ON_SQLITE
from tests.conftest import OTHER_APP, Caller, Clock

KEPT = [call for call in CALLS if call.writes and call.template != "/v1/events"]
"""Every write but events, which are idempotent by their own ids: of a refused one not even an answer is kept."""


async def send(client: Caller, call: Call, key: str, body: Any = None) -> httpx.Response:
    """Make a call under a key."""
    return await client.http.request(
        call.method, call.path(), json=body or call.body, headers={"Idempotency-Key": key}
    )


async def test_every_write_is_answered_the_same_again(client: Caller, database_url: str) -> None:
    """On every route that writes, the second request under one key writes nothing and is answered as the first."""
    await client.http.put("/v1/resources/tea-and-a-window", json=RESOURCE)
    tried = 0
    for call in KEPT:
        if call.template.endswith(":promote"):
            continue  # there is no release to promote here; failures are not kept
        first = await send(client, call, "key-of " + call.method + call.template)
        assert first.status_code < 300, (call, first.text)
        before = await witness.everything(database_url)
        again = await send(client, call, "key-of " + call.method + call.template)
        assert (again.status_code, again.content) == (first.status_code, first.content), call
        assert await witness.everything(database_url) == before, call
        tried += 1
    assert tried == 6


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
