"""The ledger of 10 thousand, 100 thousand and 1 million people with 20 cells each: decisions and changes a second, and what growth costs.

People and cells are written by PostgreSQL itself from a series of numbers; what is measured goes through the service's own
functions: a decision is the prepared query of the decision call, a change is the whole transaction with its line, cell,
leaf, receipt and signature. HTTP is left out, which costs the same at any size.
"""

import asyncio
import contextlib
import hashlib
import itertools
import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import asyncpg

from api import administration, people, schema
from api.database import RIGHTS
from api.point_reads import PostgresPointReads
from api.service import Service
from api.settings import Settings
from benchmarks import servers
from benchmarks.databases import Postgres
from benchmarks.table import Row
from consent.changes import Request
from consent.decisions import permit
from consent.ledger import Change, Choice
from consent.notices.published import EVERY_CELL
from consent.purposes import Purpose

SIZES = (10_000, 100_000, 1_000_000)
CELLS = 20
APP = "scale"
SMALL = tuple(f"small-{number}" for number in range(8))
SMALL_SIZE = 500
ROUND_S, ROUNDS = 2.0, 5
CONNECTIONS = 8
FLAT = 0.8
"""What a size may keep of the rate of the one before, ten times as small."""

_PEOPLE = """
INSERT INTO subject (app_id, subject_id, user_hash, created_at)
SELECT $1::text, md5($1::text || i), sha256(($1::text || i)::bytea), $4::bigint FROM generate_series($2::bigint, $3::bigint) i ORDER BY md5($1::text || i)
"""
_CELLS = """
INSERT INTO consent_cell
    (app_id, subject_id, purpose, signal, state, since, expires_at, notice_version, receipt_id, seq, actor_type)
SELECT $1::text, md5($1::text || i), cell.purpose, cell.signal, 'given', $4::bigint, $4::bigint + 31000000000000 + i, $5::text, md5($1::text || i || 'r'), 0, 'self'
FROM generate_series($2::bigint, $3::bigint) i CROSS JOIN unnest($6::text[], $7::text[]) AS cell(signal, purpose)
ORDER BY md5($1::text || i), cell.purpose, cell.signal
"""


@dataclass(frozen=True)
class Measured:
    """One size: decisions and changes a second, on one connection and on several."""

    size: int
    decisions: float
    decision_us: float
    changes: float


def user_hash(app_id: str, number: int) -> bytes:
    """The pseudonym under which the series wrote a person."""
    return hashlib.sha256(f"{app_id}{number}".encode()).digest()


def cells() -> list[tuple[str, str]]:
    """The twenty cells that everybody granted."""
    return [(signal, str(purpose)) for signal, purpose in sorted(EVERY_CELL)][:CELLS]


@dataclass(frozen=True)
class Ledger:
    """A service on a database of its own, with so many people."""

    service: Service
    database: str
    size: int


def compare(
    settings_of: Callable[[str], Settings], postgres: Postgres, say: Callable[[str], None]
) -> list[Row]:
    """Fill a database of each size, and measure them by turns: what else the machine does then touches all alike.

    `settings_of` gives the settings of a service on an empty database of a name.
    """
    return asyncio.run(_compare(settings_of, postgres, say))


async def _compare(
    settings_of: Callable[[str], Settings], postgres: Postgres, say: Callable[[str], None]
) -> list[Row]:
    async with contextlib.AsyncExitStack() as stack:
        ledgers = []
        for size in SIZES:
            made = await filled(settings_of, postgres, size, say)
            stack.push_async_callback(made.service.close)
            ledgers.append(made)
        with on_the_servers_core():
            measured = await measure(ledgers, say)
            one, alone, several = await contention(ledgers[0].service)
        return [*growth(measured), *taking_turns(one, alone, several)]


async def filled(
    settings_of: Callable[[str], Settings], postgres: Postgres, size: int, say: Callable[[str], None]
) -> Ledger:
    """Make a database with so many people, and with a few in other apps."""
    database, began = f"scale_{size}", time.monotonic()
    settings = settings_of(database)
    await schema.migrate(settings.database_url)
    service = Service.create(settings)
    for app_id, people_of in ((APP, size), *((app_id, SMALL_SIZE) for app_id in SMALL)):
        await administration.ensure_app(service, app_id, app_id)
        await fill(service, postgres.superuser % database, app_id, people_of)
    await postgres.settle(database)
    say(f"{size:,} people, {size * CELLS:,} cells (filled in {time.monotonic() - began:.0f} s)")
    say(await explained(service))
    return Ledger(service, database, size)


async def fill(service: Service, superuser: str, app_id: str, size: int) -> None:
    """Write people with their cells, past the service: foreign keys hold by construction."""
    connection = await asyncpg.connect(superuser)
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("SET synchronous_commit = off")
        now, signals, purposes = service.clock(), *map(list, zip(*cells(), strict=True))
        version = service.notices.current_version
        await connection.execute(_PEOPLE, app_id, 1, size, now)
        await connection.execute(_CELLS, app_id, 1, size, now, version, signals, purposes)
    finally:
        await connection.close()


@contextlib.contextmanager
def on_the_servers_core() -> Iterator[None]:
    """Leave the other core to PostgreSQL."""
    core, own = servers.cores()
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {own})


