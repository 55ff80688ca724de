"""Real databases for every test that needs one: SQLite through the migrations, and a PostgreSQL that the tests bring themselves."""

import base64
import contextlib
import functools
import gc
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import settings
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from api import administration, schema
from api.app import create_app
from api.connecting import async_url
from api.keys import Scope
from api.service import Service
from api.settings import Settings, load
from recommender import registry
from recommender.exchange import shipped
from tests import postgres

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
settings.register_profile("untimed", deadline=None)  # no test measures time
settings.load_profile("untimed")

SECRET = base64.b64encode(bytes(range(32))).decode()
APP, OTHER_APP = "harbour", "meadow"
NOTICE = "2026-11-22"


class Clock:
    """A clock that runs, and that a test may set forward."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        """Return microseconds since 1970, UTC."""
        return time.time_ns() // 1_000 + self.ahead

    def forward(self, *, days: float) -> None:
        """Let days pass."""
        self.ahead += int(days * 86_400_000_000)


@pytest.fixture
def garbage_collected() -> Iterator[None]:
    """Collect what a test left, while warnings are still filtered as it says."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server of this run's own; the URL of its superuser, with %s for the database."""
    with postgres.running() as (server, folder):
        server.psql("CREATE DATABASE migrated OWNER assent_owner")
        yield f"postgresql://postgres@/%s?host={folder}"


async def _superuser(url: str, *statements: str) -> None:
    engine = create_async_engine(async_url(url), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()


_databases = iter(range(1_000_000))
_migrated: set[str] = set()
catalogue = functools.cache(shipped)  # read and checked once a run


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a SQLite file lies, once a test needed it, that the migrations brought up to date and that nobody uses."""
    return tmp_path_factory.mktemp("migrated") / "assent.db"


async def _migrate_once(url: str) -> None:
    if url not in _migrated:
        await schema.migrate(url)
        _migrated.add(url)


@contextlib.asynccontextmanager
async def fresh_database(
    kind: str, folder: Path, request: pytest.FixtureRequest, *, migrated: bool = True
) -> AsyncIterator[str]:
    """The URL of an empty database, brought up to date by the migrations unless a test does that.

    The migrations run once a session on each kind of database; what they made is copied.
    """
    if kind == "sqlite":
        path = folder / "assent.db"
        if migrated:
            template = request.getfixturevalue("migrated_file")
            await _migrate_once(f"sqlite:///{template}")
            shutil.copyfile(template, path)
        yield f"sqlite:///{path}"
        return
    server = request.getfixturevalue("postgres_server")
    owned = server.replace("postgres@", "assent_owner@")
    if migrated:
        await _migrate_once(owned % "migrated")
    name = f"test_{next(_databases)}"
    origin = "migrated" if migrated else "template1"
    await _superuser(server % "postgres", f"CREATE DATABASE {name} OWNER assent_owner TEMPLATE {origin}")
    yield owned % name
    await _superuser(server % "postgres", f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database of each kind in turn."""
    async with fresh_database(request.param, tmp_path, request) as url:
        yield url


@pytest.fixture
def clock() -> Clock:
    """The service's clock."""
    return Clock()


def settings_for(url: str, folder: Path, **more: Any) -> Settings:
    """Settings of a service for tests; answers take as long as a busy machine needs, but where a test is about that."""
    usual = {"training_jobs": 1, "recommend_deadline_s": 60.0, "request_deadline_s": 600.0, "poll_s": 0.05}
    return load(
        {},
        database_url=url,
        secret=SECRET,
        releases_url=str(folder / "releases"),
        register_url=str(folder / "erasures"),
        **(usual | more),
    )


@pytest.fixture
async def service(database_url: str, tmp_path: Path, clock: Clock) -> AsyncIterator[Service]:
    """A service on an empty database, with two apps and the shipped catalogue in the first."""
    made = Service.create(settings_for(database_url, tmp_path), clock=clock)
    await administration.ensure_app(made, APP, "Harbour")
    await administration.ensure_app(made, OTHER_APP, "Meadow")
    await administration.import_catalog(made, APP, catalogue())
    yield made
    await made.close()


@dataclass
class Caller:
    """A partner app's HTTP client, with what tests often ask of it."""

    http: httpx.AsyncClient

    async def get(self, path: str, **more: Any) -> httpx.Response:
        """Send a GET."""
        return await self.http.get(path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Send a POST with a JSON body."""
        return await self.http.post(path, json=body, **more)

    async def consent(
        self, user_id: str, *signals: str, purposes: tuple[str, ...] = ("personalise",), state: str = "given"
    ) -> dict[str, Any]:
        """Choose for a person; return the answer."""
        changes = [
            {"signal": signal, "purpose": purpose, "state": state}
            for signal in signals
            for purpose in purposes
        ]
        body = {"changes": changes, "notice_version": NOTICE, "locale": "en", "method": "test"}
        answer = await self.http.put(f"/v1/users/{user_id}/consents", json=body)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def events(self, *events: dict[str, Any]) -> dict[str, Any]:
        """Send events; return the answer."""
        answer = await self.post("/v1/events", {"events": list(events)})
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def recommend(self, user_id: str, **more: Any) -> dict[str, Any]:
        """Ask for recommendations; return the answer."""
        answer = await self.post("/v1/recommendations", {"user_id": user_id, **more})
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document


_event_ids = iter(range(1_000_000_000))


def event(user_id: str, signal: str, resource_id: str | None = None, **more: Any) -> dict[str, Any]:
    """One event as an app sends it, with an id of its own."""
    named = {"resource_id": resource_id} if resource_id else {}
    return {
        "event_id": f"e{next(_event_ids)}",
        "user_id": user_id,
        "signal": signal,
        "occurred_at": "2026-11-20T08:00:00Z",
        **named,
        **more,
    }


@contextlib.asynccontextmanager
async def serving(service: Service, key: str = "") -> AsyncIterator[Caller]:
    """A client of an application around a service; with a new key of every scope, where none is given."""
    key = key or (await administration.create_key(service, APP, "test", [Scope.ADMIN])).text
    app = create_app(service)
    async with app.router.lifespan_context(app), asking(app, key) as http:
        yield Caller(http)


def asking(app: FastAPI, key: str) -> httpx.AsyncClient:
    """A client with a key, in the application's own process."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test", headers={"Authorization": f"Bearer {key}"}
    )


async def a_training_reads(service: Service) -> None:
    """Note that a training reads what people granted until now, without training anything."""
    async with service.database.write(APP) as connection:
        await registry.begin_reading(connection, APP, service.clock())


@pytest.fixture
async def app(service: Service) -> AsyncIterator[FastAPI]:
    """The web application, started."""
    made = create_app(service)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def caller_for(app: FastAPI, service: Service) -> AsyncIterator[Callable[..., Any]]:
    """Make clients of an app with some scopes, or with all when none is named."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(app_id: str = APP, *scopes: Scope) -> Caller:
            key = await administration.create_key(service, app_id, "test", scopes or [Scope.ADMIN])
            return Caller(await stack.enter_async_context(asking(app, key.text)))

        yield make


@pytest.fixture
async def client(caller_for: Callable[..., Any]) -> Caller:
    """A client of the first app with every scope."""
    made: Caller = await caller_for()
    return made


@pytest.fixture
def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
