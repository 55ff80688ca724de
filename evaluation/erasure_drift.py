"""What erasing people does to the lists of those who stay, and what it costs to put a release right shard by shard.

Some people are erased from what our model learned from. It is put right as the service does it: the shards that held one of
them are trained anew, the others stay. Those who stay are then asked for their lists, of the first fold's test, and these are
held against the lists before the erasure, and against full retraining: one undivided model of all who stay. How far lists
move when nothing but the seed changes is the yardstick.

Sources: sharded retraining, Bourtoule et al., "Machine unlearning", IEEE S&P 2021; of recommenders, Chen et al., WWW 2022.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.cache import Cache
from evaluation.config import ErasureDriftConfig, ExperimentConfig
from evaluation.erasing import After, Erasing, Trained
from evaluation.errors import EmptySplitError
from evaluation.overlap import jaccard, rbo
from evaluation.preparation import Prepared
from evaluation.statistics import interval, movements, verdict

Floats = NDArray[np.float64]

DRIFT = {
    "share": pl.Float64(),
    "erased": pl.Int64(),
    "against": pl.String(),
    "people": pl.Int64(),
    "jaccard": pl.Float64(),
    "jaccard_low": pl.Float64(),
    "jaccard_high": pl.Float64(),
    "rbo": pl.Float64(),
    "rbo_low": pl.Float64(),
    "rbo_high": pl.Float64(),
    "noise": pl.String(),
    "value": pl.Float64(),
    "other": pl.Float64(),
    "difference": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "verdict": pl.String(),
}
"""A row for each share of people erased and each comparison, `against`:

- `before`: the model put right against the model before the erasure.
- `undivided`: the model put right against full retraining of one undivided model on those who stay.
- `seed` and `undivided_seed`: the yardsticks: the model put right, and the undivided one, against themselves under another seed.

`jaccard` and `rbo` are the overlap of a person's two lists (`evaluation.overlap`), means over the `people` measured who stay,
with bootstrap intervals. `noise` says whether lists move more than under another seed, by the interval of the difference in Jaccard
from the yardstick; null for the yardsticks. `value` is the first one's NDCG, `other` the second's; `difference`, its interval and
`verdict` are paired, and said of the first.
"""

TIMES = {
    "share": pl.Float64(),
    "erased": pl.Int64(),
    "shards": pl.Int64(),
    "renewed": pl.Float64(),
    "renewed_s": pl.Float64(),
    "all_s": pl.Float64(),
    "undivided_s": pl.Float64(),
    "times_faster": pl.Float64(),
    "same_bytes": pl.Boolean(),
}
"""A row for each share of people erased, means over draws and seeds: of `shards`, how many are `renewed`; the CPU seconds of
training these, all shards, and one undivided model; `times_faster` is `undivided_s` by `renewed_s`. `same_bytes` says whether training
the erased people's shards alone always gave the very release that training all shards on those who stay gives."""

_YARDSTICK = {"before": "seed", "undivided": "undivided_seed"}


@dataclass(frozen=True, eq=False)
class ErasureDrift:
    """What erasing people did; columns as `DRIFT` and `TIMES`."""

    lists: pl.DataFrame
    times: pl.DataFrame
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "lists": self.lists.to_dicts(),
            "times": self.times.to_dicts(),
            "notes": list(self.notes),
        }


