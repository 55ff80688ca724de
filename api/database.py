"""The database: transactions that see one app and serve one purpose, point reads, and what is reclaimed after deletion."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from api.connecting import BUSY_S, Unreachable, async_url, create_engine
from api.point_reads import PointReads, PostgresPointReads, SqlitePointReads

log = logging.getLogger(__name__)

RIGHTS = "rights"
"""What a transaction is for when it serves a person's own rights or the app's housekeeping, and no purpose."""
INGEST = "ingest"
"""What a transaction is for that stores events."""
DELIVER = "deliver"
"""What a transaction is for that looks for subscriptions, of any app, with webhooks to send."""

_CONTEXT = text(
    "SELECT set_config('assent.app', :app_id, true), set_config('assent.purpose', :purpose, true)"
)

_ONE_MOMENT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
"""Options of a transaction on PostgreSQL that sees one moment, and writes nothing."""

_LIVE_AND_DEAD = text(
    "SELECT pg_stat_get_live_tuples(it), pg_stat_get_dead_tuples(it) FROM CAST(:name AS regclass) it"
)
_CLEAR_NOTES = text(
    "SELECT pg_clear_attribute_stats(CAST(n.nspname AS text), CAST(c.relname AS text), CAST(a.attname AS text), false) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "WHERE c.oid = CAST(:name AS regclass)"
)
_SCRUB_PATIENCE_MS = 250
"""How long readers of the write-ahead log are waited for: meanwhile nobody can write. The erasure tries again."""
_PASSES = 10
"""How often a table is vacuumed until nothing dead is left in it once: in a busy one something just died each time."""


class Database:
    """One database; `write` and `read` open a transaction that sees one app and serves one purpose."""

    def __init__(self, url: str) -> None:
        parsed = async_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.engine = create_engine(parsed)
        self.points: PointReads = (
            SqlitePointReads(parsed.database or "") if self.is_sqlite else PostgresPointReads(parsed)
        )
        # Writers on SQLite take turns here rather than poll the file for its lock.
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def write(self, app_id: str, purpose: str = RIGHTS) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that commits when the block ends, and not at all when it raises."""
        if not self.is_sqlite:
            async with self._alive(app_id, purpose) as connection:
                yield connection
            return
        async with self._turn, self._connected() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def read(self, app_id: str, purpose: str = RIGHTS) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees one moment, and writes nothing."""
        if not self.is_sqlite:
            async with self._alive(app_id, purpose, **_ONE_MOMENT) as connection:
                yield connection
            return
        async with self._connected() as bare:
            connection = await bare.execution_options(writes=False)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def _alive(self, app_id: str, purpose: str, **options: Any) -> AsyncIterator[AsyncConnection]:
        """Open a transaction on PostgreSQL; a pooled connection that its first statement finds dead is replaced.

        That statement has to be sent anyway, where a pool that pings sends three more before each transaction.
        """
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self._entered(app_id, purpose, options))
            except DBAPIError as lost:
                if not lost.connection_invalidated:
                    raise
                connection = await stack.enter_async_context(self._entered(app_id, purpose, options))
            yield connection

    @asynccontextmanager
    async def _entered(
        self, app_id: str, purpose: str, options: dict[str, Any]
    ) -> AsyncIterator[AsyncConnection]:
        async with self._connected() as bare:
            connection = await bare.execution_options(**options)
            async with connection.begin():
                await connection.execute(_CONTEXT, {"app_id": app_id, "purpose": purpose})
                yield connection

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self.engine.connect())
            except (
                DBAPIError,
                PoolTimeout,
                OSError,
                TimeoutError,
                asyncpg.PostgresError,
                sqlite3.Error,
            ) as error:
                raise Unreachable(type(error).__name__) from error
            yield connection

    async def scrub(self) -> bool:
        """Empty SQLite's write-ahead log, so that deleted bytes are in no file; False when it could not be done now.

        A reader prevents it, or a disk that is full. What was deleted is committed by then, so this raises nothing of
        the kind: the erasure tries again. Nothing to do on PostgreSQL, where `vacuum` reclaims.
        """
        if not self.is_sqlite:
            return True
        try:
            async with self._turn, self._connected() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                await driver.execute(f"PRAGMA busy_timeout={_SCRUB_PATIENCE_MS}")
                try:
                    done = await driver.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
                    return not next(iter(done))[0]
                finally:
                    await driver.execute(f"PRAGMA busy_timeout={BUSY_S * 1000}")
        except (Unreachable, sqlite3.Error) as error:
            log.warning("deleted bytes are left in the write-ahead log for now: %s", type(error).__name__)
            return False

    async def vacuum(self, tables: Sequence[str]) -> bool:
        """Let PostgreSQL reclaim what was deleted from these tables, and forget what it noted of its values for its plans.

        False when something could not be reclaimed, because a transaction still reads a moment before it was deleted.
        Nothing to do on SQLite.
        """
        if self.is_sqlite:
            return True
        quote, reclaimed = self.engine.dialect.identifier_preparer.quote, True
        async with self._connected() as bare:
            connection = await bare.execution_options(isolation_level="AUTOCOMMIT")
            version = int((await connection.exec_driver_sql("SHOW server_version_num")).scalar_one())
            for table in map(quote, tables):
                for _ in range(_PASSES):
                    await connection.exec_driver_sql(f"VACUUM {table}")
                    live, dead = (await connection.execute(_LIVE_AND_DEAD, {"name": table})).one()
                    if not dead:
                        break
                    await asyncio.sleep(0.1)
                # Before version 17 the service has no right to do this, and autovacuum does.
                reclaimed = reclaimed and (not dead or version < 170000)
                # Its notes are common and evenly spaced values, of persons too: made anew from the rows that are left,
                # and left as they are where there is none.
                await connection.exec_driver_sql(f"ANALYZE {table}")
                if not live and version >= 180000:
                    await connection.execute(_CLEAR_NOTES, {"name": table})
        return reclaimed

    async def close(self) -> None:
        """Close every connection: those at rest now, those at work when they are done."""
        try:
            await self.points.close()
        finally:
            await self.engine.dispose()
