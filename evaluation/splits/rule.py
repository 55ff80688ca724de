"""What every split is, and what every rule that makes splits keeps."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from evaluation.errors import EmptySplitError
from evaluation.splits.audit import audit
from evaluation.splits.uptakes import core

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Promise:
    """What the audit of a split proves, beside that no pair of person and item is both known and asked for.

    Attributes:
        before: what lies before the test in time: what `everyone` did who is learned from, each person's `own` past
            alone, or `nothing`.
        new_users: nobody who is tested is learned from.
        new_items: nothing that is asked for is learned from.
    """

    before: Literal["everyone", "own", "nothing"]
    new_users: bool = False
    new_items: bool = False


@dataclass(frozen=True)
class Split:
    """Events to learn from and uptakes to find, with the columns of `evaluation.datasets`.

    Attributes:
        train: what models are fitted on.
        known: what the tested people have done when they ask; the same frame as `train` where these are the same.
        test: the uptakes to find.
        promise: what the audit proves.
    """

    train: pl.DataFrame
    known: pl.DataFrame
    test: pl.DataFrame
    promise: Promise


class SplitRule(BaseModel, ABC):
    """How events are divided. The core filter counts uptakes, and runs before the cut, as in the literature."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items_per_user: Count = 5
    users_per_item: Count = 5

    PROMISE: ClassVar[Promise]
    CAVEAT: ClassVar[str]
    """What this way of dividing leaves open, in a sentence for readers of a report."""

    @property
    def number_of_folds(self) -> int:
        """How many divisions this rule gives."""
        return 1

    def folds(self, events: pl.DataFrame, seed: int = 0) -> Iterator[Split]:
        """Filter to the core, divide, and audit each division; only rules over folds give more than one.

        Args:
            events: as in `evaluation.datasets`.
            seed: of what is drawn; rules that draw nothing give the same for all.

        Raises:
            EmptySplitError: the core filter or the division leaves a part without events.
            LeakError: the audit found a leak.
        """
        kept = core(events, items_per_user=self.items_per_user, users_per_item=self.users_per_item)
        if kept.is_empty():
            raise EmptySplitError(
                f"no event is left when every user needs {self.items_per_user} items and every item "
                f"{self.users_per_item} users; lower `items_per_user` or `users_per_item`"
            )
        yield from self.cut(kept, seed)

    def cut(self, events: pl.DataFrame, seed: int = 0) -> Iterator[Split]:
        """Divide and audit events that need no filter, such as a train part from which validation is cut."""
        for found in self.divide(events, seed):
            for part in ("train", "known", "test"):
                if getattr(found, part).is_empty():
                    raise EmptySplitError(
                        f"the {part} part of the split has no events; there is too little, or all is of one moment"
                    )
            audit(found)
            yield found

    def validation(self, train: pl.DataFrame, seed: int = 0) -> Split:
        """Cut a part to choose on from a train part, by the same rule; whoever chooses never holds the test part."""
        return next(self.cut(train, seed))

    @abstractmethod
    def divide(self, events: pl.DataFrame, seed: int) -> Iterator[Split]:
        """Divide events; `cut` audits what comes out."""
