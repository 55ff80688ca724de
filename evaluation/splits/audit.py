"""Proves of a split that the test could not be known; whatever could is shown with examples."""

from typing import TYPE_CHECKING

import polars as pl

from evaluation.errors import LeakError
from evaluation.splits.uptakes import uptakes

if TYPE_CHECKING:
    from evaluation.splits.rule import Split

_EXAMPLES = 3


def audit(split: "Split") -> None:
    """Prove what a split promises.

    Raises:
        LeakError: with examples, when a pair of user and item is in `test` and also in `train` or `known`; when what
            should lie before the test does not; when a tested person or item is learned from that should be new.
    """
    numbers = _numbers(split)
    earlier = (
        [("train", split.train)]
        if split.known is split.train
        else [("train", split.train), ("known", split.known)]
    )
    for name, part in earlier:
        _no_pair_in_both(name, part, split.test, numbers)
    if split.promise.before == "everyone":
        _nobody_is_late(split, numbers)
    if split.promise.before != "nothing":
        _own_past_is_past(split.known, split.test, numbers)
    if split.promise.new_users:
        _is_new(split, "user", numbers)
    if split.promise.new_items:
        _is_new(split, "item", numbers)


def _no_pair_in_both(name: str, part: pl.DataFrame, test: pl.DataFrame, numbers: pl.DataFrame) -> None:
    both = uptakes(part).join(test, on=["user", "item"], how="semi").join(numbers, on="user")
    if len(both):
        rows = both.select("number", "item").head(_EXAMPLES).rows()
        examples = "; ".join(f"user number {number} with item {item}" for number, item in rows)
        raise LeakError(f"{len(both):,} pairs are in {name} and in test: {examples}")


def _nobody_is_late(split: "Split", numbers: pl.DataFrame) -> None:
    begins = split.test.select(begin=pl.col("at").min())
    _refuse_late(split.train.join(begins, how="cross"), "train", numbers)


def _own_past_is_past(known: pl.DataFrame, test: pl.DataFrame, numbers: pl.DataFrame) -> None:
    begins = test.group_by("user").agg(begin=pl.col("at").min())
    _refuse_late(known.join(begins, on="user"), "what is known", numbers)


def _refuse_late(events: pl.DataFrame, where: str, numbers: pl.DataFrame) -> None:
    late = events.filter(pl.col("at") >= pl.col("begin"))
    if len(late):
        worst = late.join(numbers, on="user").sort("at", "number", descending=[True, False]).head(_EXAMPLES)
        examples = "; ".join(
            f"user number {number} has an event at {at}, the test begins at {begin}"
            for number, at, begin in worst.select("number", "at", "begin").rows()
        )
        raise LeakError(
            f"{len(late):,} events in {where} are not before the test (microseconds since 1970): {examples}"
        )


def _is_new(split: "Split", column: str, numbers: pl.DataFrame) -> None:
    parts = split.train if column == "user" else pl.concat([split.train, split.known])
    old = split.test.join(uptakes(parts).select(column).unique(), on=column, how="semi")
    old = (
        old.join(numbers, on="user")
        .select("number" if column == "user" else "item")
        .unique(maintain_order=True)
    )
    if len(old):
        kind = "user number" if column == "user" else "item"
        examples = "; ".join(f"{kind} {one}" for one in old.to_series().head(_EXAMPLES))
        raise LeakError(f"{len(old):,} tested {column}s should be new and are learned from: {examples}")


def _numbers(split: "Split") -> pl.DataFrame:
    """Users with their places, from 0, among the sorted ids: messages name places, since an id may be a person's."""
    users = pl.concat([split.train["user"], split.known["user"], split.test["user"]]).unique().sort()
    return pl.DataFrame({"user": users}).with_row_index("number")
