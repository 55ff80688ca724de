"""What was removed by the clock, counted by app, day and kind, and never described. Works inside its caller's transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from api.tables import removal

GRANTS_ENDED = "grants_ended"
EVENTS_UNGRANTED = "events_without_grant"
EVENTS_OUTLIVED = "events_past_retention"
ANSWERS = "kept_answers"
WEBHOOKS = "webhook_messages"
KINDS = (GRANTS_ENDED, EVENTS_UNGRANTED, EVENTS_OUTLIVED, ANSWERS, WEBHOOKS)


@dataclass(frozen=True)
class Removed:
    """How many of one kind went on one day."""

    app_id: str
    day: str
    kind: str
    number: int


async def count(connection: AsyncConnection, app_id: str, removed: Mapping[str, int], now: int) -> None:
    """Add to the day's numbers, in the transaction that removed."""
    day = f"{datetime.fromtimestamp(now / 1_000_000, UTC):%Y-%m-%d}"
    rows = [
        {"app_id": app_id, "day": day, "kind": kind, "number": number}
        for kind, number in sorted(removed.items())
        if number
    ]
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    added = dialect.insert(removal)
    await connection.execute(
        added.on_conflict_do_update(
            index_elements=["app_id", "day", "kind"],
            set_={"number": removal.c.number + added.excluded.number},
        ),
        rows,
    )


async def days(connection: AsyncConnection, app_id: str | None, limit: int) -> list[Removed]:
    """List the numbers, newest day first, of one app or of all."""
    columns = removal.c
    statement = select(columns.app_id, columns.day, columns.kind, columns.number)
    if app_id is not None:
        statement = statement.where(columns.app_id == app_id)
    rows = await connection.execute(
        statement.order_by(columns.day.desc(), columns.app_id, columns.kind).limit(limit)
    )
    return [Removed(*row) for row in rows]


async def totals(connection: AsyncConnection) -> Mapping[str, int]:
    """Return how many of each kind were ever removed, over all apps."""
    rows = await connection.execute(
        select(removal.c.kind, func.sum(removal.c.number)).group_by(removal.c.kind)
    )
    return {kind: int(number) for kind, number in rows}
