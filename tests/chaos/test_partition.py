"""The network to PostgreSQL is cut, in silence, at COMMIT or while nothing is said: told in time, one effect, no dead connections kept."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from tests.api import witness
from tests.chaos.cable import PORT, Cable, Connection, cable
from tests.chaos.conftest import KILLS, SECONDS
from tests.chaos.fleet import Town, insist
from tests.chaos.postgres import Postgres, Wire, wire
from tests.chaos.test_kills import Acknowledged, check, choice
from tests.chaos.test_outages import back, exposed, gone, server

__all__ = ["exposed", "server"]  # fixtures of the neighbour

LONG = SECONDS >= 60
"""Whether there is time to wait for TCP, and for PostgreSQL to give up a session that was cut off in a transaction."""


@pytest.fixture
def laid() -> Iterator[Cable]:
    """A cable."""
    with cable() as made:
        yield made


@pytest.fixture
async def far(laid: Cable, exposed: Town, server: Postgres) -> AsyncIterator[tuple[Town, Wire]]:
    """A town that serves, and whose database is at the far end of a cable."""
    name = exposed.settings.database_url.split("@/")[1].partition("?")[0]
    async with wire(server, laid.listening, laid.pull) as (between, _):
        await exposed.serve(ASSENT_DATABASE_URL=f"postgresql://assent_owner@{laid.address}:{PORT}/{name}")
        yield exposed, between


async def test_a_partition_at_commit_has_one_effect(
    far: tuple[Town, Wire], laid: Cable, tell: Callable[[str], None]
) -> None:
    """The cable is pulled as a choice commits, before the COMMIT arrived or after; it is 503 in time, and with the cable back a retry under the same key has it done once.

    Meanwhile the process stays up and tells where to turn; it is never restarted.
    """
    town, between = far
    chance, tried, said = (
        random.Random(4),
        {"pulled": 0, "pulled before": 0},
        Acknowledged(choices={"u1": []}),
    )
    begun, history = time.monotonic(), said.choices["u1"]
    async with town.client() as http, asyncio.timeout(SECONDS + 240):
        while not sum(tried.values()) or (
            sum(tried.values()) < KILLS and LONG and time.monotonic() - begun < SECONDS
        ):
            # PostgreSQL holds the locks of a transaction that never heard its end for a minute: seldom.
            how = "pulled before" if LONG and chance.random() < 0.1 else "pulled"
            between.breaks = how
            state = "withdrawn" if history and history[-1] == "given" else "given"
            asked = asyncio.create_task(insist(http, "PUT", "/v1/users/u1/consents", choice(state)))
            while not between.broken > sum(tried.values()):  # noqa: ASYNC110  the wire tells when asked
                await asyncio.sleep(0.005)
            await gone(http, within=10)
            assert not asked.done()
            laid.plug()
            answer = await asked
            assert answer.status_code == 200, answer.text
            history.append(state)
            tried[how] += 1
            await back(http)
    said.choices["back"] = ["given"] + ["renewed"] * (sum(tried.values()) - 1)
    check(town, said, await witness.everything(town.settings.database_url))
    tell(f"{tried} partitions at COMMIT in {time.monotonic() - begun:.0f} s, one effect each")


async def settled(http: httpx.AsyncClient, laid: Cable) -> list[Connection]:
    """Have several connections, and return them at a moment when nobody uses one."""
    await asyncio.gather(*(http.get(f"/v1/users/u{n}/consents") for n in range(8)))
    async with asyncio.timeout(60):
        while True:
            found = laid.connections()
            if len(found) > 1 and all(each.watched_within_s is not None for each in found):
                return found
            await asyncio.sleep(0.02)


async def test_tcp_finds_out_that_nobody_is_there(
    far: tuple[Town, Wire], laid: Cable, tell: Callable[[str], None]
) -> None:
    """Every idle connection to the database is watched by TCP within ten seconds; with the cable pulled, all of them are given up within a minute, though nobody used one."""
    town, _ = far
    async with town.client() as http, asyncio.timeout(240):
        await back(http)
        idle = await settled(http, laid)
        assert all((each.watched_within_s or 99) <= 10.1 for each in idle), idle
        if not LONG:
            return
        laid.pull()
        begun = time.monotonic()
        while any(each.established for each in laid.connections()):
            assert time.monotonic() - begun < 60
            await asyncio.sleep(0.2)
        took = time.monotonic() - begun
        laid.plug()
        await back(http)
    tell(f"{len(idle)} idle connections given up {took:.0f} s after the cable was pulled")
