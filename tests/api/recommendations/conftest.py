"""Every test here has a service on a copy of one trained community."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from api import administration, schema
from api.service import Service
from recommender.exchange import shipped
from tests.api import community
from tests.conftest import APP, Clock, settings_for


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a SQLite database of a community, and the release trained on it; to be copied."""
    folder = tmp_path_factory.mktemp("trained")

    async def make() -> None:
        url = f"sqlite:///{folder / 'assent.db'}"
        await schema.migrate(url)
        service = Service.create(settings_for(url, folder))
        await administration.ensure_app(service, APP, "Harbour")
        await administration.import_catalog(service, APP, shipped())
        await community.settle_in(service)
        await community.train(service)
        await service.database.scrub()
        await service.close()

    with asyncio.Runner() as runner:
        runner.run(make())
    return folder  # type: ignore[return-value]  # nothing to tidy up


@pytest.fixture
async def service(trained: Path, tmp_path: Path, clock: Clock) -> AsyncIterator[Service]:
    """A service on a copy of the trained community."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    made = Service.create(settings_for(f"sqlite:///{tmp_path / 'assent.db'}", tmp_path), clock=clock)
    yield made
    await made.close()
