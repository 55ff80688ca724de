"""What consent is worth: each signal's part in accuracy, accuracy by who opts in, and what each kind of person gets.

All is NDCG at the first cut-off on the first fold's test, by one model of its usual settings, which is chosen beforehand.
What people used is left out of their lists whatever they share, so that all lists are about the same question. Where nothing
can be learned, all items are scored alike, and their order is the random one of ties.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consent.purposes import Purpose
from consent.signals import SIGNALS as OFFERED
from evaluation.cache import Cache
from evaluation.config import ConsentValueConfig, ExperimentConfig
from evaluation.contestants import CONTESTANTS
from evaluation.interactions import Indices
from evaluation.preparation import Prepared
from evaluation.selection import bounds, no_assumption, propensities, related, weighted
from evaluation.shapley import shapley
from evaluation.statistics import apart, verdict
from evaluation.world import Learned, World

Floats = NDArray[np.float64]
_SLOPE = 1.5
"""Of opting in that is related to engagement: one standard deviation multiplies the odds by 4.5."""

SIGNALS = {
    "signal": pl.String(),
    "way": pl.String(),
    "people": pl.Int64(),
    "worth": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "verdict": pl.String(),
    "sampling_error": pl.Float64(),
}
"""A row for each signal and way: `refit` (nobody shares it: the model and the profiles are without it), `serve` (the model
learned from it, and the profiles are without it) and `shapley` (its share of what all signals give together). `worth` is what it adds to
NDCG, with its bootstrap interval over people; `people` share it; `sampling_error` is the standard error of sampled shares."""

OPT_IN = {
    "chosen_by": pl.String(),
    "share": pl.Float64(),
    "opted_in": pl.Float64(),
    "everyone": pl.Float64(),
    "everyone_sd": pl.Float64(),
    "consenters": pl.Float64(),
    "others": pl.Float64(),
    "if_all": pl.Float64(),
    "weighted": pl.Float64(),
    "factor_low": pl.Float64(),
    "factor_high": pl.Float64(),
    "worst": pl.Float64(),
    "best": pl.Float64(),
}
"""A row for each way of opting in and share, means over draws. `everyone`, `consenters` and `others` (who opted out) are as served;
`if_all` is what all would get from the same model if they opted in. From consenters alone, `weighted` estimates it, `factor_low` and
`factor_high` bound that where the odds of opting in are off by the factor, `worst` and `best` where nothing is assumed."""

UTILITY = {
    "shares": pl.String(),
    "people": pl.Int64(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "less_than_all": pl.Float64(),
    "less_low": pl.Float64(),
    "less_high": pl.Float64(),
}
"""A row for sharing `all`, `one signal` (the one used most) and `nothing`: the same people served in each of the three ways, by a
model that a third of people shared all with, a third one signal, a third nothing.

