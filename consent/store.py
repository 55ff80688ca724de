"""The ledger in a database. Every function works inside the transaction of its caller."""

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, String, Table, and_, bindparam, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consent import showing
from consent.ledger import GRANTING, Actor, Cell, ConsentEvent, State
from consent.personal import AT_A_TIME, WHOSE, Person, Section, stored
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


async def find_subject(connection: AsyncConnection, app_id: str, user_hash: bytes) -> str | None:
    """Return the random id under which a person is known, or None."""
    statement = select(subject.c.subject_id).where(
        subject.c.app_id == app_id, subject.c.user_hash == user_hash
    )
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


def ledger_size() -> Select[Any]:
    """Select how many lines an app's ledger has; parameter `app_id`."""
    return select(app.c.ledger_size).where(app.c.app_id == bindparam("app_id", type_=String, required=False))


@dataclass(frozen=True)
class Granted:
    """One cell as it is granted, and the words under which it was."""

    signal: str
    purpose: Purpose
    receipt_id: str
    notice_version: str
    locale: str


async def grants(
    connection: AsyncConnection, app_id: str, subject_id: str, cells: Collection[tuple[str, Purpose]]
) -> list[tuple[str, str, str]]:
    """Return (receipt id, signal, purpose) of every event that ever granted one of these cells of a person, and no longer does."""
    columns, cell = consent_event.c, consent_cell.c
    stands = (
        select(cell.receipt_id)
        .where(
            _of(consent_cell, app_id, subject_id),
            cell.signal == columns.signal,
            cell.purpose == columns.purpose,
            cell.receipt_id == columns.receipt_id,
            cell.state.in_(GRANTING),
        )
        .exists()
    )
    rows = await connection.execute(
        select(columns.receipt_id, columns.signal, columns.purpose).where(
            _of(consent_event, app_id, subject_id), columns.state.in_(GRANTING), ~stands
        )
    )
    return [tuple(row) for row in rows if (row.signal, Purpose(row.purpose)) in cells]


async def everybody(connection: AsyncConnection, app_id: str) -> AsyncIterator[Person]:
    """Read every person of an app, a few at a time."""
    rows = select(subject).where(subject.c.app_id == app_id).execution_options(yield_per=AT_A_TIME)
    async for row in await connection.stream(rows):
        yield Person(app_id, row.user_hash, row.subject_id)


async def every_grant(connection: AsyncConnection, app_id: str) -> AsyncIterator[tuple[Person, Granted]]:
    """Read every cell of an app that is granted, and whose it is, a few at a time."""
    cell, event = consent_cell.c, consent_event.c
    rows = (
        select(subject.c.user_hash, cell.subject_id, cell.signal, cell.purpose, cell.receipt_id, event.notice_version, event.locale)
        .join_from(consent_cell, subject, and_(cell.app_id == subject.c.app_id, cell.subject_id == subject.c.subject_id))
        .join(
            consent_event,
            and_(
                event.app_id == cell.app_id, event.subject_id == cell.subject_id, event.receipt_id == cell.receipt_id,
                event.signal == cell.signal, event.purpose == cell.purpose,
            ),
        )
        .where(cell.app_id == app_id, cell.state.in_(GRANTING))
        .execution_options(yield_per=AT_A_TIME)
    )  # fmt: skip
    async for row in await connection.stream(rows):
        granted = Granted(row.signal, Purpose(row.purpose), row.receipt_id, row.notice_version, row.locale)
        yield Person(app_id, row.user_hash, row.subject_id), granted


def _cell(row: Row[Any]) -> Cell:
    return Cell(
        signal=row.signal,
        purpose=Purpose(row.purpose),
        state=State(row.state),
        since=row.since,
        expires_at=row.expires_at,
        notice_version=row.notice_version,
        receipt_id=row.receipt_id,
        seq=row.seq,
        actor_type=row.actor_type,
        asked_at=row.asked_at,
        deferred_at=row.deferred_at,
    )


def _line(row: Row[Any]) -> ConsentEvent:
    return ConsentEvent(
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
        prompt_id=row.prompt_id,
        place=row.place,
        shown_at=row.shown_at,
        shown=None if row.shown is None else showing.read(row.shown),
    )


def _of(table: Any, app_id: str, subject_id: str) -> Any:
    return and_(table.c.app_id == app_id, table.c.subject_id == subject_id)


