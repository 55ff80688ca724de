"""The worker: trainings are done once, by whoever lives; what fails is tried again and then left to be seen; what is over goes."""

import asyncio
import dataclasses
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from api import jobs, training, worker
from api.jobs import LEASE, SECOND, SILENT, TRAINING, UNLEARNING, Job, LeaseLost
from api.loading import release_url
from api.service import Service
from api.serving import environment
from api.training import train_app
from api.worker import CHANCES, KINDS, Kind, work_once
from recommender import registry
from recommender import release_files as releases
from tests.api import community
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, Clock

DAY_S = 86_400
ATTEMPTS = KINDS[TRAINING].attempts


def seconds(clock: Clock, number: float) -> None:
    """Let seconds pass."""
    clock.forward(days=number / DAY_S)


async def ask(service: Service) -> str:
    """Ask for a training; its id."""
    async with service.database.write(APP) as connection:
        return await training.ask(connection, APP, "asked", service.clock())


async def lease(service: Service, *kinds: str) -> Job | None:
    """Take a job as a worker does."""
    async with service.database.write("") as connection:
        return await jobs.lease(connection, kinds or KINDS, service.clock())


async def found(service: Service, job_id: str) -> Job:
    """How a job stands."""
    async with service.database.read("") as connection:
        job = await jobs.find(connection, job_id)
    assert job is not None
    return job


def put_in_the_way(service: Service) -> Path:
    """Make it impossible to store a release: a file where the folder should be."""
    path = Path(service.settings.releases_url)
    path.write_text("a file in the way", "utf-8")
    return path


async def until_done(service: Service, training_id: str) -> None:
    """Wait until a training is done."""
    async with asyncio.timeout(300):
        while (await found(service, training_id)).status != "done":  # noqa: ASYNC110  another process tells by the database
            await asyncio.sleep(0.05)


async def test_a_training_is_done_once(service: Service) -> None:
    """What was asked for twice while it waited is one training; when it is done, nothing waits."""
    first, second = await ask(service), await ask(service)
    assert first == second
    assert await work_once(service)
    assert not await work_once(service)
    done = await found(service, first)
    assert (done.status, done.outcome, done.attempts) == ("done", "not_enough_data", 1)


async def test_a_training_is_leased_to_one_worker(service: Service) -> None:
    """While one worker has it, another finds nothing."""
    await ask(service)
    assert await lease(service) is not None
    assert await lease(service) is None


async def test_a_silent_worker_is_replaced(service: Service, clock: Clock) -> None:
    """A training whose worker died is taken over when its lease is over, and not before."""
    training_id = await ask(service)
    assert await lease(service) is not None  # and then its process is gone
    seconds(clock, LEASE / SECOND - 5)
    assert not await work_once(service)
    seconds(clock, 10)
    assert await work_once(service)
    done = await found(service, training_id)
    assert (done.status, done.attempts) == ("done", 2)


