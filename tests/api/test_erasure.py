"""Deletion over HTTP: one call, everything gone, proved by a receipt; and a check that no table was forgotten."""

import json
from collections.abc import Callable, Collection, Iterable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import KeySet
from sqlalchemy import Column, MetaData, String, Table

from api.service import PERSONAL_STORES, Service
from api.worker import work_once
from consent import erasure
from consent import store as ledger
from consent.signals import SIGNALS
from consent.tables import metadata
from recommender import registry
from recommender.registry import ReleaseRecord
from tests.api import witness
from tests.api.calls import CONSENT
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, Caller, Clock, event

ABOUT = {"subject_id", "user_hash"}
"""Columns that say whose row it is."""


def personal_tables(tables: Iterable[Table]) -> list[str]:
    """The tables that hold rows of persons."""
    return sorted(table.name for table in tables if ABOUT & set(table.c.keys()))


def rows_of(rows: witness.Rows, user_hash: bytes, subject_id: str) -> dict[str, int]:
    """How many rows of each table are about one person."""
    return {
        table: sum(row.get("subject_id") == subject_id or row.get("user_hash") == user_hash for row in found)
        for table, found in rows.items()
    }


def uncovered(tables: Iterable[Table], held: dict[str, int]) -> set[str]:
    """Tables of persons in which a full person has no row: nobody knows whether an erasure would reach them."""
    return {name for name in personal_tables(tables) if not held.get(name)}


async def live_fully(service: Service, client: Caller, user_id: str) -> tuple[bytes, str]:
    """Let somebody leave rows wherever they can; returns their pseudonym and the id of their row."""
    body = {
        **CONSENT,
        "changes": [
            {"signal": signal, "purpose": purpose, "state": "given"}
            for signal in SIGNALS
            for purpose in ("personalise", "improve", "measure")
        ],
    }
    answer = await client.http.put(
        f"/v1/users/{user_id}/consents", json=body, headers={"Idempotency-Key": f"key-of-{user_id}"}
    )
    assert answer.status_code == 200
    await client.events(
        event(user_id, "views", "box-breathing"),
        event(user_id, "topics", topic="sleep"),
        event(user_id, "check_ins", value=2),
    )
    user_hash = service.pseudonyms.user(APP, user_id)
    async with service.database.read(APP) as connection:
        subject_id = await ledger.find_subject(connection, APP, user_hash)
    assert subject_id is not None
    return user_hash, subject_id


async def test_no_table_is_forgotten(service: Service, client: Caller, database_url: str) -> None:
    """A full person has rows in every table of persons; after the erasure none has any, and others' rows are as before."""
    await live_fully(service, client, "stays")
    others = await witness.everything(database_url)
    user_hash, subject_id = await live_fully(service, client, "goes")
    held = rows_of(await witness.everything(database_url), user_hash, subject_id)
    assert uncovered(metadata.tables.values(), held) == set()
    done = (await client.http.delete("/v1/users/goes")).json()["erasure"]
    after = await witness.everything(database_url)
    assert not any(rows_of(after, user_hash, subject_id).values())
    for table in personal_tables(metadata.tables.values()):
        assert sorted(map(repr, after[table])) == sorted(map(repr, others[table]))
    assert sum(done["counts"].values()) == sum(held.values())
    assert set(done["counts"]) == {each.name for each in PERSONAL_STORES}


@ON_SQLITE
async def test_a_table_without_an_eraser_is_noticed(
    service: Service, client: Caller, database_url: str
) -> None:
    """The check above fails for a made-up table of persons that no store knows."""
    user_hash, subject_id = await live_fully(service, client, "u1")
    held = rows_of(await witness.everything(database_url), user_hash, subject_id)
    forgotten = Table("forgotten", MetaData(), Column("subject_id", String))
    assert uncovered([*metadata.tables.values(), forgotten], held) == {"forgotten"}


async def test_every_store_counts_what_it_erases(service: Service, client: Caller) -> None:
    """Each store tells beforehand how many rows it holds, removes as many, and holds none afterwards."""
    _, subject_id = await live_fully(service, client, "u1")
    async with service.database.write(APP) as connection:
        before = {each.name: await each.count(connection, APP, subject_id) for each in PERSONAL_STORES}
        assert all(before.values())
        assert await erasure.erase_rows(connection, PERSONAL_STORES, APP, subject_id) == before
        for each in PERSONAL_STORES:
            assert await each.count(connection, APP, subject_id) == 0


@ON_SQLITE  # PostgreSQL keeps copies until VACUUM and the rotation of its log
async def test_no_byte_is_left(service: Service, client: Caller, database_url: str) -> None:
    """In no file of SQLite, its write-ahead log included, is the pseudonym, the row's id, an event's id or the retry's key."""
    user_hash, subject_id = await live_fully(service, client, "goes")
    await client.events(event("goes", "views", "body-scan", event_id="event-of-who-goes"))
    needles = (user_hash, subject_id.encode(), b"event-of-who-goes")
    await service.database.scrub()
    for needle in needles:
        assert await witness.files_hold(database_url, needle)
    await client.http.delete("/v1/users/goes")
    for needle in needles:
        assert not await witness.files_hold(database_url, needle)


