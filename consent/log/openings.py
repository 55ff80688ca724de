"""Entries of the log, opened: the lines of the ledger with the keys that show which leaves are theirs.

For a person's own receipts and for the export of a whole ledger; nobody else has a use for them.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.log import store as log
from consent.log.checkpoints import base64_of
from consent.log.commitments import Leaf, digest, leaf_of
from consent.log.merkle import Range
from consent.personal import AT_A_TIME, WHOSE, Person, Section
from consent.tables import consent_event, log_erased, log_key, receipt

_KEY, _BODY, _JWS = "_log_key", "_receipt_body", "_receipt_jws"

_WITH_RECEIPTS = 10
"""Rows at a time where each brings its receipt, some ten thousand bytes that only their digest is wanted of."""


def _opened(app_id: str, *conditions: ColumnElement[bool]) -> Select[Any]:
    same_person = and_(
        log_key.c.app_id == consent_event.c.app_id, log_key.c.subject_id == consent_event.c.subject_id
    )
    same_change = and_(
        receipt.c.app_id == consent_event.c.app_id, receipt.c.receipt_id == consent_event.c.receipt_id
    )
    return (
        select(
            consent_event, log_key.c.key.label(_KEY), receipt.c.body.label(_BODY), receipt.c.jws.label(_JWS)
        )
        .join(log_key, same_person)
        .outerjoin(receipt, same_change)
        .where(consent_event.c.app_id == app_id, *conditions)
        .order_by(consent_event.c.seq)
    )


def _leaf(row: Mapping[str, Any]) -> Leaf:
    line = {str(name): value for name, value in row.items() if name not in {_KEY, _BODY, _JWS}}
    body = row[_BODY]
    return leaf_of(row[_KEY], line, None if body is None else digest(body))


async def of_person(
    connection: AsyncConnection, app_id: str, subject_id: str, receipt_id: str | None = None
) -> list[Leaf]:
    """Return every entry of a person, opened, in order; of one receipt alone when it is named."""
    mine = [consent_event.c.subject_id == subject_id]
    if receipt_id is not None:
        mine.append(consent_event.c.receipt_id == receipt_id)
    found = await connection.execute(_opened(app_id, *mine))
    return [_leaf(row) for row in found.mappings()]


async def proof(
    connection: AsyncConnection, app_id: str, leaves: Sequence[Leaf], since: int | None = None
) -> dict[str, Any]:
    """Return what shows that entries stand in the log: the newest checkpoint, and of each entry its key and its path.

    Where the checkpoint does not reach an entry yet, its path is None. With `since`, the size of an older checkpoint,
    it is shown too that the log begins with what that one was signed over; ValueError when it reaches beyond the newest.
    """
    newest = await log.newest_checkpoint(connection, app_id)
    size = 0 if newest is None else newest.size
    covered = [leaf.index for leaf in leaves if leaf.index < size]
    paths = dict(zip(covered, await log.inclusion(connection, app_id, covered, size), strict=True))
    shown: dict[str, Any] = {
        "checkpoint": None if newest is None else newest.note,
        "entries": [
            {
                "index": leaf.index,
                "leaf": base64_of(leaf.data),
                "leaf_key": base64_of(leaf.key),
                "entry": dict(leaf.entry),
                "proof": [base64_of(each) for each in paths[leaf.index]] if leaf.index in paths else None,
            }
            for leaf in leaves
        ],
    }
    if since is not None:
        grown = await log.consistency(connection, app_id, since, size)
        shown["consistency"] = {
            "from": since,
            "root": base64_of(await log.root(connection, app_id, since)),
            "proof": [base64_of(each) for each in grown],
        }
    return shown


async def of_range(
    connection: AsyncConnection, app_id: str, among: Range
) -> dict[int, tuple[Leaf, str | None]]:
    """Return the entries of a range that can be opened, each with its signed receipt, by index."""
    begin, end = among
    found = await connection.execute(_opened(app_id, consent_event.c.seq >= begin, consent_event.c.seq < end))
    return {row["seq"]: (_leaf(row), row[_JWS]) for row in found.mappings()}


class LogKeys:
    """The keys that open people's leaves, as a store of personal data.

    An erasure destroys the key, and leaves the leaves; before, the log has to be closed for the person (`consent.log.store.close`).
    """

    name = "log_keys"
    tables = ("log_key",)

    async def erase(self, connection: AsyncConnection, who: Person) -> int:
        """Destroy a person's key; RuntimeError when the log was not closed for them, since nobody could do so later."""
        closed = and_(log_erased.c.app_id == consent_event.c.app_id, log_erased.c.seq == consent_event.c.seq)
        still_open = (
            select(consent_event.c.seq)
            .outerjoin(log_erased, closed)
            .where(
                consent_event.c.app_id == who.app_id,
                consent_event.c.subject_id == who.subject_id,
                log_erased.c.seq.is_(None),
            )
            .limit(1)
        )
        if (await connection.execute(still_open)).first() is not None:
            raise RuntimeError("the log must be closed for a person before they are erased")
        return (await connection.execute(delete(log_key).where(*_of(who)))).rowcount

    async def count(self, connection: AsyncConnection, who: Person) -> int:
        """Tell whether a person has a key: 1 or 0."""
        held = select(func.count()).select_from(log_key).where(*_of(who))
        return (await connection.execute(held)).scalar_one()

    def export(self, connection: AsyncConnection, who: Person) -> Sequence[Section]:
        """Return what opens and proves each of a person's entries, in place of the key that opens all of them."""
        return [Section("log", "log_key", _proved(connection, who), WHOSE | {"key"})]


def _of(who: Person) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return log_key.c.app_id == who.app_id, log_key.c.subject_id == who.subject_id


async def _proved(connection: AsyncConnection, who: Person) -> AsyncIterator[Mapping[str, Any]]:
    """Prove a person's entries a few at a time, each time by the same checkpoint: the read is of one moment."""
    after = -1
    while leaves := await _next(connection, who, after):
        yield await proof(connection, who.app_id, leaves)
        after = leaves[-1].index


async def _next(connection: AsyncConnection, who: Person, after: int) -> list[Leaf]:
    mine = consent_event.c.subject_id == who.subject_id, consent_event.c.seq > after
    rows = _opened(who.app_id, *mine).limit(AT_A_TIME).execution_options(yield_per=_WITH_RECEIPTS)
    return [_leaf(row) async for row in (await connection.stream(rows)).mappings()]
