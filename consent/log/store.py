"""The transparency log in a database: grown, proved and signed by reading a logarithmic number of its nodes.

Every function works inside the transaction of its caller. The ledger appends by `consent.recording`, which writes the
events that the leaves commit to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.errors import LogCorrupt
from consent.log import merkle
from consent.log.checkpoints import Checkpoint, LogSigner
from consent.log.commitments import closing, new_log_key
from consent.log.merkle import Range, Tree
from consent.tables import app, consent_event, log_checkpoint, log_erased, log_key, log_node

_AT_ONCE = 10_000


async def grown(
    connection: AsyncConnection, app_id: str, first: int, leaves: Sequence[bytes]
) -> list[tuple[int, bytes]]:
    """Return the nodes, as (number, value), by which a log that has `first` leaves grows when these are added, by their data."""
    tree = Tree.of(first, await _nodes(connection, app_id, [(0, first)]))
    rows = []
    for data in leaves:
        (leaf, _), *inner = tree.append(merkle.leaf_hash(data))
        rows += [(leaf, data), *inner]
    return rows


async def append(connection: AsyncConnection, app_id: str, first: int, leaves: Sequence[bytes]) -> None:
    """Add leaves to a log that has `first` of them; whoever comes next waits for this transaction."""
    rows = await grown(connection, app_id, first, leaves)
    await connection.execute(
        insert(log_node), [{"app_id": app_id, "node": node, "value": value} for node, value in rows]
    )


async def _nodes(connection: AsyncConnection, app_id: str, ranges: Iterable[Range]) -> Mapping[int, bytes]:
    """Return the hashes of the nodes that it takes to hash these ranges."""
    numbers = list(merkle.numbers_of(ranges))
    nodes: dict[int, bytes] = {}
    for begin in range(
        0, len(numbers), _AT_ONCE
    ):  # a statement takes no more parameters than some ten thousands
        rows = await connection.execute(
            select(log_node.c.node, log_node.c.value).where(
                log_node.c.app_id == app_id, log_node.c.node.in_(numbers[begin : begin + _AT_ONCE])
            )
        )
        nodes |= {node: value if node % 2 else merkle.leaf_hash(value) for node, value in rows}
    if len(nodes) < len(numbers):
        raise LogCorrupt("nodes of the log are missing")
    return nodes


async def make_key(connection: AsyncConnection, app_id: str, subject_id: str) -> bytes:
    """Make the key of a person's leaves, who has none; the person's row is locked by the caller."""
    made = new_log_key()
    await connection.execute(insert(log_key).values(app_id=app_id, subject_id=subject_id, key=made))
    return made


async def size(connection: AsyncConnection, app_id: str) -> int:
    """Return how many leaves an app's log has."""
    found = await connection.execute(select(app.c.ledger_size).where(app.c.app_id == app_id))
    return int(found.scalar_one())


async def root(connection: AsyncConnection, app_id: str, of_size: int) -> bytes:
    """Return the root of the log as it was with so many leaves."""
    everything = (0, of_size)
    return merkle.range_hash(await _nodes(connection, app_id, [everything]), everything)


async def inclusion(
    connection: AsyncConnection, app_id: str, indices: Sequence[int], of_size: int
) -> list[list[bytes]]:
    """Return the inclusion proof of each of these leaves in the log as it was with so many.

    Raises:
        ValueError: there is no such leaf in a log of this size.
    """
    paths = [merkle.inclusion_ranges(index, of_size) for index in indices]
    nodes = await _nodes(connection, app_id, [each for path in paths for each in path])
    return [[merkle.range_hash(nodes, each) for each in path] for path in paths]


async def consistency(connection: AsyncConnection, app_id: str, old: int, new: int) -> list[bytes]:
    """Return the proof that the log with `new` leaves begins with the one that had `old`.

    Raises:
        ValueError: the old one is the larger.
    """
    path = merkle.consistency_ranges(old, new)
    nodes = await _nodes(connection, app_id, path)
    return [merkle.range_hash(nodes, each) for each in path]


async def leaves(connection: AsyncConnection, app_id: str, among: Range) -> list[bytes]:
    """Return the data of the leaves of a range, in order."""
    begin, end = among
    rows = await connection.execute(
        select(log_node.c.value)
        .where(
            log_node.c.app_id == app_id,
            log_node.c.node.between(2 * begin, 2 * end - 2),
            log_node.c.node % 2 == 0,
        )
        .order_by(log_node.c.node)
    )
    found = list(rows.scalars())
    if len(found) != end - begin:
        raise LogCorrupt("leaves of the log are missing")
    return found


@dataclass(frozen=True)
class Signed:
    """A checkpoint as it is kept: the signed note, over how many leaves, and when (microseconds, UTC)."""

    note: str
    size: int
    at: int


