"""What is varied, one thing at a time, around the training that ships."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lightfm import LightFM

from benchmarks import starts
from consent.signals import SIGNALS
from recommender import fitting
from recommender.release import TrainingConfig
from recommender.snapshots import presence
from recommender.start import closed_form_start

_SHIPPED = TrainingConfig()


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        factor: what is varied.
        what: how it differs from what ships.
        settings: of `TrainingConfig`, nested as it is.
        parts: what takes the place of something in `recommender.fitting`, by its name there.
        models: how many seeds are trained and averaged.
    """

    factor: str
    what: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)
    models: int = 1

    def config(self, seed: int) -> TrainingConfig:
        """Return the training configuration with a seed."""
        nested = {
            name: {**getattr(_SHIPPED, name).model_dump(), **value} if isinstance(value, dict) else value
            for name, value in self.settings.items()
        }
        return TrainingConfig.model_validate({**_SHIPPED.model_dump(), **nested, "seed": seed})

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have training use its parts."""
        names: dict[str, Any] = vars(fitting)
        former = {name: names[name] for name in self.parts}
        names |= self.parts
        try:
            yield
        finally:
            names |= former


def _profile(what: str, **settings: Any) -> Variant:
    factor = "time scales and decay" if "windows" in settings else "signals"
    return Variant(factor, what, {"profile": settings})


def _strengths(**other: float) -> dict[str, float]:
    return {**_SHIPPED.profile.strengths, **other}


def _start(what: str, start: Callable[..., Any], **settings: Any) -> Variant:
    return Variant("start", what, settings, {"closed_form_start": start})


DEFAULTS = Variant("", "the defaults")

VARIANTS = (
    _profile("one window of 10 events", windows=(10,)),
    _profile("one window of 30 events", windows=(30,)),
    _profile("windows of 3, 10 and 30", windows=(3, 10, 30)),
    _profile("windows of 10, 30 and 100", windows=(10, 30, 100)),
    _profile("windows of 2, 5 and 20", windows=(2, 5, 20)),
    _profile("windows of 5, 10, 30 and 100", windows=(5, 10, 30, 100)),
    _profile("smooth decay: every window from 1 to 40", windows=tuple(range(1, 41))),
    _profile("views count half", strengths=_strengths(views=0.5)),
    _profile("views count double", strengths=_strengths(views=2.0)),
    _profile("views do not count", strengths=_strengths(views=0.0)),
    _profile(
        "everything but views counts double",
        strengths={name: 1.0 if name == "views" else 2.0 for name in SIGNALS if name != "impressions"},
    ),
    _profile("every rating counts, however low", liked_from=0.0),
    _profile("ratings count from 4 stars on", liked_from=4.0),
    Variant("L2", "none", {"l2": 0.0}),
    Variant("L2", "1e-6", {"l2": 1e-6}),
    Variant("L2", "5e-5", {"l2": 5e-5}),
    Variant("components", "32", {"components": 32}),
    Variant("components", "128", {"components": 128}),
    Variant("cuts and positives", "16 cuts", {"snapshots": {"cuts": 16}}),
    Variant("cuts and positives", "64 cuts", {"snapshots": {"cuts": 64}}),
    Variant("cuts and positives", "64 cuts, 2 epochs", {"snapshots": {"cuts": 64}, "epochs": 2}),
    Variant("cuts and positives", "5 positives", {"snapshots": {"positives": 5}}),
    Variant("cuts and positives", "20 positives", {"snapshots": {"positives": 20}}),
    Variant("sampling", "popular positives take smaller steps", {}, {"LightFM": starts.RareFirst}),
    Variant("sampling", "10 negatives tried", {"max_sampled": 10}),
    Variant("sampling", "100 negatives tried", {"max_sampled": 100}),
    Variant("loss", "WARP of the k-th best positive", {}, {"LightFM": starts.KthOrderStatistic}),
    Variant("loss", "BPR", {}, {"LightFM": starts.Pairs}),
    Variant("steps", "2 epochs", {"epochs": 2}),
    Variant("steps", "8 epochs", {"epochs": 8}),
    Variant("steps", "learning rate 0.02", {"learning_rate": 0.02}),
    Variant("steps", "learning rate 0.08", {"learning_rate": 0.08}),
    _start("random numbers", starts.random_numbers),
    _start("the start alone, no WARP", closed_form_start, epochs=0),
    _start("EASE", starts.from_matrix(starts.ease)),
    _start("SLIM", starts.from_matrix(starts.slim)),
    _start("co-occurrence", starts.from_matrix(starts.co_occurrence)),
    _start("iALS", starts.from_matrix(starts.ials)),
    Variant("start", "older events fade in it", {}, {"presence": starts.fading_presence}),
    Variant("start", "lambda 100", {"start_lambda": 100.0}),
    Variant("start", "lambda 2,000", {"start_lambda": 2_000.0}),
    Variant("start", "scale 6", {"start_scale": 6.0}),
    Variant("start", "scale 18", {"start_scale": 18.0}),
    Variant("averaging", "2 shards", {"shards": 2}),
    Variant("averaging", "4 shards", {"shards": 4}),
    Variant("averaging", "the mean of 3 seeds", models=3),
    Variant("tags", "none in profiles", {"profile_topic_share": 0.0}),
    Variant("tags", "twice as much in profiles", {"profile_topic_share": 0.5}),
    Variant("tags", "none on resources", {"resource_topic_share": 0.0}),
    Variant("tags", "half as much on resources", {"resource_topic_share": 0.5}),
    Variant("popularity prior", "biases begin with it", {}, {"LightFM": starts.PopularityPrior}),
)
"""Everything that is tried; what ships is `DEFAULTS`."""

assert {name for each in VARIANTS for name in each.parts} <= {"LightFM", "closed_form_start", "presence"}
assert vars(fitting)["LightFM"] is LightFM
assert vars(fitting)["presence"] is presence
