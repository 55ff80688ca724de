"""When the database or the release is gone: where to turn is still told, everything else fails closed, and all of it recovers."""

import asyncio
import contextlib
import shutil
import sqlite3
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from sqlalchemy.exc import OperationalError

from api import administration, keys
from api.database import Database
from api.keys import Scope
from api.service import Service
from recommender import registry
from recommender.registry import ReleaseRecord
from tests.api.calls import CALLS, CONSENT
from tests.api.witness import ON_POSTGRESQL, ON_SQLITE
from tests.conftest import APP, Caller, event, serving, settings_for


async def check_gone(client: Caller) -> None:
    """See that the service says so everywhere, keeps nothing, and still tells where to turn."""
    assert (await client.get("/healthz")).status_code == 200
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert any("database" in reason for reason in ready.json()["reasons"]), ready.text
    for path in ("/v1/recommendations", "/v1/recommendations:whatif"):
        answer = await client.post(path, {"user_id": "u1", "context": {"region": "GB", "locale": "en"}})
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json"), (
            answer.text
        )
        problem = answer.json()
        assert (problem["code"], problem["strategy"], problem["items"]) == ("unavailable", "support_only", [])
        assert problem["support"]
        assert answer.headers["retry-after"]
    for call in CALLS:
        if call.scope is None:
            continue
        answer = await client.http.request(call.method, call.path(), json=call.body)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), (call, answer.text)
    browser = await client.get("/me", headers={"Accept": "text/html", "Authorization": ""})
    assert browser.status_code in {403, 503}


async def check_back(client: Caller) -> None:
    """See that the same process serves again."""
    assert (await client.recommend("u1"))["items"]
    assert (await client.http.put("/v1/users/u1/consents", json=CONSENT)).status_code == 200
    assert (await client.events(event("u1", "views", "box-breathing")))["accepted"] == 1


@ON_SQLITE
async def test_sqlite_that_comes_later(service: Service, database_url: str, tmp_path: Path) -> None:
    """A service that starts before its file is there says so, and serves once it is."""
    key = await administration.create_key(service, APP, "test", [Scope.ADMIN])
    await service.database.scrub()
    await service.close()
    there = tmp_path / "elsewhere"
    later = Service.create(settings_for(f"sqlite:///{there / 'assent.db'}", tmp_path))
    async with serving(later, key.text) as client:
        await check_gone(client)
        there.mkdir()
        shutil.copy(tmp_path / "assent.db", there)
        await check_back(client)
        assert "database" not in (await client.get("/readyz")).text


@ON_SQLITE
async def test_a_file_that_is_not_there_has_no_log_to_empty(service: Service, tmp_path: Path) -> None:
    """It is said to be undone, rather than raised to whoever deleted somebody a moment before."""
    assert await service.database.scrub()
    before = set(threading.enumerate())
    assert not await Database(f"sqlite:///{tmp_path / 'elsewhere' / 'assent.db'}").scrub()
    for thread in set(threading.enumerate()) - before:  # the driver's: it has a last word for this loop
        await asyncio.to_thread(thread.join)


def remove_logs(folder: Path) -> None:
    """Remove what SQLite keeps beside its file."""
    for beside in folder.glob("assent.db-*"):
        beside.unlink()


async def held_alone(service: Service, folder: Path) -> sqlite3.Connection:
    """Hold the service's file as another process might that lets nobody else in; until then the service runs on."""
    holder = sqlite3.connect(folder / "assent.db", isolation_level=None, timeout=0)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    async with asyncio.timeout(60):
        while True:
            await service.database.close()
            with contextlib.suppress(sqlite3.OperationalError):  # it looked for a new release meanwhile
                holder.execute("BEGIN EXCLUSIVE")
                return holder
            await asyncio.sleep(0.01)


@ON_SQLITE
async def test_sqlite_that_is_damaged(service: Service, database_url: str, tmp_path: Path) -> None:
    """A file that is no database any more is told as such, not as a fault of ours."""
    key = await administration.create_key(service, APP, "test", [Scope.ADMIN])
    await service.close()
    path = tmp_path / "assent.db"
    # It does not look by itself meanwhile: in the midst of being written, a file may be an empty database.
    seldom = Service.create(settings_for(database_url, tmp_path, poll_s=60))
    async with serving(seldom, key.text) as client:
        await client.recommend("u1")
        (await held_alone(seldom, tmp_path)).close()
        whole = path.read_bytes()
        remove_logs(tmp_path)
        path.write_bytes(b"\0garbage" * 4096)
        await check_gone(client)
        remove_logs(tmp_path)
        path.write_bytes(whole)
        await check_back(client)


@ON_SQLITE
async def test_a_locked_file_is_waited_for_and_then_told(
    service: Service, client: Caller, tmp_path: Path
) -> None:
    """While another process holds the file alone, a list is unavailable rather than wrong."""
    await client.recommend("u1")
    holder = await held_alone(service, tmp_path)
    answer = await client.post("/v1/recommendations", {"user_id": "u1"})
    holder.rollback()
    holder.close()
    assert (answer.status_code, answer.json()["strategy"]) == (503, "support_only")
    assert (await client.recommend("u1"))["items"]


async def test_postgresql_on_a_closed_port(free_port: int, tmp_path: Path) -> None:
    """Without a server behind the address, everything is unavailable and where to turn is told."""
    url = f"postgresql://nobody@127.0.0.1:{free_port}/nothing"
    async with serving(Service.create(settings_for(url, tmp_path)), keys.create().text) as client:
        await check_gone(client)


@ON_POSTGRESQL
async def test_postgresql_lost_in_mid_service(service: Service, client: Caller, database_url: str) -> None:
    """When its connections are cut and no new ones are let in, the service says so; when they are, it serves again."""
    await client.recommend("u1")
    name = urlsplit(database_url).path.removeprefix("/")
    folder = parse_qs(urlsplit(database_url).query)["host"][0]
    superuser = await asyncpg.connect(f"postgresql://postgres@/postgres?host={folder}")
    try:
        await superuser.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
        )
        await check_gone(client)
        await superuser.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await check_back(client)
    finally:
        await superuser.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await superuser.close()


@ON_SQLITE
async def test_a_release_that_is_missing(service: Service, client: Caller) -> None:
    """Without the promoted release the editors' list is served, and the service says that it is degraded."""
    record = ReleaseRecord("r-1", "candidate", "0" * 64, 0, {}, service.clock(), None)
    async with service.database.write(APP) as connection:
        await registry.add_release(connection, APP, record)
        assert await registry.promote(connection, APP, record, service.clock())
    await service.models.refresh()
    answer = await client.recommend("u1")
    assert (answer["strategy"], answer["release"], len(answer["items"])) == ("editorial", None, 10)
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["degraded"]


@ON_SQLITE
async def test_a_ledger_that_cannot_be_read_denies(
    service: Service, client: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events of who granted everything are not stored while the gate cannot look, and no 200 says otherwise."""
    await client.consent("u1", "views")

    async def blind(*_: object, **__: object) -> None:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    with monkeypatch.context() as patched:
        patched.setattr("recommender.events.permits", blind)
        answer = await client.post("/v1/events", {"events": [event("u1", "views", "box-breathing")]})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert (await client.get("/v1/users/u1/export")).json()["events"] == []
