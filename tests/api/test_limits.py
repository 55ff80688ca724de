"""How often a key may ask, and how long an answer may take."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api import administration
from api.keys import Scope
from api.limits import Buckets, Deadline
from api.problems import Problem
from api.service import Service
from tests.api.witness import ON_SQLITE
from tests.conftest import APP, Caller, serving, settings_for


class Stopwatch:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return seconds."""
        return self.now


def taken(buckets: Buckets, key_id: str, tries: int) -> int:
    """How many of so many requests of a key pass."""
    passed = 0
    for _ in range(tries):
        with contextlib.suppress(Problem):
            buckets.take(key_id)
            passed += 1
    return passed


def test_a_bucket_lets_a_seconds_worth_through_and_refills() -> None:
    """Ten a second: ten at once, then one for each tenth of a second, and never more than ten saved up."""
    clock = Stopwatch()
    buckets = Buckets(10, clock=clock)
    assert taken(buckets, "a", 30) == 10
    assert taken(buckets, "b", 30) == 10
    clock.now += 0.35
    assert taken(buckets, "a", 30) == 3
    clock.now += 3600
    assert taken(buckets, "a", 30) == 10


def test_who_is_refused_is_told_when_to_come_back() -> None:
    """Retry-After is long enough: who waits that long passes."""
    clock = Stopwatch()
    buckets = Buckets(0.2, clock=clock)
    buckets.take("a")
    with pytest.raises(Problem) as refused:
        buckets.take("a")
    assert (refused.value.status, refused.value.code) == (429, "rate_limited")
    clock.now += int(refused.value.headers["Retry-After"])
    buckets.take("a")


def test_memory_is_bounded() -> None:
    """However many keys ask, so many buckets are kept, and those who asked last keep theirs."""
    buckets = Buckets(1, clock=Stopwatch(), most=10)
    for number in range(1_000):
        buckets.take(str(number))
    assert len(buckets._filled) == 10
    assert taken(buckets, "999", 1) == 0


def test_no_limit_counts_nothing() -> None:
    """A rate of nought lets everything through and remembers nobody."""
    buckets = Buckets(0, clock=Stopwatch())
    assert taken(buckets, "a", 100) == 100
    assert not buckets._filled


@contextlib.asynccontextmanager
async def limited(service: Service, url: str, folder: Path, **settings: Any) -> AsyncIterator[Caller]:
    """A client of an application with other settings on the same database."""
    key = await administration.create_key(service, APP, "test", [Scope.ADMIN])
    async with serving(Service.create(settings_for(url, folder, **settings)), key.text) as client:
        yield client


@ON_SQLITE
async def test_a_key_that_asks_too_often_is_told_so(
    service: Service, database_url: str, tmp_path: Path
) -> None:
    """429 with Retry-After, on every route; a list that is refused still tells where to turn; what needs no key is not counted."""
    async with limited(service, database_url, tmp_path, rate_limit=0.01) as client:
        assert (await client.get("/v1/users/u1/consents")).status_code == 200
        refused = await client.http.delete("/v1/users/u1")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) > 1
        listed = await client.post("/v1/recommendations", {"user_id": "u1", "context": {"region": "GB"}})
        assert (listed.status_code, listed.json()["code"]) == (429, "rate_limited")
        assert listed.json()["support"]
        assert (await client.get("/v1/signals")).status_code == 200


@ON_SQLITE
async def test_nothing_of_a_person_is_read_for_a_key_that_asks_too_often(
    service: Service, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that is refused cost no query, also for a key that proved itself here before."""
    asked = list[str]()
    read = type(service.database.points).rows

    async def noted(self: Any, prepared: Any, values: Any, purpose: str) -> Any:
        asked.append(purpose)
        return await read(self, prepared, values, purpose)

    monkeypatch.setattr(type(service.database.points), "rows", noted)
    async with limited(service, database_url, tmp_path, rate_limit=0.01) as client:
        answers = [await client.post("/v1/recommendations", {"user_id": "u1"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert asked == ["", "personalise"]


@ON_SQLITE
async def test_a_question_that_does_not_come_is_not_waited_for(
    service: Service, database_url: str, tmp_path: Path
) -> None:
    """Whoever sends half a body is answered 503 with where to turn, on each of the ways to a list."""

    async def half() -> AsyncIterator[bytes]:
        yield b'{"user_id"'
        await asyncio.sleep(600)

    async with limited(service, database_url, tmp_path, recommend_deadline_s=1.0) as client:
        for kind in ("", ":whatif", ":anonymous"):
            sent = client.http.post(f"/v1/recommendations{kind}", content=half())
            answer = await asyncio.wait_for(sent, 60)
            assert (answer.status_code, answer.json()["strategy"]) == (503, "support_only")
            assert answer.json()["support"]
            assert answer.headers["retry-after"]


@ON_SQLITE
async def test_what_hangs_is_answered_in_time(
    service: Service, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list whose database does not answer is 503 with where to turn, within its deadline."""

    async def hang(*_: object) -> None:
        await asyncio.sleep(600)

    async with limited(service, database_url, tmp_path, recommend_deadline_s=2.0) as client:
        assert (await client.recommend("u1"))["items"]
        monkeypatch.setattr("api.point_reads.SqlitePointReads.rows", hang)
        answer = await asyncio.wait_for(client.post("/v1/recommendations", {"user_id": "u1"}), 60)
    assert (answer.status_code, answer.json()["strategy"]) == (503, "support_only")
    assert answer.json()["support"]


async def test_a_request_that_does_not_let_go_is_answered_all_the_same() -> None:
    """The deadline holds also for work that ignores being told to stop; what answers in time is left alone."""
    inner = FastAPI()
    let_go = asyncio.Event()

    @inner.get("/stuck")
    async def stuck() -> None:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            await let_go.wait()
            raise

    @inner.get("/quick")
    async def quick() -> dict[str, bool]:
        return {"done": True}

    app = Deadline(inner, 0.2)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        answer = await asyncio.wait_for(http.get("/stuck"), 60)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    patient = httpx.ASGITransport(Deadline(inner, 60))
    async with httpx.AsyncClient(transport=patient, base_url="http://test") as http:
        assert (await http.get("/quick")).json() == {"done": True}
    assert len(app._letting_go) == 1
    let_go.set()
    while app._letting_go:  # noqa: ASYNC110  nothing else tells
        await asyncio.sleep(0.01)
