"""Backups with the engines' own tools, and a restore that brings nobody back.

A backup is a folder: the database, the stored releases, and a manifest with the digest of every file, written last. It
lives no longer than is declared (`backup_lifetime_d`), since the register of erasures reaches no further back. A
restore wants the service stopped, puts everything back, and replays the register before it says that it is done;
should it be cut off in between, no process answers for anybody before it replayed the register itself.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import fsspec
from sqlalchemy import make_url

from api import leftovers
from api.connecting import prepare_sqlite
from api.replaying import replay
from api.service import Service
from api.settings import Settings
from consent import store as ledger
from recommender import registry

FORMAT = "assent-backup/1"
SQLITE, POSTGRES = "database.sqlite", "database.dump"
_NAME = "%Y%m%d-%H%M%S"
"""How the folder of a backup is named, by when it was made."""
_SCHEMA = "SELECT version_num FROM alembic_version"
"""Fails where no database of Assent is: a backup of nothing would be found out too late."""
_NOT_OURS = (ValueError, KeyError, TypeError)
"""What reading a manifest raises that is none, or something else's."""


class BackupFailed(Exception):
    """A backup or a restore cannot be done; the message says why, in plain words."""


@dataclass(frozen=True)
class Restored:
    """What a restore did."""

    made_at: datetime
    replayed: int


def back_up(settings: Settings, folder: Path, now: datetime) -> Path:
    """Write a backup into a new folder within `folder`, and remove those there that have outlived themselves; return its path."""
    made = folder / f"{now:{_NAME}}"
    part = folder / f".{made.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    try:
        _copy_database(settings, part)
        _copy_releases(settings, part / "releases")
        manifest = {"format": FORMAT, "made_at": now.isoformat(), "files": _digests(part)}
        (part / "manifest.json").write_text(json.dumps(manifest, indent=2), "utf-8")
        _sync(part)
        part.rename(made)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)  # nobody may outlive their deletion in half a backup
        raise
    _remove_outlived(folder, now - timedelta(days=settings.backup_lifetime_d))
    return made


def _copy_database(settings: Settings, part: Path) -> None:
    if _is_sqlite(settings):
        with _told("copied"), closing(_sqlite(settings, "rw")) as source:
            source.execute(_SCHEMA)
            # Compact: no page of the copy holds what was deleted.
            source.execute("VACUUM INTO ?", (str(part / SQLITE),))
    else:
        _run(settings, "psql", f"--command={_SCHEMA}", f"--dbname={_address(settings)}")
        _run(
            settings,
            "pg_dump",
            "--format=custom",
            f"--file={part / POSTGRES}",
            f"--dbname={_address(settings)}",
        )


def _copy_releases(settings: Settings, copied: Path) -> None:
    system, releases = fsspec.core.url_to_fs(settings.releases_url)
    if not system.exists(releases):
        return
    for path in system.find(releases):
        target = copied / Path(path).relative_to(releases)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            system.get_file(path, str(target))
        except FileNotFoundError:  # an erasure destroyed it meanwhile, and the register knows
            target.unlink(missing_ok=True)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.parent != folder or path.name in {SQLITE, POSTGRES}
    }


