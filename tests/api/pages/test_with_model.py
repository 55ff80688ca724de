"""The pages of people from whom a model has learned, and of a service whose database is away."""

import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.demo.community import simulate
from api.pages.wording import LANGUAGES, words
from api.service import Service
from api.tokens import Kind
from api.training import train_app
from tests.api.calls import RESOURCE
from tests.api.pages.conftest import HOUR, ORIGIN, Browser
from tests.conftest import APP, Caller, settings_for


@pytest.fixture
async def learned(service: Service, app: FastAPI) -> str:
    """Someone who shares everything, in a community that a model has learned from and is served with."""
    await simulate(service, APP, 120, seed=1)
    assert (await train_app(service, APP)).status == "promoted"
    await service.models.refresh()
    return "simulated-004"


def numbers(part: str, kind: str = "") -> list[float]:
    """The values of the bars (of a kind) that stand at the top of a list, without those that they are made of."""
    found, depth, wanted = [], 0, False
    for tag, of, value in re.findall(
        r'(<ul class="reasons"|</ul>)|<li class="(\w+)"|class="number">([+-][\d.]+)', part
    ):
        if tag:
            depth += 1 if tag.startswith("<ul") else -1
        elif of:
            wanted = depth == 1 and of.startswith(kind)
        elif wanted:
            found.append(float(value))
    return found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_reasons_shown_are_those_of_the_api_and_add_up(
    browser: Browser, client: Caller, learned: str
) -> None:
    """The page has the API's list in its order; every item's bars by signal add up to its score, and those by thing to what signals add."""
    await browser.enter(learned)
    page = await browser.page("/me/why")
    items = (await client.recommend(learned, explain="full", context={"locale": "en"}))["items"]
    shown = re.findall(r'class="rank">\d+</span> ([^<]+)</h3>', page)
    assert shown == [item["resource"]["title"].replace("&", "&amp;") for item in items]
    for part, item in zip(page.split('<li class="panel">')[1:], items, strict=True):
        by_signal, by_thing = part.split('<p class="sum">')
        values, signals = numbers(by_signal), numbers(by_signal, "signal")
        total = float(re.findall(r'class="number">([\d.-]+)', by_thing)[0])
        assert sum(values) == pytest.approx(total, abs=0.0005 * (len(values) + 1))
        assert total == pytest.approx(item["score"], abs=0.0005)
        lines = item["explanation"]["contributions"]
        assert len(signals) == len({line["signal"] for line in lines})
        things = numbers(by_thing)
        assert sum(things) == pytest.approx(sum(signals), abs=0.0005 * (len(things) + len(signals)))
    assert "Nothing about you." not in page


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_reasons_are_grouped_in_every_language(
    browser: Browser, client: Caller, service: Service, learned: str
) -> None:
    """By signal and by thing, with each signal's share and what it is the sum of."""
    for number in range(3):  # the catalogue has next to nothing in Hindi
        own = {**RESOURCE, "id": f"tea-{number}", "languages": ["hi"]}
        assert (await client.http.put(f"/v1/resources/tea-{number}", json=own)).status_code == 200
    await service.models.refresh()
    await browser.enter(learned)
    for locale in LANGUAGES:
        browser.http.headers["Accept-Language"] = locale
        page, texts = await browser.page("/me/why"), words(locale)
        assert f'<html lang="{locale}"' in page
        assert (
            page.count(f'<h4 class="group">{texts("reasons.by_signal")}</h4>')
            == page.count('class="rank"')
            > 0
        )
        assert page.count(f'<h4 class="group">{texts("reasons.by_thing")}</h4>') > 0
        shares = [int(each) for each in re.findall(r'class="share">\D*(\d+)', page)]
        assert sum(shares) == pytest.approx(100 * page.count('class="rank"'), abs=len(shares) / 2)
        assert '<details class="parts">' in page


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_deletion_says_honestly_that_the_model_is_still_to_be_trained(
    browser: Browser, client: Caller, learned: str
) -> None:
    """Rows are gone at once; the page names the time by which the model is without the person, as the API does."""
    await browser.enter(learned)
    answer = await browser.send(await browser.page("/me/delete"), "", path="/me/delete")
    own = answer.headers["location"]
    assert "being trained again without you" in await browser.page(own)
    receipt = (await browser.http.get(f"{own}/receipt.json")).json()
    assert receipt["status"] == "rows_erased"
    assert receipt["release_before"]["id"] is not None
    assert (await client.get(f"/v1/erasures/{receipt['erasure_id']}")).json()["status"] == "rows_erased"


async def test_without_a_database_the_page_says_that_nothing_was_changed(
    tmp_path: Path, free_port: int
) -> None:
    """A browser gets a friendly page, a program problem+json; both with 503."""
    settings = settings_for(f"postgresql://nobody@127.0.0.1:{free_port}/nothing", tmp_path)
    service = Service.create(settings)
    session = service.tokens.make(Kind.SESSION, APP, bytes(32), None, service.clock() + HOUR)
    erase = service.link(Kind.ERASE, APP, bytes(32), None, service.clock() + HOUR)
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(
        transport=transport, base_url=ORIGIN, cookies={"assent_session": session}
    ) as http:
        page = await http.get("/me", headers={"Accept": "text/html"})
        assert page.status_code == 503
        assert "Nothing was changed" in page.text
        problem = await http.post(erase, data={"erase": "One-Click"})
        assert (problem.status_code, problem.json()["code"]) == (503, "unavailable")
    await service.close()
