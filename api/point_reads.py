"""The shortest way to the few queries of the recommendation path: SQLAlchemy statements, compiled once and handed to the driver.

SQLite is read in the event loop (a point read is faster than the hop to a thread), PostgreSQL through a pool of asyncpg.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

import asyncpg
from sqlalchemy import URL, CompoundSelect, Select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from api.connecting import AS_SERVICE, Unreachable, notice_silence

Statement = Select[Any] | CompoundSelect[*tuple[Any, ...]]


class Prepared:
    """A statement compiled once for one dialect: the text, and the order of its parameters."""

    def __init__(self, statement: Statement, dialect: PGDialect_asyncpg | SQLiteDialect_pysqlite) -> None:
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

    def prepare(self, statement: Statement) -> Prepared:
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

    def prepare(self, statement: Statement) -> Prepared:
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
            connection.execute("PRAGMA cache_size=-16000")  # kB: the events of some thousand people
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


class _Connections:
    """Up to `most` connections, each lent to one query at a time.

    asyncpg's own pool starts a task for every return; a query here costs hardly more than that.
    """

    def __init__(self, dsn: str, most: int) -> None:
        self._dsn = dsn
        self._free: list[_Told] = []
        self._room = asyncio.Semaphore(most)
        self._closed = False

    async def take(self) -> _Told:
        """Lend the connection that came back last, or a new one; wait for one where all are lent."""
        await self._room.acquire()
        try:
            while self._free:
                connection = self._free.pop()
                if not connection.is_closed():
                    return connection
            return await self._opened()
        except BaseException:
            self._room.release()
            raise

    def give_back(self, connection: _Told) -> None:
        """Take a connection back as it is: it was only read with, and knows what it was told."""
        if self._closed:
            connection.terminate()
        if not connection.is_closed():
            self._free.append(connection)
        self._room.release()

    def close(self) -> None:
        """Close every connection: those at rest now, those at work when they come back. They only read: no server has to agree."""
        self._closed = True
        free, self._free = self._free, []
        for connection in free:
            connection.terminate()

    async def _opened(self) -> _Told:
        connection: _Told = await asyncpg.connect(
            self._dsn,
            timeout=5,
            command_timeout=5,
            server_settings={**AS_SERVICE, "default_transaction_read_only": "on"},
            connection_class=_Told,
        )
        notice_silence(connection)
        return connection


class PostgresPointReads:
    """Reads PostgreSQL through asyncpg, on connections that know the app and the purpose of each query, and can only read.

    What a connection was told stays until it is told something else, and it is told before each query that needs to
    know. So a query costs one round trip, where a transaction around it costs four. Queries without a purpose have
    connections of their own, which were never told anything: row-level security shows them nothing that it holds.
    """

    def __init__(self, url: URL) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self.told, self.untold = self._connections()

    def prepare(self, statement: Statement) -> Prepared:
        """Compile a statement once."""
        return Prepared(statement, PGDialect_asyncpg())  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped

    async def rows(self, prepared: Prepared, values: dict[str, Any], purpose: str) -> Sequence[Any]:
        """Run it under row-level security."""
        connections = self.told if purpose else self.untold
        try:
            connection = await connections.take()
            try:
                if purpose:
                    await connection.tell(values["app_id"], purpose)
                found: Sequence[Any] = await connection.fetch(prepared.sql, *prepared.bind(values))
            except (TimeoutError, asyncio.CancelledError):
                # Whoever asked waits no longer; a database that hangs would keep us waiting for the end of the query.
                connection.terminate()
                raise
            finally:
                connections.give_back(connection)
        except _LOST as error:
            raise Unreachable(type(error).__name__) from error
        return found

    async def close(self) -> None:
        """Let go of the connections."""
        before = self.told, self.untold
        self.told, self.untold = self._connections()
        for connections in before:
            connections.close()

    def _connections(self) -> tuple[_Connections, _Connections]:
        return _Connections(self._dsn, 16), _Connections(self._dsn, 4)
