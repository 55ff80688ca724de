"""The worker: does the jobs that transactions asked for, signs checkpoints, and removes what is over. Any number may run.

A job is a row that a worker leases (`api.jobs`). The lease is renewed while it works; one whose worker went silent is
taken by the next. What fails is tried again, later each time, and in the end left `dead` for an operator to see. A
worker that is told to stop gives back what it cannot finish shortly.
"""

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from api import jobs, leftovers, transparency
from api.erasure_steps import advance, vacuum
from api.jobs import ERASURE, SECOND, SILENT, TRAINING, UNLEARNING, VACUUM, Job, LeaseLost
from api.replaying import ensure_replayed, prune
from api.service import Service
from api.training import train_app, unlearn_app
from api.upkeep import upkeep
from api.webhooks.delivery import Courier
from consent import store as ledger

log = logging.getLogger(__name__)

BEATS = 4
"""How often a lease is renewed before it would be over."""
GRACE_S = 5.0
"""Seconds that jobs under way get to finish when the worker is told to stop; then they are given back."""
HOUSEKEEPING_S = 60.0
DONE_KEPT = 7 * 24 * 3600 * SECOND
"""How long a job that is done can be looked at."""
BATCH = 1_000
ENDLESSLY = 1_000_000
"""Tries of what is never given up."""
CHANCES = 3
"""How many workers may fall silent over a job before it is put off: a machine that goes is no fault of the job's."""


@dataclass(frozen=True)
class Kind:
    """How jobs of one kind are done.

    `do` works and returns the outcome in a word or two; it may be repeated at will, and whatever it writes that must
    not count once another worker has the job stands in a transaction that calls `jobs.confirm` first. It is tried
    `attempts` times; between tries passes `wait_s`, doubled with each, up to `longest_wait_s`. A try whose worker
    fell silent says little of the job: after `silences` tries it is given up for that reason too.
    """

    do: Callable[[Service, Job], Awaitable[str]]
    attempts: int = 8
    silences: int = 20
    wait_s: float = 5.0
    longest_wait_s: float = 3600.0

    def again_at(self, job: Job, now: int, chance: random.Random) -> int | None:
        """Return when a job that failed is tried again, with jitter; None when it was tried often enough."""
        if job.attempts >= self.attempts:
            return None
        return now + self._wait(self.wait_s, job.attempts - 1, chance)

    def after_silence(self, job: Job, now: int, lease_s: float, chance: random.Random) -> int | None:
        """Return when a job whose worker fell silent is taken by the next: a few times at once, then after a lease, doubled with each.

        None when too many fell silent over it. A job that kills its workers leaves them time for others that way.
        """
        if job.attempts >= self.silences:
            return None
        if job.attempts <= CHANCES:
            return now
        return now + self._wait(lease_s, job.attempts - CHANCES - 1, chance)

    def _wait(self, first_s: float, doublings: int, chance: random.Random) -> int:
        wait_s = min(first_s * 2 ** min(doublings, 60), self.longest_wait_s)
        return int(wait_s * chance.uniform(0.5, 1.0) * SECOND)


async def _train(service: Service, job: Job) -> str:
    return (await train_app(service, job.app_id, held=job)).status


async def _unlearn(service: Service, job: Job) -> str:
    return (await unlearn_app(service, job.app_id, held=job)).status


KINDS: Mapping[str, Kind] = {
    TRAINING: Kind(_train),
    # Never given up: an erasure waits for it.
    UNLEARNING: Kind(_unlearn, attempts=ENDLESSLY, silences=ENDLESSLY),
    ERASURE: Kind(advance, attempts=ENDLESSLY, silences=ENDLESSLY, longest_wait_s=300),
    # A backup, or whoever else reads for long, keeps deleted rows: for hours it is waited for.
    VACUUM: Kind(vacuum, attempts=12, wait_s=60),
}
"""Every kind of job. Each has a lane of its own, so that none waits behind a training."""


async def run(service: Service, stop: asyncio.Event, poll_s: float = 1.0) -> None:
    """Work until told to stop: a lane for each kind of job, one for webhooks, and the housekeeping.

    First the register of erasures is replayed: nothing may be learned from who is named there, and nobody told of them.
    """
    await _replayed(service, stop, poll_s)
    lanes = [asyncio.create_task(_lane(service, kind, stop, poll_s)) for kind in KINDS]
    lanes.append(asyncio.create_task(Courier.create(service).run(stop, poll_s)))
    lanes.append(asyncio.create_task(_tidy(service, stop)))
    lanes.append(asyncio.create_task(_vouch(service, stop)))
    await stop.wait()
    _, late = await asyncio.wait(lanes, timeout=GRACE_S)
    for lane in late:
        lane.cancel()
    await asyncio.gather(*late, return_exceptions=True)


