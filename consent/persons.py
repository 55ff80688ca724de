"""The rows of people: who is known, held while they are changed, and the age band that their app told."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.minors import AgeBand
from consent.pseudonyms import new_id
from consent.tables import subject


def _of(app_id: str, subject_id: str) -> tuple[ColumnElement[bool], ...]:
    return subject.c.app_id == app_id, subject.c.subject_id == subject_id


@dataclass(frozen=True)
class Held:
    """Someone whose row nobody else changes until the transaction ends."""

    subject_id: str
    age_band: AgeBand | None


async def hold(connection: AsyncConnection, app_id: str, user_hash: bytes) -> Held | None:
    """Return a known person, or None, and hold off whoever else changes them."""
    mine = (subject.c.app_id == app_id, subject.c.user_hash == user_hash)
    row = (
        await connection.execute(
            select(subject.c.subject_id, subject.c.age_band).where(*mine).with_for_update()
        )
    ).one_or_none()
    return None if row is None else Held(row.subject_id, AgeBand(row.age_band) if row.age_band else None)


async def person_for_change(connection: AsyncConnection, app_id: str, user_hash: bytes, now: int) -> Held:
    """Return a person, new or known, and hold off whoever else changes them.

    Whoever wrote the row at the same moment may be erased before it can be held: then it is written anew.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    while (found := await hold(connection, app_id, user_hash)) is None:
        await connection.execute(
            dialect.insert(subject)
            .values(app_id=app_id, subject_id=new_id(), user_hash=user_hash, created_at=now)
            .on_conflict_do_nothing()
        )
    return found


async def age_band(connection: AsyncConnection, app_id: str, subject_id: str) -> AgeBand | None:
    """Return the age band that the app told of a person; None when it told none."""
    band = await connection.execute(select(subject.c.age_band).where(*_of(app_id, subject_id)))
    found = band.scalar_one_or_none()
    return AgeBand(found) if found else None


async def set_age_band(connection: AsyncConnection, app_id: str, subject_id: str, band: AgeBand) -> None:
    """Write down the age band that the app told of a person."""
    await connection.execute(update(subject).where(*_of(app_id, subject_id)).values(age_band=band.value))
