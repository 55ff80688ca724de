"""A service that may send webhooks to this machine, a courier for it, and a server that receives them."""

import random
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from api import administration
from api.service import Service
from api.webhooks.delivery import Courier
from api.webhooks.sending import Sender
from tests.api.webhooks.receiver import Receiver, receiving
from tests.conftest import APP, OTHER_APP, Clock, catalogue, settings_for

EVERYTHING = [
    "consent.changed",
    "consent.expiring",
    "consent.expired",
    "erasure.rows_erased",
    "erasure.completed",
]


@pytest.fixture
async def service(database_url: str, tmp_path: Path, clock: Clock) -> AsyncIterator[Service]:
    """A service on an empty database whose webhooks may go to this machine, over plain http too."""
    settings = settings_for(database_url, tmp_path, webhook_networks="127.0.0.0/8", webhook_http=True)
    made = Service.create(settings, clock=clock)
    await administration.ensure_app(made, APP, "Harbour")
    await administration.ensure_app(made, OTHER_APP, "Meadow")
    await administration.import_catalog(made, APP, catalogue())
    yield made
    await made.close()


@pytest.fixture(scope="session")
def certificates() -> ssl.SSLContext:
    """The usual authorities, read once."""
    return httpx.create_ssl_context()


@pytest.fixture
def courier(service: Service, certificates: ssl.SSLContext) -> Courier:
    """A worker's courier."""
    return Courier(service, Sender(service.settings.webhook_policy, certificates), random.Random(1))


def hasty(courier: Courier) -> Courier:
    """The same courier, quick to give up on an attempt, for receivers that would keep it waiting."""
    return Courier(courier.service, replace(courier.sender, attempt_s=2.0), courier.dice)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A server that receives."""
    async with receiving() as made:
        yield made
