"""History, receipts, the copy of everything, and the reasons, as the person sees them."""

import json

import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from api.service import Service
from consent.receipts import canonical
from tests.api.pages.conftest import Browser
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
    browser: Browser, client: Caller, service: Service
) -> None:
    """The page says what was chosen; JSON is canonical; the JWS verifies over exactly that JSON."""
    receipt = (await client.consent("u1", "check_ins"))["receipt"]
    await browser.enter("u1")
    path = f"/me/receipts/{receipt['receipt_id']}"
    page = await browser.page(path)
    assert "How you say you feel" in page
    assert receipt["privacy_notice"]["sha256"] in page
    body = await browser.http.get(f"{path}.json")
    assert body.text == canonical(receipt)
    assert body.headers["content-disposition"].startswith("attachment")
    signed = await browser.http.get(f"{path}.jws")
    keys = KeySet.import_key_set(service.signer.public_keys)  # type: ignore[arg-type]  # a dictionary as it stands
    assert jws.deserialize_compact(signed.text, keys, algorithms=["Ed25519"]).payload.decode() == body.text


async def test_the_copy_is_what_the_app_would_get(browser: Browser, client: Caller) -> None:
    """The download holds the same as the API's export."""
    await client.consent("u1", "views")
    await client.events(event("u1", "views", "box-breathing"))
    await browser.enter("u1")
    copy = json.loads((await browser.http.get("/me/export")).text)
    exported = (await client.get("/v1/users/u1/export")).json()
    assert {**copy, "exported_at": ""} == {**exported, "exported_at": ""}
    assert [each["resource_id"] for each in copy["events"]] == ["box-breathing"]


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
