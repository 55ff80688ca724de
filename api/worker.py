"""The worker: does the trainings that transactions asked for, and removes what is over. Any number may run.

A training is a row that a worker leases. The lease is renewed while it works; one whose worker went silent is taken
by the next. What fails is tried again, later each time, and in the end left `dead` for an operator to see.
"""

import asyncio
import contextlib
import logging

from api import store as own_store
from api.service import Service
from api.training import train_app
from consent import store as ledger
from recommender import registry
from recommender.registry import Training
from recommender.tables import events

log = logging.getLogger(__name__)

SECOND = 1_000_000
LEASE = 120 * SECOND
HEARTBEAT_S = 30.0
ATTEMPTS = 5
HOUSEKEEPING_S = 600.0
ANSWERS_KEPT = 24 * 3600 * SECOND
"""How long an answer is kept for retries."""


async def run(service: Service, stop: asyncio.Event, poll_s: float = 1.0) -> None:
    """Work until told to stop; a training under way is finished first."""
    tidied = 0.0
    while not stop.is_set():
        worked = False
        try:
            if service.clock() / SECOND - tidied >= HOUSEKEEPING_S:
                tidied = service.clock() / SECOND
                await housekeeping(service)
            worked = await work_once(service)
        except Exception as error:  # noqa: BLE001  a lost database must not end the worker
            log.warning("could not look for work: %s", type(error).__name__)
        if not worked:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), poll_s)


async def work_once(service: Service) -> bool:
    """Do the oldest training that waits; False when there is none."""
    async with service.database.write("") as connection:
        job = await registry.lease_training(connection, service.clock(), LEASE)
    if job is None:
        return False
    if job.attempts > ATTEMPTS:  # whoever took it before fell silent each time
        await _failed(service, job, "its workers fell silent")
        return True
    beating = asyncio.create_task(_renew(service, job))
    try:
        outcome = await train_app(service, job.app_id)
    except Exception as error:  # noqa: BLE001  whatever failed is recorded, and tried again
        log.warning("a training failed: %s", type(error).__name__)
        await _failed(service, job, type(error).__name__)
    else:
        async with service.database.write("") as connection:
            await registry.end_training(connection, job, status="done", outcome=outcome.status)
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating
    return True


async def _renew(service: Service, job: Training) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        async with service.database.write("") as connection:
            until = service.clock() + LEASE
            await registry.end_training(connection, job, status="running", again_at=until)


async def _failed(service: Service, job: Training, reason: str) -> None:
    dead = job.attempts >= ATTEMPTS
    later = service.clock() + 2**job.attempts * SECOND
    async with service.database.write("") as connection:
        await registry.end_training(
            connection, job, status="dead" if dead else "waiting", outcome=reason, again_at=later
        )


async def housekeeping(service: Service) -> int:
    """Remove events whose consent or retention is over, and answers kept for retries; return how many rows went."""
    now, removed = service.clock(), 0
    async with service.database.read("") as connection:
        app_ids = await ledger.app_ids(connection)
    for app_id in app_ids:
        async with service.database.write(app_id) as connection:
            expired = await events.expire(connection, app_id, now, service.notices, "stored_at")
            removed += expired + await own_store.prune_answers(connection, app_id, now - ANSWERS_KEPT)
    if removed:
        await service.database.scrub()
    return removed
