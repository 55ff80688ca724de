"""The registry of an app's models in a database: what is served, and releases. Works inside its caller's transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, case, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from recommender.parts import bucket_of
from recommender.tables import model_state, release, unlearned


@dataclass(frozen=True)
class ModelState:
    """Where an app's catalogue and model stand."""

    app_id: str
    catalog_version: int
    unlearn_epoch: int
    promoted: str | None
    settled_epoch: int
    erasures: int
    read_until: int


async def add_model_state(connection: AsyncConnection, app_id: str) -> None:
    """Begin an app's state: an empty catalogue, no release."""
    await connection.execute(
        insert(model_state).values(
            app_id=app_id,
            catalog_version=0,
            unlearn_epoch=0,
            promoted=None,
            settled_epoch=0,
            erasures=0,
            read_until=0,
        )
    )


async def model_states(connection: AsyncConnection) -> list[ModelState]:
    """Return every app's state."""
    return [
        ModelState(*row)
        for row in await connection.execute(select(model_state).order_by(model_state.c.app_id))
    ]


async def find_model_state(connection: AsyncConnection, app_id: str) -> ModelState:
    """Return an app's state."""
    row = (await connection.execute(select(model_state).where(model_state.c.app_id == app_id))).one()
    return ModelState(*row)


async def begin_reading(connection: AsyncConnection, app_id: str, until: int) -> ModelState:
    """Note, before a training reads, up to when it reads what was granted; return the app's state."""
    columns = model_state.c
    later = case((columns.read_until < until, until), else_=columns.read_until)
    mine = update(model_state).where(columns.app_id == app_id)
    await connection.execute(mine.values(read_until=later))
    return await find_model_state(connection, app_id)


async def read_until(connection: AsyncConnection, app_id: str) -> int:
    """Return up to when trainings read what was granted, and hold it: none begins to read before this transaction ends."""
    held = select(model_state.c.read_until).where(model_state.c.app_id == app_id).with_for_update()
    return int((await connection.execute(held)).scalar_one())


async def unlearn(connection: AsyncConnection, app_id: str, pseudonyms: Sequence[bytes]) -> int:
    """Mark the shards that may have learned from some people as overtaken, in every release and training.

    Each of them begins an epoch; returns the last.
    """
    count = len(pseudonyms)
    newest = (
        await connection.execute(
            update(model_state)
            .where(model_state.c.app_id == app_id)
            .values(unlearn_epoch=model_state.c.unlearn_epoch + count)
            .returning(model_state.c.unlearn_epoch)
        )
    ).scalar_one()
    marks = [
        {"app_id": app_id, "epoch": epoch, "bucket": bucket_of(pseudonym)}
        for epoch, pseudonym in enumerate(pseudonyms, start=newest - count + 1)
    ]
    if marks:
        await connection.execute(insert(unlearned), marks)
    return int(newest)


async def overtaken(connection: AsyncConnection, app_id: str, since: int) -> list[int]:
    """Return the bucket of whoever was to be forgotten after an epoch, one for each epoch from then on."""
    marks = select(unlearned.c.bucket).where(unlearned.c.app_id == app_id, unlearned.c.epoch > since)
    return list((await connection.execute(marks)).scalars())


async def forget_marks(connection: AsyncConnection, app_id: str, up_to: int) -> None:
    """Forget what was to be forgotten up to an epoch, when no release of an earlier one is left."""
    await connection.execute(
        delete(unlearned).where(unlearned.c.app_id == app_id, unlearned.c.epoch <= up_to)
    )


async def settled(connection: AsyncConnection, app_id: str, epoch: int) -> None:
    """Record that it is decided what to serve in an epoch: a release of it, or none that is older."""
    await connection.execute(
        update(model_state)
        .where(model_state.c.app_id == app_id, model_state.c.settled_epoch < epoch)
        .values(settled_epoch=epoch)
    )


async def count_erasure(connection: AsyncConnection, app_id: str) -> None:
    """Count an erasure, in its own transaction."""
    await connection.execute(
        update(model_state).where(model_state.c.app_id == app_id).values(erasures=model_state.c.erasures + 1)
    )


