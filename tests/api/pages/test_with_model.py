"""The pages of people from whom a model has learned, and of a service whose database is away."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.demo.community import simulate
from api.service import Service
from api.tokens import Kind
from api.training import train_app
from tests.api.pages.conftest import HOUR, ORIGIN, Browser
from tests.conftest import APP, Caller, settings_for


@pytest.fixture
async def learned(service: Service, app: FastAPI) -> str:
    """Someone who shares everything, in a community that a model has learned from and is served with."""
    await simulate(service, APP, 120, seed=1)
    assert (await train_app(service, APP)).status == "promoted"
    await service.models.refresh()
    return "simulated-004"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_reasons_shown_are_those_of_the_api_and_add_up(
    browser: Browser, client: Caller, learned: str
) -> None:
    """The page has the API's list in its order; every item's bars add up to its score."""
    await browser.enter(learned)
    page = await browser.page("/me/why")
    items = (await client.recommend(learned, explain="full", context={"locale": "en"}))["items"]
    shown = re.findall(r'class="rank">\d+</span> ([^<]+)</h3>', page)
    assert shown == [item["resource"]["title"].replace("&", "&amp;") for item in items]
    for part, item in zip(page.split('<li class="panel">')[1:], items, strict=True):
        at_first, rest = part.split('<p class="sum">')
        values = [float(text) for text in re.findall(r'class="number">([+-][\d.]+)', at_first)]
        total = float(re.findall(r'class="number">([\d.-]+)', rest)[0])
        assert sum(values) == pytest.approx(total, abs=0.0005 * (len(values) + 1))
        assert total == pytest.approx(item["score"], abs=0.0005)
    assert "Nothing about you." not in page


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_deletion_says_honestly_that_the_model_is_still_to_be_trained(
    browser: Browser, client: Caller, learned: str
) -> None:
    """Rows are gone at once; the page names the time by which the model is without the person, as the API does."""
    await browser.enter(learned)
    answer = await browser.send(await browser.page("/me/delete"), "", path="/me/delete")
    assert "being trained again without you" in answer.text
    file = answer.text.split('href="data:application/json;charset=utf-8,')[1].split('"')[0]
    receipt = json.loads(unquote(file))
    assert receipt["status"] == "retraining"
    assert receipt["release_before"]["id"] is not None
    assert (await client.get(f"/v1/erasures/{receipt['erasure_id']}")).json()["status"] == "retraining"


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
