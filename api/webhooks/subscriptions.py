"""Subscriptions in a database: who listens to what, where. Every function works inside its caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.webhooks.messages import Type
from api.webhooks.tables import webhook_delivery, webhook_subscription
from consent.expiring import Place
from consent.pseudonyms import new_id

MOST = 20
"""How many subscriptions an app may have."""
OVERLAP = 24 * 3600 * 1_000_000
"""How long, in microseconds, the secret before a rotation goes on signing too."""


class TooMany(Exception):
    """The app has as many subscriptions as it may have."""


@dataclass(frozen=True)
class Subscription:
    """Where some types of messages of an app go. Times are microseconds, UTC."""

    app_id: str
    subscription_id: str
    url: str
    types: Sequence[Type]
    created_at: int
    generation: int
    overlap_until: int

    def generations(self, now: int) -> list[int]:
        """Return the generations of the secret that sign at a moment, the newest first."""
        before = [self.generation - 1] if self.generation > 1 and now < self.overlap_until else []
        return [self.generation, *before]


_COLUMNS = (
    webhook_subscription.c.app_id,
    webhook_subscription.c.subscription_id,
    webhook_subscription.c.url,
    webhook_subscription.c.types,
    webhook_subscription.c.created_at,
    webhook_subscription.c.generation,
    webhook_subscription.c.overlap_until,
)


def _subscription(row: Any) -> Subscription:
    return Subscription(
        row.app_id,
        row.subscription_id,
        row.url,
        [Type(name) for name in row.types.split()],
        row.created_at,
        row.generation,
        row.overlap_until,
    )


def _one(app_id: str, subscription_id: str) -> ColumnElement[bool]:
    columns = webhook_subscription.c
    return and_(columns.app_id == app_id, columns.subscription_id == subscription_id)


async def add(
    connection: AsyncConnection, app_id: str, url: str, types: Sequence[Type], now: int
) -> Subscription:
    """Subscribe; TooMany when the app has as many as it may have."""
    mine = select(func.count()).where(webhook_subscription.c.app_id == app_id)
    if (await connection.execute(mine)).scalar_one() >= MOST:
        raise TooMany
    made = Subscription(app_id, new_id(), url, types, now, 1, 0)
    await connection.execute(
        insert(webhook_subscription).values(
            app_id=app_id,
            subscription_id=made.subscription_id,
            url=url,
            types=" ".join(types),
            created_at=now,
            generation=1,
            overlap_until=0,
            sequence=0,
            lease_until=0,
            expiring_at=now,
            expiring_subject="",
        )
    )
    return made


async def of_app(connection: AsyncConnection, app_id: str) -> list[Subscription]:
    """List an app's subscriptions, oldest first."""
    columns = webhook_subscription.c
    rows = await connection.execute(
        select(*_COLUMNS)
        .where(columns.app_id == app_id)
        .order_by(columns.created_at, columns.subscription_id)
    )
    return [_subscription(row) for row in rows]


async def find(connection: AsyncConnection, app_id: str, subscription_id: str) -> Subscription | None:
    """Return a subscription of the app, or None."""
    row = (await connection.execute(select(*_COLUMNS).where(_one(app_id, subscription_id)))).one_or_none()
    return None if row is None else _subscription(row)


async def change(
    connection: AsyncConnection, app_id: str, subscription_id: str, url: str, types: Sequence[Type]
) -> Subscription | None:
    """Send elsewhere, or other types, from now on; what waits goes there too. None when there is no such subscription."""
    await connection.execute(
        update(webhook_subscription)
        .where(_one(app_id, subscription_id))
        .values(url=url, types=" ".join(types))
    )
    return await find(connection, app_id, subscription_id)


async def rotate(
    connection: AsyncConnection, app_id: str, subscription_id: str, now: int
) -> Subscription | None:
    """Begin the next secret; the one before signs too until the overlap is over. None when there is no such subscription."""
    await connection.execute(
        update(webhook_subscription)
        .where(_one(app_id, subscription_id))
        .values(generation=webhook_subscription.c.generation + 1, overlap_until=now + OVERLAP)
    )
    return await find(connection, app_id, subscription_id)


