"""The database is killed, hangs, or is cut off at COMMIT: told in time, nothing lost, nothing doubled, and no restart needed."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from api import administration, schema
from api.service import Service
from recommender.exchange import shipped
from tests.api import witness
from tests.chaos.conftest import KILLS, SECONDS, town_on
from tests.chaos.fleet import Fleet, Town, insist
from tests.chaos.postgres import Postgres, postgres, wire
from tests.chaos.test_kills import Acknowledged, check, choice, choosing, sending
from tests.conftest import APP, settings_for

QUESTION = {"user_id": "u1", "context": {"region": "GB", "locale": "en"}}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL that may be ill-treated."""
    with postgres() as made:
        yield made


@pytest.fixture
async def exposed(server: Postgres, tmp_path: Path, fleet: Fleet) -> AsyncIterator[Town]:
    """A town on it."""
    name = f"exposed_{os.urandom(4).hex()}"
    server.psql(f"CREATE DATABASE {name} OWNER assent_owner")
    url = server.url(name)
    await schema.migrate(url)
    service = Service.create(settings_for(url, tmp_path))
    await administration.ensure_app(service, APP, "Harbour")
    await administration.import_catalog(service, APP, shipped())
    await service.close()
    yield await town_on(url, tmp_path, fleet)
    fleet.stop_all()


async def gone(http: httpx.AsyncClient, within: float) -> None:
    """See that the service says that its database is gone, in time, and where to turn."""
    assert (await http.get("/healthz")).status_code == 200
    begun = time.monotonic()
    listed = await http.post("/v1/recommendations", json=QUESTION)
    took = time.monotonic() - begun
    assert (listed.status_code, listed.json()["strategy"]) == (503, "support_only"), listed.text
    assert listed.json()["support"]
    assert took < within, took
    for method, path, body in (
        ("PUT", "/v1/users/u9/consents", choice("given")),
        ("POST", "/v1/events", {"events": [{"event_id": "e", "user_id": "u9", "signal": "views", "resource_id": "box-breathing", "occurred_at": "2026-11-20T08:00:00Z"}]}),
    ):  # fmt: skip
        refused = await http.request(method, path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable"), refused.text
    assert (await http.get("/healthz")).status_code == 200


async def back(http: httpx.AsyncClient) -> None:
    """Wait until everything works again."""
    async with asyncio.timeout(120):
        while (await http.post("/v1/recommendations", json=QUESTION)).status_code != 200:  # noqa: ASYNC110  the service tells when asked
            await asyncio.sleep(0.1)
    assert (await insist(http, "PUT", "/v1/users/back/consents", choice("given"))).status_code == 200


async def test_postgresql_is_killed_and_comes_back(
    exposed: Town, server: Postgres, tell: Callable[[str], None]
) -> None:
    """Under load every process of PostgreSQL is killed, again and again; the service is never restarted, and what was acknowledged is there once."""
    chance = random.Random(1)
    said, flying, kills = Acknowledged(), dict[str, int](), 0
    serving, begun = await exposed.serve(), time.monotonic()
    async with exposed.client() as http, asyncio.timeout(SECONDS + 240):
        assert (
            await insist(http, "PUT", "/v1/users/shares/consents", choice("given", "saves"))
        ).status_code == 200
        crowd = [asyncio.create_task(choosing(http, f"u{n}", said, flying)) for n in range(3)]
        crowd += [asyncio.create_task(sending(http, said, flying)) for _ in range(2)]
        while not kills or (kills < KILLS and time.monotonic() - begun < SECONDS):
            await asyncio.sleep(chance.uniform(0.05, 0.5))
            server.kill()
            kills += 1
            if kills == 1:
                await gone(http, within=10)
            await asyncio.to_thread(server.start)
            await back(http)
        said.over = True
        await asyncio.gather(*crowd)
        exposed.fleet.check_alive(serving)
    check(exposed, said, await witness.everything(exposed.settings.database_url))
    tell(
        f"{kills} kills of PostgreSQL in {time.monotonic() - begun:.0f} s; {sum(map(len, said.choices.values()))} choices "
        f"and {len(said.events)} events acknowledged, none lost, none doubled, no restart of the service"
    )


async def test_postgresql_hangs(exposed: Town, server: Postgres) -> None:
    """While every process of PostgreSQL stands still, lists are answered in time with where to turn, writes with 503; then all goes on."""
    await exposed.serve()
    async with exposed.client() as http, asyncio.timeout(180):
        await back(http)
        with server.hanging():
            await gone(http, within=10)
        await back(http)


async def test_a_break_at_commit_has_one_effect(
    exposed: Town, server: Postgres, tell: Callable[[str], None]
) -> None:
    """The connection breaks as a choice commits: before, after, or into silence. Whoever retries under the same key has it done once."""
    chance, tried = random.Random(2), {"before": 0, "after": 0, "silent": 0}
    name = exposed.settings.database_url.split("@/")[1].partition("?")[0]
    async with wire(server) as (cut, port), exposed.client() as http, asyncio.timeout(SECONDS + 240):
        serving = await exposed.serve(
            ASSENT_DATABASE_URL=f"postgresql://assent_owner@127.0.0.1:{port}/{name}"
        )
        said, begun = Acknowledged(choices={"u1": []}), time.monotonic()
        while not all(tried.values()) or (
            sum(tried.values()) < 3 * KILLS and time.monotonic() - begun < SECONDS
        ):
            history, broken = said.choices["u1"], cut.broken
            # Each silence costs the deadline of a request.
            how = (
                chance.choice(["before", "after"])
                if tried["silent"] * 8 >= sum(tried.values()) - 4
                else "silent"
            )
            cut.breaks = how
            state = "withdrawn" if history and history[-1] == "given" else "given"
            answer = await insist(http, "PUT", "/v1/users/u1/consents", choice(state))
            assert answer.status_code == 200, answer.text
            assert cut.broken == broken + 1
            history.append(state)
            tried[how] += 1
        exposed.fleet.check_alive(serving)
    check(exposed, said, await witness.everything(exposed.settings.database_url))
    tell(f"{tried} breaks in {time.monotonic() - begun:.0f} s, one effect each")
