"""The database connections: transactions that know their app, and the shortest way to one prepared query.

Whatever is written, and whatever is not asked for on every request, goes through SQLAlchemy. The few queries of the
recommendation path are SQLAlchemy statements too, compiled once and handed straight to the driver: SQLite is read
in the event loop (a point read is faster than the hop to a thread), PostgreSQL through a pool of asyncpg.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import asyncpg
from sqlalchemy import URL, Select, event, make_url, text
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

SERVICE_ROLE = "assent_service"
"""The PostgreSQL role without ownership, under which row-level security holds; made by the migrations."""

_AS_SERVICE = {"role": SERVICE_ROLE}

RIGHTS = "rights"
"""What a transaction is for when it serves a person's own rights or the app's housekeeping, and no purpose."""
INGEST = "ingest"
"""What a transaction is for that stores events."""


def async_url(url: str) -> URL:
    """Return the URL with the asynchronous driver; ValueError for anything but SQLite and PostgreSQL."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("must be sqlite:///path or postgresql://user@host/name") from None
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
    backend = parsed.get_backend_name()
    if backend not in drivers:
        raise ValueError("must be sqlite:///path or postgresql://user@host/name")
    if backend == "sqlite" and not parsed.database:
        raise ValueError("SQLite needs a file: sqlite:///path")
    return parsed.set(drivername=drivers[backend])


def create_engine(url: URL) -> AsyncEngine:
    """Return an engine whose connections are durable, keep no deleted bytes, and hold the service's role only."""
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, connect_args={"timeout": 15}, hide_parameters=True)
        event.listen(engine.sync_engine, "connect", prepare_sqlite)
        # The driver would begin transactions by itself, and too late: a reader that turns writer fails when busy.
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    else:
        engine = create_async_engine(
            url,
            pool_size=8,
            max_overflow=4,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"server_settings": _AS_SERVICE, "timeout": 5},
        )
    return engine


def prepare_sqlite(connection: Any, _record: Any) -> None:
    """Make a new connection durable, and let it leave nothing of what it deletes."""
    connection.isolation_level = None
    try:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except Exception:  # a file that is no database: the pool does not know of this connection yet
        connection.close()
        raise


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Unreachable(ConnectionError):
    """The database cannot be reached, or is none; the message is the name of what the driver raised."""


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
        connection.execute("PRAGMA query_only=ON")
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


class PostgresPointReads:
    """Reads PostgreSQL through asyncpg, on connections that know the app and the purpose of each query.

    The pool takes a connection's settings away when it gets it back, so what one query set no other ever sees. That
    saves the round trips of a transaction around a single statement. The connections can only read.
    """

    def __init__(self, url: URL) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()

    def prepare(self, statement: Select[Any]) -> Prepared:
        """Compile a statement once."""
        return Prepared(statement, PGDialect_asyncpg())  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped

    async def rows(self, prepared: Prepared, values: dict[str, Any], purpose: str) -> Sequence[Any]:
        """Run it under row-level security."""
        try:
            pool = await self._opened()
            async with pool.acquire() as connection:
                if purpose:  # without one, row-level security shows nothing that it holds
                    await connection.fetchval(_CONTEXT_DRIVER, values["app_id"], purpose)
                found: Sequence[Any] = await connection.fetch(prepared.sql, *prepared.bind(values))
        except _LOST as error:
            raise Unreachable(type(error).__name__) from error
        return found

    async def _opened(self) -> "asyncpg.Pool[Any]":
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._dsn,
                    min_size=1,
                    max_size=8,
                    timeout=5,
                    command_timeout=5,
                    server_settings={**_AS_SERVICE, "default_transaction_read_only": "on"},
                )
            return self._pool

    async def close(self) -> None:
        """Let go of the connections."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None


_CONTEXT_DRIVER = "SELECT set_config('assent.app', $1, false) || set_config('assent.purpose', $2, false)"
_CONTEXT = text(
    "SELECT set_config('assent.app', :app_id, true), set_config('assent.purpose', :purpose, true)"
)


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
            async with self._connected() as connection, connection.begin():
                await self._enter(connection, app_id, purpose)
                yield connection
            return
        async with self._turn, self._connected() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def read(self, app_id: str, purpose: str = RIGHTS) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that sees one moment, and writes nothing."""
        async with self._connected() as bare:
            connection = await bare.execution_options(
                writes=False,
                **(
                    {}
                    if self.is_sqlite
                    else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
                ),
            )
            async with connection.begin():
                await self._enter(connection, app_id, purpose)
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

    async def _enter(self, connection: AsyncConnection, app_id: str, purpose: str) -> None:
        if not self.is_sqlite:
            await connection.execute(_CONTEXT, {"app_id": app_id, "purpose": purpose})

    async def scrub(self) -> None:
        """Empty SQLite's write-ahead log, so that deleted bytes are in no file; nothing to do on PostgreSQL."""
        if self.is_sqlite:
            async with self._turn, self.engine.connect() as connection:
                raw = await connection.get_raw_connection()
                await raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]  # the driver's own connection

    async def close(self) -> None:
        """Close every connection."""
        await self.points.close()
        await self.engine.dispose()