def _sync(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        if path.is_file():
            path.chmod(0o600)
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _remove_outlived(folder: Path, before: datetime) -> None:
    """Remove the backups from before then, and what a backup left that was killed; whatever else lies there stays."""
    for manifest in folder.glob("*/manifest.json"):
        with suppress(*_NOT_OURS):
            if _made_at(json.loads(manifest.read_text("utf-8"))) < before:
                shutil.rmtree(manifest.parent)
    for part in folder.glob(".*.part"):
        with suppress(ValueError):
            if datetime.strptime(part.name, f".{_NAME}.part").replace(tzinfo=UTC) < before:
                shutil.rmtree(part)


def _made_at(manifest: Mapping[str, str]) -> datetime:
    """Return when a backup was made, by its manifest; one of `_NOT_OURS` when it is the manifest of something else."""
    if manifest["format"] != FORMAT:
        raise ValueError("no backup of ours")
    return datetime.fromisoformat(manifest["made_at"]).astimezone(UTC)


async def restore(settings: Settings, backup: Path, now: datetime) -> Restored:
    """Put a backup in place of what is there, and replay the register of erasures.

    Raises:
        BackupFailed: the backup is damaged, of the other kind of database or too old, or the service still runs.
    """
    made_at = _checked(settings, backup, now)
    if _is_sqlite(settings):
        _restore_sqlite(settings, backup / SQLITE)
    else:
        _restore_postgres(settings, backup / POSTGRES)
    _restore_releases(settings, backup / "releases")
    service = Service.create(settings)
    try:
        async with service.database.read("") as connection:
            app_ids = await ledger.app_ids(connection)
        for app_id in app_ids:  # trainings may have read, since the backup, whatever was granted by then
            async with service.database.write(app_id) as connection:
                await registry.begin_reading(connection, app_id, service.clock())
        replayed = await replay(service)
        for app_id in app_ids:  # what was stored after the database was copied, and before its folder was
            await leftovers.destroy(service, app_id, unknown=True)
        return Restored(made_at, replayed)
    finally:
        await service.close()


def _checked(settings: Settings, backup: Path, now: datetime) -> datetime:
    try:
        manifest = json.loads((backup / "manifest.json").read_text("utf-8"))
        made_at, files = _made_at(manifest), dict(manifest["files"])
    except (OSError, *_NOT_OURS):
        raise BackupFailed("there is no backup, or its manifest is damaged") from None
    if _digests(backup) != files:
        raise BackupFailed("files of the backup are missing, damaged or not its own")
    if (SQLITE if _is_sqlite(settings) else POSTGRES) not in files:
        raise BackupFailed("the backup is of the other kind of database")
    if made_at < now - timedelta(days=settings.backup_lifetime_d):
        raise BackupFailed(
            f"the backup is older than {settings.backup_lifetime_d} days: the register of erasures "
            "does not reach back to it, and people who left since would come back"
        )
    return made_at


def _restore_sqlite(settings: Settings, file: Path) -> None:
    with (
        _told("put back"),
        closing(_sqlite(settings, "rwc")) as target,
        closing(sqlite3.connect(file)) as source,
    ):
        try:
            target.execute("PRAGMA locking_mode=EXCLUSIVE")
            target.execute("BEGIN EXCLUSIVE")
            target.execute("COMMIT")  # the lock stays until the connection is closed
        except sqlite3.OperationalError:
            raise BackupFailed("the database is in use: stop the service first") from None
        source.backup(target)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _restore_postgres(settings: Settings, file: Path) -> None:
    address = _address(settings)
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"  # PostgreSQL's own may be vacuuming
    )
    if (
        _run(settings, "psql", "--tuples-only", "--no-align", f"--command={others}", f"--dbname={address}")
        != "0"
    ):
        raise BackupFailed("the database is in use: stop the service first")
    _run(
        settings, "pg_restore", "--clean", "--if-exists", "--single-transaction", "--exit-on-error",
        f"--dbname={address}", str(file),
    )  # fmt: skip


def _restore_releases(settings: Settings, kept: Path) -> None:
    system, releases = fsspec.core.url_to_fs(settings.releases_url)
    try:
        # One by one: `rm` of all would take the folder's own path for a pattern.
        for path in system.find(releases):
            system.rm_file(path)
        for path in sorted(kept.rglob("*")):
            if path.is_file():
                target = f"{releases}/{path.relative_to(kept).as_posix()}"
                system.makedirs(target.rpartition("/")[0], exist_ok=True)
                system.put_file(str(path), target)
    except OSError as error:
        raise BackupFailed(
            f"the releases cannot be put back: {error.strerror or type(error).__name__}"
        ) from None


def _is_sqlite(settings: Settings) -> bool:
    return make_url(settings.database_url).get_backend_name() == "sqlite"


def _sqlite(settings: Settings, mode: Literal["rw", "rwc"]) -> sqlite3.Connection:
    """Open the database, with "rwc" also where there is none yet."""
    file = Path(make_url(settings.database_url).database or "").absolute()
    connection = sqlite3.connect(f"{file.as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=2)
    prepare_sqlite(connection, None)
    return connection


@contextmanager
def _told(done: str) -> Iterator[None]:
    """Say in plain words why SQLite could not do it."""
    try:
        yield
    except sqlite3.Error as error:
        raise BackupFailed(f"the database cannot be {done}: {error}") from None


def _address(settings: Settings) -> str:
    """Return the database's address without the password, which every user of the machine could read among the processes."""
    url = make_url(settings.backup_database_url or settings.database_url)
    return url.set(password=None).render_as_string()


def _run(settings: Settings, tool: str, *arguments: str) -> str:
    path = str(Path(settings.postgres_tools) / tool) if settings.postgres_tools else shutil.which(tool)
    password = make_url(settings.backup_database_url or settings.database_url).password
    try:
        done = subprocess.run(  # noqa: S603  the engine's own tool, with arguments of ours
            [path or tool, *arguments],
            env={**os.environ, **({"PGPASSWORD": str(password)} if password else {})},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise BackupFailed(
            f"{tool} cannot be started ({type(error).__name__}): is ASSENT_POSTGRES_TOOLS right?"
        ) from None
    if done.returncode != 0:
        raise BackupFailed(f"{tool} failed: {done.stderr.strip().splitlines()[-1:] or ['no reason told']}")
    return done.stdout.strip()
