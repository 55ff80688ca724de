"""A clock that is set back: the last choice counts, nothing is stored without a grant, work goes on."""

from api.service import Service
from api.worker import work_once
from tests.conftest import Caller, Clock, event


async def states(client: Caller, user_id: str) -> dict[str, str]:
    """How the cells of somebody's views stand."""
    cells = (await client.get(f"/v1/users/{user_id}/consents")).json()["consents"]
    return {each["purpose"]: each["state"] for each in cells if each["signal"] == "views"}


async def test_the_last_choice_counts(client: Caller, clock: Clock) -> None:
    """Who turned something on before the clock went back a year, and off after, has it off; what follows is refused, and nothing is left."""
    await client.consent("u1", "views")
    assert (await client.events(event("u1", "views", "box-breathing")))["accepted"] == 1
    clock.forward(days=-1)
    await client.consent("u1", "views", state="withdrawn")
    assert (await states(client, "u1"))["personalise"] == "withdrawn"
    assert (await client.events(event("u1", "views", "body-scan", occurred_at="2026-11-01T08:00:00Z")))[
        "refused"
    ] == 1
    held = (await client.get("/v1/users/u1/consents/history")).json()["events"]
    assert [each["state"] for each in held] == ["given", "withdrawn"]
    clock.forward(days=2)
    assert (await states(client, "u1"))["personalise"] == "withdrawn"


async def test_who_left_stays_gone(service: Service, client: Caller, clock: Clock) -> None:
    """An erasure after the clock went back removes what was stored before, and ends complete."""
    await client.consent("u1", "views", purposes=("personalise", "improve"))
    await client.events(event("u1", "views", "box-breathing"))
    clock.forward(days=-30)
    erasure = (await client.http.delete("/v1/users/u1")).json()["erasure"]
    while await work_once(service):
        pass
    found = (await client.get(f"/v1/erasures/{erasure['erasure_id']}")).json()
    assert found["status"] == "completed"
    assert set((await states(client, "u1")).values()) == {"unknown"}


async def test_a_retry_finds_its_answer(client: Caller, clock: Clock) -> None:
    """An answer kept before the clock went back is found after it."""
    body = {"changes": [{"signal": "views", "purpose": "personalise", "state": "given"}]}
    body |= {"notice_version": "2026-11-22", "locale": "en", "method": "test"}  # type: ignore[dict-item]  # a document
    first = await client.http.put("/v1/users/u1/consents", json=body, headers={"Idempotency-Key": "k"})
    clock.forward(days=-1)
    again = await client.http.put("/v1/users/u1/consents", json=body, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.content) == (200, first.content)
