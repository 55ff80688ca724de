"""The consent page about endings, peace, minors and guardians: in plain words, never stale, and no harder to turn off than on."""

import asyncio
import re
from typing import Any

import pytest

from api import people
from api.tokens import Kind
from tests.api.pages.conftest import ORIGIN, Browser, shown_on
from tests.api.pages.test_consents import history, states
from tests.api.witness import ON_POSTGRESQL, ON_SQLITE
from tests.conftest import NOTICE, Caller, Clock, event

GUARDIAN = {"guardian_id": "mother-of-u1"}


async def mark(client: Caller, band: str) -> None:
    """Tell how old u1 is."""
    answer = await client.http.put("/v1/users/u1/age-band", json={"age_band": band})
    assert answer.status_code == 200


async def enter_as_guardian(browser: Browser, client: Caller) -> str:
    """Open u1's settings as their guardian; return the consent page."""
    link = await client.post("/v1/users/u1/links", {"kind": "settings", **GUARDIAN})
    assert (await browser.http.get(link.json()["url"].removeprefix(ORIGIN))).status_code == 303
    return await browser.page("/me")


async def test_what_was_shown_is_recorded_with_what_was_chosen(browser: Browser, client: Caller) -> None:
    """A line from the page says where and when the page was made, and that is before the choice."""
    page = await browser.enter("u1")
    await browser.send(page, "save", {"views.personalise"})
    (line,) = await history(client, "u1")
    assert (line["place"], line["method"], line["prompt_id"]) == ("/me", "settings_page", None)
    assert str(line["shown_at"]) < str(line["at"])


async def test_what_ended_is_named_and_is_given_again_at_a_click(
    browser: Browser, client: Caller, clock: Clock
) -> None:
    """An expired yes stands under what ended, before and after the worker records it; one press gives it anew, and no other."""
    await client.consent("u1", "views")
    await client.consent("u1", "saves", state="refused")
    assert 'value="again"' not in await browser.enter("u1")
    clock.forward(days=366)
    page = await browser.enter("u1")
    assert "They stay off until they are turned on again" in page
    assert "ran out on" in page
    assert shown_on(page) == set()
    await browser.send(page, "again")
    assert shown_on(await browser.page("/me")) == {"views.personalise"}
    assert 'value="again"' not in await browser.page("/me")
    assert [line["state"] for line in await history(client, "u1")] == [
        "given",
        "refused",
        "expired",
        "given",
    ]


async def test_the_page_says_until_when_nobody_asks(browser: Browser, client: Caller, clock: Clock) -> None:
    """A no, a closed question and one without an answer are shown with the day, as long as it lies ahead."""
    await client.consent("u1", "views", "saves", state="refused")
    await client.consent("u1", "ratings", state="deferred")
    page = await browser.enter("u1")
    assert "Harbour does not ask you again" in page
    assert re.findall(r"<summary>(\d+) uses?: not before [\w ]+</summary>", page) == ["1", "2"]
    clock.forward(days=181)
    assert "does not ask you again" not in await browser.enter("u1")


async def test_a_minor_can_turn_off_but_not_on(browser: Browser, client: Caller) -> None:
    """What is off cannot be ticked; forcing the form gives nothing; turning off takes one press, and says so."""
    await mark(client, "13_to_15")
    changes = [{"signal": "views", "purpose": "improve", "state": "given"}]
    body = {"changes": changes, "notice_version": NOTICE, "locale": "en", "method": "test"}
    await client.http.put("/v1/users/u1/consents", json=body | {"actor": {"type": "guardian", "id": "g"}})
    await client.events(event("u1", "views", "box-breathing"))
    page = await browser.enter("u1")
    assert "A parent or guardian turns things on for you" in page
    assert "by a guardian" in page
    assert shown_on(page) == {"views.improve"}
    assert len(re.findall(r'name="cell" value="[a-z_.]+" disabled', page)) == 29
    assert 'value="all_on"' not in page
    for deed in ("save", "all_on"):
        await browser.send(page, deed, {"views.improve", "saves.improve", "saves.personalise"})
    assert {state for name, state in (await states(client, "u1")).items() if name != "views.improve"} == {
        "unknown"
    }
    await browser.send(await browser.page("/me"), "all_off")
    assert (await states(client, "u1"))["views.improve"] == "withdrawn"
    assert (await client.get("/v1/users/u1/export")).json()["events"] == []


async def test_a_guardian_gives_by_a_link_of_their_own(browser: Browser, client: Caller) -> None:
    """What a guardian turns on is recorded as theirs, without their id; profiling they cannot turn on either."""
    await mark(client, "under_13")
    page = await enter_as_guardian(browser, client)
    assert "for someone in your care" in page
    await browser.send(page, "all_on")
    found = await states(client, "u1")
    assert {name for name, state in found.items() if state == "given"} == {
        name for name in found if not name.endswith(".personalise")
    }
    assert {str(line["actor"]) for line in await history(client, "u1")} == {"{'type': 'guardian'}"}
    assert "A guardian chose this" in await browser.page("/me/history")
    assert "mother-of-u1" not in (await client.get("/v1/users/u1/export")).text


