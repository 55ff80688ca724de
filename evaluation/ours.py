"""The recommender of this project as one of the things compared: trained, and profiles made, by the code that serves."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from evaluation.errors import EmptySplitError, ScoreError
from evaluation.interactions import Indices, Interactions
from recommender.errors import NotEnoughData
from recommender.history import History
from recommender.parts import bucket_of, shard_of
from recommender.profile import Features
from recommender.release import Release
from recommender.snapshots import present_profiles
from recommender.training import TrainingConfig, retrain
from recommender.training import rounds as _rounds

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""What the manifest of a release that is thrown away says about when; nothing depends on it."""


@dataclass(eq=False)
class Ours:
    """Profiles of granted events, scored by a release: score = profile @ inputs @ outputsᵀ + biases.

    The release learns from the resources that train knows. The others are placed as serving would place them, by
    their topics alone.

    Attributes:
        config: as in `assent train`.
        item_topics: the topics of each item, as far as they are known.
    """

    config: TrainingConfig = field(default_factory=TrainingConfig)
    item_topics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _release: Release | None = field(default=None, repr=False)
    _asked: tuple[Interactions, NDArray[np.float32]] | None = field(default=None, repr=False)
    _outputs: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False)
    _biases: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)

    def fit(self, train: Interactions) -> Self:
        """Train a release."""
        return self._trained(train, self._features(train))

    def rounds(self, train: Interactions) -> Iterator[int]:
        """See `evaluation.ranking.Iterative`."""
        return self._learning(train, self._features(train))

    def anew(self, remaining: Interactions, shards: int) -> "Ours":
        """Another model over the same catalogue, trained from the beginning on other events in so many shards."""
        other = Ours(self.config.model_copy(update={"shards": shards}), self.item_topics)
        return other._trained(remaining, self.release.features)

    def forgetting(self, remaining: Interactions, erased: Collection[str]) -> "Ours":
        """Another model, put right as an erasure does: only the shards of those erased are trained anew."""
        other = Ours(self.config, self.item_topics)
        with _enough():
            history = _history(remaining.events, self.release.features)
            release = retrain(self.release, history, self.shards_of(erased), now=_EPOCH)
        other._serve(release, remaining.items)
        return other

    def shards_of(self, users: Collection[str]) -> frozenset[int]:
        """The shards that learn from these users."""
        return frozenset(shard_of(bucket_of(_pseudonym(user)), self.config.shards) for user in users)

    def _trained(self, train: Interactions, features: Features) -> Self:
        for _ in self._learning(train, features):
            pass
        return self

    def _learning(self, train: Interactions, features: Features) -> Iterator[int]:
        """Train, and serve what there is after each epoch; yields how many are done."""
        history, topics = _history(train.events, features), self._topics(features)
        with _enough():
            trained = _rounds(history, features, topics, self.config, now=_EPOCH)
            for number, release in enumerate(trained, start=min(1, self.config.epochs)):
                self._serve(release, train.items)
                yield number

    def _serve(self, release: Release, items: tuple[str, ...]) -> None:
        today = Features(items, release.features.topics)
        self._release = release
        self._outputs, self._biases = release.outputs(today, self._topics(today))
        self._asked = None

    @property
    def release(self) -> Release:
        """What was trained.

        Raises:
            RuntimeError: nothing was.
        """
        if self._release is None:
            raise RuntimeError("fit comes first")
        return self._release

    def scores(self, known: Interactions, users: Indices) -> NDArray[np.float32]:
        """(len(users), I) by everyone's profile of what is known of them now."""
        if self._asked is None or self._asked[0] is not known:
            self._asked = (known, self._queries(known))
        return np.asarray(self._asked[1][users] @ self._outputs.T + self._biases)

    def _queries(self, known: Interactions) -> NDArray[np.float32]:
        """(users, d) everyone's profile as a point among the outputs; zeros for who has none."""
        features = Features(known.items, self.release.features.topics)
        inputs = self.release.inputs(features, self._topics(features))
        history = _history(known.events, features)
        queries = np.zeros((len(known.users), inputs.shape[1]), dtype=np.float32)
        profiles = present_profiles(history, features, self.config.profile)
        queries[_places(known.users, history)] = profiles @ inputs
        return queries

    def _features(self, train: Interactions) -> Features:
        """What was used in train, and every topic that is named."""
        named = {topic for own in self.item_topics.values() for topic in own}
        topics = tuple(sorted({*train.events["topic"].drop_nulls(), *named}))
        return Features(tuple(sorted(train.events["item"].drop_nulls().unique())), topics)

    def _topics(self, features: Features) -> sparse.csr_array:
        """(R, T) ones where a resource has a topic."""
        pairs = [
            (row, features.topic_index[topic] - len(features.resources))
            for row, item in enumerate(features.resources)
            for topic in self.item_topics.get(item, ())
        ]
        row, column = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        shape = (len(features.resources), len(features.topics))
        return sparse.csr_array((np.ones(len(row), dtype=np.float32), (row, column)), shape=shape)


@contextmanager
def _enough() -> Iterator[None]:
    """Says in evaluation's words that there is too little to learn from, or that it diverged."""
    try:
        yield
    except NotEnoughData as error:
        raise EmptySplitError(f"ours cannot be trained on the train part of the split: {error}") from error
    except ValueError as error:  # LightFM's word for a model that diverged
        raise ScoreError(f"ours: {error}") from error


def _history(events: pl.DataFrame, features: Features) -> History:
    users = events["user"].unique()
    pseudonyms = pl.DataFrame(
        {"user": users, "pseudonym": [_pseudonym(user) for user in users]},
        schema={"user": pl.String, "pseudonym": pl.Binary},
    )
    return History.from_columns(
        events.join(pseudonyms, on="user", maintain_order="left")["pseudonym"],
        events["signal"],
        events["item"],
        events["topic"],
        events["value"].fill_null(float("nan")).to_numpy(),
        events["at"].to_numpy(),
        features,
    )


def _pseudonym(user: str) -> bytes:
    """As evenly spread as those in service, which have a key besides."""
    return hashlib.sha256(user.encode()).digest()


def _places(users: tuple[str, ...], history: History) -> Indices:
    """(P,) the index in `users` of each person of a history."""
    seeds = np.frombuffer(b"".join(_pseudonym(user)[:8] for user in users), dtype=">u8").astype(np.uint64)
    by_seed = np.argsort(seeds)
    return np.asarray(by_seed[np.searchsorted(seeds, history.seeds, sorter=by_seed)], dtype=np.intp)
