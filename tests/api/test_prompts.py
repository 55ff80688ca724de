"""Asking for consent: what was shown is on record and tied to what was chosen, and nobody is asked in a loop."""

import asyncio
from typing import Any

import httpx
import pytest

from api.service import Service
from consent.prompts import Because
from consent.signals import SIGNALS
from tests.api.test_consents import cell
from tests.api.witness import ON_SQLITE
from tests.conftest import NOTICE, Caller, Clock, event

VIEWS = {"signal": "views", "purpose": "personalise"}
SAVES = {"signal": "saves", "purpose": "personalise"}


def shown(*cells: dict[str, str], **more: Any) -> dict[str, Any]:
    """A prompt for these cells."""
    return {
        "cells": list(cells), "notice_version": NOTICE, "locale": "en", "place": "onboarding", "method": "dialog", **more,
    }  # fmt: skip


async def ask(client: Caller, *cells: dict[str, str], **more: Any) -> httpx.Response:
    """Record that u1 is asked for these cells."""
    return await client.post("/v1/users/u1/prompts", shown(*cells, **more))


async def answer(client: Caller, state: str, *cells: dict[str, str], **more: Any) -> httpx.Response:
    """Choose for u1."""
    changes = [{**each, "state": state} for each in cells]
    body = {"changes": changes, "notice_version": NOTICE, "locale": "en", "method": "dialog", **more}
    return await client.http.put("/v1/users/u1/consents", json=body)


async def may_ask(client: Caller, signal: str = "views") -> dict[str, Any]:
    """Whether u1 may be asked about a signal to personalise."""
    document = (await client.get("/v1/users/u1/prompts")).json()
    assert document["may_ask"] == any(each["may_ask"] for each in document["cells"])
    found: dict[str, Any] = next(
        each for each in document["cells"] if (each["signal"], each["purpose"]) == (signal, "personalise")
    )
    assert found["may_ask"] is False or found["not_before"] is None
    return found


async def test_what_was_shown_is_tied_to_what_was_chosen(client: Caller) -> None:
    """The lines say what notice was shown where and when, for which cells; the choice names the showing it answers."""
    prompt = (await ask(client, VIEWS, SAVES)).json()
    chosen = await answer(client, "given", VIEWS, prompt_id=prompt["prompt_id"])
    assert chosen.status_code == 200, chosen.text
    asked, other, given = (await client.get("/v1/users/u1/consents/history")).json()["events"]
    assert (asked["signal"], other["signal"], given["signal"]) == ("views", "saves", "views")
    assert {asked["state"], other["state"]} == {"requested"}
    assert given["state"] == "given"
    for line in (asked, other, given):
        assert line["prompt_id"] == prompt["prompt_id"]
        assert (line["place"], line["shown_at"], line["notice_version"]) == (
            "onboarding",
            prompt["shown_at"],
            NOTICE,
        )
    assert asked["receipt_id"] == prompt["prompt_id"] == prompt["receipt"]["receipt_id"]
    now = (await client.get("/v1/users/u1/consents")).json()
    assert (cell(now, "views")["state"], cell(now, "saves")["state"]) == ("given", "requested")


async def test_neither_asking_nor_closing_the_question_grants(client: Caller) -> None:
    """Asked, or dismissed, an event of the signal is refused, and the decision says what happened."""
    prompt = (await ask(client, VIEWS)).json()
    for reason in ("requested", "deferred"):
        decision = await client.get("/v1/users/u1/decisions", params=VIEWS)
        assert (decision.json()["permitted"], decision.json()["reason"]) == (False, reason)
        sent = await client.events(event("u1", "views", "box-breathing"))
        assert sent["results"][0]["code"] == "no_consent"
        if reason == "requested":
            assert (await answer(client, "deferred", VIEWS, prompt_id=prompt["prompt_id"])).status_code == 200


@pytest.mark.parametrize(("state", "days"), [("refused", 180), ("withdrawn", 180), ("deferred", 30)])
async def test_an_answer_is_respected_for_its_time(
    client: Caller, clock: Clock, state: str, days: int
) -> None:
    """After a no or a closed question the app may not ask until its time is over, is told until when, and is refused if it tries."""
    assert (await may_ask(client))["because"] == "never_asked"
    await answer(client, state, VIEWS)
    because = "dismissed" if state == "deferred" else state
    clock.forward(days=days - 0.1)
    found = await may_ask(client)
    assert (found["may_ask"], found["because"]) == (False, because)
    refused = await ask(client, SAVES, VIEWS)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert refused.json()["errors"][0]["field"] == "cells.1"
    assert (await may_ask(client, "saves"))["because"] == "never_asked"
    clock.forward(days=0.2)
    assert await may_ask(client) == {**VIEWS, "may_ask": True, "because": because, "not_before": None}
    assert (await ask(client, VIEWS)).status_code == 201


async def test_a_question_without_an_answer_is_not_asked_again_at_once(client: Caller, clock: Clock) -> None:
    """Who closed the app is left alone for a day; after another time without an answer, for another."""
    for _ in range(2):
        assert (await ask(client, VIEWS)).status_code == 201
        found = await may_ask(client)
        assert (found["may_ask"], found["because"]) == (False, "unanswered")
        assert found["not_before"] is not None
        assert (await ask(client, VIEWS)).status_code == 409
        clock.forward(days=1.01)


