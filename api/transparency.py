"""The transparency log as the service hands it out: checkpoints when they are needed, keys, and proofs of receipts."""

import logging
from collections.abc import Sequence
from typing import Any

from api.service import Service
from consent import store as ledger
from consent.errors import LogCorrupt
from consent.log import openings
from consent.log import store as log
from consent.log.checkpoints import base64_of
from consent.log.commitments import Leaf
from consent.receipts import keyring
from consent.receipts.signing import key_set

errors = logging.getLogger(__name__)


async def checkpoint(service: Service, app_id: str, at_least: int | None = None) -> str:
    """Return a checkpoint over at least so many leaves, the whole log when left out; signed now if there is none."""
    async with service.database.read(app_id) as connection:
        wanted = await log.size(connection, app_id) if at_least is None else at_least
        newest = await log.newest_checkpoint(connection, app_id)
    if newest is not None and newest.size >= wanted:
        return newest.note
    async with service.database.write(app_id) as connection:
        return await log.checkpoint(connection, app_id, service.logs.of(app_id), service.clock())


async def sign_checkpoints(service: Service) -> int:
    """Sign a checkpoint of every log that has grown, unless that was just done; return how many.

    A log that contradicts what was signed before gets none, and an error that an operator sees.
    """
    recently = (
        service.clock() - service.settings.checkpoint_s * 500_000
    )  # half the interval: another worker did
    signed = 0
    async with service.database.read("") as connection:
        app_ids = await ledger.app_ids(connection)
    for app_id in app_ids:
        async with service.database.read(app_id) as connection:
            newest = await log.newest_checkpoint(connection, app_id)
            whole = await log.size(connection, app_id)
        if newest is None or (newest.size != whole and newest.at <= recently):
            try:
                await checkpoint(service, app_id)
            except LogCorrupt as corrupt:
                errors.error("%s gets no checkpoint: %s", service.logs.of(app_id).key.name, corrupt)
            else:
                signed += 1
    return signed


async def keys(service: Service, app_id: str) -> dict[str, Any]:
    """Return the public keys of an app's log and of its receipts."""
    key = service.logs.of(app_id).key
    async with service.database.read("") as connection:
        published = [generation.public for generation in await keyring.generations(connection)]
    return {"origin": key.name, "log": key.text, "receipts": key_set(published)}


def promised(leaves: Sequence[Leaf]) -> dict[str, Any]:
    """Tell where the entries of a change stand in the log, and what stands there; the proof is had with the receipt."""
    return {"entries": [{"index": leaf.index, "leaf": base64_of(leaf.data)} for leaf in leaves]}


async def receipt_with_proof(
    service: Service, app_id: str, user_hash: bytes, receipt_id: str, since: int | None = None
) -> dict[str, Any] | None:
    """Return a person's receipt with `proof` beside its fields: its signature, and what shows that it stands in the log.

    Args:
        service: the service.
        app_id: the app.
        user_hash: the person.
        receipt_id: the receipt.
        since: the size of a checkpoint that somebody kept; the proof then shows too that the log only grew from it.

    Returns:
        The document, without `proof` exactly what was signed; None when the receipt is not theirs.

    Raises:
        ValueError: the log has fewer entries than `since`.
    """
    async with service.database.read(app_id) as connection:
        subject_id = await ledger.find_subject(connection, app_id, user_hash)
        found = subject_id and await ledger.find_receipt(connection, app_id, subject_id, receipt_id)
        if not subject_id or not found:
            return None
        leaves = await openings.of_person(connection, app_id, subject_id, receipt_id)
    covered = max((leaf.index + 1 for leaf in leaves), default=0)
    await checkpoint(service, app_id, at_least=covered if since is None else None)
    async with service.database.read(app_id) as connection:
        proof = await openings.proof(connection, app_id, leaves, since)
    body, jws = found
    return body | {"proof": {"jws": jws} | proof}
