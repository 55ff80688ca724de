"""Backups that are taken of a running service and put back after people left, by the command line: nobody comes back with one."""

import asyncio
import contextlib
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from api.backups import POSTGRES, SQLITE
from api.service import Service
from tests.api.test_backups import operators
from tests.chaos.fleet import Town, insist
from tests.chaos.test_races import choice
from tests.conftest import event

PEOPLE = ("leaves", "takes-back", "stays")


@pytest.fixture
def settings(service: Service, database_url: str, town: Town) -> dict[str, str]:
    """The settings of whoever backs up."""
    told = operators(service, database_url)
    return town.environment(
        ASSENT_POSTGRES_TOOLS=told.postgres_tools or "",
        ASSENT_BACKUP_DATABASE_URL=told.backup_database_url or "",
    )


async def arrive(http: httpx.AsyncClient, user: str) -> None:
    """Let somebody share what they save, and save something."""
    assert (await insist(http, "PUT", f"/v1/users/{user}/consents", choice("given"))).status_code == 200
    sent = await insist(http, "POST", "/v1/events", {"events": [event(user, "saves", "box-breathing")]})
    assert sent.json()["accepted"] == 1


async def stand(http: httpx.AsyncClient) -> dict[str, object]:
    """How each of them stands: unknown, or how their saves do and how many are held."""
    found: dict[str, object] = {}
    for user in (*PEOPLE, "came-later"):
        held = (await http.get(f"/v1/users/{user}/export")).json()
        states = {each["state"] for each in held["choices"] if each["signal"] == "saves"}
        found[user] = (states, len(held["events"])) if held["subject_id"] else None
    return found


AFTERWARDS = {"leaves": None, "takes-back": ({"withdrawn"}, 0), "stays": ({"given"}, 1), "came-later": None}


async def lived(town: Town, settings: dict[str, str], folder: Path) -> Path:
    """Let people come, back up while the service runs, and let some of them go; the backup."""
    server = await town.serve()
    async with town.client() as http:
        for user in PEOPLE:
            await arrive(http, user)
        assert "Backed up" in town.fleet.run(settings, "backup", str(folder))
        assert (await insist(http, "DELETE", "/v1/users/leaves")).status_code == 202
        withdrawn = await insist(http, "PUT", "/v1/users/takes-back/consents", choice("withdrawn"))
        assert withdrawn.status_code == 200
        await arrive(http, "came-later")
    made = only(folder)
    assert "stop the service first" in town.fleet.run(settings, "restore", str(made))
    town.fleet.kill(server)
    return made


def only(folder: Path) -> Path:
    """The one thing in a folder."""
    (found,) = folder.iterdir()
    return found


async def test_a_backup_is_put_back_by_the_command_line(
    town: Town, settings: dict[str, str], tmp_path: Path
) -> None:
    """`assent backup` of a running service, `assent restore` once it is stopped: who left is gone, what was taken back is off, before the first answer.

    The restore says how much it carried out again; while the service runs it is refused, and so is a backup from
    before the register's reach. The register is pruned when no backup can be older.
    """
    async with asyncio.timeout(240):
        made = await lived(town, settings, tmp_path / "backups")
        said = town.fleet.run(settings, "restore", str(made))
        assert "carried out again: 2" in said, said
        server = await town.serve()
        async with town.client() as http:
            assert (await http.get("/readyz")).status_code == 200
            assert await stand(http) == AFTERWARDS
        town.fleet.kill(server)
        outlive(made)
        assert "older than 30 days" in town.fleet.run(settings, "restore", str(made))
        let_the_month_pass(town)
        town.work()
        while entries(town):  # noqa: ASYNC110  the worker tells by the folder
            await asyncio.sleep(0.05)


def let_the_month_pass(town: Town) -> None:
    """Let the register's entries be a month older."""
    before = f"{datetime.now(UTC) - timedelta(days=32):%Y-%m-%d}"
    for entry in entries(town):
        older = entry.parent.with_name(before)
        older.mkdir(exist_ok=True)
        entry.rename(older / entry.name)


def entries(town: Town) -> list[Path]:
    """The entries of the register."""
    return [*Path(town.settings.register_url).rglob("*~*.json")]


def outlive(made: Path) -> None:
    """Let a backup be a month older."""
    manifest = made / "manifest.json"
    document = json.loads(manifest.read_text("utf-8"))
    document["made_at"] = (datetime.fromisoformat(document["made_at"]) - timedelta(days=31)).isoformat()
    manifest.write_text(json.dumps(document), "utf-8")


async def test_until_the_register_is_replayed_the_service_is_not_ready_and_says_so(
    town: Town, settings: dict[str, str], tmp_path: Path
) -> None:
    """Put back with the engine's own tool, and the register out of reach: `/readyz` says why, lists are the support block, writes are 503; then, without a restart, all is well."""
    async with asyncio.timeout(240):
        made = await lived(town, settings, tmp_path / "backups")
        by_hand(town, settings, made)
        find_again = mislay(Path(town.settings.register_url))
        server = await town.serve()
        async with town.client() as http:
            ready = await http.get("/readyz")
            assert ready.status_code == 503
            assert "the register of erasures is not replayed yet" in ready.json()["reasons"]
            listed = await http.post("/v1/recommendations", json={"user_id": "leaves"})
            assert (listed.status_code, listed.json()["strategy"]) == (503, "support_only")
            refused = await http.put("/v1/users/stays/consents", json=choice("given"))
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            find_again()
            while (await http.get("/readyz")).status_code != 200:  # noqa: ASYNC110  the service tells when asked
                await asyncio.sleep(0.05)
            assert await stand(http) == AFTERWARDS
            town.fleet.check_alive(server)


def mislay(register: Path) -> Callable[[], None]:
    """Let the register be out of reach, as by a mount that failed; what finds it again."""
    aside = register.with_name("register-elsewhere")
    register.rename(aside)
    register.write_text("no folder", "utf-8")

    def find_again() -> None:
        register.unlink()
        aside.rename(register)

    return find_again


def by_hand(town: Town, settings: dict[str, str], made: Path) -> None:
    """Put a backup's database in place without our help."""
    url = town.settings.database_url
    if url.startswith("sqlite"):
        with (
            contextlib.closing(sqlite3.connect(made / SQLITE)) as here,
            contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as there,
        ):
            here.backup(there)
        return
    tool = shutil.which("pg_restore", path=settings["ASSENT_POSTGRES_TOOLS"]) or ""
    address = f"--dbname={settings['ASSENT_BACKUP_DATABASE_URL']}"
    subprocess.run(
        [tool, "--clean", "--if-exists", "--single-transaction", address, made / POSTGRES], check=True
    )
