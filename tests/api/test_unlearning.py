"""Unlearning: an erasure trains the shard of the person who left, and no other; the release is one that never knew them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api import administration, jobs
from api.jobs import UNLEARNING
from api.loading import release_url
from api.service import Service
from api.training import Outcome, train_app, unlearn_app
from consent.ledger import Choice
from consent.purposes import Purpose
from recommender import registry, store
from recommender import release_files as releases
from recommender.exchange import shipped
from recommender.parts import bucket_of, shard_of
from recommender.release import Manifest
from tests.api import community
from tests.api.test_training import choose, erase, folders, known, state, use
from tests.api.witness import ON_SQLITE
from tests.api.working import work_all
from tests.conftest import APP, Clock, settings_for

SHARDS = 4
LEAVER = "simulated-5"


@pytest.fixture
async def sharded(database_url: str, tmp_path: Path, clock: Clock) -> AsyncIterator[Service]:
    """A service of an app whose people are parted into four shards."""
    settings = settings_for(database_url, tmp_path, training_shards=SHARDS)
    made = Service.create(settings, clock=clock)
    await administration.ensure_app(made, APP, "Harbour")
    await administration.import_catalog(made, APP, shipped())
    await community.settle_in(made)
    yield made
    await made.close()


def manifest(service: Service, release_id: str | None) -> Manifest:
    """What is known of a release."""
    return releases.load_manifest(release_url(service.settings.releases_url, APP, str(release_id)))


async def served(service: Service) -> str:
    """The release that is served."""
    return str((await state(service)).promoted)


def shard(service: Service, user_id: str) -> int:
    """The shard of a person."""
    return shard_of(bucket_of(service.pseudonyms.user(APP, user_id)), SHARDS)


async def unlearn(service: Service) -> Outcome:
    """Do what was asked for, and tell how it ended."""
    outcomes: list[Outcome] = []
    async with service.database.write("") as connection:
        job = await jobs.lease(connection, [UNLEARNING], service.clock())
    assert job is not None
    outcomes.append(await unlearn_app(service, APP, held=job))
    async with service.database.write("") as connection:
        await jobs.finish(connection, job, outcomes[0].status, service.clock())
    return outcomes[0]


async def test_an_erasure_trains_the_leavers_shard_alone(sharded: Service) -> None:
    """The other shards keep their bytes, and training from the beginning in the world without the person gives the same."""
    assert (await train_app(sharded, APP)).status == "promoted"
    before = manifest(sharded, await served(sharded))
    await erase(sharded, LEAVER)
    outcome = await unlearn(sharded)
    assert outcome.status == "promoted"
    assert outcome.trained == {shard(sharded, LEAVER)}
    after = manifest(sharded, await served(sharded))
    changed = {
        number
        for number, (one, other) in enumerate(zip(before.shards, after.shards, strict=True))
        if one.digest != other.digest
    }
    assert changed == {shard(sharded, LEAVER)}
    afresh = manifest(sharded, (await train_app(sharded, APP)).release_id)
    assert after.digest == afresh.digest
    assert after.shards == afresh.shards
    assert folders(sharded) >= {await served(sharded)}


async def test_withdrawing_improve_trains_that_persons_shard_alone(sharded: Service) -> None:
    """The person stays, with what they see for themselves; the model is as if they had never agreed."""
    await train_app(sharded, APP)
    await choose(sharded, LEAVER, (Purpose.IMPROVE, Choice.WITHDRAWN))
    outcome = await unlearn(sharded)
    assert outcome.trained == {shard(sharded, LEAVER)}
    after = manifest(sharded, outcome.release_id)
    assert after.digest == manifest(sharded, (await train_app(sharded, APP)).release_id).digest


async def test_withdrawing_one_signal_takes_what_was_learned_from_it_alone(sharded: Service) -> None:
    """The person's other signal goes on being learned from; the release is that of a world where this one was never shared."""
    await use(sharded, LEAVER, ("box-breathing", 1), ("body-scan", 2), signal="saves")
    await train_app(sharded, APP)
    before = manifest(sharded, await served(sharded))
    await choose(sharded, LEAVER, (Purpose.IMPROVE, Choice.WITHDRAWN), signal="saves")
    outcome = await unlearn(sharded)
    mine = shard(sharded, LEAVER)
    assert outcome.trained == {mine}
    after = manifest(sharded, outcome.release_id)
    assert after.shards[:mine] + after.shards[mine + 1 :] == before.shards[:mine] + before.shards[mine + 1 :]
    assert after.shards[mine].people == before.shards[mine].people
    assert after.shards[mine].events == before.shards[mine].events - 2
    afresh = manifest(sharded, (await train_app(sharded, APP)).release_id)
    assert (after.digest, after.shards) == (afresh.digest, afresh.shards)


