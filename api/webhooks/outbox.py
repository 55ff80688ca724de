"""The outbox: messages are written in the transaction that makes them true, sent later, and then forgotten.

A row is `waiting` until it was `delivered`, or tried so often that it is left `dead` for an operator to see. Once
delivered it keeps its number, type and times, and no word about anybody. Every function works inside its caller's
transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, and_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.webhooks.messages import Message
from api.webhooks.subscriptions import Subscription, heads
from api.webhooks.tables import webhook_delivery, webhook_subscription
from consent.personal import WHOSE, Person, Section, stored
from consent.pseudonyms import new_id
from consent.receipts.records import rfc3339

WAITING, DELIVERED, DEAD = "waiting", "delivered", "dead"


async def tell(
    connection: AsyncConnection, app_id: str, messages: Sequence[Message], now: int, *, due_in: int = 0
) -> None:
    """Write messages to whoever subscribed to them; they may go out `due_in` microseconds from now.

    The subscriptions' rows are held until the transaction ends, so take every other lock before: messages are
    numbered in the order in which their transactions commit.
    """
    columns = webhook_subscription.c
    held = await connection.execute(
        select(columns.subscription_id, columns.types, columns.sequence, columns.next_due)
        .where(columns.app_id == app_id)
        .order_by(columns.subscription_id)
        .with_for_update()
    )
    for row in held.all():
        wanted = [each for each in messages if each.type in row.types.split()]
        if wanted:
            due = now + due_in
            await _queue(connection, app_id, row.subscription_id, row.sequence, wanted, now, due)
            await connection.execute(
                update(webhook_subscription)
                .where(columns.app_id == app_id, columns.subscription_id == row.subscription_id)
                .values(
                    sequence=row.sequence + len(wanted),
                    next_due=due if row.next_due is None else min(row.next_due, due),
                )
            )


async def tell_to(
    connection: AsyncConnection, subscription: Subscription, messages: Sequence[Message], now: int
) -> Sequence[str]:
    """Write messages to one subscription, whatever it subscribed to; return their names."""
    if not messages:
        return []
    columns = webhook_subscription.c
    mine = and_(
        columns.app_id == subscription.app_id, columns.subscription_id == subscription.subscription_id
    )
    sequence = await connection.execute(
        update(webhook_subscription)
        .where(mine)
        .values(sequence=columns.sequence + len(messages), next_due=now)
        .returning(columns.sequence)
    )
    last = int(sequence.scalar_one()) - len(messages)
    return await _queue(
        connection, subscription.app_id, subscription.subscription_id, last, messages, now, now
    )


async def _queue(
    connection: AsyncConnection,
    app_id: str,
    subscription_id: str,
    last: int,
    messages: Iterable[Message],
    now: int,
    due: int,
) -> Sequence[str]:
    rows = [
        {
            "app_id": app_id,
            "subscription_id": subscription_id,
            "sequence": sequence,
            "message_id": message.message_id or new_id(),
            "type": message.type.value,
            "status": WAITING,
            "subject_id": message.subject_id,
            "stream": message.stream,
            "attempts": 0,
            "due_at": due,
            "created_at": now,
            "data": message.data,
        }
        for sequence, message in enumerate(messages, start=last + 1)
    ]
    for row in rows:
        row["body"] = _body(row)
    await connection.execute(insert(webhook_delivery), rows)
    return [str(row["message_id"]) for row in rows]


def _body(row: dict[str, Any]) -> str:
    """Write what is sent, once: every attempt sends the same bytes."""
    document = {
        "id": row["message_id"],
        "type": row["type"],
        "timestamp": rfc3339(row["created_at"]),
        "sequence": row["sequence"],
        "data": row.pop("data"),
    }
    return orjson.dumps(document).decode()


async def stream_of(connection: AsyncConnection, app_id: str, message_id: str) -> str | None:
    """Return the stream of a message that still waits somewhere; None when it is delivered or never was."""
    columns = webhook_delivery.c
    found = await connection.execute(
        select(func.max(columns.stream)).where(columns.app_id == app_id, columns.message_id == message_id)
    )
    stream: str | None = found.scalar_one()
    return stream


# Sending ----------------------------------------------------------------------


@dataclass(frozen=True)
class Waiting:
    """A message to be sent now."""

    sequence: int
    message_id: str
    body: bytes
    attempts: int


@dataclass(frozen=True)
class Attempt:
    """What became of one attempt: `status` afterwards, when it is due again, and what was answered."""

    sequence: int
    status: str
    due_at: int
    result: str


async def due(connection: AsyncConnection, subscription: Subscription, now: int, limit: int) -> list[Waiting]:
    """Return what may go out now, longest due first: of each stream the first alone."""
    columns = webhook_delivery.c
    rows = await connection.execute(
        select(columns.sequence, columns.message_id, columns.body, columns.attempts)
        .where(heads(subscription), columns.due_at <= now)
        .order_by(columns.due_at, columns.sequence)
        .limit(limit)
    )
    return [Waiting(row.sequence, row.message_id, row.body.encode(), row.attempts) for row in rows]


async def record(
    connection: AsyncConnection, subscription: Subscription, attempts: Sequence[Attempt], now: int
) -> None:
    """Write down what became of attempts. Whoever was erased meanwhile has no row any more, and gets none."""
    columns = webhook_delivery.c
    tried = and_(
        columns.app_id == subscription.app_id,
        columns.subscription_id == subscription.subscription_id,
        columns.sequence == bindparam("tried"),
        columns.status == WAITING,
    )
    forgotten = {"subject_id": None, "stream": None, "body": None, "ended_at": now}
    ended: dict[str, dict[str, Any]] = {DELIVERED: forgotten, DEAD: {"ended_at": now}, WAITING: {}}
    for status, more in ended.items():
        rows = [
            {"tried": each.sequence, "due": each.due_at, "told": each.result}
            for each in attempts
            if each.status == status
        ]
        if rows:
            await connection.execute(
                update(webhook_delivery)
                .where(tried)
                .values(
                    status=status,
                    attempts=columns.attempts + 1,
                    due_at=bindparam("due"),
                    result=bindparam("told"),
                    **more,
                ),
                rows,
            )


# Looking and tidying ----------------------------------------------------------


@dataclass(frozen=True)
class Delivery:
    """How far a message has come. Times are microseconds, UTC."""

    subscription_id: str
    sequence: int
    message_id: str
    type: str
    status: str
    attempts: int
    created_at: int
    due_at: int
    ended_at: int | None
    result: str | None


async def deliveries(
    connection: AsyncConnection,
    app_id: str,
    subscription_id: str | None = None,
    *,
    status: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[Delivery]:
    """List an app's messages, newest first: of one subscription or all, of one status or any, from below a number."""
    columns = webhook_delivery.c
    shown = [columns[name] for name in Delivery.__dataclass_fields__]
    statement = select(*shown).where(columns.app_id == app_id)
    if subscription_id is not None:
        statement = statement.where(columns.subscription_id == subscription_id)
    if status is not None:
        statement = statement.where(columns.status == status)
    if before is not None:
        statement = statement.where(columns.sequence < before)
    rows = await connection.execute(
        statement.order_by(columns.sequence.desc(), columns.subscription_id).limit(limit)
    )
    return [Delivery(*row) for row in rows]


