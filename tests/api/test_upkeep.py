"""Upkeep by the clock: in batches, every app in turn, resumable, counted and never described."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from api import removals, upkeep
from api.removals import EVENTS_OUTLIVED, EVENTS_UNGRANTED, GRANTS_ENDED
from api.service import Service
from api.serving import environment
from api.upkeep import Batch
from api.worker import housekeeping
from tests.api import witness
from tests.api.test_cli import Shell, registered, said, shell
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, NOTICE, OTHER_APP, Caller, Clock, event

__all__ = ["registered", "shell"]


async def counted(service: Service) -> Counter[str]:
    """What the table says was removed, over all apps and days."""
    async with service.database.read("") as connection:
        return Counter(await removals.totals(connection))


async def left(database_url: str) -> int:
    """How many events there are."""
    return (await witness.counts(database_url))["event"]


async def some_events(client: Caller, number: int, users: int = 2) -> None:
    """Let people see things, of a signal that is kept for ninety days."""
    for user in range(users):
        await client.consent(f"u{user}", "impressions")
    await client.events(*(event(f"u{n % users}", "impressions", "body-scan") for n in range(number)))


async def test_events_go_when_their_time_is_over(
    service: Service, client: Caller, clock: Clock, database_url: str
) -> None:
    """Events go when they were kept as long as their signal allows, and when the last grant of their signal expires."""
    await client.consent("u1", "views", "impressions")
    await client.events(event("u1", "views", "box-breathing"), event("u1", "impressions", "body-scan"))
    assert await housekeeping(service) == {}
    clock.forward(days=91)  # impressions are kept for ninety days
    assert await housekeeping(service) == {EVENTS_OUTLIVED: 1}
    assert [row["signal"] for row in (await witness.everything(database_url))["event"]] == ["views"]
    clock.forward(days=275)  # the grants were for a year
    assert await housekeeping(service) == {GRANTS_ENDED: 2, EVENTS_UNGRANTED: 1}
    assert await left(database_url) == 0
    assert await counted(service) == {EVENTS_OUTLIVED: 1, GRANTS_ENDED: 2, EVENTS_UNGRANTED: 1}


async def test_what_is_renewed_stays(service: Service, client: Caller, clock: Clock) -> None:
    """An event whose grant was renewed stays until its own time is over."""
    await client.consent("u1", "views")
    clock.forward(days=200)
    await client.consent("u1", "views")
    await client.events(event("u1", "views", "box-breathing"))
    clock.forward(days=200)
    assert await housekeeping(service) == {}


async def test_answers_kept_for_retries_are_forgotten(
    service: Service, client: Caller, clock: Clock, database_url: str
) -> None:
    """An answer under an Idempotency-Key is kept for a day."""
    body = {
        "changes": [{"signal": "views", "purpose": "personalise", "state": "given"}],
        "notice_version": NOTICE,
        "locale": "en",
        "method": "test",
    }
    await client.http.put("/v1/users/u1/consents", json=body, headers={"Idempotency-Key": "k"})
    assert await housekeeping(service) == {}
    clock.forward(days=1.01)
    assert await housekeeping(service) == {removals.ANSWERS: 1}
    assert (await witness.everything(database_url))["idempotent_answer"] == []


@ON_SQLITE
async def test_what_is_out_of_reach_keeps_nothing_else_waiting(
    service: Service, client: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With neither the register nor the stored releases to be had, events go when their time is over all the same."""

    def away(*_: object) -> None:
        raise PermissionError

    await some_events(client, 5)
    clock.forward(days=91)
    monkeypatch.setattr(service.register, "entries", away)
    monkeypatch.setattr("recommender.release_files.stored", away)
    assert await housekeeping(service) == {EVENTS_OUTLIVED: 5}


