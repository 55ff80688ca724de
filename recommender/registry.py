"""The registry of an app's models in a database: what is served, releases, trainings asked for. Works inside its caller's transaction."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.pseudonyms import new_id
from recommender.tables import model_state, release, training


@dataclass(frozen=True)
class ModelState:
    """Where an app's catalogue and model stand."""

    app_id: str
    catalog_version: int
    unlearn_epoch: int
    promoted: str | None


async def add_model_state(connection: AsyncConnection, app_id: str) -> None:
    """Begin an app's state: an empty catalogue, no release."""
    await connection.execute(
        insert(model_state).values(app_id=app_id, catalog_version=0, unlearn_epoch=0, promoted=None)
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


async def unlearn(connection: AsyncConnection, app_id: str) -> int:
    """Mark whatever is trained, or being trained, as overtaken; return the new epoch."""
    epoch = await connection.execute(
        update(model_state)
        .where(model_state.c.app_id == app_id)
        .values(unlearn_epoch=model_state.c.unlearn_epoch + 1)
        .returning(model_state.c.unlearn_epoch)
    )
    return int(epoch.scalar_one())


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


def _record(row: Row[Any]) -> ReleaseRecord:
    return ReleaseRecord(
        row.release_id,
        row.status,
        row.digest,
        row.unlearn_epoch,
        json.loads(row.metrics),
        row.created_at,
        row.promoted_at,
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
        )
    )


async def releases(connection: AsyncConnection, app_id: str) -> list[ReleaseRecord]:
    """List an app's releases, newest first."""
    rows = await connection.execute(
        select(release)
        .where(release.c.app_id == app_id)
        .order_by(release.c.created_at.desc(), release.c.release_id)
    )
    return [_record(row) for row in rows]


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


# Trainings --------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """A training that was asked for."""

    app_id: str
    training_id: str
    status: str
    reason: str
    asked_at: int
    attempts: int
    outcome: str | None


async def ask_training(connection: AsyncConnection, app_id: str, reason: str, now: int) -> str:
    """Ask for a training, in the transaction that made it necessary; one that still waits serves for all who ask."""
    waiting = await connection.execute(
        select(training.c.training_id)
        .where(training.c.app_id == app_id, training.c.status == "waiting")
        .limit(1)
    )
    found = waiting.scalar_one_or_none()
    if found is not None:
        return str(found)
    training_id = new_id()
    await connection.execute(
        insert(training).values(
            app_id=app_id,
            training_id=training_id,
            status="waiting",
            reason=reason,
            asked_at=now,
            lease_until=0,
            attempts=0,
        )
    )
    return training_id


async def lease_training(connection: AsyncConnection, now: int, lease: int) -> Training | None:
    """Take the oldest training that waits, or whose worker went silent, for `lease` microseconds."""
    due = (
        select(training)
        .where(training.c.status.in_(["waiting", "running"]), training.c.lease_until <= now)
        .order_by(training.c.asked_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await connection.execute(due)).one_or_none()
    if row is None:
        return None
    await connection.execute(
        update(training)
        .where(training.c.app_id == row.app_id, training.c.training_id == row.training_id)
        .values(status="running", lease_until=now + lease, attempts=row.attempts + 1)
    )
    return Training(row.app_id, row.training_id, "running", row.reason, row.asked_at, row.attempts + 1, None)


async def end_training(
    connection: AsyncConnection, job: Training, *, status: str, outcome: str | None = None, again_at: int = 0
) -> None:
    """Record how a training ended; status `waiting` gives it back, to be taken again from `again_at`."""
    await connection.execute(
        update(training)
        .where(training.c.app_id == job.app_id, training.c.training_id == job.training_id)
        .values(status=status, outcome=outcome, lease_until=again_at)
    )


async def find_training(connection: AsyncConnection, app_id: str, training_id: str) -> Training | None:
    """Return one training of the app, or None."""
    columns = training.c
    row = (
        await connection.execute(
            select(
                columns.app_id,
                columns.training_id,
                columns.status,
                columns.reason,
                columns.asked_at,
                columns.attempts,
                columns.outcome,
            ).where(columns.app_id == app_id, columns.training_id == training_id)
        )
    ).one_or_none()
    return None if row is None else Training(*row)