# Releases ---------------------------------------------------------------------


@dataclass(frozen=True)
class ReleaseRecord:
    """A release as the service knows it; its arrays lie where `release_id` says."""

    release_id: str
    status: str
    digest: str
    unlearn_epoch: int
    metrics: Mapping[str, Any]
    created_at: int
    promoted_at: int | None
    manifest_sha256: str | None = None
    """Of its manifest's bytes; None for releases from before it was kept."""


def _record(row: Row[Any]) -> ReleaseRecord:
    return ReleaseRecord(
        row.release_id,
        row.status,
        row.digest,
        row.unlearn_epoch,
        json.loads(row.metrics),
        row.created_at,
        row.promoted_at,
        row.manifest_sha256,
    )


async def add_release(connection: AsyncConnection, app_id: str, record: ReleaseRecord) -> None:
    """Register a candidate."""
    await connection.execute(
        insert(release).values(
            app_id=app_id,
            release_id=record.release_id,
            status=record.status,
            digest=record.digest,
            unlearn_epoch=record.unlearn_epoch,
            metrics=json.dumps(record.metrics),
            created_at=record.created_at,
            promoted_at=record.promoted_at,
            manifest_sha256=record.manifest_sha256,
        )
    )


async def releases(
    connection: AsyncConnection, app_id: str, *, after: str | None = None, limit: int | None = None
) -> list[ReleaseRecord]:
    """List an app's releases, newest first: all, or up to `limit` of those that come after one of them."""
    columns = release.c
    listed = select(release).where(columns.app_id == app_id)
    if after is not None:
        made = (
            select(columns.created_at)
            .where(columns.app_id == app_id, columns.release_id == after)
            .scalar_subquery()
        )
        listed = listed.where(
            (columns.created_at < made) | ((columns.created_at == made) & (columns.release_id > after))
        )
    ordered = listed.order_by(columns.created_at.desc(), columns.release_id).limit(limit)
    return [_record(row) for row in await connection.execute(ordered)]


async def find_release(connection: AsyncConnection, app_id: str, release_id: str) -> ReleaseRecord | None:
    """Return one release of the app, or None."""
    row = (
        await connection.execute(
            select(release).where(release.c.app_id == app_id, release.c.release_id == release_id)
        )
    ).one_or_none()
    return None if row is None else _record(row)


async def promote(connection: AsyncConnection, app_id: str, record: ReleaseRecord, now: int) -> bool:
    """Serve a release from now on; False when something it may have learned had to be unlearned meanwhile."""
    done = await connection.execute(
        update(model_state)
        .where(model_state.c.app_id == app_id, model_state.c.unlearn_epoch == record.unlearn_epoch)
        .values(promoted=record.release_id)
    )
    if not done.rowcount:
        return False
    mine = release.c.app_id == app_id
    await connection.execute(
        update(release).where(mine, release.c.status == "promoted").values(status="retired")
    )
    await connection.execute(
        update(release)
        .where(mine, release.c.release_id == record.release_id)
        .values(status="promoted", promoted_at=now)
    )
    return True


async def stop_serving(connection: AsyncConnection, app_id: str) -> None:
    """Serve no release: the list chosen by editors stands in."""
    await connection.execute(update(model_state).where(model_state.c.app_id == app_id).values(promoted=None))
    await connection.execute(
        update(release)
        .where(release.c.app_id == app_id, release.c.status == "promoted")
        .values(status="retired")
    )


async def set_release_status(connection: AsyncConnection, app_id: str, release_id: str, status: str) -> None:
    """Record what became of a release."""
    await connection.execute(
        update(release)
        .where(release.c.app_id == app_id, release.c.release_id == release_id)
        .values(status=status)
    )


async def retire_for_good(connection: AsyncConnection, app_id: str, release_id: str) -> bool:
    """Record that a release is destroyed, unless it is served; False when it is."""
    done = await connection.execute(
        update(release)
        .where(release.c.app_id == app_id, release.c.release_id == release_id, release.c.status != "promoted")
        .values(status="destroyed")
    )
    return bool(done.rowcount)
