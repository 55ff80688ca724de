"""The decision call: may this signal of this person be used for this purpose, and by which record? One indexed read."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import LargeBinary, Select, String, and_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.errors import NoConsent
from consent.ledger import GRANTING, Cell, State
from consent.notices.published import Notices
from consent.purposes import Purpose
from consent.standing import stands_on
from consent.tables import consent_cell, subject


class Reason(StrEnum):
    """Why a use is denied."""

    UNKNOWN = "unknown"
    """Nobody was asked, nothing was chosen, or nobody understands what is recorded."""
    REQUESTED = "requested"
    """The person was asked and has not answered."""
    DEFERRED = "deferred"
    """The person put the question away."""
    REFUSED = "refused"
    """The person said no."""
    WITHDRAWN = "withdrawn"
    """The person took their yes back."""
    EXPIRED = "expired"
    """The yes came to its end in time."""
    INVALIDATED = "invalidated"
    """The notice changed in a way that matters for this, and the person has not said yes to the new one."""
    TERMINATED = "terminated"
    """The yes ended because whoever gave it may not, or may no longer: the person is a minor, or came of age."""


@dataclass(frozen=True)
class Use:
    """A permit to use one signal of one person for one purpose, and the record that it rests on.

    Good for the moment it was asked for: ask again for the next use.
    """

    signal: str
    purpose: Purpose
    receipt_id: str
    seq: int
    since: int
    expires_at: int
    notice_version: str


@dataclass
class Denied(NoConsent):
    """The use is not permitted. `cell` is the record that says so, as it stands now; bare where there is none."""

    cell: Cell

    @property
    def code(self) -> Reason:
        """Why, in one stable word."""
        return Reason(self.reason)


def of_one_cell() -> Select[Any]:
    """Select one cell of a person. Parameters: `app_id`, `user_hash`, `signal`, `purpose`; no row when there is none."""
    cell = consent_cell.c
    same_person = and_(cell.app_id == subject.c.app_id, cell.subject_id == subject.c.subject_id)
    return (
        select(
            cell.state, cell.since, cell.expires_at, cell.notice_version, cell.receipt_id, cell.seq, cell.actor_type,
            stands_on(),
        )
        .select_from(subject)
        .join(consent_cell, same_person)
        .where(
            subject.c.app_id == bindparam("app_id", type_=String),
            subject.c.user_hash == bindparam("user_hash", type_=LargeBinary),
            cell.purpose == bindparam("purpose", type_=String),
            cell.signal == bindparam("signal", type_=String),
        )
    )  # fmt: skip


def permit(signal: str, purpose: Purpose, row: Any, now: int, notices: Notices) -> Use:
    """Return the permit that a row of `of_one_cell` gives, or none: Denied says why and by which record.

    `notices` are the shipped ones: what an app's own say of the cell stands in the row.
    """
    if row is None:
        raise Denied(signal, purpose.value, Reason.UNKNOWN, Cell(signal, purpose, State.UNKNOWN))
    state, since, expires_at, notice_version, receipt_id, seq, actor_type, base = row
    recorded = Cell(signal, purpose, State(state), since, expires_at, base, receipt_id, seq, actor_type)
    cell = replace(recorded.at(now, notices), notice_version=notice_version)
    if cell.state not in GRANTING:
        raise Denied(signal, purpose.value, cell.state.value, cell)
    return Use(signal, purpose, receipt_id, seq, since, expires_at, notice_version)


async def decide(
    connection: AsyncConnection,
    app_id: str,
    user_hash: bytes,
    signal: str,
    purpose: Purpose,
    *,
    now: int,
    notices: Notices,
) -> Use:
    """Permit one use of one signal of one person, or raise.

    Raises:
        Denied: no grant in force covers it; `code` says why.
    """
    values = {"app_id": app_id, "user_hash": user_hash, "signal": signal, "purpose": purpose.value}
    row = (await connection.execute(of_one_cell(), values)).one_or_none()
    return permit(signal, purpose, row, now, notices)