@ON_SQLITE
async def test_withdrawing_a_signal_that_taught_nothing_trains_nothing(sharded: Service) -> None:
    """Granted and never used, it is in no training row: the shard is looked at, found as it was, and kept."""
    given = [(purpose, Choice.GIVEN) for purpose in (Purpose.PERSONALISE, Purpose.IMPROVE)]
    await choose(sharded, LEAVER, *given, signal="saves")
    await train_app(sharded, APP)
    before = manifest(sharded, await served(sharded))
    await choose(sharded, LEAVER, (Purpose.IMPROVE, Choice.WITHDRAWN), signal="saves")
    outcome = await unlearn(sharded)
    assert (outcome.status, outcome.trained) == ("promoted", frozenset())
    assert manifest(sharded, outcome.release_id).shards == before.shards


async def test_what_happens_meanwhile_is_left_to_the_next_training(sharded: Service) -> None:
    """Events and grants that came after the training change no shard when somebody else leaves."""
    await train_app(sharded, APP)
    before = manifest(sharded, await served(sharded))
    for number in range(8):
        await use(sharded, f"newcomer-{number}", ("box-breathing", 1), ("body-scan", 2))
    await erase(sharded, LEAVER)
    outcome = await unlearn(sharded)
    after = manifest(sharded, outcome.release_id)
    mine = shard(sharded, LEAVER)
    kept = [each for number, each in enumerate(before.shards) if number != mine]
    assert kept == [each for number, each in enumerate(after.shards) if number != mine]
    assert after.read_until == before.read_until
    assert after.people == before.people - 1


async def test_erasures_that_arrive_together_are_served_by_one_training(
    sharded: Service, clock: Clock
) -> None:
    """Several people leave; one piece of work trains their shards, each once, and completes every erasure."""
    await train_app(sharded, APP)
    leavers = ["simulated-5", "simulated-9", "simulated-13"]
    erasures = [await erase(sharded, user_id) for user_id in leavers]
    outcome = await unlearn(sharded)
    assert outcome.trained == {shard(sharded, user_id) for user_id in leavers}
    await work_all(sharded, clock)
    assert await served(sharded) == outcome.release_id
    async with sharded.database.read(APP) as connection:
        assert await registry.overtaken(connection, APP, 0) == []
    assert len(erasures) == 3
    assert folders(sharded) == {outcome.release_id}


@ON_SQLITE
async def test_who_was_never_learned_from_costs_no_training(sharded: Service) -> None:
    """Somebody who agreed, but of whom no event was there at the training, is forgotten without training a shard.

    Who agreed only after it began has nothing to be forgotten: what is served stays.
    """
    agreed = [(purpose, Choice.GIVEN) for purpose in (Purpose.PERSONALISE, Purpose.IMPROVE)]
    await choose(sharded, "silent", *agreed)
    await train_app(sharded, APP)
    digest = manifest(sharded, await served(sharded)).digest
    await use(sharded, "newcomer", ("box-breathing", 1), ("body-scan", 2))
    await erase(sharded, "newcomer")
    assert (await unlearn_app(sharded, APP)).status == "nothing_to_unlearn"
    await use(sharded, "silent", ("box-breathing", 1), ("body-scan", 2))
    await erase(sharded, "silent")
    outcome = await unlearn(sharded)
    assert (outcome.status, outcome.trained) == ("promoted", frozenset())
    assert manifest(sharded, outcome.release_id).digest == digest


@ON_SQLITE
async def test_a_release_that_cannot_be_put_right_is_trained_from_the_beginning(sharded: Service) -> None:
    """Without its files the served release cannot be put right: the model is trained anew, without whoever left."""
    first = await train_app(sharded, APP)
    await erase(sharded, LEAVER)
    releases.delete(release_url(sharded.settings.releases_url, APP, str(first.release_id)))
    outcome = await unlearn(sharded)
    assert (outcome.status, outcome.trained) == ("promoted", frozenset(range(SHARDS)))


@ON_SQLITE
async def test_other_settings_or_another_catalogue_do_not_touch_what_is_put_right(
    sharded: Service, tmp_path: Path
) -> None:
    """A release is put right with the settings and the catalogue that it was made with, also when both changed since."""
    await train_app(sharded, APP)
    before = manifest(sharded, await served(sharded))
    settings = sharded.settings.model_copy(update={"training_shards": 2, "training_seed": 9})
    async with sharded.database.write(APP) as connection:
        await store.delete_resource(connection, APP, shipped()[0].id)
    await erase(sharded, LEAVER)
    other = Service.create(settings, clock=sharded.clock)
    outcome = await unlearn(other)
    await other.close()
    after = manifest(sharded, outcome.release_id)
    assert outcome.trained == {shard(sharded, LEAVER)}
    assert (after.config, after.features_digest) == (before.config, before.features_digest)
    assert str((await known(sharded))[str(outcome.release_id)].status) == "promoted"
