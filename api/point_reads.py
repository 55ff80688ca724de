"""The shortest way to the few queries of the recommendation path: SQLAlchemy statements, compiled once and handed to the driver.

SQLite is read in the event loop (a point read is faster than the hop to a thread), PostgreSQL through a pool of asyncpg.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

import asyncpg
from sqlalchemy import URL, Select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from api.connecting import AS_SERVICE, Unreachable, notice_silence


class Prepared:
    """A statement compiled once for one dialect: the text, and the order of its parameters."""

    def __init__(self, statement: Select[Any], dialect: PGDialect_asyncpg | SQLiteDialect_pysqlite) -> None:
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self.sql = str(compiled)
        self._constants = dict(compiled.params)
        self._order = list(compiled.positiontup or ())

    def bind(self, values: dict[str, Any]) -> list[Any]:
        """Return the parameters in the order of the text."""
        constants = self._constants
        return [values[name] if name in values else constants[name] for name in self._order]


class PointReads(Protocol):
    """Runs prepared queries with as little as can be between the query and the driver."""

    def prepare(self, statement: Select[Any]) -> Prepared:
        """Compile a statement once."""

    async def rows(self, prepared: Prepared, values: dict[str, Any], purpose: str) -> Sequence[Any]:
        """Run it; `values` name the app as `app_id`. Unreachable when the database does not answer."""

    async def close(self) -> None:
        """Let go of the connections."""


class SqlitePointReads:
    """Reads a SQLite file in the event loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def prepare(self, statement: Select[Any]) -> Prepared:
        """Compile a statement once."""
        return Prepared(statement, SQLiteDialect_pysqlite())

    async def rows(self, prepared: Prepared, values: dict[str, Any], purpose: str) -> Sequence[Any]:  # noqa: ARG002  SQLite has no row-level security to tell
        """Run it, without giving up the loop: the read takes microseconds."""
        try:
            if self._connection is None:
                self._connection = self._opened()
            return self._connection.execute(prepared.sql, prepared.bind(values)).fetchall()
        except sqlite3.Error as error:
            await self.close()  # what is wrong with this connection need not be with the next
            raise Unreachable(type(error).__name__) from error

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=1, isolation_level=None, cached_statements=32)
        try:
            connection.execute("PRAGMA query_only=ON")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    async def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_LOST = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection says that breaks in the middle of an answer
    OSError,
    TimeoutError,
)


_TELL = "SELECT set_config('assent.app', $1, false) || set_config('assent.purpose', $2, false)"


class _Told(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection that remembers for which app and purpose it reads at the moment."""

    __slots__ = ("_context",)

    async def tell(self, app_id: str, purpose: str) -> None:
        """Say for which app and purpose the next query is; a round trip only where that changes."""
        context = (app_id, purpose)
        if getattr(self, "_context", None) != context:
            self._context = None  # until the server has it
            await self.fetchval(_TELL, app_id, purpose)
            self._context = context


async def _watched(connection: Any) -> None:
    notice_silence(connection)


async def _kept(connection: Any) -> None:
    """Leave a connection that goes back to its pool as it is: it was only read with, and knows what it was told."""


class PostgresPointReads:
    """Reads PostgreSQL through asyncpg, on connections that know the app and the purpose of each query, and can only read.

    What a connection was told stays until it is told something else, and it is told before each query that needs to
    know. So a query costs one round trip, where a transaction around it costs four. Queries without a purpose have
    connections of their own, which were never told anything: row-level security shows them nothing that it holds.
    """

    def __init__(self, url: URL) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._pools: dict[bool, asyncpg.Pool[Any]] = {}
        self._opening = asyncio.Lock()

    def prepare(self, statement: Select[Any]) -> Prepared:
        """Compile a statement once."""
        return Prepared(statement, PGDialect_asyncpg())  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped

    async def rows(self, prepared: Prepared, values: dict[str, Any], purpose: str) -> Sequence[Any]:
        """Run it under row-level security."""
        try:
            pool = self._pools.get(bool(purpose)) or await self._opened(bool(purpose))
            connection = await pool.acquire()
            try:
                if purpose:
                    await connection.tell(values["app_id"], purpose)
                found: Sequence[Any] = await connection.fetch(prepared.sql, *prepared.bind(values))
            except (TimeoutError, asyncio.CancelledError):
                # Whoever asked waits no longer; a database that hangs would keep us waiting for the end of the query.
                connection.terminate()
                raise
            finally:
                await pool.release(connection, timeout=1)
        except _LOST as error:
            raise Unreachable(type(error).__name__) from error
        return found

    async def _opened(self, told: bool) -> "asyncpg.Pool[Any]":
        async with self._opening:
            if told not in self._pools:
                self._pools[told] = await asyncpg.create_pool(
                    self._dsn,
                    min_size=0,  # or it would log every try to have one while there is no server
                    max_size=8 if told else 4,
                    timeout=5,
                    command_timeout=5,
                    server_settings={**AS_SERVICE, "default_transaction_read_only": "on"},
                    init=_watched,
                    reset=_kept,
                    connection_class=_Told,
                )
            return self._pools[told]

    async def close(self) -> None:
        """Let go of the connections."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.close()
