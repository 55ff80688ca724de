"""The ledger in a database. Every function works inside the transaction of its caller."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, and_, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from consent import receipts
from consent.ledger import (
    Actor,
    Cell,
    ConsentEvent,
    State,
)
from consent.pseudonyms import new_id
from consent.purposes import Purpose
from consent.tables import app, consent_cell, consent_event, receipt, subject


async def add_app(connection: AsyncConnection, app_id: str, name: str, now: int) -> None:
    """Register a partner app."""
    await connection.execute(insert(app).values(app_id=app_id, name=name, created_at=now, ledger_size=0))


async def app_ids(connection: AsyncConnection) -> list[str]:
    """List the apps."""
    return list((await connection.execute(select(app.c.app_id).order_by(app.c.app_id))).scalars())


async def app_name(connection: AsyncConnection, app_id: str) -> str | None:
    """Return an app's name; None when there is no such app."""
    return (await connection.execute(select(app.c.name).where(app.c.app_id == app_id))).scalar_one_or_none()


async def find_subject(
    connection: AsyncConnection, app_id: str, user_hash: bytes, *, lock: bool = False
) -> str | None:
    """Return the random id under which a person is known, or None; `lock` holds off whoever else changes them."""
    statement = select(subject.c.subject_id).where(
        subject.c.app_id == app_id, subject.c.user_hash == user_hash
    )
    if lock:
        statement = statement.with_for_update()
    return (await connection.execute(statement)).scalar_one_or_none()


async def find_subjects(
    connection: AsyncConnection, app_id: str, user_hashes: Sequence[bytes]
) -> Mapping[bytes, str]:
    """Return the ids of those people who are known."""
    rows = await connection.execute(
        select(subject.c.user_hash, subject.c.subject_id).where(
            subject.c.app_id == app_id, subject.c.user_hash.in_(user_hashes)
        )
    )
    return {row.user_hash: row.subject_id for row in rows}


