"""Erasing: a person, or what they no longer allow, goes from every store; a durable row says how far it has come; a receipt proves it.

The rows go in the request's own transaction, which also records the erasure and asks for the rest: the steps of
`STEPS`, each of which may be repeated at will. The row names nobody. The ledger comes last of the stores, because
the others' rows hang on the person's row.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.personal import Person, PersonalStore
from consent.receipts.records import rfc3339
from consent.receipts.signing import Signer
from consent.register import EVERYTHING
from consent.tables import consent_event, erasure, subject

ROWS_ERASED, RETRAINING, COMPLETED = "rows_erased", "retraining", "completed"

STEPS: Mapping[str, str] = {
    "recorded": "the request stands in the register outside the database",
    "rows_erased": "the rows are gone, with the links, sessions and kept answers that hung on them",
    "scrubbed": "no file of the database holds their bytes (SQLite; for PostgreSQL see docs/reliability.md)",
    "retrained": "what is served has learned nothing from them, or nothing is served",
    "let_go": "every process has let go of what it served before",
    "destroyed": "the files of every release that learned from them are gone",
    "completed": "the receipt is signed",
}
"""The steps, in their order. An erasure keeps the time at which each was done."""


@dataclass(frozen=True)
class Trained:
    """A release, as far as an erasure is concerned with it."""

    release_id: str | None = None
    digest: str | None = None

    def told(self) -> dict[str, str | None]:
        """Write it as receipts and the API show it."""
        return {"id": self.release_id, "digest": self.digest}


@dataclass(frozen=True)
class Erasure:
    """An erasure and how far it has come; it names nobody. Times are microseconds, UTC.

    `kind` is `everything` for a person who left, `withdrawal` for grants taken back. `counts` are the rows removed
    per store. `unlearn_epoch` is the first epoch of the model without what was erased, 0 when nothing was learned from
    it. `steps` are those of `STEPS` that are done, with their times. `acknowledgement` is signed when the rows are
    gone, `receipt` at the end.
    """

    app_id: str
    erasure_id: str
    kind: str
    status: str
    requested_at: int
    rows_erased_at: int
    deadline: int
    backups_until: int
    counts: Mapping[str, int]
    unlearn_epoch: int
    before: Trained = Trained()
    after: Trained = Trained()
    destroyed: Sequence[Trained] = ()
    steps: Mapping[str, int] = field(default_factory=dict)
    completed_at: int | None = None
    acknowledgement: str | None = None
    receipt: str | None = None

    def having(self, step: str, now: int) -> "Erasure":
        """Return the erasure with a step done."""
        return replace(self, steps={**self.steps, step: now})


async def erase_rows(
    connection: AsyncConnection, stores: Sequence[PersonalStore], who: Person
) -> dict[str, int]:
    """Remove a person from every store; return the rows removed per store, all zero for someone never seen."""
    return {store.name: await store.erase(connection, who) for store in stores}


async def ever_granted(
    connection: AsyncConnection, app_id: str, subject_id: str, purpose: str, until: int
) -> bool:
    """Tell whether a person granted a purpose at any time until a moment, also when it was withdrawn since."""
    granted = (
        select(consent_event.c.seq)
        .where(
            consent_event.c.app_id == app_id,
            consent_event.c.subject_id == subject_id,
            consent_event.c.purpose == purpose,
            consent_event.c.state.in_(["given", "renewed"]),
            consent_event.c.at <= until,
        )
        .limit(1)
    )
    return (await connection.execute(granted)).first() is not None


def acknowledge(pending: Erasure, signer: Signer) -> Erasure:
    """Return the erasure with the signed word that the rows are gone, which can be kept until the receipt is there."""
    return replace(pending, acknowledgement=signer.sign(_told(pending)))


def complete(pending: Erasure, now: int, signer: Signer) -> Erasure:
    """Return the erasure as it is when every step is done, with its signed receipt."""
    done = replace(pending.having("completed", now), status=COMPLETED, completed_at=now)
    return replace(done, receipt=signer.sign(_told(done)))


def _told(done: Erasure) -> dict[str, Any]:
    """Return what is signed."""
    completed = {} if done.completed_at is None else {"completed_at": rfc3339(done.completed_at)}
    return {
        "type": "erasure" if done.kind == EVERYTHING else "withdrawal",
        "erasure_id": done.erasure_id,
        "app": done.app_id,
        "status": done.status,
        "requested_at": rfc3339(done.requested_at),
        "rows_erased_at": rfc3339(done.rows_erased_at),
        **completed,
        "deadline": rfc3339(done.deadline),
        "backups_until": rfc3339(done.backups_until),
        "rows_removed": dict(done.counts),
        "release_before": done.before.told(),
        "release_after": done.after.told(),
        "releases_destroyed": [each.told() for each in done.destroyed],
        "steps": {name: rfc3339(at) for name, at in done.steps.items()},
    }


async def begin(connection: AsyncConnection, pending: Erasure) -> bool:
    """Write down that an erasure has begun; False when it is there already. Whoever else begins it waits for this transaction."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    first = await connection.execute(
        dialect.insert(erasure)
        .values(**_columns(pending))
        .on_conflict_do_nothing()
        .returning(erasure.c.erasure_id)
    )
    return first.first() is not None


