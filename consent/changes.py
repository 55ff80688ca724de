"""A change of consent: a person's choices become lines of the ledger, unless they rest on what is no longer so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from consent import endings, persons, store
from consent.errors import DeniedMeanwhile, UnknownPrompt
from consent.ledger import DENIALS, SELF, Actor, Cell, Change, Choice, ConsentEvent, expiry, state_after
from consent.log import openings
from consent.pseudonyms import new_id
from consent.recording import take_places
from consent.registrar import Cells, Changed, Registrar
from consent.showing import Shown

REPLAYED = "replayed after a restore"
"""How a choice was made that the register of erasures carried out: the database had forgotten it, or never got to know."""
RETRIED_FOR = 24 * 3600 * 1_000_000
"""For how long, in microseconds, a no like one that the register carried out can be that very request, sent again."""


@dataclass(frozen=True)
class Request:
    """A person's choices, with the notice they saw, where and when, and how they answered.

    Attributes:
        known: how many lines of the ledger whoever chose can have known of; None for all of them. A no beyond them
            goes before a yes in this request.
        arrived: when it arrived, in microseconds, where lines up to `known` may have been written since: a no of a
            later time goes before a yes in this request too. None where `known` is exact.
        prompt_id: the recorded showing of the notice that this answers; the notice, place and moment are its own.
        place: where the notice was shown, when no showing was recorded before.
        shown_at: when that was, in microseconds.
        shown: the cells that it was shown with; None when nobody said.
    """

    changes: Sequence[Change]
    notice_version: str
    locale: str
    method: str
    actor: Actor = SELF
    known: int | None = None
    arrived: int | None = None
    prompt_id: str | None = None
    place: str | None = None
    shown_at: int | None = None
    shown: Shown | None = None


async def change(
    connection: AsyncConnection,
    user_hash: bytes,
    request: Request,
    *,
    clock: Callable[[], int],
    registrar: Registrar,
) -> Changed:
    """Record a person's choices, all or nothing. They are of the moment at which they have their place in the ledger.

    A no that the register carried out already, because the answer to its request was lost, is not recorded again while
    clients retry: the receipt is the one that was written then. Before anything is chosen, whatever of the person's is over
    is recorded as ended, as the worker does: a yes anew does not bring back what was kept under the old one.

    Raises:
        NoticeSuperseded: something is given on a notice that is not the current one.
        UnknownNotice: no such notice was ever published.
        UnknownPrompt: the showing that it answers was not of this person, notice and cells.
        GuardianNeeded, NotForMinors: something is given for a minor that must not be.
        DeniedMeanwhile: something is given without knowledge of a no that came before.
    """
    notices = registrar.notices
    notices.find(request.notice_version, request.locale)
    if any(change.choice is Choice.GIVEN for change in request.changes):
        notices.require_current(request.notice_version)
    person = await persons.person_for_change(connection, registrar.app_id, user_hash, clock())
    registrar.minors.require(person.age_band, request.actor, request.changes)
    before = await store.cells(connection, registrar.app_id, person.subject_id)
    _require_no_denial_since(request, before, clock())
    showing = await _showing(connection, registrar.app_id, person.subject_id, request)
    carried_out = await _carried_out(
        connection, registrar.app_id, person.subject_id, request, before, clock()
    )
    left = [each for each in request.changes if each not in carried_out]
    if not left:
        cells = [before[each.signal, each.purpose] for each in request.changes]
        return await _as_carried_out(connection, registrar.app_id, person.subject_id, cells)
    # All of it, for events are kept under a signal, not a cell: a yes anew would take over what was kept under one that is over.
    lapsed = await endings.end_lapsed(
        connection, registrar, person.subject_id, person.age_band, before, clock()
    )
    if lapsed is not None:
        before = {**before, **{(each.signal, each.purpose): each for each in lapsed.cells}}
    places = await take_places(connection, registrar.app_id, person.subject_id, len(left))
    now = clock()  # not before: who took a place meanwhile chose earlier
    lines = _lines(replace(request, changes=left), showing, before, places.first, now, registrar)
    changed = await registrar.enter(connection, person.subject_id, places, lines, before, now)
    return changed.after(lapsed)


async def _carried_out(
    connection: AsyncConnection, app_id: str, subject_id: str, request: Request, before: Cells, now: int
) -> list[Change]:
    """Return what of a request the register carried out lately: the last line about the cell says so."""
    found = []
    for change in request.changes:
        cell = before.get((change.signal, change.purpose))
        if cell is None or change.choice.value not in DENIALS or cell.state not in DENIALS:
            continue
        if cell.receipt_id and now - (cell.since or 0) <= RETRIED_FOR:
            lines = await store.lines_under(connection, app_id, subject_id, cell.receipt_id)
            if any(line.seq == cell.seq and line.method == REPLAYED for line in lines):
                found.append(change)
    return found


async def _as_carried_out(
    connection: AsyncConnection, app_id: str, subject_id: str, cells: Sequence[Cell]
) -> Changed:
    """Return what the register's lines left behind when they were written; nothing changes now."""
    receipt_id = max(cells, key=lambda cell: cell.seq or 0).receipt_id or ""
    found = await store.find_receipt(connection, app_id, subject_id, receipt_id)
    if found is None:
        raise RuntimeError("a line of the ledger has no receipt")
    leaves = await openings.of_person(connection, app_id, subject_id, receipt_id)
    return Changed(subject_id, found[0], leaves, cells, frozenset(), 0, frozenset())


