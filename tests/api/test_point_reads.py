"""Point reads on PostgreSQL: a connection keeps what it was told, and shows nothing of it to the next query."""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Select, literal_column, select, table

from api.connecting import Unreachable
from api.point_reads import PostgresPointReads
from api.service import Service
from tests.api.witness import ON_POSTGRESQL
from tests.conftest import APP, OTHER_APP, event

pytestmark = ON_POSTGRESQL

EVERY_EVENT: Select[Any] = select(literal_column("app_id")).select_from(table("event"))
"""Whatever row-level security lets through."""
SEEN = {
    (APP, "personalise"): [APP],
    (APP, "improve"): [],
    (OTHER_APP, "personalise"): [],
    (OTHER_APP, "improve"): [OTHER_APP],
    (APP, ""): [],
    (OTHER_APP, ""): [],
}


@pytest.fixture
async def points(service: Service, caller_for: Callable[..., Any]) -> PostgresPointReads:
    """Two apps with one event each, granted for different purposes."""
    for app_id, purpose in ((APP, "personalise"), (OTHER_APP, "improve")):
        caller = await caller_for(app_id)
        await caller.consent("u1", "topics", purposes=(purpose,))
        assert (await caller.events(event("u1", "topics", topic="sleep")))["accepted"] == 1
    made = service.database.points
    assert isinstance(made, PostgresPointReads)
    return made


async def seen(points: PostgresPointReads, app_id: str, purpose: str) -> list[str]:
    """The apps of the events that a query sees which asks for all of them."""
    rows = await points.rows(points.prepare(EVERY_EVENT), {"app_id": app_id}, purpose)
    return [row[0] for row in rows]


async def test_queries_of_different_apps_and_purposes_share_connections_and_nothing_else(
    points: PostgresPointReads,
) -> None:
    """Three hundred of them in any order, many at a time: each sees what its own app and purpose let it see."""
    asked = random.Random(5).sample([*SEEN] * 50, 300)
    answers = await asyncio.gather(*(seen(points, app_id, purpose) for app_id, purpose in asked))
    assert answers == [SEEN[each] for each in asked]
    lent = [await points.told.take() for _ in range(16)]
    assert len(set(map(id, lent))) == 16
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(points.told.take(), 0.05)
    for connection in lent:
        points.told.give_back(connection)


async def test_what_failed_leaves_no_doubt_about_what_was_told(points: PostgresPointReads) -> None:
    """A query that breaks, a server that ends the connection: the next query sees its own, and no other's."""
    broken = points.prepare(select(literal_column("no_such_column")).select_from(table("event")))
    ended = points.prepare(select(literal_column("pg_terminate_backend(pg_backend_pid())")))
    for fails in (broken, ended):
        for app_id, purpose in SEEN:
            with pytest.raises(Unreachable):
                await points.rows(fails, {"app_id": app_id}, purpose)
            for other, expected in SEEN.items():
                assert await seen(points, *other) == expected


async def test_a_query_costs_one_round_trip_while_nothing_changes(points: PostgresPointReads) -> None:
    """The context is said once to a connection, and again only when it is another."""
    told = []
    await seen(points, APP, "personalise")
    connection = await points.told.take()
    connection.add_query_logger(lambda record: told.append(record.query))
    for app_id, purpose in [(APP, "personalise")] * 3 + [(APP, "improve")] * 2:
        await connection.tell(app_id, purpose)
    points.told.give_back(connection)
    await asyncio.sleep(0)  # it logs at the next turn
    assert len(told) == 1


async def test_whoever_waits_no_longer_takes_no_connection_along(points: PostgresPointReads) -> None:
    """Forty queries that are given up in all their stages leave room for all that come after."""
    slow = points.prepare(select(literal_column("pg_sleep(0.05)")))
    for stage in range(40):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(stage / 2000):
                await points.rows(slow, {"app_id": APP}, "personalise")
    answers = await asyncio.gather(*(seen(points, APP, "personalise") for _ in range(20)))
    assert answers == [[APP]] * 20


async def test_connections_that_are_lent_are_closed_when_they_come_back(points: PostgresPointReads) -> None:
    """Closing waits for nobody, leaves nothing open, and the next query has a connection again."""
    await seen(points, APP, "personalise")
    before, lent = points.told, await points.told.take()
    await points.close()
    assert not lent.is_closed()
    before.give_back(lent)
    assert lent.is_closed()
    assert await seen(points, APP, "personalise") == [APP]


async def test_a_server_that_is_silent_keeps_nothing_open(points: PostgresPointReads) -> None:
    """Closing asks no server: one that hangs delays nothing, and neither it nor the others stay connected."""
    ask = points.prepare(select(literal_column("pg_backend_pid()")))
    await asyncio.gather(*(points.rows(ask, {"app_id": APP}, "personalise") for _ in range(3)))
    lent = [await points.told.take() for _ in range(3)]
    silent = await lent[0].fetchval("SELECT pg_backend_pid()")
    for connection in lent:
        points.told.give_back(connection)
    os.kill(silent, signal.SIGSTOP)
    try:
        begun = asyncio.get_running_loop().time()
        await points.close()
        assert asyncio.get_running_loop().time() - begun < 2
    finally:
        os.kill(silent, signal.SIGCONT)
    assert all(connection.is_closed() for connection in lent)


async def test_what_fails_to_close_keeps_the_rest_from_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool of transactions is closed also where the point reads cannot be."""
    async with service.database.read(APP):
        pass
    before = service.database.engine.pool

    async def broken(_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(PostgresPointReads, "close", broken)
        with pytest.raises(ConnectionResetError):
            await service.database.close()
    assert service.database.engine.pool is not before
