"""A split without time, for comparison with papers that use one."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import polars as pl

from evaluation.splits.rule import Promise, Share, Split, SplitRule
from evaluation.splits.temporal import last_share
from evaluation.splits.uptakes import uptakes


class RandomPairs(SplitRule):
    """Each person's test is a random share of their uptakes. It leaks time: the future is learned from.

    All of a person's events with an item are on one side.

    Source of the warning: Ji, Sun, Zhang and Li, "A critical study on data leakage in recommender system offline
    evaluation", ACM TOIS 41(3), 2023.
    """

    kind: Literal["random"] = "random"
    test_share: Share = 0.2

    PROMISE: ClassVar[Promise] = Promise(before="nothing")
    CAVEAT: ClassVar[str] = (
        "LEAKS TIME: the test was drawn at random, so what came later is learned from; only for comparison with papers that do the same."
    )

    def divide(self, events: pl.DataFrame, seed: int) -> Iterator[Split]:
        """Draw once; the order of rows changes nothing."""
        pairs = uptakes(events).select("user", "item").sort("user", "item")
        drawn = pairs.with_columns(draw=np.random.default_rng(seed).permutation(len(pairs)))
        place = pl.col("draw").rank("ordinal").over("user") - 1
        tested = drawn.filter(place.cast(pl.Int64) >= last_share(self.test_share).clip(1).over("user"))
        train = events.join(tested, on=["user", "item"], how="anti", maintain_order="left")
        test = uptakes(events).join(tested, on=["user", "item"], how="semi", maintain_order="left")
        yield Split(train, train, test, self.PROMISE)
