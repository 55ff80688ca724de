"""Deletion over HTTP: one call, everything gone, proved by a receipt; and a check that no table was forgotten."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import KeySet
from sqlalchemy.event import listen

from api.service import PERSONAL_STORES, Service
from consent import erasure
from consent.log import store as log
from recommender import registry
from recommender.registry import ReleaseRecord
from tests.api import witness
from tests.api.calls import CONSENT
from tests.api.full import live_fully
from tests.api.witness import ON_SQLITE
from tests.api.working import work_all
from tests.conftest import APP, Caller, Clock, a_training_reads, event


async def test_every_store_counts_what_it_erases(service: Service, client: Caller) -> None:
    """Each store tells beforehand how many rows it holds, removes as many, and holds none afterwards."""
    who = await live_fully(service, client, "u1")
    async with service.database.write(APP) as connection:
        before = {each.name: await each.count(connection, who) for each in PERSONAL_STORES}
        assert all(before.values())
        await log.close(connection, APP, who.subject_id, service.logs.of(APP))
        assert await erasure.erase_rows(connection, PERSONAL_STORES, who) == before
        for each in PERSONAL_STORES:
            assert await each.count(connection, who) == 0


@ON_SQLITE  # PostgreSQL keeps copies until VACUUM and the rotation of its log
async def test_no_byte_is_left(service: Service, client: Caller, database_url: str) -> None:
    """In no file of SQLite, its write-ahead log included, is the pseudonym, the row's id, an event's id or the retry's key."""
    who = await live_fully(service, client, "goes")
    await client.events(event("goes", "views", "body-scan", event_id="event-of-who-goes"))
    needles = (who.user_hash, who.subject_id.encode(), b"event-of-who-goes")
    await service.database.scrub()
    for needle in needles:
        assert await witness.files_hold(database_url, needle)
    await client.http.delete("/v1/users/goes")
    for needle in needles:
        assert not await witness.files_hold(database_url, needle)


