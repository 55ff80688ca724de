"""Grants that will soon end by themselves, so that whoever asks for consent can ask in time."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from consent import store
from consent.ledger import GRANTING, Cell
from consent.notices.published import Notices
from consent.tables import consent_cell, subject

Place = tuple[int, str]
"""How far one has come: a time of expiry, in microseconds, and the person up to whom it was looked at."""


@dataclass(frozen=True)
class Soon:
    """Grants of one person that end at the same moment."""

    user_hash: bytes
    subject_id: str
    cells: Sequence[Cell]


# Literally in the text, so that PostgreSQL uses the index that holds grants only.
_GRANTS = consent_cell.c.state.in_(bindparam("granting", GRANTING, expanding=True, literal_execute=True))


async def soon(
    connection: AsyncConnection,
    app_id: str,
    *,
    after: Place,
    until: int,
    limit: int,
    now: int,
    notices: Notices,
) -> tuple[list[Soon], Place | None]:
    """Return the next grants to end, from beyond `after` and no later than `until`, and how far that goes; None when there are none.

    At most `limit` pairs of a person and a moment. The people are held until the transaction ends: what is returned
    is in force, and nobody withdraws it meanwhile.
    """
    cell = consent_cell.c
    place = tuple_(cell.expires_at, cell.subject_id)
    ends = await connection.execute(
        select(cell.expires_at, cell.subject_id)
        .where(
            cell.app_id == app_id,
            _GRANTS,
            cell.expires_at.between(after[0], until),
            place > tuple_(*after),
        )
        .distinct()
        .order_by(cell.expires_at, cell.subject_id)
        .limit(limit)
    )
    places: list[Place] = [(at, subject_id) for at, subject_id in ends]
    if not places:
        return [], None
    held = await connection.execute(
        select(subject.c.subject_id, subject.c.user_hash)
        .where(subject.c.app_id == app_id, subject.c.subject_id.in_({who for _, who in places}))
        .order_by(subject.c.subject_id)
        .with_for_update(read=True)
    )
    hashes = {row.subject_id: row.user_hash for row in held}
    cells = await store.cells_of(connection, app_id, hashes)
    found = defaultdict(list)
    for subject_id, of_person in cells.items():
        for each in of_person:
            if each.expires_at is not None and each.in_force(now, notices):
                found[each.expires_at, subject_id].append(each)
    return [Soon(hashes[who], who, found[at, who]) for at, who in places if found[at, who]], places[-1]
