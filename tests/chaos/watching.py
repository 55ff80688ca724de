"""Sees from outside, at any moment and without a word from the processes, at which step of which erasure they are."""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from api.jobs import TRAINING, UNLEARNING
from consent.erasure import COMPLETED, STEPS
from tests.chaos.fleet import Town

_UNDER_WAY = f"""
SELECT e.erasure_id, e.steps, j.job_id, j.fence FROM erasure e
LEFT JOIN job j ON j.about = e.erasure_id AND j.kind = 'erasure' AND j.status = 'running'
WHERE e.status <> '{COMPLETED}'
"""  # noqa: S608  a constant
_TRAININGS = (
    f"SELECT job_id, fence FROM job WHERE kind IN ('{TRAINING}', '{UNLEARNING}') AND status = 'running'"  # noqa: S608
)
WAITS = "let_go"
"""The step in which nobody does anything: processes let go of what they hold in memory."""


class Reads(Protocol):
    """A connection of one's own that stays open."""

    async def __call__(self, query: str) -> list[tuple[Any, ...]]:
        """Read rows."""


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Reads]:
    """Open a connection past row-level security."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=15)) as connection:

            async def from_file(query: str) -> list[tuple[Any, ...]]:
                return connection.execute(query).fetchall()

            yield from_file
        return
    import asyncpg  # noqa: PLC0415  on PostgreSQL only

    superuser, turn = await asyncpg.connect(url.replace("assent_owner@", "postgres@")), asyncio.Lock()
    try:

        async def from_server(query: str) -> list[tuple[Any, ...]]:
            async with turn:
                return [tuple(row) for row in await superuser.fetch(query)]

        yield from_server
    finally:
        await superuser.close()


@dataclass
class Watch:
    """What a town's erasures are at. A try of a job counts once: that of a worker that was killed stands there until its lease is over."""

    town: Town
    read: Reads
    _counted: set[tuple[str, int]] = field(default_factory=set)

    async def at(self) -> Counter[str]:
        """At which steps a worker that was not counted yet is, and whether one is waited for."""
        return Counter({step for step, _ in await self._tries()})

    async def count(self) -> set[str]:
        """After a worker was killed: at which steps it was. Its tries are not told again."""
        tries = await self._tries()
        self._counted |= {each for _, each in tries if each is not None}
        return {step for step, _ in tries}

    async def _tries(self) -> list[tuple[str, tuple[str, int] | None]]:
        found: list[tuple[str, tuple[str, int] | None]] = []
        waits = set()
        for _, steps, job_id, fence in await self.read(_UNDER_WAY):
            step = next(each for each in STEPS if each not in json.loads(steps))
            waits.add(step)
            if job_id is not None:
                found.append((step, (job_id, fence)))
        if WAITS in waits:
            found.append((WAITS, None))
        if "retrained" in waits:
            found += [("retrained", (job_id, fence)) for job_id, fence in await self.read(_TRAININGS)]
        return [(step, each) for step, each in found if each is None or each not in self._counted]

    async def unheard(self) -> set[str]:
        """The entries of the register whose erasures are in no table: recorded, and not yet done."""
        # In this order: what is committed was recorded before.
        recorded = set(self.recorded())
        rows = {str(erasure_id) for (erasure_id,) in await self.read("SELECT erasure_id FROM erasure")}
        return recorded - rows

    def recorded(self) -> list[str]:
        """The erasures in the register outside the database."""
        folder = Path(self.town.settings.register_url)
        return [path.stem.rpartition("~")[2] for path in folder.glob("*/*~*.json")]