@ON_SQLITE
async def test_a_yes_is_asked_about_only_when_it_ends(client: Caller, clock: Clock) -> None:
    """A grant is not asked about until a month before its end; a closed renewal leaves it on, and in peace."""
    await answer(client, "given", VIEWS)
    assert (await may_ask(client))["because"] == "granted"
    assert (await ask(client, VIEWS)).status_code == 409
    clock.forward(days=336)
    assert (await may_ask(client))["because"] == "ends_soon"
    prompt = (await ask(client, VIEWS)).json()
    await answer(client, "deferred", VIEWS, prompt_id=prompt["prompt_id"])
    assert cell((await client.get("/v1/users/u1/consents")).json(), "views")["state"] == "given"
    assert (await may_ask(client))["because"] == "dismissed"
    clock.forward(days=30)
    found = await may_ask(client)
    assert (found["may_ask"], found["because"]) == (True, "expired")


@ON_SQLITE
async def test_closing_a_second_question_leaves_a_no_a_no(client: Caller, clock: Clock) -> None:
    """Asked again after half a year and dismissed, the cell still says no, and the peace begins anew."""
    await answer(client, "refused", VIEWS)
    clock.forward(days=181)
    await ask(client, VIEWS)
    await answer(client, "deferred", VIEWS)
    assert cell((await client.get("/v1/users/u1/consents")).json(), "views")["state"] == "refused"
    found = await may_ask(client)
    assert (found["may_ask"], found["because"]) == (False, "dismissed")


@ON_SQLITE
async def test_who_opens_the_question_themselves_is_never_too_early(client: Caller) -> None:
    """What a person asks to see may be shown at any time, and is on record like the rest."""
    await answer(client, "refused", VIEWS)
    assert (await ask(client, VIEWS)).status_code == 409
    assert (await ask(client, VIEWS, own_wish=True)).status_code == 201


@ON_SQLITE
async def test_a_choice_must_be_on_what_was_shown(client: Caller) -> None:
    """A showing that is not this person's, of another text, or without this cell, is refused by its field; a no never is."""
    prompt_id = (await ask(client, VIEWS)).json()["prompt_id"]
    receipt_id = (await answer(client, "given", SAVES)).json()["receipt"]["receipt_id"]
    for fault, field in (
        ({"prompt_id": "0" * 32}, "prompt_id"),
        ({"prompt_id": receipt_id}, "prompt_id"),
        ({"prompt_id": prompt_id, "locale": "es"}, "prompt_id"),
        ({"prompt_id": prompt_id.upper()}, "prompt_id"),
    ):
        refused = await answer(client, "given", VIEWS, **fault)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field), fault
    beyond = await answer(client, "given", VIEWS, SAVES, prompt_id=prompt_id)
    assert (beyond.status_code, beyond.json()["errors"][0]["field"]) == (422, "changes.1")
    assert cell((await client.get("/v1/users/u1/consents")).json(), "views")["state"] == "requested"
    assert (await answer(client, "withdrawn", SAVES, prompt_id=prompt_id)).status_code == 200
    changes = {"changes": [{**VIEWS, "state": "given"}], "prompt_id": prompt_id}
    body = {**shown(VIEWS), **changes}
    for extra in ("cells", "place"):
        del body[extra]
    assert (await client.http.put("/v1/users/u2/consents", json=body)).status_code == 422


@ON_SQLITE
@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"notice_version": "2020-01-01"}, "notice_version"),
        ({"locale": "xx"}, "locale"),
        ({"place": ""}, "place"),
        ({"cells": [VIEWS, VIEWS]}, "cells"),
        ({"cells": []}, "cells"),
        ({"cells": [{**VIEWS, "purpose": "sell"}]}, "cells.0.purpose"),
        ({"actor": {"type": "guardian"}}, "actor.id"),
    ],
)
async def test_a_wrong_prompt_leaves_nothing(client: Caller, fault: dict[str, Any], field: str) -> None:
    """What is wrong is named, and the person stays unknown."""
    refused = await client.post("/v1/users/u1/prompts", shown(VIEWS, **fault))
    assert refused.status_code in {409, 422}
    assert refused.json()["errors"][0]["field"] == field
    assert (await client.get("/v1/users/u1/export")).json()["subject_id"] is None


async def test_of_ten_who_ask_at_once_one_may(client: Caller) -> None:
    """Ten replicas that ask the same person at the same moment: one prompt, nine refusals."""
    answers = await asyncio.gather(*(ask(client, VIEWS) for _ in range(10)))
    assert sorted(each.status_code for each in answers) == [201] + [409] * 9
    assert len((await client.get("/v1/users/u1/consents/history")).json()["events"]) == 1


@ON_SQLITE
async def test_asking_whether_to_ask_writes_nothing(client: Caller) -> None:
    """Everything may be asked of someone never seen, who stays so."""
    document = (await client.get("/v1/users/u1/prompts")).json()
    assert (document["may_ask"], document["ask"], document["as_of"]) == (True, "person", 0)
    assert len(document["cells"]) == 3 * len(SIGNALS)
    assert {each["because"] for each in document["cells"]} == {"never_asked"}
    assert (await client.get("/v1/users/u1/export")).json()["subject_id"] is None


@ON_SQLITE
async def test_the_time_of_peace_is_a_setting(service: Service) -> None:
    """The defaults are those of the documentation."""
    day = 86_400_000_000
    quiet = service.quiet
    assert (quiet.after_refusal, quiet.after_dismissal, quiet.after_question) == (180 * day, 30 * day, day)
    assert len(Because) == 11
