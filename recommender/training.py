"""Shards of people's snapshots become a release: a closed-form start, then a few epochs of WARP in LightFM.

The only module that imports LightFM. No person is a row of the model: LightFM's "user features" are the features of
a profile, and nothing else. What was tried, and what it was worth: docs/decisions/0003-training.md.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

import numpy as np
from lightfm import LightFM
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from recommender.errors import NotEnoughData
from recommender.history import History
from recommender.profile import Features, topic_shares
from recommender.progress import Progress, quietly
from recommender.release import (
    Manifest,
    Release,
    Shard,
    TrainingConfig,
    features_digest,
    release_digest,
)
from recommender.snapshots import Snapshots, presence, present_profiles, snapshots, taken_up
from recommender.start import closed_form_start

__all__ = ["HoldoutResult", "TrainingConfig", "beats_popularity", "train"]


def train(
    history: History,
    features: Features,
    resource_topics: sparse.csr_array,
    config: TrainingConfig,
    *,
    now: datetime,
    progress: Progress = quietly,
) -> Release:
    """Train every shard and put them together; the same rows give the same bytes.

    Args:
        history: the people's events, as many as may be used to improve the model.
        features: the columns of the catalogue.
        resource_topics: (R, T), not zero where a resource has a topic.
        config: what decides the outcome beside the rows.
        now: what the manifest says about when.
        progress: told how far it is.

    Raises:
        NotEnoughData: there is nobody who took up two resources, or fewer than two resources are taken up.
    """
    rows_sha, shards, rows, positives = hashlib.sha256(), [], 0, 0
    with threadpool_limits(limits=1):  # more threads add in another order, and other bytes come out
        for number in range(config.shards):
            part = history.of(history.seeds % np.uint64(config.shards) == number)
            cut = snapshots(part, features, config.snapshots, config.profile)
            _update_with_rows(rows_sha, cut)
            told = _part_of(progress, number, config.shards)
            shards.append(_train_shard(part, cut, features, resource_topics, config, told))
            rows, positives = rows + cut.profiles.shape[0], positives + cut.positives.nnz
    digests, names = tuple(shard.digest for shard in shards), features_digest(features)
    progress("trained", 1.0)
    manifest = Manifest(
        digest=release_digest(config, names, digests),
        config=config,
        features_digest=names,
        shard_digests=digests,
        rows_digest=rows_sha.hexdigest(),
        people=len(history.seeds),
        events=len(history),
        rows=rows,
        positives=positives,
        libraries={name: version(name) for name in ("lightfm-next", "numpy", "scipy", "scikit-learn")},
        created_at=now,
    )
    return Release(tuple(shards), features, manifest)


def _part_of(progress: Progress, number: int, of: int) -> Progress:
    """Progress within one of several equal parts, told as progress of the whole."""
    return lambda step, part: progress(step, (number + part) / of)


def _train_shard(
    part: History,
    rows: Snapshots,
    features: Features,
    resource_topics: sparse.csr_array,
    config: TrainingConfig,
    progress: Progress,
) -> Shard:
    taken = np.unique(rows.positives.indices)
    if len(taken) < 2:
        raise NotEnoughData("nobody took up one resource after another, or all took up the same one")
    progress("closed-form start", 0.0)
    interests = presence(part, features, config.profile)
    descriptions = _descriptions(resource_topics, config.resource_topic_share)
    # A resource that nobody took up is no negative: its own part stays zero, and its topics alone place it.
    known = np.flatnonzero(interests[:, : len(features.resources)].sum(axis=0) > 0)
    profiles = rows.profiles @ feature_map(features, resource_topics, config.profile_topic_share)
    interactions = _for_lightfm(rows.positives[:, known]).tocoo()
    sides = {"user_features": _for_lightfm(profiles), "item_features": _for_lightfm(descriptions[known])}
    model = LightFM(
        no_components=config.components,
        loss="warp",
        learning_rate=config.learning_rate,
        item_alpha=config.l2,
        user_alpha=config.l2,
        max_sampled=config.max_sampled,
        random_state=config.seed,
    )
    model.fit_partial(interactions, **sides, epochs=0)
    model.user_embeddings, model.item_embeddings = closed_form_start(interests, descriptions, known, config)
    for epoch in range(config.epochs):
        progress("learning", (1 + epoch) / (1 + config.epochs))
        model.fit_partial(interactions, **sides, epochs=1, num_threads=1)
    return Shard(model.user_embeddings, model.item_embeddings, model.item_biases)


def _descriptions(resource_topics: sparse.csr_array, share: float) -> sparse.csr_array:
    """(R, R + T) what a resource's embedding is the sum of: its own, and a share for its topics."""
    own = sparse.eye_array(resource_topics.shape[0])
    return sparse.csr_array(sparse.hstack([own, topic_shares(resource_topics, share)]))


