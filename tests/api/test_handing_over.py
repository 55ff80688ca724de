"""How exports are handed over: no reader's speed decides how long a connection is held, and nobody takes the place of all others."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.exc import OperationalError

from api import handing_over
from api.handing_over import IN_ALL, OF_A_PERSON, OF_AN_APP, Busy, Exports
from api.service import Service
from consent.personal import Person, Section
from recommender.tables import events
from tests.api.full import live_fully
from tests.api.stalling import stalling
from tests.api.test_archive import write_events
from tests.api.witness import ON_SQLITE
from tests.conftest import Caller


def in_use(service: Service) -> int:
    """How many connections are held."""
    pool = service.database.engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    return pool.checkedout()


async def idle(service: Service) -> None:
    """Wait until nobody holds a connection: what looks by the clock holds one for moments."""
    async with asyncio.timeout(60):
        while in_use(service):  # noqa: ASYNC110  nothing else tells
            await asyncio.sleep(0.005)


async def test_whoever_does_not_take_their_export_holds_no_connection(
    service: Service, client: Caller, app: FastAPI
) -> None:
    """As many as may ask, and take nothing of more than fits in memory: no connection is held, and everybody else is served."""
    who = await live_fully(service, client, "u0")
    await write_events(service, who.subject_id, 6_000)
    assert len((await client.get("/v1/users/u0/export")).content) > 1024 * 1024
    async with stalling(app, client, *(f"u{number // 2}" for number in range(OF_AN_APP))) as taking:
        await idle(service)
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.recommend("u0"))["items"]
        await client.consent("u1", "views")
        assert not any(each.done() for each in taking)
    assert (await client.get("/v1/users/u0/export")).status_code == 200


@ON_SQLITE
async def test_who_has_exports_under_way_is_told_to_wait(client: Caller, app: FastAPI) -> None:
    """A person's third at a time is 429 with Retry-After, as a problem; others go on, and so do they once one was taken."""
    async with stalling(app, client, *["u1"] * OF_A_PERSON):
        refused = await client.get("/v1/users/u1/export")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) > 0
        assert (await client.get("/v1/users/u2/export")).status_code == 200
    for _ in range(OF_A_PERSON + 1):
        assert (await client.get("/v1/users/u1/export")).status_code == 200


def test_an_app_leaves_room_for_others() -> None:
    """A person, an app, and all of them have so many places; a place that was left is another's."""

    def refused(app_id: str, user: int) -> int:
        try:
            places.enter_context(exports.place(app_id, bytes([user])))
        except Busy as busy:
            return busy.status
        return 200

    exports = Exports()
    with ExitStack() as places:
        assert [refused("a", user) for user in range(OF_AN_APP + 1)] == [200] * OF_AN_APP + [429]
        answers = [refused(f"b{number // OF_AN_APP}", number) for number in range(IN_ALL)]
        assert answers == [200] * (IN_ALL - OF_AN_APP) + [503] * OF_AN_APP
    with ExitStack() as places:
        assert [refused("a", 1) for _ in range(OF_A_PERSON + 1)] == [200] * OF_A_PERSON + [429]
    assert exports._under_way == []


@ON_SQLITE
@pytest.mark.parametrize("bound", ["CHUNK_WITHIN_S", "TAKEN_WITHIN_S"])
async def test_who_takes_nothing_is_cut_off(
    client: Caller, app: FastAPI, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """Whoever does not take a chunk in time, or the whole, gets no more, and their place is free."""
    monkeypatch.setattr(handing_over, bound, 0.2)
    async with stalling(app, client, *["u1"] * OF_A_PERSON) as taking:
        ended, _ = await asyncio.wait(taking, timeout=60)
        assert len(ended) == OF_A_PERSON
        assert all(each.exception() for each in ended)  # what of it there is was no whole answer
        assert app.state.exports._under_way == []


class Hindered:
    """The store of events, whose rows do not all come."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
        self.error = error
        self.at_once = self.most = 0
        self.original = events.export
        monkeypatch.setattr(type(events), "export", lambda _, connection, who: self.export(connection, who))

    def export(self, connection: Any, who: Person) -> list[Section]:
        """Return the sections of the store, which hang or fail after their first rows."""
        return [
            Section(each.name, each.table, self.rows(each), each.withheld)
            for each in self.original(connection, who)
        ]

    async def rows(self, section: Section) -> AsyncIterator[Mapping[str, Any]]:
        """Read the rows, and then come to no end."""
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            async for row in section.rows:
                yield row
            if self.error:
                raise self.error
            await asyncio.sleep(600)
        finally:
            self.at_once -= 1


@pytest.mark.parametrize("accept", ["application/json", "application/zip"])
async def test_what_goes_wrong_on_the_way_is_an_error_as_any_other(
    service: Service, client: Caller, app: FastAPI, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    """A database that is lost in the midst of an export is 503, not half a file with 200; nothing is held afterwards."""
    await live_fully(service, client, "u1")
    with monkeypatch.context() as patched:
        Hindered(patched, OperationalError("SELECT", {}, Exception("gone")))
        answer = await client.get("/v1/users/u1/export", headers={"Accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    await idle(service)
    assert app.state.exports._under_way == []
    assert (await client.get("/v1/users/u1/export")).status_code == 200


async def test_what_is_not_gathered_in_time_is_given_up(
    service: Service, client: Caller, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait, four at a time hold a connection, each for so long and no longer; all are answered 503."""
    await live_fully(service, client, "u1")
    monkeypatch.setattr(handing_over, "GATHERED_WITHIN_S", 3.0)
    with monkeypatch.context() as patched:
        hindered = Hindered(patched, None)
        asked = [client.get(f"/v1/users/u{number}/export") for number in range(10)]
        answers = await asyncio.wait_for(asyncio.gather(*asked), 120)
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(503, "unavailable")] * 10
    assert hindered.most == handing_over.GATHERED_AT_ONCE
    await idle(service)
    assert app.state.exports._under_way == []
    assert (await client.get("/v1/users/u1/export")).status_code == 200


@ON_SQLITE
async def test_the_length_is_told(service: Service, client: Caller) -> None:
    """Whoever is cut off sees that something is missing: the answer says how long it is."""
    await live_fully(service, client, "u1")
    for accept in ("application/json", "application/zip"):
        answer = await client.get("/v1/users/u1/export", headers={"Accept": accept})
        assert int(answer.headers["content-length"]) == len(answer.content)
