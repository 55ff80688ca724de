"""Whether the service's releases hold what they say: recomputed from what people granted."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from api.consented import ConsentedEvents
from api.loading import release_url
from api.releasing import NoSuchRelease
from api.service import Service
from api.training import commitment_key
from recommender import registry
from recommender import release_files as releases
from recommender.commitments import Proof
from recommender.release import Release

if TYPE_CHECKING:
    from recommender.verification import ShardVerdict

T = TypeVar("T")


async def verify_release(
    service: Service, app_id: str, release_id: str, *, train: bool
) -> "Sequence[ShardVerdict]":
    """Make a release's training rows again from the consented events, and compare; train again too when asked.

    Raises:
        NoSuchRelease: the app has no such release.
        CorruptRelease: what is stored is not what was saved.
    """
    from recommender.verification import verify  # noqa: PLC0415  brings in LightFM, which serving does without

    key = commitment_key(service, app_id)
    return await _of(
        service, app_id, release_id, lambda source, release: verify(source, release, key, train=train)
    )


async def prove_person(service: Service, app_id: str, release_id: str, user_id: str) -> dict[str, Any]:
    """Prove whether a release learned from a person; the proof can be checked with the manifest alone.

    Raises:
        NoSuchRelease: the app has no such release.
        CorruptRelease: what is stored is not what was saved.
        NotTheRows: the events are no longer those that the release learned from.
    """
    from recommender.verification import prove  # noqa: PLC0415  as above

    key, pseudonym = commitment_key(service, app_id), service.pseudonyms.user(app_id, user_id)

    def work(source: ConsentedEvents, release: Release) -> dict[str, Any]:
        number, proof = prove(source, release, key, pseudonym)
        root = release.manifest.shards[number].rows_root
        proof.verify(bytes.fromhex(root))
        return {"release_id": release_id, "shard": number, "root": root, **_json(proof)}

    return await _of(service, app_id, release_id, work)


async def _of(
    service: Service, app_id: str, release_id: str, work: Callable[[ConsentedEvents, Release], T]
) -> T:
    async with service.database.read(app_id) as connection:
        registered = await registry.find_release(connection, app_id, release_id)
    if registered is None:
        raise NoSuchRelease(release_id)

    def do() -> T:
        release = releases.load(release_url(service.settings.releases_url, app_id, release_id), registered)
        now = service.clock()
        until = release.manifest.read_until
        source = ConsentedEvents(
            service.settings.database_url,
            app_id,
            now,
            now if until is None else until,
            service.notices,
            release.features,
        )
        return work(source, release)

    return await asyncio.to_thread(do)


def _json(proof: Proof) -> dict[str, Any]:
    return {
        "present": proof.present,
        "tag": proof.tag.hex(),
        "size": proof.size,
        "places": [
            {
                "index": place.index,
                "tag": place.leaf.tag.hex(),
                "commitment": place.leaf.commitment.hex(),
                "proof": [each.hex() for each in place.proof],
            }
            for place in proof.places
        ],
    }
