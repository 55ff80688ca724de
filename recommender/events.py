"""Taking events in: each is stored under a permit, or refused without a trace."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from consent.errors import NoConsent
from consent.notices.published import Notices
from consent.permits import CLOCK_SKEW, Permit, permits
from consent.signals import SIGNALS, About
from consent.store import find_subjects
from recommender import store
from recommender.tables import events

EARLIEST = 946_684_800_000_000
"""2000-01-01: what claims to be older is a mistake."""


class Status(StrEnum):
    """What became of an event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    INVALID = "invalid"


@dataclass(frozen=True)
class Incoming:
    """An event as an app sends it; `occurred_at` in microseconds, UTC."""

    event_id: str
    user_hash: bytes
    signal: str
    resource_id: str | None
    topic: str | None
    value: float | None
    occurred_at: int


@dataclass(frozen=True)
class Outcome:
    """What became of one event, and why when it was not stored."""

    event_id: str
    status: Status
    code: str | None = None


def fault(event: Incoming, now: int, resources: Collection[str]) -> str | None:
    """Return the code of what is wrong with an event, or None. `resources` are those that exist."""
    signal = SIGNALS[event.signal]
    if event.occurred_at > now + CLOCK_SKEW:
        return "in_the_future"
    if event.occurred_at < EARLIEST:
        return "too_old"
    if (event.resource_id is not None) != (signal.about is About.RESOURCE):
        return "resource_missing" if signal.about is About.RESOURCE else "resource_not_expected"
    if (event.topic is not None) != (signal.about is About.TOPIC):
        return "topic_missing" if signal.about is About.TOPIC else "topic_not_expected"
    if event.resource_id is not None and event.resource_id not in resources:
        return "unknown_resource"
    return _value_fault(event)


def _value_fault(event: Incoming) -> str | None:
    values = SIGNALS[event.signal].values
    if values is None:
        return None if event.value is None else "value_not_expected"
    if event.value is None:
        return "value_missing"
    try:
        values.kept(event.value)
    except ValueError:
        return "value_out_of_range"
    return None


def _kept(event: Incoming, now: int) -> Mapping[str, object]:
    values = SIGNALS[event.signal].values
    return {
        "event_id": event.event_id,
        "resource_id": event.resource_id,
        "topic": event.topic,
        "value": None if values is None or event.value is None else values.kept(event.value),
        "occurred_at": event.occurred_at,
        "stored_at": now,
    }


async def ingest(
    connection: AsyncConnection, app_id: str, batch: Sequence[Incoming], *, now: int, notices: Notices
) -> list[Outcome]:
    """Store what is granted and right; tell of every event, in the order of the batch, what became of it.

    Consent is asked first: of an event that is refused nothing else is looked at.
    """
    subjects = await find_subjects(connection, app_id, list({event.user_hash for event in batch}))
    earliest = min((event.occurred_at for event in batch), default=now)
    allowed = await permits(connection, app_id, sorted(subjects.values()), now, notices, earliest=earliest)
    named = {event.resource_id for event in batch if event.resource_id is not None}
    resources = await store.known_resources(connection, app_id, named)

    outcomes: list[Outcome | None] = []
    rows: dict[str, tuple[Permit, Mapping[str, object]]] = {}
    for event in batch:
        try:
            permit = allowed[subjects[event.user_hash]].require(event.signal, event.occurred_at)
        except (KeyError, NoConsent):
            outcomes.append(Outcome(event.event_id, Status.REFUSED, "no_consent"))
            continue
        code = fault(event, now, resources)
        if code is not None:
            outcomes.append(Outcome(event.event_id, Status.INVALID, code))
        elif event.event_id in rows:
            outcomes.append(Outcome(event.event_id, Status.DUPLICATE))
        else:
            rows[event.event_id] = (permit, _kept(event, now))
            outcomes.append(None)
    stored = await events.add(connection, list(rows.values()))
    return [
        outcome or Outcome(event.event_id, Status.ACCEPTED if event.event_id in stored else Status.DUPLICATE)
        for event, outcome in zip(batch, outcomes, strict=True)
    ]
