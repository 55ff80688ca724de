"""Changes at the same time have one order, and deny wins; on real connections side by side."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from api.service import Service
from tests.api.test_consents import cell
from tests.api.witness import ON_SQLITE
from tests.conftest import NOTICE, Caller, Clock, serving, settings_for

ROUNDS = 50


def body(state: str, signal: str = "views", **more: Any) -> dict[str, Any]:
    """One choice about a signal to personalise."""
    changes = [{"signal": signal, "purpose": "personalise", "state": state}]
    return {"changes": changes, "notice_version": NOTICE, "locale": "en", "method": "test", **more}


async def send(client: Caller, state: str, user_id: str = "u1", **more: Any) -> httpx.Response:
    """Choose."""
    return await client.http.put(f"/v1/users/{user_id}/consents", json=body(state, **more))


async def lines(client: Caller, user_id: str = "u1") -> list[dict[str, Any]]:
    """The ledger of a person."""
    answer = await client.get(f"/v1/users/{user_id}/consents/history?limit=100")
    events: list[dict[str, Any]] = answer.json()["events"]
    return events


async def race(clients: Sequence[Caller], number: int, *, as_of: bool) -> None:
    """Two withdrawals and a grant of one person at once, in one of the orders to start them, by these clients in turn."""
    client, user_id = clients[0], f"u{number}"
    if number % 2:
        await client.consent(user_id, "views")
    states = ["withdrawn", "withdrawn", "given"]
    started = [states[(number + place) % 3] for place in range(3)]
    seen = (await client.get(f"/v1/users/{user_id}/consents")).json()["as_of"]
    more = {"as_of": seen} if as_of else {}
    answers = await asyncio.gather(
        *(
            send(clients[(number // 3 + place) % len(clients)], state, user_id, **more)
            for place, state in enumerate(started)
        )
    )
    told = dict(zip(started, answers, strict=True))
    assert told["withdrawn"].status_code == 200
    assert told["given"].status_code in {200, 409}
    document = (await client.get(f"/v1/users/{user_id}/consents")).json()
    assert cell(document, "views")["state"] == "withdrawn", (number, started)
    decided = await client.get(
        f"/v1/users/{user_id}/decisions", params={"signal": "views", "purpose": "personalise"}
    )
    assert decided.json()["permitted"] is False
    recorded = await lines(client, user_id)
    places = [line["seq"] for line in recorded]
    assert places == sorted(set(places))
    assert [line["at"] for line in recorded] == sorted(line["at"] for line in recorded)
    won = [line["state"] for line in recorded]
    assert won.count("withdrawn") == 2
    assert (told["given"].status_code == 200) == (len(won) == 3 + number % 2)
    assert won[-1] == "withdrawn"


@pytest.mark.parametrize("as_of", [True, False], ids=["seen", "unsaid"])
async def test_two_withdrawals_and_a_grant_end_denied(client: Caller, as_of: bool) -> None:
    """In each of fifty rounds, in whatever order they start: denied at the end, in order, and nothing half-written.

    So with the `as_of` of what they were chosen on, and without: then the arrival counts, though a request was kept
    waiting until both withdrawals were through.
    """
    for number in range(ROUNDS):
        await race([client], number, as_of=as_of)


@contextlib.asynccontextmanager
async def another_replica(service: Service, folder: Path) -> AsyncIterator[Caller]:
    """A client of a second service on the same database, which shares nothing else with the first."""
    other = Service.create(settings_for(service.settings.database_url, folder), clock=Clock())
    async with serving(other) as client:
        yield client


async def test_on_two_replicas_they_end_denied_too(client: Caller, service: Service, tmp_path: Path) -> None:
    """The same fifty rounds, without `as_of`, over two services that share the database alone."""
    async with another_replica(service, tmp_path) as other:
        for number in range(ROUNDS):
            await race([client, other], number, as_of=False)


async def slowly(client: Caller, state: str, meanwhile: AsyncIterator[None]) -> httpx.Response:
    """Choose, by a request that arrives, and whose body comes only when something else is done."""

    async def content() -> AsyncIterator[bytes]:
        async for _ in meanwhile:
            pass
        yield orjson.dumps(body(state))

    return await client.http.put("/v1/users/u1/consents", content=content())


async def test_a_yes_counts_from_its_arrival_and_not_from_when_it_is_taken_up(
    client: Caller, service: Service, tmp_path: Path
) -> None:
    """A yes that the server saw before a no was committed loses, by whichever replica the no came, though its body was read after."""
    async with another_replica(service, tmp_path) as other:
        for teller in (client, other):
            await client.consent("u1", "views")

            async def withdrawn(teller: Caller = teller) -> AsyncIterator[None]:
                assert (await send(teller, "withdrawn")).status_code == 200
                yield

            late = await slowly(client, "given", withdrawn())
            assert (late.status_code, late.json()["code"]) == (409, "conflict")
            assert cell((await client.get("/v1/users/u1/consents")).json(), "views")["state"] == "withdrawn"


async def test_a_no_from_a_clock_that_is_ahead_holds_up_no_later_yes(client: Caller, clock: Clock) -> None:
    """Who withdrew, and says yes after the clock was set back an hour, has said yes: the no's time proves nothing."""
    clock.forward(days=1 / 24)
    await client.consent("u1", "views")
    await send(client, "withdrawn")
    clock.ahead = 0
    assert (await send(client, "given")).status_code == 200


