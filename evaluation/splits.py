"""Temporal splits: what came before is for learning, what came after is for testing.

An *uptake* is the first event of a person with an item (impressions do not count: being shown is not taking up).
Cuts are placed by uptakes. Every event before a cut is in `train`, whatever its signal; `test` holds the uptakes
from the cut on. Events of one moment are never divided, so that nothing about the order within a moment is assumed.

| kind | cut | leaves open |
|---|---|---|
| `per_user` | each person's own last share of uptakes | others' later events are known while training |
| `global` | one moment for all | people who begin after the cut have no history and are not measured |

Validation is cut from `train` in the same way; what is chosen there never saw `test`.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from evaluation.errors import EmptySplitError, LeakError

Kind = Literal["per_user", "global"]
_EXAMPLES = 3


class SplitConfig(BaseModel):
    """How events are divided. The core filter counts uptakes, and runs before the cut, as in the literature."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = "per_user"
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    items_per_user: Annotated[int, Field(ge=1)] = 5
    users_per_item: Annotated[int, Field(ge=1)] = 5


@dataclass(frozen=True)
class Split:
    """Events to learn from and uptakes to test on, both with the columns of `evaluation.datasets`."""

    kind: Kind
    train: pl.DataFrame
    test: pl.DataFrame


def split(events: pl.DataFrame, config: SplitConfig) -> Split:
    """Filter to the core, cut, and audit.

    Raises:
        EmptySplitError: the core filter or the cut leaves a part without events.
        LeakError: the audit found a leak.
    """
    kept = core(events, items_per_user=config.items_per_user, users_per_item=config.users_per_item)
    if kept.is_empty():
        raise EmptySplitError(
            f"no event is left when every user needs {config.items_per_user} items and every item "
            f"{config.users_per_item} users; lower `items_per_user` or `users_per_item`"
        )
    return cut(kept, config.kind, config.test_share)


def uptakes(events: pl.DataFrame) -> pl.DataFrame:
    """The first event of each person with each item, in the order of time."""
    taken = events.filter(pl.col("item").is_not_null(), pl.col("signal") != "impressions")
    return taken.sort("at", maintain_order=True).unique(["user", "item"], keep="first", maintain_order=True)


def core(events: pl.DataFrame, *, items_per_user: int, users_per_item: int) -> pl.DataFrame:
    """Keep the largest part where every user has taken up that many items, and every item that many users.

    Filters users and items until nothing changes. A kept user keeps events without an item as well.
    """
    pairs = uptakes(events).select("user", "item")
    while True:
        enough_items = pl.len().over("user") >= items_per_user
        enough_users = pl.len().over("item") >= users_per_item
        kept = pairs.filter(enough_items, enough_users)
        if len(kept) == len(pairs):
            break
        pairs = kept
    users, items = pairs["user"].unique().implode(), pairs["item"].unique().implode()
    return events.filter(pl.col("user").is_in(users), pl.col("item").is_null() | pl.col("item").is_in(items))


def cut(events: pl.DataFrame, kind: Kind, test_share: float) -> Split:
    """Cut at the moment from which on about `test_share` of the uptakes lie, and audit the result.

    The moment is that of uptake number floor((1 - test_share) * n), counted from 0. Where it is also the first
    moment, nothing would be left to learn from: the cut then comes at the next moment, or not at all.

    Raises:
        EmptySplitError: a part has no events.
        LeakError: the audit found a leak.
    """
    taken = uptakes(events)
    ranked = taken.select("user", "at").sort("at")
    position = (
        ((1 - test_share) * pl.len() + 1e-9).floor().cast(pl.Int64)
    )  # 0.8 * 5 is 4, whatever floats say
    later = pl.col("at").filter(pl.col("at") > pl.col("at").min()).min()
    moment = (
        pl.when(pl.col("at").get(position) > pl.col("at").min())
        .then(pl.col("at").get(position))
        .otherwise(later)
    )
    if kind == "per_user":
        moments = ranked.group_by("user").agg(cut=moment)
        events, taken = (
            frame.join(moments, on="user", how="left", maintain_order="left") for frame in (events, taken)
        )
    else:
        only = ranked.select(cut=moment).item() if len(ranked) else None
        events, taken = (frame.with_columns(cut=pl.lit(only, dtype=pl.Int64)) for frame in (events, taken))
    before = (pl.col("at") < pl.col("cut")).fill_null(value=True)
    found = Split(kind, events.filter(before).drop("cut"), taken.filter(~before).drop("cut"))
    for part, frame in (("train", found.train), ("test", found.test)):
        if frame.is_empty():
            raise EmptySplitError(
                f"the {part} part of the split has no events; there is too little, or all is of one moment"
            )
    audit(found)
    return found


def audit(split: Split) -> None:
    """Prove that the test part could not be known while training.

    Raises:
        LeakError: with examples, when a pair of user and item is in both parts, when a person's training goes on
            after their test begins, or, in a global split, when anybody's does.
    """
    numbers = _numbers(split)
    both = uptakes(split.train).join(split.test, on=["user", "item"], how="semi").join(numbers, on="user")
    if len(both):
        rows = both.select("number", "item").head(_EXAMPLES).rows()
        examples = "; ".join(f"user number {number} with item {item}" for number, item in rows)
        raise LeakError(f"{len(both):,} pairs are in train and in test: {examples}")
    if split.kind == "global":
        begins = split.test.select(begin=pl.col("at").min())
        late = split.train.join(begins, how="cross").filter(pl.col("at") >= pl.col("begin"))
    else:
        begins = split.test.group_by("user").agg(begin=pl.col("at").min())
        late = split.train.join(begins, on="user").filter(pl.col("at") >= pl.col("begin"))
    if len(late):
        worst = late.join(numbers, on="user").sort("at", "number", descending=[True, False]).head(_EXAMPLES)
        examples = "; ".join(
            f"user number {number} trains at {at} and tests from {begin}"
            for number, at, begin in worst.select("number", "at", "begin").rows()
        )
        raise LeakError(
            f"{len(late):,} events in train are not before the test (microseconds since 1970): {examples}"
        )


def _numbers(split: Split) -> pl.DataFrame:
    """Users with their places, from 0, among the sorted ids: messages name places, since an id may be a person's."""
    users = pl.concat([split.train["user"], split.test["user"]]).unique().sort()
    return pl.DataFrame({"user": users}).with_row_index("number")
