"""Deleting everything from the page and by link."""

import asyncio
import base64
import json
import re
import sqlite3
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from api.pages.wording import words
from api.service import Service
from api.tokens import Kind
from consent import apps
from tests.api.pages.conftest import ORIGIN, Browser
from tests.api.working import work_all
from tests.conftest import APP, OTHER_APP, Caller, Clock, event

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


async def test_the_button_deletes_everything_and_leads_to_the_receipt(
    browser: Browser, client: Caller, person: str
) -> None:
    """One click from the page removes all rows, ends the session, and leads to a page that hands over the receipt."""
    await browser.enter(person)
    page = await browser.page("/me/delete")
    assert await held(client, person)
    answer = await browser.send(page, "", path="/me/delete")
    assert answer.status_code == 303
    assert not await held(client, person)
    own = answer.headers["location"]
    shown = await browser.page(own)
    assert "Everything is deleted" in shown
    assert f'href="{own}/receipt.json"' in shown
    file = await browser.http.get(f"{own}/receipt.json")
    receipt = file.json()
    assert file.headers["content-disposition"] == (
        f'attachment; filename="erasure-{receipt["erasure_id"]}.json"'
    )
    assert receipt["status"] == "rows_erased"
    assert receipt["counts"]["event"] == 1
    assert (await client.get(f"/v1/erasures/{receipt['erasure_id']}")).json() == receipt
    assert (await browser.http.get("/me")).status_code == 403


async def test_the_page_of_a_deletion_outlives_the_person(
    browser: Browser, client: Caller, service: Service, clock: Clock, person: str
) -> None:
    """By its link alone it shows, whenever it is opened, how far the deletion has come, and in the end the signed receipt; for a year."""
    done = await browser.http.post(await browser.link(Kind.ERASE, person), data=ONE_CLICK, headers=JSON)
    own = done.json()["page_url"].removeprefix(ORIGIN)
    browser.http.cookies.clear()
    assert words("en")("deleted.receipt_first") in await browser.page(own)
    await work_all(service, clock)
    await client.consent(person, "saves")  # who comes back is somebody else
    for _ in range(2):
        page = await browser.page(own)
    assert "Signed and final" in page
    receipt = (await browser.http.get(f"{own}/receipt.json")).json()
    assert receipt["status"] == "completed"
    keys = KeySet.import_key_set((await browser.http.get("/.well-known/jwks.json")).json())
    signed = json.loads(jws.deserialize_compact(receipt["receipt"], keys, algorithms=["Ed25519"]).payload)
    assert signed["erasure_id"] == done.json()["erasure_id"]
    assert await held(client, person)
    clock.forward(days=366)
    assert (await browser.http.get(own)).status_code == 404


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_link_of_a_deletion_does_nothing_else(
    browser: Browser, client: Caller, person: str
) -> None:
    """It opens no page of a person and deletes nobody; no other link opens the page of a deletion, changed ones neither."""
    settings = await browser.link(Kind.SETTINGS, "u2")
    done = await browser.http.post(await browser.link(Kind.ERASE, person), data=ONE_CLICK, headers=JSON)
    own = done.json()["page_url"].removeprefix(ORIGIN)
    assert (await browser.http.get(own.replace("/erased/", "/open/"))).status_code == 404
    crossed = await browser.http.post(own.replace("/erased/", "/erase/"), data=ONE_CLICK, headers=JSON)
    assert crossed.status_code == 404
    browser.http.cookies.set("assent_session", own.rsplit("/", 1)[1])
    assert (await browser.http.get("/me")).status_code == 403
    for lost in (settings.replace("/open/", "/erased/"), own[:-2] + "AA", "/erased/x"):
        assert (await browser.http.get(lost)).status_code == 404
        assert (await browser.http.get(f"{lost}/receipt.json")).status_code == 404