async def test_a_lease_is_renewed_while_its_worker_lives(
    service: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that takes longer than a lease stays with its worker."""
    monkeypatch.setattr(worker, "BEATS", 3_000)
    await ask(service)
    job = await lease(service)
    assert job is not None
    seconds(clock, LEASE / SECOND - 5)
    working: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    beating = asyncio.create_task(worker._renew(service, job, working))
    await asyncio.sleep(0.3)
    beating.cancel()
    seconds(clock, 10)
    assert await lease(service) is None
    assert not working.cancelled()


async def test_work_stops_once_its_lease_is_lost(
    service: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another worker has taken a job over, the first one's work is ended, and the job stays the other's."""
    monkeypatch.setattr(worker, "BEATS", 3_000)
    job_id, ended = await ask(service), asyncio.Event()

    async def overtaken(_service: Service, _job: Job) -> str:
        seconds(clock, LEASE / SECOND + 1)
        assert await lease(service) is not None
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()
        return "never"

    assert await work_once(service, {TRAINING: Kind(overtaken)})
    assert ended.is_set()
    now = await found(service, job_id)
    assert (now.status, now.attempts, now.fence) == ("running", 2, 2)


async def test_a_worker_whose_lease_was_taken_over_promotes_nothing(service: Service, clock: Clock) -> None:
    """A training that comes back after another worker took it over leaves what is served as it is, and no file."""
    await community.settle_in(service)
    await ask(service)
    held = await lease(service)
    assert held is not None
    seconds(clock, LEASE / SECOND + 1)
    other = await lease(service)
    assert other is not None
    with pytest.raises(LeaseLost):
        await train_app(service, APP, held=held)
    async with service.database.read(APP) as connection:
        assert (await registry.find_model_state(connection, APP)).promoted is None
        (abandoned,) = await registry.releases(connection, APP)
    assert abandoned.status == "destroyed"
    assert releases.stored(release_url(service.settings.releases_url, APP, "")) == []
    assert (await train_app(service, APP, held=other)).status == "promoted"


async def test_a_failed_training_is_tried_again_later_and_then_left_dead(
    service: Service, clock: Clock
) -> None:
    """After a failure a job waits for a while; after the last try it stays as a row that says why."""
    await community.settle_in(service, 24)
    put_in_the_way(service)
    job_id = await ask(service)
    for attempt in range(1, ATTEMPTS):
        assert await work_once(service)
        tried = await found(service, job_id)
        assert (tried.status, tried.attempts) == ("waiting", attempt)
        assert not await work_once(service)
        clock.ahead += tried.due_at - service.clock()
    assert await work_once(service)
    dead = await found(service, job_id)
    assert (dead.status, dead.attempts) == ("dead", ATTEMPTS)
    assert dead.outcome in {"FileExistsError", "NotADirectoryError"}
    seconds(clock, DAY_S)
    assert not await work_once(service)


def test_waits_double_with_jitter_up_to_a_longest() -> None:
    """Each wait is between half and all of twice the one before, at most the longest; after the last try there is none."""
    kind, chance = Kind(KINDS[TRAINING].do, attempts=9, wait_s=5, longest_wait_s=60), random.Random(1)
    for attempt, full in enumerate((5, 10, 20, 40, 60, 60, 60, 60), start=1):
        job = Job("j", APP, TRAINING, "", "asked", "running", 0, 0, attempt, 1, None)
        waits = [kind.again_at(job, 0, chance) or 0 for _ in range(200)]
        assert full / 2 * SECOND <= min(waits) < 0.6 * full * SECOND
        assert 0.9 * full * SECOND < max(waits) <= full * SECOND
    last = Job("j", APP, TRAINING, "", "asked", "running", 0, 0, 9, 1, None)
    assert kind.again_at(last, 0, chance) is None


async def test_once_the_cause_is_gone_a_new_training_succeeds(service: Service, clock: Clock) -> None:
    """A failed try leaves nothing behind that keeps the next from succeeding."""
    await community.settle_in(service)
    in_the_way = put_in_the_way(service)
    job_id = await ask(service)
    assert await work_once(service)
    await asyncio.to_thread(in_the_way.unlink)
    seconds(clock, 6)
    assert await work_once(service)
    done = await found(service, job_id)
    assert (done.status, done.outcome, done.attempts) == ("done", "promoted", 2)


async def test_a_training_that_kills_its_workers_is_left_dead(service: Service, clock: Clock) -> None:
    """When worker after worker fell silent over it, it is not tried for ever, and an operator sees why."""
    job_id = await ask(service)
    for _ in range(KINDS[TRAINING].silences):
        assert await lease(service) is not None
        seconds(clock, LEASE / SECOND + 1)
    assert not await work_once(service)
    dead = await found(service, job_id)
    assert (dead.status, dead.outcome) == ("dead", SILENT)
    seconds(clock, DAY_S)
    assert not await work_once(service)


async def test_workers_that_were_killed_do_not_use_up_the_tries_of_a_training(
    service: Service, clock: Clock
) -> None:
    """Killed as often as it may fail by itself, a training is put off for longer and longer, says why, and is done in the end."""
    job_id, waited = await ask(service), list[int]()
    for killed in range(1, ATTEMPTS + 1):
        assert await lease(service) is not None  # and its process is killed
        seconds(clock, LEASE / SECOND + 1)
        if killed > CHANCES:
            assert not await work_once(service)
            put_off = await found(service, job_id)
            assert (put_off.status, put_off.outcome) == ("waiting", SILENT)
            waited.append(put_off.due_at - service.clock())
            clock.ahead += waited[-1]
    assert waited == sorted(waited)
    assert waited[-1] > 4 * waited[0] > 0
    assert await work_once(service)
    assert (await found(service, job_id)).status == "done"


async def test_what_an_erasure_waits_for_is_never_given_up(service: Service, clock: Clock) -> None:
    """However often unlearning fails, or its workers are killed, it is tried again within the hour."""
    await community.settle_in(service, 24)
    await community.train(service)
    async with service.database.write(APP) as connection:
        await registry.unlearn(connection, APP, [service.pseudonyms.user(APP, "simulated-0")])
        job_id = await training.ask_to_unlearn(connection, APP, "erasure", service.clock())
    fails = {UNLEARNING: dataclasses.replace(KINDS[UNLEARNING], do=failing)}
    for number in range(6 * ATTEMPTS):
        if number % 2:
            assert await work_once(service, fails)
        else:
            assert await lease(service, UNLEARNING) is not None  # and its process is killed
            seconds(clock, LEASE / SECOND + 1)
            await work_once(service, fails)
        waits = await found(service, job_id)
        assert waits.status == "waiting"
        assert waits.due_at - service.clock() <= 3600 * SECOND
        clock.ahead += max(0, waits.due_at - service.clock())
    assert await work_once(service)
    assert (await found(service, job_id)).status == "done"


async def failing(_service: Service, _job: Job) -> str:
    """What never works."""
    raise OSError


async def test_a_job_under_way_is_given_back_when_its_worker_stops(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is told to stop waits shortly; what is not finished by then waits for the next worker, at once, with every try left."""
    monkeypatch.setattr(worker, "GRACE_S", 0.05)
    begun, stop = asyncio.Event(), asyncio.Event()

    async def endless(_service: Service, _job: Job) -> str:
        begun.set()
        await asyncio.sleep(60)
        return "never"

    monkeypatch.setattr(worker, "KINDS", {TRAINING: Kind(endless)})
    job_id = await ask(service)
    running = asyncio.create_task(worker.run(service, stop, poll_s=0.01))
    await begun.wait()
    stop.set()
    await asyncio.wait_for(running, 90)
    back = await found(service, job_id)
    assert (back.status, back.attempts, back.due_at) == ("waiting", 0, 0)
    assert await lease(service) is not None


async def test_the_worker_stops_when_told(service: Service) -> None:
    """It does what waits, tidies up, and ends."""
    training_id, stop = await ask(service), asyncio.Event()
    running = asyncio.create_task(worker.run(service, stop, poll_s=0.01))
    await until_done(service, training_id)
    stop.set()
    await asyncio.wait_for(running, 90)


@ON_SQLITE
async def test_a_real_worker_trains_and_stops(service: Service) -> None:
    """`assent worker` as a process of its own takes what is queued, promotes the release, and ends at SIGTERM."""
    await community.settle_in(service)
    training_id = await ask(service)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api.cli", "worker", env={**os.environ, **environment(service.settings)}
    )
    try:
        await until_done(service, training_id)
        assert process.returncode is None
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 90) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    async with service.database.read(APP) as connection:
        promoted = (await registry.find_model_state(connection, APP)).promoted
    assert (Path(release_url(service.settings.releases_url, APP, str(promoted))) / "manifest.json").is_file()
