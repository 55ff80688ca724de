"""Shards trained on a cluster: a real Dask cluster of two processes that read PostgreSQL themselves, or a Ray cluster."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from api import administration, training
from api.consented import ConsentedEvents
from api.loading import release_url
from api.service import Service
from api.training import train_app
from recommender import release_files as releases
from recommender.exchange import shipped
from recommender.history import History
from recommender.parts import Part
from recommender.release import Manifest
from tests.api import community
from tests.conftest import APP, settings_for
from tests.on_ray import on_ray

ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def dask() -> Iterator[str]:
    """The address of a scheduler with two worker processes."""
    from distributed import LocalCluster  # noqa: PLC0415  an extra

    with LocalCluster(  # type: ignore[no-untyped-call]  # Dask leaves it untyped
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        yield str(cluster.scheduler_address)


async def trained(url: str, folder: Path, **settings: Any) -> Manifest:
    """What is known of a release that is trained with these settings."""
    service = Service.create(settings_for(url, folder, training_shards=3, **settings))
    outcome = await train_app(service, APP)
    where = release_url(service.settings.releases_url, APP, str(outcome.release_id))
    manifest = await asyncio.to_thread(releases.load_manifest, where)
    await service.close()
    return manifest


async def populated(url: str, folder: Path) -> None:
    """Bring people into an empty database."""
    service = Service.create(settings_for(url, folder))
    await administration.ensure_app(service, APP, "Harbour")
    await administration.import_catalog(service, APP, shipped())
    await community.settle_in(service)
    await service.close()


@dataclass(frozen=True)
class DeadlyEvents(ConsentedEvents):
    """Events whose first reading elsewhere ends the process that read them, before it has trained its shard."""

    here: int
    """The process that is left alive."""
    died: Path

    def __call__(self, part: Part) -> History:
        found = super().__call__(part)
        if os.getpid() != self.here:
            with contextlib.suppress(FileExistsError):
                self.died.touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        return found


# Dask leaves sockets to the garbage collector when it closes.
@pytest.mark.filterwarnings("default::ResourceWarning", "default::pytest.PytestUnraisableExceptionWarning")
@ON_POSTGRESQL
async def test_a_dask_cluster_trains_the_same_bytes(database_url: str, tmp_path: Path, dask: str) -> None:
    """Two workers, each reading its own shards' people from PostgreSQL through the gate, make this process's release."""
    await populated(database_url, tmp_path)
    here = await trained(database_url, tmp_path)
    there = await trained(database_url, tmp_path, training_backend="dask", training_cluster=dask)
    assert there.digest == here.digest
    assert there.shards == here.shards
    assert there.check == here.check


@pytest.mark.filterwarnings("default::ResourceWarning", "default::pytest.PytestUnraisableExceptionWarning")
@ON_POSTGRESQL
async def test_a_dask_worker_that_dies_changes_no_byte(
    database_url: str, tmp_path: Path, dask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is killed in the middle of a shard costs time alone: the release is the one of this process."""
    await populated(database_url, tmp_path)
    here = await trained(database_url, tmp_path)
    died = tmp_path / "died"
    deadly = partial(DeadlyEvents, here=os.getpid(), died=died)
    monkeypatch.setattr(training, "ConsentedEvents", deadly)
    there = await trained(database_url, tmp_path, training_backend="dask", training_cluster=dask)
    assert died.exists()
    assert there.digest == here.digest
    assert there.shards == here.shards
    assert there.check == here.check


@on_ray
@ON_POSTGRESQL
async def test_a_ray_cluster_trains_the_same_bytes(database_url: str, tmp_path: Path) -> None:
    """The same on a Ray cluster of this machine."""
    await populated(database_url, tmp_path)
    here = await trained(database_url, tmp_path)
    there = await trained(database_url, tmp_path, training_backend="ray")
    assert there.digest == here.digest
