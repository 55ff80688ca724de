"""Jobs: enqueued with their cause or not at all, leased to one worker, never ended by one that lost its lease."""

import asyncio

import pytest

from api import jobs
from api.jobs import FARTHEST, LEASE, SECOND, Job, LeaseLost
from api.service import Service
from api.tables import job as job_table
from tests.conftest import APP, OTHER_APP, Clock

KINDS = ("one", "two")


async def ask(
    service: Service, kind: str = "one", app_id: str = APP, about: str = "", due_at: int = 0
) -> str:
    """Ask for a job; its id."""
    async with service.database.write(app_id) as connection:
        return await jobs.enqueue(connection, app_id, kind, now=service.clock(), about=about, due_at=due_at)


async def lease(service: Service, *kinds: str) -> Job | None:
    """Take a job as a worker does."""
    async with service.database.write("") as connection:
        return await jobs.lease(connection, kinds or KINDS, service.clock())


async def must_lease(service: Service, *kinds: str) -> Job:
    """Take a job that has to be there."""
    held = await lease(service, *kinds)
    assert held is not None
    return held


async def found(service: Service, job_id: str) -> Job:
    """How a job stands."""
    async with service.database.read("") as connection:
        job = await jobs.find(connection, job_id)
    assert job is not None
    return job


async def test_a_job_is_there_exactly_when_its_cause_is(service: Service) -> None:
    """What is enqueued in a transaction that fails never was; what is enqueued in one that commits waits."""

    async def fails_after_asking() -> None:
        async with service.database.write(APP) as connection:
            await jobs.enqueue(connection, APP, "one", now=service.clock())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails_after_asking()
    assert await lease(service) is None
    job_id = await ask(service)
    assert (await must_lease(service)).job_id == job_id


async def test_who_asks_for_what_waits_gets_the_same_job(service: Service) -> None:
    """Jobs merge while they wait: the same app, kind and object; others, and one that runs, are jobs of their own."""
    first = await ask(service)
    assert await ask(service) == first
    others = {await ask(service, "two"), await ask(service, app_id=OTHER_APP), await ask(service, about="x")}
    assert len({first, *others}) == 4
    assert (await must_lease(service)).job_id == first
    assert await ask(service) != first


async def test_a_job_that_others_merged_into_is_not_taken_before_they_are_through(service: Service) -> None:
    """A worker sees what every transaction wrote that relies on its job."""
    job_id = await ask(service)
    async with service.database.write(APP) as connection:
        assert await jobs.enqueue(connection, APP, "one", now=service.clock()) == job_id
        taking = asyncio.create_task(lease(service))
        await asyncio.sleep(0.2)
        # SQLite lets the worker wait for its turn; PostgreSQL lets it pass the job by.
        assert not taking.done() or taking.result() is None
    if await taking is None:
        assert (await must_lease(service)).job_id == job_id


async def test_twenty_workers_at_once_take_each_job_once(service: Service) -> None:
    """However many ask at the same time, a job goes to one of them."""
    asked = {await ask(service, about=str(number)) for number in range(10)}
    taken = [job.job_id for job in await asyncio.gather(*(lease(service) for _ in range(20))) if job]
    while (more := await lease(service)) is not None:
        taken.append(more.job_id)
    assert sorted(taken) == sorted(asked)


async def test_the_oldest_goes_first_and_only_of_the_kinds_asked_for(service: Service) -> None:
    """Each lane takes its own kind, in the order in which it was asked for."""
    first, second, other = (
        await ask(service, about="a"),
        await ask(service, about="b"),
        await ask(service, "two"),
    )
    assert (await must_lease(service, "two")).job_id == other
    assert [(await must_lease(service)).job_id for _ in range(2)] == [first, second]


async def test_what_is_put_off_waits_until_then(service: Service, clock: Clock) -> None:
    """A job with a time is not due before it."""
    await ask(service, due_at=service.clock() + 60 * SECOND)
    assert await lease(service) is None
    clock.ahead += 61 * SECOND
    assert await lease(service) is not None


@pytest.mark.parametrize("way", ["confirm", "renew", "finish", "give_back", "fail"])
async def test_a_lost_lease_ends_nothing(service: Service, clock: Clock, way: str) -> None:
    """Whatever a worker that was taken over tries raises, and the job stays as the other worker has it."""
    await ask(service)
    lost = await must_lease(service)
    clock.ahead += LEASE + SECOND
    held = await must_lease(service)
    assert (held.job_id, held.fence) == (lost.job_id, lost.fence + 1)

    async def end(job: Job) -> None:
        async with service.database.write("") as connection:
            match way:
                case "confirm":
                    await jobs.confirm(connection, job)
                case "renew":
                    await jobs.renew(connection, job, service.clock())
                case "finish":
                    await jobs.finish(connection, job, "done", service.clock())
                case "give_back":
                    await jobs.give_back(connection, job)
                case _:
                    await jobs.fail(connection, job, "failed", None)

    with pytest.raises(LeaseLost):
        await end(lost)
    assert await found(service, held.job_id) == held
    await end(held)


