"""What each app's requests are ranked with: the catalogue and the promoted release, read again when either changed."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from api.database import Database
from recommender import registry, store
from recommender import release as releases
from recommender.errors import CorruptRelease
from recommender.ranking import Ranker
from recommender.registry import ModelState
from recommender.release import Release

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """What one app is served with: the state it was read at, and what ranks."""

    state: ModelState
    ranker: Ranker
    release_id: str | None
    release: Release | None
    fault: str | None = None


class Models:
    """Holds what is served per app, in memory; `watch` keeps it fresh."""

    def __init__(self, database: Database, releases_url: str) -> None:
        self._database = database
        self._releases_url = releases_url
        self._served: Mapping[str, Served] = {}
        self.ready = False

    def of(self, app_id: str) -> Served | None:
        """Return what an app is served with; None for an app not seen yet."""
        return self._served.get(app_id)

    async def load(self, app_id: str) -> Served:
        """Return what an app registered a moment ago is served with."""
        await self.refresh()
        return self._served[app_id]

    @property
    def faults(self) -> Mapping[str, str]:
        """Why an app is served with an older release than the promoted one, by app."""
        return {app_id: served.fault for app_id, served in self._served.items() if served.fault}

    async def watch(self, every_s: float) -> None:
        """Refresh for ever; what goes wrong is logged, and tried again."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001  a lost database must not end the watch
                log.warning("could not look for a new catalogue or release: %s", type(error).__name__)

    async def refresh(self) -> None:
        """Read again what changed since the last look, for every app."""
        async with self._database.read("") as connection:
            states = await registry.model_states(connection)
        fresh = {state.app_id: await self._current(state) for state in states}
        self._served = fresh
        self.ready = True

    async def _current(self, state: ModelState) -> Served:
        before = self._served.get(state.app_id)
        if before is not None and _same(before.state, state) and before.fault is None:
            return before
        async with self._database.read(state.app_id) as connection:
            resources = await store.list_resources(connection, state.app_id)
        release, release_id, fault = await self._release(before, state)
        ranker = await asyncio.to_thread(Ranker, resources, release)
        return Served(state, ranker, release_id, release, fault)

    async def _release(
        self, before: Served | None, state: ModelState
    ) -> tuple[Release | None, str | None, str | None]:
        if state.promoted is None:
            return None, None, None
        if before is not None and before.release_id == state.promoted:
            return before.release, before.release_id, None
        url = release_url(self._releases_url, state.app_id, state.promoted)
        try:
            return await asyncio.to_thread(releases.load, url), state.promoted, None
        except (CorruptRelease, OSError) as error:
            log.warning("release %s cannot be served: %s", state.promoted, type(error).__name__)
            # What was served before goes on, unless it holds what was to be forgotten since.
            keep = before is not None and before.state.unlearn_epoch == state.unlearn_epoch
            former = (before.release, before.release_id) if before is not None and keep else (None, None)
            return *former, "the promoted release is missing or damaged"


def _same(before: ModelState, now: ModelState) -> bool:
    return (before.catalog_version, before.promoted) == (now.catalog_version, now.promoted)


def release_url(base: str, app_id: str, release_id: str) -> str:
    """Return where a release lies."""
    return f"{base.rstrip('/')}/{app_id}/{release_id}"
