"""Harbour, the demo's partner app, against the real API."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api import administration
from api.demo import partner
from api.demo.community import simulate
from api.keys import Scope
from api.pages.serving import HEADERS
from api.service import Service
from tests.conftest import APP, Caller

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ORIGIN = "http://127.0.0.1:8000"


@pytest.fixture
async def harbour(app: FastAPI, service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at the demo app, with a handful of simulated people behind it."""
    await simulate(service, APP, 5, seed=1)
    scopes = [Scope.RECOMMEND, Scope.EVENTS, Scope.CONSENT, Scope.CATALOG]
    key = await administration.create_key(service, APP, "harbour", scopes)
    partner.attach(app, key.text)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=ORIGIN, follow_redirects=True
    ) as http:
        yield http


async def be(harbour: httpx.AsyncClient, who: str) -> str:
    """Become someone; return the page of today."""
    answer = await harbour.post("/demo/be", data={"who": who})
    assert answer.url.path == "/demo/today"
    return answer.text


async def stored(client: Caller, user_id: str) -> list[dict[str, Any]]:
    """Return the events held on a person, newest last."""
    events: list[dict[str, Any]] = (await client.get(f"/v1/users/{user_id}/export")).json()["events"]
    return events


def me(harbour: httpx.AsyncClient) -> str:
    """Return who one is."""
    return harbour.cookies["harbour_user"]


async def test_one_can_be_someone_new_or_simulated(harbour: httpx.AsyncClient) -> None:
    """The first page offers people of different sharing, and says that all of it is a demo."""
    page = (await harbour.get("/demo/")).text
    assert "everybody in it is simulated" in page
    assert "Shares nothing." in page
    assert "Shares everything." in page
    assert "You are <strong>simulated-004" in await be(harbour, "simulated-004")
    assert "You are <strong>someone new" in await be(harbour, "new")
    assert me(harbour).startswith("new-")


@pytest.mark.parametrize("who", ["admin", "../x", "simulated-1", "", "u1"])
async def test_nobody_else_can_be_chosen(harbour: httpx.AsyncClient, who: str) -> None:
    """Only people of the demo: a made-up cookie leads back to the first page too."""
    answer = await harbour.post("/demo/be", data={"who": who})
    assert answer.url.path != "/demo/today"
    harbour.cookies.set("harbour_user", who or "x", domain="127.0.0.1", path="/demo")
    assert (await harbour.get("/demo/today")).url.path == "/demo/"


async def test_someone_new_gets_the_editors_list_with_help_beside_it(harbour: httpx.AsyncClient) -> None:
    """Sharing nothing costs nothing: there is a list, its reason, and where to turn."""
    page = await be(harbour, "new")
    assert "the same for everyone" in page
    assert page.count('class="panel item"') == 8
    assert "Chosen by our editors" in page
    assert 'aria-labelledby="support"' in page


async def test_the_app_says_honestly_that_nothing_was_stored(
    harbour: httpx.AsyncClient, client: Caller
) -> None:
    """Opening, finishing and saving leave no trace of who shares nothing, and the page says so."""
    await be(harbour, "new")
    who = me(harbour)
    page = (await harbour.get("/demo/resource/box-breathing")).text
    assert "Not kept: that you opened this" in page
    for signal in ("completions", "saves"):
        answer = await harbour.post("/demo/did", data={"signal": signal, "resource_id": "box-breathing"})
        assert "Not kept" in answer.text
    assert (await client.get(f"/v1/users/{who}/export")).json()["subject_id"] is None


async def test_what_is_shared_is_stored_and_said(harbour: httpx.AsyncClient, client: Caller) -> None:
    """Every button sends its signal; the page says that it was kept."""
    await be(harbour, "simulated-004")
    before = len(await stored(client, "simulated-004"))
    assert "Kept: that you opened this" in (await harbour.get("/demo/resource/urge-surfing")).text
    about = {"resource_id": "urge-surfing"}
    for form in (
        {"signal": "completions", **about},
        {"signal": "saves", **about},
        {"signal": "topics", "topic": "sleep", **about},
        {"signal": "check_ins", "value": "4"},
    ):
        assert "Kept:" in (await harbour.post("/demo/did", data=form)).text
    new = (await stored(client, "simulated-004"))[before:]
    assert [event["signal"] for event in new] == ["views", "completions", "saves", "topics", "check_ins"]
    assert new[3]["topic"] == "sleep"
    assert new[4]["value"] == 4.0