async def test_a_lease_that_is_over_and_that_nobody_took_still_counts(service: Service, clock: Clock) -> None:
    """A worker that was slow, and not replaced, may end its job: its work was not done twice."""
    await ask(service)
    held = await must_lease(service)
    clock.ahead += LEASE + SECOND
    async with service.database.write("") as connection:
        await jobs.finish(connection, held, "done", service.clock())
    assert await lease(service) is None


async def test_what_is_given_back_is_taken_at_once_and_costs_no_try(service: Service) -> None:
    """A worker that stops leaves its job as though it had never taken it, but for the fence."""
    await ask(service)
    held = await must_lease(service)
    async with service.database.write("") as connection:
        await jobs.give_back(connection, held)
    again = await must_lease(service)
    assert (again.job_id, again.attempts, again.fence) == (held.job_id, 1, 2)


async def test_a_clock_that_is_set_back_keeps_no_job(service: Service, clock: Clock) -> None:
    """New jobs, a silent worker's job, and one that failed before the clock went back a year are all taken within a day."""
    await ask(service, about="silent")
    await ask(service, about="failed")
    await must_lease(service)
    failed = await must_lease(service)
    async with service.database.write("") as connection:
        await jobs.fail(connection, failed, "failed", service.clock() + 60 * SECOND)
    clock.forward(days=-365)
    await ask(service, about="new")
    assert sorted([(await must_lease(service)).about for _ in range(3)]) == ["failed", "new", "silent"]
    assert await lease(service) is None


async def test_a_skew_between_machines_takes_nobodys_job(service: Service, clock: Clock) -> None:
    """A worker whose clock is half a minute behind does not mistake a living worker's lease for an old one."""
    await ask(service)
    await must_lease(service)
    clock.ahead -= LEASE // 2
    assert await lease(service) is None


async def test_nothing_is_put_off_beyond_the_farthest(service: Service) -> None:
    """A job is due within a day whatever was asked, so that a later time can only be a clock's fault."""
    job_id = await ask(service, due_at=service.clock() + 30 * FARTHEST)
    assert (await found(service, job_id)).due_at <= service.clock() + FARTHEST


async def test_an_operator_sees_retries_and_drops(service: Service) -> None:
    """Dead jobs are listed, may be tried again with all their tries, and dropped; what is not dead is not dropped."""
    job_id = await ask(service)
    held = await must_lease(service)
    async with service.database.write("") as connection:
        assert not await jobs.drop(connection, job_id)
        assert not await jobs.retry(connection, job_id)
        await jobs.fail(connection, held, "OSError", None)
        assert [each.job_id for each in await jobs.jobs(connection, ["dead"], 10)] == [job_id]
        assert await jobs.figures(connection) == {("one", "dead"): (1, held.asked_at)}
        assert await jobs.retry(connection, job_id)
    again = await must_lease(service)
    assert (again.attempts, again.outcome) == (1, "OSError")
    async with service.database.write("") as connection:
        await jobs.fail(connection, again, "OSError", None)
        assert await jobs.drop(connection, job_id)
        assert await jobs.figures(connection) == {}


async def test_done_jobs_are_forgotten_in_batches(service: Service, clock: Clock) -> None:
    """What was done long ago goes, so many at a time; what waits or is dead stays."""
    for number in range(5):
        await ask(service, about=str(number))
        held = await must_lease(service)
        async with service.database.write("") as connection:
            await jobs.finish(connection, held, "done", service.clock())
    waits = await ask(service)
    clock.forward(days=1)
    async with service.database.write("") as connection:
        before = service.clock() - FARTHEST // 2
        assert [await jobs.prune(connection, before, 3) for _ in range(3)] == [3, 2, 0]
    assert (await found(service, waits)).status == "waiting"


def test_jobs_name_nobody() -> None:
    """There is no column in which a person could stand: what a job is about is the id of something else."""
    assert set(job_table.c.keys()) == set(Job.__dataclass_fields__)
    assert not {"subject_id", "user_hash", "user_id"} & set(job_table.c.keys())
