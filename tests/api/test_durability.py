"""Every connection that writes is durable, whatever the build of SQLite or the server's files say."""

import sqlite3

import pytest

from api.database import Database
from api.point_reads import SqlitePointReads
from api.service import Service
from tests.api.witness import ON_POSTGRESQL, ON_SQLITE
from tests.conftest import APP, Caller

DURABLE = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}


async def pragmas(database: Database) -> dict[str, object]:
    """What a new connection says of itself."""
    async with database.write(APP) as connection:
        return {name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in DURABLE}


@ON_SQLITE
async def test_every_connection_of_sqlite_is_durable(service: Service) -> None:
    """The first, the tenth, and those made after all were closed: write-ahead log, synced at each commit, nothing left of what is deleted."""
    for _ in range(3):
        databases = [Database(service.settings.database_url) for _ in range(4)]
        for each in databases:
            assert await pragmas(each) == DURABLE
        for each in databases:
            await each.close()
    held = [await service.database.engine.connect() for _ in range(5)]  # five of one pool, all at once
    for connection in held:
        assert {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in DURABLE
        } == DURABLE
        await connection.rollback()
    for connection in held:
        await connection.close()


@ON_SQLITE
async def test_the_shortest_way_cannot_write(service: Service, client: Caller) -> None:
    """The connection that reads in the event loop refuses to write: durability is not its business."""
    await client.recommend("u1")
    points = service.database.points
    assert isinstance(points, SqlitePointReads)
    assert points._connection is not None
    with pytest.raises(sqlite3.OperationalError):
        points._connection.execute("DELETE FROM app")


@ON_POSTGRESQL
async def test_postgresql_syncs_before_it_acknowledges(service: Service) -> None:
    """Nothing of ours turns off what PostgreSQL does by itself; and a transaction left open is ended by the server."""
    async with service.database.write(APP) as connection:
        found = {
            name: (await connection.exec_driver_sql(f"SHOW {name}")).scalar_one()
            for name in (
                "synchronous_commit",
                "fsync",
                "full_page_writes",
                "idle_in_transaction_session_timeout",
            )
        }
    assert found == {
        "synchronous_commit": "on", "fsync": "on", "full_page_writes": "on", "idle_in_transaction_session_timeout": "1min",
    }  # fmt: skip
