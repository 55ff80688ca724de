"""Splits in time: what came before is for learning, what came after is for finding.

Cuts are placed by uptakes. Every event before a cut is learned from, whatever its signal; the test holds the uptakes
from the cut on. Events of one moment are never divided, so that nothing about the order within a moment is assumed.
Where a cut would come at the first moment, nothing would be left to learn from: it then comes at the next, or not at all.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

import polars as pl

from evaluation.splits.rule import Count, Promise, Share, Split, SplitRule
from evaluation.splits.uptakes import uptakes


def moment(position: pl.Expr) -> pl.Expr:
    """The time of the uptake at a position counted from 0, of times in ascending order; never the first moment."""
    at = pl.col("at")
    later = at.filter(at > at.min()).min()
    return pl.when(at.get(position) > at.min()).then(at.get(position)).otherwise(later)


def last_share(share: float) -> pl.Expr:
    """Position of the first of the last `share` of n: floor((1 - share) * n)."""
    return ((1 - share) * pl.len() + 1e-9).floor().cast(pl.Int64)  # 0.8 * 5 is 4, whatever floats say


def own_cuts(events: pl.DataFrame, position: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cut each person's events at their own uptake of that position: (all events before, uptakes from then on)."""
    taken = uptakes(events)
    cuts = taken.select("user", "at").sort("at").group_by("user").agg(cut=moment(position))
    parted = (frame.join(cuts, on="user", how="left", maintain_order="left") for frame in (events, taken))
    return _parts(*parted)


def cut_at(events: pl.DataFrame, cut: int | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cut everyone's events at one moment: (all events before, uptakes from then on)."""
    return _parts(*(frame.with_columns(cut=pl.lit(cut, pl.Int64)) for frame in (events, uptakes(events))))


def _parts(events: pl.DataFrame, taken: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    before = (pl.col("at") < pl.col("cut")).fill_null(value=True)
    return events.filter(before).drop("cut"), taken.filter(~before).drop("cut")


class GlobalTime(SplitRule):
    """One moment for all: the test is everything from there on, about `test_share` of the uptakes.

    People who begin after the cut have no history and are not measured.
    """

    kind: Literal["global"] = "global"
    test_share: Share = 0.2

    PROMISE: ClassVar[Promise] = Promise(before="everyone")
    CAVEAT: ClassVar[str] = (
        "One moment divides past and future for everyone, as in service; newcomers after it are not measured."
    )

    def divide(self, events: pl.DataFrame, _seed: int) -> Iterator[Split]:
        """Cut once."""
        times = uptakes(events).select("at").sort("at")
        cut = times.select(moment(last_share(self.test_share))).item() if len(times) else None
        train, test = cut_at(events, cut)
        yield Split(train, train, test, self.PROMISE)


class PerUserTime(SplitRule):
    """Each person's own last share of uptakes is the test."""

    kind: Literal["per_user"] = "per_user"
    test_share: Share = 0.2

    PROMISE: ClassVar[Promise] = Promise(before="own")
    CAVEAT: ClassVar[str] = (
        "Each person's own last uptakes are the test: the order within a person is kept; what others did later is known while learning."
    )

    def divide(self, events: pl.DataFrame, _seed: int) -> Iterator[Split]:
        """Cut everyone once."""
        train, test = own_cuts(events, last_share(self.test_share))
        yield Split(train, train, test, self.PROMISE)


class LeaveLast(SplitRule):
    """Each person's last `n` uptakes are the test; more where the n-th last shares its moment with others."""

    kind: Literal["leave_last"] = "leave_last"
    n: Count = 1

    PROMISE: ClassVar[Promise] = Promise(before="own")
    CAVEAT: ClassVar[str] = (
        "Each person's last uptakes are the test, equally many for all: the order within a person is kept; what others did later is known while learning."
    )

    def divide(self, events: pl.DataFrame, _seed: int) -> Iterator[Split]:
        """Cut everyone once."""
        train, test = own_cuts(events, (pl.len().cast(pl.Int64) - self.n).clip(0))
        yield Split(train, train, test, self.PROMISE)
