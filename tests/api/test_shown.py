"""What was shown is recorded with what was chosen: every cell that was on the page or in the app's dialog, also those left alone."""

import io
import json
import zipfile
from typing import Any

import pytest
from sqlalchemy import func, select

from api.service import Service
from consent.purposes import Purpose
from consent.signals import SIGNALS
from consent.tables import consent_event
from tests.api.pages.conftest import Browser, browser
from tests.api.test_consents import cell
from tests.conftest import APP, NOTICE, Caller

__all__ = ["browser"]

EVERYTHING = [
    {"signal": signal, "purposes": [each.value for each in Purpose if each in SIGNALS[signal].purposes]}
    for signal in sorted(SIGNALS)
]
VIEWS = {"signal": "views", "purpose": "personalise"}
SAVES = {"signal": "saves", "purpose": "improve"}
SHOWN = {"cells": [SAVES, VIEWS], "place": "onboarding", "at": "2026-11-20T08:00:00Z"}
BOTH = [{"signal": "saves", "purposes": ["improve"]}, {"signal": "views", "purposes": ["personalise"]}]


async def lines(client: Caller) -> list[dict[str, Any]]:
    """The ledger of u1."""
    events: list[dict[str, Any]] = (await client.get("/v1/users/u1/consents/history")).json()["events"]
    return events


async def receipt(client: Caller, receipt_id: str, accept: str = "application/json") -> Any:
    """A receipt of u1's."""
    answer = await client.get(f"/v1/users/u1/receipts/{receipt_id}", headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def choose(client: Caller, *cells: dict[str, str], state: str = "given", **more: Any) -> Any:
    """Choose for u1, as the app says it was."""
    changes = [{**each, "state": state} for each in cells]
    sent = {"changes": changes, "notice_version": NOTICE, "locale": "en", "method": "dialog", **more}
    return await client.http.put("/v1/users/u1/consents", json=sent)


@pytest.mark.parametrize(
    ("do", "on", "lines_made"), [("save", {"views.personalise"}, 1), ("all_on", None, 0)]
)
async def test_the_page_records_every_cell_that_was_on_it(
    browser: Browser,
    client: Caller,
    do: str,
    on: set[str] | None,
    lines_made: int,
) -> None:
    """Whether one cell is chosen or all are, each line, the receipt and the person's copy name all that the page offered."""
    await browser.send(await browser.enter("u1"), do, on)
    made = await lines(client)
    assert len(made) == (lines_made or sum(len(each["purposes"]) for each in EVERYTHING))
    assert all(line["shown"] == EVERYTHING for line in made)
    body = await receipt(client, made[0]["receipt_id"])
    assert body["shown"] == EVERYTHING
    page = await browser.page(f"/me/receipts/{made[0]['receipt_id']}")
    total = sum(len(each["purposes"]) for each in EVERYTHING)
    assert f"You were shown {total} uses." in page
    assert f"You were shown {total} uses." in await browser.page("/me/history")
    copy = zipfile.ZipFile(io.BytesIO((await browser.http.get("/me/export")).content))
    name = next(each for each in copy.namelist() if each.endswith("consent_history.json"))
    assert all("views" in row["shown"] for row in json.loads(copy.read(name)))


async def test_a_page_cannot_be_made_to_say_yes_to_what_it_did_not_offer(
    browser: Browser,
    client: Caller,
) -> None:
    """A form that was tampered with is not understood, and nothing of it is recorded."""
    page = await browser.enter("u1")
    tampered = page.replace("views.personalise ", "")
    answer = await browser.send(tampered, "save", {"views.personalise"})
    assert answer.status_code == 400
    assert await lines(client) == []


async def test_an_app_that_asked_before_has_the_prompts_cells_on_the_choice(client: Caller) -> None:
    """All cells of the recorded prompt stand on its own lines, on the choice and on the receipt, chosen or not."""
    sent = {"cells": [VIEWS, SAVES], "notice_version": NOTICE, "locale": "en", "place": "x", "method": "y"}
    prompt = (await client.post("/v1/users/u1/prompts", sent)).json()
    answer = await choose(client, VIEWS, prompt_id=prompt["prompt_id"])
    assert answer.json()["receipt"]["shown"] == BOTH
    assert [line["shown"] for line in await lines(client)] == [BOTH] * 3


async def test_an_app_can_say_what_was_shown_with_the_choice(client: Caller) -> None:
    """Cells, place and time of the dialog stand on the line; a yes to what was not in it is refused, a no is not."""
    answer = await choose(client, VIEWS, shown=SHOWN)
    assert answer.status_code == 200, answer.text
    (line,) = await lines(client)
    assert (line["shown"], line["place"], line["shown_at"]) == (
        BOTH,
        "onboarding",
        "2026-11-20T08:00:00.000Z",
    )
    beyond = await choose(client, {"signal": "ratings", "purpose": "improve"}, shown=SHOWN)
    assert (beyond.status_code, beyond.json()["errors"][0]["field"]) == (422, "changes.0")
    refused = await choose(client, {"signal": "ratings", "purpose": "improve"}, state="refused", shown=SHOWN)
    assert cell(refused.json(), "ratings", "improve")["state"] == "refused"
    twice = await choose(client, VIEWS, shown=SHOWN, prompt_id="9f" * 16)
    assert (twice.status_code, twice.json()["errors"][0]["field"]) == (422, "shown")


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59.999Z"])
async def test_nothing_was_shown_before_1970(client: Caller, at: str) -> None:
    """A time before there was any is 422, names the field, and nothing is recorded; the first moment after is kept."""
    answer = await choose(client, VIEWS, shown=SHOWN | {"at": at})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "shown.at")
    assert await lines(client) == []
    assert (await choose(client, VIEWS, shown=SHOWN | {"at": "1970-01-01T00:00:00Z"})).status_code == 200


async def test_what_nobody_told_is_said_to_be_unknown(client: Caller) -> None:
    """Without prompt and without `shown` the line says null, and never that nothing, or all, was shown."""
    answer = await choose(client, VIEWS)
    assert answer.json()["receipt"]["shown"] is None
    assert [line["shown"] for line in await lines(client)] == [None]


async def test_what_was_shown_is_linked_data_in_the_record(client: Caller) -> None:
    """The person's record has it with each event, in the terms of its context."""
    await choose(client, VIEWS, shown=SHOWN)
    answer = await client.get("/v1/users/u1/record", headers={"Accept": "application/ld+json"})
    (purpose,) = answer.json()["purposes"]
    assert purpose["events"][0]["shown"] == BOTH
    assert "shown" in answer.json()["@context"][0]


async def test_it_goes_with_the_person(client: Caller, service: Service) -> None:
    """After an erasure no line says any more what anybody was shown."""
    await choose(client, VIEWS, shown=SHOWN)

    async def held() -> int:
        async with service.database.read(APP) as connection:
            shown = select(func.count()).select_from(consent_event).where(consent_event.c.shown.is_not(None))
            return int((await connection.execute(shown)).scalar_one())

    assert await held() == 1
    assert (await client.http.delete("/v1/users/u1")).status_code == 202
    assert await held() == 0
