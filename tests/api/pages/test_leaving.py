"""Deleting everything from the page and by link."""

import json
from urllib.parse import unquote

import pytest

from api.service import Service
from api.tokens import Kind
from tests.api.pages.conftest import ORIGIN, Browser
from tests.conftest import Caller, Clock, event

ONE_CLICK = {"erase": "One-Click"}
JSON = {"Accept": "*/*"}


async def held(client: Caller, user_id: str) -> bool:
    """Tell whether anything is held on a person."""
    return (await client.get(f"/v1/users/{user_id}/export")).json()["subject_id"] is not None


@pytest.fixture
async def person(client: Caller) -> str:
    """A person with consent and an event."""
    await client.consent("u1", "views")
    await client.events(event("u1", "views", "box-breathing"))
    return "u1"


async def test_the_button_deletes_everything_and_shows_the_receipt(
    browser: Browser, client: Caller, person: str
) -> None:
    """One click from the page removes all rows, ends the session, and hands over the receipt."""
    await browser.enter(person)
    page = await browser.page("/me/delete")
    assert await held(client, person)
    answer = await browser.send(page, "", path="/me/delete")
    assert answer.status_code == 200
    assert "Everything is deleted" in answer.text
    assert not await held(client, person)
    file = answer.text.split('href="data:application/json;charset=utf-8,')[1].split('"')[0]
    receipt = json.loads(unquote(file))
    assert receipt["status"] == "completed"
    assert receipt["counts"]["event"] == 1
    assert (await client.get(f"/v1/erasures/{receipt['erasure_id']}")).json() == receipt
    assert (await browser.http.get("/me")).status_code == 403


async def test_the_button_needs_the_persons_own_form(browser: Browser, client: Caller, person: str) -> None:
    """Without the token, or from another site, nothing is deleted."""
    await browser.enter(person)
    page = await browser.page("/me/delete")
    assert (await browser.http.post("/me/delete", data=ONE_CLICK)).status_code == 403
    csrf = page.split('name="csrf" value="')[1].split('"')[0]
    foreign = {"Origin": "https://evil.example"}
    assert (await browser.http.post("/me/delete", data={"csrf": csrf}, headers=foreign)).status_code == 403
    assert await held(client, person)


async def test_a_link_deletes_without_cookie_or_key_and_once(
    browser: Browser, client: Caller, person: str
) -> None:
    """A POST deletes and answers with the erasure; the same again says that the link is over."""
    link = await browser.link(Kind.ERASE, person)
    done = await browser.http.post(link, data=ONE_CLICK, headers=JSON)
    assert done.status_code == 200
    assert done.json()["counts"]["event"] == 1
    assert not await held(client, person)
    again = await browser.http.post(link, data=ONE_CLICK, headers=JSON)
    assert (again.status_code, again.json()["code"]) == (410, "link_over")
    assert (await browser.http.get(link)).status_code == 410


async def test_looking_at_the_link_deletes_nothing(browser: Browser, client: Caller, person: str) -> None:
    """GET and HEAD show a button or nothing, as often as a mail scanner likes; the button then works."""
    link = await browser.link(Kind.ERASE, person)
    for _ in range(3):
        page = await browser.page(link)
        await browser.http.head(link)
    assert 'name="erase" value="One-Click"' in page
    assert await held(client, person)
    answer = await browser.http.post(link, data=ONE_CLICK)
    assert "Everything is deleted" in answer.text
    assert not await held(client, person)


async def test_multipart_is_a_form_too(browser: Browser, client: Caller, person: str) -> None:
    """RFC 8058 lets a client send either kind of form."""
    link = await browser.link(Kind.ERASE, person)
    answer = await browser.http.post(link, files={"erase": (None, "One-Click")}, headers=JSON)
    assert answer.status_code == 200
    assert not await held(client, person)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"data": {}}, 400),
        ({"data": {"erase": "yes"}}, 422),
        ({"data": {"List-Unsubscribe": "One-Click"}}, 422),
        ({"data": {"erase": ["One-Click", "One-Click"]}}, 422),
        ({"data": {"erase": "One-Click", "also": "1"}}, 422),
        ({"json": ONE_CLICK}, 400),
        ({"content": b"\x00\xff", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 422),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_anything_else_in_the_body_deletes_nothing(
    browser: Browser, client: Caller, person: str, body: dict[str, object], status: int
) -> None:
    """Only the one field with the one value deletes; the link stays good for it."""
    browser.http.headers["Accept"] = "*/*"
    link = await browser.link(Kind.ERASE, person)
    answer = await browser.http.post(link, **body)  # type: ignore[arg-type]  # keyword arguments of httpx
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert await held(client, person)
    assert (await browser.http.post(link, data=ONE_CLICK)).status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_body_too_large_deletes_nothing(browser: Browser, client: Caller, person: str) -> None:
    """More than the settings allow is not even read."""
    link = await browser.link(Kind.ERASE, person)
    answer = await browser.http.post(link, data={"erase": "One-Click" * 300_000}, headers=JSON)
    assert answer.status_code == 413
    assert await held(client, person)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_dead_link_deletes_nobody(
    browser: Browser, client: Caller, person: str, clock: Clock
) -> None:
    """A link from before an erasure does not reach who comes back later; an expired or changed one nobody at all."""
    old = await browser.link(Kind.ERASE, person)
    await client.http.delete(f"/v1/users/{person}")
    await client.consent(person, "views")
    assert (await browser.http.post(old, data=ONE_CLICK, headers=JSON)).status_code == 410
    late = await browser.link(Kind.ERASE, person)
    clock.forward(days=1)
    for dead in (late, late[:-1], "/erase/x"):
        answer = await browser.http.post(dead, data=ONE_CLICK, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert await held(client, person)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_who_was_never_seen_can_delete_too(browser: Browser) -> None:
    """The answer has the same shape, with nothing removed."""
    done = await browser.http.post(await browser.link(Kind.ERASE, "nobody"), data=ONE_CLICK, headers=JSON)
    assert done.status_code == 200
    assert set(done.json()["counts"].values()) == {0}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_browser_gets_pages_and_a_program_gets_problems(browser: Browser) -> None:
    """The same dead link is a friendly page for one and problem+json for the other."""
    page = await browser.http.post("/erase/x", data=ONE_CLICK, headers={"Origin": ORIGIN})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    program = await browser.http.post("/erase/x", data=ONE_CLICK, headers=JSON)
    assert program.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_the_person_is_told_of_the_time_is_the_setting(browser: Browser, service: Service) -> None:
    """The page names the hours within which the model is trained again."""
    await browser.enter("u1")
    assert f"within {service.settings.erasure_deadline_h} hours" in await browser.page("/me/delete")
