"""The ledger's rules, without a database: consent events in order become cells, and a cell at a moment has a state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from consent.errors import UnknownPurpose, UnknownSignal
from consent.notices.published import Notices
from consent.purposes import Purpose
from consent.showing import Shown
from consent.signals import SIGNALS, Signal


class State(StrEnum):
    """The states of ISO/IEC TS 27560. A line of the ledger records one of them; `MEANING` says what each is."""

    UNKNOWN = "unknown"
    REQUESTED = "requested"
    DEFERRED = "deferred"
    GIVEN = "given"
    RENEWED = "renewed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"
    TERMINATED = "terminated"

    @classmethod
    def _missing_(cls, value: object) -> "State":  # noqa: ARG003  whatever it was
        """Whatever is no state is unknown, and denies."""
        return cls.UNKNOWN


MEANING: Mapping[State, str] = {
    State.UNKNOWN: "nobody was asked and nothing was chosen",
    State.REQUESTED: "the person was shown the notice and asked, and has not answered",
    State.DEFERRED: "the person was asked and put the question away without an answer",
    State.GIVEN: "the person, or a guardian for them, said yes",
    State.RENEWED: "a yes in force was said again, and lasts anew from then on",
    State.REFUSED: "the person said no",
    State.WITHDRAWN: "the person took a yes back, or said no in those words",
    State.EXPIRED: "a yes came to its end in time",
    State.INVALIDATED: "the notice changed in a way that matters for this cell, and the yes was to the old text",
    State.TERMINATED: "the yes ended for a reason that lies in neither time nor text: who gave it may not, or may no longer",
}

GRANTING = (State.GIVEN, State.RENEWED)
"""The recorded states under which a cell can be in force; all others deny."""
UNDECIDED = (State.UNKNOWN, State.REQUESTED, State.DEFERRED)
"""Nobody said yes or no so far."""
DENIALS = (State.REFUSED, State.WITHDRAWN)
"""A person's own no."""
ENDINGS = (State.EXPIRED, State.INVALIDATED, State.TERMINATED)
"""A yes ended without the person's doing."""

_ANSWERS = {state: state for state in (State.GIVEN, *DENIALS)}


def _transitions() -> dict[State, dict[State, State]]:
    """Being asked, and putting the question away, move nobody who ever decided: the decision stands."""
    asked = (State.REQUESTED, State.DEFERRED)
    table: dict[State, dict[State, State]] = {}
    for state in State:
        table[state] = {line: line if state in UNDECIDED else state for line in asked} | _ANSWERS
        if state in GRANTING:
            table[state] |= {line: line for line in (State.RENEWED, *ENDINGS)}
    return table


TRANSITIONS: Mapping[State, Mapping[State, State]] = _transitions()
"""From where a cell stands, by the line that is recorded, to where it stands then. What is not in it cannot be recorded."""


class Choice(StrEnum):
    """What a person can answer; to defer is to put the question away, and grants nothing."""

    GIVEN = "given"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    DEFERRED = "deferred"


@dataclass(frozen=True)
class Change:
    """One choice about one cell."""

    signal: str
    purpose: Purpose
    choice: Choice


@dataclass(frozen=True)
class Actor:
    """Who acted. `pseudonym` is never the id that the app sent."""

    type: str = "self"
    pseudonym: str | None = None


SELF = Actor()
"""The person themselves."""
GUARDIAN = "guardian"
"""Type of an actor who acts for a person, and has a pseudonym."""
APP = Actor("app")
"""The partner app: it asks, and says that someone is a minor or came of age."""
SERVICE = Actor("service")
"""Assent itself, where time or a new notice ended what a person had given."""


@dataclass(frozen=True)
class ConsentEvent:
    """One line of the ledger; never changed once written. Times are microseconds, UTC.

    `prompt_id`, `place`, `shown_at` and `shown` say on what showing of the notice it was chosen: which one, where, when,
    and with which cells; None where nobody said so.
    """

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
    prompt_id: str | None = None
    place: str | None = None
    shown_at: int | None = None
    shown: Shown | None = None


@dataclass(frozen=True)
class Cell:
    """Where one signal stands for one purpose.

    All fields but the last two are of the line of the ledger that decided where it stands; `since` when it does.
    """

    signal: str
    purpose: Purpose
    state: State
    since: int | None = None
    expires_at: int | None = None
    notice_version: str | None = None
    receipt_id: str | None = None
    seq: int | None = None
    actor_type: str | None = None
    asked_at: int | None = None
    """When the person was last asked."""
    deferred_at: int | None = None
    """When they last put the question away."""

    def in_force(self, now: int, notices: Notices) -> bool:
        """Tell whether this cell allows its use at a moment."""
        return self.at(now, notices).state in GRANTING

    def at(self, now: int, notices: Notices) -> "Cell":
        """Return the cell as it stands at a moment: a grant may have expired, or its notice may be outdated."""
        if self.state not in GRANTING:
            return self
        if self.expires_at is None or now >= self.expires_at:
            return replace(self, state=State.EXPIRED, since=self.expires_at)
        if self.notice_version not in notices.valid_versions(self.signal, self.purpose):
            return replace(self, state=State.INVALIDATED, expires_at=None)
        return self


def cell_after(before: Cell | None, event: ConsentEvent) -> Cell:
    """Return the cell as a line leaves it. Renewing keeps the day on which it was turned on.

    Raises:
        ValueError: such a line cannot follow (see `TRANSITIONS`).
    """
    before = before or Cell(event.signal, event.purpose, State.UNKNOWN)
    to = TRANSITIONS[before.state].get(event.state)
    if to is None:
        raise ValueError(f"{event.state} cannot follow {before.state}")
    if event.state is State.REQUESTED:
        before = replace(before, asked_at=event.at)
    if event.state is State.DEFERRED:
        before = replace(before, deferred_at=event.at)
    if to is not event.state:
        return before
    since = {State.RENEWED: before.since, State.EXPIRED: event.expires_at}.get(event.state, event.at)
    return Cell(
        signal=event.signal,
        purpose=event.purpose,
        state=to,
        since=since,
        expires_at=event.expires_at,
        notice_version=event.notice_version,
        receipt_id=event.receipt_id,
        seq=event.seq,
        actor_type=event.actor.type,
        asked_at=before.asked_at,
        deferred_at=before.deferred_at,
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
