"""What is computed is kept by content, and not computed twice.

A key is the SHA-256 of everything that decides the outcome: the interactions, the model and its settings, the seed,
the code, the libraries. Nothing is ever looked up by a name or a time, so nothing stale is found. What people granted
for `measure` never comes here: no copy of it, nor of lists made from it, is left on a disk where an erasure would not
reach it.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save

import evaluation
import recommender

_LIBRARIES = ("implicit", "lightfm-next", "numpy", "optuna", "polars", "scikit-learn", "scipy", "torch")
_DECIDES = (
    "baselines/*.py", "contestants.py", "erasing.py", "interactions.py", "metrics/*.py", "ours.py", "problem.py",
    "ranking.py", "splits/*.py", "tuning.py", "world.py",
)  # fmt: skip
"""The modules of this package that decide what a model learns and lists; those that report do not. Metrics do: by them settings are chosen."""


@cache
def code() -> str:
    """SHA-256 of the code and the versions of the libraries that decide what a model lists."""
    here, there = (Path(package.__file__ or "").parent for package in (evaluation, recommender))
    files = sorted({file for pattern in _DECIDES for file in here.glob(pattern)} | set(there.glob("*.py")))
    sha = hashlib.sha256()
    for file in files:
        sha.update(file.read_bytes())
    for library, own in versions(_LIBRARIES).items():
        sha.update(f"{library} {own}".encode())
    return sha.hexdigest()


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """The versions of those of these libraries that are installed."""
    found = {}
    for library in libraries:
        with suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def key(**what: Any) -> str:
    """SHA-256 of whatever decides an outcome, as JSON, and of the code."""
    return hashlib.sha256(json.dumps([code(), what], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Cache:
    """A folder of what was computed; with None nothing is kept."""

    folder: Path | None = None

    def journal(self, name: str, key_: str) -> Path | None:
        """Where a search is written down trial by trial, so that it goes on where it was interrupted."""
        if self.folder is None:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{name}-{key_}.journal"

    def load(self, name: str, key_: str) -> tuple[NDArray[Any], Mapping[str, str]] | None:
        """An array and what was said of it; None where there is none, or where the file is damaged."""
        if self.folder is None:
            return None
        try:
            with safetensors.safe_open(self.folder / f"{name}-{key_}.safetensors", framework="numpy") as file:
                return file.get_tensor("array"), file.metadata()
        except (FileNotFoundError, safetensors.SafetensorError):
            return None

    def store(self, name: str, key_: str, array: NDArray[Any], about: Mapping[str, str]) -> None:
        """Keep an array; a reader sees all of it or none."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        content = save({"array": np.ascontiguousarray(array)}, metadata=dict(about))
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
            file.write(content)
        Path(file.name).replace(self.folder / f"{name}-{key_}.safetensors")
