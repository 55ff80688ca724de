"""No connection is left to the garbage collector, whoever is cancelled, and whenever the database is closed."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from api.connecting import Unreachable
from api.database import Database
from tests.api.witness import ON_SQLITE
from tests.conftest import APP


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database that nobody else has."""
    made = Database(database_url)
    yield made
    await made.close()


async def driver_of(connection: AsyncConnection) -> Any:
    """The driver's own connection."""
    return (await connection.get_raw_connection()).driver_connection


async def is_open(driver: Any) -> bool:
    """Whether the driver's connection still answers."""
    if hasattr(driver, "is_closed"):
        return not driver.is_closed()
    try:
        await driver.execute_fetchall("SELECT 1")
    except ValueError:  # what aiosqlite says of a closed one
        return False
    return True


async def test_a_connection_at_rest_is_closed_with_the_database(database: Database) -> None:
    """What was used and given back is kept for the next, and closed when the database is."""
    async with database.read(APP) as connection:
        driver = await driver_of(connection)
    assert await is_open(driver)
    await database.close()
    assert not await is_open(driver)


async def test_a_connection_at_work_is_closed_once_it_is_done(database: Database) -> None:
    """A transaction that was under way when the database was closed ends well, and its connection is closed then."""
    async with database.read(APP) as connection:
        driver = await driver_of(connection)
        await database.close()
        assert (await connection.exec_driver_sql("SELECT 1")).scalar_one() == 1
    assert not await is_open(driver)


async def test_a_connection_that_fails_after_the_closing_is_closed_too(database: Database) -> None:
    """Neither an error nor a cancellation in that transaction leaves it open."""
    for error in (ZeroDivisionError, asyncio.CancelledError):
        with contextlib.suppress(error):
            async with database.write(APP) as connection:
                driver = await driver_of(connection)
                await database.close()
                raise error
        assert not await is_open(driver)


async def test_a_closed_database_opens_again(database: Database) -> None:
    """Closing lets go of connections, not of the database: the next transaction has a new one, which is kept."""
    await database.close()
    async with database.read(APP) as connection:
        driver = await driver_of(connection)
    assert await is_open(driver)
    async with database.read(APP) as connection:
        assert await driver_of(connection) is driver


class Opening(sqlite3.Connection):
    """A connection that takes as long to open as a test wants, and tells whether it was closed."""

    made: ClassVar[list["Opening"]]
    begun: ClassVar[threading.Event]
    may_go_on: ClassVar[threading.Event]
    fails: ClassVar[bool]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Wait until the test lets it open."""
        self.closed = False
        self.begun.set()
        self.may_go_on.wait()
        if self.fails:
            raise sqlite3.OperationalError("unable to open database file")
        super().__init__(*arguments, **options)
        self.made.append(self)

    def close(self) -> None:
        """Close, and remember it."""
        super().close()
        self.closed = True


@pytest.fixture
def opening(monkeypatch: pytest.MonkeyPatch) -> type[Opening]:
    """What SQLite files are opened with in this test."""
    Opening.made, Opening.fails = [], False
    Opening.begun, Opening.may_go_on = threading.Event(), threading.Event()
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *path, **options: connect(*path, **{**options, "factory": Opening})
    )
    return Opening


async def cancelled_while_opening(database: Database, opening: type[Opening]) -> None:
    """Ask for a transaction, be cancelled while its file is being opened, and wait until all of it is over."""

    async def asking() -> None:
        async with database.read(APP):
            pytest.fail("whoever was cancelled gets no transaction")

    task = asyncio.create_task(asking())
    await asyncio.to_thread(opening.begun.wait)
    task.cancel()
    await asyncio.sleep(0)
    opening.may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task


@ON_SQLITE
async def test_a_file_that_opens_for_nobody_is_closed(database: Database, opening: type[Opening]) -> None:
    """A request that is cancelled while its file is being opened leaves nothing open, and harms no later one."""
    await cancelled_while_opening(database, opening)
    assert [each.closed for each in opening.made] == [True]
    async with database.read(APP) as connection:
        assert (await connection.exec_driver_sql("SELECT 1")).scalar_one() == 1
    await database.close()
    assert [each.closed for each in opening.made] == [True, True]


@ON_SQLITE
async def test_a_file_that_fails_to_open_for_nobody_is_no_error(
    database: Database, opening: type[Opening]
) -> None:
    """Who was cancelled meanwhile hears of the cancellation; who comes later, of the file."""
    opening.fails = True
    await cancelled_while_opening(database, opening)
    with pytest.raises(Unreachable):
        async with database.read(APP):
            pytest.fail("there is no file")
    assert not opening.made


@ON_SQLITE
async def test_whenever_a_request_is_cancelled_nothing_stays_open(
    database: Database, opening: type[Opening]
) -> None:
    """Cancelled after any number of steps, a transaction's connection is closed at once or with the database."""
    opening.may_go_on.set()

    async def asking() -> None:
        async with database.write(APP) as connection:
            await connection.exec_driver_sql("SELECT 1")

    for steps in range(120):
        task = asyncio.create_task(asking())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if steps % 3 == 0:
            await database.close()
    await database.close()
    assert opening.made
    assert all(each.closed for each in opening.made)
