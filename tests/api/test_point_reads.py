"""Point reads on PostgreSQL: a connection keeps what it was told, and shows nothing of it to the next query."""

import asyncio
import random
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
    assert {told: pool.get_size() for told, pool in points._pools.items()} == {True: 8, False: 4}


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
    pool = points._pools[True]
    async with pool.acquire() as connection:
        connection.add_query_logger(lambda record: told.append(record.query))
        for app_id, purpose in [(APP, "personalise")] * 3 + [(APP, "improve")] * 2:
            await connection.tell(app_id, purpose)
    assert len(told) == 1