def erasure_drift(
    config: ExperimentConfig,
    asked: ErasureDriftConfig,
    prepared: Prepared,
    cache: Cache | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> ErasureDrift:
    """Erase ever more people, and measure.

    Args:
        config: says the cut-off, seed, intervals, and how our model is trained.
        asked: whom to erase, and how often.
        prepared: not asked this before: the test takes each question once.
        cache: where lists and seconds are kept by content, so that an interrupted run goes on.
        tell: called before each training.

    Raises:
        ExamTakenError: it was asked.
    """
    erasing = Erasing(config, asked, prepared, cache or Cache(), tell)
    users = prepared.folds[0].exam.train.users
    counts = {1: 1 / len(users)} | {max(1, round(share * len(users))): share for share in asked.shares}
    fitted = f"in shards: {asked.shards}; seeds: {asked.seeds}; draws of each share: {asked.draws}"
    notes = [f"Assent as shipped, {fitted}. NDCG and lists at {config.k[0]}."]
    rows, times = [], []
    for count, share in sorted(counts.items()):
        told = {"share": share, "erased": count}
        try:
            found = [erasing.after(count, draw) for draw in range(asked.draws)]
        except EmptySplitError:
            notes.append(f"Of {len(users):,} people, too few stay when {count:,} are erased.")
            continue
        rows += [told | row for row in _compared(config, found)]
        times.append(told | {"shards": asked.shards} | _timed(found))
    if len(prepared.folds) > 1:
        notes.append("Measured on the first fold alone.")
    lists, seconds = (
        pl.DataFrame(each, schema=s, orient="row") for each, s in ((rows, DRIFT), (times, TIMES))
    )
    return ErasureDrift(lists, seconds, tuple(notes))


def _pairs(after: After) -> dict[str, list[tuple[Trained, Trained]]]:
    """By comparison, the models held against each other."""
    renewed, undivided = after.models["renewed"], after.models["undivided"]
    return {
        "before": list(zip(renewed, after.models["before"], strict=True)),
        "undivided": list(zip(renewed, undivided, strict=True)),
        "seed": list(pairwise(renewed)),
        "undivided_seed": list(pairwise(undivided)),
    }


def _own(after: After, against: str) -> Floats:
    """(U, 4) Jaccard, rank-biased overlap and the NDCG of both; NaN for who was erased."""
    each = [
        (
            jaccard(one.lists.items, other.lists.items),
            rbo(one.lists.items, other.lists.items),
            one.values,
            other.values,
        )
        for one, other in _pairs(after)[against]
    ]
    return np.where(after.stays[:, None], np.mean(each, axis=0).T, np.nan)


def _compared(config: ExperimentConfig, found: Sequence[After]) -> list[dict[str, Any]]:
    """Rows of `DRIFT` without the share; all from the same resampled people, each one's mean over the draws that they survive."""
    ever = np.any([after.stays for after in found], axis=0)
    names = list(_pairs(found[0]))
    by_name = {name: np.nanmean([_own(after, name)[ever] for after in found], axis=0) for name in names}
    columns = np.concatenate(
        [np.column_stack([own, own[:, 2] - own[:, 3]]) for own in by_name.values()], axis=1
    )
    moved = movements(columns, config.bootstrap_samples, config.seed).T.reshape(len(names), 5, -1)
    means = columns.mean(axis=0).reshape(len(names), 5)
    rows = []
    for place, name in enumerate(names):
        ends = [
            interval(mean, own, config.confidence)
            for mean, own in zip(means[place].tolist(), moved[place], strict=True)
        ]
        row = {"against": name, "people": int(ever.sum())}
        row |= dict(
            zip(("jaccard", "rbo", "value", "other", "difference"), means[place].tolist(), strict=True)
        )
        row |= {"jaccard_low": ends[0][0], "jaccard_high": ends[0][1], "rbo_low": ends[1][0]}
        row |= {"rbo_high": ends[1][1], "low": ends[4][0], "high": ends[4][1], "verdict": verdict(*ends[4])}
        if name in _YARDSTICK:
            usual = names.index(_YARDSTICK[name])
            gap = interval(
                means[usual, 0] - means[place, 0], moved[usual, 0] - moved[place, 0], config.confidence
            )
            row["noise"] = _beside_noise(*gap)
        rows.append(row)
    return rows


def _beside_noise(low: float, high: float) -> str:
    if low <= 0 <= high:
        return "like seed noise"
    return "more than seed noise" if low > 0 else "less than seed noise"


def _timed(found: Sequence[After]) -> dict[str, Any]:
    """A row of `TIMES` without share and shards."""
    seconds = {
        way: float(np.mean([model.seconds for after in found for model in after.models[way]]))
        for way in ("renewed", "all", "undivided")
    }
    pairs = [
        (one.digest, other.digest)
        for after in found
        for one, other in zip(after.models["renewed"], after.models["all"], strict=True)
    ]
    return {
        "renewed": float(np.mean([after.renewed for after in found])),
        **{f"{way}_s": own for way, own in seconds.items()},
        "times_faster": seconds["undivided"] / seconds["renewed"] if seconds["renewed"] > 0 else None,
        "same_bytes": all(one == other for one, other in pairs),
    }
