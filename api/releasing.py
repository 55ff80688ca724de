"""What operators do with releases, by HTTP or on the command line: promote, roll back, compare, thin out.

A release that has learned from somebody who left since is never served again: promoting compares epochs in the
statement that promotes.
"""

import asyncio
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from api.loading import release_url
from api.service import Service
from recommender import registry
from recommender import release_files as releases
from recommender.registry import ReleaseRecord
from recommender.release import Manifest

SERVABLE = ("candidate", "promoted", "retired")
STORED = (*SERVABLE, "rejected")
"""States of releases whose files are there."""


class NoSuchRelease(LookupError):
    """The app has no such release."""


class NotServable(Exception):
    """A release cannot be served; the message says why."""


async def promote(connection: AsyncConnection, app_id: str, release_id: str, now: int) -> ReleaseRecord:
    """Serve a release from now on.

    Raises:
        NoSuchRelease: the app has none of this id.
        NotServable: it was rejected, destroyed, or has learned from somebody who left since.
    """
    record = await registry.find_release(connection, app_id, release_id)
    if record is None:
        raise NoSuchRelease(release_id)
    if record.status not in SERVABLE:
        raise NotServable(f"this release is {record.status}")
    if not await registry.promote(connection, app_id, record, now):
        raise NotServable("this release has learned from somebody who left since")
    return await registry.find_release(connection, app_id, release_id) or record


async def roll_back(connection: AsyncConnection, app_id: str, now: int) -> ReleaseRecord:
    """Serve the release that was served before the present one was made.

    Raises:
        NotServable: there is none that may be served.
    """
    state = await registry.find_model_state(connection, app_id)
    known = await registry.releases(connection, app_id)
    served = next((each for each in known if each.release_id == state.promoted), None)
    before = [
        each
        for each in known
        if each.status == "retired"
        and each.unlearn_epoch == state.unlearn_epoch
        and (served is None or each.created_at < served.created_at)
    ]
    if not before:
        raise NotServable("no earlier release was served that has learned from nobody who left since")
    return await promote(connection, app_id, before[0].release_id, now)


async def thin_out(service: Service, app_id: str, keep: int) -> list[str]:
    """Destroy the files of all but the newest `keep` releases that are not served; return their ids."""
    async with service.database.read(app_id) as connection:
        known = await registry.releases(connection, app_id)
    idle = [each for each in known if each.status in STORED and each.status != "promoted"]
    gone = []
    for each in idle[keep:]:
        # No longer servable before its files go, so that nobody promotes it in between.
        async with service.database.write(app_id) as connection:
            if not await registry.retire_for_good(connection, app_id, each.release_id):
                continue
        url = release_url(service.settings.releases_url, app_id, each.release_id)
        await asyncio.to_thread(releases.delete, url)
        gone.append(each.release_id)
    return gone


@dataclass(frozen=True)
class Difference:
    """What differs between two releases."""

    settings: dict[str, tuple[object, object]]
    """Settings by their dotted names, as they were and as they are."""
    resources_added: tuple[str, ...]
    resources_removed: tuple[str, ...]
    shards: tuple[int, ...]
    """Numbers of the shards that differ, or that only one of them has."""
    learned: dict[str, tuple[int, int]]
    """People, events, training rows and positives, as they were and as they are."""
    metrics: dict[str, tuple[float | None, float | None]]


async def difference(service: Service, app_id: str, former: str, latter: str) -> Difference:
    """Compare two releases by their manifests.

    Raises:
        NoSuchRelease: the app has no such release.
        CorruptRelease: what is stored is not what was saved.
    """
    compared = []
    async with service.database.read(app_id) as connection:
        for release_id in (former, latter):
            record = await registry.find_release(connection, app_id, release_id)
            if record is None:
                raise NoSuchRelease(release_id)
            compared.append((release_url(service.settings.releases_url, app_id, release_id), record))
    one, other = [await asyncio.to_thread(releases.load, url, record) for url, record in compared]
    names = set(one.features.resources), set(other.features.resources)
    return Difference(
        settings=_differing(_flat(one.manifest), _flat(other.manifest)),
        resources_added=tuple(sorted(names[1] - names[0])),
        resources_removed=tuple(sorted(names[0] - names[1])),
        shards=_differing_shards(one.manifest.shard_digests, other.manifest.shard_digests),
        learned={
            name: (_total(one.manifest, name), _total(other.manifest, name))
            for name in ("people", "events", "rows", "positives")
        },
        metrics={
            name: (one.manifest.metrics.get(name), other.manifest.metrics.get(name))
            for name in sorted({*one.manifest.metrics, *other.manifest.metrics})
        },
    )


def _total(manifest: Manifest, name: str) -> int:
    return sum(getattr(shard, name) for shard in manifest.shards)


def _flat(manifest: Manifest) -> dict[str, object]:
    """The settings of a release by dotted names."""
    flat: dict[str, object] = {}
    waiting: list[tuple[str, object]] = list(manifest.config.model_dump(mode="json").items())
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{name}.{key}", each) for key, each in value.items()]
        else:
            flat[name] = value
    return flat


def _differing(one: dict[str, object], other: dict[str, object]) -> dict[str, tuple[object, object]]:
    names = sorted({*one, *other})
    return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}


def _differing_shards(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[int, ...]:
    most = max(len(one), len(other))
    return tuple(number for number in range(most) if one[number : number + 1] != other[number : number + 1])
