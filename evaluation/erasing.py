"""Draws people to be erased, trains our model without them in several ways, and asks for the lists of those who stay."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.cache import Cache, key
from evaluation.config import ErasureDriftConfig, ExperimentConfig
from evaluation.errors import EmptySplitError
from evaluation.interactions import Interactions
from evaluation.metrics import measure
from evaluation.ours import Ours
from evaluation.preparation import Prepared
from evaluation.ranking import Lists

Floats = NDArray[np.float64]
Way = Literal["before", "renewed", "all", "undivided"]
"""Before the erasure; its shards trained anew; all shards trained anew; one undivided model of all who stay."""


@dataclass(frozen=True, eq=False)
class Trained:
    """One model's lists and people's NDCG, with what its training took."""

    lists: Lists
    values: Floats
    seconds: float
    digest: str


@dataclass(frozen=True, eq=False)
class After:
    """One draw of people who are erased: by way, each seed's model; (U,) who stays; how many shards are renewed."""

    models: Mapping[Way, Sequence[Trained]]
    stays: NDArray[np.bool_]
    renewed: int


@dataclass(eq=False)
class Erasing:
    """Draws people, trains without them, and asks for the lists of those who stay."""

    config: ExperimentConfig
    asked: ErasureDriftConfig
    prepared: Prepared
    cache: Cache
    tell: Callable[[str], None]
    _before: dict[int, Ours] = field(default_factory=dict)
    _known: dict[str, Trained] = field(default_factory=dict)

    def after(self, count: int, draw: int) -> After:
        """Erase so many people.

        Raises:
            EmptySplitError: nobody who is measured stays, or there is too little left to learn from.
        """
        exam = self.prepared.folds[0].exam
        random = np.random.default_rng([self.config.seed, count, draw])
        erased = frozenset(random.choice(exam.train.users, count, replace=False).tolist())
        stays = np.array([exam.known.users[person] not in erased for person in exam.people])
        if not stays.any():
            raise EmptySplitError("nobody who is measured stays")
        seeds = range(self.config.seed, self.config.seed + self.asked.seeds)
        ways: tuple[Way, ...] = ("renewed", "all", "undivided")
        models: dict[Way, list[Trained]] = {"before": [self._model("before", seed) for seed in seeds]}
        for way in ways:
            models[way] = [self._model(way, seed, erased) for seed in seeds]
        return After(models, stays, len(self._untrained(0).shards_of(erased)))

    def _model(self, way: Way, seed: int, erased: frozenset[str] = frozenset()) -> Trained:
        exam, depth = self.prepared.folds[0].exam, self.config.k[0]
        own_key = key(
            way=way,
            erased=sorted(erased),
            shards=self.asked.shards,
            setting=self.prepared.setting.digest,
            data=exam.digest,
            depth=depth,
            seed=seed,
            ties=self.config.seed,
        )
        if own_key in self._known:
            return self._known[own_key]
        label = f"erasure drift, {own_key}"
        if (found := self.cache.load("drift", own_key)) is not None:
            lists = exam.recall(found[0].astype(np.intp), label)
            seconds, digest = float(found[1]["seconds"]), found[1]["digest"]
        else:
            self.tell(f"erasure: {len(erased):,} erased, {way}, seed {seed}")
            model, seconds = self._trained(way, seed, erased)
            lists, digest = exam.sit(model, depth, self.config.seed, label), model.release.manifest.digest
            about = {"seconds": str(seconds), "digest": digest}
            self.cache.store("drift", own_key, lists.items.astype(np.int32), about)
        background = self.prepared.folds[0].background
        own = measure(lists, background, ("ndcg",), (depth,))["ndcg", depth].own
        self._known[own_key] = Trained(lists, np.zeros(0) if own is None else own, seconds, digest)
        return self._known[own_key]

    def _trained(self, way: Way, seed: int, erased: frozenset[str]) -> tuple[Ours, float]:
        """The model, and the CPU seconds of this process that it took."""
        train = self.prepared.folds[0].exam.train
        if seed not in self._before:
            self._before[seed] = self._untrained(seed).fit(train)
        before = self._before[seed]
        if way == "before":
            return before, 0.0
        users = tuple(user for user in train.users if user not in erased)
        remaining = Interactions.of(train.events, users, train.items)
        began = time.process_time()
        match way:
            case "renewed":
                model = before.forgetting(remaining, erased)
            case "all":
                model = before.anew(remaining, self.asked.shards)
            case "undivided":
                model = before.anew(remaining, 1)
        return model, time.process_time() - began

    def _untrained(self, seed: int) -> Ours:
        config = self.config.training.model_copy(update={"seed": seed, "shards": self.asked.shards})
        return Ours(config, self.prepared.setting.item_topics)
