"""Tenants never meet: an app's key reaches that app's people, events, models and ledger, and nothing else."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from api import administration
from api.service import Service
from consent.tables import consent_cell, metadata
from recommender import registry
from recommender.registry import ReleaseRecord
from tests.api import witness
from tests.api.calls import CALLS, CONSENT, PAGES, RESOURCE, SUBSCRIPTION, served
from tests.api.witness import ON_POSTGRESQL, ON_SQLITE
from tests.conftest import APP, OTHER_APP, Caller, event

PERSONAL = (
    "subject",
    "consent_event",
    "consent_cell",
    "receipt",
    "event",
    "idempotent_answer",
    "webhook_delivery",
    "log_key",
)


@ON_SQLITE
def test_every_route_is_in_the_matrix(app: FastAPI, database_url: str) -> None:
    """A new route must be added to the table of calls, and so to every test that walks it."""
    tabled = {(call.method, call.template) for call in CALLS}
    for method, path in served(app):
        assert method == "HEAD" or (method, path) in tabled or path in PAGES, (
            f"{method} {path} is in no table"
        )
    assert tabled <= set(served(app))


async def furnished(service: Service, client: Caller) -> dict[str, str]:
    """A full tenant: person, events, receipt, erasure, resource, release; returns the names of its things."""
    await client.http.put("/v1/resources/tea-and-a-window", json=RESOURCE)
    listens = await client.post("/v1/subscriptions", SUBSCRIPTION)
    changed = await client.http.put(
        "/v1/users/u1/consents", json=CONSENT, headers={"Idempotency-Key": "the-same-key"}
    )
    await client.events(event("u1", "views", "tea-and-a-window", event_id="the-same-event"))
    erasure = (await client.http.delete("/v1/users/u2")).json()["erasure"]
    record = ReleaseRecord("r-1", "retired", "0" * 64, 0, {}, service.clock(), None)
    async with service.database.write(APP) as connection:
        await registry.add_release(connection, APP, record)
    return {
        "user_id": "u1",
        "receipt_id": changed.json()["receipt"]["receipt_id"],
        "erasure_id": erasure["erasure_id"],
        "resource_id": "tea-and-a-window",
        "release_id": "r-1",
        "subscription_id": listens.json()["subscription_id"],
    }


async def test_no_route_shows_or_changes_another_app(
    service: Service, client: Caller, caller_for: Callable[..., Any], database_url: str
) -> None:
    """Every call with the names of another app's things is answered exactly as for names that never existed, and changes none."""
    names = await furnished(service, client)
    nowhere = {
        "user_id": "nobody",
        "receipt_id": "f" * 32,
        "erasure_id": "f" * 32,
        "resource_id": "nothing",
        "release_id": "r-9",
        "subscription_id": "f" * 32,
    }
    stranger = await caller_for(OTHER_APP)
    before = of_app(await witness.everything(database_url), APP)
    for call in CALLS:
        if call.scope is None:
            continue
        theirs = call.path(**{name: names[name] for name in call.names})
        unknown = call.path(**{name: nowhere[name] for name in call.names})
        body = call.body
        if call.body in (RESOURCE, {"resources": [RESOURCE]}):
            continue  # makes a resource of its own; the rows below show that it is no other's
        answer = await stranger.http.request(call.method, theirs, json=body)
        other = await stranger.http.request(call.method, unknown, json=body)
        assert answer.status_code == other.status_code, (call, answer.text)
        for needle in names.values():
            if needle not in {"u1", *theirs.split("/")} and len(needle) > 8:
                assert needle not in answer.text, call
        if "{" in call.template and not call.template.startswith("/v1/users/{user_id}"):
            assert (answer.status_code, answer.json()) == (404, other.json()), call
    assert (await stranger.get(f"/v1/users/u1/receipts/{names['receipt_id']}")).status_code == 404
    assert (await stranger.http.put("/v1/resources/tea-and-a-window", json=RESOURCE)).status_code == 200
    assert (await stranger.http.delete("/v1/resources/tea-and-a-window")).status_code == 204
    assert of_app(await witness.everything(database_url), APP) == before