async def test_a_batch_is_bounded_and_the_next_goes_on(
    service: Service, client: Caller, clock: Clock, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction removes so many rows and no more; whoever comes next, also another worker, goes on where that ended."""
    monkeypatch.setattr(upkeep, "ROWS", 2)
    await some_events(client, 5)
    clock.forward(days=91)
    assert await upkeep.drop_old_events(service, APP) == Batch(True, {EVENTS_OUTLIVED: 2})
    assert await left(database_url) == 3
    assert await counted(service) == {EVENTS_OUTLIVED: 2}
    assert await upkeep.upkeep(service) == {EVENTS_OUTLIVED: 3}
    assert await left(database_url) == 0
    assert await counted(service) == {EVENTS_OUTLIVED: 5}


async def test_grants_of_many_people_end_a_few_at_a_time(
    service: Service, client: Caller, clock: Clock, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of seven people whose grants ended, three at a time are recorded; in the end each has an `expired` line of each grant."""
    monkeypatch.setattr(upkeep, "PEOPLE", 3)
    for number in range(7):
        await client.consent(f"u{number}", "views", "saves")
    clock.forward(days=366)
    batch = await upkeep.end_grants(service, APP)
    assert batch == Batch(True, {GRANTS_ENDED: 6, EVENTS_UNGRANTED: 0})
    assert await upkeep.upkeep(service) == {GRANTS_ENDED: 8}
    lines = (await witness.everything(database_url))["consent_event"]
    assert sum(line["state"] == "expired" for line in lines) == 14


async def test_two_workers_count_each_row_once(
    service: Service, client: Caller, clock: Clock, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers at once remove everything, and together count what there was."""
    monkeypatch.setattr(upkeep, "ROWS", 3)
    monkeypatch.setattr(upkeep, "PEOPLE", 2)
    await some_events(client, 20, users=6)
    clock.forward(days=91)
    one, other = await asyncio.gather(upkeep.upkeep(service), upkeep.upkeep(service))
    clock.forward(days=275)
    await asyncio.gather(upkeep.upkeep(service), upkeep.upkeep(service))
    await upkeep.upkeep(service)  # people whom one worker held while the other looked
    assert await left(database_url) == 0
    assert await counted(service) == {EVENTS_OUTLIVED: 20, GRANTS_ENDED: 6}
    assert one[EVENTS_OUTLIVED] + other[EVENTS_OUTLIVED] == 20


async def test_apps_take_turns(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app with much to do does not hold up one with little, and one that fails is not the others' trouble."""
    done: list[str] = []

    async def step(_service: Service, app_id: str) -> Batch:
        done.append(app_id)
        return Batch(done.count(app_id) < (4 if app_id == APP else 2))

    async def failing(_service: Service, _app_id: str) -> Batch:
        raise RuntimeError

    monkeypatch.setattr(upkeep, "STEPS", (failing, step))
    assert await upkeep.upkeep(service) == {}
    assert done == [APP, OTHER_APP, APP, OTHER_APP, APP, APP]


async def test_apps_are_counted_apart(
    service: Service, client: Caller, caller_for: Callable[..., Any], clock: Clock
) -> None:
    """Each app has its own numbers by day, with no word about whom or what."""
    other = await caller_for(OTHER_APP)
    await client.consent("u1", "views")
    await other.consent("u1", "views", "saves")
    clock.forward(days=366)
    await upkeep.upkeep(service)
    async with service.database.read("") as connection:
        rows = await removals.days(connection, None, 10)
        own = await removals.days(connection, OTHER_APP, 10)
    assert [(row.app_id, row.kind, row.number) for row in rows] == [
        (APP, GRANTS_ENDED, 1),
        (OTHER_APP, GRANTS_ENDED, 2),
    ]
    assert own == rows[1:]
    assert rows[0].day == f"{service.now():%Y-%m-%d}"


@ON_SQLITE
async def test_a_killed_worker_leaves_the_rest_to_the_next(
    service: Service, client: Caller, database_url: str, clock: Clock
) -> None:
    """`assent worker`, killed in the middle of removing, has counted exactly what it removed; the next one removes the rest."""
    clock.forward(days=-100)
    for user in range(3):
        await client.consent(f"u{user}", "impressions")
    for _ in range(6):
        accepted = await client.events(
            *(
                event(f"u{n % 3}", "impressions", "body-scan", occurred_at="2026-01-01T08:00:00Z")
                for n in range(1_000)
            )
        )
        assert accepted["accepted"] == 1_000
    clock.forward(days=100)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api.cli", "worker", env={**os.environ, **environment(service.settings)}
    )
    try:
        async with asyncio.timeout(60):
            while not (await counted(service))[EVENTS_OUTLIVED]:  # noqa: ASYNC110  another process tells by the database
                await asyncio.sleep(0.005)
    finally:
        process.kill()
        await process.wait()
    assert (await counted(service))[EVENTS_OUTLIVED] == 6_000 - await left(database_url)
    await upkeep.upkeep(service)
    assert await left(database_url) == 0
    assert await counted(service) == {EVENTS_OUTLIVED: 6_000}


def test_an_operator_sees_the_numbers(registered: Shell) -> None:
    """`assent removed` lists day, app, kind and number."""
    assert said(registered("removed")) == "Nothing was removed by the clock yet."

    async def remove(service: Service) -> None:
        async with service.database.write(APP) as connection:
            await removals.count(connection, APP, {EVENTS_OUTLIVED: 17, GRANTS_ENDED: 0}, service.clock())
            await removals.count(connection, APP, {EVENTS_OUTLIVED: 4}, service.clock())

    registered.in_service(remove)
    assert said(registered("removed", "--app", APP)).endswith(f"{APP} {EVENTS_OUTLIVED} 21")
    assert GRANTS_ENDED not in said(registered("removed"))
    assert said(registered("removed", "--app", "nowhere")) == "Nothing was removed by the clock yet."
