"""Files of releases that a crash, a slow training or a restore left behind: none outlives whoever it learned from."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from api.loading import release_url
from api.service import Service
from api.worker import housekeeping, work_once
from recommender import registry
from recommender import release_files as releases
from recommender.registry import ReleaseRecord
from tests.api.full import live_fully
from tests.api.test_erasure_steps import found, has_done, leave, pretend_release
from tests.api.test_erasure_steps import write_files as files
from tests.api.witness import ON_SQLITE
from tests.api.working import work_all, work_until
from tests.conftest import APP, Caller, Clock

LEASE_S = 3600.0
"""A lease that is not over by itself while an erasure comes to its last steps."""


def stored(service: Service) -> set[str]:
    """The releases of which something is stored."""
    return set(releases.stored(release_url(service.settings.releases_url, APP, "")))


async def storing(service: Service, name: str) -> Path:
    """Be a training that has begun to store what it learned."""
    record = ReleaseRecord(name, "storing", "0" * 64, 0, {}, service.clock(), None)
    async with service.database.write(APP) as connection:
        await registry.begin_reading(connection, APP, service.clock())
        await registry.add_release(connection, APP, record)
    return files(service, name)


@ON_SQLITE
async def test_what_was_to_be_destroyed_before_a_crash_goes_with_the_next_round(service: Service) -> None:
    """A worker destroys the files of releases that its database calls destroyed, and leaves all others alone, unknown ones too."""
    await pretend_release(service, "served")
    await pretend_release(service, "thinned-out")
    async with service.database.write(APP) as connection:
        await registry.set_release_status(connection, APP, "thinned-out", "destroyed")  # and then a kill
    files(service, "of-another-database")
    await storing(service, "under-way")
    await housekeeping(service)
    assert stored(service) == {"served", "under-way", "of-another-database"}


async def test_an_erasure_destroys_what_a_restored_database_does_not_know(
    service: Service, client: Caller, clock: Clock
) -> None:
    """After a backup was put back, with which the database forgot a release, that one goes with the next who is unlearned."""
    await live_fully(service, client, "u1")
    await pretend_release(service, "known")
    files(service, "forgotten")
    await leave(client, "u1")
    await work_all(service, clock)
    assert stored(service) == set()


@pytest.mark.parametrize("goes_on", [True, False])
async def test_an_erasure_waits_for_a_training_that_is_being_stored(
    service: Service, client: Caller, clock: Clock, *, goes_on: bool
) -> None:
    """While a training may still be writing what it learned from who left, their erasure is not complete; then nothing of it is left.

    One that goes on finds that it was overtaken; of one that died nothing is heard for a lease.
    """
    settings = service.settings.model_copy(update={"job_lease_s": LEASE_S})
    patient = dataclasses.replace(service, settings=settings)
    await live_fully(service, client, "u1")
    folder = await storing(service, "under-way")
    erasure_id = await leave(client, "u1")
    await work_until(patient, clock, lambda: has_done(client, erasure_id, "let_go"))
    clock.forward(days=LEASE_S / 4 / 86_400)
    while await work_once(patient):
        pass
    pending = await found(client, erasure_id)
    assert (pending["status"] == "completed", "destroyed" in pending["steps"]) == (False, False), pending
    assert stored(service) == {"under-way"}
    if goes_on:
        async with service.database.write(APP) as connection:
            await registry.set_release_status(connection, APP, "under-way", "overtaken")
        await asyncio.to_thread(releases.delete, str(folder))
    clock.forward(days=LEASE_S / 86_400)
    await work_all(patient, clock)
    assert (await found(client, erasure_id))["status"] == "completed"
    assert stored(service) == set()
