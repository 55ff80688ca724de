"""What is done for one person, whoever asks for it: their app by HTTP, or they themselves on the pages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from api import erasing, removals
from api.erasing import Over
from api.service import Service
from api.webhooks import messages, outbox
from api.webhooks.messages import Message
from consent import changes, endings, persons
from consent import store as ledger
from consent.changes import Request
from consent.endings import Ended
from consent.erasure import Erasure
from consent.ledger import APP, Actor, Cell, ConsentEvent, State
from consent.minors import AgeBand
from consent.receipts.records import rfc3339, shown_json
from consent.registrar import Changed, Registrar
from consent.signals import SIGNALS


async def cells(service: Service, connection: AsyncConnection, app_id: str, user_hash: bytes) -> list[Cell]:
    """Return every cell there is, as it stands now; `unknown` where the person never chose."""
    now = service.clock()
    subject_id = await ledger.find_subject(connection, app_id, user_hash)
    touched = {} if subject_id is None else await ledger.cells(connection, app_id, subject_id)
    notices = await service.board.of(connection, app_id)
    return [
        touched[signal.id, purpose].at(now, notices)
        if (signal.id, purpose) in touched
        else Cell(signal.id, purpose, State.UNKNOWN)
        for signal in SIGNALS.values()
        for purpose in signal.purposes
    ]


async def age_band(connection: AsyncConnection, app_id: str, user_hash: bytes) -> AgeBand | None:
    """Return the age band that the app told of a person; None when it told none."""
    subject_id = await ledger.find_subject(connection, app_id, user_hash)
    return None if subject_id is None else await persons.age_band(connection, app_id, subject_id)


def as_of(cells: Iterable[Cell]) -> int:
    """Return how many lines of the ledger a view of a person's cells rests on, so that a later no can be told."""
    return max((cell.seq + 1 for cell in cells if cell.seq is not None), default=0)


async def registrar(service: Service, connection: AsyncConnection, app_id: str) -> Registrar:
    """Return who enters lines into an app's ledger."""
    name, notices = await service.board.headed(connection, app_id)
    return service.registrar(app_id, name, notices, await service.keyring.signer(connection, service.clock()))


async def change(
    service: Service, connection: AsyncConnection, app_id: str, user_hash: bytes, request: Request
) -> Changed:
    """Record choices, and see to it that what may no longer be learned from is unlearned.

    What had lapsed before is told and counted as when the worker finds it.
    """
    writer = await registrar(service, connection, app_id)
    changed = await changes.change(connection, user_hash, request, clock=service.clock, registrar=writer)
    over, lapsed = [Over(user_hash, changed)], changed.lapsed
    by_choice = lapsed is None or changed.ended > lapsed.ended
    erasure_id = await _take_back(service, connection, app_id, over, "withdrawal" if by_choice else "expiry")
    now = service.clock()
    told = [] if lapsed is None else [_expired(service, user_hash, lapsed)]
    told.append(_chosen(service, user_hash, changed, request.actor))
    await outbox.tell(connection, app_id, told, now)
    if lapsed is not None:
        await removals.count(connection, app_id, removed_by_ending([lapsed]), now)
    return replace(changed, erasure_id=erasure_id)


def _chosen(service: Service, user_hash: bytes, changed: Changed, actor: Actor) -> Message:
    return messages.consent_changed(
        service.pseudonyms.reference(user_hash),
        changed.receipt["pii_principal_id"],
        changed.cells,
        receipt_id=changed.receipt["receipt_id"],
        actor=actor.type,
    )


def _expired(service: Service, user_hash: bytes, ended: Changed) -> Message:
    return messages.consent_expired(service.pseudonyms.reference(user_hash), ended.subject_id, ended.cells)


def removed_by_ending(ended: Iterable[Changed]) -> Mapping[str, int]:
    """Count, by kind, what went because grants ended by themselves."""
    ends = list(ended)
    return {
        removals.GRANTS_ENDED: sum(len(each.cells) for each in ends),
        removals.EVENTS_UNGRANTED: sum(each.rows_removed for each in ends),
    }


async def end_due(
    service: Service, connection: AsyncConnection, app_id: str, limit: int = 100
) -> Sequence[Ended]:
    """Record grants that ended by themselves, of `limit` people at most, and see to it that they are unlearned.

    For the worker: call it, each time in a transaction of its own, until it returns nothing.
    """
    now = service.clock()
    writer = await registrar(service, connection, app_id)
    ended = await endings.record_due(connection, writer, now, limit)
    over = [Over(each.user_hash, each.changed) for each in ended]
    await _take_back(service, connection, app_id, over, "expiry")
    told = [_expired(service, each.user_hash, each.changed) for each in ended]
    await outbox.tell(connection, app_id, told, now)
    return ended


async def mark_age(
    service: Service, connection: AsyncConnection, app_id: str, user_hash: bytes, band: AgeBand
) -> Changed | None:
    """Write down a person's age band, end what may not stand with it, and see to it that it is unlearned."""
    now = service.clock()
    writer = await registrar(service, connection, app_id)
    changed = await endings.mark_age(connection, user_hash, band, now=now, registrar=writer)
    if changed is not None:
        await _take_back(service, connection, app_id, [Over(user_hash, changed)], "age")
        await outbox.tell(connection, app_id, [_chosen(service, user_hash, changed, APP)], now)
    return changed


async def _take_back(
    service: Service, connection: AsyncConnection, app_id: str, ended: Sequence[Over], reason: str
) -> str | None:
    """However grants ended, they stay ended, and what they allowed is erased and unlearned; return under which number."""
    over = [each for each in ended if each.changed.ended]
    return (await erasing.take_back(service, connection, app_id, over, reason)).erasure_id if over else None


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
        "seq": cell.seq,
        "actor": None if cell.actor_type is None else {"type": cell.actor_type},
    }


def consents_json(service: Service, user_hash: bytes, cells: Sequence[Cell]) -> dict[str, Any]:
    """Write all cells of a person as the API shows them."""
    return {
        "user_ref": service.pseudonyms.reference(user_hash),
        "consents": [cell_json(cell) for cell in cells],
        "as_of": as_of(cells),
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
        "prompt_id": event.prompt_id,
        "place": event.place,
        "shown_at": None if event.shown_at is None else rfc3339(event.shown_at),
        "shown": shown_json(event.shown),
    }


def erasure_json(done: Erasure) -> dict[str, Any]:
    """Write an erasure as the API shows it."""
    return {
        "erasure_id": done.erasure_id,
        "kind": done.kind,
        "status": done.status,
        "requested_at": rfc3339(done.requested_at),
        "rows_erased_at": rfc3339(done.rows_erased_at),
        "completed_at": None if done.completed_at is None else rfc3339(done.completed_at),
        "deadline": rfc3339(done.deadline),
        "backups_until": rfc3339(done.backups_until),
        "counts": dict(done.counts),
        "release_before": done.before.told(),
        "release_after": done.after.told(),
        "releases_destroyed": [each.told() for each in done.destroyed if "destroyed" in done.steps],
        "steps": {name: rfc3339(at) for name, at in done.steps.items()},
        "acknowledgement": done.acknowledgement,
        "receipt": done.receipt,
    }