async def record(connection: AsyncConnection, done: Erasure) -> None:
    """Write down how far an erasure has come."""
    mine = (erasure.c.app_id == done.app_id, erasure.c.erasure_id == done.erasure_id)
    await connection.execute(update(erasure).where(*mine).values(**_columns(done)))


def _columns(done: Erasure) -> dict[str, Any]:
    return {
        "app_id": done.app_id,
        "erasure_id": done.erasure_id,
        "kind": done.kind,
        "status": done.status,
        "requested_at": done.requested_at,
        "rows_erased_at": done.rows_erased_at,
        "completed_at": done.completed_at,
        "deadline": done.deadline,
        "backups_until": done.backups_until,
        "counts": json.dumps(dict(done.counts)),
        "steps": json.dumps(dict(done.steps)),
        "unlearn_epoch": done.unlearn_epoch,
        "release_before": done.before.release_id,
        "release_before_digest": done.before.digest,
        "release_after": done.after.release_id,
        "release_after_digest": done.after.digest,
        "destroyed": json.dumps([each.told() for each in done.destroyed]),
        "acknowledgement": done.acknowledgement,
        "receipt": done.receipt,
    }


def _erasure(row: Row[Any]) -> Erasure:
    return Erasure(
        app_id=row.app_id,
        erasure_id=row.erasure_id,
        kind=row.kind,
        status=row.status,
        requested_at=row.requested_at,
        rows_erased_at=row.rows_erased_at,
        deadline=row.deadline,
        backups_until=row.backups_until,
        counts=json.loads(row.counts),
        unlearn_epoch=row.unlearn_epoch,
        before=Trained(row.release_before, row.release_before_digest),
        after=Trained(row.release_after, row.release_after_digest),
        destroyed=[Trained(each["id"], each["digest"]) for each in json.loads(row.destroyed)],
        steps=json.loads(row.steps),
        completed_at=row.completed_at,
        acknowledgement=row.acknowledgement,
        receipt=row.receipt,
    )


async def find(
    connection: AsyncConnection, app_id: str, erasure_id: str, *, hold: bool = False
) -> Erasure | None:
    """Return an erasure of the app, or None; with `hold` nobody else changes it until the transaction ends."""
    mine = select(erasure).where(erasure.c.app_id == app_id, erasure.c.erasure_id == erasure_id)
    row = (await connection.execute(mine.with_for_update() if hold else mine)).one_or_none()
    return None if row is None else _erasure(row)


async def unfinished(connection: AsyncConnection, app_id: str) -> list[Erasure]:
    """Return the app's erasures that are not completed, oldest first."""
    rows = await connection.execute(
        select(erasure)
        .where(erasure.c.app_id == app_id, erasure.c.status.in_([ROWS_ERASED, RETRAINING]))
        .order_by(erasure.c.requested_at, erasure.c.erasure_id)
    )
    return [_erasure(row) for row in rows]


async def known(connection: AsyncConnection, app_id: str, erasure_ids: Sequence[str]) -> set[str]:
    """Return those of these ids that are erasures of the app."""
    found: set[str] = set()
    for first in range(0, len(erasure_ids), 500):  # SQLite takes so many parameters, and not many more
        some = erasure_ids[first : first + 500]
        rows = select(erasure.c.erasure_id).where(erasure.c.app_id == app_id, erasure.c.erasure_id.in_(some))
        found |= set((await connection.execute(rows)).scalars())
    return found


async def may_have_come_back(connection: AsyncConnection, app_id: str, user_hash: bytes, since: int) -> bool:
    """Tell whether a person is known who may have left since then and come back: anybody left in between, whoever it was."""
    left = (
        select(erasure.c.erasure_id)
        .join(subject, subject.c.app_id == erasure.c.app_id)
        .where(
            erasure.c.app_id == app_id,
            erasure.c.kind == EVERYTHING,
            erasure.c.requested_at.between(since, subject.c.created_at),
            subject.c.user_hash == user_hash,
        )
        .limit(1)
    )
    return (await connection.execute(left)).first() is not None
