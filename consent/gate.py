"""The gate: the only way to the events of people. It permits or raises, and the database applies it in the query that reads.

A table of events is made by `SignalTable` and stays inside it. Rows come out only under a purpose, joined to the
cells that grant it at that moment; rows go in only with a `Permit`. Someone's own rights (access, erasure, withdrawal)
have methods of their own, which never serve a purpose.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    CompoundSelect,
    FromClause,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    String,
    Table,
    and_,
    bindparam,
    delete,
    func,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.notices.published import Notices
from consent.permits import Permit, in_force, same_person
from consent.personal import WHOSE, Person, Section, stored
from consent.purposes import Purpose
from consent.signals import SIGNALS
from consent.tables import consent_cell, of_subject, subject

# Left out, they are NULL, and NULL matches nobody.
_APP = bindparam("app_id", type_=String, required=False)
_USER = bindparam("user_hash", type_=LargeBinary, required=False)


@dataclass(frozen=True)
class Within:
    """Whose events are asked for, and as of when.

    People whose pseudonyms are at least `least` and less than `beyond`; events that had come in by `until` and were
    granted then already (microseconds, UTC). None sets no limit.
    """

    least: bytes = b""
    beyond: bytes | None = None
    until: int | None = None


class SignalTable:
    """A table of events of people, behind the gate.

    Args:
        name: the table's name, also in counts and receipts.
        metadata: where it is declared.
        columns: what an event holds beside the person, the signal and its id.
        newest: the column of time.
        arrived: the column that tells when an event came in.
        times: the columns that hold microseconds, UTC.
    """

    def __init__(
        self,
        name: str,
        metadata: MetaData,
        columns: Sequence[Column[object]],
        *,
        newest: str,
        arrived: str,
        times: Collection[str],
    ) -> None:
        self.name = name
        self._newest = newest
        self._arrived = arrived
        self._times = times
        self.__events = Table(
            name,
            metadata,
            Column("app_id", String(64), nullable=False),
            Column("event_id", String(128), nullable=False),
            Column("subject_id", String(32), nullable=False),
            Column("signal", String(32), nullable=False),
            *columns,
            PrimaryKeyConstraint("app_id", "event_id"),
            of_subject(),
            Index(None, "app_id", "subject_id", "signal", newest),
            Index(None, "app_id", "signal", arrived),
        )

    def of_person(
        self, purpose: Purpose, notices: Notices, columns: Sequence[str], limit: int, *, lateral: bool
    ) -> CompoundSelect[tuple[object, ...]]:
        """Select what one person granted for a purpose, and the events under it, newest first, in one query.

        Parameters of the query: `app_id`, `user_hash`, `now`. First the grants: signal, receipt_id, subject_id and NULL
        for what is left of `columns`, of which the first two have to be texts; a known person without any grant has one
        row with the subject_id alone. Then the newest `limit` events of each signal: signal and `columns`. So rows are
        as narrow as can be: of each value that a driver hands over, it asks several times.

        Each signal has a limit of its own, so that leaving one out changes nothing of what is read of the others.
        `lateral` tells whether the database has LATERAL: PostgreSQL does, SQLite does not.
        """
        granted = (  # asked once, for both halves
            select(consent_cell.c.signal, consent_cell.c.receipt_id, subject.c.app_id, subject.c.subject_id)
            .select_from(subject)
            .outerjoin(consent_cell, and_(same_person(consent_cell, subject), in_force(notices, [purpose])))
            .where(subject.c.app_id == _APP, subject.c.user_hash == _USER)
            .cte("granted")
        )
        nothing = (null().label(name) for name in columns[2:])
        grants = select(granted.c.signal, granted.c.receipt_id, granted.c.subject_id, *nothing)
        newest_of_each = self._newest_laterally if lateral else self._newest_by_moment
        return union_all(grants, select(newest_of_each(granted, columns, limit).subquery()))

    def _newest_laterally(
        self, granted: CTE, columns: Sequence[str], limit: int
    ) -> Select[tuple[object, ...]]:
        """The newest of each signal, by a subquery for each: row-level security then looks at each row once."""
        events = self.__events.c
        each = (
            select(*(events[name] for name in columns), events.event_id)
            .where(_under(self.__events, granted))
            .order_by(events[self._newest].desc())
            .limit(limit)
            .lateral()
        )
        return (
            select(granted.c.signal, *(each.c[name] for name in columns))
            .select_from(granted.join(each, true()))
            .order_by(each.c[self._newest].desc(), each.c.event_id)
        )

    def _newest_by_moment(
        self, granted: CTE, columns: Sequence[str], limit: int
    ) -> Select[tuple[object, ...]]:
        """The newest of each signal, by the moment of the last of them; others of that moment come too."""
        events, others = self.__events.c, self.__events.alias()
        last = (
            select(others.c[self._newest])
            .where(_under(others, granted))
            .order_by(others.c[self._newest].desc())
            .limit(1)
            .offset(limit - 1)
            .scalar_subquery()
        )
        since = func.coalesce(last, 0)  # no event is from before 1970
        most = limit * len(SIGNALS)  # also where thousands share a moment
        return (
            select(granted.c.signal, *(events[name] for name in columns))
            .select_from(
                granted.join(
                    self.__events, and_(_under(self.__events, granted), events[self._newest] >= since)
                )
            )
            .order_by(events[self._newest].desc(), events.event_id)
            .limit(most)
        )

    def of_everyone(
        self, purpose: Purpose, notices: Notices, columns: Sequence[str], within: Within | None = None
    ) -> Select[tuple[object, ...]]:
        """Select every event of an app that is granted for a purpose, with the pseudonym of its person first.

        Parameters of the query: `app_id`, `now`. Ordered by person, then time: the same rows always come in the same order.
        """
        events = self.__events.c
        return (
            select(subject.c.user_hash, events.signal, *(events[name] for name in columns))
            .select_from(self.__events)
            .join(subject, same_person(self.__events, subject))
            .join(
                consent_cell,
                and_(same_person(consent_cell, subject), consent_cell.c.signal == events.signal),
            )
            .where(events.app_id == _APP, in_force(notices, [purpose]), *self._limits(within or Within()))
            .order_by(subject.c.user_hash, events[self._newest], events.event_id)
        )

    def _limits(self, within: Within) -> list[ColumnElement[bool]]:
        limits = []
        if within.least:
            limits.append(subject.c.user_hash >= within.least)
        if within.beyond is not None:
            limits.append(subject.c.user_hash < within.beyond)
        if within.until is not None:
            limits += [self.__events.c[self._arrived] <= within.until, consent_cell.c.since <= within.until]
        return limits

    async def add(
        self, connection: AsyncConnection, rows: Sequence[tuple[Permit, Mapping[str, object]]]
    ) -> set[str]:
        """Store events, each with its permit; return the `event_id`s that were new. The others were there already."""
        if not rows:
            return set()
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        values = [
            {"app_id": permit.app_id, "subject_id": permit.subject_id, "signal": permit.signal, **event}
            for permit, event in rows
        ]
        # In one order for everybody: batches that overlap wait for each other, and never both ways round.
        values.sort(key=lambda row: str(row["event_id"]))
        statement = dialect.insert(self.__events).on_conflict_do_nothing().returning(self.__events.c.event_id)
        stored = await connection.execute(statement, values)
        return set(stored.scalars())

    async def withdraw(
        self, connection: AsyncConnection, app_id: str, subject_id: str, signals: Collection[str]
    ) -> int:
        """Delete a person's events of signals that lost their last grant; return how many."""
        events = self.__events.c
        gone = await connection.execute(
            delete(self.__events).where(
                events.app_id == app_id, events.subject_id == subject_id, events.signal.in_(signals)
            )
        )
        return gone.rowcount

    @property
    def tables(self) -> Collection[str]:
        """The table's name, as a store of personal data tells it."""
        return (self.name,)

    async def erase(self, connection: AsyncConnection, who: Person) -> int:
        """Delete everything of a person; return how many rows."""
        return await self.withdraw(connection, who.app_id, who.subject_id, tuple(SIGNALS))

    async def count(self, connection: AsyncConnection, who: Person) -> int:
        """Count what is held on a person."""
        held = select(func.count()).where(self._of(who))
        return (await connection.execute(held)).scalar_one()

    def export(self, connection: AsyncConnection, who: Person) -> Sequence[Section]:
        """Return everything held on a person, for that person (GDPR 15 and 20)."""
        events = self.__events.c
        held = select(self.__events).where(self._of(who)).order_by(events[self._newest], events.event_id)
        rows = stored(connection, held, times=self._times)
        return [Section(f"{self.name}s", self.name, rows, WHOSE)]

    def _of(self, who: Person) -> ColumnElement[bool]:
        events = self.__events.c
        return and_(events.app_id == who.app_id, events.subject_id == who.subject_id)

    async def expire(self, connection: AsyncConnection, app_id: str, now: int, limit: int) -> int:
        """Delete events that were kept for as long as their signal allows, some of them at a time; return how many.

        Those whose signal lost its last grant go when that is recorded, by `withdraw`.
        """
        events = self.__events.c
        too_old = [
            select(events.event_id)
            .where(
                events.app_id == app_id,
                events.signal == signal.id,
                events[self._arrived] < now - int(signal.retention.total_seconds() * 1_000_000),
            )
            .limit(limit)
            .subquery()
            for signal in SIGNALS.values()
        ]
        some = union_all(*(select(each.c.event_id) for each in too_old)).limit(limit)
        gone = await connection.execute(
            delete(self.__events).where(events.app_id == app_id, events.event_id.in_(some))
        )
        return gone.rowcount


def _under(events: FromClause, granted: CTE) -> ColumnElement[bool]:
    """The condition under which an event is one of a granted signal."""
    return and_(same_person(events, granted), events.c.signal == granted.c.signal)
