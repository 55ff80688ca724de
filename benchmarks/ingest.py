"""Events per second in batches of 1,000 over HTTP, against `executemany` of the same rows straight into the same table.

The raw side writes the rows as they are stored, with the same indexes, foreign keys and durability, one transaction
for each batch: no HTTP, no JSON, no checks, no consent.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from api.connecting import prepare_sqlite
from benchmarks import load, servers
from benchmarks.databases import Postgres
from benchmarks.recommendations import World
from benchmarks.table import Row
from benchmarks.world import APP, SIGNALS, Size, resource_id, user_id

BATCHES, BATCH = 20, 1_000
ROUNDS = 3
COLUMNS = (
    "app_id", "event_id", "subject_id", "signal", "resource_id", "topic", "value", "occurred_at", "stored_at",
)  # fmt: skip


def compare(worlds: Sequence[World], size: Size, _folder: Path, postgres: Postgres) -> list[Row]:
    """Measure each database, ours and raw by turns; the best round of each counts."""
    core, _ = servers.cores()
    rows = []
    for world in worlds:
        port, ours, raw = servers.free_port(), 0.0, 0.0
        with servers.assent(world.settings, port, core):
            for number in range(ROUNDS):
                ours = max(ours, _over_http(port, world.key, size, number))
                raw = max(raw, _raw(world, size, number, postgres))
        against = "raw sqlite3 executemany" if world.database == "SQLite" else "raw asyncpg executemany"
        rows.append(Row(f"events, {world.database}", against, ours / raw, f"{ours:,.0f}/s", f"{raw:,.0f}/s"))
    return rows


def _events(size: Size, prefix: str) -> list[list[dict[str, Any]]]:
    """Batches of events of everybody mixed."""
    now = datetime.now(UTC).isoformat()
    return [
        [
            {
                "event_id": f"{prefix}-{batch}-{number}",
                "user_id": user_id((batch * BATCH + number) % size.people),
                "signal": SIGNALS[number % len(SIGNALS)],
                "resource_id": resource_id((batch * 37 + number) % size.resources),
                "occurred_at": now,
                **({"value": 4.0} if SIGNALS[number % len(SIGNALS)] == "ratings" else {}),
            }
            for number in range(BATCH)
        ]
        for batch in range(BATCHES)
    ]


def _over_http(port: int, key: str, size: Size, number: int) -> float:
    requests = [
        load.post("/v1/events", json.dumps({"events": batch}).encode(), key)
        for batch in _events(size, f"http-{number}")
    ]
    done = load.measure(port, requests, connections=2, once=True)
    return BATCHES * BATCH / done.seconds


def _raw(world: World, size: Size, number: int, postgres: Postgres) -> float:
    batches = _events(size, f"raw-{number}")
    if world.database == "SQLite":
        return _raw_sqlite(world.settings["ASSENT_DATABASE_URL"].removeprefix("sqlite:///"), batches)
    return asyncio.run(_raw_postgres(postgres.superuser % "bench", batches))


def _stored(
    batches: Sequence[Sequence[dict[str, Any]]], subjects: Sequence[str]
) -> list[list[tuple[Any, ...]]]:
    now = time.time_ns() // 1_000
    return [
        [
            (APP, each["event_id"], subjects[number % len(subjects)], each["signal"], each["resource_id"], None,
             each.get("value"), now, now)
            for number, each in enumerate(batch)
        ]
        for batch in batches
    ]  # fmt: skip


def _raw_sqlite(path: str, batches: Sequence[Sequence[dict[str, Any]]]) -> float:
    connection = sqlite3.connect(path, timeout=30)
    prepare_sqlite(connection, None)
    rows = _stored(batches, [row[0] for row in connection.execute("SELECT subject_id FROM subject")])
    statement = f"INSERT INTO event ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608  names of columns, and places
    began = time.perf_counter()
    for batch in rows:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, batch)
        connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    return BATCHES * BATCH / seconds


async def _raw_postgres(url: str, batches: Sequence[Sequence[dict[str, Any]]]) -> float:
    connection = await asyncpg.connect(url)
    rows = _stored(batches, [row[0] for row in await connection.fetch("SELECT subject_id FROM subject")])
    values = ", ".join(f"${place}" for place in range(1, len(COLUMNS) + 1))
    statement = f"INSERT INTO event ({', '.join(COLUMNS)}) VALUES ({values})"  # noqa: S608  names of columns, and places
    began = time.perf_counter()
    for batch in rows:
        async with connection.transaction():
            await connection.executemany(statement, batch)
    seconds = time.perf_counter() - began
    await connection.close()
    return BATCHES * BATCH / seconds
