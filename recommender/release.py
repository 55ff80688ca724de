"""A trained model as arrays and a manifest: what training hands over, what is stored, and what serving reads."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from recommender.profile import MOOD_BANDS, Features, ProfileConfig, topic_shares
from recommender.snapshots import SnapshotConfig


class TrainingConfig(BaseModel):
    """Everything that decides what comes out of training, beside the rows themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: ProfileConfig = ProfileConfig()
    snapshots: SnapshotConfig = SnapshotConfig()
    profile_topic_share: float = Field(
        default=0.2,
        ge=0,
        description="What an event on a resource also counts for the resource's topics together.",
    )
    resource_topic_share: float = Field(
        default=1.0,
        ge=0,
        description="How much of a resource's embedding comes from its topics, in equal parts.",
    )
    components: int = Field(default=64, ge=1, description="Length of an embedding.")
    start_lambda: float = Field(default=500.0, gt=0, description="L2 penalty of the closed-form start.")
    start_scale: float = Field(
        default=12.0, gt=0, description="Factor on both sides of the closed-form start."
    )
    epochs: int = Field(default=4, ge=0, description="Passes of WARP over the positives.")
    learning_rate: float = Field(default=0.04, gt=0)
    l2: float = Field(default=1e-5, ge=0)
    max_sampled: int = Field(
        default=30, ge=1, description="How many negatives WARP tries before it gives up."
    )
    shards: int = Field(default=1, ge=1, description="Parts of the people that are trained apart.")
    seed: int = Field(default=0, ge=0, lt=2**31)


@dataclass(frozen=True, eq=False)
class Recipe:
    """What decides the outcome of a training beside the events.

    Attributes:
        features: the columns of the catalogue.
        resource_topics: (R, T), not zero where a resource has a topic.
        config: every setting.
        key: what commitments to training rows are keyed with; changes no array.
    """

    features: Features
    resource_topics: sparse.csr_array
    config: TrainingConfig
    key: bytes = b""


class ShardRecord(BaseModel):
    """What is known of one trained shard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str = Field(description="SHA-256 of its arrays.")
    rows_root: str = Field(description="Root of the tree of commitments to its people's training rows.")
    people: int
    events: int
    rows: int
    positives: int


class Check(BaseModel):
    """What a release was tried on before it was promoted: shards trained on the events before a moment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    moment: int = Field(description="Microseconds, UTC. What people took up from then on was asked for.")
    shards: tuple[ShardRecord, ...]


class Manifest(BaseModel):
    """What is known of a release.

    `digest` covers arrays, names and configuration: what has the same ranks the same, whenever it was made and from whom.
    All of it is covered by the SHA-256 of `manifest_json`, which the registry keeps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[3] = 3
    digest: str
    config: TrainingConfig
    features_digest: str
    shards: tuple[ShardRecord, ...]
    check: Check | None = None
    read_until: int | None = Field(
        default=None, description="It learned from what was stored and granted by then (microseconds, UTC)."
    )
    libraries: dict[str, str] = Field(description="Versions of what computed the arrays.")
    ledger_checkpoint: str | None = Field(
        default=None, description="The signed checkpoint before the rows were read."
    )
    metrics: dict[str, float] = Field(default={}, description="Offline metrics on held-out consented events.")
    created_at: datetime

    @property
    def shard_digests(self) -> tuple[str, ...]:
        """The digests of the shards' arrays."""
        return tuple(shard.digest for shard in self.shards)

    @property
    def people(self) -> int:
        """How many people the shards learned from together."""
        return sum(shard.people for shard in self.shards)


@dataclass(frozen=True, eq=False)
class Shard:
    """One LightFM model. F features of a profile; R resources then T topics describe a resource; d components.

    Attributes:
        feature_embeddings: (F, d) float32.
        resource_embeddings: (R + T, d) float32.
        resource_biases: (R + T,) float32.
    """

    feature_embeddings: NDArray[np.float32]
    resource_embeddings: NDArray[np.float32]
    resource_biases: NDArray[np.float32]

    @classmethod
    def empty(cls, features: Features, config: TrainingConfig) -> "Shard":
        """Return the shard of people from whom nothing can be learned: zeros."""
        size = len(features.resources) + len(features.topics)
        shapes = (len(features), config.components), (size, config.components), (size,)
        return cls(*(np.zeros(shape, dtype=np.float32) for shape in shapes))

    @property
    def is_empty(self) -> bool:
        """Whether it learned nothing."""
        return not self.feature_embeddings.any()

    @property
    def digest(self) -> str:
        """SHA-256 over names, shapes and little-endian bytes of the arrays."""
        sha = hashlib.sha256()
        for name, array in arrays_of(self).items():
            sha.update(f"{name} {array.shape} float32\n".encode())
            sha.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return sha.hexdigest()


