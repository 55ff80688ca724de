"""The transparency log at 1 million entries: what appending and proving cost against its size, on both databases.

Logs of each size are made in one database, so that what differs is the size alone. Appending is a change of four
cells without the rest of a change: four leaves in one transaction. Proving is an inclusion and a consistency proof.
The growth is the cost at the largest size over the cost at the smallest: with proofs and appends that read the whole
log it would be a thousand, with a logarithm it is at most two.
"""

import asyncio
import hashlib
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api import administration, schema
from api.service import Service
from api.settings import load
from benchmarks.databases import Postgres
from benchmarks.table import Row
from consent.log import merkle
from consent.log import store as log
from consent.tables import app, log_node

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS, CALLS, LEAVES = 3, 100, 4
AT_ONCE = 20_000
SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="  # noqa: S105  for a database that is thrown away


def compare(scratch: Path, postgres: Postgres) -> list[Row]:
    """Measure each database."""
    urls = {"SQLite": f"sqlite:///{scratch / 'log.db'}", "PostgreSQL": postgres.create("log")}
    return [
        row
        for database, url in urls.items()
        for row in asyncio.run(_measure(database, url, scratch, postgres))
    ]


async def _measure(database: str, url: str, scratch: Path, postgres: Postgres) -> list[Row]:
    await schema.migrate(url)
    service = Service.create(load({}, database_url=url, secret=SECRET, releases_url=str(scratch)))
    for size in SIZES:
        await administration.ensure_app(service, _name(size), "bench")
        await _fill(service, _name(size), size)
    if database == "PostgreSQL":
        await postgres.settle("log")
    costs: dict[str, dict[int, float]] = {"append": {}, "inclusion": {}, "consistency": {}}
    for _ in range(ROUNDS):  # by turns, so that what else the machine does meets every size alike
        for size in SIZES:
            for what, cost in (await _costs(service, size)).items():
                costs[what][size] = min(cost, costs[what].get(size, cost))
    await service.close()
    return [_row(database, what, of_size) for what, of_size in costs.items()]


def _name(size: int) -> str:
    return f"log-{size}"


def _leaves(count: int) -> Iterator[bytes]:
    return (
        hashlib.sha256(number.to_bytes(8, "big")).digest()
        for number in itertools.islice(itertools.count(), count)
    )


async def _fill(service: Service, app_id: str, size: int) -> None:
    """Store a log of this size, as appending would have left it."""
    tree = merkle.Tree()
    leaves = _leaves(size)
    async with service.database.write(app_id) as connection:
        while batch := list(itertools.islice(leaves, AT_ONCE)):
            rows = []
            for data in batch:
                (leaf, _), *inner = tree.append(merkle.leaf_hash(data))
                rows += [(leaf, data), *inner]
            await connection.execute(
                insert(log_node), [{"app_id": app_id, "node": node, "value": value} for node, value in rows]
            )
        await connection.execute(update(app).where(app.c.app_id == app_id).values(ledger_size=size))


async def _costs(service: Service, size: int) -> dict[str, float]:
    """Return seconds a call."""
    chance, app_id = random.Random(size), _name(size)
    async with service.database.read(app_id) as connection:
        whole = await log.size(connection, app_id)

        async def inclusion(connection: AsyncConnection) -> None:
            await log.inclusion(connection, app_id, [chance.randrange(size)], size)

        async def consistency(connection: AsyncConnection) -> None:
            await log.consistency(connection, app_id, chance.randrange(1, size), size)

        proving = {
            "inclusion": await _timed(connection, inclusion),
            "consistency": await _timed(connection, consistency),
        }
    sizes = itertools.count(whole, LEAVES)
    async with service.database.write(app_id) as connection:

        async def append(connection: AsyncConnection) -> None:
            await log.append(connection, app_id, next(sizes), list(_leaves(LEAVES)))

        appending = await _timed(connection, append)
        await connection.execute(
            update(app).where(app.c.app_id == app_id).values(ledger_size=whole + CALLS * LEAVES)
        )
    return {"append": appending, **proving}


async def _timed(connection: AsyncConnection, call: Callable[[AsyncConnection], Awaitable[None]]) -> float:
    """Return the time of one call in ten that are as quick: what else the machine does can only take away."""
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await call(connection)
        times.append(time.perf_counter() - began)
    return sorted(times)[CALLS // 10]


def _row(database: str, what: str, cost: dict[int, float]) -> Row:
    smallest, largest = cost[SIZES[0]], cost[SIZES[-1]]
    growth = largest / smallest
    steps = ", ".join(f"{cost[size] * 1e3:.2f}" for size in SIZES)
    unit = f"{LEAVES} leaves" if what == "append" else "a proof"
    return Row(
        f"log {what}, {database}", f"{SIZES[0]:,} entries", growth, f"{largest * 1e3:.2f} ms {unit} at {SIZES[-1]:,}",
        f"{smallest * 1e3:.2f} ms (at 1e3, 1e4, 1e5, 1e6: {steps})", "<= 2", growth <= 2,
    )  # fmt: skip
