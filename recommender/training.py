"""Shards of people's events become a release: all of them, or those that must forget somebody.

Each shard is a task that reads its own people's events and trains on one thread, wherever `recommender.parallel` runs
it. A release is put together when every shard is there, and not before.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.assembling import Given, ShardTask, Source, assembled, libraries, present
from recommender.fitting import Fitted, Rows, learning, one_thread, recorded
from recommender.history import History
from recommender.holdout import Contender, HoldoutResult, Trial
from recommender.parallel import run
from recommender.parts import BUCKETS, Part, shard_part
from recommender.profile import Features
from recommender.progress import Progress, quietly
from recommender.release import (
    Check,
    Recipe,
    Release,
    Shard,
    TrainingConfig,
)
from recommender.workers import HERE, Workers

__all__ = [
    "Checked",
    "Former",
    "Given",
    "Served",
    "Source",
    "TrainingConfig",
    "libraries",
    "retrain",
    "rounds",
    "train",
    "train_checked",
]

_ASKED = 500_000
"""About as many events at most are looked at when a release is tried."""
_PROBE = 1 / 64

_Job = tuple[int, int | None]
"""The number of a shard, and the moment before which it may know everything."""


def train(
    history: History,
    features: Features,
    resource_topics: sparse.csr_array,
    config: TrainingConfig,
    *,
    now: datetime,
    workers: Workers = HERE,
    progress: Progress = quietly,
) -> Release:
    """Train every shard on events that are at hand; the same rows give the same bytes.

    Args:
        history: the people's events, as many as may be used to improve the model.
        features: the columns of the catalogue.
        resource_topics: (R, T), not zero where a resource has a topic.
        config: what decides the outcome beside the rows.
        now: what the manifest says about when.
        workers: where shards are trained; changes no byte.
        progress: told how far it is.

    Raises:
        NotEnoughData: in no shard anybody took up two resources, or fewer than two resources are taken up.
    """
    recipe = Recipe(features, resource_topics, config)
    parts = [shard_part(number, config.shards) for number in range(config.shards)]
    tasks = [ShardTask(Given(Given(history)(part)), part, recipe) for part in parts]
    made = [present(each) for each in run(tasks, workers, progress)]
    progress("trained", 1.0)
    return assembled(made, recipe, now)


def rounds(
    history: History,
    features: Features,
    resource_topics: sparse.csr_array,
    config: TrainingConfig,
    *,
    now: datetime,
) -> Iterator[Release]:
    """Train as `train` does, here, pausing after each epoch; the last release has the digest that `train` gives.

    A release is as it was until the next is asked for. Nothing is committed to: it is for trying, not for serving.

    Raises:
        NotEnoughData: as `train`.
    """
    recipe = Recipe(features, resource_topics, config)
    source = Given(history)
    rows = [Rows.of(source(shard_part(number, config.shards)), recipe) for number in range(config.shards)]
    shards = [learning(each, recipe) for each in rows]
    for _ in range(max(1, config.epochs)):
        with one_thread():
            made = [recorded(each, next(shard), b"") for each, shard in zip(rows, shards, strict=True)]
        yield assembled(made, recipe, now)


def retrain(
    release: Release,
    history: History,
    numbers: Collection[int],
    *,
    now: datetime,
    workers: Workers = HERE,
    progress: Progress = quietly,
) -> Release:
    """Train some shards of a release anew on events that are at hand, by its own recipe; the others stay as they are.

    Args:
        release: trained on people of whom some are gone by now.
        history: the events of those who remain, over the release's own features.
        numbers: the shards of whoever is gone; `train` on `history` gives the same bytes when none is left out.
        now: what the manifest says about when.
        workers: where shards are trained; changes no byte.
        progress: told how far it is.

    Raises:
        NotEnoughData: as `train`.
    """
    recipe = Recipe(release.features, release.resource_topics, release.manifest.config)
    parts = {number: shard_part(number, recipe.config.shards) for number in sorted(numbers)}
    tasks = [ShardTask(Given(Given(history)(part)), part, recipe) for part in parts.values()]
    fitted = dict(enumerate(_as_fitted(release)))
    fitted |= zip(parts, (present(each) for each in run(tasks, workers, progress)), strict=True)
    progress("trained", 1.0)
    return assembled(list(fitted.values()), recipe, now)


@dataclass(frozen=True, eq=False)
class Served:
    """A release as it was promoted, with the shards that it was tried with, and how many people took up each resource (R,)."""

    release: Release
    tried: Sequence[tuple[Shard, NDArray[np.float32]]]


@dataclass(frozen=True, eq=False)
class Former(Served):
    """A release of which some shards (`renew`) must be trained anew, and the others stay; the recipe must be its own."""

    renew: frozenset[int]


@dataclass(frozen=True, eq=False)
class Checked:
    """A release with what came out when it was tried, and the shards that it was tried with."""

    release: Release
    tried: Sequence[tuple[Shard, NDArray[np.float32]]]
    result: HoldoutResult
    trained: frozenset[int]
    """The numbers of the shards that were trained for it; the others were there already."""


def train_checked(
    source: Source,
    recipe: Recipe,
    *,
    now: datetime,
    workers: Workers = HERE,
    progress: Progress = quietly,
    former: Former | None = None,
    served: Served | None = None,
) -> Checked:
    """Train a release, and a second one on the events before a moment, which is tried on those after it.

    Args:
        source: reads the events of each shard's people.
        recipe: what decides the outcome beside the events.
        now: what the manifest says about when.
        workers: where shards are trained; changes no byte.
        progress: told how far it is.
        former: a release to be put right; all of its shards but some are kept.
        served: the release that must not be better than the new one; none of its people may have left.

    Raises:
        NotEnoughData: nobody is there to learn from, or to ask.
        WorkersLost: the processes that train died, again and again.
    """
    shards = recipe.config.shards
    check = former.release.manifest.check if former else None
    audience = _audience(source)
    trial = Trial.of(audience, recipe.features, recipe.config.profile, check.moment if check else None)
    kept = _kept(former)
    numbers = sorted(former.renew) if former else range(shards)
    jobs: list[_Job] = [(number, moment) for moment in (trial.moment, None) for number in numbers]
    tasks = [
        ShardTask(
            source,
            shard_part(number, shards),
            recipe,
            before=moment,
            unless=kept[number, moment].record.rows_root if former else None,
        )
        for number, moment in jobs
    ]
    results = dict(zip(jobs, run(tasks, workers, progress), strict=True))
    renewed = {job: made for job, made in results.items() if made is not None}
    whole = {**kept, **renewed}
    trained, tried = ([whole[number, moment] for number in range(shards)] for moment in (None, trial.moment))
    contender = _contender(served, trial, audience, recipe.features)
    uptakes = np.sum([each.uptakes for each in tried], axis=0)
    result = trial.judge(assembled(tried, recipe, now), uptakes, contender)
    progress("trained", 1.0)
    manifest_check = Check(moment=trial.moment, shards=tuple(each.record for each in tried))
    return Checked(
        assembled(trained, recipe, now, manifest_check),
        [(each.shard, each.uptakes) for each in tried],
        result,
        frozenset(number for number, moment in renewed if moment is None),
    )


def _contender(served: Served | None, trial: Trial, history: History, features: Features) -> Contender | None:
    """The shards that the served release was tried with, which know nothing of what is asked; None where they would.

    The release itself has learned from what is asked, so it cannot be asked.
    """
    check = served.release.manifest.check if served else None
    if served is None or check is None or check.moment > trial.moment:
        return None
    model = replace(served.release, shards=tuple(shard for shard, _ in served.tried))
    return Contender.of(model, trial, history, features)


def _audience(source: Source) -> History:
    """The events of those whose later ones are asked for: everybody's, or a sample's when there are very many.

    The sample is a range of pseudonyms, which are as good as random.
    """
    probe = Part().beginning(_PROBE)
    events = len(source(probe)) * BUCKETS / probe.end
    return source(Part().beginning(min(1.0, _ASKED / max(1.0, events))))


def _kept(former: Former | None) -> Mapping[_Job, Fitted]:
    """The shards of a former release by number, with the moment before which they know everything."""
    if former is None or former.release.manifest.check is None:
        return {}
    check = former.release.manifest.check
    served: dict[_Job, Fitted] = {
        (number, None): fitted for number, fitted in enumerate(_as_fitted(former.release))
    }
    tried: dict[_Job, Fitted] = {
        (number, check.moment): Fitted(shard, record, uptakes)
        for number, ((shard, uptakes), record) in enumerate(zip(former.tried, check.shards, strict=True))
    }
    return {**served, **tried}


def _as_fitted(release: Release) -> list[Fitted]:
    """A release's shards as if just trained; how many people took up each resource is not known of them."""
    nothing = np.zeros(len(release.features.resources), dtype=np.float32)
    return [
        Fitted(shard, record, nothing)
        for shard, record in zip(release.shards, release.manifest.shards, strict=True)
    ]
