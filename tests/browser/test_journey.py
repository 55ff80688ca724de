"""A person turns a signal on, sees what it does, turns it off, and deletes everything: in a real Chromium."""

import pytest
from playwright.sync_api import BrowserContext, Page, Request, expect

from tests.browser.conftest import DESKTOP, PHONE, Site

pytestmark = pytest.mark.browser

CONTEXTS = [
    pytest.param({**PHONE, "java_script_enabled": True}, id="phone"),
    pytest.param({**PHONE, "java_script_enabled": False}, id="phone-without-javascript"),
    pytest.param({**DESKTOP, "java_script_enabled": True}, id="desktop"),
    pytest.param({**DESKTOP, "java_script_enabled": False}, id="desktop-without-javascript"),
]


class Person:
    """Someone new, at the demo app."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        page.goto(site.demo)
        page.get_by_role("button", name="Be someone new").click()

    def today(self) -> list[str]:
        """Return the titles of the list."""
        with self.page.expect_navigation():
            self.page.get_by_role("link", name="Today", exact=True).click()
        expect(self.page.get_by_role("heading", name="For today")).to_be_visible()
        return self.page.locator(".item h2").all_inner_texts()

    def strategy(self) -> str:
        """Return what the app says of where the list comes from."""
        return self.page.locator("#strategy").inner_text()

    def open_item(self, title: str) -> str:
        """Open a resource of the list; return what the app says became of it."""
        with self.page.expect_navigation():
            self.page.get_by_role("link", name=title, exact=True).click()
        return self.page.get_by_role("status").inner_text()

    def set_views(self, *, to: bool) -> None:
        """Turn "what you open" on or off for personalising, on the consent page, and come back."""
        self.page.get_by_role("link", name="What may be used").first.click()
        group = self.page.get_by_role("group", name="What you open", exact=True)
        switch = group.get_by_role("checkbox", name="Personalise")
        expect(switch).to_be_checked(checked=not to)
        switch.set_checked(to)
        expect(group.get_by_text("Not saved yet").first).to_be_visible()
        self.page.get_by_role("button", name="Save choices").click()
        expect(self.page.get_by_role("status")).to_contain_text("Your choices are saved")
        expect(group.get_by_role("checkbox", name="Personalise")).to_be_checked(checked=to)
        self.page.get_by_role("link", name="Back to Harbour").click()


@pytest.mark.parametrize("context", CONTEXTS, indirect=True)
def test_the_list_and_its_reasons_follow_what_is_shared(page: Page, site: Site) -> None:
    """On, the next list is for the person and says why; off, it is the editors' again; deleted, nothing is left."""
    person = Person(page, site)
    everyones = person.today()
    assert "the same for everyone" in person.strategy()
    first = everyones[0]
    assert "Not kept: that you opened this" in person.open_item(first)

    person.set_views(to=True)
    assert person.today() == everyones
    assert "Kept: that you opened this" in person.open_item(first)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Not kept: that you saved this")
    mine = person.today()
    assert "Chosen for you" in person.strategy()
    assert mine != everyones
    assert first not in mine
    item = page.locator(".item").first
    assert f"Because you opened {first}" in item.locator(".because").inner_text().replace("“", "").replace(
        "”", ""
    )
    item.get_by_text("Why this?").click()
    expect(item.locator(".without")).to_contain_text("What you open")
    together = float(item.locator(".sum .number").inner_text())
    for group in ("By kind of signal", "By what it was about"):
        rows = item.get_by_role("heading", name=group).locator("xpath=following-sibling::ul[1]/li")
        expect(rows.filter(has_text=first).locator(":scope > .number")).to_be_visible()
        shown = [float(text) for text in rows.locator(":scope > .number").all_inner_texts()]
        if group == "By kind of signal":
            assert sum(shown) == pytest.approx(together, abs=0.001 * len(shown))

    person.set_views(to=False)
    assert person.today() == everyones
    assert "the same for everyone" in person.strategy()

    person.set_views(to=True)
    person.open_item(first)
    assert person.today() != everyones
    page.get_by_role("link", name="Delete my data").click()
    page.get_by_role("button", name="Delete everything").click()
    expect(page.get_by_role("heading", name="Everything is deleted")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the receipt").click()
    assert download.value.suggested_filename.startswith("erasure-")
    page.goto(site.demo + "today")
    assert person.today() == everyones
    assert "Not kept" in person.open_item(first)


def test_before_any_model_what_was_used_leaves_the_list(page: Page, site_without_model: Site) -> None:
    """Without a model the list is the editors', less what the person shares that they used; off, it comes back."""
    person = Person(page, site_without_model)
    everyones = person.today()
    person.set_views(to=True)
    person.today()
    person.open_item(everyones[0])
    assert person.today()[:3] == everyones[1:4]
    assert "What you used already is left out" in person.strategy()
    person.set_views(to=False)
    assert person.today() == everyones


@pytest.mark.parametrize("context", CONTEXTS[:2], indirect=True)
def test_everything_can_be_turned_on_and_off_at_once(page: Page, site: Site) -> None:
    """Each takes one click, and both buttons are as large and as strong as each other."""
    Person(page, site)
    page.get_by_role("link", name="What may be used").click()
    on, off = (page.get_by_role("button", name=f"Turn everything {way}") for way in ("on", "off"))
    boxes = [button.bounding_box() for button in (on, off)]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert (boxes[0]["width"], boxes[0]["height"]) == (boxes[1]["width"], boxes[1]["height"])
    on.click()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(30)
    off.click()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(0)
    page.get_by_role("link", name="History").click()
    expect(page.locator(".timeline > li")).to_have_count(2)
    page.locator(".timeline a").first.click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download (JSON)").click()
    assert download.value.suggested_filename.startswith("receipt-")


def test_everything_can_be_done_with_the_keyboard(page: Page, site: Site) -> None:
    """The first tab stop skips to the content; a switch turns by the space bar and Enter saves."""
    Person(page, site)
    page.get_by_role("link", name="What may be used").click()
    expect(page.get_by_role("heading", name="What may be used", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    switch = page.get_by_role("checkbox", name="Personalise").first
    for _ in range(12):
        page.keyboard.press("Tab")
        if switch.evaluate("node => node === document.activeElement"):
            break
    expect(switch).to_be_focused()
    page.keyboard.press("Space")
    expect(switch).to_be_checked()
    page.get_by_role("button", name="Save choices").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("saved")


@pytest.mark.parametrize(
    "context", [{**PHONE, "locale": "es-ES"}, {**PHONE, "locale": "en-GB"}], indirect=True
)
def test_no_page_is_wider_than_a_phone_or_asks_for_what_its_policy_forbids(page: Page, site: Site) -> None:
    """In both languages every page fits, loads nothing from elsewhere, sends no referrer and breaks no policy."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request))  # noqa: PLW0108  Playwright cannot wrap a built-in
    page.goto(site.demo)
    page.locator("button[value='simulated-004']").click()
    paths = ["/demo/today", "/demo/resource/box-breathing", "/demo/privacy/settings", "/me/notice", "/me/why"]
    paths += ["/me/history", "/me/delete", "/demo/privacy/erase", "/"]
    for path in paths:
        page.goto(site.url + path)
        for summary in page.locator("summary").all():
            if summary.is_visible():
                summary.click()
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
    assert not complaints
    assert len(sent) > len(paths)
    assert not [each.url for each in sent if not each.url.startswith(site.url)]
    assert not [each.url for each in sent if each.all_headers().get("referer")]


def test_another_site_can_neither_send_the_form_nor_frame_the_page(
    context: BrowserContext, page: Page, site: Site
) -> None:
    """A page elsewhere that posts the form or shows it in a frame changes nothing."""
    Person(page, site)
    page.get_by_role("link", name="What may be used").click()
    csrf = page.locator("input[name=csrf]").get_attribute("value")
    evil = context.new_page()
    forged = f"""<iframe src="{site.url}/me"></iframe>
        <form method="post" action="{site.url}/me/consents"><input name="csrf" value="{csrf}">
        <input name="do" value="all_on"><input name="notice_version" value="2026-11-22">
        <input name="notice_locale" value="en"><button>Win a prize</button></form>"""
    evil.route("http://evil.example/", lambda route: route.fulfill(body=forged, content_type="text/html"))
    evil.goto("http://evil.example/")
    assert [frame.url for frame in evil.frames[1:]] == ["chrome-error://chromewebdata/"]
    evil.get_by_role("button", name="Win a prize").click()
    expect(evil.get_by_role("heading")).to_contain_text("open this page from your app")
    page.reload()
    assert page.get_by_role("checkbox", checked=True).count() == 0


def test_the_documentation_can_be_read_without_a_script(page: Page, site: Site) -> None:
    """It loads nothing but its style sheet and icon, breaks no rule of its policy, and a link opens the schema that it names."""
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{site.url}/docs")
    page.get_by_text("PUT /v1/users/{user_id}/consents").click()
    page.get_by_role("link", name="ConsentRequest", exact=True).first.click()
    expect(page.locator("#schema-ConsentRequest")).to_be_visible()
    assert page.locator("script").count() == 0
    assert asked
    assert not [url for url in asked if not url.startswith(site.url + "/")]
    assert not complaints


def test_a_link_opens_once(page: Page, context: BrowserContext, chromium: object, site: Site) -> None:
    """Opened again elsewhere, a link shows a friendly page and nothing of the person."""
    Person(page, site)
    with page.expect_response(lambda response: "/open/" in response.url) as opened:
        page.get_by_role("link", name="What may be used").click()
    expect(page.get_by_role("heading", name="What may be used", exact=True)).to_be_visible()
    link = opened.value.url
    page.goto(link)
    expect(page.get_by_role("heading", name="What may be used", exact=True)).to_be_visible()
    context.clear_cookies()
    page.goto(link)
    expect(page.get_by_role("heading")).to_contain_text("already used")
