"""What one app is to be served with: its catalogue and a release, taken from what was served before where that still holds."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from api.database import Database
from recommender import registry, store
from recommender import release_files as releases
from recommender.errors import CorruptRelease, StoreUnreachable
from recommender.parsed import Parsed, parsed
from recommender.ranking import Ranker
from recommender.registry import ModelState, ReleaseRecord
from recommender.release import Release

log = logging.getLogger(__name__)

DAMAGED = "the promoted release is missing or damaged"
LEFT_OUT = "resources that cannot be read are left out of the catalogue"
_FIRST_S, _LONGEST_S = 1.0, 30.0


@dataclass(frozen=True)
class Again:
    """When to try again what went wrong: in a second, and after twice as long each time, up to half a minute."""

    at: float = 0.0
    wait_s: float = _FIRST_S

    def after(self, now: float) -> "Again":
        """Return when to try again, after it went wrong once more."""
        return Again(now + self.wait_s, min(2 * self.wait_s, _LONGEST_S))


@dataclass(frozen=True)
class Served:
    """What one app is served with: the state it was read at, what ranks, and whether lists carry a one-click link.

    `until` is when it has to be looked at again, by the same clock as `again`.
    """

    state: ModelState
    catalogue: Parsed
    ranker: Ranker
    release_id: str | None
    release: Release | None
    faults: tuple[str, ...] = ()
    again: Again = field(default_factory=Again)
    one_click: bool = True
    until: float = 0.0

    def may_go_on(self, state: ModelState) -> bool:
        """Whether its release is still the one to serve: the promoted one or, while that is damaged, its stand-in."""
        stands_in = DAMAGED in self.faults
        # A stand-in that learned from somebody who left since is out; of the promoted one a training decides.
        is_known = not stands_in or self.state.unlearn_epoch == state.unlearn_epoch
        return self.state.promoted == state.promoted and is_known

    def is_due(self, now: float) -> bool:
        """Whether it is time to try again what went wrong."""
        return bool(self.faults) and now >= self.again.at

    def is_current(self, state: ModelState, now: float) -> bool:
        """Whether there is nothing to read for it."""
        is_same = self.state.catalog_version == state.catalog_version
        return is_same and self.may_go_on(state) and not self.is_due(now)


class _Chosen(NamedTuple):
    """The release that an app is to be served with, and whether it stands in for the promoted one."""

    release: Release | None
    release_id: str | None
    stands_in: bool


class Loading:
    """Reads what apps are served with."""

    def __init__(self, database: Database, releases_url: str, clock: Callable[[], float]) -> None:
        self._database = database
        self._releases_url = releases_url
        self._clock = clock

    async def current(self, state: ModelState, before: Served | None) -> Served:
        """Read what an app is to be served with in a state; what has not changed is that of before, object for object."""
        is_due = before is not None and before.is_due(self._clock())
        catalogue = await self._catalogue(state, before, is_due=is_due)
        release, release_id, stands_in = await self._release(state, before, is_due=is_due)
        if before is not None and catalogue is before.catalogue and release is before.release:
            ranker = before.ranker
        else:
            former = before.ranker if before else None
            ranker = await asyncio.to_thread(Ranker, catalogue.resources.values(), release, former)
        faults = (*([DAMAGED] if stands_in else []), *([LEFT_OUT] if catalogue.unreadable else []))
        again = before.again if before else Again()
        if not faults:
            again = Again()
        elif is_due or before is None or not before.faults:
            again = again.after(self._clock())
        return Served(state, catalogue, ranker, release_id, release, faults, again)

    async def _catalogue(self, state: ModelState, before: Served | None, *, is_due: bool) -> Parsed:
        if before is not None and before.state.catalog_version == state.catalog_version:
            # What spoiled a row may put it right as well, and count no version up.
            is_due = is_due and before.catalogue.unreadable > 0
            if not is_due:
                return before.catalogue
        async with self._database.read(state.app_id) as connection:
            rows = await store.resource_rows(connection, state.app_id)
        # Parsing and comparing hold up whoever shares their thread.
        found = await asyncio.to_thread(parsed, rows, before.catalogue if before else None)
        if found.unreadable:
            log.warning("%s: %d resources cannot be read and are left out", state.app_id, found.unreadable)
        return found

    async def _release(self, state: ModelState, before: Served | None, *, is_due: bool) -> _Chosen:
        if state.promoted is None:
            return _Chosen(None, None, stands_in=False)
        if before is not None and before.release_id == state.promoted:
            return _Chosen(before.release, before.release_id, stands_in=False)
        if before is not None and before.may_go_on(state) and not is_due:
            return _Chosen(before.release, before.release_id, stands_in=True)
        async with self._database.read(state.app_id) as connection:
            known = {each.release_id: each for each in await registry.releases(connection, state.app_id)}
        release = await self._load(state.app_id, known.get(state.promoted))
        if release is not None:
            return _Chosen(release, state.promoted, stands_in=False)
        return await self._stand_in(state, before, known)

    async def _stand_in(
        self, state: ModelState, before: Served | None, known: dict[str, ReleaseRecord]
    ) -> _Chosen:
        """What holds nothing that is to be forgotten: the release of before, else the newest that was served earlier.

        That is what a new process begins with at need.
        """
        usable = [each for each in known.values() if each.unlearn_epoch == state.unlearn_epoch]
        if before is not None and before.release_id in {each.release_id for each in usable}:
            return _Chosen(before.release, before.release_id, stands_in=True)
        for each in usable:
            if each.status == "retired":
                release = await self._load(state.app_id, each)
                if release is not None:
                    return _Chosen(release, each.release_id, stands_in=True)
        return _Chosen(None, None, stands_in=True)

    async def _load(self, app_id: str, record: ReleaseRecord | None) -> Release | None:
        """Read the files of a release; None when they are not what was registered, or cannot be reached."""
        if record is None:
            return None
        url = release_url(self._releases_url, app_id, record.release_id)
        try:
            return await asyncio.to_thread(releases.load, url, record)
        except (CorruptRelease, StoreUnreachable, OSError) as error:
            log.warning("release %s cannot be served: %s", record.release_id, type(error).__name__)
            return None


def release_url(base: str, app_id: str, release_id: str) -> str:
    """Return where a release lies."""
    return f"{base.rstrip('/')}/{app_id}/{release_id}"