async def test_two_presses_at_once_delete_once(browser: Browser, client: Caller, person: str) -> None:
    """Of the same link used several times in the same moment one deletes; the others are told that it is over."""
    link = await browser.link(Kind.ERASE, person)
    answers = await asyncio.gather(*(browser.http.post(link, data=ONE_CLICK, headers=JSON) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410, 410]
    assert not await held(client, person)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_link_says_nothing_to_who_holds_it(
    browser: Browser, client: Caller, service: Service, person: str
) -> None:
    """No id, pseudonym or app stands in a token, readable or encoded, and two of one person have nothing in common."""
    user_hash = service.pseudonyms.user(APP, person)
    subject_id = (await client.get(f"/v1/users/{person}/export")).json()["subject_id"]
    tokens = [(await browser.link(Kind.ERASE, person)).rsplit("/", 1)[1] for _ in range(2)]
    done = await browser.http.post(f"/erase/{tokens[0]}", data=ONE_CLICK, headers=JSON)
    tokens.append(done.json()["page_url"].rsplit("/", 1)[1])
    raw = [base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)) for token in tokens]
    ids = [user_hash, bytes.fromhex(subject_id), bytes.fromhex(done.json()["erasure_id"])]
    for needle in (*ids, *(each.hex().encode() for each in ids), person.encode() * 4, APP.encode()):
        assert not [token for token in (*raw, *map(str.encode, tokens)) if needle in token]
    runs = [{each[place : place + 6] for place in range(len(each) - 5)} for each in raw]
    assert not runs[0] & runs[1]
    assert not runs[0] & runs[2]


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


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_full_disk_after_the_deletion_takes_nothing_back(
    browser: Browser,
    client: Caller,
    service: Service,
    clock: Clock,
    person: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who is deleted is told so by link, page and API though the log cannot be emptied yet; the erasure empties it later."""

    async def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    link = await browser.link(Kind.ERASE, person)
    await client.consent("u2", "views")
    with monkeypatch.context() as patched:
        patched.setattr("aiosqlite.Connection.execute_fetchall", full)
        assert not await service.database.scrub()
        by_link = await browser.http.post(link, data=ONE_CLICK, headers=JSON)
        assert by_link.status_code == 200
        assert (await client.http.delete("/v1/users/u2")).status_code == 202
        await browser.enter("u3")
        answer = await browser.send(await browser.page("/me/delete"), "", path="/me/delete")
        assert answer.status_code == 303
    assert not await held(client, person)
    await work_all(service, clock)
    done = (await client.get(f"/v1/erasures/{by_link.json()['erasure_id']}")).json()
    assert done["status"] == "completed"


async def set_one_click(service: Service, *, on: bool) -> None:
    """Turn the app's one-click links on or off, as its operator does, and let the process look."""
    async with service.database.write(APP) as connection:
        assert await apps.set_one_click(connection, APP, on=on)
    await service.models.refresh()


async def test_an_app_does_without_one_click_links(
    browser: Browser, client: Caller, service: Service, caller_for: Callable[..., Any], person: str
) -> None:
    """Turned off, its lists carry no such link from the next look on, and others' do; a link from before still deletes."""
    other: Caller = await caller_for(OTHER_APP)
    before = urlsplit((await client.recommend(person))["controls"]["erase_url"]).path
    await set_one_click(service, on=False)
    for user_id in (person, "never-seen"):
        assert set((await client.recommend(user_id))["controls"]) == {"settings_url", "why_url"}
        what_if = await client.post("/v1/recommendations:whatif", {"user_id": user_id, "without": []})
        assert set(what_if.json()["controls"]) == {"settings_url", "why_url"}
    assert (await other.recommend(person))["controls"]["erase_url"]
    assert (await browser.http.post(before, data=ONE_CLICK, headers=JSON)).status_code == 200
    assert not await held(client, person)
    await set_one_click(service, on=True)
    assert (await client.recommend(person))["controls"]["erase_url"]


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
    own = re.findall(r'href="(/erased/[^"/]+)"', answer.text)[0]
    assert "Everything is deleted" in await browser.page(own)
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
    """A link from before an erasure does not reach who comes back later, whether they were known when it was made or not; an expired or changed one nobody at all."""
    early = [await browser.link(kind, "u2") for kind in (Kind.ERASE, Kind.SETTINGS)]
    await client.consent("u2", "views")
    old = await browser.link(Kind.ERASE, person)
    for user_id in (person, "u2"):
        await client.http.delete(f"/v1/users/{user_id}")
        await client.consent(user_id, "views")
    for link in (old, early[0]):
        assert (await browser.http.get(link)).status_code == 410
        assert (await browser.http.post(link, data=ONE_CLICK, headers=JSON)).status_code == 410
    assert (await browser.http.get(early[1])).status_code == 410
    assert await held(client, "u2")
    late = await browser.link(Kind.ERASE, person)
    clock.forward(days=1)
    for dead in (late, late[:-1], "/erase/x"):
        answer = await browser.http.post(dead, data=ONE_CLICK, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert await held(client, person)


async def test_the_links_of_a_list_outlive_the_first_choice(browser: Browser, client: Caller) -> None:
    """Who chooses for the first time by one link of a list can delete themselves by the other; a session from before the choice goes on as well."""
    await client.consent("u2", "views")
    await client.http.delete("/v1/users/u2")
    shown = (await client.recommend("u1"))["controls"]
    paths = {name: url.removeprefix(ORIGIN) for name, url in shown.items()}
    assert (await browser.http.get(paths["settings_url"])).status_code == 303
    page = await browser.page("/me")
    await client.consent("u1", "saves")
    assert (await browser.send(page, "save", on={"views.personalise"})).status_code == 303
    assert (await browser.http.get(paths["why_url"])).status_code == 303
    await browser.page("/me/why")
    done = await browser.http.post(paths["erase_url"], data=ONE_CLICK, headers=JSON)
    assert done.status_code == 200
    assert not await held(client, "u1")


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
    """The page names the hours within which the model is trained again, and the days after which backups are gone."""
    await browser.enter("u1")
    page = await browser.page("/me/delete")
    assert f"within {service.settings.erasure_deadline_h} hours" in page
    assert f"gone after {service.settings.backup_lifetime_d} days" in page