Where it is known what people granted, also a row for those who `granted all` that may be measured and those who `granted some`, as
they are served by the model of what everyone shares; `less_than_all` is then the first group's mean minus the second's, who are
other people, and no values stand where either group is smaller than `slice_people`. Who granted nothing has no events to measure by;
`nothing` is what they would get."""


@dataclass(frozen=True, eq=False)
class ConsentValue:
    """What consent is worth; columns as `SIGNALS`, `OPT_IN` and `UTILITY`."""

    signals: pl.DataFrame
    opt_in: pl.DataFrame
    utility: pl.DataFrame
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        frames = {"signals": self.signals, "opt_in": self.opt_in, "utility": self.utility}
        return {name: frame.to_dicts() for name, frame in frames.items()} | {"notes": list(self.notes)}


def consent_value(
    config: ExperimentConfig,
    asked: ConsentValueConfig,
    prepared: Prepared,
    cache: Cache | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> ConsentValue:
    """Measure what consent is worth.

    Args:
        config: says the cut-off, seed and intervals.
        asked: the model, and how much may be fitted.
        prepared: not asked this before: the test takes each question once.
        cache: where lists are kept by content, so that an interrupted run goes on.
        tell: called before each fit.

    Raises:
        ExamTakenError: it was.
    """
    world = World(config, asked, prepared, cache or Cache(), tell)
    signals = sorted(set(world.train["signal"]) - {"impressions"})
    notes = [
        f"By {CONTESTANTS[asked.model].title}, seeds: {asked.seeds}; opting in is simulated, draws of each share: {asked.draws}."
    ]
    if len(prepared.folds) > 1:
        notes.append("Measured on the first fold alone.")
    if len(signals) == 1:
        notes.append("There is one signal alone, so sharing one signal is sharing all.")
    full = world.learned(world.train)
    shared = world.served(full, world.known)
    utility = pl.DataFrame([*_utility(world), *_by_grants(world, shared)], schema=UTILITY, orient="row")
    return ConsentValue(_signals(world, signals, full, shared), _opt_in(world), utility, tuple(notes))


def _signals(world: World, signals: list[str], full: Learned, all_shared: Floats) -> pl.DataFrame:
    def value(shared: frozenset[str]) -> Floats:
        held = pl.col("signal").is_in(sorted(shared))
        return world.served(world.learned(world.train.filter(held)), world.known.filter(held))

    known: dict[frozenset[str], Floats] = {}

    def once(shared: frozenset[str]) -> Floats:
        if shared not in known:
            known[shared] = value(shared)
        return known[shared]

    together = frozenset(signals)
    known[together] = all_shared
    shares = shapley(signals, once, world.asked.subsets, world.config.seed)
    lost = {
        "refit": [all_shared - once(together - {name}) for name in signals],
        "serve": [
            all_shared - world.served(full, world.known.filter(pl.col("signal") != name)) for name in signals
        ],
        "shapley": list(shares.of),
    }
    people = {name: _sharing(world, name) for name in signals}
    rows = []
    for way, own in lost.items():
        for place, (worth, low, high) in enumerate(world.means(np.stack(own, axis=1))):
            error = float(shares.errors[place]) if way == "shapley" and shares.errors is not None else None
            name = signals[place]
            rows.append((name, way, people[name], worth, low, high, verdict(low, high), error))
    return pl.DataFrame(rows, schema=SIGNALS, orient="row")


def _sharing(world: World, signal: str) -> int:
    """How many people share a signal: of those known, those who granted it, or who used it where grants are not known."""
    grants = world.prepared.dataset.grants
    if grants is None:
        return world.known.filter(signal=signal)["user"].n_unique()
    return sum(signal in grants.get(user, ()) for user in world.exam.known.users)


def _opt_in(world: World) -> pl.DataFrame:
    counts = dict(pl.concat([world.train, world.known]).unique().group_by("user").len().iter_rows())
    users = np.array(sorted(counts))
    log = np.log([counts[user] for user in users])
    engagement = (log - log.mean()) / (log.std() or 1.0)
    measured = np.searchsorted(users, [world.exam.known.users[index] for index in world.exam.people])
    rows = []
    for way, slope in (("chance", 0.0), ("engagement", _SLOPE)):
        for place, share in enumerate(world.asked.opt_in):
            chances = related(engagement, share, slope)
            draws = []
            for draw in range(world.asked.draws):
                random = np.random.default_rng([world.config.seed, place, draw])
                opted = random.random(len(users)) < chances
                if opted[measured].any():
                    draws.append(_drawn(world, users, engagement, measured, opted))
            rows.append({"chosen_by": way, "share": share} | _averaged(draws))
    return pl.DataFrame(rows, schema=OPT_IN, orient="row")


def _drawn(
    world: World, users: NDArray[np.str_], engagement: Floats, measured: Indices, opted: NDArray[np.bool_]
) -> dict[str, float]:
    held = pl.col("user").is_in(users[opted].tolist())
    learned = world.learned(world.train.filter(held))
    everyone, if_all = world.served(learned, world.known.filter(held)), world.served(learned, world.known)
    mine = opted[measured]
    chances = propensities(engagement, opted)[measured][mine]
    low, high = bounds(everyone[mine], chances, world.asked.factor)
    worst, best = no_assumption(float(everyone[mine].mean()), float(mine.mean()))
    others = {} if mine.all() else {"others": float(everyone[~mine].mean())}
    return others | {
        "opted_in": float(opted.mean()),
        "everyone": float(everyone.mean()),
        "consenters": float(everyone[mine].mean()),
        "if_all": float(if_all.mean()),
        "weighted": weighted(everyone[mine], chances),
        "factor_low": low,
        "factor_high": high,
        "worst": worst,
        "best": best,
    }


def _averaged(draws: list[dict[str, float]]) -> dict[str, float]:
    """Means over the draws that have a value; nothing where nobody who is measured opted in."""
    names = {name for draw in draws for name in draw}
    found = {name: float(np.mean([draw[name] for draw in draws if name in draw])) for name in names}
    if len(draws) > 1:
        found["everyone_sd"] = float(np.std([draw["everyone"] for draw in draws], ddof=1))
    return found


def _utility(world: World) -> list[tuple[Any, ...]]:
    users = np.array(sorted({*world.train["user"], *world.known["user"]}))
    third = np.random.default_rng([world.config.seed, 3]).integers(0, 3, len(users))
    everything, one = users[third == 0].tolist(), users[third == 1].tolist()
    train = pl.concat(
        [
            world.train.filter(pl.col("user").is_in(everything)),
            _one_signal(world.train).filter(pl.col("user").is_in(one)),
        ]
    )
    learned = world.learned(train)
    seen = {"all": world.known, "one signal": _one_signal(world.known), "nothing": world.known.clear()}
    own = np.stack([world.served(learned, known) for known in seen.values()], axis=1)
    values, less = world.means(own), world.means(own[:, :1] - own)
    return [(name, len(own), *value, *gap) for name, value, gap in zip(seen, values, less, strict=True)]


def _by_grants(world: World, own: Floats) -> list[tuple[Any, ...]]:
    """Rows of `UTILITY` for people as they granted; none where that is not known."""
    grants = world.prepared.dataset.grants
    if grants is None:
        return []
    offered = {each.id for each in OFFERED.values() if Purpose.MEASURE in each.purposes}
    users = [world.exam.known.users[person] for person in world.exam.people]
    everything = np.array([offered <= grants.get(user, frozenset()) for user in users], dtype=np.bool_)
    all_, some = own[everything], own[~everything]
    enough = world.config.slice_people
    rows: list[tuple[Any, ...]] = []
    for name, values in (("granted all", all_), ("granted some", some)):
        value = world.means(values[:, None])[0] if len(values) >= enough else (None,) * 3
        less: tuple[float | None, ...] = (None,) * 3
        if name == "granted some" and min(len(all_), len(some)) >= enough:
            less = apart(all_, some, world.config.confidence)
        rows.append((name, len(values), *value, *less))
    return rows


def _one_signal(events: pl.DataFrame) -> pl.DataFrame:
    """Each person's events of the signal that they used most; of equals the first by name."""
    counted = events.filter(pl.col("signal") != "impressions").group_by("user", "signal").len()
    most = counted.sort("user", "len", "signal", descending=[False, True, False]).unique(
        "user", keep="first", maintain_order=True
    )
    return events.join(
        most.select("user", "signal"), on=["user", "signal"], how="semi", maintain_order="left"
    )
