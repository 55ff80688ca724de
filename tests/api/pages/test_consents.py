"""The consent page and its form, on real databases."""

import pytest

from api.tokens import Kind
from consent.purposes import Purpose
from consent.signals import SIGNALS
from tests.api.calls import NOTICE_REQUEST
from tests.api.pages.conftest import ORIGIN, Browser, shown_on
from tests.conftest import APP, NOTICE, Caller, Clock, event

EVERY_CELL = {f"{signal}.{purpose.value}" for signal in SIGNALS for purpose in Purpose}


async def states(client: Caller, user_id: str) -> dict[str, str]:
    """Return the state of every cell, as the app sees it."""
    answer = await client.get(f"/v1/users/{user_id}/consents")
    return {f"{cell['signal']}.{cell['purpose']}": cell["state"] for cell in answer.json()["consents"]}


async def history(client: Caller, user_id: str) -> list[dict[str, object]]:
    """Return the ledger of a person, as the app sees it."""
    answer = await client.get(f"/v1/users/{user_id}/consents/history")
    events: list[dict[str, object]] = answer.json()["events"]
    return events


async def test_a_new_person_finds_everything_off(browser: Browser) -> None:
    """Every cell is on the page, and none is on."""
    page = await browser.enter("u1")
    assert shown_on(page) == set()
    assert all(f'value="{cell}"' in page for cell in EVERY_CELL)
    assert all(signal.texts["en"].title in page for signal in SIGNALS.values())


async def test_what_is_turned_on_is_given_with_the_notice_that_was_shown(
    browser: Browser, client: Caller
) -> None:
    """Saving records a grant with version, locale and method, answers with a redirect, and says so once."""
    page = await browser.enter("u1")
    saved = await browser.send(page, "save", {"views.personalise", "saves.improve"})
    assert (saved.status_code, saved.headers["location"]) == (303, "/me")
    after = await browser.page("/me")
    assert shown_on(after) == {"views.personalise", "saves.improve"}
    assert "Your choices are saved" in after
    assert "Your choices are saved" not in await browser.page("/me")
    recorded = await history(client, "u1")
    assert {(each["state"], each["method"], each["locale"], each["notice_version"]) for each in recorded} == {
        ("given", "settings_page", "en", "2026-11-22")
    }
    assert len(recorded) == 2


async def test_turning_off_withdraws_and_deletes_what_was_kept(browser: Browser, client: Caller) -> None:
    """The last grant of a signal that is unticked takes its events along."""
    await client.consent("u1", "views", "saves")
    await client.events(event("u1", "views", "box-breathing"), event("u1", "saves", "box-breathing"))
    page = await browser.enter("u1")
    await browser.send(page, "save", {"saves.personalise"})
    assert (await states(client, "u1"))["views.personalise"] == "withdrawn"
    held = (await client.get("/v1/users/u1/export")).json()["events"]
    assert [each["signal"] for each in held] == ["saves"]


async def test_saving_an_untouched_page_records_nothing(browser: Browser, client: Caller) -> None:
    """A form sent as it came leaves no line in the ledger, and makes nobody known."""
    page = await browser.enter("u1")
    await browser.send(page, "save")
    assert "Nothing changed" in await browser.page("/me")
    assert (await client.get("/v1/users/u1/export")).json()["subject_id"] is None


async def test_everything_off_and_everything_on_take_one_click_each(browser: Browser, client: Caller) -> None:
    """Each button changes every cell at once; both are the same kind of button."""
    page = await browser.enter("u1")
    assert page.count('<button class="even" name="do" value="all_o') == 2
    await browser.send(page, "all_on")
    assert set((await states(client, "u1")).values()) == {"given"}
    await browser.send(await browser.page("/me"), "all_off")
    assert set((await states(client, "u1")).values()) == {"withdrawn"}


async def test_a_no_to_everything_is_recorded_as_refused(browser: Browser, client: Caller) -> None:
    """Whoever never chose and presses the button has said no, and is not asked to wonder."""
    await browser.send(await browser.enter("u1"), "all_off")
    assert set((await states(client, "u1")).values()) == {"refused"}