def shape(value: Any) -> Any:
    """What kind of answer it is: names and types, without the values."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return type(value).__name__


async def test_someone_never_seen_is_answered_alike(service: Service, client: Caller) -> None:
    """Deleting somebody who never was looks like deleting somebody; repeating it does no harm."""
    await live_fully(service, client, "u1")
    real = await client.http.delete("/v1/users/u1")
    again = await client.http.delete("/v1/users/u1")
    nobody = await client.http.delete("/v1/users/never-seen")
    assert real.status_code == again.status_code == nobody.status_code == 202
    assert shape(real.json()) == shape(again.json()) == shape(nobody.json())
    assert {each.json()["erasure"]["status"] for each in (real, again, nobody)} == {"completed"}
    assert not any(nobody.json()["erasure"]["counts"].values())
    ids = {each.json()["erasure"]["erasure_id"] for each in (real, again, nobody)}
    assert len(ids) == 3
    for erasure_id in ids:
        found = await client.get(f"/v1/erasures/{erasure_id}")
        assert found.json()["erasure_id"] == erasure_id


async def test_the_receipt_proves_it(service: Service, client: Caller) -> None:
    """The receipt is signed with the published key, tells what was removed, and names nobody."""
    user_hash, subject_id = await live_fully(service, client, "u1")
    done = (await client.http.delete("/v1/users/u1")).json()["erasure"]
    keys = KeySet.import_key_set((await client.get("/.well-known/jwks.json")).json())
    signed = json.loads(jws.deserialize_compact(done["receipt"], keys, algorithms=["Ed25519"]).payload)
    assert signed["erasure_id"] == done["erasure_id"]
    assert signed["rows_removed"] == done["counts"]
    for needle in ("u1", subject_id, user_hash.hex()):
        assert needle not in json.dumps(signed).replace(done["erasure_id"], "")


@ON_SQLITE
async def test_what_was_made_before_dies_with_the_person(
    service: Service, client: Caller, make_browser: Callable[[], Caller]
) -> None:
    """Links made before, sessions opened by them, and answers kept for retries are worth nothing after the erasure."""
    await live_fully(service, client, "u1")
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
    assert retry.status_code == 200  # a choice made anew, not the answer of before
    assert sum(each["state"] == "given" for each in retry.json()["consents"]) == 1
    assert [(await make_browser().get(link)).status_code for link in links] == [410] * 3


@pytest.fixture
def make_browser(app: Any) -> Callable[[], Caller]:
    """Makes browsers: clients with cookies and without a key."""
    return lambda: Caller(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test"))


async def test_a_person_who_comes_back_is_a_new_one(service: Service, client: Caller) -> None:
    """After an erasure the same user id has no consent, no history and another row."""
    _, before = await live_fully(service, client, "u1")
    await client.http.delete("/v1/users/u1")
    cells = (await client.get("/v1/users/u1/consents")).json()["consents"]
    assert {each["state"] for each in cells} == {"unknown"}
    refused = await client.events(event("u1", "views", "box-breathing"))
    assert refused["refused"] == 1
    _, after = await live_fully(service, client, "u1")
    assert after != before
    history = (await client.get("/v1/users/u1/consents/history")).json()["events"]
    assert {each["state"] for each in history} == {"given"}


async def test_the_model_is_trained_without_them(service: Service, client: Caller, clock: Clock) -> None:
    """Where something was trained, the erasure waits for a training; when it is over, old releases are destroyed and it is complete."""
    record = ReleaseRecord("r-1", "retired", "0" * 64, 0, {}, service.clock(), None)
    async with service.database.write(APP) as connection:
        await registry.add_release(connection, APP, record)
        assert await registry.promote(connection, APP, record, service.clock())
    await live_fully(service, client, "u1")
    done = (await client.http.delete("/v1/users/u1")).json()["erasure"]
    assert (done["status"], done["receipt"]) == ("retraining", None)
    assert done["release_before"]["id"] == "r-1"
    refused = await client.post("/v1/releases/r-1:promote")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    while await work_once(service):
        clock.forward(days=0.1)
    found = (await client.get(f"/v1/erasures/{done['erasure_id']}")).json()
    assert (found["status"], found["release_after"]["id"]) == ("completed", None)
    assert found["receipt"]
    releases = (await client.get("/v1/releases")).json()["releases"]
    assert [each["status"] for each in releases] == ["destroyed"]
    asked = {"requested_at", "rows_erased_at", "counts", "deadline", "erasure_id"}
    assert {name: found[name] for name in asked} == {name: done[name] for name in asked}


def named(names: Collection[str]) -> list[str]:
    """Names in order."""
    return sorted(names)


@ON_SQLITE
async def test_the_export_shows_everything_that_an_erasure_would_remove(
    service: Service, client: Caller
) -> None:
    """Export: consents, history, receipts with signatures, events and kept answers; for nobody the same shape, empty."""
    _, subject_id = await live_fully(service, client, "u1")
    held = (await client.get("/v1/users/u1/export")).json()
    nobody = (await client.get("/v1/users/never-seen/export")).json()
    assert named(held) == named(nobody)
    assert (held["subject_id"], nobody["subject_id"]) == (subject_id, None)
    assert len(held["consent_history"]) == 3 * len(SIGNALS)
    assert (len(held["events"]), len(held["receipts"]), len(held["kept_answers"])) == (3, 1, 1)
    assert not any(nobody[name] for name in ("events", "receipts", "consent_history", "kept_answers"))
    for name in held:
        if name != "exported_at":
            assert "harbour" not in json.dumps(held[name]).replace("harbour/", ""), name


@ON_SQLITE
async def test_sqlite_is_durable_and_keeps_no_deleted_bytes(service: Service, database_url: str) -> None:
    """Every connection says so itself: whether a build of SQLite does it unasked is chance."""
    async with service.database.read(APP) as connection:
        found = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}
