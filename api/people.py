"""What is done for one person, whoever asks for it: their app by HTTP, or they themselves on the pages."""

from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from api.service import PERSONAL_STORES, Service
from consent import changes, erasure
from consent import store as ledger
from consent.changes import Changed, Request
from consent.erasure import Erasure, Trained
from consent.ledger import Cell, ConsentEvent, State
from consent.pseudonyms import new_id
from consent.purposes import Purpose
from consent.receipts import rfc3339
from consent.signals import SIGNALS
from recommender import registry
from recommender.tables import events

HOUR = 3_600_000_000


async def cells(service: Service, connection: AsyncConnection, app_id: str, user_hash: bytes) -> list[Cell]:
    """Return every cell there is, as it stands now; `unknown` where the person never chose."""
    now = service.clock()
    subject_id = await ledger.find_subject(connection, app_id, user_hash)
    touched = {} if subject_id is None else await ledger.cells(connection, app_id, subject_id)
    return [
        touched[signal.id, purpose].at(now, service.notices)
        if (signal.id, purpose) in touched
        else Cell(signal.id, purpose, State.UNKNOWN)
        for signal in SIGNALS.values()
        for purpose in signal.purposes
    ]


async def change(
    service: Service, connection: AsyncConnection, app_id: str, user_hash: bytes, request: Request
) -> Changed:
    """Record choices, and see to it that what may no longer be learned from is unlearned."""
    now = service.clock()
    name = await ledger.app_name(connection, app_id)
    changed = await changes.change(
        connection,
        app_id,
        user_hash,
        request,
        now=now,
        notices=service.notices,
        controller=service.controller(name or app_id),
        signer=service.signer,
        signal_tables=[events],
    )
    if changed.unlearn:
        await registry.unlearn(connection, app_id)
        if await _something_was_trained(connection, app_id):
            await registry.ask_training(connection, app_id, "withdrawal", now)
    return changed


async def erase(service: Service, connection: AsyncConnection, app_id: str, user_hash: bytes) -> Erasure:
    """Delete a person: all rows now, and a training without them when anything could have been learned from them."""
    now = service.clock()
    subject_id = await ledger.find_subject(connection, app_id, user_hash, lock=True)
    learned = subject_id is not None and await erasure.ever_granted(
        connection, app_id, subject_id, Purpose.IMPROVE
    )
    counts = await erasure.erase_rows(connection, PERSONAL_STORES, app_id, subject_id)
    before = await _served(connection, app_id)
    pending = Erasure(
        erasure_id=new_id(),
        status=erasure.ROWS_ERASED,
        requested_at=now,
        rows_erased_at=now,
        deadline=now + service.settings.erasure_deadline_h * HOUR,
        counts=counts,
        unlearn_epoch=await registry.unlearn(connection, app_id) if learned else 0,
        before=before,
    )
    if learned and await _something_was_trained(connection, app_id):
        await registry.ask_training(connection, app_id, "erasure", now)
        done = replace(pending, status=erasure.RETRAINING)
    else:
        done = erasure.complete(pending, app_id, before, now, service.signer)
    await erasure.record(connection, app_id, done)
    return done


async def _served(connection: AsyncConnection, app_id: str) -> Trained:
    promoted = (await registry.find_model_state(connection, app_id)).promoted
    record = await registry.find_release(connection, app_id, promoted) if promoted else None
    return Trained(record.release_id, record.digest) if record else Trained()


async def _something_was_trained(connection: AsyncConnection, app_id: str) -> bool:
    return any(record.status != "destroyed" for record in await registry.releases(connection, app_id))


async def export(
    service: Service, connection: AsyncConnection, app_id: str, user_hash: bytes
) -> dict[str, Any]:
    """Return everything held on a person (GDPR 15 and 20); the same shape for someone never seen."""
    subject_id = await ledger.find_subject(connection, app_id, user_hash)
    held: dict[str, list[dict[str, Any]]] = {store_.name: [] for store_ in PERSONAL_STORES}
    consent_events = []
    if subject_id is not None:
        for store_ in PERSONAL_STORES:
            held[store_.name] = await store_.export(connection, app_id, subject_id)
        consent_events = await ledger.history(connection, app_id, subject_id)
    return {
        "format": "assent-export/1",
        "exported_at": rfc3339(service.clock()),
        "subject_id": subject_id,
        "consents": [cell_json(cell) for cell in await cells(service, connection, app_id, user_hash)],
        "consent_history": [history_json(event) for event in consent_events],
        "receipts": held["ledger"],
        "events": [_readable(event) for event in held[events.name]],
        "kept_answers": held["kept_answers"],
    }


def _readable(event: dict[str, Any]) -> dict[str, Any]:
    times = {name: rfc3339(event[name]) for name in ("occurred_at", "stored_at")}
    return {name: value for name, value in {**event, **times}.items() if name not in {"app_id", "subject_id"}}


def cell_json(cell: Cell) -> dict[str, Any]:
    """Write a cell as the API shows it."""
    return {
        "signal": cell.signal,
        "purpose": cell.purpose.value,
        "state": cell.state.value,
        "since": None if cell.since is None else rfc3339(cell.since),
        "expires_at": None if cell.expires_at is None else rfc3339(cell.expires_at),
        "notice_version": cell.notice_version,
        "receipt_id": cell.receipt_id,
    }


def history_json(event: ConsentEvent) -> dict[str, Any]:
    """Write a consent event as the API shows it."""
    return {
        "seq": event.seq,
        "signal": event.signal,
        "purpose": event.purpose.value,
        "state": event.state.value,
        "at": rfc3339(event.at),
        "expires_at": None if event.expires_at is None else rfc3339(event.expires_at),
        "notice_version": event.notice_version,
        "notice_sha256": event.notice_sha256,
        "locale": event.locale,
        "method": event.method,
        "actor": {"type": event.actor.type},
        "receipt_id": event.receipt_id,
    }


def erasure_json(done: Erasure) -> dict[str, Any]:
    """Write an erasure as the API shows it."""
    return {
        "erasure_id": done.erasure_id,
        "status": done.status,
        "requested_at": rfc3339(done.requested_at),
        "rows_erased_at": rfc3339(done.rows_erased_at),
        "completed_at": None if done.completed_at is None else rfc3339(done.completed_at),
        "deadline": rfc3339(done.deadline),
        "counts": dict(done.counts),
        "release_before": {"id": done.before.release_id, "digest": done.before.digest},
        "release_after": {"id": done.after.release_id, "digest": done.after.digest},
        "receipt": done.receipt,
    }
