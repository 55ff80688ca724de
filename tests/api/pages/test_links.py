"""Links that open a page once, the session behind them, and the headers of everything that is answered."""

import re

import pytest

from api.pages.serving import HEADERS
from api.service import Service
from api.tokens import Kind
from tests.api.pages.conftest import HOUR, Browser
from tests.conftest import Caller, Clock

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_a_link_opens_the_page_it_is_for(browser: Browser) -> None:
    """A settings link leads to the choices, a why link to the reasons, each with a session."""
    for kind, path in ((Kind.SETTINGS, "/me"), (Kind.WHY, "/me/why")):
        opened = await browser.http.get(await browser.link(kind, "u1"))
        assert (opened.status_code, opened.headers["location"]) == (303, path)
        cookie = opened.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "secure" not in cookie
        await browser.page(path)


async def test_a_link_works_once(browser: Browser) -> None:
    """In another browser a used link opens nothing; the page says what to do."""
    link = await browser.link(Kind.SETTINGS, "u1")
    assert (await browser.http.get(link)).status_code == 303
    browser.http.cookies.clear()
    again = await browser.http.get(link)
    assert again.status_code == 410
    assert "already used" in again.text
    assert "set-cookie" not in again.headers


async def test_a_used_link_leads_on_for_who_is_in_already(browser: Browser) -> None:
    """Whoever opens their link a second time in the same browser gets their page; another person does not."""
    link, other = await browser.link(Kind.SETTINGS, "u1"), await browser.link(Kind.SETTINGS, "u2")
    for _ in range(2):
        assert (await browser.http.get(link)).status_code == 303
    await browser.http.get(other)
    assert (await browser.http.get(link)).status_code == 410


async def test_a_link_expires(browser: Browser, clock: Clock) -> None:
    """After its time a link is no link."""
    link = await browser.link(Kind.SETTINGS, "u1", ttl=HOUR)
    clock.forward(days=1)
    assert (await browser.http.get(link)).status_code == 404


async def test_a_link_of_another_kind_opens_nothing(browser: Browser, service: Service) -> None:
    """An erase link opens no session, a settings link erases nobody, and neither is a session."""
    erase, settings = await browser.link(Kind.ERASE, "u1"), await browser.link(Kind.SETTINGS, "u1")
    assert (await browser.http.get(erase.replace("/erase/", "/open/"))).status_code == 404
    crossed = settings.replace("/open/", "/erase/")
    assert (await browser.http.post(crossed, data={"erase": "One-Click"})).status_code == 404
    browser.http.cookies.set("assent_session", settings.rsplit("/", 1)[1])
    assert (await browser.http.get("/me")).status_code == 403


@pytest.mark.parametrize("place", [0, 11, 12, 40, -1])
async def test_a_changed_link_opens_nothing(browser: Browser, place: int) -> None:
    """Whatever letter of a token is changed, it is no token any more."""
    link = await browser.link(Kind.SETTINGS, "u1")
    head, token = link.rsplit("/", 1)
    letters = list(token)
    letters[place] = "A" if letters[place] not in "ABCD" else "Z"
    assert (await browser.http.get(f"{head}/{''.join(letters)}")).status_code == 404
    for nonsense in ("x", "%00", "é", "." * 500):
        assert (await browser.http.get(f"/open/{nonsense}")).status_code == 404


async def test_a_link_dies_with_the_person(browser: Browser, client: Caller) -> None:
    """After an erasure neither an old link nor an open session leads anywhere."""
    await client.consent("u1", "views")
    link = await browser.link(Kind.SETTINGS, "u1")
    await browser.enter("u1")
    await client.http.delete("/v1/users/u1")
    assert (await browser.http.get("/me")).status_code == 403
    browser.http.cookies.clear()
    assert (await browser.http.get(link)).status_code == 410


async def test_a_session_ends_by_itself(browser: Browser, clock: Clock) -> None:
    """After half an hour the page asks to be opened again, and so does every other page of the person."""
    await browser.enter("u1")
    clock.forward(days=0.1)
    for path in ("/me", "/me/why", "/me/history", "/me/export", "/me/delete", "/me/notice"):
        answer = await browser.http.get(path)
        assert answer.status_code == 403
        assert "open this page from your app" in answer.text
    for path in ("/me/consents", "/me/delete"):
        assert (await browser.http.post(path, data={"do": "all_on"})).status_code == 403


async def test_a_receipt_of_someone_else_does_not_exist(browser: Browser, client: Caller) -> None:
    """Another person's receipt, and one that never was, get the same answer in every form."""
    receipt = (await client.consent("u2", "views"))["receipt"]["receipt_id"]
    await client.consent("u1", "views")
    await browser.enter("u1")
    for path in (f"/me/receipts/{receipt}", "/me/receipts/" + "0" * 32, "/me/receipts/x"):
        for ending in ("", ".json", ".jws"):
            assert (await browser.http.get(path + ending)).status_code == 404


async def test_every_answer_has_the_headers_and_no_token(browser: Browser, client: Caller) -> None:
    """Pages, redirects, downloads and refusals are private, unframed and without script; no page repeats a token."""
    receipt = (await client.consent("u1", "views"))["receipt"]["receipt_id"]
    link, erase = await browser.link(Kind.SETTINGS, "u1"), await browser.link(Kind.ERASE, "u1")
    answers = [
        await browser.http.get(path)
        for path in (
            "/", link, "/me", "/me/notice", "/me/why", "/me/history", "/me/export", "/me/delete",
            f"/me/receipts/{receipt}", f"/me/receipts/{receipt}.json", f"/me/receipts/{receipt}.jws",
            "/me/language?to=en", "/docs", erase, "/me/receipts/x", "/open/x", "/erase/x",
        )
    ]  # fmt: skip
    answers.append(await browser.http.post(erase, data={"erase": "One-Click"}))
    own = re.findall(r'href="(/erased/[^"/]+)"', answers[-1].text)[0]
    answers += [await browser.http.get(path) for path in (own, f"{own}/receipt.json")]
    secrets = [link.rsplit("/", 1)[1], erase.rsplit("/", 1)[1], browser.http.cookies["assent_session"]]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (answer.url.path[:12], name)
        assert not [secret for secret in secrets if secret in answer.text], answer.url.path[:12]
        assert "location" not in answer.headers or not [s for s in secrets if s in answer.headers["location"]]
    assert "script" not in HEADERS["Content-Security-Policy"]


async def test_no_page_needs_what_its_policy_forbids(browser: Browser, client: Caller) -> None:
    """No page has a script, an inline style, an event handler, or anything from elsewhere."""
    await client.consent("u1", "views")
    await browser.enter("u1")
    for path in ("/", "/me", "/me/notice", "/me/why", "/me/history", "/me/delete"):
        page = await browser.page(path)
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|<iframe|<img|javascript:", page), path
        assert not re.search(r'(?:src|href)="(?:https?:)?//[^"]*"(?=[^>]*stylesheet)', page), path


async def test_the_style_sheet_is_named_by_its_content(browser: Browser) -> None:
    """The page asks for a style sheet that is there and may be kept for ever."""
    page = await browser.page("/")
    path = re.findall(r'rel="stylesheet" href="([^"]+)"', page)[0]
    answer = await browser.http.get(path)
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert (await browser.http.get("/favicon.ico")).headers["content-type"] == "image/svg+xml"
