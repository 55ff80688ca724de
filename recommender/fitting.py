"""One shard: the events of its people become rows, and the rows a model. The only module that imports LightFM.

A closed-form start, then a few epochs of WARP on one thread. No person is a row of the model: LightFM's "user
features" are the features of a profile, and nothing else. What was tried, and what it was worth:
docs/decisions/0003-training.md.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from lightfm import LightFM
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from recommender.commitments import Commitments, commitments
from recommender.history import History
from recommender.profile import Features, topic_shares
from recommender.progress import Progress, quietly
from recommender.release import Recipe, Shard, ShardRecord
from recommender.snapshots import Snapshots, first_taken_up, presence, snapshots
from recommender.start import closed_form_start


@dataclass(frozen=True, eq=False)
class Rows:
    """Everything that training takes from the people of one shard.

    Attributes:
        snapshots: the training rows.
        interests: (P, F) ones where a person has a feature: what the closed-form start learns from.
        uptakes: (R,) how many people took up each resource.
        events: how many events they are made from.
        seeds: (P,) the people.
    """

    snapshots: Snapshots
    interests: sparse.csr_array
    uptakes: NDArray[np.float32]
    events: int
    seeds: NDArray[np.uint64]

    @classmethod
    def of(cls, history: History, recipe: Recipe) -> "Rows":
        """Make the rows of some people's events."""
        config = recipe.config
        taken = history.resource[first_taken_up(history, config.profile)]
        return cls(
            snapshots(history, recipe.features, config.snapshots, config.profile),
            presence(history, recipe.features, config.profile),
            np.bincount(taken, minlength=len(recipe.features.resources)).astype(np.float32),
            len(history),
            history.seeds,
        )

    def commitments(self, key: bytes) -> Commitments:
        """Commit to them, person by person."""
        return commitments(self.seeds, self.snapshots, self.interests, key)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained shard, what is recorded of it, and how many people took up each resource (R,)."""

    shard: Shard
    record: ShardRecord
    uptakes: NDArray[np.float32]


def fit(rows: Rows, recipe: Recipe, root: bytes, progress: Progress = quietly) -> Fitted:
    """Train one shard; the same rows give the same bytes, in any process.

    A shard whose people took up fewer than two resources after another learns nothing: all its numbers are zero, and
    a release leaves it out of the mean.
    """
    with one_thread():
        *_, shard = learning(rows, recipe, progress)
    return recorded(rows, shard, root)


def recorded(rows: Rows, shard: Shard, root: bytes) -> Fitted:
    """Record what a shard learned from."""
    positives = rows.snapshots.positives
    record = ShardRecord(
        digest=shard.digest,
        rows_root=root.hex(),
        people=len(rows.seeds),
        events=rows.events,
        rows=positives.shape[0],
        positives=positives.nnz,
    )
    return Fitted(shard, record, rows.uptakes)


def learning(rows: Rows, recipe: Recipe, progress: Progress = quietly) -> Iterator[Shard]:
    """Train one shard, pausing after each epoch; without epochs, once after the start.

    What is given at a pause has the arrays that go on learning: it is as it was until the next. Linear algebra has to
    be on one thread (`one_thread`).
    """
    features, resource_topics, config = recipe.features, recipe.resource_topics, recipe.config
    if len(np.unique(rows.snapshots.positives.indices)) < 2:
        yield from repeat(Shard.empty(features, config), max(1, config.epochs))
        return
    progress("closed-form start", 0.0)
    descriptions = _descriptions(resource_topics, config.resource_topic_share)
    # A resource that nobody took up is no negative: its own part stays zero, and its topics alone place it.
    known = np.flatnonzero(rows.interests[:, : len(features.resources)].sum(axis=0) > 0)
    profiles = rows.snapshots.profiles @ feature_map(features, resource_topics, config.profile_topic_share)
    interactions = _for_lightfm(rows.snapshots.positives[:, known]).tocoo()
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
    start = closed_form_start(rows.interests, descriptions, known, config)
    model.user_embeddings, model.item_embeddings = start
    for epoch in range(max(1, config.epochs)):
        progress("learning", (1 + epoch) / (1 + max(1, config.epochs)))
        model.fit_partial(interactions, **sides, epochs=min(1, config.epochs), num_threads=1)
        yield Shard(model.user_embeddings, model.item_embeddings, model.item_biases)


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


_users_of_one_thread = 0
_counting = threading.Lock()
_limit: threadpool_limits | None = None


@contextmanager
def one_thread() -> Iterator[None]:
    """Let linear algebra use one thread: more add in another order, and other bytes come out.

    The limit is the process's. It ends when nobody needs it any more, so that shards that train side by side in one
    process (workers of a cluster may have several threads) do not lift it for each other.
    """
    global _users_of_one_thread, _limit  # noqa: PLW0603  the limit is the process's own
    with _counting:
        _users_of_one_thread += 1
        if _limit is None:
            _limit = threadpool_limits(limits=1)
    try:
        yield
    finally:
        with _counting:
            _users_of_one_thread -= 1
            if _users_of_one_thread == 0 and _limit is not None:
                _limit.restore_original_limits()
                _limit = None