def denied_since(request: Request, before: Cells, now: int) -> list[int]:
    """Return the places, within a request, of what is given against a no that whoever gave it cannot have known."""
    return [
        number
        for number, change in enumerate(request.changes)
        if change.choice is Choice.GIVEN
        and (cell := before.get((change.signal, change.purpose))) is not None
        and cell.state in DENIALS
        and _later_than_known(cell, request, now)
    ]


def _later_than_known(denial: Cell, request: Request, now: int) -> bool:
    if request.known is not None and (denial.seq or 0) >= request.known:
        return True
    # A no from beyond this moment was written by a clock that is ahead: its time says nothing.
    return request.arrived is not None and request.arrived < (denial.since or 0) <= now


def _require_no_denial_since(request: Request, before: Cells, now: int) -> None:
    for number in denied_since(request, before, now):
        raise DeniedMeanwhile(
            f"changes.{number}", "it was refused or withdrawn in the meantime: look again, then choose"
        )


_ANSWERS = (Choice.GIVEN, Choice.DEFERRED)
"""What can only be said to what was asked; a no can always be said."""


@dataclass(frozen=True)
class _Showing:
    prompt_id: str | None
    place: str | None
    at: int | None
    cells: Shown | None


async def _showing(connection: AsyncConnection, app_id: str, subject_id: str, request: Request) -> _Showing:
    """Return on what showing of the notice the choices were made."""
    if request.prompt_id is None:
        _require_asked(request, request.shown)
        return _Showing(None, request.place, request.shown_at, request.shown)
    prompt = await store.lines_under(connection, app_id, subject_id, request.prompt_id)
    asked = {(line.signal, line.purpose) for line in prompt if line.prompt_id == request.prompt_id}
    if not asked:
        raise UnknownPrompt("prompt_id", "no such showing was recorded for this person")
    first = prompt[0]
    if (first.notice_version, first.locale) != (request.notice_version, request.locale):
        raise UnknownPrompt("prompt_id", "that showing was of another version or locale of the notice")
    _require_asked(request, asked)
    return _Showing(request.prompt_id, first.place, first.at, asked)


def _require_asked(request: Request, shown: Shown | None) -> None:
    for number, change in enumerate(request.changes):
        named = (change.signal, change.purpose)
        if change.choice in _ANSWERS and shown is not None and named not in shown:
            raise UnknownPrompt(f"changes.{number}", "that showing did not ask for this")


def _lines(
    request: Request, showing: _Showing, before: Cells, first_seq: int, now: int, registrar: Registrar
) -> list[ConsentEvent]:
    notice = registrar.notices.find(request.notice_version, request.locale)
    receipt_id = new_id()
    lines = []
    for seq, change in enumerate(request.changes, start=first_seq):
        state = state_after(change, before.get((change.signal, change.purpose)), now, registrar.notices)
        lines.append(
            ConsentEvent(
                seq=seq,
                signal=change.signal,
                purpose=change.purpose,
                state=state,
                at=now,
                expires_at=expiry(change.signal, state, now),
                notice_version=notice.version,
                notice_sha256=notice.sha256,
                locale=notice.locale,
                method=request.method,
                actor=request.actor,
                receipt_id=receipt_id,
                prompt_id=showing.prompt_id,
                place=showing.place,
                shown_at=showing.at,
                shown=showing.cells,
            )
        )
    return lines
