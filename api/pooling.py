"""Pooled connections that are always closed in the end, also by whoever was told to stop or came back too late."""

import asyncio
import sqlite3
from typing import Any

from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.engine import Dialect
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util.concurrency import await_only, greenlet_spawn


class ClosingPool(AsyncAdaptedQueuePool):
    """A pool that closes what comes back to it after it was disposed of.

    SQLAlchemy's own keeps such a connection, in a queue that nobody looks at any more: its thread or its server's
    process lives until garbage is collected, which cannot close a connection that needs the event loop.
    """

    _disposed = False

    def dispose(self) -> None:
        """Close what is here now, and the rest as it comes back."""
        self._disposed = True
        super().dispose()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        super()._do_return_conn(record)
        if self._disposed:
            super().dispose()


def open_whole(dialect: Dialect, _record: object, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Open a SQLite file (SQLAlchemy's `do_connect` event); one that nobody waits for any more is closed again.

    The driver itself would drop it: it opens in a thread, which hands it to whoever asked, and they are gone.
    """
    return await_only(_opened(dialect, arguments, options))


async def _opened(dialect: Dialect, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    opening = asyncio.create_task(greenlet_spawn(dialect.connect, *arguments, **options))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        try:
            connection = await opening  # opening a file waits for nobody
        except sqlite3.Error:
            pass
        else:
            await greenlet_spawn(connection.close)
        raise
