"""A real Chromium at a real server."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from api import administration, schema
from api.app import create_app
from api.demo import community, partner
from api.keys import Scope
from api.service import Service
from api.training import train_app
from recommender.exchange import shipped
from tests.conftest import APP, settings_for

CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")

PATIENCE_MS = 90_000
"""After how long a browser test gives up what it waits for: on a busy machine a page takes its time."""
expect.set_options(timeout=PATIENCE_MS)

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}


@dataclass(frozen=True)
class Site:
    """A server with the demo app on it."""

    url: str
    key: str = ""
    """A key of the app that the demo app is."""

    @property
    def demo(self) -> str:
        """Where the demo app begins."""
        return f"{self.url}/demo/"


@contextlib.contextmanager
def serving(folder: Path, *, trained: bool) -> Iterator[Site]:
    """Serve the catalogue, a simulated community and the demo app, in a thread with its own event loop."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        settings = settings_for(f"sqlite:///{folder / 'assent.db'}", folder, public_url=url)
        servers: list[uvicorn.Server] = []
        failures: list[Exception] = []
        keys: list[str] = []
        ready = threading.Event()

        async def run() -> None:
            await schema.migrate(settings.database_url)
            service = Service.create(settings)
            await administration.ensure_app(service, APP, "Harbour")
            await administration.import_catalog(service, APP, shipped())
            await community.simulate(service, APP, 150 if trained else 10, seed=1)
            if trained:
                assert (await train_app(service, APP)).status == "promoted"
            scopes = [Scope.RECOMMEND, Scope.EVENTS, Scope.CONSENT, Scope.CATALOG]
            key = await administration.create_key(service, APP, "demo", scopes)
            keys.append(key.text)
            app = create_app(service)
            partner.attach(app, key.text)
            config = uvicorn.Config(app, log_level="warning", access_log=False, ws="none")
            servers.append(uvicorn.Server(config))
            ready.set()
            await servers[0].serve(sockets=[listening])

        def in_thread() -> None:
            try:
                asyncio.run(run())
            except Exception as error:  # noqa: BLE001  whatever it is, the test tells it
                failures.append(error)
            finally:
                ready.set()

        thread = threading.Thread(target=in_thread, name="server")
        thread.start()
        ready.wait()  # the thread says so in any case
        try:
            if failures or not servers:
                pytest.fail(f"the server did not start: {failures}")
            yield Site(url, keys[0])
        finally:
            if servers:
                servers[0].should_exit = True
            thread.join(30)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with a trained model."""
    with serving(tmp_path_factory.mktemp("trained"), trained=True) as made:
        yield made


@pytest.fixture(scope="session")
def site_without_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server before its first training."""
    with serving(tmp_path_factory.mktemp("untrained"), trained=False) as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window.

    For one file of tests at a time: as long as it is open, no other test of this process can run an event loop.
    """
    path = Path(os.environ.get("CHROMIUM", CHROMIUM))
    if not path.exists():
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A fresh profile; a parameter may hold options of the context."""
    made = chromium.new_context(**{"locale": "en-GB", **getattr(request, "param", {})})
    made.set_default_timeout(PATIENCE_MS)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A fresh page."""
    return context.new_page()
