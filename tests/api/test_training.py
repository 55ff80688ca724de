"""Training an app's model: what is promoted, what is thrown away, and that nobody who left is in what is served."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from api import administration, erasing, people, training
from api.database import INGEST
from api.loading import release_url
from api.service import Service
from api.training import Outcome, train_app
from consent.changes import Request
from consent.ledger import Change, Choice
from consent.purposes import Purpose
from recommender import events, registry
from recommender import release_files as releases
from recommender.events import Incoming
from recommender.exchange import shipped
from recommender.registry import ModelState, ReleaseRecord
from tests.api import community
from tests.api.witness import ON_SQLITE
from tests.api.working import work_all
from tests.conftest import APP, NOTICE, Caller, Clock, fresh_database, settings_for

HOUR = 3_600_000_000
START = 1_790_000_000_000_000


async def use(
    service: Service, user_id: str, *used: tuple[str, int], improve: bool = True, signal: str = "views"
) -> None:
    """Let a person share a signal, and use resources in that way, each at an hour after the start."""
    purposes = [Purpose.PERSONALISE, *([Purpose.IMPROVE] if improve else [])]
    await choose(service, user_id, *((purpose, Choice.GIVEN) for purpose in purposes), signal=signal)
    user_hash = service.pseudonyms.user(APP, user_id)
    batch = [
        Incoming(
            f"{user_id}-{signal}-{resource}-{hour}",
            user_hash,
            signal,
            resource,
            None,
            None,
            START + hour * HOUR,
        )
        for resource, hour in used
    ]
    async with service.database.write(APP, INGEST) as connection:
        outcomes = await events.ingest(connection, APP, batch, now=service.clock(), notices=service.notices)
    assert {outcome.status for outcome in outcomes} == {events.Status.ACCEPTED}


async def choose(
    service: Service, user_id: str, *choices: tuple[Purpose, Choice], signal: str = "views"
) -> None:
    """Let a person choose what a signal of theirs may be used for."""
    request = Request([Change(signal, purpose, choice) for purpose, choice in choices], NOTICE, "en", "test")
    async with service.database.write(APP) as connection:
        await people.change(service, connection, APP, service.pseudonyms.user(APP, user_id), request)


async def erase(service: Service, user_id: str) -> str:
    """Erase a person; the id of the erasure."""
    async with service.database.write(APP) as connection:
        done = await erasing.erase(service, connection, APP, service.pseudonyms.user(APP, user_id))
    return done.erasure_id


async def state(service: Service) -> ModelState:
    """Where the app's model stands."""
    async with service.database.read(APP) as connection:
        return await registry.find_model_state(connection, APP)


async def known(service: Service) -> dict[str, ReleaseRecord]:
    """Every release by its id."""
    async with service.database.read(APP) as connection:
        return {each.release_id: each for each in await registry.releases(connection, APP)}


def folders(service: Service) -> set[str]:
    """The releases of which there are files."""
    folder = Path(service.settings.releases_url) / APP
    return {each.name for each in folder.iterdir()} if folder.is_dir() else set()


async def digest(service: Service, outcome: Outcome) -> str:
    """The digest of the release that a training made."""
    assert outcome.release_id is not None
    return (await known(service))[outcome.release_id].digest


async def test_a_model_that_beats_popularity_is_promoted(service: Service) -> None:
    """People with tastes are learned from; the release is recorded with its figures, stored, and served."""
    await community.settle_in(service)
    outcome = await train_app(service, APP)
    assert outcome.status == "promoted"
    assert outcome.holdout is not None
    assert outcome.holdout.ndcg > outcome.holdout.popularity_ndcg
    record = (await known(service))[str(outcome.release_id)]
    assert record.status == "promoted"
    assert record.metrics["ndcg@10"] == outcome.holdout.ndcg
    assert (await state(service)).promoted == outcome.release_id
    assert folders(service) == {outcome.release_id}


async def test_a_model_that_popularity_matches_is_rejected(service: Service) -> None:
    """Where all of the last fifth goes to what is most popular already, no model can do better, and none is served."""
    others = [each.id for each in shipped() if each.id != "box-breathing"]
    for number in range(24):
        own = [(others[number], number), *([(others[24 + number], 30 + number)] if number < 12 else [])]
        known_by = 40 if number < 12 else 400
        await use(service, f"u{number}", *own, ("box-breathing", known_by + number))
    outcome = await train_app(service, APP)
    assert outcome.holdout is not None
    assert outcome.holdout.popularity_ndcg == 1.0
    assert outcome.status == "rejected"
    assert (await known(service))[str(outcome.release_id)].status == "rejected"
    assert (await state(service)).promoted is None