def _for_lightfm(matrix: sparse.csr_array) -> sparse.csr_matrix:
    """LightFM takes the older matrices of SciPy, with 32-bit indices."""
    parts = matrix.data.astype(np.float32), matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return sparse.csr_matrix(parts, shape=matrix.shape)


def feature_map(features: Features, resource_topics: sparse.csr_array, share: float) -> sparse.csr_array:
    """(F, F) what an event on each feature counts for: the feature itself, and a share for a resource's topics."""
    spread = topic_shares(resource_topics, share).tocoo()
    place = spread.coords[0], spread.coords[1] + len(features.resources)
    beside = sparse.coo_array((spread.data, place), shape=(len(features), len(features)))
    return sparse.csr_array(sparse.eye_array(len(features)) + beside)


def _update_with_rows(sha: "hashlib._Hash", rows: Snapshots) -> None:
    for matrix in (rows.profiles, rows.positives):
        sha.update(f"{matrix.shape}".encode())
        for array, kind in ((matrix.indptr, "<i8"), (matrix.indices, "<i8"), (matrix.data, "<f4")):
            sha.update(np.ascontiguousarray(array, dtype=kind).tobytes())


@dataclass(frozen=True)
class HoldoutResult:
    """NDCG@10 on held-out events of the model and of popularity, means over `people`."""

    ndcg: float
    popularity_ndcg: float
    people: int

    @property
    def passed(self) -> bool:
        """Whether the model is worth more than the same list for everyone."""
        return self.ndcg > self.popularity_ndcg


def beats_popularity(
    history: History,
    features: Features,
    resource_topics: sparse.csr_array,
    config: TrainingConfig,
    *,
    now: datetime,
    progress: Progress = quietly,
) -> HoldoutResult:
    """Train on the earlier part of the events, and compare with popularity on the later part.

    The later part is what people took up for the first time in the last fifth of all such events, by one cut in
    time for everybody. It is asked of those who had a profile by then. The whole catalogue is ranked, without what
    each had already taken up.

    Raises:
        NotEnoughData: the earlier part is too small to train on, or the later part is about nobody with a profile.
    """
    used = history.where(taken_up(history, config.profile))
    if len(used) == 0:
        raise NotEnoughData("nobody has taken up a resource")
    moment = int(np.quantile(used.at, 0.8, method="higher"))
    earlier = history.before(moment)
    release = train(earlier, features, resource_topics, config, now=now, progress=progress)
    profiles = present_profiles(earlier, features, config.profile)
    seen, later = _pairs(used.before(moment), features), _pairs(used.where(used.at >= moment), features)
    later = sparse.csr_array(later - later.multiply(seen))
    later.eliminate_zeros()
    people = np.flatnonzero((np.diff(later.indptr) > 0) & (np.diff(profiles.indptr) > 0))
    if len(people) == 0:
        raise NotEnoughData("nobody with a profile took up something new in the last fifth of the events")
    inputs = release.inputs(features, resource_topics)
    outputs, biases = release.outputs(features, resource_topics)
    popularity = np.asarray(seen.sum(axis=0), dtype=np.float32)
    totals = np.zeros(2)
    for block in np.array_split(people, 1 + len(people) * len(features) // 10_000_000):
        scores = (profiles[block] @ inputs) @ outputs.T + biases
        everyone = np.tile(popularity, (len(block), 1))
        totals += [_ndcg(each, seen[block], later[block]).sum() for each in (scores, everyone)]
    ndcg, popularity_ndcg = (totals / len(people)).tolist()
    return HoldoutResult(ndcg, popularity_ndcg, len(people))


def _pairs(history: History, features: Features) -> sparse.csr_array:
    """(P, R) ones where a person has an event with a resource."""
    shape = (len(history.seeds), len(features.resources))
    pairs = sparse.coo_array(
        (np.ones(len(history), dtype=np.float32), (history.person, history.resource)), shape=shape
    )
    pairs = sparse.csr_array(pairs)
    pairs.data[:] = 1.0
    return pairs


def _ndcg(
    scores: NDArray[np.float32], seen: sparse.csr_array, later: sparse.csr_array, depth: int = 10
) -> NDArray[np.float64]:
    """(rows,) NDCG of the best `depth` unseen resources; every row of `later` holds one at least."""
    scores = np.where(seen.toarray() > 0, -np.inf, scores)
    depth = min(depth, scores.shape[1])
    best = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    hits = np.take_along_axis(later.toarray(), best, axis=1)
    discounts = 1.0 / np.log2(np.arange(2, depth + 2))
    ideal = np.cumsum(discounts)[np.minimum(np.diff(later.indptr), depth) - 1]
    return np.asarray(hits @ discounts / ideal)
