"""What grants permit at this moment: which signals of whom may be kept, and for which purpose they may be read."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, FromClause, String, and_, bindparam, false, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.errors import NoConsent
from consent.ledger import GRANTING, UNDECIDED
from consent.notices.published import Notices
from consent.purposes import Purpose
from consent.signals import SIGNALS
from consent.standing import stands_on
from consent.tables import consent_cell, consent_event, subject

_APP = bindparam("app_id", type_=String, required=False)
_NOW = bindparam("now", type_=BigInteger, required=False)
_CELL = (consent_cell.c.subject_id, consent_cell.c.signal, consent_cell.c.purpose)
Cell = tuple[str, str, str]
"""Person, signal and purpose."""

CLOCK_SKEW = 5 * 60 * 1_000_000
"""How far, in microseconds, the clock of an app may be off ours."""


@dataclass(frozen=True)
class Permit:
    """One signal of one person may be kept, by these cells. Valid inside the transaction that asked, and not after."""

    app_id: str
    subject_id: str
    signal: str


Spell = tuple[int, int]
"""From a moment (microseconds, UTC) until another, which is no longer in it."""


@dataclass(frozen=True)
class Permits:
    """What one person allows to be kept at this moment.

    `grants` has, by signal, an entry for each purpose that it is granted for: the spells before in which it was not,
    after the person had answered.
    """

    app_id: str
    subject_id: str
    grants: Mapping[str, Sequence[Sequence[Spell]]]

    def require(self, signal: str, at: int) -> Permit:
        """Return the permit to keep an event of a signal that happened at a moment (microseconds, UTC).

        Raises:
            NoConsent: nothing grants it, or it happened while the answer was no. A yes is for what comes, and for what
                was before anybody asked; what happened during a no was never offered.
        """
        if signal not in self.grants:
            raise NoConsent(signal, "keep", "no purpose of it is granted")
        if all(any(begin <= at < end for begin, end in spells) for spells in self.grants[signal]):
            raise NoConsent(signal, "keep", "it happened while the answer was no")
        return Permit(self.app_id, self.subject_id, signal)


def in_force(notices: Notices, purposes: Iterable[Purpose] = tuple(Purpose)) -> ColumnElement[bool]:
    """Return the SQL condition under which a cell grants one of these purposes at `:now` (microseconds, UTC).

    `notices` are the shipped ones: what an app's own say of a cell, the database says (`stands_on`).
    """
    by_versions: defaultdict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for purpose in purposes:
        for signal in SIGNALS:
            by_versions[purpose.value, notices.valid_versions(signal, purpose)].append(signal)
    cell = consent_cell.c
    valid = [
        and_(cell.purpose == purpose, stands_on().in_(versions), cell.signal.in_(signals))
        for (purpose, versions), signals in by_versions.items()
        if versions
    ]
    return and_(cell.state.in_(GRANTING), cell.expires_at > _NOW, or_(false(), *valid))


async def permits(
    connection: AsyncConnection,
    app_id: str,
    subject_ids: Collection[str],
    now: int,
    notices: Notices,
    *,
    earliest: int,
) -> Mapping[str, Permits]:
    """Return what each of these people allows to be kept, and hold it still until the transaction ends.

    Who has no grant is not in the mapping. `earliest` is the first moment that will be asked about: where every grant
    is older, the ledger is not read. On PostgreSQL the people's rows are locked in shared mode, so that a
    withdrawal waits for this transaction or goes before it; on SQLite the writer is alone anyway.
    """
    await connection.execute(
        select(subject.c.subject_id)
        .where(subject.c.app_id == app_id, subject.c.subject_id.in_(subject_ids))
        .order_by(subject.c.subject_id)
        .with_for_update(read=True)
    )
    rows = await connection.execute(
        select(*_CELL, consent_cell.c.since).where(
            consent_cell.c.app_id == app_id, consent_cell.c.subject_id.in_(subject_ids), in_force(notices)
        ),
        {"now": now},
    )
    cells = {(subject_id, signal, purpose): since for subject_id, signal, purpose, since in rows}
    younger = {subject_id for (subject_id, *_), since in cells.items() if earliest < since - CLOCK_SKEW}
    spells = await _spells_without(connection, app_id, younger) if younger else {}
    grants: defaultdict[str, defaultdict[str, list[Sequence[Spell]]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        subject_id, signal, _ = cell
        grants[subject_id][signal].append(spells.get(cell, ()))
    return {subject_id: Permits(app_id, subject_id, found) for subject_id, found in grants.items()}


async def _spells_without(
    connection: AsyncConnection, app_id: str, subject_ids: Collection[str]
) -> Mapping[Cell, Sequence[Spell]]:
    """Return, for each cell of these people, when it granted nothing between its first answer and its last yes."""
    line = consent_event.c
    rows = await connection.execute(
        select(line.subject_id, line.signal, line.purpose, line.state, line.at, line.expires_at)
        .where(line.app_id == app_id, line.subject_id.in_(subject_ids), line.state.not_in(UNDECIDED))
        .order_by(line.seq)
    )
    spells: defaultdict[Cell, list[Spell]] = defaultdict(list)
    over: dict[Cell, int] = {}
    """When the last yes came to its end or will, or the first no was said."""
    for *names, state, at, expires_at in rows:
        cell: Cell = (names[0], names[1], names[2])
        if state not in GRANTING:
            over[cell] = min(at, over.get(cell, at))
            continue
        # A device whose clock is behind says of what it did after the yes that it was before.
        if cell in over and over[cell] < at - CLOCK_SKEW:
            spells[cell].append((over[cell], at - CLOCK_SKEW))
        over[cell] = expires_at
    return spells


async def granted(
    connection: AsyncConnection, app_id: str, purpose: Purpose, now: int, notices: Notices
) -> Mapping[bytes, frozenset[str]]:
    """Return the signals that each person of an app grants for a purpose, by pseudonym, also where no event came of it.

    Who grants none is not in the mapping.
    """
    rows = await connection.execute(
        select(subject.c.user_hash, consent_cell.c.signal)
        .join(consent_cell, same_person(consent_cell, subject))
        .where(subject.c.app_id == _APP, in_force(notices, [purpose])),
        {"app_id": app_id, "now": now},
    )
    signals: defaultdict[bytes, set[str]] = defaultdict(set)
    for user_hash, signal in rows:
        signals[user_hash].add(signal)
    return {user_hash: frozenset(found) for user_hash, found in signals.items()}


def same_person(left: FromClause, right: FromClause) -> ColumnElement[bool]:
    """Return the SQL condition under which two rows are of one person."""
    return and_(left.c.app_id == right.c.app_id, left.c.subject_id == right.c.subject_id)
