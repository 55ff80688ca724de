"""What was asked for before somebody left, and comes after: it brings nobody back, and deletes nobody who came back since."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.event import listen, remove
from sqlalchemy.ext.asyncio import AsyncConnection

from api import erasing
from api.service import Service
from consent import persons
from tests.api import witness
from tests.api.calls import CONSENT
from tests.api.full import live_fully
from tests.api.stalling import stalling
from tests.api.witness import ON_POSTGRESQL, ON_SQLITE
from tests.api.working import work_all
from tests.conftest import APP, NOTICE, Caller, Clock

PROMPT = {
    "cells": [{"signal": "saves", "purpose": "personalise"}],
    "notice_version": NOTICE,
    "locale": "en",
    "place": "onboarding",
    "method": "dialog",
}
WRITES = {
    "choices": ("PUT", "/v1/users/u1/consents", CONSENT),
    "a question": ("POST", "/v1/users/u1/prompts", PROMPT),
    "an age": ("PUT", "/v1/users/u1/age-band", {"age_band": "adult"}),
}


@contextlib.asynccontextmanager
async def arriving(service: Service) -> AsyncIterator[None]:
    """Wait until a request has looked who it is about, and waits for its turn to write."""
    looked: list[str] = []

    def see(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.split("WHERE", maxsplit=1)[0].split() == [
            "SELECT",
            "subject.subject_id",
            "FROM",
            "subject",
        ]:
            looked.append(statement)

    engine = service.database.engine.sync_engine
    listen(engine, "after_cursor_execute", see)
    try:
        yield
        async with asyncio.timeout(60):
            while not looked:  # noqa: ASYNC110  the database's driver tells
                await asyncio.sleep(0.01)
    finally:
        remove(engine, "after_cursor_execute", see)
    await asyncio.sleep(0.5)


async def subjects(url: str) -> list[str]:
    """The rows of people."""
    return [row["subject_id"] for row in await witness.table(url, "subject")]


@pytest.mark.parametrize("what", WRITES)
async def test_what_was_under_way_when_somebody_left_does_not_bring_them_back(
    service: Service, client: Caller, database_url: str, what: str
) -> None:
    """A choice, a question or an age that arrived before the person left, and is done after, is 409 and leaves nothing."""
    await live_fully(service, client, "u1")
    method, path, body = WRITES[what]
    user_hash = service.pseudonyms.user(APP, "u1")
    async with service.database.write(APP) as connection:
        # Holds the person's row on PostgreSQL, and every writer on SQLite.
        await erasing.erase(service, connection, APP, user_hash)
        async with arriving(service):
            late = asyncio.create_task(client.http.request(method, path, json=body))
        assert not late.done()
    answer = await late
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict"), answer.text
    assert await subjects(database_url) == []
    anew = await client.http.request(method, path, json=body)
    assert anew.status_code < 300, anew.text


@ON_POSTGRESQL
async def test_a_first_choice_between_anothers_and_an_erasure_is_made(
    service: Service, client: Caller, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two first choices at once, and the person of the one that came first is erased before the other holds them: the other is recorded."""
    user_hash, taken = service.pseudonyms.user(APP, "u1"), list[AsyncConnection]()
    hold, holds = persons.hold, iter(range(100))

    async def and_then(connection: AsyncConnection, app_id: str, whose: bytes) -> Any:
        taken.append(connection)
        if connection is not taken[0]:
            return await hold(connection, app_id, whose)
        turn = next(holds)
        if turn == 1:
            async with service.database.write(APP) as other:
                await erasing.erase(service, other, APP, user_hash)
        found = await hold(connection, app_id, whose)
        if turn == 0:
            assert found is None
            await client.consent("u1", "views")
        return found

    monkeypatch.setattr(persons, "hold", and_then)
    async with service.database.write(APP) as connection:
        found = await persons.person_for_change(connection, APP, user_hash, service.clock())
    assert await subjects(database_url) == [found.subject_id]


