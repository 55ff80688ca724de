"""The steps of an erasure after its rows: done by a worker, each as often as it takes, none twice in effect.

An erasure is never given up. If no training comes to an end by the deadline, the app goes without a model rather than
with one that learned from somebody who left.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from api import jobs, leftovers
from api.jobs import ERASURE, SECOND, TRAINING, UNLEARNING, Job
from api.loading import release_url
from api.models import memory_lease_s
from api.service import PERSONAL_STORES, Service
from api.webhooks import messages, outbox
from consent import erasure
from consent.erasure import Erasure, Trained
from consent.register import EVERYTHING
from recommender import registry
from recommender import release_files as releases
from recommender.registry import ReleaseRecord

log = logging.getLogger(__name__)

VACUUM_AFTER = 60 * SECOND
"""How long erasures are gathered for one vacuum."""
LAST_CALL = 3600 * SECOND
"""How long before the deadline the app goes without a model, at most."""


class StillRead(Exception):
    """A reader holds on to a moment before an erasure: on SQLite to the write-ahead log, on PostgreSQL to deleted rows."""


class EndedElsewhere(Exception):
    """Another job about the same erasure has completed it meanwhile."""


async def wake(connection: AsyncConnection, app_id: str, epoch: int, now: int) -> None:
    """Have the erasures go on that waited for a model of this epoch; in the transaction that decides it."""
    for waiting in await erasure.unfinished(connection, app_id):
        if waiting.unlearn_epoch <= epoch:
            await jobs.enqueue(
                connection, app_id, ERASURE, now=now, about=waiting.erasure_id, reason="settled", hasten=True
            )


async def advance(service: Service, held: Job) -> str:
    """Do the steps of an erasure that can be done now; return the last one, or the one that it waits for.

    Several jobs may be about one erasure: one that runs does not serve who asks meanwhile. Whatever they do at the
    same time, it ends once.
    """
    async with service.database.read(held.app_id) as connection:
        found = await erasure.find(connection, held.app_id, held.about)
    if found is None or found.status == erasure.COMPLETED:
        return "completed"
    try:
        return await _go_on(service, held, found)
    except EndedElsewhere:
        return "completed"


async def _go_on(service: Service, held: Job, found: Erasure) -> str:
    for name, step in _STEPS.items():
        if name in found.steps:
            continue
        amended = await step(service, found)
        if amended is None:
            return f"waits: {name}"
        found = await _done(service, held, amended, name)
    async with service.database.write(held.app_id) as connection:
        await jobs.confirm(connection, held)
        await _hold(connection, found)
        now = service.clock()
        signed = erasure.complete(found, now, await service.keyring.signer(connection, now))
        await erasure.record(connection, signed)
        if signed.kind == EVERYTHING:
            # In order with the notice of the rows, as long as that one waits; it knows whose they were, and nothing else does.
            stream = await outbox.stream_of(connection, signed.app_id, signed.erasure_id)
            told = messages.erasure_completed(signed, stream or signed.erasure_id)
            await outbox.tell(connection, signed.app_id, [told], now)
    return "completed"


async def _hold(connection: AsyncConnection, found: Erasure) -> Erasure:
    """Return what an erasure says now, which nobody else changes until the transaction ends; EndedElsewhere when it is over."""
    now = await erasure.find(connection, found.app_id, found.erasure_id, hold=True)
    if now is None or now.status == erasure.COMPLETED:
        raise EndedElsewhere
    return now


async def _done(service: Service, held: Job, amended: Erasure, step: str) -> Erasure:
    async with service.database.write(held.app_id) as connection:
        await jobs.confirm(connection, held)
        known = await _hold(connection, amended)
        if step in known.steps:
            return known
        done = amended.having(step, service.clock())
        await erasure.record(connection, done)
    return done


async def _scrub(service: Service, found: Erasure) -> Erasure:
    if not await service.database.scrub():
        raise StillRead
    return found


async def _retrain(service: Service, found: Erasure) -> Erasure | None:
    """See that what is served learned nothing from them; a training wakes this erasure when it decides."""
    app_id, epoch, now = found.app_id, found.unlearn_epoch, service.clock()
    async with service.database.write(app_id) as connection:
        state = await registry.find_model_state(connection, app_id)
        if state.settled_epoch < epoch and await _outdated(connection, found):
            last_call = found.deadline - min(LAST_CALL, (found.deadline - found.requested_at) // 4)
            if now < last_call:
                await _hold(connection, found)
                await erasure.record(connection, replace(found, status=erasure.RETRAINING))
                await jobs.enqueue(
                    connection,
                    app_id,
                    ERASURE,
                    now=now,
                    about=found.erasure_id,
                    reason="deadline",
                    due_at=last_call,
                    hasten=True,
                )
                return None
            log.warning(
                "no training came to an end before the deadline of an erasure: serving without a model"
            )
            await registry.stop_serving(connection, app_id)
            await registry.settled(connection, app_id, epoch)
            # Once whatever ails it is mended, the app has a model again.
            await jobs.enqueue(connection, app_id, TRAINING, now=now, reason="deadline")
            state = await registry.find_model_state(connection, app_id)
        served = await registry.find_release(connection, app_id, state.promoted) if state.promoted else None
    return replace(found, after=Trained(served.release_id, served.digest) if served else Trained())


async def _let_go(service: Service, found: Erasure) -> Erasure | None:
    """Wait until no process can hold in memory what was served before: see `api.models.memory_lease_s`."""
    async with service.database.read(found.app_id) as connection:
        if not await _outdated(connection, found):
            return found
    lease = int(memory_lease_s(service.settings.poll_s) * SECOND)
    now, since = service.clock(), found.steps["retrained"]
    if now >= since + lease:
        return found
    since = min(since, now)  # the clock was set back: the wait begins again
    async with service.database.write(found.app_id) as connection:
        await _hold(connection, found)
        await erasure.record(connection, found.having("retrained", since))
        await jobs.enqueue(
            connection,
            found.app_id,
            ERASURE,
            now=now,
            about=found.erasure_id,
            reason="let_go",
            hasten=True,
            due_at=since + lease,
        )
    return None


async def _destroy(service: Service, found: Erasure) -> Erasure | None:
    """Remove the files of every release that learned from them, and what a crash or a restore left of any that is gone already."""
    async with service.database.write(found.app_id) as connection:
        outdated = await _outdated(connection, found)
        if stored_at := await _stored_at(service, connection, found.app_id, outdated):
            await jobs.enqueue(
                connection,
                found.app_id,
                ERASURE,
                now=service.clock(),
                about=found.erasure_id,
                reason="storing",
                hasten=True,
                due_at=stored_at,
            )
            return None
    for each in outdated:
        url = release_url(service.settings.releases_url, found.app_id, each.release_id)
        await asyncio.to_thread(releases.delete, url)
    if found.unlearn_epoch:
        await leftovers.destroy(service, found.app_id, unknown=True)
    gone = {each.release_id: each for each in found.destroyed}
    gone |= {each.release_id: Trained(each.release_id, each.digest) for each in outdated}
    done = replace(found, destroyed=list(gone.values()))
    async with service.database.write(found.app_id) as connection:
        await _hold(connection, found)
        for each in outdated:
            await registry.set_release_status(connection, found.app_id, each.release_id, "destroyed")
        await registry.forget_marks(connection, found.app_id, found.unlearn_epoch)
        await erasure.record(connection, done)  # with the releases' own rows, so that a crash forgets neither
    return done


async def _stored_at(
    service: Service, connection: AsyncConnection, app_id: str, outdated: Sequence[ReleaseRecord]
) -> int | None:
    """Return until when a training that lives may still be storing one of these releases; None when none can be.

    It finds out in the end that it was overtaken, and destroys its own; one that died says nothing for a lease.
    """
    now, lasts = service.clock(), int(service.settings.job_lease_s * SECOND)
    begun = [each.created_at for each in outdated if each.status == "storing"]
    if not begun:
        return None
    leased = await jobs.leased_until(connection, app_id, [TRAINING, UNLEARNING], now, lasts)
    young = [at + lasts for at in begun if now - lasts < at <= now]
    return max([leased, *young], default=0) or None


async def _outdated(connection: AsyncConnection, found: Erasure) -> list[ReleaseRecord]:
    known = await registry.releases(connection, found.app_id)
    return [each for each in known if each.unlearn_epoch < found.unlearn_epoch and each.status != "destroyed"]


_STEPS: Mapping[str, Callable[[Service, Erasure], Awaitable[Erasure | None]]] = {
    "scrubbed": _scrub,
    "retrained": _retrain,
    "let_go": _let_go,
    "destroyed": _destroy,
}


async def vacuum(service: Service, held: Job) -> str:  # noqa: ARG001  one vacuum serves every app
    """Let PostgreSQL reclaim the space of deleted rows in every table of persons."""
    tables = [table for store in PERSONAL_STORES for table in store.tables]
    if not await service.database.vacuum(tables):
        raise StillRead
    return "done"
