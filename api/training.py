"""Training one app's model: read what is granted, train, save, promote what is good enough, complete erasures.

There are two kinds of work. A training makes a release of today's catalogue and events. Unlearning puts the release
that is served right after somebody left: the same settings, catalogue and moment, without them; only the shards whose
part of the people they were in are trained.

Both know the epoch that they read their rows in. Whoever leaves, or withdraws what may be learned from, starts a new
epoch; a release of an older one is never promoted, and once the app stands on a newer one it is destroyed.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncConnection

from api import erasure_steps, jobs
from api.consented import ConsentedEvents
from api.jobs import TRAINING, UNLEARNING, Job
from api.loading import release_url
from api.releasing import thin_out
from api.service import Service
from consent.pseudonyms import derived_key, new_id
from recommender import registry, store
from recommender import release_files as releases
from recommender.errors import CorruptRelease, NotEnoughData, StoreUnreachable
from recommender.parsed import parsed
from recommender.parts import shard_of
from recommender.profile import Features
from recommender.progress import Progress, quietly
from recommender.registry import ModelState, ReleaseRecord
from recommender.release import Recipe, Release, manifest_json
from recommender.shelf import topic_matrix

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from recommender.holdout import HoldoutResult
    from recommender.training import Checked, Former, Served


async def ask(connection: AsyncConnection, app_id: str, reason: str, now: int) -> str:
    """Ask for a training, in the transaction that made it necessary; one that still waits serves for all who ask."""
    return await jobs.enqueue(connection, app_id, TRAINING, now=now, reason=reason)


async def ask_to_unlearn(connection: AsyncConnection, app_id: str, reason: str, now: int) -> str:
    """Ask for the served release to forget whoever left; what still waits serves for all who leave until it runs."""
    return await jobs.enqueue(connection, app_id, UNLEARNING, now=now, reason=reason)


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    `status`: promoted, rejected (no better than popularity, or behind the release before), not_enough_data, overtaken (somebody left meanwhile), or
    nothing_to_unlearn. `trained` are the numbers of the shards that were trained for it.
    """

    status: str
    release_id: str | None = None
    holdout: "HoldoutResult | None" = None
    trained: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is to be trained, decided in one transaction: from which epoch on, until when, and as what."""

    epoch: int
    until: int
    recipe: Recipe
    former: "Former | None" = None
    served: "Served | None" = None


async def train_app(
    service: Service, app_id: str, progress: Progress = quietly, held: Job | None = None
) -> Outcome:
    """Train an app's model from what people granted for `improve`, and promote it when it is good enough.

    Raises:
        LeaseLost: `held` is the job that this is done for, and another worker took it over: nothing is promoted.
    """
    until = service.clock()
    # From here on, who granted until now and takes it back has this training overtaken.
    async with service.database.write(app_id) as connection:
        state = await registry.begin_reading(connection, app_id, until)
        rows = await store.resource_rows(connection, app_id)
        record = await registry.find_release(connection, app_id, state.promoted) if state.promoted else None
    served = None
    # What learned from somebody who left since is no measure for anything: it may be better for knowing them.
    if record is not None and record.unlearn_epoch == state.unlearn_epoch:
        served = await asyncio.to_thread(_served, service, app_id, record)
    recipe = await asyncio.to_thread(_recipe, service, app_id, rows)
    plan = _Plan(state.unlearn_epoch, until, recipe, served=served)
    return await _carry_out(service, app_id, plan, progress, held)


def _recipe(service: Service, app_id: str, rows: Sequence[tuple[str, str]]) -> Recipe:
    """What an app's model is trained as. A row that cannot be read must not keep others' data from being unlearned: it is left out."""
    catalogue = parsed(rows)
    if catalogue.unreadable:
        log.warning("%s: %d resources cannot be read and are left out", app_id, catalogue.unreadable)
    resources = sorted(catalogue.resources.values(), key=lambda each: each.id)
    # Words of the catalogue alone: a topic that only people name would tell of them.
    topics = sorted({topic for each in resources for topic in each.topics})
    features = Features(tuple(each.id for each in resources), tuple(topics))
    matrix = topic_matrix(resources, features)
    return Recipe(features, matrix, service.settings.training, commitment_key(service, app_id))


async def unlearn_app(
    service: Service, app_id: str, progress: Progress = quietly, held: Job | None = None
) -> Outcome:
    """Make the release that is served forget whoever left since it was trained.

    Its shards that may have learned from them are trained anew, as they would have been without them. Where that
    cannot be (nothing that can be put right is there), the model is trained from the beginning.

    Raises:
        LeaseLost: `held` is the job that this is done for, and another worker took it over: nothing is promoted.
    """
    async with service.database.read(app_id) as connection:
        state = await registry.find_model_state(connection, app_id)
        served = await registry.find_release(connection, app_id, state.promoted) if state.promoted else None
        since = served.unlearn_epoch if served else state.unlearn_epoch
        marks = await registry.overtaken(connection, app_id, since)
    if len(marks) == 0:
        async with service.database.write(app_id) as connection:
            await _settled(connection, app_id, state.unlearn_epoch, service.clock())
        return Outcome("nothing_to_unlearn")
    plan = await asyncio.to_thread(_to_put_right, service, state, served, marks)
    if plan is None or len(marks) != state.unlearn_epoch - since:
        return await train_app(service, app_id, progress, held)
    return await _carry_out(service, app_id, plan, progress, held)


def _to_put_right(
    service: Service, state: ModelState, record: ReleaseRecord | None, marks: list[int]
) -> _Plan | None:
    """Plan to train some shards of the served release anew; None when there is none that allows it."""
    # Brings in LightFM and what it stands on, which a process that only serves can do without.
    from recommender.training import Former, libraries  # noqa: PLC0415

    served = _served(service, state.app_id, record) if record else None
    if served is None:
        return None
    release, manifest = served.release, served.release.manifest
    if manifest.read_until is None or manifest.libraries != libraries():
        return None
    key = commitment_key(service, state.app_id)
    recipe = Recipe(release.features, release.resource_topics, manifest.config, key)
    renew = frozenset(shard_of(bucket, manifest.config.shards) for bucket in marks)
    return _Plan(state.unlearn_epoch, manifest.read_until, recipe, Former(release, served.tried, renew))


def _served(service: Service, app_id: str, record: ReleaseRecord) -> "Served | None":
    """Read the release that is served with what it was tried with; None when any of it cannot be read."""
    from recommender.training import Served  # noqa: PLC0415  as above

    url = release_url(service.settings.releases_url, app_id, record.release_id)
    try:
        release = releases.load(url, record)
        tried = releases.load_tried(url, release)
    except (CorruptRelease, StoreUnreachable, OSError):
        return None
    return Served(release, tried) if tried else None


def commitment_key(service: Service, app_id: str) -> bytes:
    """Return the key of an app's commitments to training rows."""
    key = derived_key(service.settings.secret_bytes, "training-rows")
    return hmac.digest(key, app_id.encode(), hashlib.sha256)


