"""Minors: only a guardian gives, everybody withdraws, profiling is off, and coming of age ends what others gave."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from api import people
from api.service import Service
from consent.changes import Request
from consent.ledger import Change, Choice
from consent.minors import AgeBand, Minors
from consent.purposes import Purpose
from recommender import registry
from tests.api.test_consents import cell
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, NOTICE, Caller, a_training_reads, event

GUARDIAN = {"type": "guardian", "id": "mother-of-u1"}


async def mark(client: Caller, band: str, user_id: str = "u1") -> dict[str, Any]:
    """Tell how old someone is."""
    answer = await client.http.put(f"/v1/users/{user_id}/age-band", json={"age_band": band})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def choose(
    client: Caller, state: str, *signals: str, purpose: str = "improve", guardian: bool = False
) -> httpx.Response:
    """Choose for u1, as themselves or as their guardian."""
    changes = [{"signal": signal, "purpose": purpose, "state": state} for signal in signals]
    body = {"changes": changes, "notice_version": NOTICE, "locale": "en", "method": "test"}
    actor = {"actor": GUARDIAN} if guardian else {}
    return await client.http.put("/v1/users/u1/consents", json=body | actor)


async def state(client: Caller, signal: str = "views", purpose: str = "improve") -> str:
    """Where a cell of u1 stands."""
    return str(cell((await client.get("/v1/users/u1/consents")).json(), signal, purpose)["state"])


async def test_only_a_guardian_gives_for_a_minor(client: Caller) -> None:
    """A minor's own yes is refused by its field and leaves nothing; a guardian's is recorded as theirs, as a keyed hash."""
    assert await mark(client, "13_to_15") == {
        "age_band": "13_to_15", "guardian_needed": True, "profiling_allowed": False, "receipt": None,
    }  # fmt: skip
    refused = await choose(client, "given", "views")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "actor")
    assert await state(client) == "unknown"
    given = await choose(client, "given", "views", guardian=True)
    assert given.status_code == 200
    assert cell(given.json(), "views", "improve")["actor"] == {"type": "guardian"}
    event_ = given.json()["receipt"]["purposes"][0]["event"]
    assert event_["entity_id"] not in {"self", given.json()["receipt"]["pii_principal_id"]}
    assert "mother-of-u1" not in given.text + (await client.get("/v1/users/u1/export")).text


async def test_a_minor_withdraws_refuses_and_closes_questions_alone(client: Caller) -> None:
    """Saying no needs nobody, takes one call, and deletes what was kept; a guardian can say no as well."""
    await mark(client, "under_13")
    await choose(client, "given", "views", "saves", guardian=True)
    await client.events(event("u1", "views", "box-breathing"))
    assert (await choose(client, "withdrawn", "views")).status_code == 200
    assert (await client.get("/v1/users/u1/export")).json()["events"] == []
    for answer in ("refused", "deferred"):
        assert (await choose(client, answer, "ratings")).status_code == 200
    assert (await choose(client, "withdrawn", "saves", guardian=True)).status_code == 200
    assert [await state(client, signal) for signal in ("views", "saves", "ratings")] == [
        "withdrawn", "withdrawn", "refused",
    ]  # fmt: skip


async def test_profiling_of_minors_is_off(client: Caller) -> None:
    """Nobody can allow a minor to be profiled, not even a guardian; a list chosen by editors is there all the same."""
    await mark(client, "16_to_17")
    refused = await choose(client, "given", "views", purpose="personalise", guardian=True)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "changes.0.purpose")
    assert (await client.recommend("u1"))["strategy"] == "editorial"


async def test_who_is_said_to_be_a_minor_loses_what_they_gave_themselves(
    client: Caller, service: Service
) -> None:
    """Their own grants end at once, with a receipt, their events, and what was learned; refusals stay."""
    await client.consent("u1", "views", "saves", purposes=("personalise", "improve"))
    await client.consent("u1", "ratings", state="refused")
    await client.events(event("u1", "views", "box-breathing"))
    await a_training_reads(service)
    async with service.database.read(APP) as connection:
        before = (await registry.find_model_state(connection, APP)).unlearn_epoch
    ended = (await mark(client, "13_to_15"))["receipt"]["purposes"]
    assert [each["event"]["event_state"] for each in ended] == ["terminated"] * 4
    assert (await client.get("/v1/users/u1/export")).json()["events"] == []
    assert [await state(client, signal, "personalise") for signal in ("views", "saves", "ratings")] == [
        "terminated", "terminated", "refused",
    ]  # fmt: skip
    async with service.database.read(APP) as connection:
        assert (await registry.find_model_state(connection, APP)).unlearn_epoch == before + 1
    decision = await client.get("/v1/users/u1/decisions", params={"signal": "views", "purpose": "improve"})
    assert decision.json()["reason"] == "terminated"


async def test_coming_of_age_ends_what_a_guardian_gave(client: Caller) -> None:
    """From then on the person says for themselves; what they renew counts, and their guardian's word is over."""
    await mark(client, "16_to_17")
    await choose(client, "given", "views", "saves", guardian=True)
    assert (await mark(client, "under_13"))["receipt"] is None
    done = await mark(client, "adult")
    assert (done["guardian_needed"], done["profiling_allowed"]) == (False, True)
    assert {each["event"]["event_state"] for each in done["receipt"]["purposes"]} == {"terminated"}
    assert await state(client) == "terminated"
    assert (await choose(client, "given", "views")).status_code == 200
    assert [await state(client, signal) for signal in ("views", "saves")] == ["given", "terminated"]
    assert (await mark(client, "adult"))["receipt"] is None
    assert await state(client) == "given"


