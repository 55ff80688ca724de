"""Asking: who may be asked now, about which cells, and from when on again; and the record of what was shown.

Nobody is asked in a loop. An answer, a dismissal and a question without an answer each buy their time of peace.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from consent import persons, store
from consent.errors import AskedTooSoon, GuardianNeeded, NotForMinors
from consent.ledger import DENIALS, GRANTING, GUARDIAN, SELF, Actor, Cell, ConsentEvent, State
from consent.minors import AgeBand, Minors
from consent.pseudonyms import new_id
from consent.purposes import Purpose
from consent.recording import take_places
from consent.registrar import Registrar

DAY = 86_400_000_000
ENDS_SOON = 30 * DAY
"""How long, in microseconds, before the end of a yes its renewal may be asked for."""


class Because(StrEnum):
    """What decides whether someone may be asked: the newest of what they answered, or where the cell stands."""

    NEVER_ASKED = "never_asked"
    UNANSWERED = "unanswered"
    DISMISSED = "dismissed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"
    TERMINATED = "terminated"
    ENDS_SOON = "ends_soon"
    GRANTED = "granted"
    NOT_FOR_MINORS = "not_for_minors"


@dataclass(frozen=True)
class Quiet:
    """How long someone is left in peace, in microseconds."""

    after_refusal: int = 180 * DAY
    after_dismissal: int = 30 * DAY
    after_question: int = DAY


@dataclass(frozen=True)
class Askable:
    """Whether someone may be asked about a cell now; `not_before` in microseconds, None when no moment is known."""

    signal: str
    purpose: Purpose
    may_ask: bool
    because: Because
    not_before: int | None


_STANDS = {
    State.UNKNOWN: Because.NEVER_ASKED,
    State.REQUESTED: Because.UNANSWERED,
    State.DEFERRED: Because.DISMISSED,
    State.REFUSED: Because.REFUSED,
    State.WITHDRAWN: Because.WITHDRAWN,
    State.EXPIRED: Because.EXPIRED,
    State.INVALIDATED: Because.INVALIDATED,
    State.TERMINATED: Because.TERMINATED,
    State.GIVEN: Because.ENDS_SOON,
    State.RENEWED: Because.ENDS_SOON,
}


def askable(cell: Cell, band: AgeBand | None, now: int, minors: Minors, quiet: Quiet) -> Askable:
    """Tell whether someone may be asked about a cell, as it stands now, and else from when on."""
    if not minors.allows(band, cell.purpose):
        return Askable(
            cell.signal, cell.purpose, may_ask=False, because=Because.NOT_FOR_MINORS, not_before=None
        )
    times = [(0, _STANDS[cell.state])]
    if cell.state in GRANTING and cell.expires_at is not None:
        near = cell.expires_at - ENDS_SOON
        times.append((near, Because.ENDS_SOON if near <= now else Because.GRANTED))
    if cell.state in DENIALS and cell.since is not None:
        times.append((cell.since + quiet.after_refusal, _STANDS[cell.state]))
    if cell.deferred_at is not None:
        times.append((cell.deferred_at + quiet.after_dismissal, Because.DISMISSED))
    if cell.asked_at is not None:
        times.append((cell.asked_at + quiet.after_question, Because.UNANSWERED))
    not_before, because = max(times, key=lambda each: each[0])
    if not_before <= now:
        return Askable(cell.signal, cell.purpose, may_ask=True, because=_STANDS[cell.state], not_before=None)
    return Askable(cell.signal, cell.purpose, may_ask=False, because=because, not_before=not_before)


@dataclass(frozen=True)
class Prompt:
    """A notice shown to someone, with the cells it asks for.

    Attributes:
        cells: what is asked for, by signal and purpose.
        notice_version: the version shown.
        locale: in which locale.
        place: where, in the app's own words, such as `onboarding`.
        method: in which way, such as `dialog`.
        own_wish: the person opened it themselves; then no time of peace stands against it.
        actor: who was shown it: the person, or a guardian for them.
    """

    cells: Sequence[tuple[str, Purpose]]
    notice_version: str
    locale: str
    place: str
    method: str
    own_wish: bool = False
    actor: Actor = SELF


@dataclass(frozen=True)
class Prompted:
    """A prompt on record: choices made on it refer to `prompt_id`."""

    prompt_id: str
    shown_at: int
    receipt: dict[str, Any]


async def record(
    connection: AsyncConnection,
    user_hash: bytes,
    prompt: Prompt,
    *,
    now: int,
    registrar: Registrar,
    quiet: Quiet,
) -> Prompted:
    """Record that a notice is being shown; the app asks before it shows.

    Raises:
        NoticeSuperseded, UnknownNotice: that is not the notice to show.
        AskedTooSoon: the person is to be left in peace about one of the cells.
        GuardianNeeded, NotForMinors: this person is not the one to ask, or nobody is.
    """
    registrar.notices.require_current(prompt.notice_version)
    notice = registrar.notices.find(prompt.notice_version, prompt.locale)
    person = await persons.person_for_change(connection, registrar.app_id, user_hash, now)
    before = await store.cells(connection, registrar.app_id, person.subject_id)
    _require_may_ask(prompt, person.age_band, before, now, registrar, quiet)
    places = await take_places(connection, registrar.app_id, person.subject_id, len(prompt.cells))
    prompt_id = new_id()
    lines = [
        ConsentEvent(
            seq=seq,
            signal=signal,
            purpose=purpose,
            state=State.REQUESTED,
            at=now,
            expires_at=None,
            notice_version=notice.version,
            notice_sha256=notice.sha256,
            locale=notice.locale,
            method=prompt.method,
            actor=prompt.actor,
            receipt_id=prompt_id,
            prompt_id=prompt_id,
            place=prompt.place,
            shown_at=now,
            shown=prompt.cells,
        )
        for seq, (signal, purpose) in enumerate(prompt.cells, start=places.first)
    ]
    changed = await registrar.enter(connection, person.subject_id, places, lines, before, now)
    return Prompted(prompt_id, now, changed.receipt)


def _require_may_ask(
    prompt: Prompt,
    band: AgeBand | None,
    before: dict[tuple[str, Purpose], Cell],
    now: int,
    registrar: Registrar,
    quiet: Quiet,
) -> None:
    if registrar.minors.needs_guardian(band) and prompt.actor.type != GUARDIAN:
        raise GuardianNeeded("actor", "ask a guardian of this person")
    for number, name in enumerate(prompt.cells):
        cell = before.get(name, Cell(*name, State.UNKNOWN)).at(now, registrar.notices)
        found = askable(cell, band, now, registrar.minors, quiet)
        if found.because is Because.NOT_FOR_MINORS:
            raise NotForMinors(f"cells.{number}.purpose", "nobody may give this for a minor")
        if not found.may_ask and not prompt.own_wish:
            raise AskedTooSoon(f"cells.{number}", f"not to be asked now: {found.because.value}")
