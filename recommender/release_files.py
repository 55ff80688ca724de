"""Releases in files: a folder under any fsspec URL, on a disk or in an object store.

`shard-N.safetensors` are what is served, `check-N.safetensors` what the release was tried with before it was promoted,
`features.json` the names of the rows. `manifest.json` is written last, so that a half-written release is never taken
for a whole one. Nothing here is of people: neither rows nor leaves of the trees of commitments.

The files vouch for one another: the manifest has the digests of the rest. For the manifest vouches the registry, which
lies apart from the files and keeps its SHA-256.
"""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from hashlib import sha256
from typing import Any, Protocol, TypeVar

import fsspec
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError

from recommender.errors import CorruptRelease, StoreUnreachable
from recommender.profile import Features
from recommender.release import (
    Manifest,
    Release,
    Shard,
    arrays_of,
    features_digest,
    features_json,
    features_of,
    manifest_json,
    release_digest,
)

T = TypeVar("T")

MANIFEST = "manifest.json"
_FILES = ("features.json", "shard-*.safetensors", "check-*.safetensors")


class Registered(Protocol):
    """What the registry knows of a release."""

    @property
    def digest(self) -> str:
        """What its manifest gives as its digest."""

    @property
    def manifest_sha256(self) -> str | None:
        """The SHA-256 of its manifest's bytes; None for one that was registered before that was kept."""


def save(release: Release, url: str, tried: Sequence[tuple[Shard, NDArray[np.float32]]] = ()) -> None:
    """Store a release in the folder that an fsspec URL names, in place of what was there; the manifest last.

    Args:
        release: what is to be served.
        url: where.
        tried: the shards it was tried with, each with how many people took up each resource (R,).
    """
    delete(url)
    system, folder = fsspec.core.url_to_fs(url)
    system.makedirs(folder, exist_ok=True)
    for number, shard in enumerate(release.shards):
        _write(system, f"{folder}/shard-{number}.safetensors", arrays_of(shard))
    for number, (shard, uptakes) in enumerate(tried):
        _write(system, f"{folder}/check-{number}.safetensors", {**arrays_of(shard), "uptakes": uptakes})
    system.pipe_file(f"{folder}/features.json", features_json(release.features, release.resource_topics))
    # A disk shows a file while it is being written; an object store does not, and may not be able to rename.
    manifest = manifest_json(release.manifest)
    if "file" in _protocols(system):
        system.pipe_file(f"{folder}/{MANIFEST}.part", manifest)
        system.mv(f"{folder}/{MANIFEST}.part", f"{folder}/{MANIFEST}")
    else:
        system.pipe_file(f"{folder}/{MANIFEST}", manifest)


