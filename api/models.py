"""What each app's requests are ranked with: the catalogue and the promoted release, read again when either changed."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from api.database import Database
from consent import apps
from recommender import registry, store
from recommender import release_files as releases
from recommender.errors import CorruptRelease, StoreUnreachable
from recommender.ranking import Ranker
from recommender.registry import ModelState
from recommender.release import Release

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """What one app is served with: the state it was read at, what ranks, and whether lists carry a one-click link."""

    state: ModelState
    ranker: Ranker
    release_id: str | None
    release: Release | None
    fault: str | None = None
    one_click: bool = True


def memory_lease_s(poll_s: float) -> float:
    """Return for how many seconds a process may serve what it read, before it has to look again.

    Once a release was taken out of service for so long, no process can serve it from memory any more, whatever
    befell its connections: that is when the last trace of somebody who left is gone.
    """
    return max(5.0, 4 * poll_s)


class Models:
    """Holds what is served per app, in memory, for no longer than a lease; `watch` keeps it fresh."""

    def __init__(self, database: Database, releases_url: str, lease_s: float) -> None:
        self._lease_s = lease_s
        self._until = 0.0
        self.erasures: Mapping[str, int] = {}
        """How many erasures each app had seen at the last look."""
        self._database = database
        self._releases_url = releases_url
        self._served: Mapping[str, Served] = {}
        self.ready = False

    def of(self, app_id: str) -> Served | None:
        """Return what an app is served with; None for an app not seen yet, or when the lease is over."""
        return self._served.get(app_id) if time.monotonic() < self._until else None

    async def load(self, app_id: str) -> Served:
        """Return what an app registered a moment ago is served with."""
        await self.refresh()
        return self._served[app_id]

    @property
    def faults(self) -> Mapping[str, str]:
        """Why an app is served with an older release than the promoted one, by app."""
        return {app_id: served.fault for app_id, served in self._served.items() if served.fault}

    async def watch(self, every_s: float, stop: asyncio.Event) -> None:
        """Refresh until told to stop; what goes wrong is logged, and tried again."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every_s)
                return
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001  a lost database must not end the watch
                log.warning("could not look for a new catalogue or release: %s", type(error).__name__)
                if time.monotonic() >= self._until:
                    self._served, self.ready = {}, False

    async def refresh(self) -> None:
        """Read again what changed since the last look, for every app."""
        begun = time.monotonic()
        async with self._database.read("") as connection:
            states = await registry.model_states(connection)
            one_click = {app.app_id: app.one_click for app in await apps.every_app(connection)}
        fresh = {
            state.app_id: replace(await self._current(state), one_click=one_click[state.app_id])
            for state in states
        }
        self._served, self._until = fresh, begun + self._lease_s
        self.erasures = {state.app_id: state.erasures for state in states}
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
        try:
            return await self._load(state.app_id, state.promoted), state.promoted, None
        except (CorruptRelease, StoreUnreachable, OSError) as error:
            log.warning("release %s cannot be served: %s", state.promoted, type(error).__name__)
        fault = "the promoted release is missing or damaged"
        if before is not None and before.release and await self._may_go_on(before, state):
            return before.release, before.release_id, fault
        return *await self._earlier(state), fault

    async def _may_go_on(self, before: Served, state: ModelState) -> bool:
        """Whether what was served before holds nothing that is to be forgotten; the look it was read at says nothing of that."""
        async with self._database.read(state.app_id) as connection:
            known = await registry.find_release(connection, state.app_id, before.release_id or "")
        return known is not None and known.unlearn_epoch == state.unlearn_epoch

    async def _earlier(self, state: ModelState) -> tuple[Release | None, str | None]:
        """The newest release that was served earlier and may still be: what a new process begins with at need."""
        async with self._database.read(state.app_id) as connection:
            known = await registry.releases(connection, state.app_id)
        for each in known:
            if each.status == "retired" and each.unlearn_epoch == state.unlearn_epoch:
                with contextlib.suppress(CorruptRelease, StoreUnreachable, OSError):
                    return await self._load(state.app_id, each.release_id), each.release_id
        return None, None

    async def _load(self, app_id: str, release_id: str) -> Release:
        return await asyncio.to_thread(releases.load, release_url(self._releases_url, app_id, release_id))


def _same(before: ModelState, now: ModelState) -> bool:
    return (before.catalog_version, before.promoted) == (now.catalog_version, now.promoted)


def release_url(base: str, app_id: str, release_id: str) -> str:
    """Return where a release lies."""
    return f"{base.rstrip('/')}/{app_id}/{release_id}"
