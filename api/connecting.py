"""How this service connects: which drivers, as which role, and what every connection is told when it is made."""

import socket
from typing import Any

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from api.pooling import ClosingPool, open_whole

SERVICE_ROLE = "assent_service"
"""The PostgreSQL role without ownership, under which row-level security holds; made by the migrations."""

AS_SERVICE = {
    "role": SERVICE_ROLE,
    # A transaction whose service was cut off holds its locks no longer than that.
    "idle_in_transaction_session_timeout": "60s",
}

BUSY_S = 15
"""How long a connection to SQLite waits for whoever else has the file."""


class Unreachable(ConnectionError):
    """The database cannot be reached, or is none; the message is the name of what the driver raised."""


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
            url, connect_args={"timeout": BUSY_S}, hide_parameters=True, poolclass=ClosingPool
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
            connect_args={"server_settings": AS_SERVICE, "timeout": 5},
        )
        event.listen(
            engine.sync_engine, "connect", lambda made, _record: notice_silence(made.driver_connection)
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


def notice_silence(connection: Any) -> None:
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
