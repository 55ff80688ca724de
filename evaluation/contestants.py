"""The models that can be compared, by name, each with what may be chosen for it on validation."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Literal

from evaluation.baselines import (
    Bpr,
    Ease,
    IdentityLightFM,
    ImplicitAls,
    ItemNeighbours,
    Popularity,
    RandomScores,
    RecentPopularity,
)
from evaluation.ours import Ours
from evaluation.ranking import Model
from recommender.training import TrainingConfig

ModelName = Literal[
    "random",
    "popularity",
    "recent_popularity",
    "item_knn",
    "ease",
    "ease_recent",
    "ials",
    "bpr",
    "lightfm_identities",
    "sasrec",
    "ours_shipped",
    "ours",
]
OURS: ModelName = "ours"
SHIPPED: ModelName = "ours_shipped"

Settings = Mapping[str, Any]
"""What was chosen for a model, by name: numbers and text, as JSON can hold them."""


@dataclass(frozen=True)
class Span:
    """Numbers that may be chosen, both ends included; `log` where factors matter more than differences."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Choice:
    """A few values that may be chosen."""

    values: tuple[int | str, ...]


@dataclass(frozen=True)
class Setting:
    """What the makers of models may know beside what is chosen: our training configuration, the topics of items."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    item_topics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content."""
        content = [self.training.model_dump(mode="json"), sorted(self.item_topics.items())]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Contestant:
    """One row of a comparison.

    Attributes:
        title: what people read.
        about: one clause for readers of a report.
        make: gives a new model, not fitted, of the settings and a seed.
        space: what may be chosen on validation; empty where nothing is left open.
        usual: a point of the space that is tried first, and taken where nothing is tried.
        seeded: whether another seed gives another model.
        needs: a library that is no part of the extra `evaluation`; the extra that it comes with has the model's name.
    """

    title: str
    about: str
    make: Callable[[Setting, Settings, int], Model]
    space: Mapping[str, Span | Choice] = field(default_factory=dict)
    usual: Settings = field(default_factory=dict)
    seeded: bool = False
    needs: str | None = None

    @property
    def available(self) -> bool:
        """Whether what it needs is installed."""
        return self.needs is None or find_spec(self.needs) is not None


_COMPONENTS = Choice((32, 64, 128))


def _ours(setting: Setting, chosen: Settings, seed: int) -> Model:
    values = dict(chosen)
    config = setting.training
    if windows := values.pop("windows", None):
        profile = config.profile.model_copy(update={"windows": tuple(map(int, windows.split()))})
        config = config.model_copy(update={"profile": profile})
    return Ours(config.model_copy(update={**values, "seed": seed}), setting.item_topics)


def _sasrec(_: Setting, chosen: Settings, seed: int) -> Model:
    from evaluation.baselines.sasrec import SasRec  # noqa: PLC0415  an extra

    return SasRec(**chosen, seed=seed)


CONTESTANTS: Mapping[ModelName, Contestant] = MappingProxyType(
    {
        "random": Contestant(
            "Random", "a random list for each person", lambda _, __, seed: RandomScores(seed), seeded=True
        ),
        "popularity": Contestant(
            "Popularity", "the most used items, for everyone", lambda _, __, ___: Popularity()
        ),
        "recent_popularity": Contestant(
            "Recent popularity",
            "the same, older use fading",
            lambda _, chosen, __: RecentPopularity(**chosen),
            space={"half_life_days": Span(0.5, 3_000, log=True)},
            usual={"half_life_days": 30.0},
        ),
        "item_knn": Contestant(
            "Item-kNN",
            "items that the same people took up: cosine, shrunk",
            lambda _, chosen, __: ItemNeighbours(**chosen),
            space={
                "neighbours": Span(5, 1_000, log=True, whole=True),
                "shrinkage": Span(0.1, 1_000, log=True),
            },
            usual={"neighbours": 100, "shrinkage": 10.0},
        ),
        "ease": Contestant(
            "EASE",
            "closed-form item-to-item model on whole histories",
            lambda _, chosen, __: Ease(**chosen),
            space={"penalty": Span(1, 5_000, log=True)},
            usual={"penalty": 250.0},
        ),
        "ease_recent": Contestant(
            "EASE on recent items",
            "the same, fed each person's latest items alone",
            lambda _, chosen, __: Ease(**chosen),
            space={"penalty": Span(1, 5_000, log=True), "last": Span(1, 100, log=True, whole=True)},
            usual={"penalty": 250.0, "last": 10},
        ),
        "ials": Contestant(
            "iALS",
            "matrix factorisation by weighted least squares (implicit)",
            lambda _, chosen, seed: ImplicitAls(**chosen, seed=seed),
            space={
                "components": _COMPONENTS,
                "penalty": Span(1e-3, 100, log=True),
                "weight": Span(0.1, 100, log=True),
            },
            usual={"components": 64, "penalty": 0.01, "weight": 1.0},
            seeded=True,
        ),
        "bpr": Contestant(
            "BPR",
            "matrix factorisation by pairs (implicit)",
            lambda _, chosen, seed: Bpr(**chosen, seed=seed),
            space={
                "components": _COMPONENTS,
                "penalty": Span(1e-4, 0.1, log=True),
                "learning_rate": Span(0.005, 0.2, log=True),
            },
            usual={"components": 64, "penalty": 0.01, "learning_rate": 0.05},
            seeded=True,
        ),
        "lightfm_identities": Contestant(
            "LightFM with identities",
            "an embedding per person, WARP",
            lambda _, chosen, seed: IdentityLightFM(**chosen, seed=seed),
            space={
                "components": _COMPONENTS,
                "penalty": Span(1e-7, 1e-4, log=True),
                "learning_rate": Span(0.01, 0.2, log=True),
            },
            usual={"components": 64, "penalty": 1e-6, "learning_rate": 0.05},
            seeded=True,
        ),
        "sasrec": Contestant(
            "SASRec",
            "self-attention over each person's latest items (PyTorch)",
            _sasrec,
            space={
                "components": Choice((32, 64)),
                "blocks": Choice((1, 2)),
                "length": Choice((20, 50)),
                "dropout": Span(0.1, 0.6),
                "learning_rate": Span(3e-4, 5e-3, log=True),
            },
            usual={
                "components": 64,
                "blocks": 1,
                "length": 50,
                "dropout": 0.3,
                "learning_rate": 2e-3,
            },
            seeded=True,
            needs="torch",
        ),
        "ours_shipped": Contestant(
            "Assent as shipped",
            "the release that `assent train` would make by its defaults",
            lambda setting, _, seed: _ours(setting, {}, seed),
            seeded=True,
        ),
        "ours": Contestant(
            "Assent",
            "profiles of shared events; no person in the model",
            _ours,
            space={
                "components": _COMPONENTS,
                "epochs": Span(1, 8, whole=True),
                "learning_rate": Span(0.01, 0.1, log=True),
                "l2": Span(1e-6, 1e-4, log=True),
                "start_scale": Span(4, 24, log=True),
                "windows": Choice(("5 10 30 100", "5 10 30", "10 30 100", "2 5 20", "10")),
            },
            usual={
                "components": 64,
                "epochs": 4,
                "learning_rate": 0.04,
                "l2": 1e-5,
                "start_scale": 12.0,
                "windows": "5 10 30 100",
            },
            seeded=True,
        ),
    }
)
"""Every model by the name that configurations use, in the order of reports."""


def told(settings: Settings) -> str:
    """Settings as people read them."""
    return ", ".join(f"{name.replace('_', ' ')} {_written(value)}" for name, value in settings.items())


def _written(value: float | str) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
