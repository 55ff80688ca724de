"""Grants that end by themselves: recorded once, with a receipt, with what they allowed gone and unlearned."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from api import administration, people
from api.service import Service
from api.worker import housekeeping
from consent import store
from consent.endings import Ended
from consent.ledger import ConsentEvent, State, fold
from consent.notices.board import NoticeBoard
from consent.notices.published import EVERY_CELL, Notices, Revision
from consent.purposes import Purpose
from recommender import registry
from tests.api.witness import ON_POSTGRESQL
from tests.conftest import APP, NOTICE, Caller, Clock, a_training_reads, event

TEXTS = {"en": "What may be used?"}
FIRST = Revision(NOTICE, TEXTS, EVERY_CELL)
TOUCHED = frozenset({("views", "personalise"), ("views", "improve")})


def revised(service: Service, touches: frozenset[tuple[str, str]]) -> Service:
    """The same service after a revision of the notice that touches these cells."""
    notices = Notices([FIRST, Revision("2027-01-01", TEXTS, touches)])
    return replace(service, notices=notices, board=NoticeBoard(notices))


async def lines(service: Service, user_id: str = "u1") -> list[ConsentEvent]:
    """The ledger of a person."""
    async with service.database.read(APP) as connection:
        subject_id = await store.find_subject(connection, APP, service.pseudonyms.user(APP, user_id))
        assert subject_id is not None
        found = await store.history(connection, APP, subject_id)
        assert await store.cells(connection, APP, subject_id) == fold(found)
        return found


async def end_due(service: Service, limit: int = 100) -> Sequence[Ended]:
    """Record what is due, in a transaction."""
    async with service.database.write(APP) as connection:
        return await people.end_due(service, connection, APP, limit)


async def epoch(service: Service) -> int:
    """The epoch of the model."""
    async with service.database.read(APP) as connection:
        return (await registry.find_model_state(connection, APP)).unlearn_epoch


async def held(client: Caller) -> list[str]:
    """The signals of the events that are kept of a person."""
    events: list[dict[str, Any]] = (await client.get("/v1/users/u1/export")).json()["events"]
    return sorted(each["signal"] for each in events)


async def test_an_expired_grant_is_recorded_and_its_events_go(
    service: Service, client: Caller, clock: Clock
) -> None:
    """The line says expired, when it ended and by what; events of the signal go; the receipt is there; and only once."""
    given = (await client.consent("u1", "views"))["consents"][0]
    await client.events(event("u1", "views", "box-breathing"))
    clock.forward(days=364.9)
    assert await end_due(service) == []
    assert await held(client) == ["views"]
    clock.forward(days=0.2)
    (ended,) = await end_due(service)
    assert await held(client) == []
    _, line = await lines(service)
    assert (line.state, line.method, line.actor.type) == (State.EXPIRED, "end_of_term", "service")
    shown = (await client.get("/v1/users/u1/consents")).json()["consents"][0]
    assert (shown["state"], shown["expires_at"], shown["since"]) == (
        "expired", given["expires_at"], given["expires_at"],
    )  # fmt: skip
    assert shown["receipt_id"] == ended.changed.receipt["receipt_id"] == line.receipt_id
    assert (await client.get(f"/v1/users/u1/receipts/{line.receipt_id}")).status_code == 200
    assert await end_due(service) == []


async def test_a_material_revision_ends_exactly_what_it_touches(service: Service, client: Caller) -> None:
    """An editorial revision ends nothing; a material one its own cells, which count again once given on the new notice."""
    await client.consent("u1", "views", "saves", purposes=("personalise", "improve", "measure"))
    assert await end_due(revised(service, frozenset())) == []
    (ended,) = await end_due(revised(service, TOUCHED))
    assert {(cell.signal, cell.purpose.value) for cell in ended.changed.cells} == TOUCHED
    assert {cell.state for cell in ended.changed.cells} == {State.INVALIDATED}
    assert await end_due(revised(service, TOUCHED)) == []
    assert [line.method for line in await lines(service)][6:] == ["new_notice", "new_notice"]


@pytest.mark.parametrize("purpose", Purpose)
async def test_only_what_the_model_learned_from_is_unlearned(
    service: Service, client: Caller, clock: Clock, purpose: Purpose
) -> None:
    """A grant to improve that ran out overtakes what was trained, once; other purposes do not."""
    await client.consent("u1", "views", purposes=(purpose.value,))
    await a_training_reads(service)
    before = await epoch(service)
    clock.forward(days=366)
    assert await epoch(service) == before
    await housekeeping(service)
    await housekeeping(service)
    assert await epoch(service) == before + (purpose is Purpose.IMPROVE)


async def test_an_invalidated_grant_to_improve_is_unlearned(service: Service, client: Caller) -> None:
    """A material revision of what was learned from overtakes what was trained."""
    await client.consent("u1", "views", purposes=("improve",))
    await a_training_reads(service)
    before = await epoch(service)
    await end_due(revised(service, TOUCHED))
    assert await epoch(service) == before + 1


async def test_what_no_training_has_read_is_not_unlearned(
    service: Service, client: Caller, clock: Clock
) -> None:
    """Who agrees after the last training began and takes it back, as often as they like, overtakes no training."""
    await client.consent("u1", "views", purposes=("improve",))
    await a_training_reads(service)
    for _ in range(3):
        clock.forward(days=1 / 86_400)
        await client.consent("u2", "views", purposes=("improve",))
        await client.consent("u2", "views", purposes=("improve",), state="withdrawn")
    assert await epoch(service) == 0
    await client.http.delete("/v1/users/u2")
    assert await epoch(service) == 0
    await client.consent("u1", "views", purposes=("improve",), state="withdrawn")
    assert await epoch(service) == 1
    await client.consent("u1", "views", purposes=("improve",))
    await client.http.delete("/v1/users/u1")
    assert await epoch(service) == 2


async def test_batches_are_bounded_and_come_to_an_end(service: Service, client: Caller, clock: Clock) -> None:
    """Seven people are three batches of three at most; stopping between them loses and repeats nothing."""
    for number in range(7):
        await client.consent(f"u{number}", "views", "saves")
    clock.forward(days=366)
    sizes = []
    while ended := await end_due(service, limit=3):
        sizes.append(len(ended))
    assert sizes == [3, 3, 1]
    for number in range(7):
        states = [line.state for line in await lines(service, f"u{number}")]
        assert states == [State.GIVEN] * 2 + [State.EXPIRED] * 2


async def test_two_workers_record_each_end_once(service: Service, client: Caller, clock: Clock) -> None:
    """However many workers, and people who choose meanwhile: each grant ends once, and what was renewed in time stands."""
    for number in range(12):
        await client.consent(f"u{number}", "views")
    clock.forward(days=366)

    async def work() -> None:
        while await end_due(service, limit=2):
            pass

    await asyncio.gather(*(work() for _ in range(4)), *(client.consent(f"u{n}", "views") for n in range(6)))
    await work()
    for number in range(12):
        found = await lines(service, f"u{number}")
        states = [line.state for line in found]
        allowed = [
            [State.GIVEN, State.EXPIRED],
            [State.GIVEN, State.EXPIRED, State.GIVEN],
            [State.GIVEN, State.GIVEN],
        ]
        assert states in (allowed[1:] if number < 6 else allowed[:1])


async def test_another_apps_people_are_left_alone(
    service: Service, client: Caller, clock: Clock, caller_for: Any
) -> None:
    """A batch is one app's."""
    other = await caller_for("meadow")
    await other.consent("u1", "views")
    clock.forward(days=366)
    assert await end_due(service) == []


@ON_POSTGRESQL
async def test_finding_what_is_due_reads_an_index(service: Service, client: Caller) -> None:
    """The search for ended grants reads the indexes that hold grants only, not the table of all cells."""
    async with service.database.engine.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        for condition in (
            "expires_at <= 5",
            "notice_version = '1' AND purpose = 'improve' AND signal IN ('views')",
        ):
            rows = await connection.execute(
                text(
                    "EXPLAIN SELECT subject_id FROM consent_cell WHERE app_id = 'harbour' "  # noqa: S608  the two above
                    f"AND state IN ('given', 'renewed') AND {condition}"
                )
            )
            plan = "\n".join(row[0] for row in rows)
            assert "ix_consent_cell_" in plan, plan


async def test_an_app_without_people_has_nothing_due(service: Service) -> None:
    """An empty app is no work."""
    await administration.ensure_app(service, "empty", "Empty")
    async with service.database.write("empty") as connection:
        assert await people.end_due(service, connection, "empty") == []
