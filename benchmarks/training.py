"""Time of training, against its closed-form start and `LightFM.fit_partial` alone on the same matrices.

What is beyond those two is ours: cutting snapshots, making profiles, checking digests.
"""

import hashlib
import time
from datetime import UTC, datetime

import numpy as np
from lightfm import LightFM
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.table import Row
from recommender.fitting import feature_map
from recommender.history import SIGNAL_IDS, History
from recommender.profile import Features, topic_shares
from recommender.release import Shard
from recommender.snapshots import presence, snapshots
from recommender.start import closed_form_start
from recommender.training import TrainingConfig, train

PEOPLE, EACH, RESOURCES, TOPICS = 500, 40, 2_000, 12
HOUR = 3_600_000_000


def made_up() -> tuple[History, Features, sparse.csr_array]:
    """Events of people with a taste for two topics, most of them about the better known resources."""
    random = np.random.default_rng(11)
    features = Features(
        tuple(f"resource-{number:05d}" for number in range(RESOURCES)),
        tuple(f"topic_{number:02d}" for number in range(TOPICS)),
    )
    resource_topics = sparse.csr_array(
        (np.ones(RESOURCES, dtype=np.float32), (np.arange(RESOURCES), np.arange(RESOURCES) % TOPICS)),
        shape=(RESOURCES, TOPICS),
    )
    person = np.repeat(np.arange(PEOPLE), EACH)
    taste = random.integers(0, TOPICS, (PEOPLE, 2))[person, random.integers(0, 2, len(person))]
    rank = (RESOURCES // TOPICS * random.random(len(person)) ** 2).astype(np.int64)
    resource = rank * TOPICS + taste
    history = History.from_columns(
        [hashlib.sha256(b"person-%05d" % number).digest() for number in person],  # spread as keyed hashes are
        random.choice(
            [name for name in SIGNAL_IDS if name in {"views", "saves", "completions", "groups"}], len(person)
        ).tolist(),
        [features.resources[number] for number in resource],
        [None] * len(person),
        np.full(len(person), np.nan),
        1_700_000_000_000_000 + np.tile(np.arange(EACH), PEOPLE) * HOUR,
        features,
    )
    return history, features, resource_topics


def compare() -> list[Row]:
    """Train both ways by turns; the best of three counts, and both must end in the same arrays."""
    history, features, resource_topics = made_up()
    config = TrainingConfig()
    ours, alone = [], []
    for _ in range(3):
        began = time.perf_counter()
        release = train(history, features, resource_topics, config, now=datetime.now(UTC))
        ours.append(time.perf_counter() - began)
        seconds, shard = _alone(history, features, resource_topics, config)
        alone.append(seconds)
        if shard.digest != release.manifest.shard_digests[0]:
            raise RuntimeError("the two trainings were not of the same matrices")
    ratio = min(ours) / min(alone)
    return [
        Row(
            f"training, {len(history):,} events",
            "closed-form start + LightFM.fit",
            ratio,
            f"{min(ours):.2f} s",
            f"{min(alone):.2f} s",
            "<= 1.5",
            ratio <= 1.5,
        )
    ]


def _alone(
    history: History, features: Features, resource_topics: sparse.csr_array, config: TrainingConfig
) -> tuple[float, Shard]:
    """Make the matrices, then time what can't be left out."""
    rows = snapshots(history, features, config.snapshots, config.profile)
    interests = presence(history, features, config.profile)
    known = np.flatnonzero(interests[:, : len(features.resources)].sum(axis=0) > 0)
    descriptions = sparse.csr_array(
        sparse.hstack(
            [sparse.eye_array(RESOURCES), topic_shares(resource_topics, config.resource_topic_share)]
        )
    )
    profiles = rows.profiles @ feature_map(features, resource_topics, config.profile_topic_share)
    interactions = _older(rows.positives[:, known]).tocoo()
    sides = {"user_features": _older(profiles), "item_features": _older(descriptions[known])}
    with threadpool_limits(limits=1):
        began = time.perf_counter()
        start = closed_form_start(interests, descriptions, known, config)
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
        model.user_embeddings, model.item_embeddings = start
        model.fit_partial(interactions, **sides, epochs=config.epochs, num_threads=1)
        seconds = time.perf_counter() - began
    return seconds, Shard(model.user_embeddings, model.item_embeddings, model.item_biases)


def _older(matrix: sparse.csr_array) -> sparse.csr_matrix:
    """LightFM takes the older matrices of SciPy, with 32-bit indices."""
    parts = matrix.data.astype(np.float32), matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return sparse.csr_matrix(parts, shape=matrix.shape)