async def test_all_changes_of_an_app_have_one_order(client: Caller) -> None:
    """Forty people changing at once leave forty places in the ledger, without a gap and without a double."""
    await asyncio.gather(*(send(client, "given", f"u{number}") for number in range(40)))
    places = [line["seq"] for number in range(40) for line in await lines(client, f"u{number}")]
    assert sorted(places) == list(range(40))


async def test_a_yes_that_knew_nothing_of_a_later_no_loses(client: Caller) -> None:
    """What was chosen on an answer from before a withdrawal is 409, and nothing of the request is recorded."""
    seen = (await client.consent("u1", "views"))["as_of"]
    await send(client, "withdrawn")
    changes = [
        {"signal": "saves", "purpose": "personalise", "state": "given"},
        {"signal": "views", "purpose": "personalise", "state": "given"},
    ]
    late = await client.http.put(
        "/v1/users/u1/consents", json=body("given", as_of=seen) | {"changes": changes}
    )
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert late.json()["errors"][0]["field"] == "changes.1"
    assert [line["state"] for line in await lines(client)] == ["given", "withdrawn"]
    now = (await client.get("/v1/users/u1/consents")).json()["as_of"]
    assert (await send(client, "given", as_of=now)).status_code == 200


@ON_SQLITE
async def test_a_no_never_comes_too_late(client: Caller) -> None:
    """Refusing and withdrawing pass whatever was known, also about other cells than the one that changed."""
    await client.consent("u1", "views", "saves")
    await send(client, "withdrawn")
    for state in ("refused", "withdrawn"):
        assert (await send(client, state, as_of=0)).status_code == 200
    assert (await send(client, "given", as_of=2, signal="ratings")).status_code == 200


@ON_SQLITE
async def test_one_after_the_other_is_no_race(client: Caller) -> None:
    """Who withdraws, hears that it is done, and gives again, has given again; `as_of` from the future changes nothing."""
    for _ in range(5):
        for state, then in (("given", "given"), ("withdrawn", "withdrawn")):
            assert cell((await send(client, state, as_of=10**9)).json(), "views")["state"] == then


async def test_a_retry_does_not_bring_back_what_was_withdrawn_since(client: Caller) -> None:
    """The same grant under the same key after a withdrawal is answered as before: one event, the same receipt, still denied."""
    key = {"Idempotency-Key": "k-1"}
    first = await client.http.put("/v1/users/u1/consents", json=body("given"), headers=key)
    await send(client, "withdrawn")
    again = await client.http.put("/v1/users/u1/consents", json=body("given"), headers=key)
    assert (again.status_code, again.content) == (200, first.content)
    assert [line["state"] for line in await lines(client)] == ["given", "withdrawn"]
    assert cell((await client.get("/v1/users/u1/consents")).json(), "views")["state"] == "withdrawn"


async def test_fifty_retries_at_once_are_one_event(client: Caller, service: Service) -> None:
    """Of fifty under one key, all that are answered carry the same receipt, and the ledger has one line."""
    answers = await asyncio.gather(
        *(
            client.http.put("/v1/users/u1/consents", json=body("given"), headers={"Idempotency-Key": "k"})
            for _ in range(50)
        )
    )
    answered = [answer.json()["receipt"]["receipt_id"] for answer in answers if answer.status_code == 200]
    assert len(set(answered)) == 1
    assert {answer.status_code for answer in answers} <= {200, 409}
    (line,) = await lines(client)
    assert line["receipt_id"] == answered[0]
