"""A trained model as arrays and a manifest: what training hands over, what is stored, and what serving reads.

A stored release is a folder under any fsspec URL: one safetensors file per shard, `features.json` with the names of
the rows, and `manifest.json`, which is written last, so that a half-written release is never taken for a whole one.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import partial
from typing import Literal, TypeVar

import fsspec
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from scipy import sparse

from recommender.errors import CorruptRelease
from recommender.profile import MOOD_BANDS, Features, ProfileConfig, topic_shares
from recommender.snapshots import SnapshotConfig

T = TypeVar("T")


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


class Manifest(BaseModel):
    """What is known of a release. `digest` covers arrays, names and configuration: neither times nor ids."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    digest: str
    config: TrainingConfig
    features_digest: str
    shard_digests: tuple[str, ...]
    rows_digest: str = Field(description="SHA-256 over the training rows, shard after shard.")
    people: int
    events: int
    rows: int
    positives: int
    libraries: dict[str, str] = Field(description="Versions of what computed the arrays.")
    ledger_checkpoint: str | None = Field(
        default=None, description="The signed checkpoint before the rows were read."
    )
    metrics: dict[str, float] = Field(default={}, description="Offline metrics on held-out consented events.")
    created_at: datetime


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

    @property
    def digest(self) -> str:
        """SHA-256 over names, shapes and little-endian bytes of the arrays."""
        sha = hashlib.sha256()
        for name, array in _arrays(self).items():
            sha.update(f"{name} {array.shape} float32\n".encode())
            sha.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return sha.hexdigest()


@dataclass(frozen=True, eq=False)
class Release:
    """Trained shards with the names of their rows."""

    shards: tuple[Shard, ...]
    features: Features
    manifest: Manifest

    def noting(
        self, *, metrics: dict[str, float] | None = None, ledger_checkpoint: str | None = None
    ) -> "Release":
        """The same release with more said about it in the manifest; the digest stays."""
        said = {"metrics": metrics, "ledger_checkpoint": ledger_checkpoint}
        update = {name: value for name, value in said.items() if value is not None}
        return replace(self, manifest=self.manifest.model_copy(update=update))

    def inputs(self, features: Features, resource_topics: sparse.csr_array) -> NDArray[np.float32]:
        """What each feature of a profile contributes, for today's catalogue and all shards.

        With `outputs`, one dot product gives the mean of the shards' scores:
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
        return (inputs / len(self.shards)).astype(np.float32)

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
        biases = np.mean([_picked(shard.resource_biases, known) for shard in self.shards], axis=0)
        return (
            (items[:size] + share @ items[size:]).astype(np.float32),
            (biases[:size] + share @ biases[size:]).astype(np.float32),
        )

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


def _arrays(shard: Shard) -> dict[str, NDArray[np.float32]]:
    return {field.name: getattr(shard, field.name) for field in fields(shard)}


def features_digest(features: Features) -> str:
    """SHA-256 over the names of the features."""
    return hashlib.sha256(_features_json(features)).hexdigest()


def release_digest(config: TrainingConfig, features: str, shards: Sequence[str]) -> str:
    """SHA-256 over what makes a release what it is: configuration and the digests of names and arrays."""
    content = {
        "format": 1,
        "config": config.model_dump(mode="json"),
        "features": features,
        "shards": list(shards),
    }
    return hashlib.sha256(_canonical(content)).hexdigest()


def save(release: Release, url: str) -> None:
    """Store a release in the folder that an fsspec URL names, in place of what was there; the manifest last."""
    delete(url)
    system, folder = fsspec.core.url_to_fs(url)
    system.makedirs(folder, exist_ok=True)
    for number, shard in enumerate(release.shards):
        arrays = {name: np.ascontiguousarray(array) for name, array in _arrays(shard).items()}
        system.pipe_file(f"{folder}/shard-{number}.safetensors", safetensors.numpy.save(arrays))
    system.pipe_file(f"{folder}/features.json", _features_json(release.features))
    system.pipe_file(f"{folder}/manifest.json.part", release.manifest.model_dump_json(indent=2).encode())
    system.mv(f"{folder}/manifest.json.part", f"{folder}/manifest.json")


def load(url: str) -> Release:
    """Read a release and check every digest.

    Raises:
        CorruptRelease: something is missing, of an unknown format, or not what was saved.
    """
    system, folder = fsspec.core.url_to_fs(url)

    def read(name: str) -> bytes:
        try:
            return bytes(system.cat_file(f"{folder}/{name}"))
        except FileNotFoundError as error:
            raise CorruptRelease(f"{name} is missing") from error

    manifest = _checked("manifest.json", lambda: Manifest.model_validate_json(read("manifest.json")))
    names = _checked("features.json", lambda: json.loads(read("features.json")))
    features = _checked("features.json", lambda: Features(tuple(names["resources"]), tuple(names["topics"])))
    if features_digest(features) != manifest.features_digest:
        raise CorruptRelease("features.json does not match its digest")
    shards = []
    for number, digest in enumerate(manifest.shard_digests):
        name = f"shard-{number}.safetensors"
        content = read(name)
        shard = _checked(name, partial(_shard, content))
        if shard.digest != digest:
            raise CorruptRelease(f"{name} does not match its digest")
        _check_shapes(name, shard, features, manifest.config.components)
        shards.append(shard)
    if release_digest(manifest.config, manifest.features_digest, manifest.shard_digests) != manifest.digest:
        raise CorruptRelease("manifest.json does not match its digest")
    return Release(tuple(shards), features, manifest)


def delete(url: str) -> None:
    """Remove the files of a stored release, the manifest first, and the folder once it is empty.

    Harmless when nothing is there; whatever else lies in the folder stays.
    """
    system, folder = fsspec.core.url_to_fs(url)
    for pattern in ("manifest.json", "manifest.json.part", "features.json", "shard-*.safetensors"):
        for path in system.glob(f"{folder}/{pattern}"):
            system.rm_file(path)
    if system.exists(folder) and not system.ls(folder):
        system.rmdir(folder)


def _shard(content: bytes) -> Shard:
    return Shard(**safetensors.numpy.load(content))


def _check_shapes(name: str, shard: Shard, features: Features, components: int) -> None:
    size = len(features.resources) + len(features.topics)
    expected = (len(features), components), (size, components), (size,)
    if tuple(array.shape for array in _arrays(shard).values()) != expected:
        raise CorruptRelease(f"{name} is not of the shape that the names ask for")


def _checked(name: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (ValidationError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise CorruptRelease(f"{name} cannot be read") from error


def _features_json(features: Features) -> bytes:
    return _canonical({"resources": list(features.resources), "topics": list(features.topics)})


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