def _protocols(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def _write(system: Any, path: str, arrays: dict[str, NDArray[np.float32]]) -> None:
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    system.pipe_file(path, safetensors.numpy.save(contiguous))


def load(url: str, registered: Registered | None = None) -> Release:
    """Read a release and check every digest.

    Args:
        url: where it is.
        registered: what the registry knows of it; without that, files that fit together are taken for what was saved.

    Raises:
        CorruptRelease: something is missing, of an unknown format, or not what was saved.
        StoreUnreachable: where it is kept does not answer.
    """
    manifest = load_manifest(url, registered)
    features, resource_topics = _checked("features.json", lambda: features_of(_read(url, "features.json")))
    if features_digest(features, resource_topics) != manifest.features_digest:
        raise CorruptRelease("features.json does not match its digest")
    shards = tuple(
        _shard(url, f"shard-{number}.safetensors", manifest, features, digest)[0]
        for number, digest in enumerate(manifest.shard_digests)
    )
    return Release(shards, features, resource_topics, manifest)


def load_manifest(url: str, registered: Registered | None = None) -> Manifest:
    """Read what is known of a release, and check that it is what was registered, as far as that is known.

    By itself a manifest shows that settings, names and arrays belong together. What it says beside that, such as whose
    rows it learned from and until when, is as good as its SHA-256 in the registry.

    Raises:
        CorruptRelease: it is missing, of an unknown format, or not what was saved.
    """
    content = _read(url, MANIFEST)
    manifest = _checked(MANIFEST, lambda: Manifest.model_validate_json(content))
    if release_digest(manifest.config, manifest.features_digest, manifest.shard_digests) != manifest.digest:
        raise CorruptRelease(f"{MANIFEST} does not match its digest")
    if len(manifest.shards) != manifest.config.shards:
        raise CorruptRelease(f"{MANIFEST} has not as many shards as it was made with")
    if registered is not None and manifest.digest != registered.digest:
        raise CorruptRelease(f"{MANIFEST} is of another release")
    if registered is not None and registered.manifest_sha256 not in {None, sha256(content).hexdigest()}:
        raise CorruptRelease(f"{MANIFEST} is not the one that was registered")
    return manifest


def load_tried(url: str, release: Release) -> tuple[tuple[Shard, NDArray[np.float32]], ...]:
    """Read the shards that a release was tried with, each with how many people took up each resource (R,).

    Raises:
        CorruptRelease: something is missing or not what was saved.
    """
    records = release.manifest.check.shards if release.manifest.check else ()
    tried = []
    for number, record in enumerate(records):
        name = f"check-{number}.safetensors"
        shard, rest = _shard(url, name, release.manifest, release.features, record.digest)
        if "uptakes" not in rest or rest["uptakes"].shape != (len(release.features.resources),):
            raise CorruptRelease(f"{name} does not say what was taken up")
        tried.append((shard, rest["uptakes"]))
    return tuple(tried)


def delete(url: str) -> None:
    """Remove the files of a stored release, the manifest first, and the folder once it is empty.

    Harmless when nothing is there; whatever else lies in the folder stays.
    """
    system, folder = fsspec.core.url_to_fs(url)
    system.invalidate_cache(folder)
    try:
        # Listed and not globbed: what is a pattern in the folder's own path would match other files, or none.
        paths = system.ls(folder, detail=False)
    except FileNotFoundError:
        return
    for pattern in (MANIFEST, f"{MANIFEST}.part", *_FILES):
        for path in paths:
            if fnmatchcase(path.rpartition("/")[2], pattern):
                system.rm_file(path)
    system.invalidate_cache(folder)
    if system.exists(folder) and not system.ls(folder, detail=False):
        system.rmdir(folder)


def stored(url: str) -> list[str]:
    """Return the names of the folders under an fsspec URL: the releases that lie there."""
    system, folder = fsspec.core.url_to_fs(url.rstrip("/"))
    system.invalidate_cache()
    if not system.exists(folder):
        return []
    return [
        each["name"].rstrip("/").rpartition("/")[2]
        for each in system.ls(folder, detail=True)
        if each["type"] == "directory"
    ]


def _read(url: str, name: str) -> bytes:
    try:
        system, folder = fsspec.core.url_to_fs(url)
        return bytes(system.cat_file(f"{folder}/{name}"))
    except FileNotFoundError as error:
        raise CorruptRelease(f"{name} is missing") from error
    except Exception as error:  # every file system raises its own when it cannot be reached
        raise StoreUnreachable(f"{name} cannot be read: {type(error).__name__}") from error


def _shard(
    url: str, name: str, manifest: Manifest, features: Features, digest: str
) -> tuple[Shard, dict[str, NDArray[np.float32]]]:
    """Read one file: its shard, and what else is in it."""
    content = _read(url, name)
    shard, rest = _checked(name, partial(_parsed, content))
    if shard.digest != digest:
        raise CorruptRelease(f"{name} does not match its digest")
    expected = arrays_of(Shard.empty(features, manifest.config))
    if any(array.shape != expected[key].shape for key, array in arrays_of(shard).items()):
        raise CorruptRelease(f"{name} is not of the shape that the names ask for")
    if not all(np.isfinite(array).all() for array in arrays_of(shard).values()):
        raise CorruptRelease(f"{name} holds numbers that are not finite")
    return shard, rest


def _parsed(content: bytes) -> tuple[Shard, dict[str, NDArray[np.float32]]]:
    arrays = safetensors.numpy.load(content)
    own = {
        name: arrays.pop(name) for name in ("feature_embeddings", "resource_embeddings", "resource_biases")
    }
    return Shard(**own), arrays


def _checked(name: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (ValidationError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise CorruptRelease(f"{name} cannot be read") from error
