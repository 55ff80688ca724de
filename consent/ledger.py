"""The ledger's rules, without a database: consent events in order become cells, and a cell at a moment has a state."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from consent.errors import UnknownPurpose, UnknownSignal
from consent.notices import Notices
from consent.purposes import Purpose
from consent.signals import SIGNALS, Signal


class State(StrEnum):
    """The states of a cell that occur so far, in the words of ISO/IEC TS 27560."""

    GIVEN = "given"
    RENEWED = "renewed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"
    UNKNOWN = "unknown"


GRANTING = (State.GIVEN, State.RENEWED)
"""The recorded states under which a cell can be in force."""


class Choice(StrEnum):
    """What a person can ask for."""

    GIVEN = "given"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Change:
    """One choice about one cell."""

    signal: str
    purpose: Purpose
    choice: Choice


@dataclass(frozen=True)
class Actor:
    """Who chose: the person, or a guardian for them. `pseudonym` is never the id that the app sent."""

    type: str = "self"
    pseudonym: str | None = None


SELF = Actor()
"""The person themselves."""


@dataclass(frozen=True)
class ConsentEvent:
    """One line of the ledger; never changed once written. Times are microseconds, UTC."""

    seq: int
    signal: str
    purpose: Purpose
    state: State
    at: int
    expires_at: int | None
    notice_version: str
    notice_sha256: str
    locale: str
    method: str
    actor: Actor
    receipt_id: str


@dataclass(frozen=True)
class Cell:
    """Where one signal stands for one purpose, by the last event about it."""

    signal: str
    purpose: Purpose
    state: State
    since: int | None = None
    expires_at: int | None = None
    notice_version: str | None = None
    receipt_id: str | None = None

    def in_force(self, now: int, notices: Notices) -> bool:
        """Tell whether this cell allows its use at a moment."""
        return self.at(now, notices).state in GRANTING

    def at(self, now: int, notices: Notices) -> "Cell":
        """Return the cell as it stands at a moment: a grant may have expired, or its notice may be outdated."""
        if self.state not in GRANTING:
            return self
        if self.expires_at is None or now >= self.expires_at:
            return replace(self, state=State.EXPIRED)
        if self.notice_version not in notices.valid_versions(self.signal, self.purpose):
            return replace(self, state=State.INVALIDATED)
        return self


def cell_after(before: Cell | None, event: ConsentEvent) -> Cell:
    """Return the cell as an event leaves it. Renewing keeps the day on which it was turned on."""
    renewed = event.state is State.RENEWED and before is not None
    return Cell(
        signal=event.signal,
        purpose=event.purpose,
        state=event.state,
        since=before.since if renewed and before is not None else event.at,
        expires_at=event.expires_at,
        notice_version=event.notice_version,
        receipt_id=event.receipt_id,
    )


def fold(events: Iterable[ConsentEvent]) -> dict[tuple[str, Purpose], Cell]:
    """Derive every touched cell from the events of one person, in order of `seq`."""
    cells: dict[tuple[str, Purpose], Cell] = {}
    for event in events:
        key = (event.signal, event.purpose)
        cells[key] = cell_after(cells.get(key), event)
    return cells


def known_signal(signal: str, field: str = "signal") -> Signal:
    """Return a signal of the catalogue; UnknownSignal names the field otherwise."""
    if signal not in SIGNALS:
        raise UnknownSignal(field, f"must be one of {', '.join(SIGNALS)}")
    return SIGNALS[signal]


def known_purpose(purpose: str, field: str = "purpose") -> Purpose:
    """Return a purpose; UnknownPurpose names the field otherwise."""
    try:
        return Purpose(purpose)
    except ValueError:
        raise UnknownPurpose(field, f"must be one of {', '.join(Purpose)}") from None


def state_after(change: Change, before: Cell | None, now: int, notices: Notices) -> State:
    """Return the state that a choice leads to: giving again what is in force renews it."""
    if change.choice is Choice.GIVEN and before is not None and before.in_force(now, notices):
        return State.RENEWED
    return State(change.choice.value)


def expiry(signal: str, state: State, now: int) -> int | None:
    """Return when a grant made now ends; None for what grants nothing."""
    if state not in GRANTING:
        return None
    return now + int(SIGNALS[signal].consent_lasts.total_seconds() * 1_000_000)
