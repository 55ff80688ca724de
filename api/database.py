"""The database connections: transactions that know their app, and the shortest way to one prepared query.

Whatever is written, and whatever is not asked for on every request, goes through SQLAlchemy. The few queries of the
recommendation path are SQLAlchemy statements too, compiled once and handed straight to the driver: SQLite is read
in the event loop (a point read is faster than the hop to a thread), PostgreSQL through a pool of asyncpg.
"""

import asyncio
import socket
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

from api.pooling import ClosingPool, open_whole

SERVICE_ROLE = "assent_service"
"""The PostgreSQL role without ownership, under which row-level security holds; made by the migrations."""

_AS_SERVICE = {
    "role": SERVICE_ROLE,
    # A transaction whose service was cut off holds its locks no longer than that.
    "idle_in_transaction_session_timeout": "60s",
}

RIGHTS = "rights"
"""What a transaction is for when it serves a person's own rights or the app's housekeeping, and no purpose."""
INGEST = "ingest"
"""What a transaction is for that stores events."""
DELIVER = "deliver"
"""What a transaction is for that looks for subscriptions, of any app, with webhooks to send."""


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
        engine = create_async_engine(
            url, connect_args={"timeout": 15}, hide_parameters=True, poolclass=ClosingPool
        )
        event.listen(engine.sync_engine, "do_connect", open_whole)
        event.listen(engine.sync_engine, "connect", prepare_sqlite)
        # The driver would begin transactions by itself, and too late: a reader that turns writer fails when busy.
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    else:
        engine = create_async_engine(
            url,
            pool_size=8,
            max_overflow=4,
            hide_parameters=True,
            poolclass=ClosingPool,
            connect_args={"server_settings": _AS_SERVICE, "timeout": 5},
        )
        event.listen(
            engine.sync_engine, "connect", lambda made, _record: _notice_silence(made.driver_connection)
        )
    return engine


_SILENCE = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, 10),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 5),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, 3),
    ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, 20_000),
)
"""Socket options by which TCP gives up a peer that fell silent within some twenty seconds, rather than a quarter of an hour."""


def _notice_silence(connection: Any) -> None:
    """Let a new connection find out that the network swallows its packets; a slow query is left alone."""
    wire = connection._transport.get_extra_info("socket")  # noqa: SLF001  asyncpg has no other way
    if wire is None or wire.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    for name, level, value in _SILENCE:
        if hasattr(socket, name):  # not every system has them all
            wire.setsockopt(level, getattr(socket, name), value)


def prepare_sqlite(connection: Any, _record: Any) -> None:
    """Make a new connection durable, and let it leave nothing of what it deletes."""
    connection.isolation_level = None
    try:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except (
        BaseException
    ):  # a file that is no database, or nobody waits: the pool does not know of this connection yet
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


class _Told(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection that remembers for which app and purpose it reads at the moment."""

    __slots__ = ("_context",)

    async def tell(self, app_id: str, purpose: str) -> None:
        """Say for which app and purpose the next query is; a round trip only where that changes."""
        context = (app_id, purpose)
        if getattr(self, "_context", None) != context:
            self._context = None  # until the server has it
            await self.fetchval(_CONTEXT_DRIVER, app_id, purpose)
            self._context = context


async def _watched(connection: Any) -> None:
    _notice_silence(connection)


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
                    server_settings={**_AS_SERVICE, "default_transaction_read_only": "on"},
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


_CONTEXT_DRIVER = "SELECT set_config('assent.app', $1, false) || set_config('assent.purpose', $2, false)"
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
        """Empty SQLite's write-ahead log, so that deleted bytes are in no file; False when a reader prevents it.

        Nothing to do on PostgreSQL, where `vacuum` reclaims.
        """
        if not self.is_sqlite:
            return True
        async with self._turn, self.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            done = await raw.driver_connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]  # the driver's own connection
            return not next(iter(done))[0]

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
        await self.points.close()
        await self.engine.dispose()
