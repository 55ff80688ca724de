"""A disk that is full: 503, no half of anything, and all goes on when there is room."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from api import administration, schema
from api.service import Service
from recommender.exchange import shipped
from tests.api import witness
from tests.chaos.conftest import town_on
from tests.chaos.fleet import Fleet, Town, insist
from tests.chaos.postgres import postgres
from tests.chaos.test_kills import choice
from tests.conftest import APP, event, settings_for

ROOM = 24 * 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=0777", "none", folder],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk takes root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """Leave no byte free; the file that takes them."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    assert os.statvfs(folder).f_bavail == 0
    return path


async def furnished(url: str, folder: Path, fleet: Fleet) -> Town:
    """A town on an empty database."""
    await schema.migrate(url)
    service = Service.create(settings_for(url, folder))
    await administration.ensure_app(service, APP, "Harbour")
    await administration.import_catalog(service, APP, shipped())
    await service.close()
    return await town_on(url, folder, fleet)


@pytest.fixture(params=["sqlite", "postgresql"])
async def cramped(
    request: pytest.FixtureRequest, disk: Path, tmp_path: Path, fleet: Fleet
) -> AsyncIterator[Town]:
    """A town whose tables lie on the small disk: SQLite's file, or a tablespace of PostgreSQL (its log lies elsewhere)."""
    if request.param == "sqlite":
        yield await furnished(f"sqlite:///{disk / 'assent.db'}", tmp_path, fleet)
        fleet.stop_all()
        return
    with postgres(tmp_path) as server:
        place = disk / "tables"
        place.mkdir()
        there = server.folder.stat()
        os.chown(place, there.st_uid, there.st_gid)
        server.psql(f"CREATE TABLESPACE cramped LOCATION '{place}'")
        server.psql("CREATE DATABASE cramped OWNER assent_owner TABLESPACE cramped")
        yield await furnished(server.url("cramped"), tmp_path, fleet)
        fleet.stop_all()


async def until_full(http: httpx.AsyncClient) -> tuple[set[str], list[str]]:
    """Send events until one batch is refused for want of room: what was accepted, and what was not acknowledged."""
    accepted: set[str] = set()
    for _ in range(400):
        batch = [event("u1", "views", "box-breathing") for _ in range(200)]
        answer = await http.post("/v1/events", json={"events": batch})
        if answer.status_code == 503:
            assert answer.json()["code"] == "unavailable"
            return accepted, [each["event_id"] for each in batch]
        assert answer.json()["accepted"] == 200, answer.text
        accepted |= {each["event_id"] for each in batch}
    raise AssertionError("the disk never was full")


async def test_a_full_disk_takes_nothing_and_loses_nothing(cramped: Town, disk: Path) -> None:
    """While there is no room, a batch is 503 and nothing of it is stored; lists go on; with room the same process stores it."""
    serving = await cramped.serve()
    async with cramped.client() as http, asyncio.timeout(240):
        assert (await insist(http, "PUT", "/v1/users/u1/consents", choice("given"))).status_code == 200
        ballast = fill(disk)
        accepted, missing = await until_full(http)
        rows = await witness.everything(cramped.settings.database_url)
        assert {row["event_id"] for row in rows["event"]} == accepted
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.post("/v1/recommendations", json={"user_id": "u1"})).status_code == 200
        ballast.unlink()
        batch = [event("u1", "views", "box-breathing", event_id=event_id) for event_id in missing]
        stored = await insist(http, "POST", "/v1/events", {"events": batch})
        assert stored.json()["accepted"] == len(missing)
        assert (await insist(http, "PUT", "/v1/users/u1/consents", choice("withdrawn"))).status_code == 200
        cramped.fleet.check_alive(serving)
    assert (await witness.everything(cramped.settings.database_url))["event"] == []
