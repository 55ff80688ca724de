"""Several processes on one database, told to stop or killed: they get along, finish what they began, and give work back."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from api.service import Service
from tests.api import witness
from tests.api.witness import ON_SQLITE
from tests.chaos.fleet import Town, alive, free_port, insist
from tests.chaos.test_kills import Acknowledged, check, choice, choosing, sending
from tests.chaos.test_races import choice as about_saves
from tests.chaos.watching import reading
from tests.conftest import event


async def test_two_servers_on_one_database(town: Town, tell: Callable[[str], None]) -> None:
    """Two processes write at the same time, to SQLite's one file too: nobody gets an error, nothing is lost or doubled."""
    said, flying, other = Acknowledged(), dict[str, int](), free_port()
    await asyncio.gather(town.serve(), town.serve(ASSENT_PORT=str(other)))
    async with town.client() as http, town.client(other) as second, asyncio.timeout(180):
        assert (
            await insist(http, "PUT", "/v1/users/shares/consents", choice("given", "saves"))
        ).status_code == 200
        crowd = [
            asyncio.create_task(choosing(client, f"u{client is http}{n}", said, flying))
            for client in (http, second)
            for n in range(2)
        ]
        crowd += [asyncio.create_task(sending(client, said, flying)) for client in (http, second)]
        await asyncio.sleep(2)
        said.over = True
        await asyncio.gather(*crowd)
    check(said=said, town=town, rows=await witness.everything(town.settings.database_url))
    tell(f"{sum(map(len, said.choices.values()))} choices and {len(said.events)} events in two seconds")


async def test_one_key_at_two_servers_has_one_effect(town: Town) -> None:
    """The same request under one key, sent to both processes at once: done once, and answered alike by all who answer."""
    other = free_port()
    await asyncio.gather(town.serve(), town.serve(ASSENT_PORT=str(other)))
    async with town.client() as http, town.client(other) as second, asyncio.timeout(180):

        async def put(client: httpx.AsyncClient) -> httpx.Response:
            headers = {"Idempotency-Key": "one"}
            return await client.put("/v1/users/u1/consents", json=choice("given"), headers=headers)

        answers = await asyncio.gather(*(put(client) for _ in range(10) for client in (http, second)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 409}, statuses
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    rows = await witness.everything(town.settings.database_url)
    assert (len(rows["consent_event"]), len(rows["receipt"])) == (1, 1)


@ON_SQLITE
async def test_a_server_that_is_told_to_stop_finishes_what_it_began(town: Town) -> None:
    """Requests under way at SIGTERM are answered; what is answered is there; the process ends well, and its worker with it."""
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "api.cli",
        "serve",
        env={**os.environ, **town.environment()},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await town.answers(server.pid)
        async with town.client() as http, asyncio.timeout(150):
            while not (workers := children(server.pid)):  # noqa: ASYNC110  the kernel tells when asked
                await asyncio.sleep(0.05)
            assert (
                await insist(http, "PUT", "/v1/users/u1/consents", about_saves("given"))
            ).status_code == 200
            batches = [[event("u1", "saves", "box-breathing") for _ in range(500)] for _ in range(6)]
            asked = [asyncio.create_task(http.post("/v1/events", json={"events": each})) for each in batches]
            await asyncio.sleep(0.1)
            server.send_signal(signal.SIGTERM)
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert await asyncio.wait_for(server.wait(), 40) == 0
            assert not [pid for pid in workers if alive(pid)]
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
    done: list[Any] = [each for each in answers if not isinstance(each, BaseException)]
    assert done
    assert {each.status_code for each in done} == {200}
    told = {result["event_id"] for each in done for result in each.json()["results"]}
    stored = {row["event_id"] for row in (await witness.everything(town.settings.database_url))["event"]}
    assert told <= stored


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text("utf-8").split()]


ENDLESS = {"ASSENT_TRAINING_CONFIG": '{"epochs": 10000000}'}
"""A training that is under way whenever somebody looks."""


async def until(town: Town, status: str, fence: int = 1) -> dict[str, Any]:
    """Wait until the one job there is stands so, after so many leases."""
    columns = ("status", "fence", "attempts", "due_at", "outcome")
    async with reading(town.settings.database_url) as read, asyncio.timeout(180):
        while True:
            (only,) = await read(f"SELECT {', '.join(columns)} FROM job")  # noqa: S608  constants
            now = dict(zip(columns, only, strict=True))
            if now["status"] == status and now["fence"] >= fence:
                return now
            await asyncio.sleep(0.02)


async def test_work_changes_hands(trained: Service, town: Town) -> None:
    """A worker that is told to stop gives its training back at once, no try is lost, and the next one ends it."""
    await town.serve()
    first = town.work(ASSENT_JOB_LEASE_S="3600", **ENDLESS)
    async with town.client() as http:
        assert (await insist(http, "POST", "/v1/releases")).status_code == 202
    await until(town, "running")
    town.fleet.tell_to_stop(first)
    town.fleet.wait(first)
    given_back = await until(town, "waiting")
    assert (given_back["attempts"], given_back["due_at"]) == (0, 0)
    town.work()
    assert (await until(town, "done", fence=2))["outcome"] == "promoted"


async def test_a_killed_worker_is_replaced(trained: Service, town: Town) -> None:
    """The next worker takes a dead one's training over when its lease is over, and ends it."""
    await town.serve()
    first = town.work(**ENDLESS)
    async with town.client() as http:
        assert (await insist(http, "POST", "/v1/releases")).status_code == 202
    await until(town, "running")
    town.fleet.kill(first)
    town.work()
    done = await until(town, "done", fence=2)
    assert (done["outcome"], done["attempts"]) == ("promoted", 2)