def of_app(rows: witness.Rows, app_id: str) -> dict[str, Any]:
    """The rows of one app, and none of the keys that tests make."""
    return {
        table: sorted(repr(sorted(row.items())) for row in found if row.get("app_id") == app_id)
        for table, found in rows.items()
        if table != "api_key"
    }


async def test_the_same_names_in_two_apps_are_two_things(
    service: Service, client: Caller, caller_for: Callable[..., Any], database_url: str
) -> None:
    """One user id, event id, resource id and Idempotency-Key in two apps: two people, events, resources, answers."""
    await furnished(service, client)
    other = await caller_for(OTHER_APP)
    assert (await other.get("/v1/users/u1/export")).json()["subject_id"] is None
    await other.http.put("/v1/resources/tea-and-a-window", json={**RESOURCE, "title": "Other tea"})
    answer = await other.http.put(
        "/v1/users/u1/consents", json=CONSENT, headers={"Idempotency-Key": "the-same-key"}
    )
    assert answer.status_code == 200
    stored = await other.events(event("u1", "views", "tea-and-a-window", event_id="the-same-event"))
    assert stored["accepted"] == 1
    rows = await witness.everything(database_url)
    hashes = {bytes(row["user_hash"]) for row in rows["subject"]}
    assert len(rows["subject"]) == len(hashes) == 2
    await other.http.delete("/v1/users/u1")
    assert len((await client.get("/v1/users/u1/export")).json()["events"]) == 1
    assert (await client.get("/v1/resources/tea-and-a-window")).json()["title"] == "Tea and a window"


async def _as_service(url: str, app_id: str | None, purpose: str | None) -> Any:
    """A bare connection with the rights of the service, in the context of an app and a purpose."""
    connection = await asyncpg.connect(url, server_settings={"role": "assent_service"})
    if app_id is not None:
        await connection.execute("SELECT set_config('assent.app', $1, false)", app_id)
    if purpose is not None:
        await connection.execute("SELECT set_config('assent.purpose', $1, false)", purpose)
    return connection


async def _seen(url: str, app_id: str | None, purpose: str | None) -> dict[str, int]:
    connection = await _as_service(url, app_id, purpose)
    try:
        return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in PERSONAL}  # noqa: S608  the names above
    finally:
        await connection.close()


@ON_POSTGRESQL
async def test_the_database_itself_keeps_apps_apart(
    service: Service, client: Caller, database_url: str
) -> None:
    """Under the service's role nobody's row is seen without the app's context, nor in another app's; nor by the owner."""
    await furnished(service, client)
    nothing = dict.fromkeys(PERSONAL, 0)
    assert all((await _seen(database_url, APP, "rights")).values())
    for app_id in (None, "", OTHER_APP, "%", "harbour' OR '1'='1"):
        assert await _seen(database_url, app_id, "rights") == nothing
    owner = await asyncpg.connect(database_url)
    assert {table: await owner.fetchval(f"SELECT count(*) FROM {table}") for table in PERSONAL} == nothing  # noqa: S608  the names above
    await owner.close()
    assert set(PERSONAL) == {
        table.name for table in metadata.tables.values() if {"subject_id", "user_hash"} & set(table.c.keys())
    }