async def subject_for_change(connection: AsyncConnection, app_id: str, user_hash: bytes, now: int) -> str:
    """Return the id of a person, new or known, and hold off whoever else changes them."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    await connection.execute(
        dialect.insert(subject)
        .values(app_id=app_id, subject_id=new_id(), user_hash=user_hash, created_at=now)
        .on_conflict_do_nothing()
    )
    found = await find_subject(connection, app_id, user_hash, lock=True)
    if found is None:
        raise RuntimeError("a person's row vanished inside the transaction that wrote it")
    return found


async def next_seq(connection: AsyncConnection, app_id: str, count: int) -> int:
    """Return the first of `count` places in the ledger of an app; whoever comes next waits for this transaction."""
    size = await connection.execute(
        update(app)
        .where(app.c.app_id == app_id)
        .values(ledger_size=app.c.ledger_size + count)
        .returning(app.c.ledger_size)
    )
    return int(size.scalar_one()) - count


def _cell(row: Row[Any]) -> Cell:
    return Cell(
        signal=row.signal,
        purpose=Purpose(row.purpose),
        state=State(row.state),
        since=row.since,
        expires_at=row.expires_at,
        notice_version=row.notice_version,
        receipt_id=row.receipt_id,
    )


def _of(table: Any, app_id: str, subject_id: str) -> Any:
    return and_(table.c.app_id == app_id, table.c.subject_id == subject_id)


async def cells(connection: AsyncConnection, app_id: str, subject_id: str) -> dict[tuple[str, Purpose], Cell]:
    """Return the recorded cells of a person; ask `Cell.at` how each stands at a moment."""
    rows = await connection.execute(select(consent_cell).where(_of(consent_cell, app_id, subject_id)))
    return {(row.signal, Purpose(row.purpose)): _cell(row) for row in rows}


async def history(
    connection: AsyncConnection, app_id: str, subject_id: str, after: int = -1, limit: int | None = None
) -> list[ConsentEvent]:
    """Return the consent events of a person in order, from beyond `after`."""
    statement: Select[Any] = (
        select(consent_event)
        .where(_of(consent_event, app_id, subject_id), consent_event.c.seq > after)
        .order_by(consent_event.c.seq)
        .limit(limit)
    )
    return [
        ConsentEvent(
            seq=row.seq,
            signal=row.signal,
            purpose=Purpose(row.purpose),
            state=State(row.state),
            at=row.at,
            expires_at=row.expires_at,
            notice_version=row.notice_version,
            notice_sha256=row.notice_sha256,
            locale=row.locale,
            method=row.method,
            actor=Actor(row.actor_type, row.actor),
            receipt_id=row.receipt_id,
        )
        for row in await connection.execute(statement)
    ]


async def record(
    connection: AsyncConnection,
    app_id: str,
    subject_id: str,
    events: Sequence[ConsentEvent],
    after: Mapping[tuple[str, Purpose], Cell],
    body: dict[str, Any],
    signer: receipts.Signer,
) -> None:
    """Write the events of one change, the cells as they stand after it, and its signed receipt."""
    person = {"app_id": app_id, "subject_id": subject_id}
    await connection.execute(
        insert(consent_event),
        [
            {
                **person,
                "seq": event.seq,
                "signal": event.signal,
                "purpose": event.purpose.value,
                "state": event.state.value,
                "at": event.at,
                "expires_at": event.expires_at,
                "notice_version": event.notice_version,
                "notice_sha256": event.notice_sha256,
                "locale": event.locale,
                "method": event.method,
                "actor_type": event.actor.type,
                "actor": event.actor.pseudonym,
                "receipt_id": event.receipt_id,
            }
            for event in events
        ],
    )
    touched = dict.fromkeys((event.signal, event.purpose) for event in events)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    upsert = dialect.insert(consent_cell)
    state = ("state", "since", "expires_at", "notice_version", "receipt_id")
    await connection.execute(
        upsert.on_conflict_do_update(
            index_elements=list(consent_cell.primary_key.columns),
            set_={name: upsert.excluded[name] for name in state},
        ),
        [
            {
                **person,
                "signal": cell.signal,
                "purpose": cell.purpose.value,
                **{name: getattr(cell, name) for name in state},
            }
            for cell in (after[key] for key in touched)
        ],
    )
    text = receipts.canonical(body)
    await connection.execute(
        insert(receipt).values(
            **person,
            receipt_id=events[0].receipt_id,
            created_at=events[0].at,
            body=text,
            jws=signer.sign_text(text),
        )
    )


async def find_receipt(
    connection: AsyncConnection, app_id: str, subject_id: str, receipt_id: str
) -> tuple[dict[str, Any], str] | None:
    """Return a person's receipt as (JSON, JWS); None when it is not theirs."""
    row = (
        await connection.execute(
            select(receipt.c.body, receipt.c.jws).where(
                _of(receipt, app_id, subject_id), receipt.c.receipt_id == receipt_id
            )
        )
    ).one_or_none()
    return None if row is None else (json.loads(row.body), row.jws)


class Ledger:
    """The ledger as a store of personal data: what an export shows and an erasure removes."""

    name = "ledger"

    async def erase(self, connection: AsyncConnection, app_id: str, subject_id: str) -> int:
        """Delete a person's consent history, cells, receipts and at last the row that knows them."""
        removed = 0
        for table in (receipt, consent_cell, consent_event, subject):
            removed += (
                await connection.execute(delete(table).where(_of(table, app_id, subject_id)))
            ).rowcount
        return removed

    async def count(self, connection: AsyncConnection, app_id: str, subject_id: str) -> int:
        """Count the rows held on a person."""
        total = 0
        for table in (receipt, consent_cell, consent_event, subject):
            held = select(func.count()).select_from(table).where(_of(table, app_id, subject_id))
            total += (await connection.execute(held)).scalar_one()
        return total

    async def export(self, connection: AsyncConnection, app_id: str, subject_id: str) -> list[dict[str, Any]]:
        """Return every receipt of a person with its signature."""
        rows = await connection.execute(
            select(receipt.c.body, receipt.c.jws)
            .where(_of(receipt, app_id, subject_id))
            .order_by(receipt.c.created_at)
        )
        return [{"receipt": json.loads(row.body), "jws": row.jws} for row in rows]