async def test_a_form_that_was_under_way_does_not_bring_them_back(
    service: Service, client: Caller, app: FastAPI, database_url: str
) -> None:
    """A form of the person's own page, sent before they left and read after, turns nothing on."""
    await live_fully(service, client, "u1")
    await client.consent("u1", "saves", state="withdrawn")  # so that there is something to turn on
    link = (await client.post("/v1/users/u1/links", {"kind": "settings"})).json()["url"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as browser:
        assert (await browser.get(urlsplit(link).path)).status_code == 303
        page = (await browser.get("/me")).text
        form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)) | {"do": "all_on"}
        assert form["csrf"]
        async with service.database.write(APP) as connection:
            await erasing.erase(service, connection, APP, service.pseudonyms.user(APP, "u1"))
            async with arriving(service):
                late = asyncio.create_task(browser.post("/me/consents", data=form))
            assert not late.done()
        assert (await late).status_code == 403
    assert await subjects(database_url) == []


@ON_SQLITE
async def test_a_late_retry_does_not_bring_back_who_left(
    service: Service, client: Caller, database_url: str
) -> None:
    """A choice that was answered, and is sent again under its key after the person left, is 409; in another app the key is free."""
    headers = {"Idempotency-Key": "k"}
    first = await client.http.put("/v1/users/u1/consents", json=CONSENT, headers=headers)
    assert first.status_code == 200
    assert (await client.http.delete("/v1/users/u1")).status_code == 202
    for _ in range(2):
        again = await client.http.put("/v1/users/u1/consents", json=CONSENT, headers=headers)
        assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert await subjects(database_url) == []


@ON_SQLITE
async def test_a_late_retry_of_a_deletion_leaves_who_came_back(
    service: Service, client: Caller, database_url: str
) -> None:
    """A deletion sent again under its key is answered as before, and does not delete the person who registered since."""
    headers = {"Idempotency-Key": "k"}
    await live_fully(service, client, "u1")
    first = await client.http.delete("/v1/users/u1", headers=headers)
    back = await live_fully(service, client, "u1-again")
    anew = await client.http.put("/v1/users/u1/consents", json=CONSENT)
    assert anew.status_code == 200
    before = await subjects(database_url)
    again = await client.http.delete("/v1/users/u1", headers=headers)
    assert (again.status_code, again.content) == (202, first.content)
    assert await subjects(database_url) == before
    assert back.subject_id in before


async def test_two_deletions_at_once_are_two_receipts_of_one_person(
    service: Service, client: Caller, database_url: str
) -> None:
    """Five requests at once, by key and by link: all are answered, one of them removed the rows, nobody is left."""
    await live_fully(service, client, "u1")
    link = (await client.post("/v1/users/u1/links", {"kind": "erase"})).json()["url"]
    path = urlsplit(link).path
    asked = [client.http.delete("/v1/users/u1") for _ in range(4)]
    answers = await asyncio.gather(*asked, client.http.post(path, data={"erase": "One-Click"}))
    assert [each.status_code for each in answers[:4]] == [202] * 4
    assert answers[4].status_code in {200, 410}
    told = [each.json().get("erasure", each.json()) for each in answers if each.status_code < 300]
    assert sum(any(each["counts"].values()) for each in told) == 1
    assert len({each["erasure_id"] for each in told}) == len(told)
    assert await subjects(database_url) == []


async def test_an_export_that_nobody_takes_does_not_hold_an_erasure_up(
    service: Service, client: Caller, app: FastAPI, clock: Clock
) -> None:
    """Whoever stops to take an export holds nothing of the database: the erasure is complete while they still have not taken it."""
    await live_fully(service, client, "u1")
    async with stalling(app, client) as (taking,):
        answer = await client.http.delete("/v1/users/u1")
        assert answer.status_code == 202
        erasure_id = answer.json()["erasure"]["erasure_id"]
        await work_all(service, clock)
        assert (await client.get(f"/v1/erasures/{erasure_id}")).json()["status"] == "completed"
        assert not taking.done()