async def explained(service: Service) -> str:
    """Return PostgreSQL's plan of a decision, as the service's own role gets it; the person and the cell must be found by index."""
    signal, purpose = cells()[7]
    values = {"app_id": APP, "user_hash": user_hash(APP, 77), "signal": signal, "purpose": purpose}
    points = service.database.points
    assert isinstance(points, PostgresPointReads)
    connection = await points.told.take()  # the very kind that decides
    await connection.tell(APP, RIGHTS)
    lines = await connection.fetch(
        "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) " + service.one_cell.sql, *service.one_cell.bind(values)
    )
    points.told.give_back(connection)
    plan = "\n".join(f"    {line[0]}" for line in lines)
    # The two small tables of an app's own notices, empty here, are read whole.
    if any(f"Seq Scan on {table}" in plan for table in ("subject", "consent_cell")):
        raise RuntimeError(f"a decision is not found by index:\n{plan}")
    return plan


async def decide(service: Service, app_id: str, number: int, name: tuple[str, str]) -> None:
    """Decide as the decision call does."""
    signal, purpose = name
    values = {
        "app_id": app_id,
        "user_hash": user_hash(app_id, number),
        "signal": signal,
        "purpose": purpose,
    }
    (row,) = await service.database.points.rows(service.one_cell, values, RIGHTS)
    permit(signal, Purpose(purpose), row, service.clock(), service.notices)


async def change(service: Service, app_id: str, number: int, name: tuple[str, str]) -> None:
    """Change one cell as the API does, in a transaction of its own."""
    signal, purpose = name
    request = Request(
        changes=[Change(signal, Purpose(purpose), Choice.GIVEN)],
        notice_version=service.notices.current_version,
        locale="en",
        method="benchmark",
    )
    async with service.database.write(app_id) as connection:
        await people.change(service, connection, app_id, user_hash(app_id, number), request)


Work = Callable[[Service, str, int, tuple[str, str]], Awaitable[None]]


async def rate(
    service: Service, work: Work, apps: Sequence[str], size: int, at_once: int, seed: int
) -> float:
    """Return how often a second work is done in one round, by so many at once, over people and cells at random."""
    names, ends, done = cells(), time.monotonic() + ROUND_S, itertools.count()

    async def worker(number: int) -> None:
        dice = random.Random(seed * 100 + number)
        app_id = apps[number % len(apps)]
        while time.monotonic() < ends:
            await work(service, app_id, dice.randint(1, size), dice.choice(names))
            next(done)

    began = time.monotonic()
    await asyncio.gather(*(worker(each) for each in range(at_once)))
    return next(done) / (time.monotonic() - began)


async def measure(ledgers: Sequence[Ledger], say: Callable[[str], None]) -> list[Measured]:
    """Measure each size in each of several rounds; the best round of each counts."""
    decisions: defaultdict[int, list[float]] = defaultdict(list)
    changes: defaultdict[int, list[float]] = defaultdict(list)
    took: defaultdict[int, list[float]] = defaultdict(list)
    for turn in range(
        -1, ROUNDS
    ):  # one more at the beginning, to warm up: connections, statements, top pages
        for each in ledgers:
            decided = await rate(each.service, decide, [APP], each.size, CONNECTIONS, turn + 1)
            changed = await rate(each.service, change, [APP], each.size, CONNECTIONS, turn + 1)
            if turn >= 0:
                decisions[each.size].append(decided)
                changes[each.size].append(changed)
                took[each.size] += await times(each, turn)
        say(f"round {turn + 1} of {ROUNDS}")
    return [
        Measured(
            size=each.size,
            decisions=max(decisions[each.size]),
            decision_us=statistics.median(took[each.size]) * 1e6,
            changes=max(changes[each.size]),
        )
        for each in ledgers
    ]


async def times(ledger: Ledger, seed: int) -> list[float]:
    """Return the seconds that single decisions take, one after the other."""
    took, dice = [], random.Random(seed)
    for _ in range(500):
        began = time.perf_counter()
        await decide(ledger.service, APP, dice.randint(1, ledger.size), dice.choice(cells()))
        took.append(time.perf_counter() - began)
    return took


async def contention(service: Service) -> tuple[float, float, float]:
    """Return changes a second: one at a time, several at once in one app, and several at once in as many apps."""
    alone, one, several = 0.0, 0.0, 0.0
    for turn in range(ROUNDS):
        alone = max(alone, await rate(service, change, SMALL[:1], SMALL_SIZE, 1, turn))
        one = max(one, await rate(service, change, SMALL[:1], SMALL_SIZE, CONNECTIONS, turn))
        several = max(several, await rate(service, change, SMALL, SMALL_SIZE, CONNECTIONS, turn))
    return one, alone, several


def growth(measured: Sequence[Measured]) -> list[Row]:
    """Rows of the table: each size against the one before."""
    rows = []
    for before, this in zip([None, *measured], measured, strict=False):
        for what in ("decisions", "changes"):
            now = getattr(this, what)
            told = f"{now:,.0f}/s" + (f", median {this.decision_us:.0f} µs" if what == "decisions" else "")
            if before is None:
                rows.append(Row(f"{what}, {this.size:,} people", "the smallest size", None, told, ""))
                continue
            was = getattr(before, what)
            rows.append(
                Row(
                    f"{what}, {this.size:,} people", f"{before.size:,} people", now / was, told, f"{was:,.0f}/s",
                    f">= {FLAT}", now / was >= FLAT,
                )
            )  # fmt: skip
    return rows


def taking_turns(one: float, alone: float, several: float) -> list[Row]:
    """Rows of the table: what it costs that changes of one app take turns at its row."""
    return [
        Row(f"changes, {CONNECTIONS} at once in one app", "one at a time", one / alone, f"{one:,.0f}/s", f"{alone:,.0f}/s"),
        Row(
            f"changes, {CONNECTIONS} at once in one app", f"{CONNECTIONS} at once, each in an app of its own",
            one / several, f"{one:,.0f}/s", f"{several:,.0f}/s",
        ),
    ]  # fmt: skip
