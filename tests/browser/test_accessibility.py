"""Every page a person can meet keeps WCAG 2.2 AA and good practice: on a phone and a desk, by day and by night."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import DESKTOP, PHONE, Site

pytestmark = pytest.mark.browser

EVERYWHERE = [pytest.param(PHONE, id="phone"), pytest.param(DESKTOP, id="desktop")]
LANGUAGES = ["en", "es", "hi", "ar"]


def be_somebody(page: Page, site: Site, who: str = "new") -> None:
    """Choose at the demo app who to be."""
    page.goto(site.demo)
    page.locator(f"button[value='{who}']").first.click()


def with_a_model(page: Page, site: Site) -> Iterator[str]:
    """Go through the pages as one of the simulated people, whose list has reasons; yield where we are."""
    for path in ("/", "/me", "/open/nothing", "/erase/nothing", "/erased/nothing", "/demo/"):
        page.goto(site.url + path)
        yield f"{path} of nobody"
    page.goto(site.url + "/docs")
    yield "the API's documentation"
    be_somebody(page, site, "simulated-004")
    for path in ("/demo/today", "/demo/resource/box-breathing", "/demo/resource/nothing"):
        page.goto(site.url + path)
        yield path
    page.goto(site.demo + "privacy/why")
    expect(page).to_have_url(f"{site.url}/me/why")
    yield "/me/why"


def until_gone(page: Page, site: Site) -> Iterator[str]:
    """Go through the pages as someone new, who allows everything and then leaves; yield where we are."""
    be_somebody(page, site)
    page.goto(site.demo + "privacy/settings")
    yield "/me before any choice"
    page.locator("button[value=all_on]").click()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(30)
    yield "/me after everything was turned on"
    for path in ("/demo/resource/box-breathing", "/demo/today", "/me/notice", "/me/why", "/me/history"):
        page.goto(site.url + path)
        yield f"{path} of someone who shares"
    page.goto(site.url + "/me/history")
    page.locator(".timeline a").first.click()
    yield "a receipt"
    page.goto(site.url + "/me/delete")
    yield "/me/delete"
    page.goto(site.demo + "privacy/erase")
    yield "the page of a link to delete"
    page.locator("main form button").click()
    expect(page.get_by_role("heading", name="Everything is deleted")).to_be_visible()
    yield "everything is deleted"
    page.goto(site.url + "/me")
    yield "/me of who is gone"


def check(page: Page, visited: Iterator[str]) -> int:
    """See that nothing is wrong anywhere on the way; return at how many places."""
    found = {where: violations(page) for where in visited}
    wrong = {where: broken for where, broken in found.items() if broken}
    assert not wrong, "\n".join(f"{where}: {each}" for where, broken in wrong.items() for each in broken)
    return len(found)


@pytest.mark.parametrize("context", EVERYWHERE, indirect=True)
def test_the_way_from_a_list_to_its_reasons(page: Page, site: Site) -> None:
    """The demo app's pages, the reasons, and the friendly refusals on the way there."""
    assert check(page, with_a_model(page, site)) == 11


@pytest.mark.parametrize("context", EVERYWHERE, indirect=True)
def test_the_way_from_a_choice_to_the_end(page: Page, site: Site) -> None:
    """Choosing, notice, history, receipt, leaving, and what is left afterwards."""
    assert check(page, until_gone(page, site)) == 12


@pytest.mark.parametrize("context", EVERYWHERE, indirect=True)
def test_the_consent_page_in_every_language(page: Page, site: Site) -> None:
    """Also where another script is read, and from right to left."""
    be_somebody(page, site)
    page.goto(site.demo + "privacy/settings")

    def visited() -> Iterator[str]:
        for language in LANGUAGES:
            page.goto(f"{site.url}/me/language?to={language}&back=/me")
            assert page.locator("html").get_attribute("lang") == language
            yield language

    assert check(page, visited()) == len(LANGUAGES)


@pytest.mark.parametrize("context", EVERYWHERE, indirect=True)
def test_the_page_among_a_persons_own_files(page: Page, site: Site, tmp_path: Path) -> None:
    """What a person downloads holds a page too, which opens from the disk."""
    be_somebody(page, site, "simulated-004")
    page.goto(site.demo + "privacy/settings")
    with page.expect_download() as download:
        page.goto(site.url + "/me/history")
        page.locator("a[href$='/me/export']").click()
    content = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))
    (name,) = [each for each in content.namelist() if each.endswith(".html")]
    (tmp_path / "mine.html").write_bytes(content.read(name))
    page.goto((tmp_path / "mine.html").as_uri())
    assert not violations(page)


@pytest.mark.parametrize("context", EVERYWHERE, indirect=True)
def test_the_pages_of_a_minor_and_of_their_guardian(page: Page, site: Site) -> None:
    """What cannot be turned on here says so, and to the guardian the page says for whom they choose."""
    user = f"/v1/users/young-{page.viewport_size['width'] if page.viewport_size else 0}"
    with httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {site.key}"}) as http:
        assert http.put(f"{user}/age-band", json={"age_band": "13_to_15"}).status_code == 200
        links = [
            http.post(f"{user}/links", json={"kind": "settings", **whose}).json()["url"]
            for whose in ({}, {"guardian_id": "mother"})
        ]

    def visited() -> Iterator[str]:
        for whose, link in zip(("a minor", "their guardian"), links, strict=True):
            page.goto(link)
            yield f"/me of {whose}"
            page.goto(f"{site.url}/me/history")
            yield f"/me/history of {whose}"

    assert check(page, visited()) == 4


def test_what_is_wrong_is_found(page: Page) -> None:
    """A page without a language, with a picture without words and with grey on grey does not pass."""
    page.set_content("<title>t</title><main><h1>h</h1><img src=x><p style='color:#999;background:#aaa'>grey")
    assert {"html-has-lang", "image-alt", "color-contrast"} <= {each.split()[0] for each in violations(page)}


def test_what_is_wrong_by_night_is_found(page: Page) -> None:
    """Words that cannot be read by night alone do not pass."""
    page.set_content(
        "<html lang=en><title>t</title><style>p { color: #111; background: #fff } "
        "@media (prefers-color-scheme: dark) { p { color: #999; background: #aaa } }</style><main><h1>h</h1><p>words"
    )
    (broken,) = violations(page)
    assert broken.startswith("color-contrast")
    assert broken.endswith("(by night)")
