"""A change of consent: a person's choices become lines of the ledger, cells and a receipt, and what nobody may keep any more goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from consent import receipts, store
from consent.gate import SignalTable
from consent.ledger import (
    GRANTING,
    SELF,
    Actor,
    Cell,
    Change,
    Choice,
    ConsentEvent,
    cell_after,
    expiry,
    state_after,
)
from consent.notices import Notices
from consent.pseudonyms import new_id
from consent.purposes import Purpose


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
    subject_id = await store.subject_for_change(connection, app_id, user_hash, now)
    before = await store.cells(connection, app_id, subject_id)
    first_seq = await store.next_seq(connection, app_id, len(request.changes))
    events = _events(request, before, first_seq, now, notices)
    after = dict(before)
    for event in events:
        key = (event.signal, event.purpose)
        after[key] = cell_after(after.get(key), event)
    body = receipts.of_consent(
        events, receipt_id=events[0].receipt_id, app_id=app_id, subject_id=subject_id, controller=controller
    )
    await store.record(connection, app_id, subject_id, events, after, body, signer)

    lost = _signals_lost({event.signal for event in events}, before, after, now, notices)
    if lost:
        for table in signal_tables:
            await table.withdraw(connection, app_id, subject_id, lost)
    ended = {
        key for key, cell in before.items() if cell.state in GRANTING and after[key].state not in GRANTING
    }
    return Changed(
        receipt=body,
        cells=[after[key] for key in dict.fromkeys((event.signal, event.purpose) for event in events)],
        signals_lost=lost,
        unlearn=any(purpose is Purpose.IMPROVE for _, purpose in ended),
    )


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