async def _replayed(service: Service, stop: asyncio.Event, poll_s: float) -> None:
    """Wait until nobody is in the database whom the register of erasures names: nothing may be learned from them."""
    while not stop.is_set():
        try:
            await ensure_replayed(service)
        except Exception as error:  # noqa: BLE001  whatever it is, it is tried again
            log.warning("the register of erasures is not replayed: %s", type(error).__name__)
            await _until(stop, poll_s)
        else:
            return


async def _lane(service: Service, kind: str, stop: asyncio.Event, poll_s: float) -> None:
    while not stop.is_set():
        worked = False
        try:
            worked = await work_once(service, {kind: KINDS[kind]})
        except Exception as error:  # noqa: BLE001  a lost database must not end the worker
            log.warning("could not look for work: %s", type(error).__name__)
        if not worked:
            await _until(stop, poll_s)


async def _tidy(service: Service, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await housekeeping(service)
        except Exception as error:  # noqa: BLE001  a lost database must not end the worker
            log.warning("could not tidy up: %s", type(error).__name__)
        await _until(stop, HOUSEKEEPING_S)


async def _vouch(service: Service, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await transparency.sign_checkpoints(service)
        except Exception as error:  # noqa: BLE001  a lost database must not end the worker
            log.warning("could not sign checkpoints: %s", type(error).__name__)
        await _until(stop, service.settings.checkpoint_s)


async def _until(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def work_once(
    service: Service, kinds: Mapping[str, Kind] = KINDS, chance: random.Random | None = None
) -> bool:
    """Do the oldest job that is due; False when there is none."""
    lasts = int(service.settings.job_lease_s * SECOND)
    async with service.database.read("") as connection:
        if not await jobs.is_due(connection, kinds, service.clock(), lasts):
            return False
    chance = chance or random.Random()
    async with service.database.write("") as connection:
        now = service.clock()
        for left in await jobs.silent(connection, kinds, now, lasts):
            again_at = kinds[left.kind].after_silence(left, now, service.settings.job_lease_s, chance)
            if again_at != now:
                await jobs.fail(connection, left, SILENT, again_at)
        job = await jobs.lease(connection, kinds, now, lasts)
    if job is None:
        return False
    try:
        await _do(service, job, kinds[job.kind], chance)
    except LeaseLost:
        log.warning("a job of kind %s was taken over by another worker", job.kind)
    return True


async def _do(service: Service, job: Job, kind: Kind, chance: random.Random) -> None:
    """Do a job and record how it ended; LeaseLost when another worker has it by then."""
    working = asyncio.ensure_future(kind.do(service, job))
    beating = asyncio.create_task(_renew(service, job, working))
    try:
        outcome = await working
    except asyncio.CancelledError:
        if beating.done():
            raise LeaseLost from None
        async with service.database.write("") as connection:
            await jobs.give_back(connection, job)
        raise
    except LeaseLost:
        raise
    except Exception as error:  # noqa: BLE001  whatever failed is recorded, and tried again
        log.warning("a job of kind %s failed: %s", job.kind, type(error).__name__)
        async with service.database.write("") as connection:
            again_at = kind.again_at(job, service.clock(), chance)
            await jobs.fail(connection, job, type(error).__name__, again_at)
    else:
        async with service.database.write("") as connection:
            await jobs.finish(connection, job, outcome, service.clock())
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


async def _renew(service: Service, job: Job, working: "asyncio.Future[str]") -> None:
    """Keep the lease; when it was lost, stop the work."""
    while True:
        await asyncio.sleep(service.settings.job_lease_s / BEATS)
        try:
            async with service.database.write("") as connection:
                await jobs.renew(connection, job, service.clock(), int(service.settings.job_lease_s * SECOND))
        except LeaseLost:
            working.cancel()
            return
        except Exception as error:  # noqa: BLE001  a lost database: the next beat may find it again
            log.warning("could not renew a lease: %s", type(error).__name__)


async def housekeeping(service: Service) -> Counter[str]:
    """Record and remove what is over by the clock; return how much of what went, by the kinds of `api.removals`.

    What cannot be done now, because the register or the stored releases are out of reach, keeps nothing else waiting.
    """
    await _tried(_put_away(service))
    await _tried(prune(service))
    async with service.database.read("") as connection:
        app_ids = await ledger.app_ids(connection)
    for app_id in app_ids:
        await _tried(leftovers.destroy(service, app_id, unknown=False))
    return await upkeep(service)


async def _put_away(service: Service) -> None:
    async with service.database.write("") as connection:
        await service.keyring.retire(connection, service.clock())
        await jobs.prune(connection, service.clock() - DONE_KEPT, BATCH)


async def _tried(chore: Awaitable[object]) -> None:
    try:
        await chore
    except Exception as error:  # noqa: BLE001  one chore's trouble is not the others'; the next round tries again
        log.warning("a part of the housekeeping failed: %s", type(error).__name__)
