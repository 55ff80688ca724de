"""The models that can be compared, by name, each with what may be chosen for it on validation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType
from typing import Literal

from evaluation.baselines import Ease, ItemWeights, Popularity, RecentPopularity
from evaluation.identity_lightfm import IdentityLightFM
from evaluation.ours import Ours
from evaluation.ranking import Scorer
from recommender.training import TrainingConfig

ModelName = Literal["popularity", "recent_popularity", "ease", "ease_recent", "lightfm_identities", "ours"]
OURS: ModelName = "ours"

_HALF_LIVES = (1.0, 3.0, 7.0, 14.0, 30.0, 90.0, 365.0, 1_500.0)
_PENALTIES = (5.0, 15.0, 50.0, 150.0, 500.0, 1_500.0, 5_000.0)
_LAST = (2, 5, 10, 20, 30, 50)
_EPOCHS = (2, 5, 10, 20, 40)


@dataclass(frozen=True)
class Setting:
    """What the makers of candidates may know: the seed, our training configuration, the topics of items."""

    seed: int = 0
    training: TrainingConfig = field(default_factory=TrainingConfig)
    item_topics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A scorer that may be chosen, with what tells it from the others; empty where there is no choice."""

    scorer: Scorer
    choice: str = ""


@dataclass(frozen=True)
class Contestant:
    """One row of a comparison."""

    title: str
    about: str
    candidates: Callable[[Setting], Sequence[Candidate]]


def _popularity(_: Setting) -> list[Candidate]:
    return [Candidate(Popularity())]


def _recent_popularity(_: Setting) -> list[Candidate]:
    return [Candidate(RecentPopularity(days), f"half-life {days:g} days") for days in _HALF_LIVES]


def _ease(_: Setting) -> list[Candidate]:
    return [Candidate(Ease(penalty), f"λ {penalty:g}") for penalty in _PENALTIES]


def _ease_recent(_: Setting) -> list[Candidate]:
    shared = ItemWeights()
    return [
        Candidate(Ease(p, last, shared), f"λ {p:g}, last {last}") for p, last in product(_PENALTIES, _LAST)
    ]


def _identities(setting: Setting) -> list[Candidate]:
    return [Candidate(IdentityLightFM(epochs, seed=setting.seed), f"{epochs} epochs") for epochs in _EPOCHS]


def _ours(setting: Setting) -> list[Candidate]:
    config = setting.training.model_copy(update={"seed": setting.seed})
    return [Candidate(Ours(config, setting.item_topics))]


CONTESTANTS: Mapping[ModelName, Contestant] = MappingProxyType(
    {
        "popularity": Contestant("Popularity", "the most used items, for everyone", _popularity),
        "recent_popularity": Contestant(
            "Recent popularity", "the most used items, older use fading", _recent_popularity
        ),
        "ease": Contestant("EASE", "closed-form item-to-item model on whole histories", _ease),
        "ease_recent": Contestant(
            "EASE on recent items", "the same, fed each person's latest items only", _ease_recent
        ),
        "lightfm_identities": Contestant(
            "LightFM with identities", "an embedding per person (WARP, 64)", _identities
        ),
        "ours": Contestant(
            "Assent", "profiles of shared events; no person in the model; not tuned here", _ours
        ),
    }
)
"""Every model by the name that configurations use, in the order of reports."""
