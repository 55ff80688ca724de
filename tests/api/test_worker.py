"""The worker: trainings are done once, by whoever lives; what fails is tried again and then left to be seen; what is over goes."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from api import worker
from api.models import release_url
from api.service import Service
from api.serving import environment
from api.worker import ATTEMPTS, LEASE, SECOND, housekeeping, work_once
from recommender import registry
from recommender.registry import Training
from tests.api import community, witness
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, NOTICE, Caller, Clock, event

DAY_S = 86_400


def seconds(clock: Clock, number: float) -> None:
    """Let seconds pass."""
    clock.forward(days=number / DAY_S)


async def ask(service: Service) -> str:
    """Ask for a training; its id."""
    async with service.database.write(APP) as connection:
        return await registry.ask_training(connection, APP, "asked", service.clock())


async def lease(service: Service) -> Training | None:
    """Take a training as a worker does."""
    async with service.database.write("") as connection:
        return await registry.lease_training(connection, service.clock(), LEASE)


async def found(service: Service, training_id: str) -> Training:
    """How a training stands."""
    async with service.database.read(APP) as connection:
        training = await registry.find_training(connection, APP, training_id)
    assert training is not None
    return training


def put_in_the_way(service: Service) -> Path:
    """Make it impossible to store a release: a file where the folder should be."""
    path = Path(service.settings.releases_url)
    path.write_text("a file in the way", "utf-8")
    return path


async def until_done(service: Service, training_id: str) -> None:
    """Wait until a training is done."""
    async with asyncio.timeout(60):
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
    """A training that takes longer than a lease stays with its worker."""
    monkeypatch.setattr(worker, "HEARTBEAT_S", 0.01)
    await ask(service)
    job = await lease(service)
    assert job is not None
    seconds(clock, LEASE / SECOND - 5)
    beating = asyncio.create_task(worker._renew(service, job))
    await asyncio.sleep(0.3)
    beating.cancel()
    seconds(clock, 10)
    assert await lease(service) is None


async def test_a_failed_training_is_tried_again_later_and_then_left_dead(
    service: Service, clock: Clock
) -> None:
    """Each try waits twice as long as the last; after the last, the training stays as a row that says why."""
    await community.settle_in(service)
    put_in_the_way(service)
    training_id = await ask(service)
    for attempt in range(1, ATTEMPTS):
        assert await work_once(service)
        tried = await found(service, training_id)
        assert (tried.status, tried.attempts) == ("waiting", attempt)
        seconds(clock, 2**attempt - 1.5)
        assert not await work_once(service)
        seconds(clock, 2)
    assert await work_once(service)
    dead = await found(service, training_id)
    assert (dead.status, dead.attempts) == ("dead", ATTEMPTS)
    assert dead.outcome in {"FileExistsError", "NotADirectoryError"}
    seconds(clock, DAY_S)
    assert not await work_once(service)


async def test_once_the_cause_is_gone_a_new_training_succeeds(service: Service, clock: Clock) -> None:
    """A failed try leaves nothing behind that keeps the next from succeeding."""
    await community.settle_in(service)
    in_the_way = put_in_the_way(service)
    training_id = await ask(service)
    assert await work_once(service)
    await asyncio.to_thread(in_the_way.unlink)
    seconds(clock, 3)
    assert await work_once(service)
    done = await found(service, training_id)
    assert (done.status, done.outcome, done.attempts) == ("done", "promoted", 2)


async def test_a_training_that_kills_its_workers_is_left_dead(service: Service, clock: Clock) -> None:
    """When worker after worker fell silent over it, it is not tried for ever."""
    training_id = await ask(service)
    for _ in range(ATTEMPTS):
        assert await lease(service) is not None
        seconds(clock, LEASE / SECOND + 1)
    assert await work_once(service)
    dead = await found(service, training_id)
    assert (dead.status, dead.outcome) == ("dead", "its workers fell silent")


async def test_housekeeping_removes_what_consent_no_longer_covers(
    service: Service, client: Caller, clock: Clock, database_url: str
) -> None:
    """Events go when the last grant of their signal expires, and when they were kept as long as their signal allows."""
    await client.consent("u1", "views", "impressions")
    await client.events(event("u1", "views", "box-breathing"), event("u1", "impressions", "body-scan"))
    assert await housekeeping(service) == 0
    clock.forward(days=91)  # impressions are kept for ninety days
    assert await housekeeping(service) == 1
    assert [row["signal"] for row in (await witness.everything(database_url))["event"]] == ["views"]
    clock.forward(days=275)  # the grant was for a year
    assert await housekeeping(service) == 1
    assert (await witness.everything(database_url))["event"] == []


async def test_housekeeping_leaves_what_is_renewed(service: Service, client: Caller, clock: Clock) -> None:
    """An event whose grant was renewed stays until its own time is over."""
    await client.consent("u1", "views")
    clock.forward(days=200)
    await client.consent("u1", "views")
    await client.events(event("u1", "views", "box-breathing"))
    clock.forward(days=200)
    assert await housekeeping(service) == 0


async def test_housekeeping_forgets_answers_kept_for_retries(
    service: Service, client: Caller, clock: Clock, database_url: str
) -> None:
    """An answer under an Idempotency-Key is kept for a day."""
    body = {
        "changes": [{"signal": "views", "purpose": "personalise", "state": "given"}],
        "notice_version": NOTICE,
        "locale": "en",
        "method": "test",
    }
    await client.http.put("/v1/users/u1/consents", json=body, headers={"Idempotency-Key": "k"})
    assert await housekeeping(service) == 0
    clock.forward(days=1.01)
    assert await housekeeping(service) == 1
    assert (await witness.everything(database_url))["idempotent_answer"] == []


async def test_the_worker_stops_when_told(service: Service) -> None:
    """It does what waits, tidies up, and ends."""
    training_id, stop = await ask(service), asyncio.Event()
    running = asyncio.create_task(worker.run(service, stop, poll_s=0.01))
    await until_done(service, training_id)
    stop.set()
    await asyncio.wait_for(running, 20)


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
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    async with service.database.read(APP) as connection:
        promoted = (await registry.find_model_state(connection, APP)).promoted
    assert (Path(release_url(service.settings.releases_url, APP, str(promoted))) / "manifest.json").is_file()
