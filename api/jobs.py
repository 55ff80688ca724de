"""Work that must happen: rows enqueued in the transaction that decides it, which workers lease, one at a time.

A job waits, runs, is done, or is dead: it failed too often, and an operator decides. Whoever leases one gets a
fence, a number that grows with every lease: a worker whose lease was taken over can neither record an end nor, when
its transaction calls `confirm` first, write anything else. Jobs name no person: `about` is the id of an erasure, a
delivery or nothing. Every function works inside its caller's transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.tables import job
from consent.pseudonyms import new_id

TRAINING = "training"
"""The kind of job that trains an app's model."""
UNLEARNING = "unlearning"
"""The kind of job that makes the served release forget whoever left."""
ERASURE = "erasure"
"""The kind of job that does the steps of an erasure; `about` is the erasure's id."""
VACUUM = "vacuum"
"""The kind of job that lets PostgreSQL reclaim what was deleted."""

SECOND = 1_000_000
LEASE = 30 * SECOND
"""How long a worker may be silent before its job is taken by the next, unless the settings say otherwise."""
FARTHEST = 24 * 3600 * SECOND
"""How far ahead a job is put off at most. One that is due later was put off by a clock that was set back since."""

WAITING, RUNNING, DONE, DEAD = "waiting", "running", "done", "dead"
SILENT = "its worker fell silent"
"""The outcome of a try whose worker never told how it ended: it was killed, or its machine went."""


class LeaseLost(Exception):
    """Another worker has taken the job over: whatever this one still does must not count."""


@dataclass(frozen=True)
class Job:
    """A piece of work as it was leased or listed. Times are microseconds, UTC.

    `kind` says which handler does it, `about` what it concerns (an id of something that names nobody, or ""), `reason`
    why it was asked for. `due_at` is when a worker may take it; while it runs, when its lease is over.
    """

    job_id: str
    app_id: str
    kind: str
    about: str
    reason: str
    status: str
    asked_at: int
    due_at: int
    attempts: int
    fence: int
    outcome: str | None