@dataclass(frozen=True, eq=False)
class Release:
    """Trained shards with the names of their rows.

    Attributes:
        shards: as many as the configuration says.
        features: the columns that they were trained with.
        resource_topics: (R, T) ones where a resource had a topic then.
        manifest: what is known of it.
    """

    shards: tuple[Shard, ...]
    features: Features
    resource_topics: sparse.csr_array
    manifest: Manifest

    def inputs(self, features: Features, resource_topics: sparse.csr_array) -> NDArray[np.float32]:
        """What each feature of a profile contributes, for today's catalogue and all shards.

        With `outputs`, one dot product gives the mean of the scores of the shards that learned something:
        `score = biases + outputs @ (profile @ inputs)`.

        Args:
            features: today's columns. What this release has not seen has no part of its own.
            resource_topics: (R, T) of today's catalogue, not zero where a resource has a topic.

        Returns:
            (len(features), shards * d): an event's own feature, and its share of the resource's topics.
        """
        known = self._rows_of(features)
        share = topic_shares(resource_topics, self.manifest.config.profile_topic_share)
        inputs = _side_by_side([_picked(shard.feature_embeddings, known) for shard in self.shards])
        size = len(features.resources)
        inputs[:size] += share @ inputs[size : size + len(features.topics)]
        return (inputs / self._learned).astype(np.float32)

    def outputs(
        self, features: Features, resource_topics: sparse.csr_array
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embedding and bias of each resource of today's catalogue, side by side for all shards.

        A resource that this release has not seen is placed by its topics alone.

        Args:
            features: today's columns.
            resource_topics: (R, T) of today's catalogue, not zero where a resource has a topic.

        Returns:
            (R, shards * d) embeddings and (R,) biases.
        """
        size = len(features.resources)
        known = self._rows_of(features)[: size + len(features.topics)]
        share = topic_shares(resource_topics, self.manifest.config.resource_topic_share)
        items = _side_by_side([_picked(shard.resource_embeddings, known) for shard in self.shards])
        biases = (
            np.sum([_picked(shard.resource_biases, known) for shard in self.shards], axis=0) / self._learned
        )
        return (
            (items[:size] + share @ items[size:]).astype(np.float32),
            (biases[:size] + share @ biases[size:]).astype(np.float32),
        )

    @cached_property
    def _learned(self) -> int:
        return max(1, sum(not shard.is_empty for shard in self.shards))

    def _rows_of(self, features: Features) -> NDArray[np.int64]:
        """(len(features),) the row in this release of each of today's features, -1 where it has none."""
        resources = [self.features.resource_index.get(name, -1) for name in features.resources]
        topics = [self.features.topic_index.get(name, -1) for name in features.topics]
        moods = range(len(self.features) - MOOD_BANDS, len(self.features))
        return np.array([*resources, *topics, *moods], dtype=np.int64)


def _picked(array: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows of an array in double precision, zeros where the row is -1."""
    if len(array) == 0:
        return np.zeros((len(rows), *array.shape[1:]))
    picked = array[rows].astype(np.float64)
    picked[rows < 0] = 0.0
    return picked


def _side_by_side(blocks: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate(blocks, axis=1)


def arrays_of(shard: Shard) -> dict[str, NDArray[np.float32]]:
    """The arrays of a shard by their names."""
    return {field.name: getattr(shard, field.name) for field in fields(shard)}


def features_digest(features: Features, resource_topics: sparse.csr_array) -> str:
    """SHA-256 over the names of the features and the topics of the resources."""
    return hashlib.sha256(features_json(features, resource_topics)).hexdigest()


def features_json(features: Features, resource_topics: sparse.csr_array) -> bytes:
    """Write down the names of the features, and of each resource the places of its topics."""
    linked = sparse.csr_array(resource_topics)
    linked.sort_indices()
    topics_of = np.split(linked.indices, linked.indptr[1:-1]) if linked.shape[0] else []
    content = {
        "resources": list(features.resources),
        "topics": list(features.topics),
        "topics_of": [places.tolist() for places in topics_of],
    }
    return _canonical(content)


def features_of(content: bytes) -> tuple[Features, sparse.csr_array]:
    """Read what `features_json` wrote; ValueError, TypeError or KeyError when it is something else."""
    names = json.loads(content)
    features = Features(tuple(names["resources"]), tuple(names["topics"]))
    topics_of = [np.array(places, dtype=np.int32) for places in names["topics_of"]]
    ends = np.cumsum([0, *(len(places) for places in topics_of)])
    indices = np.concatenate([*topics_of, np.zeros(0, dtype=np.int32)])
    shape = (len(features.resources), len(features.topics))
    return features, sparse.csr_array((np.ones(len(indices), dtype=np.float32), indices, ends), shape=shape)


def manifest_json(manifest: Manifest) -> bytes:
    """Write a manifest down as it is stored."""
    return manifest.model_dump_json(indent=2).encode()


def release_digest(config: TrainingConfig, features: str, shards: Sequence[str]) -> str:
    """SHA-256 over what makes a release what it is: configuration and the digests of names and arrays."""
    content = {
        "format": 3,
        "config": config.model_dump(mode="json"),
        "features": features,
        "shards": list(shards),
    }
    return hashlib.sha256(_canonical(content)).hexdigest()


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