@ON_SQLITE
async def test_the_scan_finds_what_sqlite_does_not_overwrite(
    service: Service, client: Caller, database_url: str
) -> None:
    """With `secure_delete` off, the same scan finds what was deleted: the test before this one can fail."""

    def off(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA secure_delete=OFF")

    await service.database.engine.dispose()
    listen(service.database.engine.sync_engine, "connect", off)
    await live_fully(service, client, "goes")
    await client.events(event("goes", "views", "body-scan", event_id="event-of-who-goes"))
    await client.http.delete("/v1/users/goes")
    await service.database.scrub()
    assert await witness.files_hold(database_url, b"event-of-who-goes")


def shape(value: Any) -> Any:
    """What kind of answer it is: names and types, without the values."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return type(value).__name__


async def test_someone_never_seen_is_answered_alike(service: Service, client: Caller, clock: Clock) -> None:
    """Deleting somebody who never was looks like deleting somebody, also in the register; repeating it does no harm."""
    await live_fully(service, client, "u1")
    real = await client.http.delete("/v1/users/u1")
    again = await client.http.delete("/v1/users/u1")
    nobody = await client.http.delete("/v1/users/never-seen")
    assert real.status_code == again.status_code == nobody.status_code == 202
    assert shape(real.json()) == shape(again.json()) == shape(nobody.json())
    assert {each.json()["erasure"]["status"] for each in (real, again, nobody)} == {"rows_erased"}
    assert not any(nobody.json()["erasure"]["counts"].values())
    ids = {each.json()["erasure"]["erasure_id"] for each in (real, again, nobody)}
    assert len(ids) == 3
    for erasure_id in ids:
        found = await client.get(f"/v1/erasures/{erasure_id}")
        assert found.json()["erasure_id"] == erasure_id
    entries = [service.register.read(each) for each in service.register.entries()]
    assert {each.erasure_id for each in entries} == ids
    assert {len(key) for each in entries for key in each.keys} == {64}
    assert {len(each.keys) for each in entries} == {1}
    await work_all(service, clock)
    ends = [(await client.get(f"/v1/erasures/{erasure_id}")).json() for erasure_id in ids]
    assert len({json.dumps(shape(end)) for end in ends}) == 1
    assert {end["status"] for end in ends} == {"completed"}


@pytest.mark.parametrize(("proof", "status"), [("acknowledgement", "rows_erased"), ("receipt", "completed")])
async def test_the_receipt_proves_it(
    service: Service, client: Caller, clock: Clock, proof: str, status: str
) -> None:
    """What is handed out at once, and the receipt at the end, are signed with the published key, tell what was removed, and name nobody."""
    who = await live_fully(service, client, "u1")
    done = (await client.http.delete("/v1/users/u1")).json()["erasure"]
    assert done["receipt"] is None
    await work_all(service, clock)
    done = (await client.get(f"/v1/erasures/{done['erasure_id']}")).json()
    keys = KeySet.import_key_set((await client.get("/.well-known/jwks.json")).json())
    signed = json.loads(jws.deserialize_compact(done[proof], keys, algorithms=["Ed25519"]).payload)
    assert (signed["erasure_id"], signed["status"]) == (done["erasure_id"], status)
    assert signed["rows_removed"] == done["counts"]
    for needle in ("u1", who.subject_id, who.user_hash.hex()):
        assert needle not in json.dumps(signed).replace(done["erasure_id"], "")


@ON_SQLITE
async def test_what_was_made_before_dies_with_the_person(
    service: Service, client: Caller, make_browser: Callable[[], Caller]
) -> None:
    """Links made before, sessions opened by them, and answers kept for retries are worth nothing after the erasure."""
    await live_fully(service, client, "u1", key="key-of-u1")
    links = [
        urlsplit((await client.post("/v1/users/u1/links", {"kind": kind})).json()["url"]).path
        for kind in ("settings", "why", "erase", "settings")
    ]
    browser = make_browser()
    assert (await browser.get(links.pop())).status_code == 303
    assert (await browser.get("/me")).status_code == 200
    await client.http.delete("/v1/users/u1")
    assert (await browser.get("/me")).status_code == 403
    assert [(await make_browser().get(link)).status_code for link in links] == [410] * 3
    retry = await client.http.put(
        "/v1/users/u1/consents", json=CONSENT, headers={"Idempotency-Key": "key-of-u1"}
    )
    assert (retry.status_code, retry.json()["code"]) == (409, "conflict")  # no choice made anew
    anew = await client.http.put("/v1/users/u1/consents", json=CONSENT)
    assert sum(each["state"] == "given" for each in anew.json()["consents"]) == 1
    assert [(await make_browser().get(link)).status_code for link in links] == [410] * 3


@pytest.fixture
def make_browser(app: Any) -> Callable[[], Caller]:
    """Makes browsers: clients with cookies and without a key."""
    return lambda: Caller(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test"))


async def test_a_person_who_comes_back_is_a_new_one(service: Service, client: Caller) -> None:
    """After an erasure the same user id has no consent, no history and another row."""
    before = await live_fully(service, client, "u1")
    await client.http.delete("/v1/users/u1")
    cells = (await client.get("/v1/users/u1/consents")).json()["consents"]
    assert {each["state"] for each in cells} == {"unknown"}
    refused = await client.events(event("u1", "views", "box-breathing"))
    assert refused["refused"] == 1
    after = await live_fully(service, client, "u1")
    assert after.subject_id != before.subject_id
    history = (await client.get("/v1/users/u1/consents/history")).json()["events"]
    assert {each["state"] for each in history} == {"given"}


async def test_the_model_is_trained_without_them(service: Service, client: Caller, clock: Clock) -> None:
    """Where something was trained, the erasure waits for a training; when it is over, old releases are destroyed and it is complete."""
    record = ReleaseRecord("r-1", "retired", "0" * 64, 0, {}, service.clock(), None)
    async with service.database.write(APP) as connection:
        await registry.add_release(connection, APP, record)
        assert await registry.promote(connection, APP, record, service.clock())
    await live_fully(service, client, "u1")
    await a_training_reads(service)
    done = (await client.http.delete("/v1/users/u1")).json()["erasure"]
    assert (done["status"], done["receipt"]) == ("rows_erased", None)
    assert done["release_before"]["id"] == "r-1"
    refused = await client.post("/v1/releases/r-1:promote")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    await work_all(service, clock)
    found = (await client.get(f"/v1/erasures/{done['erasure_id']}")).json()
    assert (found["status"], found["release_after"]["id"]) == ("completed", None)
    assert found["receipt"]
    releases = (await client.get("/v1/releases")).json()["releases"]
    assert [each["status"] for each in releases] == ["destroyed"]
    asked = {"requested_at", "rows_erased_at", "counts", "deadline", "erasure_id"}
    assert {name: found[name] for name in asked} == {name: done[name] for name in asked}


@ON_SQLITE
async def test_sqlite_is_durable_and_keeps_no_deleted_bytes(service: Service, database_url: str) -> None:
    """Every connection says so itself: whether a build of SQLite does it unasked is chance."""
    async with service.database.read(APP) as connection:
        found = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}