async def test_a_guardian_sees_nothing_of_what_the_person_does(browser: Browser, client: Caller) -> None:
    """Reasons, a copy of everything and deletion are the person's alone; the guardian's session stays a guardian's."""
    await client.consent("u1", "views")
    page = await enter_as_guardian(browser, client)
    for path in ("/me/why", "/me/export", "/me/delete"):
        refused = await browser.http.get(path)
        assert (refused.status_code, "for the person alone" in refused.text) == (403, True), path
        assert f'href="{path}"' not in page
    form = dict(re.findall(r'name="(csrf)" value="([^"]*)"', page))
    assert (await browser.http.post("/me/delete", data=form)).status_code == 403
    assert (await states(client, "u1"))["views.personalise"] == "given"
    await browser.send(page, "all_off")
    assert (await browser.http.get("/me/why")).status_code == 403
    own = await browser.enter("u1")
    assert "for someone in your care" not in own
    assert (await browser.http.get("/me/why")).status_code == 200


@ON_SQLITE
@pytest.mark.parametrize("kind", ["why", "erase"])
async def test_a_guardians_link_opens_the_settings_alone(client: Caller, kind: str) -> None:
    """Another kind of link with a guardian is refused by its field."""
    refused = await client.post("/v1/users/u1/links", {"kind": kind, **GUARDIAN})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "guardian_id")


async def test_what_was_turned_off_elsewhere_stays_off(browser: Browser, client: Caller) -> None:
    """A tick on a page from before a withdrawal does not count, all else on the page does, and the page says so."""
    page = await browser.enter("u1")
    await client.consent("u1", "views")
    await client.consent("u1", "views", state="withdrawn")
    await browser.send(page, "save", {"views.personalise", "saves.personalise"})
    now = await browser.page("/me")
    assert "turned off elsewhere" in now
    assert shown_on(now) == {"saves.personalise"}
    await browser.send(now, "save", {"views.personalise", "saves.personalise"})
    assert shown_on(await browser.page("/me")) == {"saves.personalise", "views.personalise"}


@ON_POSTGRESQL
async def test_a_no_that_comes_while_the_form_is_read_loses_nothing(
    browser: Browser, client: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something is refused elsewhere between the form's reading and its writing: it stays off, and what the form turns off goes off."""
    await client.consent("u1", "views")
    page = await browser.enter("u1")
    cells, elsewhere = people.cells, list[asyncio.Task[Any]]()

    async def and_then_a_no(*arguments: Any) -> Any:
        found = await cells(*arguments)
        if not elsewhere:
            elsewhere.append(asyncio.create_task(client.consent("u1", "saves", state="refused")))
            await asyncio.wait(elsewhere, timeout=2)
        return found

    monkeypatch.setattr(people, "cells", and_then_a_no)
    await browser.send(page, "save", {"saves.personalise"})
    await elsewhere[0]
    found = await states(client, "u1")
    assert (found["views.personalise"], found["saves.personalise"]) == ("withdrawn", "refused")


@ON_SQLITE
@pytest.mark.parametrize(
    "forged", [{}, {"as_of": "x", "shown_at": "-1"}, {"as_of": "9" * 30, "shown_at": "٣"}]
)
async def test_turning_off_is_held_up_by_nothing_in_the_form(
    browser: Browser, client: Caller, forged: dict[str, Any]
) -> None:
    """Without, or with broken, marks of when the page was made everything can still be turned off."""
    await client.consent("u1", "views")
    page = await browser.enter("u1")
    (csrf,) = re.findall(r'name="csrf" value="([^"]*)"', page)
    form = {"csrf": csrf, "do": "all_off", "notice_version": NOTICE, "notice_locale": "en", **forged}
    answer = await browser.http.post("/me/consents", data=form, headers={"Origin": ORIGIN})
    assert answer.status_code == 303
    assert (await states(client, "u1"))["views.personalise"] == "withdrawn"


async def test_every_state_has_its_words(browser: Browser, client: Caller, clock: Clock) -> None:
    """Asked, closed, refused, off, ended by age and run out are each told on the page and in the history."""
    prompt = {
        "cells": [{"signal": "groups", "purpose": "improve"}],
        "notice_version": NOTICE, "locale": "en", "place": "start", "method": "dialog",
    }  # fmt: skip
    await client.post("/v1/users/u1/prompts", prompt)
    for signal, state in (("views", "refused"), ("ratings", "deferred"), ("saves", "given")):
        await client.consent("u1", signal, state=state)
    await mark(client, "16_to_17")
    page, told = await browser.enter("u1"), await browser.page("/me/history")
    for words in ("asked on", "no since", "ended on"):
        assert words in page
    for words in ("Asked", "Question closed", "It followed from the age"):
        assert words in told
    link = await browser.link(Kind.SETTINGS, "u1")
    await browser.http.get(link)
    for language in ("es", "hi", "ar"):
        await browser.http.get("/me/language", params={"to": language})
        for path in ("/me", "/me/history"):
            assert (await browser.http.get(path)).status_code == 200