def _job(row: Row[Any]) -> Job:
    return Job(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name for a row as a mapping


async def enqueue(
    connection: AsyncConnection,
    app_id: str,
    kind: str,
    *,
    now: int,
    about: str = "",
    reason: str = "asked",
    due_at: int = 0,
    hasten: bool = False,
) -> str:
    """Ask for work, in the transaction that makes it necessary; return the job's id.

    A job of the same app, kind and `about` that still waits serves for all who ask; one that runs does not, since it
    may have read what it works on before this transaction. Without `due_at` the work is due whatever the clock says;
    `hasten` makes one that waits already due as early.
    """
    # Locked until this transaction commits, or a worker could take it and not see what this transaction wrote.
    same = (job.c.app_id == app_id, job.c.kind == kind, job.c.about == about, job.c.status == WAITING)
    found = (
        await connection.execute(select(job.c.job_id).where(*same).limit(1).with_for_update())
    ).scalar_one_or_none()
    if found is not None:
        if hasten:
            sooner = (job.c.job_id == found, job.c.due_at > due_at)
            await connection.execute(update(job).where(*sooner).values(due_at=due_at))
        return str(found)
    job_id = new_id()
    await connection.execute(
        insert(job).values(
            job_id=job_id,
            app_id=app_id,
            kind=kind,
            about=about,
            reason=reason,
            status=WAITING,
            asked_at=now,
            due_at=min(due_at, now + FARTHEST),
            attempts=0,
            fence=0,
        )
    )
    return job_id


# What workers do ----------------------------------------------------------------


def _due(kinds: Collection[str], now: int, lasts: int) -> Any:
    # A lease that ends much later than any given now was given before the clock was set back.
    over = or_(job.c.due_at <= now, (job.c.status == RUNNING) & (job.c.due_at > now + 2 * lasts))
    over |= job.c.due_at > now + FARTHEST
    return (job.c.status.in_([WAITING, RUNNING])) & job.c.kind.in_(kinds) & over


async def is_due(connection: AsyncConnection, kinds: Collection[str], now: int, lasts: int = LEASE) -> bool:
    """Tell whether there is something to lease, without writing."""
    return (
        await connection.execute(select(job.c.job_id).where(_due(kinds, now, lasts)).limit(1))
    ).first() is not None


async def lease(
    connection: AsyncConnection, kinds: Collection[str], now: int, lasts: int = LEASE
) -> Job | None:
    """Take the oldest job of these kinds that is due, or whose worker fell silent, for `lasts` microseconds; or None."""
    oldest = (
        select(job.c.job_id)
        .where(_due(kinds, now, lasts))
        .order_by(job.c.asked_at, job.c.job_id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    job_id = (await connection.execute(oldest)).scalar_one_or_none()
    if job_id is None:
        return None
    taken = await connection.execute(
        update(job)
        .where(job.c.job_id == job_id)
        .values(status=RUNNING, due_at=now + lasts, attempts=job.c.attempts + 1, fence=job.c.fence + 1)
        .returning(*job.c)
    )
    return _job(taken.one())


async def silent(
    connection: AsyncConnection, kinds: Collection[str], now: int, lasts: int = LEASE
) -> Sequence[Job]:
    """Return the jobs of these kinds whose workers fell silent, and hold them until the transaction ends."""
    rows = (
        select(job).where(_due(kinds, now, lasts), job.c.status == RUNNING).with_for_update(skip_locked=True)
    )
    return [_job(row) for row in await connection.execute(rows)]


async def leased_until(
    connection: AsyncConnection, app_id: str, kinds: Collection[str], now: int, lasts: int = LEASE
) -> int:
    """Return until when a worker that lives may be at a job of these kinds for an app; 0 when none can be."""
    theirs = (job.c.app_id == app_id, job.c.kind.in_(kinds), job.c.status == RUNNING)
    rows = (await connection.execute(select(job.c.due_at).where(*theirs))).scalars()
    # As for whoever takes a job: a lease that ends much later was given before the clock was set back.
    return max((until for until in rows if now < until <= now + 2 * lasts), default=0)


def _mine(held: Job) -> Any:
    return (job.c.job_id == held.job_id) & (job.c.status == RUNNING) & (job.c.fence == held.fence)


async def confirm(connection: AsyncConnection, held: Job) -> None:
    """Make sure that a job is still this worker's until the transaction ends; LeaseLost when it is not."""
    if (await connection.execute(select(job.c.job_id).where(_mine(held)).with_for_update())).first() is None:
        raise LeaseLost


async def _record(connection: AsyncConnection, held: Job, **values: Any) -> None:
    if not (await connection.execute(update(job).where(_mine(held)).values(**values))).rowcount:
        raise LeaseLost


async def renew(connection: AsyncConnection, held: Job, now: int, lasts: int = LEASE) -> None:
    """Keep a job for another lease; LeaseLost when it was taken over."""
    await _record(connection, held, due_at=now + lasts)


async def finish(connection: AsyncConnection, held: Job, outcome: str, now: int) -> None:
    """Record that a job is done; LeaseLost when it was taken over."""
    await _record(connection, held, status=DONE, outcome=outcome, due_at=now)


async def give_back(connection: AsyncConnection, held: Job) -> None:
    """Let the next worker take a job at once; the try does not count. LeaseLost when it was taken over."""
    await _record(connection, held, status=WAITING, due_at=0, attempts=held.attempts - 1)


async def fail(connection: AsyncConnection, held: Job, outcome: str, again_at: int | None) -> None:
    """Record a failed try: again from a moment on, or dead when there is none. LeaseLost when it was taken over."""
    if again_at is None:
        await _record(connection, held, status=DEAD, outcome=outcome)
    else:
        await _record(connection, held, status=WAITING, outcome=outcome, due_at=again_at)


async def prune(connection: AsyncConnection, before: int, most: int) -> int:
    """Forget jobs that were done before a moment, `most` at a time; return how many."""
    over = select(job.c.job_id).where(job.c.status == DONE, job.c.due_at < before).limit(most)
    return (await connection.execute(delete(job).where(job.c.job_id.in_(over)))).rowcount


# What operators do ----------------------------------------------------------------


async def find(connection: AsyncConnection, job_id: str) -> Job | None:
    """Return a job, or None."""
    row = (await connection.execute(select(job).where(job.c.job_id == job_id))).one_or_none()
    return None if row is None else _job(row)


async def jobs(connection: AsyncConnection, statuses: Collection[str], limit: int) -> Sequence[Job]:
    """List jobs in these states, oldest first."""
    rows = select(job).where(job.c.status.in_(statuses)).order_by(job.c.asked_at, job.c.job_id).limit(limit)
    return [_job(row) for row in await connection.execute(rows)]


async def retry(connection: AsyncConnection, job_id: str) -> bool:
    """Let a job that is dead, or put off, be taken at once with all its tries before it; False when there is none."""
    again = (
        update(job)
        .where(job.c.job_id == job_id, job.c.status.in_([WAITING, DEAD]))
        .values(status=WAITING, due_at=0, attempts=0)
    )
    return bool((await connection.execute(again)).rowcount)


async def drop(connection: AsyncConnection, job_id: str) -> bool:
    """Forget a dead job: its work will not be done; False when there is no such dead job."""
    gone = delete(job).where(job.c.job_id == job_id, job.c.status == DEAD)
    return bool((await connection.execute(gone)).rowcount)


async def figures(connection: AsyncConnection) -> Mapping[tuple[str, str], tuple[int, int]]:
    """Count what is not done: (kind, status) to the number and the time the oldest was asked for."""
    rows = await connection.execute(
        select(job.c.kind, job.c.status, func.count(), func.min(job.c.asked_at))
        .where(job.c.status != DONE)
        .group_by(job.c.kind, job.c.status)
    )
    return {(kind, status): (count, oldest) for kind, status, count, oldest in rows}
