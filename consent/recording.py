"""Lines of the ledger on their way into the database: with their places, their leaves, the cells they lead to, and their receipt.

From the moment a change takes its places until it commits, every other change of its app waits. So what can be done before is
done before, and what is written is written at once where the database takes it at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Table, bindparam, insert, select, text, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from consent import showing
from consent.ledger import Cell, ConsentEvent
from consent.log import commitments
from consent.log import store as log
from consent.log.commitments import Leaf
from consent.purposes import Purpose
from consent.receipts.signing import Signer, canonical
from consent.tables import app, consent_cell, consent_event, log_key, log_node, receipt


@dataclass(frozen=True)
class Places:
    """Places in the ledger of an app, taken for lines about one person, whom the caller holds."""

    first: int
    log_key: bytes | None
    """What opens the person's leaves; None when they have none yet."""


_TAKE = (
    update(app)
    .where(app.c.app_id == bindparam("of_app"))
    .values(ledger_size=app.c.ledger_size + bindparam("count"))
    .returning(
        app.c.ledger_size,
        select(log_key.c.key)
        .where(log_key.c.app_id == bindparam("of_app"), log_key.c.subject_id == bindparam("of_person"))
        .scalar_subquery()
        .label("log_key"),
    )
)


async def take_places(connection: AsyncConnection, app_id: str, subject_id: str, count: int) -> Places:
    """Take the next `count` places in the ledger of an app; whoever comes next waits for this transaction."""
    values = {"of_app": app_id, "of_person": subject_id, "count": count}
    taken = (await connection.execute(_TAKE, values)).one()
    return Places(taken.ledger_size - count, taken.log_key)


async def record(
    connection: AsyncConnection,
    app_id: str,
    subject_id: str,
    places: Places,
    events: Sequence[ConsentEvent],
    after: Mapping[tuple[str, Purpose], Cell],
    body: dict[str, Any],
    signer: Signer,
) -> list[Leaf]:
    """Write the events of one change, their leaves in the log, the cells as they stand after it, and its signed receipt."""
    person = {"app_id": app_id, "subject_id": subject_id}
    lines = [person | _line(event) for event in events]
    receipt_text = canonical(body)
    key = places.log_key or await log.make_key(connection, app_id, subject_id)
    leaves = [commitments.leaf_of(key, line, commitments.digest(receipt_text)) for line in lines]
    nodes = await log.grown(connection, app_id, places.first, [leaf.data for leaf in leaves])
    touched = dict.fromkeys((event.signal, event.purpose) for event in events)
    rows = {
        consent_event: lines,
        log_node: [{"app_id": app_id, "node": node, "value": value} for node, value in nodes],
        consent_cell: [person | _cell(after[name]) for name in touched],
        receipt: [
            person
            | {
                "receipt_id": events[0].receipt_id,
                "created_at": events[0].at,
                "body": receipt_text,
                "jws": signer.sign_text(receipt_text),
            }
        ],
    }
    if connection.dialect.name == "postgresql":
        documents = {
            table.name: orjson.dumps(held, default=_hexadecimal).decode() for table, held in rows.items()
        }
        await connection.execute(_AT_ONCE, documents)
    else:
        for table, held in rows.items():
            await connection.execute(_UPSERT if table is consent_cell else insert(table), held)
    return leaves


def _line(event: ConsentEvent) -> dict[str, Any]:
    return {
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
        "prompt_id": event.prompt_id,
        "place": event.place,
        "shown_at": event.shown_at,
        "shown": showing.written(event.shown) if event.shown else None,
    }


_STANDS = (
    "state", "since", "expires_at", "notice_version", "receipt_id", "seq", "actor_type", "asked_at", "deferred_at",
)  # fmt: skip


def _cell(cell: Cell) -> dict[str, Any]:
    told = {name: getattr(cell, name) for name in _STANDS}
    return told | {"signal": cell.signal, "purpose": cell.purpose.value, "state": cell.state.value}


def _upsert() -> Any:
    made = sqlite.insert(consent_cell)
    return made.on_conflict_do_update(
        index_elements=list(consent_cell.primary_key.columns),
        set_={name: made.excluded[name] for name in _STANDS},
    )


_UPSERT = _upsert()


def _hexadecimal(value: object) -> str:
    """Write bytes as PostgreSQL reads them."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(type(value).__name__)


def _from_json(table: Table, more: str = "") -> str:
    """Return the SQL that writes the rows of a JSON list into a table; the list is the parameter of the table's name."""
    columns = ", ".join(column.name for column in table.columns)
    rows = f"jsonb_populate_recordset(NULL::{table.name}, CAST(:{table.name} AS jsonb))"
    return f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {rows} {more}"  # noqa: S608  of the schema's names alone


def _at_once() -> Any:
    keys = ", ".join(column.name for column in consent_cell.primary_key.columns)
    stands = ", ".join(f"{name} = excluded.{name}" for name in _STANDS)
    upsert = _from_json(consent_cell, f"ON CONFLICT ({keys}) DO UPDATE SET {stands}")
    return text(
        f"WITH line AS ({_from_json(consent_event)}), node AS ({_from_json(log_node)}), cell AS ({upsert}) "
        + _from_json(receipt)
    )


_AT_ONCE = _at_once()
"""Everything that a change writes, as one statement for PostgreSQL: one way there and back while others wait."""
