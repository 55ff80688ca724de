"""History, receipts, the copy of everything, and the reasons, as the person sees them."""

import html
import io
import json
from zipfile import ZipFile

import pytest
from fastapi import FastAPI
from joserfc import jws
from joserfc.jwk import KeySet

from api.handing_over import OF_A_PERSON
from api.pages.wording import words
from api.receipts import FILES
from api.service import Service
from consent.notices.wording import LOCALES, wording
from consent.receipts.signing import canonical
from consent.signals import SIGNALS
from consent.verification.bundles import Keys
from consent.verification.receipts import verify_receipts
from tests.api.pages.conftest import Browser
from tests.api.stalling import stalling
from tests.conftest import Caller, event

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_history_begins_empty_and_then_tells_every_choice(browser: Browser, client: Caller) -> None:
    """Choices made together stand together, newest first, with their receipt."""
    await browser.enter("u1")
    assert "No choice has been recorded" in await browser.page("/me/history")
    given = (await client.consent("u1", "views", purposes=("personalise", "improve")))["receipt"][
        "receipt_id"
    ]
    withdrawn = (await client.consent("u1", "views", state="withdrawn"))["receipt"]["receipt_id"]
    page = await browser.page("/me/history")
    assert page.index(withdrawn) < page.index(given)
    assert "personalise, improve" in " ".join(page.split())


async def test_a_receipt_is_readable_and_its_downloads_are_the_signed_ones(
    browser: Browser, client: Caller
) -> None:
    """The page says what was chosen; the JWS verifies over exactly the JSON without its proof, and the proof holds."""
    receipt = (await client.consent("u1", "check_ins"))["receipt"]
    await browser.enter("u1")
    path = f"/me/receipts/{receipt['receipt_id']}"
    page = await browser.page(path)
    assert "How you say you feel" in page
    assert receipt["purposes"][0]["privacy_notice"]["sha256"] in page
    body = await browser.http.get(f"{path}.json")
    kept = body.json()
    assert {name: kept[name] for name in kept.keys() - {"proof"}} == receipt
    log_keys = Keys.parse((await client.get("/v1/log/keys")).text)
    assert verify_receipts(kept, log_keys).entries == 1
    assert body.headers["content-disposition"].startswith("attachment")
    signed = await browser.http.get(f"{path}.jws")
    keys = KeySet.import_key_set((await browser.http.get("/.well-known/jwks.json")).json())
    assert jws.deserialize_compact(signed.text, keys, algorithms=["Ed25519"]).payload.decode() == canonical(
        receipt
    )
    assert kept["proof"]["jws"] == signed.text


async def test_a_receipt_is_had_in_every_format_and_no_other(browser: Browser, client: Caller) -> None:
    """Each link on the page leads to a file of that format; other endings, and other people's receipts, lead nowhere."""
    receipt_id = (await client.consent("u1", "views"))["receipt"]["receipt_id"]
    strangers = (await client.consent("u2", "views"))["receipt"]["receipt_id"]
    await browser.enter("u1")
    page = await browser.page(f"/me/receipts/{receipt_id}")
    for ending, media_type in FILES.items():
        assert f'href="/me/receipts/{receipt_id}.{ending}"' in page
        answer = await browser.http.get(f"/me/receipts/{receipt_id}.{ending}")
        assert answer.headers["content-type"] == media_type
        assert (
            answer.headers["content-disposition"] == f'attachment; filename="receipt-{receipt_id}.{ending}"'
        )
    for lost in (f"{receipt_id}.exe", f"{strangers}.json", strangers):
        assert (await browser.http.get(f"/me/receipts/{lost}")).status_code == 404


@pytest.mark.parametrize("locale", LOCALES)
async def test_a_receipt_says_in_every_language_what_it_means(
    browser: Browser, client: Caller, locale: str
) -> None:
    """How long it is kept, who answers for it, that nobody else gets it, the rights, and how to change one's mind."""
    receipt_id = (await client.consent("u1", "searches"))["receipt"]["receipt_id"]
    await browser.enter("u1")
    browser.http.headers["Accept-Language"] = locale
    page = html.unescape(await browser.page(f"/me/receipts/{receipt_id}"))
    told, words_ = wording(locale), words(locale)
    for text in (
        SIGNALS["searches"].texts[locale].title,
        told.span(SIGNALS["searches"].retention),
        words_("receipt.nobody"),
        words_("receipt.signed"),
        told.facts["rights"],
        told.facts["withdrawal"],
        "Harbour",
    ):
        assert text in page, text


async def test_the_copy_is_what_the_app_would_get(browser: Browser, client: Caller) -> None:
    """The download holds the same as the API's export, with a page in the reader's language."""
    await client.consent("u1", "views")
    await client.events(event("u1", "views", "box-breathing"))
    await browser.enter("u1")
    browser.http.headers["Accept-Language"] = "es"
    answer = await browser.http.get("/me/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="my-data.zip"'
    exported = (await client.get("/v1/users/u1/export")).json()
    with ZipFile(io.BytesIO(answer.content)) as copy:
        held = {name.removesuffix(".json"): copy.read(name) for name in copy.namelist()}
    sections = exported.keys() - json.loads(held["about"]).keys()
    assert {name: json.loads(held[name]) for name in sections} == {name: exported[name] for name in sections}
    assert [each["resource_id"] for each in json.loads(held["events"])] == ["box-breathing"]
    assert words("es")("export.title") in held["index.html"].decode()


async def test_the_notice_is_shown_word_for_word_with_its_digest(browser: Browser, service: Service) -> None:
    """What the person reads is the text whose digest their receipts will name."""
    await browser.enter("u1")
    page = await browser.page("/me/notice")
    notice = service.notices.current("en")
    assert notice.sha256 in page
    assert "Saying no costs you nothing." in page


async def test_who_shares_nothing_reads_that_people_chose_the_list(browser: Browser) -> None:
    """The reasons of the editors' list claim nothing about the person, and help is always there."""
    await browser.enter("u1")
    page = await browser.page("/me/why")
    assert "chosen by people" in page
    assert "Nothing about you." in page
    assert 'aria-labelledby="support"' in page


async def test_what_is_shared_is_named_among_what_is_used(browser: Browser, client: Caller) -> None:
    """A signal that takes part stands among those used, the others among those not used."""
    await client.consent("u1", "views")
    await client.events(event("u1", "views", "box-breathing"))
    await browser.enter("u1")
    page = await browser.page("/me/why")
    used, withheld = page.split("Not used", 1)
    assert "What you open" in used
    assert "What you save" in withheld.split("</section>")[0]
    assert "Box breathing</h3>" not in page  # it was used already


async def test_who_has_copies_under_way_is_told_to_wait(
    browser: Browser, client: Caller, app: FastAPI
) -> None:
    """A browser gets a page that says so, with Retry-After and the headers of every page; a program gets the problem."""
    await browser.enter("u1")
    html_first = {"Accept": "text/html"}
    async with stalling(app, client, *["u1"] * OF_A_PERSON):
        page = await browser.http.get("/me/export", headers=html_first)
        problem = await browser.http.get("/me/export", headers={"Accept": "application/zip"})
    assert (page.status_code, problem.status_code) == (429, 429)
    assert words("en")("errors.busy.text") in page.text
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["retry-after"] == problem.headers["retry-after"]
    assert page.headers["x-frame-options"] == "DENY"
    assert problem.json()["code"] == "rate_limited"
    again = await browser.http.get("/me/export", headers=html_first)
    assert again.headers["content-type"] == "application/zip"
