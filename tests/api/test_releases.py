"""Releases as operators handle them: promoted, rolled back, compared, thinned out, verified; in a folder and in an object store."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: TID251  looks at what leaves
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: TID251  as above

from api import proving, releasing, telemetry
from api.loading import release_url
from api.models import Models
from api.releasing import NoSuchRelease, NotServable
from api.service import Service
from api.training import train_app
from consent.errors import ProofError
from recommender import registry
from recommender import release_files as releases
from recommender.commitments import Leaf, Place, Proof
from recommender.registry import ReleaseRecord
from recommender.verification import NotTheRows
from tests.api import community
from tests.api.test_training import erase, folders, known, state, use
from tests.api.witness import ON_SQLITE
from tests.api.working import work_all
from tests.conftest import APP, Caller, Clock, settings_for

LEASE_S = 60.0

pytestmark = ON_SQLITE


async def roll_back(service: Service) -> str:
    """Roll back; the release that is served then."""
    async with service.database.write(APP) as connection:
        return (await releasing.roll_back(connection, APP, service.clock())).release_id


async def test_rolling_back_goes_from_release_to_release(service: Service) -> None:
    """Each time the release before the served one is served; before the first there is none."""
    await community.settle_in(service)
    first, second, third = [await community.train(service) for _ in range(3)]
    assert (await state(service)).promoted == third
    assert [await roll_back(service), await roll_back(service)] == [second, first]
    with pytest.raises(NotServable):
        await roll_back(service)
    assert (await state(service)).promoted == first


async def test_rolling_back_never_brings_back_what_an_erasure_overtook(
    service: Service, clock: Clock
) -> None:
    """Between an erasure and its training, and after it, no release that knew the person can be served again."""
    await community.settle_in(service)
    first, second = [await community.train(service) for _ in range(2)]
    await erase(service, "simulated-3")
    for _ in range(2):
        with pytest.raises(NotServable):
            await roll_back(service)
        for each in (first, second):
            async with service.database.write(APP) as connection:
                with pytest.raises(NotServable):
                    await releasing.promote(connection, APP, each, service.clock())
        await work_all(service, clock)
    assert folders(service) == {(await state(service)).promoted}


async def test_old_releases_are_thinned_out(service: Service) -> None:
    """Beyond the newest few only the served one keeps its files, and what is destroyed cannot be promoted."""
    await community.settle_in(service)
    made = [await community.train(service) for _ in range(4)]
    async with service.database.write(APP) as connection:
        await releasing.promote(connection, APP, made[0], service.clock())
    assert await releasing.thin_out(service, APP, 1) == [made[2], made[1]]
    assert folders(service) == {made[0], made[3]}
    assert (await known(service))[made[1]].status == "destroyed"
    async with service.database.write(APP) as connection:
        with pytest.raises(NotServable, match="destroyed"):
            await releasing.promote(connection, APP, made[1], service.clock())


async def test_training_keeps_as_many_as_are_set(service: Service, tmp_path: Path) -> None:
    """After each training the oldest beyond the setting go."""
    await community.settle_in(service)
    few = Service.create(settings_for(service.settings.database_url, tmp_path, releases_kept=1))
    for _ in range(4):
        await train_app(few, APP)
    assert len(folders(service)) == 2
    await few.close()


async def test_what_differs_is_told(service: Service, tmp_path: Path) -> None:
    """Settings, people, shards and figures of two releases are compared; the same release differs in nothing."""
    await community.settle_in(service)
    first = await community.train(service)
    other = Service.create(settings_for(service.settings.database_url, tmp_path, training_seed=5))
    await use(service, "newcomer", ("box-breathing", 1), ("body-scan", 2))
    second = str((await train_app(other, APP)).release_id)
    await other.close()
    found = await releasing.difference(service, APP, first, second)
    assert found.settings == {"seed": (0, 5)}
    assert found.learned["people"] == (48, 49)
    assert found.learned["events"] == (48 * 12, 48 * 12 + 2)
    assert found.shards == (0,)
    same = await releasing.difference(service, APP, first, first)
    assert (same.settings, same.shards, same.resources_added) == ({}, (), ())
    with pytest.raises(NoSuchRelease):
        await releasing.difference(service, APP, first, "none")


async def test_a_new_process_begins_with_the_former_release_when_the_promoted_one_is_damaged(
    service: Service,
) -> None:
    """A server that starts beside damaged files serves the release before; metrics and faults say so."""
    await community.settle_in(service)
    former, promoted = await community.train(service), await community.train(service)
    url = Path(release_url(service.settings.releases_url, APP, promoted))
    (url / "manifest.json").unlink()
    fresh = Models(service.database, service.settings.releases_url, LEASE_S)
    await fresh.refresh()
    served = fresh.of(APP)
    assert served is not None
    assert served.release_id == former
    assert set(fresh.faults) == {APP}


async def test_a_process_that_began_between_an_erasure_and_the_training_forgets_too(
    service: Service, clock: Clock
) -> None:
    """The release that learned from who left is served until the next is promoted, and then no more, even when that one is damaged."""
    await community.settle_in(service)
    old = await community.train(service)
    await erase(service, "simulated-3")
    fresh = Models(service.database, service.settings.releases_url, LEASE_S)
    await fresh.refresh()
    served = fresh.of(APP)
    assert served is not None
    assert served.release_id == old
    await work_all(service, clock)
    promoted = (await state(service)).promoted
    assert promoted not in {None, old}
    (Path(release_url(service.settings.releases_url, APP, promoted or "")) / "manifest.json").unlink()
    for _ in range(2):
        await fresh.refresh()
        served = fresh.of(APP)
        assert served is not None
        assert (served.release_id, served.release) == (None, None)
    assert set(fresh.faults) == {APP}


async def test_metrics_count_the_apps_that_are_served_with_something_older(service: Service) -> None:
    """The gauge is zero while all is well, and one when the promoted release of one app is damaged."""
    await community.settle_in(service)
    promoted = await community.train(service)
    starting = replace(service, models=Models(service.database, service.settings.releases_url, LEASE_S))
    reader = InMemoryMetricReader()
    telemetry.reporting(starting, *telemetry.providers(InMemorySpanExporter(), reader))
    await starting.models.refresh()
    assert degraded(reader) == 0
    shutil.rmtree(release_url(service.settings.releases_url, APP, promoted))
    second = await community.train(service)
    shutil.rmtree(release_url(service.settings.releases_url, APP, second))
    await starting.models.refresh()
    assert degraded(reader) == 1
    SQLAlchemyInstrumentor().uninstrument()  # or the next service's database would not report


def degraded(reader: InMemoryMetricReader) -> int:
    """What the gauge says."""
    data = reader.get_metrics_data()
    assert data is not None
    points = [
        point.value  # type: ignore[union-attr]  # a gauge has points of numbers
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "assent.releases.degraded"
        for point in metric.data.data_points
    ]
    (value,) = points
    return int(value)


async def test_a_release_is_verified_against_what_people_granted(service: Service) -> None:
    """Its rows, made again, are those it learned from, and training again gives its bytes; a person's leaving shows."""
    await community.settle_in(service)
    release_id = await community.train(service)
    verdicts = await proving.verify_release(service, APP, release_id, train=True)
    assert [(each.rows, each.arrays) for each in verdicts] == [(True, True)]
    await use(
        service, "newcomer", ("box-breathing", 1), ("body-scan", 2)
    )  # came in later, so it changes nothing
    verdicts = await proving.verify_release(service, APP, release_id, train=False)
    assert [(each.rows, each.arrays) for each in verdicts] == [(True, None)]
    await erase(service, "simulated-3")
    verdicts = await proving.verify_release(service, APP, release_id, train=True)
    assert [(each.rows, each.arrays) for each in verdicts] == [(False, False)]


