"""Splits that ask about newcomers: people, or items, that nothing was learned from."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import polars as pl

from evaluation.splits.rule import Promise, Share, Split, SplitRule
from evaluation.splits.temporal import cut_at, last_share, moment, own_cuts
from evaluation.splits.uptakes import uptakes


def _arrivals(events: pl.DataFrame, column: str, share: float) -> tuple[int | None, pl.DataFrame]:
    """The moment from which on about `share` of the people or items first appear, and those that do."""
    first = uptakes(events).group_by(column).agg(pl.col("at").min()).sort("at", column)
    cut = first.select(moment(last_share(share))).item() if len(first) else None
    return cut, first.filter(pl.col("at") >= pl.lit(cut, pl.Int64)).select(column)


class ColdUsers(SplitRule):
    """People who begin after one moment are tested; what is learned is what others did before it.

    When a newcomer asks, what they did before the last `test_share` of their own uptakes is known of them.
    """

    kind: Literal["cold_users"] = "cold_users"
    user_share: Share = 0.2
    test_share: Share = 0.5

    PROMISE: ClassVar[Promise] = Promise(before="everyone", new_users=True)
    CAVEAT: ClassVar[str] = (
        "Tested are people of whom nothing was learned: they began after everything that was; models with a parameter per person know only what all share."
    )

    def divide(self, events: pl.DataFrame, _seed: int) -> Iterator[Split]:
        """Cut at the arrivals, then each newcomer's own events."""
        cut, newcomers = _arrivals(events, "user", self.user_share)
        train, _ = cut_at(events, cut)
        theirs = events.join(newcomers, on="user", how="semi", maintain_order="left")
        # Searches or check-ins may come before a person's first uptake: whoever is new has nothing in train.
        train = train.join(newcomers, on="user", how="anti", maintain_order="left")
        known, test = own_cuts(theirs, last_share(self.test_share))
        yield Split(train, known, test, self.PROMISE)


class ColdItems(SplitRule):
    """Items that are first taken up after one moment are asked for; what is learned is what was done before it."""

    kind: Literal["cold_items"] = "cold_items"
    item_share: Share = 0.2

    PROMISE: ClassVar[Promise] = Promise(before="everyone", new_items=True)
    CAVEAT: ClassVar[str] = (
        "Asked for are items that nobody had used before: a model that learns from use alone has nothing to find them by."
    )

    def divide(self, events: pl.DataFrame, _seed: int) -> Iterator[Split]:
        """Cut at the arrivals, and ask for the arrivals alone."""
        cut, arrivals = _arrivals(events, "item", self.item_share)
        train, test = cut_at(events, cut)
        yield Split(
            train, train, test.join(arrivals, on="item", how="semi", maintain_order="left"), self.PROMISE
        )
