"""Cross-validation over people."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from evaluation.errors import EmptySplitError
from evaluation.splits.rule import Promise, Share, Split, SplitRule
from evaluation.splits.temporal import last_share, own_cuts


class UserFolds(SplitRule):
    """k-fold over people: each is tested once, by models that learned from the people of the other folds alone.

    When they ask, what they did before the last `test_share` of their own uptakes is known of them ("strong
    generalisation": Marlin, "Collaborative filtering: a machine learning perspective", 2004).
    """

    kind: Literal["user_folds"] = "user_folds"
    k: Annotated[int, Field(ge=2, le=100)] = 5
    test_share: Share = 0.2

    PROMISE: ClassVar[Promise] = Promise(before="own", new_users=True)
    CAVEAT: ClassVar[str] = (
        "Each person is tested once by models that learned from others alone; what those others did later is known while learning."
    )

    @property
    def number_of_folds(self) -> int:
        """One for each share of the people."""
        return self.k

    def divide(self, events: pl.DataFrame, seed: int) -> Iterator[Split]:
        """Draw the folds; the order of rows changes nothing.

        Raises:
            EmptySplitError: there are fewer people than folds.
        """
        users = events["user"].unique().sort()
        if len(users) < self.k:
            raise EmptySplitError(f"{self.k} folds need {self.k} people; there are {len(users)}")
        drawn = np.random.default_rng(seed).permutation(len(users)) % self.k
        for fold in range(self.k):
            inside = pl.col("user").is_in(users.filter(pl.Series(drawn == fold)).implode())
            known, test = own_cuts(events.filter(inside), last_share(self.test_share))
            yield Split(events.filter(~inside), known, test, self.PROMISE)
