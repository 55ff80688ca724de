"""Asking stores nothing, opens by links that work once, and is answered by a route of its own."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Match

from api.app import create_app
from api.keys import Scope
from api.point_reads import SqlitePointReads
from api.problems import MEDIA_TYPE
from api.routes.recommendations import DIRECT
from api.service import Service
from recommender import explanation
from recommender.ranking import Ranker
from tests.api import witness
from tests.api.recommendations.asking import lead_a_life
from tests.conftest import APP, Caller


async def test_the_direct_route_answers_as_its_neighbours_do(caller_for: Any, service: Service) -> None:
    """The route before all others is the one that is taken; what is wrong with a request is told as by a route of FastAPI's."""
    app = create_app(service)
    question: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/v1/recommendations",
        "headers": [],
    }
    taken = next(route for route in app.routes if route.matches(question)[0] is Match.FULL)
    assert taken is DIRECT
    client, stranger = await caller_for(), await caller_for(APP, Scope.EVENTS)
    for caller, body in (
        (client, b"{"),
        (client, b"[]"),
        (client, b'{"user_id": 7}'),
        (stranger, b'{"user_id": "u1"}'),
    ):
        direct, neighbour = [
            await caller.http.post(path, content=body)
            for path in ("/v1/recommendations", "/v1/recommendations:whatif")
        ]
        assert direct.status_code in {400, 403, 422}
        assert (direct.status_code, direct.headers["content-type"]) == (neighbour.status_code, MEDIA_TYPE)
        assert direct.json() == neighbour.json()
    wrong_method = await client.get("/v1/recommendations")
    assert (wrong_method.status_code, wrong_method.json()["code"]) == (405, "method_not_allowed")


async def test_the_shortcut_answers_before_any_route(caller_for: Any, service: Service) -> None:
    """What is not traced needs no route; another method or path does."""
    caller = await caller_for()
    app = create_app(service)
    app.router.routes.clear()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://assent", headers=caller.http.headers
    ) as http:
        answers = [
            await http.post("/v1/recommendations", json={"user_id": "u1"}),
            await http.post("/v1/recommendations", json={"user_id": 7}),
            await http.post("/v1/recommendations:anonymous", json={}),
            await http.get("/v1/recommendations"),
        ]
    assert [answer.status_code for answer in answers] == [200, 422, 404, 404]


async def test_requests_go_in_step(client: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that come together are all read before any is ranked, and all ranked before any is explained (decision 28)."""
    await client.recommend("u1")
    done = list[str]()

    def noted(work: Callable[..., Any], name: str) -> Callable[..., Any]:
        def noting(*args: Any) -> Any:
            done.append(name)
            return work(*args)

        return noting

    for of, name in ((SqlitePointReads, "rows"), (Ranker, "rank"), (explanation, "items")):
        monkeypatch.setattr(of, name, noted(getattr(of, name), name))
    await asyncio.gather(*(client.recommend("u1") for _ in range(3)))
    assert done == ["rows"] * 3 + ["rank"] * 3 + ["items"] * 3


async def test_reading_writes_nothing(client: Caller, service: Service, tmp_path: Path) -> None:
    """Lists, explanations and what-ifs leave every row of every table, and every byte of the database, as it was."""
    await lead_a_life(client)
    url = service.settings.database_url
    before, digest = await witness.everything(url), digests(tmp_path)
    for user_id in ("u1", "never-seen"):
        for explain in ("none", "short", "full"):
            await client.recommend(user_id, explain=explain, context={"topics": ["sleep"]}, diversity=0.5)
        await client.post("/v1/recommendations:whatif", {"user_id": user_id, "without": ["views"]})
    await client.get("/v1/resources/box-breathing/similar")
    assert await witness.everything(url) == before
    assert digests(tmp_path) == digest


def digests(folder: Path) -> dict[str, str]:
    """Digests of the database's files; the shared-memory index of readers is no data."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("assent.db*")
        if not path.name.endswith("-shm")
    }


async def test_links_of_an_answer_open_once(client: Caller, app: FastAPI) -> None:
    """Each control opens the person's own page, once; a GET of the erasing one deletes nothing, a POST deletes once."""
    await lead_a_life(client)
    controls = (await client.recommend("u1"))["controls"]
    paths = {name: urlsplit(url).path for name, url in controls.items()}

    def browser() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")

    for name, page in (("settings_url", "/me"), ("why_url", "/me/why")):
        async with browser() as person:
            opened = await person.get(paths[name])
            assert (opened.status_code, opened.headers["location"]) == (303, page)
            assert (await person.get(page)).status_code == 200
        async with browser() as thief:
            assert (await thief.get(paths[name])).status_code == 410
            assert (await thief.get(page)).status_code == 403
    async with browser() as person:
        assert (await person.get(paths["erase_url"])).status_code == 200
        assert (await client.get("/v1/users/u1/export")).json()["events"]
        assert (await person.post(paths["erase_url"], data={"erase": "One-Click"})).status_code == 200
        assert (await person.post(paths["erase_url"], data={"erase": "One-Click"})).status_code == 410
    assert (await client.get("/v1/users/u1/export")).json()["subject_id"] is None
