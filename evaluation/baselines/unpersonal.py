"""Baselines that know nothing of the person."""

import hashlib
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evaluation.interactions import Indices, Interactions
from recommender.mixing import mix

_DAY = 86_400_000_000
"""A day in microseconds."""


@dataclass(eq=False)
class RandomScores:
    """A random list for each person: what any figure is worth when nothing is known. The seed and the ids decide."""

    seed: int = 0

    def fit(self, _train: Interactions) -> Self:
        """Learn nothing."""
        return self

    def scores(self, known: Interactions, users: Indices) -> NDArray[np.float64]:
        """(len(users), I) numbers from 0 to 1, of a counter mixed with the person's id, so that batches change nothing."""
        digests = (hashlib.sha256(f"{self.seed}:{known.users[user]}".encode()).digest()[:8] for user in users)
        own = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
        items = mix(np.arange(len(known.items), dtype=np.uint64))
        return np.asarray(mix(own[:, None] ^ items) / 2.0**64)


@dataclass(eq=False)
class Popularity:
    """The same list for all: score(item) = how many people took it up."""

    _counts: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), repr=False)

    def fit(self, train: Interactions) -> Self:
        """Count."""
        counts = np.bincount(train.item, minlength=len(train.items))
        self._counts = counts.astype(np.float64)
        return self

    def scores(self, _known: Interactions, users: Indices) -> NDArray[np.float64]:
        """(len(users), I) the same row for everyone."""
        return np.broadcast_to(self._counts, (len(users), len(self._counts)))


@dataclass(eq=False)
class RecentPopularity:
    """Popularity that fades: score(item) = sum over its uptakes of 2^(-age / half-life).

    Age is counted from the last uptake in train. Source: Ji, Sun, Zhang and Li, "A re-visit of the popularity baseline
    in recommender systems", SIGIR 2020.
    """

    half_life_days: float
    _faded: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), repr=False)

    def fit(self, train: Interactions) -> Self:
        """Add up the faded uptakes."""
        age = (train.at.max() - train.at) / _DAY
        self._faded = np.bincount(
            train.item, weights=np.exp2(-age / self.half_life_days), minlength=len(train.items)
        ).astype(np.float64)
        return self

    def scores(self, _known: Interactions, users: Indices) -> NDArray[np.float64]:
        """(len(users), I) the same row for everyone."""
        return np.broadcast_to(self._faded, (len(users), len(self._faded)))