async def test_a_yes_that_ends_soon_can_be_renewed(browser: Browser, client: Caller, clock: Clock) -> None:
    """The offer comes in the last month only, and keeps the day on which it was turned on."""
    await client.consent("u1", "views")
    assert 'value="renew"' not in await browser.enter("u1")
    clock.forward(days=340)
    page = await browser.enter("u1")
    assert 'value="renew"' in page
    await browser.send(page, "renew")
    assert (await states(client, "u1"))["views.personalise"] == "renewed"
    assert 'value="renew"' not in await browser.page("/me")


async def test_an_expired_yes_is_shown_as_off(browser: Browser, client: Caller, clock: Clock) -> None:
    """The page never shows as on what no longer allows anything."""
    await client.consent("u1", "views")
    clock.forward(days=366)
    page = await browser.enter("u1")
    assert shown_on(page) == set()
    assert "ended" in page


async def test_an_unknown_notice_or_button_changes_nothing(browser: Browser, client: Caller) -> None:
    """A form that names a notice never published, or no button, is refused with a page."""
    page = await browser.enter("u1")
    for forged in (page.replace("2026-11-22", "2020-01-01"), page):
        do = "save" if forged is not page else "destroy"
        answer = await browser.send(forged, do, {"views.personalise"})
        assert answer.status_code == 400
        assert "Nothing was changed" in answer.text
    assert set((await states(client, "u1")).values()) == {"unknown"}


@pytest.mark.parametrize(
    ("accepted", "locale", "direction"),
    [("es-MX", "es", "ltr"), ("hi-IN,en;q=0.5", "hi", "ltr"), ("ar", "ar", "rtl"), ("fr", "en", "ltr")],
)
async def test_the_page_is_in_the_language_of_who_reads_it(
    browser: Browser, client: Caller, accepted: str, locale: str, direction: str
) -> None:
    """The language of the notice that was read is the one recorded; where there is none it is English."""
    browser.http.headers["Accept-Language"] = accepted
    page = await browser.enter("u1")
    assert f'<html lang="{locale}" dir="{direction}">' in page
    assert SIGNALS["views"].texts[locale].title in page
    await browser.send(page, "save", {"views.personalise"})
    assert [each["locale"] for each in await history(client, "u1")] == [locale]