async def cells(connection: AsyncConnection, app_id: str, subject_id: str) -> dict[tuple[str, Purpose], Cell]:
    """Return the recorded cells of a person; ask `Cell.at` how each stands at a moment."""
    rows = await connection.execute(select(consent_cell).where(_of(consent_cell, app_id, subject_id)))
    return {(row.signal, Purpose(row.purpose)): _cell(row) for row in rows}


async def cells_of(
    connection: AsyncConnection, app_id: str, subject_ids: Collection[str]
) -> dict[str, list[Cell]]:
    """Return the recorded cells of several people."""
    columns = consent_cell.c
    rows = await connection.execute(
        select(consent_cell).where(columns.app_id == app_id, columns.subject_id.in_(subject_ids))
    )
    found: dict[str, list[Cell]] = {}
    for row in rows:
        found.setdefault(row.subject_id, []).append(_cell(row))
    return found


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
    return [_line(row) for row in await connection.execute(statement)]


async def lines_under(
    connection: AsyncConnection, app_id: str, subject_id: str, receipt_id: str
) -> list[ConsentEvent]:
    """Return a person's lines under one receipt, in order."""
    statement = (
        select(consent_event)
        .where(_of(consent_event, app_id, subject_id), consent_event.c.receipt_id == receipt_id)
        .order_by(consent_event.c.seq)
    )
    return [_line(row) for row in await connection.execute(statement)]


async def lines_at(
    connection: AsyncConnection, app_id: str, subject_id: str, places: Sequence[int]
) -> list[ConsentEvent]:
    """Return a person's lines at these places in the ledger, in order."""
    statement = (
        select(consent_event)
        .where(_of(consent_event, app_id, subject_id), consent_event.c.seq.in_(places))
        .order_by(consent_event.c.seq)
    )
    return [_line(row) for row in await connection.execute(statement)]


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


async def receipts_of(connection: AsyncConnection, app_id: str, subject_id: str) -> list[dict[str, Any]]:
    """Return every receipt of a person, in the order in which they were made."""
    rows = await connection.execute(select(receipt.c.body).where(_of(receipt, app_id, subject_id)))
    return sorted(
        (json.loads(body) for body in rows.scalars()), key=lambda each: each["purposes"][0]["event"]["seq"]
    )


class Ledger:
    """The ledger as a store of personal data: what an export shows and an erasure removes."""

    name = "ledger"
    tables = ("receipt", "consent_cell", "consent_event", "subject")

    async def erase(self, connection: AsyncConnection, who: Person) -> int:
        """Delete a person's consent history, cells, receipts and at last the row that knows them."""
        removed = 0
        for table in _LEDGER:
            mine = _of(table, who.app_id, who.subject_id)
            removed += (await connection.execute(delete(table).where(mine))).rowcount
        return removed

    async def count(self, connection: AsyncConnection, who: Person) -> int:
        """Count the rows held on a person."""
        total = 0
        for table in _LEDGER:
            held = select(func.count()).select_from(table).where(_of(table, who.app_id, who.subject_id))
            total += (await connection.execute(held)).scalar_one()
        return total

    def export(self, connection: AsyncConnection, who: Person) -> Sequence[Section]:
        """Return a person's row, choices as they were last made, their history, and every receipt with its signature."""

        def section(name: str, table: Table, times: Collection[str], *order: str) -> Section:
            mine = _of(table, who.app_id, who.subject_id)
            held = select(table).where(mine).order_by(*(table.c[column] for column in order))
            rows = stored(connection, held, times=times)
            return Section(name, table.name, _opened(rows) if table is receipt else rows, WHOSE)

        return [
            section("person", subject, {"created_at"}),
            section(
                "choices",
                consent_cell,
                {"since", "expires_at", "asked_at", "deferred_at"},
                "signal",
                "purpose",
            ),
            section("consent_history", consent_event, {"at", "expires_at", "shown_at"}, "seq"),
            section("receipts", receipt, {"created_at"}, "created_at", "receipt_id"),
        ]


_LEDGER = (receipt, consent_cell, consent_event, subject)


async def _opened(receipts: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[Mapping[str, Any]]:
    async for row in receipts:
        yield {**row, "body": json.loads(row["body"])}