async def test_showing_what_became_of_an_event_sends_no_other(
    harbour: httpx.AsyncClient, client: Caller
) -> None:
    """The page after a button is not counted as opening the resource again."""
    await be(harbour, "simulated-004")
    await harbour.post("/demo/did", data={"signal": "saves", "resource_id": "urge-surfing"})
    assert "views" not in {
        event["signal"]
        for event in (await stored(client, "simulated-004"))
        if event["event_id"].startswith("harbour")
    }


async def test_a_form_from_another_site_sends_nothing(harbour: httpx.AsyncClient, client: Caller) -> None:
    """Another site cannot make events in a visitor's name."""
    await be(harbour, "simulated-004")
    before = len(await stored(client, "simulated-004"))
    form = {"signal": "saves", "resource_id": "urge-surfing"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await harbour.post("/demo/did", data=form, headers=headers)).status_code == 403
    assert len(await stored(client, "simulated-004")) == before


async def test_the_privacy_links_lead_to_the_persons_own_pages(harbour: httpx.AsyncClient) -> None:
    """Settings, why and erase open at the service, each by a fresh link."""
    await be(harbour, "simulated-004")
    assert "What may be used" in (await harbour.get("/demo/privacy/settings")).text
    assert "Why am I seeing this?" in (await harbour.get("/demo/privacy/why")).text
    assert 'name="erase"' in (await harbour.get("/demo/privacy/erase")).text
    assert (await harbour.get("/demo/privacy/other")).url.path == "/demo/"


async def test_a_body_is_shown_without_anything_that_runs(harbour: httpx.AsyncClient, client: Caller) -> None:
    """Whatever a catalogue holds, its Markdown becomes harmless HTML."""
    evil = (
        "# Hi\n\n<script>alert(1)</script> [x](javascript:alert(1)) ![y](https://evil.example/y.png) **bold**"
    )
    resource = {
        **(await client.get("/v1/resources/box-breathing")).json(),
        "id": "evil", "title": "<b>Evil</b>", "body": evil,
    }  # fmt: skip
    assert (await client.http.put("/v1/resources/evil", json=resource)).status_code == 200
    await be(harbour, "new")
    page = (await harbour.get("/demo/resource/evil")).text
    assert "<strong>bold</strong>" in page
    assert "<h2>Hi</h2>" in page
    assert "<script" not in page
    assert 'href="javascript' not in page
    assert "<img" not in page
    assert "<b>Evil" not in page


async def test_what_is_not_in_the_catalogue_is_a_page_too(harbour: httpx.AsyncClient) -> None:
    """An unknown resource says so; a malformed id does not reach the API."""
    await be(harbour, "new")
    assert (await harbour.get("/demo/resource/nothing-here")).status_code == 404
    assert (await harbour.get("/demo/resource/%2e%2e")).status_code in {404, 422}


async def test_every_page_has_the_headers(harbour: httpx.AsyncClient) -> None:
    """The demo app is as private and unframed as the consent pages."""
    await be(harbour, "new")
    for path in ("/demo/", "/demo/today", "/demo/today?topic=sleep", "/demo/resource/box-breathing"):
        answer = await harbour.get(path)
        assert answer.status_code == 200
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert not re.search(r"<script|\sstyle=|\son\w+=", answer.text)


async def test_browsing_stands_beside_the_list(harbour: httpx.AsyncClient) -> None:
    """A topic shows what there is about it, also what was used already."""
    await be(harbour, "simulated-004")
    page = (await harbour.get("/demo/today", params={"topic": "sleep"})).text
    assert "About sleep" in page
    assert page.count('class="panel item"') > 3


async def test_help_is_that_of_the_country_and_the_list_is_everyones(harbour: httpx.AsyncClient) -> None:
    """The browser's country chooses the helplines, and does not turn the list into one of local services."""
    at_home = await be(harbour, "new")
    harbour.headers["Accept-Language"] = "en-GB"
    page = await be(harbour, "new")
    assert "Samaritans" in page
    assert re.findall(r"<h2><a[^>]*>([^<]+)", page) == re.findall(r"<h2><a[^>]*>([^<]+)", at_home)