async def test_presence_and_absence_are_proved_to_whoever_has_the_manifest(
    service: Service, clock: Clock
) -> None:
    """A release is shown to know a person, and the one after their erasure not to; a proof that is altered fails."""
    await community.settle_in(service)
    release_id = await community.train(service)
    present = await proving.prove_person(service, APP, release_id, "simulated-3")
    assert present["present"]
    _verify(service, present)
    await erase(service, "simulated-3")
    with pytest.raises(NotTheRows):
        await proving.prove_person(service, APP, release_id, "simulated-3")
    await work_all(service, clock)
    after = str((await state(service)).promoted)
    absent = await proving.prove_person(service, APP, after, "simulated-3")
    assert not absent["present"]
    assert absent["tag"] == present["tag"]
    _verify(service, absent)
    with pytest.raises(ProofError):
        _verify(service, {**present, "release_id": after})
    with pytest.raises(ProofError):
        _verify(service, {**absent, "tag": absent["places"][0]["tag"], "present": False, "places": []})


def _verify(service: Service, told: dict) -> None:  # type: ignore[type-arg]  # as JSON gives it
    """Check a printed proof with the release's manifest and nothing else."""
    manifest = releases.load_manifest(release_url(service.settings.releases_url, APP, told["release_id"]))
    places = tuple(
        Place(
            Leaf(bytes.fromhex(each["tag"]), bytes.fromhex(each["commitment"])),
            each["index"],
            tuple(map(bytes.fromhex, each["proof"])),
        )
        for each in told["places"]
    )
    proof = Proof(bytes.fromhex(told["tag"]), told["size"], places)
    assert proof.present == told["present"]
    proof.verify(bytes.fromhex(manifest.shards[told["shard"]].rows_root))


