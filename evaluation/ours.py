"""The recommender of this project as one of the things compared: trained, and profiles made, by the code that serves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from evaluation.errors import EmptySplitError
from evaluation.interactions import Indices, Interactions
from recommender.errors import NotEnoughData
from recommender.history import History
from recommender.profile import Features
from recommender.release import Release
from recommender.snapshots import present_profiles
from recommender.training import TrainingConfig, train

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
    _queries: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((0, 0), dtype=np.float32), repr=False
    )
    _outputs: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((0, 0), dtype=np.float32), repr=False
    )
    _biases: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, dtype=np.float32), repr=False)

    def fit(self, train: Interactions) -> Self:
        """Train a release, and make everyone's profile of their events in train."""
        topics = sorted(
            {*train.events["topic"].drop_nulls(), *(t for own in self.item_topics.values() for t in own)}
        )
        known = Features(tuple(sorted(train.events["item"].drop_nulls().unique())), tuple(topics))
        today = Features(train.items, tuple(topics))
        release = _trained(train.events, known, self._topics(known), self.config)
        inputs = release.inputs(today, self._topics(today))
        self._outputs, self._biases = release.outputs(today, self._topics(today))
        history = _history(train.events, today)
        profiles = present_profiles(history, today, self.config.profile)
        self._queries = np.zeros((len(train.users), inputs.shape[1]), dtype=np.float32)
        self._queries[_places(train.users, history, today)] = profiles @ inputs
        return self

    def scores(self, users: Indices) -> NDArray[np.float32]:
        """(len(users), I)."""
        return np.asarray(self._queries[users] @ self._outputs.T + self._biases)

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


def _trained(
    events: pl.DataFrame, features: Features, topics: sparse.csr_array, config: TrainingConfig
) -> Release:
    try:
        return train(_history(events, features), features, topics, config, now=_EPOCH)
    except NotEnoughData as error:
        raise EmptySplitError(f"ours cannot be trained on the train part of the split: {error}") from error


def _history(events: pl.DataFrame, features: Features) -> History:
    return History.from_columns(
        events["user"].cast(pl.Binary),
        events["signal"],
        events["item"],
        events["topic"],
        events["value"].fill_null(float("nan")).to_numpy(),
        events["at"].to_numpy(),
        features,
    )


def _places(users: tuple[str, ...], history: History, features: Features) -> Indices:
    """(P,) the index in `users` of each person of a history, found by the seeds that the same ids get again."""
    everyone = pl.DataFrame({"user": users}).select(
        "user", signal=pl.lit("views"), item=pl.lit(features.resources[0]), topic=pl.lit(None, pl.String),
        value=pl.lit(None, pl.Float64), at=pl.lit(0, pl.Int64),
    )  # fmt: skip
    seeds = _history(everyone, features).seeds  # in the order of the ids
    by_id = np.argsort(np.array([user.encode() for user in users], dtype=object))
    by_seed = np.argsort(seeds)
    return np.asarray(by_id[by_seed[np.searchsorted(seeds, history.seeds, sorter=by_seed)]], dtype=np.intp)
