"""What apps are served with follows the database and the files: what changed is read, what did not is kept, and one app's trouble is its own."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api import loading, proving, releasing
from api.loading import DAMAGED, LEFT_OUT, Loading, Served, release_url
from api.models import UNREAD, Models, NotServed
from api.service import Service
from recommender import registry, store
from recommender import release_files as releases
from recommender.catalog import Resource
from recommender.errors import CorruptRelease, StoreUnreachable
from recommender.registry import ModelState
from recommender.shelf import Shelf
from tests.api import community
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, OTHER_APP, Caller, catalogue, serving

LEASE_S = 5.0


class Ticking:
    """A clock of seconds that stands until it is set forward."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return its seconds."""
        return self.now


@pytest.fixture
def ticking() -> Ticking:
    """The clock of `models`."""
    return Ticking()


@pytest.fixture
def models(service: Service, ticking: Ticking) -> Models:
    """What a process of its own serves with."""
    return Models(service.database, service.settings.releases_url, LEASE_S, ticking)


async def put(service: Service, *resources: Resource, app_id: str = APP) -> None:
    """Write resources."""
    async with service.database.write(app_id) as connection:
        await store.put_resources(connection, app_id, resources, service.clock())


def served_by(models: Models, app_id: str = APP) -> Served:
    """What an app is served with."""
    served = models.of(app_id)
    assert served is not None
    return served


def titles_of(shelf: Shelf) -> list[str]:
    """The titles of a catalogue as it is served, in the order of its rows."""
    return [each.title for each in shelf.resources]


def titles(models: Models, app_id: str) -> list[str] | None:
    """The titles of what an app is served with, if it is."""
    served = models.of(app_id)
    return None if served is None else titles_of(served.ranker.shelf)


