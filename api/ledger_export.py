"""An app's whole ledger as a bundle that can be verified without the service, a few entries at a time."""

from collections.abc import AsyncIterator

from api import transparency
from api.service import Service
from consent.log import openings
from consent.log import store as log
from consent.verification import bundles

AT_ONCE = 2_000
"""Entries that are held in memory."""


async def lines(service: Service, app_id: str, *, opened: bool) -> AsyncIterator[tuple[int, int, bytes]]:
    """Write the ledger up to its newest checkpoint, as it is at one moment; each line with how many entries are done, of how many.

    Args:
        service: the service.
        app_id: whose ledger.
        opened: whether to write the entries, with their keys and receipts, or the leaves alone.
    """
    await transparency.checkpoint(service, app_id)
    async with service.database.read(app_id) as connection:
        newest = await log.newest_checkpoint(connection, app_id)
        size = 0 if newest is None else newest.size
        yield 0, size, bundles.header(service.logs.of(app_id).key.name, size, opened=opened)
        notes = await log.checkpoints(connection, app_id, (-1, 0))
        if 0 in notes:
            yield 0, size, bundles.checkpoint_line(notes[0])
        receipt: str | None = None
        for begin in range(0, size, AT_ONCE):
            among = begin, min(begin + AT_ONCE, size)
            leaves = await log.leaves(connection, app_id, among)
            closed = await log.erased(connection, app_id, among)
            notes = await log.checkpoints(connection, app_id, among)
            entries = await openings.of_range(connection, app_id, among) if opened else {}
            for index, data in enumerate(leaves, start=begin):
                leaf, jws = entries.get(index, (None, None))
                if jws is not None and jws != receipt:
                    receipt = jws
                    yield index, size, bundles.receipt_line(jws)
                yield index + 1, size, bundles.entry_line(index, data, leaf, closed.get(index))
                if index + 1 in notes:
                    yield index + 1, size, bundles.checkpoint_line(notes[index + 1])