async def _carry_out(
    service: Service, app_id: str, plan: _Plan, progress: Progress, held: Job | None
) -> Outcome:
    try:
        made = await asyncio.to_thread(_train, service, app_id, plan, progress)
    except NotEnoughData:
        return await _without_model(service, app_id, plan.epoch, held)
    result = made.result
    metrics = {
        "ndcg@10": result.ndcg,
        "popularity_ndcg@10": result.popularity_ndcg,
        "people": float(result.people),
    }
    if result.former_ndcg is not None:
        metrics["former_ndcg@10"] = result.former_ndcg
    release = _noting(made.release, plan.until, metrics)
    now, digest = service.now(), release.manifest.digest
    record = ReleaseRecord(
        release_id=f"{now:%Y%m%d-%H%M%S}-{digest[:8]}-{new_id()[:8]}",
        status="storing",
        digest=digest,
        unlearn_epoch=plan.epoch,
        metrics=metrics,
        created_at=service.clock(),
        promoted_at=None,
        manifest_sha256=hashlib.sha256(manifest_json(release.manifest)).hexdigest(),
    )
    # Known before it is stored: should this process die, an erasure finds its files and destroys them.
    async with service.database.write(app_id) as connection:
        overtaken = (await registry.find_model_state(connection, app_id)).unlearn_epoch != plan.epoch
        if overtaken:  # and no byte of it is ever written
            await ask(connection, app_id, "overtaken", service.clock())
        else:
            await registry.add_release(connection, app_id, record)
    if overtaken:
        return Outcome("overtaken", None, result)
    url = release_url(service.settings.releases_url, app_id, record.release_id)
    try:
        await asyncio.to_thread(releases.save, release, url, made.tried)
        ended = await _decide(service, app_id, record, result, held)
    except BaseException:
        await _abandon(service, app_id, record.release_id)
        raise
    await thin_out(service, app_id, service.settings.releases_kept)
    return replace(ended, trained=made.trained)