@ON_SQLITE
async def test_a_guardian_of_an_adult_stays_one(client: Caller) -> None:
    """Someone of whom the app said nothing, or that they are an adult, may have a guardian whose word stands."""
    await choose(client, "given", "views", guardian=True)
    await mark(client, "adult")
    assert await state(client) == "given"


async def test_the_app_is_told_whom_to_ask(client: Caller) -> None:
    """For a minor the guardian is to be asked, and never about profiling; the minor's own prompt is refused."""
    await mark(client, "under_13")
    document = (await client.get("/v1/users/u1/prompts")).json()
    assert document["ask"] == "guardian"
    told = {(each["purpose"], each["because"], each["may_ask"]) for each in document["cells"]}
    assert told == {
        ("personalise", "not_for_minors", False), ("improve", "never_asked", True), ("measure", "never_asked", True),
    }  # fmt: skip
    prompt = {
        "cells": [{"signal": "views", "purpose": "improve"}],
        "notice_version": NOTICE, "locale": "en", "place": "family", "method": "dialog",
    }  # fmt: skip
    refused = await client.post("/v1/users/u1/prompts", prompt)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "actor")
    assert (await client.post("/v1/users/u1/prompts", prompt | {"actor": GUARDIAN})).status_code == 201
    profiling = prompt | {"actor": GUARDIAN, "cells": [{"signal": "views", "purpose": "personalise"}]}
    refused = await client.post("/v1/users/u1/prompts", profiling)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "cells.0.purpose")


async def test_a_stricter_rule_ends_what_was_given_under_a_looser_one(
    client: Caller, service: Service
) -> None:
    """When profiling of minors is turned off again, or guardians needed for older ones, the worker ends what may not stand."""
    await mark(client, "13_to_15")
    loose = replace(
        service,
        settings=service.settings.model_copy(update={"profiling_of_minors": True, "guardian_below_age": 13}),
    )
    await choose(client, "given", "saves", guardian=True)
    user_hash = service.pseudonyms.user(APP, "u1")
    async with service.database.write(APP) as connection:
        changes = [Change("views", purpose, Choice.GIVEN) for purpose in Purpose]
        request = Request(changes, NOTICE, "en", "test")
        await people.change(loose, connection, APP, user_hash, request)
    async with service.database.write(APP) as connection:
        assert await people.end_due(loose, connection, APP) == []
    async with service.database.write(APP) as connection:
        (ended,) = await people.end_due(service, connection, APP)
    assert {(each.signal, each.state.value) for each in ended.changed.cells} == {("views", "terminated")}
    assert len(ended.changed.cells) == 3
    assert await state(client, "saves") == "given"


@pytest.mark.parametrize("below", [0, 13, 14, 16, 18])
def test_the_age_of_consent_is_a_setting(below: int) -> None:
    """A band that begins below the age needs a guardian; adults, and those of whom nothing is known, never do."""
    minors = Minors(guardian_below=below)
    needed = {band for band in AgeBand if minors.needs_guardian(band)}
    begins = {AgeBand.UNDER_13: 0, AgeBand.FROM_13_TO_15: 13, AgeBand.FROM_16_TO_17: 16}
    assert needed == {band for band, age in begins.items() if age < below}
    assert not minors.needs_guardian(None)


@ON_SQLITE
async def test_a_band_is_one_of_four(client: Caller) -> None:
    """An age, a birthday or a band that does not exist is refused, and nothing is kept."""
    for wrong in ({"age_band": "14"}, {"age_band": 14}, {"age_band": "2012-01-01"}, {}, {"age": 14}):
        answer = await client.http.put("/v1/users/u1/age-band", json=wrong)
        assert answer.status_code == 422
    found = (await client.get("/v1/users/u1/age-band")).json()
    assert (found["age_band"], found["guardian_needed"]) == (None, False)
    assert (await client.get("/v1/users/u1/export")).json()["subject_id"] is None