@ON_SQLITE
async def test_a_release_that_falls_behind_the_one_before_is_rejected(service: Service, clock: Clock) -> None:
    """The former serves on; once somebody has left, what learned from them is no measure, and beating popularity is enough."""
    await community.settle_in(service)
    former = await train_app(service, APP)
    scattered = service.settings.model_copy(update={"training_shards": 40})
    other = Service.create(scattered, clock=clock)
    behind = await train_app(other, APP)
    assert behind.holdout is not None
    assert behind.holdout.former_ndcg == pytest.approx(former.holdout.ndcg if former.holdout else None)
    assert behind.holdout.ndcg > behind.holdout.popularity_ndcg
    assert behind.status == "rejected"
    assert (await known(service))[str(behind.release_id)].metrics["former_ndcg@10"] > 0
    assert (await state(service)).promoted == former.release_id
    await erase(service, "simulated-3")
    without = await train_app(other, APP)
    await other.close()
    assert without.holdout is not None
    assert without.holdout.former_ndcg is None
    assert without.status == "promoted"


async def test_too_little_data_makes_no_model(service: Service, client: Caller) -> None:
    """One person is nothing to learn from: no release, and the editors' list goes on."""
    await use(service, "u1", ("box-breathing", 1), ("body-scan", 2))
    assert (await train_app(service, APP)).status == "not_enough_data"
    assert await known(service) == {}
    await service.models.refresh()
    assert (await client.recommend("u1"))["strategy"] == "editorial"


async def test_what_is_not_granted_to_improve_is_not_learned_from(service: Service) -> None:
    """A grant to personalise alone brings nobody into the training."""
    for number in range(20):
        await use(
            service, f"u{number}", ("box-breathing", number), ("body-scan", 100 + number), improve=False
        )
    assert (await train_app(service, APP)).status == "not_enough_data"


async def test_training_again_gives_the_same_release(service: Service) -> None:
    """Two trainings on the same database give the same bytes under two names; the latter is served."""
    await community.settle_in(service)
    first, second = await train_app(service, APP), await train_app(service, APP)
    assert await digest(service, first) == await digest(service, second)
    assert first.release_id != second.release_id
    assert (await state(service)).promoted == second.release_id
    assert (await known(service))[str(first.release_id)].status == "retired"


HISTORIES: Sequence[tuple[str, tuple[tuple[str, int], ...]]] = tuple(
    (f"u{number}", tuple((name, 10 * place + number) for place, name in enumerate(path)))
    for number, path in enumerate(
        [("box-breathing", "body-scan", "worry-time"), ("body-scan", "worry-time", "box-breathing")] * 6
    )
)


@ON_SQLITE
async def test_a_resource_that_cannot_be_read_keeps_nobody_from_being_unlearned(service: Service) -> None:
    """A training leaves it out, and what people did with it; everything else is learned from."""
    await community.settle_in(service)
    spoiled = shipped()[0].id
    async with service.database.write(APP) as connection:
        statement = "UPDATE resource SET body = 'not json' WHERE resource_id = :id"
        await connection.execute(text(statement), {"id": spoiled})
    outcome = await train_app(service, APP)
    assert outcome.release_id is not None
    path = release_url(service.settings.releases_url, APP, outcome.release_id)
    names = (await asyncio.to_thread(releases.load, path)).features.resources
    assert spoiled not in names
    assert set(names) == {each.id for each in shipped()} - {spoiled}