async def remove(connection: AsyncConnection, app_id: str, subscription_id: str) -> bool:
    """End a subscription, and forget what waited for it; False when there is none.

    Raises:
        IntegrityError: a message was written meanwhile; try again.
    """
    theirs = and_(webhook_delivery.c.app_id == app_id, webhook_delivery.c.subscription_id == subscription_id)
    await connection.execute(delete(webhook_delivery).where(theirs))
    gone = await connection.execute(delete(webhook_subscription).where(_one(app_id, subscription_id)))
    return bool(gone.rowcount)


# How far the notices of expiry have come -----


async def told_until(connection: AsyncConnection, subscription: Subscription) -> Place | None:
    """Return how far the notices of grants that will end have come; None when there is no such subscription any more."""
    columns = webhook_subscription.c
    mine = _one(subscription.app_id, subscription.subscription_id)
    row = (
        await connection.execute(select(columns.expiring_at, columns.expiring_subject).where(mine))
    ).one_or_none()
    return None if row is None else (row.expiring_at, row.expiring_subject)


async def move_on(
    connection: AsyncConnection, subscription: Subscription, before: Place, after: Place
) -> bool:
    """Write down that they have come further; False when somebody else did."""
    columns = webhook_subscription.c
    moved = await connection.execute(
        update(webhook_subscription)
        .where(
            _one(subscription.app_id, subscription.subscription_id),
            columns.expiring_at == before[0],
            columns.expiring_subject == before[1],
        )
        .values(expiring_at=after[0], expiring_subject=after[1])
    )
    return bool(moved.rowcount)


# Leases -----------------------------------------------------------------------


@dataclass(frozen=True)
class Leased:
    """A subscription that one worker serves for a while."""

    subscription: Subscription
    lease: str


async def lease_due(connection: AsyncConnection, now: int, lasts: int, limit: int) -> list[Leased]:
    """Take the subscriptions, of any app, that have waited longest with something to send, for `lasts` microseconds."""
    columns = webhook_subscription.c
    rows = await connection.execute(
        select(*_COLUMNS)
        .where(columns.next_due <= now, columns.lease_until <= now)
        .order_by(columns.next_due)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = [Leased(_subscription(row), new_id()) for row in rows]
    for each in taken:
        mine = _one(each.subscription.app_id, each.subscription.subscription_id)
        await connection.execute(
            update(webhook_subscription).where(mine).values(lease=each.lease, lease_until=now + lasts)
        )
    return taken


async def renew(connection: AsyncConnection, leased: Leased, until: int) -> bool:
    """Keep a lease until then; False when it was lost."""
    kept = await connection.execute(
        update(webhook_subscription).where(_held(leased)).values(lease_until=until)
    )
    return bool(kept.rowcount)


async def release(connection: AsyncConnection, leased: Leased) -> None:
    """Give a subscription back, due when the first of its messages is."""
    # Held first, so that a message written meanwhile is either seen below or comes after and sets the time itself.
    held = select(webhook_subscription.c.subscription_id).where(_held(leased)).with_for_update()
    if (await connection.execute(held)).first() is None:
        return
    first = select(func.min(webhook_delivery.c.due_at)).where(heads(leased.subscription))
    next_due = (await connection.execute(first)).scalar_one()
    await connection.execute(
        update(webhook_subscription)
        .where(_held(leased))
        .values(lease=null(), lease_until=0, next_due=next_due)
    )


def _held(leased: Leased) -> ColumnElement[bool]:
    own = leased.subscription
    return and_(_one(own.app_id, own.subscription_id), webhook_subscription.c.lease == leased.lease)


def heads(subscription: Subscription) -> ColumnElement[bool]:
    """Return the SQL condition of what may go out next: waiting, and nothing of its stream waiting before it."""
    this, before = webhook_delivery.c, webhook_delivery.alias("before")
    earlier = (
        select(before.c.sequence)
        .where(
            before.c.app_id == this.app_id,
            before.c.subscription_id == this.subscription_id,
            before.c.stream == this.stream,
            before.c.sequence < this.sequence,
            before.c.status == "waiting",
        )
        .exists()
    )
    return and_(
        this.app_id == subscription.app_id,
        this.subscription_id == subscription.subscription_id,
        this.status == "waiting",
        ~earlier,
    )
