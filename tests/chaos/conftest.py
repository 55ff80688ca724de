"""Services in processes of their own, on both databases; how long it goes on is said by the environment."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from api import administration
from api.keys import Scope
from api.service import Service
from tests.api import community
from tests.chaos.fleet import Fleet, Town
from tests.conftest import APP, settings_for

KILLS = int(os.environ.get("CHAOS_KILLS", "3"))
"""How often each thing is killed: a few times in `make test`, a hundred in `make chaos`."""
SECONDS = float(os.environ.get("CHAOS_SECONDS", "10"))
"""After how many seconds a test stops killing, however often it has."""
STAY = 24
"""People who stay, so that there is always something to train on."""


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Whoever starts processes; at the end none of them is left."""
    made = Fleet(tmp_path_factory.mktemp("fleet"))
    yield made
    made.close()


async def town_on(url: str, folder: Path, fleet: Fleet) -> Town:
    """A town on a database that holds an app and its catalogue."""
    settings = settings_for(
        url, folder, job_lease_s=1.0, recommend_deadline_s=1.0, request_deadline_s=5.0, rate_limit=0.0
    )
    service = Service.create(settings)
    key = await administration.create_key(service, APP, "chaos", [Scope.ADMIN])
    await service.close()
    return Town(fleet, settings, key.text)


@pytest.fixture
async def town(service: Service, database_url: str, tmp_path: Path, fleet: Fleet) -> AsyncIterator[Town]:
    """A town on each database; nothing runs yet."""
    await service.close()  # from here on the processes have the database
    yield await town_on(database_url, tmp_path, fleet)
    fleet.stop_all()


@pytest.fixture
async def trained(service: Service) -> Service:
    """A service with people and a model that learned from them."""
    await community.settle_in(service, STAY + min(KILLS, 100))
    await community.train(service)
    return service


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say what was measured, for whoever runs `make chaos`."""

    def say(words: str) -> None:
        sys.stdout.write(f"\n{request.node.name}: {words}\n")

    return say