@ON_POSTGRESQL
async def test_the_database_itself_holds_the_gate(
    service: Service, client: Caller, database_url: str
) -> None:
    """Events are seen under a purpose that their person grants, and under no other; none go in, or change, without a grant."""
    await furnished(service, client)
    for purpose, seen in {"personalise": 1, "improve": 0, "measure": 0, "": 0, None: 0, "rights": 1}.items():
        assert (await _seen(database_url, APP, purpose))["event"] == seen, purpose
    connection = await _as_service(database_url, APP, "ingest")
    row = dict(await connection.fetchrow("SELECT * FROM event"))
    row |= {"event_id": "forged", "signal": "saves"}
    marks = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(f"INSERT INTO event ({', '.join(row)}) VALUES ({marks})", *row.values())  # noqa: S608  the table's own columns
    for forbidden in (
        "UPDATE event SET signal = 'saves'",
        "UPDATE consent_event SET state = 'given'",
        "UPDATE receipt SET body = ''",
        "TRUNCATE consent_event CASCADE",
        "ALTER TABLE event DISABLE ROW LEVEL SECURITY",
        "DROP TABLE consent_event",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
    assert await connection.execute("DELETE FROM event") == "DELETE 0"
    await connection.close()


@ON_POSTGRESQL
@pytest.mark.parametrize("purpose", ["personalise", "ingest"])
async def test_a_grant_ends_in_the_middle_of_a_transaction(
    service: Service, client: Caller, database_url: str, purpose: str
) -> None:
    """The database's own clock counts, at each statement: what began before the end of a grant sees nothing after it."""
    await furnished(service, client)
    connection = await _as_service(database_url, APP, purpose)
    async with connection.transaction():
        assert await connection.fetchval("SELECT count(*) FROM event") == 1
        async with service.database.write(APP) as other:
            ends = time.time_ns() // 1_000 + 300_000
            await other.execute(update(consent_cell).values(expires_at=ends))
        await asyncio.sleep(0.4)
        assert await connection.fetchval("SELECT count(*) FROM event") == 0
    await connection.close()


@ON_POSTGRESQL
@pytest.mark.parametrize("purpose", ["rights", "improve", ""])
async def test_events_go_in_under_no_other_purpose_than_ingest_or_one_that_is_granted(
    service: Service, client: Caller, database_url: str, purpose: str
) -> None:
    """The purposes under which somebody may see or remove their own events let none in."""
    await furnished(service, client)
    connection = await _as_service(database_url, APP, "ingest")
    row = dict(await connection.fetchrow("SELECT * FROM event")) | {"event_id": "another"}
    into = (
        f"INSERT INTO event ({', '.join(row)}) VALUES ({', '.join(f'${n}' for n in range(1, len(row) + 1))})"  # noqa: S608  the table's own columns
    )
    await connection.execute(into, *row.values())
    await connection.execute("SELECT set_config('assent.purpose', $1, false)", purpose)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(into, *(row | {"event_id": "forged"}).values())
    await connection.close()


@ON_SQLITE
@pytest.mark.parametrize("table", ["consent_event", "receipt"])
async def test_sqlite_refuses_to_change_history(service: Service, client: Caller, table: str) -> None:
    """What was recorded is never changed: a trigger refuses the update."""
    await client.consent("u1", "views")
    column = {"consent_event": "state", "receipt": "body"}[table]
    with pytest.raises(DBAPIError, match="never changed"):
        async with service.database.write(APP) as connection:
            await connection.execute(text(f"UPDATE {table} SET {column} = 'x'"))  # noqa: S608  the names above


@ON_SQLITE
async def test_links_of_one_app_lead_to_its_people_only(
    service: Service, client: Caller, caller_for: Callable[..., Any], tmp_path: Path
) -> None:
    """A link made by one app for its user u1 deletes that u1, and leaves the other app's u1 alone."""
    other = await caller_for(OTHER_APP)
    for caller in (client, other):
        await caller.consent("u1", "views")
    url = (await other.post("/v1/users/u1/links", {"kind": "erase"})).json()["url"]
    path = url.removeprefix(service.settings.public_url)
    del other.http.headers["Authorization"]
    answer = await other.http.post(path, data={"erase": "One-Click"})
    assert answer.status_code == 200
    assert (await client.get("/v1/users/u1/export")).json()["subject_id"] is not None


@ON_SQLITE
async def test_an_app_must_be_registered(service: Service) -> None:
    """No key is made for an app that does not exist."""
    with pytest.raises(administration.NoSuchApp):
        await administration.create_key(service, "nowhere", "test", [])
