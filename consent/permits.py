"""What grants permit at this moment: which signals of whom may be kept, and for which purpose they may be read."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, FromClause, String, and_, bindparam, false, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.errors import NoConsent
from consent.ledger import GRANTING
from consent.notices.published import Notices
from consent.purposes import Purpose
from consent.signals import SIGNALS
from consent.standing import stands_on
from consent.tables import consent_cell, subject

_APP = bindparam("app_id", type_=String, required=False)
_NOW = bindparam("now", type_=BigInteger, required=False)


@dataclass(frozen=True)
class Permit:
    """One signal of one person may be kept, by these cells. Valid inside the transaction that asked, and not after."""

    app_id: str
    subject_id: str
    signal: str


@dataclass(frozen=True)
class Permits:
    """What one person allows to be kept at this moment."""

    app_id: str
    subject_id: str
    signals: frozenset[str]

    def require(self, signal: str) -> Permit:
        """Return the permit to keep events of a signal; NoConsent when nothing grants it."""
        if signal not in self.signals:
            raise NoConsent(signal, "keep", "no purpose of it is granted")
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
    connection: AsyncConnection, app_id: str, subject_ids: Collection[str], now: int, notices: Notices
) -> Mapping[str, Permits]:
    """Return what each of these people allows to be kept, and hold it still until the transaction ends.

    Who has no grant is not in the mapping. On PostgreSQL the people's rows are locked in shared mode, so that a
    withdrawal waits for this transaction or goes before it; on SQLite the writer is alone anyway.
    """
    await connection.execute(
        select(subject.c.subject_id)
        .where(subject.c.app_id == app_id, subject.c.subject_id.in_(subject_ids))
        .order_by(subject.c.subject_id)
        .with_for_update(read=True)
    )
    rows = await connection.execute(
        select(consent_cell.c.subject_id, consent_cell.c.signal)
        .where(consent_cell.c.app_id == app_id, consent_cell.c.subject_id.in_(subject_ids), in_force(notices))
        .distinct(),
        {"now": now},
    )
    signals: defaultdict[str, set[str]] = defaultdict(set)
    for subject_id, signal in rows:
        signals[subject_id].add(signal)
    return {
        subject_id: Permits(app_id, subject_id, frozenset(found)) for subject_id, found in signals.items()
    }


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