async def test_a_language_can_be_chosen(browser: Browser) -> None:
    """The choice holds from then on; a place to return to that is not one of the pages is not followed."""
    await browser.enter("u1")
    answer = await browser.http.get("/me/language", params={"to": "es", "back": "/me/history"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/me/history")
    assert "Qué puede usarse" in await browser.page("/me")
    astray = await browser.http.get("/me/language", params={"to": "xx", "back": "https://evil.example/"})
    assert astray.headers["location"] == "/me"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_form_from_another_site_changes_nothing(
    browser: Browser, client: Caller, headers: dict[str, str]
) -> None:
    """Even with the right token inside, a form that another site sent is refused."""
    page = await browser.enter("u1")
    csrf = page.split('name="csrf" value="')[1].split('"')[0]
    form = {"csrf": csrf, "do": "all_on", "notice_version": "2026-11-22", "notice_locale": "en"}
    answer = await browser.http.post("/me/consents", data=form, headers=headers)
    assert answer.status_code == 403
    assert set((await states(client, "u1")).values()) == {"unknown"}


async def test_a_form_needs_the_token_of_its_own_session(browser: Browser, client: Caller) -> None:
    """No token, a wrong one, and that of another person's session are refused alike."""
    other = await browser.enter("u2")
    page = await browser.enter("u1")
    for wrong in (
        other,
        page.replace('name="csrf" value="', 'name="csrf" value="0'),
        page.replace("csrf", ""),
    ):
        answer = await browser.send(wrong, "all_on")
        assert answer.status_code == 403
    assert set((await states(client, "u1")).values()) == {"unknown"}
    assert (await browser.send(page, "all_on")).status_code == 303


async def test_browsers_that_hide_the_origin_of_their_own_forms_are_understood(browser: Browser) -> None:
    """Pages send no referrer, so browsers write `Origin: null` for the page's own form."""
    page = await browser.enter("u1")
    csrf = page.split('name="csrf" value="')[1].split('"')[0]
    form = {"csrf": csrf, "do": "all_off", "notice_version": "2026-11-22", "notice_locale": "en"}
    headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert (await browser.http.post("/me/consents", data=form, headers=headers)).status_code == 303


async def test_getting_any_page_changes_nothing(browser: Browser, client: Caller) -> None:
    """After every page was read, everything held on the person is the same."""
    receipt = (await client.consent("u1", "views"))["receipt"]["receipt_id"]
    await client.events(event("u1", "views", "box-breathing"))
    before = (await client.get("/v1/users/u1/export")).json()
    await browser.enter("u1")
    for path in (
        "/me", "/me/notice", "/me/why", "/me/history", f"/me/receipts/{receipt}", "/me/delete", "/me/export",
        await browser.link(Kind.ERASE, "u1"),
    ):  # fmt: skip
        await browser.page(path)
    for path in ("/me/consents", "/me/delete?erase=One-Click"):
        await browser.http.get(path)
    after = (await client.get("/v1/users/u1/export")).json()
    assert {**before, "exported_at": ""} == {**after, "exported_at": ""}


async def test_the_app_is_named_and_another_apps_person_is_another(browser: Browser, client: Caller) -> None:
    """The same user id in two apps has two pages that know nothing of each other."""
    await client.consent("u1", "views")
    page = await browser.enter("u1", app_id="meadow")
    assert "Meadow" in page
    assert shown_on(page) == set()
    assert shown_on(await browser.enter("u1", app_id=APP)) == {"views.personalise"}


async def test_two_tabs_do_not_undo_each_other(browser: Browser, client: Caller) -> None:
    """What one tab turned on stays on when another, opened before, saves something else."""
    await client.consent("u1", "ratings")
    tab = await browser.enter("u1")
    await browser.send(tab, "save", {"ratings.personalise", "views.personalise"})
    answer = await browser.send(tab, "save", {"ratings.personalise", "saves.personalise"})
    assert answer.status_code == 303
    on = shown_on(await browser.page("/me"))
    assert on == {"ratings.personalise", "views.personalise", "saves.personalise"}


async def test_a_first_choice_ties_the_session_to_the_person(browser: Browser, client: Caller) -> None:
    """Who had no row when they came, chooses, and is erased by their app, is out."""
    await browser.send(await browser.enter("u1"), "save", {"views.personalise"})
    await browser.page("/me")
    await client.http.delete("/v1/users/u1")
    assert (await browser.http.get("/me")).status_code == 403


async def test_the_pages_show_and_record_the_apps_own_notice(browser: Browser, client: Caller) -> None:
    """Who reads a language that the app did not write gets its English text, and that is what is recorded."""
    await client.consent("u1", "saves")
    own = (await client.post("/v1/notices", NOTICE_REQUEST)).json()
    browser.http.headers["Accept-Language"] = "ar"
    page = await browser.enter("u1")
    await browser.send(page, "save", {"views.personalise", "saves.personalise"})
    newest = (await client.get("/v1/users/u1/consents/history")).json()["events"][-1]
    assert (newest["notice_version"], newest["locale"]) == (own["version"], "en")
    notice = await browser.page("/me/notice")
    assert own["sha256"]["en"] in notice
    assert '<article class="prose panel" lang="en" dir="ltr">' in notice
    former = await browser.page(f"/me/notice?version={NOTICE}&locale=hi")
    assert '<article class="prose panel" lang="hi" dir="ltr">' in former
    assert (await browser.http.get("/me/notice?version=1999&locale=en")).status_code == 404
