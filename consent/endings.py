"""Grants that end without the person's doing: in time, by a new notice, by age; recorded in the ledger as what they are.

A grant is over at its very moment, whether or not anybody recorded it: the gate compares times and notices itself.
Recording it makes the end visible in history and on a receipt, and is when what it allowed is unlearned.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consent import persons, store
from consent.ledger import APP, GRANTING, GUARDIAN, SERVICE, Actor, Cell, ConsentEvent, State
from consent.minors import AgeBand, Minors
from consent.notices.published import EVERY_CELL, Notices
from consent.pseudonyms import new_id
from consent.purposes import Purpose
from consent.recording import take_places
from consent.registrar import Cells, Changed, Registrar
from consent.tables import consent_cell, subject

BY_TIME, BY_NOTICE, BY_AGE = "end_of_term", "new_notice", "age_band"
"""How a grant came to its end, as the ledger's `method` says."""

_METHODS = {State.EXPIRED: BY_TIME, State.INVALIDATED: BY_NOTICE, State.TERMINATED: BY_AGE}


@dataclass(frozen=True)
class Ended:
    """What ended for one person."""

    user_hash: bytes
    subject_id: str
    changed: Changed


async def record_due(
    connection: AsyncConnection, registrar: Registrar, now: int, limit: int = 100
) -> list[Ended]:
    """Record the endings of up to `limit` people of the app, and delete what lost its last grant; empty when none is left.

    Each end is recorded once, however many do this at once: people whom somebody holds at the moment are left for
    the next time.
    """
    due = await _people_due(connection, registrar, now, limit)
    # All people first, and the ledger's place after them, as everybody does: or two would wait for each other.
    held = await connection.execute(
        select(subject.c.user_hash, subject.c.subject_id, subject.c.age_band)
        .where(subject.c.app_id == registrar.app_id, subject.c.subject_id.in_(due))
        .order_by(subject.c.subject_id)
        .with_for_update(skip_locked=True)
    )
    ended = []
    for user_hash, subject_id, band in held.all():
        before = await store.cells(connection, registrar.app_id, subject_id)
        changed = await end_lapsed(
            connection, registrar, subject_id, AgeBand(band) if band else None, before, now
        )
        if changed is not None:
            ended.append(Ended(user_hash, subject_id, changed))
    return ended


async def end_lapsed(
    connection: AsyncConnection,
    registrar: Registrar,
    subject_id: str,
    band: AgeBand | None,
    before: Cells,
    now: int,
) -> Changed | None:
    """Record every end, by now, of a grant of a person whom the caller holds; None when there is none that is not on record."""
    over = {
        name: state
        for name, cell in before.items()
        if (state := end_of(cell, band, now, registrar)) is not None
    }
    return await end(connection, registrar, subject_id, before, over, SERVICE, now) if over else None


def end_of(cell: Cell, band: AgeBand | None, now: int, registrar: Registrar) -> State | None:
    """Return the state in which a recorded grant has ended by now; None while it stands, and for what is none."""
    if cell.state not in GRANTING:
        return None
    stands = cell.at(now, registrar.notices).state
    if stands not in GRANTING:
        return stands
    return State.TERMINATED if registrar.minors.ends(band, band, cell) else None


async def mark_age(
    connection: AsyncConnection, user_hash: bytes, band: AgeBand, *, now: int, registrar: Registrar
) -> Changed | None:
    """Write down the age band that the app tells of a person, and end what may not stand with it, in one transaction."""
    person = await persons.person_for_change(connection, registrar.app_id, user_hash, now)
    before = await store.cells(connection, registrar.app_id, person.subject_id)
    over = {
        name: State.TERMINATED
        for name, cell in before.items()
        if registrar.minors.ends(person.age_band, band, cell)
    }
    await persons.set_age_band(connection, registrar.app_id, person.subject_id, band)
    if not over:
        return None
    return await end(connection, registrar, person.subject_id, before, over, APP, now)


async def end(
    connection: AsyncConnection,
    registrar: Registrar,
    subject_id: str,
    before: Cells,
    over: Mapping[tuple[str, Purpose], State],
    actor: Actor,
    now: int,
) -> Changed:
    """Record that these grants of a person, whom the caller holds, have ended; `over` names at least one."""
    begun = await store.lines_at(
        connection, registrar.app_id, subject_id, [before[name].seq or 0 for name in over]
    )
    places = await take_places(connection, registrar.app_id, subject_id, len(begun))
    receipt_id = new_id()
    lines = [
        ConsentEvent(
            seq=seq,
            signal=given.signal,
            purpose=given.purpose,
            state=(state := over[given.signal, given.purpose]),
            at=now,
            expires_at=given.expires_at if state is State.EXPIRED else None,
            notice_version=given.notice_version,
            notice_sha256=given.notice_sha256,
            locale=given.locale,
            method=_METHODS[state],
            actor=actor,
            receipt_id=receipt_id,
        )
        for seq, given in enumerate(begun, start=places.first)
    ]
    return await registrar.enter(connection, subject_id, places, lines, before, now)


async def _people_due(connection: AsyncConnection, registrar: Registrar, now: int, limit: int) -> list[str]:
    found: dict[str, None] = {}
    for condition in _conditions(now, registrar.notices, registrar.minors):
        people: Select[Any] = (
            select(consent_cell.c.subject_id)
            .join(
                subject,
                and_(
                    subject.c.app_id == consent_cell.c.app_id,
                    subject.c.subject_id == consent_cell.c.subject_id,
                ),
            )
            .where(consent_cell.c.app_id == registrar.app_id, _GRANTS, condition)
            .distinct()
            .limit(limit - len(found))
        )
        found |= {subject_id: None for (subject_id,) in await connection.execute(people)}
        if len(found) >= limit:
            break
    return list(found)


# Literally in the text, so that PostgreSQL uses the indexes that hold grants only.
_GRANTS = consent_cell.c.state.in_(bindparam("granting", GRANTING, expanding=True, literal_execute=True))


def _conditions(now: int, notices: Notices, minors: Minors) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions under which a recorded grant is over, one index each."""
    cell = consent_cell.c
    yield cell.expires_at <= now
    outdated: defaultdict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for signal, purpose in EVERY_CELL:
        outdated[purpose, notices.outdated_versions(signal, Purpose(purpose))].append(signal)
    by_notice = [
        and_(cell.notice_version.in_(versions), cell.purpose == purpose, cell.signal.in_(signals))
        for (purpose, versions), signals in outdated.items()
        if versions
    ]
    if by_notice:
        yield or_(*by_notice)
    by_age = [
        and_(
            subject.c.age_band == band.value,
            or_(
                cell.purpose.in_([each.value for each in Purpose if not minors.allows(band, each)]),
                cell.actor_type != GUARDIAN if minors.needs_guardian(band) else cell.actor_type.is_(None),
            ),
        )
        for band in AgeBand
        if band is not AgeBand.ADULT
    ]
    yield or_(*by_age)
