"""The ledger in a database. Every function works inside the transaction of its caller."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, and_, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from consent import receipts
from consent.gate import SignalTable
from consent.ledger import (
    SELF,
    Actor,
    Cell,
    Change,
    Choice,
    ConsentEvent,
    State,
    cell_after,
    expiry,
    state_after,
)
from consent.notices import Notices
from consent.pseudonyms import new_id
from consent.purposes import Purpose
from consent.tables import app, consent_cell, consent_event, receipt, subject


@dataclass(frozen=True)
class Request:
    """A person's choices, with the notice they saw and how they answered."""

    changes: Sequence[Change]
    notice_version: str
    locale: str
    method: str
    actor: Actor = SELF


@dataclass(frozen=True)
class Changed:
    """What a change left behind."""

    receipt: dict[str, Any]
    cells: Sequence[Cell]
    signals_lost: frozenset[str]
    """Signals that lost their last grant: their events are gone."""
    unlearn: bool
    """Whether something may have been learned that is no longer allowed to be."""


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


async def _subject_for_change(connection: AsyncConnection, app_id: str, user_hash: bytes, now: int) -> str:
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


async def _next_seq(connection: AsyncConnection, app_id: str, count: int) -> int:
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


def _events(
    request: Request, before: Mapping[tuple[str, Purpose], Cell], first_seq: int, now: int, notices: Notices
) -> list[ConsentEvent]:
    shown = notices.find(request.notice_version, request.locale)
    receipt_id = new_id()
    events = []
    for seq, change in enumerate(request.changes, start=first_seq):
        state = state_after(change, before.get((change.signal, change.purpose)), now, notices)
        events.append(
            ConsentEvent(
                seq=seq,
                signal=change.signal,
                purpose=change.purpose,
                state=state,
                at=now,
                expires_at=expiry(change.signal, state, now),
                notice_version=shown.version,
                notice_sha256=shown.sha256,
                locale=shown.locale,
                method=request.method,
                actor=request.actor,
                receipt_id=receipt_id,
            )
        )
    return events


async def change(
    connection: AsyncConnection,
    app_id: str,
    user_hash: bytes,
    request: Request,
    *,
    now: int,
    notices: Notices,
    controller: receipts.Controller,
    signer: receipts.Signer,
    signal_tables: Sequence[SignalTable],
) -> Changed:
    """Record a person's choices: ledger, cells, receipt, and the removal of events that lost their last grant.

    Raises:
        NoticeSuperseded: something is given on a notice that is not the current one.
        UnknownNotice: no such notice was ever published.
    """
    notices.find(request.notice_version, request.locale)
    if any(change.choice is Choice.GIVEN for change in request.changes):
        notices.require_current(request.notice_version)
    subject_id = await _subject_for_change(connection, app_id, user_hash, now)
    before = await cells(connection, app_id, subject_id)
    first_seq = await _next_seq(connection, app_id, len(request.changes))
    events = _events(request, before, first_seq, now, notices)
    after = dict(before)
    for event in events:
        key = (event.signal, event.purpose)
        after[key] = cell_after(after.get(key), event)
    body = receipts.of_consent(
        events, receipt_id=events[0].receipt_id, app_id=app_id, subject_id=subject_id, controller=controller
    )
    await _write(connection, app_id, subject_id, events, after, body, signer)

    lost = _signals_lost({event.signal for event in events}, before, after, now, notices)
    if lost:
        for table in signal_tables:
            await table.withdraw(connection, app_id, subject_id, lost)
    ended = {
        key for key, cell in before.items() if cell.state in _GRANTED and after[key].state not in _GRANTED
    }
    return Changed(
        receipt=body,
        cells=[after[key] for key in dict.fromkeys((event.signal, event.purpose) for event in events)],
        signals_lost=lost,
        unlearn=any(purpose is Purpose.IMPROVE for _, purpose in ended),
    )


_GRANTED = (State.GIVEN, State.RENEWED)


def _signals_lost(
    touched: set[str],
    before: Mapping[tuple[str, Purpose], Cell],
    after: Mapping[tuple[str, Purpose], Cell],
    now: int,
    notices: Notices,
) -> frozenset[str]:
    had = {signal for signal, _ in before}
    has = {signal for (signal, _), cell in after.items() if cell.in_force(now, notices)}
    return frozenset((touched & had) - has)


async def _write(
    connection: AsyncConnection,
    app_id: str,
    subject_id: str,
    events: Sequence[ConsentEvent],
    after: Mapping[tuple[str, Purpose], Cell],
    body: dict[str, Any],
    signer: receipts.Signer,
) -> None:
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