async def newest_checkpoint(connection: AsyncConnection, app_id: str) -> Signed | None:
    """Return the newest checkpoint that was kept, or None."""
    columns = log_checkpoint.c
    row = (
        await connection.execute(
            select(columns.note, columns.size, columns.created_at)
            .where(columns.app_id == app_id)
            .order_by(columns.size.desc())
            .limit(1)
        )
    ).one_or_none()
    return None if row is None else Signed(row.note, row.size, row.created_at)


async def signed(connection: AsyncConnection, app_id: str, signer: LogSigner, now: int) -> Signed:
    """Return a checkpoint over the whole log: the newest one that was kept, or one that is signed now.

    Raises:
        LogCorrupt: the log does not begin with what the last checkpoint was signed over.
    """
    last = await newest_checkpoint(connection, app_id)
    whole = await size(connection, app_id)  # after it: the log may grow, and be signed, between two reads
    if last is not None:
        if last.size == whole:
            return last
        before = Checkpoint.parse(last.note.rpartition("\n\n")[0] + "\n")
        if last.size > whole or await root(connection, app_id, last.size) != before.root:
            raise LogCorrupt("the log does not begin with what was signed before")
    return Signed(signer.checkpoint(whole, await root(connection, app_id, whole)), whole, now)


async def checkpoint(connection: AsyncConnection, app_id: str, signer: LogSigner, now: int) -> str:
    """Return a checkpoint over the whole log, and keep it; LogCorrupt as for `signed`."""
    if await newest_checkpoint(connection, app_id) is None:
        await _close_what_was_erased_before(connection, app_id, signer)
    made = await signed(connection, app_id, signer, now)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    await connection.execute(
        dialect.insert(log_checkpoint)
        .values(app_id=app_id, size=made.size, created_at=made.at, note=made.note)
        .on_conflict_do_nothing()
    )
    return made.note


async def checkpoints(connection: AsyncConnection, app_id: str, among: Range) -> dict[int, str]:
    """Return the checkpoints over more than `begin` and up to `end` leaves, by size."""
    begin, end = among
    rows = await connection.execute(
        select(log_checkpoint.c.size, log_checkpoint.c.note).where(
            log_checkpoint.c.app_id == app_id, log_checkpoint.c.size > begin, log_checkpoint.c.size <= end
        )
    )
    return {row.size: row.note for row in rows}


async def erased(connection: AsyncConnection, app_id: str, among: Range) -> dict[int, bytes]:
    """Return what was signed for each leaf of a range whose key was destroyed."""
    begin, end = among
    rows = await connection.execute(
        select(log_erased.c.seq, log_erased.c.signature).where(
            log_erased.c.app_id == app_id, log_erased.c.seq >= begin, log_erased.c.seq < end
        )
    )
    return {row.seq: row.signature for row in rows}


async def close(connection: AsyncConnection, app_id: str, subject_id: str, signer: LogSigner) -> None:
    """Sign for each leaf of a person that an erasure is about to destroy its key.

    Without that, somebody who deletes a line of the ledger by hand could claim the same.
    """
    mine = select(consent_event.c.seq).where(
        consent_event.c.app_id == app_id, consent_event.c.subject_id == subject_id
    )
    await _sign_closed(connection, app_id, signer, (await connection.execute(mine)).scalars().all())


async def _close_what_was_erased_before(connection: AsyncConnection, app_id: str, signer: LogSigner) -> None:
    """Close the leaves of people who were erased before there was a log; its first checkpoint vouches for that."""
    whole = await size(connection, app_id)
    for begin in range(0, whole, _AT_ONCE):
        among = begin, min(begin + _AT_ONCE, whole)
        there = await connection.execute(
            select(consent_event.c.seq).where(
                consent_event.c.app_id == app_id, consent_event.c.seq >= begin, consent_event.c.seq < among[1]
            )
        )
        known = {*there.scalars(), *await erased(connection, app_id, among)}
        await _sign_closed(connection, app_id, signer, [each for each in range(*among) if each not in known])


async def _sign_closed(
    connection: AsyncConnection, app_id: str, signer: LogSigner, indices: Sequence[int]
) -> None:
    for begin in range(0, len(indices), _AT_ONCE):
        numbers = [merkle.node_number(0, index) for index in indices[begin : begin + _AT_ONCE]]
        rows = await connection.execute(
            select(log_node.c.node, log_node.c.value).where(
                log_node.c.app_id == app_id, log_node.c.node.in_(numbers)
            )
        )
        closed = [(node // 2, value) for node, value in rows]
        await connection.execute(
            insert(log_erased),
            [
                {
                    "app_id": app_id,
                    "seq": seq,
                    "signature": signer.sign(closing(signer.key.name, seq, value)),
                }
                for seq, value in closed
            ],
        )
