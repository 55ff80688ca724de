"""Looks at a database from outside the service: every row of every table, and every byte of its files."""

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For behaviour in which the database has no part."""
ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

Rows = Mapping[str, list[dict[str, Any]]]


async def everything(url: str) -> Rows:
    """Every row of every table, read past row-level security."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.row_factory = sqlite3.Row
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return {
                name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')]  # noqa: S608  a table's own name
                for (name,) in tables
            }
    superuser = await asyncpg.connect(url.replace("assent_owner@", "postgres@"))
    try:
        tables = await superuser.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {
            name: [dict(row) for row in await superuser.fetch(f'SELECT * FROM "{name}"')]  # noqa: S608  a table's own name
            for (name,) in tables
        }
    finally:
        await superuser.close()


async def table(url: str, name: str) -> list[dict[str, Any]]:
    """Every row of one table."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')]  # noqa: S608  a table's own name
    superuser = await asyncpg.connect(url.replace("assent_owner@", "postgres@"))
    try:
        return [dict(row) for row in await superuser.fetch(f'SELECT * FROM "{name}"')]  # noqa: S608  a table's own name
    finally:
        await superuser.close()


async def counts(url: str) -> dict[str, int]:
    """How many rows each table has."""
    return {name: len(rows) for name, rows in (await everything(url)).items()}


async def files_hold(url: str, needle: bytes) -> bool:
    """Whether these bytes are in any file of the database, its write-ahead log included."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        return any(needle in each.read_bytes() for each in path.parent.glob(f"{path.name}*"))
    superuser = await asyncpg.connect(url.replace("assent_owner@", "postgres@"))
    await superuser.execute("CHECKPOINT")
    await superuser.close()
    return _any_file_holds(Path(parse_qs(urlsplit(url).query)["host"][0]), needle)


def _any_file_holds(folder: Path, needle: bytes) -> bool:
    return any(needle in each.read_bytes() for each in folder.rglob("*") if each.is_file())


async def by_force(url: str, table: str, *statements: str) -> None:
    """Do to a table what the service could never do: as whoever owns the files, past triggers, rights and keys."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            triggers = connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)
            ).fetchall()
            for name, _ in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                connection.execute(statement)
            for _, sql in triggers:
                connection.execute(sql)
        return
    superuser = await asyncpg.connect(url.replace("assent_owner@", "postgres@"))
    try:
        await superuser.execute("SET session_replication_role = replica")
        for statement in statements:
            await superuser.execute(statement)
    finally:
        await superuser.close()