async def _abandon(service: Service, app_id: str, release_id: str) -> None:
    """Destroy a release that was not decided, because its job was taken over or given back: nobody else ever will.

    By now somebody may have left whom it learned from, and their erasure be complete.
    """
    try:
        async with service.database.write(app_id) as connection:
            if not await registry.retire_for_good(connection, app_id, release_id):
                return  # it was promoted, and only the answer to that was lost
        await asyncio.to_thread(
            releases.delete, release_url(service.settings.releases_url, app_id, release_id)
        )
    except Exception as error:  # noqa: BLE001  why it was abandoned is told instead; the worker destroys what is left
        log.warning("a release that was abandoned is not destroyed yet: %s", type(error).__name__)


def _train(service: Service, app_id: str, plan: _Plan, progress: Progress) -> "Checked":
    from recommender.training import train_checked  # noqa: PLC0415  as above

    source = ConsentedEvents(
        service.settings.database_url,
        app_id,
        service.clock(),
        plan.until,
        service.notices,
        plan.recipe.features,
    )
    return train_checked(
        source,
        plan.recipe,
        now=service.now(),
        workers=service.settings.workers,
        progress=progress,
        former=plan.former,
        served=plan.served,
    )


def _noting(release: Release, until: int, metrics: dict[str, float]) -> Release:
    manifest = release.manifest.model_copy(update={"metrics": metrics, "read_until": until})
    return replace(release, manifest=manifest)


async def _decide(
    service: Service, app_id: str, record: ReleaseRecord, holdout: "HoldoutResult", held: Job | None
) -> Outcome:
    """Promote or reject what was stored; what somebody's leaving has overtaken is destroyed at once."""
    now = service.clock()
    async with service.database.write(app_id) as connection:
        if held is not None:
            await jobs.confirm(connection, held)
        promoted = holdout.passed and await registry.promote(connection, app_id, record, now)
        state = await registry.find_model_state(connection, app_id)
        overtaken = state.unlearn_epoch != record.unlearn_epoch
        if not promoted:
            status = "overtaken" if overtaken else "rejected"
            await registry.set_release_status(connection, app_id, record.release_id, status)
            if not overtaken:
                await _stop_serving_outdated(connection, app_id, record.unlearn_epoch)
        if overtaken:
            await ask(connection, app_id, "overtaken", now)
        else:
            await _settled(connection, app_id, record.unlearn_epoch, now)
    if overtaken:
        url = release_url(service.settings.releases_url, app_id, record.release_id)
        await asyncio.to_thread(releases.delete, url)
        return Outcome("overtaken", record.release_id, holdout)
    return Outcome("promoted" if promoted else "rejected", record.release_id, holdout)


async def _without_model(service: Service, app_id: str, epoch: int, held: Job | None) -> Outcome:
    """Go on without a model, when too little is left to train one on."""
    async with service.database.write(app_id) as connection:
        if held is not None:
            await jobs.confirm(connection, held)
        state = await registry.find_model_state(connection, app_id)
        overtaken = state.unlearn_epoch != epoch
        if overtaken:
            await ask(connection, app_id, "overtaken", service.clock())
        else:
            await _stop_serving_outdated(connection, app_id, epoch)
            await _settled(connection, app_id, epoch, service.clock())
    return Outcome("overtaken" if overtaken else "not_enough_data")


async def _stop_serving_outdated(connection: AsyncConnection, app_id: str, epoch: int) -> None:
    state = await registry.find_model_state(connection, app_id)
    if state.promoted is None:
        return
    served = await registry.find_release(connection, app_id, state.promoted)
    if served is None or served.unlearn_epoch < epoch:
        await registry.stop_serving(connection, app_id)


async def _settled(connection: AsyncConnection, app_id: str, epoch: int, now: int) -> None:
    """Record that nothing is served that was learned before this epoch, and have the erasures go on that waited for it."""
    await registry.settled(connection, app_id, epoch)
    await erasure_steps.wake(connection, app_id, epoch, now)