async def test_nothing_of_people_is_in_a_releases_files(service: Service) -> None:
    """Neither a pseudonym, nor its beginning, nor a person's tag is in any file."""
    await community.settle_in(service)
    release_id = await community.train(service)
    proof = await proving.prove_person(service, APP, release_id, "simulated-3")
    folder = Path(release_url(service.settings.releases_url, APP, release_id))
    content = b"".join(path.read_bytes() for path in folder.iterdir())  # noqa: ASYNC240  nothing else runs here
    pseudonym = service.pseudonyms.user(APP, "simulated-3")
    for secret in (
        pseudonym[:8],
        bytes.fromhex(proof["tag"]),
        bytes.fromhex(proof["places"][0]["commitment"]),
    ):
        assert secret not in content
        assert secret.hex().encode() not in content


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server of this test's own with one bucket."""
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415  brought by an extra
    import s3fs  # noqa: PLC0415
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    place = {"LocationConstraint": "eu-central-1"}
    boto3.client("s3").create_bucket(Bucket="assent", CreateBucketConfiguration=place)
    s3fs.S3FileSystem.clear_instance_cache()
    yield "s3://assent/releases"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


async def test_releases_lie_in_an_object_store(service: Service, clock: Clock, bucket: str) -> None:
    """Saved, served, damaged, rolled back and destroyed through a real S3 API, as in a folder."""
    import boto3  # noqa: PLC0415

    await community.settle_in(service)
    stored = Service.create(service.settings.model_copy(update={"releases_url": bucket}), clock=service.clock)
    first, second = [await community.train(stored) for _ in range(2)]
    s3 = boto3.client("s3")
    names = [each["Key"] for each in s3.list_objects_v2(Bucket="assent")["Contents"]]
    assert {name.split("/")[2] for name in names} == {first, second}
    key = f"releases/{APP}/{second}/shard-0.safetensors"
    content = s3.get_object(Bucket="assent", Key=key)["Body"].read()
    s3.put_object(Bucket="assent", Key=key, Body=content[:-1] + bytes([content[-1] ^ 1]))
    fresh = Models(service.database, bucket, LEASE_S)
    await fresh.refresh()
    served = fresh.of(APP)
    assert served is not None
    assert (served.release_id, bool(served.faults)) == (first, True)
    s3.delete_object(Bucket="assent", Key=f"releases/{APP}/{first}/manifest.json")  # half-written, as it were
    half = Models(service.database, bucket, LEASE_S)
    await half.refresh()
    served = half.of(APP)
    assert served is not None
    assert (served.release_id, served.release) == (None, None)
    await erase(stored, "simulated-3")
    await work_all(stored, clock)
    names = [each["Key"] for each in s3.list_objects_v2(Bucket="assent")["Contents"]]
    assert {name.split("/")[2] for name in names} == {(await state(stored)).promoted}
    await stored.close()


async def test_the_list_comes_in_pages(service: Service, client: Caller) -> None:
    """Newest first, also those of one moment, each once; a cursor that is no release of the app has nothing after it."""
    made = [
        ReleaseRecord(f"release-{number}", "candidate", "d", 0, {}, created_at=1_000 + number // 2, promoted_at=None)
        for number in range(7)
    ]  # fmt: skip
    async with service.database.write(APP) as connection:
        for record in made:
            await registry.add_release(connection, APP, record)
    seen, cursor = list[str](), ""
    while True:
        answer = await client.get(f"/v1/releases?limit=3{f'&cursor={cursor}' if cursor else ''}")
        page = answer.json()
        seen += [each["release_id"] for each in page["releases"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["releases"]) == 3
    assert seen == [f"release-{number}" for number in (6, 4, 5, 2, 3, 0, 1)]
    assert (await client.get("/v1/releases?cursor=another")).json() == {"releases": [], "next_cursor": None}
    for query in ("limit=0", "limit=101", "cursor=not/one"):
        assert (await client.get(f"/v1/releases?{query}")).status_code == 422
