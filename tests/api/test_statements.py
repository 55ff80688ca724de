"""What a change of consent asks of the database: the same number of statements however many cells and lines there are."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import event

from api import people
from api.service import Service
from consent.changes import Request
from consent.ledger import Change, Choice
from consent.purposes import Purpose
from consent.signals import SIGNALS
from tests.conftest import APP, NOTICE

CELLS = [(signal.id, purpose) for signal in SIGNALS.values() for purpose in signal.purposes]


async def statements_of(service: Service, user_hash: bytes, cells: Collection[tuple[str, Purpose]]) -> int:
    """Give these cells in one change; return how many statements that took."""
    seen: list[str] = []

    def see(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    choices = [Change(signal, purpose, Choice.GIVEN) for signal, purpose in cells]
    engine = service.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", see)
    try:
        async with service.database.write(APP) as connection:
            request = Request(choices, NOTICE, "en", "test")
            await people.change(service, connection, APP, user_hash, request)
    finally:
        event.remove(engine, "before_cursor_execute", see)
    return len(seen)


async def test_a_change_of_many_cells_takes_no_more_statements_than_of_one(service: Service) -> None:
    """One cell or all of them, in an empty ledger or a long one: 9 statements at most on PostgreSQL and 12 on SQLite, and 3 more for somebody new."""
    most = 12 if service.database.is_sqlite else 9  # one way there and back each, which is nothing on SQLite
    assert (
        await statements_of(service, bytes(32), CELLS[:1]) <= most + 4
    )  # the first of all makes the signing key too
    one = await statements_of(service, bytes(32), CELLS[1:2])
    assert one <= most
    assert await statements_of(service, b"new".ljust(32), CELLS[:1]) <= most + 3
    assert await statements_of(service, bytes(32), CELLS) == one
    for number in range(20):
        await statements_of(service, bytes([number]) * 32, CELLS)
    assert await statements_of(service, bytes(32), CELLS[:20]) == one
