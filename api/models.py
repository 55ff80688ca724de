"""What each app's requests are ranked with: the catalogue and the promoted release, read again when either changed.

A look at the states of all apps is short. What it finds changed is read apart, app by app: none waits for another's
files, and what goes wrong for one is that one's.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from api.connecting import Unreachable
from api.database import Database
from api.loading import Again, Loading, Served
from consent import apps
from recommender import registry
from recommender.registry import ModelState

log = logging.getLogger(__name__)

UNREAD = "the catalogue or the release cannot be read"
_AT_ONCE = 4
"""How many apps are read for at a time: their files and rows take threads and connections from requests."""


class NotServed(Unreachable):
    """What an app is to be served with cannot be read."""


@dataclass(frozen=True)
class _Failed:
    """Reading for an app went wrong in a state."""

    state: ModelState
    again: Again

    def stands(self, state: ModelState, now: float) -> bool:
        """Whether it is too early to try again, and nothing has changed either."""
        then = self.state
        same = (then.catalog_version, then.promoted) == (state.catalog_version, state.promoted)
        return same and now < self.again.at


def memory_lease_s(poll_s: float) -> float:
    """Return for how many seconds a process may serve what it read, before it has to look again.

    Once a release was taken out of service for so long, no process can serve it from memory any more, whatever
    befell its connections: that is when the last trace of somebody who left is gone.
    """
    return max(5.0, 4 * poll_s)


class Models:
    """Holds what is served per app, in memory, for no longer than a lease; `watch` keeps it fresh."""

    def __init__(
        self,
        database: Database,
        releases_url: str,
        lease_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease_s = lease_s
        self._clock = clock
        self._until = 0.0
        self.erasures: Mapping[str, int] = {}
        """How many erasures each app had seen at the last look."""
        self._database = database
        self._loading = Loading(database, releases_url, clock)
        self._served: dict[str, Served] = {}
        self._failed: dict[str, _Failed] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._looking = asyncio.Lock()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.ready = False

    def of(self, app_id: str) -> Served | None:
        """Return what an app is served with; None for an app not seen yet, or when the lease is over."""
        served = self._served.get(app_id)
        return served if served is not None and self._clock() < served.until else None

    async def load(self, app_id: str) -> Served:
        """Return what an app registered a moment ago is served with.

        Raises:
            NotServed: it cannot be read.
        """
        await self._look()
        if reading := self._under_way.get(app_id):
            await asyncio.wait([reading])
            await self._look()  # the reading may have outlasted the lease of the look that began it
        served = self.of(app_id)
        if served is None:
            raise NotServed(UNREAD)
        return served

    @property
    def faults(self) -> Mapping[str, tuple[str, ...]]:
        """Why apps are served with less than was published, by app."""
        faults = {app_id: served.faults for app_id, served in self._served.items() if served.faults}
        return {**faults, **dict.fromkeys(self._failed, (UNREAD,))}

    async def watch(self, every_s: float, stop: asyncio.Event) -> None:
        """Look again and again until told to stop; what goes wrong is logged, and tried again."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every_s)
                return
            try:
                await self._look()
                self.ready = self.ready or not self._under_way
            except Exception as error:  # noqa: BLE001  a lost database must not end the watch
                log.warning("could not look for a new catalogue or release: %s", type(error).__name__)
                if self._clock() >= self._until:
                    self._served, self.ready = {}, False

    async def refresh(self) -> None:
        """Read again what changed since the last look, for every app."""
        await self._look()
        if self._under_way:
            await asyncio.wait(self._under_way.values())
        self.ready = True

    async def close(self) -> None:
        """Give up what is being read."""
        reading = tuple(self._under_way.values())
        for each in reading:
            each.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    async def _look(self) -> None:
        """Look at the state of every app, let what still holds be served on, and begin to read what does not."""
        async with self._looking:
            begun = self._clock()
            async with self._database.read("") as connection:
                states = await registry.model_states(connection)
                one_click = {app.app_id: app.one_click for app in await apps.every_app(connection)}
            self._until = begun + self._lease_s
            for state in states:
                app_id = state.app_id
                served = self._served.get(app_id)
                if served is not None and served.may_go_on(state):
                    self._served[app_id] = replace(served, until=self._until, one_click=one_click[app_id])
                elif served is not None and begun >= served.until:
                    del self._served[app_id]  # it may know somebody who left, and is not served any more
                if app_id not in self._under_way and not self._is_current(state):
                    reading = self._read(state, self._until, one_click=one_click[app_id])
                    self._under_way[app_id] = asyncio.create_task(reading)
            self.erasures = {state.app_id: state.erasures for state in states}

    def _is_current(self, state: ModelState) -> bool:
        now = self._clock()
        if failed := self._failed.get(state.app_id):
            return failed.stands(state, now)
        served = self._served.get(state.app_id)
        return served is not None and served.is_current(state, now)

    async def _read(self, state: ModelState, until: float, *, one_click: bool) -> None:
        app_id = state.app_id
        try:
            async with self._turns:
                served = await self._loading.current(state, self._served.get(app_id))
            self._served[app_id] = replace(served, until=until, one_click=one_click)
            self._failed.pop(app_id, None)
        except Exception as error:  # noqa: BLE001  whatever it is, it is this app's alone
            log.warning("what %s is served with cannot be read: %s", app_id, type(error).__name__)
            before = self._failed.get(app_id)
            self._failed[app_id] = _Failed(state, (before.again if before else Again()).after(self._clock()))
        finally:
            del self._under_way[app_id]
