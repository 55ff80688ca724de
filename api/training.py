"""Training one app's model: read what is granted, train, save, promote what is good enough, complete erasures.

A training knows the epoch that it read its rows in. Whoever leaves, or withdraws what may be learned from, starts a
new epoch; a release of an older one is never promoted, and once the app stands on a newer one it is destroyed.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl
from sqlalchemy.ext.asyncio import AsyncConnection

from api.models import release_url
from api.service import Service
from consent import erasure
from consent.erasure import Trained
from consent.pseudonyms import new_id
from consent.purposes import Purpose
from recommender import registry, store
from recommender import release as releases
from recommender.catalog import Resource
from recommender.errors import NotEnoughData
from recommender.history import History
from recommender.profile import Features
from recommender.progress import Progress, quietly
from recommender.ranking import topic_matrix
from recommender.registry import ReleaseRecord
from recommender.release import Release, TrainingConfig

if TYPE_CHECKING:
    from recommender.training import HoldoutResult


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    `status`: promoted, rejected (no better than popularity), not_enough_data, or overtaken (somebody left meanwhile).
    """

    status: str
    release_id: str | None = None
    holdout: "HoldoutResult | None" = None


@dataclass(frozen=True)
class _Rows:
    """What one training is made from, read in one transaction."""

    epoch: int
    resources: list[Resource]
    events: pl.DataFrame


async def train_app(service: Service, app_id: str, progress: Progress = quietly) -> Outcome:
    """Train an app's model from what people granted for `improve`, and promote it when it is good enough."""
    rows = await _read(service, app_id)
    config = TrainingConfig(seed=service.settings.training_seed, shards=service.settings.training_shards)
    try:
        trained, holdout = await asyncio.to_thread(_train, rows, config, service.now(), progress)
    except NotEnoughData:
        return await _without_model(service, app_id, rows.epoch)
    metrics = {
        "ndcg@10": holdout.ndcg,
        "popularity_ndcg@10": holdout.popularity_ndcg,
        "people": float(holdout.people),
    }
    trained = trained.noting(metrics=metrics)
    now, digest = service.now(), trained.manifest.digest
    record = ReleaseRecord(
        release_id=f"{now:%Y%m%d-%H%M%S}-{digest[:8]}-{new_id()[:8]}",
        status="storing",
        digest=digest,
        unlearn_epoch=rows.epoch,
        metrics=metrics,
        created_at=service.clock(),
        promoted_at=None,
    )
    # Known before it is stored: should this process die, whoever settles later finds its files and destroys them.
    async with service.database.write(app_id) as connection:
        await registry.add_release(connection, app_id, record)
    url = release_url(service.settings.releases_url, app_id, record.release_id)
    await asyncio.to_thread(releases.save, trained, url)
    return await _decide(service, app_id, record, holdout)


async def _read(service: Service, app_id: str) -> _Rows:
    async with service.database.read(app_id, Purpose.IMPROVE) as connection:
        state = await registry.find_model_state(connection, app_id)
        resources = await store.list_resources(connection, app_id)
        events = await store.granted_events(
            connection, app_id, Purpose.IMPROVE, now=service.clock(), notices=service.notices
        )
    return _Rows(state.unlearn_epoch, resources, events)


def _train(
    rows: _Rows, config: TrainingConfig, now: datetime, progress: Progress
) -> "tuple[Release, HoldoutResult]":
    # Brings in LightFM and what it stands on, which a process that only serves can do without.
    from recommender.training import beats_popularity, train  # noqa: PLC0415

    resources = sorted(rows.resources, key=lambda each: each.id)
    topics = {topic for each in resources for topic in each.topics}
    topics |= set(rows.events["topic"].drop_nulls())
    features = Features(tuple(each.id for each in resources), tuple(sorted(topics)))
    resource_topics = topic_matrix(resources, features)
    events = rows.events
    history = History.from_columns(
        events["pseudonym"],
        events["signal"],
        events["resource_id"],
        events["topic"],
        events["value"].fill_null(float("nan")).to_numpy(),
        events["occurred_at"].to_numpy(),
        features,
    )
    holdout = beats_popularity(
        history,
        features,
        resource_topics,
        config,
        now=now,
        progress=lambda _, part: progress("checking", part / 2),
    )
    trained = train(
        history,
        features,
        resource_topics,
        config,
        now=now,
        progress=lambda _, part: progress("training", 0.5 + part / 2),
    )
    return trained, holdout


async def _decide(service: Service, app_id: str, record: ReleaseRecord, holdout: "HoldoutResult") -> Outcome:
    """Promote or reject what was stored; what somebody's leaving has overtaken is destroyed at once."""
    now = service.clock()
    async with service.database.write(app_id) as connection:
        promoted = holdout.passed and await registry.promote(connection, app_id, record, now)
        state = await registry.find_model_state(connection, app_id)
        overtaken = state.unlearn_epoch != record.unlearn_epoch
        if not promoted:
            status = "overtaken" if overtaken else "rejected"
            await registry.set_release_status(connection, app_id, record.release_id, status)
            if not overtaken:
                await _stop_serving_outdated(connection, app_id, record.unlearn_epoch)
        if overtaken:
            await registry.ask_training(connection, app_id, "overtaken", now)
    if overtaken:
        url = release_url(service.settings.releases_url, app_id, record.release_id)
        await asyncio.to_thread(releases.delete, url)
        return Outcome("overtaken", record.release_id, holdout)
    await settle(service, app_id, record.unlearn_epoch)
    return Outcome("promoted" if promoted else "rejected", record.release_id, holdout)


async def _without_model(service: Service, app_id: str, epoch: int) -> Outcome:
    """Go on without a model, when too little is left to train one on."""
    async with service.database.write(app_id) as connection:
        state = await registry.find_model_state(connection, app_id)
        overtaken = state.unlearn_epoch != epoch
        if overtaken:
            await registry.ask_training(connection, app_id, "overtaken", service.clock())
        else:
            await _stop_serving_outdated(connection, app_id, epoch)
    if not overtaken:
        await settle(service, app_id, epoch)
    return Outcome("overtaken" if overtaken else "not_enough_data")


async def _stop_serving_outdated(connection: AsyncConnection, app_id: str, epoch: int) -> None:
    state = await registry.find_model_state(connection, app_id)
    if state.promoted is None:
        return
    served = await registry.find_release(connection, app_id, state.promoted)
    if served is None or served.unlearn_epoch < epoch:
        await registry.stop_serving(connection, app_id)


async def settle(service: Service, app_id: str, epoch: int) -> None:
    """Destroy releases that learned from people who left, then complete those erasures with their receipts."""
    async with service.database.read(app_id) as connection:
        known = await registry.releases(connection, app_id)
    outdated = [each for each in known if each.unlearn_epoch < epoch and each.status != "destroyed"]
    for each in outdated:
        url = release_url(service.settings.releases_url, app_id, each.release_id)
        await asyncio.to_thread(releases.delete, url)
    now = service.clock()
    async with service.database.write(app_id) as connection:
        for each in outdated:
            await registry.set_release_status(connection, app_id, each.release_id, "destroyed")
        state = await registry.find_model_state(connection, app_id)
        served = await registry.find_release(connection, app_id, state.promoted) if state.promoted else None
        after = Trained(served.release_id, served.digest) if served else Trained()
        for pending in await erasure.waiting(connection, app_id, epoch):
            done = erasure.complete(pending, app_id, after, now, service.signer)
            await erasure.record_completion(connection, app_id, done)