async def revive(connection: AsyncConnection, app_id: str, message_id: str | None, now: int) -> int:
    """Send dead messages again, one or all of an app, with all their attempts before them; return how many."""
    columns = webhook_delivery.c
    dead = [columns.app_id == app_id, columns.status == DEAD]
    if message_id is not None:
        dead.append(columns.message_id == message_id)
    whose = await connection.execute(
        update(webhook_delivery)
        .where(*dead)
        .values(status=WAITING, attempts=0, due_at=now, ended_at=None)
        .returning(columns.subscription_id)
    )
    revived = list(whose.scalars())
    await connection.execute(
        update(webhook_subscription)
        .where(
            webhook_subscription.c.app_id == app_id,
            webhook_subscription.c.subscription_id.in_(set(revived)),
        )
        .values(next_due=now)
    )
    return len(revived)


async def prune(
    connection: AsyncConnection, app_id: str, *, delivered_before: int, dead_before: int, limit: int
) -> int:
    """Forget messages that ended long enough ago, some of them at a time; return how many."""
    columns = webhook_delivery.c
    over = or_(
        and_(columns.status == DELIVERED, columns.ended_at < delivered_before),
        and_(columns.status == DEAD, columns.ended_at < dead_before),
    )
    some = (
        select(columns.subscription_id, columns.sequence).where(columns.app_id == app_id, over).limit(limit)
    )
    rows = (await connection.execute(some)).all()
    if rows:
        await connection.execute(
            delete(webhook_delivery).where(
                columns.app_id == app_id,
                columns.subscription_id == bindparam("whose"),
                columns.sequence == bindparam("number"),
            ),
            [{"whose": row.subscription_id, "number": row.sequence} for row in rows],
        )
    return len(rows)


class Outbox:
    """Messages about a person that wait, or died, as a store of personal data."""

    name = "webhooks"
    tables = ("webhook_delivery",)

    async def erase(self, connection: AsyncConnection, who: Person) -> int:
        """Forget what was still to be told of a person, and that notices of what expires have come as far as them."""
        columns = webhook_subscription.c
        await connection.execute(
            update(webhook_subscription)
            .where(columns.app_id == who.app_id, columns.expiring_subject == who.subject_id)
            .values(expiring_subject="")
        )
        return (await connection.execute(delete(webhook_delivery).where(_about(who)))).rowcount

    async def count(self, connection: AsyncConnection, who: Person) -> int:
        """Count what is still to be told of a person."""
        held = select(func.count()).select_from(webhook_delivery).where(_about(who))
        return (await connection.execute(held)).scalar_one()

    def export(self, connection: AsyncConnection, who: Person) -> Sequence[Section]:
        """Return what is still to be told of a person."""
        columns = webhook_delivery.c
        held = select(webhook_delivery).where(_about(who)).order_by(columns.created_at, columns.sequence)
        rows = stored(connection, held, times={"created_at", "due_at", "ended_at"})
        return [Section("webhooks", "webhook_delivery", rows, WHOSE)]


def _about(who: Person) -> ColumnElement[bool]:
    return and_(webhook_delivery.c.app_id == who.app_id, webhook_delivery.c.subject_id == who.subject_id)