@ON_SQLITE
async def test_the_order_in_which_people_came_changes_nothing(
    service: Service, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The same people in another order, in another database, under the same secret, give the same release."""
    for user_id, used in HISTORIES:
        await use(service, user_id, *used)
    (tmp_path / "other").mkdir()
    async with fresh_database("sqlite", tmp_path / "other", request) as url:
        other = Service.create(settings_for(url, tmp_path / "other"))
        await administration.ensure_app(other, APP, "Harbour")
        await administration.import_catalog(other, APP, shipped())
        for user_id, used in reversed(HISTORIES):
            await use(other, user_id, *reversed(used))
        there = await digest(other, await train_app(other, APP))
        await other.close()
    assert await digest(service, await train_app(service, APP)) == there


async def test_an_erasure_during_training_overtakes_it(service: Service, clock: Clock) -> None:
    """A release that learned from somebody who left meanwhile is never served, leaves no file, and is trained anew."""
    await community.settle_in(service)
    loop = asyncio.get_running_loop()
    erasures: list[str] = []

    def leave(_step: str, part: float) -> None:
        if part > 0.5 and not erasures:  # in the thread that trains
            erasures.append(asyncio.run_coroutine_threadsafe(erase(service, "simulated-3"), loop).result(30))

    outcome = await train_app(service, APP, leave)
    assert len(erasures) == 1
    assert outcome.status == "overtaken"
    assert (await state(service)).promoted is None
    assert folders(service) == set()
    assert {each.status for each in (await known(service)).values()} <= {"overtaken", "destroyed"}
    assert await work_all(service, clock)
    promoted = (await known(service))[str((await state(service)).promoted)]
    assert promoted.unlearn_epoch == 1
    assert folders(service) == {promoted.release_id}


async def test_a_training_that_dies_before_it_decides_leaves_nothing_for_good(
    service: Service, clock: Clock
) -> None:
    """Files of a training whose process died after storing them go when somebody who is in them leaves."""
    await community.settle_in(service)
    first = await train_app(service, APP)

    def refuse(connection: object, app_id: str, record: ReleaseRecord, now: int) -> bool:
        raise ConnectionResetError

    async def gone(*_: object) -> None:
        """The process is gone: it tidies nothing up."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "promote", refuse)
        patch.setattr(training, "_abandon", gone)
        with pytest.raises(ConnectionResetError):
            await train_app(service, APP)
    assert len(folders(service)) == 2
    await erase(service, "simulated-3")
    assert await work_all(service, clock)
    promoted = (await state(service)).promoted
    assert promoted != first.release_id
    assert folders(service) == {promoted}


async def test_withdrawing_improve_retrains_without_the_person(service: Service, clock: Clock) -> None:
    """After a withdrawal the next release is what it had been had they never agreed; what had learned is destroyed."""
    await community.settle_in(service)
    who = "simulated-5"
    await choose(service, who, (Purpose.IMPROVE, Choice.WITHDRAWN))
    without = await train_app(service, APP)
    await choose(service, who, (Purpose.IMPROVE, Choice.GIVEN))
    with_them = await train_app(service, APP)
    assert await digest(service, with_them) != await digest(service, without)
    await choose(service, who, (Purpose.IMPROVE, Choice.WITHDRAWN))
    assert (
        await state(service)
    ).unlearn_epoch == 1  # when they left the first time, nothing had been trained
    assert await work_all(service, clock)
    now = await known(service)
    assert {now[str(each.release_id)].status for each in (without, with_them)} == {"destroyed"}
    (newest,) = [each for each in now.values() if each.status != "destroyed"]
    assert newest.digest == await digest(service, without)
    assert folders(service) == {newest.release_id}


async def test_withdrawing_personalise_alone_retrains_nothing(service: Service, clock: Clock) -> None:
    """What the model learned stays allowed when only the list for oneself is turned off."""
    for user_id, used in HISTORIES:
        await use(service, user_id, *used)
    only = await train_app(service, APP)
    await choose(service, "u5", (Purpose.PERSONALISE, Choice.WITHDRAWN))
    assert (await state(service)).unlearn_epoch == 0
    await work_all(service, clock)
    assert set(await known(service)) == {only.release_id}


async def test_the_last_to_leave_takes_the_model_along(
    service: Service, clock: Clock, client: Caller
) -> None:
    """When too little is left to train on, nothing is served any more, and the erasures are complete all the same."""
    for user_id, used in HISTORIES:
        await use(service, user_id, *used)
    await train_app(service, APP)
    erasures = [await erase(service, user_id) for user_id, _ in HISTORIES]
    assert await work_all(service, clock)
    assert (await state(service)).promoted is None
    assert folders(service) == set()
    for erasure_id in erasures:
        done = (await client.get(f"/v1/erasures/{erasure_id}")).json()
        assert (done["status"], done["release_after"]) == ("completed", {"id": None, "digest": None})
    await service.models.refresh()
    assert (await client.recommend("u1"))["release"] is None


async def test_a_promoted_release_is_served_without_a_restart(service: Service, client: Caller) -> None:
    """The next look brings the new release into the answers, and a roll-back brings the former."""
    await community.settle_in(service)
    first = await community.train(service)
    assert (await client.recommend("simulated-1"))["release"] == first
    second = await community.train(service)
    assert (await client.recommend("simulated-1"))["release"] == second
    assert (await client.post(f"/v1/releases/{first}:promote")).status_code == 200
    await service.models.refresh()
    assert (await client.recommend("simulated-1"))["release"] == first


@pytest.mark.parametrize("damage", ["missing", "bytes", "cut"])
@ON_SQLITE
async def test_a_damaged_release_is_not_served(service: Service, client: Caller, damage: str) -> None:
    """The former release goes on and `readyz` says so; once repaired, the promoted one is served."""
    await community.settle_in(service)
    former, promoted = await community.train(service), await community.train(service)
    await client.post(f"/v1/releases/{former}:promote")
    await service.models.refresh()
    file = Path(release_url(service.settings.releases_url, APP, promoted)) / "shard-0.safetensors"
    whole = file.read_bytes()
    match damage:
        case "missing":
            file.unlink()
        case "bytes":
            file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        case _:
            file.write_bytes(whole[:100])
    await client.post(f"/v1/releases/{promoted}:promote")
    await service.models.refresh()
    assert (await client.recommend("simulated-1"))["release"] == former
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["degraded"] == ["the promoted release is missing or damaged"]
    file.write_bytes(whole)
    async with asyncio.timeout(60):  # it looks for itself, more and more seldom
        while (await client.recommend("simulated-1"))["release"] != promoted:  # noqa: ASYNC110  the service tells when asked
            await asyncio.sleep(0.05)
    assert (await client.get("/readyz")).json()["degraded"] == []


async def test_apps_are_trained_apart(service: Service) -> None:
    """A training of one app reads nothing of another, and leaves the other's model alone."""
    await community.settle_in(service)
    assert (await train_app(service, "meadow")).status == "not_enough_data"
    assert (await train_app(service, APP)).status == "promoted"
    async with service.database.read("meadow") as connection:
        assert (await registry.find_model_state(connection, "meadow")).promoted is None