async def come_true(what: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(60):
        while not what():  # noqa: ASYNC110  a process looks for itself
            await asyncio.sleep(0.01)


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """Note from now on the thread of every call of a function."""
    calls: list[Any] = []
    original: Callable[..., Any] = getattr(owner, name)

    def noting(*given: Any, **named: Any) -> Any:
        calls.append(threading.current_thread())
        return original(*given, **named)

    monkeypatch.setattr(owner, name, noting)
    return calls


async def spoil(service: Service, app_id: str, body: str, resource_id: str) -> None:
    """Damage a resource's row by hand."""
    async with service.database.write(app_id) as connection:
        statement = "UPDATE resource SET body = :body WHERE app_id = :app_id AND resource_id = :id"
        done = await connection.execute(text(statement), {"body": body, "app_id": app_id, "id": resource_id})
        assert done.rowcount == 1


async def test_a_change_of_one_resource_leaves_the_others_alone(service: Service, models: Models) -> None:
    """The next look serves the change; every other resource is the same object, its JSON too."""
    await models.refresh()
    before = served_by(models).ranker.shelf
    changed = before.resources[3].model_copy(update={"title": "Another title"})
    await put(service, changed)
    await models.refresh()
    now = served_by(models).ranker.shelf
    assert now.resources[3] == changed
    pairs = list(zip(before.resources, now.resources, strict=True))
    assert [one is other for one, other in pairs] == [row != 3 for row in range(len(pairs))]
    assert [one is other for one, other in zip(before.payloads, now.payloads, strict=True)] == [
        row != 3 for row in range(len(pairs))
    ]


async def test_what_comes_and_goes_is_served_so(service: Service, models: Models) -> None:
    """A resource that is deleted is gone, one that is put back is there again, whatever the clock says."""
    await models.refresh()
    first = catalogue()[0]
    async with service.database.write(APP) as connection:
        assert await store.delete_resource(connection, APP, first.id)
    await models.refresh()
    assert first.id not in served_by(models).ranker.shelf.rows
    async with service.database.write(APP) as connection:
        await store.put_resources(connection, APP, [first], 0)
    await models.refresh()
    assert first.id in served_by(models).ranker.shelf.rows


async def test_nothing_is_parsed_or_made_where_requests_are_answered(
    service: Service, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resources are parsed, and rankers made, in other threads than the event loop's."""
    parsing, making = (
        counted(monkeypatch, Resource, "model_validate_json"),
        counted(monkeypatch, loading, "Ranker"),
    )
    await models.refresh()
    assert len(parsing) == len(catalogue())
    await put(service, catalogue()[0].model_copy(update={"title": "Another title"}))
    await models.refresh()
    assert len(parsing) == len(catalogue()) + 1
    assert len(making) == 3
    assert threading.current_thread() not in {*parsing, *making}


@ON_SQLITE
async def test_a_damaged_release_is_tried_again_more_and_more_seldom(
    service: Service, models: Models, ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing changes, neither catalogue nor ranker is made again; a repaired release is taken within half a minute."""
    await community.settle_in(service)
    former, promoted = await community.train(service), await community.train(service)
    file = Path(release_url(service.settings.releases_url, APP, promoted)) / "shard-0.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    reading, making = counted(monkeypatch, store, "resource_rows"), counted(monkeypatch, loading, "Ranker")
    trying = counted(monkeypatch, releases, "load")
    await models.refresh()
    first = served_by(models)
    assert (first.release_id, first.faults, len(trying)) == (former, (DAMAGED,), 2)
    before = len(reading), len(making)
    for _ in range(240):
        ticking.now += 0.5
        await models.refresh()
        assert served_by(models).ranker is first.ranker
    assert (len(reading), len(making)) == before
    assert len(trying) == 2 + 7  # after 1, 3, 7, 15 and 31 seconds, and then every 30
    file.write_bytes(whole)
    for _ in range(60):
        ticking.now += 0.5
        await models.refresh()
    assert (served_by(models).release_id, models.faults) == (promoted, {})


@ON_SQLITE
async def test_a_change_is_taken_at_once_while_a_release_is_damaged(
    service: Service, models: Models, ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new resource is served by the release that stands in, without another try; a promotion is served at the next look."""
    await community.settle_in(service)
    former, promoted = await community.train(service), await community.train(service)
    (Path(release_url(service.settings.releases_url, APP, promoted)) / "manifest.json").unlink()
    await models.refresh()
    trying = counted(monkeypatch, releases, "load")
    await put(service, catalogue()[0].model_copy(update={"id": "new-one"}))
    await models.refresh()
    served = served_by(models)
    assert "new-one" in served.ranker.shelf.rows
    assert (served.release_id, served.faults, trying) == (former, (DAMAGED,), [])
    async with service.database.write(APP) as connection:
        await releasing.promote(connection, APP, former, service.clock())
    await models.refresh()
    assert (served_by(models).release_id, models.faults) == (former, {})


@ON_SQLITE
async def test_a_stand_in_goes_when_somebody_leaves_whom_it_may_know(
    service: Service, models: Models, ticking: Ticking
) -> None:
    """Whatever stands in for a damaged release is not served past the epoch that it was trained in, nor is it while others are read."""
    await community.settle_in(service)
    former, promoted = await community.train(service), await community.train(service)
    (Path(release_url(service.settings.releases_url, APP, promoted)) / "manifest.json").unlink()
    await models.refresh()
    assert served_by(models).release_id == former
    async with service.database.write(APP) as connection:
        await registry.unlearn(connection, APP, [service.pseudonyms.user(APP, "simulated-3")])
    await models.refresh()
    assert (served_by(models).release_id, served_by(models).release) == (None, None)


@ON_SQLITE
async def test_another_release_in_the_place_of_the_promoted_one_is_not_served(
    service: Service, models: Models
) -> None:
    """Files that are whole, but of a release that the registry knows by another digest, are damage."""
    await community.settle_in(service)
    former = await community.train(service)
    async with service.database.write(APP) as connection:
        await store.delete_resource(connection, APP, catalogue()[0].id)
    promoted = await community.train(service)
    one, other = (Path(release_url(service.settings.releases_url, APP, each)) for each in (former, promoted))
    for file in other.iterdir():
        file.write_bytes((one / file.name).read_bytes())
    assert releases.load(str(other)).manifest.digest != await _digest(service, promoted)
    await models.refresh()
    assert (served_by(models).release_id, models.faults) == (former, {APP: (DAMAGED,)})


async def _digest(service: Service, release_id: str) -> str:
    async with service.database.read(APP) as connection:
        record = await registry.find_release(connection, APP, release_id)
    assert record is not None
    return record.digest


@ON_SQLITE
async def test_a_verdict_rests_on_a_manifest_that_is_checked(service: Service) -> None:
    """A release whose manifest says that it learned until another moment is not verified but refused."""
    await community.settle_in(service)
    release_id = await community.train(service)
    path = Path(release_url(service.settings.releases_url, APP, release_id)) / "manifest.json"
    manifest = releases.load_manifest(str(path.parent))
    earlier = manifest.model_copy(update={"read_until": (manifest.read_until or 0) - 1})
    path.write_text(earlier.model_dump_json(indent=2))
    with pytest.raises(CorruptRelease):
        await proving.verify_release(service, APP, release_id, train=False)
    with pytest.raises(CorruptRelease):
        await releasing.difference(service, APP, release_id, release_id)


@pytest.mark.parametrize("body", ["not json", '{"id": "first", "mood": "blue"}'])
async def test_a_row_that_cannot_be_read_is_left_out_and_told(
    service: Service, client: Caller, caplog: pytest.LogCaptureFixture, body: str
) -> None:
    """The other resources of the app, and the other apps, are served; `readyz` says so until it is put right."""
    first, second = catalogue()[:2]
    await spoil(service, APP, body, first.id)
    await put(service, second.model_copy(update={"id": "second-of-meadow"}), app_id=OTHER_APP)
    await put(service, second.model_copy(update={"title": "Another title"}))
    await service.models.refresh()
    rows = served_by(service.models).ranker.shelf.rows
    assert (first.id in rows, second.id in rows) == (False, True)
    assert "second-of-meadow" in served_by(service.models, OTHER_APP).ranker.shelf.rows
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["degraded"]) == (200, [LEFT_OUT])
    assert "1 resources cannot be read" in caplog.text
    assert "mood" not in caplog.text
    await put(service, first)
    await service.models.refresh()
    assert first.id in served_by(service.models).ranker.shelf.rows
    assert (await client.get("/readyz")).json()["degraded"] == []


async def test_a_row_that_is_put_right_by_hand_is_read_again(
    service: Service, models: Models, ticking: Ticking
) -> None:
    """Nothing counts up the catalogue's version, so the row is looked at again by and by."""
    first = catalogue()[0]
    await spoil(service, APP, "not json", first.id)
    await models.refresh()
    assert models.faults == {APP: (LEFT_OUT,)}
    await spoil(service, APP, first.model_dump_json(), first.id)
    ticking.now += 1
    await models.refresh()
    assert first.id in served_by(models).ranker.shelf.rows
    assert models.faults == {}


@ON_SQLITE
async def test_what_took_longer_to_read_than_a_lease_is_served(
    models: Models, ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for it gets it, and no error."""
    original = Loading.current

    async def slowly(self: Loading, state: ModelState, before: Served | None) -> Served:
        served = await original(self, state, before)
        if state.app_id == APP:  # the other's reading may end when this one's is over and looked at
            ticking.now += 2 * LEASE_S
        return served

    monkeypatch.setattr(Loading, "current", slowly)
    assert (await models.load(APP)).ranker.shelf.resources
    assert models.of(APP) is not None


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The apps for which something is raised when what they are served with is read."""
    apps: set[str] = set()
    original = Loading.current

    async def current(self: Loading, state: ModelState, before: Served | None) -> Served:
        if state.app_id in apps:
            raise ValueError("of whatever kind")
        return await original(self, state, before)

    monkeypatch.setattr(Loading, "current", current)
    return apps


async def test_what_goes_wrong_for_one_app_is_its_own(
    service: Service, models: Models, ticking: Ticking, failing: set[str]
) -> None:
    """The others get what is new for as long as it goes on; the app goes on with what it had, and gets all when it is over."""
    await models.refresh()
    failing.add(OTHER_APP)
    first = catalogue()[0]
    await put(service, first, app_id=OTHER_APP)
    for number in range(30):
        ticking.now += 1
        await put(service, first.model_copy(update={"title": f"Title {number}"}))
        await models.refresh()
        shelf = served_by(models).ranker.shelf
        assert titles_of(shelf)[shelf.rows[first.id]] == f"Title {number}"
        assert (titles_of(served_by(models, OTHER_APP).ranker.shelf), models.faults) == (
            [],
            {OTHER_APP: (UNREAD,)},
        )
    failing.clear()
    for _ in range(30):
        ticking.now += 1
        await models.refresh()
    assert (titles_of(served_by(models, OTHER_APP).ranker.shelf), models.faults) == ([first.title], {})


@ON_SQLITE
async def test_what_may_not_be_served_any_more_is_not_kept(
    service: Service, models: Models, ticking: Ticking, failing: set[str]
) -> None:
    """While nothing new can be read, a release that was taken out of service leaves the memory with the lease."""
    await community.settle_in(service)
    former = await community.train(service)
    await models.refresh()
    kept = weakref.ref(served_by(models).ranker)
    failing.add(APP)
    await put(service, catalogue()[0])
    assert await community.train(service) != former
    await models.refresh()
    assert served_by(models).release_id == former
    ticking.now += LEASE_S
    await models.refresh()
    gc.collect()
    assert (models.of(APP), kept()) == (None, None)


@ON_SQLITE
async def test_an_app_that_could_never_be_read_is_told_where_to_turn(
    service: Service, failing: set[str]
) -> None:
    """A process that starts is ready and serves the others; the app is answered 503 with the support block."""
    failing.add(APP)
    async with serving(service) as client:
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["degraded"]) == (200, [UNREAD])
        answer = await client.post("/v1/recommendations", {"user_id": "u1"})
        assert (answer.status_code, answer.json()["strategy"]) == (503, "support_only")
        assert answer.json()["support"]
        assert (await client.get("/v1/resources/box-breathing/similar")).status_code == 503
        assert service.models.of(OTHER_APP) is not None
        with pytest.raises(NotServed):
            await service.models.load(APP)


@ON_SQLITE
async def test_a_store_that_hangs_holds_up_nobody_else(
    service: Service, ticking: Ticking, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the files of one app's release do not come, the others are served what is new, past every lease; no second read begins."""
    await community.settle_in(service)
    await models.refresh()
    release_id = await community.train(service)
    trying, answered = list[str](), threading.Event()
    original = releases.load

    def hanging(url: str, *given: Any) -> Any:
        trying.append(url)
        assert answered.wait(60)
        return original(url, *given)

    monkeypatch.setattr(releases, "load", hanging)
    stop = asyncio.Event()
    watching = asyncio.create_task(models.watch(0.01, stop))
    first = catalogue()[0]
    try:
        for number in range(3):
            ticking.now += LEASE_S
            await put(service, first.model_copy(update={"title": f"Title {number}"}), app_id=OTHER_APP)
            await come_true(lambda title=f"Title {number}": titles(models, OTHER_APP) == [title])  # type: ignore[misc]  # a default is bound at once
        assert (models.of(APP), len(trying)) == (None, 1)
        answered.set()
        await come_true(lambda: getattr(models.of(APP), "release_id", None) == release_id)
    finally:
        answered.set()
        stop.set()
        await watching
        await models.close()


async def test_an_unreachable_store_is_tried_again(
    service: Service, models: Models, ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release that could not be fetched is fetched once its store answers."""
    await community.settle_in(service)
    release_id = await community.train(service)
    with monkeypatch.context() as away:

        def unreachable(*_: object) -> None:
            raise StoreUnreachable("manifest.json cannot be read: TimeoutError")

        away.setattr(releases, "load", unreachable)
        await models.refresh()
        assert (served_by(models).release_id, models.faults) == (None, {APP: (DAMAGED,)})
    ticking.now += 1
    await models.refresh()
    assert (served_by(models).release_id, models.faults) == (release_id, {})
