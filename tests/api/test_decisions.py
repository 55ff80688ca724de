"""The decision call: a permit with its record or a denial with its reason, for every state that a cell can be in."""

from typing import Any

import pytest

from api.service import Service
from consent import decisions
from consent.decisions import Denied, Reason
from consent.ledger import State
from consent.purposes import Purpose
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, NOTICE, Caller, Clock

CELL = {"signal": "views", "purpose": "personalise"}


async def decision(client: Caller, user_id: str = "u1", **cell: str) -> dict[str, Any]:
    """The answer about views to personalise, or about another cell."""
    answer = await client.get(f"/v1/users/{user_id}/decisions", params={**CELL, **cell})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    assert document["permitted"] is (document["reason"] is None) is (document["permit"] is not None)
    return document


async def test_a_permit_names_its_record(client: Caller) -> None:
    """Granted: the receipt, place in the ledger, notice and end are those of the record that grants it."""
    changed = await client.consent("u1", "views")
    (line,) = (await client.get("/v1/users/u1/consents/history")).json()["events"]
    found = await decision(client)
    assert found["permit"] == {
        "receipt_id": changed["receipt"]["receipt_id"],
        "seq": line["seq"],
        "since": line["at"],
        "expires_at": line["expires_at"],
        "notice_version": NOTICE,
    }
    assert found["denied_by"] is None


async def test_one_grant_permits_one_cell_of_one_person(client: Caller) -> None:
    """Another purpose, signal or person is denied, as unknown, without any record."""
    await client.consent("u1", "views")
    for user_id, cell in (("u1", {"purpose": "improve"}), ("u1", {"signal": "saves"}), ("u2", {})):
        found = await decision(client, user_id, **cell)
        assert (found["permitted"], found["reason"], found["denied_by"]) == (False, "unknown", None)


async def test_every_no_has_its_reason_and_record(client: Caller, clock: Clock) -> None:
    """Refused, withdrawn, deferred and expired are told apart, each with the receipt of the line that says so."""
    for state in ("deferred", "refused", "withdrawn"):
        changed = await client.consent("u1", "views", state=state)
        found = await decision(client)
        assert found["reason"] == state
        assert found["denied_by"]["receipt_id"] == changed["receipt"]["receipt_id"]
    await client.consent("u1", "views")
    clock.forward(days=365 - 1 / 86_400)
    assert (await decision(client))["permitted"]
    clock.forward(days=1 / 86_400)
    found = await decision(client)
    assert found["reason"] == "expired"


async def test_the_function_permits_or_raises(client: Caller, service: Service) -> None:
    """There is no boolean to forget: what is not granted raises, with a reason, and without naming the person."""
    await client.consent("u1", "views")
    user_hash = service.pseudonyms.user(APP, "u1")

    async def ask(purpose: Purpose) -> decisions.Use:
        async with service.database.read(APP) as connection:
            return await decisions.decide(
                connection, APP, user_hash, "views", purpose, now=service.clock(), notices=service.notices
            )

    assert (await ask(Purpose.PERSONALISE)).notice_version == NOTICE
    with pytest.raises(Denied) as denied:
        await ask(Purpose.MEASURE)
    assert denied.value.code is Reason.UNKNOWN
    assert str(denied.value) == "views may not be used to measure: unknown"


def test_every_denying_state_has_a_reason() -> None:
    """The reasons are the states that deny, one for one."""
    assert {reason.value for reason in Reason} == {state.value for state in State} - {"given", "renewed"}


@ON_SQLITE
@pytest.mark.parametrize(
    ("query", "field"),
    [({"signal": "location"}, "signal"), ({"purpose": "sell"}, "purpose"), ({"signal": ""}, "signal")],
)
async def test_what_does_not_exist_is_named(client: Caller, query: dict[str, str], field: str) -> None:
    """An unknown signal or purpose is refused by its field."""
    answer = await client.get("/v1/users/u1/decisions", params={**CELL, **query})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_it_is_one_indexed_read(service: Service) -> None:
    """The query reaches the person, the cell and the notice it stands on through their keys, and scans no table."""
    async with service.database.write(APP) as connection:
        statement = decisions.of_one_cell().compile(
            dialect=connection.dialect, compile_kwargs={"render_postcompile": True}
        )
        if service.database.is_sqlite:
            plan = await connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", tuple(statement.params.values())
            )
            steps = [row[-1] for row in plan]
            found = [step for step in steps if step.startswith("SEARCH")]
            assert len(found) == 4, steps
            assert all("INDEX" in step for step in found), steps
            assert not [step for step in steps if "SCAN " in step], steps
        else:
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            values = ("harbour", bytes(32), "personalise", "views")
            plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", values)
            steps = [row[0] for row in plan]
            assert not [step for step in steps if "Seq Scan" in step], steps
            assert len([step for step in steps if "Index" in step and "Scan" in step]) == 4, steps
