"""Erasing a person: every store that holds personal data removes its rows in one transaction, and a receipt says so.

`consent` knows no other store: whoever composes the service hands over all of them. The ledger comes last, because
the other stores' rows hang on the person's row.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consent import receipts
from consent.tables import consent_event, erasure

ROWS_ERASED, RETRAINING, COMPLETED = "rows_erased", "retraining", "completed"


class PersonalStore(Protocol):
    """Somewhere personal data lies."""

    name: str

    async def erase(self, connection: AsyncConnection, app_id: str, subject_id: str) -> int:
        """Remove everything of a person; return how many rows."""

    async def count(self, connection: AsyncConnection, app_id: str, subject_id: str) -> int:
        """Count the rows of a person."""

    async def export(self, connection: AsyncConnection, app_id: str, subject_id: str) -> list[dict[str, Any]]:
        """Return everything held on a person."""


@dataclass(frozen=True)
class Trained:
    """A release, as far as an erasure is concerned with it."""

    release_id: str | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Erasure:
    """An erasure and how far it has come; it names nobody. Times are microseconds, UTC.

    `unlearn_epoch` is the first epoch of the model without the person.
    """

    erasure_id: str
    status: str
    requested_at: int
    rows_erased_at: int
    deadline: int
    counts: Mapping[str, int]
    unlearn_epoch: int
    before: Trained = Trained()
    after: Trained = Trained()
    completed_at: int | None = None
    receipt: str | None = None


async def erase_rows(
    connection: AsyncConnection, stores: Sequence[PersonalStore], app_id: str, subject_id: str | None
) -> dict[str, int]:
    """Remove a person from every store; return the rows removed per store, all zero for someone never seen."""
    if subject_id is None:
        return {store.name: 0 for store in stores}
    return {store.name: await store.erase(connection, app_id, subject_id) for store in stores}


async def ever_granted(connection: AsyncConnection, app_id: str, subject_id: str, purpose: str) -> bool:
    """Tell whether a person ever granted a purpose, also when it was withdrawn since."""
    granted = (
        select(consent_event.c.seq)
        .where(
            consent_event.c.app_id == app_id,
            consent_event.c.subject_id == subject_id,
            consent_event.c.purpose == purpose,
            consent_event.c.state.in_(["given", "renewed"]),
        )
        .limit(1)
    )
    return (await connection.execute(granted)).first() is not None


def complete(pending: Erasure, app_id: str, after: Trained, now: int, signer: receipts.Signer) -> Erasure:
    """Return the erasure as it is when nothing of the person is left, with its signed receipt."""
    body = {
        "type": "erasure",
        "erasure_id": pending.erasure_id,
        "app": app_id,
        "requested_at": receipts.rfc3339(pending.requested_at),
        "rows_erased_at": receipts.rfc3339(pending.rows_erased_at),
        "completed_at": receipts.rfc3339(now),
        "deadline": receipts.rfc3339(pending.deadline),
        "rows_removed": dict(pending.counts),
        "release_before": {"id": pending.before.release_id, "digest": pending.before.digest},
        "release_after": {"id": after.release_id, "digest": after.digest},
    }
    return replace(pending, status=COMPLETED, after=after, completed_at=now, receipt=signer.sign(body))


async def record(connection: AsyncConnection, app_id: str, done: Erasure) -> None:
    """Write an erasure down."""
    await connection.execute(insert(erasure).values(app_id=app_id, **_columns(done)))


async def record_completion(connection: AsyncConnection, app_id: str, done: Erasure) -> None:
    """Write down that an erasure is complete."""
    mine = (erasure.c.app_id == app_id, erasure.c.erasure_id == done.erasure_id)
    await connection.execute(update(erasure).where(*mine).values(**_columns(done)))


def _columns(done: Erasure) -> dict[str, Any]:
    return {
        "erasure_id": done.erasure_id,
        "status": done.status,
        "requested_at": done.requested_at,
        "rows_erased_at": done.rows_erased_at,
        "completed_at": done.completed_at,
        "deadline": done.deadline,
        "counts": json.dumps(dict(done.counts)),
        "unlearn_epoch": done.unlearn_epoch,
        "release_before": done.before.release_id,
        "release_before_digest": done.before.digest,
        "release_after": done.after.release_id,
        "release_after_digest": done.after.digest,
        "receipt": done.receipt,
    }


def _erasure(row: Any) -> Erasure:
    return Erasure(
        erasure_id=row.erasure_id,
        status=row.status,
        requested_at=row.requested_at,
        rows_erased_at=row.rows_erased_at,
        deadline=row.deadline,
        counts=json.loads(row.counts),
        unlearn_epoch=row.unlearn_epoch,
        before=Trained(row.release_before, row.release_before_digest),
        after=Trained(row.release_after, row.release_after_digest),
        completed_at=row.completed_at,
        receipt=row.receipt,
    )


async def find(connection: AsyncConnection, app_id: str, erasure_id: str) -> Erasure | None:
    """Return an erasure of the app, or None."""
    mine = (erasure.c.app_id == app_id, erasure.c.erasure_id == erasure_id)
    row = (await connection.execute(select(erasure).where(*mine))).one_or_none()
    return None if row is None else _erasure(row)


async def waiting(connection: AsyncConnection, app_id: str, up_to_epoch: int) -> list[Erasure]:
    """Return the erasures that a model of this epoch completes."""
    rows = await connection.execute(
        select(erasure)
        .where(
            erasure.c.app_id == app_id, erasure.c.status == RETRAINING, erasure.c.unlearn_epoch <= up_to_epoch
        )
        .order_by(erasure.c.requested_at)
    )
    return [_erasure(row) for row in rows]
