"""What people would get if other events were shared: one model, fitted on some events, asked about people by some of theirs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.cache import Cache, key
from evaluation.config import ConsentValueConfig, ExperimentConfig
from evaluation.contestants import CONTESTANTS
from evaluation.errors import EmptySplitError
from evaluation.interactions import Indices, Interactions
from evaluation.metrics import measure
from evaluation.preparation import Prepared
from evaluation.ranking import Lists, Model
from evaluation.statistics import interval, movements

Floats = NDArray[np.float64]


@dataclass(eq=False)
class _Seeing:
    """A fitted model that is shown less of people than is known; None scores everything alike."""

    model: Model | None
    seen: Interactions

    def fit(self, _train: Interactions) -> Self:
        return self

    def scores(self, known: Interactions, users: Indices) -> NDArray[np.floating]:
        if self.model is None:
            return np.zeros((len(users), len(known.items)))
        return self.model.scores(self.seen, users)


@dataclass(eq=False)
class Learned:
    """The model on some events; fitted with each seed when it is first asked, since what is kept need not be."""

    shared: Interactions
    make: Callable[[int], Model]
    _fitted: dict[int, Model | None] = field(default_factory=dict)

    def model(self, seed: int) -> Model | None:
        """The fitted model; None where the events are too few to learn from."""
        if seed not in self._fitted:
            try:
                found = self.make(seed).fit(self.shared) if len(self.shared.user) else None
            except EmptySplitError:
                found = None
            self._fitted[seed] = found
        return self._fitted[seed]


@dataclass(eq=False)
class World:
    """Fits the model on some events, and asks what people get when some of theirs are seen."""

    config: ExperimentConfig
    asked: ConsentValueConfig
    prepared: Prepared
    cache: Cache = field(default_factory=Cache)
    tell: Callable[[str], None] = lambda _: None
    _numbers: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.fold = self.prepared.folds[0]
        self.exam = self.fold.exam
        self.train, self.known = self.exam.train.events, self.exam.known.events
        self.contestant = CONTESTANTS[self.asked.model]
        seeds = self.asked.seeds if self.contestant.seeded else 1
        self.seeds = range(self.config.seed, self.config.seed + seeds)

    def learned(self, train: pl.DataFrame) -> Learned:
        """The model on these events."""
        users = tuple(sorted(train["user"].unique()))
        shared = Interactions.of(train, users, self.exam.train.items)
        return Learned(
            shared, lambda seed: self.contestant.make(self.prepared.setting, self.contestant.usual, seed)
        )

    def served(self, learned: Learned, known: pl.DataFrame) -> Floats:
        """(U,) people's NDCG, mean over the seeds, when they are seen by these events."""
        seen = Interactions.of(known, self.exam.known.users, self.exam.known.items)
        cell = ("ndcg", self.config.k[0])
        found = []
        for seed in self.seeds:
            lists = self._lists(learned, seen, seed)
            own = measure(lists, self.fold.background, ("ndcg",), (cell[1],))["ndcg", cell[1]].own
            found.append(np.zeros(0) if own is None else own)
        return np.asarray(np.mean(found, axis=0))

    def _lists(self, learned: Learned, seen: Interactions, seed: int) -> Lists:
        name, depth = f"what consent is worth, {next(self._numbers)}", self.config.k[0]
        own_key = key(
            name=self.asked.model,
            settings=dict(self.contestant.usual),
            setting=self.prepared.setting.digest,
            train=learned.shared.digest,
            seen=seen.digest,
            asked=self.exam.digest,
            depth=depth,
            seed=seed,
            ties=self.config.seed,
        )
        if (found := self.cache.load("served", own_key)) is not None:
            return self.exam.recall(found[0].astype(np.intp), name)
        self.tell(name)
        lists = self.exam.sit(_Seeing(learned.model(seed), seen), depth, self.config.seed, name)
        self.cache.store("served", own_key, lists.items.astype(np.int32), {})
        return lists

    def means(self, values: Floats) -> list[tuple[float, float, float]]:
        """Mean and interval of each column of (U, columns)."""
        moved = movements(values, self.config.bootstrap_samples, self.config.seed).T
        centres = values.mean(axis=0).tolist()
        return [
            (mean, *interval(mean, own, self.config.confidence))
            for mean, own in zip(centres, moved, strict=True)
        ]
